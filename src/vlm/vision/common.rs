//! What the towers share: patch embedding as a matmul, two-axis rotary positions, attention inside segments.
//!
//! Patch rows come in merge-block order: block row, block column, then row and column inside the block, so that
//! each run of merge^2 rows is one merged token.

use super::Grid;
use crate::vlm::{
    build::Scope,
    config::VisionConfig,
    linear::{Linear, Norm, matmul},
    ops::{self, Mask},
    positions::inverse_frequencies,
};
use candle_core::{DType, Device, Result, Tensor};

/// The 3-D convolution over non-overlapping patches, as a matmul on flattened rows.
#[derive(Debug, Clone)]
pub(super) struct PatchEmbed {
    weight: Tensor, // (E, C, t, p, p)
    bias: Option<Tensor>,
}

impl PatchEmbed {
    pub(super) fn new(scope: &Scope, config: &VisionConfig, bias: bool) -> Result<Self> {
        let scope = scope.pp("proj");
        let (t, p) = (config.temporal_patch_size, config.patch_size);
        Ok(PatchEmbed {
            weight: scope.get("weight", &[config.embed_dim, config.in_channels, t, p, p])?,
            bias: if bias { Some(scope.get("bias", &[config.embed_dim])?) } else { None },
        })
    }

    /// `(P, C*t*p*p)` to `(P, E)`.
    pub(super) fn forward(&self, pixels: &Tensor) -> Result<Tensor> {
        let y = matmul(pixels, &self.weight.flatten_from(1)?)?;
        match &self.bias {
            Some(bias) => y.broadcast_add(&bias.to_dtype(y.dtype())?),
            None => Ok(y),
        }
    }
}

/// Attention with one fused q, k, v projection.
#[derive(Debug, Clone)]
pub(super) struct Attention {
    qkv: Linear,
    proj: Linear,
    heads: usize,
}

impl Attention {
    pub(super) fn new(scope: &Scope, config: &VisionConfig) -> Result<Self> {
        let width = config.embed_dim;
        Ok(Attention {
            qkv: Linear::new(&scope.pp("qkv"), width, 3 * width, true)?,
            proj: Linear::new(&scope.pp("proj"), width, width, true)?,
            heads: config.num_heads,
        })
    }

    /// x `(P, E)`.
    fn forward(&self, x: &Tensor, rope: &Rope, mask: &Mask) -> Result<Tensor> {
        let (patches, width) = x.dims2()?;
        let head_dim = width / self.heads;
        let parts = self.qkv.forward_parts(x, 3)?;
        let part = |i: usize| parts[i].reshape((1, patches, self.heads, head_dim));
        let (q, k, v) = (rope.apply(&part(0)?)?, rope.apply(&part(1)?)?, part(2)?);
        let y = ops::attention(&q, &k, &v, mask, 1. / (head_dim as f64).sqrt())?;
        self.proj.forward(&y.reshape((patches, width))?)
    }
}

/// The feed-forward half of a block.
#[derive(Debug, Clone)]
pub(super) enum Mlp {
    Plain { fc1: Linear, fc2: Linear, act: fn(&Tensor) -> Result<Tensor> },
    Gated(crate::vlm::text::Mlp),
}

