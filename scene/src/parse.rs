//! Reading a plan out of model text: total (any text gives a [`Plan`] or a typed reason) and linear in its length.
//!
//! Strict form, white space free around every part: an optional `<think> reasoning </think>`, then
//! `<answer> SPEED, PATH </answer>`, nothing else, labels exactly as in [`SpeedAction::ALL`] and
//! [`PathAction::ALL`]. One pass lists the tags; the list decides, so no input backtracks.

use crate::{MetaAction, PathAction, Plan, SpeedAction};
use serde::{Deserialize, Serialize};

/// The four tags of the written form.
pub const TAGS: [&str; 4] = ["<think>", "</think>", "<answer>", "</answer>"];

/// How forgiving to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// The written form and nothing else. What evaluation and rewards use.
    #[default]
    Strict,
    /// For chatting with models that were never taught the form: the body of the last answer block (else the text
    /// after the reasoning) must name exactly one speed and one path as whole words. Case is free inside an answer
    /// block only, since "stop" and "straight" are also plain English.
    Lenient,
}

/// Why a text is not a plan. [`ParseFailure::code`] names the kind in logs and tables.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum ParseFailure {
    /// Nothing but white space.
    #[error("the text is empty")]
    Empty,
    /// No `<answer>` tag.
    #[error("there is no <answer> tag")]
    NoAnswer,
    /// `<answer>` without its closing tag: usually cut off by the token limit.
    #[error("the <answer> tag is not closed")]
    UnclosedAnswer,
    /// More than one answer block.
    #[error("there are {count} <answer> tags; one is allowed")]
    SeveralAnswers {
        /// Opening tags found.
        count: usize,
    },
    /// `<think>` without its closing tag: usually cut off by the token limit.
    #[error("the <think> tag is not closed")]
    UnclosedThink,
    /// More than one reasoning block.
    #[error("there are {count} <think> tags; at most one is allowed")]
    SeveralThinks {
        /// Opening tags found.
        count: usize,
    },
    /// A closing tag that nothing opened.
    #[error("{tag} closes nothing")]
    StrayClose {
        /// The tag.
        tag: String,
    },
    /// Answer inside the reasoning, or before it, or crossing tags.
    #[error("the tags are out of order; first <think>...</think>, then <answer>...</answer>")]
    OutOfOrder,
    /// Text before, between or after the blocks.
    #[error("there is text outside the tags: {text:?}")]
    TextOutside {
        /// Its beginning.
        text: String,
    },
    /// Nothing between the answer tags.
    #[error("the answer is empty")]
    EmptyAnswer,
    /// Not two labels.
    #[error("the answer has {count} comma-separated parts; expected two: SPEED, PATH")]
    WrongCount {
        /// Parts found.
        count: usize,
    },
    /// Not as many different plans as were asked for.
    #[error("the answer names {count} plans; {wanted} different ones are wanted")]
    WrongPlans {
        /// Different plans found; plans found where those are right in number but repeated.
        count: usize,
        /// Plans that were asked for.
        wanted: usize,
    },
    /// The first word is no speed label.
    #[error("{word:?} is no speed; known are KEEP, ACCELERATE, DECELERATE, STOP")]
    UnknownSpeed {
        /// The word, cut to 40 characters.
        word: String,
    },
    /// The second word is no path label.
    #[error("{word:?} is no path; known are STRAIGHT, LEFT_TURN, RIGHT_TURN, LEFT_CHANGE, RIGHT_CHANGE")]
    UnknownPath {
        /// The word, cut to 40 characters.
        word: String,
    },
    /// Lenient mode: not exactly one label of an axis.
    #[error("the text names {count} different labels of the {axis} axis; exactly one is needed")]
    Ambiguous {
        /// `speed` or `path`.
        axis: String,
        /// Different labels found.
        count: usize,
    },
}

