//! Fused RMSNorm and LayerNorm with analytic gradients; row statistics are recomputed in the backward pass (one pass
//! over data that is in cache anyway) instead of being kept.

use super::host::{elements, output, rows, rows_reducing, tensor, view};
use super::simd::{madd, multiversion, sum_of};
use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor};

/// `x / sqrt(mean(x^2) + eps) * w` over the last dimension.
pub(super) struct RmsNorm {
    pub(super) eps: f32,
}

#[inline(always)]
fn inverse_rms<const FMA: bool>(x: &[f32], eps: f32) -> f32 {
    let squares = sum_of([x], |[x], sum| madd::<FMA>(x, x, sum));
    1. / (squares / x.len() as f32 + eps).sqrt()
}

multiversion! {
    fn rms_forward(x: &[f32], w: &[f32], eps: f32, out: &mut [f32]) {
        let d = w.len();
        for (x, out) in x.chunks_exact(d).zip(out.chunks_exact_mut(d)) {
            let r = inverse_rms::<FMA>(x, eps);
            for i in 0..d {
                out[i] = x[i] * r * w[i];
            }
        }
    }
}

multiversion! {
    /// dx = r * (g w - x r^2 mean(g w x)); dw += g x r (skipped when `dw` is empty).
    fn rms_backward(x: &[f32], w: &[f32], g: &[f32], eps: f32, dx: &mut [f32], dw: &mut [f32]) {
        let d = w.len();
        for ((x, g), dx) in x.chunks_exact(d).zip(g.chunks_exact(d)).zip(dx.chunks_exact_mut(d)) {
            let r = inverse_rms::<FMA>(x, eps);
            let gwx = sum_of([g, w, x], |[g, w, x], sum| madd::<FMA>(g * w, x, sum));
            let c = gwx * r * r * r / d as f32;
            for i in 0..d {
                dx[i] = madd::<FMA>(g[i] * w[i], r, -c * x[i]);
            }
            if dw.len() == d {
                for i in 0..d {
                    dw[i] = madd::<FMA>(g[i] * x[i], r, dw[i]);
                }
            }
        }
    }
}

impl CustomOp2 for RmsNorm {
    fn name(&self) -> &'static str {
        "rms-norm"
    }

    fn cpu_fwd(&self, x: &CpuStorage, lx: &Layout, w: &CpuStorage, lw: &Layout) -> Result<(CpuStorage, Shape)> {
        let (x, w) = (elements(x, lx)?, elements(w, lw)?);
        let d = w.len();
        let mut out = vec![0f32; x.len()];
        rows(&mut out, d, |first, out| rms_forward(&x[first * d..][..out.len()], w, self.eps, out));
        output(out, lx.shape())
    }

    fn bwd(&self, x: &Tensor, w: &Tensor, _: &Tensor, g: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (shape, d, train_w) = (x.shape(), w.elem_count(), w.track_op());
        let g = g.contiguous()?;
        let (xs, ws, gs) = (view(x)?, view(w)?, view(&g)?);
        let (xs, ws, gs): (&[f32], &[f32], &[f32]) = (&xs, &ws, &gs);
        let mut dx = vec![0f32; xs.len()];
        let part = |first: usize, dx: &mut [f32], dw: &mut [f32]| {
            let n = dx.len();
            rms_backward(&xs[first * d..][..n], ws, &gs[first * d..][..n], self.eps, dx, dw);
        };
        if !train_w {
            rows(&mut dx, d, |first, dx| part(first, dx, &mut []));
            return Ok((Some(tensor(dx, shape)?), None)); // x tracks, or there would be no backward pass
        }
        let dw = rows_reducing(&mut dx, d, d, part);
        let dx = x.track_op().then(|| tensor(dx, shape)).transpose()?;
        Ok((dx, Some(tensor(dw, w.shape())?)))
    }
}

/// `(x - mean) / sqrt(variance + eps) * w + b` over the last dimension.
pub(super) struct LayerNorm {
    pub(super) eps: f32,
}

