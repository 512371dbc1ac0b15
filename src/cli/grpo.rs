//! `reinsman grpo`: reinforcement learning on groups of sampled answers. Resolves settings, opens model and data, then
//! trains, resumes, or (with `--dry-run`) takes one step in memory and writes nothing.

use super::{
    Shared, millions, print, print_json,
    training::{self, Common, Opened, Taught, Want},
};
use crate::{
    error::{Failure, Result, human_bytes},
    files::{RealFs, write_atomic},
    policy::{Language, Planner},
    settings::{Settings, Train},
    train::{
        grpo::{
            Trainer,
            judge::{self, Judge},
        },
        progress,
        run::Run,
        survey::Aim,
    },
};
use data::error::thousands;
use serde_json::json;
use std::{path::PathBuf, time::Instant};

const EXAMPLES: &str = "Examples:
  reinsman grpo --model runs/a --data train.jsonl --out runs/b --dry-run  # one step, in memory
  reinsman grpo --data train.jsonl --out runs/b --set grpo.reward=alphadrive
  reinsman grpo --resume runs/b                                           # continue after a stop

Start from a planner that already gives the form of the answer (`reinsman sft`). Learning needs
groups whose rewards differ: watch frac_reward_zero_std in metrics.jsonl.";

/// What can be typed after `grpo`.
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
    let resume = training::resumed(args, "grpo")?;
    let settings = training::settings(args, resume.as_deref())?;
    let grpo = &settings.grpo;
    let recipe = judge::text(&grpo.reward)?;
    let judge = Judge::named(&grpo.reward, &recipe, grpo.num_answers)?.with_branches(grpo.branches.as_deref())?;
    let opened = training::open(args, shared, &settings, resume.as_deref(), ("grpo", grpo.seed, grpo.max_pixels))?;
    let Opened { device, run, stop, mut progress, source, mut language } = opened;
    if let Some(run) = &run {
        keep_recipe(run, &recipe, args.resume_anyway)?;
    }
    let dropout = if settings.model.train == Train::Lora { settings.lora.lora_dropout } else { 0.0 };
    for warning in grpo.warnings(dropout) {
        progress.note(&format!("warning: {warning}"));
    }
    language.prompts = language.prompts.with_answers(grpo.num_answers);
    let (train, val) = training::sets(&settings.data, |paths| labelled(&language, &settings, paths))?;
    judge.fits(&train.samples).map_err(|e| e.context("data.train"))?;
    judge.fits(&val.samples).map_err(|e| e.context("data.val"))?;
    let trained = training::trainable(&settings, grpo.seed);
    let mut planner = training::load(&settings, &source, &device, trained, grpo.max_pixels, shared.note())?;
    planner.prompts = planner.prompts.with_answers(grpo.num_answers);
    let reference = match grpo.beta == 0.0 {
        true => None,
        false => Some(training::reference(&settings, &device, grpo.max_pixels, shared.note())?),
    };
    let mut trainer = Trainer::new(&planner, &settings, &train.samples, &val.samples, judge, reference)?;
    if !shared.quiet && !args.json {
        print(&describe(&planner, &settings, &train, &val))?;
    }
    let Some(run) = run else { return rehearse(&mut trainer, args.json) };
    if let Some(from) = &run.from
        && let Some(warning) = trainer.restore(from, args.resume_anyway)?
    {
        progress.note(&warning);
    }
    trainer.run(&run, &mut progress, &stop)?;
    training::end(args, shared, &run, trainer.total())
}

/// Writes the recipe's text beside the run; a run that continues must have the same.
fn keep_recipe(run: &Run, recipe: &str, anyway: bool) -> Result<()> {
    let path = run.dir.join("reward.toml");
    match std::fs::read_to_string(&path) {
        Ok(stored) if stored == recipe => Ok(()),
        Ok(_) if run.from.is_some() && !anyway => {
            let message = format!("the reward recipe is not the one in {}, which the run began with", path.display());
            Err(Failure::usage(message).hint("bring the recipe back as it was, or add --resume-anyway"))
        }
        _ => write_atomic(&RealFs, &path, recipe.as_bytes()),
    }
}

/// The usable samples that have a label to compare answers with.
fn labelled(language: &Language, settings: &Settings, paths: &[PathBuf]) -> Result<Taught> {
    let grpo = &settings.grpo;
    let want = Want { section: "grpo", aim: Aim::Answer { think: grpo.think }, max_length: grpo.max_length };
    let mut all = training::taught(language, &settings.data, paths, want)?;
    all.samples.retain(|sample| sample.labels.speed.is_some() || sample.labels.path.is_some());
    match all.samples.is_empty() {
        false => Ok(all),
        true => Err(Failure::data("no sample has a plan label, so no answer can be rewarded")
            .hint("see `reinsman data stats`; `reinsman data label` makes labels from motion")),
    }
}

/// Model, what is trained, data and steps, one line each.
fn describe(planner: &Planner, settings: &Settings, train: &Taught, val: &Taught) -> String {
    let grpo = &settings.grpo;
    let trained = planner.vlm.vars().values().map(|v| v.as_tensor().elem_count()).sum();
    let mut text = format!(
        "model      {}, {} parameters, {} trainable\ndata       {} prompts",
        planner.name(),
        millions(planner.vlm.parameter_count()),
        millions(trained),
        thousands(train.samples.len() as u64),
    );
    let left = train.survey.too_long.len() + train.survey.nothing + train.survey.bad.len();
    let left = left + train.survey.usable.len() - train.samples.len();
    if left > 0 {
        text.push_str(&format!(", {} left out", thousands(left as u64)));
    }
    if !val.samples.is_empty() {
        text.push_str(&format!("; {} held out", thousands(val.samples.len() as u64)));
    }
    let penalty = if grpo.beta > 0.0 { format!(", KL penalty {}", grpo.beta) } else { String::new() };
    text + &format!(
        "\nreward     {}{penalty}\nsteps      {} of {} prompts with {} answers each, {} updates\n",
        grpo.reward,
        thousands(grpo.max_steps as u64),
        grpo.prompts_per_step,
        grpo.num_generations,
        grpo.num_iterations,
    )
}

/// One step in memory: what it costs, and whether there is anything to learn.
fn rehearse(trainer: &mut Trainer, as_json: bool) -> Result<()> {
    let begin = Instant::now();
    let (report, _) = trainer.step()?;
    let seconds = begin.elapsed().as_secs_f64();
    let peak = progress::peak_bytes().unwrap_or(0);
    let steps = trainer.total();
    if as_json {
        return print_json(&json!({
            "step_seconds": seconds,
            "total_seconds": seconds * steps as f64,
            "peak_bytes": peak,
            "step": report.line(1, 0.0, report.tokens),
        }));
    }
    let value = |name: &str| report.get(name).unwrap_or(f64::NAN);
    print(&format!(
        "step       {seconds:.2} s, {} on this machine; all {} steps about {}\n\
         answers    {:.0} tokens, {:.0} % cut off, {:.0} % with a plan, {:.0} % right\n\
         reward     {:.3}±{:.3}, {:.0} % of the groups teach nothing\n",
        human_bytes(peak),
        thousands(steps),
        progress::duration(seconds * steps as f64),
        value("completions/mean_length"),
        100.0 * value("completions/clipped_ratio"),
        100.0 * value("plans/parsed_ratio"),
        100.0 * value("plans/accuracy"),
        value("reward"),
        value("reward_std"),
        100.0 * value("frac_reward_zero_std"),
    ))
}
