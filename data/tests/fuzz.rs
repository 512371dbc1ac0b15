//! Readers on damaged input: every fixture, cut, spliced and overwritten at random, must be read or refused, never
//! panic, and never take more than the bounds allow.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use data::{ReadOptions, read::READERS, read_bytes};
use proptest::prelude::*;
use std::sync::LazyLock;

const FILES: [&str; 10] = [
    "record.jsonl",
    "metaad.json",
    "metaad.jsonl",
    "llava.json",
    "sharegpt.jsonl",
    "messages.jsonl",
    "drivelm.json",
    "senna.json",
    "frames.jsonl",
    "preference.jsonl",
];

static SEEDS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/data/");
    FILES.iter().map(|f| std::fs::read(format!("{folder}{f}")).unwrap()).collect()
});

const WORDS: &[&[u8]] = &[
    b"null",
    b"-1",
    b"1e999",
    b"[]",
    b"{}",
    b"\"\"",
    b"true",
    b"\"<image>\"",
    b"[[[[",
    b"}",
    b"]",
    b",",
    b"\"",
    b"\\",
    b"\n",
    b"<think>",
    b"<answer>",
    b"data:image/png;base64,",
    b"\xff",
    b"\0",
    b"0",
    b"GO_STRAIGHT",
    b"VIEW>:",
];

#[derive(Debug, Clone)]
enum Damage {
    Cut(f64),
    Drop(f64, usize),
    Put(f64, usize),
    Copy(f64, f64, usize),
    Byte(f64, u8),
}

fn damage() -> impl Strategy<Value = Damage> {
    let at = || 0.0..1.0f64;
    prop_oneof![
        at().prop_map(Damage::Cut),
        (at(), 1..200usize).prop_map(|(a, n)| Damage::Drop(a, n)),
        (at(), 0..WORDS.len()).prop_map(|(a, w)| Damage::Put(a, w)),
        (at(), at(), 1..300usize).prop_map(|(a, b, n)| Damage::Copy(a, b, n)),
        (at(), any::<u8>()).prop_map(|(a, b)| Damage::Byte(a, b)),
    ]
}

fn apply(bytes: &mut Vec<u8>, damage: &Damage) {
    let at = |f: f64, n: usize| ((n as f64 * f) as usize).min(n.saturating_sub(1));
    let n = bytes.len();
    if n == 0 {
        return;
    }
    match *damage {
        Damage::Cut(a) => bytes.truncate(at(a, n)),
        Damage::Drop(a, len) => drop(bytes.drain(at(a, n)..(at(a, n) + len).min(n))),
        Damage::Put(a, w) => drop(bytes.splice(at(a, n)..at(a, n), WORDS[w].iter().copied())),
        Damage::Copy(a, b, len) => {
            let piece = bytes[at(b, n)..(at(b, n) + len).min(n)].to_vec();
            drop(bytes.splice(at(a, n)..at(a, n), piece));
        }
        Damage::Byte(a, b) => bytes[at(a, n)] = b,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..Default::default() })]
    #[test]
    fn damaged_files_never_panic(
        file in 0..FILES.len(),
        reader in 0..READERS.len() + 1,
        damages in prop::collection::vec(damage(), 0..6),
        skip_bad in any::<bool>(),
    ) {
        let mut bytes = SEEDS[file].clone();
        damages.iter().for_each(|d| apply(&mut bytes, d));
        let format = READERS.get(reader).map(|r| r.name().to_owned());
        let options = ReadOptions { format, skip_bad, ..Default::default() };
        match read_bytes("fuzz.json", &bytes, &options) {
            Ok(set) => for sample in &set.samples {
                prop_assert!(!sample.id.is_empty());
                prop_assert!(sample.images.len() <= 64);
                // What was read can be written, and what was written is read as the same.
                let line = data::record::to_value(sample, std::path::Path::new("")).to_string();
                let again = read_bytes("fuzz.json", line.as_bytes(), &ReadOptions {
                    format: Some("record".into()), ..Default::default()
                });
                if !sample.images.is_empty() {
                    let again = again.unwrap();
                    prop_assert_eq!(&again.samples[0].labels, &sample.labels);
                    prop_assert_eq!(&again.samples[0].content, &sample.content);
                    prop_assert_eq!(&again.samples[0].pair, &sample.pair);
                }
            },
            Err(e) => prop_assert!(!e.to_string().is_empty() && e.to_string().len() < 4000, "{}", e),
        }
    }

    #[test]
    fn damaged_poses_never_panic(damages in prop::collection::vec(damage(), 0..6)) {
        let mut bytes = b"clip,t,x,y,heading,speed,frame\n".to_vec();
        for i in 0..30 {
            bytes.extend(format!("a,{},{},0.5,0.01,{i},f{i}.jpg\n", i as f64 * 0.3, i * 3).bytes());
        }
        damages.iter().for_each(|d| apply(&mut bytes, d));
        if let Ok(samples) = data::poses::read("p.csv", &bytes) {
            for pose in samples.iter().filter_map(|s| s.labels.future.as_ref()).flat_map(|f| &f.poses) {
                prop_assert!(pose.x.is_finite() && pose.y.is_finite() && pose.heading.is_finite());
            }
        }
    }

    #[test]
    fn any_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = read_bytes("fuzz", &bytes, &ReadOptions::default());
    }
}
