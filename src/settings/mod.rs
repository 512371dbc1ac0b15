//! Raw options become checked settings: one tree of plain structs, one TOML file, `--set a.b=c` over it.
//!
//! A setting is one field with one doc comment (its help), one default and one rule, in the section that owns it
//! (`section!` in [`knob`]). Below this module nothing checks ranges again. To add a setting: one field. To add a
//! section: one `section!`, one field of [`Settings`], one line in each of its two lists.

mod branches;
mod dpo;
pub mod draft;
mod grpo;
pub mod knob;
pub mod nearest;
mod sft;
mod source;

pub use branches::{Il, Pair, PairMode, Threshold, Trajectory};
pub use dpo::{Dpo, PairLoss};
pub use draft::{Draft, Origin, Origins};
pub use grpo::{Aggregation, Grpo, ImportanceSamplingLevel, ImportanceSamplingMode, LossType, ScaleRewards};
pub use sft::{Augment, Auxiliary, Checkpointing, ClassBalance, Lora, LrScheduler, Sft};
pub use source::{Data, Dtype, Model, Quant, Train};

use crate::error::{Failure, Result};
use knob::Section;
use sha2::{Digest, Sha256};
use toml::Value;

/// Every setting of the program, checked.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Settings {
    /// The model to start from.
    pub model: Model,
    /// Records to train and evaluate on.
    pub data: Data,
    /// Low-rank adapters.
    pub lora: Lora,
    /// Supervised fine-tuning.
    pub sft: Sft,
    /// Auxiliary targets of fine-tuning (`[sft.auxiliary]`).
    pub auxiliary: Auxiliary,
    /// Image augmentation of fine-tuning (`[sft.augment]`).
    pub augment: Augment,
    /// Group relative policy optimisation.
    pub grpo: Grpo,
    /// Direct preference optimisation.
    pub dpo: Dpo,
    /// Sizes of the trajectory branches.
    pub trajectory: Trajectory,
    /// The imitation head.
    pub il: Il,
    /// Imitation and reinforcement side by side.
    pub pair: Pair,
}

/// Settings that a resumed run may change: they do not touch what is computed (on another device it rounds differently).
const FREE_ON_RESUME: &[&str] = &[
    "model.device",
    "sft.save_steps",
    "sft.save_total_limit",
    "sft.logging_steps",
    "sft.eval_steps",
    "grpo.save_steps",
    "grpo.save_total_limit",
    "grpo.logging_steps",
    "grpo.eval_steps",
    "grpo.log_completions",
    "grpo.log_completions_steps",
    "dpo.precompute_ref_log_probs",
    "dpo.save_steps",
    "dpo.save_total_limit",
    "dpo.logging_steps",
    "dpo.eval_steps",
    "trajectory.cache",
    "il.save_steps",
    "il.save_total_limit",
    "il.logging_steps",
    "pair.save_steps",
    "pair.save_total_limit",
    "pair.logging_steps",
];

/// A setting that differs between two trees.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// Dotted name.
    pub key: String,
    /// Value on the left, as TOML; "none" when unset.
    pub left: String,
    /// Value on the right.
    pub right: String,
}

impl Settings {
    /// The sections in the order of the file.
    pub fn sections(&self) -> Vec<&dyn Section> {
        vec![
            &self.model,
            &self.data,
            &self.lora,
            &self.sft,
            &self.auxiliary,
            &self.augment,
            &self.grpo,
            &self.dpo,
            &self.trajectory,
            &self.il,
            &self.pair,
        ]
    }

    fn sections_mut(&mut self) -> Vec<&mut dyn Section> {
        vec![
            &mut self.model,
            &mut self.data,
            &mut self.lora,
            &mut self.sft,
            &mut self.auxiliary,
            &mut self.augment,
            &mut self.grpo,
            &mut self.dpo,
            &mut self.trajectory,
            &mut self.il,
            &mut self.pair,
        ]
    }

    /// Every dotted name.
    pub fn keys(&self) -> Vec<String> {
        let tables = self.sections().into_iter().map(|s| s.table());
        tables.flat_map(|(path, _, knobs)| knobs.into_iter().map(move |k| format!("{path}.{}", k.name))).collect()
    }

    /// The value of a setting by its dotted name; `None` when unset or unknown.
    pub fn get(&self, key: &str) -> Option<Value> {
        let (section, name) = self.locate(key)?;
        self.sections()[section].get(name)
    }

