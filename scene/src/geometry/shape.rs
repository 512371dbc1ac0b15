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
        if self.intersects(other) { 0.0 } else { self.nearest(other).map_or(f64::INFINITY, |n| n.distance) }
    }

    /// The same, measured between the nearest points after they were rounded to doubles, as `nearest_points` of GEOS
    /// does it: with world coordinates of 1e6 m that moves the tenth decimal, and traffic that is compared with the
    /// reference has to move alike.
    pub fn rounded_distance(&self, other: &Shape) -> f64 {
        if self.intersects(other) { 0.0 } else { self.nearest(other).map_or(f64::INFINITY, |n| n.rounded()) }
    }

    /// The nearest pair of edges: the first one at the smallest distance.
    fn nearest(&self, other: &Shape) -> Option<Nearest> {
        let mut best: Option<Nearest> = None;
        for a in &self.outlines {
            for b in &other.outlines {
                for (p, q) in edges(a) {
                    for (r, s) in edges(b) {
                        let distance = segment_distance(p, q, r, s);
                        if best.as_ref().is_none_or(|n| distance < n.distance) {
                            best = Some(Nearest { distance, own: (p, q), other: (r, s) });
                        }
                    }
                }
            }
        }
        best
    }
}

/// Two edges that do not meet, and how far apart they are.
struct Nearest {
    distance: f64,
    own: (Point, Point),
    other: (Point, Point),
}

impl Nearest {
    fn rounded(&self) -> f64 {
        let to_other = [self.other.0, self.other.1].map(|p| apart(p, closest_point(p, self.own)));
        let to_own = [self.own.0, self.own.1].map(|p| apart(p, closest_point(p, self.other)));
        to_other.into_iter().chain(to_own).fold(f64::INFINITY, f64::min)
    }
}

fn apart(a: Point, b: Point) -> f64 {
    let (dx, dy) = (a[0] - b[0], a[1] - b[1]);
    (dx * dx + dy * dy).sqrt()
}

/// The point of a segment nearest to `p`, rounded to doubles.
fn closest_point(p: Point, (a, b): (Point, Point)) -> Point {
    let (dx, dy) = (b[0] - a[0], b[1] - a[1]);
    let r = ((p[0] - a[0]) * dx + (p[1] - a[1]) * dy) / (dx * dx + dy * dy);
    if r > 0.0 && r < 1.0 {
        [a[0] + r * dx, a[1] + r * dy]
    } else if apart(a, p) < apart(b, p) {
        a
    } else {
        b
    }
}

/// Metres between two segments that do not cross.
fn segment_distance(p: Point, q: Point, r: Point, s: Point) -> f64 {
    let ends = distance_to_segment(p, r, s).min(distance_to_segment(q, r, s));
    ends.min(distance_to_segment(r, p, q)).min(distance_to_segment(s, p, q))
}

fn edges(outline: &[Point]) -> impl Iterator<Item = (Point, Point)> + '_ {
    outline.iter().copied().zip(outline.iter().copied().cycle().skip(1))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn square(x: f64, y: f64, side: f64) -> Vec<Point> {
        vec![[x, y], [x, y + side], [x + side, y + side], [x + side, y]]
    }

    #[test]
    fn distances_of_unions() {
        let pair = Shape::new(vec![square(0.0, 0.0, 1.0), square(5.0, 0.0, 1.0)]);
        let other = Shape::new(vec![square(3.0, 0.0, 1.0)]);
        assert_eq!((pair.distance(&other), pair.rounded_distance(&other)), (1.0, 1.0));
        assert_eq!(pair.distance(&Shape::new(vec![square(9.0, 4.0, 1.0)])), 18f64.sqrt());
        assert_eq!(pair.distance(&Shape::new(vec![square(1.0, 1.0, 1.0)])), 0.0, "touching is no distance");
        assert_eq!(pair.distance(&Shape::new(vec![])), f64::INFINITY);
    }

    #[test]
    fn a_shape_inside_another_meets_it() {
        let big = Shape::new(vec![square(0.0, 0.0, 10.0)]);
        let small = Shape::new(vec![square(4.0, 4.0, 1.0)]);
        assert!(big.intersects(&small) && small.intersects(&big));
        assert!(big.covers([10.0, 3.0]) && !big.covers([10.1, 3.0]));
    }
}
