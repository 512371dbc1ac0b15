//! Right of way where paths cross or join: who must wait sees a standing leader at the place to wait. A zone that
//! somebody is in is closed to everybody; before it, whoever has the way goes, unless it cannot matter to them: their
//! times of arrival and clearing lie well apart.

use super::idm::Ahead;
use super::leader::{self, Near};
use super::lines;
use crate::batch::{NO_PATH, SceneMut, flag};
use crate::conflict::{Way, Zone};
use crate::scenario::Control;

/// Seconds between one leaving a zone and another entering it.
const APART: f32 = 1.2;
/// After so many steps of standing a driver goes although others have the way, if the zone is free.
const PATIENCE: u32 = 120;
/// After so many steps it no longer waits for others who stand.
const DEADLOCK: u32 = 200;
/// Acceleration with which a driver counts on getting through, m/s².
const START: f32 = 1.2;
/// Others further from a zone than this do not come soon, metres.
const FAR: f32 = 90.0;

/// Shows a driver the zones ahead that are not for it to enter now.
#[inline]
pub(super) fn zones(scene: &SceneMut<'_>, i: usize, near: &Near, ahead: &mut Ahead) {
    let world = scene.world;
    let mine = scene.path[i] as usize;
    let half = world.half_length[i];
    let front = scene.s[i] + half;
    let far = leader::reach(ahead.v);
    for j in near.iter() {
        let theirs = scene.path[j];
        if theirs == NO_PATH || theirs as usize == mine || (j == 0 && scene.flags[i] & flag::IGNORES_EGO != 0) {
            continue;
        }
        for zone in world.conflicts.between(mine, theirs as usize) {
            let distance = zone.mine.0 - front;
            if distance > far {
                break;
            }
            if distance < -0.5 || !must_wait(scene, (i, ahead.v, front), j, zone) {
                continue;
            }
            let line = zone.wait - front;
            // Behind the line already: wait before the zone itself.
            let gap = if line > -0.3 { line } else { distance };
            if ahead.v * ahead.v <= 2.0 * 5.0 * gap.max(0.3) {
                ahead.stop(gap, if zone.wait < zone.mine.0 { 1.0 } else { 0.6 });
            }
        }
    }
}

/// Seconds to cover a distance, speeding up.
#[inline]
fn seconds(distance: f32, v: f32) -> f32 {
    if distance <= 0.0 { 0.0 } else { ((v * v + 2.0 * START * distance).sqrt() - v) / START }
}

fn must_wait(scene: &SceneMut<'_>, (i, v, front): (usize, f32, f32), j: usize, zone: &Zone) -> bool {
    let world = scene.world;
    let half = world.half_length[j];
    let (speed, there) = (scene.v[j], scene.s[j]);
    let entry = zone.theirs.0 - there - half;
    let clear = zone.theirs.1 - there + half;
    // Off its path: what it does now is seen by the search for leaders.
    if clear < 0.0 || entry > FAR || scene.lat[j].abs() > 2.5 {
        return false;
    }
    let arrive = seconds(zone.mine.0 - front, v);
    let leave = seconds(zone.mine.1 - front + 2.0 * world.half_length[i], v);
    // A margin that is smaller once the other is in the zone, so that nobody brakes at the last moment for nothing.
    let goes_first = clear / speed.max(0.1) + if entry > 0.0 { 0.7 } else { 0.1 } < arrive;
    if entry <= 0.0 {
        // In the zone; who has merged in is followed.
        let stuck = scene.waiting[i] > DEADLOCK && scene.waiting[j] > 20;
        return !zone.merge && !goes_first && !stuck;
    }
    let kind = world.agents[j].control;
    let person = world.agents[j].kind.is_pedestrian() || kind == Control::Walk;
    let standing = speed < 0.3;
    if standing && (j != 0 || scene.waiting[i] > 20) {
        // It has not decided to go. A walker at the kerb is let across only once it walks.
        return false;
    }
    let rules = scene.flags[j] & flag::IGNORES_RULES == 0 && j != 0;
    let braking_for_light =
        lines::held(scene, &world.paths[scene.path[j] as usize], there + half, zone.theirs.0, speed);
    if braking_for_light && !(person || !rules && j != 0) {
        return false;
    }
    let eta = entry / speed.max(0.5);
    let committed = speed * speed > 2.0 * 4.0 * entry;
    let theirs = match zone.way {
        _ if person || !rules && j != 0 || committed => true,
        Way::Theirs => true,
        Way::Mine => false,
        Way::First => eta < arrive || (eta == arrive && j < i),
    };
    if !theirs || (scene.waiting[i] > PATIENCE && !person && !committed) {
        return false;
    }
    let apart = if zone.merge { APART + 0.1 * speed } else { APART };
    !goes_first && eta < leave + apart
}
