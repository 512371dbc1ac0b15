//! Ego: a kinematic bicycle whose reference point is the middle of its box (Rajamani, Vehicle Dynamics and Control, 2.2).

use crate::batch::{Action, SceneMut};
use crate::math;
use crate::scenario::DT;

/// m/s².
const ACCEL: (f32, f32) = (-8.0, 4.0);
/// Largest steering angle, radians.
const STEER: f32 = 0.667;
/// How fast the front wheels turn, radians per second.
const STEER_RATE: f32 = 0.6;
/// Wheelbase as a share of the length.
const WHEELBASE: f32 = 0.6;
/// Ego is looked for so many metres around its last place on the path.
const REACH: f32 = 6.0;

/// Where ego was before a step.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pose {
    /// Metres.
    pub x: f32,
    /// Metres.
    pub y: f32,
    /// Direction.
    pub cos: f32,
    /// Direction.
    pub sin: f32,
    heading: f32,
    /// Metres along the path.
    pub s: f32,
    lat: f32,
    /// m/s.
    pub v: f32,
}

impl Pose {
    pub(super) fn of(scene: &SceneMut<'_>) -> Pose {
        Pose {
            x: scene.x[0],
            y: scene.y[0],
            cos: scene.cos[0],
            sin: scene.sin[0],
            heading: scene.heading[0],
            s: scene.s[0],
            lat: scene.lat[0],
            v: scene.v[0],
        }
    }

    /// Puts ego back to where it was, standing.
    pub(super) fn restore(&self, scene: &mut SceneMut<'_>) {
        (scene.x[0], scene.y[0], scene.heading[0]) = (self.x, self.y, self.heading);
        (scene.cos[0], scene.sin[0]) = (self.cos, self.sin);
        (scene.s[0], scene.lat[0]) = (self.s, self.lat);
        (scene.v[0], scene.yaw_rate[0]) = (0.0, 0.0);
    }
}

/// A number that is no number counts as 0.
fn sane(x: f32) -> f32 {
    if x.is_nan() { 0.0 } else { x }
}

/// Moves ego by one step.
pub(super) fn drive(scene: &mut SceneMut<'_>, action: Action) {
    let length = 2.0 * scene.world.half_length[0];
    let accel = sane(action.accel).clamp(ACCEL.0, ACCEL.1);
    let wanted = sane(action.steer).clamp(-STEER, STEER);
    let steer = wanted.clamp(scene.steer[0] - STEER_RATE * DT, scene.steer[0] + STEER_RATE * DT);
    let v = scene.v[0];
    let after = (v + accel * DT).max(0.0);
    let mean = 0.5 * (v + after);
    let slope = math::tan(steer);
    // beta = atan(tan(steer) / 2); its cosine and sine without an angle.
    let half = 0.5 * slope;
    let cos_beta = 1.0 / (1.0 + half * half).sqrt();
    let sin_beta = half * cos_beta;
    let (cos, sin) = (scene.cos[0], scene.sin[0]);
    scene.x[0] += mean * (cos * cos_beta - sin * sin_beta) * DT;
    scene.y[0] += mean * (sin * cos_beta + cos * sin_beta) * DT;
    let rate = mean * cos_beta * slope / (WHEELBASE * length).max(0.5);
    let heading = math::wrap(scene.heading[0] + rate * DT);
    scene.heading[0] = heading;
    (scene.sin[0], scene.cos[0]) = math::sin_cos(heading);
    scene.yaw_rate[0] = rate;
    scene.a[0] = (after - v) / DT;
    scene.v[0] = after;
    scene.steer[0] = steer;
    if let Some(path) = scene.world.paths.get(scene.path[0] as usize) {
        let place = path.project(scene.x[0], scene.y[0], scene.s[0], REACH);
        (scene.s[0], scene.lat[0]) = (place.s, place.lat);
    }
}
