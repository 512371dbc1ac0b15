//! Exact match per axis, for display beside samples and in chat: `speed` and `path`, each 1 or 0.
//!
//! The completion is read with the strict parser, so whatever is no plan scores 0 on both axes.
//! Not applicable when the reference does not know the axis.

use crate::{Reference, Score, Term};
use scene::parse::{Mode, parse};

/// The term `speed`.
#[derive(Debug, Clone, Copy)]
pub struct Speed;

/// The term `path`.
#[derive(Debug, Clone, Copy)]
pub struct Path;

impl Term for Speed {
    fn name(&self) -> &'static str {
        "speed"
    }

    fn score(&self, completion: &str, reference: &Reference, _: &[&str]) -> Option<Score> {
        let want = reference.speed?;
        Some(match parse(completion, Mode::Strict) {
            Ok(plan) => exact(plan.action.speed.as_str(), want.as_str()),
            Err(reason) => Score::new(0.0, reason.to_string()),
        })
    }
}

impl Term for Path {
    fn name(&self) -> &'static str {
        "path"
    }

    fn score(&self, completion: &str, reference: &Reference, _: &[&str]) -> Option<Score> {
        let want = reference.path?;
        Some(match parse(completion, Mode::Strict) {
            Ok(plan) => exact(plan.action.path.as_str(), want.as_str()),
            Err(reason) => Score::new(0.0, reason.to_string()),
        })
    }
}

fn exact(got: &str, want: &str) -> Score {
    match got == want {
        true => Score::new(1.0, format!("{got} as driven")),
        false => Score::new(0.0, format!("{got}, driven {want}")),
    }
}
