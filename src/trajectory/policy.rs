//! The tree policy: at every decision point a choice among six intentions and, for four of them, two accelerations.
//!
//! Each intention is a query made from the point's state; the six queries of a point look at each other and at the
//! branch's own memory of the picture. Per node `log pi = log_softmax(logit + lean)[k] + sum_c N(z_c; mu_c, sigma_c)`,
//! the second part where the intention has one. The policy starts as "do nothing": keep has a bias of 2 over five
//! zeros (60 %), heads start near zero.
//!
//! Deviations from PaIR-Drive (arXiv 2603.13842):
//! 1. Accelerations are sampled actions with a density; there they are deterministic and learn only through the logits
//!    of later levels, the last level's not at all.
//! 2. The intentions are ours, `keep` among them, and paths are sampled; there a fixed list of 15 paths is enumerated.
//! 3. The acceleration of the level before belongs to the state, because its change is limited.
//! 4. The policy that divergences are taken from is the constant part of the initial one (bias and deviation), not a copy
//!    of its network: heads start near zero, so the two hardly differ, and half of the work is saved.

use super::{
    blocks::{Decoder, Memory, Mlp, norm},
    branch::{Branch, Shape},
    features::{Compressor, Context},
    geometry::LEVELS,
    intention::{INTENTIONS, Intention},
    tree::{self, Branching, STATE, Tree, state},
};
use crate::{
    error::{Failure, Result},
    vlm::{
        build::Scope,
        linear::{Linear, Norm},
        weights::Weights,
    },
};
use candle_core::{D, Device, Tensor, Var};
use candle_nn::ops::log_softmax;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, path::Path};

/// Half of `ln(2 pi)`.
pub(crate) const HALF_LN_TAU: f64 = 0.918_938_533_204_672_7;

/// Settings of the branch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TreeOptions {
    /// Sizes.
    pub shape: Shape,
    /// Children of a node at each level while it learns; drawn independently.
    pub branching: Branching,
    /// Children of a node at each level when it plans: the likeliest intentions, each with its mean accelerations.
    pub plan_branching: Branching,
    /// Bias of keep over the other intentions.
    pub keep_bias: f64,
    /// Logarithm of the deviation of `z` at the start; between -2.5 and 0, as it stays.
    pub log_sigma: f64,
    /// Bias at the first level of what the meta-action leans to; 0 switches it off.
    pub lean_bias: f64,
}

impl Default for TreeOptions {
    fn default() -> Self {
        TreeOptions {
            shape: Shape::default(),
            branching: [4, 2, 2, 1],
            plan_branching: [4, 2, 1, 1],
            keep_bias: 2.0,
            log_sigma: -0.5,
            lean_bias: 1.0,
        }
    }
}

/// Bounds of the logarithm of the deviation.
const LOG_SIGMA: [f64; 2] = [-2.5, 0.0];

impl TreeOptions {
    /// Fails on a size, a branching or a number that makes no sense.
    ///
    /// # Errors
    /// Exit 2 with the name and the value.
    pub fn check(&self) -> Result<()> {
        self.shape.check()?;
        tree::check(&self.branching)?;
        tree::check(&self.plan_branching)?;
        if self.plan_branching.iter().any(|b| *b > INTENTIONS) {
            let b = self.plan_branching;
            return Err(Failure::usage(format!("plan_branching is {b:?}; there are {INTENTIONS} intentions")));
        }
        if !(LOG_SIGMA[0]..=LOG_SIGMA[1]).contains(&self.log_sigma) {
            return Err(Failure::usage(format!("log_sigma is {}; allowed: {LOG_SIGMA:?}", self.log_sigma)));
        }
        if !self.keep_bias.is_finite() || !self.lean_bias.is_finite() {
            return Err(Failure::usage("keep_bias and lean_bias must be finite"));
        }
        Ok(())
    }
}

/// What the policy says at decision points; R of them.
pub(crate) struct Heads {
    pub(crate) logits: Tensor,    // (R, 6), every bias included but the lean
    pub(crate) mu: Tensor,        // (R, 6, 2)
    pub(crate) log_sigma: Tensor, // (R, 6, 2)
}

pub(crate) struct Net {
    compressor: Compressor,
    state: Mlp,
    intention: Tensor, // (6, H)
    level: Tensor,     // (L, H)
    decoder: Decoder,
    norm: Norm,
    logit: Linear,
    bias: Tensor, // (6)
    mu: Linear,
    spread: Tensor, // (L, 6, 2)
    keep: Tensor,   // (6), constant
    gentle: Tensor, // (6, 2), constant
    log_sigma: f64,
}

