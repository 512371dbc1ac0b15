//! Training the branches of a recipe, through the trainer's own loop and folders.

use super::{
    frames::Sets,
    recipe::{Recipe, Run as Spec, Set},
};
use crate::{
    error::Result,
    reproduce::setting,
    train::{
        branches::{Trainer, Verb},
        checkpoint::Checkpoint,
        progress::Progress,
        run::{Run, Start},
        signals::Stop,
    },
    trajectory::Branches,
};
use std::path::{Path, PathBuf};
use toml::Value;

/// A run.
pub struct Job<'a> {
    /// What is trained.
    pub run: &'a Spec,
    /// On what.
    pub set: &'a Set,
    /// Seed.
    pub seed: u64,
    /// Its run folder.
    pub dir: PathBuf,
}

/// All runs: seed after seed, so that a part of them already compares.
pub fn jobs<'a>(recipe: &'a Recipe, out: &Path) -> Vec<Job<'a>> {
    let mut jobs = Vec::new();
    for &seed in &recipe.seeds {
        for set in &recipe.sets {
            for run in recipe.runs.iter().filter(|run| run.at(set, seed, recipe)) {
                jobs.push(Job { run, set, seed, dir: folder(out, set, &run.id, seed) });
            }
        }
    }
    jobs
}

/// The folder of a run.
pub fn folder(out: &Path, set: &Set, run: &str, seed: u64) -> PathBuf {
    out.join(&set.name).join(run).join(format!("seed-{seed}"))
}

impl Job<'_> {
    /// For people.
    pub fn name(&self) -> String {
        format!("{}, {} demonstrations, seed {}", self.run.label, self.set.name, self.seed)
    }

    /// The file that a finished run leaves: wall seconds.
    pub fn result(&self) -> PathBuf {
        self.dir.join("result.json")
    }

    /// Trains to the end, from where an earlier start came to; the number of steps.
    ///
    /// # Errors
    /// Exit 75 when stopped on request (everything saved), and as the trainer.
    pub fn train(
        &self,
        recipe: &Recipe,
        sets: &Sets,
        out: &Path,
        threads: usize,
        (progress, stop): (&mut Progress, &Stop),
    ) -> Result<u64> {
        let seed = Value::Integer(self.seed as i64);
        let data = Value::Array(vec![setting(&sets.file(self.set, "train"))]);
        let val = Value::Array(vec![setting(&sets.file(self.set, "val"))]);
        let mut own = vec![("il.seed", seed.clone()), ("pair.seed", seed), ("data.train", data), ("data.val", val)];
        if let Some(from) = &self.run.from {
            own.push(("pair.il", setting(&folder(out, self.set, from, self.seed))));
            own.push(("il.max_steps", Value::Integer(0)));
        }
        let settings = recipe.settings(&self.run.settings, &own)?;
        let verb = self.run.verb();
        let start = Start::here(verb.name(), self.seed, "cpu", threads);
        let run = match self.dir.join("run.json").exists() {
            true => Run::resume(&self.dir, &settings, &start, false)?,
            false => Run::create(&self.dir, &settings, &start)?,
        };
        let given = settings.pair.il.as_deref().filter(|_| verb == Verb::Pair).map(Branches::load).transpose()?;
        let (train, val) = (sets.frames(self.set, "train", progress)?, sets.frames(self.set, "val", progress)?);
        let blind;
        let train = match settings.il.blind {
            true => {
                blind = train.blind()?;
                &blind
            }
            false => &*train,
        };
        let mut trainer = Trainer::new(verb, &settings, train, Some(&val), sets.eyes.clone(), given)?;
        if let Some(from) = &run.from {
            trainer.restore(from, false)?;
        }
        trainer.run(&run, progress, stop)?;
        Ok(trainer.total())
    }

    /// Whether it is trained: its last step is saved and its time noted.
    pub fn finished(&self) -> bool {
        self.result().exists() && Checkpoint::newest(&self.dir).is_ok_and(|newest| newest.found.is_some())
    }
}