#[inline(always)]
fn mean_and_inverse_std<const FMA: bool>(x: &[f32], eps: f32) -> (f32, f32) {
    let n = x.len() as f32;
    let mean = sum_of([x], |[x], sum| sum + x) / n;
    let squares = sum_of([x], |[x], sum| madd::<FMA>(x - mean, x - mean, sum));
    (mean, 1. / (squares / n + eps).sqrt())
}

multiversion! {
    fn layer_forward(x: &[f32], w: &[f32], b: &[f32], eps: f32, out: &mut [f32]) {
        let d = w.len();
        for (x, out) in x.chunks_exact(d).zip(out.chunks_exact_mut(d)) {
            let (mean, r) = mean_and_inverse_std::<FMA>(x, eps);
            for i in 0..d {
                out[i] = madd::<FMA>((x[i] - mean) * r, w[i], b[i]);
            }
        }
    }
}

multiversion! {
    /// With h the normalised row and q = g w: dx = r (q - mean(q) - h mean(q h)); the first half of `dwb` gains g h,
    /// the second g (skipped when `dwb` is empty).
    fn layer_backward(x: &[f32], w: &[f32], g: &[f32], eps: f32, dx: &mut [f32], dwb: &mut [f32]) {
        let d = w.len();
        for ((x, g), dx) in x.chunks_exact(d).zip(g.chunks_exact(d)).zip(dx.chunks_exact_mut(d)) {
            let (mean, r) = mean_and_inverse_std::<FMA>(x, eps);
            let mean_q = sum_of([g, w], |[g, w], sum| madd::<FMA>(g, w, sum)) / d as f32;
            let mean_qh = sum_of([g, w, x], |[g, w, x], sum| madd::<FMA>(g * w, (x - mean) * r, sum)) / d as f32;
            for i in 0..d {
                let h = (x[i] - mean) * r;
                dx[i] = r * (madd::<FMA>(g[i], w[i], -mean_q) - h * mean_qh);
            }
            if dwb.len() == 2 * d {
                let (dw, db) = dwb.split_at_mut(d);
                for i in 0..d {
                    dw[i] = madd::<FMA>(g[i], (x[i] - mean) * r, dw[i]);
                    db[i] += g[i];
                }
            }
        }
    }
}

impl CustomOp3 for LayerNorm {
    fn name(&self) -> &'static str {
        "layer-norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        lx: &Layout,
        w: &CpuStorage,
        lw: &Layout,
        b: &CpuStorage,
        lb: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (x, w, b) = (elements(x, lx)?, elements(w, lw)?, elements(b, lb)?);
        let d = w.len();
        let mut out = vec![0f32; x.len()];
        rows(&mut out, d, |first, out| layer_forward(&x[first * d..][..out.len()], w, b, self.eps, out));
        output(out, lx.shape())
    }

    fn bwd(
        &self,
        x: &Tensor,
        w: &Tensor,
        b: &Tensor,
        _: &Tensor,
        g: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let d = w.elem_count();
        let g = g.contiguous()?;
        let (xs, ws, gs) = (view(x)?, view(w)?, view(&g)?);
        let (xs, ws, gs): (&[f32], &[f32], &[f32]) = (&xs, &ws, &gs);
        let mut dx = vec![0f32; xs.len()];
        let part = |first: usize, dx: &mut [f32], dwb: &mut [f32]| {
            let n = dx.len();
            layer_backward(&xs[first * d..][..n], ws, &gs[first * d..][..n], self.eps, dx, dwb);
        };
        if !w.track_op() && !b.track_op() {
            rows(&mut dx, d, |first, dx| part(first, dx, &mut []));
            return Ok((Some(tensor(dx, x.shape())?), None, None));
        }
        let mut dw = rows_reducing(&mut dx, d, 2 * d, part);
        let db = dw.split_off(d);
        let wanted = |t: &Tensor, grad: Vec<f32>| t.track_op().then(|| tensor(grad, t.shape())).transpose();
        Ok((wanted(x, dx)?, wanted(w, dw)?, wanted(b, db)?))
    }
}
