//! The LQR tracker that turns target poses into commands, closed over the bicycle (spec 3.3).

use super::profile::{VelocityFit, curvature_profile};
use super::{INTERVAL, Quirks, STATES, STEPS, State, bicycle, vehicle};
use crate::{Pose, pose::wrap_angle};

/// Steps looked ahead.
const HORIZON: usize = 10;
/// Weights of the speed error, lateral error, heading error; those of the two commands are 1.
const SPEED_WEIGHT: f64 = 10.0;
const LATERAL_WEIGHT: f64 = 1.0;
const HEADING_WEIGHT: f64 = 10.0;
/// Below this reference and own speed (m/s) the car only settles.
const STOPPING_SPEED: f64 = 0.2;
const STOPPING_GAIN: f64 = 0.5;

/// The tracker with its factored velocity fit.
#[derive(Debug, Clone)]
pub struct Tracker {
    quirks: Quirks,
    fit: VelocityFit,
}

impl Default for Tracker {
    fn default() -> Self {
        Tracker::new(Quirks::default())
    }
}

impl Tracker {
    /// A tracker that keeps the given quirks.
    pub fn new(quirks: Quirks) -> Tracker {
        Tracker { quirks, fit: VelocityFit::new(quirks.overwritten_regulariser) }
    }

    /// Speeds (m/s) and curvatures (1/m) at steps 0..39 of a target path.
    pub fn profiles(&self, targets: &[Pose; STATES]) -> ([f64; STEPS], [f64; STEPS]) {
        self.profiles_with(targets, &targets.map(|t| t.heading.sin_cos()))
    }

    fn profiles_with(&self, targets: &[Pose; STATES], turned: &[(f64, f64); STATES]) -> ([f64; STEPS], [f64; STEPS]) {
        let mut speeds: [f64; STEPS] = std::array::from_fn(|i| {
            let (sin, cos) = turned[i];
            (targets[i + 1].x - targets[i].x) * cos + (targets[i + 1].y - targets[i].y) * sin
        });
        self.fit.solve(&mut speeds);
        let turns = std::array::from_fn(|i| wrap_angle(targets[i + 1].heading - targets[i].heading));
        let curvatures = curvature_profile(&turns, &speeds);
        (speeds, curvatures)
    }

    /// Drives from `start` along the targets: 41 states, the first one `start` itself.
    pub fn simulate(&self, start: State, targets: &[Pose; STATES]) -> [State; STATES] {
        let mut states = [start; STATES];
        self.simulate_into(&mut states, targets);
        states
    }

    /// The same from `states[0]` into `states[1..]`.
    pub fn simulate_into(&self, states: &mut [State; STATES], targets: &[Pose; STATES]) {
        let turned = targets.map(|t| t.heading.sin_cos());
        let (speeds, curvatures) = self.profiles_with(targets, &turned);
        let dt = bicycle::duration(self.quirks);
        let mut tan = states[0].steering.tan();
        for i in 0..STEPS {
            let s = states[i];
            let (acceleration, steering_rate) = command(i, &s, &targets[i], turned[i], &speeds, &curvatures);
            (states[i + 1], tan) = bicycle::advance(&s, acceleration, steering_rate, dt, s.heading.sin_cos(), tan);
        }
    }
}

/// Drives from `start` along the targets with a fresh [`Tracker`]; see [`Tracker::simulate`].
pub fn simulate(start: State, targets: &[Pose; STATES], quirks: Quirks) -> [State; STATES] {
    Tracker::new(quirks).simulate(start, targets)
}

/// Acceleration (m/s^2) and steering rate (rad/s) commanded at step `i`.
#[inline]
fn command(
    i: usize,
    s: &State,
    target: &Pose,
    (sin, cos): (f64, f64),
    speeds: &[f64; STEPS],
    curvatures: &[f64; STEPS],
) -> (f64, f64) {
    let reference = (i + HORIZON).min(STEPS - 1);
    let error = s.vx - speeds[reference];
    if speeds[reference] <= STOPPING_SPEED && s.vx <= STOPPING_SPEED {
        return (-STOPPING_GAIN * error, 0.0);
    }
    let acceleration = -SPEED_WEIGHT / (SPEED_WEIGHT + 1.0) * error;

    // Affine roll-out of (lateral error, heading error, steering) under a constant steering rate:
    // z where the rate is 0, b its derivative by the rate.
    let mut lateral = -(s.x - target.x) * sin + (s.y - target.y) * cos;
    let mut heading = wrap_angle(s.heading - target.heading);
    let (mut b_lateral, mut b_heading, mut b_steering) = (0.0, 0.0, 0.0);
    let mut v = s.vx;
    for k in 0..HORIZON {
        let reach = v * INTERVAL;
        let turn = reach / vehicle::WHEELBASE;
        lateral += reach * heading;
        heading += turn * s.steering - reach * curvatures[(i + k).min(reference)];
        b_lateral += reach * b_heading;
        b_heading += turn * b_steering;
        b_steering += INTERVAL;
        v += acceleration * INTERVAL;
    }
    heading = wrap_angle(heading);
    let gradient = LATERAL_WEIGHT * b_lateral * lateral + HEADING_WEIGHT * b_heading * heading;
    let curvature = LATERAL_WEIGHT * b_lateral * b_lateral + HEADING_WEIGHT * b_heading * b_heading + 1.0;
    (acceleration, -gradient / curvature)
}
