//! Picture items: from pixels to patches at three sizes, and decoding a JPEG.

use super::{Measured, Unit, best};
use crate::{
    error::{Failure, Result},
    vlm::{
        image::{Loading, Rgb},
        processor::Processor,
    },
};
use std::hint::black_box;

/// Repeats of these short items at least.
const REPEATS: usize = 20;

/// `preprocess`: a 1600x900 picture to at most 200704 pixels (256 tokens) and at full size, a 448x448 one that needs no
/// resizing, and decoding 1600x900 from JPEG.
///
/// # Errors
/// None that depends on the input.
pub fn preprocess(repeats: usize) -> Result<Vec<Measured>> {
    let (large, small) = (scene(1600, 900), scene(448, 448));
    let mut lines = Vec::new();
    for (name, picture, max_pixels) in [
        ("preprocess", &large, 200_704),
        ("preprocess_1600x900_full", &large, 12_845_056),
        ("preprocess_448x448", &small, 12_845_056),
    ] {
        let settings = format!(
            r#"{{"patch_size": 14, "temporal_patch_size": 2, "merge_size": 2, "min_pixels": 3136, "max_pixels": {max_pixels},
                "image_mean": [0.48145466, 0.4578275, 0.40821073], "image_std": [0.26862954, 0.26130258, 0.27577711]}}"#
        );
        let processor = Processor::from_json(settings.as_bytes())?;
        let took = best(2, repeats.max(REPEATS), || {
            black_box(processor.image(picture)?);
            Ok(())
        })?;
        lines.push(Measured::new(name, took, Unit::Milliseconds));
    }
    let mut jpeg = Vec::new();
    let colour = image::ExtendedColorType::Rgb8;
    image::codecs::jpeg::JpegEncoder::new_with_quality(&mut jpeg, 90)
        .encode(&large.data, 1600, 900, colour)
        .map_err(|e| Failure::device(format!("cannot encode a JPEG: {e}")))?;
    let took = best(2, repeats.max(REPEATS), || {
        black_box(Rgb::decode(&jpeg, "the scene", &Loading::default())?);
        Ok(())
    })?;
    lines.push(Measured::new("jpeg_decode_1600x900", took, Unit::Milliseconds));
    Ok(lines)
}

/// Two ramps and a chequered blue: smooth and sharp edges.
fn scene(width: usize, height: usize) -> Rgb {
    let pixel = |i: usize| {
        let (x, y) = (i % width, i / width);
        [(x * 255 / width) as u8, (y * 255 / height) as u8, ((x / 16 + y / 16) % 2 * 200) as u8]
    };
    Rgb { width, height, data: (0..width * height).flat_map(pixel).collect() }
}
