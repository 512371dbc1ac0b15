//! Picture features that were kept on disk are those that would be made.

use super::{
    toy,
    toy::{Toy, assert_same},
};
use std::path::{Path, PathBuf};

const WORDS: &str = "were read from the cache";

fn files(folder: &Path) -> Vec<PathBuf> {
    let towers = std::fs::read_dir(folder).unwrap().map(|tower| tower.unwrap().path());
    let mut files: Vec<PathBuf> =
        towers.flat_map(|tower| std::fs::read_dir(tower).unwrap().map(|file| file.unwrap().path())).collect();
    files.sort();
    files
}

fn start(toy: &Toy, out: &str, sets: &[&str]) -> String {
    toy.run(&toy.branches("pair", out, sets)).ok().stderr
}

fn same(toy: &Toy, run: &str) {
    assert_same(run, &toy.path("fresh/ckpt/step-000006/branches"), &toy.path(run).join("ckpt/step-000006/branches"));
}

#[test]
fn kept_features_are_fresh_ones_to_the_bit() {
    let toy = toy();
    let folder = toy.path("cache/features");
    assert!(!start(&toy, "fresh", &["trajectory.cache=false"]).contains(WORDS));
    assert!(!folder.exists(), "kept although it was told not to");
    assert!(!start(&toy, "first", &[]).contains(WORDS));
    assert_eq!(files(&folder).len(), 24);
    assert!(start(&toy, "second", &[]).contains("features of 24 of 24 frames were read from the cache"));
    // Damaged, cut, empty: made anew, and nobody needs to know.
    let all = files(&folder);
    let mut bytes = std::fs::read(&all[0]).unwrap();
    bytes[20] ^= 1;
    std::fs::write(&all[0], &bytes).unwrap();
    std::fs::write(&all[1], &bytes[..50]).unwrap();
    std::fs::write(&all[2], b"").unwrap();
    std::fs::rename(&all[3], &all[4]).unwrap();
    assert!(start(&toy, "damaged", &[]).contains("features of 19 of 24 frames were read"));
    assert!(start(&toy, "repaired", &[]).contains("features of 24 of 24 frames were read"));
    ["first", "second", "damaged", "repaired"].iter().for_each(|run| same(&toy, run));
    assert_eq!(files(&folder).len(), 24, "nothing is left behind");
    // Another tower: other features.
    toy.init("model2", toy::SHAPE, &["--seed", "3"]);
    let mut other = toy.branches("pair", "other", &[]);
    other[2] = toy.text("model2");
    assert!(!toy.run(&other).ok().stderr.contains(WORDS));
    assert_eq!(files(&folder).len(), 48);
}

#[test]
fn a_cache_that_cannot_be_written_ends_nothing() {
    let toy = toy();
    start(&toy, "fresh", &["trajectory.cache=false"]);
    std::fs::write(toy.path("cache"), "a file where a folder should be").unwrap();
    let said = start(&toy, "without", &[]);
    assert_eq!(said.matches("picture features are not kept").count(), 1, "{said}");
    same(&toy, "without");
}
