//! Solids beside and on the road: houses, hedges, trees, walls, cones, barriers, containers.

use super::camera::V3;
use super::canvas::Canvas;
use super::noise::hash;
use super::solid::{Local, Side};
use super::style::{Rgb, dim, jitter, mix, rgb};
use crate::scenario::{Prop, PropKind};

const ORANGE: Rgb = rgb(255, 104, 8);
const WHITE: Rgb = rgb(246, 246, 246);

/// Draws a solid.
pub(crate) fn draw(canvas: &mut Canvas, l: &Local, prop: &Prop, key: u32) {
    let [length, width, height] = prop.size;
    let (x, y) = ([-0.5 * length, 0.5 * length], [-0.5 * width, 0.5 * width]);
    let seed = canvas.style.seed;
    match prop.kind {
        PropKind::Building => building(canvas, l, x, y, height, key),
        PropKind::Hedge => {
            let green = jitter(rgb(44, 96, 40), seed, key, 10);
            l.cuboid_with_top(canvas, x, y, [0.0, height], green, mix(green, rgb(120, 170, 80), 90));
            if height * l.scale > 12.0 {
                stripes(canvas, l, x, y, [0.0, height], 0.8, dim(green, 200));
            }
        }
        PropKind::Tree => tree(canvas, l, width.max(length), height, key),
        PropKind::Wall => {
            let stone = jitter(rgb(160, 152, 142), seed, key, 14);
            l.cuboid_with_top(canvas, x, y, [0.0, height], stone, mix(stone, WHITE, 60));
        }
        PropKind::Cone => cone(canvas, l, width, height),
        PropKind::Barrier => {
            l.cuboid(canvas, x, y, [0.0, height], WHITE);
            stripes(canvas, l, x, y, [0.08 * height, height], 0.5, rgb(216, 28, 32));
        }
        PropKind::Container => {
            const PAINT: [Rgb; 5] =
                [rgb(164, 60, 36), rgb(36, 92, 132), rgb(60, 112, 64), rgb(196, 144, 40), rgb(110, 112, 118)];
            let paint = PAINT[hash(seed, key ^ 0x51) as usize % PAINT.len()];
            l.cuboid(canvas, x, y, [0.0, height], paint);
            if height * l.scale > 10.0 {
                stripes(canvas, l, x, y, [0.05 * height, 0.95 * height], 0.3, dim(paint, 205));
            }
        }
    }
}

/// Upright stripes on the four walls of a box, `pitch` metres of stripe and of gap.
fn stripes(canvas: &mut Canvas, l: &Local, x: [f32; 2], y: [f32; 2], z: [f32; 2], pitch: f32, colour: Rgb) {
    let pitch = pitch.max(1.0 / l.scale);
    for (side, at, range) in [
        (Side::Front, x[1] + 0.02, y),
        (Side::Back, x[0] - 0.02, y),
        (Side::Left, y[1] + 0.02, x),
        (Side::Right, y[0] - 0.02, x),
    ] {
        if !l.sees(side, at) {
            continue;
        }
        let ink = l.lit(colour, side);
        let n = ((range[1] - range[0]) / (2.0 * pitch)).floor().clamp(1.0, 40.0);
        let step = (range[1] - range[0]) / n;
        for k in 0..n as usize {
            let from = range[0] + (k as f32 + 0.25) * step;
            l.face(canvas, side, at, [from, from + 0.5 * step], z, ink);
        }
    }
}

