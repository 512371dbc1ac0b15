//! The records of an evaluation: which files, which of their samples can be scored, and what is left out and why.

use super::Args;
use crate::{
    error::{Failure, Result, io_at},
    policy::{
        digest::short,
        evaluate::{Bad, or_skip},
    },
    vlm::image::{Loading, Rgb},
};
use ::eval::metrics::{Truth, baseline::EgoRow};
use data::{Content, DataError, Image, ReadOptions, Role, Sample};
use sha2::{Digest, Sha256};
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

/// The held-out part of the bundled drive.
const BUNDLED: &str = "data/samples/real_drive/test.jsonl";

/// What will be asked.
pub(super) struct Set {
    /// The files.
    pub files: Vec<PathBuf>,
    /// Samples with a question and at least one label, in file order.
    pub samples: Vec<Sample>,
    /// Samples without any label.
    pub unlabelled: usize,
    /// Labelled samples in which nothing is asked.
    pub unasked: usize,
    /// Records left out because something is wrong with them.
    pub bad: Vec<Bad>,
    /// Digest of the files and of the rules they are read by.
    pub digest: String,
    /// What the ego-speed-only row is fitted on.
    pub train: Option<Vec<EgoRow>>,
}

impl Set {
    /// Reads the files and checks that everything asked for is there.
    ///
    /// # Errors
    /// Bad records or missing pictures (unless `--skip-bad`), nothing that can be scored.
    pub fn load(args: &Args) -> Result<Set> {
        let files = if args.data.is_empty() { vec![bundled()?] } else { args.data.clone() };
        let options = options(args)?;
        let mut set = Set {
            digest: digest(&files, args)?,
            samples: Vec::new(),
            unlabelled: 0,
            unasked: 0,
            bad: Vec::new(),
            train: None,
            files,
        };
        let mut ids = BTreeSet::new();
        for file in set.files.clone() {
            let part = data::load(&file, &options)?;
            set.bad.extend(part.problems.iter().map(bad_record));
            for sample in part.samples {
                set.take(sample, &mut ids, args.skip_bad)?;
            }
        }
        set.samples.truncate(args.limit.unwrap_or(usize::MAX));
        set.check_pictures(args.skip_bad)?;
        if set.samples.is_empty() {
            return Err(set.nothing());
        }
        set.train = train(args, &set.files, &options)?;
        Ok(set)
    }

    /// Names of the files for titles.
    pub fn names(&self) -> String {
        let name = |path: &PathBuf| path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        self.files.iter().map(name).collect::<Vec<_>>().join(", ")
    }

    /// The names without endings, for the result folder.
    pub fn stem(&self) -> String {
        let stem = |path: &PathBuf| path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        self.files.iter().map(stem).collect::<Vec<_>>().join("+")
    }

    /// What a reader should know about the choice of samples.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.unlabelled > 0 {
            notes.push(format!("{} without any label left out", records(self.unlabelled, "")));
        }
        if self.unasked > 0 {
            notes.push(format!("{} in which nothing is asked left out", records(self.unasked, "labelled ")));
        }
        notes
    }

    fn take(&mut self, sample: Sample, ids: &mut BTreeSet<String>, skip_bad: bool) -> Result<()> {
        if !ids.insert(sample.id.clone()) {
            let reason = format!("the id {:?} occurs twice", sample.id);
            if !skip_bad {
                return Err(Failure::data(format!("{}: {reason}", self.names()))
                    .hint("give every record an id of its own, or --skip-bad to leave the later ones out"));
            }
            self.bad.push(Bad { id: sample.id, reason });
            return Ok(());
        }
        let asked = match &sample.content {
            Content::Planning { .. } => true,
            Content::Conversation { turns } => turns.iter().any(|turn| turn.role == Role::User),
        };
        match (sample.labels.speed.is_some() || sample.labels.path.is_some(), asked) {
            (false, _) => self.unlabelled += 1,
            (true, false) => self.unasked += 1,
            (true, true) => self.samples.push(sample),
        }
        Ok(())
    }

    /// Looks for every file before hours are spent on the ones before it. Nothing is decoded yet.
    fn check_pictures(&mut self, skip_bad: bool) -> Result<()> {
        let total = self.samples.len();
        let lost = |sample: &Sample| sample.images.iter().find(|image| missing(image)).cloned();
        let missing: Vec<(String, Failure)> =
            self.samples.iter().filter_map(|sample| Some((sample.id.clone(), trouble(&lost(sample)?)?))).collect();
        let Some((id, first)) = missing.first() else { return Ok(()) };
        if !skip_bad {
            let count = match missing.len() {
                1 => String::new(),
                n => format!(" ({n} of {total} samples miss a picture)"),
            };
            let failure = Failure { message: format!("sample {id}: {}{count}", first.message), ..first.clone() };
            return Err(or_skip(failure));
        }
        self.samples.retain(|sample| lost(sample).is_none());
        self.bad.extend(missing.into_iter().map(|(id, failure)| Bad { id, reason: failure.message }));
        Ok(())
    }

    fn nothing(&self) -> Failure {
        let Set { unlabelled, unasked, bad, .. } = self;
        let bad = bad.len();
        let message = format!(
            "{}: no record can be scored ({unlabelled} without a label, {unasked} without a question, {bad} bad)",
            self.names()
        );
        Failure::data(message).hint("scoring needs plan labels: see `reinsman data stats` and `reinsman data label`")
    }
}

