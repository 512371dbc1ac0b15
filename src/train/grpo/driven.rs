//! What came of the plans of samples, driven out once for each sample and remembered.

use data::Sample;
use eval::outcome;
use rayon::prelude::*;
use rewards::Driven;
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
        if known.len() >= MOST {
            known.clear(); // all of it can be had again
        }
        known.insert(key, found.clone());
        found
    }

    /// Drives the plans of several samples out at the same time.
    pub fn prepare(&self, samples: &[&Sample]) {
        samples.par_iter().for_each(|sample| {
            let _ = self.of(sample);
        });
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Names of samples are unique in a set only.
fn key(sample: &Sample) -> String {
    let clip = sample.clip.as_deref().unwrap_or_default();
    let t = sample.extra.get("t").map(ToString::to_string).unwrap_or_default();
    format!("{}\n{clip}\n{t}", sample.id)
}