    /// Index of the section and name inside it.
    fn locate<'k>(&self, key: &'k str) -> Option<(usize, &'k str)> {
        let (path, name) = key.rsplit_once('.')?;
        let tables = self.sections().into_iter().map(|s| s.table());
        let found = tables.enumerate().find(|(_, (p, _, _))| *p == path)?;
        found.1.2.iter().any(|k| k.name == name).then_some((found.0, name))
    }

    /// The tree as a TOML file that reads back equal; unset settings are left out.
    pub fn to_toml(&self) -> String {
        let mut text = String::new();
        for section in self.sections() {
            let (path, _, knobs) = section.table();
            text.push_str(&format!("[{path}]\n"));
            for knob in knobs {
                if let Some(value) = section.get(knob.name) {
                    text.push_str(&format!("{} = {}\n", knob.name, shown(Some(value))));
                } else if Settings::default().get(&format!("{path}.{}", knob.name)).is_some() {
                    text.push_str(&format!("{} = \"none\"\n", knob.name));
                }
            }
            text.push('\n');
        }
        text.truncate(text.trim_end().len() + 1);
        text
    }

    /// SHA-256 (hex) of what decides the result of a run: every setting but those free to change on resume.
    pub fn digest(&self) -> String {
        let mut hash = Sha256::new();
        for key in self.keys().iter().filter(|k| !FREE_ON_RESUME.contains(&k.as_str())) {
            hash.update(format!("{key}={}\n", shown(self.get(key))));
        }
        hash.finalize().iter().map(|b| format!("{b:02x}")).collect()
    }

    /// What differs from `other`, leaving out what a resumed run may change.
    pub fn differences(&self, other: &Settings) -> Vec<Difference> {
        let keys = self.keys().into_iter().filter(|k| !FREE_ON_RESUME.contains(&k.as_str()));
        keys.filter_map(|key| {
            let (left, right) = (shown(self.get(&key)), shown(other.get(&key)));
            (left != right).then_some(Difference { key, left, right })
        })
        .collect()
    }

    /// Rules across settings.
    fn check(&self) -> Result<()> {
        let Settings { model, data, sft, auxiliary, grpo, dpo, trajectory, il, pair, .. } = self;
        let steps = [
            ("sft", sft.warmup_steps, sft.max_steps),
            ("grpo", grpo.warmup_steps, Some(grpo.max_steps)),
            ("dpo", dpo.warmup_steps, dpo.max_steps),
            ("il", il.warmup_steps, Some(il.max_steps).filter(|steps| *steps > 0)),
            ("pair", pair.warmup_steps, Some(pair.max_steps)),
        ];
        for (section, warmup, max) in steps {
            if let Some(max) = max.filter(|max| warmup > *max) {
                let message = format!("{section}.warmup_steps is {warmup} but {section}.max_steps is only {max}");
                return Err(
                    Failure::usage(message).hint("the learning rate would never reach its peak: lower warmup_steps")
                );
            }
        }
        if auxiliary.targets.is_empty() && (auxiliary.weight > 0.0 || auxiliary.vision_steps > 0) {
            let message = "sft.auxiliary has a weight or vision_steps but no targets";
            return Err(Failure::usage(message).hint("for example --set sft.auxiliary.targets=bend_3s"));
        }
        let wanted = [("vision_steps", auxiliary.vision_steps as f64), ("weight", auxiliary.weight)];
        if let Some((key, value)) = wanted.into_iter().find(|(_, value)| *value > 0.0)
            && matches!(model.train, Train::Lora | Train::Text)
        {
            let train = model.train.name();
            let message = format!(
                "sft.auxiliary.{key} is {value}, which trains the vision tower, but model.train is \"{train}\", which freezes it"
            );
            return Err(Failure::usage(message).hint(format!("use model.train=full or vision, or {key}=0")));
        }
        grpo.check()?;
        trajectory.check()?;
        pair.check()?;
        let evaluated = [("sft", sft.eval_steps), ("grpo", grpo.eval_steps), ("dpo", dpo.eval_steps)];
        if let Some((section, steps)) = evaluated.into_iter().find_map(|(s, steps)| Some((s, steps?)))
            && data.val.is_empty()
        {
            let message = format!("{section}.eval_steps is {steps} but data.val is empty");
            return Err(Failure::usage(message).hint("name held-out records: --set data.val=val.jsonl"));
        }
        Ok(())
    }
}

/// A value in a file, message or listing: TOML, with small numbers as `1e-8`; "none" when unset.
pub fn shown(value: Option<Value>) -> String {
    match value {
        None => "\"none\"".into(),
        Some(Value::Float(x)) if x != 0.0 && x.abs() < 1e-3 => format!("{x:e}"),
        Some(value) => value.to_string(),
    }
}
