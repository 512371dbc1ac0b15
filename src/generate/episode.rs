//! Driving the expert through one scenario and keeping moments of it.

use super::Recipe;
use sim::{
    Batch, World,
    describe::{Command, Driven, command, driven},
    event::EventKind,
    expert::{Decision, RuleExpert},
    families::Family,
    policy::Policy,
    rng::Rng,
    scenario::{DT, Scenario},
};
use std::sync::Arc;

/// Steps between moments: 2 Hz.
pub const EVERY: usize = 5;
/// Poses of a future, half a second apart.
const FUTURE: usize = 8;
/// Poses of the past that are told, half a second apart.
pub const PAST: usize = 4;
/// Seconds before an infraction from which nothing is learned.
const SPOILED: f32 = 5.0;

/// A moment of a drive, complete enough to draw and describe it.
pub struct Moment {
    /// Scenario family.
    pub family: &'static Family,
    /// Scenario seed.
    pub seed: u64,
    /// Simulator step.
    pub step: usize,
    /// One scene, as it was then.
    pub batch: Batch,
    /// What the expert had decided.
    pub decision: Decision,
    /// The driven future and its labels.
    pub driven: Driven,
    /// Navigation command.
    pub command: Command,
    /// m/s.
    pub speed: f32,
    /// Ego before, oldest first: x, y, heading, speed in the world, half a second apart.
    pub past: Vec<[f32; 4]>,
}

/// Ego off its line, turned and at another speed at the start: what a driver has to come back from.
fn perturb(scenario: &mut Scenario, seed: u64) {
    let mut rng = Rng::new(seed, "perturbed start");
    let Some(ego) = scenario.agents.first_mut() else { return };
    if rng.chance(0.4) {
        return;
    }
    let (aside, turned, faster) = (0.35 * rng.bell(), 0.04 * rng.bell(), 1.5 * rng.bell());
    let (sin, cos) = sim::math::sin_cos(ego.pose[2]);
    ego.pose = [ego.pose[0] - aside * sin, ego.pose[1] + aside * cos, ego.pose[2] + turned];
    ego.speed = (ego.speed + faster).clamp(0.0, 25.0);
}

/// The moments of one episode, in order. Those shortly before an infraction are left out.
pub fn moments(family: &'static Family, seed: u64) -> Vec<Moment> {
    let mut scenario = (family.make)(seed);
    perturb(&mut scenario, seed);
    let world = Arc::new(World::new(scenario));
    let mut batch = Batch::new(vec![Arc::clone(&world)]);
    let mut expert = RuleExpert::default();
    expert.reset(&batch);
    let mut actions = [sim::Action::default()];
    let mut path: Vec<[f32; 4]> = Vec::new();
    let mut kept: Vec<(usize, Batch, Decision)> = Vec::new();
    let first = Rng::new(seed, "first moment").below(EVERY);
    let steps = (world.scenario.duration / DT) as usize;
    for step in 0..=steps {
        let scene = batch.scene(0);
        path.push([scene.x[0], scene.y[0], scene.heading[0], scene.v[0]]);
        if scene.head.done {
            break;
        }
        expert.act(&batch, &mut actions);
        if step % EVERY == first
            && let Some(decision) = expert.decision(0)
        {
            kept.push((step, batch.fork(0, 1), decision.clone()));
        }
        batch.step(&actions);
    }
    let end = batch.scene(0).head;
    let infraction = |kind: EventKind| !matches!(kind, EventKind::Complete | EventKind::NearMiss | EventKind::OffRoute);
    let bad = end.log.events().iter().find(|e| infraction(e.kind)).map_or(usize::MAX, |e| e.step as usize);
    let spoiled = bad.saturating_sub((SPOILED / DT) as usize);
    let moment = |(step, then, decision): (usize, Batch, Decision)| {
        if step >= spoiled {
            return None;
        }
        let future: Vec<[f32; 3]> =
            (1..=FUTURE).map(|k| path.get(step + k * EVERY).map(|p| [p[0], p[1], p[2]])).collect::<Option<_>>()?;
        let now = path[step];
        let driven = driven(&world, [now[0], now[1], now[2]], now[3], &future).ok()?;
        let past = (1..=PAST).rev().filter_map(|k| step.checked_sub(k * EVERY)).map(|s| path[s]).collect();
        let command = command(&then.scene(0));
        Some(Moment { family, seed, step, decision, driven, command, speed: now[3], past, batch: then })
    };
    kept.into_iter().filter_map(moment).collect()
}

/// The family of the n-th episode of a recipe.
pub fn family(recipe: &Recipe, episode: u64) -> Option<&'static Family> {
    recipe.families.get(episode as usize % recipe.families.len().max(1)).copied()
}
