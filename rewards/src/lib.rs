//! Reward terms: pure functions of a completion, its reference and the group it was sampled in.
//! No files, clock or random numbers, so a score can be recomputed anywhere.
//!
//! To add a term: one file here that implements [`Term`], one line in [`terms`], golden cases in
//! `cases/<name>.jsonl`. Every value lies in the term's declared range for any input.

#![forbid(unsafe_code)]

pub mod action;
pub mod format;
pub mod pdm;

use scene::{PathAction, SpeedAction};
use serde::{Deserialize, Serialize};

/// What the completion is compared with; an axis may be unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Reference {
    /// The driven speed action.
    pub speed: Option<SpeedAction>,
    /// The driven path action.
    pub path: Option<PathAction>,
}

/// One term's verdict on one completion.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// Inside the term's [`Term::range`], finite.
    pub value: f64,
    /// What the value was made of, named; empty when there is nothing to show.
    pub parts: Vec<(String, f64)>,
    /// One line for a human.
    pub why: String,
}

impl Score {
    /// A score without parts.
    pub fn new(value: f64, why: impl Into<String>) -> Self {
        Score { value, parts: Vec::new(), why: why.into() }
    }
}

/// A reward term.
pub trait Term: Sync {
    /// Unique short name, as used in recipes and logs.
    fn name(&self) -> &'static str;

    /// The smallest and the largest value.
    fn range(&self) -> (f64, f64) {
        (0.0, 1.0)
    }

    /// Scores a completion; `group` holds all completions of the prompt, this one included.
    /// `None` when the term does not apply, for example because the reference lacks the axis.
    fn score(&self, completion: &str, reference: &Reference, group: &[&str]) -> Option<Score>;
}

/// Every term.
pub fn terms() -> &'static [&'static dyn Term] {
    &[&format::Format, &format::ReleasedFormat, &action::Speed, &action::Path]
}

/// The term of a name.
pub fn term(name: &str) -> Option<&'static dyn Term> {
    terms().iter().copied().find(|t| t.name() == name)
}
