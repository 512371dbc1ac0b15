//! The input of `data label`: poses over time, as CSV or JSON lines, or records that already hold a driven future.

use super::Records;
use crate::error::{Failure, Result};
use data::{Dataset, Sample};
use serde_json::Value;
use std::path::Path;

/// Name of the format of poses for `--format`; no reader of records has it.
pub const POSES: &str = "poses";
/// Largest file of poses, which is read whole.
const MAX_BYTES: u64 = 1 << 30;

/// Reads a file as poses where it holds such, as records otherwise.
pub fn read(path: &Path, records: &Records, skip_bad: bool) -> Result<Dataset> {
    let poses = match records.format.as_deref() {
        Some(format) => format == POSES,
        None => looks_like_poses(path),
    };
    if !poses {
        return Ok(data::load(path, &records.options(skip_bad)?)?);
    }
    let file = path.display().to_string();
    let bytes = std::fs::metadata(path).map_err(crate::error::io_at(path))?.len();
    if bytes > MAX_BYTES {
        return Err(Failure::data(format!("{file} has {bytes} bytes; {MAX_BYTES} are allowed for poses"))
            .hint("split it at the end of a clip"));
    }
    let bytes = std::fs::read(path).map_err(crate::error::io_at(path))?;
    let samples: Vec<Sample> = data::poses::read(&file, &bytes)?;
    Ok(Dataset { file, format: POSES, samples, problems: Vec::new() })
}

/// CSV, or JSON whose first row has a time and a place. What cannot be read is left to the reader of records, whose
/// messages are about records.
fn looks_like_poses(path: &Path) -> bool {
    use std::io::Read;
    let mut head = Vec::new();
    if std::fs::File::open(path).and_then(|file| file.take(1 << 16).read_to_end(&mut head)).is_err() {
        return false;
    }
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&head).trim_ascii_start();
    match text.first() {
        Some(b'{' | b'[') => {
            let text = text.strip_prefix(b"[").unwrap_or(text);
            let first = serde_json::Deserializer::from_slice(text).into_iter::<Value>().next();
            let Some(Ok(row)) = first else { return false };
            let has = |names: &[&str]| names.iter().any(|name| row.get(name).is_some());
            has(&["t", "t_s", "time"]) && has(&["x", "x_m"]) && has(&["y", "y_m"]) && !has(&["future"])
        }
        // A header line of comma-separated names.
        Some(_) => std::str::from_utf8(text.split(|b| *b == b'\n').next().unwrap_or(text)).is_ok_and(|line| {
            line.split(',').count() > 2 && !line.contains(|c: char| c.is_control() && c != '\r' && c != '\t')
        }),
        None => false,
    }
}
