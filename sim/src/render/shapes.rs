//! Polylines and polygons cut into convex pieces.

use crate::scenario::Point;

/// Metres between two points.
pub(crate) fn distance(a: Point, b: Point) -> f32 {
    let (dx, dy) = (b[0] - a[0], b[1] - a[1]);
    (dx * dx + dy * dy).sqrt()
}

/// The polyline with as few points as keep within `tolerance` metres of it, pieces at most `longest` metres.
pub(crate) fn simplify(points: &[Point], tolerance: f32, longest: f32) -> Vec<Point> {
    let mut out: Vec<Point> = Vec::new();
    let Some((&first, rest)) = points.split_first() else { return out };
    out.push(first);
    let mut anchor = first;
    let mut skipped: Vec<Point> = Vec::new();
    for &p in rest {
        let length = distance(anchor, p);
        let fits = length <= longest
            && skipped.iter().all(|&q| {
                let (ux, uy) = (p[0] - anchor[0], p[1] - anchor[1]);
                let cross = (q[0] - anchor[0]) * uy - (q[1] - anchor[1]) * ux;
                cross.abs() <= tolerance * length
            });
        if !fits {
            if let Some(&last) = skipped.last() {
                out.push(last);
                anchor = last;
            }
            skipped.clear();
        }
        // A long straight piece is cut into equal parts.
        let length = distance(anchor, p);
        let parts = (length / longest).ceil();
        if parts > 1.0 && parts < 1e4 {
            let (ux, uy) = ((p[0] - anchor[0]) / parts, (p[1] - anchor[1]) / parts);
            let start = anchor;
            for k in 1..parts as usize {
                anchor = [start[0] + ux * k as f32, start[1] + uy * k as f32];
                out.push(anchor);
            }
        }
        skipped.push(p);
    }
    out.extend(skipped.last());
    out
}

/// Unit normals to the left at each point of a polyline, lengthened in bends so that a ribbon keeps its width.
fn normals(points: &[Point]) -> Vec<Point> {
    let unit = |a: Point, b: Point| {
        let length = distance(a, b);
        if length > 1e-6 { [-(b[1] - a[1]) / length, (b[0] - a[0]) / length] } else { [0.0, 0.0] }
    };
    (0..points.len())
        .map(|i| {
            let before = if i > 0 { unit(points[i - 1], points[i]) } else { [0.0; 2] };
            let after = if i + 1 < points.len() { unit(points[i], points[i + 1]) } else { [0.0; 2] };
            let sum = [before[0] + after[0], before[1] + after[1]];
            let square = sum[0] * sum[0] + sum[1] * sum[1];
            let inner = i > 0 && i + 1 < points.len();
            let k = if inner { 2.0 / square.max(0.5) } else { 1.0 };
            [sum[0] * k, sum[1] * k]
        })
        .collect()
}

/// A parallel, `by` metres to the left.
pub(crate) fn offset(points: &[Point], by: f32) -> Vec<Point> {
    points.iter().zip(normals(points)).map(|(p, n)| [p[0] + by * n[0], p[1] + by * n[1]]).collect()
}

/// The quadrilaterals along a polyline.
pub(crate) struct Ribbon {
    left: Vec<Point>,
    right: Vec<Point>,
    next: usize,
}

impl Ribbon {
    pub fn new(points: &[Point], half_width: f32) -> Ribbon {
        Ribbon { left: offset(points, half_width), right: offset(points, -half_width), next: 0 }
    }
}

impl Iterator for Ribbon {
    type Item = [Point; 4];

    fn next(&mut self) -> Option<[Point; 4]> {
        let i = self.next;
        self.next += 1;
        Some([*self.right.get(i)?, *self.right.get(i + 1)?, *self.left.get(i + 1)?, *self.left.get(i)?])
    }
}

/// Pieces of `on` metres with gaps of `off`, starting half a gap into the line.
pub(crate) fn dashes(points: &[Point], on: f32, off: f32) -> Vec<[Point; 2]> {
    let mut out = Vec::new();
    let period = on + off;
    let mut along = 0.5 * on;
    for pair in points.windows(2) {
        let length = distance(pair[0], pair[1]);
        if !(length > 1e-4 && length < 1e5) {
            continue;
        }
        let at = |s: f32| {
            let t = (s - along) / length;
            [pair[0][0] + t * (pair[1][0] - pair[0][0]), pair[0][1] + t * (pair[1][1] - pair[0][1])]
        };
        let end = along + length;
        let mut k = (along / period).floor();
        while k * period < end {
            let (from, to) = ((k * period).max(along), (k * period + on).min(end));
            if to > from {
                out.push([at(from), at(to)]);
            }
            k += 1.0;
        }
        along = end;
    }
    out
}

