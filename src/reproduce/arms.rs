//! The runs of a reproduction: every arm at its sizes under every seed, an arm after what it starts from.

use super::{
    frames::Set,
    recipe::{Arm, BASE, Recipe, Verb},
    setting,
};
use crate::{error::Result, settings::Settings};
use eval::reproduction::Size;
use std::path::{Path, PathBuf};
use toml::Value;

/// A run.
pub struct Job<'a> {
    /// Arm.
    pub arm: &'a Arm,
    /// Training set.
    pub size: &'a Size,
    /// Seed.
    pub seed: u64,
    /// Its run folder.
    pub dir: PathBuf,
}

/// All runs: seed after seed, so that a part of them already compares.
pub fn jobs<'a>(recipe: &'a Recipe, out: &Path) -> Vec<Job<'a>> {
    let mut jobs = Vec::new();
    for &seed in &recipe.seeds {
        for size in &recipe.sizes {
            for arm in recipe.arms.iter().filter(|arm| arm.at(size)) {
                jobs.push(Job { arm, size, seed, dir: folder(out, size, &arm.id, seed) });
            }
        }
    }
    jobs
}

fn folder(out: &Path, size: &Size, arm: &str, seed: u64) -> PathBuf {
    out.join(&size.name).join(arm).join(format!("seed-{seed}"))
}

/// Settings of the base.
///
/// # Errors
/// Exit 2 for settings that do not exist or are not allowed.
pub fn base_settings(recipe: &Recipe, set: &Set, out: &Path) -> Result<Settings> {
    let data = Value::Array(vec![setting(&set.dealt_file())]);
    let seed = Value::Integer(recipe.base.seed as i64);
    let own = [("model.path", setting(&out.join("base/new"))), ("data.train", data), ("sft.seed", seed)];
    recipe.settings(&recipe.base.settings, &own)
}

impl Job<'_> {
    /// For people.
    pub fn name(&self) -> String {
        format!("{}, {} frames, seed {}", self.arm.label, self.size.frames, self.seed)
    }

    /// The file that a finished run leaves.
    pub fn result(&self) -> PathBuf {
        self.dir.join("result.json")
    }

    /// Whether it is trained and measured.
    pub fn finished(&self) -> bool {
        self.result().exists()
    }

    /// Everything that decides the run.
    ///
    /// # Errors
    /// Exit 2 for settings that do not exist or are not allowed.
    pub fn settings(&self, recipe: &Recipe, set: &Set, out: &Path) -> Result<Settings> {
        let arm = self.arm;
        let start = match arm.from.as_str() {
            BASE => out.join(BASE),
            other => folder(out, self.size, other, self.seed),
        };
        let section = if arm.verb == Verb::Sft { "sft" } else { "grpo" };
        let key = |name: &str| format!("{section}.{name}");
        let (seed, think) = (key("seed"), key("think"));
        let mut own = vec![
            ("model.path", setting(&start)),
            ("data.train", Value::Array(vec![setting(&set.file(&self.size.name))])),
            (seed.as_str(), Value::Integer(self.seed as i64)),
            (think.as_str(), Value::Boolean(arm.think)),
        ];
        if let Some(reward) = &arm.reward {
            let named = match recipe.rewards.contains_key(reward) {
                true => setting(&out.join("rewards").join(format!("{reward}.toml"))),
                false => Value::String(reward.clone()),
            };
            own.push(("grpo.reward", named));
        }
        recipe.settings(&arm.settings, &own)
    }
}
