//! `il` and `pair` as people run them, on small branches and frames of the simulator.
//!
//! `isolation`: what learns beside the imitation head leaves it alone. `resume`: a run that was cut or stopped ends in the
//! bytes of one that was not. `broken`: numbers that are not finite. `table`: thresholds and the rows at the end. `scoring`:
//! what drives are worth. `cache`: features on disk. `errors`: what is refused.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod broken;
mod cache;
mod errors;
mod isolation;
mod resume;
mod scoring;
mod table;
#[path = "../toy/mod.rs"]
mod toy;

use reinsman::{
    policy::{Planner, Source, planner::Options},
    settings::{Draft, Settings},
    train::branches::{Frames, Store},
};
use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};
use toy::{GENERATE, SMALL, Toy, copy, tree};

/// The three ways of learning, each with what it is run by.
const WAYS: [(&str, &[&str]); 3] = [("il", &[]), ("pair", &[]), ("pair", &["pair.mode=sequential"])];

/// Frames that are made once for all tests: 24 to learn from, 12 held out.
fn generated() -> &'static Path {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    MADE.get_or_init(|| {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("branches");
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir).unwrap();
        let made = Command::new(env!("CARGO_BIN_EXE_reinsman")).args(GENERATE).current_dir(&dir).output().unwrap();
        assert!(made.status.success(), "{made:?}");
        dir.join("frames")
    })
}

/// A toy model beside a copy of the frames.
fn toy() -> Toy {
    let toy = Toy::new();
    copy(generated(), &toy.path("frames"));
    toy
}

/// Small branches with more settings.
fn settings(more: &[&str]) -> Settings {
    let mut draft = Draft::new();
    SMALL.iter().chain(more).for_each(|set| draft.set(set).unwrap());
    draft.finish().unwrap().0
}

/// The toy model, and the frames to learn from as it sees them.
fn seen(toy: &Toy) -> (Planner, Frames) {
    let source = Source::resolve(Some(&toy.path("model"))).unwrap();
    let planner = Planner::load(&source, &Options::default()).unwrap();
    let samples = data::load(&toy.path("frames/train.jsonl"), &Default::default()).unwrap().samples;
    let frames = Frames::load(&samples, &planner, &mut Store::none(), &mut |_| Ok(())).unwrap();
    (planner, frames)
}

/// A file of the newest checkpoint of a run.
fn newest(run: &Path, file: &str) -> Vec<u8> {
    let last = std::fs::read_link(run.join("ckpt/latest")).unwrap();
    tree(&run.join("ckpt").join(last)).remove(file).unwrap_or_else(|| panic!("no {file} in {}", run.display()))
}
