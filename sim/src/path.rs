//! Where a road user wants to go: a chain of lanes, or a recorded line, as one curve measured along its length.

use crate::road::{self, Road};
use crate::scenario::{Point, StopLine, StopRule};

/// Metres between samples.
pub const SPACING: f32 = 1.0;
/// A sample that belongs to no lane.
pub const NO_LANE: u32 = u32::MAX;

/// A curve with what the rules say along it. Sample `i` lies `i` metres from the start.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Path {
    /// Metres.
    pub x: Vec<f32>,
    /// Metres.
    pub y: Vec<f32>,
    /// Direction.
    pub cos: Vec<f32>,
    /// Direction.
    pub sin: Vec<f32>,
    /// Curvature, 1/m, positive to the left.
    pub kappa: Vec<f32>,
    /// Speed limit, m/s.
    pub limit: Vec<f32>,
    /// Lane of the sample, [`NO_LANE`] where there is none.
    pub lane: Vec<u32>,
    /// Fastest comfortable speed, m/s: bends, and those ahead.
    pub bend: Vec<f32>,
    /// The same with the speed limit, and those ahead.
    pub pace: Vec<f32>,
    /// Metres for which it stays within [`STRAY`] of its tangent.
    pub straight: Vec<f32>,
    /// Stop lines on the way, rising in `s`.
    pub stops: Vec<PathStop>,
    /// Solids on the way, rising in `s`.
    pub blocks: Vec<Block>,
}

/// A solid beside or on a path.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Block {
    /// From where to where along the path, metres.
    pub s: (f32, f32),
    /// From where to where to the left of it, metres.
    pub lat: (f32, f32),
}

/// Sideways acceleration in bends, m/s².
const BEND_ACCEL: f32 = 2.5;
/// Deceleration before bends and lower limits, m/s².
const SLOWING: f32 = 1.5;
/// Solids further from a path than this do not matter to it, metres.
const BESIDE: f32 = 6.0;

/// Metres to the side, see [`Path::straight`].
pub const STRAY: f32 = 1.0;
/// Metres looked ahead for it.
const STRAIGHT: usize = 100;

/// A stop line on a path.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PathStop {
    /// Metres along the path.
    pub s: f32,
    /// Position in the list of stop lines.
    pub line: usize,
    /// Why one stops.
    pub rule: StopRule,
}

/// A place on a path.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Place {
    /// Metres.
    pub x: f32,
    /// Metres.
    pub y: f32,
    /// Direction.
    pub cos: f32,
    /// Direction.
    pub sin: f32,
}

/// A point measured along and across a path.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Projection {
    /// Metres along, between 0 and the length.
    pub s: f32,
    /// Metres to the left.
    pub lat: f32,
}

impl Path {
    /// A curve along lanes, which continue each other. `stops` are the map's stop lines.
    pub fn along(road: &Road, lanes: &[usize], stops: &[StopLine]) -> Path {
        let mut points: Vec<Point> = Vec::new();
        let mut ends = Vec::new();
        for &lane in lanes {
            let line = road.line(lane);
            let joined = points.last().zip(line.first()).is_some_and(|(a, b)| road::distance(*a, *b) < 0.5);
            points.extend(line.iter().skip(usize::from(joined)));
            ends.push((road::length(&points), lane));
        }
        let mut path = Path::through(&points, 0.0);
        for i in 0..path.x.len() {
            let s = i as f32 * SPACING;
            let lane = ends.iter().find(|(end, _)| s <= *end).or(ends.last()).map(|(_, lane)| *lane);
            path.lane[i] = lane.map_or(NO_LANE, |l| l as u32);
            path.limit[i] = lane.map_or(0.0, |l| road.lanes[l].limit);
        }
        path.find_stops(stops);
        path.find_speeds();
        path
    }

    /// Works out `bend` and `pace`.
    pub(crate) fn find_speeds(&mut self) {
        let n = self.x.len();
        let mean = |i: usize| {
            let (first, last) = (i.saturating_sub(2), (i + 2).min(n - 1));
            self.kappa[first..=last].iter().sum::<f32>() / (last - first + 1) as f32
        };
        self.bend = (0..n).map(|i| (BEND_ACCEL / mean(i).abs().max(1e-4)).sqrt()).collect();
        self.pace = self.bend.iter().zip(&self.limit).map(|(b, l)| if *l > 0.0 { b.min(*l) } else { *b }).collect();
        for list in [&mut self.bend, &mut self.pace] {
            for i in (1..n).rev() {
                let before = (list[i] * list[i] + 2.0 * SLOWING * SPACING).sqrt();
                list[i - 1] = list[i - 1].min(before);
            }
        }
    }

