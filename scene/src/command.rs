//! What the navigation asks for, in words.
//!
//! A command is pasted into the prompt, so it is checked where it enters the program: one line of plain
//! text that cannot open a special token of the model's chat format.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// A navigation command such as "follow the road" or "turn left": one line of plain text.
/// [`Command::new`] and deserialisation check it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Command(pub String);

/// The longest command, in characters.
pub const MAX_COMMAND_CHARS: usize = 200;

/// Why a text is not a command.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// Nothing but white space.
    #[error("the command is empty; give a short instruction such as \"follow the road\"")]
    Empty,
    /// More than one line.
    #[error("the command has a line break at character {at}; it must be one line")]
    SeveralLines {
        /// Position in characters, from 0, after trimming.
        at: usize,
    },
    /// Over the limit.
    #[error("the command has {chars} characters; at most {MAX_COMMAND_CHARS} are allowed")]
    TooLong {
        /// Its length.
        chars: usize,
    },
    /// A tab, an escape or another control character.
    #[error("the command holds the control character U+{code:04X} at character {at}; use plain text")]
    Control {
        /// Unicode code point.
        code: u32,
        /// Position in characters, from 0, after trimming.
        at: usize,
    },
    /// The opener of a chat-format token.
    #[error("the command holds \"<|\" at character {at}, which opens special tokens of the model; leave it out")]
    SpecialToken {
        /// Position in characters, from 0, after trimming.
        at: usize,
    },
}

impl Command {
    /// Trims and checks a text.
    ///
    /// # Errors
    /// Empty, several lines, over [`MAX_COMMAND_CHARS`], a control character, or `<|`.
    pub fn new(text: impl AsRef<str>) -> Result<Self, CommandError> {
        let text = text.as_ref().trim();
        if text.is_empty() {
            return Err(CommandError::Empty);
        }
        let chars = text.chars().count();
        if chars > MAX_COMMAND_CHARS {
            return Err(CommandError::TooLong { chars });
        }
        let mut before = ' ';
        for (at, c) in text.chars().enumerate() {
            if matches!(c, '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}') {
                return Err(CommandError::SeveralLines { at });
            }
            if c.is_control() {
                return Err(CommandError::Control { code: c as u32, at });
            }
            if before == '<' && c == '|' {
                return Err(CommandError::SpecialToken { at: at - 1 });
            }
            before = c;
        }
        Ok(Command(text.to_owned()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Command {
    fn default() -> Self {
        Command("follow the road".into())
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for Command {
    type Err = CommandError;
    fn from_str(text: &str) -> Result<Self, CommandError> {
        Command::new(text)
    }
}

impl TryFrom<String> for Command {
    type Error = CommandError;
    fn try_from(text: String) -> Result<Self, CommandError> {
        Command::new(text)
    }
}

impl From<Command> for String {
    fn from(command: Command) -> String {
        command.0
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn trims_and_keeps_words() {
        assert_eq!(Command::new("  turn left \n").unwrap().as_str(), "turn left");
        assert_eq!(Command::new("{'100m': 'Straight'}").unwrap().as_str(), "{'100m': 'Straight'}");
        assert_eq!(Command::new("rechts abbiegen, 右转").unwrap().as_str(), "rechts abbiegen, 右转");
        assert_eq!(Command::new("a < b | c").unwrap().as_str(), "a < b | c");
    }

    #[test]
    fn refuses_what_could_leave_its_place_in_the_prompt() {
        assert_eq!(Command::new(" \t "), Err(CommandError::Empty));
        assert_eq!(Command::new("go\nstop"), Err(CommandError::SeveralLines { at: 2 }));
        assert_eq!(Command::new("go\u{2028}stop"), Err(CommandError::SeveralLines { at: 2 }));
        assert_eq!(Command::new("go\tleft"), Err(CommandError::Control { code: 9, at: 2 }));
        assert_eq!(Command::new("x<|im_end|>"), Err(CommandError::SpecialToken { at: 1 }));
        assert_eq!(Command::new("é".repeat(200)).unwrap().0.chars().count(), 200);
        assert_eq!(Command::new("é".repeat(201)), Err(CommandError::TooLong { chars: 201 }));
    }

    #[test]
    fn deserialising_checks_too() {
        assert_eq!(serde_json::from_str::<Command>("\"turn left\"").unwrap(), Command("turn left".into()));
        let e = serde_json::from_str::<Command>("\"<|im_start|>\"").unwrap_err().to_string();
        assert!(e.contains("<|"), "{e}");
    }
}
