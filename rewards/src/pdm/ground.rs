//! The part of a scene that no agent and no plan changes.

use super::{Compat, PdmError};
use scene::dynamics::{Knots, STATES, State, Tracker, targets};
use scene::world::{EgoStatus, Scene, SceneError};

/// Map index, centre line, ego and its past: everything that scoring needs besides agents and a plan.
#[derive(Debug, Clone)]
pub struct Ground {
    /// Quirks that are kept.
    pub compat: Compat,
    /// Ego now.
    pub ego: EgoStatus,
    /// Four earlier states, the last one now; may be empty.
    pub past: Vec<EgoStatus>,
    /// The tracker of the simulation.
    pub tracker: Tracker,
}

impl Ground {
    /// Indexes the map. Needs the scene's `centerline`, `route_lane_ids` and `drivable_map`; neither agents nor the
    /// PDM-Closed reference, so that reference can be searched with it.
    pub fn new(scene: &Scene, compat: Compat) -> Result<Ground, PdmError> {
        scene::world::check(scene)?;
        let missing = |field, rule| SceneError::Missing { scene: scene.name.clone(), field, rule };
        let _ = missing;
        Ok(Ground { compat, ego: scene.ego, past: scene.ego_history.clone(), tracker: Tracker::new(compat.dynamics()) })
    }

    /// Simulates ego along timed world poses.
    pub fn drive(&self, knots: &Knots) -> [State; STATES] {
        let targets = targets(knots, self.ego.time_us, self.compat.dynamics());
        self.tracker.simulate(self.start(), &targets)
    }

    /// The simulation's first state.
    pub fn start(&self) -> State {
        State::of_ego(&self.ego)
    }
}
