//! One simulated vehicle: progress and speed along its path, and the room it claims.

use super::Config;
use crate::Pose;
use crate::geometry::{Cap, OrientedBox, Path, Point, Shape, buffer_line, principal};
use std::sync::Arc;

/// Seconds per step.
const STEP: f64 = 0.1;
/// Vertices of claimed room closer than this many metres are one: the tolerance of the reference's simplification.
const SIMPLIFIED: f64 = 1e-5;
/// Exponent of the free-road term.
const EXPONENT: i32 = 4;

/// The vehicle ahead, or the end of the path.
pub(super) struct Lead {
    /// Metres to it.
    pub gap: f64,
    /// m/s along the follower's heading.
    pub speed: f64,
    /// Metres to take off the gap.
    pub rear: f64,
}

/// A vehicle on its rail.
#[derive(Debug, Clone)]
pub(super) struct Car {
    /// Into the list of vehicles.
    pub vehicle: usize,
    path: Arc<Path>,
    /// Metres along the path; may lie beyond its end.
    progress: f64,
    /// m/s.
    pub speed: f64,
    target_speed: f64,
    length: f64,
    width: f64,
    /// What others and the own corridor meet: the box at first, then the box and the road ahead.
    pub claimed: Shape,
}

impl Car {
    pub fn new(vehicle: usize, path: Path, progress: f64, speed: f64, target_speed: f64, snapped: &OrientedBox) -> Car {
        Car {
            vehicle,
            path: Arc::new(path),
            progress,
            speed,
            target_speed,
            length: snapped.length,
            width: snapped.width,
            claimed: Shape::new(vec![snapped.corners().to_vec()]),
        }
    }

    fn clamped(&self, progress: f64) -> f64 {
        self.path.start().max(progress.min(self.path.end()))
    }

    /// Where it stands; heading in `[-pi, pi)`.
    pub fn pose(&self) -> Pose {
        let pose = self.path.at(self.clamped(self.progress)).unwrap_or_default();
        Pose { heading: principal(pose.heading), ..pose }
    }

    /// Its box.
    pub fn footprint(&self) -> OrientedBox {
        let pose = self.pose();
        OrientedBox { center: [pose.x, pose.y], heading: pose.heading, length: self.length, width: self.width }
    }

    /// Nobody ahead: the end of the path.
    pub fn free_road(&self) -> Lead {
        Lead { gap: self.path.end() - self.progress, speed: 0.0, rear: self.length / 2.0 }
    }

    /// The rest of its path, as wide as the vehicle.
    pub fn corridor(&self) -> Shape {
        let here = self.clamped(self.progress);
        let first = self.path.along().partition_point(|&s| s <= here);
        let line = if first < self.path.poses().len() {
            self.cut(here, first..self.path.poses().len())
        } else {
            self.last_piece()
        };
        Shape::new(vec![buffer_line(&line, self.width / 2.0, Cap::Flat)])
    }

    /// One step of the driver model, explicit Euler: the old speed moves the vehicle.
    pub fn advance(&mut self, lead: &Lead, config: &Config) {
        let v = self.speed;
        let braking = 2.0 * (config.accel_max * config.decel_max).sqrt();
        let wanted = config.min_gap + v * config.headway + v * (v - lead.speed) / braking;
        let gap = (lead.gap - lead.rear).max(config.min_gap);
        let free = (v / self.target_speed).powi(EXPONENT);
        let acceleration = config.accel_max * (1.0 - free - (wanted / gap).powi(2));
        self.progress += STEP * v;
        self.speed = (v + STEP * acceleration.max(-config.decel_max).min(config.accel_max)).max(0.0);
    }

    /// Claims the box and the road from its rear bumper to a headway beyond its front bumper.
    pub fn claim(&mut self, config: &Config) {
        let half = self.length / 2.0;
        let start = self.clamped(self.progress - half);
        let end = self.clamped(self.progress + half + self.speed * config.headway);
        let mut outline = buffer_line(&self.piece(start, end), self.width / 2.0, Cap::Flat);
        let mut corners = self.footprint().corners();
        // Where box and road end together, the box's corners win. Those of the road hang on the direction of its
        // first piece, which can be as short as rounding.
        let [_, rear_left, rear_right, _] = corners;
        for vertex in &mut outline {
            let twin = [rear_left, rear_right].into_iter().find(|c| same(*c, *vertex));
            *vertex = twin.unwrap_or(*vertex);
        }
        corners.reverse();
        self.claimed = Shape::new(vec![outline, corners.to_vec()]);
    }

    /// The path between two places; its last or first segment when both are its end or its start.
    fn piece(&self, start: f64, end: f64) -> Vec<Point> {
        let along = self.path.along();
        let front = along.partition_point(|&s| s <= start);
        let tail = along.partition_point(|&s| s < end);
        if front >= along.len() {
            return self.last_piece();
        }
        if tail == 0 {
            return self.path.points().into_iter().take(2).collect();
        }
        let mut line = self.cut(start, front..tail.max(front));
        line.extend(self.path.at(end).map(|p| [p.x, p.y]));
        line
    }

    fn cut(&self, start: f64, vertices: std::ops::Range<usize>) -> Vec<Point> {
        let from = self.path.at(start);
        from.iter().chain(&self.path.poses()[vertices]).map(|p| [p.x, p.y]).collect()
    }

    fn last_piece(&self) -> Vec<Point> {
        let points = self.path.points();
        points[points.len().saturating_sub(2)..].to_vec()
    }
}

fn same(a: Point, b: Point) -> bool {
    (a[0] - b[0]).hypot(a[1] - b[1]) < SIMPLIFIED
}
