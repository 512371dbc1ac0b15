//! Boxes and flat marks in the axes of one object: x forward, y left, z up, metres from the middle of its base.

use super::camera::V3;
use super::canvas::Canvas;
use super::pen::{Corners, Ink};
use super::simd::Fill;
use super::style::{Rgb, dim};

/// Faces of a box.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Front,
    Back,
    Left,
    Right,
    Top,
}

/// An object's place in camera space, with its light and haze.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Local {
    origin: V3,
    ax: V3,
    ay: V3,
    az: V3,
    /// The camera in the object's axes.
    pub eye: V3,
    /// Light per [`Side`], haze deducted, of 256.
    light: [u32; 5],
    /// 256 less the part of haze, and the haze's share of the colour.
    clear: u32,
    haze: Rgb,
    /// Pixels per metre at its depth.
    pub scale: f32,
    pub tag: u32,
}

#[inline(always)]
fn dot(a: V3, b: V3) -> f32 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

impl Local {
    /// An object at world `x, y, z` that looks toward the unit vector `forward`.
    pub fn new(canvas: &Canvas, at: V3, forward: [f32; 2], tag: u32) -> Local {
        let view = &canvas.view;
        let origin = view.point(at[0], at[1], at[2]);
        let [c, s] = forward;
        let (ax, ay, az) = (view.direction(c, s), view.direction(-s, c), view.up());
        let style = canvas.style;
        let haze = style.haze_at(origin[2]);
        let clear = 256 - haze;
        let light =
            [style.lambert(c, s), style.lambert(-c, -s), style.lambert(-s, c), style.lambert(s, -c), style.light[0]]
                .map(|l| (l * clear) >> 8);
        Local {
            origin,
            ax,
            ay,
            az,
            eye: [-dot(origin, ax), -dot(origin, ay), -dot(origin, az)],
            light,
            clear,
            haze: dim(style.sky[1], haze),
            scale: view.focal / origin[2].max(1.0),
            tag,
        }
    }

    /// Camera space of a point.
    #[inline(always)]
    pub fn point(&self, x: f32, y: f32, z: f32) -> V3 {
        let (o, a, b, c) = (self.origin, self.ax, self.ay, self.az);
        [
            o[0] + a[0] * x + b[0] * y + c[0] * z,
            o[1] + a[1] * x + b[1] * y + c[1] * z,
            o[2] + a[2] * x + b[2] * y + c[2] * z,
        ]
    }

    /// A colour as it is seen on a side.
    #[inline(always)]
    pub fn lit(&self, colour: Rgb, side: Side) -> Ink {
        Ink { colour: dim(colour, self.light[side as usize]) + self.haze, tag: self.tag, fill: Fill::Solid }
    }

    /// A colour that shines by itself, half as much subject to haze.
    pub fn glow(&self, colour: Rgb) -> Ink {
        let clear = (256 + self.clear) / 2;
        let haze = (256 - clear) * 256 / (257 - self.clear).max(1);
        Ink { colour: dim(colour, clear) + dim(self.haze, haze.min(256)), tag: self.tag, fill: Fill::Solid }
    }

    /// Whether the camera sees the side at this coordinate: x for front and back, y for left and right, z for the top.
    #[inline(always)]
    pub fn sees(&self, side: Side, at: f32) -> bool {
        match side {
            Side::Front => self.eye[0] > at,
            Side::Back => self.eye[0] < at,
            Side::Left => self.eye[1] > at,
            Side::Right => self.eye[1] < at,
            Side::Top => self.eye[2] > at,
        }
    }

    /// A rectangle on a side at coordinate `at`: `u` spans y on front and back, x elsewhere; `v` spans z, on the top y.
    #[inline(always)]
    pub fn face(&self, canvas: &mut Canvas, side: Side, at: f32, u: [f32; 2], v: [f32; 2], ink: Ink) {
        let q = match side {
            Side::Front | Side::Back => [
                self.point(at, u[0], v[0]),
                self.point(at, u[1], v[0]),
                self.point(at, u[1], v[1]),
                self.point(at, u[0], v[1]),
            ],
            Side::Left | Side::Right => [
                self.point(u[0], at, v[0]),
                self.point(u[1], at, v[0]),
                self.point(u[1], at, v[1]),
                self.point(u[0], at, v[1]),
            ],
            Side::Top => [
                self.point(u[0], v[0], at),
                self.point(u[1], v[0], at),
                self.point(u[1], v[1], at),
                self.point(u[0], v[1], at),
            ],
        };
        canvas.quad(&Corners::new(q), ink);
    }

    /// A rectangle that is drawn where its side is seen, in the light of that side.
    #[inline]
    pub fn mark(&self, canvas: &mut Canvas, side: Side, at: f32, u: [f32; 2], v: [f32; 2], colour: Rgb) {
        if self.sees(side, at) {
            self.face(canvas, side, at, u, v, self.lit(colour, side));
        }
    }

    /// A box: at most three of its faces are seen.
    #[inline]
    pub fn cuboid(&self, canvas: &mut Canvas, x: [f32; 2], y: [f32; 2], z: [f32; 2], colour: Rgb) {
        self.cuboid_with_top(canvas, x, y, z, colour, colour);
    }

