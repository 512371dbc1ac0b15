//! `reinsman plan`: one frame in, a reasoned plan and a picture out; several frames in, a line for each after the first
//! and a sheet of all of them.
//!
//! What was planned is printed before its picture is written, so a full disk costs the picture and not the plan.

mod drives;
mod job;
pub mod said;
pub mod samples;
pub mod view;

use super::{Shared, parse};
use crate::{
    device::Choice,
    error::{Failure, Result},
    policy::{
        Planner, TrajectoryPlanner, frames,
        planner::{Options, Quant},
        trajectory,
    },
    train::signals::Stop,
};
use std::path::PathBuf;

const EXAMPLES: &str = "Examples:
  reinsman plan                                # a bundled frame
  reinsman plan frame.jpg --speed 12.4 --command \"turn left\"
  reinsman plan clips/hill --samples 4 --json  # four plans for each frame, as JSON
  reinsman plan frame.jpg --branches runs/pair # with a trajectory, on the frame and from above

A folder or pattern is a list of frames, each planned by itself in name order: the first in
full, a line for each other, the picture of the first at --out and a sheet of all beside it
(out/plan_sheet.png). Without --speed, frames of your own count as driven at 10.0 m/s.";

/// Speed assumed where nobody gives one, m/s.
pub const ASSUMED_SPEED: f64 = 10.0;

/// Said where the embedded planner is asked and has no trajectory branches.
const NO_BRANCHES: &str = "no trajectory: the embedded planner has no branches; give --branches DIR of `reinsman pair`";

/// What can be typed after `plan`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// A frame, a folder of frames or a pattern such as "clip/*.jpg" (default: bundled frames)
    #[arg(value_name = "IMAGE|FOLDER|GLOB")]
    pub image: Vec<String>,
    /// Model folder, run folder or name on the hub, such as Qwen/Qwen2.5-VL-3B-Instruct (default: the embedded planner)
    #[arg(long, value_name = "PATH")]
    pub model: Option<PathBuf>,
    /// Trajectory branches: a run folder of `reinsman pair` or `il` (default: those of --model, if it holds some)
    #[arg(long, value_name = "DIR")]
    pub branches: Option<PathBuf>,
    /// Take the imitation head from another run folder; tree and selector stay as they are
    #[arg(long, value_name = "DIR")]
    pub il: Option<PathBuf>,
    /// Quantize frozen weights while loading: none, q4_k, q6_k or q8_0 (default: as an adapter was trained)
    #[arg(long, value_name = "KIND", value_parser = parse::quant)]
    pub quant: Option<Quant>,
    /// Where to compute: auto, cpu, cuda or cuda:N; auto takes the first GPU that this binary can use
    #[arg(long, value_name = "DEVICE", default_value = "auto", value_parser = parse::device)]
    pub device: Choice,
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
/// Unreadable frames and models exit 3, bad flags 2, a stop on request 75.
pub fn run(args: &Args, shared: &Shared) -> Result<()> {
    if args.samples > 1 && args.temperature == Some(0.0) {
        return Err(Failure::usage(format!("--temperature 0 would draw the same plan {} times", args.samples))
            .hint("leave --temperature out for 1.0, or --samples out for the one most probable answer"));
    }
    let frames = frames::find(&args.image)?;
    let (source, named) = trajectory::find(args.model.as_deref(), args.branches.as_deref(), args.il.as_deref())?;
    if let [only] = frames.as_slice() {
        only.open()?; // before a large model is loaded
    }
    let planner = Planner::load(
        &source,
        &Options {
            prompts: args.prompts.as_deref(),
            quant: args.quant.unwrap_or_default(),
            note: shared.note(),
            ..Options::on(args.device)?
        },
    )?;
    let hint = trajectory::missing(&source).then_some(NO_BRANCHES).filter(|_| named.is_none());
    let branches = named.map(|named| TrajectoryPlanner::new(&planner, named)).transpose()?;
    let stop = if frames.len() > 1 { Stop::on_signals()? } else { Stop::default() };
    let threads = shared.threads.unwrap_or_else(rayon::current_num_threads);
    let terminal = view::terminal();
    let (planner, branches, quiet) = (&planner, branches.as_ref(), shared.quiet);
    job::Job { args, planner, branches, hint, terminal, stop, quiet, threads }.all(&frames)
}
