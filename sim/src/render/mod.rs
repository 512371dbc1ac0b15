//! A renderer of bounding boxes: what a camera on a vehicle sees of the simulated world, legible in few pixels.
//!
//! Everything is convex quadrilaterals of flat colour on one raster path: rows of sky and earth, then the flat ground
//! from below to above without depth test, then boxes with one. [`Stage`] holds what never moves; one call to [`draw`]
//! makes one frame, a function of its arguments alone, on one thread, into buffers that the caller keeps.

mod birds_eye;
mod camera;
mod canvas;
mod frame;
mod glyphs;
mod ground;
mod lanes;
mod noise;
mod pen;
mod people;
mod props;
mod roadside;
mod shapes;
mod simd;
mod solid;
mod stage;
mod strips;
mod style;
mod vehicles;

pub use birds_eye::birds_eye;
pub use camera::Camera;
pub use frame::{CLASSES, Class, Frame};
pub use stage::Stage;
pub use style::Style;

use crate::scenario::{AgentKind, Lamp, PropKind};
use camera::View;
use canvas::Canvas;
use frame::Scratch;
use pen::{Corners, Ink, Pen};
use simd::{Fill, Target};
use solid::Local;
use stage::Solid;

/// A road user other than the camera's own vehicle, as it is now.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Actor {
    /// What it is.
    pub kind: AgentKind,
    /// Centre, world metres.
    pub x: f32,
    /// Centre, world metres.
    pub y: f32,
    /// Radians counter-clockwise from +x.
    pub heading: f32,
    /// Metres.
    pub length: f32,
    /// Metres.
    pub width: f32,
    /// Metres.
    pub height: f32,
    /// m/s.
    pub speed: f32,
    /// Whether its brake lights shine.
    pub braking: bool,
    /// +1: indicates left, -1: right, 0: neither.
    pub indicator: i8,
    /// Decides its colours; instance in the frame less 1. At most 65534.
    pub id: u16,
    /// Angle of the step of who walks or pedals, radians.
    pub phase: f32,
}

impl Actor {
    fn class(&self) -> Class {
        match self.kind {
            AgentKind::Pedestrian => Class::Pedestrian,
            AgentKind::Cyclist | AgentKind::Motorcycle => Class::Cyclist,
            _ => Class::Vehicle,
        }
    }
}

/// Farthest solid that is drawn, metres.
const FAR: f32 = 160.0;

/// Draws what `camera` sees from `ego_pose` (centre x, y, heading) at `time` seconds. `lamps` holds the lit lamp of each
/// light of the map; missing ones are off. Actors with an id below 65535 have the instance id + 1.
#[allow(clippy::too_many_arguments)] // the state of a world, from whom it is seen and how
pub fn draw(
    stage: &Stage,
    actors: &[Actor],
    lamps: &[Lamp],
    time: f32,
    ego_pose: [f32; 3],
    camera: &Camera,
    style: &Style,
    frame: &mut Frame,
) {
    let view = View::new(camera, style, ego_pose);
    frame.resize(view.width, view.height);
    let vector = !frame.portable && simd::available();
    ground::backdrop(&view, style, frame, vector);
    let Scratch { mut cells, rows, mut order } = std::mem::take(&mut frame.scratch);
    ground::visible(&view, stage, &mut cells);
    let target = Target {
        width: view.width,
        height: view.height,
        cx: view.cx,
        cy: view.cy,
        colour: &mut frame.colour,
        depth: &mut frame.inverse_depth,
        tag: &mut frame.tag,
        vector,
    };
    let mut canvas = Canvas { view, style, pen: Pen::new(target, &rows, view.focal) };
    ground::draw(&mut canvas, stage, &cells);
    in_view(&view, actors, &mut order);
    for &(_, i) in &order {
        shadow(&mut canvas, &actors[i as usize]);
    }
    for &(_, i) in &order {
        actor(&mut canvas, &actors[i as usize], time);
    }
    for cell in cells.iter().map(|&i| &stage.cells[i as usize]) {
        for placed in &cell.solids {
            let (forward, _) = view.plan(placed.at[0], placed.at[1]);
            if forward < FAR + placed.radius && view.sees(placed.at[0], placed.at[1], placed.radius) {
                solid(&mut canvas, placed, lamps);
            }
        }
    }
    if style.bonnet && camera.yaw.abs() < 0.3 {
        bonnet(&mut canvas);
    }
    canvas.pen.finish();
    frame.scratch = Scratch { rows, cells, order };
    style::finish(frame, style, time, vector);
    if frame.labels {
        frame.write_labels();
    }
}

