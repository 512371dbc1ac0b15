//! Reasoning in the first person: the cause that binds, then what is done along and across the lane. Written from facts
//! that the frame shows and a label; a cause that cannot be seen is hedged. Wording is picked by a seed.

use super::command::Command;
use super::facts::{Facts, Other, Side};
use super::phrases::{self as p, Pool};
use super::reason::{Reason, STANDING, choose, is_stop, turn_within};
use crate::rng::Rng;
use crate::scenario::{AgentKind, Lamp};
use scene::{MetaAction, PathAction, SpeedAction};

/// A text for a moment and its label. `told` is the driver's own cause, where it is known.
pub fn reasoning(facts: &Facts, action: MetaAction, told: Option<Reason>, seed: u64) -> String {
    let mut rng = Rng::new(seed, "reasoning");
    let reason = choose(facts, action, told);
    let cause = cause(facts, action, reason, &mut rng);
    let along = along(facts, action, &mut rng);
    let across = across(facts, action, &mut rng);
    // One stops after a turn or a lane change, not before.
    let path_first = match action.speed {
        SpeedAction::Stop => action.path != PathAction::Straight,
        _ => rng.chance(0.25),
    };
    let decision = if path_first { format!("{across} and {along}") } else { format!("{along} and {across}") };
    let text = match rng.below(6) {
        0 | 1 => format!("{cause}, so I {decision}."),
        2 => format!("{cause}. I {decision}."),
        3 => format!("as {cause}, I {decision}."),
        4 => format!("because {cause}, I {decision}."),
        _ => format!("{cause} and so I {decision}."),
    };
    capital(&text)
}

/// What a road user is called.
pub(super) fn noun(kind: AgentKind) -> &'static str {
    match kind {
        AgentKind::Car => "car",
        AgentKind::Van | AgentKind::Emergency => "van",
        AgentKind::Truck => "truck",
        AgentKind::Bus => "bus",
        AgentKind::Motorcycle => "motorcycle",
        AgentKind::Cyclist => "cyclist",
        AgentKind::Pedestrian => "pedestrian",
    }
}

fn far(gap: f32) -> &'static str {
    match gap {
        g if g < 7.0 => "in front of me",
        g if g < 15.0 => "close ahead",
        g if g < 30.0 => "ahead",
        _ => "far ahead",
    }
}

fn pick(pool: Pool, rng: &mut Rng) -> &'static str {
    rng.pick(pool).copied().unwrap_or_default()
}

fn fill(pool: Pool, thing: &str, gap: f32, side: Side, rng: &mut Rng) -> String {
    pick(pool, rng).replace("{thing}", thing).replace("{far}", far(gap)).replace("{side}", side.as_str())
}

fn cause(facts: &Facts, action: MetaAction, reason: Reason, rng: &mut Rng) -> String {
    let vehicle = |o: Option<Other>| o.map_or(("car", 0.0, Side::Left), |o| (noun(o.kind), o.gap, o.side));
    let (pool, (thing, gap, side)) = match reason {
        Reason::Free if action.speed == SpeedAction::Keep => (p::CLEAR_FAST, vehicle(None)),
        Reason::Free => (p::CLEAR, vehicle(None)),
        Reason::Limit if action.speed == SpeedAction::Keep => (p::CLEAR_FAST, vehicle(None)),
        Reason::Limit => (p::LIMIT, ("", facts.limit_sign.map_or(0.0, |l| l.1), Side::Left)),
        Reason::Curve => (p::CURVE, ("", 0.0, Side::of(facts.road.turned))),
        Reason::Turn => {
            let side = if facts.command == Command::TurnLeft { Side::Left } else { Side::Right };
            (p::TURNING, ("", 0.0, side))
        }
        Reason::Junction => (p::JUNCTION, vehicle(None)),
        Reason::Lead => (lead(facts, action), vehicle(facts.lead)),
        Reason::Light => {
            let (lamp, distance) = facts.light.unwrap_or_default();
            let pool = match lamp {
                Lamp::Green => p::GREEN,
                Lamp::Yellow => p::YELLOW,
                _ => p::RED,
            };
            (pool, ("", distance, Side::Left))
        }
        Reason::Line => (p::LINE, ("", facts.stop_line.unwrap_or(0.0), Side::Left)),
        Reason::Sign => {
            let stop = facts.sign.is_none_or(|s| is_stop(s.0));
            let pool = if stop { p::STOP_SIGN } else { p::YIELD_SIGN };
            (pool, ("", facts.sign.map_or(0.0, |s| s.1), Side::Left))
        }
        Reason::Person => {
            let slows = matches!(action.speed, SpeedAction::Decelerate | SpeedAction::Stop);
            let pool = match facts.person {
                Some(person) if !slows && person.in_way => p::PERSON_LEAVES,
                Some(person) if person.in_way => p::PERSON_IN_WAY,
                Some(person) if person.toward => p::PERSON_COMES,
                _ => p::PERSON_BESIDE,
            };
            (pool, facts.person.map_or(("", 0.0, Side::Left), |x| (noun(x.kind), x.gap, x.side)))
        }
        Reason::Crossing => (p::CROSSING, vehicle(facts.crossing)),
        Reason::CutIn => (p::CUT_IN, vehicle(facts.cut_in)),
        Reason::Oncoming => (p::ONCOMING, vehicle(facts.oncoming)),
        Reason::Obstacle => match facts.obstacle.map(|o| (o.vehicle, o.gap, o.side)) {
            Some((Some((_, kind)), gap, side)) => (p::PARKED, (noun(kind), gap, side)),
            other => (p::WORKS, ("", other.map_or(0.0, |o| o.1), Side::Left)),
        },
        Reason::Sight => (p::OCCLUDER, vehicle(facts.occluder)),
        Reason::Emergency => (p::EMERGENCY, vehicle(facts.emergency)),
        Reason::Near(agent) => {
            let other = facts.seen.iter().find(|o| o.agent == agent).copied();
            let slows = action.speed != SpeedAction::Keep;
            (if slows { p::NEAR_SLOWS } else { p::NEAR }, vehicle(other))
        }
        Reason::Room => (p::ROOM, vehicle(None)),
        Reason::Unseen if facts.road.junction.is_some_and(|j| j.0 < 30.0) => (p::UNSEEN_JUNCTION, vehicle(None)),
        Reason::Unseen => (p::UNSEEN, vehicle(None)),
    };
    fill(pool, thing, gap, side, rng)
}

