//! `reinsman eval`: planning accuracy on labelled records.
//!
//! [`set`] finds and reads the records, [`folder`] decides where results go and to which run they belong,
//! [`crate::policy::evaluate`] asks, [`output`] writes and prints what came out.

use super::{Shared, parse};
use crate::{
    device::Choice,
    error::{Failure, Kind, Result},
    policy::{
        Decoding, Planner, Source,
        evaluate::{self, Book, Done, Evaluation},
        planner::{Options, Quant},
    },
    train::{progress::Progress, signals::Stop},
    vlm::sampling::SamplingParams,
};
use ::eval::{Entry, threshold};
use std::path::PathBuf;

mod folder;
mod meter;
mod output;
mod seeing;
mod set;

use folder::{Folder, Identity};
use set::Set;

const EXAMPLES: &str = "Examples:
  reinsman eval --model runs/a --data val.jsonl
  reinsman eval --data val.jsonl --answer \"KEEP, STRAIGHT\"              # a constant baseline
  reinsman eval --model runs/a --data val.jsonl --fail-under joint=0.5  # exit 1 below
  reinsman eval --model runs/a --data val.jsonl --samples 4             # four plans per record";

/// What is printed at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Scorer {
    /// One speed and one path label, anything else is a parse failure
    Strict,
    /// As the published evaluation script scores
    Released,
}

/// What can be typed after `eval`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Model folder, run folder or name on the hub, such as Qwen/Qwen2.5-VL-3B-Instruct (default: the embedded planner)
    #[arg(long, value_name = "PATH", conflicts_with = "answer")]
    pub model: Option<PathBuf>,
    /// Quantize frozen weights while loading: none, q4_k, q6_k or q8_0 (default: as an adapter was trained)
    #[arg(long, value_name = "KIND", value_parser = parse::quant)]
    pub quant: Option<Quant>,
    /// Where to compute: auto, cpu, cuda or cuda:N; auto takes the first GPU that this binary can use
    #[arg(long, value_name = "DEVICE", default_value = "auto", value_parser = parse::device)]
    pub device: Choice,
    /// Labelled records; may be several (default: the bundled held-out set)
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub data: Vec<PathBuf>,
    /// Result folder (default: eval/<name of the data> in the run folder, else out/eval/<name of the data>)
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Only the first N records that have a label
    #[arg(long, value_name = "N", value_parser = parse::positive)]
    pub limit: Option<usize>,
    /// Answers drawn per record; the first one is scored. One is greedy, several are drawn at temperature 1
    #[arg(long, value_name = "K", default_value = "1", value_parser = parse::positive)]
    pub samples: usize,
    /// Temperature of the draws (default: 0, which is greedy, for one answer and 1 for several)
    #[arg(long, value_name = "T", value_parser = parse::temperature)]
    pub temperature: Option<f64>,
    /// Seed of the draws
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// Longest answer, in tokens
    #[arg(long, value_name = "N", default_value = "512", value_parser = parse::positive)]
    pub max_new_tokens: usize,
    /// Answers written at the same time
    #[arg(long, value_name = "N", default_value = "8", value_parser = parse::positive)]
    pub batch_size: usize,
    /// Ask for reasoning before the answer (the default)
    #[arg(long, overrides_with = "no_think")]
    pub think: bool,
    /// Ask for the answer alone
    #[arg(long)]
    pub no_think: bool,
    /// What to print: our table, or what the published evaluation script would
    #[arg(long, value_enum, default_value = "strict")]
    pub scorer: Scorer,
    /// Exit 1 when a metric is lower, such as joint=0.5; may be given several times
    #[arg(long, value_name = "METRIC=VALUE", value_parser = parse::threshold)]
    pub fail_under: Vec<(String, f64)>,
    /// Ask only with grey images
    #[arg(long, conflicts_with_all = ["answer", "no_blind"])]
    pub blind: bool,
    /// Do not measure what the image is worth: no row with grey images, no losses with wrong ones
    #[arg(long)]
    pub no_blind: bool,
    /// Do not score the alternatives of each label (faster)
    #[arg(long)]
    pub no_probabilities: bool,
    /// Records to fit the ego-speed-only row on (default: train.jsonl beside the data, else the other recordings)
    #[arg(long, value_name = "FILE")]
    pub train_data: Option<PathBuf>,
    /// Leave bad records out instead of stopping
    #[arg(long)]
    pub skip_bad: bool,
    /// Renames a label, such as GO_STRAIGHT=STRAIGHT; may be given several times
    #[arg(long, value_name = "OLD=NEW", value_parser = parse::pair)]
    pub map: Vec<(String, String)>,
    /// Replaces the beginning of image paths; may be given several times
    #[arg(long, value_name = "FROM=TO", value_parser = parse::pair)]
    pub root: Vec<(String, String)>,
    /// Folder of prompt templates that replace the built-in ones
    #[arg(long, value_name = "DIR")]
    pub prompts: Option<PathBuf>,
    /// Print the summary as JSON
    #[arg(long)]
    pub json: bool,
    /// A constant answer instead of a model, such as "KEEP, STRAIGHT"
    #[arg(long, value_name = "TEXT")]
    pub answer: Option<String>,
}

