//! Poses and trajectories in the ego frame: transforms between frames, speeds, mirroring and
//! interpolation. Rigid motions of the plane; headings are kept in `(-pi, pi]` where a function says so.

use serde::{Deserialize, Serialize};
use std::f64::consts::{PI, TAU};

/// Where the car is: metres and radians, x forward, y left, heading counter-clockwise.
/// Serialised as `[x, y, heading]`.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(from = "[f64; 3]", into = "[f64; 3]")]
pub struct Pose {
    /// Metres forward.
    pub x: f64,
    /// Metres to the left.
    pub y: f64,
    /// Radians, counter-clockwise.
    pub heading: f64,
}

impl From<[f64; 3]> for Pose {
    fn from([x, y, heading]: [f64; 3]) -> Self {
        Pose { x, y, heading }
    }
}

impl From<Pose> for [f64; 3] {
    fn from(p: Pose) -> Self {
        [p.x, p.y, p.heading]
    }
}

/// The same angle in `(-pi, pi]`; a non-finite angle stays as it is.
pub fn wrap_angle(angle: f64) -> f64 {
    if !angle.is_finite() || (angle > -PI && angle <= PI) {
        return angle;
    }
    let turned = angle.rem_euclid(TAU);
    if turned > PI { turned - TAU } else { turned }
}

impl Pose {
    /// The frame's own place.
    pub const ORIGIN: Pose = Pose { x: 0.0, y: 0.0, heading: 0.0 };

    /// A pose from metres forward, metres left and radians.
    pub fn new(x: f64, y: f64, heading: f64) -> Self {
        Pose { x, y, heading }
    }

    /// Whether all three numbers are finite.
    pub fn is_finite(self) -> bool {
        self.x.is_finite() && self.y.is_finite() && self.heading.is_finite()
    }

    /// Metres between two poses, headings ignored.
    pub fn distance(self, other: Pose) -> f64 {
        (self.x - other.x).hypot(self.y - other.y)
    }

    /// This pose seen from `frame`; both are given in one outer frame. Heading wrapped.
    pub fn into_frame(self, frame: Pose) -> Pose {
        let (s, c) = frame.heading.sin_cos();
        let (dx, dy) = (self.x - frame.x, self.y - frame.y);
        Pose { x: c * dx + s * dy, y: c * dy - s * dx, heading: wrap_angle(self.heading - frame.heading) }
    }

    /// Inverse of [`Pose::into_frame`]: this pose, given in `frame`, expressed in the outer frame. Heading wrapped.
    pub fn out_of_frame(self, frame: Pose) -> Pose {
        let (s, c) = frame.heading.sin_cos();
        Pose {
            x: frame.x + c * self.x - s * self.y,
            y: frame.y + s * self.x + c * self.y,
            heading: wrap_angle(self.heading + frame.heading),
        }
    }

    /// Left and right exchanged: y and heading change sign.
    pub fn mirrored(self) -> Pose {
        Pose { x: self.x, y: -self.y, heading: -self.heading }
    }

    /// The pose a fraction `t` of the way to `other`; the heading takes the shorter arc and is wrapped.
    pub fn lerp(self, other: Pose, t: f64) -> Pose {
        Pose {
            x: self.x + t * (other.x - self.x),
            y: self.y + t * (other.y - self.y),
            heading: wrap_angle(self.heading + t * wrap_angle(other.heading - self.heading)),
        }
    }
}

/// Future poses at a fixed step, the first one `step` seconds from now, in the ego frame of now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trajectory {
    /// Seconds between poses (0.5 in the product's records).
    pub step: f64,
    /// The poses; the present pose `(0, 0, 0)` is not among them.
    pub poses: Vec<Pose>,
}

impl Trajectory {
    /// Poses at 0.5 s.
    pub fn half_second(poses: Vec<Pose>) -> Self {
        Trajectory { step: 0.5, poses }
    }

    /// Seconds covered: the number of poses times the step.
    pub fn duration(&self) -> f64 {
        self.step * self.poses.len() as f64
    }

    /// Mean speed in m/s over each step, the first from the origin to the first pose: as many as there are poses.
    pub fn speeds(&self) -> Vec<f64> {
        let mut before = Pose::ORIGIN;
        self.poses
            .iter()
            .map(|&pose| {
                let v = pose.distance(before) / self.step;
                before = pose;
                v
            })
            .collect()
    }

    /// Left and right exchanged.
    pub fn mirrored(&self) -> Trajectory {
        Trajectory { step: self.step, poses: self.poses.iter().map(|p| p.mirrored()).collect() }
    }

