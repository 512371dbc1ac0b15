//! The selector: which of many candidates to drive, from predicted sub-scores.
//!
//! Candidates look at each other and at the branch's own memory of the picture; heads predict the sub-scores of the
//! EPDMS (without extended comfort) and a confidence. `S = NC DAC DDC TLC (5 EP + 5 TTC + 2 LK + 2 HC) / 14` of the
//! predictions ranks them. Loss: binary cross-entropy of each sub-score against the simulated one, and cross-entropy of
//! the confidences against `softmax(R / 0.05)`, R the simulated score.
//!
//! The first candidate is the imitation policy's. It is left only for one whose S is larger by more than a threshold;
//! with an infinite threshold the system is that policy, bit for bit.
//!
//! Deviations from the selector of PaIR-Drive (a WoTE-like world model with 9 heads, argmax of one logit):
//! 1. No latent world model; sub-scores of one frame only, and the rank is their formula, so that a choice can be explained.
//! 2. Candidates come in as sines of their poses and as speeds, accelerations and yaw rates, which decide comfort.

use super::{
    blocks::{self, Decoder, Mlp, SINES, norm},
    branch::{Branch, Shape},
    features::{Compressor, Context},
    geometry::{self, POSES, STEP},
};
use crate::{
    error::{Failure, Result},
    vlm::{
        build::Scope,
        linear::{Linear, Norm},
    },
};
use candle_core::{D, Device, Tensor, Var};
use candle_nn::ops::log_softmax;
use scene::{Pose, Trajectory, pose::wrap_angle};
use std::{collections::BTreeMap, path::Path};

/// Temperature of the confidence's targets.
const TEMPERATURE: f64 = 0.05;
/// Numbers of an encoded candidate.
const ENCODED: usize = (3 * SINES + 3) * POSES;
/// Metres that a radian counts as among the sines.
const HEADING_METRES: f64 = 10.0;

/// Sub-scores of the EPDMS without extended comfort, each 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SubScores {
    /// No at-fault collision.
    pub nc: f64,
    /// Drivable-area compliance.
    pub dac: f64,
    /// Driving-direction compliance.
    pub ddc: f64,
    /// Traffic-light compliance.
    pub tlc: f64,
    /// Ego progress.
    pub ep: f64,
    /// Time to collision within bound.
    pub ttc: f64,
    /// Lane keeping.
    pub lk: f64,
    /// History comfort.
    pub comfort: f64,
}

/// Number of sub-scores.
const SUBS: usize = 8;

impl SubScores {
    /// Nothing held against it.
    pub const BEST: SubScores =
        SubScores { nc: 1.0, dac: 1.0, ddc: 1.0, tlc: 1.0, ep: 1.0, ttc: 1.0, lk: 1.0, comfort: 1.0 };

    /// Names in the order of the fields, as in score tables.
    pub const NAMES: [&str; SUBS] = ["nc", "dac", "ddc", "tlc", "ep", "ttc", "lk", "hc"];

    /// `NC DAC DDC TLC (5 EP + 5 TTC + 2 LK + 2 HC) / 14`.
    pub fn total(&self) -> f64 {
        let weighted = 5.0 * self.ep + 5.0 * self.ttc + 2.0 * self.lk + 2.0 * self.comfort;
        self.nc * self.dac * self.ddc * self.tlc * weighted / 14.0
    }

    /// In the order of [`SubScores::NAMES`].
    pub fn row(&self) -> [f64; SUBS] {
        [self.nc, self.dac, self.ddc, self.tlc, self.ep, self.ttc, self.lk, self.comfort]
    }

    fn of(row: [f64; SUBS]) -> Self {
        let [nc, dac, ddc, tlc, ep, ttc, lk, comfort] = row;
        SubScores { nc, dac, ddc, tlc, ep, ttc, lk, comfort }
    }
}

impl From<&rewards::pdm::Scores> for SubScores {
    fn from(s: &rewards::pdm::Scores) -> Self {
        SubScores::of([s.nc, s.dac, s.ddc, s.tlc, s.ep, s.ttc, s.lk, s.comfort])
    }
}

/// What the selector thinks of a candidate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Judged {
    /// Predicted sub-scores; their total is the rank.
    pub scores: SubScores,
    /// Confidence that it is the best of its set; all of a set sum to 1.
    pub confidence: f64,
}

struct Net {
    compressor: Compressor,
    candidate: Mlp,
    decoder: Decoder,
    norm: Norm,
    heads: Linear,
}

