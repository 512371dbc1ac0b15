//! Plane geometry of the importers, in f64: polylines, the nearest point on them, middles, quadrilaterals.

use crate::scenario::{Point, Turn};

/// A point or vector, metres.
pub(super) type P = [f64; 2];

pub(super) fn sub(a: P, b: P) -> P {
    [a[0] - b[0], a[1] - b[1]]
}

pub(super) fn along(a: P, direction: P, metres: f64) -> P {
    [a[0] + direction[0] * metres, a[1] + direction[1] * metres]
}

pub(super) fn mix(a: P, b: P, t: f64) -> P {
    [a[0] + (b[0] - a[0]) * t, a[1] + (b[1] - a[1]) * t]
}

pub(super) fn dot(a: P, b: P) -> f64 {
    a[0] * b[0] + a[1] * b[1]
}

/// Positive where `b` points to the left of `a`.
pub(super) fn cross(a: P, b: P) -> f64 {
    a[0] * b[1] - a[1] * b[0]
}

pub(super) fn left_of(direction: P) -> P {
    [-direction[1], direction[0]]
}

pub(super) fn distance(a: P, b: P) -> f64 {
    let d = sub(a, b);
    dot(d, d).sqrt()
}

pub(super) fn distance32(a: Point, b: Point) -> f32 {
    let (dx, dy) = (a[0] - b[0], a[1] - b[1]);
    (dx * dx + dy * dy).sqrt()
}

/// Unit vector from `a` to `b`; +x where they coincide.
pub(super) fn direction(a: P, b: P) -> P {
    let (d, length) = (sub(b, a), distance(a, b));
    if length > 1e-9 { [d[0] / length, d[1] / length] } else { [1.0, 0.0] }
}

/// Radians, from the simulator's own function: the standard library's differs between platforms.
pub(super) fn heading(direction: P) -> f64 {
    f64::from(crate::math::atan2(direction[1] as f32, direction[0] as f32))
}

/// Cosine and sine by their series, which is the same on every platform; to 1e-15 for angles within a few turns.
pub(super) fn unit(heading: f64) -> P {
    use std::f64::consts::{FRAC_PI_2, TAU};
    let turned = heading - TAU * (heading / TAU).round();
    let quarter = (turned / FRAC_PI_2).round();
    let x = turned - quarter * FRAC_PI_2;
    let (mut cos, mut sin, mut term) = (0.0, 0.0, 1.0);
    for k in 0..18 {
        let signed = if k & 2 == 0 { term } else { -term };
        if k & 1 == 0 {
            cos += signed
        } else {
            sin += signed
        }
        term *= x / f64::from(k + 1);
    }
    match quarter as i32 {
        1 => [-sin, cos],
        2 | -2 => [-cos, -sin],
        -1 => [sin, -cos],
        _ => [cos, sin],
    }
}

pub(super) fn wide(p: Point) -> P {
    [f64::from(p[0]), f64::from(p[1])]
}

pub(super) fn narrow(p: P) -> Point {
    [p[0] as f32, p[1] as f32]
}

pub(super) fn narrow_all(points: &[P]) -> Vec<Point> {
    points.iter().map(|&p| narrow(p)).collect()
}

pub(super) fn length(points: &[P]) -> f64 {
    points.windows(2).map(|w| distance(w[0], w[1])).sum()
}

/// Drops points within 5 cm of the one before; the last point stays.
pub(super) fn thin(points: &[P]) -> Vec<P> {
    let mut out: Vec<P> = Vec::with_capacity(points.len());
    for &p in points {
        if out.last().is_none_or(|&q| distance(p, q) > 0.05) {
            out.push(p);
        }
    }
    if let (Some(&last), true) = (points.last(), out.len() > 1)
        && let Some(kept) = out.last_mut()
    {
        *kept = last;
    }
    out
}

/// Point and direction at the arc length `s` (clamped). `points` is not empty.
pub(super) fn at(points: &[P], s: f64) -> (P, P) {
    let mut rest = s.max(0.0);
    for w in points.windows(2) {
        let step = distance(w[0], w[1]);
        if rest <= step && step > 1e-9 {
            return (mix(w[0], w[1], rest / step), direction(w[0], w[1]));
        }
        rest -= step;
    }
    match points {
        [.., a, b] => (*b, direction(*a, *b)),
        [a] => (*a, [1.0, 0.0]),
        [] => ([0.0; 2], [1.0, 0.0]),
    }
}

