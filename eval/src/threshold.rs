//! `--fail-under joint=0.5,speed_f1=0.4`: limits on a summary's figures, for continuous integration.

use crate::summary::Summary;
use serde::{Deserialize, Serialize};

/// A figure that can be limited, with where it is found.
type Figure = (&'static str, fn(&Summary) -> Option<f64>);

/// Every figure that can be limited. All are better when larger; shares and F1 lie in 0..1, CIDEr in 0..10.
const FIGURES: &[Figure] = &[
    ("joint", |s| s.model().joint.map(|f| f.value)),
    ("speed", |s| s.model().speed.map(|f| f.value)),
    ("path", |s| s.model().path.map(|f| f.value)),
    ("speed_f1", |s| s.model().speed_f1.map(|f| f.value)),
    ("path_f1", |s| s.model().path_f1.map(|f| f.value)),
    ("parsed", |s| s.model().parsed.map(|f| f.value)),
    ("any_of_k", |s| s.multi.as_ref().and_then(|m| m.any_of_k)),
    ("mean_of_k", |s| s.multi.as_ref().and_then(|m| m.mean_of_k)),
    ("bleu4", |s| s.text.as_ref().map(|t| t.bleu4)),
    ("rouge_l", |s| s.text.as_ref().map(|t| t.rouge_l)),
    ("cider", |s| s.text.as_ref().map(|t| t.cider)),
    ("meteor", |s| s.text.as_ref().map(|t| t.meteor)),
];

/// A limit: the figure must not be below it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Threshold {
    /// Name of the figure.
    pub name: String,
    /// The limit.
    pub limit: f64,
}

/// A limit held against a summary.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// Name of the figure.
    pub name: String,
    /// The limit.
    pub limit: f64,
    /// The figure; `None` when it could not be measured on this set, which does not pass.
    pub value: Option<f64>,
    /// Whether the figure reaches the limit.
    pub pass: bool,
}

/// Why a list of limits is not one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ThresholdError {
    /// No `=`.
    #[error("{part:?} is no threshold; write name=value, for example joint=0.5")]
    Form {
        /// The part.
        part: String,
    },
    /// Unknown figure.
    #[error("unknown figure {name:?} in a threshold; known are {}", names().join(", "))]
    Unknown {
        /// The name.
        name: String,
    },
    /// Not a number in range.
    #[error("threshold {name}={value}: the value must be a number from 0 to {most}{hint}")]
    Value {
        /// The figure.
        name: String,
        /// What was written.
        value: String,
        /// The largest possible value.
        most: u8,
        /// A guess at what was meant, or nothing.
        hint: String,
    },
    /// Given twice.
    #[error("the figure {name} has two thresholds; give one")]
    Twice {
        /// The figure.
        name: String,
    },
}

/// Names of the figures that can be limited.
pub fn names() -> Vec<&'static str> {
    FIGURES.iter().map(|(name, _)| *name).collect()
}

/// Reads `name=value,name=value`; white space around parts is free, an empty text gives no limits.
///
/// # Errors
/// See [`ThresholdError`].
pub fn parse(text: &str) -> Result<Vec<Threshold>, ThresholdError> {
    let mut limits: Vec<Threshold> = Vec::new();
    for part in text.split(',').map(str::trim).filter(|p| !p.is_empty()) {
        let Some((name, value)) = part.split_once('=').map(|(n, v)| (n.trim(), v.trim())) else {
            return Err(ThresholdError::Form { part: part.into() });
        };
        if !FIGURES.iter().any(|(known, _)| *known == name) {
            return Err(ThresholdError::Unknown { name: name.into() });
        }
        let most = if name == "cider" { 10 } else { 1 };
        let number = value.strip_suffix('%').unwrap_or(value).parse::<f64>().ok();
        let limit = match number {
            Some(v) if !value.ends_with('%') && (0.0..=f64::from(most)).contains(&v) => v,
            other => {
                let meant = other.filter(|v| most == 1 && (0.0..=100.0).contains(v));
                let hint = meant.map(|v| format!("; did you mean {name}={}?", v / 100.0)).unwrap_or_default();
                return Err(ThresholdError::Value { name: name.into(), value: value.into(), most, hint });
            }
        };
        if limits.iter().any(|t| t.name == name) {
            return Err(ThresholdError::Twice { name: name.into() });
        }
        limits.push(Threshold { name: name.into(), limit });
    }
    Ok(limits)
}

/// Holds limits against a summary, in their order.
pub fn check(limits: &[Threshold], summary: &Summary) -> Vec<Check> {
    limits
        .iter()
        .map(|Threshold { name, limit }| {
            let value = FIGURES.iter().find(|(known, _)| known == name).and_then(|(_, of)| of(summary));
            Check { name: name.clone(), limit: *limit, value, pass: value.is_some_and(|v| v >= *limit) }
        })
        .collect()
}

impl Check {
    /// One line for a terminal.
    pub fn line(&self) -> String {
        let verdict = if self.pass { "ok  " } else { "FAIL" };
        match self.value {
            Some(value) => format!("{verdict} {} {value:.4}, at least {} wanted", self.name, self.limit),
            None => {
                format!("{verdict} {} could not be measured on this set, at least {} wanted", self.name, self.limit)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn reads_lists() {
        let limits = parse(" joint=0.5, speed_f1 = 0.4,cider=3,").unwrap();
        let got: Vec<_> = limits.iter().map(|t| (t.name.as_str(), t.limit)).collect();
        assert_eq!(got, [("joint", 0.5), ("speed_f1", 0.4), ("cider", 3.0)]);
        assert_eq!(parse("").unwrap(), []);
    }

    #[test]
    fn says_what_is_wrong() {
        let say = |text: &str| parse(text).unwrap_err().to_string();
        assert!(say("joint").contains("joint=0.5"));
        assert!(say("jont=0.5").contains("known are joint, speed"));
        assert!(say("joint=50").ends_with("from 0 to 1; did you mean joint=0.5?"), "{}", say("joint=50"));
        assert!(say("joint=50%").contains("did you mean joint=0.5?"));
        assert!(say("joint=nan").contains("must be a number") && say("joint=-1").contains("must be a number"));
        assert!(say("joint=0.1,joint=0.2").contains("two thresholds"));
    }
}
