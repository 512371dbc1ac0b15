//! Driving one scenario and keeping moments of the drive.

use super::Recipe;
use sim::{
    Batch,
    describe::{Command, Driven, command, driven},
    driver::Driver,
    event::EventKind,
    expert::Decision,
    families::Family,
    moment::Drive,
    rng::Rng,
    scenario::DT,
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
    /// Who drives.
    pub driver: Driver,
    /// Scenario seed.
    pub seed: u64,
    /// Simulator step.
    pub step: usize,
    /// One scene, as it was then.
    pub batch: Batch,
    /// What the driver had decided.
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

/// The moments of one episode, in order. Those of the expert shortly before an infraction and all after it are left out;
/// the faults of other drivers are what they are for, and only a future with a collision is not told.
pub fn moments(family: &'static Family, seed: u64, driver: Driver) -> Vec<Moment> {
    let mut drive = Drive::new(family, seed, driver);
    let world = Arc::clone(&drive.batch.worlds[0]);
    let mut kept: Vec<(usize, Batch, Decision)> = Vec::new();
    let first = Rng::new(seed, "first moment").below(EVERY);
    let steps = (world.scenario.duration / DT) as usize;
    for step in 0..=steps {
        if drive.done() {
            break;
        }
        let decision = drive.decide().cloned();
        if step % EVERY == first
            && let Some(decision) = decision
        {
            kept.push((step, drive.batch.fork(0, 1), decision));
        }
        drive.step();
    }
    let end = drive.batch.scene(0).head;
    let path = &drive.past[..drive.past.len().min(steps + 1)];
    let bad = |kind: EventKind| match driver {
        Driver::Expert => !matches!(kind, EventKind::Complete | EventKind::NearMiss | EventKind::OffRoute),
        _ => kind.is_collision(),
    };
    let bad = end.log.events().iter().find(|e| bad(e.kind)).map_or(usize::MAX, |e| e.step as usize);
    let before = if driver == Driver::Expert { (SPOILED / DT) as usize } else { FUTURE * EVERY };
    let spoiled = bad.saturating_sub(before);
    let moment = |(step, then, decision): (usize, Batch, Decision)| {
        if step >= spoiled {
            return None;
        }
        let future: Vec<[f32; 3]> =
            (1..=FUTURE).map(|k| path.get(step + k * EVERY).map(|p| [p[0], p[1], p[2]])).collect::<Option<_>>()?;
        let now = path[step];
        let driven = driven(&world, [now[0], now[1], now[2]], now[3], &future).ok()?;
        let past = (1..=PAST).rev().filter_map(|k| step.checked_sub(k * EVERY)).map(|s| path[s]);
        let past = past.map(|[x, y, heading, v, _]| [x, y, heading, v]).collect();
        let command = command(&then.scene(0));
        Some(Moment { family, driver, seed, step, decision, driven, command, speed: now[3], past, batch: then })
    };
    kept.into_iter().filter_map(moment).collect()
}

/// The driver of the n-th episode of a recipe: each drives every family in turn.
pub fn driver(recipe: &Recipe, episode: u64) -> Driver {
    let (families, drivers) = (recipe.families.len().max(1) as u64, recipe.drivers.len().max(1) as u64);
    let turn = episode % families + episode / families;
    recipe.drivers.get((turn % drivers) as usize).copied().unwrap_or_default()
}

/// The family of the n-th episode of a recipe.
pub fn family(recipe: &Recipe, episode: u64) -> Option<&'static Family> {
    recipe.families.get(episode as usize % recipe.families.len().max(1)).copied()
}