fn building(canvas: &mut Canvas, l: &Local, x: [f32; 2], y: [f32; 2], height: f32, key: u32) {
    const WALLS: [Rgb; 6] = [
        rgb(204, 186, 158),
        rgb(176, 116, 92),
        rgb(214, 210, 200),
        rgb(158, 160, 168),
        rgb(190, 160, 120),
        rgb(140, 104, 88),
    ];
    let h = hash(canvas.style.seed, 0x200 + key);
    let wall = jitter(WALLS[h as usize % WALLS.len()], canvas.style.seed, key, 10);
    l.cuboid_with_top(canvas, x, y, [0.0, height], wall, dim(wall, 170));
    let floors = (height / 3.0).floor().clamp(1.0, 12.0);
    let storey = height / floors;
    if storey * l.scale < 2.0 {
        return;
    }
    let separate = storey * l.scale > 7.0;
    let glass = if canvas.style.textured { mix(rgb(40, 50, 64), canvas.style.sky[0], 90) } else { rgb(58, 70, 86) };
    for (side, at, range) in [
        (Side::Front, x[1] + 0.04, y),
        (Side::Back, x[0] - 0.04, y),
        (Side::Left, y[1] + 0.04, x),
        (Side::Right, y[0] - 0.04, x),
    ] {
        if !l.sees(side, at) {
            continue;
        }
        let ink = l.lit(glass, side);
        let n = ((range[1] - range[0]) / 3.0).floor().clamp(1.0, 16.0);
        let step = (range[1] - range[0]) / n;
        for floor in 0..floors as usize {
            let low = (floor as f32 + 0.35) * storey;
            let v = [low, low + 0.42 * storey];
            if !separate {
                l.face(canvas, side, at, [range[0] + 0.2 * step, range[1] - 0.2 * step], v, ink);
                continue;
            }
            for k in 0..n as usize {
                let from = range[0] + (k as f32 + 0.28) * step;
                l.face(canvas, side, at, [from, from + 0.44 * step], v, ink);
            }
        }
    }
}

fn tree(canvas: &mut Canvas, l: &Local, width: f32, height: f32, key: u32) {
    let seed = canvas.style.seed;
    let green =
        jitter(if hash(seed, key).is_multiple_of(3) { rgb(70, 110, 44) } else { rgb(46, 102, 52) }, seed, key, 12);
    let trunk = (0.07 * width).clamp(0.1, 0.35).max(0.4 / l.scale);
    l.billboard(canvas, [0.0, 0.5 * height], [trunk, 0.8 * trunk], 1.0, l.lit(rgb(96, 70, 48), Side::Back));
    let r = 0.5 * width.max(0.35 * height);
    let centre = 0.66 * height;
    let tall = 0.36 * height;
    crown(canvas, l, centre, [0.0, 0.0], [r, tall], dim(green, 210));
    if height * l.scale > 10.0 {
        crown(canvas, l, centre, [-0.16 * r, 0.22 * tall], [0.66 * r, 0.62 * tall], mix(green, rgb(150, 190, 90), 60));
    }
}

/// An octagon that turns toward the camera.
fn crown(canvas: &mut Canvas, l: &Local, z: f32, shift: [f32; 2], r: [f32; 2], colour: Rgb) {
    const A: f32 = 0.45;
    let c = l.point(0.0, 0.0, z + shift[1]);
    let p = |u: f32, v: f32| -> V3 { [c[0] + shift[0] + u * r[0], c[1] - v * r[1], c[2] - 0.05] };
    let corners = [p(-A, 1.0), p(A, 1.0), p(1.0, A), p(1.0, -A), p(A, -1.0), p(-A, -1.0), p(-1.0, -A), p(-1.0, A)];
    canvas.fan(&corners, l.lit(colour, Side::Top));
}

fn cone(canvas: &mut Canvas, l: &Local, width: f32, height: f32) {
    let half = 0.5 * width.max(0.3);
    let least = 0.7 / l.scale;
    let half = half.max(least);
    let at = |t: f32| half * (0.75 - 0.6 * t);
    if height * l.scale > 4.0 {
        l.cuboid(canvas, [-half, half], [-half, half], [0.0, 0.06], dim(ORANGE, 190));
    }
    let orange = l.lit(ORANGE, Side::Top);
    l.billboard(canvas, [0.04, height], [at(0.0), at(1.0).max(0.4 * least)], 1.0, orange);
    if height * l.scale > 3.0 {
        for (low, high) in [(0.4, 0.58), (0.7, 0.82)] {
            l.billboard(canvas, [low * height, high * height], [at(low), at(high)], 0.995, l.lit(WHITE, Side::Top));
        }
    }
}
