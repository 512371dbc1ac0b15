//! `reinsman chat`: question a planner about one frame.

use super::{Shared, parse};
use crate::error::{Failure, Result};
use std::path::PathBuf;

const EXAMPLES: &str = "Examples:
  reinsman chat --image frame.jpg --speed 7.5 --command \"turn left\"
  reinsman chat --model runs/a --image frame.jpg
  reinsman chat --quiet --image frame.jpg  # works over a pipe, one question per line";

/// What can be typed after `chat`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Model folder or run folder (default: the embedded planner)
    #[arg(long, value_name = "PATH")]
    pub model: Option<PathBuf>,
    /// The frame (default: a bundled one)
    #[arg(long, value_name = "FILE")]
    pub image: Option<PathBuf>,
    /// Ego speed in metres per second
    #[arg(long, value_name = "M/S", value_parser = parse::speed, allow_negative_numbers = true)]
    pub speed: Option<f64>,
    /// What the navigation says
    #[arg(long, value_name = "TEXT", value_parser = parse::line)]
    pub command: Option<String>,
    /// Folder of prompt templates that replace the built-in ones
    #[arg(long, value_name = "DIR")]
    pub prompts: Option<PathBuf>,
}

/// Runs the verb.
///
/// # Errors
/// Unreadable frames exit 3.
pub fn run(_args: &Args, _shared: &Shared) -> Result<()> {
    Err(Failure::usage("chat is not built yet"))
}