    fn find_straight(&mut self) {
        let n = self.x.len();
        self.straight = (0..n)
            .map(|i| {
                let off = |k: &usize| {
                    let (dx, dy) = (self.x[*k] - self.x[i], self.y[*k] - self.y[i]);
                    (dy * self.cos[i] - dx * self.sin[i]).abs() > STRAY
                };
                (i + 1..(i + STRAIGHT).min(n)).step_by(2).find(off).map_or(STRAIGHT, |k| k - i - 1) as f32
            })
            .collect();
    }

    /// Notes the solids on the way.
    pub(crate) fn find_blocks(&mut self, props: &crate::boxes::Props) {
        self.blocks = props
            .boxes
            .iter()
            .filter_map(|b| {
                let middle = self.project_anywhere(b.x, b.y);
                let mut block = Block { s: (f32::MAX, f32::MIN), lat: (f32::MAX, f32::MIN) };
                for [x, y] in b.corners() {
                    let at = self.project(x, y, middle.s, b.half_length + b.half_width + 4.0);
                    block.s = (block.s.0.min(at.s), block.s.1.max(at.s));
                    block.lat = (block.lat.0.min(at.lat), block.lat.1.max(at.lat));
                }
                let last = self.x.len().saturating_sub(1);
                let (dx, dy) = (b.x - self.x[last], b.y - self.y[last]);
                let beyond = dx * self.cos[last] + dy * self.sin[last] > b.half_length + b.half_width;
                (!beyond && block.lat.0 < BESIDE && block.lat.1 > -BESIDE && block.s.1 > 0.0).then_some(block)
            })
            .collect();
        self.blocks.sort_by(|a, b| a.s.0.total_cmp(&b.s.0));
    }

    /// A curve through points with a constant limit (m/s) and no lanes.
    pub fn through(points: &[Point], limit: f32) -> Path {
        let mut line = road::resample(points, SPACING);
        // The last piece is short; samples must be evenly spaced.
        if line.len() > 2
            && line.last().zip(line.get(line.len() - 2)).is_some_and(|(a, b)| road::distance(*a, *b) < 0.9)
        {
            line.pop();
        }
        let n = line.len();
        let directions: Vec<_> = (0..n).map(|i| road::direction(&line, i)).collect();
        let turn = |i: usize| {
            let (a, b) = (directions[i.saturating_sub(1)], directions[(i + 1).min(n - 1)]);
            let span = ((i + 1).min(n - 1) - i.saturating_sub(1)).max(1) as f32 * SPACING;
            crate::math::atan2(a.0 * b.1 - a.1 * b.0, a.0 * b.0 + a.1 * b.1) / span
        };
        let mut path = Path {
            x: line.iter().map(|p| p[0]).collect(),
            y: line.iter().map(|p| p[1]).collect(),
            cos: directions.iter().map(|d| d.0).collect(),
            sin: directions.iter().map(|d| d.1).collect(),
            kappa: (0..n).map(turn).collect(),
            limit: vec![limit; n],
            lane: vec![NO_LANE; n],
            ..Path::default()
        };
        path.find_speeds();
        path.find_straight();
        path
    }

    fn find_stops(&mut self, stops: &[StopLine]) {
        for (line, stop) in stops.iter().enumerate() {
            let crossing = (1..self.x.len()).find_map(|i| {
                let on = |k: usize| stop.lanes.iter().any(|&l| l as u32 == self.lane[k]);
                let (a, b) = ([self.x[i - 1], self.y[i - 1]], [self.x[i], self.y[i]]);
                let t = crossing(a, b, stop.points[0], stop.points[1])?;
                (on(i) || on(i - 1)).then_some((i as f32 - 1.0 + t) * SPACING)
            });
            if let Some(s) = crossing {
                self.stops.push(PathStop { s, line, rule: stop.rule });
            }
        }
        self.stops.sort_by(|a, b| a.s.total_cmp(&b.s));
    }

    /// Metres from the first to the last sample.
    #[inline]
    pub fn length(&self) -> f32 {
        self.x.len().saturating_sub(1) as f32 * SPACING
    }

    /// The sample at or before `s`.
    #[inline]
    pub fn index(&self, s: f32) -> usize {
        (s.max(0.0) as usize).min(self.x.len().saturating_sub(1))
    }

    /// The place at `s` metres; beyond either end it goes straight on.
    #[inline]
    pub fn at(&self, s: f32) -> Place {
        let n = self.x.len();
        let i = self.index(s).min(n.saturating_sub(2));
        let t = s - i as f32;
        let (cos, sin) = (self.cos[i], self.sin[i]);
        if n < 2 || !(0.0..=1.0).contains(&t) {
            let k = if t > 1.0 { n - 1 } else { i };
            let d = s - k as f32;
            return Place {
                x: self.x[k] + d * self.cos[k],
                y: self.y[k] + d * self.sin[k],
                cos: self.cos[k],
                sin: self.sin[k],
            };
        }
        let (c, d) = (cos + t * (self.cos[i + 1] - cos), sin + t * (self.sin[i + 1] - sin));
        let norm = 1.0 / (c * c + d * d).sqrt().max(1e-6);
        Place {
            x: self.x[i] + t * (self.x[i + 1] - self.x[i]),
            y: self.y[i] + t * (self.y[i + 1] - self.y[i]),
            cos: c * norm,
            sin: d * norm,
        }
    }

