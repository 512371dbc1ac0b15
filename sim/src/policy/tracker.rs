//! Follows a plan: pure pursuit across (Coulter 1992), feed-forward and proportional along. The point that follows the
//! line is the box's centre, so the line is looked at along its course, which the steering turns away from the heading.

use crate::batch::{Action, Scene};
use crate::math;
use crate::path::Path;
use crate::road;
use crate::scenario::{DT, Point};
use scene::{Pose, Trajectory};

/// Wheelbase as a share of the length of the car.
pub const WHEELBASE: f32 = 0.6;
/// Gain of the speed error, 1/s.
const GAIN: f32 = 1.0;
/// Metres that a plan made of poses goes straight on behind its end.
const ONWARD: f32 = 30.0;

/// Where to drive and how fast. It is older by one step each time it is followed.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Plan {
    /// Line for the centre of the box, in world metres.
    pub line: Vec<Point>,
    /// Speeds in m/s at `step`, the first for now.
    pub speed: Vec<f32>,
    /// Seconds between speeds.
    pub step: f32,
    /// Seconds since it was made.
    pub age: f32,
}

impl Plan {
    /// A plan of poses seen from ego, which is at `ego` and drives `speed` m/s.
    pub fn of_poses(trajectory: &Trajectory, ego: Pose, speed: f32) -> Plan {
        let step = trajectory.step as f32;
        let mut line = vec![[ego.x as f32, ego.y as f32]];
        let mut last = ego;
        // Speeds between poses belong to the middle of their interval: the speed at a pose is the mean of both sides.
        let between: Vec<f32> = trajectory.speeds().iter().map(|&v| v as f32).collect();
        let mut speeds = vec![speed];
        for (i, &pose) in trajectory.poses.iter().enumerate() {
            speeds.push(match between.get(i + 1) {
                Some(after) => 0.5 * (between[i] + after),
                None => (2.0 * between[i] - speeds[i]).max(0.0),
            });
            let pose = pose.out_of_frame(ego);
            if pose.distance(last) > 0.3 {
                line.push([pose.x as f32, pose.y as f32]);
                last = pose;
            }
        }
        let (sin, cos) = math::sin_cos(last.heading as f32);
        let end = [last.x as f32, last.y as f32];
        line.push([end[0] + ONWARD * cos, end[1] + ONWARD * sin]);
        Plan { line, speed: speeds, step, age: 0.0 }
    }

    /// Speed that the plan wants `seconds` from now.
    pub fn speed_in(&self, seconds: f32) -> f32 {
        let at = ((self.age + seconds) / self.step.max(1e-3)).max(0.0);
        let i = at as usize;
        let last = self.speed.last().copied().unwrap_or(0.0);
        let (a, b) = (self.speed.get(i).copied().unwrap_or(last), self.speed.get(i + 1).copied().unwrap_or(last));
        a + (at - i as f32) * (b - a)
    }

    /// The action for the next step of agent 0, after which the plan is one step older.
    pub fn follow(&mut self, scene: &Scene<'_>) -> Action {
        let action = Action { accel: self.accel(scene.v[0]), steer: pursue(scene, &self.line) };
        self.age += DT;
        action
    }

    fn accel(&self, v: f32) -> f32 {
        let (now, next) = (self.speed_in(0.0), self.speed_in(DT));
        let accel = (next - now) / DT + GAIN * (now - v);
        // A stop is held: the brake stays on.
        if next < 0.05 && v < 0.3 { accel.min(-1.0) } else { accel }
    }
}

/// Steering angle that leads agent 0 back to a line.
pub fn pursue(scene: &Scene<'_>, line: &[Point]) -> f32 {
    let ahead = (0.55 * scene.v[0]).clamp(3.5, 14.0);
    let Some(target) = point_ahead(line, [scene.x[0], scene.y[0]], ahead) else { return 0.0 };
    steer_to(scene, target)
}

/// Steering angle whose circle leads agent 0 through a point.
pub fn steer_to(scene: &Scene<'_>, target: Point) -> f32 {
    let wheelbase = WHEELBASE * 2.0 * scene.world.half_length[0];
    let slip = math::atan(0.5 * math::tan(scene.steer[0]));
    let (sin, cos) = math::sin_cos(scene.heading[0] + slip);
    let (dx, dy) = (target[0] - scene.x[0], target[1] - scene.y[0]);
    let (along, across) = (dx * cos + dy * sin, dy * cos - dx * sin);
    let squared = (dx * dx + dy * dy).max(1.0);
    let mut curvature = 2.0 * across / squared;
    if along < 0.0 {
        // The line lies behind: turn as far as the wheels go.
        curvature = if across >= 0.0 { 1.0 } else { -1.0 };
    }
    // curvature = cos(slip) tan(steer) / wheelbase with tan(slip) = tan(steer) / 2, solved for tan(steer).
    let k = curvature * wheelbase;
    let tan = k / (1.0 - 0.25 * k * k).max(0.05).sqrt();
    math::atan(tan).clamp(-0.667, 0.667)
}

/// The point of a line so many metres from `from`, measured along the line from its nearest point.
fn point_ahead(line: &[Point], from: Point, metres: f32) -> Option<Point> {
    let mut best = (f32::MAX, 0, 0.0);
    for (i, w) in line.windows(2).enumerate() {
        let (dx, dy) = (w[1][0] - w[0][0], w[1][1] - w[0][1]);
        let squared = (dx * dx + dy * dy).max(1e-9);
        let t = (((from[0] - w[0][0]) * dx + (from[1] - w[0][1]) * dy) / squared).clamp(0.0, 1.0);
        let d = road::distance(from, [w[0][0] + t * dx, w[0][1] + t * dy]);
        if d < best.0 {
            best = (d, i, t);
        }
    }
    let (_, first, t) = best;
    let mut left = metres;
    let mut start = t;
    for w in line.get(first..)?.windows(2) {
        let length = road::distance(w[0], w[1]);
        if length * (1.0 - start) >= left {
            let t = start + left / length.max(1e-6);
            return Some([w[0][0] + t * (w[1][0] - w[0][0]), w[0][1] + t * (w[1][1] - w[0][1])]);
        }
        left -= length * (1.0 - start);
        start = 0.0;
    }
    line.last().copied()
}

/// A line along a path from `s`, moved sideways: `offset(s)` metres to the left.
pub fn line_along(path: &Path, s: f32, metres: f32, offset: impl Fn(f32) -> f32) -> Vec<Point> {
    (0..=metres.max(2.0) as usize)
        .map(|i| {
            let s = s + i as f32;
            let (p, d) = (path.at(s), offset(s));
            [p.x - d * p.sin, p.y + d * p.cos]
        })
        .collect()
}
