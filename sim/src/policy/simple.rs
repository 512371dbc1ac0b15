//! Baselines: one that looks at nothing, one that looks at the car ahead.

use super::{Policy, tracker};
use crate::batch::{Action, Batch, Scene};
use crate::path::Path;
use crate::scenario::{Lamp, StopRule};

/// Keeps the speed of its start along the route, whatever happens.
#[derive(Debug, Clone, Copy, Default)]
pub struct ConstantSpeed;

impl Policy for ConstantSpeed {
    fn name(&self) -> &str {
        "constant speed"
    }

    fn reset(&mut self, _: &Batch) {}

    fn act(&mut self, batch: &Batch, actions: &mut [Action]) {
        for_each(batch, actions, |scene, path| {
            let wanted = scene.world.agents[0].speed;
            Action { accel: 2.0 * (wanted - scene.v[0]), steer: along(scene, path) }
        });
    }
}

/// Follows the car ahead on its route by the intelligent driver model, stops at red lights and once at stop signs; goes
/// around nothing and expects nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct IdmOnly;

impl Policy for IdmOnly {
    fn name(&self) -> &str {
        "IDM"
    }

    fn reset(&mut self, _: &Batch) {}

    fn act(&mut self, batch: &Batch, actions: &mut [Action]) {
        for_each(batch, actions, |scene, path| Action { accel: idm_only(scene, path), steer: along(scene, path) });
    }
}

fn for_each(batch: &Batch, actions: &mut [Action], f: impl Fn(&Scene<'_>, &Path) -> Action) {
    for (i, action) in actions.iter_mut().enumerate().take(batch.len()) {
        let scene = batch.scene(i);
        *action = match scene.world.route() {
            Some(path) if !scene.head.done => f(&scene, path),
            _ => Action::default(),
        };
    }
}

fn along(scene: &Scene<'_>, path: &Path) -> f32 {
    tracker::pursue(scene, &tracker::line_along(path, scene.s[0] - 2.0, 25.0, |_| 0.0))
}

/// Acceleration of the intelligent driver model (Treiber, Hennecke and Helbing 2000): speed, desired speed, gap to the
/// leader and the leader's speed, and the parameters acceleration, deceleration, standstill gap, headway.
pub fn idm(v: f32, desired: f32, gap: f32, lead: f32, [a, b, s0, t]: [f32; 4]) -> f32 {
    let free = free(v, desired, a);
    let wanted = s0 + (v * t + v * (v - lead) / (2.0 * (a * b).sqrt())).max(0.0);
    let ratio = wanted / gap.max(0.5);
    free - a * ratio * ratio
}

/// The same on a free road; at most 2 m/s² of braking down to the desired speed.
pub fn free(v: f32, desired: f32, a: f32) -> f32 {
    let ratio = v / desired.max(0.1);
    let squared = ratio * ratio;
    (a * (1.0 - squared * squared)).max(-2.0)
}

fn idm_only(scene: &Scene<'_>, path: &Path) -> f32 {
    const PARAMETERS: [f32; 4] = [1.5, 2.5, 2.0, 1.5];
    let (s, v) = (scene.s[0], scene.v[0]);
    let front = s + scene.world.half_length[0];
    let limit = path.limit.get(path.index(s)).copied().unwrap_or(10.0).max(1.0);
    let look = (5.0 * v).clamp(20.0, 80.0);
    let mut accel = free(v, limit, PARAMETERS[0]);
    for i in 1..scene.agents() {
        if !scene.present(i) {
            continue;
        }
        let there = path.project(scene.x[i], scene.y[i], s + 0.5 * look, 0.5 * look + 5.0);
        let place = path.at(there.s);
        let agree = scene.cos[i] * place.cos + scene.sin[i] * place.sin;
        let reach = scene.world.half_width[0] + scene.world.half_width[i] + 0.1;
        if there.s > front && there.lat.abs() < reach && there.s < s + look {
            let gap = there.s - scene.world.half_length[i] - front;
            accel = accel.min(idm(v, limit, gap, scene.v[i] * agree, PARAMETERS));
        }
    }
    for stop in &path.stops {
        let gap = stop.s - front;
        let done = scene.head.lines_done >> stop.line.min(63) & 1 == 1;
        let closed = match stop.rule {
            StopRule::Light(light) => match scene.world.lamp(light, scene.time()).0 {
                Lamp::Red => true,
                Lamp::Yellow => gap > v * v / 6.0,
                Lamp::Green | Lamp::Off => false,
            },
            StopRule::Stop => !done,
            StopRule::Yield => false,
        };
        if closed && gap > -1.0 && gap < look {
            let stop = [PARAMETERS[0], PARAMETERS[1], 0.5, 1.0];
            accel = accel.min(idm(v, limit, gap, 0.0, stop));
        }
    }
    accel.clamp(-6.0, 2.0)
}