/// Runs the verb.
///
/// # Errors
/// Missed thresholds exit 1, bad flags 2, bad data 3, device trouble 4, a stop on request 75.
pub fn run(args: &Args, shared: &Shared) -> Result<()> {
    let limits = limits(args)?;
    let decoding = decoding(args)?;
    let set = Set::load(args)?;
    let planner = match args.answer {
        Some(_) => None,
        None => Some(load(args, shared)?),
    };
    let identity = Identity::of(args, &decoding, &set, planner.as_ref())?;
    let folder = Folder::claim(args, &set, &identity)?;
    let mut progress = Progress::new(shared.quiet);
    folder.notes.iter().for_each(|note| progress.note(note));

    let stop = Stop::on_signals()?;
    let answerer = Answerer { args, set: &set, planner: planner.as_ref(), decoding, stop: &stop };
    let mut done = Done::default();
    for blind in [false, true] {
        if done.stopped || !wanted(args, blind) {
            continue;
        }
        let mut book = folder.book(&identity, blind, &mut progress)?;
        let more = answerer.ask(&mut book, blind, &mut progress)?;
        done.stopped = more.stopped;
        done.bad.extend(more.bad);
    }
    let own = folder.read(&identity, false, &set)?;
    let blind = folder.read(&identity, true, &set)?.filter(|_| !args.no_blind && args.answer.is_none());
    let sight = match &planner {
        Some(planner) if !args.no_blind && !done.stopped => {
            seeing::measure(planner, &set, own.as_ref().or(blind.as_ref()), !args.no_think, &folder, &mut progress)?
        }
        _ => None,
    };
    progress.finish();
    let results = output::Results { args, set: &set, identity: &identity, folder: &folder, own, blind, sight, done };
    let (summary, checks) = results.publish(planner.as_ref(), &limits)?;
    if results.done.stopped {
        let finished = summary.samples;
        let message = format!("stopped on request after {finished} of {} samples; all are saved", set.samples.len());
        let hint = format!("the same command continues: {}", folder::command_line());
        return Err(Failure::new(Kind::Resumable, message).hint(hint));
    }
    output::hold(&checks)
}

/// Whether the run with or without pictures is asked for.
fn wanted(args: &Args, blind: bool) -> bool {
    if blind { args.answer.is_none() && !args.no_blind } else { !args.blind }
}

fn limits(args: &Args) -> Result<Vec<threshold::Threshold>> {
    let list: Vec<String> = args.fail_under.iter().map(|(name, value)| format!("{name}={value}")).collect();
    threshold::parse(&list.join(",")).map_err(|e| Failure::usage(format!("--fail-under: {e}")))
}

fn decoding(args: &Args) -> Result<Decoding> {
    let temperature = args.temperature.unwrap_or(if args.samples > 1 { 1.0 } else { 0.0 });
    if temperature == 0.0 && args.samples > 1 {
        return Err(Failure::usage("--samples with --temperature 0 would draw the same answer every time")
            .hint("leave --temperature out (1 is used), or ask for one sample"));
    }
    let sampling = match temperature {
        0.0 => SamplingParams::default(),
        temperature => SamplingParams { do_sample: true, temperature, ..SamplingParams::default() },
    };
    Ok(Decoding { sampling, max_new_tokens: args.max_new_tokens, seed: args.seed })
}

fn load(args: &Args, shared: &Shared) -> Result<Planner> {
    let source = Source::resolve(args.model.as_deref())?;
    Planner::load(
        &source,
        &Options {
            prompts: args.prompts.as_deref(),
            quant: args.quant.unwrap_or_default(),
            note: shared.note(),
            ..Options::on(args.device)?
        },
    )
}

/// Who answers, and what.
struct Answerer<'a> {
    args: &'a Args,
    set: &'a Set,
    planner: Option<&'a Planner>,
    decoding: Decoding,
    stop: &'a Stop,
}

impl Answerer<'_> {
    fn ask(&self, book: &mut Book, blind: bool, progress: &mut Progress) -> Result<Done> {
        let samples = &self.set.samples;
        let mut meter = meter::Meter::new(if blind { "blind" } else { "eval" }, samples, &book.log);
        let stop = || self.stop.requested();
        let mut on_entry = |entry: &Entry| meter.add(entry, progress);
        let Some(planner) = self.planner else {
            let text = constant_text(self.args.answer.as_deref().unwrap_or_default());
            return evaluate::answer_all(&text, samples, book, &stop, &mut on_entry);
        };
        // Blind replies are compared with the first reply, so one is enough.
        let replies = if blind { 1 } else { self.args.samples };
        let evaluation = Evaluation {
            planner,
            think: !self.args.no_think,
            decoding: self.decoding.clone(),
            replies,
            batch: (self.args.batch_size / replies).max(1),
            blind,
            probabilities: !blind && !self.args.no_probabilities,
            skip_bad: self.args.skip_bad,
        };
        evaluation.run(samples, book, &stop, &mut on_entry)
    }
}

/// `KEEP, STRAIGHT` as a planner would write it; a text that has its own tags stays as it is.
fn constant_text(answer: &str) -> String {
    if answer.contains("<answer>") { answer.to_owned() } else { format!("<answer> {} </answer>", answer.trim()) }
}
