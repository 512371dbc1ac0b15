//! From a scene to pictures: who is where, with which lights on, for [`crate::render`].

use crate::batch::{Scene, flag};
use crate::render::{Actor, Camera, Frame, Stage, Style, draw};
use crate::scenario::AgentKind;

/// Metres of one double step of a walker, and of one turn of the pedals.
const STRIDE: f32 = 1.5;
const PEDAL: f32 = 5.0;

/// The actor of an agent as it is now.
pub fn actor(scene: &Scene, agent: usize) -> Actor {
    let spec = &scene.world.agents[agent];
    let flags = scene.flags[agent];
    let on = |bit: u32| i8::from(flags & bit != 0);
    let stride = if spec.kind == AgentKind::Pedestrian { STRIDE } else { PEDAL };
    let phase = if scene.v[agent] > 0.05 { scene.s[agent] * (2.0 * crate::math::PI / stride) } else { 0.0 };
    Actor {
        kind: spec.kind,
        x: scene.x[agent],
        y: scene.y[agent],
        heading: scene.heading[agent],
        length: spec.size[0],
        width: spec.size[1],
        height: spec.size[2],
        speed: scene.v[agent],
        braking: flags & flag::BRAKING != 0,
        indicator: on(flag::LEFT) - on(flag::RIGHT),
        id: agent.min(65_534) as u16,
        phase: crate::math::wrap(phase),
    }
}

/// Everyone who takes part but `viewer`.
pub fn actors(scene: &Scene, viewer: usize, out: &mut Vec<Actor>) {
    out.clear();
    out.extend((0..scene.agents()).filter(|&i| i != viewer && scene.present(i)).map(|i| actor(scene, i)));
}

/// Draws what a camera on `viewer` (0: ego) sees. `buffer` is scratch memory.
pub fn look(
    scene: &Scene,
    viewer: usize,
    stage: &Stage,
    camera: &Camera,
    style: &Style,
    buffer: &mut Vec<Actor>,
    frame: &mut Frame,
) {
    actors(scene, viewer, buffer);
    let pose = [scene.x[viewer], scene.y[viewer], scene.heading[viewer]];
    draw(stage, buffer, &scene.lamps(), scene.time(), pose, camera, style, frame);
}
