//! `reinsman bench model`: the work items that are compared with the Python stack, on a shape with random weights.

use super::{inside, machine, report};
use crate::{
    bench::{
        Measured, Unit,
        clock::{Lap, cpu_seconds},
        items::{self, Item, Setup},
    },
    cli::{Shared, parse, print},
    device::{self, Choice},
    error::{Failure, Result, io_at},
    policy::{
        Planner, Source, frames,
        planner::{Options, Quant},
    },
    train::progress::Progress,
    vlm::{VlmConfig, quant::Kind, shapes},
};
use data::Ego;
use serde_json::{Value, json};
use std::path::PathBuf;

/// What can be typed after `bench model`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Shape of the model: small, 2b (Qwen2-VL-2B), 3b (Qwen2.5-VL-3B), qwen3-vl-2b, qwen3-vl-4b
    #[arg(long, value_name = "NAME", default_value = "small", conflicts_with = "config")]
    pub shape: String,
    /// Shape from a config.json
    #[arg(long, value_name = "CONFIG.JSON")]
    pub config: Option<PathBuf>,
    /// Quantize frozen weights: q4_k, q6_k, q8_0 or none; the result is kept in the cache
    #[arg(long, value_name = "KIND", default_value = "none", value_parser = parse::quant)]
    pub quant: Quant,
    /// Where to compute: auto, cpu, cuda or cuda:N; a GPU computes in bf16
    #[arg(long, value_name = "DEVICE", default_value = "auto", value_parser = parse::device)]
    pub device: Choice,
    /// Work items, separated by commas (default: those that suit the shape)
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    pub items: Vec<String>,
    /// Measured runs of each item, of which the best counts
    #[arg(long, value_name = "N", default_value = "3", value_parser = parse::positive)]
    pub repeats: usize,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    /// This is the process of one item
    #[arg(long, hide = true)]
    pub inside: bool,
}

/// Runs the verb.
///
/// # Errors
/// An unknown shape or item exits 2, a shape that does not fit the memory 4.
pub fn run(args: &Args, shared: &Shared) -> Result<()> {
    let setup = Setup::new(shape(args)?, kind(args), args.device, args.repeats)?;
    let chosen = items::select(&args.items, &setup)?;
    if args.inside {
        let Some((_, item)) = chosen.first() else { return Err(Failure::usage("--inside needs an item")) };
        let lines = if *item == Item::Startup { vec![first_prompt()?] } else { setup.run(*item)? };
        return print(&format!("{}\n", json!(lines)));
    }
    let mut machine = machine();
    machine.insert("shape".into(), json!(args.config.as_ref().map_or(args.shape.clone(), |p| p.display().to_string())));
    machine.insert("parameters".into(), json!(setup.parameters));
    machine.insert("quant".into(), json!(quant(args)));
    machine.insert("device".into(), json!(device::name(&args.device.open()?)));
    machine.insert("repeats".into(), json!(args.repeats));
    let mut progress = Progress::new(shared.quiet);
    let mut results = Vec::new();
    for (at, (name, item)) in chosen.iter().enumerate() {
        progress.line(true, || format!("{}/{} {name}", at + 1, chosen.len()));
        let call = call(args, shared, name);
        match item {
            Item::Startup => results.push(items::startup(args.repeats, || {
                let (lines, took) = inside(&call)?;
                Ok((took, lines.first().and_then(|line| line.peak_rss_bytes)))
            })?),
            _ => results.extend(inside(&call)?.0),
        }
    }
    progress.finish();
    report(machine, &results, args.json)
}

fn kind(args: &Args) -> Option<Kind> {
    match args.quant {
        Quant::Kind(kind) => Some(kind),
        Quant::AsTrained | Quant::Dense => None,
    }
}

fn quant(args: &Args) -> &'static str {
    kind(args).map_or("none", Kind::name)
}

fn shape(args: &Args) -> Result<VlmConfig> {
    let Some(path) = &args.config else { return shapes::config(&args.shape) };
    let bytes = std::fs::read(path).map_err(io_at(path))?;
    let json: Value = serde_json::from_slice(&bytes)
        .map_err(|e| Failure::usage(format!("{} is not valid JSON: {e}", path.display())).hint("give a config.json"))?;
    VlmConfig::from_json(&json).map_err(|e| {
        Failure::usage(e.message).context(path.display()).hint("give a config.json of one of the known families")
    })
}

/// The arguments of an item's own process.
fn call(args: &Args, shared: &Shared, item: &str) -> Vec<String> {
    let mut call: Vec<String> = Vec::new();
    if let Some(threads) = shared.threads {
        call.extend(["--threads".into(), threads.to_string()]);
    }
    call.extend(["bench", "model", "--inside", "--items", item, "--repeats"].map(String::from));
    call.extend([args.repeats.to_string(), "--quant".into(), quant(args).into()]);
    call.extend(["--device".into(), args.device.name()]);
    match &args.config {
        Some(path) => call.extend(["--config".into(), path.display().to_string()]),
        None => call.extend(["--shape".into(), args.shape.clone()]),
    }
    call
}

/// Loads the embedded planner and encodes a first question about a bundled frame, which is what this process has done
/// since it began.
fn first_prompt() -> Result<Measured> {
    let planner = Planner::load(&Source::Embedded, &Options::default())?;
    let ego = Ego { speed_mps: 10.0, command: scene::Command::default() };
    let frames = frames::bundled();
    let picture = frames.first().ok_or_else(|| Failure::data("no frame is bundled"))?.open()?;
    let question = planner.question(&ego, vec![picture], true)?;
    std::hint::black_box(planner.encode(&question)?);
    Ok(Measured::new("startup", Lap { wall: cpu_seconds(), cpu: cpu_seconds() }, Unit::Seconds))
}