/// The numbers of the heads: sub-scores, then the confidence.
struct Said {
    subs: Tensor,       // (B, M, 8) logits
    confidence: Tensor, // (B, M) logits
}

impl Net {
    fn new(scope: &Scope, shape: &Shape) -> candle_core::Result<Self> {
        let h = shape.width;
        Ok(Net {
            compressor: Compressor::new(&scope.pp("features"), shape)?,
            candidate: Mlp::new(&scope.pp("candidate"), ENCODED, h, h, "last")?,
            // Sets of any size above 1: the number of candidates is that of the call.
            decoder: Decoder::new(scope, shape, ANY)?,
            norm: norm(&scope.pp("norm"), h)?,
            heads: Linear::new(&scope.pp("score_head"), h, SUBS + 1, true)?,
        })
    }

    /// candidates `(B, M, ENCODED)`.
    fn forward(&self, context: &Context, candidates: &Tensor) -> candle_core::Result<Said> {
        let memory = self.decoder.memory(&self.compressor.forward(context)?)?;
        let x = self.decoder.forward(&self.candidate.forward(candidates)?, &memory)?.pop();
        let Some(x) = x else { candle_core::bail!("a selector without layers") };
        let y = self.heads.forward(&self.norm.forward(&x)?)?;
        Ok(Said { subs: y.narrow(2, 0, SUBS)?, confidence: y.narrow(2, SUBS, 1)?.squeeze(2)? })
    }
}

/// The decoder's set is the whole row.
const ANY: usize = usize::MAX;

/// The selector branch.
pub struct Selector {
    branch: Branch<Net>,
}

/// The loss of a batch and what is logged of it.
pub struct SelectorLoss {
    /// A scalar with gradient.
    pub total: Tensor,
    /// Mean binary cross-entropy over the sub-scores.
    pub cross_entropy: f64,
}

impl Selector {
    /// Draws a branch.
    ///
    /// # Errors
    /// As [`Shape::check`].
    pub fn new(shape: &Shape, seed: u64) -> Result<Self> {
        shape.check()?;
        Ok(Selector { branch: Branch::new("selector", seed, |scope| Net::new(scope, shape))? })
    }

    /// Reads what [`Selector::save`] wrote.
    ///
    /// # Errors
    /// Exit 3 for a file of other sizes or with numbers that are not finite.
    pub fn load(shape: &Shape, path: &Path) -> Result<Self> {
        let mut selector = Selector::new(shape, 0)?;
        selector.branch.load(path)?;
        Ok(selector)
    }

    /// Writes the parameters to a safetensors file.
    ///
    /// # Errors
    /// The disk's.
    pub fn save(&self, path: &Path) -> Result<()> {
        self.branch.save(path, &[])
    }

    /// What [`Self::save`] writes.
    ///
    /// # Errors
    /// Device trouble.
    pub fn bytes(&self) -> Result<Vec<u8>> {
        self.branch.bytes(&[])
    }

    /// Trainable tensors by name.
    pub fn vars(&self) -> &BTreeMap<String, Var> {
        self.branch.vars()
    }

    /// What it thinks of the candidates of every frame; as many for each.
    ///
    /// # Errors
    /// Frames with different numbers of candidates, or none; a candidate that is not 8 finite poses.
    pub fn judge(&self, context: &Context, candidates: &[Vec<Trajectory>]) -> Result<Vec<Vec<Judged>>> {
        let said = self.branch.frozen().forward(context, &encoded(context, candidates)?)?;
        let subs = said.subs.to_vec3::<f32>()?;
        let confidences = log_softmax(&said.confidence, D::Minus1)?.exp()?.to_vec2::<f32>()?;
        let judged = |(logits, confidence): (&Vec<f32>, &f32)| {
            let mut row = [0.0; SUBS];
            row.iter_mut().zip(logits).for_each(|(p, x)| *p = 1.0 / (1.0 + (-f64::from(*x)).exp()));
            Judged { scores: SubScores::of(row), confidence: f64::from(*confidence) }
        };
        Ok(subs.iter().zip(&confidences).map(|(subs, c)| subs.iter().zip(c).map(judged).collect()).collect())
    }

