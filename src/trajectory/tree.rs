//! A tree of decisions over one reference: four levels of 1 s, every node one intention and its two accelerations.
//!
//! Nodes lie level by level, so parents come before children, and the nodes that have children are the first ones. What
//! doing nothing would give, the reference itself, is no node: it is the control that gains are measured against.

use super::{
    geometry::{Drift, Frenet, LEVEL_POSES, LEVELS, POSES},
    intention::Intention,
};
use crate::error::{Failure, Result};
use scene::{Pose, Trajectory};

/// Children of every node of a level.
pub type Branching = [usize; LEVELS];

/// Most leaves of a tree.
const MAX_LEAVES: usize = 4096;

/// Fails unless every level has a child and the leaves are not too many.
///
/// # Errors
/// Exit 2 with the numbers.
pub fn check(branching: &Branching) -> Result<()> {
    let leaves = branching.iter().try_fold(1usize, |n, b| n.checked_mul(*b)).filter(|n| (1..=MAX_LEAVES).contains(n));
    match leaves {
        Some(_) => Ok(()),
        None => Err(Failure::usage(format!("a tree cannot branch as {branching:?}"))
            .hint(format!("every level needs at least 1 child, all together at most {MAX_LEAVES} leaves"))),
    }
}

/// One decision that was taken.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// The node before it; `None` at the first level.
    pub parent: Option<usize>,
    /// Level, from 0.
    pub level: usize,
    /// What it means.
    pub intention: Intention,
    /// The normals its accelerations were squashed from; 0 without a continuous part.
    pub z: [f32; 2],
    /// Log-probability under the policy that took it: of the intention, and of z where there is a continuous part.
    pub logp: f64,
    /// Where the car is afterwards.
    pub drift: Drift,
    /// The poses of the level.
    pub poses: [Pose; LEVEL_POSES],
}

/// A tree.
#[derive(Debug, Clone, PartialEq)]
pub struct Tree {
    /// The reference.
    pub frenet: Frenet,
    /// What a meta-action leaned the first level to.
    pub lean: Option<Intention>,
    /// Decisions, level by level.
    pub nodes: Vec<Node>,
    /// How often it branched.
    pub branching: Branching,
}

impl Tree {
    /// A tree without nodes.
    pub(crate) fn root(frenet: Frenet, lean: Option<Intention>, branching: Branching) -> Self {
        Tree { frenet, lean, nodes: Vec::new(), branching }
    }

    /// Nodes of the levels before `level`.
    pub(crate) fn before(&self, level: usize) -> usize {
        (1..=level).map(|l| self.branching[..l].iter().product::<usize>()).sum()
    }

    /// Numbers of the leaves.
    pub fn leaves(&self) -> std::ops::Range<usize> {
        self.before(LEVELS - 1)..self.nodes.len()
    }

    /// Decision points: the root and every node that has children. Point `i + 1` is node `i`.
    pub fn points(&self) -> usize {
        1 + self.before(LEVELS - 1)
    }

    /// The decision point that a node was chosen at.
    pub fn point_of(&self, node: usize) -> usize {
        self.nodes[node].parent.map_or(0, |parent| parent + 1)
    }

    /// Nodes from the root to `node`, which is the last.
    pub fn path(&self, node: usize) -> Vec<usize> {
        let mut path = vec![node];
        let mut at = node;
        while let Some(parent) = self.nodes[at].parent {
            path.push(parent);
            at = parent;
        }
        path.reverse();
        path
    }

    /// The trajectory of a leaf.
    pub fn trajectory(&self, leaf: usize) -> Trajectory {
        let mut poses = Vec::with_capacity(POSES);
        self.path(leaf).into_iter().for_each(|node| poses.extend(self.nodes[node].poses));
        Trajectory::half_second(poses)
    }

    /// The trajectories of all leaves, in order.
    pub fn trajectories(&self) -> Vec<Trajectory> {
        self.leaves().map(|leaf| self.trajectory(leaf)).collect()
    }

    /// The leaf that keeps to the reference: never sampled, outside the loss, what gains are measured against.
    pub fn control(&self) -> Trajectory {
        self.frenet.apply(&[[0.0; 2]; LEVELS])
    }

    /// The intentions of a leaf, such as `left-settle-keep-keep`.
    pub fn code(&self, leaf: usize) -> String {
        let names: Vec<&str> = self.path(leaf).into_iter().map(|node| self.nodes[node].intention.name()).collect();
        names.join("-")
    }

    /// Log-probability of a leaf's whole path.
    pub fn logp(&self, leaf: usize) -> f64 {
        self.path(leaf).into_iter().map(|node| self.nodes[node].logp).sum()
    }
}

/// Numbers of a decision point's state.
pub(crate) const STATE: usize = 10 + 2 * POSES;

/// What the policy sees at a decision point: pose, speed and drift, how far the horizon has come, and the reference's
/// poses that are left, as seen from here (zeros for those that are past). Lengths in 10 m, small ones in 2 m.
pub(crate) fn state(frenet: &Frenet, drift: &Drift, level: usize) -> [f32; STATE] {
    let mut state = [0f32; STATE];
    let t = level * LEVEL_POSES;
    let (sin, cos) = drift.pose.heading.sin_cos();
    let head = [
        drift.pose.x / 10.0,
        drift.pose.y / 10.0,
        sin,
        cos,
        (frenet.speed(t) + drift.faster) / 10.0,
        drift.ahead / 2.0,
        drift.left / 2.0,
        drift.sideways / 2.0,
        drift.acceleration / 2.0,
        level as f64 / LEVELS as f64,
    ];
    for (slot, value) in state.iter_mut().zip(head) {
        *slot = value as f32;
    }
    for j in t + 1..=POSES {
        let seen = frenet.pose(j).into_frame(drift.pose);
        state[10 + 2 * (j - 1)] = (seen.x / 10.0) as f32;
        state[11 + 2 * (j - 1)] = (seen.y / 10.0) as f32;
    }
    state
}
