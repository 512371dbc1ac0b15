//! Soft overlong penalty of DAPO (arXiv 2503.14476, equation 13): 0 up to `soft`, falling linearly to -1 at `hard`, -1
//! beyond. Terms `length_chars` (Unicode scalar values) and `length_tokens` (as the caller counted them; does not apply
//! when it did not). With `hard` not above `soft` the fall is a step at `soft`.

use crate::{Asked, Reference, Score, Setting, Term};

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Unicode scalar values of the text.
    Characters,
    /// Generated tokens, from [`Asked::tokens`].
    Tokens,
}

const fn limits(soft: f64, hard: f64) -> [Setting; 2] {
    let range = (0.0, 1e9);
    [Setting { name: "soft", default: soft, range }, Setting { name: "hard", default: hard, range }]
}

/// A sentence or two of reasoning is 100 to 400 characters.
const CHARACTERS: &[Setting] = &limits(800.0, 1600.0);

/// AlphaDrive trains with at most 256 tokens.
const TOKENS: &[Setting] = &limits(192.0, 256.0);

/// The term of a unit.
#[derive(Debug, Clone, Copy)]
pub struct Length(pub Unit);

impl Term for Length {
    fn name(&self) -> &'static str {
        match self.0 {
            Unit::Characters => "length_chars",
            Unit::Tokens => "length_tokens",
        }
    }

    fn range(&self) -> (f64, f64) {
        (-1.0, 0.0)
    }

    fn settings(&self) -> &'static [Setting] {
        match self.0 {
            Unit::Characters => CHARACTERS,
            Unit::Tokens => TOKENS,
        }
    }

    fn score(&self, completion: &str, reference: &Reference, group: &[&str]) -> Option<Score> {
        self.judge(&Asked::new(completion, reference, group))
    }

    fn judge(&self, asked: &Asked) -> Option<Score> {
        let (length, unit) = match self.0 {
            Unit::Characters => (asked.completion.chars().count(), "characters"),
            Unit::Tokens => (asked.tokens?, "tokens"),
        };
        let (soft, hard) = (asked.value(self.settings(), 0), asked.value(self.settings(), 1));
        Some(Score {
            value: overlong(length as f64, soft, hard),
            parts: vec![("length".into(), length as f64)],
            why: format!("{length} {unit}, free up to {soft}, full penalty from {hard}"),
        })
    }
}

fn overlong(length: f64, soft: f64, hard: f64) -> f64 {
    if length <= soft {
        0.0
    } else if length >= hard {
        -1.0
    } else {
        (soft - length) / (hard - soft)
    }
}
