//! People on foot and on two wheels, in saturated clothes, with limbs that swing.

use super::Actor;
use super::canvas::Canvas;
use super::noise::hash;
use super::pen::Corners;
use super::solid::{Local, Side};
use super::style::{Rgb, dim, rgb};
use crate::math::sin_cos;
use crate::scenario::AgentKind;

const DARK: Rgb = rgb(30, 30, 34);

fn skin(key: u32) -> Rgb {
    [rgb(240, 196, 160), rgb(196, 140, 100), rgb(120, 80, 56), rgb(224, 172, 128)][hash(key, 3) as usize % 4]
}

fn trousers(key: u32) -> Rgb {
    [rgb(38, 48, 92), rgb(60, 60, 66), rgb(92, 74, 56), rgb(40, 84, 96)][hash(key, 4) as usize % 4]
}

/// A person on foot; `actor.phase` is the angle of the step.
pub(crate) fn pedestrian(canvas: &mut Canvas, actor: &Actor, l: &Local) {
    let h = actor.height;
    let key = u32::from(actor.id) ^ canvas.style.seed;
    let (coat, legs, face) = (canvas.style.body(actor.kind, actor.id), trousers(key), skin(key));
    let pixels = h * l.scale;
    if pixels < 9.0 {
        // Three patches, no thinner than a pixel and a half.
        let half = (0.24f32).max(0.75 / l.scale);
        l.billboard(canvas, [0.0, 0.47 * h], [0.7 * half, half], 1.0, l.lit(legs, Side::Top));
        l.billboard(canvas, [0.45 * h, 0.85 * h], [half, half], 1.0, l.lit(coat, Side::Top));
        l.billboard(canvas, [0.84 * h, h], [0.5 * half, 0.5 * half], 1.0, l.lit(face, Side::Top));
        return;
    }
    let moving = if actor.speed > 0.1 { 1.0 } else { 0.15 };
    let swing = sin_cos(actor.phase).0 * moving;
    let (hip, shoulder) = (0.48 * h, 0.82 * h);
    for s in [-1.0f32, 1.0] {
        limb(canvas, l, [0.0, s * 0.1, hip], 0.26 * h * swing * s, 0.0, 0.085, legs);
    }
    l.cuboid(canvas, [-0.13, 0.13], [-0.22, 0.22], [hip - 0.02, shoulder], coat);
    for s in [-1.0f32, 1.0] {
        limb(canvas, l, [0.0, s * 0.28, shoulder - 0.04], -0.2 * h * swing * s, 0.45 * h, 0.06, dim(coat, 200));
    }
    l.cuboid_with_top(canvas, [-0.1, 0.1], [-0.09, 0.09], [0.85 * h, h], face, dim(face, 70));
    l.mark(canvas, Side::Back, -0.12, [-0.1, 0.1], [0.89 * h, h], dim(face, 70));
}

/// A leg or arm from `top` down to height `low`, its end moved forward by `swing`.
fn limb(canvas: &mut Canvas, l: &Local, top: [f32; 3], swing: f32, low: f32, half: f32, colour: Rgb) {
    let [x, y, z] = top;
    let (front, side) = if l.eye[0] > 0.0 { (Side::Front, half) } else { (Side::Back, -half) };
    let p = |dx: f32, dy: f32, up: bool| {
        if up { l.point(x + dx, y + dy, z) } else { l.point(x + swing + dx, y + dy, low) }
    };
    let q = [p(side, -half, false), p(side, half, false), p(side, half, true), p(side, -half, true)];
    canvas.quad(&Corners::new(q), l.lit(colour, front));
    let (which, at) = if l.eye[1] > y { (Side::Left, half) } else { (Side::Right, -half) };
    let q = [p(-half, at, false), p(half, at, false), p(half, at, true), p(-half, at, true)];
    canvas.quad(&Corners::new(q), l.lit(colour, which));
}