impl ParseFailure {
    /// A short stable name for logs and tables, the same as the serialised `reason`.
    pub fn code(&self) -> &'static str {
        match self {
            ParseFailure::Empty => "empty",
            ParseFailure::NoAnswer => "no_answer",
            ParseFailure::UnclosedAnswer => "unclosed_answer",
            ParseFailure::SeveralAnswers { .. } => "several_answers",
            ParseFailure::UnclosedThink => "unclosed_think",
            ParseFailure::SeveralThinks { .. } => "several_thinks",
            ParseFailure::StrayClose { .. } => "stray_close",
            ParseFailure::OutOfOrder => "out_of_order",
            ParseFailure::TextOutside { .. } => "text_outside",
            ParseFailure::EmptyAnswer => "empty_answer",
            ParseFailure::WrongCount { .. } => "wrong_count",
            ParseFailure::WrongPlans { .. } => "wrong_plans",
            ParseFailure::UnknownSpeed { .. } => "unknown_speed",
            ParseFailure::UnknownPath { .. } => "unknown_path",
            ParseFailure::Ambiguous { .. } => "ambiguous",
        }
    }
}

/// A text cut at the tags of the strict form; the answer body is not judged yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blocks<'a> {
    /// Between the think tags, untrimmed; `None` without a reasoning block.
    pub think: Option<&'a str>,
    /// Between the answer tags, untrimmed.
    pub answer: &'a str,
}

/// Reads a plan; the reasoning comes back trimmed.
///
/// # Errors
/// Any text that is not in the form of `mode`: the typed reason.
pub fn parse(text: &str, mode: Mode) -> Result<Plan, ParseFailure> {
    match mode {
        Mode::Strict => {
            let blocks = blocks(text)?;
            let action = answer(blocks.answer)?;
            Ok(Plan { reasoning: blocks.think.unwrap_or_default().trim().to_owned(), action })
        }
        Mode::Lenient => lenient(text),
    }
}

/// Cuts a text into the blocks of the strict form.
///
/// # Errors
/// The tags do not follow the form, or something other than white space lies outside them.
pub fn blocks(text: &str) -> Result<Blocks<'_>, ParseFailure> {
    let tags = tags(text);
    let slice = |from: usize, to: usize| text.get(from..to).unwrap_or_default();
    let (think, open, close) = match tags.as_slice() {
        [(Tag::AnswerOpen, a), (Tag::AnswerClose, b)] => (None, *a, *b),
        [(Tag::ThinkOpen, t), (Tag::ThinkClose, u), (Tag::AnswerOpen, a), (Tag::AnswerClose, b)] => {
            (Some((*t, *u)), *a, *b)
        }
        other => return Err(diagnose(text, other)),
    };
    let outside = match think {
        None => [slice(0, open), "", slice(close + 9, text.len())],
        Some((t, u)) => [slice(0, t), slice(u + 8, open), slice(close + 9, text.len())],
    };
    if let Some(stray) = outside.iter().map(|s| s.trim()).find(|s| !s.is_empty()) {
        return Err(ParseFailure::TextOutside { text: cut(stray) });
    }
    Ok(Blocks { think: think.map(|(t, u)| slice(t + 7, u)), answer: slice(open + 8, close) })
}

/// Reads `SPEED, PATH`, white space free around both.
///
/// # Errors
/// Empty, not two parts, or an unknown label.
pub fn answer(body: &str) -> Result<MetaAction, ParseFailure> {
    if body.trim().is_empty() {
        return Err(ParseFailure::EmptyAnswer);
    }
    let mut parts = body.split(',').map(str::trim);
    let (Some(speed), Some(path), None) = (parts.next(), parts.next(), parts.next()) else {
        return Err(ParseFailure::WrongCount { count: body.split(',').count() });
    };
    Ok(MetaAction {
        speed: speed.parse().map_err(|_| ParseFailure::UnknownSpeed { word: cut(speed) })?,
        path: path.parse().map_err(|_| ParseFailure::UnknownPath { word: cut(path) })?,
    })
}

