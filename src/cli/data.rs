//! `reinsman data`: look at records before training on them.

use super::{Shared, parse};
use crate::error::{Failure, Result};
use std::path::PathBuf;

const EXAMPLES: &str = "Examples:
  reinsman data check train.jsonl val.jsonl  # missing images, bad lines, duplicates, leakage
  reinsman data show train.jsonl --n 3       # the rendered prompt with the loss mask
  reinsman data convert old.json --map GO_STRAIGHT=STRAIGHT --out new.jsonl";

/// What can be typed after `data`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// What to do with the records.
    #[command(subcommand)]
    pub verb: Verb,
}

/// The verbs of `data`.
#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    /// Find missing images, bad lines, duplicate ids and leakage between splits
    Check(Records),
    /// Count labels, tokens and images
    Stats(Records),
    /// Print rendered prompts with the loss mask
    Show(Records),
    /// Rewrite records in our own format
    Convert(Records),
    /// Make labelled records from frames and ego motion
    Label(Records),
}

/// Flags that the verbs of `data` share.
#[derive(Debug, clap::Args)]
pub struct Records {
    /// Record files
    #[arg(value_name = "FILE", required = true)]
    pub paths: Vec<PathBuf>,
    /// Format of the files (default: found out from their content)
    #[arg(long, value_name = "NAME")]
    pub format: Option<String>,
    /// Renames a label, such as GO_STRAIGHT=STRAIGHT; may be given several times
    #[arg(long, value_name = "OLD=NEW", value_parser = parse::pair)]
    pub map: Vec<(String, String)>,
    /// Replaces the beginning of image paths; may be given several times
    #[arg(long, value_name = "FROM=TO", value_parser = parse::pair)]
    pub root: Vec<(String, String)>,
    /// Leave bad records out instead of stopping
    #[arg(long)]
    pub skip_bad: bool,
    /// Where to write (convert, label)
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// How many records (show)
    #[arg(long, value_name = "N", default_value = "3", value_parser = parse::positive)]
    pub n: usize,
}

/// Runs the verb.
///
/// # Errors
/// Bad records exit 3.
pub fn run(_args: &Args, _shared: &Shared) -> Result<()> {
    Err(Failure::usage("data is not built yet"))
}
