//! The command line: one file per verb, each with its `Args` (what can be typed), its examples and `run`.
//!
//! This file only knows the list of verbs and the flags that all of them share. Raw arguments become checked
//! [`crate::settings`] inside the verb; exit codes come from [`crate::error::Kind`]. To add a verb: one file here, one
//! line in [`Verb`], one line in [`run`].

use crate::{
    error::{Failure, Result},
    hub,
};
use clap::{Parser, Subcommand};
use std::{ffi::OsString, io::Write};

pub mod bench;
mod branches;
pub mod chat;
pub mod completions;
pub mod config;
pub mod data;
pub mod doctor;
pub mod dpo;
pub mod drive;
pub mod eval;
pub mod export;
pub mod grpo;
pub mod il;
pub mod init;
pub mod pair;
pub mod parse;
pub mod plan;
pub mod reproduce;
pub mod score;
pub mod sft;
mod training;

/// Train, evaluate and debug reasoning driving planners.
#[derive(Debug, Parser)]
#[command(name = "reinsman", version, about, max_term_width = 110, propagate_version = true, after_help = EXAMPLES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
    /// Flags of every verb.
    #[command(flatten)]
    pub shared: Shared,
}

const EXAMPLES: &str = "Examples:
  reinsman plan                                  # a bundled frame, the embedded planner
  reinsman sft --data train.jsonl --out runs/a   # fine-tune on my records
  reinsman eval --model runs/a --data val.jsonl  # what did it learn

Exit codes: 0 ok, 1 threshold missed, 2 usage or config, 3 data, 4 device or memory,
75 stopped and resumable";

/// Flags that every verb takes.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Shared {
    /// Only results and errors, no progress
    #[arg(long, short, global = true)]
    pub quiet: bool,
    /// Threads to compute with (default: one per physical core)
    #[arg(long, global = true, value_name = "N", value_parser = parse::positive)]
    pub threads: Option<usize>,
}

impl Shared {
    /// Where to say what takes time.
    fn note(&self) -> fn(&str) {
        if self.quiet { |_| {} } else { |text| eprintln!("note: {text}") }
    }
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Reason about one frame and plan the next three seconds
    Plan(plan::Args),
    /// Fine-tune a planner on labelled records
    Sft(sft::Args),
    /// Improve a planner by rewarding its own sampled answers (GRPO)
    Grpo(grpo::Args),
    /// Teach a planner which of two answers is better (DPO)
    Dpo(dpo::Args),
    /// Teach a trajectory head to drive as was driven
    Il(il::Args),
    /// Teach trajectories by imitation and reinforcement side by side
    Pair(pair::Args),
    /// Score a planner on labelled records
    Eval(eval::Args),
    /// Drive a policy through scenarios in the simulator (driving score)
    Drive(drive::Args),
    /// Score trajectories as NAVSIM does (PDMS, EPDMS)
    Score(score::Args),
    /// Train and measure what a paper claims, at this machine's scale
    Reproduce(reproduce::Args),
    /// Question a planner about one frame, interactively
    Chat(chat::Args),
    /// Check, count, show, convert and label records
    Data(data::Args),
    /// Make a new small planner from a shape and text
    Init(init::Args),
    /// Write one model folder, adapter merged in, in a chosen number format
    Export(export::Args),
    /// Show every setting, its value and where it comes from
    Config(config::Args),
    /// Check this machine and say how to fix what is wrong
    Doctor(doctor::Args),
    /// Measure how fast this machine does fixed work
    Bench(bench::Args),
    /// Print the completion script of a shell
    Completions(completions::Args),
}

/// Parses what was typed. `None` after `--help` or `--version`, which are printed here.
///
/// # Errors
/// Exit 2; clap has then already printed what is wrong and the nearest flag or verb, so the message is empty.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Option<Cli>> {
    match Cli::try_parse_from(args) {
        Ok(cli) => Ok(Some(cli)),
        Err(error) => {
            // Help into a closed pipe is not a failure.
            let _ = error.print();
            if error.use_stderr() { Err(Failure::usage("")) } else { Ok(None) }
        }
    }
}

