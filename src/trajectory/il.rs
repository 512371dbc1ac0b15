//! The imitation branch: a decoder over K anchors, each refined to a trajectory and scored (after DiffusionDrive's
//! anchored head, Liao et al. 2025, without the diffusion, which at its inference noise is a jitter of 1 m).
//!
//! `L = sum over layers of [ 10 focal(c, onehot k*) + 8 mean |tau_k* - y| ]`, k* the anchor nearest to the driven
//! trajectory y by mean distance; heading errors wrapped to (-pi, pi]. K = 1 is the plain regression head (Transfuser).
//!
//! Deviations from DiffusionDrive:
//! 1. Tokens are attended to; no bilinear sampling at the poses, which has no gradient here.
//! 2. Pre-norm with residuals; every layer goes on from the layer before it.
//! 3. With K = 1 there is no attention among modes: over a single key its weights would never learn.

use super::{
    anchors::{self, Anchor},
    blocks::{self, Decoder, Mlp, SINES, norm},
    branch::{Branch, Shape, finite},
    features::{Compressor, Context},
    geometry::POSES,
    reference::{Proposals, Reference},
};
use crate::{
    error::{Failure, Result},
    vlm::{
        build::Scope,
        linear::{Linear, Norm},
        weights::Weights,
    },
};
use candle_core::{D, DType, Device, Tensor, Var};
use candle_nn::ops::log_softmax;
use scene::{Pose, Trajectory};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    f64::consts::{PI, TAU},
    path::Path,
};

/// Weight of the focal term.
const FOCAL: f64 = 10.0;
/// Weight of the L1 term.
const L1: f64 = 8.0;
/// Deviation of a pose as a drive's density sees it, metres per pose from now.
const SPREAD: f64 = 0.15;
/// Share of positives in the focal loss (Lin et al. 2017).
const ALPHA: f64 = 0.25;

/// Settings of the branch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IlOptions {
    /// Sizes.
    pub shape: Shape,
    /// Anchors, K.
    pub modes: usize,
}

impl Default for IlOptions {
    fn default() -> Self {
        IlOptions { shape: Shape::default(), modes: 20 }
    }
}

/// What one layer says.
struct Said {
    poses: Tensor,  // (B, K, 8, 3)
    logits: Tensor, // (B, K)
}

struct Heads {
    norm: Norm,
    score: Linear,
    pose: Mlp,
}

struct Net {
    compressor: Compressor,
    query: Mlp,
    decoder: Decoder,
    heads: Vec<Heads>,
}

impl Net {
    fn new(scope: &Scope, options: &IlOptions) -> candle_core::Result<Self> {
        let (shape, h) = (&options.shape, options.shape.width);
        let heads = |scope: Scope| -> candle_core::Result<Heads> {
            Ok(Heads {
                norm: norm(&scope.pp("norm"), h)?,
                score: Linear::new(&scope.pp("score_head"), h, 1, true)?,
                pose: Mlp::new(&scope, h, h, 3 * POSES, "pose_head")?,
            })
        };
        Ok(Net {
            compressor: Compressor::new(&scope.pp("features"), shape)?,
            query: Mlp::new(&scope.pp("query"), 2 * SINES * POSES, h, h, "last")?,
            decoder: Decoder::new(scope, shape, options.modes)?,
            heads: (0..shape.layers).map(|i| heads(scope.pp("heads").pp(i))).collect::<candle_core::Result<_>>()?,
        })
    }

    /// anchors `(K, 8, 2)`, queries `(K, 2 SINES 8)`.
    fn forward(&self, context: &Context, anchors: &Tensor, queries: &Tensor) -> candle_core::Result<Vec<Said>> {
        let (b, k) = (context.frames(), anchors.dim(0)?);
        let memory = self.decoder.memory(&self.compressor.forward(context)?)?;
        let queries = self.query.forward(queries)?; // (K, H)
        let queries = queries.unsqueeze(0)?.broadcast_as((b, k, queries.dim(1)?))?.contiguous()?;
        let mut places = anchors.unsqueeze(0)?.broadcast_as((b, k, POSES, 2))?.contiguous()?;
        let mut said = Vec::with_capacity(self.heads.len());
        for (x, heads) in self.decoder.forward(&queries, &memory)?.iter().zip(&self.heads) {
            let x = heads.norm.forward(x)?;
            let offsets = heads.pose.forward(&x)?.reshape((b, k, POSES, 3))?;
            let here = (&places + offsets.narrow(3, 0, 2)?)?;
            let heading = (offsets.narrow(3, 2, 1)?.tanh()? * PI)?;
            places = here.detach();
            let logits = heads.score.forward(&x)?.squeeze(2)?;
            said.push(Said { poses: Tensor::cat(&[&here, &heading], D::Minus1)?, logits });
        }
        Ok(said)
    }
}

