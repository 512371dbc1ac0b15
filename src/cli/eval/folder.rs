//! Where the results of an evaluation go, and to which run they belong.
//!
//! ```text
//! out/eval/NAME/  eval.json  samples.jsonl  samples-blind.jsonl  sight.json  bad.json  lock
//!                 summary.json  report.md  report.html  (released.json)
//! ```
//! `eval.json` says what decides the replies: model, prompt, data, decoding; its digest is in every line of the logs. A
//! folder holds one such run. When the default folder belongs to another one, for example to an earlier checkpoint, the
//! results go to a folder inside it that is named by the digest, so that nothing mixes and nothing is overwritten. A
//! folder that was named with `--out` is refused instead: a script would read the older summary there.

use super::{Args, set::Set};
use crate::{
    error::{Failure, Result, io_at},
    files::{RealFs, write_atomic},
    policy::{Decoding, Planner, digest::short, evaluate::Book, evaluate::log_failure},
    train::{lock::Lock, progress::Progress},
};
use ::eval::{Log, Writer};
use serde_json::{Map, Value, json};
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

const ABOUT: &str = "eval.json";

/// What decides the replies.
pub(super) struct Identity {
    /// Of everything in `decides`.
    pub digest: String,
    decides: Map<String, Value>,
    told: Map<String, Value>,
}

impl Identity {
    /// The identity of this run.
    ///
    /// # Errors
    /// Model files that can no longer be read.
    pub fn of(args: &Args, decoding: &Decoding, set: &Set, planner: Option<&Planner>) -> Result<Identity> {
        let sampling = &decoding.sampling;
        let mut decides = json!({
            "model": planner.map(Planner::digest).transpose()?,
            "answer": args.answer,
            "prompt_version": planner.map(|p| p.prompts.version()),
            "think": !args.no_think,
            "samples": args.samples,
            "temperature": if sampling.do_sample { sampling.temperature } else { 0.0 },
            "seed": if sampling.do_sample { decoding.seed } else { 0 },
            "max_new_tokens": decoding.max_new_tokens,
            "data": set.digest,
        });
        // A GPU rounds to other replies; on the processor they are what they always were.
        if let Some(vlm) = planner.map(|planner| &planner.vlm).filter(|vlm| !vlm.device().is_cpu()) {
            decides["arithmetic"] = format!("{} on a GPU", vlm.dtype().as_str()).into();
        }
        let told = json!({
            "model": planner.map_or_else(|| "constant answer".into(), Planner::name),
            "data": set.files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>(),
            "version": env!("CARGO_PKG_VERSION"),
        });
        let object = |value: Value| if let Value::Object(map) = value { map } else { Map::new() };
        let digest = short(decides.to_string());
        Ok(Identity { digest, decides: object(decides), told: object(told) })
    }

    /// Digest of a log: the blind replies are another run than the seeing ones.
    pub fn log_digest(&self, blind: bool) -> String {
        if blind { format!("{}-blind", self.digest) } else { self.digest.clone() }
    }

    fn to_json(&self) -> String {
        format!("{:#}\n", json!({ "digest": self.digest, "decides": self.decides, "about": self.told }))
    }
}

/// A result folder that this process may write.
pub(super) struct Folder {
    /// The folder.
    pub dir: PathBuf,
    /// What a person should know about the choice.
    pub notes: Vec<String>,
    _lock: Lock,
}

impl Folder {
    /// Chooses and locks the folder and writes `eval.json`.
    ///
    /// # Errors
    /// Exit 2 when a folder given with `--out` belongs to another run, exit 3 when it is in use or not writable.
    pub fn claim(args: &Args, set: &Set, identity: &Identity) -> Result<Folder> {
        let base = args.out.clone().unwrap_or_else(|| default_folder(args, set));
        let mut notes = Vec::new();
        let dir = match other_run(&base, identity)? {
            None => base,
            Some(differences) if args.out.is_some() => return Err(taken(&base, &differences)),
            Some(differences) => {
                let inner = base.join(&identity.digest);
                let note = format!("{} holds an evaluation with another {differences}", base.display());
                notes.push(format!("{note}; this one goes to {}", inner.display()));
                inner
            }
        };
        let lock = Lock::acquire(&dir)?;
        if let Some(differences) = other_run(&dir, identity)? {
            return Err(taken(&dir, &differences));
        }
        write_atomic(&RealFs, &dir.join(ABOUT), identity.to_json().as_bytes())?;
        Ok(Folder { dir, notes, _lock: lock })
    }

