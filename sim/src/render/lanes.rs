//! Sixteen quadrilaterals side by side: from camera space to edges on the frame and planes of depth.
//!
//! Each function is one loop over lanes without branches, which compiles to one pass of vector instructions;
//! [`super::simd`] calls it compiled for the widest ones. The operations and their order are the same in either case, so
//! the results are equal.

#![allow(clippy::needless_range_loop)] // lanes of many arrays at once

use super::camera::View;
use super::simd::Fill;
use super::stage::Sheet;

/// Quadrilaterals that are worked on together.
pub(crate) const LANES: usize = 16;

/// One number of each quadrilateral.
pub(crate) type Lanes = [f32; LANES];

/// Nothing nearer to the camera is drawn, metres.
pub(crate) const NEAR: f32 = 0.2;

/// Corners around convex quadrilaterals in camera space.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Quads {
    pub x: [Lanes; 4],
    pub y: [Lanes; 4],
    pub z: [Lanes; 4],
}

impl Quads {
    pub const NONE: Quads = Quads { x: [[0.0; LANES]; 4], y: [[0.0; LANES]; 4], z: [[1.0; LANES]; 4] };
}

/// Corners and inks of up to 16 quadrilaterals that wait for others, with room for 16 more.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Queue {
    pub count: usize,
    pub x: [[f32; 2 * LANES]; 4],
    pub y: [[f32; 2 * LANES]; 4],
    pub z: [[f32; 2 * LANES]; 4],
    pub colour: [u32; 2 * LANES],
    pub tag: [u32; 2 * LANES],
    pub fill: [Fill; 2 * LANES],
}

impl Queue {
    pub const NONE: Queue = Queue {
        count: 0,
        x: [[0.0; 2 * LANES]; 4],
        y: [[0.0; 2 * LANES]; 4],
        z: [[1.0; 2 * LANES]; 4],
        colour: [0; 2 * LANES],
        tag: [0; 2 * LANES],
        fill: [Fill::Solid; 2 * LANES],
    };

    /// Appends the ground of the lanes whose bit in `wanted` is set.
    #[inline(always)]
    pub fn append(&mut self, q: &Quads, inks: &Inks, wanted: u32) {
        let mut left = wanted;
        while left != 0 && self.count < 2 * LANES {
            let (from, to) = (left.trailing_zeros() as usize % LANES, self.count);
            left &= left - 1;
            for i in 0..4 {
                self.x[i][to] = q.x[i][from];
                self.y[i][to] = q.y[i][from];
                self.z[i][to] = q.z[i][from];
            }
            self.colour[to] = inks.colour[from];
            self.tag[to] = inks.tag[from];
            self.fill[to] = Fill::Ground;
            self.count += 1;
        }
    }

    /// Drops the first sixteen.
    pub fn shift(&mut self) {
        for v in self.x.iter_mut().chain(&mut self.y).chain(&mut self.z) {
            v.copy_within(LANES.., 0);
        }
        self.colour.copy_within(LANES.., 0);
        self.tag.copy_within(LANES.., 0);
        self.fill.copy_within(LANES.., 0);
        self.count = self.count.saturating_sub(LANES);
    }
}

/// What pieces of ground are made of: numbers of materials, and tags.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Inks {
    pub colour: [u32; LANES],
    pub tag: [u32; LANES],
}

/// Polygons of at most four edges in pixels.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Polys {
    /// One bit for each polygon that may cover a pixel's centre.
    pub alive: u32,
    /// One bit for each whose plane does not pass through the camera: solids are drawn only then.
    pub plane: u32,
    /// Rows it covers: first and one past the last.
    pub rows: [[i32; LANES]; 2],
    /// Columns that bound it: first and one past the last.
    pub columns: [[i32; LANES]; 2],
    /// Row of the upper end of each edge, and columns per row.
    pub y: [Lanes; 4],
    pub slope: [Lanes; 4],
    /// Column of the upper end of an edge that bounds from the left (else -∞) and from the right (else ∞).
    pub left: [Lanes; 4],
    pub right: [Lanes; 4],
    /// Inverse depth at the optical axis, its change per column and per row, and its bounds.
    pub depth: [Lanes; 3],
    pub depth_min: Lanes,
    pub depth_max: Lanes,
}

impl Polys {
    pub const NONE: Polys = Polys {
        alive: 0,
        plane: 0,
        rows: [[0; LANES]; 2],
        columns: [[0; LANES]; 2],
        y: [[0.0; LANES]; 4],
        slope: [[0.0; LANES]; 4],
        left: [[0.0; LANES]; 4],
        right: [[0.0; LANES]; 4],
        depth: [[0.0; LANES]; 3],
        depth_min: [0.0; LANES],
        depth_max: [0.0; LANES],
    };
}

/// The picture that quadrilaterals are projected to, all in pixels.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lens {
    pub focal: f32,
    pub cx: f32,
    pub cy: f32,
    pub width: f32,
    pub height: f32,
}

#[inline(always)]
pub(crate) fn min(a: f32, b: f32) -> f32 {
    if a < b { a } else { b }
}

#[inline(always)]
pub(crate) fn max(a: f32, b: f32) -> f32 {
    if a > b { a } else { b }
}

#[inline(always)]
fn low(v: [f32; 4]) -> f32 {
    min(min(v[0], v[1]), min(v[2], v[3]))
}

#[inline(always)]
fn high(v: [f32; 4]) -> f32 {
    max(max(v[0], v[1]), max(v[2], v[3]))
}

/// Held between 0 and `most`.
#[inline(always)]
fn within(v: f32, most: f32) -> f32 {
    min(max(v, 0.0), most)
}

/// Added to a number of up to 2^22 it leaves the nearest whole one in the lowest bits.
const WHOLE: f32 = 8_388_608.0;

