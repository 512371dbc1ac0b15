//! A rule-based driver with full knowledge of the scene: the teacher of labels and the one who takes over.
//!
//! Others are forecast ([`forecast`]), ways beside the route are proposed ([`propose`]), each is driven out at several
//! shares of the allowed speed ([`rollout`]: intelligent driver model, lines, speeds from [`rules`]) and scored
//! ([`score`]); the best becomes the plan. After PDM-Closed (Dauner et al. 2023) with lateral manoeuvres.

pub mod forecast;
pub(crate) mod lateral;
mod propose;
mod rollout;
mod rules;
mod score;

pub use forecast::Who;

use crate::batch::{Action, Batch, Scene};
use crate::driver::Driver;
use crate::path::Path;
use crate::policy::Policy;
use crate::policy::tracker::Plan;
use crate::scenario::StopRule;
use forecast::{STEP, STEPS};
use lateral::Lateral;
use propose::Aim;
use rollout::{Ego, Rollout};
use scene::{Pose, Trajectory};

/// Simulator steps between two decisions.
pub const EVERY: u32 = 2;
/// Shares of the allowed speed that are tried.
const SHARES: [f32; 5] = [1.0, 0.75, 0.5, 0.3, 0.1];

/// What binds the speed, or where ego is beside its lane.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Cause {
    /// Nothing: ego speeds up to the limit.
    #[default]
    Free,
    /// The speed limit.
    Limit,
    /// A bend.
    Curve,
    /// A vehicle ahead on the way.
    Lead(usize),
    /// A traffic light, by its position in the map.
    Light(usize),
    /// A stop sign.
    StopSign,
    /// A person on foot on the way, or about to step onto it.
    Pedestrian(usize),
    /// A vehicle that crosses or joins.
    Crossing(usize),
    /// Something that stands in the way.
    Obstacle(Who),
    /// A place from which somebody could step out unseen.
    Sight(Who),
    /// An emergency vehicle that wants to pass.
    Emergency(usize),
    /// The end of the route.
    RouteEnd,
}

/// What the expert does and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// Simulator step of the decision.
    pub step: u32,
    /// 8 poses at 0.5 s, seen from ego.
    pub plan: Trajectory,
    /// Speeds now and at each pose, m/s.
    pub speeds: [f32; 9],
    /// What binds the speed in the next second.
    pub binding: Cause,
    /// Whom ego goes around or lets pass, when it leaves the middle of its lane for that.
    pub around: Option<Cause>,
    /// Metres left of the route's middle at each pose.
    pub offsets: [f32; 8],
    /// Seconds until the plan touches somebody, if it does: then nothing better was found.
    pub touch: Option<f32>,
    /// Line and speeds to follow.
    pub track: Plan,
}

/// What is remembered of a scene between decisions.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Memory {
    /// Who drives.
    driver: Driver,
    /// Stop sign at which ego has stood.
    stopped_at: Option<usize>,
    /// Light for which ego brakes since it turned yellow.
    held: Option<usize>,
    /// Aim and target of the last decision.
    aim: Option<(Aim, f32)>,
    /// The last decision.
    decision: Option<Decision>,
}

/// The rule expert, or another driver, in every scene of a batch.
#[derive(Debug, Clone, Default)]
pub struct RuleExpert {
    driver: Driver,
    memory: Vec<Memory>,
}

impl RuleExpert {
    /// One that drives as `driver` does.
    pub fn of(driver: Driver) -> RuleExpert {
        RuleExpert { driver, memory: Vec::new() }
    }

    /// Who drives.
    pub fn driver(&self) -> Driver {
        self.driver
    }

    /// Lets another driver go on. It knows which lines are dealt with and decides anew.
    pub fn hand_over(&mut self, driver: Driver) {
        self.driver = driver;
        for memory in &mut self.memory {
            *memory = Memory { driver, stopped_at: memory.stopped_at, held: memory.held, ..Memory::default() };
        }
    }

    fn fresh(&self) -> Memory {
        Memory { driver: self.driver, ..Memory::default() }
    }

