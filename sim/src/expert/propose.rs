//! Where ego could go: the middle of its lane, a little beside it, around what stands in the way, into the lane beside
//! it, out of the way of an ambulance.

use super::forecast::{Other, STEPS, Who};
use super::lateral::{Cut, Lateral, Shift};
use super::rollout::Ego;
use super::rules::{Caps, LOOK};
use crate::batch::Scene;
use crate::driver::Habits;
use crate::path::{NO_LANE, Path};
use crate::scenario::AgentKind;

/// What a profile is for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Aim {
    /// The middle of the lane.
    Centre,
    /// Where ego is now.
    Stay,
    /// A little to the side.
    Nudge(i8),
    /// Around something: its side and what it is.
    Around(i8, Who),
    /// The lane beside: its side.
    Change(i8),
    /// Out of the way of an emergency vehicle.
    Aside(i8, usize),
}

/// A profile and its aim.
#[derive(Debug, Clone)]
pub struct Proposal {
    /// Why.
    pub aim: Aim,
    /// Where.
    pub lateral: Lateral,
}

/// An emergency vehicle behind ego that wants to pass.
#[derive(Debug, Clone, Copy)]
pub struct Emergency {
    /// Which agent.
    pub agent: usize,
    /// Metres to the left of the route at which it drives.
    pub lat: f32,
    /// Half its width.
    pub half: f32,
    /// Its least speed in the next 4 s.
    pub slowest: f32,
}

/// Finds it.
pub fn emergency_behind(others: &[Other], ego: Ego) -> Option<Emergency> {
    others.iter().find_map(|o| {
        let Who::Agent(agent) = o.who else { return None };
        let behind = o.s[0] < ego.s + 1.0 && o.s[0] > ego.s - 70.0;
        let comes = o.speed[0] > 1.0 || o.s[0] > ego.s - 25.0;
        let urgent = o.kind == AgentKind::Emergency && !o.still && behind && comes && o.lat[0].abs() < 6.0;
        urgent.then(|| Emergency {
            agent,
            lat: o.lat[0],
            half: o.half[1],
            slowest: o.speed.iter().take(17).copied().fold(f32::MAX, f32::min),
        })
    })
}

