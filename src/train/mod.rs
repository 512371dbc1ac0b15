//! One trainer per file, and the small pure functions they share.

pub mod adamw;
pub mod clip;
pub mod schedule;