/// What is said of the vehicle ahead.
fn lead(facts: &Facts, action: MetaAction) -> Pool {
    let Some(lead) = facts.lead else { return p::ROOM };
    let closing = lead.gap < 6.0 + 1.2 * facts.speed || lead.opening < -1.5;
    match action.speed {
        SpeedAction::Accelerate => p::LEAD_ROOM,
        _ if lead.speed < STANDING => p::LEAD_STANDS,
        SpeedAction::Keep => p::LEAD_FOLLOW,
        _ if lead.braking => p::LEAD_BRAKES,
        _ if closing => p::LEAD_CLOSE,
        _ => p::LEAD_FOLLOW,
    }
}

/// The speed decision.
fn along(facts: &Facts, action: MetaAction, rng: &mut Rng) -> &'static str {
    let stands = facts.speed < STANDING;
    let pool = match action.speed {
        SpeedAction::Keep => p::KEEP,
        SpeedAction::Accelerate if stands => p::START,
        SpeedAction::Accelerate => p::ACCELERATE,
        SpeedAction::Decelerate => p::DECELERATE,
        SpeedAction::Stop if stands => p::STAY,
        SpeedAction::Stop => p::STOP,
    };
    pick(pool, rng)
}

/// The path decision, with its reason where that is not the cause already.
fn across(facts: &Facts, action: MetaAction, rng: &mut Rng) -> String {
    let left = matches!(action.path, PathAction::LeftTurn | PathAction::LeftChange);
    let side = if left { Side::Left } else { Side::Right };
    let sign = if left { 1.0 } else { -1.0 };
    match action.path {
        PathAction::Straight => {
            let bends = facts.road.turned.abs() > 0.12 || turn_within(facts, 60.0);
            let pool = match action.speed {
                SpeedAction::Stop => p::HOLD,
                _ if bends => p::LANE,
                _ => p::STRAIGHT,
            };
            pick(pool, rng).to_owned()
        }
        PathAction::LeftTurn | PathAction::RightTurn => {
            let asked = facts.command == if left { Command::TurnLeft } else { Command::TurnRight };
            let pool = if asked && turn_within(facts, 30.0) { p::TURN } else { p::BEND };
            fill(pool, "", 0.0, side, rng)
        }
        PathAction::LeftChange | PathAction::RightChange => {
            // Beside the own lane on the other side: ego returns.
            if facts.off * sign < -1.2 {
                return fill(p::BACK, "", 0.0, side, rng);
            }
            let change = fill(p::CHANGE, "", 0.0, side, rng);
            let asked = facts.command == if left { Command::ChangeLeft } else { Command::ChangeRight };
            let slow = facts.lead.filter(|l| l.gap < 45.0 && (l.opening < 0.5 || l.speed < 6.0));
            let passed = match facts.obstacle {
                Some(o) => Some(o.vehicle.map_or("cones", |v| noun(v.1))),
                None => slow.map(|l| noun(l.kind)),
            };
            match passed {
                _ if asked => format!("{change} {}", pick(p::ROUTE, rng)),
                Some(thing) => format!("{change} {}", pick(p::PASS, rng).replace("{thing}", thing)),
                None => change,
            }
        }
    }
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |c| c.to_uppercase().chain(chars).collect())
}
