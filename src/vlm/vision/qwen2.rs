//! Qwen2-VL: LayerNorm blocks, quick-GELU MLP, full attention inside each frame.

use super::{
    Grid,
    common::{Attention, Block, Merger, Mlp, PatchEmbed, RopeTable, frame_bounds},
};
use crate::vlm::{
    build::Scope,
    config::VisionConfig,
    linear::Norm,
    model::{ImageFeatures, Trace, note},
    ops::{self, Mask},
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
        let norm = |scope: Scope| Norm::layer(&scope, config.embed_dim, 1e-6);
        let block = |i: usize| -> Result<Block> {
            let scope = scope.pp("blocks").pp(i);
            Ok(Block {
                norm1: norm(scope.pp("norm1"))?,
                attn: Attention::new(&scope.pp("attn"), config)?,
                norm2: norm(scope.pp("norm2"))?,
                mlp: Mlp::plain(&scope.pp("mlp"), ["fc1", "fc2"], config, ops::quick_gelu)?,
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
        let mut x = self.patch_embed.forward(pixels)?;
        note(trace, || "vision.patch_embed".into(), &x);
        let rope = RopeTable::new(grids, &self.config).build(pixels.device())?;
        let mask = Mask::Segments { cu: frame_bounds(grids) };
        for (i, block) in self.blocks.iter().enumerate() {
            x = block.forward(&x, &rope, &mask)?;
            note(trace, || format!("vision.block{i}"), &x);
        }
        let embeds = self.merger.forward(&x)?;
        note(trace, || "vision.merger_raw".into(), &embeds);
        note(trace, || "vision.pooler".into(), &embeds);
        Ok(ImageFeatures { embeds, deepstack: Vec::new() })
    }
}
