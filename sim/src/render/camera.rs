//! Pinhole cameras on the ego vehicle and the transformation from world metres to pixels.

use super::lanes::Lens;
use super::style::Style;
use crate::math::{sin_cos, tan};

/// A camera: size in pixels and where it sits. It never rolls, so the ground's depth is one number per row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Camera {
    /// Pixels.
    pub width: usize,
    /// Pixels.
    pub height: usize,
    /// Horizontal field of view, radians, below π.
    pub fov: f32,
    /// Metres forward, left and up from the ego vehicle's centre on the ground.
    pub mount: [f32; 3],
    /// Radians to the left of straight ahead.
    pub yaw: f32,
    /// Radians below the horizon.
    pub pitch: f32,
}

impl Camera {
    /// A camera at x 1.5 m, z 1.5 m that looks ahead.
    pub fn new(width: usize, height: usize, fov_degrees: f32) -> Camera {
        let fov = fov_degrees * (std::f32::consts::PI / 180.0);
        Camera { width, height, fov, mount: [1.5, 0.0, 1.5], yaw: 0.0, pitch: 0.0 }
    }

    /// 128 × 64 pixels, 90°: for small networks.
    pub fn tiny() -> Camera {
        Camera::new(128, 64, 90.0)
    }

    /// 256 × 128 pixels, 80°.
    pub fn mid() -> Camera {
        Camera::new(256, 128, 80.0)
    }

    /// 448 × 252 pixels, 70°: for vision-language models.
    pub fn vlm() -> Camera {
        Camera::new(448, 252, 70.0)
    }

    /// The same camera turned to the left by so many radians.
    pub fn turned(self, yaw: f32) -> Camera {
        Camera { yaw: self.yaw + yaw, ..self }
    }

    /// One to three cameras like this one: front; left and right; or left, front and right. Fields of view meet.
    pub fn rig(self, count: usize) -> Vec<Camera> {
        match count {
            0 | 1 => vec![self],
            2 => vec![self.turned(0.5 * self.fov), self.turned(-0.5 * self.fov)],
            _ => vec![self.turned(self.fov), self, self.turned(-self.fov)],
        }
    }
}

/// Camera space: x right, y down, z depth along the optical axis, metres.
pub(crate) type V3 = [f32; 3];

/// A camera in the world, with the style's jitter applied.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View {
    pub width: usize,
    pub height: usize,
    /// Focal length, pixels.
    pub focal: f32,
    pub cx: f32,
    pub cy: f32,
    /// Optical centre, world.
    pub eye: V3,
    cos: f32,
    sin: f32,
    pitch_cos: f32,
    pitch_sin: f32,
    /// Sine and cosine of half the field of view.
    half: (f32, f32),
}

impl View {
    pub fn new(camera: &Camera, style: &Style, ego: [f32; 3]) -> View {
        let (ego_sin, ego_cos) = sin_cos(ego[2]);
        let [mx, my, mz] = camera.mount;
        let (sin, cos) = sin_cos(ego[2] + camera.yaw);
        let (pitch_sin, pitch_cos) = sin_cos(camera.pitch + style.pitch_jitter);
        let half = (0.5 * camera.fov * style.fov_scale).clamp(0.02, 1.5);
        let (cx, cy) = (0.5 * camera.width as f32, 0.5 * camera.height as f32);
        View {
            width: camera.width,
            height: camera.height,
            focal: cx / tan(half),
            cx,
            cy,
            eye: [ego[0] + mx * ego_cos - my * ego_sin, ego[1] + mx * ego_sin + my * ego_cos, mz + style.height_jitter],
            cos,
            sin,
            pitch_cos,
            pitch_sin,
            half: sin_cos(half),
        }
    }

    /// The picture.
    pub fn lens(&self) -> Lens {
        let (width, height) = (self.width as f32, self.height as f32);
        Lens { focal: self.focal, cx: self.cx, cy: self.cy, width, height }
    }

    /// Forward and left metres of a world point.
    #[inline(always)]
    pub fn plan(&self, x: f32, y: f32) -> (f32, f32) {
        let (dx, dy) = (x - self.eye[0], y - self.eye[1]);
        (dx * self.cos + dy * self.sin, dy * self.cos - dx * self.sin)
    }

    /// Whether a circle on the ground reaches into the view's wedge.
    pub fn sees(&self, x: f32, y: f32, radius: f32) -> bool {
        let (forward, left) = self.plan(x, y);
        let (sin, cos) = self.half;
        forward > -radius && left.abs() * cos - forward * sin < radius + 0.5
    }

    /// Camera space of a world direction on the ground.
    pub fn direction(&self, dx: f32, dy: f32) -> V3 {
        let (forward, left) = (dx * self.cos + dy * self.sin, dy * self.cos - dx * self.sin);
        [-left, -forward * self.pitch_sin, forward * self.pitch_cos]
    }

    /// Camera space of the world's up.
    pub fn up(&self) -> V3 {
        [0.0, -self.pitch_cos, -self.pitch_sin]
    }

    /// Camera space of a world point.
    #[inline(always)]
    pub fn point(&self, x: f32, y: f32, z: f32) -> V3 {
        let (forward, left) = self.plan(x, y);
        let up = z - self.eye[2];
        [-left, -(forward * self.pitch_sin + up * self.pitch_cos), forward * self.pitch_cos - up * self.pitch_sin]
    }

    /// Inverse depth of the ground at the centre of a row: positive below the horizon.
    pub fn ground_inverse_depth(&self, row: usize) -> f32 {
        let t = (row as f32 + 0.5 - self.cy) / self.focal;
        (self.pitch_sin + t * self.pitch_cos) / self.eye[2].max(0.05)
    }
}
