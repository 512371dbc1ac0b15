//! Scores trajectories of one scene under one policy for everyone else, and the three baselines.
//!
//! Baselines: constant velocity (the speed of now straight ahead, as NAVSIM's agent drives), the logged human, and the
//! PDM-Closed plan that progress is measured against. The first two have a plan of the frame before, hence extended
//! comfort; PDM-Closed has none.

use super::entry::Entry;
use rewards::pdm::{
    Compat, Filter, MetricCache, Observation, PdmError, PreviousPlan, Proposal, Traffic, Version, Workspace,
    closed::{self, ClosedError},
    score_one, score_states,
};
use scene::{
    Pose, Trajectory,
    dynamics::{INTERVAL, STATES, State},
    idm,
    world::{AgentType, EgoStatus, Scene, Track},
};
use serde::{Deserialize, Serialize};

/// How everyone else moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Policy {
    /// As logged.
    #[default]
    LogReplay,
    /// Vehicles keep their velocity.
    ConstantVelocity,
    /// Vehicles react to the trajectory (intelligent driver model).
    Idm,
}

/// Whose trajectory is scored.
#[derive(Debug, Clone)]
pub enum Subject {
    /// A plan relative to ego, and the plan of the frame before.
    Plan {
        /// Name of its row.
        planner: String,
        /// Label within the scene.
        kind: Option<String>,
        /// Relative to ego now.
        plan: Trajectory,
        /// Relative to ego in the frame before.
        previous: Option<Trajectory>,
    },
    /// The PDM-Closed reference itself.
    Reference,
}

/// Name of the baseline that drives on.
pub const CONSTANT: &str = "constant velocity";
/// Name of the logged human.
pub const HUMAN: &str = "human";
/// Name of the rule planner.
pub const REFERENCE: &str = "PDM-Closed";

/// What is scored and how.
#[derive(Debug, Clone, Copy)]
pub struct Judge {
    /// Version of the metric.
    pub version: Version,
    /// Everyone else.
    pub policy: Policy,
    /// Quirks that are kept.
    pub compat: Compat,
    /// Whether the human's failures excuse the planner's.
    pub filter: Filter,
}

/// Why a scene cannot be scored at all.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum JudgeError {
    /// The scene or a plan breaks a rule.
    #[error(transparent)]
    Pdm(#[from] PdmError),
    /// Derived fields cannot be computed.
    #[error(transparent)]
    Closed(#[from] ClosedError),
}

/// A scored trajectory with what a picture of it needs.
#[derive(Debug, Clone)]
pub struct Judged {
    /// The line of the results.
    pub entry: Entry,
    /// The simulated drive.
    pub states: [State; STATES],
    /// The plan's last pose, world.
    pub end: Pose,
}

impl Judge {
    /// The scene with everything that scoring looks up: as it is when it has that, else computed. Without quirks
    /// everything is computed anew, because stored fields carry them.
    ///
    /// # Errors
    /// The scene has no route, or another raw field does not allow it.
    pub fn complete(&self, scene: Scene) -> Result<Scene, JudgeError> {
        let agents = match self.version {
            Version::V1 => scene.agents_10hz_v1.is_some(),
            Version::V2 => scene.agents_10hz_v2.is_some() && scene.red_lights.is_some(),
        };
        let has = agents
            && scene.centerline.is_some()
            && scene.route_lane_ids.is_some()
            && scene.drivable_map.is_some()
            && scene.pdm_reference.is_some()
            && (scene.human_poses.is_some() || scene.future_poses.is_empty());
        if has && self.compat != Compat::fixed() {
            return Ok(scene);
        }
        Ok(closed::complete(&scene, self.compat)?)
    }

    /// Scores every subject in a complete scene.
    ///
    /// # Errors
    /// The scene or a plan breaks a rule. Traffic that cannot be simulated is no error but an entry without scores.
    pub fn scene(&self, scene: &Scene, subjects: &[Subject]) -> Result<Vec<Judged>, JudgeError> {
        let cache = MetricCache::new(scene, self.version, self.compat)?;
        let fixed = match self.policy {
            Policy::ConstantVelocity => Some(cache.traffic(Observation::constant_velocity(scene, &self.compat)?)),
            Policy::LogReplay | Policy::Idm => None,
        };
        let reactive = (self.policy == Policy::Idm).then(|| Reactive::new(self, scene, &cache));
        let mut workspace = Workspace::default();
        let mut judged = Vec::with_capacity(subjects.len());
        for subject in subjects {
            let (planner, kind, states, end) = match subject {
                Subject::Reference => {
                    let states = cache.reference_states;
                    (REFERENCE.to_owned(), None, states, states[STATES - 1].pose())
                }
                Subject::Plan { planner, kind, plan, .. } => {
                    let end = plan.poses.last().map_or(scene.ego.pose, |p| p.out_of_frame(scene.ego.pose));
                    (planner.clone(), kind.clone(), cache.simulate(plan)?, end)
                }
            };
            let around = reactive.as_ref().map(|reactive| reactive.around(&states));
            let traffic = match (&fixed, &around) {
                (Some(traffic), _) => Ok(traffic),
                (None, Some(around)) => around.as_ref().map_err(String::clone),
                (None, None) => Ok(&cache.log_replay),
            };
            let mut entry = Entry { scene: scene.name.clone(), planner, kind, scores: None, failure: None };
            match traffic {
                Ok(traffic) => {
                    let scores = match subject {
                        Subject::Reference => score_states(&cache, traffic, &states, None, self.filter, &mut workspace),
                        Subject::Plan { plan, previous, .. } => {
                            let previous = self.previous(scene, &cache, previous.as_ref())?;
                            let proposal = Proposal { plan, previous: previous.as_ref() };
                            score_one(&cache, traffic, proposal, self.filter, &mut workspace)?
                        }
                    };
                    entry.scores = Some(scores);
                }
                Err(failure) => entry.failure = Some(failure),
            }
            judged.push(Judged { entry, states, end });
        }
        Ok(judged)
    }

    /// The plan of the frame before; `None` where there is none, it is too long ago, or the version has no use for it.
    fn previous(
        &self,
        scene: &Scene,
        cache: &MetricCache,
        plan: Option<&Trajectory>,
    ) -> Result<Option<PreviousPlan>, JudgeError> {
        let (Some(plan), Some(ego), Version::V2) = (plan, before(scene), self.version) else { return Ok(None) };
        match cache.previous(&ego, plan) {
            Ok(previous) => Ok(Some(previous)),
            Err(PdmError::Interval(_)) => Ok(None),
            Err(e) => Err(e.into()),
        }
    }
}

/// Ego in the frame before.
pub fn before(scene: &Scene) -> Option<EgoStatus> {
    scene.ego_history.len().checked_sub(2).and_then(|i| scene.ego_history.get(i)).copied()
}

/// Vehicles that react.
struct Reactive<'a> {
    judge: &'a Judge,
    scene: &'a Scene,
    cache: &'a MetricCache,
    traffic: Result<idm::IdmTraffic, String>,
    human: Option<Observation>,
}

