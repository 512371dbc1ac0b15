//! What everybody but ego decides: a script first, then one of the controls.

mod idm;
mod leader;
mod lines;
mod mobil;
mod script;
mod yielding;

use crate::batch::{NO_PATH, SceneMut, flag};
use crate::scenario::{Control, DT, Turn};

/// Deceleration of who has crashed, m/s².
const CRASH_BRAKE: f32 = 6.0;
/// Lane changes are considered every so many steps.
const CONSIDER: u32 = 10;
/// Indicators blink from so many metres before a turn.
const INDICATE: f32 = 25.0;

/// Decides the acceleration of every agent but ego, and lane changes.
pub(super) fn decide(scene: &mut SceneMut<'_>) {
    let world = scene.world;
    for i in 1..world.agents.len() {
        let spec = &world.agents[i];
        if !spec.script.is_empty() {
            script::advance(scene, i);
        }
        let flags = scene.flags[i];
        if flags & flag::CRASHED != 0 && spec.control != Control::Replay {
            scene.a[i] = -(CRASH_BRAKE.min(scene.v[i] / DT));
            scene.flags[i] = super::lights(flags, true);
            continue;
        }
        let started = flags & flag::STARTED != 0;
        let has_path = scene.path[i] != NO_PATH;
        scene.a[i] = match spec.control {
            Control::Idm | Control::Policy if started && has_path => drive(scene, i),
            // A parked car that its script has set going.
            Control::Static if started && has_path => drive(scene, i),
            Control::ReactiveReplay if flags & flag::HANDED_OVER != 0 => drive(scene, i),
            Control::ReactiveReplay if has_path && leader::ego_intrudes(scene, i) => {
                scene.flags[i] |= flag::HANDED_OVER;
                drive(scene, i)
            }
            Control::Walk if started => walk(scene, i),
            Control::Replay | Control::ReactiveReplay => scene.a[i],
            _ => -scene.v[i] / DT,
        };
    }
}

/// A driver: the most careful of what is ahead.
fn drive(scene: &mut SceneMut<'_>, i: usize) -> f32 {
    if scene.flags[i] & flag::PRESENT == 0 {
        return 0.0;
    }
    let world = scene.world;
    let driver = &world.agents[i].driver;
    let v = scene.v[i];
    let mut path = &world.paths[scene.path[i] as usize];
    let mut near = leader::near(scene, i);
    if driver.mobil && (scene.head.step + i as u32).is_multiple_of(CONSIDER) && mobil::consider(scene, i, &near) {
        path = &world.paths[scene.path[i] as usize];
        near = leader::near(scene, i);
    }
    let braking = scene.brake[i] > 0.0;
    // The model slows down only when it is too fast already, so it is told a second ahead.
    let (here, soon) = (path.index(scene.s[i]), path.index(scene.s[i] + v));
    let wish = if braking {
        scene.desired[i]
    } else if scene.desired[i] > 0.0 {
        scene.desired[i].min(path.bend[here]).min(path.bend[soon])
    } else {
        path.pace[here].min(path.pace[soon]).max(0.5)
    };
    let mut ahead = idm::Ahead::new(driver, v, wish);
    leader::along(scene, i, path, &near, &mut ahead);
    leader::blocks(scene, i, path, &mut ahead);
    if scene.flags[i] & flag::IGNORES_RULES == 0 {
        lines::stops(scene, i, path, &mut ahead);
        yielding::zones(scene, i, &near, &mut ahead);
    }
    let mut a = ahead.accel();
    if braking {
        let scripted = if v > scene.desired[i] { -(scene.brake[i].min((v - scene.desired[i]) / DT)) } else { 0.0 };
        a = a.min(scripted);
    }
    let standing = v < 0.05 && a <= 0.0;
    scene.flags[i] = super::lights(scene.flags[i], a < -0.5 || standing);
    indicate(scene, i);
    a
}

/// Sets the indicators for a lane change or the turn ahead.
fn indicate(scene: &mut SceneMut<'_>, i: usize) {
    let world = scene.world;
    let mut flags = scene.flags[i] & !(flag::LEFT | flag::RIGHT);
    let sideways = scene.lat_goal[i] - scene.lat[i];
    if scene.lat_left[i] > 0.0 && sideways.abs() > 0.3 {
        flags |= if sideways > 0.0 { flag::LEFT } else { flag::RIGHT };
    } else {
        let path = &world.paths[scene.path[i] as usize];
        let (from, to) = (path.index(scene.s[i]), path.index(scene.s[i] + INDICATE));
        let mut k = from;
        while k <= to {
            match world.road.lanes.get(path.lane[k] as usize).map_or(Turn::None, |l| l.turn) {
                Turn::Left => {
                    flags |= flag::LEFT;
                    break;
                }
                Turn::Right => {
                    flags |= flag::RIGHT;
                    break;
                }
                _ => k += 4,
            }
        }
    }
    scene.flags[i] = flags;
}

/// A walker: at its speed, but not into what stands in its way.
fn walk(scene: &SceneMut<'_>, i: usize) -> f32 {
    let (x, y) = (scene.x[i] + 0.9 * scene.cos[i], scene.y[i] + 0.9 * scene.sin[i]);
    let blocked = (0..scene.world.agents.len()).any(|j| {
        let (dx, dy) = (x - scene.x[j], y - scene.y[j]);
        let (l, w) = (scene.world.half_length[j], scene.world.half_width[j]);
        let reach = scene.world.radius[j];
        j != i
            && dx * dx + dy * dy < reach * reach
            && scene.v[j] < 0.3
            && scene.flags[j] & flag::PRESENT != 0
            && !scene.world.agents[j].kind.is_pedestrian()
            && (dx * scene.cos[j] + dy * scene.sin[j]).abs() < l
            && (dy * scene.cos[j] - dx * scene.sin[j]).abs() < w
    });
    let goal = if blocked { 0.0 } else { scene.desired[i] };
    ((goal - scene.v[i]) / DT).clamp(-5.0, 5.0)
}
