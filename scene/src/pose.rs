//! Poses and trajectories in the ego frame.

use serde::{Deserialize, Serialize};

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
}
