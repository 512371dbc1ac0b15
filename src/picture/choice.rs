//! The choice among trajectories: from above, what it is thought to be worth, and what the colours mean.
//!
//! Forward is to the right and both axes have one scale, so that a lane change is as wide as it is.

use super::canvas::{Canvas, Point, ink};
use super::font::{self, bold, regular};
use super::theme::{self, Colour};
use scene::Trajectory;

/// Candidates that are drawn, and poses of each.
const MAX_DRAWN: usize = 256;
const MAX_POSES: usize = 64;
const HEIGHT: f64 = 220.0;
/// Width of the column of sub-scores.
const COLUMN: f64 = 236.0;
const ROW: f64 = 23.0;
const MAX_ROWS: usize = 8;
/// Pixels around what is drawn from above.
const EDGE: f64 = 22.0;
/// The car around its rear axle: metres back, forward and to each side.
const CAR: [f64; 3] = [1.1, 4.0, 1.0];

/// Candidates, and which of them is driven.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    /// Candidates seen from ego; the first is the reference.
    pub candidates: Vec<Trajectory>,
    /// Number of the one that is driven.
    pub chosen: usize,
    /// What it is called.
    pub title: String,
    /// Its predicted score and the gain over that of the reference.
    pub score: Option<(f64, f64)>,
    /// Its predicted sub-scores by name.
    pub subs: Vec<(String, f64)>,
}

impl Choice {
    /// The reference, where it is not what is driven.
    pub fn reference(&self) -> Option<&Trajectory> {
        self.candidates.first().filter(|_| self.chosen > 0)
    }

    /// Draws it `wide` pixels wide with the driven trajectory in `colour`; returns the lower edge.
    pub fn draw(&self, canvas: &mut Canvas, colour: Colour, (x, top): (f64, f64), wide: f64) -> f64 {
        let style = bold(16.0);
        font::draw(canvas, x, top + 14.0, "Trajectory", style, theme::MUTED);
        let scored = self.score.is_some();
        let room = if scored { wide - COLUMN - 28.0 } else { wide };
        let above = self.seen_from_above(colour, room);
        canvas.paste(&above.into_image(), x as i64, (top + 28.0) as i64);
        if scored {
            self.scores(canvas, (x + room + 28.0, top), colour);
        }
        self.legend(canvas, colour, (x, top + 28.0 + HEIGHT + 12.0), wide)
    }

    fn seen_from_above(&self, colour: Colour, wide: f64) -> Canvas {
        let mut canvas = Canvas::new(wide as u32, HEIGHT as u32, theme::RAISED);
        let lines: Vec<Vec<Point>> = self.candidates.iter().take(MAX_DRAWN).map(points).collect();
        let map = Map::of(&lines, wide);
        map.grid(&mut canvas);
        for (_, line) in lines.iter().enumerate().filter(|(i, _)| *i != 0 && *i != self.chosen) {
            canvas.polyline(&map.pixels(line), 1.6, ink(theme::QUIET, 0.75));
        }
        map.car(&mut canvas);
        if let Some(line) = lines.first().filter(|_| self.chosen > 0) {
            map.strong(&mut canvas, line, 3.0, theme::REFERENCE);
        }
        if let Some(line) = self.candidates.get(self.chosen).map(points) {
            map.strong(&mut canvas, &line, 4.0, colour);
        }
        canvas
    }

    fn scores(&self, canvas: &mut Canvas, (x, top): (f64, f64), colour: Colour) {
        let Some((score, gain)) = self.score else { return };
        let said = format!("predicted {}", number(score));
        let end = x + font::draw(canvas, x, top + 14.0, &said, bold(16.0), theme::TEXT);
        if self.chosen > 0 {
            font::draw(canvas, end + 8.0, top + 14.0, &format!("+{}", number(gain)), bold(16.0), colour);
        }
        for (i, (name, value)) in self.subs.iter().take(MAX_ROWS).enumerate() {
            let y = top + 34.0 + i as f64 * ROW;
            let label = font::ellipsize(&name.to_uppercase(), regular(14.0), 42.0);
            font::draw(canvas, x, y + 14.0, &label, regular(14.0), theme::MUTED);
            let (start, track) = (x + 50.0, COLUMN - 50.0 - 44.0);
            canvas.rounded(start, y + 4.0, track, 10.0, 5.0, theme::TRACK);
            let filled = track * if value.is_nan() { 0.0 } else { value.clamp(0.0, 1.0) };
            if filled >= 1.0 {
                canvas.rounded(start, y + 4.0, filled, 10.0, 5.0, theme::QUIET);
            }
            font::draw(canvas, start + track + 10.0, y + 14.0, &number(*value), regular(14.0), theme::TEXT);
        }
    }

