//! From pictures to patches: smart resize, normalisation and merge-block order, as `transformers` does it.
//!
//! A picture becomes P = t*h*w rows of C*T*p*p values: rows in the order (block row, block column, row in block, column
//! in block) of `merge x merge` blocks, values in the order (channel, temporal, y, x). A still picture is repeated T
//! times; frames of a video are taken T at a time and the last one fills the end.
//! Settings come from `preprocessor_config.json` in every layout seen so far: `min_pixels`/`max_pixels`,
//! `size.shortest_edge`/`longest_edge` (both are *areas*), or nested in `processor_config.json`.

mod settings;

use super::{image::Rgb, resize::resize};
use crate::error::{Failure, Result, io_at};
use candle_core::{Device, Tensor};
use rayon::prelude::*;
use settings::{MAX_CONFIG, Raw};
use std::{io::Read, path::Path};

/// Patches of one picture or video.
#[derive(Debug, Clone, PartialEq)]
pub struct Pixels {
    /// P rows of C*T*p*p normalised values.
    pub values: Vec<f32>,
    /// P = t * h * w, in patches before merging.
    pub grid: [usize; 3],
}

impl Pixels {
    /// All patches as `(P, C*T*p*p)` on the CPU, with the grids in order; `None` when there are no pictures.
    pub fn concat(all: &[Pixels]) -> Result<Option<(Tensor, Vec<[usize; 3]>)>> {
        let Some(first) = all.first() else { return Ok(None) };
        let width = first.width();
        if let Some(other) = all.iter().find(|p| p.width() != width) {
            let (a, b) = (width, other.width());
            return Err(Failure::data(format!("pictures of one batch have patches of {a} and {b} values"))
                .hint("use one processor for the whole batch"));
        }
        let rows = all.iter().map(|p| p.values.len()).sum::<usize>() / width;
        let mut values = Vec::with_capacity(rows * width);
        all.iter().for_each(|p| values.extend_from_slice(&p.values));
        Ok(Some((Tensor::from_vec(values, (rows, width), &Device::Cpu)?, all.iter().map(|p| p.grid).collect())))
    }

    /// Values per patch.
    fn width(&self) -> usize {
        self.values.len() / self.grid.iter().product::<usize>().max(1)
    }
}

/// How pictures and videos of one model are prepared.
#[derive(Debug, Clone)]
pub struct Processor {
    image: Recipe,
    video: Recipe,
    /// Qwen3-VL bounds the pixels of a whole video, the others those of each frame.
    whole_video: bool,
}

#[derive(Debug, Clone)]
struct Recipe {
    patch: usize,
    temporal: usize,
    merge: usize,
    min_pixels: u64,
    max_pixels: u64,
    /// Mean and deviation of each channel, for levels from 0 to 1.
    mean: [f32; 3],
    std: [f32; 3],
    /// Normalised value of each level, by channel: there are only 256, so the division is done once.
    table: [[f32; 256]; 3],
}

impl Processor {
    /// Reads the settings from a model folder.
    pub fn from_dir(dir: &Path) -> Result<Processor> {
        let read = |name: &str| -> Result<Option<Raw>> {
            let path = dir.join(name);
            match std::fs::File::open(&path) {
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
                Err(e) => Err(io_at(&path)(e)),
                Ok(file) => {
                    let mut bytes = Vec::new();
                    file.take(MAX_CONFIG + 1).read_to_end(&mut bytes).map_err(|e| io_at(&path)(e))?;
                    Raw::parse(&bytes).map(Some).map_err(|e| e.context(path.display()))
                }
            }
        };
        let nested = read("processor_config.json")?.unwrap_or_default();
        let image = match nested.image_processor {
            Some(raw) => Some(*raw),
            None => read("preprocessor_config.json")?,
        };
        let Some(image) = image else {
            return Err(Failure::data(format!("{} has no preprocessor_config.json", dir.display()))
                .hint("copy it from the model's page; text-only models cannot look at pictures"));
        };
        let video = match nested.video_processor {
            Some(raw) => Some(*raw),
            None => read("video_preprocessor_config.json")?,
        };
        Processor::new(image, video).map_err(|e| e.context(dir.display()))
    }

