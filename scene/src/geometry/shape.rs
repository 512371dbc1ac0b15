//! Unions of outlines: do they touch, how far apart are they.

use super::{Aabb, Point, distance_to_segment, orient, segments_intersect};

/// The union of regions, each where the winding number of a closed outline is not zero.
#[derive(Debug, Clone, PartialEq)]
pub struct Shape {
    outlines: Vec<Vec<Point>>,
    bounds: Aabb,
}

impl Shape {
    /// From closed outlines whose first vertex is not repeated; empty ones are dropped.
    pub fn new(mut outlines: Vec<Vec<Point>>) -> Shape {
        outlines.retain(|o| !o.is_empty());
        let bounds = outlines.iter().flatten().fold(Aabb::EMPTY, |mut all, &p| {
            all.add(p);
            all
        });
        Shape { outlines, bounds }
    }

    /// The bounding box of all outlines.
    pub fn bounds(&self) -> &Aabb {
        &self.bounds
    }

    /// The outlines.
    pub fn outlines(&self) -> &[Vec<Point>] {
        &self.outlines
    }

    /// Whether a point lies inside or on an outline.
    pub fn covers(&self, p: Point) -> bool {
        self.bounds.holds(p) && self.outlines.iter().any(|o| covers(o, p))
    }

    /// Whether the closed shapes share a point.
    pub fn intersects(&self, other: &Shape) -> bool {
        self.bounds.meets(&other.bounds)
            && self.outlines.iter().any(|a| other.outlines.iter().any(|b| outlines_meet(a, b)))
    }

    /// Metres between the closed shapes, 0 when they share a point, infinite when one is empty.
    pub fn distance(&self, other: &Shape) -> f64 {
        if self.intersects(other) {
            return 0.0;
        }
        let mut least = f64::INFINITY;
        for a in &self.outlines {
            for b in &other.outlines {
                least = least.min(vertex_distance(a, b)).min(vertex_distance(b, a));
            }
        }
        least
    }
}

fn edges(outline: &[Point]) -> impl Iterator<Item = (Point, Point)> + '_ {
    outline.iter().copied().zip(outline.iter().copied().cycle().skip(1))
}

/// Metres from the vertices of `a` to the edges of `b`.
fn vertex_distance(a: &[Point], b: &[Point]) -> f64 {
    edges(b).fold(f64::INFINITY, |least, (p, q)| a.iter().fold(least, |l, &v| l.min(distance_to_segment(v, p, q))))
}

fn outlines_meet(a: &[Point], b: &[Point]) -> bool {
    let (Some(&a0), Some(&b0)) = (a.first(), b.first()) else { return false };
    if covers(a, b0) || covers(b, a0) {
        return true;
    }
    let reach = Aabb::of(b);
    edges(a)
        .filter(|&(p, q)| Aabb::of(&[p, q]).meets(&reach))
        .any(|(p, q)| edges(b).any(|(r, s)| segments_intersect(p, q, r, s)))
}

/// Whether the winding number around `p` is not zero, or `p` lies on the outline.
fn covers(outline: &[Point], p: Point) -> bool {
    let mut winding = 0;
    for (a, b) in edges(outline) {
        let (up, down) = (a[1] <= p[1] && b[1] > p[1], a[1] > p[1] && b[1] <= p[1]);
        let level = a[1] == p[1] && b[1] == p[1];
        if level && p[0] >= a[0].min(b[0]) && p[0] <= a[0].max(b[0]) {
            return true;
        }
        if up || down {
            let side = orient(a, b, p);
            if side == 0.0 {
                return true;
            }
            winding += i32::from(up && side > 0.0) - i32::from(down && side < 0.0);
        } else if a == p || b == p {
            return true;
        }
    }
    winding != 0
}
