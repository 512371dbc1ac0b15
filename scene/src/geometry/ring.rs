//! Simple polygons as open rings (the last vertex is not repeated), convex or not, in either direction.

use super::{Aabb, Point, orient, segments_intersect};

/// Where a point lies relative to a ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Strictly inside.
    Inside,
    /// On an edge or a vertex.
    Boundary,
    /// Outside.
    Outside,
}

/// A polygon with its bounding box, so that most questions end early.
#[derive(Debug, Clone, PartialEq)]
pub struct Ring {
    /// Vertices of the open ring.
    pub points: Vec<Point>,
    /// Their bounding box.
    pub bounds: Aabb,
}

impl Ring {
    /// Keeps the vertices of an open ring; a repeated last vertex is dropped.
    pub fn new(mut points: Vec<Point>) -> Ring {
        while points.len() > 1 && points.first() == points.last() {
            points.pop();
        }
        let bounds = Aabb::of(&points);
        Ring { points, bounds }
    }

    /// Where a point lies.
    pub fn locate(&self, p: Point) -> Place {
        if self.bounds.holds(p) { locate(&self.points, p) } else { Place::Outside }
    }

    /// Whether a point lies strictly inside.
    pub fn contains(&self, p: Point) -> bool {
        self.locate(p) == Place::Inside
    }

    /// Whether the closed polygons share a point.
    pub fn intersects(&self, other: &Ring) -> bool {
        self.bounds.meets(&other.bounds) && rings_intersect(&self.points, &other.points)
    }
}

/// Where a point lies relative to an open ring: crossings of the ray towards +x, each decided exactly.
pub fn locate(ring: &[Point], p: Point) -> Place {
    let Some(&last) = ring.last() else { return Place::Outside };
    let mut a = last;
    let mut inside = false;
    for &b in ring {
        if (b[0] == p[0] && b[1] == p[1])
            || (a[1] == p[1] && b[1] == p[1] && p[0] >= a[0].min(b[0]) && p[0] <= a[0].max(b[0]))
        {
            return Place::Boundary;
        }
        // Half-open in y, so a vertex on the ray counts once.
        if (a[1] > p[1]) != (b[1] > p[1]) && (a[0] >= p[0] || b[0] >= p[0]) {
            let side = orient(a, b, p);
            if side == 0.0 {
                return Place::Boundary;
            }
            inside ^= (side > 0.0) == (b[1] > a[1]);
        }
        a = b;
    }
    if inside { Place::Inside } else { Place::Outside }
}

/// Whether a point lies strictly inside an open ring.
pub fn strictly_inside(ring: &[Point], p: Point) -> bool {
    locate(ring, p) == Place::Inside
}

/// Signed area in square metres, positive when counter-clockwise.
pub fn ring_area(ring: &[Point]) -> f64 {
    let Some(&origin) = ring.first() else { return 0.0 };
    let rel = |p: Point| [p[0] - origin[0], p[1] - origin[1]];
    let pairs = ring.iter().zip(ring.iter().cycle().skip(1));
    0.5 * pairs.map(|(&a, &b)| (rel(a), rel(b))).map(|(a, b)| a[0] * b[1] - a[1] * b[0]).sum::<f64>()
}

/// Whether two closed polygons share a point: an edge meets an edge, or one lies inside the other.
pub fn rings_intersect(a: &[Point], b: &[Point]) -> bool {
    let (Some(&a0), Some(&b0)) = (a.first(), b.first()) else { return false };
    if locate(b, a0) != Place::Outside || locate(a, b0) != Place::Outside {
        return true;
    }
    edges(a).any(|(p, q)| edges(b).any(|(r, s)| segments_intersect(p, q, r, s)))
}

/// The closed ring's edges in order, starting with first -> second.
fn edges(ring: &[Point]) -> impl Iterator<Item = (Point, Point)> + '_ {
    ring.iter().copied().zip(ring.iter().copied().cycle().skip(1))
}

/// Whether a closed segment and a closed polygon share a point.
pub(super) fn segment_meets_ring(p: Point, q: Point, ring: &[Point]) -> bool {
    locate(ring, p) != Place::Outside || edges(ring).any(|(a, b)| segments_intersect(p, q, a, b))
}

/// Whether a closed convex quadrilateral and a closed polygon share a point.
pub(super) fn quad_meets_ring(quad: &[Point; 4], ring: &[Point]) -> bool {
    rings_intersect(quad, ring)
}
