//! What a paper says about two of its arms, and whether it holds for ours.

use super::measure::{Drawn, Measure};
use crate::metrics::bootstrap::{Figure, interval};
use serde::{Deserialize, Serialize};

/// A claim: at a size, one arm against another on one measure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// In words.
    pub text: String,
    /// The arm that is said to differ.
    pub arm: String,
    /// What it is compared with.
    pub against: String,
    /// Training set.
    pub size: String,
    /// On what.
    #[serde(default = "joint")]
    pub measure: Measure,
    /// The paper's change in percent of the other arm's value.
    #[serde(default)]
    pub paper: Option<f64>,
    /// Which way, where the paper gives no number.
    #[serde(default)]
    pub expect: Option<Way>,
    /// Where in the paper.
    pub source: String,
}

fn joint() -> Measure {
    Measure::Joint
}

/// A direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// The arm has more.
    More,
    /// The arm has less.
    Less,
}

/// A claim and what we found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Effect {
    /// The claim.
    pub claim: Claim,
    /// Our change, as a part of the other arm's value, with its 95 % interval over seeds and frames.
    pub ours: Option<Figure>,
    /// The same for every seed.
    pub seeds: Vec<f64>,
    /// What follows.
    pub verdict: Verdict,
}

/// Whether a claim holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Our interval excludes no effect, on the paper's side.
    Reproduced,
    /// Our interval excludes no effect, on the other side.
    Opposite,
    /// Our interval holds no effect and excludes one as large as the paper's.
    Absent,
    /// Our interval holds no effect and, where the paper has a number, that too.
    Noise,
    /// An arm is not finished.
    Missing,
}

impl Verdict {
    /// For people.
    pub fn text(self) -> &'static str {
        match self {
            Verdict::Reproduced => "reproduced",
            Verdict::Opposite => "not reproduced: the other way round",
            Verdict::Absent => "not reproduced: none as large",
            Verdict::Noise => "within noise",
            Verdict::Missing => "not measured",
        }
    }
}

impl Claim {
    /// Whether the arm is said to have more.
    pub fn more(&self) -> bool {
        match (self.expect, self.paper) {
            (Some(way), _) => way == Way::More,
            (None, paper) => paper.is_none_or(|change| change >= 0.0),
        }
    }

    /// Compares both arms, drawn alike.
    pub(super) fn judge(&self, arms: Option<(&Drawn, &Drawn)>) -> Effect {
        let unknown = Effect { claim: self.clone(), ours: None, seeds: Vec::new(), verdict: Verdict::Missing };
        let Some((arm, against)) = arms else { return unknown };
        let change = |a: f64, b: f64| (b != 0.0).then(|| a / b - 1.0);
        let Some(value) = change(arm.mean(), against.mean()) else { return unknown };
        let pairs = arm.rounds.iter().zip(&against.rounds);
        let mut rounds: Vec<f64> = pairs.filter_map(|(a, b)| change((*a)?, (*b)?)).collect();
        let ours = interval(value, &mut rounds);
        let seeds = arm.seeds.iter().zip(&against.seeds).filter_map(|(a, b)| change(*a, *b)).collect();
        Effect { ours: Some(ours), seeds, verdict: self.verdict(ours), ..unknown }
    }

    fn verdict(&self, ours: Figure) -> Verdict {
        let paper = self.paper.map(|percent| percent / 100.0);
        let holds = |x: f64| ours.low <= x && x <= ours.high;
        match (ours.low > 0.0, ours.high < 0.0) {
            (true, _) if self.more() => Verdict::Reproduced,
            (_, true) if !self.more() => Verdict::Reproduced,
            (true, _) | (_, true) => Verdict::Opposite,
            _ if paper.is_some_and(|paper| !holds(paper)) => Verdict::Absent,
            _ => Verdict::Noise,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn claim(paper: Option<f64>, expect: Option<Way>) -> Claim {
        let word = || "x".to_owned();
        let (text, arm, against, size, source) = (word(), word(), word(), word(), word());
        Claim { text, arm, against, size, measure: Measure::Joint, paper, expect, source }
    }

    fn drawn(seeds: &[f64], rounds: &[f64]) -> Drawn {
        Drawn { seeds: seeds.into(), rounds: rounds.iter().copied().map(Some).collect() }
    }

    #[test]
    fn intervals_decide() {
        let says = |low: f64, high: f64, paper: Option<f64>, expect| {
            claim(paper, expect).verdict(Figure { value: (low + high) / 2.0, low, high })
        };
        assert_eq!(says(0.01, 0.3, Some(35.0), None), Verdict::Reproduced);
        assert_eq!(says(-0.3, -0.01, Some(35.0), None), Verdict::Opposite);
        assert_eq!(says(-0.3, -0.01, Some(-35.0), None), Verdict::Reproduced);
        assert_eq!(says(-0.1, 0.1, Some(35.0), None), Verdict::Absent);
        assert_eq!(says(-0.1, 0.4, Some(35.0), None), Verdict::Noise);
        assert_eq!(says(-0.1, 0.1, None, Some(Way::More)), Verdict::Noise);
        assert_eq!(says(0.1, 0.2, None, Some(Way::Less)), Verdict::Opposite);
    }

    #[test]
    fn changes_are_parts_of_the_other_arm_and_drawn_in_pairs() {
        // Both arms move together from round to round: each is uncertain, their ratio is not.
        let rounds = [0.2, 0.3, 0.4, 0.5];
        let twice: Vec<f64> = rounds.iter().map(|x| 2.0 * x).collect();
        let effect = claim(Some(35.0), None).judge(Some((&drawn(&[0.8, 0.6], &twice), &drawn(&[0.4, 0.3], &rounds))));
        let ours = effect.ours.unwrap();
        assert!((ours.value - 1.0).abs() < 1e-12 && ours.half_width() < 1e-12, "{ours:?}");
        assert_eq!((effect.seeds.len(), effect.verdict), (2, Verdict::Reproduced));
        assert_eq!(claim(None, None).judge(None).verdict, Verdict::Missing);
        let nothing = drawn(&[0.0], &[0.0]);
        assert_eq!(claim(None, None).judge(Some((&nothing, &nothing))).verdict, Verdict::Missing);
    }
}