    fn legend(&self, canvas: &mut Canvas, colour: Colour, (x, top): (f64, f64), wide: f64) -> f64 {
        let style = regular(15.0);
        let others = self.candidates.len().saturating_sub(if self.chosen > 0 { 2 } else { 1 });
        let mut entries = vec![(colour, font::ellipsize(self.title.trim(), style, wide * 0.5))];
        if self.chosen > 0 {
            entries.push((theme::REFERENCE, "reference".into()));
        }
        if others > 0 {
            entries.push((theme::QUIET, format!("{others} other candidate{}", if others == 1 { "" } else { "s" })));
        }
        let mut at = x;
        for (colour, text) in entries {
            canvas.rounded(at, top + 7.0, 22.0, 4.0, 2.0, colour);
            at += 30.0;
            at += font::draw(canvas, at, top + 14.0, &text, style, theme::TEXT) + 26.0;
        }
        top + 20.0
    }
}

/// Metres to pixels.
struct Map {
    scale: f64,
    origin: Point,
    wide: f64,
}

impl Map {
    /// Fits lines into the width and [`HEIGHT`].
    fn of(lines: &[Vec<Point>], wide: f64) -> Map {
        let all = || lines.iter().flatten();
        let far = all().map(|p| p.0).fold(12.0, f64::max).min(200.0);
        let back = all().map(|p| p.0).fold(-CAR[0], f64::min).max(-30.0);
        let left = all().map(|p| p.1).fold(2.5, f64::max).min(100.0);
        let right = all().map(|p| p.1).fold(-2.5, f64::min).max(-100.0);
        let scale = ((wide - 2.0 * EDGE) / (far - back)).min((HEIGHT - 2.0 * EDGE) / (left - right)).max(0.1);
        let middle = HEIGHT / 2.0 + scale * (left + right) / 2.0;
        Map { scale, origin: (EDGE - scale * back, middle), wide }
    }

    fn pixel(&self, (x, y): Point) -> Point {
        (self.origin.0 + self.scale * x, self.origin.1 - self.scale * y)
    }

    fn pixels(&self, line: &[Point]) -> Vec<Point> {
        line.iter().map(|&p| self.pixel(p)).collect()
    }

    /// Lines across every so many metres.
    fn grid(&self, canvas: &mut Canvas) {
        let step = [5.0, 10.0, 20.0, 50.0].into_iter().find(|step| step * self.scale >= 56.0).unwrap_or(100.0);
        let mut metres = step;
        while self.pixel((metres, 0.0)).0 < self.wide - 40.0 {
            let x = self.pixel((metres, 0.0)).0;
            canvas.rectangle(x, 0.0, 1.0, HEIGHT, theme::TRACK);
            font::draw(canvas, x + 4.0, HEIGHT - 6.0, &format!("{metres:.0} m"), regular(12.0), theme::MUTED);
            metres += step;
        }
    }

    fn car(&self, canvas: &mut Canvas) {
        let [back, forward, side] = CAR;
        let (x, y) = self.pixel((-back, side));
        canvas.rounded(x, y, self.scale * (back + forward), self.scale * 2.0 * side, 5.0, ink(theme::MUTED, 0.55));
    }

    /// A line with a dot at every pose: dots close together are slow.
    fn strong(&self, canvas: &mut Canvas, line: &[Point], width: f64, colour: Colour) {
        let pixels = self.pixels(line);
        canvas.polyline(&pixels, width + 3.0, ink(theme::BLACK, 0.35));
        canvas.polyline(&pixels, width, colour);
        pixels.iter().skip(1).for_each(|&p| canvas.disc(p, width * 0.95, colour));
    }
}

/// From where the car is through the finite poses.
fn points(trajectory: &Trajectory) -> Vec<Point> {
    let finite = |p: &&scene::Pose| p.x.is_finite() && p.y.is_finite() && p.x.abs().max(p.y.abs()) < 1e6;
    let poses = trajectory.poses.iter().take_while(finite).take(MAX_POSES).map(|p| (p.x, p.y));
    std::iter::once((0.0, 0.0)).chain(poses).collect()
}

fn number(value: f64) -> String {
    if value.is_finite() && value.abs() < 1e3 { format!("{value:.2}") } else { "n/a".into() }
}
