//! One trainer per file, and the small pure functions they share.

pub mod adamw;
pub mod checkpoint;
pub mod clip;
pub mod fs;
pub mod lock;
pub mod metrics;
pub mod progress;
pub mod run;
pub mod schedule;
pub mod signals;
pub mod streams;
