//! Dataset records: one [`Sample`] type, a reader per outside format, checks and statistics.

pub mod sample;
pub use sample::{Content, Ego, Image, Labels, Part, Role, Sample, Turn};