/// The imitation branch.
pub struct IlHead {
    branch: Branch<Net>,
    anchors: Vec<Anchor>,
    places: Tensor,  // (K, 8, 2)
    queries: Tensor, // (K, 2 SINES 8)
}

/// The loss of a batch and what is logged of it.
pub struct IlLoss {
    /// The loss, a scalar with gradient.
    pub total: Tensor,
    /// Mean L1 error of the winners of the last layer, metres and radians together.
    pub l1: f64,
    /// Share of frames whose winner has the best score.
    pub hits: f64,
}

impl IlHead {
    /// Draws a branch around anchors, one for each mode.
    ///
    /// # Errors
    /// Exit 2 for sizes that make no sense or another number of anchors than modes.
    pub fn new(options: &IlOptions, anchors: Vec<Anchor>, seed: u64) -> Result<Self> {
        options.shape.check()?;
        if anchors.len() != options.modes || anchors.is_empty() {
            let (n, k) = (anchors.len(), options.modes);
            return Err(Failure::usage(format!(
                "the imitation head got {n} anchors for {k} modes; at least 1 is needed"
            )));
        }
        // As precise as they are saved, so that a head that is read back says the same to the last bit.
        let single = |x: f64| f64::from(x as f32);
        let anchors: Vec<Anchor> = anchors.into_iter().map(|a| a.map(|place| place.map(single))).collect();
        let branch = Branch::new("il", seed, |scope| Net::new(scope, options))?;
        let (places, queries) = tensors(&anchors)?;
        Ok(IlHead { branch, anchors, places, queries })
    }

    /// Reads what [`IlHead::save`] wrote.
    ///
    /// # Errors
    /// Exit 3 for a file of other sizes or with numbers that are not finite.
    pub fn load(options: &IlOptions, path: &Path) -> Result<Self> {
        Self::read(options, &Weights::open_file(path)?)
    }

    /// Reads what [`IlHead::bytes`] gave.
    ///
    /// # Errors
    /// As [`IlHead::load`].
    pub fn read(options: &IlOptions, weights: &Weights) -> Result<Self> {
        options.shape.check()?;
        let branch = Branch::read("il", weights, |scope| Net::new(scope, options))?;
        let (_, places) = weights.load("il.anchors", &[options.modes, POSES, 2], DType::F32, &Device::Cpu)?;
        finite(weights, "il.anchors", &places)?;
        let mut anchors: Vec<Anchor> = vec![[[0.0; 2]; POSES]; options.modes];
        for (anchor, values) in anchors.iter_mut().zip(places.to_vec3::<f32>()?) {
            for (place, value) in anchor.iter_mut().zip(values) {
                *place = [f64::from(value[0]), f64::from(value[1])];
            }
        }
        let (places, queries) = tensors(&anchors)?;
        Ok(IlHead { branch, anchors, places, queries })
    }

    /// Writes parameters and anchors to a safetensors file.
    ///
    /// # Errors
    /// The disk's.
    pub fn save(&self, path: &Path) -> Result<()> {
        self.branch.save(path, &[("il.anchors", &self.places)])
    }

    /// What [`Self::save`] writes.
    ///
    /// # Errors
    /// Device trouble.
    pub fn bytes(&self) -> Result<Vec<u8>> {
        self.branch.bytes(&[("il.anchors", &self.places)])
    }

    /// Trainable tensors by name.
    pub fn vars(&self) -> &BTreeMap<String, Var> {
        self.branch.vars()
    }

    /// The anchors, K.
    pub fn anchors(&self) -> &[Anchor] {
        &self.anchors
    }

    /// Takes other anchors, as many.
    ///
    /// # Errors
    /// Another number of anchors.
    pub fn set_anchors(&mut self, anchors: &[Anchor]) -> Result<()> {
        if anchors.len() != self.anchors.len() {
            let (n, k) = (anchors.len(), self.anchors.len());
            return Err(Failure::data(format!("{n} anchors for {k} modes")));
        }
        self.anchors = anchors.to_vec();
        (self.places, self.queries) = tensors(&self.anchors)?;
        Ok(())
    }

