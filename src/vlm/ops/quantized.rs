//! Linear maps with a frozen quantized weight: forward by the block kernels, backward for the input only.

use super::host::{elements, output, tensor, view};
use crate::vlm::quant::Quantized;
use candle_core::{
    CpuStorage, CudaStorage, CustomOp1, Layout, MetalStorage, Result, Shape, Tensor, quantized::QTensor,
};
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

/// `x @ w.T` for candle's blocks on any device. Candle's own operation has no backward; this one dequantizes for it.
pub(super) struct Blocks {
    pub(super) weight: Arc<QTensor>,
}

impl CustomOp1 for Blocks {
    fn name(&self) -> &'static str {
        "device-linear"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        self.weight.cpu_fwd(x, layout)
    }

    fn cuda_fwd(&self, x: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        self.weight.cuda_fwd(x, layout)
    }

    fn metal_fwd(&self, x: &MetalStorage, layout: &Layout) -> Result<(MetalStorage, Shape)> {
        self.weight.metal_fwd(x, layout)
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, g: &Tensor) -> Result<Option<Tensor>> {
        let w = self.weight.dequantize(g.device())?.to_dtype(g.dtype())?;
        let (rows, cols) = w.dims2()?;
        let dx = g.reshape((g.elem_count() / rows, rows))?.matmul(&w)?;
        debug_assert_eq!(dx.dims().last(), Some(&cols));
        Ok(Some(dx.reshape(x.shape())?))
    }
}
