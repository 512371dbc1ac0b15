//! `reinsman score`: NAVSIM scores (PDMS, EPDMS) of trajectories, beside the baselines.
//!
//! [`input`] reads scenes and trajectories, [`work`] scores scene by scene on all threads and writes each line when it is
//! there, [`stages`] adds the two-stage result, [`output`] prints and publishes.

use super::{Shared, parse};
use crate::error::{Failure, Result};
use ::eval::pdm::{Judge, Policy};
use rewards::pdm::{Compat, Filter, Version};
use std::path::PathBuf;

mod input;
mod output;
mod stages;
mod work;

const EXAMPLES: &str = "Examples:
  reinsman score                                    # bundled scenes and proposals
  reinsman score --scenes navtest.jsonl.gz --trajectories mine.jsonl --out out/mine
  reinsman score --scenes log.pkl --map map.json --trajectories submission.pkl --version v1
  reinsman score --trajectories mine.jsonl --export submission.pkl --info team_name=us

A trajectory is one line {\"scene\": NAME, \"poses\": [[x, y, heading], ...]} relative to ego,
0.5 s apart unless \"interval\" says otherwise.";

/// A baseline to score beside the trajectories.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Baseline {
    /// The speed of now, straight ahead
    ConstantVelocity,
    /// The logged drive
    Human,
    /// The rule planner that progress is measured against
    PdmClosed,
    /// No baseline
    None,
}

/// How everyone else moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Others {
    /// As logged
    LogReplay,
    /// Vehicles keep their velocity
    ConstantVelocity,
    /// Vehicles react (intelligent driver model)
    Idm,
}

/// Version of the metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Metric {
    /// PDMS, NAVSIM 1.1
    V1,
    /// EPDMS, NAVSIM 2.2
    V2,
}

/// What can be typed after `score`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, disable_version_flag = true)]
pub struct Args {
    /// Scenes: JSON lines (plain or gzipped) or a log pickle with --map; may be several (default: bundled scenes)
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub scenes: Vec<PathBuf>,
    /// Trajectories: JSON lines or a NAVSIM submission pickle (default: the proposals in the scene files)
    #[arg(long, value_name = "FILE")]
    pub trajectories: Option<PathBuf>,
    /// Map in our format, for log pickles
    #[arg(long, value_name = "FILE")]
    pub map: Option<PathBuf>,
    /// Rows beside the trajectories
    #[arg(
        long,
        value_name = "A,B",
        value_enum,
        value_delimiter = ',',
        default_values = ["constant-velocity", "human", "pdm-closed"]
    )]
    pub baseline: Vec<Baseline>,
    /// How everyone else moves (default: log-replay, with --two-stage idm)
    #[arg(long, value_name = "POLICY", value_enum)]
    pub policy: Option<Others>,
    /// Version of the metric
    #[arg(long, value_name = "VERSION", value_enum, default_value = "v2")]
    pub version: Metric,
    /// Turn the known quirks of the reference implementation off; the numbers then differ from published ones
    #[arg(long)]
    pub fixed: bool,
    /// Do not excuse what the human failed at as well
    #[arg(long)]
    pub no_human_filter: bool,
    /// Two-stage evaluation: a JSON list of {now, previous, pairs} of scene names
    #[arg(long, value_name = "FILE")]
    pub two_stage: Option<PathBuf>,
    /// Result folder (default: out/score/<name of the trajectories>)
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Pictures of the worst cases in the report
    #[arg(long, value_name = "N", default_value_t = 12)]
    pub worst: usize,
    /// Only the first N scenes that have a trajectory
    #[arg(long, value_name = "N", value_parser = parse::positive)]
    pub limit: Option<usize>,
    /// Leave bad scenes and trajectories without a scene out instead of stopping
    #[arg(long)]
    pub skip_bad: bool,
    /// Exit 1 when an average of the trajectories is lower, such as epdms=0.8; may be given several times
    #[arg(long, value_name = "METRIC=VALUE", value_parser = parse::threshold)]
    pub fail_under: Vec<(String, f64)>,
    /// Also write the trajectories as a NAVSIM submission pickle
    #[arg(long, value_name = "FILE", requires = "trajectories")]
    pub export: Option<PathBuf>,
    /// A fact of the submission, such as team_name=us; may be given several times
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse::pair, requires = "export")]
    pub info: Vec<(String, String)>,
    /// Print the summary as JSON
    #[arg(long)]
    pub json: bool,
}

/// Runs the verb.
///
/// # Errors
/// Missed thresholds exit 1, bad flags 2, bad scenes or trajectories 3.
pub fn run(args: &Args, shared: &Shared) -> Result<()> {
    let judge = judge(args)?;
    let limits = output::limits(args, judge.version)?;
    let input = input::Input::load(args)?;
    if let Some(path) = &args.export {
        input.export(path, &args.info)?;
    }
    let mapping = args.two_stage.as_deref().map(stages::read).transpose()?;
    let results = work::run(args, shared, &judge, &input, mapping.as_deref())?;
    output::publish(args, &judge, &input, results, &limits)
}

/// The flags as one judge.
fn judge(args: &Args) -> Result<Judge> {
    let version = if args.version == Metric::V1 { Version::V1 } else { Version::V2 };
    let policy = match args.policy {
        Some(Others::LogReplay) => Policy::LogReplay,
        Some(Others::ConstantVelocity) => Policy::ConstantVelocity,
        Some(Others::Idm) => Policy::Idm,
        None if args.two_stage.is_some() => Policy::Idm,
        None => Policy::LogReplay,
    };
    if version == Version::V1 && policy != Policy::LogReplay {
        return Err(Failure::usage("version v1 of the metric knows no traffic policy but log-replay")
            .hint("leave --policy out, or score with --version v2"));
    }
    if version == Version::V1 && args.two_stage.is_some() {
        return Err(Failure::usage("version v1 of the metric has no two-stage evaluation")
            .hint("leave --two-stage out, or score with --version v2"));
    }
    let compat = if args.fixed { Compat::fixed() } else { Compat::reference() };
    let filter = if args.no_human_filter || version == Version::V1 { Filter::Off } else { Filter::Human };
    Ok(Judge { version, policy, compat, filter })
}
