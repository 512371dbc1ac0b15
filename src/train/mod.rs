//! One trainer per file, and the small pure functions they share.

pub mod adamw;
pub mod augment;
pub mod auxiliary;
pub mod bend;
pub mod checkpoint;
pub mod clip;
pub mod estimate;
pub mod examples;
pub mod features;
pub mod grpo;
pub mod lock;
pub mod metrics;
pub mod order;
pub mod pieces;
pub mod progress;
pub mod rl;
pub mod run;
pub mod schedule;
pub mod segment;
pub mod sft;
pub mod sight;
pub mod signals;
pub mod snapshot;
pub mod survey;
pub mod tensorboard;
