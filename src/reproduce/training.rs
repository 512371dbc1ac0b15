//! One run, through the trainers' own loops: the same folder, checkpoints and metrics as `reinsman sft` and `grpo` make,
//! so that any of them can be looked into or continued by hand.

use super::recipe::Verb;
use crate::{
    error::Result,
    policy::{Planner, Source, planner::Options},
    settings::Settings,
    train::{
        checkpoint::Checkpoint,
        features::Features,
        grpo::{
            self,
            judge::{self, Judge},
        },
        progress::Progress,
        run::{Run, Start},
        sft,
        signals::Stop,
    },
    vlm::Trainable,
};
use data::Sample;
use std::path::Path;

/// The text decoder is trained, the vision tower never: features of pictures are computed once for all runs.
const TRAINED: &str = r"^(model\.language_model\.|lm_head)";

/// What runs share.
pub struct Training<'a> {
    /// Picture features.
    pub features: &'a mut Features,
    /// Whether to stop.
    pub stop: &'a Stop,
    /// Threads that compute.
    pub threads: usize,
}

/// Whether a run folder holds the last checkpoint of a run.
///
/// # Errors
/// A folder that cannot be listed.
pub fn trained(dir: &Path, steps: usize) -> Result<bool> {
    Ok(Checkpoint::newest(dir)?.found.is_some_and(|newest| newest.step == steps as u64))
}

/// Optimizer steps of a run.
pub fn steps(settings: &Settings, verb: Verb) -> usize {
    match verb {
        Verb::Sft => settings.sft.max_steps.unwrap_or(0),
        Verb::Grpo => settings.grpo.max_steps,
    }
}

/// A planner, its decoder trainable if `trained`.
///
/// # Errors
/// Files that do not fit together, device trouble.
pub fn load(source: &Source, settings: &Settings, trained: Option<&str>) -> Result<Planner> {
    let device = settings.model.device.open()?;
    let trainable = trained.map_or(Trainable::None, |pattern| Trainable::Matching(pattern.into()));
    let dtype = settings.model.dtype.on(&device);
    Planner::load(source, &Options { trainable, device, dtype, ..Options::default() })
}

impl Training<'_> {
    /// Trains to the end, from where an earlier start came to.
    ///
    /// # Errors
    /// Exit 75 when stopped on request (everything saved), and as the trainers.
    pub fn train(
        &mut self,
        dir: &Path,
        (verb, settings): (Verb, &Settings),
        samples: &[Sample],
        progress: &mut Progress,
    ) -> Result<()> {
        let (name, seed) = match verb {
            Verb::Sft => ("sft", settings.sft.seed),
            Verb::Grpo => ("grpo", settings.grpo.seed),
        };
        let start = Start::here(name, seed, "cpu", self.threads);
        let run = match dir.join("run.json").exists() {
            true => Run::resume(dir, settings, &start, false)?,
            false => Run::create(dir, settings, &start)?,
        };
        let source = match &run.from {
            Some(Checkpoint { dir, .. }) => Source::Folder(dir.join("model")),
            None => Source::resolve(settings.model.path.as_deref())?,
        };
        let planner = load(&source, settings, Some(TRAINED))?;
        match verb {
            Verb::Sft => {
                let mut trainer = sft::Trainer::new(&planner, settings, samples, &[], None)?;
                if let Some(from) = &run.from {
                    trainer.restore(from, false)?;
                }
                trainer.exchange_features(self.features);
                let done = trainer.run(&run, progress, self.stop);
                trainer.exchange_features(self.features);
                done?;
            }
            Verb::Grpo => {
                let (reward, branches) = (&settings.grpo.reward, settings.grpo.branches.as_deref());
                let judge = Judge::named(reward, &judge::text(reward)?, 1)?.with_branches(branches)?;
                let mut trainer = grpo::Trainer::new(&planner, settings, samples, &[], judge, None)?;
                if let Some(from) = &run.from {
                    trainer.restore(from, false)?;
                }
                trainer.exchange_features(self.features);
                let done = trainer.run(&run, progress, self.stop);
                trainer.exchange_features(self.features);
                done?;
            }
        }
        Ok(())
    }
}
