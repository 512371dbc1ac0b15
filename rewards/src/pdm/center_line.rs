//! The route's centre line: how far along, and whether far off.

use scene::geometry::{Point, Polyline, distance_to_segment, foot_on_segment};

/// Metres off the centre line that count as far (spec 8.3).
const FAR: f64 = 0.5;
/// Edge length of a cell in metres.
const CELL: f64 = 2.0;
/// Relative margin within which distances are decided by the reference's own formula.
const MARGIN: f64 = 1e-9;
/// Most cells of the index; a longer line gets larger cells.
const MOST_CELLS: f64 = 250_000.0;

#[derive(Debug, Clone, Copy)]
struct Segment {
    start: Point,
    step: Point,
    /// 1 / squared length, 0 for a segment of no length.
    inverse: f64,
}

impl Segment {
    /// Squared metres from a point.
    #[inline]
    fn squared(&self, p: Point) -> f64 {
        let (x, y) = (p[0] - self.start[0], p[1] - self.start[1]);
        let t = ((x * self.step[0] + y * self.step[1]) * self.inverse).clamp(0.0, 1.0);
        let (ox, oy) = (x - t * self.step[0], y - t * self.step[1]);
        ox * ox + oy * oy
    }
}

/// The line with an index of the segments near each cell.
#[derive(Debug, Clone)]
pub(super) struct CenterLine {
    line: Polyline,
    segments: Vec<Segment>,
    origin: Point,
    columns: usize,
    rows: usize,
    inverse_cell: f64,
    /// Row-major, one more than there are cells: where each cell's list starts.
    starts: Vec<u32>,
    lists: Vec<u32>,
}

impl CenterLine {
    /// Measures and indexes a line of at least two vertices.
    pub fn new(points: Vec<Point>) -> CenterLine {
        let segments: Vec<Segment> = points.windows(2).map(|w| segment(w[0], w[1])).collect();
        let bounds = scene::geometry::Aabb::of(&points).grown(FAR + 0.1);
        let (width, height) = (bounds.max[0] - bounds.min[0], bounds.max[1] - bounds.min[1]);
        let cell = CELL.max((width * height / MOST_CELLS).sqrt());
        let (columns, rows) = ((width / cell) as usize + 1, (height / cell) as usize + 1);
        // A segment is listed in every cell whose centre it comes near enough to matter anywhere in the cell.
        let reach = FAR + 0.01 + cell * std::f64::consts::FRAC_1_SQRT_2;
        let mut found = vec![Vec::new(); columns * rows];
        for (i, s) in segments.iter().enumerate() {
            let end = [s.start[0] + s.step[0], s.start[1] + s.step[1]];
            let span = |axis: usize, count: usize| {
                let index = |v: f64| ((v - bounds.min[axis]) / cell).floor().max(0.0);
                let (low, high) =
                    (s.start[axis].min(end[axis]) - FAR - 0.01, s.start[axis].max(end[axis]) + FAR + 0.01);
                index(low) as usize..(index(high) as usize + 1).min(count)
            };
            for row in span(1, rows) {
                for column in span(0, columns) {
                    let at = |origin: f64, i: usize| origin + (i as f64 + 0.5) * cell;
                    if s.squared([at(bounds.min[0], column), at(bounds.min[1], row)]) <= reach * reach {
                        found[row * columns + column].push(i as u32);
                    }
                }
            }
        }
        let (mut starts, mut lists) = (vec![0], Vec::new());
        for list in found {
            lists.extend(list);
            starts.push(lists.len() as u32);
        }
        let (origin, inverse_cell) = (bounds.min, 1.0 / cell);
        CenterLine { line: Polyline::new(points), segments, origin, columns, rows, inverse_cell, starts, lists }
    }

    /// Whether a point is more than half a metre away.
    pub fn is_far(&self, p: Point) -> bool {
        let (x, y) = ((p[0] - self.origin[0]) * self.inverse_cell, (p[1] - self.origin[1]) * self.inverse_cell);
        if !(x >= 0.0 && y >= 0.0 && x < self.columns as f64 && y < self.rows as f64) {
            return true;
        }
        let cell = y as usize * self.columns + x as usize;
        let list = &self.lists[self.starts[cell] as usize..self.starts[cell + 1] as usize];
        let (near, maybe) = (FAR * FAR * (1.0 - MARGIN), FAR * FAR * (1.0 + MARGIN));
        let mut smallest = f64::INFINITY;
        for &i in list {
            smallest = smallest.min(self.segments[i as usize].squared(p));
        }
        if smallest < near || smallest > maybe {
            return smallest > maybe;
        }
        list.iter().all(|&i| self.distance(i as usize, p) > FAR)
    }

    fn distance(&self, i: usize, p: Point) -> f64 {
        let points = self.line.points();
        distance_to_segment(p, points[i], points[i + 1])
    }

    /// Metres along the line of the nearest place: of the first segment at the smallest distance (spec 5.3).
    pub fn progress(&self, p: Point) -> f64 {
        let smallest = self.segments.iter().fold(f64::INFINITY, |least, s| least.min(s.squared(p)));
        let limit = smallest * (1.0 + MARGIN) + MARGIN * MARGIN;
        let mut best = (f64::INFINITY, 0);
        for (i, s) in self.segments.iter().enumerate() {
            if s.squared(p) <= limit {
                let distance = self.distance(i, p);
                if distance < best.0 {
                    best = (distance, i);
                }
            }
        }
        let (points, i) = (self.line.points(), best.1);
        let (a, b) = (points[i], points[i + 1]);
        self.line.along()[i] + foot_on_segment(p, a, b) * (b[0] - a[0]).hypot(b[1] - a[1])
    }
}

fn segment(a: Point, b: Point) -> Segment {
    let step = [b[0] - a[0], b[1] - a[1]];
    let squared = step[0] * step[0] + step[1] * step[1];
    Segment { start: a, step, inverse: if squared > 0.0 { 1.0 / squared } else { 0.0 } }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn agrees_with_a_scan_of_all_segments(
            turns in prop::collection::vec((0.0..3.0f64, -0.6..0.6f64), 2..60),
            points in prop::collection::vec((-20.0..80.0f64, -50.0..50.0f64, 0usize..60, -0.6..0.6f64), 60),
        ) {
            let (mut at, mut heading) = ([0.0, 0.0], 0.0f64);
            let mut line = vec![at];
            for (step, turn) in turns {
                heading += turn;
                at = [at[0] + step * heading.cos(), at[1] + step * heading.sin()];
                line.push(at);
            }
            let (fast, slow) = (CenterLine::new(line.clone()), Polyline::new(line.clone()));
            for (x, y, near, off) in points {
                // Anywhere, beside the line, and on a vertex.
                let vertex = line[near % line.len()];
                for p in [[x, y], [vertex[0], vertex[1] + off], vertex, [vertex[0] + 0.5, vertex[1]]] {
                    let truth = slow.project(p).unwrap();
                    prop_assert_eq!(fast.is_far(p), truth.distance > FAR);
                    prop_assert!((fast.progress(p) - truth.progress).abs() < 1e-12);
                }
            }
        }
    }
}
