//! `metrics.jsonl`: one line per step, appended with one write each, so that a kill can tear at most the last line.
//!
//! A checkpoint records [`Metrics::offset`]; resuming cuts the file back to it, so no step appears twice. A write that
//! failed half-way (full disk) is cut off before the next one. Every line also goes to the event file of
//! [`super::tensorboard`].

use super::tensorboard::Events;
use crate::error::{Failure, Result, io_at};
use serde::Serialize;
use std::{
    fs::{File, OpenOptions},
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
};

/// The open file.
#[derive(Debug)]
pub struct Metrics {
    file: File,
    path: PathBuf,
    offset: u64,
    events: Option<Events>,
}

/// The file as read.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Lines {
    /// Every whole line.
    pub lines: Vec<serde_json::Value>,
    /// Whether a torn last line was left out.
    pub torn: bool,
}

impl Metrics {
    /// A new, empty file.
    ///
    /// # Errors
    /// Exit 3.
    pub fn create(path: &Path) -> Result<Self> {
        Self::open(path, 0).map(|(metrics, _)| metrics)
    }

    /// Opens the file and cuts it, with the event file in the same folder, to `offset` bytes. If it is shorter than that
    /// (power loss), it is cut to its last whole line; the second value is then the number of bytes that are missing.
    ///
    /// # Errors
    /// Exit 3.
    pub fn open(path: &Path, offset: u64) -> Result<(Self, u64)> {
        let (mut metrics, missing) = Self::plain(path, offset)?;
        let text = std::fs::read(path).map_err(io_at(path))?;
        let lines = text.split_inclusive(|b| *b == b'\n');
        let kept: Vec<_> = lines.map(|line| serde_json::from_slice(line).unwrap_or_default()).collect();
        metrics.events = Some(Events::open(path.parent().unwrap_or(Path::new(".")), &kept)?);
        Ok((metrics, missing))
    }

    /// [`Self::open`] for another file of lines, of which TensorBoard shows nothing.
    ///
    /// # Errors
    /// Exit 3.
    pub fn plain(path: &Path, offset: u64) -> Result<(Self, u64)> {
        let file = OpenOptions::new().append(true).create(true).open(path).map_err(io_at(path))?;
        let length = file.metadata().map_err(io_at(path))?.len();
        let kept = if length >= offset { offset } else { whole_lines(path)? };
        file.set_len(kept).map_err(io_at(path))?;
        Ok((Metrics { file, path: path.into(), offset: kept, events: None }, offset - kept))
    }

    /// Appends one line. Numbers that are not finite become `null`.
    ///
    /// # Errors
    /// Exit 3; the file then ends with the line before.
    pub fn write(&mut self, line: &impl Serialize) -> Result<()> {
        let mut text = serde_json::to_vec(line).map_err(|e| Failure::data(format!("metrics: {e}")))?;
        text.push(b'\n');
        if let Err(e) = self.file.write_all(&text) {
            let _ = self.file.set_len(self.offset);
            return Err(io_at(&self.path)(e));
        }
        self.offset += text.len() as u64;
        match &mut self.events {
            Some(events) => events.write(&serde_json::from_slice(&text).unwrap_or_default()),
            None => Ok(()),
        }
    }

    /// Makes what was written durable and returns its length, for the checkpoint.
    ///
    /// # Errors
    /// Exit 3.
    pub fn offset(&mut self) -> Result<u64> {
        self.file.sync_data().map_err(io_at(&self.path))?;
        Ok(self.offset)
    }
}

/// Reads a file that may still be written to.
///
/// # Errors
/// Exit 3 when it cannot be read or a line other than the last is not JSON (with its number).
pub fn read(path: &Path) -> Result<Lines> {
    let mut reader = BufReader::new(File::open(path).map_err(io_at(path))?);
    let mut found = Lines::default();
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        if reader.read_until(b'\n', &mut line).map_err(io_at(path))? == 0 {
            break;
        }
        match serde_json::from_slice(&line) {
            Ok(value) if line.ends_with(b"\n") => found.lines.push(value),
            _ if !line.ends_with(b"\n") => found.torn = true,
            Ok(_) => {}
            Err(e) => return Err(Failure::data(format!("{} line {number} is not JSON: {e}", path.display()))),
        }
    }
    Ok(found)
}

fn whole_lines(path: &Path) -> Result<u64> {
    let bytes = std::fs::read(path).map_err(io_at(path))?;
    Ok(bytes.iter().rposition(|b| *b == b'\n').map_or(0, |i| i as u64 + 1))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use serde_json::json;

    fn steps(path: &Path) -> Vec<u64> {
        read(path).unwrap().lines.iter().map(|l| l["step"].as_u64().unwrap()).collect()
    }

    #[test]
    fn resuming_at_a_recorded_offset_repeats_no_step() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("metrics.jsonl");
        let mut metrics = Metrics::create(&path).unwrap();
        let events = || {
            let files = crate::files::names(dir.path()).unwrap();
            let found: Vec<_> = files.into_iter().filter(|(name, _)| name.contains("tfevents")).collect();
            assert_eq!(found.len(), 1, "{found:?}");
            std::fs::metadata(&found[0].1).unwrap().len()
        };
        let (empty, mut two) = (events(), 0);
        let mut at_two = 0;
        for step in 1..=4 {
            metrics.write(&json!({"step": step, "loss": 1.0 / step as f64})).unwrap();
            if step == 2 {
                (at_two, two) = (metrics.offset().unwrap(), events());
            }
        }
        drop(metrics);
        // Killed in the middle of step 5's line.
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"step\": 5, \"lo").unwrap();
        assert_eq!(steps(&path), [1, 2, 3, 4]);
        assert!(read(&path).unwrap().torn);
        let (mut metrics, missing) = Metrics::open(&path, at_two).unwrap();
        assert_eq!((missing, events()), (0, two), "{empty} bytes without an event");
        metrics.write(&json!({"step": 3, "loss": f64::NAN})).unwrap();
        assert_eq!(steps(&path), [1, 2, 3]);
        assert!(read(&path).unwrap().lines[2]["loss"].is_null());
    }

    #[test]
    fn a_file_shorter_than_recorded_loses_only_its_torn_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("metrics.jsonl");
        std::fs::write(&path, "{\"step\":1}\n{\"st").unwrap();
        let (mut metrics, missing) = Metrics::open(&path, 100).unwrap();
        assert_eq!(missing, 89);
        metrics.write(&json!({"step": 2})).unwrap();
        assert_eq!(steps(&path), [1, 2]);
    }

    #[test]
    fn a_bad_line_in_the_middle_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("metrics.jsonl");
        std::fs::write(&path, "{\"step\":1}\noops\n{\"step\":2}\n").unwrap();
        assert!(read(&path).unwrap_err().message.contains("line 2 is not JSON"));
    }
}
