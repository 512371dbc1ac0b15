//! Dataset records: one [`Sample`] type, a reader per outside format, checks and statistics.
//!
//! [`read`] turns files into samples, [`record`] is our own format, [`convert`] writes others, [`check`] and [`stats`]
//! look at sets, [`balance`] and [`split`] arrange them, [`label`] makes records from frames and ego motion.
#![forbid(unsafe_code)]
// Errors carry place, column, value and what is allowed; the samples beside them in a `Result` are larger still.
#![allow(clippy::result_large_err)]

mod answer;
pub mod balance;
pub mod check;
mod conversation;
pub mod convert;
pub mod error;
mod fields;
mod images;
pub mod label;
pub mod navsim;
pub mod options;
mod pair;
pub mod pickle;
pub mod poses;
pub mod read;
pub mod reasoning;
pub mod record;
mod rows;
pub mod sample;
pub mod split;
pub mod stats;
pub mod targets;

pub use error::{DataError, Place, Result};
pub use options::{Cameras, LabelMap, ReadOptions, Remap};
pub use read::{Dataset, load, open, read_bytes};
pub use sample::{Content, Ego, Image, Labels, Pair, Part, Role, Sample, Turn};