impl<'a> Reactive<'a> {
    fn new(judge: &'a Judge, scene: &'a Scene, cache: &'a MetricCache) -> Self {
        let fixed = judge.compat == Compat::fixed();
        let quirks = if fixed { idm::Quirks::fixed() } else { idm::Quirks::reference() };
        let logged = scene.agents_10hz_v2.as_deref().unwrap_or_default();
        let traffic = idm::IdmTraffic::build(scene, logged, idm::Config::default(), quirks).map_err(|e| e.to_string());
        let mut made = Reactive { judge, scene, cache, traffic, human: None };
        made.human = cache.human_states.as_ref().and_then(|states| made.observe(states).ok());
        made
    }

    fn observe(&self, states: &[State; STATES]) -> Result<Observation, String> {
        let tracks = self.traffic.as_ref().map_err(String::clone)?.simulate(states).map_err(|e| e.to_string())?;
        Observation::simulated(self.scene, &tracks, &self.judge.compat).map_err(|e| e.to_string())
    }

    fn around(&self, states: &[State; STATES]) -> Result<Traffic, String> {
        Ok(self.cache.reactive_traffic(self.observe(states)?, self.human.as_ref()))
    }
}

/// The tracks that a drive meets, for pictures.
pub fn tracks(scene: &Scene, judge: &Judge, states: &[State; STATES]) -> Vec<Track> {
    let logged = match judge.version {
        Version::V1 => scene.agents_10hz_v1.as_deref(),
        Version::V2 => scene.agents_10hz_v2.as_deref(),
    };
    let logged = logged.unwrap_or_default();
    match judge.policy {
        Policy::LogReplay => logged.to_vec(),
        Policy::ConstantVelocity => logged.iter().map(moved_on).collect(),
        Policy::Idm => {
            let traffic = idm::IdmTraffic::build(scene, logged, idm::Config::default(), idm::Quirks::default());
            traffic.and_then(|traffic| traffic.simulate(states)).unwrap_or_default()
        }
    }
}

fn moved_on(track: &Track) -> Track {
    let mut track = track.clone();
    if let (AgentType::Vehicle, Some(Some([x, y, heading, vx, vy]))) = (track.kind, track.frames.first().copied()) {
        for (k, frame) in track.frames.iter_mut().enumerate() {
            let seconds = k as f64 * INTERVAL;
            *frame = Some([x + vx * seconds, y + vy * seconds, heading, vx, vy]);
        }
    }
    track
}

/// Eight poses straight ahead at the speed of now, narrowed to float32 as NAVSIM's agent does.
fn straight_on(ego: &EgoStatus) -> Trajectory {
    let speed = ego.velocity[0].hypot(ego.velocity[1]);
    let ahead = |k: i32| Pose::new(f64::from((f64::from(k) * 0.5 * speed) as f32), 0.0, 0.0);
    Trajectory::half_second((1..=8).map(ahead).collect())
}

/// The constant-velocity baseline.
pub fn constant_velocity(scene: &Scene) -> Subject {
    let (plan, previous) = (straight_on(&scene.ego), before(scene).map(|ego| straight_on(&ego)));
    Subject::Plan { planner: CONSTANT.into(), kind: None, plan, previous }
}

/// The logged human; `None` in a scene without a logged future. What the human did from the frame before on is the
/// same drive, half a second earlier.
pub fn human(scene: &Scene) -> Option<Subject> {
    let poses = scene.human_poses.clone().filter(|poses| !poses.is_empty())?;
    let previous = before(scene).filter(|_| !scene.future_poses.is_empty()).map(|ego| {
        let world = [scene.ego.pose].into_iter().chain(scene.future_poses.iter().copied()).take(8);
        Trajectory::half_second(world.map(|pose| pose.into_frame(ego.pose)).collect())
    });
    Some(Subject::Plan { planner: HUMAN.into(), kind: None, plan: Trajectory::half_second(poses), previous })
}
