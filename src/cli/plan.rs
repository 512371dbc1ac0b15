//! `reinsman plan`: one frame in, a reasoned plan and a picture out.

use super::{Shared, parse};
use crate::error::{Failure, Result};
use std::path::PathBuf;

const EXAMPLES: &str = "Examples:
  reinsman plan                                # a bundled frame
  reinsman plan frame.jpg --speed 12.4 --command \"turn left\"
  reinsman plan clips/hill --samples 4 --json  # four plans for a clip, as JSON";

/// What can be typed after `plan`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// A frame, a folder of frames (a clip) or a pattern such as "clip/*.jpg" (default: bundled frames)
    #[arg(value_name = "IMAGE|FOLDER|GLOB")]
    pub image: Vec<String>,
    /// Model folder or run folder (default: the embedded planner)
    #[arg(long, value_name = "PATH")]
    pub model: Option<PathBuf>,
    /// Ego speed in metres per second
    #[arg(long, value_name = "M/S", value_parser = parse::speed, allow_negative_numbers = true)]
    pub speed: Option<f64>,
    /// What the navigation says
    #[arg(long, value_name = "TEXT", value_parser = parse::line)]
    pub command: Option<String>,
    /// Plan without reasoning first
    #[arg(long)]
    pub no_think: bool,
    /// Draw this many plans and show how they differ
    #[arg(long, value_name = "K", default_value = "1", value_parser = parse::positive)]
    pub samples: usize,
    /// Sampling temperature; 0 is greedy (default: 0 for one sample, 1 for several)
    #[arg(long, value_name = "T", value_parser = parse::temperature, allow_negative_numbers = true)]
    pub temperature: Option<f64>,
    /// Seed of the sampling
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// Print one JSON object instead of text
    #[arg(long)]
    pub json: bool,
    /// Where the annotated picture goes
    #[arg(long, value_name = "FILE", default_value = "out/plan.png")]
    pub out: PathBuf,
    /// Longest answer, in tokens
    #[arg(long, value_name = "N", default_value = "512", value_parser = parse::positive)]
    pub max_new_tokens: usize,
    /// Folder of prompt templates that replace the built-in ones
    #[arg(long, value_name = "DIR")]
    pub prompts: Option<PathBuf>,
}

/// Runs the verb.
///
/// # Errors
/// Unreadable frames exit 3, bad flags 2.
pub fn run(_args: &Args, _shared: &Shared) -> Result<()> {
    Err(Failure::usage("plan is not built yet"))
}
