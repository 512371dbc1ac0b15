//! `reinsman eval`: planning accuracy on labelled records.

use super::{Shared, parse};
use crate::error::{Failure, Result};
use std::path::PathBuf;

const EXAMPLES: &str = "Examples:
  reinsman eval --model runs/a --data val.jsonl
  reinsman eval --data val.jsonl --answer \"KEEP, STRAIGHT\"              # a constant baseline
  reinsman eval --model runs/a --data val.jsonl --fail-under joint=0.5  # exit 1 below";

/// How answers are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Scorer {
    /// One speed and one path label, anything else is a parse failure
    Strict,
    /// As the published evaluation script scores
    Released,
}

/// What can be typed after `eval`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Model folder or run folder (default: the embedded planner)
    #[arg(long, value_name = "PATH", conflicts_with = "answer")]
    pub model: Option<PathBuf>,
    /// Labelled records (default: the bundled held-out set)
    #[arg(long, value_name = "FILE")]
    pub data: Option<PathBuf>,
    /// Result folder (default: eval/<name of the data> in the run folder, else out/eval/<name of the data>)
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Only the first N records
    #[arg(long, value_name = "N", value_parser = parse::positive)]
    pub limit: Option<usize>,
    /// Answers drawn per record
    #[arg(long, value_name = "K", default_value = "1", value_parser = parse::positive)]
    pub samples: usize,
    /// How answers are read
    #[arg(long, value_enum, default_value = "strict")]
    pub scorer: Scorer,
    /// Exit 1 when a metric is lower, such as joint=0.5; may be given several times
    #[arg(long, value_name = "METRIC=VALUE", value_parser = parse::threshold)]
    pub fail_under: Vec<(String, f64)>,
    /// Also score with the image replaced by grey
    #[arg(long)]
    pub blind: bool,
    /// Leave bad records out instead of stopping
    #[arg(long)]
    pub skip_bad: bool,
    /// Print the summary as JSON
    #[arg(long)]
    pub json: bool,
    /// A constant answer instead of a model, such as "KEEP, STRAIGHT"
    #[arg(long, value_name = "TEXT")]
    pub answer: Option<String>,
}

/// Runs the verb.
///
/// # Errors
/// Missed thresholds exit 1, bad data 3.
pub fn run(_args: &Args, _shared: &Shared) -> Result<()> {
    Err(Failure::usage("eval is not built yet"))
}
