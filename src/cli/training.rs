//! What every trainer's verb does before and after it trains: flags to settings, which run to continue, model and data,
//! and how it ends.

pub(super) mod describe;

use super::{Shared, parse, print, print_json};
use crate::{
    device::{self, Choice},
    error::{Failure, Result},
    policy::{
        Language, Planner,
        planner::{Options, Quant},
        source::{self, Source},
    },
    settings::{self, Draft, Settings, Train},
    train::{
        checkpoint::Checkpoint,
        progress::Progress,
        reference::Reference,
        run::{self, Run, Start},
        signals::Stop,
        survey::{self, Aim, Survey},
    },
    vlm::{LoraSpec, Trainable, lora::Targets, quant::Kind},
};
use candle_core::Device;
use data::{ReadOptions, Sample};
use serde_json::json;
use std::path::{Path, PathBuf};

/// Flags of every trainer.
#[derive(Debug, clap::Args)]
pub struct Common {
    /// Model folder or name on the hub to start from (default: the embedded planner)
    #[arg(long, value_name = "PATH")]
    pub model: Option<PathBuf>,
    /// Quantize frozen weights while loading (QLoRA): none, q4_k, q6_k or q8_0
    #[arg(long, value_name = "KIND", value_parser = parse::quant)]
    pub quant: Option<Quant>,
    /// Where to compute: auto, cpu, cuda or cuda:N (setting model.device)
    #[arg(long, value_name = "DEVICE", value_parser = parse::device)]
    pub device: Option<Choice>,
    /// PEFT adapter folder or name on the hub to continue from
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
    /// Leave bad records out instead of stopping
    #[arg(long)]
    pub skip_bad: bool,
    /// Resolves, opens and measures everything, writes nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Print one JSON object at the end instead of text
    #[arg(long)]
    pub json: bool,
}

/// The run folder to continue, if any.
pub(super) fn resumed(args: &Common, verb: &str) -> Result<Option<PathBuf>> {
    match (&args.resume, &args.out) {
        (None, _) => Ok(None),
        (Some(None), None) => {
            Err(Failure::usage("--resume needs to know which run").hint(format!("reinsman {verb} --resume runs/a")))
        }
        (Some(Some(dir)), Some(out)) if dir != out => {
            let (dir, out) = (dir.display(), out.display());
            Err(Failure::usage(format!("--resume {dir} and --out {out} name two run folders"))
                .hint("a resumed run stays in its folder: leave --out away"))
        }
        (Some(Some(dir)), _) | (Some(None), Some(dir)) => Ok(Some(dir.clone())),
    }
}

pub(super) fn settings(args: &Common, resume: Option<&Path>) -> Result<Settings> {
    settings_with(args, resume, &[])
}

/// The same with more settings from a verb's own flags, as `--set` takes them.
pub(super) fn settings_with(args: &Common, resume: Option<&Path>, more: &[String]) -> Result<Settings> {
    let mut draft = match resume {
        Some(dir) => run::stored_draft(dir)?,
        None => Draft::new(),
    };
    if let Some(file) = &args.config {
        draft.file(file)?;
    }
    for set in args.set.iter().chain(more) {
        draft.set(set)?;
    }
    let path = |p: &PathBuf| toml::Value::String(p.display().to_string());
    if let Some(model) = &args.model {
        draft.flag("--model", "model.path", path(model))?;
    }
    match args.quant {
        Some(Quant::Kind(kind)) => draft.flag("--quant", "model.quant", kind.name())?,
        Some(_) => draft.flag("--quant", "model.quant", "none")?,
        None => {}
    }
    if let Some(device) = args.device {
        draft.flag("--device", "model.device", device.name())?;
    }
    if let Some(adapter) = &args.adapter {
        draft.flag("--adapter", "model.adapter", path(adapter))?;
    }
    if !args.data.is_empty() {
        draft.flag("--data", "data.train", toml::Value::Array(args.data.iter().map(path).collect()))?;
    }
    if args.skip_bad {
        draft.flag("--skip-bad", "data.skip_bad", true)?;
    }
    draft.finish().map(|(settings, _)| settings)
}

