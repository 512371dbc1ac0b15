//! From metres on the road to pixels: a pinhole camera over a flat ground.
//!
//! Real mounting is rarely known, so the default is an assumption (stated in the README): 1.4 m above the road,
//! horizontal field of view 60 degrees, no roll, square pixels, the horizon at 45 % of the picture's height, the
//! camera at the ego origin. Ground points are seen from the camera. With focal length `f` in pixels a ground point (x forward, y left) lands at
//! `u = w / 2 - f y / x`, `v = horizon + f h / x`.

use super::canvas::Point;

/// How the frame was taken.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Camera {
    /// Height over the road in metres.
    pub height_m: f64,
    /// Horizontal field of view in degrees.
    pub horizontal_fov_deg: f64,
    /// The horizon as a fraction of the picture's height, from the top.
    pub horizon: f64,
    /// Metres from the origin of trajectories forward to the camera.
    pub ahead_m: f64,
}

impl Default for Camera {
    fn default() -> Self {
        Camera { height_m: 1.4, horizontal_fov_deg: 60.0, horizon: 0.45, ahead_m: 0.0 }
    }
}

/// A camera applied to a picture of a size.
#[derive(Debug, Clone, Copy)]
pub struct Projection {
    /// Focal length in pixels.
    pub focal: f64,
    /// Picture width in pixels.
    pub width: f64,
    /// Picture height in pixels.
    pub height: f64,
    /// Row of the horizon in pixels.
    pub horizon: f64,
    /// Metres from the origin of trajectories forward to the camera.
    pub ahead_m: f64,
    height_m: f64,
}

impl Camera {
    /// Applies the camera to a picture of `width` x `height` pixels. Values that make no camera are brought into
    /// range (field of view 10 to 150 degrees, horizon 5 to 90 %, height 0.3 to 5 m, 10 m to the front or back; NaN
    /// becomes the default).
    pub fn project(&self, width: u32, height: u32) -> Projection {
        let usual = Camera::default();
        let within = |value: f64, low: f64, high: f64, default: f64| {
            if value.is_nan() { default } else { value.clamp(low, high) }
        };
        let fov = within(self.horizontal_fov_deg, 10.0, 150.0, usual.horizontal_fov_deg).to_radians();
        let (width, height) = (f64::from(width.max(1)), f64::from(height.max(1)));
        Projection {
            focal: width / 2.0 / (fov / 2.0).tan(),
            width,
            height,
            horizon: height * within(self.horizon, 0.05, 0.9, usual.horizon),
            ahead_m: within(self.ahead_m, -10.0, 10.0, usual.ahead_m),
            height_m: within(self.height_m, 0.3, 5.0, usual.height_m),
        }
    }
}

impl Projection {
    /// Pixel of the ground point `x` metres ahead and `y` metres to the left; none when it is not in front.
    pub fn pixel(&self, (x, y): Point) -> Option<Point> {
        let pixel = (self.width / 2.0 - self.focal * y / x, self.horizon + self.focal * self.height_m / x);
        (x > 0.1 && pixel.0.is_finite() && pixel.1.is_finite()).then_some(pixel)
    }

    /// Metres ahead of the ground that the bottom edge shows.
    pub fn nearest(&self) -> f64 {
        self.focal * self.height_m / (self.height - self.horizon)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn points_land_where_the_formula_says() {
        let view = Camera { height_m: 1.5, horizontal_fov_deg: 90.0, horizon: 0.5, ahead_m: 0.0 }.project(800, 600);
        assert!((view.focal - 400.0).abs() < 1e-9);
        let (u, v) = view.pixel((10.0, 2.0)).unwrap();
        assert!((u - 320.0).abs() < 1e-9 && (v - 360.0).abs() < 1e-9);
        assert!((view.nearest() - 2.0).abs() < 1e-9);
        assert!(view.pixel((-1.0, 0.0)).is_none() && view.pixel((f64::NAN, 0.0)).is_none());
    }

    #[test]
    fn nonsense_is_brought_into_range() {
        let camera = Camera { height_m: f64::NAN, horizontal_fov_deg: 400.0, horizon: -3.0, ahead_m: f64::INFINITY };
        let view = camera.project(0, 0);
        assert!(view.focal > 0.0 && view.nearest() > 0.0 && view.nearest().is_finite());
    }
}
