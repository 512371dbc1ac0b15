//! `reinsman sft`: supervised fine-tuning. Resolves settings, opens model and data, looks the data over, then trains,
//! resumes, or (with `--dry-run`) measures a step and writes nothing.

mod describe;
mod fit;

use super::{
    Shared, print, print_json,
    training::{self, Common, Opened, Taught, Want, quant_of, trainable},
};
use crate::{
    error::Result,
    settings::Settings,
    train::{sft::Trainer, survey::Aim},
};
use std::path::PathBuf;

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
    let sft = &settings.sft;
    let opened = training::open(args, shared, &settings, resume.as_deref(), ("sft", sft.seed, sft.max_pixels))?;
    let Opened { device, run, stop, mut progress, source, language } = opened;
    let want = Want { section: "sft", aim: Aim::Answer { think: sft.think }, max_length: sft.max_length };
    let read = |paths: &[PathBuf]| training::taught(&language, &settings.data, paths, want);
    let (train, val) = training::sets(&settings.data, read)?;
    // Before the weights, which may take minutes and all memory.
    let inputs = fit::Inputs { source: &source, device: &device, samples: &train.samples, survey: &train.survey };
    let estimate = fit::Estimate::new(&settings, &inputs)?;
    if args.dry_run && !shared.quiet && !args.json {
        print(&estimate.line())?;
    }
    if let Some(warning) = estimate.check(&settings, &inputs, *memory_anyway)? {
        progress.note(&warning);
    }
    let trained = trainable(&settings, sft.seed);
    let planner = training::load(&settings, &source, &device, trained, sft.max_pixels, shared.note())?;
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
    training::end(args, shared, &run, trainer.total())
}

fn samples_per_step(settings: &Settings) -> usize {
    settings.sft.per_device_train_batch_size * settings.sft.gradient_accumulation_steps
}
