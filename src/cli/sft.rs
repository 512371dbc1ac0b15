//! `reinsman sft`: supervised fine-tuning. Resolves settings, opens model and data, looks the data over, then trains,
//! resumes, or (with `--dry-run`) measures a step and writes nothing.

use super::{Shared, print, print_json};
use crate::{
    error::{Failure, Result, human_bytes},
    policy::{Planner, Source, planner::Options},
    settings::{Draft, Dtype, Settings, Train},
    train::{
        checkpoint::Checkpoint,
        examples::{self, Survey},
        progress::{self, Progress},
        run::{self, Run, Start},
        sft::Trainer,
        signals::Stop,
    },
    vlm::{LoraSpec, Trainable, lora::Targets},
};
use candle_core::DType;
use data::{ReadOptions, Sample};
use serde_json::json;
use std::{
    path::{Path, PathBuf},
    time::Instant,
};

const EXAMPLES: &str = "Examples:
  reinsman sft --data train.jsonl --out runs/a --dry-run  # measure, write nothing
  reinsman sft --model Qwen2.5-VL-3B --data train.jsonl --set sft.max_steps=200 --out b
  reinsman sft --resume runs/a                            # continue after a stop";

/// What can be typed after `sft`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Model folder to start from (default: the embedded planner)
    #[arg(long, value_name = "PATH")]
    pub model: Option<PathBuf>,
    /// PEFT adapter folder to continue from
    #[arg(long, value_name = "DIR")]
    pub adapter: Option<PathBuf>,
    /// Training records; may be given several times
    #[arg(long, value_name = "FILE")]
    pub data: Vec<PathBuf>,
    /// Run folder
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Settings file (see `reinsman config show`)
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Overrides one setting, such as sft.max_steps=100; may be given several times
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Continues a run from its newest complete checkpoint (default: the folder of --out)
    #[arg(long, value_name = "DIR", num_args = 0..=1)]
    pub resume: Option<Option<PathBuf>>,
    /// Continues although settings differ from those of the run
    #[arg(long)]
    pub resume_anyway: bool,
    /// Resolves, opens and measures everything, writes nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Print one JSON object at the end instead of text
    #[arg(long)]
    pub json: bool,
}

