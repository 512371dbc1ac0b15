//! Dataset records: one [`Sample`] type, a reader per outside format, checks and statistics.
//!
//! [`read`] turns files into samples, [`record`] is our own format, [`convert`] writes others, [`check`] and [`stats`]
//! look at sets, [`balance`] and [`split`] arrange them, [`label`] makes records from frames and ego motion.
#![forbid(unsafe_code)]

mod answer;
pub mod balance;
pub mod check;
mod conversation;
pub mod convert;
pub mod error;
mod fields;
mod images;
pub mod options;
pub mod read;
pub mod record;
mod rows;
pub mod sample;
pub mod split;
pub mod stats;

pub use error::{DataError, Place, Result};
pub use options::{Cameras, LabelMap, ReadOptions, Remap};
pub use read::{Dataset, load, open, read_bytes};
pub use sample::{Content, Ego, Image, Labels, Part, Role, Sample, Turn};
