//! `reinsman.json` beside a checkpoint: how this planner wants to be asked. Folders from elsewhere have none.

use crate::{
    error::{Failure, Result},
    vlm::prompt::Style,
};
use serde::{Deserialize, Serialize};

/// File name in a checkpoint folder.
pub const FILE: &str = "reinsman.json";

/// How a checkpoint wants to be asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Card {
    /// Name shown to people.
    pub name: Option<String>,
    /// Prompt template of planning questions, such as `plan` or `plan_short`.
    pub prompt: String,
    /// Largest picture in pixels, where the checkpoint wants fewer than its processor allows.
    pub max_pixels: Option<u64>,
}

impl Default for Card {
    fn default() -> Self {
        Card { name: None, prompt: "plan".into(), max_pixels: None }
    }
}

impl Card {
    /// Reads the file's bytes.
    ///
    /// # Errors
    /// Not JSON, or a key that is not known.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        serde_json::from_slice(bytes).map_err(|e| Failure::data(format!("{FILE}: {e}")))
    }

    /// The prompt style that the card names.
    ///
    /// # Errors
    /// A style that is not known.
    pub fn style(&self) -> Result<Style> {
        match self.prompt.as_str() {
            "plan" => Ok(Style::Full),
            "plan_short" => Ok(Style::Short),
            other => Err(Failure::usage(format!("unknown prompt {other:?}; known are plan, plan_short"))
                .hint("plan explains the task, plan_short is one line for small models")),
        }
    }

    /// The file's bytes.
    pub fn to_json(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }
}
