//! What is prepared once per scene.

use super::ec::{EcFilters, ExtendedComfort, Features, Ride, offset};
use super::{Compat, Ground, Observation, PdmError, RawScores, Version, Workspace, check_plan, raw_scores};
use scene::Trajectory;
use scene::dynamics::{Knots, STATES, State};
use scene::world::{EgoStatus, Scene, SceneError, SceneType};

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
    pub(super) reference_knots: Knots,
    pub(super) human_knots: Option<Knots>,
    pub(super) ec_filters: EcFilters,
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
        let poses = match version {
            Version::V1 => reference.v1.as_ref().unwrap_or(&reference.v2),
            Version::V2 => &reference.v2,
        };
        let mut reference_knots = Knots::default();
        reference_knots.fill_from_world(&reference.time_us, poses);
        let has_human = version == Version::V2 && scene.scene_type == SceneType::Original;
        let human_knots = scene.human_poses.as_ref().filter(|_| has_human).map(|poses| {
            let mut knots = Knots::default();
            knots.fill_from_plan(&ground.ego, &Trajectory::half_second(poses.clone()), compat.dynamics());
            knots
        });
        let reference_states = ground.drive(&reference_knots);
        let human_states = human_knots.as_ref().map(|knots| ground.drive(knots));
        let observation = Observation::log_replay(scene, version, &compat)?;
        let mut workspace = Workspace::default();
        let mut score = |states, past| raw_scores(&ground, &observation, version, states, past, &mut workspace);
        let scored_reference = score(&reference_states, true);
        let human = human_states.as_ref().map(|states| score(states, false));
        Ok(MetricCache {
            name: scene.name.clone(),
            version,
            reference_states,
            human_states,
            log_replay: Traffic { observation, reference: scored_reference, human },
            ground,
            reference_knots,
            human_knots,
            ec_filters: EcFilters::new(&compat),
        })
    }

    /// Places the reference and the human among the agents of another policy that does not react to ego.
    pub fn traffic(&self, observation: Observation) -> Traffic {
        let human = self.score_human(&observation);
        let reference = self.score_reference(&observation);
        Traffic { observation, reference, human }
    }

    /// The same for a policy that reacts: the agents that a plan met, and those that the human met.
    pub fn reactive_traffic(&self, observation: Observation, around_human: Option<&Observation>) -> Traffic {
        let human = around_human.and_then(|around| self.score_human(around));
        let reference = self.score_reference(&observation);
        Traffic { observation, reference, human }
    }

    fn score_reference(&self, observation: &Observation) -> RawScores {
        raw_scores(&self.ground, observation, self.version, &self.reference_states, true, &mut Workspace::default())
    }

    fn score_human(&self, observation: &Observation) -> Option<RawScores> {
        let states = self.human_states.as_ref()?;
        Some(raw_scores(&self.ground, observation, self.version, states, false, &mut Workspace::default()))
    }

    /// Simulates a plan given relative to ego.
    pub fn simulate(&self, plan: &Trajectory) -> Result<[State; STATES], PdmError> {
        simulate(&self.ground, &self.ground.ego, plan)
    }

    /// Prepares the plan of the previous frame, made in and relative to `previous_ego`, for extended comfort.
    pub fn previous(&self, previous_ego: &EgoStatus, plan: &Trajectory) -> Result<PreviousPlan, PdmError> {
        let states = simulate(&self.ground, previous_ego, plan)?;
        let interval = (self.ground.ego.time_us as f64 - previous_ego.time_us as f64) * 1e-6;
        PreviousPlan::new(&self.ec_filters, (&states).into(), interval)
    }

    /// Extended comfort of a simulated plan and the four numbers it was decided on.
    pub fn extended_comfort(&self, states: &[State; STATES], previous: &PreviousPlan) -> ExtendedComfort {
        previous.compare(&self.ec_filters, states, &mut Features::default())
    }
}

fn simulate(ground: &Ground, ego: &EgoStatus, plan: &Trajectory) -> Result<[State; STATES], PdmError> {
    check_plan(0, plan)?;
    let (mut knots, mut states) = (Knots::default(), [State::default(); STATES]);
    knots.fill_from_plan(ego, plan, ground.compat.dynamics());
    ground.drive_from(ego, &knots, &mut states);
    Ok(states)
}

/// The simulated plan of the previous frame as extended comfort sees it.
#[derive(Debug, Clone)]
pub struct PreviousPlan {
    ride: Ride,
    offset: usize,
    features: Features,
}

impl PreviousPlan {
    /// From a simulated drive that began `interval` seconds before the scene; more than 0 and less than 0.55.
    pub fn new(filters: &EcFilters, ride: Ride, interval: f64) -> Result<PreviousPlan, PdmError> {
        let offset = offset(interval)?;
        let mut features = Features::default();
        features.of_previous(filters, &ride, offset);
        Ok(PreviousPlan { ride, offset, features })
    }

    /// The signals of the drive.
    pub fn ride(&self) -> &Ride {
        &self.ride
    }

    pub(super) fn compare(
        &self,
        filters: &EcFilters,
        states: &[State; STATES],
        scratch: &mut Features,
    ) -> ExtendedComfort {
        scratch.of_now(filters, &states.into(), self.offset);
        scratch.compare(&self.features)
    }
}
