//! `reinsman reproduce`: a paper's claims, trained and measured anew at the scale of this machine.

use super::{Shared, print, print_json};
use crate::{
    error::{Failure, Result},
    reproduce::{self, pair, recipe::Recipe},
    train::progress,
};
use serde_json::json;
use std::{path::PathBuf, time::Instant};

const EXAMPLES: &str = "Examples:
  reinsman reproduce alphadrive --quick          # minutes: every arm once, too short to judge
  reinsman reproduce alphadrive                  # the table of the README, over an hour
  reinsman reproduce pair-drive                  # trajectories: imitation, a tree, a selector
  reinsman reproduce alphadrive --recipe mine.toml --out runs/mine --json

A stopped reproduction continues with the same command. Recipes are in eval/reproductions; one
given with --recipe says what differs, such as seeds = [1].";

/// What can be typed after `reproduce`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Which paper: alphadrive or pair-drive
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Few frames, few steps, one seed: shows that everything runs
    #[arg(long)]
    pub quick: bool,
    /// A recipe laid over the built-in one
    #[arg(long, value_name = "FILE")]
    pub recipe: Option<PathBuf>,
    /// Folder for frames, runs and the report (default: runs/reproduce-NAME, with --quick runs/reproduce-NAME-quick)
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Print the rows and effects as JSON
    #[arg(long)]
    pub json: bool,
}

/// Runs the verb.
///
/// # Errors
/// Bad recipes exit 2, the disk 3, device trouble 4, a stop on request 75.
pub fn run(args: &Args, shared: &Shared) -> Result<()> {
    let quick = if args.quick { "-quick" } else { "" };
    let out = args.out.clone().unwrap_or_else(|| format!("runs/reproduce-{}{quick}", args.name).into());
    let threads = shared.threads.unwrap_or_else(rayon::current_num_threads);
    let begin = Instant::now();
    let over = args.recipe.as_deref();
    let report = if args.name == pair::NAME {
        let (recipe, text) = pair::load(args.quick, over)?;
        pair::run(&recipe, &text, &out, threads, shared.quiet)?
    } else {
        let (recipe, text) = Recipe::load(&args.name, args.quick, over)?;
        reproduce::run(&recipe, &text, &out, threads, shared.quiet)?
    };
    let page = out.join("report.html").display().to_string();
    if args.json {
        let value = serde_json::to_value(&report).map_err(|e| Failure::data(e.to_string()))?;
        return print_json(&json!({ "report": value, "page": page }));
    }
    let (runs, now) = (progress::duration(report.seconds), progress::duration(begin.elapsed().as_secs_f64()));
    print(&format!("{}runs took {runs}, this start {now}\nreport: {page}\n", ::eval::reproduction::terminal(&report)))
}