/// What a verb has before it reads data and loads its model.
pub(super) struct Opened {
    pub(super) device: Device,
    /// None in a dry run.
    pub(super) run: Option<Run>,
    pub(super) stop: Stop,
    pub(super) progress: Progress,
    pub(super) source: Source,
    pub(super) language: Language,
}

/// The run folder, `None` in a dry run. It is claimed before the long loading, so that a second start fails at once.
pub(super) fn claim(args: &Common, settings: &Settings, resume: Option<&Path>, start: &Start) -> Result<Option<Run>> {
    match (resume, &args.out) {
        _ if args.dry_run => Ok(None),
        (Some(dir), _) => Run::resume(dir, settings, start, args.resume_anyway).map(Some),
        (None, Some(dir)) => Run::create(dir, settings, start).map(Some),
        (None, None) => Err(Failure::usage("no run folder").hint("give --out DIR, or --dry-run to only measure")),
    }
}

/// How records are read.
pub(super) fn read_options(data: &settings::Data) -> Result<ReadOptions> {
    let remap = |(from, to): &(String, String)| format!("{from}={to}").parse().map_err(Failure::from);
    let roots = data.roots().iter().map(remap).collect::<Result<_>>()?;
    Ok(ReadOptions { skip_bad: data.skip_bad, roots, ..ReadOptions::default() })
}

