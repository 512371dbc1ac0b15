//! Event files for TensorBoard beside `metrics.jsonl`: one event of scalar summaries per line of metrics, so that what
//! belongs to a checkpoint is a matter of counting.
//!
//! A file is a row of TFRecords: length (u64), its CRC, an `Event` message, its CRC; little endian, the CRCs CRC-32C
//! rotated and shifted ("masked"). The few fields of `tensorflow/core/util/event.proto` that scalars need are written by
//! hand. Names are those of Hugging Face's `TensorBoardCallback`: `eval_x` becomes `eval/x`, all others `train/x`.
//!
//! A run that continues copies the events of its kept lines into a new file and removes the old ones: TensorBoard, which
//! remembers how far it has read a file, then shows no step twice, also where it was running all the time.

use super::lock::host;
use crate::{
    error::{Result, io_at},
    files::{RealFs, names, write_atomic},
};
use serde_json::Value;
use std::{
    fs::{File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

/// How every event file's name begins.
const PREFIX: &str = "events.out.tfevents.";

/// The event file of a run, open for more.
#[derive(Debug)]
pub struct Events {
    file: File,
    path: PathBuf,
}

impl Events {
    /// A new event file in `dir` with one event for each of `kept`, the lines of metrics so far. Events that older files
    /// hold of these lines are taken over with their time; older files are removed.
    ///
    /// # Errors
    /// Exit 3.
    pub fn open(dir: &Path, kept: &[Value]) -> Result<Self> {
        // Also what a start that was killed here left half-written.
        let mut old: Vec<(String, PathBuf)> = names(dir)?.into_iter().filter(|(n, _)| n.contains(PREFIX)).collect();
        old.sort();
        let now = seconds();
        let mut bytes = record(&event(now, 0, &[(3, Field::Bytes(b"brain.Event:2".to_vec()))]));
        let known = match old.iter().rfind(|(name, _)| name.starts_with(PREFIX)) {
            Some((_, path)) => std::fs::read(path).map_err(io_at(path))?,
            None => Vec::new(),
        };
        let mut records = records(&known).into_iter().skip(1); // the first names the version
        for line in kept {
            match records.next() {
                Some(record) => bytes.extend_from_slice(record),
                None => bytes.extend(record(&summary(now, line))),
            }
        }
        let path = dir.join(format!("{PREFIX}{}.{}.{}", now as u64, host(), std::process::id()));
        write_atomic(&RealFs, &path, &bytes)?;
        for (_, old) in old.iter().filter(|(_, old)| *old != path) {
            std::fs::remove_file(old).map_err(io_at(old))?;
        }
        let file = OpenOptions::new().append(true).open(&path).map_err(io_at(&path))?;
        Ok(Events { file, path })
    }

    /// Appends the event of a line of metrics.
    ///
    /// # Errors
    /// Exit 3.
    pub fn write(&mut self, line: &Value) -> Result<()> {
        self.file.write_all(&record(&summary(seconds(), line))).map_err(io_at(&self.path))
    }
}

fn seconds() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64())
}

/// The event of a line: every number in it, those in objects named `outer/inner`.
fn summary(time: f64, line: &Value) -> Vec<u8> {
    let mut scalars = Vec::new();
    if let Value::Object(fields) = line {
        for (name, value) in fields.iter().filter(|(name, _)| *name != "step") {
            let tag = match name.strip_prefix("eval_") {
                Some(rest) => format!("eval/{rest}"),
                None => format!("train/{name}"),
            };
            scalars_of(tag, value, &mut scalars);
        }
    }
    let values: Vec<(u64, Field)> = scalars
        .into_iter()
        .map(|(tag, x)| (1, Field::Bytes(message(&[(1, Field::Bytes(tag.into_bytes())), (2, Field::Float(x as f32))]))))
        .collect();
    let step = line.get("step").and_then(Value::as_u64).unwrap_or(0);
    event(time, step, &[(5, Field::Bytes(message(&values)))])
}

fn scalars_of(tag: String, value: &Value, out: &mut Vec<(String, f64)>) {
    match value {
        Value::Number(x) => out.extend(x.as_f64().map(|x| (tag, x))),
        Value::Object(fields) => fields.iter().for_each(|(name, v)| scalars_of(format!("{tag}/{name}"), v, out)),
        _ => {}
    }
}

fn event(time: f64, step: u64, rest: &[(u64, Field)]) -> Vec<u8> {
    let mut bytes = message(&[(1, Field::Double(time)), (2, Field::Varint(step))]);
    bytes.extend(message(rest));
    bytes
}

/// The value of a field of a protocol buffer message.
enum Field {
    Varint(u64),
    Double(f64),
    Bytes(Vec<u8>),
    Float(f32),
}

