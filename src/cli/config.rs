//! `reinsman config`.

use super::Shared;
use crate::error::{Failure, Result};

/// What can be typed after `config`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  reinsman config\n  reinsman config\n  reinsman config")]
pub struct Args {}

/// Runs the verb.
///
/// # Errors
/// Not yet.
pub fn run(_args: &Args, _shared: &Shared) -> Result<()> {
    Err(Failure::usage("config is not built yet"))
}
