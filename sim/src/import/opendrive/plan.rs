//! The reference line: lines, arcs, clothoids, cubic polynomials.
//!
//! ASAM OpenDRIVE 1.7, chapter 7. A clothoid is integrated numerically (5-point Gauss–Legendre over pieces of half a radian).

use crate::import::ImportError;
use crate::import::geometry::{P, along, left_of, sub, unit};
use crate::import::xml::{attribute_number, attribute_or, child, children, need, place};
use roxmltree::Node;

/// Most pieces of a reference line.
const MAX_PIECES: usize = 20_000;
/// Tightest curve, 1/m.
const MAX_CURVATURE: f64 = 10.0;

/// `a + b x + c x² + d x³` from `s` on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cubic {
    pub s: f64,
    pub c: [f64; 4],
}

impl Cubic {
    fn at(c: &[f64; 4], x: f64) -> f64 {
        c[0] + x * (c[1] + x * (c[2] + x * c[3]))
    }

    fn slope(c: &[f64; 4], x: f64) -> f64 {
        c[1] + x * (2.0 * c[2] + x * 3.0 * c[3])
    }

    /// Coefficients `a` to `d` of an element; `name` is the attribute of the start.
    pub(super) fn read(node: Node, name: &str) -> Result<Cubic, ImportError> {
        Ok(Cubic { s: attribute_number(node, name)?, c: coefficients(node, "")? })
    }
}

/// The value at `s` of cubics sorted by their start; 0 before the first.
pub(super) fn piecewise(cubics: &[Cubic], s: f64) -> f64 {
    let k = cubics.partition_point(|c| c.s <= s + 1e-9);
    // What lies before the first record follows it all the same: some files start at 1e-8.
    match cubics.get(k.saturating_sub(1)) {
        Some(cubic) => Cubic::at(&cubic.c, (s - cubic.s).max(0.0)),
        None => 0.0,
    }
}

fn coefficients(node: Node, suffix: &str) -> Result<[f64; 4], ImportError> {
    let mut c = [0.0; 4];
    for (value, letter) in c.iter_mut().zip(["a", "b", "c", "d"]) {
        *value = attribute_number(node, &format!("{letter}{suffix}"))?;
    }
    Ok(c)
}

/// A reference line.
#[derive(Debug)]
pub(super) struct Plan {
    pieces: Vec<Piece>,
}

#[derive(Debug)]
struct Piece {
    s: f64,
    start: P,
    heading: f64,
    length: f64,
    shape: Shape,
}

#[derive(Debug)]
enum Shape {
    Arc(f64),
    Spiral(f64, f64),
    Poly([f64; 4]),
    /// Along, across, and what the parameter reaches at the end.
    Param([f64; 4], [f64; 4], f64),
}

impl Plan {
    /// Reads `<planView>`.
    pub(super) fn read(node: Node, origin: P) -> Result<Plan, ImportError> {
        let mut pieces = Vec::new();
        for g in children(node, "geometry") {
            let start = sub([attribute_number(g, "x")?, attribute_number(g, "y")?], origin);
            let (s, heading) = (attribute_number(g, "s")?, attribute_number(g, "hdg")?);
            let length = attribute_number(g, "length")?;
            if !(0.0..=1e6).contains(&length) || !(0.0..=1e6).contains(&s) || heading.abs() > 1e4 {
                let value = format!("s {s}, hdg {heading}, length {length}");
                return Err(ImportError::value(place(g), value, "s and length from 0 to 1e6 m, hdg within 1e4 rad"));
            }
            pieces.push(Piece { s, start, heading, length, shape: Shape::read(g, length)? });
        }
        if pieces.is_empty() || pieces.len() > MAX_PIECES {
            let at = format!("{}.geometry", place(node));
            return Err(ImportError::Count { at, count: pieces.len(), min: 1, max: MAX_PIECES });
        }
        pieces.sort_by(|a, b| a.s.total_cmp(&b.s));
        Ok(Plan { pieces })
    }

    /// Point and direction at `s`.
    pub(super) fn at(&self, s: f64) -> (P, P) {
        let k = self.pieces.partition_point(|p| p.s <= s + 1e-9);
        let piece = &self.pieces[k.saturating_sub(1)];
        let ([u, v], heading) = piece.shape.local((s - piece.s).clamp(0.0, piece.length), piece.length);
        let axis = unit(piece.heading);
        (along(along(piece.start, axis, u), left_of(axis), v), unit(piece.heading + heading))
    }

    /// The point `t` metres to the left of the line at `s`.
    pub(super) fn beside(&self, s: f64, t: f64) -> P {
        let (p, d) = self.at(s);
        along(p, left_of(d), t)
    }
}

