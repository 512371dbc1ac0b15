//! The simulated state and the vehicle it belongs to.

use crate::Pose;
use crate::geometry::{OrientedBox, Point};
use crate::world::EgoStatus;
use serde::{Deserialize, Serialize};

/// Constants of the scored car, metres (spec 1.1).
pub mod vehicle {
    /// Across.
    pub const WIDTH: f64 = 2.297;
    /// Rear axle to front bumper.
    pub const FRONT: f64 = 4.049;
    /// Rear axle to rear bumper.
    pub const REAR: f64 = 1.127;
    /// Bumper to bumper.
    pub const LENGTH: f64 = 5.176;
    /// Between the axles.
    pub const WHEELBASE: f64 = 3.089;
    /// Rear axle to geometric centre, along the heading.
    pub const TO_CENTER: f64 = 1.461;
    /// Half of [`LENGTH`].
    pub const HALF_LENGTH: f64 = 2.588;
    /// Half of [`WIDTH`].
    pub const HALF_WIDTH: f64 = 1.1485;
}

/// One instant of the simulated car. Serialised as the 11 numbers in the order of the fields.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(from = "[f64; 11]", into = "[f64; 11]")]
pub struct State {
    /// Rear axle, world, metres.
    pub x: f64,
    /// Rear axle, world, metres.
    pub y: f64,
    /// Radians in `[-pi, pi)`.
    pub heading: f64,
    /// Forward speed, body frame, m/s.
    pub vx: f64,
    /// Leftward speed, body frame, m/s; 0 after the first state.
    pub vy: f64,
    /// Forward acceleration, body frame, m/s^2.
    pub ax: f64,
    /// Leftward acceleration, body frame, m/s^2; 0 after the first state.
    pub ay: f64,
    /// Front-wheel angle, radians.
    pub steering: f64,
    /// rad/s.
    pub steering_rate: f64,
    /// rad/s.
    pub yaw_rate: f64,
    /// rad/s^2.
    pub yaw_acceleration: f64,
}

impl From<[f64; 11]> for State {
    fn from(v: [f64; 11]) -> Self {
        let [x, y, heading, vx, vy, ax, ay, steering, steering_rate, yaw_rate, yaw_acceleration] = v;
        State { x, y, heading, vx, vy, ax, ay, steering, steering_rate, yaw_rate, yaw_acceleration }
    }
}

impl From<State> for [f64; 11] {
    fn from(s: State) -> Self {
        [s.x, s.y, s.heading, s.vx, s.vy, s.ax, s.ay, s.steering, s.steering_rate, s.yaw_rate, s.yaw_acceleration]
    }
}

impl State {
    /// The initial state of a scene: steering and angular rates are 0 (spec 1.2).
    pub fn of_ego(ego: &EgoStatus) -> State {
        State {
            x: ego.pose.x,
            y: ego.pose.y,
            heading: ego.pose.heading,
            vx: ego.velocity[0],
            vy: ego.velocity[1],
            ax: ego.acceleration[0],
            ay: ego.acceleration[1],
            ..State::default()
        }
    }

    /// Rear-axle pose, world.
    pub fn pose(&self) -> Pose {
        Pose::new(self.x, self.y, self.heading)
    }

    /// m/s, both body axes.
    pub fn speed(&self) -> f64 {
        self.vx.hypot(self.vy)
    }

    /// The car's geometric centre, world metres.
    pub fn center(&self) -> Point {
        let (sin, cos) = self.heading.sin_cos();
        [self.x + vehicle::TO_CENTER * cos, self.y + vehicle::TO_CENTER * sin]
    }

    /// The car's box, world metres.
    pub fn footprint(&self) -> OrientedBox {
        OrientedBox { center: self.center(), heading: self.heading, length: vehicle::LENGTH, width: vehicle::WIDTH }
    }
}
