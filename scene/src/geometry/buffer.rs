//! A line widened to a corridor, vertex by vertex as GEOS builds it (round joins, 16 segments per quadrant).
//!
//! The outline matters below a millimetre: before offsetting a side GEOS drops vertices of shallow concavities
//! (within 1 % of the distance of the chord and of the vertex before), which can turn the flat cap at the line's end. The curve returned here is the
//! raw offset curve: the corridor is where its winding number is not zero, and none of its points lies outside.

use super::{Point, distance_to_segment, orient};
use std::f64::consts::{FRAC_PI_2, TAU};

/// How a corridor ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cap {
    /// At the end points.
    Flat,
    /// Half a width beyond the end points.
    Square,
}

/// Radians per chord of a round join.
const FILLET: f64 = FRAC_PI_2 / 16.0;
/// Concavities shallower than this share of the distance are dropped.
const SHALLOW: f64 = 1.0 / 100.0;
/// Offset ends closer than this share of the distance become one vertex.
const SEPARATION: f64 = 1e-3;
/// Vertices closer than this share of the distance to the one before are dropped.
const VERTEX_SNAP: f64 = 1e-6;
/// How near to the offset ends the closing segment of a sharp inside turn stays.
const CLOSING: f64 = 80.0;
/// Vertices looked at when a run of vertices is tested for shallowness.
const SAMPLED: usize = 10;

/// The closed outline (first vertex not repeated) of everything within `distance` metres beside `line`. Empty when
/// the line has no vertices, when a point is widened with flat caps, or when `distance` is not positive.
pub fn buffer_line(line: &[Point], distance: f64, cap: Cap) -> Vec<Point> {
    let mut line = line.to_vec();
    line.dedup();
    if distance.is_nan() || distance <= 0.0 {
        return Vec::new();
    }
    let (first, last) = match (line.first(), line.last()) {
        (Some(&first), Some(&last)) if line.len() > 1 => (first, last),
        (Some(&only), _) if cap == Cap::Square => return square(only, distance),
        _ => return Vec::new(),
    };
    let mut curve = Curve { points: Vec::with_capacity(4 * line.len()), distance };
    let left = drop_shallow(&line, distance * SHALLOW, 1.0);
    curve.side(&left);
    curve.end(left[left.len() - 2], last, cap);
    let mut right = drop_shallow(&line, distance * SHALLOW, -1.0);
    right.reverse();
    curve.side(&right);
    curve.end(right[right.len() - 2], first, cap);
    curve.points
}

fn square(p: Point, d: f64) -> Vec<Point> {
    vec![[p[0] + d, p[1] + d], [p[0] + d, p[1] - d], [p[0] - d, p[1] - d], [p[0] - d, p[1] + d]]
}

struct Curve {
    points: Vec<Point>,
    distance: f64,
}

impl Curve {
    fn add(&mut self, p: Point) {
        if self.points.last().is_none_or(|&before| apart(p, before) >= self.distance * VERTEX_SNAP) {
            self.points.push(p);
        }
    }

    /// The offset to the left of a simplified line, from its first corner on.
    fn side(&mut self, line: &[Point]) {
        for corner in line.windows(3) {
            self.corner(corner[0], corner[1], corner[2]);
        }
        if let [.., a, b] = *line {
            let (_, end) = offset(a, b, self.distance);
            self.add(end);
        }
    }

    fn corner(&mut self, s0: Point, s1: Point, s2: Point) {
        let before = offset(s0, s1, self.distance);
        let after = offset(s1, s2, self.distance);
        let turn = orient(s0, s1, s2);
        if turn == 0.0 {
            let back = (s1[0] - s0[0]) * (s2[0] - s1[0]) + (s1[1] - s0[1]) * (s2[1] - s1[1]) < 0.0;
            if back {
                self.fillet(s1, before.1, after.0);
            }
        } else if turn < 0.0 {
            self.outside(s1, before.1, after.0);
        } else {
            self.inside(s1, before, after);
        }
    }

    fn outside(&mut self, center: Point, from: Point, to: Point) {
        self.add(from);
        if apart(from, to) >= self.distance * SEPARATION {
            self.fillet(center, from, to);
            self.add(to);
        }
    }

