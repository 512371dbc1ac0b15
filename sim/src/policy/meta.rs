//! Closes the loop with a planner that answers in words: a meta-action becomes a plan for the next 3 s, which the tracker
//! follows until the next answer.
//!
//! Speed: keep holds the speed, accelerate adds 1.5 m/s² up to a tenth above the limit, decelerate brakes with 2 m/s², stop
//! brakes with 2.5 m/s² to a stand. Path: straight on and turns follow the route, whose connectors turn; changes move to
//! the lane beside the route's, if there is one, and back.

use super::tracker::{self, Plan};
use crate::batch::Scene;
use crate::expert::lateral::{Lateral, Shift};
use crate::path::NO_LANE;
use scene::{MetaAction, PathAction, SpeedAction};

/// Seconds of a plan.
pub const SECONDS: f32 = 3.0;
/// Never faster than this times the speed limit.
const CAP: f32 = 1.1;
/// Seconds for the way into the lane beside.
const CHANGE: f32 = 3.5;

/// Where in metres left of its route ego wants to be, as far as its place tells: in the middle of the lane that it is in,
/// or, for a change half way, in that of the lane that the answer asks for. For answers without earlier ones, see [`plan`].
pub fn offset(scene: &Scene<'_>, path: PathAction) -> f32 {
    let Some(route) = scene.world.route() else { return 0.0 };
    let (lane, lat) = (route.lane[route.index(scene.s[0])], scene.lat[0]);
    if lane == NO_LANE {
        return 0.0;
    }
    let lanes = &scene.world.road.lanes;
    let info = &lanes[lane as usize];
    let half = 0.5 * info.width;
    let middle = |l: usize| half + 0.5 * lanes[l].width;
    let middles = [Some(0.0), info.left.map(middle), info.right.map(|l| -middle(l))];
    let middles = || middles.into_iter().flatten();
    let nearest = middles().min_by(|a, b| (a - lat).abs().total_cmp(&(b - lat).abs())).unwrap_or(0.0);
    if (lat - nearest).abs() < 0.5 * half {
        return nearest;
    }
    let beyond = match path {
        PathAction::LeftChange => middles().filter(|m| *m > lat).min_by(f32::total_cmp),
        PathAction::RightChange => middles().filter(|m| *m < lat).max_by(f32::total_cmp),
        _ => None,
    };
    beyond.unwrap_or(if (lat - nearest).abs() > half { lat } else { nearest })
}

/// The plan of an answer given now. `offset` is where in metres left of its route ego wants to be since earlier answers;
/// it is moved by lane changes and has to be kept for the next answer.
pub fn plan(scene: &Scene<'_>, action: MetaAction, offset: &mut f32) -> Option<Plan> {
    let route = scene.world.route()?;
    let (s, v) = (scene.s[0], scene.v[0]);
    let lane = route.lane[route.index(s)];
    if lane != NO_LANE {
        let lanes = &scene.world.road.lanes;
        let info = &lanes[lane as usize];
        // The lane beside the one that ego wants to be in; one lane to each side of the route's is known.
        let (left, right) = (info.left, info.right);
        let half = 0.5 * info.width;
        let to_left = |l: Option<usize>| l.map_or(0.0, |l| half + 0.5 * lanes[l].width);
        let settled = (scene.lat[0] - *offset).abs() < 0.5 * half;
        match action.path {
            PathAction::LeftChange if settled => *offset = if *offset < -half { 0.0 } else { to_left(left) },
            PathAction::RightChange if settled => *offset = if *offset > half { 0.0 } else { -to_left(right) },
            _ => {}
        }
    }
    let (from, to) = (scene.lat[0], *offset);
    let place = route.at(s);
    let (cos, sin) = (scene.cos[0], scene.sin[0]);
    let along = (cos * place.cos + sin * place.sin).max(0.3);
    let slope = ((sin * place.cos - cos * place.sin) / along).clamp(-0.8, 0.8);
    let shift = Shift { start: s, end: s + (v * CHANGE).max(8.0), to };
    let lateral = Lateral { from: [s, from, slope], shifts: vec![shift], ..Lateral::default() };
    // A small error is left to the tracker: the line is the goal itself.
    let offset_at = |at: f32| if (from - to).abs() < 0.5 { to } else { lateral.offset(at.max(s)) };
    let line = tracker::line_along(route, s - 3.0, 60.0, offset_at);
    let accel = match action.speed {
        SpeedAction::Keep => 0.0,
        SpeedAction::Accelerate => 1.5,
        SpeedAction::Decelerate => -2.0,
        SpeedAction::Stop => -2.5,
    };
    let limit = route.limit[route.index(s)].max(3.0);
    let cap = (CAP * limit).max(v.min(CAP * limit));
    let step = 0.25;
    let speed = (0..=(SECONDS / step) as usize).map(|k| (v + accel * k as f32 * step).clamp(0.0, cap)).collect();
    Some(Plan { line, speed, step, age: 0.0 })
}
