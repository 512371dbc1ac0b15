//! The policy that the KL penalty holds on to: the model that training started from. Where that is the frozen base under
//! a fresh adapter, the adapter is switched off; otherwise (full training, or an adapter that was trained before) it is
//! a frozen copy.

use super::rollout::{Answer, Prompt};
use crate::{
    error::Result,
    policy::Planner,
    vlm::{Batch, Row, processor::Pixels},
};

/// Where reference log-probabilities come from.
pub enum Reference {
    /// The policy's own base.
    AdapterOff,
    /// A copy of the start.
    Copy(Box<Planner>),
}

impl Reference {
    /// Gives every answer its log-probabilities under the reference.
    ///
    /// # Errors
    /// Device trouble.
    pub fn score(&self, policy: &Planner, prompt: &Prompt, answers: &mut [Answer], temperature: f64) -> Result<()> {
        let visuals = prompt.visuals();
        let row = Row::new(&prompt.ids, &visuals);
        let batch = Batch::left_padded(policy.vlm.config(), &[row], policy.encoder.tokenizer.pad())?;
        let ids: Vec<Vec<u32>> = answers.iter().map(|answer| answer.ids.clone()).collect();
        let logps = match self {
            Reference::AdapterOff => {
                policy.vlm.set_adapter_enabled(false);
                let logps = policy.vlm.continuation_logps(&batch, prompt.images.as_ref(), &ids, temperature);
                policy.vlm.set_adapter_enabled(true);
                logps?
            }
            Reference::Copy(copy) => {
                let own = match Pixels::concat(&prompt.pixels)? {
                    Some((values, grids)) => Some(copy.vlm.encode_images(&values, &grids)?),
                    None => None,
                };
                let images = own.as_ref().or(prompt.images.as_ref());
                copy.vlm.continuation_logps(&batch, images, &ids, temperature)?
            }
        };
        answers.iter_mut().zip(logps).for_each(|(answer, logps)| answer.reference = Some(logps));
        Ok(())
    }
}
