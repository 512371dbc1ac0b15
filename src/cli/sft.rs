//! `reinsman sft`: supervised fine-tuning.

use super::Shared;
use crate::error::{Failure, Result};
use std::path::PathBuf;

const EXAMPLES: &str = "Examples:
  reinsman sft --data train.jsonl --out runs/a --dry-run  # measure, write nothing
  reinsman sft --model Qwen2.5-VL-3B --data train.jsonl --set sft.max_steps=200 --out b
  reinsman sft --resume runs/a                            # continue after a stop";

/// What can be typed after `sft`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Model folder to start from (default: the embedded planner)
    #[arg(long, value_name = "PATH")]
    pub model: Option<PathBuf>,
    /// PEFT adapter folder to continue from
    #[arg(long, value_name = "DIR")]
    pub adapter: Option<PathBuf>,
    /// Training records; may be given several times
    #[arg(long, value_name = "FILE")]
    pub data: Vec<PathBuf>,
    /// Run folder
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Settings file (see `reinsman config show`)
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Overrides one setting, such as sft.max_steps=100; may be given several times
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Continues a run from its newest complete checkpoint (default: the folder of --out)
    #[arg(long, value_name = "DIR", num_args = 0..=1)]
    pub resume: Option<Option<PathBuf>>,
    /// Continues although settings differ from those of the run
    #[arg(long)]
    pub resume_anyway: bool,
    /// Resolves, opens and measures everything, writes nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Print one JSON object at the end instead of text
    #[arg(long)]
    pub json: bool,
}

/// Runs the verb.
///
/// # Errors
/// Bad settings exit 2, bad data 3, device trouble 4, a stop on request 75.
pub fn run(_args: &Args, _shared: &Shared) -> Result<()> {
    Err(Failure::usage("sft is not built yet"))
}
