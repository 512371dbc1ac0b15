//! `reinsman il`: the imitation head alone. See [`super::branches`].

use super::{
    Shared, branches,
    training::{self, Common},
};
use crate::{error::Result, train::branches::Verb};

const EXAMPLES: &str = "Examples:
  reinsman data generate --out frames --count 4500 --split 0.9,0,0.1   # frames to learn from
  reinsman il --data frames/train.jsonl --set data.val=frames/test.jsonl --out runs/il
  reinsman il --data frames/train.jsonl --out runs/one --set il.modes=1 --set il.seed=7
  reinsman il --data frames/train.jsonl --out runs/blind --set il.blind=true  # ego status only
  reinsman il --resume runs/il                                         # continue after a stop

The vision tower of --model stays as it is. Settings are in [trajectory] (sizes) and [il], as
`reinsman config show` lists them.";

/// What can be typed after `il`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Flags of every trainer.
    #[command(flatten)]
    pub common: Common,
}

/// Runs the verb.
///
/// # Errors
/// Those of [`branches::run`].
pub fn run(Args { common: args }: &Args, shared: &Shared) -> Result<()> {
    let resume = training::resumed(args, "il")?;
    let settings = training::settings(args, resume.as_deref())?;
    branches::run(Verb::Il, args, &settings, resume.as_deref(), shared)
}
