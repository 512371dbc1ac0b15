//! Traffic lights and signs.

use super::canvas::Canvas;
use super::glyphs;
use super::solid::{Local, Shape, Side};
use super::style::{Rgb, rgb};
use crate::scenario::{Lamp, SignKind};

const POLE: Rgb = rgb(92, 96, 100);
const WHITE: Rgb = rgb(250, 250, 250);
const RED: Rgb = rgb(214, 22, 30);

/// A pole to height `z`, at least a pixel wide.
fn pole(canvas: &mut Canvas, l: &Local, z: f32, colour: Rgb) {
    let half = (0.06f32).max(0.5 / l.scale).min(0.2);
    l.billboard(canvas, [0.0, z], [half, half], 1.0, l.lit(colour, Side::Back));
}

/// A traffic light that shines along its x axis. The head grows with distance, and the lit lamp keeps two to three pixels.
pub(crate) fn light(canvas: &mut Canvas, l: &Local, lamp: Lamp) {
    let pixels = 1.05 * l.scale;
    if pixels < 0.8 {
        return;
    }
    let grow = (9.0 / pixels).clamp(1.0, 2.6);
    let (half, low) = (0.2 * grow, 2.5);
    let high = low + 1.05 * grow;
    pole(canvas, l, low, POLE);
    let depth = 0.15;
    l.cuboid(canvas, [-depth, depth], [-half, half], [low, high], rgb(16, 18, 18));
    if !l.sees(Side::Front, depth) {
        return;
    }
    if pixels > 9.0 {
        l.face(
            canvas,
            Side::Front,
            depth + 0.02,
            [-1.25 * half, 1.25 * half],
            [low - 0.06, high + 0.06],
            l.glow(rgb(235, 235, 230)),
        );
        l.face(
            canvas,
            Side::Front,
            depth + 0.04,
            [-1.1 * half, 1.1 * half],
            [low - 0.02, high + 0.02],
            l.lit(rgb(16, 18, 18), Side::Top),
        );
    }
    let r = 0.145 * grow;
    for (i, (which, on, off)) in [
        (Lamp::Red, rgb(255, 24, 20), rgb(60, 12, 12)),
        (Lamp::Yellow, rgb(255, 196, 0), rgb(62, 48, 8)),
        (Lamp::Green, rgb(20, 255, 96), rgb(8, 52, 24)),
    ]
    .into_iter()
    .enumerate()
    {
        let z = high - (0.19 + 0.335 * i as f32) * grow;
        if which == lamp {
            let r = (1.1 * r).max(1.35 / l.scale);
            let shape = if r * l.scale > 2.5 { Shape::Octagon } else { Shape::Square };
            l.disc(canvas, depth + 0.1, [0.0, z], r, shape, l.glow(on));
        } else if pixels * grow > 12.0 {
            l.disc(canvas, depth + 0.07, [0.0, z], r, Shape::Octagon, l.lit(off, Side::Top));
        }
    }
}

/// A sign that looks along its x axis.
pub(crate) fn sign(canvas: &mut Canvas, l: &Local, kind: SignKind) {
    let pixels = 0.9 * l.scale;
    if pixels < 0.9 {
        return;
    }
    let r = 0.45 * (7.0 / pixels).clamp(1.0, 1.8);
    let z = 2.1 + r;
    pole(canvas, l, z, rgb(150, 152, 156));
    let front = 0.08;
    if !l.sees(Side::Front, front) {
        l.disc(canvas, -0.06, [0.0, z], r, back(kind), l.lit(rgb(140, 142, 146), Side::Back));
        return;
    }
    let (white, red) = (l.glow(WHITE), l.glow(RED));
    let detail = pixels > 9.0;
    match kind {
        SignKind::Stop => {
            l.disc(canvas, front, [0.0, z], r, Shape::Octagon, white);
            l.disc(canvas, front + 0.03, [0.0, z], 0.92 * r, Shape::Octagon, red);
            if detail {
                glyphs::text(canvas, l, front + 0.06, z, 1.5 * r, 0.55 * r, b"STOP", white);
            } else {
                l.face(canvas, Side::Front, front + 0.06, [-0.6 * r, 0.6 * r], [z - 0.15 * r, z + 0.15 * r], white);
            }
        }
        SignKind::Yield => {
            l.disc(canvas, front, [0.0, z], 1.15 * r, Shape::TipDown, red);
            l.disc(canvas, front + 0.03, [0.0, z], 0.62 * r, Shape::TipDown, white);
        }
        SignKind::Limit(value) => {
            l.disc(canvas, front, [0.0, z], r, Shape::Round, red);
            l.disc(canvas, front + 0.03, [0.0, z], 0.78 * r, Shape::Round, white);
            let digits = [b'0' + value / 100, b'0' + value / 10 % 10, b'0' + value % 10];
            let skip = if value >= 100 {
                0
            } else if value >= 10 {
                1
            } else {
                2
            };
            if pixels > 5.0 {
                glyphs::text(canvas, l, front + 0.06, z, 1.2 * r, 0.85 * r, &digits[skip..], l.glow(rgb(10, 10, 12)));
            }
        }
        SignKind::Works | SignKind::Pedestrians => {
            l.disc(canvas, front, [0.0, z - 0.15 * r], 1.15 * r, Shape::TipUp, red);
            let face = if kind == SignKind::Works { l.glow(rgb(255, 214, 40)) } else { white };
            l.disc(canvas, front + 0.03, [0.0, z - 0.15 * r], 0.74 * r, Shape::TipUp, face);
            let black = l.glow(rgb(12, 12, 14));
            if detail && kind == SignKind::Pedestrians {
                l.disc(canvas, front + 0.06, [0.0, z + 0.2 * r], 0.09 * r, Shape::Octagon, black);
                l.face(canvas, Side::Front, front + 0.06, [-0.07 * r, 0.07 * r], [z - 0.2 * r, z + 0.1 * r], black);
                l.face(canvas, Side::Front, front + 0.06, [-0.16 * r, -0.06 * r], [z - 0.45 * r, z - 0.15 * r], black);
                l.face(canvas, Side::Front, front + 0.06, [0.06 * r, 0.16 * r], [z - 0.45 * r, z - 0.15 * r], black);
            } else if detail {
                // A heap and a shovel.
                l.disc(canvas, front + 0.06, [-0.15 * r, z - 0.33 * r], 0.2 * r, Shape::TipUp, black);
                l.face(canvas, Side::Front, front + 0.06, [0.08 * r, 0.16 * r], [z - 0.42 * r, z + 0.12 * r], black);
            }
        }
    }
}

fn back(kind: SignKind) -> Shape {
    match kind {
        SignKind::Stop => Shape::Octagon,
        SignKind::Yield => Shape::TipDown,
        SignKind::Limit(_) => Shape::Round,
        SignKind::Works | SignKind::Pedestrians => Shape::TipUp,
    }
}
