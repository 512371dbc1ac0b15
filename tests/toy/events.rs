//! Reads TensorBoard's event files: records with their CRCs, and the few fields of an event that scalars need.

use serde_json::Value;
use std::{collections::BTreeMap, path::Path};

/// Step and scalars of every event of a run, which must have exactly one file; all CRCs must hold.
pub fn events(run: &Path) -> Vec<(u64, BTreeMap<String, f32>)> {
    let files: Vec<_> = super::tree(run).into_iter().filter(|(name, _)| name.contains("tfevents")).collect();
    let [(name, bytes)] = &files[..] else { panic!("{} event files in {}", files.len(), run.display()) };
    assert!(name.starts_with("events.out.tfevents."), "{name}");
    let (mut rest, mut found) = (&bytes[..], Vec::new());
    while !rest.is_empty() {
        let length = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
        let crc = |at: usize| u32::from_le_bytes(rest[at..at + 4].try_into().unwrap());
        assert_eq!(crc(8), masked_crc(&rest[..8]), "{name}: length of event {}", found.len());
        let data = &rest[12..12 + length];
        assert_eq!(crc(12 + length), masked_crc(data), "{name}: event {}", found.len());
        found.push(fields(data));
        rest = &rest[16 + length..];
    }
    let version = found.remove(0);
    assert_eq!(version.iter().find(|(number, _)| *number == 3).unwrap().1, b"brain.Event:2");
    found.iter().map(|event| (varint(&mut &only(event, 2)[..]), scalars(only(event, 5)))).collect()
}

/// Fails unless the events are the numbers of the lines of `metrics.jsonl`.
#[track_caller]
pub fn assert_events(run: &Path) {
    let (events, lines) = (events(run), super::metrics(run));
    assert_eq!(events.len(), lines.len(), "{}", run.display());
    for ((step, scalars), line) in events.iter().zip(&lines) {
        let mut want = BTreeMap::new();
        for (name, value) in line.as_object().unwrap().iter().filter(|(name, _)| *name != "step") {
            let tag = name.strip_prefix("eval_").map_or(format!("train/{name}"), |rest| format!("eval/{rest}"));
            numbers(tag, value, &mut want);
        }
        assert_eq!((Some(*step), scalars), (line["step"].as_u64(), &want));
        assert!(!want.is_empty());
    }
}

fn numbers(tag: String, value: &Value, out: &mut BTreeMap<String, f32>) {
    match value {
        Value::Number(x) => drop(out.insert(tag, x.as_f64().unwrap() as f32)),
        Value::Object(all) => all.iter().for_each(|(name, value)| numbers(format!("{tag}/{name}"), value, out)),
        _ => {}
    }
}

/// Tag and `simple_value` of every value of a summary.
fn scalars(summary: &[u8]) -> BTreeMap<String, f32> {
    let value = |(number, bytes): (u64, Vec<u8>)| {
        assert_eq!(number, 1);
        let value = fields(&bytes);
        let x = f32::from_le_bytes(only(&value, 2).try_into().unwrap());
        (String::from_utf8(only(&value, 1).to_vec()).unwrap(), x)
    };
    fields(summary).into_iter().map(value).collect()
}

fn only(fields: &[(u64, Vec<u8>)], number: u64) -> &[u8] {
    &fields.iter().find(|(n, _)| *n == number).unwrap_or_else(|| panic!("no field {number} in {fields:?}")).1
}

/// Number and raw bytes of every field of a message.
fn fields(mut data: &[u8]) -> Vec<(u64, Vec<u8>)> {
    let mut found = Vec::new();
    while !data.is_empty() {
        let key = varint(&mut data);
        let size = match key & 7 {
            0 => data.iter().position(|byte| byte & 0x80 == 0).unwrap() + 1,
            1 => 8,
            2 => varint(&mut data) as usize,
            5 => 4,
            other => panic!("wire type {other}"),
        };
        let (bytes, rest) = data.split_at(size);
        found.push((key >> 3, bytes.to_vec()));
        data = rest;
    }
    found
}

fn varint(data: &mut &[u8]) -> u64 {
    let mut x = 0;
    for shift in (0..).step_by(7) {
        let (byte, rest) = data.split_first().unwrap();
        *data = rest;
        x |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        }
    }
    x
}

/// By the table of the polynomial, unlike the program's.
fn masked_crc(bytes: &[u8]) -> u32 {
    let table: Vec<u32> = (0..256u32)
        .map(|i| (0..8).fold(i, |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 }))
        .collect();
    let crc = !bytes.iter().fold(!0u32, |crc, byte| table[((crc ^ u32::from(*byte)) & 255) as usize] ^ (crc >> 8));
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}
