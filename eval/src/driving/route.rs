//! The scores of one driven route.

use super::comfort::{Felt, Mode, comfort};
use super::efficiency::{Step, efficiency};
use super::hd::{Hd, hd};
use super::penalty::{factor, name, spoils};
use serde::{Deserialize, Serialize};
use sim::drive::{End, Episode};
use sim::event::EventKind;
use sim::path::NO_LANE;
use sim::scenario::{Ability, Turn};

/// Times to collision are held to this, seconds.
const FAR: f64 = 10.0;
/// The first junction counts as passed when so much of the route behind it is done.
const BEYOND: f64 = 0.08;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Infraction {
    /// In words.
    pub kind: String,
    /// Seconds from the start.
    pub time: f64,
    /// Where, metres.
    pub at: [f64; 2],
    /// Speed of ego in m/s; the least time to collision in seconds for a near miss.
    pub value: f64,
    /// The other agent, stop line or solid.
    pub other: u16,
    /// Its factor of the driving score, if it has one.
    pub coefficient: Option<f64>,
}

/// The scores of one route.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RouteScore {
    /// `family/seed`.
    pub name: String,
    /// Scenario family.
    pub family: String,
    /// Seed.
    pub seed: u64,
    /// Abilities that it tests.
    pub abilities: Vec<Ability>,
    /// Completion times penalty, percent.
    pub driving_score: f64,
    /// Share of the route driven, percent.
    pub completion: f64,
    /// Product of the coefficients, in `[0, 1]`.
    pub penalty: f64,
    /// Completed without an infraction.
    pub success: bool,
    /// Passed the first junction without running a light or sign.
    pub junction_passed: bool,
    /// Why it ended.
    pub end: String,
    /// Seconds driven.
    pub seconds: f64,
    /// Kilometres driven.
    pub kilometres: f64,
    /// Share of the way outside the lanes, in `[0, 1]`.
    pub outside: f64,
    /// Percent of the traffic's speed at the checkpoints passed.
    pub efficiency: Option<f64>,
    /// The same with 0 for checkpoints that were not reached.
    pub efficiency_all: Option<f64>,
    /// Share of comfortable pieces, as published.
    pub comfort: Option<f64>,
    /// The same with the derivative of the yaw rate.
    pub comfort_fixed: Option<f64>,
    /// Mean time to collision over the steps with something ahead, at most 10 s.
    pub ttc_mean: Option<f64>,
    /// Least time to collision, seconds.
    pub ttc_min: Option<f64>,
    /// HD-Score and its parts.
    pub hd: Option<Hd>,
    /// What happened, in order.
    pub infractions: Vec<Infraction>,
}

/// Scores an episode.
pub fn route(episode: &Episode) -> RouteScore {
    let scenario = &episode.world.scenario;
    let completion = episode.completion();
    let outside = f64::from(episode.outside) / f64::from(episode.driven).max(1e-6);
    let penalty = factor(episode.events.iter().map(|e| e.kind), outside);
    let times: Vec<f64> = episode
        .samples
        .iter()
        .map(|s| f64::from(s.time_to_collision))
        .filter(|t| t.is_finite())
        .map(|t| t.min(FAR))
        .collect();
    let felt: Vec<Felt> = episode
        .samples
        .iter()
        .map(|s| Felt { lon: s.a.into(), lat: f64::from(s.v * s.yaw_rate), yaw_rate: s.yaw_rate.into() })
        .collect();
    let length = f64::from(episode.world.goal - episode.start).max(1e-6);
    let steps: Vec<Step> = episode
        .samples
        .iter()
        .map(|s| Step {
            progress: (f64::from(s.progress - episode.start) / length).clamp(0.0, 1.0),
            speed: s.v.into(),
            background: (!s.background.is_nan()).then_some(f64::from(s.background)),
        })
        .collect();
    let efficiency = efficiency(&steps);
    RouteScore {
        name: scenario.name.clone(),
        family: scenario.family.clone(),
        seed: scenario.seed,
        abilities: scenario.abilities.clone(),
        driving_score: 100.0 * completion * penalty,
        completion: 100.0 * completion,
        penalty,
        success: episode.end == End::Complete && !episode.events.iter().any(|e| spoils(e.kind)),
        junction_passed: junction_passed(episode),
        end: episode.end.as_str().into(),
        seconds: episode.samples.len().saturating_sub(1) as f64 * 0.1,
        kilometres: f64::from(episode.driven) / 1000.0,
        outside,
        efficiency: efficiency.passed,
        efficiency_all: efficiency.all,
        comfort: comfort(&felt, Mode::Compat),
        comfort_fixed: comfort(&felt, Mode::Fixed),
        ttc_mean: (!times.is_empty()).then(|| times.iter().sum::<f64>() / times.len() as f64),
        ttc_min: times.iter().copied().reduce(f64::min),
        hd: hd(episode),
        infractions: episode.events.iter().filter(|e| e.kind != EventKind::Complete).map(infraction).collect(),
    }
}

fn infraction(event: &sim::event::Event) -> Infraction {
    Infraction {
        kind: name(event.kind).into(),
        time: f64::from(event.step) * 0.1,
        at: [event.x.into(), event.y.into()],
        value: event.value.into(),
        other: event.other,
        coefficient: super::penalty::coefficient(event.kind),
    }
}

/// Whether the first junction lies well behind ego without a light or sign run there.
fn junction_passed(episode: &Episode) -> bool {
    let world = &episode.world;
    let Some(path) = world.route() else { return false };
    let inside = |i: &usize| {
        let lane = path.lane[*i];
        lane != NO_LANE && world.road.lanes[lane as usize].turn != Turn::None
    };
    let Some(first) = (path.index(episode.start)..path.lane.len()).find(inside) else { return false };
    let end = (first..path.lane.len()).find(|i| !inside(i)).unwrap_or(path.lane.len());
    let beyond = end as f32 + BEYOND as f32 * (world.goal - episode.start);
    let run = episode.events.iter().any(|e| matches!(e.kind, EventKind::RedLight | EventKind::StopSign));
    !run && episode.samples.last().is_some_and(|s| s.progress >= beyond.min(world.goal))
}