/// A bicycle or motor cycle with its rider.
pub(crate) fn rider(canvas: &mut Canvas, actor: &Actor, l: &Local, time: f32) {
    let motor = actor.kind == AgentKind::Motorcycle;
    let (x, h) = (0.5 * actor.length, actor.height);
    let key = u32::from(actor.id) ^ canvas.style.seed;
    let (coat, legs, face) = (canvas.style.body(actor.kind, actor.id), trousers(key), skin(key));
    let r = if motor { 0.32 } else { 0.34 };
    let thick = (if motor { 0.09 } else { 0.035f32 }).max(0.4 / l.scale);
    let axle = x - r;
    for centre in [-axle, axle] {
        wheel(canvas, l, centre, r, thick, motor);
    }
    if motor {
        l.cuboid(canvas, [-0.75 * x, 0.55 * x], [-0.16, 0.16], [0.3, 0.78], dim(coat, 150));
        l.cuboid(canvas, [0.5 * x, 0.62 * x], [-0.3, 0.3], [0.9, 1.0], DARK);
    } else if l.scale * h > 8.0 {
        bar(canvas, l, [-axle, r], [-0.12, 0.9], thick, coat);
        bar(canvas, l, [-0.12, 0.32], [-0.12, 0.95], thick, coat);
        bar(canvas, l, [-0.12, 0.85], [axle - 0.18, 0.85], thick, coat);
        bar(canvas, l, [-0.12, 0.32], [axle - 0.18, 0.85], thick, coat);
        bar(canvas, l, [axle, r], [axle - 0.22, 1.02], thick, coat);
        l.cuboid(canvas, [axle - 0.28, axle - 0.2], [-0.26, 0.26], [1.0, 1.05], DARK);
    }
    let seat = if motor { 0.78 } else { 0.92 };
    let shoulder = h - 0.3;
    let half = (0.2f32).max(0.7 / l.scale);
    let swing = sin_cos(actor.phase).0;
    for s in [-1.0f32, 1.0] {
        let foot = if motor { 0.0 } else { 0.12 * swing * s };
        let low = if motor { 0.35 } else { 0.32 + 0.12 * s * swing };
        limb(canvas, l, [-0.05, s * 0.12, seat + 0.04], 0.12 + foot, low, 0.07, legs);
    }
    l.cuboid(canvas, [-0.22, 0.08], [-half, half], [seat, shoulder], coat);
    let arm = rgb(60, 50, 50);
    if l.scale * h > 14.0 {
        for s in [-1.0f32, 1.0] {
            limb(canvas, l, [0.0, s * 0.24, shoulder - 0.05], axle - 0.3, if motor { 0.95 } else { 1.05 }, 0.05, arm);
        }
    }
    let helmet = if motor { coat } else { face };
    let grow = (0.11f32).max(0.5 / l.scale);
    l.cuboid_with_top(canvas, [-0.08, 0.14], [-grow, grow], [shoulder + 0.04, h], helmet, rgb(240, 240, 240));
    if motor {
        super::vehicles::lamps(canvas, &Actor { width: 0.5, ..*actor }, l, 0.8, time);
    } else {
        let size = (0.06f32).max(0.6 / l.scale);
        if l.sees(Side::Back, -x) {
            let ink = l.lit(rgb(200, 20, 20), Side::Top);
            l.face(canvas, Side::Back, -0.5 * x, [-size, size], [0.7, 0.7 + 2.0 * size], ink);
        }
    }
}

/// A wheel: a ring from the side, a narrow patch from behind.
fn wheel(canvas: &mut Canvas, l: &Local, x: f32, r: f32, thick: f32, solid: bool) {
    let ink = l.lit(DARK, Side::Top);
    l.face(canvas, Side::Back, x, [-thick, thick], [0.0, 2.0 * r], ink);
    let inner = if solid { 0.35 * r } else { (r - 2.0 * thick).max(0.3 * r) };
    const A: f32 = 0.707_106_77;
    const RING: [[f32; 2]; 8] = [[1.0, 0.0], [A, A], [0.0, 1.0], [-A, A], [-1.0, 0.0], [-A, -A], [0.0, -1.0], [A, -A]];
    if r * l.scale < 2.5 {
        l.face(canvas, Side::Left, 0.0, [x - A * r, x + A * r], [r - A * r, r + A * r], ink);
        return;
    }
    for i in 0..8 {
        let ([a, b], [c, d]) = (RING[i], RING[(i + 1) % 8]);
        let q = [
            l.point(x + r * a, 0.0, r + r * b),
            l.point(x + r * c, 0.0, r + r * d),
            l.point(x + inner * c, 0.0, r + inner * d),
            l.point(x + inner * a, 0.0, r + inner * b),
        ];
        canvas.quad(&Corners::new(q), ink);
    }
}

/// A tube of the frame in the plane of the wheels: x and z of both ends.
fn bar(canvas: &mut Canvas, l: &Local, from: [f32; 2], to: [f32; 2], half: f32, colour: Rgb) {
    let (dx, dz) = (to[0] - from[0], to[1] - from[1]);
    let k = half / (dx * dx + dz * dz).sqrt().max(1e-3);
    let (nx, nz) = (-dz * k, dx * k);
    let q = [
        l.point(from[0] - nx, 0.0, from[1] - nz),
        l.point(to[0] - nx, 0.0, to[1] - nz),
        l.point(to[0] + nx, 0.0, to[1] + nz),
        l.point(from[0] + nx, 0.0, from[1] + nz),
    ];
    canvas.quad(&Corners::new(q), l.lit(colour, Side::Top));
}
