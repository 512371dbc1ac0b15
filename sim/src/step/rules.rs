//! The rules for ego, after the events of Bench2Drive's evaluator, and when an episode ends.

use super::ego::Pose;
use super::{collide, ttc};
use crate::batch::{SceneMut, flag};
use crate::event::{Event, EventKind};
use crate::scenario::{AgentKind, DT, Lamp, LaneKind, StopRule, Turn};

/// Metres beside lanes that are still road.
const ROADSIDE: f32 = 0.3;
/// Metres from the route that end an episode.
const DEVIATION: f32 = 30.0;
/// Slower than this ego stands, m/s.
const STANDING: f32 = 0.1;
/// Steps of standing that end an episode.
const BLOCKED: u32 = 600;
/// Time to collision of a near miss, seconds.
const NEAR_MISS: f32 = 1.5;
/// Time to collision at which a near miss is over, seconds.
const NEAR_MISS_OVER: f32 = 3.0;
/// Ego has to stand within so many metres before a stop sign's line.
const STOP_ZONE: f32 = 4.0;
/// Steps within which an emergency vehicle has to get past.
const EMERGENCY_STEPS: u32 = 150;
/// Metres behind ego from which an emergency vehicle has to be let past.
const EMERGENCY_NEAR: f32 = 25.0;

fn log(scene: &mut SceneMut<'_>, kind: EventKind, other: u16, value: f32) {
    let (x, y, step) = (scene.x[0], scene.y[0], scene.head.step);
    scene.head.log.push(Event { step, kind, agent: 0, other, x, y, value });
}

/// Logs an event at the moment something begins; says whether it has just begun.
fn onset(scene: &mut SceneMut<'_>, kind: EventKind, now: bool, value: f32) -> bool {
    let bit = 1_u32 << kind as u32;
    let began = now && scene.head.ongoing & bit == 0;
    scene.head.ongoing = if now { scene.head.ongoing | bit } else { scene.head.ongoing & !bit };
    if began {
        log(scene, kind, 0, value);
    }
    began
}

/// Looks at ego after a step.
pub(super) fn judge(scene: &mut SceneMut<'_>, before: &Pose) {
    let world = scene.world;
    let v = scene.v[0];
    red_lights(scene);
    stop_signs(scene);
    if world.goal <= 0.0 || scene.s[0] < world.goal {
        // Behind the goal the map may end.
        off_road(scene);
    }
    lanes(scene, before);
    emergency(scene);
    let time = ttc::of_ego(scene);
    scene.head.time_to_collision = time;
    // It is over only when there is clearly more time again.
    let going_on = scene.head.ongoing & (1 << EventKind::NearMiss as u32) != 0;
    let near = time < if going_on { NEAR_MISS_OVER } else { NEAR_MISS } && v > 0.5;
    if !onset(scene, EventKind::NearMiss, near, time) && near {
        scene.head.log.lower(EventKind::NearMiss, time);
    }
    scene.head.standing = if v < STANDING { scene.head.standing + 1 } else { 0 };
    end(scene);
}

/// Ego's tail passes the line of a red light.
fn red_lights(scene: &mut SceneMut<'_>) {
    let world = scene.world;
    let half = world.half_length[0];
    let (x, y, cos, sin) = (scene.x[0], scene.y[0], scene.cos[0], scene.sin[0]);
    let long = (scene.v[0] * DT).max(1.0);
    let at = |back: f32| [x - back * cos, y - back * sin];
    let (head, tail) = (at(0.8 * half), at(half + long));
    for (n, line) in world.scenario.map.stop_lines.iter().enumerate() {
        let StopRule::Light(light) = line.rule else { continue };
        let bit = 1_u64 << (n as u32).min(63);
        if scene.head.lines_done & bit != 0 {
            continue;
        }
        let [a, b] = line.points;
        let (mx, my) = (0.5 * (a[0] + b[0]), 0.5 * (a[1] + b[1]));
        let (dx, dy) = (mx - x, my - y);
        let (rx, ry) = (b[0] - a[0], b[1] - a[1]);
        // The driver's direction across the line, which runs from left to right.
        let forward = -ry * cos + rx * sin;
        if dx * dx + dy * dy > 225.0 || forward <= 0.0 {
            continue;
        }
        // Lines are as wide as their lanes; 0.6 of the width on either side counts.
        let (p, q) = ([mx - 0.6 * rx, my - 0.6 * ry], [mx + 0.6 * rx, my + 0.6 * ry]);
        if crate::path::crossing(tail, head, p, q).is_some()
            && world.lamp(light, (scene.head.step.saturating_sub(1)) as f32 * DT).0 == Lamp::Red
        {
            let v = scene.v[0];
            log(scene, EventKind::RedLight, n as u16, v);
            for (k, other) in world.scenario.map.stop_lines.iter().enumerate() {
                if other.rule == line.rule {
                    scene.head.lines_done |= 1 << (k as u32).min(63);
                }
            }
        }
    }
}