impl Net {
    fn new(scope: &Scope, options: &TreeOptions) -> candle_core::Result<Self> {
        let (shape, h) = (&options.shape, options.shape.width);
        Ok(Net {
            compressor: Compressor::new(&scope.pp("features"), shape)?,
            state: Mlp::new(&scope.pp("state"), STATE, h, h, "last")?,
            intention: scope.pp("intention").get("table", &[INTENTIONS, h])?,
            level: scope.pp("level").get("table", &[LEVELS, h])?,
            decoder: Decoder::new(scope, shape, INTENTIONS)?,
            norm: norm(&scope.pp("norm"), h)?,
            // A bias here would be the same for all intentions, and no probability would feel it.
            logit: Linear::new(&scope.pp("logit_head"), h, 1, false)?,
            bias: scope.pp("logit_head").get("bias", &[INTENTIONS])?,
            mu: Linear::new(&scope.pp("mu_head"), h, 2, true)?,
            spread: scope.pp("sigma_head").get("bias", &[LEVELS, INTENTIONS, 2])?,
            keep: prior(options)?,
            gentle: gentle()?,
            log_sigma: options.log_sigma,
        })
    }

    /// What the branch remembers of the frames, for every layer.
    pub(crate) fn memory(&self, context: &Context) -> candle_core::Result<Memory> {
        self.decoder.memory(&self.compressor.forward(context)?)
    }

    /// Decides at P points of each of B frames; states `(B, P, STATE)`, one level a point.
    pub(crate) fn decide(&self, memory: &Memory, states: &Tensor, levels: &[u32]) -> candle_core::Result<Heads> {
        let (b, p, _) = states.dims3()?;
        let levels = Tensor::new(levels, &Device::Cpu)?;
        let points = self.state.forward(states)?.broadcast_add(&self.level.index_select(&levels, 0)?)?; // (B, P, H)
        let queries = points.unsqueeze(2)?.broadcast_add(&self.intention)?; // (B, P, 6, H)
        let x = self.decoder.forward(&queries.flatten(1, 2)?, memory)?.pop();
        let Some(x) = x else { candle_core::bail!("a tree policy without layers") };
        let x = self.norm.forward(&x)?;
        let logits = self.logit.forward(&x)?.reshape((b * p, INTENTIONS))?;
        let spread = (self.spread.index_select(&levels, 0)? + self.log_sigma)?.clamp(LOG_SIGMA[0], LOG_SIGMA[1])?;
        let spread = spread.unsqueeze(0)?.broadcast_as((b, p, INTENTIONS, 2))?;
        Ok(Heads {
            logits: logits.broadcast_add(&(&self.bias + &self.keep)?)?,
            mu: self.mu.forward(&x)?.reshape((b * p, INTENTIONS, 2))?.broadcast_add(&self.gentle)?,
            log_sigma: spread.reshape((b * p, INTENTIONS, 2))?,
        })
    }
}

/// The constant logits.
fn prior(options: &TreeOptions) -> candle_core::Result<Tensor> {
    let mut logits = [0f32; INTENTIONS];
    logits[Intention::Keep.index()] = options.keep_bias as f32;
    Tensor::new(&logits, &Device::Cpu)
}

/// The constant part of the means.
fn gentle() -> candle_core::Result<Tensor> {
    Tensor::new(&Intention::ALL.map(Intention::gentle), &Device::Cpu)
}

/// Log-probabilities of all decisions of a batch of trees, one number a node, trees one after the other.
pub struct Evaluated {
    /// `log pi` of each node, with gradient.
    pub logp: Tensor,
    /// The intention's part of it.
    pub categorical: Tensor,
    /// Divergence of the whole choice at the node's decision point from the initial policy, with gradient.
    pub kl: Tensor,
}

/// The tree branch.
pub struct TreePolicy {
    branch: Branch<Net>,
    options: TreeOptions,
}

impl TreePolicy {
    /// Draws a branch.
    ///
    /// # Errors
    /// As [`TreeOptions::check`].
    pub fn new(options: &TreeOptions, seed: u64) -> Result<Self> {
        options.check()?;
        let branch = Branch::new("tree", seed, |scope| Net::new(scope, options))?;
        Ok(TreePolicy { branch, options: options.clone() })
    }

    /// Reads what [`TreePolicy::save`] wrote.
    ///
    /// # Errors
    /// Exit 3 for a file of other sizes or with numbers that are not finite.
    pub fn load(options: &TreeOptions, path: &Path) -> Result<Self> {
        Self::read(options, &Weights::open_file(path)?)
    }

