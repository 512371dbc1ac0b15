//! What is prepared once per scene.

use super::{Compat, Ground, Observation, PdmError, RawScores, Version, Workspace, raw_scores};
use scene::dynamics::{Knots, STATES, State, targets};
use scene::world::{Scene, SceneError, SceneType};
use scene::{Trajectory, world};

/// A scene ready to score plans under one version of the metric.
#[derive(Debug, Clone)]
pub struct MetricCache {
    /// Name of the scene.
    pub name: String,
    /// Version of the metric.
    pub version: Version,
    /// Map, centre line, ego.
    pub ground: Ground,
    /// Simulated PDM-Closed reference.
    pub reference_states: [State; STATES],
    /// Simulated human; `None` in v1, in synthetic scenes and when the scene has no `human_poses`.
    pub human_states: Option<[State; STATES]>,
    /// Agents as logged (in v2 without those that overlap ego at t = 0), with the reference and the human among them.
    pub log_replay: Traffic,
}

/// Agents that follow one policy, and how the reference and the human fare among them.
#[derive(Debug, Clone)]
pub struct Traffic {
    /// The agents.
    pub observation: Observation,
    /// Sub-scores of the PDM-Closed reference: they normalise progress.
    pub reference: RawScores,
    /// Sub-scores of the human scored alone: their zeros excuse the planner's (v2).
    pub human: Option<RawScores>,
}

impl MetricCache {
    /// Prepares a scene. Needs all *derived* fields of its version: `centerline`, `route_lane_ids`, `drivable_map`,
    /// `red_lights` (v2), `agents_10hz_v2` or `agents_10hz_v1`, `pdm_reference`, and `human_poses` for the human
    /// filter (v2).
    pub fn new(scene: &Scene, version: Version, compat: Compat) -> Result<MetricCache, PdmError> {
        let ground = Ground::new(scene, compat)?;
        let missing = |field, rule| SceneError::Missing { scene: scene.name.clone(), field, rule };
        let reference =
            scene.pdm_reference.as_ref().ok_or_else(|| missing("pdm_reference", "progress is measured against it"))?;
        let mut knots = Knots::default();
        let poses = match version {
            Version::V1 => reference.v1.as_ref().unwrap_or(&reference.v2),
            Version::V2 => &reference.v2,
        };
        knots.fill_from_world(&reference.time_us, poses);
        let reference_states = ground.drive(&knots);
        let human = scene.human_poses.as_ref().filter(|_| version == Version::V2);
        let human_states = human.filter(|_| scene.scene_type == SceneType::Original).map(|poses| {
            knots.fill_from_plan(&ground.ego, &Trajectory::half_second(poses.clone()), compat.dynamics());
            ground.drive(&knots)
        });
        let observation = Observation::log_replay(scene, version, &compat)?;
        let log_replay = traffic(&ground, version, &reference_states, human_states.as_ref(), observation);
        Ok(MetricCache { name: scene.name.clone(), version, ground, reference_states, human_states, log_replay })
    }

    /// Places the reference and the human among the agents of another policy that does not react to ego.
    pub fn traffic(&self, observation: Observation) -> Traffic {
        traffic(&self.ground, self.version, &self.reference_states, self.human_states.as_ref(), observation)
    }

    /// The same for a policy that reacts: the agents met by a plan, and those met by the human.
    pub fn reactive_traffic(&self, observation: Observation, around_human: Option<&Observation>) -> Traffic {
        let mut workspace = Workspace::default();
        let mut score = |states, observation, past| {
            raw_scores(&self.ground, observation, self.version, states, past, &mut workspace)
        };
        let reference = score(&self.reference_states, &observation, true);
        let human = self.human_states.as_ref().zip(around_human).map(|(states, around)| score(states, around, false));
        Traffic { observation, reference, human }
    }

    /// Simulates a plan given relative to ego.
    pub fn simulate(&self, plan: &Trajectory) -> Result<[State; STATES], PdmError> {
        super::check_plan(0, plan)?;
        Ok(simulate_from(&self.ground, &self.ground.ego, plan))
    }

    /// Simulates the plan of an earlier frame from the ego state of that frame, for extended comfort.
    pub fn simulate_previous(
        &self,
        previous_ego: &world::EgoStatus,
        plan: &Trajectory,
    ) -> Result<[State; STATES], PdmError> {
        super::check_plan(0, plan)?;
        Ok(simulate_from(&self.ground, previous_ego, plan))
    }
}

fn simulate_from(ground: &Ground, ego: &world::EgoStatus, plan: &Trajectory) -> [State; STATES] {
    let mut knots = Knots::default();
    knots.fill_from_plan(ego, plan, ground.compat.dynamics());
    let targets = targets(&knots, ego.time_us, ground.compat.dynamics());
    ground.tracker.simulate(State::of_ego(ego), &targets)
}

fn traffic(
    ground: &Ground,
    version: Version,
    reference: &[State; STATES],
    human: Option<&[State; STATES]>,
    observation: Observation,
) -> Traffic {
    let mut workspace = Workspace::default();
    let mut score = |states, past| raw_scores(ground, &observation, version, states, past, &mut workspace);
    let reference = score(reference, true);
    let human = human.map(|states| score(states, false));
    Traffic { observation, reference, human }
}
