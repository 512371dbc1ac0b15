//! Format rewards of AlphaDrive (arXiv 2503.07608): 1 when the completion keeps the tags, else 0.
//!
//! `format` is the paper's term, strictly read. Deviation 1: both blocks must hold something, since a reward for
//! `<answer></answer>` teaches empty answers. Which labels the answer names is not this term's business. A completion that
//! was asked for several plans must list exactly that many different ones.
//!
//! `format_released` is the released code's: a full match of `<think>.*?</think>\s*<answer>.*?</answer>`, the dot
//! matching newlines. Nothing may precede or follow, not even a newline; tags inside the blocks are let through.

use crate::{Asked, Reference, Score, Term};
use scene::parse::{ParseFailure, answers, blocks};

/// The strict term, named `format`.
#[derive(Debug, Clone, Copy)]
pub struct Format;

impl Term for Format {
    fn name(&self) -> &'static str {
        "format"
    }

    fn score(&self, completion: &str, reference: &Reference, group: &[&str]) -> Option<Score> {
        self.judge(&Asked::new(completion, reference, group))
    }

    fn judge(&self, asked: &Asked) -> Option<Score> {
        Some(match blocks(asked.completion) {
            Err(reason) => Score::new(0.0, reason.to_string()),
            Ok(b) => match (b.think.map(str::trim), b.answer.trim()) {
                (None, _) => Score::new(0.0, "there is no reasoning block"),
                (Some(""), _) => Score::new(0.0, "the reasoning is empty"),
                (_, "") => Score::new(0.0, ParseFailure::EmptyAnswer.to_string()),
                (_, body) if asked.plans > 1 => match answers(body, asked.plans) {
                    Err(reason) => Score::new(0.0, reason.to_string()),
                    Ok(_) => Score::new(1.0, "tags and plans as asked"),
                },
                _ => Score::new(1.0, "tags as asked"),
            },
        })
    }
}

/// The released code's term, named `format_released`.
#[derive(Debug, Clone, Copy)]
pub struct ReleasedFormat;

impl Term for ReleasedFormat {
    fn name(&self) -> &'static str {
        "format_released"
    }

    fn score(&self, completion: &str, _: &Reference, _: &[&str]) -> Option<Score> {
        Some(match released_match(completion) {
            true => Score::new(1.0, "full match"),
            false => Score::new(0.0, "no full match"),
        })
    }
}

/// Whether the whole text matches `<think>.*?</think>\s*<answer>.*?</answer>`, the dot matching newlines.
///
/// A full match lets the lazy parts grow, so the text matches exactly when it starts with `<think>`, ends with
/// `</answer>`, and somewhere between holds a `</think>`, white space, `<answer>` that do not overlap them.
/// `\s` is Python's for text: Unicode white space and the four separators U+001C to U+001F.
pub fn released_match(text: &str) -> bool {
    let Some(inner) = text.strip_prefix("<think>").and_then(|t| t.strip_suffix("</answer>")) else {
        return false;
    };
    // One pass: after a close tag, white space may follow, then the opening tag decides; no position is read twice
    // because white space holds no close tag.
    inner.match_indices("</think>").any(|(at, close)| {
        inner.get(at + close.len()..).is_some_and(|rest| rest.trim_start_matches(space).starts_with("<answer>"))
    })
}

/// White space as Python sees it.
pub(crate) fn space(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{1c}'..='\u{1f}')
}
