//! Kinematic bicycle with first-order actuators, explicit Euler (spec 4).

use super::targets::principal;
use super::{INTERVAL, Quirks, State, vehicle};
use std::f64::consts::FRAC_PI_3;

/// The reference's step: 100000 us times 1e-6 (pitfall 2).
const TRUNCATED_STEP: f64 = 0.09999999999999999;
/// Time constants of the acceleration and steering low-pass filters, seconds.
const ACCELERATION_LAG: f64 = 0.2;
const STEERING_LAG: f64 = 0.05;
/// Largest steering angle, radians.
const STEERING_LIMIT: f64 = FRAC_PI_3;

/// Seconds per step.
pub(super) fn duration(quirks: Quirks) -> f64 {
    if quirks.truncated_step { TRUNCATED_STEP } else { INTERVAL }
}

/// One step of the car: commanded acceleration in m/s^2 and steering rate in rad/s.
pub fn step(state: &State, acceleration: f64, steering_rate: f64, quirks: Quirks) -> State {
    let (sin, cos) = state.heading.sin_cos();
    advance(state, acceleration, steering_rate, duration(quirks), (sin, cos), state.steering.tan()).0
}

/// The same with the sine, cosine and tangent of the old heading and steering already known; also returns the tangent
/// of the new steering angle.
#[inline]
pub(super) fn advance(
    s: &State,
    acceleration: f64,
    steering_rate: f64,
    dt: f64,
    (sin, cos): (f64, f64),
    tan: f64,
) -> (State, f64) {
    let ax = dt / (dt + ACCELERATION_LAG) * (acceleration - s.ax) + s.ax;
    let ideal = dt * steering_rate + s.steering;
    let filtered = dt / (dt + STEERING_LAG) * (ideal - s.steering) + s.steering;
    let rate = (filtered - s.steering) / dt;
    // Pitfall 3: position and heading still move with the old speed and steering angle.
    let vx = s.vx + ax * dt;
    let steering = (s.steering + rate * dt).clamp(-STEERING_LIMIT, STEERING_LIMIT);
    let tan_new = steering.tan();
    let yaw_rate = vx * tan_new / vehicle::WHEELBASE;
    let next = State {
        x: s.x + s.vx * cos * dt,
        y: s.y + s.vx * sin * dt,
        heading: principal(s.heading + s.vx * tan / vehicle::WHEELBASE * dt),
        vx,
        vy: 0.0,
        ax,
        ay: 0.0,
        steering,
        steering_rate: rate,
        yaw_rate,
        yaw_acceleration: (yaw_rate - s.yaw_rate) / dt,
    };
    (next, tan_new)
}
