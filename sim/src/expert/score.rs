//! How good a proposal is (after PDM-Closed, Dauner et al. 2023): no collision, on the road, time to collision, progress,
//! comfort, and staying in the lane. Everything in points; a metre of progress is worth about a fifth.

use super::forecast::{Other, STEP, STEPS};
use super::lateral::Lateral;
use super::propose::Aim;
use super::rollout::{Ego, Rollout};
use crate::batch::Scene;
use crate::driver::Habits;
use crate::path::Path;
use crate::scenario::{LaneKind, Turn};

/// A box.
#[derive(Clone, Copy)]
struct Rect {
    x: f32,
    y: f32,
    cos: f32,
    sin: f32,
    half: [f32; 2],
}

/// Pose of ego's box on a profile.
pub fn pose(route: &Path, lateral: &Lateral, s: f32) -> (f32, f32, f32, f32) {
    let p = route.at(s);
    let (d, slope) = lateral.at(s);
    let kappa = route.kappa[route.index(s)];
    // Along the profile the route's metre shrinks or grows with the bend.
    let stretch = (1.0 - kappa * d).max(0.3);
    let norm = 1.0 / (stretch * stretch + slope * slope).sqrt();
    let (c, t) = (stretch * norm, slope * norm);
    (p.x - d * p.sin, p.y + d * p.cos, p.cos * c - p.sin * t, p.sin * c + p.cos * t)
}

/// Seconds until ego's box, a little widened, touches another along a rollout; `early` looks so many instants ahead at
/// constant speed. Who comes from behind has the duty to brake.
pub fn first_touch(
    ego: Ego,
    route: &Path,
    lateral: &Lateral,
    rollout: &Rollout,
    others: &[Other],
    early: usize,
    distance: f32,
) -> Option<(f32, f32)> {
    let widen = if early == 0 { 0.12 * distance } else { 0.0 };
    let d0 = lateral.from[1];
    for k in 0..STEPS - early {
        let v = rollout.v[k];
        if early > 0 && v < 1.0 {
            continue;
        }
        let s = rollout.s[k] + v * early as f32 * STEP;
        let d = lateral.offset(s);
        let mut mine = None;
        for other in others {
            let j = k + early;
            let t = j as f32 * STEP;
            let behind = other.s[0] < ego.s && other.speed[0] > 0.0;
            let reach = ego.half[0] + other.along[j] + 0.8;
            let mut ahead = other.s[j] - s;
            if behind {
                let follows = (other.lat[0] - d0).abs() < ego.half[1] + other.across[0];
                if follows && other.s[0] + other.along[0] < ego.s - ego.half[0] + 0.5 {
                    continue;
                }
                // It sees ego from a second on and brakes gently.
                let reacts = (t - 1.0).max(0.0);
                ahead -= (0.7 * reacts * reacts).min(other.speed[0] * reacts);
            }
            if ahead.abs() > reach + 2.0 || (other.lat[j] - d).abs() > other.across[j] + ego.half[0] + 0.8 {
                continue;
            }
            let (x, y, cos, sin) = *mine.get_or_insert_with(|| pose(route, lateral, s));
            let half = [ego.half[0] + 2.0 * widen, ego.half[1] + widen + 0.008 * v];
            let shift = ahead - (other.s[j] - s);
            let theirs = Rect {
                x: other.x[j] + shift * other.cos[j],
                y: other.y[j] + shift * other.sin[j],
                cos: other.cos[j],
                sin: other.sin[j],
                half: other.half,
            };
            let soft = if other.kind.is_pedestrian() { 0.25 * distance } else { 0.0 };
            let mine = Rect { x, y, cos, sin, half: [half[0] + soft, half[1] + soft] };
            if overlap(mine, theirs) {
                return Some((t, rollout.v[k]));
            }
        }
    }
    None
}

