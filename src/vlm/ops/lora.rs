//! A frozen linear map with its low-rank adapter as one operation: `y = x W' + b + scale (x A') B'`.
//!
//! As separate operations the base product, the low-rank product, its scaled copy and the sum are all kept for the
//! backward pass, and each gets a gradient buffer of the result's size. Here only x and the `(R, r)` inner product are
//! kept. Gradients (Hu et al. 2021): with `u = scale g B`, `dx = g W + u A`, `dA = u' x`, `dB = scale g' (x A')`.

use super::gemm::{Mat, MatMut, Threads, matmul};
use super::host::{elements, output, tensor, view};
use super::linear::{FEW, forward, result_shape};
use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor, bail};
use std::sync::{Arc, OnceLock};

/// x `(.., I)`, A `(r, I)`, B `(O, r)`.
pub(super) struct LoraLinear {
    /// `(O, I)`, contiguous, f32, without gradient.
    pub(super) weight: Tensor,
    /// `(O)`, the same.
    pub(super) bias: Option<Tensor>,
    pub(super) scale: f32,
    /// `x A'`, kept when a gradient will be wanted.
    pub(super) low: Arc<OnceLock<Vec<f32>>>,
    pub(super) training: bool,
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
        let weight = view(&self.weight)?;
        let mut y = match &self.bias {
            Some(bias) => forward(x, &weight, &view(bias)?, inner, outer)?,
            None => forward(x, &weight, &[], inner, outer)?,
        };
        let low = forward(x, a, &[], inner, r)?;
        let count = x.len() / inner.max(1);
        if count <= FEW {
            // The bits of a row must not depend on its neighbours (see `linear`).
            let delta = forward(&low, b, &[], r, outer)?;
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
            let weight = view(&self.weight)?;
            let w_mat = Mat::new(&weight, outer, inner, inner)?;
            let mut dx = product(count, inner, g_mat, w_mat, 1.)?;
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
