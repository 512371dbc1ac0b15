//! Areas of simple polygons: centroids and overlaps.

use super::{Point, ring_area};

/// The centre of mass of a simple polygon, as GEOS weighs it; the mean vertex when the area is zero, `None` without vertices.
pub fn centroid(ring: &[Point]) -> Option<Point> {
    let &base = ring.first()?;
    let (mut sum, mut weight) = ([0.0; 2], 0.0);
    for (a, b) in ring.iter().zip(ring.iter().cycle().skip(1)) {
        let twice = (a[0] - base[0]) * (b[1] - base[1]) - (b[0] - base[0]) * (a[1] - base[1]);
        for i in [0, 1] {
            sum[i] += twice * ((a[i] - base[i]) + (b[i] - base[i]));
        }
        weight += twice;
    }
    if weight.abs() > 0.0 {
        return Some([0, 1].map(|i| base[i] + sum[i] / 3.0 / weight));
    }
    let n = ring.len() as f64;
    Some([0, 1].map(|i| base[i] + ring.iter().map(|p| p[i] - base[i]).sum::<f64>() / n))
}

/// Square metres shared by two simple polygons: both are fans of signed triangles, and triangles are clipped pair by
/// pair.
pub fn overlap_area(a: &[Point], b: &[Point]) -> f64 {
    let Some(&origin) = a.first() else { return 0.0 };
    let relative = |ring: &[Point]| ring.iter().map(|p| [p[0] - origin[0], p[1] - origin[1]]).collect::<Vec<Point>>();
    let (a, b) = (relative(a), relative(b));
    let sum: f64 = fan(&a).map(|s| fan(&b).map(|t| signed_overlap(&s, &t)).sum::<f64>()).sum();
    (sum * ring_area(&a).signum() * ring_area(&b).signum()).max(0.0)
}

fn fan(ring: &[Point]) -> impl Iterator<Item = [Point; 3]> + '_ {
    ring.windows(2).skip(1).map(|pair| [ring[0], pair[0], pair[1]])
}

fn signed_overlap(s: &[Point; 3], t: &[Point; 3]) -> f64 {
    let (area_s, area_t) = (ring_area(s), ring_area(t));
    if area_s == 0.0 || area_t == 0.0 {
        return 0.0;
    }
    let ccw = |t: &[Point; 3], area: f64| if area > 0.0 { *t } else { [t[0], t[2], t[1]] };
    let mut piece = ccw(s, area_s).to_vec();
    let clip = ccw(t, area_t);
    for i in 0..3 {
        piece = keep_left(&piece, clip[i], clip[(i + 1) % 3]);
    }
    ring_area(&piece) * area_s.signum() * area_t.signum()
}

/// The part of a convex polygon to the left of the line `a -> b`.
fn keep_left(polygon: &[Point], a: Point, b: Point) -> Vec<Point> {
    let side = |p: Point| (b[0] - a[0]) * (p[1] - a[1]) - (b[1] - a[1]) * (p[0] - a[0]);
    let mut kept = Vec::with_capacity(polygon.len() + 1);
    for (&p, &q) in polygon.iter().zip(polygon.iter().cycle().skip(1)) {
        let (sp, sq) = (side(p), side(q));
        if sp >= 0.0 {
            kept.push(p);
        }
        if (sp > 0.0 && sq < 0.0) || (sp < 0.0 && sq > 0.0) {
            let t = sp / (sp - sq);
            kept.push([p[0] + t * (q[0] - p[0]), p[1] + t * (q[1] - p[1])]);
        }
    }
    kept
}
