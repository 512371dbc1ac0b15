//! Time to collision of ego with what is ahead: boxes at constant velocity, measured along and across ego's path.

use crate::batch::{SceneMut, flag};

/// Seconds looked ahead.
const HORIZON: f32 = 10.0;

/// When intervals of width `half` around a distance that changes at `rate` per second overlap: from, to, seconds.
fn span(distance: f32, rate: f32, half: f32) -> (f32, f32) {
    if rate.abs() < 1e-4 {
        return if distance.abs() < half { (0.0, f32::INFINITY) } else { (f32::INFINITY, f32::NEG_INFINITY) };
    }
    let (a, b) = ((-half - distance) / rate, (half - distance) / rate);
    (a.min(b), a.max(b))
}

/// Seconds until ego, keeping speed and lateral place on its path, meets something; infinite beyond 10 s.
pub(super) fn of_ego(scene: &SceneMut<'_>) -> f32 {
    let world = scene.world;
    let Some(path) = world.paths.get(scene.path[0] as usize) else { return f32::INFINITY };
    let (s, lat, v) = (scene.s[0], scene.lat[0], scene.v[0]);
    let (half_length, half_width) = (world.half_length[0], world.half_width[0]);
    let far = HORIZON * v + 40.0;
    let mut least = f32::INFINITY;
    for j in 1..world.agents.len() {
        let (dx, dy) = (scene.x[j] - scene.x[0], scene.y[j] - scene.y[0]);
        if scene.flags[j] & flag::PRESENT == 0 || dx * dx + dy * dy > far * far {
            continue;
        }
        let at = path.slide(scene.x[j], scene.y[j], s + dx * scene.cos[0] + dy * scene.sin[0]);
        let k = path.index(at.s);
        let cos = path.cos[k] * scene.cos[j] + path.sin[k] * scene.sin[j];
        let sin = path.cos[k] * scene.sin[j] - path.sin[k] * scene.cos[j];
        let (l, w) = (world.half_length[j], world.half_width[j]);
        let along = l * cos.abs() + w * sin.abs() + half_length;
        let across = l * sin.abs() + w * cos.abs() + half_width;
        if at.s < s {
            continue;
        }
        let (a0, a1) = span(at.s - s, scene.v[j] * cos - v, along);
        let (b0, b1) = span(at.lat - lat, scene.v[j] * sin, across);
        let (from, to) = (a0.max(b0).max(0.0), a1.min(b1));
        if from <= to {
            least = least.min(from);
        }
    }
    if v > 0.1 {
        for block in path.blocks.iter().filter(|b| b.s.1 > s && b.s.0 < s + far) {
            if block.lat.0 < lat + half_width && block.lat.1 > lat - half_width {
                least = least.min(((block.s.0 - s - half_length) / v).max(0.0));
            }
        }
    }
    if least <= HORIZON { least } else { f32::INFINITY }
}