    /// Reads the settings from the bytes of a `preprocessor_config.json` (or of a `processor_config.json`).
    pub fn from_json(bytes: &[u8]) -> Result<Processor> {
        let mut raw = Raw::parse(bytes)?;
        let video = raw.video_processor.take().map(|v| *v);
        match raw.image_processor.take() {
            Some(image) => Processor::new(*image, video),
            None => Processor::new(raw, video),
        }
    }

    fn new(image: Raw, video: Option<Raw>) -> Result<Processor> {
        let kind = video.as_ref().and_then(|v| v.video_processor_type.clone()).unwrap_or_default();
        let image = image.check()?;
        let video = video.map(Raw::check).transpose()?.unwrap_or_else(|| image.clone());
        if (image.patch, image.temporal, image.merge) != (video.patch, video.temporal, video.merge) {
            return Err(Failure::data("pictures and videos have different patch, temporal patch or merge sizes"));
        }
        Ok(Processor { image, video, whole_video: kind.starts_with("Qwen3") })
    }

    /// Lowers or raises the largest number of pixels per picture, as `max_pixels` of the reference does.
    pub fn with_max_pixels(mut self, max_pixels: u64) -> Result<Processor> {
        let least = (self.factor() * self.factor()) as u64;
        if max_pixels < least {
            return Err(Failure::usage(format!("max_pixels {max_pixels} is less than one image token, {least}"))
                .hint(format!("allow at least {least}; {} pixels are one token", least)));
        }
        for recipe in [&mut self.image, &mut self.video] {
            recipe.max_pixels = max_pixels;
            recipe.min_pixels = recipe.min_pixels.min(max_pixels);
        }
        Ok(self)
    }

    /// Least and most pixels of a picture.
    pub fn limits(&self) -> (u64, u64) {
        (self.image.min_pixels, self.image.max_pixels)
    }

    /// Mean and deviation of each channel, for levels from 0 to 1.
    pub fn normalisation(&self) -> ([f32; 3], [f32; 3]) {
        (self.image.mean, self.image.std)
    }

    /// Side of a patch, frames per patch, and patches per side of a token.
    pub fn sizes(&self) -> (usize, usize, usize) {
        (self.image.patch, self.image.temporal, self.image.merge)
    }

    /// Side of an image token in pixels: sizes are rounded to multiples of it.
    pub fn factor(&self) -> usize {
        self.image.patch * self.image.merge
    }

    /// Tokens a grid takes in the prompt.
    pub fn tokens(&self, grid: [usize; 3]) -> usize {
        grid.iter().product::<usize>() / (self.image.merge * self.image.merge)
    }

    /// The grid of a picture of this size, without looking at it.
    pub fn grid(&self, width: usize, height: usize) -> Result<[usize; 3]> {
        let r = &self.image;
        let (h, w) = smart_resize(height, width, self.factor(), r.min_pixels, r.max_pixels)?;
        Ok([1, h / r.patch, w / r.patch])
    }

    /// Prepares one picture.
    pub fn image(&self, picture: &Rgb) -> Result<Pixels> {
        let grid = self.grid(picture.width, picture.height)?;
        let resized = resize(picture, grid[2] * self.image.patch, grid[1] * self.image.patch);
        Ok(self.image.patches(&[resized], grid))
    }

