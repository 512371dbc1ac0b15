//! The one record every reader produces and every trainer and evaluation reads.

use scene::{Command, PathAction, SpeedAction, Trajectory};
use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

/// One question to a planner with everything known about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Stable and unique in its set; readers make one from file and position where the source has none.
    pub id: String,
    /// Frames, oldest first; the last is "now".
    pub images: Vec<Image>,
    /// What is asked and, for training, what is answered.
    pub content: Content,
    /// Two answers to compare, beside the question in [`Self::content`].
    pub pair: Option<Pair>,
    /// Ground truth, kept apart from text.
    pub labels: Labels,
    /// Small class targets for auxiliary heads, such as `bend_3s = "left"`.
    pub aux: BTreeMap<String, String>,
    /// Recording this frame belongs to; splits must not cut through it.
    pub clip: Option<String>,
    /// `train`, `val`, `test`, ... when the source says so.
    pub split: Option<String>,
    /// Unknown columns, carried through untouched.
    pub extra: serde_json::Map<String, serde_json::Value>,
}

/// Where a frame's bytes are.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Image {
    /// A file, already resolved against the data file's folder and root remaps.
    File(PathBuf),
    /// Bytes that came inside the record.
    Bytes(Arc<[u8]>),
}

/// What is asked.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// A planning question in our own prompt (`prompts/`), rendered from the ego state.
    Planning {
        /// Ego state shown to the planner.
        ego: Ego,
        /// Reasoning to teach, if any.
        reasoning: Option<String>,
    },
    /// A conversation taken literally. Without turns it is a bare frame: nothing is known about the ego, nothing asked.
    Conversation {
        /// Turns in order; image parts match [`Sample::images`] in order.
        turns: Vec<Turn>,
    },
}

/// What the planner is told about its own car.
#[derive(Debug, Clone, PartialEq)]
pub struct Ego {
    /// Metres per second, finite and not negative.
    pub speed_mps: f64,
    /// Navigation command.
    pub command: Command,
}

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Instructions.
    System,
    /// The question.
    User,
    /// The answer; loss falls on these spans only.
    Assistant,
}

/// One turn of a conversation.
#[derive(Debug, Clone, PartialEq)]
pub struct Turn {
    /// Who speaks.
    pub role: Role,
    /// Text and image marks in order.
    pub parts: Vec<Part>,
}

/// A piece of a turn.
#[derive(Debug, Clone, PartialEq)]
pub enum Part {
    /// The next image of the sample.
    Image,
    /// Plain text.
    Text(String),
}

/// A better and a worse answer to one question, text only; each begins with a turn of the assistant.
#[derive(Debug, Clone, PartialEq)]
pub struct Pair {
    /// The better one.
    pub chosen: Vec<Turn>,
    /// The worse one.
    pub rejected: Vec<Turn>,
}

/// Ground truth; an axis may be unknown.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Labels {
    /// Speed meta-action.
    pub speed: Option<SpeedAction>,
    /// Path meta-action.
    pub path: Option<PathAction>,
    /// Driven future, ego frame.
    pub future: Option<Trajectory>,
}

impl Sample {
    /// Ego speed in m/s: the planner's own, a `speed_mps` column, or the number before `m/s` in the question.
    pub fn speed_mps(&self) -> Option<f64> {
        let sane = |v: &f64| (0.0..=crate::fields::MAX_SPEED).contains(v);
        let turns = match &self.content {
            Content::Planning { ego, .. } => return Some(ego.speed_mps),
            Content::Conversation { turns } => turns,
        };
        let ego = self.extra.get("ego").and_then(|e| e.get("speed_mps"));
        let column = ego.or_else(|| self.extra.get("speed_mps")).and_then(serde_json::Value::as_f64);
        let users = turns.iter().filter(|t| t.role == Role::User);
        let texts = users.flat_map(|t| &t.parts).filter_map(|p| if let Part::Text(t) = p { Some(t) } else { None });
        column.or_else(|| texts.filter_map(|t| speed_in(t)).next()).filter(sane)
    }

    /// The meta-action, where both axes are known.
    pub fn action(&self) -> Option<scene::MetaAction> {
        Some(scene::MetaAction { speed: self.labels.speed?, path: self.labels.path? })
    }

    /// Whether nothing is asked: a frame alone.
    pub fn is_bare(&self) -> bool {
        matches!(&self.content, Content::Conversation { turns } if turns.is_empty())
    }
}

/// The number right before the first ` m/s`.
fn speed_in(text: &str) -> Option<f64> {
    let before = text[..text.find("m/s")?].trim_end();
    let digits = before.len() - before.bytes().rev().take_while(|b| b.is_ascii_digit() || *b == b'.').count();
    before[digits..].parse().ok()
}
