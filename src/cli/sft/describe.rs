//! What `sft` tells before it trains: model, data, and with `--dry-run` what a step costs.

use super::{Taught, fit::Estimate, samples_per_step};
use crate::{
    cli::training::describe::{data_line, files, model_lines, spread, trained},
    error::{Result, human_bytes},
    policy::Planner,
    settings::Settings,
    train::{
        progress,
        sft::{Phase, Trainer},
        survey::Survey,
    },
};
use data::error::thousands;
use serde_json::{Value, json};
use std::time::Instant;

/// Model, what is trained, data and steps, one line each.
pub(super) fn run(planner: &Planner, settings: &Settings, train: &Taught, val: &Taught, total: u64) -> String {
    let mut text = model_lines(planner);
    text += &format!("data       {}: {}\n", files(&settings.data.train), data_line(&train.survey, "samples"));
    if !val.samples.is_empty() {
        text += &format!("held out   {}: {}\n", files(&settings.data.val), data_line(&val.survey, "samples"));
    }
    text + &format!("steps      {} of {} samples\n", thousands(total), samples_per_step(settings))
}

/// What training will cost on this machine.
pub(super) struct Costs {
    /// Tokens and loss of the step that was timed.
    tokens: u64,
    loss: f64,
    /// Seconds of a step on samples of median length.
    seconds: f64,
    /// The same while pictures are seen for the first time.
    first_epoch: f64,
    /// Seconds of a step of the vision phase.
    vision: f64,
    /// Seconds of all steps.
    all: f64,
    steps: u64,
    /// The most memory that was in use, the longest samples and a save included.
    peak: u64,
}

impl Costs {
    /// Takes steps in memory: first the longest samples, for the memory, then ones of median length, for the time.
    pub(super) fn measure(trainer: &mut Trainer, settings: &Settings, survey: &Survey) -> Result<Costs> {
        let order = survey.by_length();
        let n = samples_per_step(settings);
        let long: Vec<usize> = order.iter().rev().cycle().take(n.min(2 * order.len()).max(1)).copied().collect();
        let middle = (order.len() / 2).saturating_sub(n / 2);
        let typical: Vec<usize> = order.iter().cycle().skip(middle).take(n).copied().collect();
        trainer.rehearse(&long, Phase::Answering)?;
        trainer.rehearse_save()?;
        let mut timed = |phase| -> Result<_> {
            let begin = Instant::now();
            let report = trainer.rehearse(&typical, phase)?;
            Ok((begin.elapsed().as_secs_f64(), report))
        };
        let (first_epoch, _) = timed(Phase::Answering)?;
        let (seconds, report) = timed(Phase::Answering)?;
        let vision_steps = settings.auxiliary.vision_steps as u64;
        let vision = if vision_steps > 0 { timed(Phase::Seeing)?.0 } else { 0.0 };
        let first_epoch = if trainer.keeps_features() { first_epoch.max(seconds) } else { seconds };
        let steps = trainer.total() - vision_steps;
        let first = steps.min((order.len() as u64).div_ceil(n as u64));
        let all = vision * vision_steps as f64 + first_epoch * first as f64 + seconds * (steps - first) as f64;
        let peak = progress::peak_bytes().unwrap_or(0);
        let steps = trainer.total();
        Ok(Costs { tokens: report.tokens, loss: report.loss, seconds, first_epoch, vision, all, steps, peak })
    }
}

/// The `step` line of a dry run.
pub(super) fn dry_run(settings: &Settings, train: &Taught, costs: &Costs) -> String {
    let seconds = |s: f64| if s < 10.0 { format!("{s:.2} s") } else { progress::duration(s) };
    let n = samples_per_step(settings);
    let mut text = format!(
        "step       {n} samples, {} tokens: about {} and {} on this machine",
        thousands(costs.tokens),
        seconds(costs.seconds),
        human_bytes(costs.peak)
    );
    if costs.first_epoch > 1.2 * costs.seconds {
        text.push_str(&format!(", {} in the first epoch", seconds(costs.first_epoch)));
    }
    let epoch = costs.seconds * train.samples.len() as f64 / n as f64;
    let (epoch, all) = (progress::duration(epoch), progress::duration(costs.all));
    text + &format!("; epoch about {epoch}, all {} steps about {all}\n", thousands(costs.steps))
}

/// The same for machines.
pub(super) fn dry_run_json(
    planner: &Planner,
    settings: &Settings,
    train: &Taught,
    costs: &Costs,
    estimate: &Estimate,
) -> Value {
    let [least, median, most] = spread(&train.survey);
    json!({
        "model": planner.name(),
        "parameters": planner.vlm.parameter_count(),
        "trainable": trained(planner),
        "samples": train.samples.len(),
        "dropped_too_long": train.survey.too_long.len(),
        "without_answer": train.survey.nothing,
        "bad": train.survey.bad.len(),
        "tokens": { "min": least, "median": median, "max": most },
        "steps": costs.steps,
        "samples_per_step": samples_per_step(settings),
        "step_tokens": costs.tokens,
        "step_seconds": costs.seconds,
        "first_epoch_step_seconds": costs.first_epoch,
        "vision_step_seconds": costs.vision,
        "total_seconds": costs.all,
        "peak_bytes": costs.peak,
        "loss": costs.loss,
        "estimate": estimate.json(),
    })
}
