//! Demonstrations of every set: records, their pictures' features and their moments.
//!
//! ```text
//! OUT/frames/SET/  train.jsonl  val.jsonl  test.jsonl  frames/
//! ```

use super::recipe::{Recipe, Set};
use crate::{
    error::{Failure, Kind, Result, io_at},
    generate::{self, Look, Split, camera, set},
    policy::{Planner, Source, eyes::eyes, planner::Options},
    reproduce::frames::families,
    train::{
        branches::{Frames, store::Store},
        progress::Progress,
        signals::Stop,
    },
    trajectory::branches::Eyes,
};
use data::ReadOptions;
use std::{
    cell::RefCell,
    collections::BTreeMap,
    path::{Path, PathBuf},
    rc::Rc,
};

/// The sets of a reproduction. Frames are restored and encoded when they are first wanted.
pub struct Sets {
    folder: PathBuf,
    planner: Planner,
    /// Whether to stop.
    pub stop: Stop,
    /// The embedded planner's.
    pub eyes: Eyes,
    kept: RefCell<BTreeMap<(String, &'static str), Rc<Frames>>>,
}

impl Sets {
    /// Generates the records that are not there yet.
    ///
    /// # Errors
    /// Unknown families, drivers and cameras exit 2, the disk 3.
    pub fn make(recipe: &Recipe, folder: &Path, progress: &mut Progress) -> Result<Sets> {
        for one in &recipe.sets {
            let how = generate::Recipe {
                families: families(&recipe.frames.families)?,
                drivers: one.drivers()?,
                camera: camera(&recipe.frames.camera)?,
                look: Look::Both,
                seed: recipe.frames.seed,
                pool: recipe.frames.pool,
                questions: false,
            };
            let folder = folder.join(&one.name);
            std::fs::create_dir_all(&folder).map_err(io_at(&folder))?;
            let counts = [recipe.frames.train, recipe.frames.val, recipe.frames.test];
            for (split, count) in [Split::Train, Split::Val, Split::Test].into_iter().zip(counts) {
                if !set::file(&folder, split).exists() {
                    let told = &mut |n: usize| {
                        let name = &one.name;
                        progress.line(n >= count, || format!("frames: {name} {} {n}/{count}", split.as_str()));
                    };
                    set::write(&how, split, count, &folder, told)?;
                }
            }
        }
        progress.finish();
        let planner = Planner::load(&Source::resolve(None)?, &Options::default())?;
        let eyes = eyes(&planner)?;
        Ok(Sets { folder: folder.into(), planner, stop: Stop::default(), eyes, kept: RefCell::default() })
    }

    /// A part's records.
    pub fn file(&self, set: &Set, part: &str) -> PathBuf {
        self.folder.join(&set.name).join(format!("{part}.jsonl"))
    }

    /// A part's frames.
    ///
    /// # Errors
    /// Records or pictures that cannot be read.
    pub fn frames(&self, set: &Set, part: &'static str, progress: &mut Progress) -> Result<Rc<Frames>> {
        let key = (set.name.clone(), part);
        if let Some(kept) = self.kept.borrow().get(&key) {
            return Ok(Rc::clone(kept));
        }
        let samples = data::load(&self.file(set, part), &ReadOptions::default())?.samples;
        let total = samples.len();
        let told = &mut |n: usize| {
            progress.line(n >= total, || format!("{} {part}: {n}/{total} frames encoded", set.name));
            match self.stop.requested() {
                true => Err(Failure::new(Kind::Resumable, "stopped on request").hint("the same command continues")),
                false => Ok(()),
            }
        };
        let mut store = Store::of(&self.planner, &self.eyes);
        let frames = Rc::new(Frames::load(&samples, &self.planner, &mut store, told)?);
        self.kept.borrow_mut().insert(key, Rc::clone(&frames));
        Ok(frames)
    }
}