/// White stripes of half a metre across a crossing, each as long as the crossing is wide.
pub(crate) fn zebra(corners: &[Point]) -> Vec<[Point; 4]> {
    let &[a, b, c, d] = corners else { return Vec::new() };
    // Pedestrians walk along the longer pair of sides.
    let (a, b, c, d) =
        if distance(a, b) + distance(c, d) >= distance(b, c) + distance(d, a) { (a, b, c, d) } else { (b, c, d, a) };
    let length = 0.5 * (distance(a, b) + distance(c, d));
    if !(length > 0.5 && length < 1e3) {
        return Vec::new();
    }
    let n = (length + 0.5).floor();
    let at = |p: Point, q: Point, t: f32| [p[0] + t * (q[0] - p[0]), p[1] + t * (q[1] - p[1])];
    (0..n as usize)
        .map(|i| {
            let (s, t) = ((i as f32 + 0.25) / n, (i as f32 + 0.75) / n);
            [at(a, b, s), at(a, b, t), at(d, c, t), at(d, c, s)]
        })
        .collect()
}

/// A simple polygon as triangles (ear clipping), each as a quadrilateral whose last corner is doubled.
pub(crate) fn triangles(polygon: &[Point]) -> Vec<[Point; 4]> {
    let mut left: Vec<Point> = Vec::new();
    for &p in polygon {
        if left.last().is_none_or(|q| distance(*q, p) > 1e-3) {
            left.push(p);
        }
    }
    while left.len() > 1 && distance(left[0], left[left.len() - 1]) <= 1e-3 {
        left.pop();
    }
    let area: f32 = (0..left.len()).map(|i| cross(left[0], left[i], left[(i + 1) % left.len()])).sum();
    if area < 0.0 {
        left.reverse();
    }
    let mut out = Vec::new();
    while left.len() > 2 {
        let n = left.len();
        let corner = |i: usize| (left[(i + n - 1) % n], left[i], left[(i + 1) % n]);
        let ear = (0..n).find(|&i| {
            let (a, b, c) = corner(i);
            cross(a, b, c) > 0.0
                && left.iter().all(|&p| {
                    p == a
                        || p == b
                        || p == c
                        || !(cross(a, b, p) >= 0.0 && cross(b, c, p) >= 0.0 && cross(c, a, p) >= 0.0)
                })
        });
        // A polygon that is not simple has no ear: cut any corner, the picture stays bounded.
        let i = ear.unwrap_or(0);
        let (a, b, c) = corner(i);
        out.push([a, b, c, c]);
        left.remove(i);
    }
    out
}

/// Twice the signed area of a triangle.
fn cross(a: Point, b: Point, c: Point) -> f32 {
    (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn area(p: &[Point; 4]) -> f32 {
        0.5 * (cross(p[0], p[1], p[2]) + cross(p[0], p[2], p[3])).abs()
    }

    #[test]
    fn triangles_cover_a_polygon_that_is_not_convex() {
        let l = [[0.0, 0.0], [4.0, 0.0], [4.0, 1.0], [1.0, 1.0], [1.0, 3.0], [0.0, 3.0]];
        let clockwise: Vec<Point> = l.iter().rev().copied().collect();
        for polygon in [&l[..], &clockwise] {
            let parts = triangles(polygon);
            assert_eq!(parts.len(), 4);
            assert!((parts.iter().map(area).sum::<f32>() - 6.0).abs() < 1e-5);
        }
        assert!(triangles(&l[..2]).is_empty());
    }

    #[test]
    fn dashes_are_three_metres_in_twelve() {
        let parts = dashes(&[[0.0, 0.0], [10.0, 0.0], [120.0, 0.0]], 3.0, 9.0);
        let on: f32 = parts.iter().map(|[a, b]| distance(*a, *b)).sum();
        assert!((on - 30.0).abs() < 1.6, "{on}");
        assert!(parts.iter().all(|[a, b]| distance(*a, *b) < 3.001));
    }

    #[test]
    fn stripes_lie_along_the_shorter_side() {
        let parts = zebra(&[[0.0, -7.0], [4.0, -7.0], [4.0, 7.0], [0.0, 7.0]]);
        assert_eq!(parts.len(), 14);
        assert!(parts.iter().all(|p| (area(p) - 2.0).abs() < 1e-4));
    }

    #[test]
    fn a_straight_line_of_many_points_becomes_few() {
        let points: Vec<Point> = (0..101).map(|i| [i as f32, 0.0]).collect();
        let few = simplify(&points, 0.05, 12.0);
        assert!((9..=11).contains(&few.len()), "{}", few.len());
        assert_eq!((few[0], few[few.len() - 1]), ([0.0, 0.0], [100.0, 0.0]));
        // A long gap between two points is divided, a bend is kept.
        assert_eq!(simplify(&[[0.0, 0.0], [36.0, 0.0]], 0.05, 12.0).len(), 4);
        assert!(simplify(&[[0.0, 0.0], [5.0, 0.0], [5.0, 5.0]], 0.05, 12.0).contains(&[5.0, 0.0]));
    }

    #[test]
    fn a_ribbon_keeps_its_width_in_a_bend() {
        let left = offset(&[[0.0, 0.0], [10.0, 0.0], [10.0, 10.0]], 1.0);
        assert!(distance(left[1], [9.0, 1.0]) < 1e-5);
    }
}
