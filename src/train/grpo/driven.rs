//! What came of the plans of samples, driven out once for each sample and remembered.

use crate::{
    error::Result as Done,
    trajectory::{Intention, intention::INTENTIONS},
};
use data::Sample;
use eval::outcome;
use rayon::prelude::*;
use rewards::{Driven, Outcome, Outcomes};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

/// Samples remembered; each takes about 2 KB.
const MOST: usize = 50_000;

/// What is known of a sample's plans, or why nothing can be.
type Known = Result<Arc<Driven>, String>;

/// Drives plans out when they are first asked for.
#[derive(Default)]
pub struct Drives {
    known: Mutex<HashMap<String, Known>>,
}

impl Drives {
    /// What came of the plans of a sample.
    ///
    /// # Errors
    /// The sample is not of the simulator, or of another version of it, in words.
    pub fn of(&self, sample: &Sample) -> Known {
        let key = key(sample);
        if let Some(known) = self.lock().get(&key) {
            return known.clone();
        }
        let driven =
            |outcomes| Driven { trajectory: sample.labels.future.clone(), scene: None, outcomes: Some(outcomes) };
        let found = outcome::of_sample(sample).map(|outcomes| Arc::new(driven(outcomes))).map_err(|e| e.to_string());
        let mut known = self.lock();
        make_room(&mut known, 1);
        known.insert(key, found.clone());
        found
    }

    /// Adds to the outcomes of a sample's plans what leaning to them gains, unless that is known. Nothing can be gained
    /// where there are no PDM scores.
    ///
    /// # Errors
    /// Those of `gains`.
    pub fn add(&self, sample: &Sample, gains: impl FnOnce() -> Done<[f64; INTENTIONS]>) -> Done<()> {
        let Ok(driven) = self.of(sample) else { return Ok(()) };
        let lacking = |all: &Outcomes| all.0.iter().all(|one| one.utility.is_none() && one.pdms.is_some());
        let Some(all) = driven.outcomes.filter(lacking) else { return Ok(()) };
        let gains = gains()?;
        let gain = |plan| Some(gains[Intention::of(plan).index()]);
        let outcomes = Outcomes::new(|plan| Outcome { utility: gain(plan), ..*all.of(plan) });
        let driven = Driven { outcomes: Some(outcomes), ..Driven::clone(&driven) };
        self.lock().insert(key(sample), Ok(Arc::new(driven)));
        Ok(())
    }

    /// Drives the plans of several samples out at the same time. None of them is forgotten before the next call.
    pub fn prepare(&self, samples: &[&Sample]) {
        make_room(&mut self.lock(), samples.len());
        samples.par_iter().for_each(|sample| {
            let _ = self.of(sample);
        });
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Forgets everything, which can be had again, where so many more would be too many.
fn make_room(known: &mut HashMap<String, Known>, more: usize) {
    if known.len() + more > MOST {
        known.clear();
    }
}

/// Names of samples are unique in a set only.
fn key(sample: &Sample) -> String {
    let clip = sample.clip.as_deref().unwrap_or_default();
    let t = sample.extra.get("t").map(ToString::to_string).unwrap_or_default();
    format!("{}\n{clip}\n{t}", sample.id)
}
