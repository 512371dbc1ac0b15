//! Curves in the plane that roads and routes follow: pieces of linearly changing curvature (clothoids), or any polyline.

use crate::math::{atan2, sin_cos, wrap};
use crate::scenario::{Map, Point};

/// Direction of a vector, radians.
pub fn direction(from: Point, to: Point) -> f32 {
    atan2(to[1] - from[1], to[0] - from[0])
}

/// Distance of two points.
pub fn distance(a: Point, b: Point) -> f32 {
    ((a[0] - b[0]) * (a[0] - b[0]) + (a[1] - b[1]) * (a[1] - b[1])).sqrt()
}

/// `pose` moved `forward` along its heading and `left` across it.
pub fn shifted(pose: [f32; 3], forward: f32, left: f32) -> Point {
    let (sin, cos) = sin_cos(pose[2]);
    [pose[0] + forward * cos - left * sin, pose[1] + forward * sin + left * cos]
}

/// A stretch of road axis: metres, and the curvature (1/m, left positive) at its two ends.
#[derive(Debug, Clone, Copy)]
pub struct Piece {
    /// Metres.
    pub length: f32,
    /// 1/m at the beginning.
    pub from: f32,
    /// 1/m at the end.
    pub to: f32,
}

/// A curve by arc length.
#[derive(Debug, Clone)]
pub struct Curve {
    poses: Vec<[f32; 3]>,
    s: Vec<f32>,
}

impl Curve {
    /// From a start pose through pieces.
    pub fn new(start: [f32; 3], pieces: &[Piece]) -> Curve {
        let (mut poses, mut s) = (vec![start], vec![0.0]);
        let ([mut x, mut y, mut heading], mut travelled) = (start, 0.0);
        for piece in pieces {
            let steps = piece.length.ceil().max(1.0);
            let step = piece.length / steps;
            for i in 0..steps as usize {
                let curvature = piece.from + (piece.to - piece.from) * (i as f32 + 0.5) / steps;
                let (sin, cos) = sin_cos(heading + 0.5 * step * curvature);
                (x, y, heading) = (x + step * cos, y + step * sin, heading + step * curvature);
                travelled += step;
                poses.push([x, y, heading]);
                s.push(travelled);
            }
        }
        Curve { poses, s }
    }

    /// A straight line.
    pub fn straight(start: [f32; 3], length: f32) -> Curve {
        Curve::new(start, &[Piece { length, from: 0.0, to: 0.0 }])
    }

    /// Through at least two points; the heading at a point is that of the segment after it.
    pub fn through(points: &[Point]) -> Curve {
        let (mut poses, mut s) = (Vec::with_capacity(points.len()), Vec::with_capacity(points.len()));
        let mut travelled = 0.0;
        for (i, &p) in points.iter().enumerate() {
            let (a, b) = if i + 1 < points.len() { (p, points[i + 1]) } else { (points[i - 1], p) };
            if i > 0 {
                travelled += distance(points[i - 1], p);
            }
            poses.push([p[0], p[1], direction(a, b)]);
            s.push(travelled);
        }
        Curve { poses, s }
    }

    /// The centre line of lanes that follow each other.
    pub fn of_route(map: &Map, route: &[usize]) -> Curve {
        let mut points: Vec<Point> = Vec::new();
        for &lane in route {
            for &p in &map.lanes[lane].points {
                if points.last().is_none_or(|&q| distance(p, q) > 0.05) {
                    points.push(p);
                }
            }
        }
        Curve::through(&points)
    }

    /// A smooth curve between two poses (a cubic Bézier curve).
    pub fn between(from: [f32; 3], to: [f32; 3]) -> Curve {
        let chord = distance([from[0], from[1]], [to[0], to[1]]);
        let turn = wrap(to[2] - from[2]).abs().min(2.8);
        // The handles that make a circular arc of a symmetric turn.
        let (_, cos) = sin_cos(turn / 4.0);
        let handle = chord / (3.0 * cos * cos);
        let (a, d) = ([from[0], from[1]], [to[0], to[1]]);
        let (b, c) = (shifted(from, handle, 0.0), shifted(to, -handle, 0.0));
        let steps = (chord / 1.5).ceil().max(6.0) as usize;
        let point = |i: usize| {
            let t = i as f32 / steps as f32;
            let u = 1.0 - t;
            let w = [u * u * u, 3.0 * u * u * t, 3.0 * u * t * t, t * t * t];
            [0, 1].map(|k| w[0] * a[k] + w[1] * b[k] + w[2] * c[k] + w[3] * d[k])
        };
        let mut curve = Curve::through(&(0..=steps).map(point).collect::<Vec<_>>());
        let last = curve.poses.len() - 1;
        (curve.poses[0][2], curve.poses[last][2]) = (from[2], to[2]);
        curve
    }

