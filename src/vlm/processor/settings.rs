//! The picture settings as model folders write them, and their checks.

use super::Recipe;
use crate::error::{Failure, Result};
use serde::Deserialize;

/// Largest settings file read.
pub(super) const MAX_CONFIG: u64 = 1 << 20;

/// The file as written.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Raw {
    patch_size: Option<usize>,
    temporal_patch_size: Option<usize>,
    merge_size: Option<usize>,
    min_pixels: Option<u64>,
    max_pixels: Option<u64>,
    size: Option<RawSize>,
    image_mean: Option<PerChannel>,
    image_std: Option<PerChannel>,
    rescale_factor: Option<f64>,
    do_resize: Option<bool>,
    do_rescale: Option<bool>,
    do_normalize: Option<bool>,
    resample: Option<i64>,
    pub(super) video_processor_type: Option<String>,
    pub(super) image_processor: Option<Box<Raw>>,
    pub(super) video_processor: Option<Box<Raw>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawSize {
    shortest_edge: Option<u64>,
    longest_edge: Option<u64>,
    min_pixels: Option<u64>,
    max_pixels: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum PerChannel {
    One(f64),
    Three([f64; 3]),
}

impl PerChannel {
    fn channels(self) -> [f64; 3] {
        match self {
            PerChannel::One(v) => [v; 3],
            PerChannel::Three(v) => v,
        }
    }
}

/// OpenAI CLIP's statistics, the reference's default.
const CLIP_MEAN: [f64; 3] = [0.48145466, 0.4578275, 0.40821073];
const CLIP_STD: [f64; 3] = [0.26862954, 0.26130258, 0.27577711];

impl Raw {
    pub(super) fn parse(bytes: &[u8]) -> Result<Raw> {
        if bytes.len() as u64 > MAX_CONFIG {
            return Err(Failure::data(format!("picture settings of more than {MAX_CONFIG} bytes")));
        }
        let wrong = |what: String| {
            Failure::data(format!("picture settings: {what}"))
                .hint("expected a preprocessor_config.json of the Qwen-VL family")
        };
        // serde also reads structs from arrays, by position; here that can only be a mistake.
        let value: serde_json::Value = serde_json::from_slice(bytes).map_err(|e| wrong(e.to_string()))?;
        if !value.is_object() {
            return Err(wrong("not a JSON object".into()));
        }
        serde_json::from_value(value).map_err(|e| wrong(e.to_string()))
    }

    pub(super) fn check(self) -> Result<Recipe> {
        let within = |name: &str, value: Option<usize>, default: usize, most: usize| match value.unwrap_or(default) {
            n if (1..=most).contains(&n) => Ok(n),
            n => Err(Failure::data(format!("picture settings: {name} is {n}; allowed are 1 to {most}"))),
        };
        let patch = within("patch_size", self.patch_size, 14, 64)?;
        let temporal = within("temporal_patch_size", self.temporal_patch_size, 2, 8)?;
        let merge = within("merge_size", self.merge_size, 2, 8)?;
        let size = self.size.unwrap_or_default();
        let min_pixels = self.min_pixels.or(size.shortest_edge).or(size.min_pixels).unwrap_or(56 * 56);
        let max_pixels = self.max_pixels.or(size.longest_edge).or(size.max_pixels).unwrap_or(28 * 28 * 1280);
        if min_pixels == 0 || max_pixels < min_pixels || max_pixels > 1 << 32 {
            return Err(Failure::data(format!(
                "picture settings: pixels from {min_pixels} to {max_pixels}; need 1 <= min <= max <= 2^32"
            )));
        }
        if self.do_resize == Some(false) || self.resample.is_some_and(|r| r != 3) {
            return Err(Failure::data("picture settings: only bicubic resizing (resample 3, do_resize) is supported"));
        }
        let mean = self.image_mean.map_or(CLIP_MEAN, PerChannel::channels);
        let std = self.image_std.map_or(CLIP_STD, PerChannel::channels);
        let factor = self.rescale_factor.unwrap_or(1.0 / 255.0);
        if mean.iter().chain(&std).any(|v| !v.is_finite()) || std.contains(&0.0) || !factor.is_normal() {
            return Err(Failure::data(
                "picture settings: image_mean, image_std and rescale_factor must be finite, the last two not 0",
            ));
        }
        let (rescale, normalise) = (self.do_rescale.unwrap_or(true), self.do_normalize.unwrap_or(true));
        // f32 in the order of the reference: statistics times 255 first, then subtract and divide.
        let scale = if rescale { (1.0 / factor) as f32 } else { 1.0 };
        let table = std::array::from_fn(|c| {
            let (mean, std) = (mean[c] as f32 * scale, std[c] as f32 * scale);
            std::array::from_fn(|level| match (normalise, rescale) {
                (true, _) => (level as f32 - mean) / std,
                (false, true) => level as f32 * factor as f32,
                (false, false) => level as f32,
            })
        });
        // The same for levels divided by 255, whatever the file divides by.
        let unit = f64::from(scale) / 255.0;
        let (mean, std) = match (normalise, rescale) {
            (true, _) => (mean.map(|v| (v * unit) as f32), std.map(|v| (v * unit) as f32)),
            (false, true) => ([0.0; 3], [(1.0 / (factor * 255.0)) as f32; 3]),
            (false, false) => ([0.0; 3], [1.0 / 255.0; 3]),
        };
        Ok(Recipe { patch, temporal, merge, min_pixels, max_pixels, mean, std, table })
    }
}
