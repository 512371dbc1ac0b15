//! Settings of the trajectory branches: their sizes, the imitation head, and what is trained beside it.

use super::{
    knob::{above, any, choice, count, each, number, or_none, section, seed, switch},
    sft::LrScheduler,
};
use crate::error::{Failure, Result};
use std::path::PathBuf;

section! {
    /// Sizes of the trajectory branches; all have the same.
    pub struct Trajectory = "trajectory" {
        /// Hidden width.
        width: usize = 256, count(1, 65_536);
        /// Attention heads; they divide the width.
        heads: usize = 8, count(1, 1024);
        /// Decoder layers.
        layers: usize = 3, count(1, 64);
        /// Width inside the feed-forward parts.
        inner: usize = 1024, count(1, 65_536);
        /// Tokens that the picture features are compressed to.
        registers: usize = 64, count(1, 4096);
        /// Keep picture features on disk for the next start, in ~/.cache/reinsman/features.
        cache: bool = true, switch();
    }
}

impl Trajectory {
    /// Rules across sizes.
    pub(super) fn check(&self) -> Result<()> {
        let (width, heads) = (self.width, self.heads);
        if !width.is_multiple_of(heads) {
            let message = format!("trajectory.heads is {heads}, which does not divide trajectory.width, {width}");
            return Err(
                Failure::usage(message).hint("choose a width that is a multiple of the heads, such as 256 and 8")
            );
        }
        Ok(())
    }
}

section! {
    /// The imitation head, alone (`il`) or beside the other branches (`pair`).
    pub struct Il = "il" {
        /// Trajectories it proposes, refined from as many k-means anchors; 1 is plain regression.
        modes: usize = 20, count(1, 4096);
        /// Nothing to see: an ego-status network, as a baseline.
        blind: bool = false, switch();
        /// Peak learning rate.
        learning_rate: f64 = 3e-4, above(0.0, 1.0);
        /// How the learning rate moves over the run.
        lr_scheduler_type: LrScheduler = LrScheduler::Cosine, LrScheduler::rule();
        /// Optimizer steps from zero to the peak.
        warmup_steps: usize = 20, count(0, 1_000_000_000);
        /// Optimizer steps; 0 keeps a given head as it is.
        max_steps: usize = 1000, count(0, 1_000_000_000);
        /// Frames per step.
        per_device_train_batch_size: usize = 32, count(1, 65_536);
        /// Decoupled weight decay of AdamW (not on norms and biases).
        weight_decay: f64 = 0.01, number(0.0, 1.0);
        /// Gradients are scaled down to this norm; 0 turns clipping off.
        max_grad_norm: f64 = 1.0, number(0.0, 1e6);
        /// The one seed that every random stream of the head comes from.
        seed: u64 = 42, seed();
        /// A checkpoint every so many steps (of `il`).
        save_steps: usize = 200, count(1, 1_000_000_000);
        /// Checkpoints kept; the newest always is.
        save_total_limit: Option<usize> = Some(2), or_none(count(1, 1_000_000));
        /// A line of metrics every so many steps.
        logging_steps: usize = 1, count(1, 1_000_000_000);
    }
}

choice! {
    /// What reinforcement learning teaches.
    pub enum PairMode {
        /// A tree and a selector beside the imitation head, which only imitates (PaIR-Drive).
        Parallel = "parallel",
        /// The imitation head itself, after it has learned: the baseline.
        Sequential = "sequential",
    }
}

