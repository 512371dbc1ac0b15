//! The documented scene format `navsim-fixture/1`: what surrounds one moment of driving.
//!
//! One JSON object per scene, usually one per line. SI units and radians; *world* is the global frame; poses are
//! `[x, y, heading]`. Fields marked *derived* follow from the others and may be left out; whoever builds a metric
//! cache fills them. Unknown fields are ignored, so a file may carry proposals and expected scores beside the scene.
//! [`check`] says what is wrong with a scene, naming scene, field, value and rule.

mod agent;
mod check;
mod map;

pub use agent::{AgentType, Detection, Track, Track2Hz};
pub use check::{SceneError, check};
pub use map::{Area, DrivableArea, DrivableKind, Lane, Map, Roadblock};

use crate::Pose;
use serde::{Deserialize, Serialize};

/// The name and version of the scene format.
pub const SCHEMA: &str = "navsim-fixture/1";

/// One moment of driving with its past, its logged future, its map and everyone around.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Scene {
    /// [`SCHEMA`].
    pub schema: String,
    /// Unique label.
    pub name: String,
    /// Free label: what the road looks like.
    pub layout: String,
    /// Free label: what happens.
    pub situation: String,
    /// Logged scenes have a human driver to compare with; synthetic ones do not.
    pub scene_type: SceneType,
    /// Lanes, roadblocks, intersections, car parks.
    pub map: Map,
    /// The route as roadblock and roadblock-connector ids in driving order.
    pub route_roadblock_ids: Vec<String>,
    /// Detections at t = 0, 0.5 .. 4 or 5 s (9 or 11 frames).
    pub agents_2hz: Vec<Track2Hz>,
    /// Per 2 Hz frame the lights: lane connector id and whether it is red. `None`: no lights known.
    pub traffic_lights_2hz: Option<Vec<Vec<(String, bool)>>>,
    /// Four states at about -1.5, -1, -0.5 and 0 s.
    pub ego_history: Vec<EgoStatus>,
    /// The present state, equal to the last of the history.
    pub ego: EgoStatus,
    /// Logged rear-axle poses (world) at 0.5 .. 4 s; may be empty.
    pub future_poses: Vec<Pose>,
    /// *Derived*: centre line of the route, `[x, y, heading]` vertices (world).
    pub centerline: Option<Vec<Pose>>,
    /// *Derived*: ids of all lanes and connectors in the route's roadblocks.
    pub route_lane_ids: Option<Vec<String>>,
    /// *Derived*: the map objects around ego, in the order the scorer sees them.
    pub drivable_map: Option<Vec<DrivableArea>>,
    /// *Derived*: red connectors of the route per 0.1 s step (v2).
    pub red_lights: Option<Vec<RedLight>>,
    /// *Derived*: tracks at 10 Hz, 41 frames (4 s).
    pub agents_10hz_v2: Option<Vec<Track>>,
    /// *Derived*: tracks at 10 Hz, 51 frames (5 s).
    pub agents_10hz_v1: Option<Vec<Track>>,
    /// *Derived*: the PDM-Closed plan that progress is measured against.
    pub pdm_reference: Option<PdmReference>,
    /// *Derived*: eight poses at 0.5 s of the logged human, relative to `ego`.
    pub human_poses: Option<Vec<Pose>>,
}

/// Whether a human drove the future of a scene.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SceneType {
    /// Logged: the human's own scores may excuse the planner's (human-penalty filter).
    #[default]
    Original,
    /// Rendered from a second-stage start: no human filter.
    Synthetic,
}

/// Ego at one instant.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct EgoStatus {
    /// Microseconds since the epoch (or since any origin).
    pub time_us: i64,
    /// Rear-axle pose, world.
    pub pose: Pose,
    /// Rear-axle velocity in the body frame, m/s: forward, left.
    pub velocity: [f64; 2],
    /// Rear-axle acceleration in the body frame, m/s^2: forward, left.
    pub acceleration: [f64; 2],
}

/// When a lane connector of the route shows red.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RedLight {
    /// `red_light_<lane connector id>`.
    pub token: String,
    /// One character per 0.1 s step, `1` = red.
    pub frames: String,
}

impl RedLight {
    /// The prefix of every red light's token.
    pub const PREFIX: &str = "red_light_";

    /// The connector whose polygon must not be touched; `None` when the token lacks the prefix.
    pub fn connector(&self) -> Option<&str> {
        self.token.strip_prefix(Self::PREFIX)
    }

    /// Whether the light is red at a step.
    pub fn is_red(&self, step: usize) -> bool {
        self.frames.as_bytes().get(step) == Some(&b'1')
    }
}

/// The PDM-Closed plan of a scene: 51 world poses at 0.1 s.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct PdmReference {
    /// Time stamps in microseconds.
    pub time_us: Vec<i64>,
    /// Rear-axle poses chosen with the v2 scorer, world.
    pub v2: Vec<Pose>,
    /// Poses chosen with the v1 scorer; `None` when the same as `v2`.
    pub v1: Option<Vec<Pose>>,
}
