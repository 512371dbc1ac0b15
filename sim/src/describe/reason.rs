//! What a text gives as the cause of a decision: the driver's own cause where the frame shows it and it explains the
//! label, else the first visible thing that does.

use super::command::Command;
use super::facts::{Facts, Other};
use crate::expert::{Cause, Who};
use crate::scenario::{Lamp, SignKind};
use scene::{MetaAction, PathAction, SpeedAction};

/// Below this ego stands, m/s.
pub const STANDING: f32 = 0.5;
/// Metres to a vehicle ahead that matters to one who keeps the speed.
const FOLLOWED: f32 = 45.0;
/// Radians of the way ahead that make a bend to name.
const BENDS: f32 = 0.25;

/// A cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Nothing in the way.
    Free,
    /// The speed limit.
    Limit,
    /// A bend of the road.
    Curve,
    /// A turn of the route at a junction.
    Turn,
    /// A junction that is crossed.
    Junction,
    /// The vehicle ahead.
    Lead,
    /// The traffic light.
    Light,
    /// A stop or yield sign.
    Sign,
    /// A stop line whose sign or light is out of view.
    Line,
    /// Someone on foot or on a bicycle.
    Person,
    /// A vehicle that crosses.
    Crossing,
    /// A vehicle that comes into the lane.
    CutIn,
    /// A vehicle that comes toward ego.
    Oncoming,
    /// What blocks the lane.
    Obstacle,
    /// A view that is blocked.
    Sight,
    /// Blue lights.
    Emergency,
    /// A road user that is seen elsewhere than in the way, by its number.
    Near(usize),
    /// Nothing seen speaks against going on.
    Room,
    /// Something that the frame does not show.
    Unseen,
}

impl Reason {
    /// The expert's cause as far as the frame shows it; [`Reason::Unseen`] where it does not.
    pub fn told(cause: Cause, facts: &Facts) -> Reason {
        let seen = |shown: bool, reason| if shown { reason } else { Reason::Unseen };
        let line = if facts.stop_line.is_some() { Reason::Line } else { Reason::Unseen };
        let naming = |agent| Reason::naming(agent, facts).unwrap_or(Reason::Unseen);
        match cause {
            Cause::Free => Reason::Free,
            Cause::Limit => Reason::Limit,
            Cause::Curve if turn_within(facts, 40.0) => Reason::Turn,
            Cause::Curve => Reason::Curve,
            Cause::Light(_) if facts.light.is_none() => line,
            Cause::Light(_) => Reason::Light,
            Cause::StopSign if facts.sign.is_none() => line,
            Cause::StopSign => Reason::Sign,
            Cause::Lead(agent) | Cause::Pedestrian(agent) | Cause::Crossing(agent) | Cause::Emergency(agent) => {
                naming(agent)
            }
            Cause::Obstacle(Who::Agent(agent)) | Cause::Sight(Who::Agent(agent)) => naming(agent),
            Cause::Obstacle(Who::Prop(_)) => seen(facts.obstacle.is_some(), Reason::Obstacle),
            Cause::Sight(Who::Prop(_)) | Cause::RouteEnd => Reason::Unseen,
        }
    }

    /// The reason that names this agent, if the facts hold it.
    pub fn naming(agent: usize, facts: &Facts) -> Option<Reason> {
        let is = |o: &Option<Other>| o.is_some_and(|o| o.agent == agent);
        let parked = facts.obstacle.and_then(|o| o.vehicle).is_some_and(|v| v.0 == agent);
        let found = [
            (facts.person.is_some_and(|p| p.agent == agent), Reason::Person),
            (is(&facts.cut_in), Reason::CutIn),
            (is(&facts.oncoming), Reason::Oncoming),
            (is(&facts.crossing), Reason::Crossing),
            (parked, Reason::Obstacle),
            (is(&facts.lead), Reason::Lead),
            (is(&facts.emergency), Reason::Emergency),
            (is(&facts.occluder), Reason::Sight),
        ];
        let near = facts.seen.iter().any(|o| o.agent == agent).then_some(Reason::Near(agent));
        found.into_iter().find(|f| f.0).map(|f| f.1).or(near)
    }
}

/// The reason to give: `told` where it is seen and explains the action.
pub fn choose(facts: &Facts, action: MetaAction, told: Option<Reason>) -> Reason {
    match told {
        Some(reason) if explains(facts, action, reason) => reason,
        // Something real that cannot be seen: better to say so than to name a bystander.
        Some(Reason::Unseen) if slows(action) => {
            if facts.occluder.is_some() {
                Reason::Sight
            } else {
                Reason::Unseen
            }
        }
        _ => derived(facts, action),
    }
}

/// Whether a frame can tell what to do: the driver intends what it then did, and where it slows or changes lanes the
/// frame shows why. What is left out asks a planner to guess: a light that changes a second later, someone behind a
/// lorry, an ambulance from behind.
pub fn knowable(facts: &Facts, driven: MetaAction, planned: MetaAction, told: Reason) -> bool {
    let changes = matches!(driven.path, PathAction::LeftChange | PathAction::RightChange);
    let explained = choose(facts, driven, Some(told)) != Reason::Unseen && !(changes && told == Reason::Unseen);
    driven == planned && explained
}

