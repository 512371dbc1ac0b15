//! NAVSIM files: scenes (our JSON lines, or OpenScene log pickles with a map in our format) and trajectories to score (our
//! JSON lines, or submission pickles).
//!
//! Everything is read with bounds and refused with place, field, value and rule. Scenes are streamed, because a benchmark
//! of them does not fit into memory; trajectories are kept.

mod input;
pub mod log;
pub mod plans;
pub mod scenes;
pub mod submission;

pub use log::Log;
pub use plans::{Plan, Plans};
pub use scenes::{LoadedScene, SceneFile, Unread, read_map};
pub use submission::Submission;

/// The five scenes in the binary (`data/samples/navsim`), with eight proposals each.
pub fn bundled() -> SceneFile {
    SceneFile::embedded("bundled scenes", include_bytes!("../../samples/navsim/scenes.jsonl.gz"))
}