/// Ego passes a stop sign's line without having stood before it.
fn stop_signs(scene: &mut SceneMut<'_>) {
    let world = scene.world;
    let Some(route) = world.paths.get(scene.path[0] as usize) else { return };
    let front = scene.s[0] + world.half_length[0];
    let (v, lat) = (scene.v[0], scene.lat[0]);
    for stop in route.stops.iter().filter(|s| s.rule == StopRule::Stop) {
        let bit = 1_u64 << (stop.line as u32).min(63);
        if scene.head.lines_done & bit != 0 || lat.abs() > 4.0 {
            continue;
        }
        if front > stop.s - STOP_ZONE && scene.s[0] <= stop.s && v < STANDING {
            scene.head.lines_done |= bit;
        } else if scene.s[0] > stop.s && scene.s[0] < stop.s + 10.0 {
            scene.head.lines_done |= bit;
            log(scene, EventKind::StopSign, stop.line as u16, v);
        }
    }
}

fn off_road(scene: &mut SceneMut<'_>) {
    let road = &scene.world.road;
    let off = collide::obb(scene, 0).corners().iter().any(|c| !road.on_road(c[0], c[1], ROADSIDE));
    let v = scene.v[0];
    onset(scene, EventKind::OffRoad, off, v);
}

/// Whether ego's centre is on a lane of its route's direction or in a junction; and how far it has come.
fn lanes(scene: &mut SceneMut<'_>, before: &Pose) {
    let world = scene.world;
    let (x, y) = (scene.x[0], scene.y[0]);
    let (dx, dy) = (x - before.x, y - before.y);
    let moved = (dx * dx + dy * dy).sqrt();
    scene.head.driven += moved;
    let Some(route) = world.paths.get(scene.path[0] as usize) else { return };
    let place = route.at(scene.s[0]);
    let mut inside = world.road.lanes.is_empty();
    world.road.lanes_at(x, y, 0.0, |hit| {
        let lane = &world.road.lanes[hit.lane];
        let along = hit.cos * place.cos + hit.sin * place.sin > 0.5;
        inside |= lane.turn != Turn::None || (along && lane.kind == LaneKind::Road);
    });
    inside |= world.road.in_area(x, y);
    if !inside {
        scene.head.outside += moved;
    }
    let v = scene.v[0];
    onset(scene, EventKind::OffRoute, !inside, v);
    scene.head.progress = scene.head.progress.max(scene.s[0]);
    let (dx, dy) = (x - place.x, y - place.y);
    let distance = (dx * dx + dy * dy).sqrt();
    if distance > DEVIATION {
        log(scene, EventKind::Deviation, 0, distance);
        scene.head.done = true;
    }
}

/// Emergency vehicles from behind have to be let past.
fn emergency(scene: &mut SceneMut<'_>) {
    let world = scene.world;
    for j in 1..world.agents.len().min(64) {
        let bit = 1_u64 << j;
        if world.agents[j].kind != AgentKind::Emergency
            || scene.head.emergency_done & bit != 0
            || scene.flags[j] & flag::PRESENT == 0
        {
            continue;
        }
        let (dx, dy) = (scene.x[j] - scene.x[0], scene.y[j] - scene.y[0]);
        let ahead = dx * scene.cos[0] + dy * scene.sin[0];
        let aside = dy * scene.cos[0] - dx * scene.sin[0];
        let same_way = scene.cos[j] * scene.cos[0] + scene.sin[j] * scene.sin[0] > 0.5;
        let gap = -ahead - world.half_length[j] - world.half_length[0];
        if scene.head.emergency_since == 0 {
            if same_way && ahead < 0.0 && gap < EMERGENCY_NEAR && aside.abs() < 12.0 && scene.v[j] > 1.0 {
                scene.head.emergency_since = scene.head.step;
            }
        } else if ahead > 0.0 {
            (scene.head.emergency_since, scene.head.emergency_done) = (0, scene.head.emergency_done | bit);
        } else if scene.head.step - scene.head.emergency_since >= EMERGENCY_STEPS {
            (scene.head.emergency_since, scene.head.emergency_done) = (0, scene.head.emergency_done | bit);
            let v = scene.v[0];
            log(scene, EventKind::YieldEmergency, j as u16, v);
        }
    }
}

fn end(scene: &mut SceneMut<'_>) {
    let world = scene.world;
    let v = scene.v[0];
    let time = scene.head.step as f32 * DT;
    let kind = if scene.head.done {
        return;
    } else if world.goal > 0.0 && scene.head.progress >= world.goal {
        EventKind::Complete
    } else if scene.head.standing >= BLOCKED {
        EventKind::Blocked
    } else if time >= world.scenario.duration - 1e-3 {
        EventKind::Timeout
    } else {
        return;
    };
    log(scene, kind, 0, v);
    scene.head.done = true;
}