    /// Prepares frames of equal size, oldest first, as one video.
    pub fn video(&self, frames: &[Rgb]) -> Result<Pixels> {
        let r = &self.video;
        let Some(first) = frames.first() else { return Err(Failure::data("a video without frames")) };
        if let Some((i, odd)) =
            frames.iter().enumerate().find(|(_, f)| (f.width, f.height) != (first.width, first.height))
        {
            let (w, h, ow, oh) = (first.width, first.height, odd.width, odd.height);
            return Err(Failure::data(format!("frame {i} is {ow}x{oh}, the first is {w}x{h}; one video has one size"))
                .hint("pass them as separate pictures"));
        }
        let (h, w) = match self.whole_video {
            true => volume_resize(frames.len(), first.height, first.width, self.factor(), r)?,
            false => smart_resize(first.height, first.width, self.factor(), r.min_pixels, r.max_pixels)?,
        };
        let resized: Vec<Rgb> = frames.iter().map(|f| resize(f, w, h)).collect();
        Ok(r.patches(&resized, [frames.len().div_ceil(r.temporal), h / r.patch, w / r.patch]))
    }
}

impl Recipe {
    /// Cuts frames whose size is the grid's into patches.
    fn patches(&self, frames: &[Rgb], grid: [usize; 3]) -> Pixels {
        let Recipe { patch: p, temporal, merge, .. } = *self;
        let [t, h, w] = grid;
        let plane = p * p;
        let mut values = vec![0f32; t * h * w * 3 * temporal * plane];
        values.par_chunks_mut(3 * temporal * plane).enumerate().for_each(|(row, out)| {
            let (frame, cell) = (row / (h * w) * temporal, row % (h * w));
            let (block, inside) = (cell / (merge * merge), cell % (merge * merge));
            let y = (block / (w / merge) * merge + inside / merge) * p;
            let x = (block % (w / merge) * merge + inside % merge) * p;
            for (c, out) in out.chunks_exact_mut(temporal * plane).enumerate() {
                for k in 0..temporal {
                    let at = (frame + k).min(frames.len() - 1);
                    if k > 0 && at == frame + k - 1 {
                        out.copy_within((k - 1) * plane..k * plane, k * plane);
                        continue;
                    }
                    let picture = &frames[at];
                    for (dy, out) in out[k * plane..(k + 1) * plane].chunks_exact_mut(p).enumerate() {
                        let from = ((y + dy) * picture.width + x) * 3;
                        for (out, pixel) in out.iter_mut().zip(picture.data[from..].as_chunks::<3>().0) {
                            *out = self.table[c][pixel[c] as usize];
                        }
                    }
                }
            }
        });
        Pixels { values, grid }
    }
}

/// The size a picture is resized to, `(height, width)`: multiples of `factor` near its own, between `min` and `max`
/// pixels, keeping the aspect ratio as far as possible. Rounding is half to even, as Python's `round`.
pub fn smart_resize(height: usize, width: usize, factor: usize, min: u64, max: u64) -> Result<(usize, usize)> {
    aspect(height, width)?;
    bounded(1, 1, height, width, factor, (min, max))
}

fn aspect(height: usize, width: usize) -> Result<()> {
    let (long, short) = (height.max(width), height.min(width));
    if short == 0 || long as f64 / short as f64 > 200.0 {
        return Err(Failure::data(format!(
            "a picture of {width}x{height} pixels: one side is over 200 times the other"
        ))
        .hint("crop it; models accept an aspect ratio of at most 200"));
    }
    Ok(())
}

/// Qwen3-VL's rule for videos: the bounds hold for all frames together.
fn volume_resize(frames: usize, height: usize, width: usize, factor: usize, r: &Recipe) -> Result<(usize, usize)> {
    let grow = (factor as f64 / height as f64).max(factor as f64 / width as f64);
    let small = height < factor || width < factor;
    // `as` truncates, as Python's `int` does.
    let scaled = |side: usize| if small { (side as f64 * grow) as usize } else { side };
    let (height, width) = (scaled(height), scaled(width));
    aspect(height, width)?;
    let frames = frames.max(r.temporal); // the reference refuses fewer; here the frame is repeated
    let rounded = (frames as f64 / r.temporal as f64).round_ties_even() as usize * r.temporal;
    bounded(frames, rounded, height, width, factor, (r.min_pixels, r.max_pixels))
}

