//! The per-sample log `samples.jsonl`: one line per finished sample, appended and never rewritten, the only source of
//! every summary.
//!
//! What a kill at any byte leaves behind is a prefix of the file, so at most the last line is torn: the reader drops
//! and counts it, the writer cuts it off and continues. A sample logged twice counts once (the first line). Lines of
//! another run digest are refused, because mixing two models in one table is worse than stopping.

use crate::metrics::Truth;
use scene::{Mode, ParseFailure, Plan, parse};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

/// One finished sample.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// The sample's id; unique in its set. First in the line, which is how a log is recognised.
    pub id: String,
    /// Digest of everything that decides the reply: model, prompt version, settings.
    pub digest: String,
    /// Digest of the rendered prompt.
    pub prompt: String,
    /// Recording the frame belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip: Option<String>,
    /// The frame's path, for the report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frame: Option<String>,
    /// Ego speed shown to the planner, m/s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speed_mps: Option<f64>,
    /// Command shown to the planner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// What was driven.
    pub truth: Truth,
    /// Annotated reasoning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<String>,
    /// Replies in sampling order; the first one is scored. Never empty.
    pub replies: Vec<Reply>,
    /// Probability of every label, per axis.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probabilities: Option<Probabilities>,
    /// Reward terms of the first reply by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub scores: BTreeMap<String, f64>,
    /// Tokens written, over all replies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<usize>,
    /// Replies that ran into the token limit.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cut: usize,
    /// Wall time of this sample.
    pub seconds: f64,
}

fn is_zero(n: &usize) -> bool {
    *n == 0
}

/// Label probabilities; each map sums to 1.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Probabilities {
    /// By speed label.
    pub speed: BTreeMap<String, f64>,
    /// By path label.
    pub path: BTreeMap<String, f64>,
}

/// A model's text and what it means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// Raw text.
    pub text: String,
    /// The plan read from it, or why there is none.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// A plan or the reason there is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Read strictly.
    Plan(Plan),
    /// Not a plan.
    Failure(ParseFailure),
}

impl Reply {
    /// Reads a text with the strict parser.
    pub fn read(text: impl Into<String>) -> Self {
        let text = text.into();
        let outcome = match parse(&text, Mode::Strict) {
            Ok(plan) => Outcome::Plan(plan),
            Err(reason) => Outcome::Failure(reason),
        };
        Reply { text, outcome }
    }

    /// The plan, if any.
    pub fn plan(&self) -> Option<&Plan> {
        match &self.outcome {
            Outcome::Plan(plan) => Some(plan),
            Outcome::Failure(_) => None,
        }
    }
}

/// Why a log cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The file system said no.
    #[error("{path}: {source}")]
    Io {
        /// The log.
        path: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
    /// Lines of another model, prompt or settings.
    #[error(
        "{path} line {line} belongs to run {found}, not to {expected}: another model, prompt version or settings; \
         choose another output folder, or move this log away to start over"
    )]
    OtherDigest {
        /// The log.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Its digest.
        found: String,
        /// The digest wanted (or of the lines before).
        expected: String,
    },
    /// The file is something else.
    #[error("{path} is not a sample log of this program; choose another output folder, or move the file away")]
    NotALog {
        /// The file.
        path: PathBuf,
    },
    /// An entry that could not be read back.
    #[error("sample {id}: {field} is {value}, which a log cannot hold; it must be {allowed}")]
    BadEntry {
        /// Sample id.
        id: String,
        /// What is wrong.
        field: String,
        /// Its value.
        value: String,
        /// What is allowed.
        allowed: &'static str,
    },
}

/// A log as read.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Log {
    /// Digest of the run; `None` for an empty log.
    pub digest: Option<String>,
    /// Finished samples in file order, every id once.
    pub entries: Vec<Entry>,
    /// Whether the last line was torn and dropped.
    pub torn: bool,
    /// Complete lines that are no entry (a damaged disk, an editor): left out, their numbers from 1.
    pub damaged: Vec<usize>,
    /// Repeated ids left out.
    pub duplicates: usize,
    /// Bytes up to the end of the last complete line.
    complete: u64,
}

