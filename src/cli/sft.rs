//! `reinsman sft`: supervised fine-tuning. Resolves settings, opens model and data, looks the data over, then trains,
//! resumes, or (with `--dry-run`) measures a step and writes nothing.

mod describe;
mod fit;

use super::{
    Shared, print, print_json,
    training::{self, Common, Taught, quant_of, trainable},
};
use crate::{
    device,
    error::{Failure, Result},
    policy::{Language, Source},
    settings::Settings,
    train::{
        checkpoint::Checkpoint,
        progress::Progress,
        run::{Run, Start},
        sft::Trainer,
        signals::Stop,
    },
};
use serde_json::json;

const EXAMPLES: &str = "Examples:
  reinsman sft --data train.jsonl --out runs/a --dry-run  # measure, write nothing
  reinsman sft --model Qwen2.5-VL-3B --data train.jsonl --set sft.max_steps=200 --out b
  reinsman sft --resume runs/a                            # continue after a stop";

/// What can be typed after `sft`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Flags of every trainer.
    #[command(flatten)]
    pub common: Common,
    /// Starts although the estimate says that memory will not suffice
    #[arg(long)]
    pub memory_anyway: bool,
}

/// Runs the verb.
///
/// # Errors
/// Bad settings exit 2, bad data 3, device trouble 4, a stop on request 75.
pub fn run(args: &Args, shared: &Shared) -> Result<()> {
    let Args { common: args, memory_anyway } = args;
    let resume = training::resumed(args, "sft")?;
    let settings = training::settings(args, resume.as_deref())?;
    if settings.data.train.is_empty() {
        return Err(Failure::usage("no training data").hint("give --data FILE or set data.train"));
    }
    let device = settings.model.device.open()?;
    let threads = shared.threads.unwrap_or_else(rayon::current_num_threads);
    let start = Start::here("sft", settings.sft.seed, &device::name(&device), threads);
    // The folder is claimed before the long loading, so that a second start fails at once.
    let run = match (&resume, &args.out) {
        _ if args.dry_run => None,
        (Some(dir), _) => Some(Run::resume(dir, &settings, &start, args.resume_anyway)?),
        (None, Some(dir)) => Some(Run::create(dir, &settings, &start)?),
        (None, None) => {
            return Err(Failure::usage("no run folder").hint("give --out DIR, or --dry-run to only measure"));
        }
    };
    // Now, when Ctrl-C still ends the program: there may be gigabytes to download.
    Source::resolve(settings.model.path.as_deref())?;
    let stop = Stop::on_signals()?;
    let mut progress = Progress::new(shared.quiet);
    for note in run.iter().flat_map(|run| &run.notes) {
        progress.note(note);
    }
    let source = training::source(&settings, run.as_ref().and_then(|run| run.from.as_ref()))?;
    let language = Language::load(&source, None, settings.sft.max_pixels)?;
    let what = (settings.sft.think, settings.sft.max_length);
    let train = training::taught(&language, &settings.data, &settings.data.train, what)?;
    // Held-out records are looked over now, not when the first evaluation comes.
    let val = match settings.data.val.is_empty() {
        true => Taught::default(),
        false => {
            let val = training::taught(&language, &settings.data, &settings.data.val, what);
            val.map_err(|e| e.context("data.val"))?
        }
    };
    // Before the weights, which may take minutes and all memory.
    let inputs = fit::Inputs { source: &source, device: &device, samples: &train.samples, survey: &train.survey };
    let estimate = fit::Estimate::new(&settings, &inputs)?;
    if args.dry_run && !shared.quiet && !args.json {
        print(&estimate.line())?;
    }
    if let Some(warning) = estimate.check(&settings, &inputs, *memory_anyway)? {
        progress.note(&warning);
    }
    let trained = trainable(&settings, settings.sft.seed);
    let planner = training::load(&settings, &source, &device, trained, settings.sft.max_pixels, shared.note())?;
    let frame = train.survey.frame_tokens();
    let mut trainer = Trainer::new(&planner, &settings, &train.samples, &val.samples, frame)?;
    if !shared.quiet && !args.json {
        print(&describe::run(&planner, &settings, &train, &val, trainer.total()))?;
    }
    let Some(run) = run else {
        let costs = describe::Costs::measure(&mut trainer, &settings, &train.survey)?;
        return match args.json {
            true => print_json(&describe::dry_run_json(&planner, &settings, &train, &costs, &estimate)),
            false => print(&describe::dry_run(&settings, &train, &costs)),
        };
    };
    if let Some(from) = &run.from
        && let Some(warning) = trainer.restore(from, args.resume_anyway)?
    {
        progress.note(&warning);
    }
    trainer.run(&run, &mut progress, &stop)?;
    let last = Checkpoint::newest(&run.dir)?.found.map(|c| c.dir);
    let last = last.as_deref().unwrap_or(&run.dir).display().to_string();
    if args.json {
        print_json(&json!({ "run": run.dir.display().to_string(), "steps": trainer.total(), "checkpoint": last }))
    } else if shared.quiet {
        Ok(())
    } else {
        print(&format!("done: {last}\nnext: reinsman eval --model {}\n", run.dir.display()))
    }
}

fn samples_per_step(settings: &Settings) -> usize {
    settings.sft.per_device_train_batch_size * settings.sft.gradient_accumulation_steps
}

pub(super) fn millions(n: usize) -> String {
    match n {
        0..1_000_000 => format!("{:.1} k", n as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.2} M", n as f64 / 1e6),
        _ => format!("{:.2} B", n as f64 / 1e9),
    }
}
