//! A path of poses measured by arc length, interpolated linearly.

use super::{Point, Polyline};
use crate::Pose;
use std::f64::consts::{PI, TAU};

/// Vertices `(x, y, heading)` with the metres at which they lie; headings are unwrapped.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Path {
    poses: Vec<Pose>,
    along: Vec<f64>,
}

impl Path {
    /// Measures a path from its first vertex.
    pub fn new(poses: Vec<Pose>) -> Path {
        let mut total = 0.0;
        let mut along = vec![0.0; poses.len().min(1)];
        along.extend(poses.windows(2).map(|pair| {
            let (dx, dy) = (pair[1].x - pair[0].x, pair[1].y - pair[0].y);
            total += (dx * dx + dy * dy).sqrt();
            total
        }));
        Path::with_progress(poses, along)
    }

    /// Vertices at given metres, not decreasing and as many as poses; what is left over is dropped.
    pub fn with_progress(mut poses: Vec<Pose>, mut along: Vec<f64>) -> Path {
        poses.truncate(along.len());
        along.truncate(poses.len());
        unwrap_headings(&mut poses);
        Path { poses, along }
    }

    /// The vertices, headings unwrapped.
    pub fn poses(&self) -> &[Pose] {
        &self.poses
    }

    /// The metres of each vertex.
    pub fn along(&self) -> &[f64] {
        &self.along
    }

    /// Metres of the first vertex, 0 without one.
    pub fn start(&self) -> f64 {
        self.along.first().copied().unwrap_or(0.0)
    }

    /// Metres of the last vertex, 0 without one.
    pub fn end(&self) -> f64 {
        self.along.last().copied().unwrap_or(0.0)
    }

    /// The vertices as points.
    pub fn points(&self) -> Vec<Point> {
        self.poses.iter().map(|p| [p.x, p.y]).collect()
    }

    /// The vertices as a line measured from the first one.
    pub fn line(&self) -> Polyline {
        Polyline::new(self.points())
    }

    /// The pose at `progress` metres, extrapolated beyond the ends, heading not wrapped; `None` with fewer than two
    /// vertices. Not a number inside a segment of no length and for a progress that is not a number.
    pub fn at(&self, progress: f64) -> Option<Pose> {
        let last = self.along.len().checked_sub(1).filter(|&last| last > 0)?;
        let hi = self.along.partition_point(|&s| s < progress).clamp(1, last);
        let (a, b, from, to) = (self.poses[hi - 1], self.poses[hi], self.along[hi - 1], self.along[hi]);
        let between = |p: f64, q: f64| (q - p) / (to - from) * (progress - from) + p;
        Some(Pose { x: between(a.x, b.x), y: between(a.y, b.y), heading: between(a.heading, b.heading) })
    }
}

/// The same angle in `[-pi, pi)`.
pub fn principal(angle: f64) -> f64 {
    if (-PI..PI).contains(&angle) { angle } else { (angle + PI).rem_euclid(TAU) - PI }
}

/// Adds whole circles so that neighbours differ by at most half a circle (numpy's `unwrap`).
fn unwrap_headings(poses: &mut [Pose]) {
    let (mut turns, mut before) = (0.0, None);
    for pose in poses {
        let heading = pose.heading;
        if let Some(before) = before {
            let jump: f64 = heading - before;
            if jump.abs() >= PI {
                let mut wrapped = (jump + PI).rem_euclid(TAU) - PI;
                if wrapped == -PI && jump > 0.0 {
                    wrapped = PI;
                }
                turns += wrapped - jump;
            }
        }
        before = Some(heading);
        pose.heading = heading + turns;
    }
}

/// The poses of a base line: each vertex looks at the next one, the last one as the vertex before it.
pub fn headed(line: &[Point]) -> Vec<Pose> {
    let mut poses: Vec<Pose> = line
        .windows(2)
        .map(|pair| Pose::new(pair[0][0], pair[0][1], (pair[1][1] - pair[0][1]).atan2(pair[1][0] - pair[0][0])))
        .collect();
    if let (Some(&end), Some(last)) = (line.last(), poses.last().copied()) {
        poses.push(Pose::new(end[0], end[1], last.heading));
    }
    poses
}

/// The point at `progress` metres of a line as GEOS places it: clamped to the ends, negative counted from the end.
/// `None` without vertices.
pub fn point_along(line: &[Point], progress: f64) -> Option<Point> {
    let &first = line.first()?;
    let lengths =
        || line.windows(2).map(|p| (p[1][0] - p[0][0], p[1][1] - p[0][1])).map(|(x, y)| (x * x + y * y).sqrt());
    let target = if progress < 0.0 { progress + lengths().sum::<f64>() } else { progress };
    if target.is_nan() || target <= 0.0 {
        return Some(first);
    }
    let mut passed = 0.0;
    for (pair, length) in line.windows(2).zip(lengths()) {
        if passed + length > target {
            let t = (target - passed) / length;
            return Some(
                [0, 1].map(|i| if t <= 0.0 { pair[0][i] } else { (pair[1][i] - pair[0][i]) * t + pair[0][i] }),
            );
        }
        passed += length;
    }
    line.last().copied()
}
