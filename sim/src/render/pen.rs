//! From convex quadrilaterals in camera space to the frame: cut off what is too near, gather sixteen, set them up
//! together, fill them one after the other in the order they came.

use super::camera::V3;
use super::lanes::{Inks, LANES, Lens, NEAR, Polys, Quads, Queue, Seen};
use super::simd::{self, Fill, Target};

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

    /// Of one lane.
    #[inline(always)]
    fn of(q: &Quads, lane: usize) -> Corners {
        let lane = lane % LANES;
        Corners { x: q.x.map(|v| v[lane]), y: q.y.map(|v| v[lane]), z: q.z.map(|v| v[lane]) }
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

/// Draws quadrilaterals on a frame, some time before [`Pen::finish`] returns.
pub(crate) struct Pen<'a> {
    target: Target<'a>,
    /// Colour per row and material.
    rows: &'a [[u32; 16]],
    lens: Lens,
    queue: Queue,
    polys: Polys,
}

impl<'a> Pen<'a> {
    pub fn new(target: Target<'a>, rows: &'a [[u32; 16]], focal: f32) -> Pen<'a> {
        let lens =
            Lens { focal, cx: target.cx, cy: target.cy, width: target.width as f32, height: target.height as f32 };
        Pen { target, rows, lens, queue: Queue::NONE, polys: Polys::NONE }
    }

    /// Whether to use vector instructions.
    pub fn vector(&self) -> bool {
        self.target.vector
    }

    /// A quadrilateral, seen from both sides.
    #[inline]
    pub fn quad(&mut self, q: &Corners, ink: Ink) {
        let near = q.z.map(|z| z < NEAR);
        if near == [false; 4] {
            self.push(q, ink);
        } else if near != [true; 4] {
            self.clipped(q, ink);
        }
    }

    /// Those of sixteen pieces of ground that are seen, in their order.
    pub fn seen(&mut self, q: &Quads, seen: Seen, inks: &Inks) {
        if seen.alive & seen.cut == 0 {
            if seen.alive != 0 {
                simd::append(&mut self.queue, q, inks, seen.alive, self.target.vector);
                self.full();
            }
            return;
        }
        let mut left = seen.alive;
        while left != 0 {
            let lane = left.trailing_zeros() as usize % LANES;
            left &= left - 1;
            self.quad(
                &Corners::of(q, lane),
                Ink { colour: inks.colour[lane], tag: inks.tag[lane], fill: Fill::Ground },
            );
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
            self.push(&Corners::new([kept[0], kept[1], kept[2], kept[if n > 3 { 3 } else { 2 }]]), ink);
        }
        if n == 5 {
            self.push(&Corners::new([kept[0], kept[3], kept[4], kept[4]]), ink);
        }
    }

    #[inline]
    fn push(&mut self, q: &Corners, ink: Ink) {
        let queue = &mut self.queue;
        let lane = queue.count % LANES;
        for i in 0..4 {
            queue.x[i][lane] = q.x[i];
            queue.y[i][lane] = q.y[i];
            queue.z[i][lane] = q.z[i];
        }
        queue.colour[lane] = ink.colour;
        queue.tag[lane] = ink.tag;
        queue.fill[lane] = ink.fill;
        queue.count = lane + 1;
        self.full();
    }

    /// Draws sixteen as soon as there are so many.
    #[inline]
    fn full(&mut self) {
        if self.queue.count >= LANES {
            self.finish();
        }
    }

    /// Draws what has been gathered, at most sixteen.
    pub fn finish(&mut self) {
        simd::setup(&self.queue, &self.lens, &mut self.polys, self.target.vector);
        let gathered = (1u32 << self.queue.count.min(LANES)) - 1;
        self.target.fill(&self.polys, &self.queue, self.polys.alive & gathered, self.rows);
        self.queue.shift();
    }
}
