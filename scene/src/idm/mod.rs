//! Reactive traffic: vehicles on rails that follow the intelligent driver model (IDM) around a simulated ego
//! (spec 13, "IDM").
//!
//! [`IdmTraffic::build`] puts the vehicles of a scene on their lanes once; [`IdmTraffic::simulate`] answers one
//! simulated ego with 41 frames of tracks. What the reference does unintentionally is a switch in [`Quirks`].

mod car;
mod rails;
mod simulate;

use crate::geometry::OrientedBox;
use crate::world::{Detection, Track};
use car::Car;

/// Parameters of the driver model and of who is simulated.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Config {
    /// Wanted speed in m/s where the lane has no limit.
    pub target_speed: f64,
    /// Metres always kept to the leader.
    pub min_gap: f64,
    /// Seconds kept to the leader.
    pub headway: f64,
    /// m/s^2.
    pub accel_max: f64,
    /// m/s^2, positive.
    pub decel_max: f64,
    /// Vehicles farther than this many metres from ego disappear.
    pub radius: f64,
    /// Vehicles farther than this many metres from their base line are not simulated.
    pub snap: f64,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            target_speed: 10.0,
            min_gap: 1.0,
            headway: 1.5,
            accel_max: 1.0,
            decel_max: 2.0,
            radius: 100.0,
            snap: 3.0,
        }
    }
}

/// What the reference does by accident (all spec 13). Off takes the sane alternative that each field names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quirks {
    /// 13.1: a lane without a speed limit inherits the wanted speed of the vehicle built before. Off: the default.
    pub leaked_target_speed: bool,
    /// 13.1: paths lack the last vertex of their base line. Off: whole base lines.
    pub dropped_last_vertex: bool,
    /// 13.1: headings are compared without wrapping when a lane is chosen. Off: wrapped.
    pub unwrapped_heading: bool,
    /// 13.2: ego's box is centred on its rear axle, 1.461 m too far back. Off: on its centre.
    pub rear_axle_box: bool,
    /// 13.2: entries whose token is part of the own token are not leaders; tokens with "ego" in them drive like ego.
    /// Off: tokens are only compared as a whole.
    pub token_substrings: bool,
}

impl Default for Quirks {
    fn default() -> Self {
        Quirks::reference()
    }
}

impl Quirks {
    /// As published.
    pub fn reference() -> Quirks {
        Quirks::all(true)
    }

    /// Every quirk replaced by its sane alternative.
    pub fn fixed() -> Quirks {
        Quirks::all(false)
    }

    fn all(on: bool) -> Quirks {
        Quirks {
            leaked_target_speed: on,
            dropped_last_vertex: on,
            unwrapped_heading: on,
            rear_axle_box: on,
            token_substrings: on,
        }
    }
}

/// Why a scene has no reactive traffic. The reference raises in the same places, and the trajectory gets no valid score.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum IdmError {
    /// The base line is too short to be a path.
    #[error("vehicle {token} drives on lane {lane}, whose base line leaves a path of {vertices} vertices: needs 2")]
    ShortPath {
        /// Of the vehicle.
        token: String,
        /// Of the lane.
        lane: String,
        /// After the last vertex and repeated ones are gone.
        vertices: usize,
    },
    /// A vehicle does not stand on its own path.
    #[error("vehicle {token} does not touch its own path at step {step}: its box lies beyond the end of its lane")]
    OffPath {
        /// Of the vehicle.
        token: String,
        /// 1..40.
        step: usize,
    },
    /// Somebody is in the way who cannot be a leader because its token is part of the own token.
    #[error("vehicle {token} at step {step}: nobody in its way can be its leader")]
    NoLeader {
        /// Of the vehicle.
        token: String,
        /// 1..40.
        step: usize,
    },
    /// A number is not finite.
    #[error("{what} of {token} is not finite")]
    NotFinite {
        /// Of the vehicle, or `ego`.
        token: String,
        /// The field.
        what: &'static str,
    },
}

/// The traffic of a scene on its rails at t = 0.
#[derive(Debug, Clone)]
pub struct IdmTraffic {
    config: Config,
    quirks: Quirks,
    vehicles: Vec<Vehicle>,
    cars: Vec<Car>,
    others: Vec<Track>,
}

/// A vehicle detected at t = 0.
#[derive(Debug, Clone)]
struct Vehicle {
    token: String,
    length: f64,
    width: f64,
    detection: Detection,
    /// Kept where it is when it is not simulated and nobody drives through it.
    stays: bool,
}

impl Vehicle {
    fn footprint(&self) -> OrientedBox {
        let [x, y, heading, ..] = self.detection;
        OrientedBox { center: [x, y], heading, length: self.length, width: self.width }
    }
}