/// The nearest whole number, and as a float. A cast would be one instruction for each lane.
#[inline(always)]
fn nearest(v: f32) -> (i32, f32) {
    let shifted = v + WHOLE;
    (shifted.to_bits() as i32 - WHOLE.to_bits() as i32, shifted - WHOLE)
}

/// Rounded down, for pixels in the picture.
#[inline(always)]
fn floor(v: f32) -> i32 {
    let (whole, near) = nearest(v);
    whole - i32::from(near > v)
}

/// Rounded up, for pixels in the picture.
#[inline(always)]
fn ceil(v: f32) -> i32 {
    let (whole, near) = nearest(v);
    whole + i32::from(near < v)
}

/// Projects quadrilaterals all of whose corners are farther than [`NEAR`], and finds their edges and planes.
#[inline(always)]
pub(crate) fn setup(q: &Queue, lens: &Lens, out: &mut Polys) {
    let Lens { focal: f, cx, cy, width, height } = *lens;
    let (mut alive, mut plane) = (0u32, 0u32);
    for l in 0..LANES {
        let (mut x, mut y, mut inverse) = ([0.0f32; 4], [0.0f32; 4], [0.0f32; 4]);
        for i in 0..4 {
            inverse[i] = 1.0 / q.z[i][l];
            x[i] = cx + f * q.x[i][l] * inverse[i];
            y[i] = cy + f * q.y[i][l] * inverse[i];
        }
        let rows = [ceil(within(low(y) - 0.5, height)), ceil(within(high(y) - 0.5, height))];
        let columns = [floor(within(low(x), width)), ceil(within(high(x), width))];
        let area = (x[2] - x[0]) * (y[3] - y[1]) - (x[3] - x[1]) * (y[2] - y[0]);
        let seen = (rows[0] < rows[1]) & (columns[0] < columns[1]) & (area != 0.0) & (area.abs() < f32::INFINITY);
        alive |= u32::from(seen) << l;
        for k in 0..2 {
            out.rows[k][l] = rows[k];
            out.columns[k][l] = columns[k];
        }
        for i in 0..4 {
            let j = (i + 1) & 3;
            // From the end with the smaller row, so that neighbours compute a shared edge alike and leave no crack.
            let down = y[j] > y[i];
            let (top_x, end_x) = if down { (x[i], x[j]) } else { (x[j], x[i]) };
            let (top_y, end_y) = if down { (y[i], y[j]) } else { (y[j], y[i]) };
            let dy = end_y - top_y;
            let steep = dy > 0.0;
            // Rows count downward: around a polygon of positive area the downward edges are its right ones.
            let right = down == (area > 0.0);
            out.y[i][l] = top_y;
            out.slope[i][l] = if steep { (end_x - top_x) / dy } else { 0.0 };
            out.left[i][l] = if steep & !right { top_x } else { f32::NEG_INFINITY };
            out.right[i][l] = if steep & right { top_x } else { f32::INFINITY };
        }
        // n·p = d on the plane, so 1/z = (n_x x/z + n_y y/z + n_z) / d.
        let (ax, ay, az) = (q.x[2][l] - q.x[0][l], q.y[2][l] - q.y[0][l], q.z[2][l] - q.z[0][l]);
        let (bx, by, bz) = (q.x[3][l] - q.x[1][l], q.y[3][l] - q.y[1][l], q.z[3][l] - q.z[1][l]);
        let n = [ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx];
        let d = n[0] * q.x[0][l] + n[1] * q.y[0][l] + n[2] * q.z[0][l];
        plane |= u32::from(d != 0.0) << l;
        let k = 1.0 / d;
        out.depth[0][l] = n[2] * k;
        out.depth[1][l] = n[0] * k / f;
        out.depth[2][l] = n[1] * k / f;
        out.depth_min[l] = low(inverse);
        out.depth_max[l] = high(inverse);
    }
    out.alive = alive;
    out.plane = plane;
}

/// Which lanes of flat ground are seen: one bit for each that may be in the picture, and for each that reaches behind
/// the camera as well.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Seen {
    pub alive: u32,
    pub cut: u32,
}

/// Whether a quadrilateral reaches into the view (with a pixel of margin), and whether a part of it is too near.
#[inline(always)]
pub(crate) fn in_view(lens: &Lens, p: &[[f32; 3]; 4]) -> (bool, bool) {
    let Lens { focal, cx, cy, width, height } = *lens;
    let (mut left, mut right, mut above, mut below, mut behind, mut cut) = (true, true, true, true, true, false);
    for [x, y, z] in p {
        left &= focal * x + (cx + 1.0) * z < 0.0;
        right &= focal * x - (width - cx + 1.0) * z > 0.0;
        above &= focal * y + (cy + 1.0) * z < 0.0;
        below &= focal * y - (height - cy + 1.0) * z > 0.0;
        behind &= *z < NEAR;
        cut |= *z < NEAR;
    }
    (!(left | right | above | below | behind), cut)
}

/// Camera space of flat ground.
#[inline(always)]
pub(crate) fn flat(view: &View, ground: &Sheet, out: &mut Quads) -> Seen {
    let lens = view.lens();
    let mut seen = Seen::default();
    for l in 0..LANES {
        let mut p = [[0.0f32; 3]; 4];
        for i in 0..4 {
            p[i] = view.point(ground.x[i][l], ground.y[i][l], 0.0);
        }
        let (alive, cut) = in_view(&lens, &p);
        seen.alive |= u32::from(alive) << l;
        seen.cut |= u32::from(cut) << l;
        for i in 0..4 {
            [out.x[i][l], out.y[i][l], out.z[i][l]] = p[i];
        }
    }
    seen.alive &= (1 << ground.count) - 1;
    seen
}
