//! Fused rotary embedding, half-split form. Its transpose, which is the gradient, is the rotation by the opposite
//! angle; the tables carry no gradient.

use super::host::{elements, output, rows, tensor, view};
use super::simd::{madd, multiversion};
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};

/// Rotation of x `(B, T, N, D)` by tables of `(B or 1, T, D)`.
pub(super) struct Rope {
    /// Contiguous f32 tables without graph.
    pub(super) cos: Tensor,
    pub(super) sin: Tensor,
}

multiversion! {
    /// Rotates the `n` heads of each position; `cos` and `sin` hold one row of `d` per position.
    fn rotate(x: &[f32], cos: &[f32], sin: &[f32], n: usize, d: usize, out: &mut [f32]) {
        let h = d / 2;
        let tables = cos.chunks_exact(d).zip(sin.chunks_exact(d));
        for ((x, out), (cos, sin)) in x.chunks_exact(n * d).zip(out.chunks_exact_mut(n * d)).zip(tables) {
            let ((cos_lo, cos_hi), (sin_lo, sin_hi)) = (cos.split_at(h), sin.split_at(h));
            for (x, out) in x.chunks_exact(d).zip(out.chunks_exact_mut(d)) {
                let ((lo, hi), (out_lo, out_hi)) = (x.split_at(h), out.split_at_mut(h));
                for i in 0..h {
                    out_lo[i] = madd::<FMA>(lo[i], cos_lo[i], -(hi[i] * sin_lo[i]));
                    out_hi[i] = madd::<FMA>(hi[i], cos_hi[i], lo[i] * sin_hi[i]);
                }
            }
        }
    }
}

multiversion! {
    /// The transpose of [`rotate`]; equal to rotating by the opposite angle when both halves of the tables agree.
    fn rotate_back(g: &[f32], cos: &[f32], sin: &[f32], n: usize, d: usize, out: &mut [f32]) {
        let h = d / 2;
        let tables = cos.chunks_exact(d).zip(sin.chunks_exact(d));
        for ((g, out), (cos, sin)) in g.chunks_exact(n * d).zip(out.chunks_exact_mut(n * d)).zip(tables) {
            let ((cos_lo, cos_hi), (sin_lo, sin_hi)) = (cos.split_at(h), sin.split_at(h));
            for (g, out) in g.chunks_exact(d).zip(out.chunks_exact_mut(d)) {
                let ((lo, hi), (out_lo, out_hi)) = (g.split_at(h), out.split_at_mut(h));
                for i in 0..h {
                    out_lo[i] = madd::<FMA>(lo[i], cos_lo[i], hi[i] * sin_hi[i]);
                    out_hi[i] = madd::<FMA>(hi[i], cos_hi[i], -(lo[i] * sin_lo[i]));
                }
            }
        }
    }
}

type Rotation = fn(&[f32], &[f32], &[f32], usize, usize, &mut [f32]);

impl Rope {
    fn apply(&self, x: &[f32], shape: &Shape, rotation: Rotation) -> Result<Vec<f32>> {
        let (b, t, n, d) = shape.dims4()?;
        let (cos, sin) = (view(&self.cos)?, view(&self.sin)?);
        let (cos, sin): (&[f32], &[f32]) = (&cos, &sin);
        let mut out = vec![0f32; x.len()];
        let whole = cos.len() == b * t * d;
        let width = n * d;
        if whole {
            rows(&mut out, width, |first, out| {
                let count = out.len() / width;
                let table = first * d..(first + count) * d;
                rotation(&x[first * width..][..out.len()], &cos[table.clone()], &sin[table], n, d, out);
            });
        } else {
            // One table for every batch row.
            rows(&mut out, t * width, |first, out| {
                let x = x[first * t * width..].chunks_exact(t * width);
                for (x, out) in x.zip(out.chunks_exact_mut(t * width)) {
                    rotation(x, cos, sin, n, d, out);
                }
            });
        }
        Ok(out)
    }
}

impl CustomOp1 for Rope {
    fn name(&self) -> &'static str {
        "rope"
    }

    fn cpu_fwd(&self, x: &CpuStorage, lx: &Layout) -> Result<(CpuStorage, Shape)> {
        output(self.apply(elements(x, lx)?, lx.shape(), rotate)?, lx.shape())
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, g: &Tensor) -> Result<Option<Tensor>> {
        let g = g.contiguous()?;
        let dx = self.apply(&view(&g)?, x.shape(), rotate_back)?;
        Ok(Some(tensor(dx, x.shape())?))
    }
}
