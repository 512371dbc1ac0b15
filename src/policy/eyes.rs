//! A planner's vision tower as the eyes of trajectory branches.

use super::Planner;
use crate::{
    error::{Failure, Result},
    trajectory::branches::Eyes,
    vlm::{image::Rgb, processor::Pixels},
};
use candle_core::{DType, Device, Tensor};
use rayon::prelude::*;

/// Numbers that are kept of the fixed picture.
const PROBE: usize = 16;
/// Side of the fixed picture, pixels.
const SIDE: usize = 128;

/// Tokens `(B, N, F)` of pictures of one size, f32 on the host, without gradient.
///
/// # Errors
/// Pictures that the processor does not accept or of different sizes, none at all, device trouble.
pub fn tokens(planner: &Planner, pictures: &[&Rgb]) -> Result<Tensor> {
    let pixels: Vec<Pixels> =
        pictures.par_iter().map(|picture| planner.encoder.processor.image(picture)).collect::<Result<_>>()?;
    let Some((values, grids)) = Pixels::concat(&pixels)? else {
        return Err(Failure::data("no pictures to see"));
    };
    if let Some(other) = grids.iter().find(|grid| **grid != grids[0]) {
        return Err(Failure::data(format!("pictures of {:?} and {other:?} patches cannot be seen together", grids[0])));
    }
    let features = planner.vlm.frozen()?.encode_images(&values, &grids)?;
    let embeds = features.embeds.detach().to_device(&Device::Cpu)?.to_dtype(DType::F32)?.contiguous()?;
    let (rows, width) = embeds.dims2()?;
    Ok(embeds.reshape((grids.len(), rows / grids.len(), width))?)
}

/// How a planner sees: some numbers of the mean token of a picture of slanted stripes.
///
/// # Errors
/// Device trouble.
pub fn eyes(planner: &Planner) -> Result<Eyes> {
    let stripe = |i: usize| {
        let (x, y, c) = (i / 3 % SIDE, i / 3 / SIDE, i % 3);
        (x * (2 + c) + y * (5 - c)) as u8
    };
    let picture = Rgb::new(SIDE, SIDE, (0..SIDE * SIDE * 3).map(stripe).collect())?;
    let mean = tokens(planner, &[&picture])?.squeeze(0)?.mean(0)?.to_vec1::<f32>()?;
    Ok(Eyes { name: planner.source.base_name(), probe: mean.into_iter().take(PROBE).collect() })
}