    fn inside(&mut self, center: Point, before: (Point, Point), after: (Point, Point)) {
        if let Some(crossing) = crossing(before, after) {
            self.add(crossing);
            return;
        }
        self.add(before.1);
        if apart(before.1, after.0) >= self.distance * SEPARATION {
            let near = |p: Point| [0, 1].map(|i| (CLOSING * p[i] + center[i]) / (CLOSING + 1.0));
            self.add(near(before.1));
            self.add(near(after.0));
            self.add(after.0);
        }
    }

    /// A clockwise arc.
    fn fillet(&mut self, center: Point, from: Point, to: Point) {
        let angle = |p: Point| (p[1] - center[1]).atan2(p[0] - center[0]);
        let (mut start, end) = (angle(from), angle(to));
        if start <= end {
            start += TAU;
        }
        self.add(from);
        let total = (start - end).abs();
        let chords = (total / FILLET + 0.5) as usize;
        for i in 0..chords {
            let (sin, cos) = (start - i as f64 * (total / chords as f64)).sin_cos();
            self.add([center[0] + self.distance * cos, center[1] + self.distance * sin]);
        }
        self.add(to);
    }

    fn end(&mut self, before: Point, end: Point, cap: Cap) {
        let (_, left) = offset(before, end, self.distance);
        let (_, right) = offset(before, end, -self.distance);
        let reach = match cap {
            Cap::Flat => [0.0, 0.0],
            Cap::Square => {
                let (sin, cos) = (end[1] - before[1]).atan2(end[0] - before[0]).sin_cos();
                [self.distance * cos, self.distance * sin]
            }
        };
        self.add([left[0] + reach[0], left[1] + reach[1]]);
        self.add([right[0] + reach[0], right[1] + reach[1]]);
    }
}

fn apart(a: Point, b: Point) -> f64 {
    let (dx, dy) = (a[0] - b[0], a[1] - b[1]);
    (dx * dx + dy * dy).sqrt()
}

/// The segment moved to its left by `distance`.
fn offset(a: Point, b: Point, distance: f64) -> (Point, Point) {
    let (dx, dy) = (b[0] - a[0], b[1] - a[1]);
    let length = (dx * dx + dy * dy).sqrt();
    let (ux, uy) = (distance * dx / length, distance * dy / length);
    ([a[0] - uy, a[1] + ux], [b[0] - uy, b[1] + ux])
}

/// Where two segments cross; `None` when they do not, or are parallel.
fn crossing((a, b): (Point, Point), (c, d): (Point, Point)) -> Option<Point> {
    if !super::segments_intersect(a, b, c, d) {
        return None;
    }
    let (rx, ry) = (b[0] - a[0], b[1] - a[1]);
    let (sx, sy) = (d[0] - c[0], d[1] - c[1]);
    let det = rx * sy - ry * sx;
    if det == 0.0 {
        return None;
    }
    let t = ((c[0] - a[0]) * sy - (c[1] - a[1]) * sx) / det;
    Some([a[0] + t * rx, a[1] + t * ry])
}

/// Drops vertices of concavities shallower than `tolerance` on one side (`turn` 1: where the line bends left, -1:
/// right), in passes until nothing changes. The first two vertices and the last one always stay.
fn drop_shallow(line: &[Point], tolerance: f64, turn: f64) -> Vec<Point> {
    let mut kept = vec![true; line.len()];
    let next = |kept: &[bool], i: usize| (i + 1..line.len()).find(|&j| kept[j]).unwrap_or(line.len());
    loop {
        let mut changed = false;
        let mut index = 1;
        let mut middle = next(&kept, index);
        let mut last = next(&kept, middle);
        while last < line.len() {
            let drop = is_shallow(line, index, middle, last, tolerance, turn);
            if drop {
                kept[middle] = false;
                changed = true;
            }
            index = if drop { last } else { middle };
            middle = next(&kept, index);
            last = next(&kept, middle);
        }
        if !changed {
            break;
        }
    }
    let mut left: Vec<Point> = line.iter().zip(kept).filter(|(_, kept)| *kept).map(|(&p, _)| p).collect();
    left.dedup();
    left
}