    /// Reads what [`TreePolicy::bytes`] gave.
    ///
    /// # Errors
    /// As [`TreePolicy::load`].
    pub fn read(options: &TreeOptions, weights: &Weights) -> Result<Self> {
        options.check()?;
        let branch = Branch::read("tree", weights, |scope| Net::new(scope, options))?;
        Ok(TreePolicy { branch, options: options.clone() })
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

    /// Its settings.
    pub fn options(&self) -> &TreeOptions {
        &self.options
    }

    /// The same with at most so many children of the root when it plans.
    pub fn narrowed(mut self, most: usize) -> Self {
        self.options.plan_branching[0] = self.options.plan_branching[0].min(most.max(1));
        self
    }

    pub(crate) fn frozen(&self) -> &Net {
        self.branch.frozen()
    }

    /// Log-probabilities of the decisions of trees, one a frame and all of one shape, recomputed from the stored `z`.
    ///
    /// # Errors
    /// Trees of different shapes, or another number of trees than frames.
    pub fn evaluate(&self, context: &Context, trees: &[Tree]) -> Result<Evaluated> {
        context.expect("trees", trees.len())?;
        let Some(first) = trees.first() else { return Err(Failure::data("no trees to evaluate")) };
        if trees.iter().any(|tree| tree.branching != first.branching || tree.nodes.len() != first.nodes.len()) {
            return Err(Failure::data("trees of different shapes cannot be evaluated together"));
        }
        let (p, n) = (first.points(), first.nodes.len());
        let mut states = Vec::with_capacity(trees.len() * p * STATE);
        for tree in trees {
            states.extend(state(&tree.frenet, &Default::default(), 0));
            for node in &tree.nodes[..p - 1] {
                states.extend(state(&tree.frenet, &node.drift, node.level + 1));
            }
        }
        let mut levels = vec![0u32];
        levels.extend(first.nodes[..p - 1].iter().map(|node| node.level as u32 + 1));
        let states = Tensor::from_vec(states, (trees.len(), p, STATE), &Device::Cpu)?;
        let net = self.branch.trained();
        let heads = net.decide(&net.memory(context)?, &states, &levels)?;

        let lean = self.leans(trees, p)?; // (B P, 6)
        let log_probabilities = log_softmax(&(&heads.logits + &lean)?, D::Minus1)?; // (B P, 6)
        let (mut points, mut rows) = (Vec::with_capacity(trees.len() * n), Vec::with_capacity(trees.len() * n));
        let (mut z, mut continuous) = (Vec::with_capacity(2 * rows.capacity()), Vec::with_capacity(rows.capacity()));
        for (b, tree) in trees.iter().enumerate() {
            for (i, node) in tree.nodes.iter().enumerate() {
                let point = (b * p + tree.point_of(i)) as u32;
                points.push(point);
                rows.push(point * INTENTIONS as u32 + node.intention.index() as u32);
                z.extend(node.z);
                continuous.push(if node.intention.bounds().is_some() { 1f32 } else { 0.0 });
            }
        }
        let count = rows.len();
        let (points, rows) = (Tensor::new(points, &Device::Cpu)?, Tensor::new(rows, &Device::Cpu)?);
        let z = Tensor::from_vec(z, (count, 2), &Device::Cpu)?;
        let continuous = Tensor::new(continuous, &Device::Cpu)?;
        let chosen = |of: &Tensor| of.flatten(0, 1)?.index_select(&rows, 0);
        let categorical = log_probabilities.flatten_all()?.index_select(&rows, 0)?;
        let log_sigma = chosen(&heads.log_sigma)?;
        let distance = ((z - chosen(&heads.mu)?)? * log_sigma.neg()?.exp()?)?;
        let density = ((distance.sqr()? * -0.5)? - &log_sigma)?.sum(D::Minus1)?;
        let density = ((density - 2.0 * HALF_LN_TAU)? * continuous)?;
        let kl = self.divergence(&heads, &log_probabilities, &lean)?.index_select(&points, 0)?;
        Ok(Evaluated { logp: (&categorical + density)?, categorical, kl })
    }

    /// The constant that meta-actions add to logits: the first point of a tree only. `(B P, 6)`.
    fn leans(&self, trees: &[Tree], points: usize) -> Result<Tensor> {
        let mut lean = vec![0f32; trees.len() * points * INTENTIONS];
        for (b, tree) in trees.iter().enumerate() {
            if let Some(intention) = tree.lean {
                lean[b * points * INTENTIONS + intention.index()] = self.options.lean_bias as f32;
            }
        }
        Ok(Tensor::from_vec(lean, (trees.len() * points, INTENTIONS), &Device::Cpu)?)
    }

    /// Exact divergence from the initial policy at every decision point, `(R)`: of the choice among intentions, and of
    /// the accelerations of each weighted by its probability.
    fn divergence(&self, heads: &Heads, logp: &Tensor, lean: &Tensor) -> candle_core::Result<Tensor> {
        let first = log_softmax(&lean.broadcast_add(&prior(&self.options)?)?, D::Minus1)?;
        let p = logp.exp()?;
        let choice = (&p * (logp - first)?)?.sum(D::Minus1)?;
        let start = self.options.log_sigma;
        let moved = heads.mu.broadcast_sub(&gentle()?)?;
        let variance = ((&heads.log_sigma * 2.0)?.exp()? + moved.sqr()?)?;
        let normal = ((variance * (0.5 * (-2.0 * start).exp()))? - &heads.log_sigma)?;
        let normal = (normal + (start - 0.5))?.sum(D::Minus1)?; // (R, 6)
        let continuous = Intention::ALL.map(|k| if k.bounds().is_some() { 1f32 } else { 0.0 });
        let normal = normal.broadcast_mul(&Tensor::new(&continuous, &Device::Cpu)?)?;
        choice + (p * normal)?.sum(D::Minus1)?
    }
}
