//! Anti-aliased coverage of filled contours.
//!
//! Each pixel row is cut into eight scanlines; on a scanline the spans inside (non-zero winding rule) count
//! with their exact horizontal extent. Contours are turned the same way round first, so that several of them
//! make a union and an overlap is painted once.

use super::canvas::Point;

const SCANLINES: usize = 8;
/// More corners than any picture here needs; bounds the work on hostile input.
const MAX_CORNERS: usize = 20_000;

struct Edge {
    top: f64,
    bottom: f64,
    x_at_top: f64,
    slope: f64, // dx per dy
    winding: i32,
}

/// Calls `emit(x, y, coverage)` with coverage in (0, 1] for every touched pixel of a `width` x `height` picture.
/// Contours with a coordinate that is not finite are left out.
pub fn coverage(contours: &[Vec<Point>], width: u32, height: u32, mut emit: impl FnMut(u32, u32, f32)) {
    let edges = edges(contours);
    let bounds = |pick: fn(&Edge) -> (f64, f64)| {
        let (low, high) = edges
            .iter()
            .map(pick)
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), (a, b)| (low.min(a), high.max(b)));
        (low.floor().max(0.0), high.ceil())
    };
    let (top, bottom) = bounds(|e| (e.top, e.bottom));
    let (left, right) = bounds(|e| {
        let end = e.x_at_top + (e.bottom - e.top) * e.slope;
        (e.x_at_top.min(end), e.x_at_top.max(end))
    });
    let (bottom, right) = (bottom.min(f64::from(height)), right.min(f64::from(width)));
    if !(top < bottom && left < right) {
        return;
    }
    let mut row = vec![0f32; (right - left) as usize];
    let mut crossings: Vec<(f64, i32)> = Vec::new();
    for y in top as u32..bottom as u32 {
        row.fill(0.0);
        let in_row: Vec<&Edge> = edges.iter().filter(|e| e.top < f64::from(y + 1) && e.bottom > f64::from(y)).collect();
        for sub in 0..SCANLINES {
            let scan = f64::from(y) + (sub as f64 + 0.5) / SCANLINES as f64;
            crossings.clear();
            let here = in_row.iter().filter(|e| e.top <= scan && scan < e.bottom);
            crossings.extend(here.map(|e| (e.x_at_top + (scan - e.top) * e.slope - left, e.winding)));
            crossings.sort_by(|a, b| a.0.total_cmp(&b.0));
            let mut winding = 0;
            for pair in crossings.windows(2) {
                winding += pair[0].1;
                if winding != 0 {
                    add_span(&mut row, pair[0].0, pair[1].0);
                }
            }
        }
        for (i, &sum) in row.iter().enumerate() {
            if sum > 0.0 {
                emit(left as u32 + i as u32, y, (sum / SCANLINES as f32).min(1.0));
            }
        }
    }
}

fn edges(contours: &[Vec<Point>]) -> Vec<Edge> {
    let mut edges = Vec::new();
    for contour in contours {
        if contour.len() < 3 || contour.iter().any(|p| !p.0.is_finite() || !p.1.is_finite()) {
            continue;
        }
        let corners: Vec<Point> =
            contour.iter().take(MAX_CORNERS).map(|p| (p.0.clamp(-1e6, 1e6), p.1.clamp(-1e6, 1e6))).collect();
        let next = |i: usize| corners[(i + 1) % corners.len()];
        let area: f64 = corners.iter().enumerate().map(|(i, p)| p.0 * next(i).1 - next(i).0 * p.1).sum();
        let turn = if area < 0.0 { -1 } else { 1 };
        for (i, &a) in corners.iter().enumerate() {
            let b = next(i);
            if a.1 == b.1 || edges.len() >= MAX_CORNERS {
                continue;
            }
            let (upper, lower, down) = if a.1 < b.1 { (a, b, 1) } else { (b, a, -1) };
            let slope = (lower.0 - upper.0) / (lower.1 - upper.1);
            edges.push(Edge { top: upper.1, bottom: lower.1, x_at_top: upper.0, slope, winding: turn * down });
        }
    }
    edges
}

fn add_span(row: &mut [f32], from: f64, to: f64) {
    let (from, to) = (from.max(0.0), to.min(row.len() as f64));
    if from >= to {
        return;
    }
    let (first, last) = (from as usize, (to as usize).min(row.len() - 1));
    if first == last {
        row[first] += (to - from) as f32;
        return;
    }
    row[first] += (first as f64 + 1.0 - from) as f32;
    row[last] += (to - last as f64) as f32;
    for cell in &mut row[first + 1..last] {
        *cell += 1.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn total(contours: &[Vec<Point>]) -> f32 {
        let mut sum = 0.0;
        coverage(contours, 20, 20, |x, y, c| {
            assert!(x < 20 && y < 20);
            sum += c;
        });
        sum
    }

    fn square(x: f64, y: f64, side: f64) -> Vec<Point> {
        vec![(x, y), (x + side, y), (x + side, y + side), (x, y + side)]
    }

    #[test]
    fn coverage_is_the_area() {
        assert!((total(&[square(2.25, 3.5, 4.5)]) - 20.25).abs() < 1e-3);
        assert!((total(&[vec![(1.0, 1.0), (11.0, 1.0), (1.0, 11.0)]]) - 50.0).abs() < 0.2);
    }

    #[test]
    fn overlap_counts_once_whichever_way_a_contour_turns() {
        let mut reversed = square(2.0, 2.0, 4.0);
        reversed.reverse();
        assert!((total(&[square(2.0, 2.0, 4.0), reversed]) - 16.0).abs() < 1e-3);
    }

    #[test]
    fn clipped_to_the_picture_and_deaf_to_nan() {
        assert!((total(&[square(-5.0, -5.0, 1e12)]) - 400.0).abs() < 1e-3);
        assert_eq!(total(&[vec![(f64::NAN, 1.0), (3.0, 1.0), (1.0, 9.0)]]), 0.0);
    }
}
