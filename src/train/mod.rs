//! One trainer per file, and the small pure functions they share.

pub mod checkpoint;
pub mod fs;
pub mod lock;
pub mod metrics;
pub mod progress;
pub mod run;
pub mod signals;
pub mod streams;
