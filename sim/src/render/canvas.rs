//! From convex quadrilaterals in camera space to polygons on the frame: near clip, projection, edges, depth plane.

use super::camera::{V3, View};
use super::frame::Class;
use super::simd::{Fill, Poly, Target};
use super::style::{Rgb, Style, mix};

/// Nothing nearer to the camera is drawn, metres.
const NEAR: f32 = 0.2;

/// What the ground is made of; each has its colour per row of the picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Material {
    Grass,
    GrassPatch,
    Asphalt,
    AsphaltPatch,
    Pavement,
    White,
    Yellow,
    Kerb,
    KerbSide,
    Cycleway,
}

pub(crate) const MATERIALS: usize = 10;

impl Material {
    pub fn class(self) -> Class {
        match self {
            Material::Grass | Material::GrassPatch => Class::Ground,
            Material::Asphalt | Material::AsphaltPatch | Material::Cycleway => Class::Road,
            Material::Pavement | Material::Kerb | Material::KerbSide => Class::Pavement,
            Material::White | Material::Yellow => Class::Paint,
        }
    }

    pub fn colour(self, style: &Style) -> Rgb {
        let [asphalt, grass, pavement, white, yellow] = style.surfaces;
        match self {
            Material::Grass => grass,
            Material::GrassPatch => style.patches[1],
            Material::Asphalt => asphalt,
            Material::AsphaltPatch => style.patches[0],
            Material::Pavement => pavement,
            Material::White => white,
            Material::Yellow => yellow,
            Material::Kerb => mix(pavement, 0xFF_FFFF, 90),
            Material::KerbSide => mix(pavement, 0, 110),
            Material::Cycleway => mix(asphalt, 0x20_30B0, 90),
        }
    }
}

/// Four corners around a convex quadrilateral in camera space.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Corners {
    pub x: [f32; 4],
    pub y: [f32; 4],
    pub z: [f32; 4],
}

impl Corners {
    #[inline(always)]
    pub fn new(p: [V3; 4]) -> Corners {
        Corners {
            x: [p[0][0], p[1][0], p[2][0], p[3][0]],
            y: [p[0][1], p[1][1], p[2][1], p[3][1]],
            z: [p[0][2], p[1][2], p[2][2], p[3][2]],
        }
    }

    fn corner(&self, i: usize) -> V3 {
        [self.x[i], self.y[i], self.z[i]]
    }
}

/// How to fill.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ink {
    pub colour: u32,
    pub tag: u32,
    pub fill: Fill,
}

/// A frame that is being drawn.
pub(crate) struct Canvas<'a> {
    pub view: View,
    pub style: &'a Style,
    pub target: Target<'a>,
    /// Colour per row and material.
    pub rows: &'a [[u32; 16]],
}

