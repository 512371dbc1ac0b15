//! What a frame shows: pixels and box of each agent from the instance buffer, and for things without an id (lamps,
//! signs, cones) a test in the picture, by projection and by the class of the pixels there.

use crate::batch::Scene;
use crate::render::{Camera, Class, Frame, Style};

/// Pixels that must show an agent before it is spoken of.
pub const LEAST_PIXELS: u32 = 6;

/// A pinhole camera on ego that looks ahead.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lens {
    /// Pixels.
    pub width: usize,
    /// Pixels.
    pub height: usize,
    /// Focal length, pixels.
    pub focal: f32,
    /// Metres forward, left and up from ego's centre on the ground.
    pub mount: [f32; 3],
    /// Radians below the horizon.
    pub pitch: f32,
}

impl Lens {
    /// A camera with the jitter of a style; the camera's yaw is not used.
    pub fn new(camera: &Camera, style: &Style) -> Lens {
        let half = (0.5 * camera.fov * style.fov_scale).clamp(0.02, 1.5);
        let [x, y, z] = camera.mount;
        Lens {
            width: camera.width,
            height: camera.height,
            focal: 0.5 * camera.width as f32 / crate::math::tan(half),
            mount: [x, y, z + style.height_jitter],
            pitch: camera.pitch + style.pitch_jitter,
        }
    }
}

/// A point in the picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dot {
    /// Column, pixels from the left.
    pub u: f32,
    /// Row, pixels from the top.
    pub v: f32,
    /// Metres along the optical axis.
    pub depth: f32,
}

/// What one frame shows.
#[derive(Debug, Clone, PartialEq)]
pub struct Sight {
    /// The camera.
    pub lens: Lens,
    /// Ego: x, y, cosine and sine of the heading.
    pub ego: [f32; 4],
    /// Pixels of each agent.
    pub pixels: Vec<u32>,
    /// Left, top, right and bottom pixel of each agent, both ends included.
    pub boxes: Vec<[u16; 4]>,
    /// Class of each pixel, row by row; empty where it is not known: then whatever lies inside the frame counts as seen.
    pub class: Vec<u8>,
}

impl Sight {
    /// What a frame with labels shows that was drawn from ego.
    pub fn of(scene: &Scene, camera: &Camera, style: &Style, frame: &Frame) -> Sight {
        let ego = [scene.x[0], scene.y[0], scene.cos[0], scene.sin[0]];
        Sight::new(Lens::new(camera, style), ego, scene.agents(), &frame.instance, &frame.class)
    }

    /// From the buffers of a frame; `instance` holds the agent's number + 1, 0 for everything else.
    pub fn new(lens: Lens, ego: [f32; 4], agents: usize, instance: &[u16], class: &[u8]) -> Sight {
        let mut sight = Sight {
            lens,
            ego,
            pixels: vec![0; agents],
            boxes: vec![[u16::MAX, u16::MAX, 0, 0]; agents],
            class: class.to_vec(),
        };
        for (row, line) in instance.chunks_exact(lens.width.max(1)).enumerate() {
            for (column, &id) in line.iter().enumerate() {
                let Some(agent) = usize::from(id).checked_sub(1).filter(|&a| a < agents) else { continue };
                let (c, r) = (column as u16, row as u16);
                let b = &mut sight.boxes[agent];
                *b = [b[0].min(c), b[1].min(r), b[2].max(c), b[3].max(r)];
                sight.pixels[agent] += 1;
            }
        }
        sight
    }

    /// Whether the frame shows enough of an agent.
    pub fn sees(&self, agent: usize) -> bool {
        self.pixels.get(agent).is_some_and(|&p| p >= LEAST_PIXELS)
    }

    /// Where a world point lies in the picture; `None` behind the camera or outside the frame.
    pub fn project(&self, [x, y, z]: [f32; 3]) -> Option<Dot> {
        let [ex, ey, cos, sin] = self.ego;
        let [mx, my, mz] = self.lens.mount;
        let (dx, dy) = (x - ex, y - ey);
        let (forward, left, up) = (dx * cos + dy * sin - mx, dy * cos - dx * sin - my, z - mz);
        let (ps, pc) = crate::math::sin_cos(self.lens.pitch);
        let depth = forward * pc - up * ps;
        if depth < 0.5 {
            return None;
        }
        let (w, h) = (self.lens.width as f32, self.lens.height as f32);
        let u = 0.5 * w - left / depth * self.lens.focal;
        let v = 0.5 * h - (forward * ps + up * pc) / depth * self.lens.focal;
        ((0.0..w).contains(&u) && (0.0..h).contains(&v)).then_some(Dot { u, v, depth })
    }

    /// Whether a thing of this class and size (metres) is seen at a point: in the frame, at least `least` pixels across
    /// and, where classes are known, with a pixel of that class within a pixel of the point.
    pub fn shows(&self, at: [f32; 3], size: f32, least: f32, class: Class) -> bool {
        let Some(dot) = self.project(at) else { return false };
        if size / dot.depth * self.lens.focal < least {
            return false;
        }
        if self.class.is_empty() {
            return true;
        }
        let (u, v) = (dot.u as usize, dot.v as usize);
        let rows = v.saturating_sub(1)..(v + 2).min(self.lens.height);
        rows.into_iter().any(|row| {
            let line = row * self.lens.width;
            let columns = u.saturating_sub(1)..(u + 2).min(self.lens.width);
            self.class.get(line + columns.start..line + columns.end).is_some_and(|part| part.contains(&(class as u8)))
        })
    }

    /// Metres along the optical axis to a world point, whether it is in the frame or not.
    pub fn depth(&self, x: f32, y: f32) -> f32 {
        let [ex, ey, cos, sin] = self.ego;
        (x - ex) * cos + (y - ey) * sin - self.lens.mount[0]
    }
}
