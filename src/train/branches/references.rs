//! What the tree learns to improve on: a mixture of references, so that it can be put over policies it has never met.
//!
//! PaIR-Drive trains on human drives alone and meets an imitation policy at inference. Here a reference is, with the
//! weights of [`Mix`], the demonstrated drive, the same with smooth random accelerations, the nearest anchor, constant
//! velocity, or a proposal of the imitation head as it is now: every other time its first choice, otherwise any of its
//! best. No gradient passes.

use super::Frames;
use crate::{
    error::{Failure, Result},
    streams::Stream,
    trajectory::{
        ConstantVelocity, Context, IlHead, Reference, anchors,
        geometry::{Frenet, LEVELS},
        plan,
    },
};
use scene::{Pose, Trajectory};

/// Deviations of the random accelerations, m/s2, along and to the left.
const SHAKE: [f64; 2] = [0.6, 0.4];

/// Weights of the references; only their ratios count.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mix {
    /// What was demonstrated.
    pub human: f64,
    /// The same, shaken.
    pub shaken: f64,
    /// The nearest anchor of the imitation head.
    pub anchor: f64,
    /// Constant velocity.
    pub constant: f64,
    /// The choice of the imitation head.
    pub il: f64,
}

impl Default for Mix {
    fn default() -> Self {
        Mix { human: 0.20, shaken: 0.30, anchor: 0.15, constant: 0.10, il: 0.25 }
    }
}

impl Mix {
    fn weights(&self) -> [f64; 5] {
        [self.human, self.shaken, self.anchor, self.constant, self.il]
    }

    /// One reference for each of some frames.
    ///
    /// # Errors
    /// Weights of which none is positive; those of the imitation head.
    pub fn draw(
        &self,
        frames: &Frames,
        picks: &[usize],
        context: &Context,
        il: &IlHead,
        stream: &mut Stream,
    ) -> Result<Vec<Trajectory>> {
        let (own, constant) = (il.propose(context)?, first_choices(&ConstantVelocity, context)?);
        let one = |(i, at): (usize, &usize)| -> Result<Trajectory> {
            let human = &frames.all()[*at].moment.demonstrated;
            match stream.weighted(&self.weights()) {
                Some(0) => Ok(human.clone()),
                Some(1) => shaken(human, SHAKE, stream),
                Some(2) => nearest_anchor(il, human),
                Some(3) => Ok(constant[i].clone()),
                Some(_) => {
                    let order = own[i].ranked();
                    let any = stream.below(order.len().min(plan::MODES) as u64) as usize;
                    let at = if stream.uniform() < 0.5 { 0 } else { any };
                    Ok(own[i].candidates[order[at]].clone())
                }
                None => Err(Failure::usage(format!("no reference has a positive weight: {self:?}"))),
            }
        };
        picks.iter().enumerate().map(one).collect()
    }
}

/// What a policy would drive in each frame.
///
/// # Errors
/// The policy's.
pub fn first_choices(reference: &dyn Reference, context: &Context) -> Result<Vec<Trajectory>> {
    let first = |proposals: crate::trajectory::Proposals| {
        let best = proposals.ranked().first().copied();
        let best = best.ok_or_else(|| Failure::device("a reference proposes nothing"))?;
        Ok(proposals.candidates[best].clone())
    };
    reference.propose(context)?.into_iter().map(first).collect()
}

/// A drive with smooth random accelerations of these deviations added.
///
/// # Errors
/// A drive that is not 8 finite poses.
pub fn shaken(drive: &Trajectory, deviations: [f64; 2], stream: &mut Stream) -> Result<Trajectory> {
    let actions = [(); LEVELS].map(|()| deviations.map(|deviation| deviation * stream.normal()));
    Ok(Frenet::new(drive)?.apply(&actions))
}

/// The anchor nearest to a drive, with headings along it.
///
/// # Errors
/// A drive that is not 8 finite poses.
pub fn nearest_anchor(il: &IlHead, drive: &Trajectory) -> Result<Trajectory> {
    let anchor = il.anchors()[anchors::winner(il.anchors(), &anchors::places(drive)?)];
    let mut before = Pose::ORIGIN;
    let poses = anchor.iter().map(|[x, y]| {
        let (dx, dy) = (x - before.x, y - before.y);
        // Anchors are means: where one hardly moves, its direction says nothing.
        let heading = if dx.hypot(dy) > 0.05 { dy.atan2(dx) } else { before.heading };
        before = Pose::new(*x, *y, heading);
        before
    });
    Ok(Trajectory::half_second(poses.collect()))
}