/// Runs the verb.
///
/// # Errors
/// Whatever the verb reports.
pub fn run(cli: &Cli) -> Result<()> {
    let shared = &cli.shared;
    hub::be_quiet(shared.quiet);
    match &cli.verb {
        Verb::Plan(args) => plan::run(args, shared),
        Verb::Sft(args) => sft::run(args, shared),
        Verb::Grpo(args) => grpo::run(args, shared),
        Verb::Dpo(args) => dpo::run(args, shared),
        Verb::Il(args) => il::run(args, shared),
        Verb::Pair(args) => pair::run(args, shared),
        Verb::Eval(args) => eval::run(args, shared),
        Verb::Score(args) => score::run(args, shared),
        Verb::Drive(args) => drive::run(args, shared),
        Verb::Reproduce(args) => reproduce::run(args, shared),
        Verb::Chat(args) => chat::run(args, shared),
        Verb::Data(args) => data::run(args, shared),
        Verb::Init(args) => init::run(args, shared),
        Verb::Export(args) => export::run(args, shared),
        Verb::Config(args) => config::run(args, shared),
        Verb::Doctor(args) => doctor::run(args, shared),
        Verb::Bench(args) => bench::run(args, shared),
        Verb::Completions(args) => completions::run(args, shared),
    }
}

/// Writes to stdout and flushes. A reader that has left (`| head`) ends the program quietly with exit 0; a full disk
/// behind a redirection is a failure.
///
/// # Errors
/// Exit 3 when stdout cannot be written for another reason.
pub fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(()),
        Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => std::process::exit(0),
        Err(e) => Err(Failure::data(format!("cannot write to standard output: {e}"))),
    }
}

/// A number of parameters, as people say it.
fn millions(n: usize) -> String {
    match n {
        0..1_000_000 => format!("{:.1} k", n as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.2} M", n as f64 / 1e6),
        _ => format!("{:.2} B", n as f64 / 1e9),
    }
}

/// Prints one JSON value, pretty, with a final newline.
///
/// # Errors
/// As [`print`].
pub fn print_json(value: &serde_json::Value) -> Result<()> {
    print(&format!("{value:#}\n"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_consistent_and_every_verb_shows_three_examples() {
        Cli::command().debug_assert();
        for verb in Cli::command().get_subcommands() {
            let help = verb.get_after_help().map(ToString::to_string).unwrap_or_default();
            let examples = help.lines().filter(|l| l.trim_start().starts_with("reinsman ")).count();
            assert!(examples >= 3, "{} shows {examples} examples", verb.get_name());
            assert!(help.lines().all(|l| l.len() <= 98), "{} has a long line", verb.get_name());
        }
    }

    /// Examples that do not parse are worse than none.
    #[test]
    fn every_example_parses() {
        for verb in Cli::command().get_subcommands() {
            let help = verb.get_after_help().map(ToString::to_string).unwrap_or_default();
            for line in help.lines().map(str::trim_start).filter(|l| l.starts_with("reinsman ")) {
                let command = line.split(" # ").next().unwrap().split(" > ").next().unwrap();
                let words = shell_words(command);
                if let Err(e) = Cli::try_parse_from(&words) {
                    panic!("{line}\n{e}");
                }
            }
        }
    }

    fn shell_words(line: &str) -> Vec<String> {
        let mut words = Vec::new();
        for (i, part) in line.split('"').enumerate() {
            if i % 2 == 1 {
                words.push(part.to_string())
            } else {
                words.extend(part.split_whitespace().map(String::from))
            }
        }
        words
    }

    #[test]
    fn a_mistyped_flag_names_the_nearest_and_exits_2() {
        let error = Cli::try_parse_from(["reinsman", "sft", "--modle", "x"]).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("--model"), "{error}");
        assert_eq!(parse(["reinsman", "evl"].map(OsString::from)).unwrap_err().kind.exit_code(), 2);
    }

    #[test]
    fn bad_values_say_what_is_allowed() {
        let says = |words: &[&str]| Cli::try_parse_from([&["reinsman"], words].concat()).unwrap_err().to_string();
        assert!(says(&["plan", "--speed", "NaN"]).contains("metres per second"));
        assert!(says(&["plan", "--speed", "-3"]).contains("metres per second"));
        assert!(says(&["plan", "--samples", "0"]).contains("1 or more"));
        assert!(says(&["eval", "--data", "x", "--fail-under", "joint"]).contains("METRIC=VALUE"));
        assert!(says(&["--threads", "0", "doctor"]).contains("1 or more"));
    }
}
