//! Lane changes that a driver makes for its own gain while minding others: MOBIL (Kesting, Treiber and Helbing 2007).

use super::idm::Ahead;
use super::leader::{self, Near};
use crate::batch::{SceneMut, flag};
use crate::scenario::{DT, LaneKind, Turn};

/// Seconds of a lane change.
const DURATION: f32 = 3.0;
/// Seconds between lane changes at least.
const PAUSE: f32 = 6.0;
/// Gain from which a change is worth it, m/s².
const WORTH: f32 = 0.2;
/// Deceleration that may be asked of who is behind on the new lane, m/s².
const SAFE: f32 = 2.5;
/// No changes this close before a junction or stop line, metres.
const KEEP: f32 = 35.0;
/// Slowest speed for a change, m/s.
const SLOWEST: f32 = 3.0;

/// Changes lane if that is worth it; says whether it did.
pub(super) fn consider(scene: &mut SceneMut<'_>, i: usize, near: &Near) -> bool {
    let world = scene.world;
    let pause = ((scene.head.step - scene.lane_since[i].min(scene.head.step)) as f32) * DT;
    if scene.lat_left[i] > 0.0 || scene.v[i] < SLOWEST || (scene.lane_since[i] > 0 && pause < PAUSE) {
        return false;
    }
    let path = &world.paths[scene.path[i] as usize];
    let (here, far) = (path.index(scene.s[i]), path.index(scene.s[i] + KEEP));
    let junction = (here..=far)
        .step_by(5)
        .any(|k| world.road.lanes.get(path.lane[k] as usize).is_none_or(|l| l.turn != Turn::None));
    if junction || path.stops.iter().any(|stop| stop.s > scene.s[i] && stop.s < scene.s[i] + KEEP) {
        return false;
    }
    let lane = &world.road.lanes[path.lane[here] as usize];
    let (a, follower) = gains(scene, i, scene.path[i] as usize, scene.s[i], near);
    let mut best = (WORTH, None);
    for side in [lane.left, lane.right].into_iter().flatten() {
        if world.road.lanes[side].kind != LaneKind::Road {
            continue;
        }
        let Some(number) = world.path_from[side] else { continue };
        let at = world.paths[number].project_anywhere(scene.x[i], scene.y[i]);
        if at.lat.abs() > 6.0 || at.s + KEEP > world.paths[number].length() {
            continue;
        }
        let (mine, behind) = gains(scene, i, number, at.s, near);
        if behind.with < -SAFE || mine < -SAFE || behind.overlap {
            continue;
        }
        let politeness = world.agents[i].driver.politeness;
        let gain = mine - a + politeness * ((behind.with - behind.without) + (follower.without - follower.with));
        if gain > best.0 {
            best = (gain, Some((number, at)));
        }
    }
    let Some((number, at)) = best.1 else { return false };
    begin(scene, i, number, at.s, at.lat, DURATION);
    true
}

/// Puts an agent on another path, to be on its centre within so many seconds.
pub(super) fn begin(scene: &mut SceneMut<'_>, i: usize, path: usize, s: f32, lat: f32, seconds: f32) {
    scene.path[i] = path as u32;
    (scene.s[i], scene.lat[i], scene.lat_goal[i]) = (s, lat, 0.0);
    scene.lat_left[i] = seconds.max(DT);
    scene.lane_since[i] = scene.head.step;
    scene.flags[i] &= !(flag::LEFT | flag::RIGHT);
    scene.stop_done[i] = 0;
}

/// The follower of a driver on a lane.
#[derive(Debug, Clone, Copy)]
struct Follower {
    /// Its acceleration with the driver before it.
    with: f32,
    /// Its acceleration without.
    without: f32,
    /// Whether somebody is beside the driver.
    overlap: bool,
}

/// A driver's acceleration at `s` of a path, and what it means to its follower there.
fn gains(scene: &SceneMut<'_>, i: usize, number: usize, s: f32, near: &Near) -> (f32, Follower) {
    let world = scene.world;
    let path = &world.paths[number];
    let half = world.half_length[i];
    let from = (s, scene.x[i], scene.y[i], scene.cos[i], scene.sin[i]);
    let mut lead: Option<(f32, f32)> = None;
    let mut behind: Option<(f32, usize)> = None;
    let mut overlap = false;
    for j in near.iter() {
        let on = leader::place(scene, j, number, from);
        if on.lat.abs() > on.across + world.half_width[i] + 0.2 {
            continue;
        }
        let gap = (on.s - s).abs() - on.along - half;
        overlap |= gap < 1.0;
        if on.s > s && lead.is_none_or(|l| gap < l.0) {
            lead = Some((gap, on.speed));
        }
        if on.s <= s && behind.is_none_or(|b| gap < b.0) {
            behind = Some((gap, j));
        }
    }
    let wish = if scene.desired[i] > 0.0 { scene.desired[i] } else { path.limit[path.index(s)].max(1.0) };
    let mut mine = Ahead::new(&world.agents[i].driver, scene.v[i], wish);
    if let Some((gap, speed)) = lead {
        mine.see(gap, speed);
    }
    for block in path.blocks.iter().filter(|b| b.s.1 > s && b.lat.0 < 1.2 && b.lat.1 > -1.2) {
        if block.s.0 < s + half + leader::reach(scene.v[i]) {
            mine.see(block.s.0 - s - half, 0.0);
        }
    }
    let follower = behind.map_or(Follower { with: 0.0, without: 0.0, overlap }, |(gap, j)| {
        let wish = if scene.desired[j] > 0.0 { scene.desired[j] } else { path.limit[path.index(s)].max(1.0) };
        let mut with = Ahead::new(&world.agents[j].driver, scene.v[j], wish.max(scene.v[j]));
        let mut without = with;
        with.see(gap, scene.v[i]);
        if let Some((further, speed)) = lead {
            without.see(gap + further + 2.0 * half, speed);
        }
        Follower { with: with.accel(), without: without.accel(), overlap }
    });
    (mine.accel(), follower)
}
