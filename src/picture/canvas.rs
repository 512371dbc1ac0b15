//! A small RGB canvas: alpha blending, rectangles, rounded rectangles, polygons and thick lines, all
//! anti-aliased and clipped.
//!
//! Coordinates are pixels, x to the right and y down, pixel centres at .5. Nothing here panics for any
//! coordinate, NaN included: what does not fit is not drawn.

use super::raster;
use image::{Rgb, RgbImage};

/// A point in pixels.
pub type Point = (f64, f64);

/// Largest width or height of a canvas.
pub const MAX_SIDE: u32 = 16_384;

/// A colour with an opacity.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ink {
    /// sRGB bytes.
    pub rgb: [u8; 3],
    /// 0 leaves the picture as it is, 1 covers it.
    pub alpha: f32,
}

impl From<[u8; 3]> for Ink {
    fn from(rgb: [u8; 3]) -> Self {
        Ink { rgb, alpha: 1.0 }
    }
}

/// A colour at an opacity.
pub fn ink(rgb: [u8; 3], alpha: f32) -> Ink {
    Ink { rgb, alpha }
}

/// What a shape is filled with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Paint {
    /// One ink everywhere.
    Flat(Ink),
    /// From one ink at the height `from` to another at the height `to` (pixels).
    Vertical {
        /// Ink at `from` and above it.
        top: Ink,
        /// Ink at `to` and below it.
        bottom: Ink,
        /// Where the change starts.
        from: f64,
        /// Where it is complete.
        to: f64,
    },
}

impl<T: Into<Ink>> From<T> for Paint {
    fn from(ink: T) -> Self {
        Paint::Flat(ink.into())
    }
}

impl Paint {
    fn at(self, y: f64) -> Ink {
        match self {
            Paint::Flat(ink) => ink,
            Paint::Vertical { top, bottom, from, to } => {
                let t = ((y - from) / (to - from)).clamp(0.0, 1.0) as f32;
                let t = if t.is_nan() { 1.0 } else { t };
                let mix = |a: u8, b: u8| (f32::from(a) + (f32::from(b) - f32::from(a)) * t).round() as u8;
                let rgb = [0, 1, 2].map(|c: usize| mix(top.rgb[c], bottom.rgb[c]));
                Ink { rgb, alpha: top.alpha + (bottom.alpha - top.alpha) * t }
            }
        }
    }
}

/// A picture to draw on.
#[derive(Debug, Clone)]
pub struct Canvas {
    image: RgbImage,
}

impl Canvas {
    /// A canvas of one colour; each side is brought into `1..=MAX_SIDE`.
    pub fn new(width: u32, height: u32, rgb: [u8; 3]) -> Self {
        Canvas { image: RgbImage::from_pixel(width.clamp(1, MAX_SIDE), height.clamp(1, MAX_SIDE), Rgb(rgb)) }
    }

    /// Draws on a picture.
    pub fn over(image: RgbImage) -> Self {
        Canvas { image }
    }

    /// The picture.
    pub fn into_image(self) -> RgbImage {
        self.image
    }

    /// Width in pixels.
    pub fn width(&self) -> u32 {
        self.image.width()
    }

    /// Height in pixels.
    pub fn height(&self) -> u32 {
        self.image.height()
    }

    /// Lays ink over one pixel.
    pub fn blend(&mut self, x: i64, y: i64, ink: Ink) {
        let (Ok(x), Ok(y)) = (u32::try_from(x), u32::try_from(y)) else { return };
        if ink.alpha.is_nan() || ink.alpha <= 0.0 {
            return;
        }
        let alpha = ink.alpha.min(1.0);
        if let Some(Rgb(pixel)) = self.image.get_pixel_mut_checked(x, y) {
            for (below, above) in pixel.iter_mut().zip(ink.rgb) {
                *below = (f32::from(*below) + (f32::from(above) - f32::from(*below)) * alpha).round() as u8;
            }
        }
    }

    /// Copies a picture with its top left corner at (x, y).
    pub fn paste(&mut self, picture: &RgbImage, x: i64, y: i64) {
        image::imageops::replace(&mut self.image, picture, x, y);
    }

    /// Fills the union of closed contours.
    pub fn fill(&mut self, contours: &[Vec<Point>], paint: impl Into<Paint>) {
        let paint = paint.into();
        let (width, height) = (self.width(), self.height());
        raster::coverage(contours, width, height, |x, y, coverage| {
            let ink = paint.at(f64::from(y) + 0.5);
            self.blend(i64::from(x), i64::from(y), Ink { alpha: ink.alpha * coverage, ..ink });
        });
    }

    /// Fills a polygon.
    pub fn polygon(&mut self, corners: &[Point], paint: impl Into<Paint>) {
        self.fill(&[corners.to_vec()], paint);
    }

    /// Fills a rectangle.
    pub fn rectangle(&mut self, x: f64, y: f64, width: f64, height: f64, paint: impl Into<Paint>) {
        self.polygon(&[(x, y), (x + width, y), (x + width, y + height), (x, y + height)], paint);
    }

