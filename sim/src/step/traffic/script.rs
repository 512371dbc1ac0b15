//! Scripts: cues in order, each an act that begins when its condition first holds.

use super::mobil;
use crate::batch::{SceneMut, flag};
use crate::scenario::{Act, DT, When};

/// Lets every cue of an agent happen whose time has come.
pub(super) fn advance(scene: &mut SceneMut<'_>, i: usize) {
    let script = &scene.world.agents[i].script;
    let time = scene.head.step as f32 * DT;
    while let Some(cue) = script.get(scene.cue[i] as usize) {
        if !holds(scene, i, cue.when, time) {
            break;
        }
        act(scene, i, cue.act);
        scene.cue[i] += 1;
        scene.cue_time[i] = time;
    }
}

fn holds(scene: &SceneMut<'_>, i: usize, when: When, time: f32) -> bool {
    let world = scene.world;
    let (x, y) = (scene.x[0], scene.y[0]);
    // Times and distances are sums of rounded steps.
    const SLACK: f32 = 1e-3;
    match when {
        When::Time(t) => time >= t - SLACK,
        When::After(t) => time - scene.cue_time[i] >= t - SLACK,
        When::EgoNear { at, within } => {
            let (dx, dy) = (at[0] - x, at[1] - y);
            dx * dx + dy * dy <= within * within
        }
        When::EgoArrives { at, within } => world.route().is_some_and(|route| {
            let left = route.project_anywhere(at[0], at[1]).s - scene.s[0];
            left <= scene.v[0] * within
        }),
        When::EgoGap(metres) => world.route().is_some_and(|route| {
            let place = route.project_anywhere(scene.x[i], scene.y[i]);
            let gap = place.s - scene.s[0] - world.half_length[i] - world.half_length[0];
            place.s > scene.s[0] && gap < metres
        }),
        When::AheadOfEgo(metres) => (scene.x[i] - x) * scene.cos[0] + (scene.y[i] - y) * scene.sin[0] >= metres - SLACK,
    }
}

fn act(scene: &mut SceneMut<'_>, i: usize, act: Act) {
    match act {
        Act::Go => scene.flags[i] |= flag::STARTED,
        Act::Brake { decel, to } => (scene.brake[i], scene.desired[i]) = (decel.max(0.1), to.max(0.0)),
        Act::Speed(v) => (scene.brake[i], scene.desired[i]) = (0.0, v.max(0.0)),
        Act::Change { side, seconds } => change(scene, i, side, seconds),
        Act::Drift { offset, seconds } => {
            (scene.lat_goal[i], scene.lat_left[i]) = (offset, seconds.max(DT));
        }
        Act::IgnoreRules => scene.flags[i] |= flag::IGNORES_RULES,
        Act::IgnoreEgo => scene.flags[i] |= flag::IGNORES_EGO,
    }
}

fn change(scene: &mut SceneMut<'_>, i: usize, side: i8, seconds: f32) {
    let world = scene.world;
    let Some(path) = world.paths.get(scene.path[i] as usize) else { return };
    let Some(lane) = world.road.lanes.get(path.lane[path.index(scene.s[i])] as usize) else { return };
    let beside = if side > 0 { lane.left } else { lane.right };
    if let Some(number) = beside.and_then(|b| world.path_from[b]) {
        let at = world.paths[number].project_anywhere(scene.x[i], scene.y[i]);
        mobil::begin(scene, i, number, at.s, at.lat, seconds);
    }
}
