//! The bundled real set: that it is whole, licensed, split by clip and exactly what the code makes.
//!
//! `REINSMAN_REAL_DRIVE=/path/to/index.jsonl cargo test -p reinsman-data --test samples` writes its record files anew
//! from the index they were made from.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::result_large_err, missing_docs)]

use data::{
    Dataset, Image, ReadOptions, Sample,
    check::{check, first_bytes},
    convert, label, load,
    stats::{Counts, Stats},
};
use std::path::{Path, PathBuf};

const SPLITS: [(&str, usize); 4] = [("train", 215), ("val", 43), ("test", 86), ("unlabelled", 18)];

fn folder() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "samples", "real_drive"].iter().collect()
}

fn sets() -> Vec<Dataset> {
    let read = |(split, _): &(&str, usize)| load(&folder().join(format!("{split}.jsonl")), &ReadOptions::default());
    SPLITS.iter().map(|s| read(s).unwrap()).collect()
}

fn write(sample: &Sample) -> String {
    data::record::to_value(sample, &folder()).to_string()
}

#[test]
fn a_made_anew_from_the_index_when_asked() {
    let Ok(index) = std::env::var("REINSMAN_REAL_DRIVE") else { return };
    // Frames keep their names and lie beside the record files.
    let bytes = std::fs::read(Path::new(&index)).unwrap();
    let name = folder().join("index.jsonl").display().to_string();
    let rows = data::read_bytes(&name, &bytes, &ReadOptions::default()).unwrap();
    for (split, samples) in label::real_drive_records(rows.samples) {
        let path = folder().join(format!("{split}.jsonl"));
        convert::write(&samples, convert::Format::Record, &path, &|_, _, _| Ok(String::new()), false).unwrap();
    }
}

#[test]
fn sizes_licences_and_no_leakage() {
    let sets = sets();
    for (set, (split, n)) in sets.iter().zip(SPLITS) {
        assert_eq!((set.format, set.samples.len()), ("record", n), "{split}");
        for sample in &set.samples {
            assert_eq!((sample.extra["license"].as_str(), sample.split.as_deref()), (Some("MIT"), Some(split)));
            assert_eq!(sample.images.len(), 1);
            assert_eq!(sample.is_bare(), split == "unlabelled");
        }
    }
    let report = check(&sets, Some(&first_bytes));
    assert_eq!((report.errors(), report.images), (0, 362), "{report}");
    let bytes: u64 =
        std::fs::read_dir(folder().join("frames")).unwrap().map(|f| f.unwrap().metadata().unwrap().len()).sum();
    assert!(bytes < 12 << 20, "{bytes}");
}

#[test]
fn labels_are_as_measured_and_reasoning_is_varied() {
    let sets = sets();
    let all = Stats::of(sets.iter().flat_map(|s| &s.samples));
    let counts = |pairs: &[(&str, usize)]| pairs.iter().map(|(k, n)| ((*k).into(), *n)).collect::<Counts>();
    assert_eq!(all.path, counts(&[("STRAIGHT", 261), ("LEFT_TURN", 33), ("RIGHT_TURN", 34), ("unknown", 34)]));
    assert_eq!(all.speed, counts(&[("KEEP", 145), ("ACCELERATE", 26), ("DECELERATE", 7), ("unknown", 184)]));
    assert_eq!(all.with_reasoning, 328);
    assert!(all.distinct_reasoning > 320, "{}", all.distinct_reasoning);
    // Training and test have each path class; the validation clip has no left turn.
    for set in [&sets[0], &sets[2]] {
        let stats = Stats::of(&set.samples);
        assert!(["STRAIGHT", "LEFT_TURN", "RIGHT_TURN"].iter().all(|l| stats.path.contains_key(*l)), "{stats}");
    }
}

#[test]
fn records_are_what_the_code_makes() {
    for set in sets() {
        for sample in set.samples {
            let mut again = sample.clone();
            again.aux.clear();
            label::label(&mut again, &label::Options::default());
            assert_eq!(write(&again), write(&sample));
        }
    }
}

#[test]
fn images_are_found_from_anywhere() {
    let set = &sets()[0];
    assert!(matches!(&set.samples[0].images[0], Image::File(path) if path.is_file()));
    let line = write(&set.samples[0]);
    assert!(line.contains("\"images\":[\"frames/udacity_00_000.jpg\"]"), "{line}");
}

#[test]
fn the_readme_table_is_true() {
    let readme = std::fs::read_to_string(folder().join("../README.md")).unwrap();
    for (set, (split, n)) in sets().iter().zip(SPLITS) {
        let path = set.samples.iter().filter(|s| s.labels.path.is_some()).count();
        let both = set.samples.iter().filter(|s| s.action().is_some()).count();
        let row = readme.lines().find(|l| l.starts_with(&format!("| `{split}.jsonl`"))).unwrap();
        assert!(row.ends_with(&format!("| {n} | {path} | {both} |")), "{row}: {n} {path} {both}");
    }
}
