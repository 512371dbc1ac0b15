//! Where to be beside the route: a chain of smooth shifts, continuous with ego's place and direction now, and for drivers
//! who cut corners a way towards the inside of bends on top of it.

use crate::path::Path;
use std::sync::Arc;

/// One shift: from `start` to `end` metres along the route to `to` metres left of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shift {
    /// Metres.
    pub start: f32,
    /// Metres.
    pub end: f32,
    /// Metres to the left.
    pub to: f32,
}

/// A profile of lateral offsets along the route.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Lateral {
    /// Where ego is: metres along, metres to the left, and the change of the latter with the former.
    pub from: [f32; 3],
    /// Shifts in order; they do not overlap.
    pub shifts: Vec<Shift>,
    /// What is added to them in bends.
    pub cut: Cut,
}

/// Metres to the left at which corners are cut, one for each metre of the route; nowhere when it is empty.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Cut {
    from: f32,
    offset: Arc<[f32]>,
}

/// Curvature of bends that are cut in full, 1/m.
const BEND: f32 = 0.015;
/// Metres before and after a bend within which one goes over to its inside and back.
const OVER: i32 = 12;

impl Cut {
    /// Bends of the next `metres` from `s` on, `inside` metres to the left in those to the left and to the right in those
    /// to the right.
    pub fn corners(route: &Path, s: f32, metres: usize, [left, right]: [f32; 2]) -> Cut {
        if left == 0.0 && right == 0.0 {
            return Cut::default();
        }
        let from = s.floor() - 1.0;
        let sharp = |at: f32| {
            let bend = (route.kappa[route.index(at)] / BEND).clamp(-1.0, 1.0);
            bend * if bend > 0.0 { left } else { right }
        };
        // A triangle's mean has a slope without steps.
        let mean = |at: f32| {
            let weights = (1 - OVER..OVER).map(|k| (OVER - k.abs()) as f32 * sharp(at + k as f32));
            weights.sum::<f32>() / (OVER * OVER) as f32
        };
        Cut { from, offset: (0..metres + 2).map(|i| mean(from + i as f32)).collect() }
    }

    /// Metres to the left and slope at `s`.
    pub fn at(&self, s: f32) -> (f32, f32) {
        let place = (s - self.from).max(0.0);
        let i = place as usize;
        match self.offset.get(i..i + 2) {
            Some(&[a, b]) => (a + (place - i as f32) * (b - a), b - a),
            _ => (0.0, 0.0),
        }
    }
}

impl Lateral {
    /// Metres to the left and slope at `s`.
    pub fn at(&self, s: f32) -> (f32, f32) {
        let (shifted, slope) = self.shifted(s);
        let (cut, turned) = self.cut.at(s);
        (shifted + cut, slope + turned)
    }

    /// The same without the cut of corners: cubic Hermite pieces, flat at the end of each shift.
    pub fn shifted(&self, s: f32) -> (f32, f32) {
        let [s0, mut d, mut slope] = self.from;
        let mut reached = s0;
        for shift in &self.shifts {
            if s <= shift.start {
                break;
            }
            // Between shifts the offset is held; a first slope fades within the first shift only.
            let start = shift.start.max(reached);
            if start > s0 + 0.5 {
                slope = 0.0;
            }
            let length = (shift.end - start).max(1.0);
            if s < start + length {
                let t = (s - start) / length;
                let (h00, h10, h01) =
                    (1.0 - t * t * (3.0 - 2.0 * t), t * (1.0 - t) * (1.0 - t) * length, t * t * (3.0 - 2.0 * t));
                let rise = 6.0 * t * (1.0 - t) / length;
                let across = h00 * d + h10 * slope + h01 * shift.to;
                return (across, rise * (shift.to - d) + slope * (1.0 - t) * (1.0 - 3.0 * t));
            }
            (d, slope, reached) = (shift.to, 0.0, start + length);
        }
        (d, 0.0)
    }

    /// The offset at `s`.
    pub fn offset(&self, s: f32) -> f32 {
        self.at(s).0
    }

    /// Length of a shift of `metres` at `v` m/s that stays within 1.5 m/s² across.
    pub fn comfortable(metres: f32, v: f32) -> f32 {
        // A cubic's largest second derivative is 6 d / l².
        (v * (6.0 * metres.abs() / 1.5).sqrt()).max(4.0 * metres.abs().sqrt() + 2.0).max(5.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_where_ego_is_and_ends_flat() {
        let lateral = Lateral {
            from: [10.0, 0.5, 0.1],
            shifts: vec![Shift { start: 10.0, end: 30.0, to: 3.0 }, Shift { start: 50.0, end: 70.0, to: 0.0 }],
            ..Lateral::default()
        };
        let close = |s: f32, d: f32| (lateral.offset(s) - d).abs() < 1e-3;
        assert!(close(10.001, 0.5) && close(30.0, 3.0) && close(40.0, 3.0) && close(60.0, 1.5) && close(90.0, 0.0));
        for i in 0..600 {
            let s = 10.05 + i as f32 * 0.1;
            let slope = (lateral.offset(s + 0.01) - lateral.offset(s - 0.01)) / 0.02;
            assert!((slope - lateral.at(s).1).abs() < 0.01, "{s}: {slope} {}", lateral.at(s).1);
        }
    }
}
