//! From a raw scene to everything the scorer looks up: the metric cache of the reference (spec 14).
//!
//! [`fill`] derives the fields of a [`Scene`] that are marked *derived* from the raw ones. The PDM-Closed plan needs
//! the scorer and is added by the `rewards` crate.

mod agents;
mod centerline;
mod drivable;
mod graph;
mod lights;
mod loops;
mod route;

pub use agents::{agents_10hz, human_poses};
pub use centerline::{centerline, start_lane};
pub use drivable::drivable_map;
pub use graph::RoadGraph;
pub use lights::red_lights;
pub use route::{corrected_route, route_lanes};

use crate::world::{self, Scene, SceneError};

/// Steps of 0.1 s that v2 looks at, the present one included.
pub const FRAMES_V2: usize = 41;
/// Steps of 0.1 s that v1 looks at, the present one included.
pub const FRAMES_V1: usize = 51;

/// Why a scene cannot be derived from.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum DeriveError {
    /// A raw field breaks a rule.
    #[error(transparent)]
    Scene(#[from] SceneError),
    /// The route is empty.
    #[error("scene {scene}: route_roadblock_ids is empty: needs at least one roadblock")]
    EmptyRoute {
        /// Name of the scene.
        scene: String,
    },
    /// The route or a lane names a roadblock that the map lacks.
    #[error("scene {scene}: {field} names roadblock {id:?}, which is not in map.roadblocks")]
    UnknownRoadblock {
        /// Name of the scene.
        scene: String,
        /// Who names it.
        field: String,
        /// The name.
        id: String,
    },
    /// A roadblock names a lane that the map lacks.
    #[error("scene {scene}: roadblock {roadblock} lists lane {id:?}, which is not in map.lanes")]
    UnknownLane {
        /// Name of the scene.
        scene: String,
        /// Who names it.
        roadblock: String,
        /// The name.
        id: String,
    },
    /// No lane to start from.
    #[error("scene {scene}: the route's roadblocks hold no lane to start from")]
    NoLane {
        /// Name of the scene.
        scene: String,
    },
    /// A base line has no length.
    #[error("scene {scene}: map.lanes[{lane}].centerline has length 0: needs two different vertices")]
    FlatLane {
        /// Name of the scene.
        scene: String,
        /// Id of the lane.
        lane: String,
    },
}

/// The scene with every derived field but the PDM-Closed plan, computed from its raw ones (derived fields that are
/// present are replaced). v1 tracks are left out when the raw tracks end at 4 s, red lights and human poses are empty
/// where nothing is known. `frozen` is pitfall 5: a track seen once stands in every frame.
pub fn fill(scene: &Scene, frozen: bool) -> Result<Scene, DeriveError> {
    let raw = Scene {
        centerline: None,
        route_lane_ids: None,
        drivable_map: None,
        red_lights: None,
        agents_10hz_v2: None,
        agents_10hz_v1: None,
        pdm_reference: None,
        human_poses: None,
        ..scene.clone()
    };
    world::check(&raw)?;
    let graph = RoadGraph::new(&raw)?;
    let areas = drivable_map(&raw, &graph);
    let route = corrected_route(&raw, &graph)?;
    let lanes = route_lanes(&raw, &graph, &route)?;
    let start = start_lane(&raw, &graph, &lanes, &areas)?;
    let line = centerline(&raw, &graph, &route, &lanes, start)?;
    let ids = lanes.iter().map(|&l| graph.lane(l).id.clone()).collect();
    let reaches = |frames: usize| raw.agents_2hz.iter().all(|t| t.frames.len() > (frames - 1) / 5);
    Ok(Scene {
        centerline: Some(line),
        route_lane_ids: Some(ids),
        drivable_map: Some(areas),
        red_lights: Some(red_lights(&raw, &graph)?),
        agents_10hz_v2: Some(agents_10hz(&raw.agents_2hz, FRAMES_V2, frozen)),
        agents_10hz_v1: reaches(FRAMES_V1).then(|| agents_10hz(&raw.agents_2hz, FRAMES_V1, frozen)),
        human_poses: (!raw.future_poses.is_empty()).then(|| human_poses(&raw)),
        ..raw
    })
}
