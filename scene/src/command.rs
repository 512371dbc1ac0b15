//! What the navigation asks for, in words.

use serde::{Deserialize, Serialize};

/// A navigation command such as "follow the road" or "turn left": one line of plain text.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Command(pub String);

impl Default for Command {
    fn default() -> Self {
        Command("follow the road".into())
    }
}