    /// The loss against simulated sub-scores, one for each candidate.
    ///
    /// # Errors
    /// As [`Selector::judge`]; other numbers of scores than candidates; a score outside 0 to 1.
    pub fn loss(
        &self,
        context: &Context,
        candidates: &[Vec<Trajectory>],
        scores: &[Vec<SubScores>],
    ) -> Result<SelectorLoss> {
        let fits = scores.len() == candidates.len() && scores.iter().zip(candidates).all(|(s, c)| s.len() == c.len());
        if !fits {
            return Err(Failure::data("the selector needs the sub-scores of every candidate"));
        }
        let (mut targets, mut ranks) = (Vec::new(), Vec::new());
        for (at, score) in scores.iter().flatten().enumerate() {
            let row = score.row();
            if row.iter().any(|x| !(0.0..=1.0).contains(x)) {
                return Err(Failure::device(format!("candidate {at} has sub-scores outside 0 to 1: {score:?}")));
            }
            targets.extend(row.map(|x| x as f32));
            ranks.push((score.total() / TEMPERATURE) as f32);
        }
        let said = self.branch.trained().forward(context, &encoded(context, candidates)?)?;
        let targets = Tensor::from_vec(targets, said.subs.shape(), &Device::Cpu)?;
        let ranks = Tensor::from_vec(ranks, said.confidence.shape(), &Device::Cpu)?;
        let (yes, no) = blocks::log_sigmoids(&said.subs.contiguous()?)?;
        let cross_entropy = ((&targets * yes)? + ((1.0 - &targets)? * no)?)?.mean_all()?.neg()?;
        let soft = log_softmax(&ranks, D::Minus1)?.exp()?;
        let confidence = (soft * log_softmax(&said.confidence, D::Minus1)?)?.sum(D::Minus1)?.mean_all()?.neg()?;
        let mean = f64::from(cross_entropy.to_vec0::<f32>()?);
        Ok(SelectorLoss { total: ((cross_entropy * SUBS as f64)? + confidence)?, cross_entropy: mean })
    }
}

/// Which candidate to drive: the best S, but the first one unless S is larger than the first's by more than `threshold`.
pub fn choose(judged: &[Judged], threshold: f64) -> usize {
    let rank = |at: usize| judged[at].scores.total();
    let mut best = 0;
    for at in 1..judged.len() {
        if rank(at) > rank(best) {
            best = at;
        }
    }
    if best > 0 && rank(best) - rank(0) > threshold { best } else { 0 }
}

/// Candidates as the network takes them, `(B, M, ENCODED)`.
fn encoded(context: &Context, candidates: &[Vec<Trajectory>]) -> Result<Tensor> {
    context.expect("sets of candidates", candidates.len())?;
    let m = candidates.first().map_or(0, Vec::len);
    if m == 0 || candidates.iter().any(|set| set.len() != m) {
        let sizes: Vec<usize> = candidates.iter().map(Vec::len).collect();
        return Err(Failure::data(format!("frames need equally many candidates, at least 1, got {sizes:?}")));
    }
    let mut numbers = Vec::with_capacity(candidates.len() * m * ENCODED);
    for trajectory in candidates.iter().flatten() {
        geometry::check(trajectory)?;
        for pose in &trajectory.poses {
            for x in [pose.x, pose.y, pose.heading * HEADING_METRES] {
                blocks::sines(x, &mut numbers);
            }
        }
        let (mut before, mut slower) = (Pose::ORIGIN, None);
        for pose in &trajectory.poses {
            let speed = pose.distance(before) / STEP;
            let acceleration = slower.map_or(0.0, |v| (speed - v) / STEP);
            let turn = wrap_angle(pose.heading - before.heading) / STEP;
            numbers.extend([(speed / 10.0) as f32, (acceleration / 3.0) as f32, turn as f32]);
            (before, slower) = (*pose, Some(speed));
        }
    }
    Ok(Tensor::from_vec(numbers, (candidates.len(), m, ENCODED), &Device::Cpu)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_left_for_a_clear_gain_only() {
        let of = |ep: f64| Judged { scores: SubScores { ep, ..SubScores::BEST }, confidence: 0.0 };
        let judged = [of(0.5), of(0.9), of(0.9), of(0.1)];
        let gain = judged[1].scores.total() - judged[0].scores.total();
        assert!((gain - 5.0 * 0.4 / 14.0).abs() < 1e-12);
        assert_eq!((choose(&judged, 0.02), choose(&judged, 0.2), choose(&judged, f64::INFINITY)), (1, 0, 0));
        assert_eq!(choose(&judged[..1], -1.0), 0);
    }
}
