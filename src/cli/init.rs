//! `reinsman init`: a new small planner with random weights and its own tokenizer.

use super::{Shared, parse};
use crate::error::{Failure, Result};
use std::path::PathBuf;

const EXAMPLES: &str = "Examples:
  reinsman init --shape tiny.json --text corpus.txt --out models/tiny
  reinsman init --shape tiny.json --text a.txt --text b.txt --vocab 2048 --out models/tiny
  reinsman init --shape tiny.json --text corpus.txt --seed 7 --out models/tiny7";

/// What can be typed after `init`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Model shape: a config.json of one of the known families
    #[arg(long, value_name = "CONFIG.JSON")]
    pub shape: PathBuf,
    /// Text to train the tokenizer on; may be given several times
    #[arg(long, value_name = "FILE", required = true)]
    pub text: Vec<PathBuf>,
    /// Vocabulary size (default: that of the shape)
    #[arg(long, value_name = "N", value_parser = parse::positive)]
    pub vocab: Option<usize>,
    /// Seed of the weights
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// Model folder to write
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}

/// Runs the verb.
///
/// # Errors
/// Bad shapes exit 2, unreadable text 3.
pub fn run(_args: &Args, _shared: &Shared) -> Result<()> {
    Err(Failure::usage("init is not built yet"))
}
