//! Qwen2.5-VL: RMSNorm blocks, gated MLP with biases, attention inside windows except in a few blocks.
//!
//! Patches and their rotary tables are permuted once into window order by groups of merge^2; the blocks with full
//! attention run in the same order inside each frame; the merged tokens are permuted back at the end. The reference
//! pads each side by `window - n % window`, a whole extra window when it divides; those windows are empty and vanish.

use super::{
    Grid,
    common::{Attention, Block, Merger, Mlp, PatchEmbed, RopeTable, frame_bounds},
};
use crate::vlm::{
    build::Scope,
    config::VisionConfig,
    linear::Norm,
    model::{ImageFeatures, Trace, note},
    ops::Mask,
    text,
};
use candle_core::{Result, Tensor};

#[derive(Debug, Clone)]
pub(crate) struct Tower {
    patch_embed: PatchEmbed,
    blocks: Vec<Block>,
    merger: Merger,
    config: VisionConfig,
}

impl Tower {
    pub(super) fn new(scope: &Scope, config: &VisionConfig) -> Result<Self> {
        let norm = |scope: Scope| Norm::rms(&scope, config.embed_dim, 1e-6);
        let block = |i: usize| -> Result<Block> {
            let scope = scope.pp("blocks").pp(i);
            let mlp = text::Mlp::new(&scope.pp("mlp"), config.embed_dim, config.intermediate_size, true)?;
            Ok(Block {
                norm1: norm(scope.pp("norm1"))?,
                attn: Attention::new(&scope.pp("attn"), config)?,
                norm2: norm(scope.pp("norm2"))?,
                mlp: Mlp::Gated(mlp),
            })
        };
        let merger = scope.pp("merger");
        let ln_q = norm(merger.pp("ln_q"))?;
        Ok(Tower {
            patch_embed: PatchEmbed::new(&scope.pp("patch_embed"), config, false)?,
            blocks: (0..config.depth).map(block).collect::<Result<_>>()?,
            merger: Merger::new(&merger, ["mlp.0", "mlp.2"], ln_q, false, config)?,
            config: config.clone(),
        })
    }

    pub(super) fn forward(
        &self,
        pixels: &Tensor,
        grids: &[Grid],
        trace: &mut Option<&mut Trace>,
    ) -> Result<ImageFeatures> {
        let device = pixels.device();
        let group = self.config.spatial_merge_size * self.config.spatial_merge_size;
        let windows = Windows::new(grids, &self.config);
        let index = |order: &[u32]| Tensor::from_slice(order, order.len(), device);

        let x = self.patch_embed.forward(pixels)?;
        note(trace, || "vision.patch_embed".into(), &x);
        let (patches, width) = x.dims2()?;
        let x = x.reshape((patches / group, group * width))?.index_select(&index(&windows.order)?, 0)?;
        let mut x = x.reshape((patches, width))?;

        let mut table = RopeTable::new(grids, &self.config);
        (table.cos, table.sin) =
            (permute(&table.cos, &windows.order, group), permute(&table.sin, &windows.order, group));
        let rope = table.build(device)?;
        let full = Mask::Segments { cu: frame_bounds(grids) };
        let windowed = Mask::Segments { cu: windows.bounds.iter().map(|units| units * group).collect() };
        for (i, block) in self.blocks.iter().enumerate() {
            let mask = if self.config.fullatt_block_indexes.contains(&i) { &full } else { &windowed };
            x = block.forward(&x, &rope, mask)?;
            note(trace, || format!("vision.block{i}"), &x);
        }
        let merged = self.merger.forward(&x)?;
        note(trace, || "vision.merger_raw".into(), &merged);
        let embeds = merged.index_select(&index(&windows.inverse)?, 0)?;
        note(trace, || "vision.pooler".into(), &embeds);
        Ok(ImageFeatures { embeds, deepstack: Vec::new() })
    }
}

/// Rows of equal length, `group` rows per entry of `order`, in that order.
fn permute(rows: &[f32], order: &[u32], group: usize) -> Vec<f32> {
    let unit = rows.len() / order.len();
    debug_assert_eq!(unit % group, 0);
    order.iter().flat_map(|i| &rows[*i as usize * unit..][..unit]).copied().collect()
}

/// Merged cells in window order.
struct Windows {
    /// Cell at each place.
    order: Vec<u32>,
    /// Place of each cell.
    inverse: Vec<u32>,
    /// Places at which windows begin, and the end.
    bounds: Vec<usize>,
}

impl Windows {
    fn new(grids: &[Grid], config: &VisionConfig) -> Self {
        let merge = config.spatial_merge_size;
        let side = config.window_size / merge / config.patch_size;
        let (mut order, mut bounds, mut base) = (Vec::new(), vec![0], 0);
        for [t, h, w] in grids {
            let (h, w) = (h / merge, w / merge);
            for _ in 0..*t {
                for (top, left) in (0..h).step_by(side).flat_map(|r| (0..w).step_by(side).map(move |c| (r, c))) {
                    for row in top..(top + side).min(h) {
                        order.extend((left..(left + side).min(w)).map(|column| (base + row * w + column) as u32));
                    }
                    bounds.push(order.len());
                }
                base += h * w;
            }
        }
        let mut inverse = vec![0; order.len()];
        for (place, cell) in order.iter().enumerate() {
            inverse[*cell as usize] = place as u32;
        }
        Windows { order, inverse, bounds }
    }
}
