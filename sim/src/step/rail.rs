//! Everybody but ego: along a path with a lateral offset, along a recording, or standing.

use crate::batch::{SceneMut, flag};
use crate::math;
use crate::scenario::{Control, DT};

/// Below this speed (m/s) sideways movement slows down in proportion, so that nobody slides sideways on the spot.
const SIDEWAYS_SPEED: f32 = 3.0;

/// Moves all agents but ego by one step, with the accelerations that were decided.
pub(super) fn advance(scene: &mut SceneMut<'_>) {
    let world = scene.world;
    let time = (scene.head.step + 1) as f32 * DT;
    for i in 1..world.agents.len() {
        let spec = &world.agents[i];
        let flags = scene.flags[i];
        let recorded = match spec.control {
            Control::Replay => true,
            Control::ReactiveReplay => flags & (flag::HANDED_OVER | flag::CRASHED) == 0,
            _ => false,
        };
        if recorded {
            replay(scene, i, time);
        } else if flags & flag::PRESENT != 0 && (scene.v[i] > 0.0 || scene.a[i] > 0.0) {
            along(scene, i);
        }
        scene.waiting[i] = if scene.v[i] < 0.1 { scene.waiting[i].saturating_add(1) } else { 0 };
    }
}

/// One step along the path; without a path straight on.
fn along(scene: &mut SceneMut<'_>, i: usize) {
    let v = scene.v[i];
    let after = (v + scene.a[i] * DT).max(0.0);
    let moved = 0.5 * (v + after) * DT;
    scene.v[i] = after;
    scene.a[i] = (after - v) / DT;
    let Some(path) = scene.world.paths.get(scene.path[i] as usize) else {
        scene.x[i] += moved * scene.cos[i];
        scene.y[i] += moved * scene.sin[i];
        return;
    };
    if scene.lat_left[i] > 0.0 {
        sideways(scene, i, DT * (after / SIDEWAYS_SPEED).min(1.0));
    }
    let bend = (1.0 - path.kappa[path.index(scene.s[i])] * scene.lat[i]).clamp(0.5, 2.0);
    scene.s[i] += moved / bend;
    if scene.s[i] >= path.length() {
        if scene.world.agents[i].control == Control::Walk {
            scene.s[i] = path.length();
            scene.v[i] = 0.0;
        } else {
            // It has left the map.
            scene.flags[i] &= !flag::PRESENT;
            scene.v[i] = 0.0;
        }
    }
    let place = path.at(scene.s[i]);
    scene.x[i] = place.x - scene.lat[i] * place.sin;
    scene.y[i] = place.y + scene.lat[i] * place.cos;
    // Its direction: along the path at v while it moves sideways.
    let drift = scene.lat_rate[i] / after.max(SIDEWAYS_SPEED);
    let norm = 1.0 / (1.0 + drift * drift).sqrt();
    let (cos, sin) = ((place.cos - drift * place.sin) * norm, (place.sin + drift * place.cos) * norm);
    let turned = math::atan(cos_sin_difference((scene.cos[i], scene.sin[i]), (cos, sin)));
    scene.yaw_rate[i] = turned / DT;
    scene.heading[i] = math::atan2(sin, cos);
    (scene.cos[i], scene.sin[i]) = (cos, sin);
}

/// Tangent of the angle from one direction to another, for small angles.
fn cos_sin_difference(a: (f32, f32), b: (f32, f32)) -> f32 {
    (a.0 * b.1 - a.1 * b.0) / (a.0 * b.0 + a.1 * b.1).max(0.1)
}

/// Moves `lat` toward its goal by so many seconds of a minimum-jerk transfer: the quintic from the present offset, rate
/// and acceleration to rest at the goal in the time left (Flash and Hogan 1985), evaluated anew in every step.
fn sideways(scene: &mut SceneMut<'_>, i: usize, dt: f32) {
    let left = scene.lat_left[i];
    if left <= dt + 1e-4 {
        (scene.lat[i], scene.lat_rate[i], scene.lat_accel[i]) = (scene.lat_goal[i], 0.0, 0.0);
        scene.lat_left[i] = 0.0;
        return;
    }
    // In units of the time left: x(u) = x0 + v u + a u²/2 + c3 u³ + c4 u⁴ + c5 u⁵ with x(1) = goal, x'(1) = x''(1) = 0.
    let (v, a) = (scene.lat_rate[i] * left, scene.lat_accel[i] * left * left);
    let d = scene.lat_goal[i] - scene.lat[i];
    let c3 = 10.0 * d - 6.0 * v - 1.5 * a;
    let c4 = -15.0 * d + 8.0 * v + 1.5 * a;
    let c5 = 6.0 * d - 3.0 * v - 0.5 * a;
    let u = dt / left;
    let (u2, u3) = (u * u, u * u * u);
    scene.lat[i] += v * u + 0.5 * a * u2 + u3 * (c3 + u * (c4 + u * c5));
    scene.lat_rate[i] = (v + a * u + u2 * (3.0 * c3 + u * (4.0 * c4 + u * 5.0 * c5))) / left;
    scene.lat_accel[i] = (a + u * (6.0 * c3 + u * (12.0 * c4 + u * 20.0 * c5))) / (left * left);
    scene.lat_left[i] = left - dt;
}

/// Puts an agent where its recording has it at a time; it is there only within the recording.
fn replay(scene: &mut SceneMut<'_>, i: usize, time: f32) {
    let track = &scene.world.agents[i].track;
    let next = track.partition_point(|p| p[0] <= time);
    let last = track.len().saturating_sub(1);
    let ended = next > last && track.last().is_none_or(|p| time > p[0] + 1e-3);
    if next == 0 || ended {
        scene.flags[i] &= !flag::PRESENT;
        scene.v[i] = 0.0;
        return;
    }
    scene.flags[i] |= flag::PRESENT;
    let (from, to) = (track[next - 1], track[next.min(last)]);
    let t = ((time - from[0]) / (to[0] - from[0]).max(1e-3)).clamp(0.0, 1.0);
    let mix = |k: usize| from[k] + t * (to[k] - from[k]);
    let heading = math::wrap(from[3] + t * math::wrap(to[3] - from[3]));
    (scene.x[i], scene.y[i]) = (mix(1), mix(2));
    scene.yaw_rate[i] = math::wrap(heading - scene.heading[i]) / DT;
    scene.heading[i] = heading;
    (scene.sin[i], scene.cos[i]) = math::sin_cos(heading);
    scene.a[i] = (mix(4) - scene.v[i]) / DT;
    scene.v[i] = mix(4).max(0.0);
    scene.flags[i] = super::lights(scene.flags[i], scene.a[i] < -0.5 || scene.v[i] < 0.05);
    if let Some(path) = scene.world.paths.get(scene.path[i] as usize) {
        let place = path.project(scene.x[i], scene.y[i], scene.s[i], 6.0);
        (scene.s[i], scene.lat[i]) = (place.s, place.lat);
        scene.lat_goal[i] = place.lat;
    }
}
