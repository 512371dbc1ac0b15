//! Whatever proposes trajectories, so that the tree can improve on any policy.

use super::{
    features::Context,
    geometry::{POSES, STEP},
};
use crate::error::Result;
use scene::{Pose, Trajectory};

/// What a policy proposes for one frame.
#[derive(Debug, Clone, PartialEq)]
pub struct Proposals {
    /// Candidates, 8 poses at 0.5 s each; at least one.
    pub candidates: Vec<Trajectory>,
    /// One score each, higher is better; any scale.
    pub scores: Vec<f64>,
}

impl Proposals {
    /// A single candidate.
    pub fn only(candidate: Trajectory) -> Self {
        Proposals { candidates: vec![candidate], scores: vec![1.0] }
    }

    /// Candidates from the best to the worst score; equal ones in their order.
    pub fn ranked(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.candidates.len()).collect();
        order.sort_by(|a, b| self.scores[*b].total_cmp(&self.scores[*a]));
        order
    }
}

/// A policy that proposes candidates; nothing of it but these is seen by the other branches.
pub trait Reference {
    /// Proposals for every frame of a context.
    ///
    /// # Errors
    /// The policy's own.
    fn propose(&self, context: &Context) -> Result<Vec<Proposals>>;
}

/// Goes on as fast as now, straight ahead: the simplest reference, and a row of every table.
#[derive(Debug, Clone, Copy, Default)]
pub struct ConstantVelocity;

impl Reference for ConstantVelocity {
    fn propose(&self, context: &Context) -> Result<Vec<Proposals>> {
        let drive = |speed: f64| {
            let pose = |t: usize| Pose::new(speed * STEP * t as f64, 0.0, 0.0);
            Trajectory::half_second((1..=POSES).map(pose).collect())
        };
        let speeds = context.egos().iter().map(|ego| ego.velocity[0].max(0.0));
        Ok(speeds.map(|speed| Proposals::only(drive(speed))).collect())
    }
}