/// Every profile worth a look.
pub fn proposals(
    (scene, route, habits): (&Scene<'_>, &Path, &Habits),
    others: &[Other],
    ego: Ego,
    caps: &Caps,
) -> Vec<Proposal> {
    let place = route.at(ego.s);
    let (d0, slope) = {
        let (sin, cos) = (scene.sin[0], scene.cos[0]);
        let along = cos * place.cos + sin * place.sin;
        (scene.lat[0], ((sin * place.cos - cos * place.sin) / along.max(0.3)).clamp(-0.8, 0.8))
    };
    let from = [ego.s, d0, slope];
    let shift = |to: f32, length: f32| Shift { start: ego.s, end: ego.s + length, to };
    let simple = |aim: Aim, to: f32| {
        let length = Lateral::comfortable(to - d0, ego.v.max(2.0));
        Proposal { aim, lateral: Lateral { from, shifts: vec![shift(to, length)], ..Lateral::default() } }
    };
    let width = lane_width(scene, route, ego.s);
    let room = (0.5 * width - ego.half[1] - 0.1).max(0.0);
    // Corners are cut within the lane alone: who goes around something goes where it has to.
    let cut = Cut::corners(route, ego.s, LOOK, habits.inside);
    let lane = |aim: Aim, to: f32| {
        let Proposal { aim, mut lateral } = simple(aim, to);
        let (d, turned) = cut.at(ego.s);
        lateral.from = [ego.s, d0 - d, slope - turned];
        lateral.cut = cut.clone();
        Proposal { aim, lateral }
    };
    let mut list = vec![lane(Aim::Centre, 0.0)];
    if d0.abs() > 0.7 {
        list.push(simple(Aim::Stay, d0));
    }
    if room > 0.2 {
        let nudge = room.min(0.8);
        list.push(lane(Aim::Nudge(1), nudge));
        list.push(lane(Aim::Nudge(-1), -nudge));
    }
    if let Some(group) = blocking(others, ego, caps) {
        for (side, clearance) in [(1i8, 1.0f32), (1, 0.45), (-1, 1.0), (-1, 0.45)] {
            let clearance = clearance * habits.distance;
            let to =
                if side > 0 { group.left + ego.half[1] + clearance } else { group.right - ego.half[1] - clearance };
            if to.abs() < 6.5 {
                list.push(around(Aim::Around(side, group.who), from, ego, &group, to));
            }
        }
    }
    if let Some((who, to)) = give_room(others, ego, habits.distance) {
        for (to, share) in [(to, 1.0), (to, 0.6), (to - 0.4, 0.6)] {
            let mut proposal = simple(Aim::Around(-1, who), to);
            for shift in &mut proposal.lateral.shifts {
                shift.end = shift.start + share * (shift.end - shift.start);
            }
            list.push(proposal);
        }
    }
    let beside = |side: i8| beside(scene, route, ego.s, side);
    for side in [1i8, -1] {
        if let Some(offset) = beside(side) {
            list.push(simple(Aim::Change(side), offset));
        }
    }
    if let Some(Emergency { agent, lat, half, .. }) = emergency_behind(others, ego) {
        for side in [1i8, -1] {
            let sign = f32::from(side);
            let clear = lat + sign * (half + ego.half[1] + 0.5);
            let to = match beside(side) {
                Some(offset) if (offset - lat).abs() > (clear - lat).abs() => offset,
                _ => clear,
            };
            list.push(simple(Aim::Aside(side, agent), to));
        }
    }
    list
}

/// What stands in the way: a row of things with little room between them.
struct Group {
    who: Who,
    start: f32,
    end: f32,
    left: f32,
    right: f32,
}

fn blocking(others: &[Other], ego: Ego, caps: &Caps) -> Option<Group> {
    let free = caps.at(ego.s + 5.0).0.max(5.0);
    let mut spans: Vec<(f32, f32, &Other)> = others
        .iter()
        .filter(|o| o.lat[0].abs() < o.across[0] + ego.half[1] + 0.25)
        .filter(|o| o.s[0] + o.along[0] > ego.s - ego.half[0] && o.s[0] - o.along[0] < ego.s + 90.0)
        .filter_map(|o| {
            let speed = o.speed[0];
            if o.still {
                return Some((o.s[0] - o.along[0], o.s[0] + o.along[0], o));
            }
            // A slow rider: until ego has passed it, it goes on.
            let along = |k: usize| o.across[k] < o.half[1] + 0.35 && o.lat[k].abs() < 2.5;
            let slow = o.kind == AgentKind::Cyclist && speed > 0.5 && speed < 0.6 * free && along(0) && along(8);
            let apart = (o.s[0] + o.along[0] + ego.half[0] + 3.0 - ego.s).max(0.0);
            let time = apart / (free - speed).max(1.5);
            (slow && time < 9.0).then_some((
                o.s[0] - o.along[0] + speed * (o.s[0] - ego.s).max(0.0) / free.max(1.0) * 0.5,
                o.s[0] + o.along[0] + speed * time,
                o,
            ))
        })
        .collect();
    spans.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut group: Option<Group> = None;
    for (start, end, o) in spans {
        let (left, right) = (o.lat[0] + o.across[0], o.lat[0] - o.across[0]);
        match &mut group {
            None => group = Some(Group { who: o.who, start, end, left, right }),
            Some(g) if start - g.end < 18.0 => {
                (g.end, g.left, g.right) = (g.end.max(end), g.left.max(left), g.right.min(right));
            }
            Some(_) => break,
        }
    }
    let mut group = group?;
    // What stands beside with no room for ego in between belongs to it.
    let gap = 2.0 * ego.half[1] + 0.7;
    for _ in 0..4 {
        for o in others.iter().filter(|o| o.still) {
            if o.s[0] + o.along[0] < group.start - 3.0 || o.s[0] - o.along[0] > group.end + 3.0 {
                continue;
            }
            let (left, right) = (o.lat[0] + o.across[0], o.lat[0] - o.across[0]);
            if left > group.left && right < group.left + gap {
                group.left = left;
            }
            if right < group.right && left > group.right - gap {
                group.right = right;
            }
        }
    }
    Some(group)
}

/// Somebody oncoming who uses a part of ego's lane, and the offset at which it has room.
fn give_room(others: &[Other], ego: Ego, distance: f32) -> Option<(Who, f32)> {
    let mut found: Option<(Who, f32)> = None;
    for other in others.iter().filter(|o| o.speed[0] < -1.0) {
        let right = (0..STEPS)
            .filter(|&k| other.speed[k] < 0.0 && (ego.s - 5.0..ego.s + 70.0).contains(&other.s[k]))
            .map(|k| other.lat[k] - other.across[k])
            .fold(f32::MAX, f32::min);
        // Those who cross the whole lane go elsewhere.
        let to = right - ego.half[1] - 0.35 * distance;
        if (-2.6..-0.1).contains(&to) && found.is_none_or(|(_, best)| to < best) {
            found = Some((other.who, to));
        }
    }
    found
}

fn around(aim: Aim, from: [f32; 3], ego: Ego, group: &Group, to: f32) -> Proposal {
    let v = ego.v.max(4.0);
    let out = 0.8 * Lateral::comfortable(to - from[1], v);
    // Wheels turn only so far: a cubic's curvature is 6 d / l² at its ends.
    let least = (6.0 * (to - from[1]).abs() / 0.23).sqrt().max(3.0);
    let reached = (group.start - ego.half[0] - 1.5).max(ego.s + least);
    let start = (reached - out).max(ego.s);
    let leave = (group.end + ego.half[0] + 0.8).max(reached);
    let back = 0.8 * Lateral::comfortable(to, v.clamp(5.0, 9.0));
    let shifts = vec![Shift { start, end: reached, to }, Shift { start: leave, end: leave + back, to: 0.0 }];
    Proposal { aim, lateral: Lateral { from, shifts, ..Lateral::default() } }
}

/// Width of the route's lane, metres.
pub fn lane_width(scene: &Scene<'_>, route: &Path, s: f32) -> f32 {
    let lane = route.lane[route.index(s)];
    if lane == NO_LANE { 3.5 } else { scene.world.road.lanes[lane as usize].width }
}

/// Offset of the middle of the lane beside the route's, in the same direction.
pub fn beside(scene: &Scene<'_>, route: &Path, s: f32, side: i8) -> Option<f32> {
    let lane = route.lane[route.index(s)];
    if lane == NO_LANE {
        return None;
    }
    let lanes = &scene.world.road.lanes;
    let info = &lanes[lane as usize];
    let next = if side > 0 { info.left } else { info.right }?;
    Some(f32::from(side) * 0.5 * (info.width + lanes[next].width))
}
