//! Points and closed segments.

use super::Point;
use robust::{Coord, orient2d};

/// Positive when `c` lies to the left of the directed line `a -> b`, negative to the right, zero exactly on it.
/// The sign is exact; the magnitude approximates twice the triangle's area in square metres.
#[inline]
pub fn orient(a: Point, b: Point, c: Point) -> f64 {
    // The filter of the adaptive test, inlined: most calls end here.
    let left = (a[0] - c[0]) * (b[1] - c[1]);
    let right = (a[1] - c[1]) * (b[0] - c[0]);
    let det = left - right;
    let bound = 3.330_669_073_875_471_6e-16 * (left.abs() + right.abs());
    if det > bound || -det > bound { det } else { orient_exact(a, b, c) }
}

#[cold]
fn orient_exact(a: Point, b: Point, c: Point) -> f64 {
    let coord = |p: Point| Coord { x: p[0], y: p[1] };
    orient2d(coord(a), coord(b), coord(c))
}

#[inline]
fn in_span(p: Point, a: Point, b: Point) -> bool {
    p[0] >= a[0].min(b[0]) && p[0] <= a[0].max(b[0]) && p[1] >= a[1].min(b[1]) && p[1] <= a[1].max(b[1])
}

/// Whether `p` lies on the closed segment `a b`.
pub fn on_segment(p: Point, a: Point, b: Point) -> bool {
    in_span(p, a, b) && orient(a, b, p) == 0.0
}

/// Whether the closed segments `a b` and `c d` share a point.
pub fn segments_intersect(a: Point, b: Point, c: Point, d: Point) -> bool {
    let apart = |i: usize| a[i].max(b[i]) < c[i].min(d[i]) || c[i].max(d[i]) < a[i].min(b[i]);
    if apart(0) || apart(1) {
        return false;
    }
    let (c_side, d_side) = (orient(a, b, c), orient(a, b, d));
    if (c_side > 0.0 && d_side > 0.0) || (c_side < 0.0 && d_side < 0.0) {
        return false;
    }
    let (a_side, b_side) = (orient(c, d, a), orient(c, d, b));
    // Collinear segments whose bounding boxes meet overlap, so "not strictly on one side" suffices.
    !((a_side > 0.0 && b_side > 0.0) || (a_side < 0.0 && b_side < 0.0))
}

/// The fraction in `[0, 1]` along `a -> b` of the point nearest to `p`; 0 for a segment of no length.
#[inline]
pub fn foot_on_segment(p: Point, a: Point, b: Point) -> f64 {
    let (dx, dy) = (b[0] - a[0], b[1] - a[1]);
    let squared = dx * dx + dy * dy;
    if squared <= 0.0 {
        return 0.0;
    }
    (((p[0] - a[0]) * dx + (p[1] - a[1]) * dy) / squared).clamp(0.0, 1.0)
}

/// Metres from `p` to the closed segment `a b`, as GEOS computes it: the perpendicular formula when the foot lies
/// inside, otherwise the distance to the nearer end.
pub fn distance_to_segment(p: Point, a: Point, b: Point) -> f64 {
    let (dx, dy) = (b[0] - a[0], b[1] - a[1]);
    let squared = dx * dx + dy * dy;
    if squared <= 0.0 {
        return (p[0] - a[0]).hypot(p[1] - a[1]);
    }
    let r = ((p[0] - a[0]) * dx + (p[1] - a[1]) * dy) / squared;
    if r <= 0.0 {
        (p[0] - a[0]).hypot(p[1] - a[1])
    } else if r >= 1.0 {
        (p[0] - b[0]).hypot(p[1] - b[1])
    } else {
        (((a[1] - p[1]) * dx - (a[0] - p[0]) * dy) / squared).abs() * squared.sqrt()
    }
}
