//! Vision towers: patch rows in merge-block order in, merged tokens of the decoder's width out.
//!
//! One file per family; `common` holds what they share. All pictures of a call run as one sequence with attention
//! confined to each frame (or window), so features never depend on which pictures are encoded together.

mod common;
mod qwen2;
mod qwen2_5;
mod qwen3;

use super::{
    build::Scope,
    config::{Family, VisionConfig, VlmConfig},
    model::{ImageFeatures, Trace},
};
use crate::error::{Failure, Result};
use candle_core::Tensor;

/// Patches along time, height and width.
pub type Grid = [usize; 3];

#[derive(Debug, Clone)]
pub(crate) enum Tower {
    Qwen2(qwen2::Tower),
    Qwen25(qwen2_5::Tower),
    Qwen3(qwen3::Tower),
}

impl Tower {
    pub(crate) fn new(scope: &Scope, config: &VlmConfig) -> candle_core::Result<Self> {
        let vision = &config.vision;
        Ok(match config.family {
            Family::Qwen2Vl => Tower::Qwen2(qwen2::Tower::new(scope, vision)?),
            Family::Qwen25Vl => Tower::Qwen25(qwen2_5::Tower::new(scope, vision)?),
            Family::Qwen3Vl => Tower::Qwen3(qwen3::Tower::new(scope, vision)?),
        })
    }

    /// pixels `(P, C*t*p*p)` in the compute dtype, grids already checked.
    pub(crate) fn forward(
        &self,
        pixels: &Tensor,
        grids: &[Grid],
        trace: &mut Option<&mut Trace>,
    ) -> candle_core::Result<ImageFeatures> {
        match self {
            Tower::Qwen2(tower) => tower.forward(pixels, grids, trace),
            Tower::Qwen25(tower) => tower.forward(pixels, grids, trace),
            Tower::Qwen3(tower) => tower.forward(pixels, grids, trace),
        }
    }
}

/// Refuses pixel rows that do not belong to the grids.
pub(crate) fn check_input(config: &VisionConfig, pixels: &Tensor, grids: &[Grid]) -> Result<()> {
    let merge = config.spatial_merge_size;
    if let Some(grid) = grids.iter().find(|[t, h, w]| t * h * w == 0 || h % merge != 0 || w % merge != 0) {
        return Err(Failure::data(format!(
            "picture grid {grid:?}: every size must be positive, height and width multiples of {merge}"
        )));
    }
    let patches: usize = grids.iter().map(|grid| grid.iter().product::<usize>()).sum();
    if pixels.dims() != [patches, config.patch_len()] || patches == 0 {
        return Err(Failure::data(format!(
            "pixel_values have the shape {:?}; the grids {grids:?} need [{patches}, {}]",
            pixels.dims(),
            config.patch_len()
        )));
    }
    Ok(())
}
