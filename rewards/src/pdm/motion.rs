//! A simulated drive with the geometry that every sub-score needs, computed once.

use scene::dynamics::{STATES, State, vehicle};
use scene::geometry::{Aabb, Corners, Point};

/// States and, per state, sine and cosine of the heading, centre, corners, bounding box and speed.
#[derive(Debug, Clone)]
pub(super) struct Motion {
    pub states: [State; STATES],
    /// `(sin, cos)` of the heading.
    pub turned: [(f64, f64); STATES],
    pub center: [Point; STATES],
    pub corners: [Corners; STATES],
    pub bounds: [Aabb; STATES],
    /// m/s.
    pub speed: [f64; STATES],
}

impl Default for Motion {
    fn default() -> Self {
        Motion {
            states: [State::default(); STATES],
            turned: [(0.0, 1.0); STATES],
            center: [[0.0; 2]; STATES],
            corners: [[[0.0; 2]; 4]; STATES],
            bounds: [Aabb::EMPTY; STATES],
            speed: [0.0; STATES],
        }
    }
}

impl Motion {
    /// Recomputes the geometry from `states`.
    pub fn update(&mut self) {
        let (lon, lat) = (vehicle::HALF_LENGTH, vehicle::HALF_WIDTH);
        for (t, s) in self.states.iter().enumerate() {
            let (sin, cos) = s.heading.sin_cos();
            let center = [s.x + vehicle::TO_CENTER * cos, s.y + vehicle::TO_CENTER * sin];
            let corner =
                |lon: f64, lat: f64| [center[0] + (lon * cos - lat * sin), center[1] + (lon * sin + lat * cos)];
            let (reach_x, reach_y) =
                (lon * cos.abs() + lat * sin.abs() + SLACK, lon * sin.abs() + lat * cos.abs() + SLACK);
            self.turned[t] = (sin, cos);
            self.center[t] = center;
            self.corners[t] = [corner(lon, lat), corner(-lon, lat), corner(-lon, -lat), corner(lon, -lat)];
            self.bounds[t] = Aabb {
                min: [center[0] - reach_x, center[1] - reach_y],
                max: [center[0] + reach_x, center[1] + reach_y],
            };
            self.speed[t] = if s.vy == 0.0 { s.vx.abs() } else { s.vx.hypot(s.vy) };
        }
    }

    /// Whether `q` lies ahead of the rear axle at step `t` (within 30 degrees of the heading), and whether behind
    /// (beyond 150). `nan`: rounding beyond 1 makes both false (pitfall 8).
    pub fn ahead_behind(&self, t: usize, q: Point, nan: bool) -> (bool, bool) {
        let (s, (sin, cos)) = (&self.states[t], self.turned[t]);
        let (dx, dy) = (q[0] - s.x, q[1] - s.y);
        let far = (dx * dx + dy * dy).sqrt();
        let mut dot = cos * (dx / far) + sin * (dy / far);
        if !nan {
            dot = dot.clamp(-1.0, 1.0);
        }
        let angle = dot.acos();
        (angle < 30f64.to_radians(), angle > 150f64.to_radians())
    }
}

/// Bounding boxes are this much larger than the rounded corners can need, metres: at 1e8 m a double resolves 1.5e-8 m.
const SLACK: f64 = 1e-6;
