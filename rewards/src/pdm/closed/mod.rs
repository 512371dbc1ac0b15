//! PDM-Closed, the rule planner that progress is measured against (spec 14.6).
//!
//! Three paths (the centre line and a metre to either side), five speed policies on each: fifteen proposals are
//! unrolled against a constant-velocity forecast, simulated and scored with the version's own scorer; the first of
//! the best is extended to 5 s. [`complete`] is the whole metric cache of a raw scene.

mod choose;
mod forecast;
mod paths;
mod policy;
mod unroll;

use super::{Compat, Ground, PdmError, Version};
use forecast::Forecast;
use scene::Pose;
use scene::derive::{self, DeriveError, RoadGraph};
use scene::dynamics::{STATES, State};
use scene::world::{PdmReference, Scene};
use unroll::{Corridor, Rollout};

/// Poses of the plan: 0, 0.1 .. 5 s.
pub const POSES: usize = 51;
/// Microseconds between poses.
const STEP_US: i64 = 100_000;

/// What the planner does by accident (spec 14.6). Off takes the sane alternative that each field names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quirks {
    /// The first step follows a leader at metre 0 with speed 0. Off: the leader is looked up at once.
    pub phantom_first_leader: bool,
    /// The leader's speed and rear length leak from one policy to the next. Off: each policy starts clean.
    pub shared_leader: bool,
    /// Lane speed 0 divides by zero, as written. Off: the fallback speed.
    pub zero_speed_limit: bool,
}

impl Quirks {
    /// As published.
    pub fn reference() -> Quirks {
        Quirks { phantom_first_leader: true, shared_leader: true, zero_speed_limit: true }
    }

    /// Every quirk replaced by its sane alternative.
    pub fn fixed() -> Quirks {
        Quirks { phantom_first_leader: false, shared_leader: false, zero_speed_limit: false }
    }

    /// Fixed for [`Compat::fixed`], as published for everything else.
    pub fn of(compat: &Compat) -> Quirks {
        if *compat == Compat::fixed() { Quirks::fixed() } else { Quirks::reference() }
    }
}

/// Why a scene has no PDM-Closed plan.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ClosedError {
    /// The raw scene breaks a rule.
    #[error(transparent)]
    Derive(#[from] DeriveError),
    /// The scorer refuses the scene.
    #[error(transparent)]
    Pdm(#[from] PdmError),
    /// The centre line has no length.
    #[error("scene {scene}: the centre line has {vertices} vertices and length {length} m: must be longer than 0 m")]
    Centerline {
        /// Name of the scene.
        scene: String,
        /// How many.
        vertices: usize,
        /// Metres.
        length: f64,
    },
}

/// The scene with all derived fields, computed from its raw ones: ready for a metric cache of either version.
pub fn complete(scene: &Scene, compat: Compat) -> Result<Scene, ClosedError> {
    let mut full = derive::fill(scene, compat.frozen_single_detections)?;
    let v2 = plan(&full, Version::V2, compat)?;
    let v1 = plan(&full, Version::V1, compat)?;
    let time_us = (0..POSES as i64).map(|k| full.ego.time_us.saturating_add(k * STEP_US)).collect();
    full.pdm_reference = Some(PdmReference { time_us, v1: (v1 != v2).then_some(v1), v2 });
    Ok(full)
}

/// The plan of a scene whose other derived fields are present ([`derive::fill`]): 51 world poses of the rear axle.
pub fn plan(scene: &Scene, version: Version, compat: Compat) -> Result<Vec<Pose>, ClosedError> {
    let quirks = Quirks::of(&compat);
    let graph = RoadGraph::new(scene)?;
    let route = derive::corrected_route(scene, &graph)?;
    let lanes = derive::route_lanes(scene, &graph, &route)?;
    let areas = scene.drivable_map.clone().unwrap_or_else(|| derive::drivable_map(scene, &graph));
    let start = derive::start_lane(scene, &graph, &lanes, &areas)?;
    let line = match &scene.centerline {
        Some(line) => line.clone(),
        None => derive::centerline(scene, &graph, &route, &lanes, start)?,
    };
    let ground = Ground::new(scene, compat)?;
    let forecast = Forecast::new(scene, &graph, &lanes);
    let limit = graph.lane(start).speed_limit.filter(|&v| quirks.zero_speed_limit || v > 0.0);
    let speeds = policy::target_speeds(limit);

    let ego = State::of_ego(&scene.ego);
    let mut proposals: Vec<(Corridor, Rollout)> = Vec::new();
    for path in paths::beside(&line) {
        let (vertices, length) = (path.poses().len(), path.end());
        let corridor = Corridor::new(path, &ego, &speeds).ok_or_else(|| ClosedError::Centerline {
            scene: scene.name.clone(),
            vertices,
            length,
        })?;
        let mut rollouts = speeds.map(|target| corridor.start(&ego, target));
        (1..STATES).for_each(|k| corridor.advance(&mut rollouts, k, &forecast, quirks));
        proposals.extend(rollouts.map(|r| (corridor.clone(), r)));
    }
    let targets = proposals.iter().map(|(_, r)| std::array::from_fn(|i| r.poses[i]));
    let best = choose::best(&ground, &forecast, version, targets);
    let (corridor, rollout) = proposals.swap_remove(best);
    let mut winner = [rollout];
    (STATES..POSES).for_each(|k| corridor.advance(&mut winner, k, &forecast, quirks));
    let [winner] = winner;
    Ok(winner.poses)
}