/// Reads exactly `wanted` different plans, separated by semicolons or new lines, each as [`answer`] reads it.
///
/// # Errors
/// Empty, the reason of the first plan that cannot be read, or another number of plans.
pub fn answers(body: &str, wanted: usize) -> Result<Vec<MetaAction>, ParseFailure> {
    let (mut plans, mut all) = (Vec::new(), 0);
    for item in body.split([';', '\n']).filter(|item| !item.trim().is_empty()) {
        let plan = answer(item)?;
        all += 1;
        if !plans.contains(&plan) {
            plans.push(plan); // at most as many as there are
        }
    }
    match (all, plans.len()) {
        (0, _) => Err(ParseFailure::EmptyAnswer),
        (all, different) if different == wanted && all == wanted => Ok(plans),
        (all, different) => {
            let count = if different == wanted { all } else { different };
            Err(ParseFailure::WrongPlans { count, wanted })
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tag {
    ThinkOpen,
    ThinkClose,
    AnswerOpen,
    AnswerClose,
}

/// Every tag with its byte position, in order.
fn tags(text: &str) -> Vec<(Tag, usize)> {
    const KINDS: [Tag; 4] = [Tag::ThinkOpen, Tag::ThinkClose, Tag::AnswerOpen, Tag::AnswerClose];
    text.match_indices('<')
        .filter_map(|(at, _)| {
            let rest = text.get(at..)?;
            let kind = TAGS.iter().position(|tag| rest.starts_with(tag))?;
            Some((KINDS[kind], at))
        })
        .collect()
}

/// The most telling reason why these tags are not the strict form.
fn diagnose(text: &str, tags: &[(Tag, usize)]) -> ParseFailure {
    let count = |kind| tags.iter().filter(|(k, _)| *k == kind).count();
    let (thinks, think_ends) = (count(Tag::ThinkOpen), count(Tag::ThinkClose));
    let (answers, answer_ends) = (count(Tag::AnswerOpen), count(Tag::AnswerClose));
    if text.trim().is_empty() {
        ParseFailure::Empty
    } else if thinks > think_ends {
        ParseFailure::UnclosedThink
    } else if answers > 1 {
        ParseFailure::SeveralAnswers { count: answers }
    } else if answers > answer_ends {
        ParseFailure::UnclosedAnswer
    } else if thinks > 1 {
        ParseFailure::SeveralThinks { count: thinks }
    } else if think_ends > thinks {
        ParseFailure::StrayClose { tag: TAGS[1].into() }
    } else if answer_ends > answers {
        ParseFailure::StrayClose { tag: TAGS[3].into() }
    } else if answers == 0 {
        ParseFailure::NoAnswer
    } else {
        ParseFailure::OutOfOrder
    }
}

fn lenient(text: &str) -> Result<Plan, ParseFailure> {
    let trimmed = text.trim();
    if trimmed.is_empty() {
        return Err(ParseFailure::Empty);
    }
    // Chat templates may have written "<think>" already, so the reasoning starts at the tag or at the beginning.
    let (before, after) = match trimmed.rsplit_once(TAGS[1]) {
        Some((think, rest)) => (think, rest),
        None => ("", trimmed),
    };
    let reasoning = before.split_once(TAGS[0]).map_or(before, |(_, r)| r).trim();
    let (body, free_case, lead) = match after.rsplit_once(TAGS[2]) {
        Some((lead, rest)) => (rest.split_once(TAGS[3]).map_or(rest, |(b, _)| b), true, lead),
        None => (after, false, ""),
    };
    let words = body.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|w| !w.is_empty());
    let (mut speeds, mut paths) = ([false; SpeedAction::ALL.len()], [false; PathAction::ALL.len()]);
    for word in words {
        let same = |label: &str| if free_case { label.eq_ignore_ascii_case(word) } else { label == word };
        speeds.iter_mut().zip(SpeedAction::ALL).for_each(|(hit, l)| *hit |= same(l.as_str()));
        paths.iter_mut().zip(PathAction::ALL).for_each(|(hit, l)| *hit |= same(l.as_str()));
    }
    let reasoning = if reasoning.is_empty() { lead.trim() } else { reasoning };
    Ok(Plan {
        reasoning: reasoning.to_owned(),
        action: MetaAction {
            speed: only(&speeds, SpeedAction::ALL, "speed")?,
            path: only(&paths, PathAction::ALL, "path")?,
        },
    })
}

fn only<L: Copy>(hits: &[bool], labels: &[L], axis: &str) -> Result<L, ParseFailure> {
    let mut named = hits.iter().zip(labels).filter(|(hit, _)| **hit).map(|(_, l)| *l);
    match (named.next(), named.next()) {
        (Some(label), None) => Ok(label),
        _ => Err(ParseFailure::Ambiguous { axis: axis.into(), count: hits.iter().filter(|h| **h).count() }),
    }
}

fn cut(text: &str) -> String {
    text.chars().take(40).collect()
}