fn slows(action: MetaAction) -> bool {
    matches!(action.speed, SpeedAction::Decelerate | SpeedAction::Stop)
}

fn turns(action: MetaAction) -> bool {
    matches!(action.path, PathAction::LeftTurn | PathAction::RightTurn)
}

/// Whether nothing visible stands in the way.
fn clear(facts: &Facts) -> bool {
    facts.lead.is_none_or(|l| l.gap > FOLLOWED)
        && facts.obstacle.is_none()
        && facts.person.is_none_or(|p| !p.in_way && !p.toward)
        && facts.crossing.is_none()
        && facts.oncoming.is_none()
        && facts.cut_in.is_none()
        && facts.emergency.is_none()
        && !matches!(facts.light, Some((Lamp::Red | Lamp::Yellow, _)))
}

/// Whether the route turns at a junction within so many metres.
pub(super) fn turn_within(facts: &Facts, metres: f32) -> bool {
    matches!(facts.command, Command::TurnLeft | Command::TurnRight) && facts.road.junction.is_some_and(|j| j.0 < metres)
}

/// Whether the facts hold a reason and it goes with the action.
fn explains(facts: &Facts, action: MetaAction, reason: Reason) -> bool {
    let slows = slows(action);
    match reason {
        Reason::Free => !slows && clear(facts),
        Reason::Limit if slows => facts.limit_sign.is_some_and(|l| f32::from(l.0) / 3.6 < facts.speed),
        Reason::Limit => action.speed == SpeedAction::Keep && clear(facts),
        Reason::Curve => {
            action.speed != SpeedAction::Stop && facts.road.turned.abs() > BENDS && !turn_within(facts, 40.0)
        }
        Reason::Turn => action.speed != SpeedAction::Stop && turn_within(facts, 40.0),
        Reason::Junction => facts.road.junction.is_some_and(|j| j.0 < 40.0) && slows,
        Reason::Lead => facts.lead.is_some_and(|l| match action.speed {
            SpeedAction::Accelerate => l.gap > 4.0,
            SpeedAction::Stop => l.gap < 25.0,
            _ => l.gap < FOLLOWED + facts.speed,
        }),
        Reason::Light => match facts.light {
            Some((Lamp::Green, distance)) => !slows && distance < 45.0,
            Some(_) => slows,
            None => false,
        },
        Reason::Line => slows && facts.stop_line.is_some(),
        Reason::Sign => slows && facts.sign.is_some(),
        Reason::Person => facts.person.is_some_and(|p| match action.speed {
            SpeedAction::Decelerate | SpeedAction::Stop => p.in_way || p.toward,
            // One who is beside and stays there, or who walks out of the way.
            SpeedAction::Keep => !p.toward && (!p.in_way || p.away),
            SpeedAction::Accelerate => p.in_way && p.away,
        }),
        Reason::Crossing => slows && facts.crossing.is_some(),
        Reason::CutIn => slows && facts.cut_in.is_some(),
        Reason::Oncoming => slows && facts.oncoming.is_some(),
        Reason::Obstacle => facts.obstacle.is_some() && (slows || action.path != PathAction::Straight),
        Reason::Sight => slows && facts.occluder.is_some(),
        Reason::Emergency => facts.emergency.is_some() && (slows || action.path != PathAction::Straight),
        Reason::Near(agent) => {
            action.speed != SpeedAction::Accelerate && facts.seen.iter().any(|o| o.agent == agent && o.gap < 60.0)
        }
        Reason::Room | Reason::Unseen => false,
    }
}

/// The first visible thing that explains an action.
fn derived(facts: &Facts, action: MetaAction) -> Reason {
    let holds = |reason: &Reason| explains(facts, action, *reason);
    let changes = matches!(action.path, PathAction::LeftChange | PathAction::RightChange);
    if slows(action) {
        let near = facts.lead.is_some_and(|l| l.braking || l.opening < -1.0 || l.gap < 6.0 + 1.5 * facts.speed);
        let early = [Reason::Person, Reason::Light, Reason::Crossing, Reason::Oncoming, Reason::CutIn];
        let late = [
            Reason::Obstacle,
            Reason::Sign,
            Reason::Emergency,
            Reason::Turn,
            Reason::Curve,
            Reason::Limit,
            Reason::Sight,
            Reason::Lead,
            Reason::Junction,
        ];
        let lead = near.then_some(Reason::Lead);
        return early.into_iter().chain(lead).chain(late).find(holds).unwrap_or(Reason::Unseen);
    }
    let list: &[Reason] = match action.speed {
        _ if changes => &[Reason::Obstacle, Reason::Lead, Reason::Free],
        SpeedAction::Accelerate => &[Reason::Person, Reason::Lead, Reason::Light, Reason::Free],
        _ if turns(action) => &[Reason::Lead, Reason::Turn, Reason::Curve, Reason::Light, Reason::Free],
        _ => &[Reason::Lead, Reason::Light, Reason::Person, Reason::Free],
    };
    list.iter().copied().find(holds).unwrap_or(Reason::Room)
}

/// Whether a sign is a stop sign.
pub(super) fn is_stop(kind: SignKind) -> bool {
    kind == SignKind::Stop
}
