//! From world metres to the picture: ego's heading points to the right, everything that the drive touches is inside.

use crate::report::escape;
use scene::{
    Pose,
    dynamics::State,
    geometry::{Aabb, OrientedBox, Point},
};
use std::fmt::Write;

/// Pixels of the picture.
const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 380.0;
/// Metres around the drive.
const MARGIN: f64 = 9.0;
/// Metres across, at least and at most.
const LEAST: f64 = 36.0;
const MOST: f64 = 300.0;

/// A window on the world.
#[derive(Debug, Clone)]
pub(super) struct View {
    frame: Pose,
    /// Ego frame, metres, of the left upper corner.
    corner: Point,
    /// Pixels per metre.
    scale: f64,
    pub width: f64,
    pub height: f64,
}

impl View {
    /// Around all footprints of a drive.
    pub fn around(frame: Pose, states: &[State]) -> View {
        let mut bounds = Aabb::EMPTY;
        for state in states.iter().filter(|s| s.pose().is_finite()) {
            for [x, y] in state.footprint().corners() {
                let p = Pose::new(x, y, 0.0).into_frame(frame);
                bounds.add([p.x, p.y]);
            }
        }
        let span = |axis: usize| {
            let (low, high) = (bounds.min[axis] - MARGIN, bounds.max[axis] + MARGIN);
            if low < high { ((low + high) / 2.0, (high - low).min(MOST)) } else { (0.0, LEAST) }
        };
        let ((cx, w), (cy, h)) = (span(0), span(1));
        // The tighter side decides the scale.
        let across = w.max(h * WIDTH / HEIGHT).max(LEAST);
        let scale = WIDTH / across;
        let corner = [cx - across / 2.0, cy + HEIGHT / scale / 2.0];
        View { frame, corner, scale, width: WIDTH, height: HEIGHT }
    }

    fn place(&self, [x, y]: Point) -> Point {
        let p = Pose::new(x, y, 0.0).into_frame(self.frame);
        [(p.x - self.corner[0]) * self.scale, (self.corner[1] - p.y) * self.scale]
    }

    /// Points of the picture, `None` where nothing of them is in it.
    fn points(&self, world: &[Point]) -> Option<String> {
        let placed: Vec<Point> = world.iter().map(|p| self.place(*p)).collect();
        let window = Aabb { min: [0.0, 0.0], max: [self.width, self.height] };
        let far = placed.iter().any(|p| !(p[0].abs() < 1e6 && p[1].abs() < 1e6));
        if far || !Aabb::of(&placed).meets(&window) {
            return None;
        }
        let mut out = String::new();
        let mut last = [f64::NAN; 2];
        for (i, p) in placed.iter().enumerate() {
            // Below half a pixel nothing is seen.
            if i > 0 && i + 1 < placed.len() && (p[0] - last[0]).hypot(p[1] - last[1]) < 0.5 {
                continue;
            }
            last = *p;
            let _ = write!(out, "{}{:.1},{:.1}", if i > 0 { " " } else { "" }, p[0], p[1]);
        }
        Some(out)
    }

    /// A closed area; `words` appear when the pointer rests on it.
    pub fn ring(&self, out: &mut String, class: &str, ring: &[Point], words: &str) {
        let Some(points) = self.points(ring) else { return };
        let _ = match words {
            "" => write!(out, "<polygon class=\"{class}\" points=\"{points}\"/>"),
            words => {
                let words = escape(words);
                write!(out, "<polygon class=\"{class}\" points=\"{points}\"><title>{words}</title></polygon>")
            }
        };
    }

    /// A line.
    pub fn line(&self, out: &mut String, class: &str, points: &[Point]) {
        if let Some(points) = self.points(points) {
            let _ = write!(out, "<polyline class=\"{class}\" points=\"{points}\"/>");
        }
    }

    /// A stroke from the centre of a box to the middle of its front.
    pub fn nose(&self, out: &mut String, shape: &OrientedBox) {
        let (sin, cos) = shape.heading.sin_cos();
        let at =
            |share: f64| [shape.center[0] + share * shape.length * cos, shape.center[1] + share * shape.length * sin];
        self.line(out, "nose", &[at(0.2), at(0.5)]);
    }

    /// Words beside a place, kept inside the picture.
    pub fn label(&self, out: &mut String, at: Point, words: &str) {
        let [x, y] = self.place(at);
        let half = 3.6 * words.chars().count() as f64;
        let x = x.clamp(half + 6.0, self.width - half - 6.0);
        let above = y - 2.6 * self.scale;
        let y = if above > 20.0 { above } else { y + 2.6 * self.scale + 12.0 };
        let _ = write!(
            out,
            "<text class=\"what\" x=\"{x:.1}\" y=\"{:.1}\">{}</text>",
            y.min(self.height - 8.0),
            escape(words)
        );
    }

    /// A bar of ten metres.
    pub fn scale(&self, out: &mut String) {
        let (y, length) = (self.height - 12.0, 10.0 * self.scale);
        let _ = write!(
            out,
            "<path class=\"scale\" d=\"M12 {0:.1}v6h{length:.1}v-6\"/><text class=\"metres\" x=\"{1:.1}\" y=\"{2:.1}\">10 m</text>",
            y - 6.0,
            12.0 + length / 2.0,
            y - 4.0
        );
    }
}
