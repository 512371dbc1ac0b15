//! The recipe of PaIR-Drive's reproduction: which branches are trained on which demonstrations, which rows are taken of
//! them, and what the paper claims. Laid over and checked as [`crate::reproduce::recipe`] does.

use crate::{
    error::{Failure, Result},
    settings::Settings,
    train::branches::Verb,
};
use eval::reproduction::{About, ArmName, Claim, Size};
use serde::Deserialize;
use sim::driver::Driver;
use std::collections::BTreeMap;
use toml::{Table, Value};

/// The built-in recipe.
pub const TEXT: &str = include_str!("../../../eval/reproductions/pair-drive.toml");

/// A checked recipe.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// What is reproduced.
    pub about: About,
    /// Seeds of every run.
    pub seeds: Vec<u64>,
    /// What is driven and drawn.
    pub frames: Frames,
    /// Settings of every run, in the sections of a settings file.
    #[serde(default)]
    pub settings: Table,
    /// Demonstrations to learn from.
    #[serde(rename = "set")]
    pub sets: Vec<Set>,
    /// Branches to train; one that starts from another comes after it.
    #[serde(rename = "run")]
    pub runs: Vec<Run>,
    /// Rows of the table.
    #[serde(rename = "arm")]
    pub arms: Vec<Arm>,
    /// The paper's claims.
    #[serde(default, rename = "claim")]
    pub claims: Vec<Claim>,
}

/// Generated frames, the same numbers for every set.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Frames {
    /// Frames to learn from.
    pub train: usize,
    /// Frames that the threshold is picked on.
    pub val: usize,
    /// Held-out frames.
    pub test: usize,
    /// Seed of the sets.
    pub seed: u64,
    /// Moments driven for each that is kept.
    pub pool: usize,
    /// Camera, as `data generate` takes it.
    pub camera: String,
    /// Scenario families.
    pub families: Vec<String>,
}

/// Demonstrations of some drivers.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Set {
    /// Its name in folders.
    pub name: String,
    /// Who drives, as `data generate` takes it.
    pub drivers: Vec<String>,
    /// What of the paper it stands for.
    pub paper: String,
}

/// Branches that are trained.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// Its name in folders.
    pub id: String,
    /// For people.
    pub label: String,
    /// Trainer.
    pub verb: VerbName,
    /// A run of the same set and seed whose imitation head it starts from.
    #[serde(default)]
    pub from: Option<String>,
    /// Sets it is trained on; all where left out.
    #[serde(default)]
    pub sets: Option<Vec<String>>,
    /// Seeds it is trained under, the first so many; all where left out.
    #[serde(default)]
    pub seeds: Option<usize>,
    /// Settings over the common ones.
    #[serde(default)]
    pub settings: Table,
}

/// A trainer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VerbName {
    /// The imitation head alone.
    Il,
    /// All branches.
    Pair,
}

/// What is taken of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// The reference alone.
    Reference,
    /// The selector's choice among the reference's proposals.
    Selector,
    /// The likeliest path of the tree over the reference.
    Tree,
    /// The selector's choice among proposals and leaves.
    Whole,
    /// The best candidate, as nobody could know it.
    Best,
}

/// A row of the table.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Arm {
    /// Its name in claims.
    pub id: String,
    /// For people.
    pub label: String,
    /// Run whose branches drive; none for what needs no branches.
    #[serde(default)]
    pub run: Option<String>,
    /// What of it.
    #[serde(default = "reference")]
    pub part: Part,
    /// The reference: `il` (the run's own head), `demonstrated`, `constant`, another run's head, or `RUN@next` for that of
    /// the next seed.
    #[serde(default = "il")]
    pub over: String,
    /// Only frames whose demonstration scores less.
    #[serde(default)]
    pub below: Option<f64>,
    /// Sets it is measured on; all that its runs have where left out.
    #[serde(default)]
    pub sets: Option<Vec<String>>,
    /// The paper's PDMS by set.
    #[serde(default)]
    pub paper: BTreeMap<String, f64>,
}

fn il() -> String {
    "il".into()
}

fn reference() -> Part {
    Part::Reference
}

/// What an arm's reference is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Over<'a> {
    /// The run's own head.
    Own,
    /// What was demonstrated.
    Demonstrated,
    /// Constant velocity.
    Constant,
    /// The head of a run, of the next seed if so.
    Other(&'a str, bool),
}

impl Arm {
    /// Its reference.
    pub fn over(&self) -> Over<'_> {
        match self.over.as_str() {
            "il" => Over::Own,
            "demonstrated" => Over::Demonstrated,
            "constant" => Over::Constant,
            other => match other.strip_suffix("@next") {
                Some(run) => Over::Other(run, true),
                None => Over::Other(other, false),
            },
        }
    }

    /// Whether it is measured on a set under a seed.
    pub fn at(&self, set: &Set, seed: u64, recipe: &Recipe) -> bool {
        let named = self.sets.as_ref().is_none_or(|sets| sets.contains(&set.name));
        let has = |id: &str, seed| recipe.runs.iter().any(|run| run.id == id && run.at(set, seed, recipe));
        let other = match self.over() {
            Over::Other(run, next) => has(run, if next { recipe.next(seed) } else { seed }),
            _ => true,
        };
        named && other && self.run.as_deref().is_none_or(|run| has(run, seed))
    }
}

