//! `reinsman init`: a new small planner with random weights and its own tokenizer.

use super::{Shared, parse, print};
use crate::{
    error::{Failure, Result, io_at},
    policy::{
        card::Card,
        fresh::{self, Fresh},
    },
    train::examples,
    vlm::prompt::Prompts,
};
use data::ReadOptions;
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "Examples:
  reinsman init --shape tiny.json --text corpus.txt --out models/tiny
  reinsman init --shape tiny.json --text train.jsonl --vocab 2048 --out models/tiny
  reinsman init --shape tiny.json --text corpus.txt --seed 7 --out models/tiny7";

/// What can be typed after `init`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Model shape: a config.json of one of the known families
    #[arg(long, value_name = "CONFIG.JSON")]
    pub shape: PathBuf,
    /// Text or records to train the tokenizer on; may be given several times
    #[arg(long, value_name = "FILE", required = true)]
    pub text: Vec<PathBuf>,
    /// Vocabulary size (default: that of the shape)
    #[arg(long, value_name = "N", value_parser = parse::positive)]
    pub vocab: Option<usize>,
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
    let bytes = std::fs::read(&args.shape).map_err(io_at(&args.shape))?;
    let shape = serde_json::from_slice(&bytes).map_err(|e| {
        Failure::usage(format!("{} is not valid JSON: {e}", args.shape.display()))
            .hint("give a config.json of one of the known families")
    })?;
    let card =
        Card { name: args.name.clone(), prompt: args.prompt.clone(), max_pixels: args.max_pixels.map(|n| n as u64) };
    let prompts = Prompts::builtin().with_style(card.style()?);
    let mut texts = Vec::new();
    for path in &args.text {
        texts.extend(corpus(path, &prompts)?);
    }
    if texts.iter().all(|text| text.trim().is_empty()) {
        return Err(Failure::data("there is no text to learn a vocabulary from")
            .hint("give --text records with questions and answers, or a plain text file"));
    }
    let fresh = Fresh { shape: &shape, vocab: args.vocab, seed: args.seed, card };
    let (config, vocabulary) = fresh::write(&args.out, &fresh, &texts)?;
    if !shared.quiet {
        print(&format!(
            "{}: {:?}, {} text layers of {}, {} vision layers of {}, vocabulary {vocabulary} learned from {} texts\n",
            args.out.display(),
            config.family,
            config.text.num_hidden_layers,
            config.text.hidden_size,
            config.vision.depth,
            config.vision.embed_dim,
            texts.len()
        ))?;
    }
    Ok(())
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
