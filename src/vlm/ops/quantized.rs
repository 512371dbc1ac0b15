//! Linear maps with a frozen quantized weight: forward by the block kernels, backward for the input only.

use super::host::{elements, output, tensor, view};
use super::known::known;
use crate::vlm::quant::Quantized;
use candle_core::{CpuStorage, CustomOp1, DType, Layout, Result, Shape, Tensor, quantized::QTensor};
use std::sync::Arc;

/// `x @ w.T` for packed blocks in main memory.
pub(super) struct Packed {
    pub(super) weight: Arc<Quantized>,
}

impl CustomOp1 for Packed {
    fn name(&self) -> &'static str {
        "quantized-linear"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = elements(x, layout)?;
        let (rows, cols) = (self.weight.rows(), self.weight.cols());
        let mut out = vec![0f32; x.len() / cols * rows];
        self.weight.forward(x, &mut out);
        let mut dims = layout.dims().to_vec();
        if let Some(last) = dims.last_mut() {
            *last = rows;
        }
        output(out, dims)
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, g: &Tensor) -> Result<Option<Tensor>> {
        let g = g.contiguous()?;
        let mut dx = vec![0f32; x.elem_count()];
        self.weight.backward(&view(&g)?, &mut dx)?;
        Ok(Some(tensor(dx, x.shape())?))
    }
}

/// Rows up to which candle multiplies blocks by inputs of 8 bits on a GPU, which costs one pass over the blocks.
const FEW: usize = 8;

/// `x @ w.T` for candle's blocks on any device, x `(R, I)`. Candle's own operation has no backward, and it rounds the inputs
/// to 8 bits: that is used where arithmetic has 8 bits anyway (bf16) and time goes into reading the weights (a few rows that
/// are being decoded). Everywhere else the weights are dequantized for the moment of the product, forward and backward.
pub(super) fn blocks(x: &Tensor, w: &Arc<QTensor>) -> Result<Tensor> {
    if x.dtype() == DType::BF16 && !x.device().is_cpu() && !x.track_op() && x.dim(0)? <= FEW {
        return x.contiguous()?.apply_op1_no_bwd(w.as_ref());
    }
    let result = x.detach().matmul(&dense(w, x)?.t()?)?;
    let w = w.clone();
    known("device-linear", x, result, move |x, g| g.matmul(&dense(&w, x)?))
}

/// All weights in the dtype of `x`.
fn dense(w: &QTensor, x: &Tensor) -> Result<Tensor> {
    w.dequantize(x.device())?.to_dtype(x.dtype())
}