impl Canvas<'_> {
    /// Ground of a material, corners in world metres.
    #[inline]
    pub fn ground(&mut self, x: &[f32; 4], y: &[f32; 4], z: f32, material: Material) {
        let mut q = Corners { x: [0.0; 4], y: [0.0; 4], z: [0.0; 4] };
        for i in 0..4 {
            [q.x[i], q.y[i], q.z[i]] = self.view.point(x[i], y[i], z);
        }
        self.quad(&q, Ink { colour: material as u32, tag: material.class() as u32, fill: Fill::Ground });
    }

    /// A quadrilateral, seen from both sides.
    #[inline]
    pub fn quad(&mut self, q: &Corners, ink: Ink) {
        let near = q.z.map(|z| z < NEAR);
        if near == [false; 4] {
            self.project(q, ink);
        } else if near != [true; 4] {
            self.clipped(q, ink);
        }
    }

    /// Cuts off what is too near: at most five corners remain, drawn as two polygons.
    #[cold]
    fn clipped(&mut self, q: &Corners, ink: Ink) {
        let (mut kept, mut n) = ([[0.0f32; 3]; 6], 0);
        for i in 0..4 {
            let (a, b) = (q.corner(i), q.corner((i + 1) % 4));
            if a[2] >= NEAR {
                kept[n] = a;
                n += 1;
            }
            if (a[2] >= NEAR) != (b[2] >= NEAR) {
                let t = (NEAR - a[2]) / (b[2] - a[2]);
                kept[n] = [a[0] + t * (b[0] - a[0]), a[1] + t * (b[1] - a[1]), NEAR];
                n += 1;
            }
        }
        if n >= 3 {
            self.project(&Corners::new([kept[0], kept[1], kept[2], kept[if n > 3 { 3 } else { 2 }]]), ink);
        }
        if n == 5 {
            self.project(&Corners::new([kept[0], kept[3], kept[4], kept[4]]), ink);
        }
    }

    /// A convex polygon given by its corners around, as quadrilaterals that share the first corner.
    pub fn fan(&mut self, corners: &[V3], ink: Ink) {
        let mut i = 1;
        while i + 1 < corners.len() {
            let last = (i + 2).min(corners.len() - 1);
            self.quad(&Corners::new([corners[0], corners[i], corners[i + 1], corners[last]]), ink);
            i += 2;
        }
    }

    #[inline]
    fn project(&mut self, q: &Corners, ink: Ink) {
        let (f, cx, cy) = (self.view.focal, self.view.cx, self.view.cy);
        let (mut x, mut y, mut inverse) = ([0.0f32; 4], [0.0f32; 4], [0.0f32; 4]);
        for i in 0..4 {
            inverse[i] = 1.0 / q.z[i];
            x[i] = cx + f * q.x[i] * inverse[i];
            y[i] = cy + f * q.y[i] * inverse[i];
        }
        let Some(mut poly) = outline(&x, &y, self.view.width as f32, self.view.height as f32) else { return };
        if ink.fill == Fill::Solid {
            // n·p = d on the plane, so 1/z = (n_x x/z + n_y y/z + n_z) / d.
            let (ax, ay, az) = (q.x[2] - q.x[0], q.y[2] - q.y[0], q.z[2] - q.z[0]);
            let (bx, by, bz) = (q.x[3] - q.x[1], q.y[3] - q.y[1], q.z[3] - q.z[1]);
            let n = [ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx];
            let d = n[0] * q.x[0] + n[1] * q.y[0] + n[2] * q.z[0];
            if d == 0.0 {
                return;
            }
            let k = 1.0 / d;
            poly.depth = [n[2] * k, n[0] * k / f, n[1] * k / f];
            poly.depth_min = low(&inverse);
            poly.depth_max = high(&inverse);
        }
        (poly.colour, poly.tag, poly.fill) = (ink.colour, ink.tag, ink.fill);
        self.target.fill(&poly, self.rows);
    }
}

#[inline(always)]
fn low(v: &[f32; 4]) -> f32 {
    let a = if v[0] < v[1] { v[0] } else { v[1] };
    let b = if v[2] < v[3] { v[2] } else { v[3] };
    if a < b { a } else { b }
}

#[inline(always)]
fn high(v: &[f32; 4]) -> f32 {
    let a = if v[0] > v[1] { v[0] } else { v[1] };
    let b = if v[2] > v[3] { v[2] } else { v[3] };
    if a > b { a } else { b }
}

/// Edges of a convex polygon on the frame, or none where it covers no pixel's centre.
#[inline(always)]
pub(crate) fn outline(x: &[f32; 4], y: &[f32; 4], width: f32, height: f32) -> Option<Poly> {
    // After the clamps rounding toward zero only differs from rounding up by the fraction.
    let ceil = |v: f32| {
        let whole = v as i32;
        whole + i32::from(v > whole as f32)
    };
    let rows = (ceil((low(y) - 0.5).clamp(0.0, height)), ceil((high(y) - 0.5).clamp(0.0, height)));
    let columns = (low(x).clamp(0.0, width) as i32, ceil(high(x).clamp(0.0, width)));
    if rows.0 >= rows.1 || columns.0 >= columns.1 {
        return None;
    }
    let area = (x[2] - x[0]) * (y[3] - y[1]) - (x[3] - x[1]) * (y[2] - y[0]);
    if area == 0.0 || !area.is_finite() {
        return None;
    }
    let mut poly = Poly {
        rows,
        columns,
        x: *x,
        y: *y,
        slope: [0.0; 4],
        left: [f32::NEG_INFINITY; 4],
        right: [f32::INFINITY; 4],
        depth: [0.0; 3],
        depth_min: 0.0,
        depth_max: 0.0,
        colour: 0,
        tag: 0,
        fill: Fill::Solid,
    };
    for i in 0..4 {
        let j = (i + 1) & 3;
        // The end with the smaller row, so that neighbours compute a shared edge alike and leave no crack.
        let down = y[j] > y[i];
        let (top_x, top_y, end_x, end_y) = if down { (x[i], y[i], x[j], y[j]) } else { (x[j], y[j], x[i], y[i]) };
        let dy = end_y - top_y;
        if dy > 0.0 {
            poly.x[i] = top_x;
            poly.y[i] = top_y;
            poly.slope[i] = (end_x - top_x) / dy;
            // Rows count downward: around a polygon of positive area the downward edges are its right ones.
            if down == (area > 0.0) {
                poly.right[i] = 0.0;
            } else {
                poly.left[i] = 0.0;
            }
        }
    }
    Some(poly)
}