fn bounded(
    frames: usize,
    rounded_frames: usize,
    height: usize,
    width: usize,
    factor: usize,
    (min, max): (u64, u64),
) -> Result<(usize, usize)> {
    let (h, w, f) = (height as f64, width as f64, factor as f64);
    let nearest = |side: f64| (side / f).round_ties_even() as usize * factor;
    let mut size = (nearest(h), nearest(w));
    let pixels = (rounded_frames * size.0 * size.1) as u64;
    let own = (frames * height * width) as f64;
    if pixels > max {
        let beta = (own / max as f64).sqrt();
        let down = |side: f64| ((side / beta / f).floor() as usize * factor).max(factor);
        size = (down(h), down(w));
    } else if pixels < min {
        let beta = (min as f64 / own).sqrt();
        let up = |side: f64| (side * beta / f).ceil() as usize * factor;
        size = (up(h), up(w));
    }
    match size {
        (0, _) | (_, 0) => Err(Failure::data(format!("a picture of {width}x{height} pixels would vanish"))
            .hint(format!("its sides must be at least half of {factor} pixels, or min_pixels positive"))),
        size => Ok(size),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use proptest::prelude::*;

    const PLAIN: &[u8] = br#"{"patch_size": 4, "merge_size": 2, "min_pixels": 64, "max_pixels": 4096, "do_normalize": false, "do_rescale": false}"#;

    fn ramp(width: usize, height: usize, add: usize) -> Rgb {
        let data = (0..width * height * 3).map(|i| ((i / 3 % width) + 16 * (i / 3 / width) + 70 * (i % 3) + add) as u8);
        Rgb { width, height, data: data.collect() }
    }

    #[test]
    fn every_layout_of_the_settings() {
        for text in [
            r#"{"min_pixels": 100, "max_pixels": 200}"#,
            r#"{"size": {"shortest_edge": 100, "longest_edge": 200}}"#,
            r#"{"size": {"min_pixels": 100, "max_pixels": 200}, "min_pixels": null}"#,
            r#"{"size": {"shortest_edge": 1, "longest_edge": 2}, "min_pixels": 100, "max_pixels": 200}"#,
            r#"{"image_processor": {"min_pixels": 100, "max_pixels": 200}, "video_processor": {}, "processor_class": "x"}"#,
        ] {
            let p = Processor::from_json(text.as_bytes()).unwrap();
            assert_eq!((p.image.min_pixels, p.image.max_pixels), (100, 200), "{text}");
        }
        for text in [
            "",
            "[]",
            r#"{"patch_size": 0}"#,
            r#"{"patch_size": -1}"#,
            r#"{"min_pixels": 9, "max_pixels": 8}"#,
            r#"{"image_std": [1, 0, 1]}"#,
            r#"{"image_mean": [1, 2]}"#,
            r#"{"resample": 2}"#,
            r#"{"do_resize": false}"#,
        ] {
            assert!(Processor::from_json(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn order_of_patches_and_values() {
        let p = Processor::from_json(PLAIN).unwrap();
        let picture = ramp(24, 16, 0);
        let pixels = p.image(&picture).unwrap();
        assert_eq!(pixels.grid, [1, 4, 6]);
        assert_eq!(p.tokens(pixels.grid), 6);
        // Patch 5 is in the second block of the first row (columns 8..16), first row, second column: x from 12, y from 0.
        for (c, t, y, x) in [(0, 0, 0, 0), (2, 1, 3, 2), (1, 0, 1, 3)] {
            let value = pixels.values[5 * 96 + c * 32 + t * 16 + y * 4 + x];
            assert_eq!(value, f32::from(picture.data[(y * 24 + 12 + x) * 3 + c]));
        }
        // Patch 14: second block row, first block, third patch: x from 0, y from 12.
        assert_eq!(pixels.values[14 * 96], f32::from(picture.data[12 * 24 * 3]));
    }

    #[test]
    fn videos_pair_frames_and_repeat_the_last() {
        let p = Processor::from_json(PLAIN).unwrap();
        let frames: Vec<Rgb> = (0..3).map(|i| ramp(16, 16, i)).collect();
        let pixels = p.video(&frames).unwrap();
        assert_eq!(pixels.grid, [2, 4, 4]);
        let at = |t: usize, k: usize| pixels.values[t * 16 * 96 + k * 16];
        assert_eq!([at(0, 0), at(0, 1), at(1, 0), at(1, 1)], [0.0, 1.0, 2.0, 2.0]);
        assert!(p.video(&[]).is_err());
        assert!(p.video(&[ramp(16, 16, 0), ramp(16, 20, 0)]).unwrap_err().message.contains("frame 1 is 16x20"));
        // Still pictures and one-frame videos are the same thing when the bounds are.
        assert_eq!(p.video(&frames[..1]).unwrap(), p.image(&frames[0]).unwrap());
    }

    #[test]
    fn whole_videos_share_their_pixels() {
        let text =
            br#"{"image_processor": {"patch_size": 16}, "video_processor": {"patch_size": 16, "video_processor_type":
            "Qwen3VLVideoProcessor", "size": {"shortest_edge": 4096, "longest_edge": 65536}}}"#;
        let p = Processor::from_json(text).unwrap();
        // Worked by hand: 4 frames of 320x320 are 409 600 pixels, beta = 2.5, so 128x128 each.
        assert_eq!(p.video(&vec![Rgb::filled(320, 320, [9; 3]); 4]).unwrap().grid, [2, 8, 8]);
        // 1 frame counts as 2: beta = sqrt(204800 / 65536) = 1.7678, 320 / beta / 32 = 5.66.
        assert_eq!(p.video(&[Rgb::filled(320, 320, [9; 3])]).unwrap().grid, [1, 10, 10]);
    }

    #[test]
    fn concat_stacks_rows() {
        let p = Processor::from_json(PLAIN).unwrap();
        let (a, b) = (p.image(&ramp(16, 16, 0)).unwrap(), p.image(&ramp(24, 16, 0)).unwrap());
        let (tensor, grids) = Pixels::concat(&[a.clone(), b.clone()]).unwrap().unwrap();
        assert_eq!((tensor.dims(), grids), (&[40, 96][..], vec![[1, 4, 4], [1, 4, 6]]));
        assert!(Pixels::concat(&[]).unwrap().is_none());
        let odd = Pixels { values: vec![0.; 16], grid: [1, 4, 4] };
        assert!(Pixels::concat(&[a, odd]).is_err());
    }

    #[test]
    fn refusals_say_why() {
        let p = Processor::from_json(b"{}").unwrap();
        assert!(p.grid(4096, 20).unwrap_err().message.contains("4096x20"));
        assert!(p.grid(0, 20).is_err());
        assert!(p.clone().with_max_pixels(783).unwrap_err().message.contains("784"));
        let capped = p.with_max_pixels(200_704).unwrap();
        assert_eq!(capped.grid(1600, 900).unwrap(), [1, 22, 42]);
    }

    proptest! {
        #[test]
        fn settings_never_panic(text in "\\PC{0,80}", key in "(patch_size|size|min_pixels|image_mean|rescale_factor)", value in "(null|-1|0|1e400|\\[\\]|\\{\\}|\"a\"|7)") {
            let _ = Processor::from_json(text.as_bytes());
            let _ = Processor::from_json(format!("{{\"{key}\": {value}}}").as_bytes());
        }

        #[test]
        fn sizes_are_multiples_and_small_enough(h in 1usize..5000, w in 1usize..5000, factor in 8usize..64, max in 4096u64..20_000_000) {
            if let Ok((oh, ow)) = smart_resize(h, w, factor, 3136, max) {
                prop_assert!(oh % factor == 0 && ow % factor == 0 && oh > 0 && ow > 0);
                // A side never goes under one factor, which long thin pictures can owe to the bound.
                prop_assert!((oh * ow) as u64 <= max.max(3136 * 4) || oh == factor || ow == factor);
            } else {
                prop_assert!(h.max(w) > 200 * h.min(w));
            }
        }
    }
}
