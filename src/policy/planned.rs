//! One planning question asked in full: the answer, the plan in it, and the probability of every label.

use super::{
    ask::{Completion, Decoding, Seen},
    choices::Probabilities,
    planner::Planner,
};
use crate::error::Result;
use scene::{
    MetaAction,
    parse::{Mode, ParseFailure, TAGS, parse},
};

/// An answer and what was made of it.
#[derive(Debug, Clone)]
pub struct Planned {
    /// What the model wrote.
    pub completion: Completion,
    /// The plan as [`read`] found it.
    pub plan: std::result::Result<Read, ParseFailure>,
    /// Of every label, after the reasoning of the answer.
    pub probabilities: Probabilities,
}

/// A plan found in a text.
#[derive(Debug, Clone, PartialEq)]
pub struct Read {
    /// The plan.
    pub action: MetaAction,
    /// Why the text is not in the strict form, if only the lenient parser could read it.
    pub lenient: Option<ParseFailure>,
}

/// Reads a plan strictly, else leniently: a model that was never taught the form may still name one plan.
///
/// # Errors
/// Neither works: the strict parser's reason.
pub fn read(text: &str) -> std::result::Result<Read, ParseFailure> {
    match parse(text, Mode::Strict) {
        Ok(plan) => Ok(Read { action: plan.action, lenient: None }),
        Err(reason) => match parse(text, Mode::Lenient) {
            Ok(plan) => Ok(Read { action: plan.action, lenient: Some(reason) }),
            Err(_) => Err(reason),
        },
    }
}

/// The text between the think tags; without such tags whatever stands before the answer. Never holds a tag.
pub fn reasoning(text: &str) -> String {
    let before = text.split("<answer>").next().unwrap_or_default();
    let inside = before.split_once("<think>").map_or(before, |(_, rest)| rest);
    let inside = inside.split("</think>").next().unwrap_or_default();
    TAGS.iter().fold(inside.to_owned(), |text, tag| text.replace(tag, " ")).trim().to_owned()
}

/// The answer up to its opening answer tag, in the form that label probabilities are scored after: what the model wrote
/// where it wrote a tag, else its reasoning closed properly.
pub fn before_answer(text: &str) -> String {
    if let Some((before, _)) = text.split_once("<answer>") {
        return before.to_owned();
    }
    match reasoning(text) {
        said if said.is_empty() => String::new(),
        said => format!("<think> {said} </think> "),
    }
}

impl Planned {
    /// The plan, or the most probable label of each axis where the text holds none.
    pub fn action(&self) -> MetaAction {
        self.plan.as_ref().map_or_else(|_| self.probabilities.best(), |plan| plan.action)
    }

    /// The reasoning without tags.
    pub fn reasoning(&self) -> String {
        reasoning(&self.completion.text)
    }

    /// Why there is no plan, in words, with the token limit where that is the cause.
    pub fn trouble(&self) -> Option<String> {
        let reason = self.plan.as_ref().err()?;
        Some(match self.completion.cut {
            true => format!("{reason}; cut off after {} tokens", self.completion.ids.len()),
            false => reason.to_string(),
        })
    }
}

impl Planner {
    /// Asks for a plan; `on_text` as in [`Planner::ask`].
    ///
    /// # Errors
    /// Device trouble.
    pub fn plan(&self, seen: &Seen, decoding: &Decoding, on_text: &mut dyn FnMut(&str) -> bool) -> Result<Planned> {
        let completion = self.ask_seen(seen, decoding, on_text)?;
        let plan = read(&completion.text);
        let speed = plan.as_ref().ok().map(|plan| plan.action.speed);
        let probabilities = self.probabilities_seen(seen, &before_answer(&completion.text), speed)?;
        Ok(Planned { completion, plan, probabilities })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn reasoning_without_tags() {
        for (text, said) in [
            ("<think> The road bends. </think> <answer> KEEP, LEFT_TURN </answer>", "The road bends."),
            ("<answer> KEEP, STRAIGHT </answer>", ""),
            ("<think> cut off", "cut off"),
            ("no tags at all", "no tags at all"),
            ("a </think> b", "a"),
            ("", ""),
            ("<think> a <think> b </think> c <answer> d", "a   b"),
        ] {
            assert_eq!(reasoning(text), said, "{text}");
        }
    }

    #[test]
    fn scores_after_what_was_written() {
        assert_eq!(before_answer("<think> a </think>\n<answer> KEEP, STRAIGHT </answer>"), "<think> a </think>\n");
        assert_eq!(before_answer("<answer> KEEP, STRAIGHT </answer>"), "");
        assert_eq!(before_answer("<think> cut"), "<think> cut </think> ");
        assert_eq!(before_answer(" "), "");
    }

    #[test]
    fn strict_before_lenient() {
        let strict = read("<answer> KEEP, STRAIGHT </answer>").unwrap();
        assert_eq!((strict.action, strict.lenient), (MetaAction::KEEP_STRAIGHT, None));
        let lenient = read("Sure! <answer> keep, straight </answer>").unwrap();
        assert!(matches!(lenient.lenient, Some(ParseFailure::TextOutside { .. })));
        assert_eq!(read("<think> x").unwrap_err(), ParseFailure::UnclosedThink);
    }
}
