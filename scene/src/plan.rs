//! A plan: what a planner says it will do for the next 3 s, and why.

use crate::MetaAction;
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
