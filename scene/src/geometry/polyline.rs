//! Polylines measured by arc length.

use super::{Point, distance_to_segment, foot_on_segment};

/// The nearest place on a polyline.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Projection {
    /// Metres along the line from its first vertex.
    pub progress: f64,
    /// Metres from the point to the line.
    pub distance: f64,
    /// Index of the segment: the first one at the smallest distance.
    pub segment: usize,
}

/// A polyline with its cumulated lengths.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Polyline {
    points: Vec<Point>,
    /// Metres from the first vertex to each vertex.
    along: Vec<f64>,
}

impl Polyline {
    /// Measures a line. Fewer than two vertices make a line of no length.
    pub fn new(points: Vec<Point>) -> Polyline {
        let mut total = 0.0;
        let mut along = Vec::with_capacity(points.len());
        for (i, p) in points.iter().enumerate() {
            if let Some(before) = i.checked_sub(1).and_then(|b| points.get(b)) {
                total += (p[0] - before[0]).hypot(p[1] - before[1]);
            }
            along.push(total);
        }
        Polyline { points, along }
    }

    /// The vertices.
    pub fn points(&self) -> &[Point] {
        &self.points
    }

    /// Metres from the first vertex to each vertex.
    pub fn along(&self) -> &[f64] {
        &self.along
    }

    /// Metres from end to end.
    pub fn length(&self) -> f64 {
        self.along.last().copied().unwrap_or(0.0)
    }

    /// The nearest place: segments in order, the first strictly smallest distance wins. `None` for a line of fewer
    /// than two vertices.
    pub fn project(&self, p: Point) -> Option<Projection> {
        let mut best: Option<(f64, usize)> = None;
        for (i, pair) in self.points.windows(2).enumerate() {
            let d = distance_to_segment(p, pair[0], pair[1]);
            if best.is_none_or(|(smallest, _)| d < smallest) {
                best = Some((d, i));
            }
        }
        best.map(|(distance, segment)| self.on_segment(p, segment, distance))
    }

    /// The projection onto a known segment.
    fn on_segment(&self, p: Point, segment: usize, distance: f64) -> Projection {
        let (a, b) = (self.points[segment], self.points[segment + 1]);
        let length = (b[0] - a[0]).hypot(b[1] - a[1]);
        Projection { progress: self.along[segment] + foot_on_segment(p, a, b) * length, distance, segment }
    }

    /// The point at `progress` metres, clamped to the ends. `None` for an empty line.
    pub fn at(&self, progress: f64) -> Option<Point> {
        let last = self.points.len().checked_sub(1)?;
        if progress.is_nan() || progress <= 0.0 || last == 0 {
            return self.points.first().copied();
        }
        let after = self.along.partition_point(|&s| s < progress);
        if after > last {
            return self.points.last().copied();
        }
        let (a, b, from, to) = (self.points[after - 1], self.points[after], self.along[after - 1], self.along[after]);
        let t = if to > from { (progress - from) / (to - from) } else { 0.0 };
        Some([a[0] + t * (b[0] - a[0]), a[1] + t * (b[1] - a[1])])
    }
}
