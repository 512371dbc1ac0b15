//! The sequential baseline: reinforcement learning fine-tunes the imitation head itself, after it has learned.
//!
//! A drive is drawn as a mode (`softmax` of its scores) with smooth random accelerations added to its trajectory; drives of
//! a frame are compared with each other, `A = (R - mean) / max(std, 0.05)`, and
//! `L = -mean A log pi + 0.1 L_IL`, `log pi` of the mode and of the poses under a normal distribution around the mode's.
//!
//! After DiffusionDriveV2 (arXiv 2512.07745), which explores with smooth noise, scores poses under a normal distribution
//! with a floor, and adds imitation with 0.1. Deviations: the noise is one of accelerations, one update per drawing.

use super::{Frames, Learner, Stepped, references::shaken};
use crate::{
    error::{Failure, Result},
    streams::Stream,
    trajectory::{IlHead, Reference, SubScores},
};
use candle_core::{Device, Tensor};
use scene::Trajectory;

/// Deviations of the exploring accelerations, m/s2, along and to the left.
const EXPLORE: [f64; 2] = [0.6, 0.4];
/// Smallest deviation of rewards that is divided by.
const FLOOR: f64 = 0.05;

/// What a step works with.
pub struct Working<'a> {
    /// The frames.
    pub frames: &'a Frames,
    /// Drives of a frame.
    pub group: usize,
    /// Weight of the imitation loss.
    pub imitation: f64,
    /// The seed of the run.
    pub seed: u64,
}

/// What is logged of a step.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tuned {
    /// The loss.
    pub loss: f64,
    /// Mean EPDMS of the drives.
    pub reward: f64,
    /// Mean EPDMS of the head's choices.
    pub reference: f64,
    /// The update.
    pub stepped: Stepped,
}

/// Draws drives of some frames and learns from what they score.
///
/// # Errors
/// Weights that have diverged, device trouble.
pub fn step(il: &IlHead, learner: &mut Learner, working: &Working, picks: &[usize], step: u64) -> Result<Tuned> {
    let (frames, group) = (working.frames, working.group);
    let context = frames.context(picks)?;
    let proposals = il.propose(&context)?;
    let (mut modes, mut drives, mut choices) = (Vec::new(), Vec::new(), Vec::new());
    for (i, proposals) in proposals.iter().enumerate() {
        let mut stream = Stream::new(working.seed, &format!("sequential.{step}.{i}"));
        // Scores are sigmoids of the logits: the odds are the softmax's weights.
        let weights: Vec<f64> = proposals.scores.iter().map(|p| p / (1.0 - p).max(1e-12)).collect();
        for _ in 0..group {
            let mode = stream.weighted(&weights).ok_or_else(|| {
                Failure::device(format!("the imitation head scores its modes {:?}", proposals.scores))
            })?;
            drives.push(shaken(&proposals.candidates[mode], EXPLORE, &mut stream)?);
            modes.push(mode);
        }
        choices.push(proposals.ranked().first().map(|best| proposals.candidates[*best].clone()).into_iter().collect());
    }
    let sets: Vec<Vec<Trajectory>> = drives.chunks(group).map(<[Trajectory]>::to_vec).collect();
    let scores = frames.score(picks, &sets)?;
    let before = frames.score(picks, &choices)?;
    let advantages: Vec<f32> = scores.iter().flat_map(|scores| advantages(scores)).collect();
    let logp = il.log_density(&context, &modes, &drives)?;
    let advantages = Tensor::from_vec(advantages, modes.len(), &Device::Cpu)?;
    let mut loss = (logp * advantages)?.mean_all()?.neg()?;
    if working.imitation > 0.0 {
        loss = (loss + (il.loss(&context, &frames.demonstrated(picks))?.total * working.imitation)?)?;
    }
    let value = f64::from(loss.to_vec0::<f32>()?);
    let mean = |all: &[Vec<SubScores>]| {
        all.iter().flatten().map(SubScores::total).sum::<f64>() / all.iter().map(Vec::len).sum::<usize>().max(1) as f64
    };
    let stepped = learner.step(&loss, step)?;
    Ok(Tuned { loss: value, reward: mean(&scores), reference: mean(&before), stepped })
}

fn advantages(scores: &[SubScores]) -> Vec<f32> {
    let n = scores.len().max(1) as f64;
    let mean = scores.iter().map(SubScores::total).sum::<f64>() / n;
    let std = (scores.iter().map(|s| (s.total() - mean).powi(2)).sum::<f64>() / n).sqrt();
    scores.iter().map(|s| ((s.total() - mean) / std.max(FLOOR)) as f32).collect()
}
