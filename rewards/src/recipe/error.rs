//! What can be wrong with a recipe; every message says where and what is allowed.

use super::nearest::nearest;

/// A text that is no recipe.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum RecipeError {
    /// No built-in recipe of that name.
    #[error("there is no recipe {name:?}; {hint}")]
    UnknownRecipe {
        /// As typed, shortened.
        name: String,
        /// The nearest name, or all.
        hint: String,
    },
    /// Not worth parsing.
    #[error("recipe {recipe}: {found} {what}; at most {most} are allowed")]
    TooMany {
        /// The recipe.
        recipe: String,
        /// What there is too much of.
        what: &'static str,
        /// How much.
        found: usize,
        /// The limit.
        most: usize,
    },
    /// The TOML parser's words.
    #[error("recipe {recipe}: {why}")]
    Toml {
        /// The recipe.
        recipe: String,
        /// Line, column and reason.
        why: String,
    },
    /// A key, term or setting that does not exist.
    #[error("recipe {recipe}, {place}: unknown {kind} {name:?}; {hint}")]
    Unknown {
        /// The recipe.
        recipe: String,
        /// Where in it.
        place: String,
        /// `key`, `term` or `setting`.
        kind: &'static str,
        /// As typed, shortened.
        name: String,
        /// The nearest name, or all.
        hint: String,
    },
    /// A key that must be there is not.
    #[error("recipe {recipe}, {place}: {key} is missing; {why}")]
    Missing {
        /// The recipe.
        recipe: String,
        /// Where in it.
        place: String,
        /// The key.
        key: &'static str,
        /// What it is for.
        why: &'static str,
    },
    /// A value of the wrong kind.
    #[error("recipe {recipe}, {place}: {key} is {found}; {want} is needed")]
    Type {
        /// The recipe.
        recipe: String,
        /// Where in it.
        place: String,
        /// The key.
        key: String,
        /// Kind of the value.
        found: &'static str,
        /// Kind needed.
        want: &'static str,
    },
    /// A number that is not allowed.
    #[error("recipe {recipe}, {place}: {key} = {value} lies outside {low} to {high}")]
    Range {
        /// The recipe.
        recipe: String,
        /// Where in it.
        place: String,
        /// The key.
        key: String,
        /// The number.
        value: f64,
        /// The smallest allowed.
        low: f64,
        /// The largest allowed.
        high: f64,
    },
    /// Two rewards of one name, or one term twice in a product.
    #[error("recipe {recipe}, {place}: {name} is there twice")]
    Twice {
        /// The recipe.
        recipe: String,
        /// Where in it.
        place: String,
        /// The name.
        name: String,
    },
}

/// The nearest of the known names, else all of them.
pub(super) fn hint(typed: &str, known: &[&str]) -> String {
    match nearest(typed, known.iter().copied()) {
        Some(near) => format!("did you mean {near}?"),
        None if known.is_empty() => "there are none".into(),
        None => format!("known are {}", known.join(", ")),
    }
}

/// The first 60 characters.
pub(super) fn short(text: &str) -> String {
    text.chars().take(60).collect()
}