    /// Its last decision in a scene.
    pub fn decision(&self, scene: usize) -> Option<&Decision> {
        self.memory.get(scene)?.decision.as_ref()
    }
}

impl Policy for RuleExpert {
    fn name(&self) -> &str {
        "rule expert"
    }

    fn reset(&mut self, batch: &Batch) {
        self.memory = vec![self.fresh(); batch.len()];
    }

    fn act(&mut self, batch: &Batch, actions: &mut [Action]) {
        use rayon::prelude::*;
        self.memory.resize(batch.len(), self.fresh());
        self.memory.par_iter_mut().zip(actions.par_iter_mut()).enumerate().for_each(|(i, (memory, action))| {
            let scene = batch.scene(i);
            *action = if scene.head.done { Action::default() } else { act(&scene, memory) };
        });
    }

    fn plan(&self, _: &Batch, scene: usize) -> Option<Trajectory> {
        self.decision(scene).map(|d| d.plan.clone())
    }
}

/// The expert's action for the next step of one scene; decides anew every [`EVERY`] steps.
pub fn act(scene: &Scene<'_>, memory: &mut Memory) -> Action {
    let fresh = memory.decision.as_ref().is_some_and(|d| scene.head.step < d.step + EVERY && scene.head.step >= d.step);
    if !fresh {
        decide(scene, memory);
    }
    memory.decision.as_mut().map_or(Action { accel: -3.0, steer: 0.0 }, |d| d.track.follow(scene))
}

/// Decides in one scene; `None` when ego has no route.
pub fn decide<'m>(scene: &Scene<'_>, memory: &'m mut Memory) -> Option<&'m Decision> {
    let route = scene.world.route()?;
    remember(scene, route, memory);
    let others = forecast::forecast(scene, route);
    let ego = Ego {
        s: scene.s[0],
        v: scene.v[0],
        a: scene.a[0],
        half: [scene.world.half_length[0], scene.world.half_width[0]],
    };
    let habits = memory.driver.habits();
    let caps = rules::caps(scene, route, &others, habits);
    let zones = rules::zones(scene);
    let lines = rules::holds(scene, route, memory);
    let reference = caps.speed.iter().take(60).map(|c| c.0).fold(5.0f32, f32::max);
    let emergency = propose::emergency_behind(&others, ego);
    // Where another lane leads the same way, the shoulder and the oncoming lane are for emergencies.
    let several = propose::beside(scene, route, ego.s, 1).or(propose::beside(scene, route, ego.s, -1)).is_some();
    let mut best: Option<(f32, Aim, Lateral, Rollout, Option<f32>)> = None;
    for proposal in propose::proposals((scene, route, habits), &others, ego, &caps) {
        let propose::Proposal { aim, lateral } = proposal;
        let caps = caps.shifting(&lateral.shifts, lateral.from[1]);
        let meetings = rollout::meetings(&others, &lateral, ego, habits);
        let (off, outside) = score::beside_lanes(scene, route, &lateral, ego, 60.0);
        let off = (off, outside.min(40.0) * if several { 0.5 } else { 0.06 });
        let place = |agent, low, s| rules::waiting_place(scene, route, (agent, low, s), &zones);
        let mut holds = lines.clone();
        holds.extend(rollout::crossings(&meetings, ego, &caps, habits, place));
        // On the way aside the speed is kept, there ego is slow enough to be passed.
        let keep = (ego.v / caps.at(ego.s).0.max(1.0)).min(0.9);
        let there = lateral.shifts.first().is_some_and(|shift| (shift.to - scene.lat[0]).abs() < 0.8);
        let passed = emergency.map_or(1.0, |e| e.slowest - 4.0).max(0.8) / caps.at(ego.s).0.max(1.0);
        let aside = if there { [passed.min(0.45), 0.2, 0.1] } else { [keep, 0.5, 0.25] };
        let shares = match aim {
            Aim::Centre => &SHARES[..],
            Aim::Aside(..) => &aside[..],
            Aim::Around(..) => &[1.0, 0.6, 0.3][..],
            _ => &[1.0, 0.5][..],
        };
        for &share in shares {
            let rollout = rollout::roll((ego, habits), &caps, share, &meetings, &holds);
            let points = score::score((ego, route, &others, habits), &lateral, aim, &rollout, reference, off);
            let mut total = points.total;
            if emergency.is_some() && !matches!(aim, Aim::Aside(..)) {
                total -= 25.0;
            }
            // A manoeuvre begun is kept unless another is clearly better.
            if memory.aim.is_some_and(|(last, _)| same(last, aim)) {
                total += match aim {
                    Aim::Aside(..) => 4.0,
                    Aim::Around(..) | Aim::Change(_) => 0.8,
                    _ => 0.0,
                };
            }
            if best.as_ref().is_none_or(|b| total > b.0) {
                best = Some((total, aim, lateral.clone(), rollout, points.touch));
            }
        }
    }
    let (_, aim, lateral, rollout, touch) = best?;
    memory.held = lines.iter().find_map(|h| match h.cause {
        Cause::Light(light) => route.stops.iter().find(|s| s.rule == StopRule::Light(light)).map(|s| s.line),
        _ => None,
    });
    memory.aim = Some((aim, lateral.shifts.first().map_or(0.0, |s| s.to)));
    memory.decision = Some(decision(scene, route, aim, &lateral, &rollout, touch));
    memory.decision.as_ref()
}

