//! The plan as a ribbon on the road.
//!
//! A trajectory is drawn where it is, in metres. A meta-action has no metres, so it gets a nominal path: a symbol
//! laid on the road that reaches a fixed share of the way to the horizon (further the faster the plan) and bends or
//! swerves by a fixed share of the picture's width, whatever the camera.

use super::camera::Projection;
use super::canvas::{Canvas, Paint, Point, ink};
use super::theme::{BLACK, Colour, WHITE, speed_colour};
use scene::{MetaAction, PathAction, SpeedAction, Trajectory};

/// Poses of a trajectory that are drawn.
const MAX_POSES: usize = 256;
const STEPS: usize = 64;
/// How much of the road plane's depth is kept across the ribbon. True perspective would flatten an arrow that points
/// aside beyond reading, so widths are drawn on a plane tilted less than the road; centre lines are true.
const DEPTH: f64 = 0.5;
/// Paths start a little below the bottom edge.
const START: f64 = 0.92;

/// A path on the ground: (x forward, y left) in metres, starting where the picture does.
#[derive(Debug, Clone)]
pub struct GroundPath {
    points: Vec<Point>,
    stops: bool,
    colour: Colour,
}

/// How near the tip comes to the horizon: 1 is the bottom edge, 0 the horizon.
fn reach(speed: SpeedAction) -> f64 {
    match speed {
        SpeedAction::Accelerate => 0.13,
        SpeedAction::Keep => 0.22,
        SpeedAction::Decelerate => 0.36,
        SpeedAction::Stop => 0.52,
    }
}

/// The symbol of a meta-action.
pub fn nominal(action: MetaAction, view: &Projection) -> GroundPath {
    let near = view.nearest() * START;
    let tip = view.nearest() / reach(action.speed);
    let side = match action.path {
        PathAction::Straight => 0.0,
        PathAction::LeftTurn | PathAction::LeftChange => 1.0,
        PathAction::RightTurn | PathAction::RightChange => -1.0,
    };
    let change = matches!(action.path, PathAction::LeftChange | PathAction::RightChange);
    // The tip moves aside by a share of the picture's width.
    let share = if change { 0.15 } else { 0.30 * (1.0 - reach(action.speed)) };
    let point = |i: usize| {
        // Even steps on the picture, not on the ground: depth is the inverse of the row.
        let row = i as f64 / STEPS as f64;
        let x = near / (1.0 - (1.0 - near / tip) * row);
        let way = (x - near) / (tip - near);
        let pixels = if change { smoothstep(row / 0.85) } else { way * way * tip / x };
        (x, side * share * view.width * pixels * x / view.focal)
    };
    GroundPath {
        points: (0..=STEPS).map(point).collect(),
        stops: action.speed == SpeedAction::Stop,
        colour: speed_colour(action.speed),
    }
}

/// The part of a trajectory that the picture can show, smoothed through its poses. It stops when its last second
/// covers less than half a metre.
pub fn real(trajectory: &Trajectory, speed: Option<SpeedAction>, view: &Projection) -> GroundPath {
    let mut poses: Vec<Point> = vec![(-view.ahead_m, 0.0)];
    let finite = |p: &&scene::Pose| p.x.is_finite() && p.y.is_finite();
    poses.extend(trajectory.poses.iter().take_while(finite).take(MAX_POSES).map(|p| (p.x - view.ahead_m, p.y)));
    let back = if trajectory.step > 0.0 { (1.0 / trajectory.step).round().clamp(1.0, 64.0) as usize } else { 1 };
    let (last, before) = (poses[poses.len() - 1], poses[poses.len().saturating_sub(1 + back)]);
    let stops = poses.len() > 1 && (last.0 - before.0).hypot(last.1 - before.1) < 0.5;
    let near = view.nearest() * START;
    let smooth = catmull_rom(&poses, 8);
    let start = smooth.iter().position(|p| p.0 >= near).unwrap_or(smooth.len());
    let mut points: Vec<Point> = Vec::new();
    if start > 0 && start < smooth.len() {
        let (a, b) = (smooth[start - 1], smooth[start]);
        let t = (near - a.0) / (b.0 - a.0);
        points.push((near, a.1 + (b.1 - a.1) * t));
    }
    points.extend(smooth[start..].iter().take_while(|p| p.0 >= near));
    if points.is_empty() && stops {
        // It stands nearer than the picture shows: the bar goes to the bottom edge.
        points = vec![(near, 0.0), (near * 1.3, 0.0)];
    }
    GroundPath { points, stops, colour: speed.map_or(WHITE, speed_colour) }
}