    /// A file of the folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Opens a log to continue it and says what was found.
    ///
    /// # Errors
    /// A log of another run, or one that cannot be read or written.
    pub fn book(&self, identity: &Identity, blind: bool, progress: &mut Progress) -> Result<Book> {
        let (path, digest) = (self.file(log_name(blind)), identity.log_digest(blind));
        let (writer, log) = Writer::open(&path, &digest).map_err(log_failure)?;
        if log.torn {
            progress.note(&format!("{}: the last line was cut off; that sample is asked again", path.display()));
        }
        if !log.damaged.is_empty() {
            let lines: Vec<String> = log.damaged.iter().take(8).map(usize::to_string).collect();
            let lines = lines.join(", ");
            progress.note(&format!("{} is damaged in line {lines}; those samples are asked again", path.display()));
        }
        if !log.entries.is_empty() {
            progress.note(&format!("continuing {}: {} samples are finished", path.display(), log.entries.len()));
        }
        Ok(Book { log, writer, digest })
    }

    /// What a log holds of this set: the whole file is read again, so that totals never depend on how often the run was
    /// stopped. `None` when there is nothing of it.
    ///
    /// # Errors
    /// As [`Self::book`].
    pub fn read(&self, identity: &Identity, blind: bool, set: &Set) -> Result<Option<Log>> {
        let digest = identity.log_digest(blind);
        let log = Log::read(&self.file(log_name(blind)), Some(&digest)).map_err(log_failure)?;
        let asked: BTreeSet<&str> = set.samples.iter().map(|sample| sample.id.as_str()).collect();
        let log = Log::of(&digest, log.entries.into_iter().filter(|entry| asked.contains(entry.id.as_str())));
        Ok(Some(log).filter(|log| !log.entries.is_empty()))
    }
}

fn log_name(blind: bool) -> &'static str {
    if blind { "samples-blind.jsonl" } else { "samples.jsonl" }
}

/// Beside the run that is evaluated, else under `out`.
fn default_folder(args: &Args, set: &Set) -> PathBuf {
    let run = args.model.as_deref().filter(|dir| dir.join("run.json").is_file() || dir.join("ckpt").is_dir());
    let base = run.map_or_else(|| PathBuf::from("out/eval"), |run| run.join("eval"));
    base.join(if args.answer.is_some() { set.stem() + "-constant" } else { set.stem() })
}

/// In what the run of a folder differs from this one; `None` when it is the same or nothing is finished there.
fn other_run(dir: &Path, identity: &Identity) -> Result<Option<String>> {
    let path = dir.join(ABOUT);
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(io_at(&path)(e)),
    };
    let about: Value = serde_json::from_slice(&bytes).map_err(|e| {
        Failure::data(format!("{}: {e}", path.display())).hint("move the folder away or choose another --out")
    })?;
    let started = [false, true].iter().any(|blind| dir.join(log_name(*blind)).metadata().is_ok_and(|m| m.len() > 0));
    if about.get("digest").and_then(Value::as_str) == Some(&identity.digest) || !started {
        return Ok(None);
    }
    let was = |key: &str| about.get("decides").and_then(|d| d.get(key)).cloned().unwrap_or(Value::Null);
    let keys: Vec<&str> =
        identity.decides.iter().filter(|(key, value)| was(key) != **value).map(|(key, _)| key.as_str()).collect();
    Ok(Some(if keys.is_empty() { "layout".into() } else { keys.join(", ") }))
}

fn taken(dir: &Path, differences: &str) -> Failure {
    Failure::usage(format!("{} holds an evaluation with another {differences}", dir.display()))
        .hint("choose another --out, or remove the folder to start over")
}

/// The command as it was typed, to be typed again.
pub(super) fn command_line() -> String {
    let plain =
        |word: &str| !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || "-_./=:,+".contains(c));
    let quoted = |word: String| if plain(&word) { word } else { format!("'{}'", word.replace('\'', r"'\''")) };
    let words = std::env::args_os().skip(1).map(|word| quoted(word.to_string_lossy().into_owned()));
    ["reinsman".to_owned()].into_iter().chain(words).collect::<Vec<_>>().join(" ")
}
