//! A frozen linear map with its low-rank adapter as one operation: `y = x W' + b + scale (x A') B'`.
//!
//! As separate operations the base product, the low-rank product, its scaled copy and the sum are all kept for the
//! backward pass, and each gets a gradient buffer of the result's size. Here only x and the `(R, r)` inner product are
//! kept. Gradients (Hu et al. 2021): with `u = scale g B`, `dx = g W + u A`, `dA = u' x`, `dB = scale g' (x A')`.

use super::gemm::{Mat, MatMut, Threads, matmul};
use super::host::{elements, output, tensor, view};
use super::linear::{FEW, forward, is_step, result_shape};
use crate::vlm::quant::Quantized;
use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor, bail};
use std::sync::{Arc, OnceLock};

/// x `(.., I)`, A `(r, I)`, B `(O, r)`.
pub(super) struct LoraLinear {
    base: Base,
    /// `(O)`, contiguous, f32, without gradient.
    bias: Option<Tensor>,
    scale: f32,
    /// `x A'`, kept when a gradient will be wanted.
    low: Arc<OnceLock<Vec<f32>>>,
    training: bool,
}

/// The frozen weight `(O, I)`.
pub(super) enum Base {
    /// Contiguous, f32, without gradient.
    Dense(Tensor),
    Quant(Arc<Quantized>),
}

/// Runs the operation; the caller has checked the shapes.
pub(super) fn adapted(
    x: &Tensor,
    base: Base,
    bias: Option<&Tensor>,
    a: &Tensor,
    b: &Tensor,
    scale: f64,
) -> Result<Tensor> {
    let op = LoraLinear {
        base,
        bias: bias.map(Tensor::contiguous).transpose()?,
        scale: scale as f32,
        low: Arc::new(OnceLock::new()),
        training: x.track_op() || a.track_op() || b.track_op(),
    };
    x.contiguous()?.apply_op3(&a.contiguous()?, &b.contiguous()?, op)
}

impl LoraLinear {
    /// `x W' + b`.
    fn frozen(&self, x: &[f32], step: bool, inner: usize, outer: usize) -> Result<Vec<f32>> {
        let guard = self.bias.as_ref().map(view).transpose()?;
        let bias: &[f32] = guard.as_deref().unwrap_or(&[]);
        match &self.base {
            Base::Dense(weight) => forward(x, step, &view(weight)?, bias, inner, outer),
            Base::Quant(weight) => {
                let mut y = vec![0f32; x.len() / inner.max(1) * outer];
                weight.forward(x, &mut y);
                if !bias.is_empty() {
                    y.chunks_exact_mut(outer).for_each(|y| y.iter_mut().zip(bias).for_each(|(y, bias)| *y += bias));
                }
                Ok(y)
            }
        }
    }

    /// `g W`.
    fn frozen_back(&self, g: &[f32], inner: usize, outer: usize) -> Result<Vec<f32>> {
        let count = g.len() / outer.max(1);
        let mut dx = vec![0f32; count * inner];
        match &self.base {
            Base::Dense(weight) => {
                let weight = view(weight)?;
                let (g, weight) = (Mat::new(g, count, outer, outer)?, Mat::new(&weight, outer, inner, inner)?);
                matmul(&mut MatMut::new(&mut dx, count, inner, inner)?, false, g, weight, 1., Threads::Pool)?;
            }
            Base::Quant(weight) => weight.backward(g, &mut dx)?,
        }
        Ok(dx)
    }
}

impl CustomOp3 for LoraLinear {
    fn name(&self) -> &'static str {
        "lora-linear"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        lx: &Layout,
        a: &CpuStorage,
        la: &Layout,
        b: &CpuStorage,
        lb: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let ((r, inner), (outer, _)) = (la.shape().dims2()?, lb.shape().dims2()?);
        let (x, a, b) = (elements(x, lx)?, elements(a, la)?, elements(b, lb)?);
        let step = is_step(lx.dims());
        let mut y = self.frozen(x, step, inner, outer)?;
        let low = forward(x, step, a, &[], inner, r)?;
        let count = x.len() / inner.max(1);
        if step || count <= FEW {
            // The bits of a row must not depend on its neighbours (see `linear`).
            let delta = forward(&low, step, b, &[], r, outer)?;
            y.iter_mut().zip(delta).for_each(|(y, delta)| *y += self.scale * delta);
        } else {
            let (low, b) = (Mat::new(&low, count, r, r)?, Mat::new(b, outer, r, r)?);
            matmul(&mut MatMut::new(&mut y, count, outer, outer)?, true, low, b.t(), self.scale, Threads::Pool)?;
        }
        if self.training {
            let _ = self.low.set(low); // set once: an operation runs forward once
        }
        output(y, result_shape(lx.shape(), outer))
    }

    fn bwd(
        &self,
        x: &Tensor,
        a: &Tensor,
        b: &Tensor,
        _: &Tensor,
        g: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let Some(low) = self.low.get() else { bail!("lora-linear: the forward pass kept nothing") };
        let ((r, inner), (outer, _)) = (a.dims2()?, b.dims2()?);
        let count = x.elem_count().checked_div(inner).unwrap_or(0);
        let g = g.contiguous()?;
        let (xs, a_view, b_view, gs) = (view(x)?, view(a)?, view(b)?, view(&g)?);
        let (x_mat, a_mat) = (Mat::new(&xs, count, inner, inner)?, Mat::new(&a_view, r, inner, inner)?);
        let (b_mat, g_mat) = (Mat::new(&b_view, outer, r, r)?, Mat::new(&gs, count, outer, outer)?);
        let product = |rows: usize, cols: usize, l: Mat, right: Mat, scale: f32| -> Result<Vec<f32>> {
            let mut out = vec![0f32; rows * cols];
            matmul(&mut MatMut::new(&mut out, rows, cols, cols)?, false, l, right, scale, Threads::Pool)?;
            Ok(out)
        };
        let u = product(count, r, g_mat, b_mat, self.scale)?;
        let u_mat = Mat::new(&u, count, r, r)?;
        let dx = if x.track_op() {
            let mut dx = self.frozen_back(&gs, inner, outer)?;
            matmul(&mut MatMut::new(&mut dx, count, inner, inner)?, true, u_mat, a_mat, 1., Threads::Pool)?;
            Some(tensor(dx, x.shape())?)
        } else {
            None
        };
        let da = a.track_op().then(|| tensor(product(r, inner, u_mat.t(), x_mat, 1.)?, a.shape())).transpose()?;
        let db = if b.track_op() {
            let low = Mat::new(low, count, r, r)?;
            Some(tensor(product(outer, r, g_mat.t(), low, self.scale)?, b.shape())?)
        } else {
            None
        };
        Ok((dx, da, db))
    }
}