section! {
    /// Imitation and reinforcement side by side. Scores are those of the simulator's moments (EPDMS of one frame).
    pub struct Pair = "pair" {
        /// What reinforcement learning teaches.
        mode: PairMode = PairMode::Parallel, PairMode::rule();
        /// Run folder of an imitation head to start from; with il.max_steps=0 it stays as it is.
        il: Option<PathBuf> = None, or_none(any("a path"));
        /// Peak learning rate of reinforcement learning.
        learning_rate: f64 = 3e-4, above(0.0, 1.0);
        /// Peak learning rate of the selector.
        selector_learning_rate: f64 = 5e-4, above(0.0, 1.0);
        /// How both move over their steps.
        lr_scheduler_type: LrScheduler = LrScheduler::CosineWithMinLr, LrScheduler::rule();
        /// Optimizer steps from zero to the peaks.
        warmup_steps: usize = 10, count(0, 1_000_000_000);
        /// Steps of reinforcement learning.
        max_steps: usize = 600, count(1, 1_000_000_000);
        /// Steps of the selector, the last ones of the run; 0 trains none.
        selector_steps: usize = 400, count(0, 1_000_000_000);
        /// Frames per step of reinforcement learning.
        per_device_train_batch_size: usize = 16, count(1, 65_536);
        /// Frames per step of the selector.
        selector_batch_size: usize = 16, count(1, 65_536);
        /// Children of a node at each of the four levels while it learns; their product is the group size.
        branching: Vec<usize> = vec![4, 2, 2, 1], each("four whole numbers, 1 or more", |n| *n >= 1);
        /// Children at each level when it plans: the likeliest intentions.
        plan_branching: Vec<usize> = vec![6, 2, 1, 1], each("four whole numbers, 1 to 6", |n| (1..=6).contains(n));
        /// Drives of a frame that are compared in sequential mode.
        num_generations: usize = 16, count(2, 4096);
        /// Updates on the same trees.
        num_iterations: usize = 1, count(1, 100);
        /// Lower clip of the ratio.
        epsilon: f64 = 0.2, number(0.0, 1.0);
        /// Upper clip of the ratio.
        epsilon_high: f64 = 0.28, number(0.0, 10.0);
        /// Weight of the divergence from the initial, keep-biased policy.
        beta: f64 = 0.01, number(0.0, 10.0);
        /// Mean divergence of a decision that beta adapts to: 1.5 times more above it, less below a fifth of it; "none"
        /// leaves beta as it is. Small ones (0.05) keep the tree from learning anything.
        kl_target: Option<f64> = None, or_none(above(0.0, 100.0));
        /// Share of a node's advantage that is taken against its parent.
        parent_share: f64 = 0.0, number(0.0, 0.5);
        /// Leaves are rewarded for what they add as one of so many candidates beside the reference; 0 rewards each with its own
        /// score, as published, under which a tree learns to keep to good references.
        best_of: usize = 4, count(0, 4096);
        /// Divide advantages by the deviation of the leaves' rewards (off: Dr. GRPO).
        scale_rewards: bool = true, switch();
        /// Cost of accelerating everywhere as hard as can be, to decide among equals.
        action_cost: f64 = 0.05, number(0.0, 1.0);
        /// Cost of a leaf that is less comfortable than its reference; at 1 such a leaf is never an improvement.
        comfort_cost: f64 = 1.0, number(0.0, 1.0);
        /// Bonus of a leaf that drives the frame's meta-action.
        consistency: f64 = 0.0, number(0.0, 1.0);
        /// Share of frames whose tree is told the meta-action.
        lean_share: f64 = 0.5, number(0.0, 1.0);
        /// Logit that a told meta-action adds at the first level; 0 switches it off.
        lean_bias: f64 = 1.0, number(0.0, 10.0);
        /// Weights of the references that the tree learns on: demonstrated, demonstrated and shaken, nearest anchor, constant
        /// velocity, proposals of the imitation head.
        reference_weights: Vec<f64> = vec![0.20, 0.30, 0.15, 0.10, 0.25],
            each("five numbers, 0 or more", |w: &f64| w.is_finite() && *w >= 0.0);
        /// Weight of imitation in sequential mode.
        imitation: f64 = 0.1, number(0.0, 100.0);
        /// Predicted gain below which the imitation head's choice is driven; "auto" picks it on data.val (0.02 without).
        threshold: Threshold = Threshold::Auto, any("\"auto\" or a number from 0 to 1");
        /// Decoupled weight decay of AdamW (not on norms and biases).
        weight_decay: f64 = 0.01, number(0.0, 1.0);
        /// Gradients are scaled down to this norm; 0 turns clipping off.
        max_grad_norm: f64 = 1.0, number(0.0, 1e6);
        /// The one seed that every random stream of tree and selector comes from; il.seed is the imitation head's.
        seed: u64 = 42, seed();
        /// A checkpoint every so many steps.
        save_steps: usize = 200, count(1, 1_000_000_000);
        /// Checkpoints kept; the newest always is.
        save_total_limit: Option<usize> = Some(2), or_none(count(1, 1_000_000));
        /// A line of metrics every so many steps.
        logging_steps: usize = 1, count(1, 1_000_000_000);
    }
}

impl Pair {
    /// Rules on lists, whose lengths the rule of one value cannot see.
    pub(super) fn check(&self) -> Result<()> {
        let lengths = [
            ("branching", self.branching.len(), 4),
            ("plan_branching", self.plan_branching.len(), 4),
            ("reference_weights", self.reference_weights.len(), 5),
        ];
        if let Some((name, found, wanted)) = lengths.into_iter().find(|(_, found, wanted)| found != wanted) {
            return Err(Failure::usage(format!("pair.{name} has {found} numbers; it needs {wanted}"))
                .hint("`reinsman config show --docs` says what each is for"));
        }
        if self.reference_weights.iter().sum::<f64>() <= 0.0 {
            return Err(Failure::usage("pair.reference_weights are all 0").hint("give at least one reference a weight"));
        }
        Ok(())
    }
}

/// Predicted gain below which the imitation head's choice is driven.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Threshold {
    /// The best of some on held-out frames.
    Auto,
    /// This one.
    Gain(f64),
}

impl super::knob::Setting for Threshold {
    fn read(value: &toml::Value) -> Option<Self> {
        match value.as_str() {
            Some("auto") => Some(Threshold::Auto),
            _ => f64::read(value).filter(|gain| (0.0..=1.0).contains(gain)).map(Threshold::Gain),
        }
    }
    fn write(&self) -> Option<toml::Value> {
        Some(match self {
            Threshold::Auto => toml::Value::String("auto".into()),
            Threshold::Gain(gain) => toml::Value::Float(*gain),
        })
    }
}
