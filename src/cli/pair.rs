//! `reinsman pair`: imitation and reinforcement side by side. See [`super::branches`].

use super::{
    Shared, branches,
    training::{self, Common},
};
use crate::{error::Result, train::branches::Verb};
use std::path::PathBuf;

const EXAMPLES: &str = "Examples:
  reinsman pair --data frames/train.jsonl --set data.val=frames/test.jsonl --out runs/pair
  reinsman pair --data frames/train.jsonl --il runs/il --set il.max_steps=0 --out runs/pair2
  reinsman pair --data frames/train.jsonl --out runs/seq --set pair.mode=sequential  # baseline
  reinsman pair --resume runs/pair                                     # continue after a stop

Three branches learn in one process: an imitation head, a tree of offsets from any reference
that is rewarded with EPDMS, and a selector. Settings are in [pair] (`reinsman config show`)";

/// What can be typed after `pair`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Flags of every trainer.
    #[command(flatten)]
    pub common: Common,
    /// Run folder of an imitation head to start from (setting pair.il)
    #[arg(long, value_name = "DIR")]
    pub il: Option<PathBuf>,
}

/// Runs the verb.
///
/// # Errors
/// Those of [`branches::run`].
pub fn run(Args { common: args, il }: &Args, shared: &Shared) -> Result<()> {
    let resume = training::resumed(args, "pair")?;
    let set: Vec<String> = il.iter().map(|dir| format!("pair.il={}", toml_text(dir))).collect();
    let settings = training::settings_with(args, resume.as_deref(), &set)?;
    branches::run(Verb::Pair, args, &settings, resume.as_deref(), shared)
}

/// A path as `--set` takes it.
fn toml_text(path: &std::path::Path) -> String {
    toml::Value::String(path.display().to_string()).to_string()
}
