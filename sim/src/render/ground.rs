//! The ground: sky and earth by rows, then surfaces and paint from below to above, none of it depth-tested.

use super::camera::View;
use super::canvas::{Canvas, MATERIALS, Material};
use super::frame::{Class, Frame};
use super::lanes::{Flat, LANES, Quads};
use super::simd;
use super::stage::{Cell, LAYERS, Patch, Stage};
use super::strips::{self, Strips};
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
    let mut sheet = Sheet { ground: Flat::NONE, quads: Quads::NONE, material: [Material::Grass; LANES], count: 0 };
    for layer in first..LAYERS {
        for cell in cells.iter().map(|&i| &stage.cells[i as usize]) {
            if layer != 1 && layer != 2 && nearest(canvas, cell) > strips::FAR {
                continue;
            }
            for p in &cell.patches[layer] {
                sheet.push(p);
                if sheet.count == LANES {
                    sheet.draw(canvas);
                }
            }
        }
        sheet.draw(canvas);
    }
    let mut paint = Paint { strips: Strips::NONE, top: Quads::NONE, side: Quads::NONE };
    for kerbs in [false, true] {
        for cell in cells.iter().map(|&i| &stage.cells[i as usize]) {
            if nearest(canvas, cell) > strips::FAR {
                continue;
            }
            for s in if kerbs { &cell.kerbs } else { &cell.lines } {
                paint.strips.push(s);
                if paint.strips.count == LANES {
                    paint.draw(canvas, kerbs);
                }
            }
        }
        paint.draw(canvas, kerbs);
    }
}

/// Patches that wait until there are sixteen.
struct Sheet {
    ground: Flat,
    quads: Quads,
    material: [Material; LANES],
    count: usize,
}

impl Sheet {
    #[inline(always)]
    fn push(&mut self, p: &Patch) {
        let l = self.count % LANES;
        for i in 0..4 {
            self.ground.x[i][l] = p.x[i];
            self.ground.y[i][l] = p.y[i];
        }
        self.material[l] = p.material;
        self.count = l + 1;
    }

    fn draw(&mut self, canvas: &mut Canvas) {
        let seen = simd::flat(&canvas.view, &self.ground, &mut self.quads, canvas.pen.vector());
        canvas.pen.seen(&self.quads, seen.first(self.count), |l| self.material[l].ink());
        self.count = 0;
    }
}

/// Strips that wait until there are sixteen, either lines or kerbs.
struct Paint {
    strips: Strips,
    top: Quads,
    side: Quads,
}

impl Paint {
    fn draw(&mut self, canvas: &mut Canvas, kerbs: bool) {
        let Paint { strips, top, side } = self;
        let vector = canvas.pen.vector();
        if kerbs {
            let (seen, upright) = simd::strips::<true>(&canvas.view, strips, top, side, vector);
            for l in 0..strips.count {
                if upright >> l & 1 == 1 {
                    canvas.pen.lane(side, l, Material::KerbSide.ink());
                }
                canvas.pen.seen(top, seen.only(l), |l| strips.material[l].ink());
            }
        } else {
            let (seen, _) = simd::strips::<false>(&canvas.view, strips, top, side, vector);
            canvas.pen.seen(top, seen.first(strips.count), |l| strips.material[l].ink());
        }
        strips.count = 0;
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
