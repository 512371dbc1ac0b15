//! `reinsman doctor`.

use super::Shared;
use crate::error::{Failure, Result};

/// What can be typed after `doctor`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  reinsman doctor\n  reinsman doctor\n  reinsman doctor")]
pub struct Args {}

/// Runs the verb.
///
/// # Errors
/// Not yet.
pub fn run(_args: &Args, _shared: &Shared) -> Result<()> {
    Err(Failure::usage("doctor is not built yet"))
}
