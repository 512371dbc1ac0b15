//! Offsets from a reference trajectory, as accelerations in the reference's own Frenet frame, in f64 on the host.
//!
//! A level of the tree holds an acceleration along the path and one to its left for 1 s (two poses). Both are integrated
//! to metres along and beside the reference, so a change of plan is smooth in speed, where PaIR-Drive (arXiv 2603.13842)
//! shifts the poses themselves in steps and loses comfort (C 100 to 94.1). No acceleration at all gives the reference
//! back bit by bit, and poses are never turned into controls, which would amplify their noise.
//!
//! With `a` and `b` the accelerations of the level of pose t and `dt` = 0.5 s, all sums starting at 0:
//! `dv_t = max(dv_{t-1} + a dt, -v_t)`, `ds_t = ds_{t-1} + dt (dv_{t-1} + dv_t) / 2`; `w_t = w_{t-1} + b dt`,
//! `dd_t = dd_{t-1} + dt (w_{t-1} + w_t) / 2`. The pose lies `dd_t` to the left of the reference at the arc length
//! `S_t + ds_t`; its heading is the path's plus `atan2(w_t, max(v_t + dv_t, 1 m/s))`. Headings and normals of the path
//! are interpolated between the reference's poses, places on straight lines between them.
//!
//! Beyond the formulas:
//! 1. The arc length never falls. While the reference brakes, `dv` may be more negative for half a step than the
//!    reference is fast, and the car would roll back.
//! 2. `|a_l - a_{l-1}|` is at most [`MAX_STEP`], and so is `|a_1|`: full braking takes two levels.

use crate::error::{Failure, Result};
use scene::{Pose, Trajectory, pose::wrap_angle};

/// Poses of a trajectory.
pub const POSES: usize = 8;
/// Seconds between poses.
pub const STEP: f64 = 0.5;
/// Levels of a tree.
pub const LEVELS: usize = 4;
/// Poses of one level.
pub const LEVEL_POSES: usize = POSES / LEVELS;
/// Largest change of the acceleration along the path from one level to the next, m/s2.
pub const MAX_STEP: f64 = 2.0;

/// Accelerations of one level, m/s2: along the path and to its left.
pub type Action = [f64; 2];

/// Where offsets have taken the car at the end of a level.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Drift {
    /// Metres ahead of the reference, along it.
    pub ahead: f64,
    /// Metres to the left of the reference.
    pub left: f64,
    /// m/s faster than the reference.
    pub faster: f64,
    /// m/s to the left, across the reference.
    pub sideways: f64,
    /// Acceleration along the path in the level that ended, m/s2.
    pub acceleration: f64,
    /// Arc length reached on the reference, metres.
    pub along: f64,
    /// The pose reached.
    pub pose: Pose,
}

/// A reference measured by arc length.
#[derive(Debug, Clone, PartialEq)]
pub struct Frenet {
    /// The present pose and the reference's.
    path: [Pose; POSES + 1],
    /// Metres along the reference at each of them.
    along: [f64; POSES + 1],
}

/// Fails unless a trajectory is 8 finite poses at 0.5 s.
///
/// # Errors
/// Exit 3 with what was found.
pub fn check(trajectory: &Trajectory) -> Result<()> {
    let (count, step) = (trajectory.poses.len(), trajectory.step);
    if count != POSES || (step - STEP).abs() > 1e-9 {
        return Err(Failure::data(format!(
            "a trajectory has {count} poses at {step} s; {POSES} poses at {STEP} s are needed"
        ))
        .hint("resample it, or leave the sample out"));
    }
    match trajectory.poses.iter().position(|pose| !pose.is_finite()) {
        Some(at) => Err(Failure::data(format!("pose {at} of a trajectory is not finite: {:?}", trajectory.poses[at]))),
        None => Ok(()),
    }
}

impl Frenet {
    /// Measures a reference, which drives forward.
    ///
    /// # Errors
    /// As [`check`].
    pub fn new(reference: &Trajectory) -> Result<Self> {
        check(reference)?;
        let mut path = [Pose::ORIGIN; POSES + 1];
        path[1..].copy_from_slice(&reference.poses);
        let mut along = [0.0; POSES + 1];
        for t in 1..=POSES {
            along[t] = along[t - 1] + path[t].distance(path[t - 1]);
        }
        Ok(Frenet { path, along })
    }

    /// The reference.
    pub fn reference(&self) -> Trajectory {
        Trajectory::half_second(self.path[1..].to_vec())
    }

    /// Pose `t` of the reference, 0 being now.
    pub fn pose(&self, t: usize) -> Pose {
        self.path[t.min(POSES)]
    }

    /// Mean speed of the reference over the step that ends at pose `t`, m/s; the first step's for `t = 0`.
    pub fn speed(&self, t: usize) -> f64 {
        let t = t.clamp(1, POSES);
        (self.along[t] - self.along[t - 1]) / STEP
    }

    /// The place on the path at an arc length, straight on beyond its end.
    fn at(&self, along: f64) -> Pose {
        let after = self.along.partition_point(|s| *s <= along);
        let Some(to) = self.path.get(after) else {
            let (end, beyond) = (self.path[POSES], along - self.along[POSES]);
            let (sin, cos) = end.heading.sin_cos();
            return Pose::new(end.x + beyond * cos, end.y + beyond * sin, end.heading);
        };
        let before = after.saturating_sub(1);
        let (s, e) = (self.along[before], self.along[after]);
        if e > s { self.path[before].lerp(*to, (along - s) / (e - s)) } else { self.path[before] }
    }

    /// Drives level `level` (from 0) with an action; the drift at its end and its poses.
    pub fn level(&self, from: &Drift, level: usize, action: Action) -> (Drift, [Pose; LEVEL_POSES]) {
        let mut now = *from;
        now.acceleration = action[0].clamp(from.acceleration - MAX_STEP, from.acceleration + MAX_STEP);
        let mut poses = [Pose::ORIGIN; LEVEL_POSES];
        for (i, pose) in poses.iter_mut().enumerate() {
            let t = (level * LEVEL_POSES + i + 1).min(POSES);
            let faster = (now.faster + now.acceleration * STEP).max(-self.speed(t));
            let sideways = now.sideways + action[1] * STEP;
            now.ahead += STEP * (now.faster + faster) / 2.0;
            now.left += STEP * (now.sideways + sideways) / 2.0;
            (now.faster, now.sideways) = (faster, sideways);
            let along = self.along[t] + now.ahead;
            if along < now.along {
                now.ahead = now.along - self.along[t];
            }
            now.along = now.along.max(along);
            *pose = self.place(t, &now);
            now.pose = *pose;
        }
        (now, poses)
    }

    fn place(&self, t: usize, drift: &Drift) -> Pose {
        if (drift.ahead, drift.left, drift.sideways) == (0.0, 0.0, 0.0) {
            return self.path[t]; // to the last bit
        }
        let on = self.at(drift.along);
        let (sin, cos) = on.heading.sin_cos();
        let turned = drift.sideways.atan2((self.speed(t) + drift.faster).max(1.0));
        Pose::new(on.x - drift.left * sin, on.y + drift.left * cos, wrap_angle(on.heading + turned))
    }

    /// The trajectory of one action per level.
    pub fn apply(&self, actions: &[Action; LEVELS]) -> Trajectory {
        let mut drift = Drift::default();
        let mut poses = Vec::with_capacity(POSES);
        for (level, action) in actions.iter().enumerate() {
            let (next, reached) = self.level(&drift, level, *action);
            poses.extend(reached);
            drift = next;
        }
        Trajectory::half_second(poses)
    }
}

#[cfg(test)]
mod tests;