impl Log {
    /// A log in memory, for example of several shards: every id once, the first one counts.
    pub fn of(digest: &str, entries: impl IntoIterator<Item = Entry>) -> Log {
        let mut log = Log { digest: Some(digest.into()), ..Log::default() };
        let mut seen = BTreeSet::new();
        for entry in entries {
            match seen.insert(entry.id.clone()) {
                true => log.entries.push(entry),
                false => log.duplicates += 1,
            }
        }
        log
    }

    /// Reads a log. A missing file is an empty log.
    ///
    /// # Errors
    /// The file cannot be read, is no log, or holds lines of a digest other than `digest` (than its own first line's,
    /// when that is `None`).
    pub fn read(path: &Path, digest: Option<&str>) -> Result<Log, LogError> {
        let mut bytes = Vec::new();
        // A device or a pipe may never end.
        if std::fs::metadata(path).is_ok_and(|m| !m.is_file()) {
            return Err(LogError::NotALog { path: path.into() });
        }
        match File::open(path).and_then(|mut f| f.read_to_end(&mut bytes)) {
            Ok(_) => Log::from_bytes(path, &bytes, digest),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(Log::default()),
            Err(source) => Err(LogError::Io { path: path.into(), source }),
        }
    }

    /// Reads a log's bytes; `path` is for messages.
    ///
    /// # Errors
    /// As [`Log::read`].
    pub fn from_bytes(path: &Path, bytes: &[u8], digest: Option<&str>) -> Result<Log, LogError> {
        const START: &[u8] = b"{\"id\":";
        let common = START.len().min(bytes.len());
        if bytes.get(..common) != START.get(..common) {
            return Err(LogError::NotALog { path: path.into() });
        }
        let end = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
        let (lines, rest) = bytes.split_at(end);
        let mut log = Log { torn: !rest.is_empty(), complete: end as u64, ..Log::default() };
        let mut seen = BTreeSet::new();
        let mut expected = digest.map(str::to_owned);
        for (number, line) in lines.split(|b| *b == b'\n').enumerate() {
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            let entry = match serde_json::from_slice::<Entry>(line) {
                Ok(entry) if check(&entry).is_ok() => entry,
                _ => {
                    log.damaged.push(number + 1);
                    continue;
                }
            };
            match &expected {
                Some(expected) if *expected != entry.digest => {
                    return Err(LogError::OtherDigest {
                        path: path.into(),
                        line: number + 1,
                        found: entry.digest,
                        expected: expected.clone(),
                    });
                }
                Some(_) => {}
                None => expected = Some(entry.digest.clone()),
            }
            if seen.insert(entry.id.clone()) {
                log.entries.push(entry);
            } else {
                log.duplicates += 1;
            }
        }
        if log.entries.is_empty() && !log.damaged.is_empty() {
            return Err(LogError::NotALog { path: path.into() });
        }
        log.digest = log.entries.first().map(|e| e.digest.clone());
        Ok(log)
    }

    /// The ids that are not finished yet, in the order given.
    pub fn pending<'a>(&self, ids: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
        let done: BTreeSet<&str> = self.entries.iter().map(|e| e.id.as_str()).collect();
        ids.into_iter().filter(|id| !done.contains(id)).collect()
    }
}

/// Appends to a log. One writer at a time: the caller locks the folder.
#[derive(Debug)]
pub struct Writer {
    path: PathBuf,
    file: File,
    digest: String,
    /// Bytes known to be whole lines.
    length: u64,
}