    /// Fills a rectangle with round corners; the radius is cut to half the shorter side.
    pub fn rounded(&mut self, x: f64, y: f64, width: f64, height: f64, radius: f64, paint: impl Into<Paint>) {
        let radius = radius.min(width / 2.0).min(height / 2.0).max(0.0);
        let (right, bottom) = (x + width - radius, y + height - radius);
        let centres = [(right, bottom), (x + radius, bottom), (x + radius, y + radius), (right, y + radius)];
        let mut outline = Vec::with_capacity(4 * 13);
        for (quarter, centre) in centres.into_iter().enumerate() {
            for step in 0..=12 {
                let angle = (quarter as f64 + f64::from(step) / 12.0) * std::f64::consts::FRAC_PI_2;
                outline.push((centre.0 + radius * angle.cos(), centre.1 + radius * angle.sin()));
            }
        }
        self.polygon(&outline, paint);
    }

    /// Fills a circle.
    pub fn disc(&mut self, centre: Point, radius: f64, paint: impl Into<Paint>) {
        self.polygon(&circle(centre, radius), paint);
    }

    /// Draws a line through points with round joins and ends.
    pub fn polyline(&mut self, points: &[Point], width: f64, paint: impl Into<Paint>) {
        let half = width / 2.0;
        let mut contours: Vec<Vec<Point>> = points.iter().map(|&p| circle(p, half)).collect();
        for pair in points.windows(2) {
            let (a, b) = (pair[0], pair[1]);
            let length = (b.0 - a.0).hypot(b.1 - a.1);
            if length > 0.0 {
                let (nx, ny) = (-(b.1 - a.1) / length * half, (b.0 - a.0) / length * half);
                contours.push(vec![
                    (a.0 + nx, a.1 + ny),
                    (b.0 + nx, b.1 + ny),
                    (b.0 - nx, b.1 - ny),
                    (a.0 - nx, a.1 - ny),
                ]);
            }
        }
        self.fill(&contours, paint);
    }
}

fn circle(centre: Point, radius: f64) -> Vec<Point> {
    let corners = if radius < 4.0 { 12 } else { 48 };
    let angle = |i: u32| f64::from(i) / f64::from(corners) * std::f64::consts::TAU;
    (0..corners).map(|i| (centre.0 + radius * angle(i).cos(), centre.1 + radius * angle(i).sin())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_ink_is_halfway() {
        let mut canvas = Canvas::new(2, 1, [0, 0, 0]);
        canvas.blend(0, 0, ink([200, 100, 255], 0.5));
        canvas.blend(5, -3, ink([9, 9, 9], 1.0));
        canvas.blend(1, 0, ink([9, 9, 9], f32::NAN));
        assert_eq!(canvas.image.get_pixel(0, 0).0, [100, 50, 128]);
        assert_eq!(canvas.image.get_pixel(1, 0).0, [0, 0, 0]);
    }

    #[test]
    fn a_line_is_painted_once_where_its_pieces_meet() {
        let mut canvas = Canvas::new(30, 30, [0, 0, 0]);
        canvas.polyline(&[(5.0, 15.0), (15.0, 15.0), (25.0, 15.0)], 6.0, ink([100, 100, 100], 0.5));
        assert_eq!(canvas.image.get_pixel(15, 15).0, [50, 50, 50]);
        assert_eq!(canvas.image.get_pixel(15, 20).0, [0, 0, 0]);
    }

    #[test]
    fn round_corners_stay_empty() {
        let mut canvas = Canvas::new(20, 20, [0, 0, 0]);
        canvas.rounded(0.0, 0.0, 20.0, 20.0, 8.0, [255, 255, 255]);
        assert_eq!(canvas.image.get_pixel(0, 0).0, [0, 0, 0]);
        assert_eq!(canvas.image.get_pixel(10, 0).0, [255, 255, 255]);
        assert_eq!(canvas.image.get_pixel(10, 10).0, [255, 255, 255]);
    }

    #[test]
    fn a_gradient_runs_from_ink_to_ink() {
        let mut canvas = Canvas::new(1, 11, [0, 0, 0]);
        let paint = Paint::Vertical { top: [0, 0, 0].into(), bottom: [200, 0, 0].into(), from: 0.5, to: 10.5 };
        canvas.rectangle(0.0, 0.0, 1.0, 11.0, paint);
        let reds: Vec<u8> = (0..11).map(|y| canvas.image.get_pixel(0, y).0[0]).collect();
        assert_eq!((reds[0], reds[5], reds[10]), (0, 100, 200));
    }

    proptest::proptest! {
        #[test]
        fn no_coordinate_panics(values in proptest::collection::vec(proptest::num::f64::ANY, 8), alpha in proptest::num::f32::ANY) {
            let mut canvas = Canvas::new(17, 9, [1, 2, 3]);
            let points: Vec<Point> = values.chunks(2).map(|p| (p[0], p[1])).collect();
            let paint = Paint::Vertical { top: ink([9, 9, 9], alpha), bottom: [1, 1, 1].into(), from: values[0], to: values[1] };
            canvas.polygon(&points, paint);
            canvas.polyline(&points, values[2], paint);
            canvas.rounded(values[0], values[1], values[2], values[3], values[4], paint);
            canvas.disc(points[0], values[5], paint);
            canvas.paste(&RgbImage::new(3, 3), values[0] as i64, values[1] as i64);
        }
    }
}
