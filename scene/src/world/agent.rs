//! Everyone and everything that was detected around ego.

use serde::{Deserialize, Serialize};

/// `[x, y, heading, vx, vy]` of a box centre: world metres, radians, world m/s.
pub type Detection = [f64; 5];

/// What was detected, in the order in which the reference lists tracks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AgentType {
    /// Cars, trucks, buses.
    Vehicle,
    /// People on foot.
    Pedestrian,
    /// Bicycles and motorcycles.
    Bicycle,
    /// Static.
    TrafficCone,
    /// Static.
    Barrier,
    /// Construction-zone sign, static.
    CzoneSign,
    /// Any other static thing.
    GenericObject,
}

impl AgentType {
    /// Vehicle, pedestrian or bicycle: it moves by itself and a collision with it costs everything.
    pub fn is_agent(self) -> bool {
        self <= AgentType::Bicycle
    }
}

/// A track as logged: detections at 2 Hz.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Track2Hz {
    /// Unique within the scene.
    pub token: String,
    /// What it is.
    #[serde(rename = "type")]
    pub kind: AgentType,
    /// Length, width, height in metres.
    pub size: [f64; 3],
    /// t = 0, 0.5, 1 .. s; `None` where it was not seen.
    pub frames: Vec<Option<Detection>>,
}

/// A track at 10 Hz, as the scorer uses it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Track {
    /// Unique within the scene.
    pub token: String,
    /// What it is.
    #[serde(rename = "type")]
    pub kind: AgentType,
    /// Metres.
    pub length: f64,
    /// Metres.
    pub width: f64,
    /// t = 0, 0.1, 0.2 .. s; `None` where it is absent.
    pub frames: Vec<Option<Detection>>,
}