fn is_shallow(line: &[Point], i0: usize, i1: usize, i2: usize, tolerance: f64, turn: f64) -> bool {
    let (p0, p1, p2) = (line[i0], line[i1], line[i2]);
    if orient(p0, p1, p2) * turn <= 0.0 || distance_to_segment(p1, p0, p2) >= tolerance {
        return false;
    }
    // Samples are measured as in GEOS: the middle vertex against the segment from the first one to the sample. The
    // first sample is the first vertex itself, so only a middle vertex that near to it is ever dropped.
    let step = ((i2 - i0) / SAMPLED).max(1);
    (i0..i2).step_by(step).all(|i| distance_to_segment(p1, p0, line[i]) < tolerance)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::{Shape, ring_area};
    use proptest::prelude::*;

    #[test]
    fn caps_of_a_straight_line() {
        let line = [[0.0, 0.0], [4.0, 0.0], [10.0, 0.0]];
        let flat = buffer_line(&line, 1.0, Cap::Flat);
        assert_eq!(flat, [[10.0, 1.0], [10.0, -1.0], [0.0, -1.0], [0.0, 1.0]]);
        let square = ring_area(&buffer_line(&line, 1.0, Cap::Square));
        assert!((square + 24.0).abs() < 1e-12, "clockwise, half a width beyond each end: {square}");
        assert!(buffer_line(&[[1.0, 1.0], [1.0, 1.0]], 1.0, Cap::Flat).is_empty());
        assert_eq!(buffer_line(&[[1.0, 1.0]], 1.0, Cap::Square).len(), 4);
    }

    #[test]
    fn an_outside_corner_is_round_in_sixteen_chords() {
        let curve = buffer_line(&[[0.0, 0.0], [10.0, 0.0], [10.0, -10.0]], 1.0, Cap::Flat);
        let on_arc = curve.iter().filter(|p| p[0] >= 10.0 && p[1] >= 0.0).count();
        assert_eq!(on_arc, 17);
    }

    #[test]
    fn shallow_concavities_are_dropped_on_their_side_only() {
        // The third vertex lies 4 mm behind the second and to the right of its neighbours' chord: a left bend.
        let line = [[0.0, 0.0], [2.0, 0.0], [2.004, -0.001], [6.0, 0.0]];
        assert_eq!(drop_shallow(&line, 0.01, 1.0).len(), 3);
        assert_eq!(drop_shallow(&line, 0.01, -1.0).len(), 4);
        assert_eq!(drop_shallow(&line, 0.001, 1.0).len(), 4);
        let long = [[0.0, 0.0], [2.0, 0.0], [4.0, -0.004], [6.0, 0.0]];
        assert_eq!(drop_shallow(&long, 0.01, 1.0).len(), 4, "too far from the vertex before");
    }

    proptest! {
        #[test]
        fn a_corridor_holds_its_line_and_nothing_far(
            steps in prop::collection::vec((-0.3..0.3f64, 0.2..3.0f64), 2..30),
            width in 0.2..2.0f64,
        ) {
            let (mut heading, mut at) = (0.0f64, [3e5, 4e6]);
            let mut line = vec![at];
            for (turn, step) in steps {
                heading = (heading + turn).clamp(-1.0, 1.0);
                at = [at[0] + step * heading.cos(), at[1] + step * heading.sin()];
                line.push(at);
            }
            let curve = buffer_line(&line, width, Cap::Flat);
            let shape = Shape::new(vec![curve.clone()]);
            for pair in line.windows(2) {
                prop_assert!(shape.covers([0, 1].map(|i| 0.5 * (pair[0][i] + pair[1][i]))));
            }
            let thread = |p: Point| line.windows(2).map(|w| distance_to_segment(p, w[0], w[1])).fold(f64::INFINITY, f64::min);
            prop_assert!(curve.iter().all(|&p| thread(p) < width * 1.02 + 1e-6));
        }

        #[test]
        fn any_numbers_make_a_curve(
            line in prop::collection::vec(prop::array::uniform2(prop::num::f64::ANY), 0..8),
            distance in prop::num::f64::ANY,
        ) {
            buffer_line(&line, distance, Cap::Flat);
            buffer_line(&line, distance, Cap::Square);
        }
    }
}