/// Runs the verb.
///
/// # Errors
/// Bad settings exit 2, bad data 3, device trouble 4, a stop on request 75.
pub fn run(args: &Args, shared: &Shared) -> Result<()> {
    let resume =
        match &args.resume {
            None => None,
            Some(given) => Some(given.clone().or_else(|| args.out.clone()).ok_or_else(|| {
                Failure::usage("--resume needs to know which run").hint("reinsman sft --resume runs/a")
            })?),
        };
    let settings = settings(args, resume.as_deref())?;
    if settings.data.train.is_empty() {
        return Err(Failure::usage("no training data").hint("give --data FILE or set data.train"));
    }
    let out = resume.clone().or_else(|| args.out.clone());
    let threads = shared.threads.unwrap_or_else(rayon::current_num_threads);
    let start = Start::here("cpu", threads);
    // The folder is claimed before the long loading, so that a second start fails at once.
    let run = match (&resume, &out) {
        _ if args.dry_run => None,
        (Some(dir), _) => Some(Run::resume(dir, &settings, &start, args.resume_anyway)?),
        (None, Some(dir)) => Some(Run::create(dir, &settings, &start)?),
        (None, None) => {
            return Err(Failure::usage("no run folder").hint("give --out DIR, or --dry-run to only measure"));
        }
    };
    let mut progress = Progress::new(shared.quiet);
    for note in run.iter().flat_map(|run| &run.notes) {
        progress.note(note);
    }
    let planner = load(&settings, run.as_ref().and_then(|run| run.from.as_ref()))?;
    let (train, survey) = training_data(&planner, &settings)?;
    let val = read(&settings.data.val, &settings)?;
    let image_tokens = image_tokens(&planner, &train);
    let mut trainer = Trainer::new(&planner, &settings, &train, &val, image_tokens)?;
    if !shared.quiet && !args.json {
        print(&describe(&planner, &settings, &survey, trainer.total()))?;
    }
    let Some(run) = run else { return dry_run(args, &settings, &survey, &mut trainer) };
    if let Some(from) = &run.from {
        trainer.restore(from)?;
    }
    let stop = Stop::on_signals()?;
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

fn settings(args: &Args, resume: Option<&Path>) -> Result<Settings> {
    let mut draft = match resume {
        Some(dir) => run::stored_draft(dir)?,
        None => Draft::new(),
    };
    if let Some(file) = &args.config {
        draft.file(file)?;
    }
    for set in &args.set {
        draft.set(set)?;
    }
    let path = |p: &PathBuf| toml::Value::String(p.display().to_string());
    if let Some(model) = &args.model {
        draft.flag("--model", "model.path", path(model))?;
    }
    if let Some(adapter) = &args.adapter {
        draft.flag("--adapter", "model.adapter", path(adapter))?;
    }
    if !args.data.is_empty() {
        draft.flag("--data", "data.train", toml::Value::Array(args.data.iter().map(path).collect()))?;
    }
    draft.finish().map(|(settings, _)| settings)
}

/// The planner to train: the given model, or that of the checkpoint a run continues from.
fn load(settings: &Settings, from: Option<&Checkpoint>) -> Result<Planner> {
    let model = &settings.model;
    let base = Source::resolve(model.path.as_deref())?;
    let with = |adapter: PathBuf| Source::Adapter { base: Box::new(base.clone()), adapter };
    let source = match from.map(|checkpoint| &checkpoint.dir) {
        Some(dir) if dir.join("adapter").is_dir() => with(dir.join("adapter")),
        Some(dir) => Source::Folder(dir.join("model")),
        None => match &model.adapter {
            Some(adapter) => with(adapter.clone()),
            None => base.clone(),
        },
    };
    if matches!(source, Source::Adapter { .. }) && model.train != Train::Lora {
        return Err(Failure::usage("model.adapter continues an adapter, model.train wants the weights themselves")
            .hint("set model.train=lora, or leave the adapter out"));
    }
    let mut options = Options {
        trainable: trainable(settings),
        max_pixels: settings.sft.max_pixels,
        dtype: match model.dtype {
            Dtype::F32 => DType::F32,
            Dtype::Bf16 => DType::BF16,
        },
        ..Options::default()
    };
    if matches!((&source, &base), (Source::Folder(_), Source::Adapter { .. })) {
        options.trainable = Trainable::All;
    }
    let mut planner = Planner::load(&source, &options)?;
    if from.is_none() && model.adapter.is_none() {
        planner.source = base;
    }
    Ok(planner)
}

fn trainable(settings: &Settings) -> Trainable {
    match settings.model.train {
        Train::Full => Trainable::All,
        Train::Text => Trainable::Matching(r"^(model\.language_model\.|lm_head)".into()),
        Train::Vision => Trainable::Matching(r"^model\.visual\.".into()),
        Train::Lora => {
            let lora = &settings.lora;
            let mut spec = LoraSpec {
                r: lora.r,
                alpha: lora.lora_alpha,
                use_rslora: lora.use_rslora,
                dropout: lora.lora_dropout,
                seed: settings.sft.seed,
                ..LoraSpec::default()
            };
            if lora.target_modules != ["all-linear"] {
                // A plain list of endings would also hit the vision tower of Qwen2.5-VL.
                let endings: Vec<String> = lora.target_modules.iter().map(|t| t.replace('.', r"\.")).collect();
                spec.target_modules = Targets::Regex(format!(r".*language_model\..*({})", endings.join("|")));
            }
            Trainable::Lora(spec)
        }
    }
}

fn read(paths: &[PathBuf], settings: &Settings) -> Result<Vec<Sample>> {
    let roots = settings.data.roots();
    let options = ReadOptions {
        skip_bad: settings.data.skip_bad,
        roots: roots.iter().map(|(from, to)| format!("{from}={to}").parse()).collect::<data::Result<_>>()?,
        ..ReadOptions::default()
    };
    let mut samples = Vec::new();
    for path in paths {
        samples.extend(data::load(path, &options)?.samples);
    }
    Ok(samples)
}

fn training_data(planner: &Planner, settings: &Settings) -> Result<(Vec<Sample>, Survey)> {
    let samples = read(&settings.data.train, settings)?;
    let sft = &settings.sft;
    let survey = examples::survey(planner, &samples, sft.think, sft.max_length, settings.data.skip_bad)?;
    let mut keep = vec![false; samples.len()];
    survey.usable.iter().for_each(|i| keep[*i] = true);
    let usable = samples.into_iter().zip(keep).filter_map(|(sample, keep)| keep.then_some(sample)).collect();
    Ok((usable, survey))
}

/// Image tokens per sample, when every sample has exactly one frame (the first tells; the auxiliary head checks).
fn image_tokens(planner: &Planner, samples: &[Sample]) -> Option<usize> {
    let first = samples.first()?;
    if samples.iter().any(|s| s.images.len() != 1) {
        return None;
    }
    let picture = examples::pictures(first).ok()?.into_iter().next()?;
    let grid = planner.encoder.processor.grid(picture.width, picture.height).ok()?;
    Some(planner.encoder.processor.tokens(grid))
}

pub(super) fn millions(n: usize) -> String {
    match n {
        0..1_000_000 => format!("{:.1} k", n as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.2} M", n as f64 / 1e6),
        _ => format!("{:.2} B", n as f64 / 1e9),
    }
}

fn describe(planner: &Planner, settings: &Settings, survey: &Survey, total: u64) -> String {
    let trainable: usize = planner.vlm.vars().values().map(|v| v.as_tensor().elem_count()).sum();
    let what = match planner.vlm.adapter_spec() {
        Some(spec) => format!("LoRA r {}, {} trainable", spec.r, millions(trainable)),
        None => format!("{} of the weights themselves trainable", millions(trainable)),
    };
    let mut tokens = survey.tokens.clone();
    tokens.sort_unstable();
    let at = |i: usize| tokens.get(i).copied().unwrap_or(0);
    let mut data = format!(
        "{} samples, tokens {}..{} (median {})",
        survey.usable.len(),
        at(0),
        at(tokens.len().saturating_sub(1)),
        at(tokens.len() / 2)
    );
    if let (Some(least), Some(most)) = (survey.too_long.iter().min(), survey.too_long.iter().max()) {
        data.push_str(&format!(", {} dropped: too long by {least}..{most}", survey.too_long.len()));
    }
    if survey.nothing > 0 {
        data.push_str(&format!(", {} without anything to teach", survey.nothing));
    }
    if let Some(first) = survey.bad.first() {
        data.push_str(&format!(", {} bad left out (first: {first})", survey.bad.len()));
    }
    let files: Vec<String> = settings.data.train.iter().map(|p| p.display().to_string()).collect();
    format!(
        "model      {}, {} parameters\ntraining   {what}\ndata       {}: {data}\nsteps      {total} of {} samples\n",
        planner.name(),
        millions(planner.vlm.parameter_count()),
        files.join(", "),
        settings.sft.per_device_train_batch_size * settings.sft.gradient_accumulation_steps,
    )
}

/// Takes two steps in memory, the first of which warms up, and tells what one costs.
fn dry_run(args: &Args, settings: &Settings, survey: &Survey, trainer: &mut Trainer) -> Result<()> {
    trainer.step()?;
    let begin = Instant::now();
    let report = trainer.step()?;
    let seconds = begin.elapsed().as_secs_f64();
    let memory = progress::resident_bytes().unwrap_or(0);
    let total = trainer.total();
    if args.json {
        return print_json(&json!({
            "parameters": trainer.planner.vlm.parameter_count(),
            "trainable": trainer.planner.vlm.vars().values().map(|v| v.as_tensor().elem_count()).sum::<usize>(),
            "samples": survey.usable.len(),
            "dropped_too_long": survey.too_long.len(),
            "steps": total,
            "step_seconds": seconds,
            "resident_bytes": memory,
            "loss": report.loss,
        }));
    }
    print(&format!(
        "step       {} samples, {} tokens: about {seconds:.2} s and {} on this machine; all {total} steps about {}\n",
        settings.sft.per_device_train_batch_size * settings.sft.gradient_accumulation_steps,
        report.tokens,
        human_bytes(memory),
        progress::duration(seconds * total as f64),
    ))
}
