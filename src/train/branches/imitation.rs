//! One step of the imitation branch.

use super::{Frames, Learner, Stepped};
use crate::{error::Result, trajectory::IlHead};

/// What is logged of a step.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Imitated {
    /// The loss.
    pub loss: f64,
    /// Mean error of the winning mode, metres and radians together.
    pub l1: f64,
    /// Share of frames whose winner has the best score.
    pub hits: f64,
    /// The update.
    pub stepped: Stepped,
}

/// Imitates the drivers of some frames.
///
/// # Errors
/// Device trouble.
pub fn step(il: &IlHead, learner: &mut Learner, frames: &Frames, picks: &[usize], step: u64) -> Result<Imitated> {
    let loss = il.loss(&frames.context(picks)?, &frames.demonstrated(picks))?;
    let value = f64::from(loss.total.to_vec0::<f32>()?);
    let stepped = learner.step(&loss.total, step)?;
    Ok(Imitated { loss: value, l1: loss.l1, hits: loss.hits, stepped })
}