impl Mlp {
    pub(super) fn plain(
        scope: &Scope,
        names: [&str; 2],
        config: &VisionConfig,
        act: fn(&Tensor) -> Result<Tensor>,
    ) -> Result<Self> {
        let (width, inner) = (config.embed_dim, config.intermediate_size);
        Ok(Mlp::Plain {
            fc1: Linear::new(&scope.pp(names[0]), width, inner, true)?,
            fc2: Linear::new(&scope.pp(names[1]), inner, width, true)?,
            act,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        match self {
            Mlp::Plain { fc1, fc2, act } => fc2.forward(&act(&fc1.forward(x)?)?),
            Mlp::Gated(mlp) => mlp.forward(x),
        }
    }
}

/// Pre-norm transformer block.
#[derive(Debug, Clone)]
pub(super) struct Block {
    pub(super) norm1: Norm,
    pub(super) attn: Attention,
    pub(super) norm2: Norm,
    pub(super) mlp: Mlp,
}

impl Block {
    /// x `(P, E)`.
    pub(super) fn forward(&self, x: &Tensor, rope: &Rope, mask: &Mask) -> Result<Tensor> {
        let x = (x + self.attn.forward(&self.norm1.forward(x)?, rope, mask)?)?;
        &x + self.mlp.forward(&self.norm2.forward(&x)?)?
    }
}

/// `norm -> merge^2 rows side by side -> linear -> gelu (erf) -> linear`, or with the norm after the merge.
#[derive(Debug, Clone)]
pub(super) struct Merger {
    norm: Norm,
    norm_after_merge: bool,
    fc1: Linear,
    fc2: Linear,
    width: usize, // merge^2 * E
}

impl Merger {
    pub(super) fn new(
        scope: &Scope,
        names: [&str; 2],
        norm: Norm,
        norm_after_merge: bool,
        config: &VisionConfig,
    ) -> Result<Self> {
        let width = config.embed_dim * config.spatial_merge_size * config.spatial_merge_size;
        Ok(Merger {
            norm,
            norm_after_merge,
            fc1: Linear::new(&scope.pp(names[0]), width, width, true)?,
            fc2: Linear::new(&scope.pp(names[1]), width, config.out_dim, true)?,
            width,
        })
    }

    /// `(P, E)` to `(I, H)`.
    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let x = if self.norm_after_merge {
            self.norm.forward(&x.reshape(((), self.width))?)?
        } else {
            self.norm.forward(x)?.reshape(((), self.width))?
        };
        self.fc2.forward(&ops::gelu_erf(&self.fc1.forward(&x)?)?)
    }
}

/// Row and column of every patch of one frame, in merge-block order.
pub(super) fn block_order(h: usize, w: usize, merge: usize) -> impl Iterator<Item = (usize, usize)> {
    let blocks = (0..h / merge).flat_map(move |r| (0..w / merge).map(move |c| (r, c)));
    blocks.flat_map(move |(r, c)| (0..merge * merge).map(move |i| (r * merge + i / merge, c * merge + i % merge)))
}

/// Boundaries between frames: attention never crosses them.
pub(super) fn frame_bounds(grids: &[Grid]) -> Vec<usize> {
    let mut bounds = vec![0];
    for [t, h, w] in grids {
        for _ in 0..*t {
            bounds.push(bounds[bounds.len() - 1] + h * w);
        }
    }
    bounds
}

/// Two-axis rotary table in f32: `(P, D)` values on the host, permutable before it becomes a tensor.
pub(super) struct RopeTable {
    pub(super) cos: Vec<f32>,
    pub(super) sin: Vec<f32>,
    pub(super) width: usize,
}

impl RopeTable {
    /// A quarter of the head's frequencies for the row, a quarter for the column, both halves alike.
    pub(super) fn new(grids: &[Grid], config: &VisionConfig) -> Self {
        let width = config.embed_dim / config.num_heads;
        let quarter = width / 4;
        let frequencies = inverse_frequencies(width / 2, config.rope_theta);
        let patches: usize = grids.iter().map(|grid| grid.iter().product::<usize>()).sum();
        let (mut cos, mut sin) = (Vec::with_capacity(patches * width), Vec::with_capacity(patches * width));
        for [t, h, w] in grids {
            let frame_from = cos.len();
            for (row, column) in block_order(*h, *w, config.spatial_merge_size) {
                for i in 0..width {
                    let i = i % (2 * quarter);
                    let place = if i < quarter { row } else { column };
                    let (s, c) = (place as f32 * frequencies[i % quarter]).sin_cos();
                    cos.push(c);
                    sin.push(s);
                }
            }
            let frame_to = cos.len();
            for _ in 1..*t {
                cos.extend_from_within(frame_from..frame_to);
                sin.extend_from_within(frame_from..frame_to);
            }
        }
        RopeTable { cos, sin, width }
    }

    pub(super) fn build(self, device: &Device) -> Result<Rope> {
        let shape = (1, self.cos.len() / self.width, self.width);
        Ok(Rope { cos: Tensor::from_vec(self.cos, shape, device)?, sin: Tensor::from_vec(self.sin, shape, device)? })
    }
}

/// The table as `(1, P, D)` tensors in f32; the rotation itself is done in f32 too.
pub(super) struct Rope {
    cos: Tensor,
    sin: Tensor,
}

impl Rope {
    fn apply(&self, x: &Tensor) -> Result<Tensor> {
        ops::rope(&x.to_dtype(DType::F32)?, &self.cos, &self.sin)?.to_dtype(x.dtype())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merge_blocks_come_together() {
        let order: Vec<_> = block_order(4, 4, 2).collect();
        assert_eq!(order[..8], [(0, 0), (0, 1), (1, 0), (1, 1), (0, 2), (0, 3), (1, 2), (1, 3)]);
        assert_eq!(order[8], (2, 0));
        assert_eq!(frame_bounds(&[[2, 2, 4], [1, 2, 2]]), [0, 8, 16, 20]);
    }
}