fn same(a: Aim, b: Aim) -> bool {
    match (a, b) {
        (Aim::Around(x, _), Aim::Around(y, _)) => x == y,
        (Aim::Aside(x, _), Aim::Aside(y, _)) => x == y,
        _ => a == b,
    }
}

/// Notes a stand at a stop sign.
fn remember(scene: &Scene<'_>, route: &Path, memory: &mut Memory) {
    let front = scene.s[0] + scene.world.half_length[0];
    for stop in &route.stops {
        if stop.rule == StopRule::Stop && (stop.s - front).abs() < 3.0 && scene.v[0] < 0.08 {
            memory.stopped_at = Some(stop.line);
        }
    }
}

fn decision(
    scene: &Scene<'_>,
    route: &Path,
    aim: Aim,
    lateral: &Lateral,
    rollout: &Rollout,
    touch: Option<f32>,
) -> Decision {
    let ego = Pose::new(f64::from(scene.x[0]), f64::from(scene.y[0]), f64::from(scene.heading[0]));
    let mut poses = Vec::with_capacity(8);
    let (mut speeds, mut offsets) = ([0.0; 9], [0.0; 8]);
    speeds[0] = scene.v[0];
    for i in 0..8 {
        let k = (2 * (i + 1)).min(STEPS - 1);
        let (x, y, cos, sin) = score::pose(route, lateral, rollout.s[k]);
        let heading = crate::math::atan2(sin, cos);
        poses.push(Pose::new(f64::from(x), f64::from(y), f64::from(heading)).into_frame(ego));
        speeds[i + 1] = rollout.v[k];
        offsets[i] = lateral.offset(rollout.s[k]);
    }
    let around = match aim {
        Aim::Around(_, who) => Some(Cause::Obstacle(who)),
        Aim::Aside(_, agent) => Some(Cause::Emergency(agent)),
        _ => None,
    };
    let line = crate::policy::tracker::line_along(route, scene.s[0] - 3.0, 45.0, |s| lateral.offset(s.max(scene.s[0])));
    Decision {
        step: scene.head.step,
        plan: Trajectory::half_second(poses),
        speeds,
        binding: binding(rollout, aim),
        around,
        offsets,
        touch,
        track: Plan { line, speed: rollout.v.to_vec(), step: STEP, age: 0.0 },
    }
}

/// The cause at the instant of the next second at which it asks for the least acceleration.
fn binding(rollout: &Rollout, aim: Aim) -> Cause {
    if let Aim::Aside(_, agent) = aim {
        return Cause::Emergency(agent);
    }
    let mut k = 0;
    for j in 1..5 {
        if rollout.a[j] < rollout.a[k] - 0.1 {
            k = j;
        }
    }
    rollout.cause[k]
}