/// Claims the run folder, finds the model and reads its tokenizer.
pub(super) fn open(
    args: &Common,
    shared: &Shared,
    settings: &Settings,
    resume: Option<&Path>,
    (verb, seed, max_pixels): (&'static str, u64, Option<u64>),
) -> Result<Opened> {
    if settings.data.train.is_empty() {
        return Err(Failure::usage("no training data").hint("give --data FILE or set data.train"));
    }
    let device = settings.model.device.open()?;
    let threads = shared.threads.unwrap_or_else(rayon::current_num_threads);
    let start = Start::here(verb, seed, &device::name(&device), threads);
    let run = claim(args, settings, resume, &start)?;
    // Now, when Ctrl-C still ends the program: there may be gigabytes to download.
    Source::resolve(settings.model.path.as_deref())?;
    let stop = Stop::on_signals()?;
    let mut progress = Progress::new(shared.quiet);
    for note in run.iter().flat_map(|run| &run.notes) {
        progress.note(note);
    }
    let source = source(settings, run.as_ref().and_then(|run| run.from.as_ref()))?;
    let language = Language::load(&source, None, max_pixels)?;
    Ok(Opened { device, run, stop, progress, source, language })
}

/// Tells that a run is done.
pub(super) fn end(args: &Common, shared: &Shared, run: &Run, steps: u64) -> Result<()> {
    let last = Checkpoint::newest(&run.dir)?.found.map(|c| c.dir);
    let last = last.as_deref().unwrap_or(&run.dir).display().to_string();
    if args.json {
        print_json(&json!({ "run": run.dir.display().to_string(), "steps": steps, "checkpoint": last }))
    } else if shared.quiet {
        Ok(())
    } else {
        print(&format!("done: {last}\nnext: reinsman eval --model {}\n", run.dir.display()))
    }
}

/// What to train: the given model, or that of the checkpoint a run continues from.
pub(super) fn source(settings: &Settings, from: Option<&Checkpoint>) -> Result<Source> {
    let model = &settings.model;
    let given = Source::resolve(model.path.as_deref())?;
    let adapter = match (&model.adapter, &given) {
        (Some(more), Source::Adapter { adapter, .. }) => {
            let (more, adapter) = (more.display(), adapter.display());
            return Err(Failure::usage(format!(
                "model.adapter is {more}, but model.path is an adapter too ({adapter})"
            ))
            .hint("give the base with --model and one adapter with --adapter"));
        }
        (Some(adapter), _) => Some(source::adapter_folder(adapter)?),
        (None, Source::Adapter { adapter, .. }) => Some(adapter.clone()),
        (None, _) => None,
    };
    if let (Some(adapter), true) = (&adapter, model.train != Train::Lora) {
        let train = model.train.name();
        return Err(Failure::usage(format!(
            "{} is an adapter, which training continues, but model.train is {train:?}, which trains the weights",
            adapter.display()
        ))
        .hint("set model.train=lora, or start from the base model"));
    }
    let base = match given {
        Source::Adapter { base, .. } => *base,
        other => other,
    };
    Ok(match from.map(|checkpoint| &checkpoint.dir) {
        Some(dir) if dir.join("model").is_dir() => Source::Folder(dir.join("model")),
        Some(dir) => Source::Adapter { base: Box::new(base), adapter: dir.join("adapter") },
        None => match adapter {
            Some(adapter) => Source::Adapter { base: Box::new(base), adapter },
            None => base,
        },
    })
}

pub(super) fn load(
    settings: &Settings,
    source: &Source,
    device: &Device,
    trainable: Trainable,
    max_pixels: Option<u64>,
    note: fn(&str),
) -> Result<Planner> {
    let options = Options {
        trainable,
        max_pixels,
        device: device.clone(),
        dtype: settings.model.dtype.on(device),
        quant: quant_of(settings),
        note,
        ..Options::default()
    };
    Planner::load(source, &options)
}

pub(super) fn quant_of(settings: &Settings) -> Quant {
    match settings.model.quant {
        Some(settings::Quant::Q4K) => Quant::Kind(Kind::Q4K),
        Some(settings::Quant::Q6K) => Quant::Kind(Kind::Q6K),
        Some(settings::Quant::Q8) => Quant::Kind(Kind::Q8_0),
        None => Quant::AsTrained,
    }
}

pub(super) fn trainable(settings: &Settings, seed: u64) -> Trainable {
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
                seed,
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

/// The policy to stay near: what training started from, also in a resumed run.
pub(super) fn reference(
    settings: &Settings,
    device: &Device,
    max_pixels: Option<u64>,
    note: fn(&str),
) -> Result<Reference> {
    let start = source(settings, None)?;
    if settings.model.train == Train::Lora && !matches!(start, Source::Adapter { .. }) {
        return Ok(Reference::AdapterOff);
    }
    let copy = load(settings, &start, device, Trainable::None, max_pixels, note)?;
    Ok(Reference::Copy(Box::new(copy)))
}

/// The samples that training uses, and what a look over all of them found.
#[derive(Default)]
pub(super) struct Taught {
    pub(super) samples: Vec<Sample>,
    pub(super) survey: Survey,
}

/// What a trainer wants of its samples; `section` is that of its settings.
#[derive(Clone, Copy)]
pub(super) struct Want {
    pub(super) section: &'static str,
    pub(super) aim: Aim,
    pub(super) max_length: usize,
}

/// Training and held-out samples. The latter are looked over now, not when the first evaluation comes.
pub(super) fn sets(data: &settings::Data, read: impl Fn(&[PathBuf]) -> Result<Taught>) -> Result<(Taught, Taught)> {
    let train = read(&data.train)?;
    let val = match data.val.is_empty() {
        true => Taught::default(),
        false => read(&data.val).map_err(|e| e.context("data.val"))?,
    };
    Ok((train, val))
}

pub(super) fn taught(
    language: &Language,
    data: &settings::Data,
    paths: &[PathBuf],
    Want { section, aim, max_length }: Want,
) -> Result<Taught> {
    // Other readers would not miss an answer.
    let options = ReadOptions { format: (aim == Aim::Pair).then(|| "preference".into()), ..read_options(data)? };
    let (mut all, mut bad) = (Vec::new(), Vec::new());
    for path in paths {
        let set = data::load(path, &options)?;
        all.extend(set.samples);
        bad.extend(set.problems.iter().map(ToString::to_string));
    }
    let (encoder, prompts) = (&language.encoder, &language.prompts);
    let mut survey = survey::survey(encoder, prompts, &all, (section, aim), max_length, data.skip_bad)?;
    survey.bad.splice(0..0, bad);
    let mut keep = vec![false; all.len()];
    survey.usable.iter().for_each(|i| keep[*i] = true);
    let samples = all.into_iter().zip(keep).filter_map(|(sample, keep)| keep.then_some(sample)).collect();
    Ok(Taught { samples, survey })
}
