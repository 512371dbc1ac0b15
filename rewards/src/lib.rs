//! Reward terms: pure functions of a completion, its reference and the group it was sampled in.
//! No files, clock or random numbers, so a score can be recomputed anywhere.
//!
//! To add a term: one file here that implements [`Term`], one line in [`terms`], golden cases in
//! `cases/<name>.jsonl`. Every value lies in the term's declared range for any input.

#![forbid(unsafe_code)]

pub mod action;
pub mod axis;
pub mod diversity;
pub mod f1;
pub mod format;
pub mod length;
pub mod outcome;
pub mod pdm;
pub mod plans;
pub mod recipe;
pub mod reference;
pub mod released;
pub mod weight;

pub use axis::Axis;
pub use outcome::{Outcome, Outcomes};
pub use recipe::{Group, Recipe, RecipeError, Total};
pub use reference::{Driven, Reference};

use serde::{Deserialize, Serialize};

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

/// A number that a recipe may set for a term.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Setting {
    /// Its key in the recipe.
    pub name: &'static str,
    /// The value when the recipe is silent.
    pub default: f64,
    /// The smallest and the largest value allowed.
    pub range: (f64, f64),
}

/// One completion in its group, and what the caller knows beyond the texts.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The text to judge.
    pub completion: &'a str,
    /// What it is compared with.
    pub reference: &'a Reference,
    /// All completions of the prompt, this one included.
    pub group: &'a [&'a str],
    /// Where the completion stands in `group`. Only the released code's defects depend on it.
    pub at: Option<usize>,
    /// Generated tokens of the completion, if the caller counted them.
    pub tokens: Option<usize>,
    /// Different plans that the completion was asked for, 1 as a rule.
    pub plans: usize,
    /// Values for [`Term::settings`], in that order; those missing at the end are the defaults.
    pub values: &'a [f64],
}

impl<'a> Asked<'a> {
    /// The texts alone, every setting at its default.
    pub fn new(completion: &'a str, reference: &'a Reference, group: &'a [&'a str]) -> Self {
        Asked { completion, reference, group, at: None, tokens: None, plans: 1, values: &[] }
    }

    /// The value of the `index`-th of a term's settings.
    pub fn value(&self, settings: &[Setting], index: usize) -> f64 {
        let default = || settings.get(index).map_or(0.0, |s| s.default);
        self.values.get(index).copied().unwrap_or_else(default)
    }
}

/// A reward term.
pub trait Term: Sync {
    /// Unique short name, as used in recipes and logs.
    fn name(&self) -> &'static str;

    /// The smallest and the largest value, whatever the settings.
    fn range(&self) -> (f64, f64) {
        (0.0, 1.0)
    }

    /// The numbers that a recipe may set.
    fn settings(&self) -> &'static [Setting] {
        &[]
    }

    /// Scores a completion; `group` holds all completions of the prompt, this one included.
    /// `None` when the term does not apply, for example because the reference lacks the axis; this never depends on
    /// the completion, so that a term applies to a whole group or to none of it.
    fn score(&self, completion: &str, reference: &Reference, group: &[&str]) -> Option<Score>;

    /// The same with all that a recipe knows. For terms with settings or that need more than the texts.
    fn judge(&self, asked: &Asked) -> Option<Score> {
        self.score(asked.completion, asked.reference, asked.group)
    }
}

/// Every term.
pub fn terms() -> &'static [&'static dyn Term] {
    &[
        &format::Format,
        &format::ReleasedFormat,
        &action::Speed,
        &action::Path,
        &f1::F1(Axis::Speed),
        &f1::F1(Axis::Path),
        &weight::Weight(Axis::Speed),
        &weight::Weight(Axis::Path),
        &diversity::Diversity(Axis::Speed),
        &diversity::Diversity(Axis::Path),
        &length::Length(length::Unit::Characters),
        &length::Length(length::Unit::Tokens),
        &plans::SetF1,
        &plans::BestOf,
        &outcome::Driving,
        &outcome::Pdms,
        &outcome::Tree,
        &released::Released(Axis::Speed),
        &released::Released(Axis::Path),
    ]
}

/// The term of a name.
pub fn term(name: &str) -> Option<&'static dyn Term> {
    terms().iter().copied().find(|t| t.name() == name)
}