/// `1 bad record`, `3 bad records`.
pub(super) fn records(n: usize, kind: &str) -> String {
    format!("{n} {kind}record{}", if n == 1 { "" } else { "s" })
}

fn missing(image: &Image) -> bool {
    matches!(image, Image::File(path) if !path.is_file())
}

/// What reading a picture says, when it cannot be read.
fn trouble(image: &Image) -> Option<Failure> {
    Rgb::from_record(image, &Loading::default()).err()
}

fn bad_record(problem: &DataError) -> Bad {
    let text = problem.to_string();
    match text.split_once(": ") {
        Some((place, reason)) => Bad { id: place.into(), reason: reason.into() },
        None => Bad { id: String::new(), reason: text },
    }
}

/// The bundled set: under the current folder, else under the source folder that this binary was built from.
fn bundled() -> Result<PathBuf> {
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join(BUNDLED);
    [PathBuf::from(BUNDLED), built].into_iter().find(|path| path.is_file()).ok_or_else(|| {
        Failure::data(format!("the bundled set {BUNDLED} is neither here nor in {}", env!("CARGO_MANIFEST_DIR")))
            .hint("run from a checkout of reinsman, or give --data FILE")
    })
}

fn options(args: &Args) -> Result<ReadOptions> {
    let mut options = ReadOptions { skip_bad: args.skip_bad, ..ReadOptions::default() };
    for (word, label) in &args.map {
        options.map.add(&format!("{word}={label}")).map_err(|e| Failure::usage(e.to_string()))?;
    }
    for (from, to) in &args.root {
        options.roots.push(format!("{from}={to}").parse().map_err(|e: DataError| Failure::usage(e.to_string()))?);
    }
    Ok(options)
}

fn digest(files: &[PathBuf], args: &Args) -> Result<String> {
    let mut hash = Sha256::new();
    for file in files {
        // A folder or a missing file gets the reader's message.
        let bytes = if file.is_file() { std::fs::read(file).map_err(io_at(file))? } else { Vec::new() };
        hash.update(Sha256::digest(&bytes));
    }
    for (word, label) in &args.map {
        hash.update(format!("{word}={label}\0"));
    }
    Ok(short(hash.finalize()))
}

/// Rows for the ego-speed-only answer: the file that was named, or `train.jsonl` beside the data.
fn train(args: &Args, files: &[PathBuf], options: &ReadOptions) -> Result<Option<Vec<EgoRow>>> {
    let sibling = files.first().map(|file| file.with_file_name("train.jsonl"));
    let sibling = sibling.filter(|path| path.is_file() && !files.contains(path));
    let Some(path) = args.train_data.clone().or(sibling) else { return Ok(None) };
    let set = data::load(&path, options).map_err(|e| Failure::from(e).context("training data of the ego-speed row"))?;
    let rows: Vec<EgoRow> = set.samples.iter().map(ego_row).filter(|row| row.truth != Truth::default()).collect();
    match rows.is_empty() {
        true if args.train_data.is_some() => Err(Failure::data(format!("{}: no record has a label", path.display()))),
        true => Ok(None),
        false => Ok(Some(rows)),
    }
}

fn ego_row(sample: &Sample) -> EgoRow {
    EgoRow {
        speed_mps: sample.speed_mps(),
        command: match &sample.content {
            Content::Planning { ego, .. } => Some(ego.command.0.clone()),
            Content::Conversation { .. } => None,
        },
        clip: sample.clip.clone(),
        truth: Truth { speed: sample.labels.speed, path: sample.labels.path },
    }
}