impl GroundPath {
    /// Draws the ribbon with an arrow head, or with a bar across when it stops.
    pub fn draw(&self, canvas: &mut Canvas, view: &Projection) {
        let Some(centre) = self.pixels(view).filter(|c| c.len() > 1) else { return };
        let unit = view.width / 960.0;
        let halves: Vec<f64> = self.points.iter().map(|p| half_width(view) * view.focal / p.0).collect();
        let thin = halves[halves.len() - 1].max(3.0 * unit);
        let long = (4.4 * thin).max(56.0 * unit);
        let body = if self.stops { centre.len() } else { before_end(&centre, 0.7 * long) };
        let top = centre.iter().map(|p| p.1).fold(f64::INFINITY, f64::min);
        let paint = |colour: Colour, high: f32, low: f32| Paint::Vertical {
            top: ink(colour, high),
            bottom: ink(colour, low),
            from: top,
            to: view.height,
        };
        let fine = unit.max(0.6);
        if body > 1 {
            let edges = |wider: f64| band(&centre[..body], &halves[..body], wider);
            let outline = |(left, right): &(Vec<Point>, Vec<Point>)| -> Vec<Point> {
                left.iter().chain(right.iter().rev()).copied().collect()
            };
            canvas.polygon(&outline(&edges(7.0 * fine)), paint(BLACK, 0.28, 0.10));
            let inner = edges(0.0);
            canvas.polygon(&outline(&inner), paint(self.colour, 0.90, 0.40));
            canvas.polyline(&inner.0, 2.0 * fine, paint(WHITE, 0.80, 0.30));
            canvas.polyline(&inner.1, 2.0 * fine, paint(WHITE, 0.80, 0.30));
        }
        if self.stops {
            bar(canvas, &centre, (1.7 * thin).max(26.0 * unit), self.colour, fine);
        } else {
            let neck = centre[body.saturating_sub(1)];
            head(canvas, neck, centre[centre.len() - 1], (2.1 * thin).max(24.0 * unit), long, self.colour, fine);
        }
    }

    /// The same path in another colour.
    pub fn coloured(self, colour: Colour) -> GroundPath {
        GroundPath { colour, ..self }
    }

    /// Draws a thin line only, for plans that were not chosen.
    pub fn trace(&self, canvas: &mut Canvas, view: &Projection, strength: f32) {
        let unit = view.width / 960.0;
        let Some(centre) = self.pixels(view).filter(|c| c.len() > 1) else { return };
        canvas.polyline(&centre, 7.0 * unit, ink(BLACK, 0.35 * strength));
        canvas.polyline(&centre, 4.0 * unit, ink(self.colour, strength));
        canvas.disc(centre[centre.len() - 1], 7.5 * unit, ink(self.colour, strength));
    }

    fn pixels(&self, view: &Projection) -> Option<Vec<Point>> {
        self.points.iter().map(|&p| view.pixel(p)).collect()
    }
}

/// Half the ribbon's width in metres. A car is 1.8 m wide; on near ground that would hide the road.
fn half_width(view: &Projection) -> f64 {
    (0.11 * view.width * view.nearest() / view.focal).min(0.9)
}

/// Direction `a` to `b` on a plane that is seen with its depth cut to [`DEPTH`], and the unit across it, both in pixels.
fn frame(a: Point, b: Point) -> (Point, Point) {
    let (dx, dy) = (b.0 - a.0, (b.1 - a.1) / DEPTH);
    let length = dx.hypot(dy).max(1e-9);
    ((dx / length, dy / length * DEPTH), (-dy / length, dx / length * DEPTH))
}

/// Left and right edge of a line that is `halves` (plus `wider`) pixels wide to each side.
fn band(centre: &[Point], halves: &[f64], wider: f64) -> (Vec<Point>, Vec<Point>) {
    let edge = |side: f64| {
        let corner = |(i, (p, half)): (usize, (&Point, &f64))| {
            let (_, across) = frame(centre[i.saturating_sub(1)], centre[(i + 1).min(centre.len() - 1)]);
            let reach = side * (half + wider);
            (p.0 + across.0 * reach, p.1 + across.1 * reach)
        };
        centre.iter().zip(halves).enumerate().map(corner).collect()
    };
    (edge(-1.0), edge(1.0))
}

fn bar(canvas: &mut Canvas, centre: &[Point], reach: f64, colour: Colour, fine: f64) {
    let tip = centre[centre.len() - 1];
    let (_, across) = frame(centre[before_end(centre, 30.0 * fine) - 1], tip);
    let ends = [-reach, reach].map(|r| (tip.0 + across.0 * r, tip.1 + across.1 * r));
    canvas.polyline(&ends, 21.0 * fine, ink(BLACK, 0.25));
    canvas.polyline(&ends, 17.0 * fine, WHITE);
    canvas.polyline(&ends, 12.0 * fine, colour);
}

