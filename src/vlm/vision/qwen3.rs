//! Qwen3-VL: LayerNorm blocks, tanh-GELU MLP, a learned position table interpolated to each picture, DeepStack.
//!
//! DeepStack: the hidden states after the listed blocks go through mergers of their own (whose norm comes after the
//! merge, unlike the main one's) and are added to the decoder's first layers at the image positions.

use super::{
    Grid,
    common::{Attention, Block, Merger, Mlp, PatchEmbed, RopeTable, block_order, frame_bounds},
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
    pos_embed: Tensor, // (side^2, E)
    blocks: Vec<Block>,
    merger: Merger,
    deepstack: Vec<Merger>,
    config: VisionConfig,
}

impl Tower {
    pub(super) fn new(scope: &Scope, config: &VisionConfig) -> Result<Self> {
        let group = config.spatial_merge_size * config.spatial_merge_size;
        let names = ["linear_fc1", "linear_fc2"];
        let norm = |scope: Scope, width: usize| Norm::layer(&scope, width, 1e-6);
        let block = |i: usize| -> Result<Block> {
            let scope = scope.pp("blocks").pp(i);
            Ok(Block {
                norm1: norm(scope.pp("norm1"), config.embed_dim)?,
                attn: Attention::new(&scope.pp("attn"), config)?,
                norm2: norm(scope.pp("norm2"), config.embed_dim)?,
                mlp: Mlp::plain(&scope.pp("mlp"), names, config, ops::gelu_tanh)?,
            })
        };
        let deep = |i: usize| -> Result<Merger> {
            let scope = scope.pp("deepstack_merger_list").pp(i);
            Merger::new(&scope, names, norm(scope.pp("norm"), group * config.embed_dim)?, true, config)
        };
        let merger = scope.pp("merger");
        let merger_norm = norm(merger.pp("norm"), config.embed_dim)?;
        Ok(Tower {
            patch_embed: PatchEmbed::new(&scope.pp("patch_embed"), config, true)?,
            pos_embed: scope.pp("pos_embed").get("weight", &[config.num_position_embeddings, config.embed_dim])?,
            blocks: (0..config.depth).map(block).collect::<Result<_>>()?,
            merger: Merger::new(&merger, names, merger_norm, false, config)?,
            deepstack: (0..config.deepstack_visual_indexes.len()).map(deep).collect::<Result<_>>()?,
            config: config.clone(),
        })
    }

    pub(super) fn forward(
        &self,
        pixels: &Tensor,
        grids: &[Grid],
        trace: &mut Option<&mut Trace>,
    ) -> Result<ImageFeatures> {
        let x = self.patch_embed.forward(pixels)?;
        note(trace, || "vision.patch_embed".into(), &x);
        let mut x = (&x + self.positions(grids, &x)?)?;
        let rope = RopeTable::new(grids, &self.config).build(pixels.device())?;
        let mask = Mask::Segments { cu: frame_bounds(grids) };
        let mut deepstack = Vec::with_capacity(self.deepstack.len());
        for (i, block) in self.blocks.iter().enumerate() {
            x = block.forward(&x, &rope, &mask)?;
            note(trace, || format!("vision.block{i}"), &x);
            if let Some(place) = self.config.deepstack_visual_indexes.iter().position(|at| *at == i) {
                let feature = self.deepstack[place].forward(&x)?;
                note(trace, || format!("vision.deepstack{}", deepstack.len()), &feature);
                deepstack.push(feature);
            }
        }
        let embeds = self.merger.forward(&x)?;
        note(trace, || "vision.merger_raw".into(), &embeds);
        note(trace, || "vision.pooler".into(), &embeds);
        Ok(ImageFeatures { embeds, deepstack })
    }

    /// The position table read bilinearly at every patch, `(P, E)`.
    fn positions(&self, grids: &[Grid], x: &Tensor) -> Result<Tensor> {
        let side = self.config.num_position_embeddings.isqrt();
        let patches = x.dim(0)?;
        let mut index = [const { Vec::<u32>::new() }; 4];
        let mut weight = [const { Vec::<f32>::new() }; 4];
        for [t, h, w] in grids {
            let (rows, columns) = (linspace(side, *h), linspace(side, *w));
            for (row, column) in (0..*t).flat_map(|_| block_order(*h, *w, self.config.spatial_merge_size)) {
                let (y, x) = (rows[row], columns[column]);
                let (y0, x0) = (y as usize, x as usize);
                let (y1, x1) = ((y0 + 1).min(side - 1), (x0 + 1).min(side - 1));
                let (dy, dx) = (y - y0 as f32, x - x0 as f32);
                let corners = [
                    (y0 * side + x0, (1. - dy) * (1. - dx)),
                    (y0 * side + x1, (1. - dy) * dx),
                    (y1 * side + x0, dy * (1. - dx)),
                    (y1 * side + x1, dy * dx),
                ];
                for (k, (at, share)) in corners.into_iter().enumerate() {
                    index[k].push(at as u32);
                    weight[k].push(share);
                }
            }
        }
        let index = Tensor::from_vec(index.concat(), 4 * patches, x.device())?;
        let weight = Tensor::from_vec(weight.concat(), (4, patches, 1), x.device())?.to_dtype(x.dtype())?;
        let corners = self.pos_embed.to_dtype(x.dtype())?.index_select(&index, 0)?;
        corners.reshape((4, patches, x.dim(1)?))?.broadcast_mul(&weight)?.sum(0)
    }
}

/// `n` evenly spaced f32 numbers from 0 to `side - 1`, counted from the nearer end as the reference does.
fn linspace(side: usize, n: usize) -> Vec<f32> {
    let end = (side - 1) as f32;
    if n == 1 {
        return vec![0.];
    }
    let step = end / (n - 1) as f32;
    (0..n).map(|i| if i < n / 2 { step * i as f32 } else { end - step * (n - i - 1) as f32 }).collect()
}

#[cfg(test)]
mod tests {
    use super::linspace;

    #[test]
    fn linspace_touches_both_ends() {
        assert_eq!(linspace(8, 8), [0., 1., 2., 3., 4., 5., 6., 7.]);
        assert_eq!(linspace(8, 2), [0., 7.]);
        assert_eq!(linspace(8, 1), [0.]);
        assert_eq!(linspace(8, 15)[7], 3.5);
    }
}
