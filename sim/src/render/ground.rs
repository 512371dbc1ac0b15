//! The ground: sky and earth by rows, then surfaces and paint from below to above, none of it depth-tested.

use super::camera::View;
use super::canvas::{Canvas, MATERIALS, Material};
use super::frame::{Class, Frame};
use super::simd;
use super::stage::{Cell, LAYERS, Stage, Strip};
use super::style::{Style, mix};

const ALL: [Material; MATERIALS] = [
    Material::Grass,
    Material::GrassPatch,
    Material::Asphalt,
    Material::AsphaltPatch,
    Material::Pavement,
    Material::White,
    Material::Yellow,
    Material::Kerb,
    Material::KerbSide,
    Material::Cycleway,
];

/// Farthest ground, strip and patch of grass that is drawn, metres.
const FAR: f32 = 220.0;
const FAR_PAINT: f32 = 110.0;

/// Fills the frame with sky and bare earth, and its table of rows with the colour of each material in each row.
pub(crate) fn backdrop(view: &View, style: &Style, frame: &mut Frame, vector: bool) {
    let (width, height) = (view.width, view.height);
    frame.scratch.rows.resize(height, [0; 16]);
    let mut colours = [0; 16];
    for (colour, material) in colours.iter_mut().zip(ALL) {
        *colour = material.colour(style);
    }
    for (row, table) in frame.scratch.rows.iter_mut().enumerate() {
        let inverse = view.ground_inverse_depth(row);
        let span = row * width..(row + 1) * width;
        let (colour, class, depth) = if inverse > 1e-4 {
            simd::mix16(&colours, style.sky[1], style.haze_at(1.0 / inverse), table, vector);
            (table[0], Class::Ground, inverse)
        } else {
            *table = [style.sky[1]; 16];
            // A quarter of a radian above the horizon the sky has its full colour.
            let up = (-inverse * view.eye[2] * 4.0).clamp(0.0, 1.0);
            (mix(style.sky[1], style.sky[0], (up * (2.0 - up) * 256.0) as u32), Class::Sky, 0.0)
        };
        frame.colour[span.clone()].fill(colour);
        frame.inverse_depth[span.clone()].fill(depth);
        if frame.labels {
            frame.tag[span].fill(class as u32);
        }
    }
}

/// Surfaces, paint and kerbs of the cells in view.
pub(crate) fn draw(canvas: &mut Canvas, stage: &Stage, cells: &[u32]) {
    let first = if canvas.style.textured { 0 } else { 1 };
    for layer in first..LAYERS {
        for cell in cells.iter().map(|&i| &stage.cells[i as usize]) {
            if layer != 1 && layer != 2 && nearest(canvas, cell) > FAR_PAINT {
                continue;
            }
            for p in &cell.patches[layer] {
                canvas.ground(&p.x, &p.y, 0.0, p.material);
            }
        }
    }
    for raised in [false, true] {
        for cell in cells.iter().map(|&i| &stage.cells[i as usize]) {
            if nearest(canvas, cell) > FAR_PAINT {
                continue;
            }
            for s in cell.strips.iter().filter(|s| (s.height > 0.0) == raised) {
                strip(canvas, s);
            }
        }
    }
}

/// Cells that reach into the view.
pub(crate) fn visible(view: &View, stage: &Stage, cells: &mut Vec<u32>) {
    cells.clear();
    for (i, c) in stage.cells.iter().enumerate() {
        let (forward, _) = view.plan(c.centre[0], c.centre[1]);
        if forward < FAR + c.radius && view.sees(c.centre[0], c.centre[1], c.radius) {
            cells.push(i as u32);
        }
    }
}

fn nearest(canvas: &Canvas, cell: &Cell) -> f32 {
    canvas.view.plan(cell.centre[0], cell.centre[1]).0 - cell.radius
}

/// A painted piece, widened where it is far so that it stays about a pixel wide; a raised one shows its side when near.
fn strip(canvas: &mut Canvas, s: &Strip) {
    let view = canvas.view;
    let (forward0, left0) = view.plan(s.from[0], s.from[1]);
    let (forward1, left1) = view.plan(s.to[0], s.to[1]);
    let near = if forward0 < forward1 { forward0 } else { forward1 };
    let far = if forward0 < forward1 { forward1 } else { forward0 };
    if far < 0.0 || near > FAR_PAINT {
        return;
    }
    let per_pixel = 1.0 / view.focal;
    let near = near.max(1.0);
    // Left out: pieces less than a third of a row, and the second of two lines nearer than a pixel and a half.
    let rows = view.eye[2] * view.focal * (1.0 / near - 1.0 / far.max(1.0));
    let across = (left1 - left0).abs() / near * view.focal;
    if (rows < 0.3 && across < 2.0) || (s.second && 0.3 < 1.5 * near * per_pixel) {
        return;
    }
    // A line beside the camera lies flat in the picture: it needs its pixel in rows, not in columns.
    let flat = 1.0 / view.eye[2].max(0.5);
    let grow = |forward: f32, left: f32| {
        let least = 0.5 * forward * per_pixel * (left.abs() * flat).clamp(0.9, 6.0);
        // Kerbs are seen by their height as well, and must not cover the line beside them.
        (least / s.half_width).clamp(1.0, if s.material == Material::Kerb { 1.5 } else { 6.0 })
    };
    // Lines across the view are long in columns and thin in rows: widening them by columns would make bars of them.
    let along = (forward1 - forward0).abs() > (left1 - left0).abs();
    let (k0, k1) = if along { (grow(forward0, left0), grow(forward1, left1)) } else { (1.0, 1.0) };
    let ([x0, y0], [x1, y1], [nx, ny]) = (s.from, s.to, s.side);
    let x = [x0 - nx * k0, x1 - nx * k1, x1 + nx * k1, x0 + nx * k0];
    let y = [y0 - ny * k0, y1 - ny * k1, y1 + ny * k1, y0 + ny * k0];
    if s.height > 0.0 && near < 40.0 {
        // The side that looks at the camera hides nothing but what lies behind it, so no depth is needed.
        let toward = (view.eye[0] - x0) * nx + (view.eye[1] - y0) * ny;
        let [a, b] = if toward > 0.0 { [3, 2] } else { [0, 1] };
        side(canvas, [x[a], y[a]], [x[b], y[b]], s.height);
        canvas.ground(&x, &y, s.height, s.material);
    } else {
        canvas.ground(&x, &y, 0.0, s.material);
    }
}

/// The upright face of a kerb.
fn side(canvas: &mut Canvas, from: [f32; 2], to: [f32; 2], height: f32) {
    let view = canvas.view;
    let q = super::canvas::Corners::new([
        view.point(from[0], from[1], 0.0),
        view.point(to[0], to[1], 0.0),
        view.point(to[0], to[1], height),
        view.point(from[0], from[1], height),
    ]);
    let m = Material::KerbSide;
    canvas.quad(&q, super::canvas::Ink { colour: m as u32, tag: m.class() as u32, fill: simd::Fill::Ground });
}
