//! The run folder: who may write it, what is in it, and how a run is continued.
//!
//! ```text
//! runs/NAME/  run.json  config.toml (resolved)  metrics.jsonl  events.out.tfevents.*  lock  ckpt/step-000120/...
//! ```
//! A new run refuses a folder that already holds one with a checkpoint; a resumed run refuses settings that would change its result.

use crate::{
    error::{Failure, Result, io_at},
    files::{RealFs, write_atomic},
    settings::{Difference, Draft, Settings},
    train::{
        checkpoint::{self, Checkpoint},
        lock::{Lock, host},
        metrics::Metrics,
        progress::Progress,
    },
};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// A run folder that this process may write.
#[derive(Debug)]
pub struct Run {
    /// The folder.
    pub dir: PathBuf,
    /// Where to continue; `None` starts from the beginning.
    pub from: Option<Checkpoint>,
    /// What a person should know: skipped checkpoints, a recovered lock, changed settings.
    pub notes: Vec<String>,
    _lock: Lock,
}

/// What is written down about this start of the program.
#[derive(Debug, Clone)]
pub struct Start {
    /// The trainer, such as `sft`.
    pub verb: &'static str,
    /// Its seed.
    pub seed: u64,
    /// Device in words, such as `cpu`.
    pub device: String,
    /// Threads that compute.
    pub threads: usize,
    /// The command line.
    pub argv: Vec<String>,
}

impl Run {
    /// Starts a new run: takes the lock, writes `config.toml` and `run.json`.
    ///
    /// # Errors
    /// Exit 2 when the folder already holds a run with a checkpoint, exit 3 when it is in use or cannot be written.
    pub fn create(dir: &Path, settings: &Settings, start: &Start) -> Result<Run> {
        let lock = Lock::acquire(dir)?;
        // A start that failed before its first checkpoint, say for a mistyped model, left nothing worth keeping.
        if dir.join("run.json").exists() && Checkpoint::newest(dir)?.found.is_some() {
            let message = format!("{} already holds a run", dir.display());
            return Err(Failure::usage(message)
                .hint(format!("continue it with --resume {} or choose another --out", dir.display())));
        }
        let mut run = Run { dir: dir.into(), from: None, notes: Vec::new(), _lock: lock };
        run.note_recovered_lock();
        run.sweep()?;
        write_atomic(&RealFs, &dir.join("config.toml"), settings.to_toml().as_bytes())?;
        let about = json!({
            "program": "reinsman",
            "version": env!("CARGO_PKG_VERSION"),
            "verb": start.verb,
            "seed": start.seed,
            "config_digest": settings.digest(),
            "starts": [start.describe(None)],
        });
        // The file that makes the folder a run comes last.
        run.write_about(&about)?;
        Ok(run)
    }

    /// Continues a run from its newest complete checkpoint, or from the beginning if it has none. Settings that decide
    /// the result must be those of the run, unless `anyway`, which then replaces `config.toml`.
    ///
    /// # Errors
    /// Exit 2 listing changed settings, exit 3 when there is no run, it is in use or cannot be read.
    pub fn resume(dir: &Path, settings: &Settings, start: &Start, anyway: bool) -> Result<Run> {
        let mut about = read_about(dir)?;
        let verb = about.get("verb").and_then(Value::as_str).unwrap_or("sft");
        if verb != start.verb {
            return Err(Failure::usage(format!("{} is a run of `reinsman {verb}`", dir.display()))
                .hint(format!("continue it with: reinsman {verb} --resume {}", dir.display())));
        }
        let lock = Lock::acquire(dir)?;
        let stored = stored_settings(dir)?;
        let changed = stored.differences(settings);
        if !changed.is_empty() && !anyway {
            let message = format!("settings differ from those of {}: {}", dir.display(), list(&changed));
            return Err(Failure::usage(message).hint("leave them as they are, or add --resume-anyway"));
        }
        let newest = Checkpoint::newest(dir)?;
        let mut run = Run { dir: dir.into(), from: newest.found, notes: Vec::new(), _lock: lock };
        run.note_recovered_lock();
        run.sweep()?;
        run.notes.extend(newest.skipped.iter().map(|s| format!("skipped {}: {}", s.dir.display(), s.why)));
        if run.from.is_none() {
            run.notes.push(format!("{} has no complete checkpoint; starting from the beginning", dir.display()));
        }
        if !changed.is_empty() {
            run.notes.push(format!("continuing with changed settings: {}", list(&changed)));
        }
        if stored != *settings {
            write_atomic(&RealFs, &dir.join("config.toml"), settings.to_toml().as_bytes())?;
        }
        if let Some(starts) = about.get_mut("starts").and_then(Value::as_array_mut) {
            starts.push(start.describe(run.from.as_ref().map(|c| c.step)));
        }
        run.write_about(&about)?;
        Ok(run)
    }

    /// Opens `metrics.jsonl`, cut to the `bytes` that belong to the state of a run; 0 begins it anew.
    ///
    /// # Errors
    /// Exit 3.
    pub fn metrics(&self, bytes: u64, progress: &mut Progress) -> Result<Metrics> {
        let (metrics, missing) = Metrics::open(&self.dir.join("metrics.jsonl"), bytes)?;
        if missing > 0 {
            progress.note(&format!("metrics.jsonl lacks {missing} bytes of the steps before the checkpoint"));
        }
        Ok(metrics)
    }

