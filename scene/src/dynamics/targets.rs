//! From a plan to the 41 poses the tracker follows (spec 2).

use super::{INTERVAL, Quirks, STATES};
use crate::world::EgoStatus;
use crate::{Pose, Trajectory, pose};
use std::f64::consts::{PI, TAU};

/// Timed world poses to interpolate between; headings are unwrapped. Reusable: refilling keeps the memory.
#[derive(Debug, Clone, Default)]
pub struct Knots {
    time_us: Vec<i64>,
    poses: Vec<Pose>,
}

impl Knots {
    /// Ego now, then the poses of a plan relative to ego.
    pub fn fill_from_plan(&mut self, ego: &EgoStatus, plan: &Trajectory, quirks: Quirks) {
        self.clear();
        self.push(ego.time_us, ego.pose);
        let start = ego.time_us as f64 * 1e-6;
        for (k, &relative) in plan.poses.iter().enumerate() {
            let time_us = if quirks.truncated_times {
                ((k as f64 * plan.step + plan.step + start) * 1e6) as i64
            } else {
                ego.time_us + ((k + 1) as f64 * plan.step * 1e6).round() as i64
            };
            self.push(time_us, relative.out_of_frame(ego.pose));
        }
    }

    /// World poses with their times.
    pub fn fill_from_world(&mut self, time_us: &[i64], poses: &[Pose]) {
        self.clear();
        for (&t, &p) in time_us.iter().zip(poses) {
            self.push(t, p);
        }
    }

    /// Bytes of heap memory held.
    pub fn heap_bytes(&self) -> usize {
        self.time_us.capacity() * size_of::<i64>() + self.poses.capacity() * size_of::<Pose>()
    }

    fn clear(&mut self) {
        self.time_us.clear();
        self.poses.clear();
    }

    /// Adds a knot; its heading is turned by whole circles to within half a circle of the one before.
    fn push(&mut self, time_us: i64, pose: Pose) {
        let heading = match self.poses.last() {
            Some(before) => unwrapped(before.heading, pose.heading),
            None => pose.heading,
        };
        self.time_us.push(time_us);
        self.poses.push(Pose { heading, ..pose });
    }

    /// The pose at a time, linear between knots, clamped to the ends; heading in `[-pi, pi)`.
    /// Without knots: the origin.
    pub fn at(&self, time_us: i64) -> Pose {
        let (Some(&first), Some(&last)) = (self.time_us.first(), self.time_us.last()) else { return Pose::ORIGIN };
        let t = time_us.clamp(first, last.max(first));
        let hi = self.time_us.partition_point(|&k| k < t).clamp(1, self.time_us.len().max(2) - 1);
        let (Some(a), Some(b)) = (self.poses.get(hi - 1), self.poses.get(hi)) else { return self.poses[0] };
        let span = (self.time_us[hi] - self.time_us[hi - 1]) as f64;
        let passed = (t - self.time_us[hi - 1]) as f64;
        let between = |from: f64, to: f64| (to - from) / span * passed + from;
        let heading = principal(between(a.heading, b.heading));
        Pose { x: between(a.x, b.x), y: between(a.y, b.y), heading }
    }
}

/// `next` plus whole circles so that it differs from `before` by at most half a circle.
pub(crate) fn unwrapped(before: f64, next: f64) -> f64 {
    let jump = next - before;
    if jump.abs() < PI { next } else { before + pose::wrap_angle(jump) }
}

/// The same angle in `[-pi, pi)`.
#[inline]
pub(crate) fn principal(angle: f64) -> f64 {
    if (-PI..PI).contains(&angle) { angle } else { (angle + PI).rem_euclid(TAU) - PI }
}

/// The poses at 0, 0.1 .. 4.0 s after `start_us`.
pub fn targets(knots: &Knots, start_us: i64, quirks: Quirks) -> [Pose; STATES] {
    let start = start_us as f64 * 1e-6;
    std::array::from_fn(|i| {
        let time_us = if quirks.truncated_times {
            ((i as f64 * INTERVAL + start) * 1e6) as i64
        } else {
            start_us + i as i64 * 100_000
        };
        knots.at(time_us)
    })
}
