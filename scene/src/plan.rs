//! A plan: what a planner says it will do for the next 3 s, and why.
//!
//! Written form: `<think> reasoning </think> <answer> SPEED, PATH </answer>`, without the first block in
//! no-think mode. Reading it back is [`crate::parse()`].

use crate::{MetaAction, parse::TAGS};
use serde::{Deserialize, Serialize};

/// A meta-action with the reasoning that led to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The text between `<think>` tags; empty in no-think mode.
    pub reasoning: String,
    /// The answer.
    #[serde(flatten)]
    pub action: MetaAction,
}

/// Reasoning that cannot be written between its tags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the reasoning holds the tag {tag} at byte {at}; a plan that holds it cannot be read back")]
pub struct TagInReasoning {
    /// The tag.
    pub tag: &'static str,
    /// Where it starts.
    pub at: usize,
}

impl Plan {
    /// A plan whose written form reads back as itself: the reasoning is trimmed and checked.
    ///
    /// # Errors
    /// The reasoning holds one of the four tags.
    pub fn new(reasoning: &str, action: MetaAction) -> Result<Self, TagInReasoning> {
        for tag in TAGS {
            if let Some(at) = reasoning.find(tag) {
                return Err(TagInReasoning { tag, at });
            }
        }
        Ok(Plan { reasoning: reasoning.trim().to_owned(), action })
    }

    /// The text a planner writes: with `think`, the reasoning block (even when empty) and the answer; else the
    /// answer alone. For plans from [`Plan::new`], `parse(plan.render(true))` gives the plan back.
    pub fn render(&self, think: bool) -> String {
        match (think, self.reasoning.as_str()) {
            (false, _) => format!("<answer> {} </answer>", self.action),
            (true, "") => format!("<think> </think> <answer> {} </answer>", self.action),
            (true, why) => format!("<think> {why} </think> <answer> {} </answer>", self.action),
        }
    }
}