    /// The loss against the driven trajectories, one a frame.
    ///
    /// # Errors
    /// Another number of trajectories than frames; one that is not 8 finite poses.
    pub fn loss(&self, context: &Context, driven: &[Trajectory]) -> Result<IlLoss> {
        context.expect("driven trajectories", driven.len())?;
        let k = self.anchors.len();
        let mut winners = Vec::with_capacity(driven.len());
        let mut targets: Vec<f32> = Vec::with_capacity(driven.len() * 3 * POSES);
        for trajectory in driven {
            winners.push(anchors::winner(&self.anchors, &anchors::places(trajectory)?));
            targets.extend(trajectory.poses.iter().flat_map(|p| [p.x as f32, p.y as f32, p.heading as f32]));
        }
        let targets = Tensor::from_vec(targets, (driven.len(), POSES, 3), &Device::Cpu)?;
        let rows: Vec<u32> = winners.iter().enumerate().map(|(b, w)| (b * k + w) as u32).collect();
        let rows = Tensor::new(rows, &Device::Cpu)?;
        let mut terms = Vec::new();
        let (mut l1, mut hits) = (0.0, 0);
        for said in self.branch.trained().forward(context, &self.places, &self.queries)? {
            let chosen = said.poses.flatten(0, 1)?.index_select(&rows, 0)?; // (B, 8, 3)
            let error = absolute_error(&chosen, &targets)?;
            terms.push(((focal(&said.logits, &winners)? * FOCAL)? + (&error * L1)?)?);
            l1 = f64::from(error.to_vec0::<f32>()?);
            let best = said.logits.argmax(D::Minus1)?.to_vec1::<u32>()?;
            hits = best.iter().zip(&winners).filter(|(a, b)| **a as usize == **b).count();
        }
        let total = Tensor::stack(&terms, 0)?.sum_all()?;
        Ok(IlLoss { total, l1, hits: hits as f64 / driven.len() as f64 })
    }
}

impl IlHead {
    /// Log-density of drives, equally many for every frame: of the mode among the modes, and of the poses' places under
    /// normal distributions around the mode's, up to a constant; `(B G)` with gradient.
    ///
    /// # Errors
    /// Numbers of modes and drives that do not fit the frames; a drive that is not 8 finite poses.
    pub fn log_density(&self, context: &Context, modes: &[usize], drives: &[Trajectory]) -> Result<Tensor> {
        let (b, k) = (context.frames(), self.anchors.len());
        if modes.len() != drives.len() || !drives.len().is_multiple_of(b.max(1)) || modes.iter().any(|m| *m >= k) {
            let (m, n) = (modes.len(), drives.len());
            return Err(Failure::data(format!("{m} modes and {n} drives for {b} frames of {k} modes")));
        }
        let group = drives.len() / b;
        let mut said = self.branch.trained().forward(context, &self.places, &self.queries)?;
        let Some(last) = said.pop() else { return Err(Failure::device("the imitation head has no layers")) };
        let rows: Vec<u32> = modes.iter().enumerate().map(|(i, mode)| (i / group * k + mode) as u32).collect();
        let rows = Tensor::new(rows, &Device::Cpu)?;
        let mut places: Vec<f32> = Vec::with_capacity(drives.len() * 2 * POSES);
        for drive in drives {
            places.extend(anchors::places(drive)?.as_flattened().iter().map(|x| *x as f32));
        }
        let places = Tensor::from_vec(places, (drives.len(), POSES, 2), &Device::Cpu)?;
        let precision: Vec<f32> = (1..=POSES).map(|t| (SPREAD * t as f64).recip() as f32).collect();
        let precision = Tensor::from_vec(precision, (1, POSES, 1), &Device::Cpu)?;
        let means = last.poses.flatten(0, 1)?.index_select(&rows, 0)?.narrow(2, 0, 2)?;
        let distance = (places - means)?.broadcast_mul(&precision)?.sqr()?.sum((1, 2))?;
        let choice = log_softmax(&last.logits, D::Minus1)?.flatten_all()?.index_select(&rows, 0)?;
        Ok((choice - (distance * 0.5)?)?)
    }
}