fn overlap(a: Rect, b: Rect) -> bool {
    let (dx, dy) = (b.x - a.x, b.y - a.y);
    let c = (a.cos * b.cos + a.sin * b.sin).abs();
    let s = (a.cos * b.sin - a.sin * b.cos).abs();
    let along = |r: Rect| (dx * r.cos + dy * r.sin).abs();
    let across = |r: Rect| (dy * r.cos - dx * r.sin).abs();
    along(a) < a.half[0] + b.half[0] * c + b.half[1] * s
        && across(a) < a.half[1] + b.half[0] * s + b.half[1] * c
        && along(b) < b.half[0] + a.half[0] * c + a.half[1] * s
        && across(b) < b.half[1] + a.half[0] * s + a.half[1] * c
}

/// Of the next `metres` of a profile those in which a corner of ego is off the road, and those in which its centre is
/// outside the lanes of its direction.
pub fn beside_lanes(scene: &Scene<'_>, route: &Path, lateral: &Lateral, ego: Ego, metres: f32) -> (f32, f32) {
    let road = &scene.world.road;
    let (mut off, mut outside) = (0.0, 0.0);
    let mut ahead = 1.0;
    while ahead < metres {
        let s = ego.s + ahead;
        ahead += 2.0;
        if lateral.offset(s).abs() < 0.15 {
            continue;
        }
        let (x, y, cos, sin) = pose(route, lateral, s);
        let corner = |l: f32, w: f32| {
            let (l, w) = (l * ego.half[0], w * ego.half[1]);
            road.on_road(x + l * cos - w * sin, y + l * sin + w * cos, 0.1)
        };
        if !(corner(1.0, 1.0) && corner(1.0, -1.0) && corner(-1.0, 1.0) && corner(-1.0, -1.0)) {
            off += 2.0;
        }
        let mut inside = road.in_area(x, y);
        if !inside {
            let place = route.at(s);
            road.lanes_at(x, y, 0.0, |hit| {
                let lane = &road.lanes[hit.lane];
                let along = hit.cos * place.cos + hit.sin * place.sin > 0.5;
                inside |= lane.turn != Turn::None || along && lane.kind == LaneKind::Road;
            });
        }
        if !inside {
            outside += 2.0;
        }
    }
    (off, outside)
}

/// Points of a proposal.
pub struct Points {
    /// The sum.
    pub total: f32,
    /// Seconds until it touches somebody.
    pub touch: Option<f32>,
}

/// Scores a rollout. `reference` is the speed that would be full progress, `off` the metres off the road,
/// `outside` the points that leaving the lanes costs.
pub fn score(
    (ego, route, others, habits): (Ego, &Path, &[Other], &Habits),
    lateral: &Lateral,
    aim: Aim,
    rollout: &Rollout,
    reference: f32,
    (off, outside): (f32, f32),
) -> Points {
    let mut total = 0.0;
    let touch = first_touch(ego, route, lateral, rollout, others, 0, habits.distance);
    if let Some((t, v)) = touch {
        total -= 60.0 + 18.0 * (8.0 - t) + 3.0 * v;
    } else if let Some((t, _)) = first_touch(ego, route, lateral, rollout, others, 3, habits.distance) {
        total -= habits.foresight * (1.0 + (5.0 - t).max(0.0));
    }
    total -= 8.0 * off.min(10.0) + outside;
    let progress = (rollout.s[STEPS - 1] - ego.s) / (reference * STEP * (STEPS - 1) as f32);
    total += 20.0 * progress;
    let hardest = rollout.a.iter().take(12).fold(0.0f32, |m, &a| m.min(a));
    total -= habits.discomfort * (-hardest - 2.5).max(0.0);
    let aside: f32 = (0..STEPS).map(|k| lateral.shifted(rollout.s[k]).0.abs()).sum::<f32>() / STEPS as f32;
    total -= 0.5 * aside;
    total -= match aim {
        Aim::Centre => 0.0,
        Aim::Stay => 0.2,
        Aim::Nudge(_) => 0.3,
        Aim::Around(..) => 0.3,
        Aim::Change(_) => 2.0,
        Aim::Aside(..) => 0.0,
    };
    Points { total, touch: touch.map(|t| t.0) }
}
