//! `reinsman data`: look at records before training on them. One file per verb; the flags that say which records and how
//! to read them are here.

mod check;
mod convert;
mod generate;
mod label;
mod motion;
mod show;
mod stats;

use super::Shared;
use crate::error::{Failure, Result};
use ::data::{
    Cameras, Dataset, ReadOptions,
    convert::Format,
    options::{LabelMap, Remap},
    read::READERS,
};
use clap::builder::PossibleValuesParser;
use std::{
    io::Write,
    path::{Path, PathBuf},
};

const EXAMPLES: &str = "Examples:
  reinsman data check train.jsonl val.jsonl  # missing images, bad lines, duplicates, leakage
  reinsman data stats drivelm.json           # labels, images, speeds, token lengths
  reinsman data show train.jsonl --n 3       # the rendered prompt with the loss mask
  reinsman data convert old.json --map GO_STRAIGHT=STRAIGHT --out new.jsonl
  reinsman data label poses.csv --rule real_drive --out train.jsonl
  reinsman data generate --count 2000 --out runs/boxes";

/// What can be typed after `data`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// What to do with the records.
    #[command(subcommand)]
    pub verb: Verb,
}

/// The verbs of `data`.
#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    /// Find missing images, bad lines, duplicate ids and leakage between splits
    Check(check::Args),
    /// Count labels, tokens and images
    Stats(stats::Args),
    /// Print rendered prompts with the loss mask
    Show(show::Args),
    /// Rewrite records in another format
    Convert(convert::Args),
    /// Make labelled records from frames and ego motion
    Label(label::Args),
    /// Make labelled frames with the simulator: the rule expert drives, moments are drawn and described
    Generate(generate::Args),
}

/// Runs the verb.
///
/// # Errors
/// Bad records exit 3, wrong flags 2.
pub fn run(args: &Args, shared: &Shared) -> Result<()> {
    match &args.verb {
        Verb::Check(args) => check::run(args),
        Verb::Stats(args) => stats::run(args, shared),
        Verb::Show(args) => show::run(args, shared),
        Verb::Convert(args) => convert::run(args, shared),
        Verb::Label(args) => label::run(args, shared),
        Verb::Generate(args) => generate::run(args, shared),
    }
}

/// Which records, and how to read them.
#[derive(Debug, Clone, clap::Args)]
pub struct Records {
    /// Record files
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// Format of the files (default: found out from their content)
    #[arg(long, value_name = "NAME", value_parser = formats())]
    pub format: Option<String>,
    /// Another word for a label, such as GO_STRAIGHT=STRAIGHT or CREEP=none; may be given several times
    #[arg(long, value_name = "OLD=NEW", value_parser = map_rule)]
    pub map: Vec<String>,
    /// Replaces the beginning of image paths; may be given several times
    #[arg(long, value_name = "FROM=TO")]
    pub root: Vec<Remap>,
    /// Cameras to take where a frame has several (DriveLM)
    #[arg(long, value_name = "WHICH", default_value = "front", value_parser = ["front", "all"])]
    pub cameras: String,
    /// Question category to take (DriveLM), such as planning; may be given several times
    #[arg(long, value_name = "NAME")]
    pub category: Vec<String>,
}

fn formats() -> PossibleValuesParser {
    PossibleValuesParser::new(READERS.iter().map(|reader| reader.name()).chain([motion::POSES]))
}

fn written_formats() -> PossibleValuesParser {
    PossibleValuesParser::new(Format::ALL.map(Format::name))
}

fn map_rule(text: &str) -> Result<String, String> {
    LabelMap::default().add(text).map(|()| text.to_owned()).map_err(|e| e.to_string())
}

impl Records {
    /// The reader's options.
    fn options(&self, skip_bad: bool) -> Result<ReadOptions> {
        if self.format.as_deref() == Some(motion::POSES) {
            return Err(Failure::usage("poses hold no questions").hint("only `reinsman data label` reads them"));
        }
        let mut map = LabelMap::default();
        for rule in &self.map {
            map.add(rule)?;
        }
        Ok(ReadOptions {
            format: self.format.clone(),
            map,
            roots: self.root.clone(),
            skip_bad,
            limit: None,
            cameras: if self.cameras == "all" { Cameras::All } else { Cameras::Front },
            categories: self.category.clone(),
        })
    }

    /// Reads every file; bad records end it, or are told on stderr with `skip_bad`.
    fn load(&self, skip_bad: bool, shared: &Shared) -> Result<Vec<Dataset>> {
        let options = self.options(skip_bad)?;
        let read = |path: &PathBuf| {
            let set = ::data::load(path, &options)?;
            tell_bad(&set, shared);
            Ok(set)
        };
        self.files.iter().map(read).collect()
    }
}

/// Says how many records of a set were left out, and why the first of them.
fn tell_bad(set: &Dataset, shared: &Shared) {
    if let Some(first) = set.problems.first() {
        let (n, file) = (set.problems.len(), &set.file);
        note(shared, &format!("{file}: left out {}, the first: {first}", counted(n, "bad record")));
    }
}

/// A line on stderr, unless `--quiet`.
fn note(shared: &Shared, text: &str) {
    if !shared.quiet {
        // Nothing depends on whether anybody reads it.
        let _ = writeln!(std::io::stderr(), "note: {text}");
    }
}

/// `1 sample`, `12 345 samples`.
fn counted(n: usize, what: &str) -> String {
    format!("{} {what}{}", ::data::error::thousands(n as u64), if n == 1 { "" } else { "s" })
}

/// Refuses to write over an input, and makes the folder of the output.
fn output(out: &Path, inputs: &[PathBuf]) -> Result<()> {
    let same = |a: &Path, b: &Path| match (a.canonicalize(), b.canonicalize()) {
        (Ok(a), Ok(b)) => a == b,
        _ => a == b,
    };
    if inputs.iter().any(|input| same(input, out)) {
        return Err(Failure::usage(format!("--out {} is also an input", out.display())).hint("choose another name"));
    }
    if out.file_name().is_none() || out.is_dir() {
        return Err(Failure::usage(format!("--out {} is a folder; a file name is needed", out.display()))
            .hint(format!("--out {}", out.join("train.jsonl").display())));
    }
    match out.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        Some(folder) => std::fs::create_dir_all(folder).map_err(crate::error::io_at(folder)),
        None => Ok(()),
    }
}
