//! The ground: sky and earth by rows, then surfaces and paint from below to above, none of it depth-tested.

use super::camera::View;
use super::canvas::{Canvas, MATERIALS, Material};
use super::frame::{Class, Frame};
use super::lanes::{Inks, Quads};
use super::simd;
use super::stage::{Cell, LAYERS, Stage};
use super::strips;
use super::style::{Style, mix};

/// Materials by their number.
pub(crate) const ALL: [Material; MATERIALS] = [
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

/// Farthest ground that is drawn, metres.
const FAR: f32 = 220.0;

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
        simd::row(&mut frame.colour[span.clone()], colour, &mut frame.inverse_depth[span.clone()], depth, vector);
        if frame.labels {
            frame.tag[span].fill(class as u32);
        }
    }
}

/// Surfaces, paint and kerbs of the cells in view.
pub(crate) fn draw(canvas: &mut Canvas, stage: &Stage, cells: &[u32]) {
    const SIDE: Inks = Inks::of(Material::KerbSide);
    let Canvas { view, style, pen } = canvas;
    let cells = || cells.iter().map(|&i| &stage.cells[i as usize]);
    let near = |cell: &&Cell| view.plan(cell.centre[0], cell.centre[1]).0 - cell.radius <= strips::FAR;
    let (mut quads, mut side) = (Quads::NONE, Quads::NONE);
    let first = if style.textured { 0 } else { 1 };
    for layer in first..LAYERS {
        for cell in cells().filter(|cell| layer == 1 || layer == 2 || near(cell)) {
            for sheet in &cell.sheets[layer] {
                let seen = simd::flat(view, sheet, &mut quads, pen.vector());
                pen.seen(&quads, seen, &sheet.inks);
            }
        }
    }
    for lines in cells().filter(near).flat_map(|cell| &cell.lines) {
        let [seen, _] = simd::strips::<false>(view, lines, &mut quads, &mut side, pen.vector());
        pen.seen(&quads, seen, &lines.inks);
    }
    for kerbs in cells().filter(near).flat_map(|cell| &cell.kerbs) {
        let [top, upright] = simd::strips::<true>(view, kerbs, &mut quads, &mut side, pen.vector());
        pen.seen(&side, upright, &SIDE);
        pen.seen(&quads, top, &kerbs.inks);
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
