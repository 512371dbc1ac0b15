//! Builds the road network of a scene: strips of road along a curve, tapers between strips, their paint, kerbs and pavements.
//!
//! Offsets are to the left of the curve; the curve divides the two directions of traffic, which drives on the right. Lists
//! of lanes go from left to right as their drivers see it.

use super::curve::Curve;
use crate::scenario::{Lane, LaneKind, Line, Map, Mark, Point, Sign, SignKind, Turn};

/// Cross-section of a road.
#[derive(Debug, Clone, Copy)]
pub struct Cross {
    /// Lanes along the curve.
    pub forward: usize,
    /// Lanes against it.
    pub backward: usize,
    /// Lane width, metres.
    pub width: f32,
    /// m/s.
    pub limit: f32,
    /// Width of bicycle lanes at both sides, metres; 0: none.
    pub bike: f32,
    /// Width of shoulders or parking strips at both sides, metres; 0: none.
    pub shoulder: f32,
    /// Width of pavements behind the kerbs, metres; 0: none.
    pub pavement: f32,
    /// Paint between the directions.
    pub centre: Mark,
}

impl Default for Cross {
    fn default() -> Self {
        Cross {
            forward: 1,
            backward: 1,
            width: 3.5,
            limit: 13.9,
            bike: 0.0,
            shoulder: 0.0,
            pavement: 2.5,
            centre: Mark::YellowDashed,
        }
    }
}

impl Cross {
    /// Offset of the right edge of the driven lanes (negative).
    pub fn lanes_right(&self) -> f32 {
        -self.width * self.forward as f32
    }

    /// Offset of the right kerb (negative).
    pub fn right(&self) -> f32 {
        self.lanes_right() - self.bike - self.shoulder
    }

    /// Offset of the left kerb; a one-way road ends a little left of its curve.
    pub fn left(&self) -> f32 {
        if self.backward == 0 { 0.3 } else { self.width * self.backward as f32 + self.bike + self.shoulder }
    }

    /// Offset of the centre of a forward lane.
    pub fn centre_of(&self, lane: usize) -> f32 {
        -self.width * (lane as f32 + 0.5)
    }

    /// Offset of the middle of the right shoulder.
    pub fn shoulder_centre(&self) -> f32 {
        self.right() + 0.5 * self.shoulder
    }
}

/// Lanes of a stretch of road.
#[derive(Debug, Clone, Default)]
pub struct Strip {
    /// Along the curve, left to right.
    pub forward: Vec<usize>,
    /// Against the curve, left to right.
    pub backward: Vec<usize>,
    /// Bicycle lane along the curve.
    pub bike: Option<usize>,
    /// Bicycle lane against the curve.
    pub bike_back: Option<usize>,
}

/// Which borders of a strip to leave out, because something else joins there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Open {
    /// Both kerbs are built.
    #[default]
    Neither,
    /// No kerb, pavement or edge line on the right.
    Right,
}

/// A map under construction.
#[derive(Debug, Clone, Default)]
pub struct Net {
    /// What has been built.
    pub map: Map,
}

impl Net {
    /// Adds a lane and returns its id.
    pub fn lane(&mut self, points: Vec<Point>, width: f32, limit: f32, kind: LaneKind, turn: Turn) -> usize {
        self.map.lanes.push(Lane { points, width, limit, next: Vec::new(), left: None, right: None, turn, kind });
        self.map.lanes.len() - 1
    }

    /// Paints a line.
    pub fn paint(&mut self, points: Vec<Point>, mark: Mark) {
        self.map.lines.push(Line { points, mark });
    }

    /// Lane `to` continues lane `from`.
    pub fn link(&mut self, from: usize, to: usize) {
        if !self.map.lanes[from].next.contains(&to) {
            self.map.lanes[from].next.push(to);
        }
    }

    /// A stretch of road along `curve`.
    pub fn strip(&mut self, curve: &Curve, s0: f32, s1: f32, cross: &Cross, open: Open) -> Strip {
        let c = cross;
        let mut strip = Strip::default();
        for i in 0..c.forward {
            let points = curve.parallel(s0, s1, c.centre_of(i));
            strip.forward.push(self.lane(points, c.width, c.limit, LaneKind::Road, Turn::None));
        }
        for i in 0..c.backward {
            let points = backwards(curve.parallel(s0, s1, c.width * (i as f32 + 0.5)));
            strip.backward.push(self.lane(points, c.width, c.limit, LaneKind::Road, Turn::None));
        }
        for lanes in [&strip.forward, &strip.backward] {
            for pair in lanes.windows(2) {
                self.map.lanes[pair[0]].right = Some(pair[1]);
                self.map.lanes[pair[1]].left = Some(pair[0]);
            }
        }
        let back_edge = c.width * c.backward as f32;
        if c.bike > 0.0 {
            let points = curve.parallel(s0, s1, c.lanes_right() - 0.5 * c.bike);
            strip.bike = Some(self.lane(points, c.bike, 8.0, LaneKind::Bicycle, Turn::None));
            if c.backward > 0 {
                let points = backwards(curve.parallel(s0, s1, back_edge + 0.5 * c.bike));
                strip.bike_back = Some(self.lane(points, c.bike, 8.0, LaneKind::Bicycle, Turn::None));
            }
        }
        if c.shoulder > 0.0 {
            let points = curve.parallel(s0, s1, c.shoulder_centre());
            self.lane(points, c.shoulder, c.limit, LaneKind::Shoulder, Turn::None);
            if c.backward > 0 {
                let points = backwards(curve.parallel(s0, s1, c.left() - 0.5 * c.shoulder));
                self.lane(points, c.shoulder, c.limit, LaneKind::Shoulder, Turn::None);
            }
        }
        self.mark(curve, s0, s1, c, open);
        strip
    }

