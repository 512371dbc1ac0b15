//! Recipes: which terms make up a reward. A recipe is a weighted sum of rewards, a reward is a product of terms:
//! `total = sum_k weight_k * prod_j term_kj`. Rewards keep their names, so that a trainer may normalise them one by one
//! (GDPO, arXiv 2601.05242) instead of the sum.
//!
//! TOML, described by the built-in ones in `recipes/`; [`Recipe::parse`] takes a text, the caller reads files.

mod error;
mod nearest;
mod parse;

pub use error::RecipeError;

use crate::{Asked, Reference, Score, Term};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Built-in recipes: name and text.
const BUILT_IN: &[(&str, &str)] = &[
    ("alphadrive", include_str!("../../recipes/alphadrive.toml")),
    ("alphadrive-released", include_str!("../../recipes/alphadrive-released.toml")),
    ("driving", include_str!("../../recipes/driving.toml")),
    ("meta-action", include_str!("../../recipes/meta-action.toml")),
    ("tree", include_str!("../../recipes/tree.toml")),
];

/// A checked recipe.
#[derive(Debug, Clone)]
pub struct Recipe {
    /// What it is called in logs.
    pub name: String,
    /// One line for a human.
    pub about: String,
    /// At least one; names differ.
    rewards: Vec<Reward>,
    /// Different plans that completions are asked for.
    plans: usize,
}

/// One summand: a product of terms.
#[derive(Debug, Clone)]
struct Reward {
    name: String,
    weight: f64,
    factors: Vec<Factor>,
}

/// A term and the values of its settings, all of them.
#[derive(Clone)]
struct Factor {
    term: &'static dyn Term,
    values: Vec<f64>,
}

impl fmt::Debug for Factor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple(self.term.name()).field(&self.values).finish()
    }
}

/// The completions of one prompt, in sampling order.
#[derive(Debug, Clone, Copy)]
pub struct Group<'a> {
    /// Their texts.
    pub texts: &'a [&'a str],
    /// Their generated tokens, one for each text; `None` when not counted. Fewer than texts is as none.
    pub tokens: Option<&'a [usize]>,
}

/// What a recipe gives one completion.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Total {
    /// Sum of weight times score, inside [`Recipe::range`].
    pub value: f64,
    /// Name, weight and score of every reward that applies, in the order of the recipe; the same names for each
    /// completion of a group. The parts of a product are its factors.
    pub terms: Vec<(String, f64, Score)>,
}

impl Recipe {
    /// Names of the built-in recipes.
    pub fn names() -> impl Iterator<Item = &'static str> {
        BUILT_IN.iter().map(|(name, _)| *name)
    }

    /// The text of a built-in recipe, to start one's own from.
    pub fn text(name: &str) -> Option<&'static str> {
        BUILT_IN.iter().find(|(n, _)| *n == name).map(|(_, text)| *text)
    }

    /// A built-in recipe.
    ///
    /// # Errors
    /// No such recipe; the nearest name is in the message.
    pub fn named(name: &str) -> Result<Recipe, RecipeError> {
        match Recipe::text(name) {
            Some(text) => Recipe::parse(name, text),
            None => Err(RecipeError::UnknownRecipe {
                name: error::short(name),
                hint: error::hint(name, &Recipe::names().collect::<Vec<_>>()),
            }),
        }
    }

    /// A recipe from its TOML text; `name` is for logs.
    ///
    /// # Errors
    /// No TOML, unknown keys, terms or settings (with the nearest name), values out of range.
    pub fn parse(name: &str, text: &str) -> Result<Recipe, RecipeError> {
        parse::recipe(name, text)
    }

    /// The same for completions that are asked for so many different plans.
    pub fn asking(mut self, plans: usize) -> Recipe {
        self.plans = plans;
        self
    }

    /// Names and weights of the rewards, in order.
    pub fn rewards(&self) -> impl Iterator<Item = (&str, f64)> {
        self.rewards.iter().map(|r| (r.name.as_str(), r.weight))
    }

    /// Names of the terms that it is made of.
    pub fn terms(&self) -> impl Iterator<Item = &'static str> {
        self.rewards.iter().flat_map(|reward| reward.factors.iter().map(|factor| factor.term.name()))
    }

    /// The smallest and the largest total that any completion can get.
    pub fn range(&self) -> (f64, f64) {
        // A reward that does not apply counts nothing, so 0 is always possible.
        self.rewards.iter().map(Reward::range).fold((0.0, 0.0), |(a, b), (l, h)| (a + l.min(0.0), b + h.max(0.0)))
    }

    /// Scores the completions of one prompt, one total for each, in their order.
    pub fn score_group(&self, completions: &[&str], reference: &Reference) -> Vec<Total> {
        self.score(Group { texts: completions, tokens: None }, reference)
    }

    /// The same with what the caller knows beyond the texts.
    pub fn score(&self, group: Group, reference: &Reference) -> Vec<Total> {
        let tokens = group.tokens.filter(|t| t.len() >= group.texts.len());
        let total = |at: usize, completion: &&str| {
            let asked = Asked {
                at: Some(at),
                tokens: tokens.and_then(|t| t.get(at).copied()),
                plans: self.plans,
                ..Asked::new(completion, reference, group.texts)
            };
            let score = |r: &Reward| Some((r.name.clone(), r.weight, r.score(&asked)?));
            let terms: Vec<_> = self.rewards.iter().filter_map(score).collect();
            Total { value: terms.iter().map(|(_, weight, score)| weight * score.value).sum(), terms }
        };
        group.texts.iter().enumerate().map(|(at, text)| total(at, text)).collect()
    }
}

impl Reward {
    /// `None` when one of the terms does not apply.
    fn score(&self, asked: &Asked) -> Option<Score> {
        let judge = |f: &Factor| f.term.judge(&Asked { values: &f.values, ..*asked });
        if let [only] = self.factors.as_slice() {
            return judge(only);
        }
        let scores: Vec<Score> = self.factors.iter().map(judge).collect::<Option<_>>()?;
        let names = self.factors.iter().map(|f| f.term.name().to_owned());
        Some(Score {
            value: scores.iter().map(|s| s.value).product(),
            parts: names.zip(scores.iter().map(|s| s.value)).collect(),
            why: scores.iter().map(|s| s.why.as_str()).collect::<Vec<_>>().join("; "),
        })
    }

    fn range(&self) -> (f64, f64) {
        let times = |a: (f64, f64), b: (f64, f64)| {
            let all = [a.0 * b.0, a.0 * b.1, a.1 * b.0, a.1 * b.1];
            (all.into_iter().fold(f64::INFINITY, f64::min), all.into_iter().fold(f64::NEG_INFINITY, f64::max))
        };
        self.factors.iter().map(|f| f.term.range()).fold((self.weight, self.weight), times)
    }
}