/// `count` points at equal distances along a polyline, both ends included; `count` is at least 2.
pub(super) fn resample(points: &[P], count: usize) -> Vec<P> {
    let mut s = Vec::with_capacity(points.len());
    let mut total = 0.0;
    for (i, &p) in points.iter().enumerate() {
        if i > 0 {
            total += distance(p, points[i - 1]);
        }
        s.push(total);
    }
    let mut k = 0;
    (0..count)
        .map(|i| {
            let want = total * i as f64 / (count - 1) as f64;
            while k + 2 < points.len() && s[k + 1] < want {
                k += 1;
            }
            match points.get(k + 1) {
                Some(&b) if s[k + 1] > s[k] => mix(points[k], b, ((want - s[k]) / (s[k + 1] - s[k])).clamp(0.0, 1.0)),
                _ => points[k],
            }
        })
        .collect()
}

/// Centre line and median width of the strip between two bounds, whose points need not correspond.
pub(super) fn centre(left: &[P], right: &[P]) -> (Vec<P>, f64) {
    let paired = left.len() == right.len();
    let (left, right) = if paired {
        (left.to_vec(), right.to_vec())
    } else {
        let metres = length(left).max(length(right));
        let count = ((metres / 2.0).ceil() as usize + 1).clamp(2, 2_000).max(left.len().max(right.len()));
        (resample(left, count), resample(right, count))
    };
    let mut widths: Vec<f64> = left.iter().zip(&right).map(|(&l, &r)| distance(l, r)).collect();
    widths.sort_by(f64::total_cmp);
    let middle: Vec<P> = left.iter().zip(&right).map(|(&l, &r)| mix(l, r, 0.5)).collect();
    (thin(&middle), widths.get(widths.len() / 2).copied().unwrap_or(0.0))
}

/// Where a point lies beside a polyline.
#[derive(Debug, Clone, Copy)]
pub(super) struct Nearest {
    /// Arc length of the nearest point.
    pub s: f64,
    /// Metres to it.
    pub distance: f64,
    /// Positive where the point lies to the left.
    pub lateral: f64,
    /// Of the polyline there.
    pub direction: P,
}

/// The nearest place on a polyline of at least one point.
pub(super) fn nearest(points: &[P], p: P) -> Nearest {
    let first = points.first().copied().unwrap_or_default();
    let mut best = Nearest { s: 0.0, distance: distance(first, p), lateral: 0.0, direction: [1.0, 0.0] };
    let mut s = 0.0;
    for w in points.windows(2) {
        let d = sub(w[1], w[0]);
        let step = distance(w[0], w[1]);
        let t = if step > 1e-9 { (dot(sub(p, w[0]), d) / (step * step)).clamp(0.0, 1.0) } else { 0.0 };
        let apart = distance(mix(w[0], w[1], t), p);
        if apart <= best.distance {
            let direction = direction(w[0], w[1]);
            best = Nearest { s: s + step * t, distance: apart, lateral: cross(direction, sub(p, w[0])), direction };
        }
        s += step;
    }
    best
}

/// Directions at both ends of a polyline of at least 2 points, over a metre or so.
pub(super) fn ends(points: &[P]) -> (P, P) {
    let total = length(points);
    let reach = (total / 2.0).min(1.0);
    let first = direction(at(points, 0.0).0, at(points, reach).0);
    (first, direction(at(points, total - reach).0, at(points, total).0))
}

/// How a connector turns: by more than 25 degrees to one side, or not.
pub(super) fn turn(points: &[P]) -> Turn {
    let (a, b) = ends(points);
    // sin 25 degrees, and anything past a right angle.
    let (sin, cos) = (cross(a, b), dot(a, b));
    match sin {
        _ if cos > 0.0 && sin.abs() < 0.4226 => Turn::Straight,
        s if s > 0.0 => Turn::Left,
        _ => Turn::Right,
    }
}

/// Whether two segments cross.
pub(super) fn crosses(a: P, b: P, c: P, d: P) -> bool {
    let side = |p: P, q: P, r: P| cross(sub(q, p), sub(r, p));
    side(a, b, c) * side(a, b, d) < 0.0 && side(c, d, a) * side(c, d, b) < 0.0
}