impl Writer {
    /// Opens or creates a log to continue it: reads what is finished and cuts off a torn last line.
    ///
    /// # Errors
    /// As [`Log::read`], or the file cannot be written. Nothing is changed on an error.
    pub fn open(path: &Path, digest: &str) -> Result<(Writer, Log), LogError> {
        let log = Log::read(path, Some(digest))?;
        let io = |source| LogError::Io { path: path.into(), source };
        let file = OpenOptions::new().create(true).append(true).open(path).map_err(io)?;
        if log.torn {
            file.set_len(log.complete).map_err(io)?;
        }
        Ok((Writer { path: path.into(), file, digest: digest.into(), length: log.complete }, log))
    }

    /// Appends a finished sample as one line. After a failed write the file is cut back to whole lines.
    ///
    /// # Errors
    /// An entry that could not be read back (other digest, non-finite number, no reply), or the write failed.
    pub fn append(&mut self, entry: &Entry) -> Result<(), LogError> {
        check(entry)?;
        if entry.digest != self.digest {
            return Err(bad(entry, "digest", &entry.digest, "the digest the log was opened with"));
        }
        let io = |source| LogError::Io { path: self.path.clone(), source };
        let mut line = serde_json::to_vec(entry).map_err(|e| io(e.into()))?;
        line.push(b'\n');
        if let Err(e) = self.file.write_all(&line) {
            // Best effort: should this fail too, the torn line is dropped on the next start.
            let _ = self.file.set_len(self.length);
            return Err(io(e));
        }
        self.length += line.len() as u64;
        Ok(())
    }

    /// Makes everything appended so far survive a power cut.
    ///
    /// # Errors
    /// The sync failed.
    pub fn sync(&mut self) -> Result<(), LogError> {
        self.file.sync_data().map_err(|source| LogError::Io { path: self.path.clone(), source })
    }
}

fn bad(entry: &Entry, field: impl Into<String>, value: impl ToString, allowed: &'static str) -> LogError {
    LogError::BadEntry { id: entry.id.clone(), field: field.into(), value: value.to_string(), allowed }
}

/// JSON has no NaN: such a number would come back as null and the line would be lost.
fn check(entry: &Entry) -> Result<(), LogError> {
    if entry.id.is_empty() {
        return Err(bad(entry, "id", "empty", "a text"));
    }
    if entry.replies.is_empty() {
        return Err(bad(entry, "replies", "empty", "at least one reply"));
    }
    let fixed = [("seconds", Some(entry.seconds)), ("speed_mps", entry.speed_mps)];
    let fixed = fixed.into_iter().filter_map(|(name, v)| Some((name, v?)));
    let scores = entry.scores.iter().map(|(name, v)| (name.as_str(), *v));
    let probabilities = entry.probabilities.iter().flat_map(|p| p.speed.iter().chain(&p.path));
    let mut all = fixed.chain(scores).chain(probabilities.map(|(name, v)| (name.as_str(), *v)));
    match all.find(|(_, v)| !v.is_finite()) {
        Some((name, v)) => Err(bad(entry, name, v, "a finite number")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_full_disk_is_an_error_with_the_path() {
        // /dev/full accepts the open and refuses every byte.
        let path = PathBuf::from("/dev/full");
        let Ok(file) = OpenOptions::new().append(true).open(&path) else {
            println!("skipped: no /dev/full here");
            return;
        };
        let mut writer = Writer { path, file, digest: "d".into(), length: 0 };
        let entry = Entry {
            id: "a".into(),
            digest: "d".into(),
            prompt: String::new(),
            clip: None,
            frame: None,
            speed_mps: None,
            command: None,
            truth: Truth::default(),
            reasoning: None,
            replies: vec![Reply::read("<answer>KEEP, STRAIGHT</answer>")],
            probabilities: None,
            scores: BTreeMap::new(),
            tokens: None,
            cut: 0,
            seconds: 0.0,
        };
        let e = writer.append(&entry).unwrap_err();
        assert!(matches!(&e, LogError::Io { source, .. } if source.kind() == ErrorKind::StorageFull), "{e}");
        assert_eq!(writer.length, 0);
    }
}
