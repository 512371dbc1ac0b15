//! Who touches whom: oriented boxes by the separating axis test, after bounding circles.

use super::ego::Pose;
use crate::batch::{SceneMut, flag};
use crate::boxes::Obb;
use crate::event::{Event, EventKind};
use crate::scenario::{Control, DT};
use crate::world::LANES;

/// Bench2Drive: a contact with the same other counts again after so many steps and ...
const AGAIN_STEPS: u32 = 50;
/// ... so many metres.
const AGAIN_METRES: f32 = 5.0;
/// Ego's contacts count from this speed on, m/s.
const SLOW: f32 = 0.1;

/// What ego touches.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Contact {
    /// Something it drives into.
    pub ahead: bool,
}

/// The box of an agent.
pub(super) fn obb(scene: &SceneMut<'_>, i: usize) -> Obb {
    Obb {
        x: scene.x[i],
        y: scene.y[i],
        cos: scene.cos[i],
        sin: scene.sin[i],
        half_length: scene.world.half_length[i],
        half_width: scene.world.half_width[i],
    }
}

/// Calls `f` with each agent after `i` whose bounding circle meets that of `i`.
fn near(scene: &SceneMut<'_>, i: usize, x: f32, y: f32, mut f: impl FnMut(usize)) {
    let world = scene.world;
    let padded = world.half_length.len();
    let reach = world.radius[i];
    let first = (i + 1) / LANES * LANES;
    for block in (first..padded).step_by(LANES) {
        let (xs, ys, radii) =
            (&scene.x[block..block + LANES], &scene.y[block..block + LANES], &world.radius[block..block + LANES]);
        let mut hits = [false; LANES];
        let mut any = false;
        for k in 0..LANES {
            let (dx, dy, r) = (xs[k] - x, ys[k] - y, radii[k] + reach);
            hits[k] = dx * dx + dy * dy < r * r;
            any |= hits[k];
        }
        if any {
            for (k, _) in hits.iter().enumerate().filter(|(_, hit)| **hit) {
                if block + k > i && scene.flags[block + k] & flag::PRESENT != 0 {
                    f(block + k);
                }
            }
        }
    }
}

/// Flags agents that drive into each other.
pub(super) fn traffic(scene: &mut SceneMut<'_>) {
    let world = scene.world;
    for i in 1..world.agents.len() {
        if scene.flags[i] & flag::PRESENT == 0 {
            continue;
        }
        let mut with = None;
        near(scene, i, scene.x[i], scene.y[i], |j| {
            let moving = |k: usize| match world.agents[k].control {
                Control::Static | Control::Replay => false,
                Control::Walk => scene.v[k] > 0.0,
                _ => true,
            };
            // Who walks squeezes past others who walk and past what stands.
            let person = |k: usize| world.agents[k].kind.is_pedestrian();
            let slow = |k: usize| person(k) || scene.v[k] < 0.3;
            let people = (person(i) || person(j)) && slow(i) && slow(j);
            let known = scene.flags[i] & scene.flags[j] & flag::CRASHED != 0;
            if (moving(i) || moving(j)) && !people && !known && obb(scene, i).overlaps(&obb(scene, j)) {
                with = Some(j);
            }
        });
        if let Some(j) = with {
            scene.flags[i] |= flag::CRASHED;
            scene.flags[j] |= flag::CRASHED;
        }
    }
}

/// Finds what ego touches and logs what counts.
pub(super) fn ego(scene: &mut SceneMut<'_>, before: &Pose) -> Contact {
    let world = scene.world;
    let now = obb(scene, 0);
    let step = 0.5 * (before.v + scene.v[0]) * DT;
    let swept = step > now.half_length.min(now.half_width);
    let middle = Obb { x: 0.5 * (before.x + now.x), y: 0.5 * (before.y + now.y), ..now };
    let was = Obb { x: before.x, y: before.y, cos: before.cos, sin: before.sin, ..now };
    let mut touching: u64 = 0;
    let mut contact = Contact::default();
    let mut found = [(0_usize, false); 16];
    let mut count = 0;
    near(scene, 0, middle.x, middle.y, |j| {
        let other = obb(scene, j);
        let back = 0.5 * scene.v[j] * DT;
        let hit = now.overlaps(&other)
            || swept && middle.overlaps(&Obb { x: other.x - back * other.cos, y: other.y - back * other.sin, ..other });
        if hit && count < found.len() {
            found[count] = (j, now.faces(&other));
            count += 1;
        }
    });
    for &(j, faces) in &found[..count] {
        let bit = 1_u64 << (j as u32).min(63);
        touching |= bit;
        let kind = if world.agents[j].kind.is_pedestrian() {
            EventKind::CollisionPedestrian
        } else {
            EventKind::CollisionVehicle
        };
        let counts = scene.v[0].max(before.v) >= SLOW;
        if counts {
            if scene.head.touching & bit == 0 || j >= 63 {
                log(scene, kind, j as u16);
            }
            scene.flags[0] |= flag::CRASHED;
        }
        scene.flags[j] |= flag::CRASHED;
        contact.ahead |= faces && scene.v[0] > 0.0;
    }
    let mut prop = None;
    world.props.near(middle.x, middle.y, world.radius[0] + step, |k, other| {
        if prop.is_none() && (now.overlaps(other) || swept && middle.overlaps(other)) {
            prop = Some(k);
            // What it stood in already does not hold it.
            contact.ahead |= !was.overlaps(other);
        }
    });
    if let Some(k) = prop
        && scene.v[0].max(before.v) >= SLOW
    {
        log(scene, EventKind::CollisionStatic, k as u16);
        scene.flags[0] |= flag::CRASHED;
    }
    scene.head.touching = touching;
    contact
}

/// Logs a collision unless it is one that was counted already.
fn log(scene: &mut SceneMut<'_>, kind: EventKind, other: u16) {
    let (x, y, step) = (scene.x[0], scene.y[0], scene.head.step);
    let known = scene.head.log.events().iter().any(|e| {
        let (dx, dy) = (e.x - x, e.y - y);
        let near = dx * dx + dy * dy < AGAIN_METRES * AGAIN_METRES;
        e.kind == kind && e.other == other && (step - e.step < AGAIN_STEPS || near)
    });
    if !known {
        let value = scene.v[0];
        scene.head.log.push(Event { step, kind, agent: 0, other, x, y, value });
    }
}