    /// Paint, kerbs and pavements of a stretch.
    fn mark(&mut self, curve: &Curve, s0: f32, s1: f32, c: &Cross, open: Open) {
        let back_edge = c.width * c.backward as f32;
        if c.backward > 0 && c.forward > 0 {
            self.paint(curve.parallel(s0, s1, 0.0), c.centre);
        }
        for i in 1..c.forward {
            self.paint(curve.parallel(s0, s1, -c.width * i as f32), Mark::Dashed);
        }
        for i in 1..c.backward {
            self.paint(curve.parallel(s0, s1, c.width * i as f32), Mark::Dashed);
        }
        if c.bike > 0.0 && c.shoulder > 0.0 {
            self.paint(curve.parallel(s0, s1, c.lanes_right() - c.bike), Mark::Solid);
            if c.backward > 0 {
                self.paint(curve.parallel(s0, s1, back_edge + c.bike), Mark::Solid);
            }
        }
        if open == Open::Neither {
            let inset = if c.bike + c.shoulder > 0.0 { 0.0 } else { 0.15 };
            self.paint(curve.parallel(s0, s1, c.lanes_right() + inset), Mark::Solid);
            self.border(curve, (s0, s1), c.right(), -c.pavement);
        }
        if c.backward == 0 {
            self.paint(curve.parallel(s0, s1, -0.15), Mark::Yellow);
        } else {
            let inset = if c.bike + c.shoulder > 0.0 { 0.0 } else { 0.15 };
            self.paint(curve.parallel(s0, s1, back_edge - inset), Mark::Solid);
        }
        self.border(curve, (s0, s1), c.left(), c.pavement);
    }

    /// A kerb at an offset and the pavement behind it: `pavement` metres to the left of the kerb, negative to the right.
    pub fn border(&mut self, curve: &Curve, (s0, s1): (f32, f32), at: f32, pavement: f32) {
        self.map.edges.push(curve.parallel(s0, s1, at));
        if pavement != 0.0 {
            let mut outline = curve.parallel(s0, s1, at);
            outline.extend(backwards(curve.parallel(s0, s1, at + pavement)));
            self.map.pavements.push(outline);
        }
    }

    /// Road along `curve`, cut at the given distances; strips in order, joined.
    pub fn road(&mut self, curve: &Curve, cuts: &[f32], cross: &Cross) -> Vec<Strip> {
        let strips: Vec<Strip> = cuts.windows(2).map(|c| self.strip(curve, c[0], c[1], cross, Open::Neither)).collect();
        for pair in strips.windows(2) {
            self.join(&pair[0], &pair[1]);
        }
        strips
    }

    /// Lane by lane: `b` continues `a` along the curve, `a` continues `b` against it.
    pub fn join(&mut self, a: &Strip, b: &Strip) {
        let pairs = |x: &[usize], y: &[usize]| x.iter().copied().zip(y.iter().copied()).collect::<Vec<_>>();
        let mut links = pairs(&a.forward, &b.forward);
        links.extend(pairs(&b.backward, &a.backward));
        links.extend(a.bike.zip(b.bike));
        links.extend(b.bike_back.zip(a.bike_back));
        for (from, to) in links {
            self.link(from, to);
        }
    }

    /// A lane along `curve` that slides from one offset to another: a lane change, the end of an acceleration lane.
    pub fn slide(&mut self, curve: &Curve, (s0, s1): (f32, f32), (d0, d1): (f32, f32), cross: &Cross) -> usize {
        let points = curve.blend(s0, s1, d0, d1);
        self.lane(points, cross.width, cross.limit, LaneKind::Road, Turn::None)
    }

    /// A sign that faces drivers along the curve, behind its right kerb.
    pub fn sign(&mut self, curve: &Curve, s: f32, cross: &Cross, kind: SignKind) {
        let pose = curve.place(s, cross.right() - 0.9);
        let heading = crate::math::wrap(pose[2] + std::f32::consts::PI);
        self.map.signs.push(Sign { at: [pose[0], pose[1]], heading, kind });
    }

    /// A zebra crossing over the whole road, 4 m wide, beginning at `s`.
    pub fn zebra(&mut self, curve: &Curve, s: f32, cross: &Cross) {
        let (right, left) = (cross.right(), cross.left());
        let corners = [(s, right), (s, left), (s + 4.0, left), (s + 4.0, right)];
        self.map.crosswalks.push(corners.iter().map(|&(s, d)| curve.point(s, d)).collect());
    }
}

/// Whether a point lies in a polygon (even-odd rule).
pub fn inside(p: Point, polygon: &[Point]) -> bool {
    let mut odd = false;
    let mut a = polygon[polygon.len() - 1];
    for &b in polygon {
        if (a[1] > p[1]) != (b[1] > p[1]) && p[0] < (b[0] - a[0]) * (p[1] - a[1]) / (b[1] - a[1]) + a[0] {
            odd = !odd;
        }
        a = b;
    }
    odd
}

/// The points in the opposite order.
pub fn backwards(mut points: Vec<Point>) -> Vec<Point> {
    points.reverse();
    points
}