    /// The same curve, driven the other way.
    pub fn reversed(&self) -> Curve {
        let half = std::f32::consts::PI;
        let length = self.length();
        Curve {
            poses: self.poses.iter().rev().map(|p| [p[0], p[1], wrap(p[2] + half)]).collect(),
            s: self.s.iter().rev().map(|s| length - s).collect(),
        }
    }

    /// Metres.
    pub fn length(&self) -> f32 {
        self.s[self.s.len() - 1]
    }

    /// Pose at `s`, continued straight beyond both ends.
    pub fn at(&self, s: f32) -> [f32; 3] {
        let last = self.s.len() - 1;
        let i = self.s.partition_point(|&t| t <= s).clamp(1, last) - 1;
        let (a, b) = (self.poses[i], self.poses[i + 1]);
        let span = (self.s[i + 1] - self.s[i]).max(1e-6);
        let t = (s - self.s[i]) / span;
        if s < 0.0 {
            let p = shifted(a, s, 0.0);
            return [p[0], p[1], a[2]];
        }
        if s > self.s[last] {
            let p = shifted(b, s - self.s[last], 0.0);
            return [p[0], p[1], b[2]];
        }
        [a[0] + t * (b[0] - a[0]), a[1] + t * (b[1] - a[1]), a[2] + t * wrap(b[2] - a[2])]
    }

    /// Pose at `s`, `left` metres to the left.
    pub fn place(&self, s: f32, left: f32) -> [f32; 3] {
        let pose = self.at(s);
        let p = shifted(pose, 0.0, left);
        [p[0], p[1], pose[2]]
    }

    /// Point at `s`, `left` metres to the left.
    pub fn point(&self, s: f32, left: f32) -> Point {
        shifted(self.at(s), 0.0, left)
    }

    /// The parallel from `s0` to `s1`, with few points where it is straight.
    pub fn parallel(&self, s0: f32, s1: f32, left: f32) -> Vec<Point> {
        self.blend(s0, s1, left, left)
    }

    /// A line from `s0` to `s1` whose offset goes smoothly from `d0` to `d1`.
    pub fn blend(&self, s0: f32, s1: f32, d0: f32, d1: f32) -> Vec<Point> {
        let steps = (s1 - s0).ceil().max(1.0) as usize;
        let place = |i: usize| {
            let t = i as f32 / steps as f32;
            let d = d0 + (d1 - d0) * t * t * (3.0 - 2.0 * t);
            self.point(s0 + (s1 - s0) * t, d)
        };
        thinned(&(0..=steps).map(place).collect::<Vec<_>>())
    }

    /// `s` of the nearest point.
    pub fn project(&self, p: Point) -> f32 {
        let mut best = (f32::MAX, 0.0);
        for i in 0..self.s.len() - 1 {
            let (a, b) = (self.poses[i], self.poses[i + 1]);
            let (t, d) = onto(p, [a[0], a[1]], [b[0], b[1]]);
            if d < best.0 {
                best = (d, self.s[i] + t * (self.s[i + 1] - self.s[i]));
            }
        }
        best.1
    }
}

/// Share of the way from `a` to `b` at which a segment is nearest to `p`, and the distance there.
pub fn onto(p: Point, a: Point, b: Point) -> (f32, f32) {
    let (dx, dy) = (b[0] - a[0], b[1] - a[1]);
    let t = (((p[0] - a[0]) * dx + (p[1] - a[1]) * dy) / (dx * dx + dy * dy).max(1e-9)).clamp(0.0, 1.0);
    (t, distance(p, [a[0] + t * dx, a[1] + t * dy]))
}

/// Drops points that lie within 2 cm of the line of their neighbours, keeping one at least every 12 m.
pub fn thinned(points: &[Point]) -> Vec<Point> {
    let mut kept = vec![points[0]];
    let mut from = 0;
    for i in 1..points.len() - 1 {
        let straight = (from + 1..=i).all(|j| onto(points[j], points[from], points[i + 1]).1 < 0.02);
        if !straight || distance(points[from], points[i + 1]) > 12.0 {
            kept.push(points[i]);
            from = i;
        }
    }
    kept.push(points[points.len() - 1]);
    kept
}