impl Run {
    /// Whether it is trained on a set under a seed.
    pub fn at(&self, set: &Set, seed: u64, recipe: &Recipe) -> bool {
        let first = recipe.seeds.iter().take(self.seeds.unwrap_or(usize::MAX));
        self.sets.as_ref().is_none_or(|sets| sets.contains(&set.name)) && first.into_iter().any(|s| *s == seed)
    }

    /// Its trainer.
    pub fn verb(&self) -> Verb {
        match self.verb {
            VerbName::Il => Verb::Il,
            VerbName::Pair => Verb::Pair,
        }
    }
}

impl Set {
    /// Its drivers.
    ///
    /// # Errors
    /// An unknown name, with those that are known.
    pub fn drivers(&self) -> Result<Vec<Driver>> {
        let find = |name: &String| {
            Driver::find(name).ok_or_else(|| {
                let known: Vec<&str> = Driver::ALL.iter().map(|driver| driver.name()).collect();
                Failure::usage(format!("set {}: unknown driver {name:?}", self.name))
                    .hint(format!("known are {}", known.join(", ")))
            })
        };
        self.drivers.iter().map(find).collect()
    }
}

impl Recipe {
    /// Rules across the file, and the settings of every run, before any frame is made.
    ///
    /// # Errors
    /// Exit 2 with what does not fit.
    pub fn check(&self) -> Result<()> {
        self.rules().map_err(|message| {
            Failure::usage(format!("recipe: {message}")).hint("eval/reproductions holds the built-in recipe")
        })?;
        for run in &self.runs {
            self.settings(&run.settings, &[]).map_err(|e| e.context(format!("run {}", run.id)))?;
        }
        self.sets.iter().try_for_each(|set| set.drivers().map(|_| ()))
    }

    fn rules(&self) -> std::result::Result<(), String> {
        let empty = self.seeds.is_empty() || self.sets.is_empty() || self.runs.is_empty() || self.arms.is_empty();
        if empty || [self.frames.train, self.frames.val, self.frames.test].contains(&0) {
            return Err("seeds, sets, runs, arms, frames.train, frames.val and frames.test must not be empty".into());
        }
        let plain = |name: &str| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        let runs: Vec<&str> = self.runs.iter().map(|run| run.id.as_str()).collect();
        let arms = self.arms.iter().map(|arm| arm.id.as_str());
        let names = self.sets.iter().map(|set| set.name.as_str()).chain(runs.iter().copied()).chain(arms);
        if let Some(name) = names.into_iter().find(|name| !plain(name)) {
            return Err(format!("{name:?} becomes part of a path: letters, digits and - are allowed"));
        }
        for (i, run) in self.runs.iter().enumerate() {
            if runs[..i].contains(&run.id.as_str()) {
                return Err(format!("two runs are called {}", run.id));
            }
            if let Some(from) = &run.from {
                let Some(start) = self.runs[..i].iter().find(|other| other.id == *from) else {
                    return Err(format!("run {} starts from {from:?}, which is no run before it", run.id));
                };
                for seed in &self.seeds {
                    let misses = |set: &&Set| run.at(set, *seed, self) && !start.at(set, *seed, self);
                    if let Some(set) = self.sets.iter().find(misses) {
                        let (id, name) = (&run.id, &set.name);
                        return Err(format!("run {id} starts from {from}, which has no set {name} under seed {seed}"));
                    }
                }
            }
        }
        for (i, arm) in self.arms.iter().enumerate() {
            if self.arms[..i].iter().any(|other| other.id == arm.id) {
                return Err(format!("two arms are called {}", arm.id));
            }
            let other = match arm.over() {
                Over::Other(run, _) => Some(run),
                _ => None,
            };
            if let Some(run) = arm.run.as_deref().into_iter().chain(other).find(|run| !runs.contains(run)) {
                return Err(format!("arm {} names {run:?}, which is no run", arm.id));
            }
            if arm.run.is_none() && (arm.part != Part::Reference || arm.over() == Over::Own) {
                return Err(format!("arm {} has no run: only a reference such as \"constant\" needs none", arm.id));
            }
        }
        for claim in &self.claims {
            if let Some(name) = [&claim.arm, &claim.against].into_iter().find(|n| self.arms.iter().all(|a| a.id != **n))
            {
                return Err(format!("claim {:?} names {name:?}, which is no arm", claim.text));
            }
        }
        Ok(())
    }

    /// The common settings with others over them, and assignments over those.
    ///
    /// # Errors
    /// Exit 2 for settings that do not exist or are not allowed.
    pub fn settings(&self, over: &Table, assignments: &[(&str, Value)]) -> Result<Settings> {
        crate::reproduce::recipe::settings(&[&self.settings, over], assignments)
    }

    /// The seed after a seed, the first after the last.
    pub fn next(&self, seed: u64) -> u64 {
        let at = self.seeds.iter().position(|s| *s == seed).unwrap_or(0);
        self.seeds[(at + 1) % self.seeds.len()]
    }

    /// Sets as the report names them.
    pub fn sizes(&self) -> Vec<Size> {
        let size = |set: &Set| Size { name: set.name.clone(), frames: self.frames.train, paper: set.paper.clone() };
        self.sets.iter().map(size).collect()
    }

    /// Arms as the report names them.
    pub fn arm_names(&self) -> Vec<ArmName> {
        let name = |arm: &Arm| ArmName { id: arm.id.clone(), label: arm.label.clone(), paper: arm.paper.clone() };
        self.arms.iter().map(name).collect()
    }
}