impl Reference for IlHead {
    fn propose(&self, context: &Context) -> Result<Vec<Proposals>> {
        let mut said = self.branch.frozen().forward(context, &self.places, &self.queries)?;
        let Some(last) = said.pop() else { return Err(Failure::device("the imitation head has no layers")) };
        let logits = last.logits.to_vec2::<f32>()?;
        let poses = last.poses.flatten(1, 2)?.to_vec3::<f32>()?;
        if poses.iter().flatten().flatten().chain(logits.iter().flatten()).any(|x| !x.is_finite()) {
            return Err(Failure::device("the imitation head proposes numbers that are not finite")
                .hint("weights have diverged or picture features are broken: lower the learning rate"));
        }
        let proposals = poses.into_iter().zip(logits).map(|(poses, logits)| {
            let pose = |p: &Vec<f32>| Pose::new(f64::from(p[0]), f64::from(p[1]), f64::from(p[2]));
            let drive = |poses: &[Vec<f32>]| Trajectory::half_second(poses.iter().map(pose).collect());
            Proposals {
                candidates: poses.chunks(POSES).map(drive).collect(),
                scores: logits.into_iter().map(|c| 1.0 / (1.0 + (-f64::from(c)).exp())).collect(),
            }
        });
        Ok(proposals.collect())
    }
}

/// Anchors as the network takes them: places `(K, 8, 2)` and their sines.
fn tensors(anchors: &[Anchor]) -> Result<(Tensor, Tensor)> {
    let mut sines = Vec::with_capacity(anchors.len() * 2 * SINES * POSES);
    let places: Vec<f32> = anchors.iter().flatten().flatten().map(|x| *x as f32).collect();
    anchors.iter().flatten().flatten().for_each(|x| blocks::sines(*x, &mut sines));
    let k = anchors.len();
    let sines = Tensor::from_vec(sines, (k, 2 * SINES * POSES), &Device::Cpu)?;
    Ok((Tensor::from_vec(places, (k, POSES, 2), &Device::Cpu)?, sines))
}

/// Mean over everything of `|a - b|`, headings by the shorter way. Both `(B, 8, 3)`.
fn absolute_error(a: &Tensor, b: &Tensor) -> candle_core::Result<Tensor> {
    let error = (a - b)?;
    let turns = (error.narrow(2, 2, 1)?.detach() / TAU)?.round()?;
    let turns = (Tensor::cat(&[&turns.zeros_like()?, &turns.zeros_like()?, &turns], 2)? * TAU)?;
    (error - turns)?.abs()?.mean_all()
}

/// Sigmoid focal loss, mean over `(B, K)`, gamma 2.
fn focal(logits: &Tensor, winners: &[usize]) -> candle_core::Result<Tensor> {
    let (b, k) = logits.dims2()?;
    let mut hot = vec![0f32; b * k];
    winners.iter().enumerate().for_each(|(row, winner)| hot[row * k + winner] = 1.0);
    let hot = Tensor::from_vec(hot, (b, k), logits.device())?;
    let (yes, no) = blocks::log_sigmoids(logits)?;
    let positive = ((&no * 2.0)?.exp()? * &yes)?; // (1 - p)^2 log p
    let negative = ((&yes * 2.0)?.exp()? * &no)?;
    let cold = (1.0 - &hot)?;
    (((hot * positive)? * ALPHA)? + ((cold * negative)? * (1.0 - ALPHA))?)?.mean_all()?.neg()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn headings_take_the_shorter_way() {
        let of = |h: f32| Tensor::from_vec([[0.0, 0.0, h]; POSES].concat(), (1, POSES, 3), &Device::Cpu).unwrap();
        let error = |a: f32, b: f32| absolute_error(&of(a), &of(b)).unwrap().to_vec0::<f32>().unwrap();
        assert!((error(3.1, -3.1) - (TAU as f32 - 6.2) / 3.0).abs() < 1e-5);
        assert!((error(0.5, -0.4) - 0.3).abs() < 1e-5);
    }

    #[test]
    fn focal_is_the_formula_and_survives_extremes() {
        let logits = [0.3f32, -2.0, 80.0, -80.0, 0.0, 1.0];
        let got = focal(&Tensor::from_vec(logits.to_vec(), (2, 3), &Device::Cpu).unwrap(), &[1, 0]).unwrap();
        let want: f64 = logits
            .iter()
            .enumerate()
            .map(|(i, x)| {
                let p = 1.0 / (1.0 + (-f64::from(*x)).exp());
                match i {
                    1 | 3 => 0.25 * (1.0 - p).powi(2) * (1.0 + (-f64::from(*x)).exp()).ln(),
                    _ => 0.75 * p * p * (1.0 + f64::from(*x).exp()).ln(),
                }
            })
            .sum::<f64>()
            / 6.0;
        assert!((f64::from(got.to_vec0::<f32>().unwrap()) - want).abs() < 1e-4 * want, "{got} {want}");
    }
}
