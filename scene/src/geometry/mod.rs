//! Plane geometry with exact predicates: points, boxes, rings and polylines in metres.
//!
//! Conventions are those of GEOS, which the published NAVSIM numbers rest on: a point is *inside* a ring only when
//! it lies strictly inside (the boundary counts as outside), while two shapes *intersect* as soon as they touch.
//! Every sign is decided by adaptive exact arithmetic (Shewchuk's orientation test), so no answer depends on an epsilon.

mod area;
mod buffer;
mod oriented_box;
mod path;
mod polyline;
mod ring;
mod segment;
mod shape;
mod str_order;

pub use area::{centroid, overlap_area};
pub use buffer::{Cap, buffer_line};
pub use oriented_box::{Corners, OrientedBox, convex_intersect, quad_intersects_ring, segment_intersects_quad};
pub use path::{Path, headed, point_along, principal};
pub use polyline::{Polyline, Projection};
pub use ring::{Place, Ring, locate, ring_area, rings_intersect, strictly_inside};
pub use segment::{distance_to_segment, foot_on_segment, on_segment, orient, segments_intersect};
pub use shape::Shape;
pub use str_order::str_order;

/// `[x, y]` in metres.
pub type Point = [f64; 2];

/// An axis-aligned bounding box, closed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Aabb {
    /// Smallest x and y.
    pub min: Point,
    /// Largest x and y.
    pub max: Point,
}

impl Aabb {
    /// Contains nothing; grows with [`Aabb::add`].
    pub const EMPTY: Aabb = Aabb { min: [f64::INFINITY; 2], max: [f64::NEG_INFINITY; 2] };

    /// The smallest box around some points.
    pub fn of(points: &[Point]) -> Aabb {
        let mut all = Aabb::EMPTY;
        for &p in points {
            all.add(p);
        }
        all
    }

    /// Grows to hold a point.
    #[inline]
    pub fn add(&mut self, p: Point) {
        self.min = [self.min[0].min(p[0]), self.min[1].min(p[1])];
        self.max = [self.max[0].max(p[0]), self.max[1].max(p[1])];
    }

    /// Whether the closed boxes share a point.
    #[inline]
    pub fn meets(&self, other: &Aabb) -> bool {
        self.min[0] <= other.max[0]
            && other.min[0] <= self.max[0]
            && self.min[1] <= other.max[1]
            && other.min[1] <= self.max[1]
    }

    /// Whether the point lies in the closed box.
    #[inline]
    pub fn holds(&self, p: Point) -> bool {
        self.min[0] <= p[0] && p[0] <= self.max[0] && self.min[1] <= p[1] && p[1] <= self.max[1]
    }

    /// Grown by a margin in metres on every side.
    pub fn grown(&self, margin: f64) -> Aabb {
        Aabb { min: [self.min[0] - margin, self.min[1] - margin], max: [self.max[0] + margin, self.max[1] + margin] }
    }
}
