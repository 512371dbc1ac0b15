//! Oriented boxes: vehicles, pedestrians, objects.

use super::{Aabb, Point, orient, ring};
use std::f64::consts::FRAC_PI_2;

/// Corners in the order front-left, rear-left, rear-right, front-right: counter-clockwise.
pub type Corners = [Point; 4];

/// A rectangle with a heading.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OrientedBox {
    /// Centre, metres.
    pub center: Point,
    /// Radians, counter-clockwise from +x.
    pub heading: f64,
    /// Metres along the heading.
    pub length: f64,
    /// Metres across the heading.
    pub width: f64,
}

impl OrientedBox {
    /// The corners front-left, rear-left, rear-right, front-right. The lateral axis is `heading + pi/2`, rounded as
    /// in the reference.
    pub fn corners(&self) -> Corners {
        let (sin, cos) = self.heading.sin_cos();
        let (lat_sin, lat_cos) = (self.heading + FRAC_PI_2).sin_cos();
        let (half_length, half_width) = (0.5 * self.length, 0.5 * self.width);
        let corner = |lon: f64, lat: f64| {
            [self.center[0] + (lat * lat_cos + lon * cos), self.center[1] + (lat * lat_sin + lon * sin)]
        };
        [
            corner(half_length, half_width),
            corner(-half_length, half_width),
            corner(-half_length, -half_width),
            corner(half_length, -half_width),
        ]
    }

    /// Bounding box of the corners.
    pub fn bounds(&self) -> Aabb {
        Aabb::of(&self.corners())
    }

    /// Whether the closed boxes share a point.
    pub fn intersects(&self, other: &OrientedBox) -> bool {
        convex_intersect(&self.corners(), &other.corners())
    }

    /// Whether a point lies strictly inside.
    pub fn contains(&self, p: Point) -> bool {
        ring::strictly_inside(&self.corners(), p)
    }
}

/// Whether two closed convex quadrilaterals, both counter-clockwise, share a point. Exact: two convex polygons are
/// apart exactly when an edge of one has the whole other strictly on its outer side.
pub fn convex_intersect(a: &Corners, b: &Corners) -> bool {
    !separated_by_edge(a, b) && !separated_by_edge(b, a)
}

fn separated_by_edge(a: &Corners, b: &Corners) -> bool {
    (0..4).any(|i| b.iter().all(|&p| orient(a[i], a[(i + 1) % 4], p) < 0.0))
}

/// Whether the closed segment `p q` and a closed convex quadrilateral share a point.
pub fn segment_intersects_quad(p: Point, q: Point, quad: &Corners) -> bool {
    ring::segment_meets_ring(p, q, quad)
}

/// Whether a closed convex quadrilateral and a closed polygon of any shape share a point.
pub fn quad_intersects_ring(quad: &Corners, ring: &[Point]) -> bool {
    ring::quad_meets_ring(quad, ring)
}