fn head(canvas: &mut Canvas, neck: Point, tip: Point, wide: f64, long: f64, colour: Colour, fine: f64) {
    let (ahead, across) = frame(neck, tip);
    let at = |a: f64, c: f64| (tip.0 + ahead.0 * a + across.0 * c, tip.1 + ahead.1 * a + across.1 * c);
    let corners = [at(0.0, 0.0), at(-long, wide), at(-long * 0.78, 0.0), at(-long, -wide)];
    let mut outline = corners.to_vec();
    outline.push(corners[0]);
    canvas.polyline(&outline, 8.0 * fine, ink(BLACK, 0.25));
    canvas.polyline(&outline, 4.0 * fine, WHITE);
    canvas.polygon(&corners, colour);
}

/// How many leading points stay when a line is cut `distance` pixels (depth restored) before its end; at least one.
fn before_end(line: &[Point], distance: f64) -> usize {
    let mut left = distance;
    for i in (1..line.len()).rev() {
        left -= (line[i].0 - line[i - 1].0).hypot((line[i].1 - line[i - 1].1) / DEPTH);
        if left <= 0.0 {
            return i;
        }
    }
    1
}

fn smoothstep(t: f64) -> f64 {
    let t = t.clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

/// A uniform Catmull-Rom curve: `pieces` points per section, through every given point.
fn catmull_rom(points: &[Point], pieces: usize) -> Vec<Point> {
    let at = |i: isize| points[i.clamp(0, points.len() as isize - 1) as usize];
    let mut curve = Vec::with_capacity(points.len() * pieces + 1);
    for i in 0..points.len().saturating_sub(1) as isize {
        let (p0, p1, p2, p3) = (at(i - 1), at(i), at(i + 1), at(i + 2));
        let axis = |a: f64, b: f64, c: f64, d: f64, t: f64| {
            b + 0.5 * t * ((c - a) + t * ((2.0 * a - 5.0 * b + 4.0 * c - d) + t * (3.0 * (b - c) + d - a)))
        };
        for piece in 0..pieces {
            let t = piece as f64 / pieces as f64;
            curve.push((axis(p0.0, p1.0, p2.0, p3.0, t), axis(p0.1, p1.1, p2.1, p3.1, t)));
        }
    }
    curve.extend(points.last());
    curve
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::Camera;
    use scene::Pose;

    fn tip(speed: SpeedAction, path: PathAction) -> Point {
        let view = Camera::default().project(960, 540);
        let path = nominal(MetaAction { speed, path }, &view);
        path.pixels(&view).and_then(|p| p.last().copied()).unwrap_or((f64::NAN, f64::NAN))
    }

    #[test]
    fn the_symbol_points_where_the_plan_goes() {
        use {PathAction::*, SpeedAction::*};
        assert!((tip(Keep, Straight).0 - 480.0).abs() < 1e-6);
        assert!(tip(Keep, LeftTurn).0 < 300.0 && tip(Keep, RightTurn).0 > 660.0);
        assert!(tip(Keep, LeftChange).0 < 400.0 && tip(Keep, RightChange).0 > 560.0);
        let rows: Vec<f64> = [Accelerate, Keep, Decelerate, Stop].map(|s| tip(s, Straight).1).to_vec();
        assert!(rows.windows(2).all(|r| r[0] + 20.0 < r[1]), "{rows:?}");
    }

    #[test]
    fn a_trajectory_is_drawn_in_metres() {
        let view = Camera::default().project(960, 540);
        let poses: Vec<Pose> = (1..=8).map(|i| Pose::from([5.0 * f64::from(i), 0.1 * f64::from(i * i), 0.0])).collect();
        let path = real(&Trajectory::half_second(poses), None, &view);
        assert!((path.points[0].0 - START * view.nearest()).abs() < 1e-9 && !path.stops);
        assert_eq!(path.points.last(), Some(&(40.0, 6.4)));
        assert!(path.points.contains(&(20.0, 1.6)));
    }

    #[test]
    fn standing_still_is_a_stop() {
        let view = Camera::default().project(960, 540);
        let path = real(&Trajectory::half_second(vec![Pose::default(); 8]), None, &view);
        assert!(path.stops && path.points.len() == 2);
        assert!(real(&Trajectory::half_second(vec![]), None, &view).points.is_empty());
    }
}
