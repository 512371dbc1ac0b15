//! What a moment looks like and what is done about it, in labels and words: facts from the state, meta-actions from the
//! driven future, small class targets, navigation commands, reasoning, questions and answers, and balanced selection.
//! Facts, targets and texts speak only of what the frame shows (after TakeVLA's and SimLingo's language supervision and
//! DriveLM's question kinds, all written by templates from simulator state).

pub mod balance;
pub mod command;
mod corridor;
pub mod facts;
pub mod labels;
mod phrases;
pub mod qa;
pub mod reason;
pub mod reasoning;
pub mod sight;
pub mod targets;

pub use command::{Command, command};
pub use facts::{Facts, facts};
pub use labels::{Driven, driven, planned};
pub use qa::{KeyObject, Qa, key_frame, qa};
pub use reason::{Reason, knowable};
pub use reasoning::reasoning;
pub use sight::{Lens, Sight};
pub use targets::aux;
