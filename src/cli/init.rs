//! `reinsman init`: a new small planner with random weights and its own tokenizer, or a full-size folder in the layout of
//! a public checkpoint for trying out loading, memory and speed.

use super::{Shared, export::Format, parse, print};
use crate::{
    error::{Failure, Result, human_bytes, io_at},
    policy::{
        card::Card,
        fresh::{
            self, Fresh,
            full_size::{self, FullSize},
        },
    },
    train::examples,
    vlm::{VlmConfig, prompt::Prompts, shapes},
};
use data::ReadOptions;
use serde_json::Value;
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "Examples:
  reinsman init --shape tiny.json --text corpus.txt --out models/tiny
  reinsman init --shape tiny.json --text train.jsonl --vocab 2048 --out models/tiny
  reinsman init --shape qwen2.5-vl-3b --out /tmp/3b  # 7.5 GB of random weights, public layout

Names of full-size shapes: qwen2-vl-2b, qwen2.5-vl-3b, qwen3-vl-2b, qwen3-vl-4b, and small.
Such a folder says nothing sensible; it is for trying out loading, memory and speed.";

/// What can be typed after `init`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Model shape: a config.json of one of the known families, or the name of a full-size shape
    #[arg(long, value_name = "CONFIG.JSON|NAME")]
    pub shape: PathBuf,
    /// Text or records to train the tokenizer on; may be given several times
    #[arg(long, value_name = "FILE")]
    pub text: Vec<PathBuf>,
    /// Vocabulary size (default: that of the shape)
    #[arg(long, value_name = "N", value_parser = parse::positive)]
    pub vocab: Option<usize>,
    /// Number format of the weights (default: f32; bf16 for a full-size shape)
    #[arg(long, value_enum)]
    pub dtype: Option<Format>,
    /// Seed of the weights
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// Prompt the planner will be asked with: plan or plan_short
    #[arg(long, value_name = "NAME", default_value = "plan_short")]
    pub prompt: String,
    /// Largest picture the planner will look at, in pixels
    #[arg(long, value_name = "N", value_parser = parse::positive)]
    pub max_pixels: Option<usize>,
    /// Name shown to people
    #[arg(long, value_name = "TEXT")]
    pub name: Option<String>,
    /// Model folder to write
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}

/// Runs the verb.
///
/// # Errors
/// Bad shapes exit 2, unreadable text 3.
pub fn run(args: &Args, shared: &Shared) -> Result<()> {
    let named = args.shape.to_str().filter(|_| !args.shape.exists()).and_then(shapes::json);
    let card =
        Card { name: args.name.clone(), prompt: args.prompt.clone(), max_pixels: args.max_pixels.map(|n| n as u64) };
    let prompts = Prompts::builtin().with_style(card.style()?);
    let mut texts = Vec::new();
    for path in &args.text {
        texts.extend(corpus(path, &prompts)?);
    }
    match named {
        Some(shape) => full(args, shared, &shape, card, &texts),
        None => small(args, shared, card, &texts),
    }
}

/// A planner to be trained.
fn small(args: &Args, shared: &Shared, card: Card, texts: &[String]) -> Result<()> {
    if !args.shape.exists() && args.shape.extension().is_none_or(|e| e != "json") {
        shapes::config(&args.shape.display().to_string())?; // a mistyped name rather than a path
    }
    let bytes = std::fs::read(&args.shape).map_err(io_at(&args.shape))?;
    let shape = serde_json::from_slice(&bytes).map_err(|e| {
        Failure::usage(format!("{} is not valid JSON: {e}", args.shape.display()))
            .hint("give a config.json of one of the known families")
    })?;
    if args.dtype.is_some_and(|dtype| dtype != Format::F32) {
        return Err(Failure::usage("a planner to be trained is written in f32")
            .hint("leave --dtype out; `reinsman export --dtype` writes other formats"));
    }
    if args.text.is_empty() {
        return Err(Failure::usage("there is no text to learn a vocabulary from").hint("add --text FILE"));
    }
    if texts.iter().all(|text| text.trim().is_empty()) {
        return Err(Failure::data("there is no text to learn a vocabulary from")
            .hint("give --text records with questions and answers, or a plain text file"));
    }
    let fresh = Fresh { shape: &shape, vocab: args.vocab, seed: args.seed, card };
    let (config, vocabulary) = fresh::write(&args.out, &fresh, texts)?;
    said(args, shared, &config, &format!("vocabulary {vocabulary} learned from {} texts", texts.len()))
}

/// A folder like a public one.
fn full(args: &Args, shared: &Shared, shape: &Value, card: Card, texts: &[String]) -> Result<()> {
    if args.vocab.is_some() {
        return Err(Failure::usage("the vocabulary of a full-size shape is that of its public checkpoint")
            .hint("leave --vocab out, or give a config.json of your own as --shape"));
    }
    let (dtype, dtype_name, _) = args.dtype.unwrap_or(Format::Bf16).names();
    let full = FullSize { shape, dtype, dtype_name, seed: args.seed, card };
    let (config, bytes) = full_size::write(&args.out, &full, texts)?;
    said(args, shared, &config, &format!("{} of random weights as {dtype_name}", human_bytes(bytes)))
}

fn said(args: &Args, shared: &Shared, config: &VlmConfig, what: &str) -> Result<()> {
    if shared.quiet {
        return Ok(());
    }
    print(&format!(
        "{}: {:?}, {} text layers of {}, {} vision layers of {}, {what}\n",
        args.out.display(),
        config.family,
        config.text.num_hidden_layers,
        config.text.hidden_size,
        config.vision.depth,
        config.vision.embed_dim,
    ))
}

/// The texts of a file: what is asked and answered in records, lines of anything else.
fn corpus(path: &Path, prompts: &Prompts) -> Result<Vec<String>> {
    let records = path.extension().is_some_and(|e| e == "jsonl" || e == "json");
    if !records {
        let text = std::fs::read_to_string(path).map_err(io_at(path))?;
        return Ok(text.lines().map(str::to_owned).collect());
    }
    let set = data::load(path, &ReadOptions::default())?;
    let mut texts = Vec::new();
    for sample in &set.samples {
        if let Some(lesson) = examples::lesson(prompts, sample, true)? {
            texts.extend(lesson.turns.iter().flat_map(|turn| &turn.parts).filter_map(|part| match part {
                data::Part::Text(text) => Some(text.clone()),
                data::Part::Image => None,
            }));
        }
    }
    Ok(texts)
}
