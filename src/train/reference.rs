//! The policy that training must stay near: the model that it started from. Where that is the frozen base under a fresh
//! adapter, the adapter is switched off; otherwise (full training, or an adapter that was trained before) it is a frozen
//! copy.

use crate::{
    error::Result,
    policy::Planner,
    vlm::{Batch, ImageFeatures, Row, Visual, processor::Pixels},
};

/// Where reference log-probabilities come from.
pub enum Reference {
    /// The policy's own base.
    AdapterOff,
    /// A copy of the start.
    Copy(Box<Planner>),
}

/// A prompt as a model sees it.
#[derive(Clone, Copy)]
pub struct Shown<'a> {
    /// Token ids, T.
    pub ids: &'a [u32],
    /// Grid of each picture.
    pub grids: &'a [[usize; 3]],
    /// Patches of the pictures, where the vision tower is trained: each model then looks for itself.
    pub pixels: &'a [Pixels],
    /// Features of the pictures, where the tower is frozen.
    pub images: Option<&'a ImageFeatures>,
}

impl Reference {
    /// Log-probability of every token of some answers to one prompt under the reference. An answer must have a token.
    ///
    /// # Errors
    /// Device trouble.
    pub fn logps(
        &self,
        policy: &Planner,
        prompt: &Shown,
        answers: &[Vec<u32>],
        temperature: f64,
    ) -> Result<Vec<Vec<f32>>> {
        match self {
            Reference::AdapterOff => {
                policy.vlm.set_adapter_enabled(false);
                let logps = score(policy, prompt, answers, temperature);
                policy.vlm.set_adapter_enabled(true);
                logps
            }
            Reference::Copy(copy) => score(copy, prompt, answers, temperature),
        }
    }
}

fn score(planner: &Planner, prompt: &Shown, answers: &[Vec<u32>], temperature: f64) -> Result<Vec<Vec<f32>>> {
    let visuals: Vec<Visual> = prompt.grids.iter().map(|grid| Visual::image(*grid)).collect();
    let row = Row::new(prompt.ids, &visuals);
    let batch = Batch::left_padded(planner.vlm.config(), &[row], planner.encoder.tokenizer.pad())?;
    let own = match Pixels::concat(prompt.pixels)? {
        Some((values, grids)) => Some(planner.vlm.frozen()?.encode_images(&values, &grids)?),
        None => None,
    };
    planner.vlm.continuation_logps(&batch, own.as_ref().or(prompt.images), answers, temperature)
}