impl Shape {
    fn read(g: Node, length: f64) -> Result<Shape, ImportError> {
        let bounded = |node: Node, name: &str| {
            let k = attribute_number(node, name)?;
            if k.abs() > MAX_CURVATURE {
                return Err(ImportError::value(
                    format!("{}.{name}", place(node)),
                    k,
                    format!("within {MAX_CURVATURE} 1/m"),
                ));
            }
            Ok(k)
        };
        if child(g, "line").is_some() {
            return Ok(Shape::Arc(0.0));
        }
        if let Some(arc) = child(g, "arc") {
            return Ok(Shape::Arc(bounded(arc, "curvature")?));
        }
        if let Some(spiral) = child(g, "spiral") {
            return Ok(Shape::Spiral(bounded(spiral, "curvStart")?, bounded(spiral, "curvEnd")?));
        }
        if let Some(poly) = child(g, "poly3") {
            return Ok(Shape::Poly(coefficients(poly, "")?));
        }
        let Some(param) = child(g, "paramPoly3") else {
            return Err(need(g, "line, arc, spiral, poly3 or paramPoly3")
                .err()
                .unwrap_or(ImportError::missing(place(g))));
        };
        let end = if param.attribute("pRange") == Some("arcLength") { length } else { 1.0 };
        let end = attribute_or(param, "pEnd", end)?;
        Ok(Shape::Param(coefficients(param, "U")?, coefficients(param, "V")?, end))
    }

    /// Place in the piece's own axes `ds` metres after its start, and the heading there.
    fn local(&self, ds: f64, length: f64) -> (P, f64) {
        match self {
            Shape::Arc(k) if k.abs() < 1e-9 => ([ds, 0.0], 0.0),
            Shape::Arc(k) => {
                let [cos, sin] = unit(k * ds);
                ([sin / k, (1.0 - cos) / k], k * ds)
            }
            Shape::Spiral(k0, k1) => {
                let rate = if length > 1e-9 { (k1 - k0) / length } else { 0.0 };
                let heading = |x: f64| x * (k0 + 0.5 * rate * x);
                (clothoid(heading, ds, k0.abs().max(k1.abs())), heading(ds))
            }
            Shape::Poly(c) => {
                let u = along_poly(c, ds);
                ([u, Cubic::at(c, u)], slope_heading(1.0, Cubic::slope(c, u)))
            }
            Shape::Param(u, v, end) => {
                let p = if length > 1e-9 { ds / length * end } else { 0.0 };
                ([Cubic::at(u, p), Cubic::at(v, p)], slope_heading(Cubic::slope(u, p), Cubic::slope(v, p)))
            }
        }
    }
}

fn slope_heading(du: f64, dv: f64) -> f64 {
    crate::import::geometry::heading([du, dv])
}

/// The integral of a direction over `ds` metres.
fn clothoid(heading: impl Fn(f64) -> f64, ds: f64, curvature: f64) -> P {
    const NODES: [(f64, f64); 5] = [
        (0.0, 0.568_888_888_888_888_9),
        (0.538_469_310_105_683_1, 0.478_628_670_499_366_47),
        (-0.538_469_310_105_683_1, 0.478_628_670_499_366_47),
        (0.906_179_845_938_664, 0.236_926_885_056_189_08),
        (-0.906_179_845_938_664, 0.236_926_885_056_189_08),
    ];
    let pieces = ((ds * curvature / 0.5).ceil() as usize).clamp(1, 1_000);
    let half = ds / pieces as f64 / 2.0;
    let mut sum = [0.0; 2];
    for k in 0..pieces {
        let middle = half * (2 * k + 1) as f64;
        for (node, weight) in NODES {
            sum = along(sum, unit(heading(middle + half * node)), weight * half);
        }
    }
    sum
}

/// The `u` at which a polynomial's curve is `ds` metres long, by midpoint steps.
fn along_poly(c: &[f64; 4], ds: f64) -> f64 {
    let steps = (ds.ceil() as usize).clamp(1, 2_000);
    let step = ds / steps as f64;
    let rate = |u: f64| 1.0 / (1.0 + Cubic::slope(c, u) * Cubic::slope(c, u)).sqrt();
    (0..steps).fold(0.0, |u, _| u + step * rate(u + 0.5 * step * rate(u)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_clothoid_of_constant_curvature_is_an_arc() {
        let spiral = Shape::Spiral(0.02, 0.02).local(60.0, 60.0);
        let arc = Shape::Arc(0.02).local(60.0, 60.0);
        assert!((spiral.0[0] - arc.0[0]).abs() < 1e-9 && (spiral.0[1] - arc.0[1]).abs() < 1e-9, "{spiral:?} {arc:?}");
    }

    #[test]
    fn the_unit_clothoid_ends_where_fresnel_says() {
        // Heading x²/2 from 0 to sqrt(pi): sqrt(pi) times C(1) = 0.7798934 and S(1) = 0.4382591.
        let end = std::f64::consts::PI.sqrt();
        let ([x, y], heading) = Shape::Spiral(0.0, end).local(end, end);
        assert!((x - end * 0.779_893_400_4).abs() < 1e-8 && (y - end * 0.438_259_147_4).abs() < 1e-8, "{x} {y}");
        assert!((heading - std::f64::consts::FRAC_PI_2).abs() < 1e-12);
    }

    #[test]
    fn a_straight_poly3_has_its_length() {
        let ([u, v], _) = Shape::Poly([0.0, 0.75, 0.0, 0.0]).local(10.0, 10.0);
        assert!((u - 8.0).abs() < 1e-9 && (v - 6.0).abs() < 1e-9, "{u} {v}");
    }
}
