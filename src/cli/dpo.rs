//! `reinsman dpo`: preference training on pairs of answers. Resolves settings, opens model and data, looks the data over,
//! then trains, resumes, or (with `--dry-run`) measures a step and writes nothing.

use super::{
    Shared, print, print_json,
    training::{
        self, Common, Opened, Taught, Want,
        describe::{data_line, files, model_lines, spread, trained},
    },
};
use crate::{
    error::{Result, human_bytes},
    policy::Planner,
    settings::Settings,
    train::{
        dpo::{self, Trainer},
        progress,
        survey::Aim,
    },
};
use data::error::thousands;
use serde_json::{Value, json};
use std::{path::PathBuf, time::Instant};

const EXAMPLES: &str = "Examples:
  reinsman dpo --model runs/a --data pairs.jsonl --out runs/c --dry-run  # measure, write nothing
  reinsman dpo --data pairs.jsonl --out runs/c --set dpo.beta=0.1 --set dpo.rpo_alpha=0.5
  reinsman dpo --resume runs/c                                           # continue after a stop

Pairs are JSON lines in TRL's layout: prompt, chosen and rejected as texts or lists of messages,
images; or a planning record (images, ego, command) with two answers in chosen and rejected.";

/// What can be typed after `dpo`.
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
/// Bad settings exit 2, bad data 3, device trouble 4, a stop on request 75.
pub fn run(Args { common: args }: &Args, shared: &Shared) -> Result<()> {
    let resume = training::resumed(args, "dpo")?;
    let settings = training::settings(args, resume.as_deref())?;
    let dpo = &settings.dpo;
    dpo::check(dpo)?;
    let opened = training::open(args, shared, &settings, resume.as_deref(), ("dpo", dpo.seed, dpo.max_pixels))?;
    let Opened { device, run, stop, mut progress, source, language } = opened;
    let want = Want { section: "dpo", aim: Aim::Pair, max_length: dpo.max_length };
    let read = |paths: &[PathBuf]| training::taught(&language, &settings.data, paths, want);
    let (train, val) = training::sets(&settings.data, read)?;
    let trained = training::trainable(&settings, dpo.seed);
    let planner = training::load(&settings, &source, &device, trained, dpo.max_pixels, shared.note())?;
    let reference = training::reference(&settings, &device, dpo.max_pixels, shared.note())?;
    let mut trainer = Trainer::new(&planner, &settings, &train.samples, &val.samples, reference)?;
    if !shared.quiet && !args.json {
        print(&describe(&trainer, &settings, &train, &val))?;
    }
    let Some(run) = run else {
        let costs = Costs::measure(&mut trainer, &train)?;
        return match args.json {
            true => print_json(&costs.json(&planner, &train)),
            false => print(&costs.text(&train)),
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

/// Model, what is trained, data, loss and steps, one line each.
fn describe(trainer: &Trainer, settings: &Settings, train: &Taught, val: &Taught) -> String {
    let dpo = &settings.dpo;
    let mut text = model_lines(trainer.planner);
    text += &format!("data       {}: {}\n", files(&settings.data.train), data_line(&train.survey, "pairs"));
    if !val.samples.is_empty() {
        text += &format!("held out   {}: {}\n", files(&settings.data.val), data_line(&val.survey, "pairs"));
    }
    let losses: Vec<&str> = dpo.loss_type.iter().map(|loss| loss.name()).collect();
    let rpo = dpo.rpo_alpha.map(|alpha| format!(" + {alpha} sft")).unwrap_or_default();
    text += &format!("loss       {}{rpo}, beta {}\n", losses.join(" + "), dpo.beta);
    text + &format!("steps      {} of {} pairs\n", thousands(trainer.total()), trainer.pairs_per_step())
}

/// What training will cost on this machine.
struct Costs {
    /// Tokens and loss of the step that was timed.
    tokens: u64,
    loss: f64,
    /// Seconds of a step on pairs of median length.
    seconds: f64,
    /// The same while pairs come for the first time and are scored under the reference.
    first_epoch: f64,
    /// Seconds of all steps.
    all: f64,
    steps: u64,
    pairs: usize,
    /// The most memory that was in use, the longest pairs and a save included.
    peak: u64,
}

impl Costs {
    /// Takes steps in memory: first the longest pairs, for the memory, then ones of median length, for the time.
    fn measure(trainer: &mut Trainer, train: &Taught) -> Result<Costs> {
        let (order, n, steps) = (train.survey.by_length(), trainer.pairs_per_step(), trainer.total());
        let long: Vec<usize> = order.iter().rev().cycle().take(n.min(2 * order.len()).max(1)).copied().collect();
        let middle = (order.len() / 2).saturating_sub(n / 2);
        let typical: Vec<usize> = order.iter().cycle().skip(middle).take(n).copied().collect();
        trainer.rehearse(&long)?;
        trainer.rehearse_save()?;
        let mut timed = || -> Result<_> {
            let begin = Instant::now();
            let report = trainer.rehearse(&typical)?;
            Ok((begin.elapsed().as_secs_f64(), report))
        };
        let (first_epoch, _) = timed()?;
        let (seconds, report) = timed()?;
        let first_epoch = first_epoch.max(seconds);
        let first = steps.min((order.len() as u64).div_ceil(n as u64));
        let all = first_epoch * first as f64 + seconds * (steps - first) as f64;
        let peak = progress::peak_bytes().unwrap_or(0);
        let (tokens, loss) = (report.tokens, report.loss);
        Ok(Costs { tokens, loss, seconds, first_epoch, all, steps, pairs: n, peak })
    }

    fn text(&self, train: &Taught) -> String {
        let seconds = |s: f64| if s < 10.0 { format!("{s:.2} s") } else { progress::duration(s) };
        let epoch = self.seconds * train.samples.len() as f64 / self.pairs as f64;
        format!(
            "step       {} pairs, {} tokens: about {} and {} on this machine, {} in the first epoch; epoch about {}, all \
             {} steps about {}\n",
            self.pairs,
            thousands(self.tokens),
            seconds(self.seconds),
            human_bytes(self.peak),
            seconds(self.first_epoch),
            progress::duration(epoch),
            thousands(self.steps),
            progress::duration(self.all)
        )
    }

    fn json(&self, planner: &Planner, train: &Taught) -> Value {
        let [least, median, most] = spread(&train.survey);
        json!({
            "model": planner.name(),
            "parameters": planner.vlm.parameter_count(),
            "trainable": trained(planner),
            "pairs": train.samples.len(),
            "dropped_too_long": train.survey.too_long.len(),
            "bad": train.survey.bad.len(),
            "tokens": { "min": least, "median": median, "max": most },
            "steps": self.steps,
            "pairs_per_step": self.pairs,
            "step_tokens": self.tokens,
            "step_seconds": self.seconds,
            "first_epoch_step_seconds": self.first_epoch,
            "total_seconds": self.all,
            "peak_bytes": self.peak,
            "loss": self.loss,
        })
    }
}
