//! Metrics, logs and reports of planning evaluations: pure computation, no model, no pictures decoded.
//!
//! `log` keeps one line per finished sample and is the only source of a [`Summary`]; `metrics`, `text` and `released`
//! are the functions behind it; `report` shows it; `threshold` holds it against `--fail-under`. `pdm` scores trajectories.
//! `reproduction` holds a paper's claims against runs of our own.

#![forbid(unsafe_code)]

pub mod driving;
pub mod log;
pub mod metrics;
pub mod outcome;
pub mod pdm;
pub mod released;
pub mod report;
pub mod reproduction;
pub mod summary;
pub mod text;
pub mod threshold;

pub use log::{Entry, Log, LogError, Outcome, Probabilities, Reply, Writer};
pub use summary::{Options, Sight, Summary};
