//! The proposals of one path: who leads in its corridor, where the policies take ego.

use super::Quirks;
use super::forecast::{Forecast, Obstacle};
use super::policy::{self, Lead, POLICIES};
use scene::Pose;
use scene::dynamics::{State, vehicle};
use scene::geometry::{Cap, Path, Point, Polyline, Shape, buffer_line, point_along};
use scene::pose::wrap_angle;

/// Seconds at the highest wanted speed that the corridor covers.
const REACH: f64 = 5.0;
/// The leader is looked up every this many steps.
const REFRESH: usize = 2;
/// Poses are taken no nearer than this to the start of the path, metres.
const FIRST: f64 = 1e-5;

/// A path and the room ego needs along it.
#[derive(Debug, Clone)]
pub(super) struct Corridor {
    path: Path,
    line: Polyline,
    room: Shape,
    /// Metres: ego's rear axle projected.
    start: f64,
}

/// One policy on one path.
#[derive(Debug, Clone)]
pub(super) struct Rollout {
    target: f64,
    progress: f64,
    speed: f64,
    lead: Lead,
    /// Rear-axle poses so far, the first one on the path beside ego.
    pub poses: Vec<Pose>,
}

impl Corridor {
    /// `None` for a path of no length.
    pub fn new(path: Path, ego: &State, targets: &[f64; POLICIES]) -> Option<Corridor> {
        let line = path.line();
        let start = line.project([ego.x, ego.y])?.progress;
        if path.end().is_nan() || path.end() <= 0.0 {
            return None;
        }
        let fastest = targets.iter().copied().fold(f64::NEG_INFINITY, f64::max).abs();
        let ahead = piece(&path, start, start + fastest * REACH);
        let room = Shape::new(vec![buffer_line(&ahead, vehicle::WIDTH / 2.0, Cap::Square)]);
        Some(Corridor { path, line, room, start })
    }

    /// A policy at t = 0.
    pub fn start(&self, ego: &State, target: f64) -> Rollout {
        let (progress, speed) = (self.start, ego.vx);
        Rollout { target, progress, speed, lead: Lead::default(), poses: vec![self.pose(progress)] }
    }

    /// One step of all policies of this path.
    pub fn advance(&self, rollouts: &mut [Rollout], step: usize, forecast: &Forecast, quirks: Quirks) {
        if step.is_multiple_of(REFRESH) || (step == 1 && !quirks.phantom_first_leader) {
            self.look_ahead(rollouts, forecast.at(step), quirks);
        }
        for r in rollouts {
            (r.progress, r.speed) = policy::step(r.progress, r.speed, r.target, &r.lead);
            r.poses.push(self.pose(r.progress));
        }
    }

    fn look_ahead(&self, rollouts: &mut [Rollout], obstacles: &[Obstacle], quirks: Quirks) {
        let in_room = obstacles.iter().filter(|o| self.room.intersects(&o.shape));
        let placed: Vec<(f64, &Obstacle)> =
            in_room.filter_map(|o| self.line.project(o.centroid).map(|p| (p.progress, o))).collect();
        let mut lead = Lead::default();
        for r in rollouts {
            if !quirks.shared_leader {
                lead = Lead::default();
            }
            let pose = r.poses.last().copied().unwrap_or_default();
            match nearest(&placed, r.progress, pose) {
                Some((distance, obstacle)) => {
                    lead.progress = r.progress + distance;
                    if !obstacle.is_light {
                        lead.speed = obstacle.speed * wrap_angle(obstacle.heading - pose.heading).cos();
                    }
                }
                None => {
                    lead.progress = self.line.length();
                    lead.rear = vehicle::HALF_LENGTH;
                }
            }
            r.lead = lead;
        }
    }

    /// The pose at some metres, clipped to the path; 0 where that is not a number.
    fn pose(&self, progress: f64) -> Pose {
        if progress.is_nan() {
            return Pose::ORIGIN;
        }
        let pose = self.path.at(progress.max(FIRST).min(self.path.end())).unwrap_or_default();
        let number = |v: f64| if v.is_nan() { 0.0 } else { v };
        Pose::new(number(pose.x), number(pose.y), number(wrap_angle(pose.heading)))
    }
}

/// The obstacle beyond `progress` nearest to ego's box at `pose`, and how far it is in metres.
fn nearest<'a>(placed: &[(f64, &'a Obstacle)], progress: f64, pose: Pose) -> Option<(f64, &'a Obstacle)> {
    let ego = State { x: pose.x, y: pose.y, heading: pose.heading, ..State::default() };
    let footprint = Shape::new(vec![ego.footprint().corners().to_vec()]);
    let mut best: Option<(f64, &Obstacle)> = None;
    for (_, obstacle) in placed.iter().filter(|(p, _)| *p > progress) {
        let distance = footprint.distance(&obstacle.shape);
        if best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, obstacle));
        }
    }
    best
}

/// The vertices between two places of a path; where fewer than two remain, the exact piece (a point when it has no
/// length).
fn piece(path: &Path, start: f64, end: f64) -> Vec<Point> {
    let clip = |s: f64| s.max(0.0).min(path.end());
    let (start, end) = (clip(start), clip(end));
    let points = path.points();
    let inside = points.iter().zip(path.along()).filter(|(_, s)| (start..=end).contains(*s));
    let vertices: Vec<Point> = inside.map(|(&p, _)| p).collect();
    if vertices.len() > 1 {
        return vertices;
    }
    let between = points.iter().zip(path.along()).filter(|(_, s)| start < **s && **s < end).map(|(&p, _)| p);
    let ends = |s| point_along(&points, s);
    let line: Vec<Point> = ends(start).into_iter().chain(between).chain(ends(end)).collect();
    if start == end { line.into_iter().take(1).collect() } else { line }
}