/// Fields by their number, in the wire format of protocol buffers.
fn message(fields: &[(u64, Field)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (number, field) in fields {
        let wire = match field {
            Field::Varint(_) => 0,
            Field::Double(_) => 1,
            Field::Bytes(_) => 2,
            Field::Float(_) => 5,
        };
        varint(&mut out, (number << 3) | wire);
        match field {
            Field::Varint(x) => varint(&mut out, *x),
            Field::Double(x) => out.extend(x.to_le_bytes()),
            Field::Float(x) => out.extend(x.to_le_bytes()),
            Field::Bytes(bytes) => {
                varint(&mut out, bytes.len() as u64);
                out.extend(bytes);
            }
        }
    }
    out
}

fn varint(out: &mut Vec<u8>, mut x: u64) {
    while x >= 0x80 {
        out.push(x as u8 | 0x80);
        x >>= 7;
    }
    out.push(x as u8);
}

/// A message as a TFRecord.
fn record(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    let mut out = length.to_vec();
    out.extend(masked_crc(&length).to_le_bytes());
    out.extend(data);
    out.extend(masked_crc(data).to_le_bytes());
    out
}

/// The whole records at the beginning of a file, as they stand in it; what is torn or damaged ends them.
fn records(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut found = Vec::new();
    let number = |bytes: &[u8], at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    while let Some(length) = bytes.get(..8) {
        let size = u64::from_le_bytes([0, 1, 2, 3, 4, 5, 6, 7].map(|i| length[i]));
        let whole = usize::try_from(size).ok().and_then(|size| size.checked_add(16)).filter(|n| *n <= bytes.len());
        let Some(whole) = whole.filter(|_| number(bytes, 8) == Some(masked_crc(length))) else { break };
        if number(bytes, whole - 4) != Some(masked_crc(&bytes[12..whole - 4])) {
            break;
        }
        let (record, rest) = bytes.split_at(whole);
        found.push(record);
        bytes = rest;
    }
    found
}

/// CRC-32C (Castagnoli), rotated and shifted so that a CRC of data with CRCs in it stays a good one.
fn masked_crc(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ if crc & 1 == 1 { 0x82f6_3b78 } else { 0 })
    };
    let crc = !bytes.iter().fold(!0, step);
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use serde_json::json;

    #[test]
    fn crcs_and_records_are_those_of_the_format() {
        // RFC 3720, B.4, and the mask by hand.
        let unmasked = |bytes: &[u8]| masked_crc(bytes).wrapping_sub(0xa282_ead8).rotate_left(15);
        assert_eq!(unmasked(b"123456789"), 0xe306_9283);
        assert_eq!(unmasked(&[0; 32]), 0x8a91_36aa);
        // Event(wall_time=1.5, step=300, summary={train/a: 0.25}) by hand from the definition of the messages.
        let want = [
            &[9u8, 0, 0, 0, 0, 0, 0, 0xf8, 0x3f, 16, 0xac, 2, 42, 16, 10, 14, 10, 7][..],
            b"train/a",
            &[21, 0, 0, 0x80, 0x3e],
        ]
        .concat();
        assert_eq!(summary(1.5, &json!({"step": 300, "a": 0.25, "skipped": "text", "none": null})), want);
        let mut bytes = [record(b"one"), record(b""), record(b"three")].concat();
        assert_eq!(records(&bytes).len(), 3);
        assert_eq!(records(&bytes[..bytes.len() - 1]).len(), 2, "a torn record");
        bytes[13] ^= 1;
        assert_eq!(records(&bytes).len(), 0, "a damaged record");
    }

    #[test]
    fn what_is_kept_is_copied_and_what_is_missing_made_again() {
        let dir = tempfile::tempdir().unwrap();
        let line =
            |step: u64| json!({"step": step, "loss": 1.0 / step as f64, "eval_aux": {"bend": {"accuracy": 0.5}}});
        let mut events = Events::open(dir.path(), &[]).unwrap();
        (1..=4).for_each(|step| events.write(&line(step)).unwrap());
        let before = std::fs::read(&events.path).unwrap();
        let first = events.path.with_file_name(format!("{PREFIX}1.elsewhere.2"));
        std::fs::rename(&events.path, &first).unwrap();
        let kept: Vec<Value> = (1..=2).map(line).collect();
        let path = Events::open(dir.path(), &kept).unwrap().path;
        let after = std::fs::read(&path).unwrap();
        assert!(!first.exists() && names(dir.path()).unwrap().len() == 1);
        assert_eq!(records(&after).len(), 3);
        assert_eq!(records(&after)[1..], records(&before)[1..3], "with their times");
        // A file that lost its end, and none at all.
        std::fs::write(&path, &after[..after.len() - 3]).unwrap();
        for _ in 0..2 {
            let path = Events::open(dir.path(), &kept).unwrap().path;
            let bytes = std::fs::read(&path).unwrap();
            assert_eq!(records(&bytes).len(), 3);
            assert!(records(&bytes)[2].windows(27).any(|w| w == b"eval/aux/bend/accuracy\x15\0\0\0\x3f"));
            std::fs::remove_file(path).unwrap();
        }
    }
}