    fn note_recovered_lock(&mut self) {
        if let Some(holder) = &self._lock.recovered {
            self.notes
                .push(format!("process {} on {} ended without letting go of the folder", holder.pid, holder.host));
        }
    }

    fn sweep(&mut self) -> Result<()> {
        self.notes.extend(checkpoint::sweep(&RealFs, &self.dir)?);
        Ok(())
    }

    fn write_about(&self, about: &Value) -> Result<()> {
        write_atomic(&RealFs, &self.dir.join("run.json"), format!("{about:#}\n").as_bytes())
    }
}

impl Start {
    /// This start of the program on this many threads.
    pub fn here(verb: &'static str, seed: u64, device: &str, threads: usize) -> Self {
        let argv = std::env::args_os().map(|a| a.to_string_lossy().into_owned()).collect();
        Start { verb, seed, device: device.into(), threads, argv }
    }

    fn describe(&self, from_step: Option<u64>) -> Value {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_secs());
        json!({
            "unix_time": now,
            "host": host(),
            "pid": std::process::id(),
            "version": env!("CARGO_PKG_VERSION"),
            "device": self.device,
            "threads": self.threads,
            "argv": self.argv,
            "from_step": from_step,
        })
    }
}

/// The resolved settings of a run folder, as the lowest layer of a resumed one.
///
/// # Errors
/// Exit 3 when there is no run, exit 2 when its `config.toml` is not valid.
pub fn stored_draft(dir: &Path) -> Result<Draft> {
    read_about(dir)?;
    let mut draft = Draft::new();
    draft.file(&dir.join("config.toml"))?;
    Ok(draft)
}

fn stored_settings(dir: &Path) -> Result<Settings> {
    Ok(stored_draft(dir)?.finish()?.0)
}

fn read_about(dir: &Path) -> Result<Value> {
    let path = dir.join("run.json");
    let text = std::fs::read_to_string(&path).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => {
            Failure::data(format!("{} is not a run folder: it has no run.json", dir.display()))
                .hint("start a run with: reinsman sft --data FILE --out DIR")
        }
        _ => io_at(&path)(e),
    })?;
    serde_json::from_str(&text).map_err(|e| Failure::data(format!("{}: {e}", path.display())))
}

fn list(changed: &[Difference]) -> String {
    let parts: Vec<_> = changed.iter().map(|d| format!("{} was {} and is {}", d.key, d.left, d.right)).collect();
    parts.join("; ")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use crate::train::checkpoint::Content;

    fn start() -> Start {
        Start { verb: "sft", seed: 42, device: "cpu".into(), threads: 2, argv: vec!["reinsman".into(), "sft".into()] }
    }

    #[test]
    fn a_run_is_created_once_and_resumed_from_its_newest_checkpoint() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("a");
        let settings = Settings::default();
        assert!(Run::resume(&dir, &settings, &start(), false).unwrap_err().message.contains("is not a run folder"));
        let run = Run::create(&dir, &settings, &start()).unwrap();
        assert!(Run::resume(&dir, &settings, &start(), false).unwrap_err().message.contains("is in use by process"));
        Checkpoint::publish(&RealFs, &dir, 3, &[("x", Content::Bytes(b"1"))], &settings.digest()).unwrap();
        drop(run);
        let failure = Run::create(&dir, &settings, &start()).unwrap_err();
        assert_eq!(failure.kind.exit_code(), 2);
        assert!(failure.hint.unwrap().contains("--resume"));
        let run = Run::resume(&dir, &settings, &start(), false).unwrap();
        assert_eq!(run.from.as_ref().map(|c| c.step), Some(3));
        assert!(run.notes.is_empty(), "{:?}", run.notes);
        let about = read_about(&dir).unwrap();
        assert_eq!(about["starts"].as_array().unwrap().len(), 2);
        assert_eq!((about["seed"].as_u64(), about["starts"][1]["from_step"].as_u64()), (Some(42), Some(3)));
    }

    #[test]
    fn a_start_that_never_saved_anything_may_be_repeated() {
        let dir = tempfile::tempdir().unwrap();
        let mut settings = Settings::default();
        drop(Run::create(dir.path(), &settings, &start()).unwrap());
        settings.sft.learning_rate = 3e-4;
        drop(Run::create(dir.path(), &settings, &start()).unwrap());
        assert_eq!(stored_settings(dir.path()).unwrap(), settings);
    }

    #[test]
    fn changed_settings_are_listed_and_refused_unless_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let mut settings = Settings::default();
        drop(Run::create(dir.path(), &settings, &start()).unwrap());
        settings.sft.save_steps = 5;
        drop(Run::resume(dir.path(), &settings, &start(), false).unwrap());
        settings.sft.learning_rate = 3e-4;
        let failure = Run::resume(dir.path(), &settings, &start(), false).unwrap_err();
        assert_eq!(failure.kind.exit_code(), 2);
        assert!(failure.message.ends_with("sft.learning_rate was 1e-4 and is 3e-4"), "{failure}");
        let run = Run::resume(dir.path(), &settings, &start(), true).unwrap();
        assert!(run.notes.iter().any(|n| n.contains("changed settings")), "{:?}", run.notes);
        assert_eq!(stored_settings(dir.path()).unwrap(), settings);
    }
}