/// A polygon as a convex quadrilateral: itself, or the smallest rectangle around it; none where it has no area.
pub(super) fn quad(points: &[P]) -> Option<Vec<P>> {
    let mut ring = thin(points);
    while ring.len() > 1 && distance(ring[0], ring[ring.len() - 1]) < 0.1 {
        ring.pop();
    }
    if ring.len() == 4 {
        let turns = (0..4).map(|i| cross(sub(ring[(i + 1) % 4], ring[i]), sub(ring[(i + 2) % 4], ring[(i + 1) % 4])));
        let turns: Vec<f64> = turns.collect();
        if turns.iter().all(|&t| t > 1e-6) || turns.iter().all(|&t| t < -1e-6) {
            return Some(ring);
        }
    }
    let mut best: Option<(f64, Vec<P>)> = None;
    for i in 0..ring.len().min(200) {
        let x = direction(ring[i], ring[(i + 1) % ring.len()]);
        let y = left_of(x);
        let bounds = |axis: P| {
            let values = ring.iter().map(|&p| dot(p, axis));
            values.fold((f64::INFINITY, f64::NEG_INFINITY), |(lo, hi), v| (lo.min(v), hi.max(v)))
        };
        let ((x0, x1), (y0, y1)) = (bounds(x), bounds(y));
        let area = (x1 - x0) * (y1 - y0);
        if area > 0.01 && best.as_ref().is_none_or(|(a, _)| area < *a) {
            let corner = |u: f64, v: f64| [x[0] * u + y[0] * v, x[1] * u + y[1] * v];
            best = Some((area, vec![corner(x0, y0), corner(x1, y0), corner(x1, y1), corner(x0, y1)]));
        }
    }
    best.map(|(_, q)| q)
}

/// Whole metres to subtract so that coordinates fit f32: their mean.
pub(super) fn mean(points: impl IntoIterator<Item = P>) -> P {
    let (mut sum, mut n) = ([0.0; 2], 0.0_f64);
    for p in points {
        sum = [sum[0] + p[0], sum[1] + p[1]];
        n += 1.0;
    }
    [sum[0] / n.max(1.0), sum[1] / n.max(1.0)]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn nearest_knows_left_from_right() {
        let line = [[0.0, 0.0], [10.0, 0.0], [10.0, 10.0]];
        let n = nearest(&line, [4.0, 1.5]);
        assert!((n.s - 4.0).abs() < 1e-9 && (n.lateral - 1.5).abs() < 1e-9);
        let n = nearest(&line, [12.0, 5.0]);
        assert!((n.s - 15.0).abs() < 1e-9 && (n.lateral + 2.0).abs() < 1e-9);
    }

    #[test]
    fn centre_of_bounds_with_different_points() {
        let left = [[0.0, 2.0], [10.0, 2.0]];
        let right = [[0.0, -2.0], [3.0, -2.0], [10.0, -2.0]];
        let (middle, width) = centre(&left, &right);
        assert!((width - 4.0).abs() < 1e-9);
        assert_eq!((middle[0], *middle.last().unwrap()), ([0.0, 0.0], [10.0, 0.0]));
    }

    #[test]
    fn unit_is_cosine_and_sine() {
        for i in -200..200 {
            let angle = f64::from(i) * 0.1;
            let [cos, sin] = unit(angle);
            assert!((cos - angle.cos()).abs() < 1e-14 && (sin - angle.sin()).abs() < 1e-14, "{angle}");
        }
    }

    #[test]
    fn turns_and_u_turns() {
        assert_eq!(turn(&[[0.0, 0.0], [5.0, 0.0], [10.0, 1.0]]), Turn::Straight);
        assert_eq!(turn(&[[0.0, 0.0], [5.0, 0.0], [5.0, 5.0]]), Turn::Left);
        assert_eq!(turn(&[[0.0, 0.0], [5.0, 0.0], [5.0, -5.0]]), Turn::Right);
        assert_eq!(turn(&[[0.0, 0.0], [5.0, 0.0], [5.0, 4.0], [0.0, 4.1]]), Turn::Left);
    }

    #[test]
    fn quad_keeps_four_corners_and_boxes_the_rest() {
        let four = [[0.0, 0.0], [4.0, 0.0], [5.0, 2.0], [0.0, 2.0], [0.0, 0.0]];
        assert_eq!(quad(&four).unwrap().len(), 4);
        let five = [[0.0, 0.0], [4.0, 0.0], [4.0, 2.0], [2.0, 2.0], [0.0, 2.0]];
        let boxed = quad(&five).unwrap();
        assert!(boxed.iter().all(|p| (p[0] == 0.0 || p[0] == 4.0) && (p[1] == 0.0 || p[1] == 2.0)), "{boxed:?}");
        assert_eq!(quad(&[[0.0, 0.0], [1.0, 0.0]]), None);
    }

    #[test]
    fn resampling_keeps_the_ends() {
        let line = [[0.0, 0.0], [1.0, 0.0], [1.0, 0.0], [4.0, 0.0]];
        assert_eq!(resample(&line, 5), vec![[0.0, 0.0], [1.0, 0.0], [2.0, 0.0], [3.0, 0.0], [4.0, 0.0]]);
    }
}
