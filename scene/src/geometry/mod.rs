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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn any_box() -> impl Strategy<Value = OrientedBox> {
        (-5.0..5.0f64, -5.0..5.0f64, -3.2..3.2f64, 0.5..6.0f64, 0.5..3.0f64)
            .prop_map(|(x, y, heading, length, width)| OrientedBox { center: [x, y], heading, length, width })
    }

    /// Boxes on a half-metre lattice, so that touching is common.
    fn lattice_box() -> impl Strategy<Value = OrientedBox> {
        (-4..5i32, -4..5i32, 0..4i32, 1..5i32, 1..5i32).prop_map(|(x, y, quarter, length, width)| OrientedBox {
            center: [f64::from(x) * 0.5, f64::from(y) * 0.5],
            heading: f64::from(quarter) * std::f64::consts::FRAC_PI_2,
            length: f64::from(length),
            width: f64::from(width),
        })
    }

    #[test]
    fn touching_intersects_and_the_boundary_is_outside() {
        let square = |x: f64| [[x, 0.0], [x + 1.0, 0.0], [x + 1.0, 1.0], [x, 1.0]];
        assert!(convex_intersect(&square(0.0), &square(1.0)));
        assert!(!convex_intersect(&square(0.0), &square(1.0 + 1e-15)));
        assert!(rings_intersect(&square(0.0), &[[1.0, 1.0], [2.0, 1.0], [2.0, 2.0]]));
        assert_eq!(locate(&square(0.0), [1.0, 0.5]), Place::Boundary);
        assert_eq!(locate(&square(0.0), [0.0, 0.0]), Place::Boundary);
        assert_eq!(locate(&square(0.0), [0.5, 1.0]), Place::Boundary);
        assert!(strictly_inside(&square(0.0), [1.0 - 1e-16, 0.5]) || 1.0 - 1e-16 == 1.0);
        assert!(!strictly_inside(&square(0.0), [1.5, 0.0]));
        assert!(segments_intersect([0.0, 0.0], [1.0, 0.0], [0.5, 0.0], [2.0, 0.0]));
        assert!(!segments_intersect([0.0, 0.0], [1.0, 0.0], [1.5, 0.0], [2.0, 0.0]));
        assert!(segment_intersects_quad([0.5, 0.5], [0.6, 0.6], &square(0.0)));
    }

    #[test]
    fn corners_go_round_from_the_front_left() {
        let corners = OrientedBox { center: [1.0, 2.0], heading: 0.0, length: 4.0, width: 2.0 }.corners();
        assert_eq!(corners, [[3.0, 3.0], [-1.0, 3.0], [-1.0, 1.0], [3.0, 1.0]]);
        assert!(ring_area(&corners) > 0.0);
    }

    #[test]
    fn a_projection_takes_the_first_of_equal_segments() {
        let line = Polyline::new(vec![[0.0, 0.0], [2.0, 0.0], [2.0, 2.0], [0.0, 2.0]]);
        let seen = line.project([1.0, 1.0]).unwrap();
        assert_eq!((seen.segment, seen.progress, seen.distance), (0, 1.0, 1.0));
        assert_eq!(line.project([9.0, 3.0]).unwrap().progress, 4.0);
        assert_eq!((line.length(), line.at(3.0), line.at(99.0)), (6.0, Some([2.0, 1.0]), Some([0.0, 2.0])));
        assert_eq!(Polyline::new(vec![[1.0, 1.0]]).project([0.0, 0.0]), None);
    }

    proptest! {
        #[test]
        fn the_fast_box_test_is_the_ring_test(a in any_box(), b in any_box(), c in lattice_box(), d in lattice_box()) {
            for (a, b) in [(a.corners(), b.corners()), (c.corners(), d.corners())] {
                prop_assert_eq!(convex_intersect(&a, &b), rings_intersect(&a, &b));
                prop_assert_eq!(convex_intersect(&a, &b), convex_intersect(&b, &a));
                prop_assert_eq!(quad_intersects_ring(&a, &b), rings_intersect(&b, &a));
            }
        }

        #[test]
        fn what_a_box_strictly_contains_lies_within_half_its_sides(b in any_box(), x in -6.0..6.0f64, y in -6.0..6.0f64) {
            let local = crate::Pose::new(x, y, 0.0).into_frame(crate::Pose::new(b.center[0], b.center[1], b.heading));
            let (dx, dy) = (local.x.abs() - 0.5 * b.length, local.y.abs() - 0.5 * b.width);
            prop_assume!(dx.abs() > 1e-9 && dy.abs() > 1e-9);
            prop_assert_eq!(b.contains([x, y]), dx < 0.0 && dy < 0.0);
        }
    }
}