    /// The point nearest to `(x, y)` among the samples within `reach` metres of `guess`.
    #[inline]
    pub fn project(&self, x: f32, y: f32, guess: f32, reach: f32) -> Projection {
        let (first, last) = (self.index(guess - reach), self.index(guess + reach));
        let mut best = (f32::MAX, first);
        for i in first..=last {
            let (dx, dy) = (x - self.x[i], y - self.y[i]);
            let d = dx * dx + dy * dy;
            if d < best.0 {
                best = (d, i);
            }
        }
        let i = best.1;
        let (dx, dy) = (x - self.x[i], y - self.y[i]);
        let along = (dx * self.cos[i] + dy * self.sin[i]).clamp(-0.5, 0.5);
        Projection { s: (i as f32 + along).clamp(0.0, self.length()), lat: dy * self.cos[i] - dx * self.sin[i] }
    }

    /// The point of the path beside `(x, y)` that following it from `guess` leads to: a few steps along the tangent.
    /// Quicker than [`Path::project`]; wrong only for points beyond the centre of a bend.
    #[inline]
    pub fn slide(&self, x: f32, y: f32, guess: f32) -> Projection {
        let end = self.length();
        let mut s = guess.clamp(0.0, end);
        let (mut i, mut along) = (0, 0.0);
        for _ in 0..4 {
            i = (s + 0.5) as usize;
            i = i.min(self.x.len() - 1);
            along = (x - self.x[i]) * self.cos[i] + (y - self.y[i]) * self.sin[i];
            if along.abs() <= 0.6 {
                break;
            }
            s = (i as f32 + along).clamp(0.0, end);
        }
        let (dx, dy) = (x - self.x[i], y - self.y[i]);
        Projection { s: i as f32 + along, lat: dy * self.cos[i] - dx * self.sin[i] }
    }

    /// The nearest point of the whole path.
    pub fn project_anywhere(&self, x: f32, y: f32) -> Projection {
        let n = self.x.len();
        let distance = |i: usize| {
            let (dx, dy) = (x - self.x[i], y - self.y[i]);
            (dx * dx + dy * dy).sqrt()
        };
        // A first guess, then a search that jumps over what is too far away to be nearer: neighbours are 1 m apart.
        let mut best = (f32::MAX, 0);
        for i in (0..n).step_by(16) {
            let d = distance(i);
            if d < best.0 {
                best = (d, i);
            }
        }
        let mut i = 0;
        while i < n {
            let d = distance(i);
            if d < best.0 {
                best = (d, i);
            }
            i += ((d - best.0) as usize).max(1);
        }
        self.project(x, y, best.1 as f32, 0.0)
    }
}

/// Where on `a b` it crosses `p q`, as a share of `a b`.
pub(crate) fn crossing(a: Point, b: Point, p: Point, q: Point) -> Option<f32> {
    let (r, s) = ([b[0] - a[0], b[1] - a[1]], [q[0] - p[0], q[1] - p[1]]);
    let cross = r[0] * s[1] - r[1] * s[0];
    if cross.abs() < 1e-9 {
        return None;
    }
    let d = [p[0] - a[0], p[1] - a[1]];
    let t = (d[0] * s[1] - d[1] * s[0]) / cross;
    let u = (d[0] * r[1] - d[1] * r[0]) / cross;
    ((0.0..=1.0).contains(&t) && (0.0..=1.0).contains(&u)).then_some(t)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_circle_has_its_curvature_and_projects_onto_itself() {
        let circle: Vec<Point> = (0..=90)
            .map(|d| {
                let a = (d as f32).to_radians();
                [30.0 * a.sin(), 30.0 - 30.0 * a.cos()]
            })
            .collect();
        let path = Path::through(&circle, 10.0);
        assert!((path.length() - 47.1).abs() < 1.0, "{}", path.length());
        assert!((path.kappa[20] - 1.0 / 30.0).abs() < 1e-3, "{}", path.kappa[20]);
        let place = path.at(20.4);
        let back = path.project(place.x - 2.0 * place.sin, place.y + 2.0 * place.cos, 18.0, 6.0);
        assert!((back.s - 20.4).abs() < 0.1 && (back.lat - 2.0).abs() < 0.02, "{back:?}");
        let beyond = path.at(path.length() + 5.0);
        assert!((beyond.y - path.y[path.y.len() - 1] - 5.0 * path.sin[path.y.len() - 1]).abs() < 1e-3);
    }
}