/// Actors in view, the nearest first: what they hide need not be drawn.
fn in_view(view: &View, actors: &[Actor], order: &mut Vec<(f32, u32)>) {
    order.clear();
    for (i, a) in actors.iter().enumerate() {
        let (forward, left) = view.plan(a.x, a.y);
        let radius = 0.5 * (a.length + a.width) + 0.5;
        if forward < FAR && view.sees(a.x, a.y, radius) {
            order.push((forward * forward + left * left, i as u32));
        }
    }
    order.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
}

/// A darker patch under an actor, moved a little away from the sun.
fn shadow(canvas: &mut Canvas, a: &Actor) {
    let (s, c) = crate::math::sin_cos(a.heading);
    let [sun_x, sun_y] = canvas.style.sun;
    let (x, y) = (a.x - 0.25 * a.height * sun_x, a.y - 0.25 * a.height * sun_y);
    let (u, v) = (0.5 * a.length + 0.1, 0.5 * a.width + 0.1);
    let at = |u: f32, v: f32| canvas.view.point(x + u * c - v * s, y + u * s + v * c, 0.0);
    let q = Corners::new([at(u, v), at(-u, v), at(-u, -v), at(u, -v)]);
    canvas.quad(&q, Ink { colour: 0, tag: 0, fill: Fill::Shadow });
}

fn actor(canvas: &mut Canvas, a: &Actor, time: f32) {
    let (s, c) = crate::math::sin_cos(a.heading);
    let tag = a.class() as u32 | (u32::from(a.id) + 1) << 16;
    let l = Local::new(canvas, [a.x, a.y, 0.0], [c, s], tag);
    match a.kind {
        AgentKind::Pedestrian => people::pedestrian(canvas, a, &l),
        AgentKind::Cyclist | AgentKind::Motorcycle => people::rider(canvas, a, &l, time),
        _ => vehicles::draw(canvas, a, &l, time),
    }
}

fn solid(canvas: &mut Canvas, placed: &stage::Placed, lamps: &[Lamp]) {
    let class = match placed.solid {
        Solid::Light(_) => Class::Light,
        Solid::Sign(_) => Class::Sign,
        Solid::Prop(p) => match p.kind {
            PropKind::Cone | PropKind::Barrier => Class::Barrier,
            PropKind::Hedge | PropKind::Tree => Class::Vegetation,
            PropKind::Building | PropKind::Wall | PropKind::Container => Class::Building,
        },
    };
    let l = Local::new(canvas, [placed.at[0], placed.at[1], 0.0], placed.forward, class as u32);
    match &placed.solid {
        Solid::Light(i) => roadside::light(canvas, &l, lamps.get(*i).copied().unwrap_or(Lamp::Off)),
        Solid::Sign(kind) => roadside::sign(canvas, &l, *kind),
        Solid::Prop(prop) => props::draw(canvas, &l, prop, placed.key),
    }
}

/// The edge of the own bonnet along the lowest rows.
fn bonnet(canvas: &mut Canvas) {
    let view = canvas.view;
    let z = 0.5;
    // Camera space of a pixel at that depth.
    let at = |x: f32, y: f32| {
        [(x * view.width as f32 - view.cx) * z / view.focal, (y * view.height as f32 - view.cy) * z / view.focal, z]
    };
    let colour = style::dim(canvas.style.body(AgentKind::Car, u16::MAX), 140);
    let ink = Ink { colour, tag: Class::Ego as u32, fill: Fill::Solid };
    let corners = [at(0.08, 1.01), at(0.14, 0.965), at(0.32, 0.942), at(0.68, 0.942), at(0.86, 0.965), at(0.92, 1.01)];
    canvas.fan(&corners, ink);
}