    /// A box whose top has another colour.
    pub fn cuboid_with_top(&self, canvas: &mut Canvas, x: [f32; 2], y: [f32; 2], z: [f32; 2], colour: Rgb, top: Rgb) {
        if self.eye[0] > x[1] {
            self.face(canvas, Side::Front, x[1], y, z, self.lit(colour, Side::Front));
        } else if self.eye[0] < x[0] {
            self.face(canvas, Side::Back, x[0], y, z, self.lit(colour, Side::Back));
        }
        if self.eye[1] > y[1] {
            self.face(canvas, Side::Left, y[1], x, z, self.lit(colour, Side::Left));
        } else if self.eye[1] < y[0] {
            self.face(canvas, Side::Right, y[0], x, z, self.lit(colour, Side::Right));
        }
        if self.eye[2] > z[1] {
            self.face(canvas, Side::Top, z[1], x, y, self.lit(top, Side::Top));
        }
    }

    /// A box that narrows toward its top: `base` and `top` are x from, x to, and half the width.
    pub fn frustum(&self, canvas: &mut Canvas, base: [f32; 3], top: [f32; 3], z: [f32; 2], colour: Rgb, roof: Rgb) {
        let low = |x: f32, side: f32| self.point(x, side * base[2], z[0]);
        let high = |x: f32, side: f32| self.point(x, side * top[2], z[1]);
        let [bl, br] = [low(base[0], 1.0), low(base[0], -1.0)];
        let [fl, fr] = [low(base[1], 1.0), low(base[1], -1.0)];
        let [tbl, tbr] = [high(top[0], 1.0), high(top[0], -1.0)];
        let [tfl, tfr] = [high(top[1], 1.0), high(top[1], -1.0)];
        for (corners, side) in [
            ([bl, br, tbr, tbl], Side::Back),
            ([fr, fl, tfl, tfr], Side::Front),
            ([fl, bl, tbl, tfl], Side::Left),
            ([br, fr, tfr, tbr], Side::Right),
        ] {
            if faces_camera(&corners) {
                canvas.quad(&Corners::new(corners), self.lit(colour, side));
            }
        }
        if self.eye[2] > z[1] {
            canvas.quad(&Corners::new([tbr, tfr, tfl, tbl]), self.lit(roof, Side::Top));
        }
    }

    /// An upright quadrilateral that turns toward the camera, over the middle of the base: bottom and top heights and half
    /// widths. `lift` of 1 is in its place, less is nearer to the camera along the same rays: in front of another one.
    pub fn billboard(&self, canvas: &mut Canvas, z: [f32; 2], half: [f32; 2], lift: f32, ink: Ink) {
        let (low, high) = (self.point(0.0, 0.0, z[0]), self.point(0.0, 0.0, z[1]));
        let shift = |p: V3, d: f32| [(p[0] + d) * lift, p[1] * lift, p[2] * lift];
        let q = [shift(low, -half[0]), shift(low, half[0]), shift(high, half[1]), shift(high, -half[1])];
        canvas.quad(&Corners::new(q), ink);
    }

    /// A regular polygon of radius `r` around a point in the plane of constant x.
    pub fn disc(&self, canvas: &mut Canvas, x: f32, centre: [f32; 2], r: f32, shape: Shape, ink: Ink) {
        let mut corners = [[0.0f32; 3]; 12];
        let n = shape.corners().len();
        for (out, [u, v]) in corners.iter_mut().zip(shape.corners()) {
            *out = self.point(x, centre[0] + r * u, centre[1] + r * v);
        }
        canvas.fan(&corners[..n], ink);
    }
}

/// Whether corners, counter-clockwise seen from outside, face the camera.
#[inline(always)]
fn faces_camera(p: &[V3; 4]) -> bool {
    let d = |a: V3, b: V3| [b[0] - a[0], b[1] - a[1], b[2] - a[2]];
    let (a, b) = (d(p[0], p[2]), d(p[1], p[3]));
    // The camera's axes are right, down, ahead, which is right-handed: the outward normal is a × b.
    let n = [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
    dot(n, p[0]) < 0.0
}

/// Outlines of signs and lamps: left and up from the centre, in radii.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    Square,
    Octagon,
    Round,
    TipUp,
    TipDown,
}

impl Shape {
    fn corners(self) -> &'static [[f32; 2]] {
        const A: f32 = 0.382_683_43;
        const B: f32 = 0.923_879_5;
        const C: f32 = 0.866_025_4;
        match self {
            Shape::Square => &[[1.0, -1.0], [-1.0, -1.0], [-1.0, 1.0], [1.0, 1.0]],
            Shape::Octagon => &[[A, B], [B, A], [B, -A], [A, -B], [-A, -B], [-B, -A], [-B, A], [-A, B]],
            Shape::Round => &[
                [0.0, 1.0],
                [0.5, C],
                [C, 0.5],
                [1.0, 0.0],
                [C, -0.5],
                [0.5, -C],
                [0.0, -1.0],
                [-0.5, -C],
                [-C, -0.5],
                [-1.0, 0.0],
                [-C, 0.5],
                [-0.5, C],
            ],
            Shape::TipUp => &[[0.0, 1.0], [C, -0.5], [-C, -0.5]],
            Shape::TipDown => &[[0.0, -1.0], [-C, 0.5], [C, 0.5]],
        }
    }
}