    /// The pose `time` seconds from now, linear between neighbours, the origin being time 0;
    /// `None` outside `[0, duration]` or when time or step is not a usable number.
    pub fn at(&self, time: f64) -> Option<Pose> {
        let steps = time / self.step;
        let last = self.poses.len();
        // A hair beyond the end is rounding, not a question about the future.
        if !(steps >= 0.0 && steps <= last as f64 + 1e-9) {
            return None;
        }
        let before = (steps.floor() as usize).min(last);
        let pose = |i: usize| if i == 0 { Some(Pose::ORIGIN) } else { self.poses.get(i - 1).copied() };
        let from = pose(before)?;
        match pose(before + 1) {
            Some(to) => Some(from.lerp(to, steps - before as f64)),
            None => Some(from),
        }
    }

    /// The same drive seen from `frame`, which is given in this trajectory's frame.
    pub fn into_frame(&self, frame: Pose) -> Trajectory {
        Trajectory { step: self.step, poses: self.poses.iter().map(|p| p.into_frame(frame)).collect() }
    }

    /// Inverse of [`Trajectory::into_frame`].
    pub fn out_of_frame(&self, frame: Pose) -> Trajectory {
        Trajectory { step: self.step, poses: self.poses.iter().map(|p| p.out_of_frame(frame)).collect() }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn close(a: Pose, b: Pose) -> bool {
        a.distance(b) < 1e-9 && wrap_angle(a.heading - b.heading).abs() < 1e-9
    }

    fn any_pose() -> impl Strategy<Value = Pose> {
        (-100.0..100.0f64, -100.0..100.0f64, -3.1..3.1f64).prop_map(|(x, y, h)| Pose::new(x, y, h))
    }

    #[test]
    fn a_frame_turned_left_sees_ahead_as_right() {
        // Looking along +y from (1, 2), the point (4, 2) lies 3 m to the right.
        let seen = Pose::new(4.0, 2.0, 0.0).into_frame(Pose::new(1.0, 2.0, PI / 2.0));
        assert!(close(seen, Pose::new(0.0, -3.0, -PI / 2.0)), "{seen:?}");
    }

    #[test]
    fn angles_wrap_to_the_half_open_circle() {
        assert!((wrap_angle(3.0 * PI) - PI).abs() < 1e-12);
        assert!((wrap_angle(-PI) - PI).abs() < 1e-12);
        assert_eq!(wrap_angle(0.25), 0.25);
        assert!(wrap_angle(f64::NAN).is_nan());
    }

    #[test]
    fn speeds_start_at_the_origin() {
        let t = Trajectory::half_second(vec![Pose::new(3.0, 4.0, 0.0), Pose::new(3.0, 5.0, 0.0)]);
        assert_eq!(t.speeds(), [10.0, 2.0]);
        assert_eq!(t.duration(), 1.0);
    }

    #[test]
    fn interpolates_between_neighbours_only() {
        let t = Trajectory::half_second(vec![Pose::new(2.0, 0.0, 3.0), Pose::new(4.0, 2.0, -3.0)]);
        assert!(close(t.at(0.25).unwrap(), Pose::new(1.0, 0.0, 1.5)));
        // Across pi the shorter arc is 0.28 rad, so half way is pi itself.
        assert!(close(t.at(0.75).unwrap(), Pose::new(3.0, 1.0, PI)));
        assert!(close(t.at(1.0).unwrap(), Pose::new(4.0, 2.0, -3.0)));
        assert_eq!(t.at(0.0), Some(Pose::ORIGIN));
        assert_eq!((t.at(1.1), t.at(-0.1), t.at(f64::NAN)), (None, None, None));
        assert_eq!(Trajectory { step: 0.0, poses: vec![] }.at(1.0), None);
    }

    proptest! {
        #[test]
        fn frames_undo_each_other(p in any_pose(), frame in any_pose()) {
            prop_assert!(close(p.into_frame(frame).out_of_frame(frame), p));
            prop_assert!(close(frame.into_frame(frame), Pose::ORIGIN));
        }

        #[test]
        fn mirroring_is_its_own_inverse_and_commutes_with_frames(p in any_pose(), frame in any_pose()) {
            prop_assert_eq!(p.mirrored().mirrored(), p);
            prop_assert!(close(p.into_frame(frame).mirrored(), p.mirrored().into_frame(frame.mirrored())));
        }
    }
}
