//! Results that candle's operations computed from detached arguments, put into the graph with a gradient of their own.
//!
//! On devices without kernels of ours this is how an operation keeps next to nothing for the backward pass: what candle
//! would keep of each of its steps is computed again there.

use candle_core::{
    CpuStorage, CudaStorage, CustomOp1, Layout, MetalStorage, Result, Shape, Storage, Tensor, backend::BackendStorage,
    bail,
};

/// `result` as a function of `x`, whose gradient is `back(x, gradient of the result)`.
pub(super) fn known(
    name: &'static str,
    x: &Tensor,
    result: Tensor,
    back: impl Fn(&Tensor, &Tensor) -> Result<Tensor> + Send + Sync + 'static,
) -> Result<Tensor> {
    if x.track_op() { x.apply_op1(Known { name, result: result.contiguous()?, back }) } else { Ok(result) }
}

struct Known<B> {
    name: &'static str,
    result: Tensor,
    back: B,
}

impl<B: Fn(&Tensor, &Tensor) -> Result<Tensor> + Send + Sync> CustomOp1 for Known<B> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        match &*self.result.storage_and_layout().0 {
            Storage::Cpu(storage) => Ok((storage.try_clone(self.result.layout())?, self.result.shape().clone())),
            _ => bail!("{}: the result is on another device than its argument", self.name),
        }
    }

    fn cuda_fwd(&self, _: &CudaStorage, _: &Layout) -> Result<(CudaStorage, Shape)> {
        match &*self.result.storage_and_layout().0 {
            Storage::Cuda(storage) => Ok((storage.try_clone(self.result.layout())?, self.result.shape().clone())),
            _ => bail!("{}: the result is on another device than its argument", self.name),
        }
    }

    fn metal_fwd(&self, _: &MetalStorage, _: &Layout) -> Result<(MetalStorage, Shape)> {
        match &*self.result.storage_and_layout().0 {
            Storage::Metal(storage) => Ok((storage.try_clone(self.result.layout())?, self.result.shape().clone())),
            _ => bail!("{}: the result is on another device than its argument", self.name),
        }
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, g: &Tensor) -> Result<Option<Tensor>> {
        (self.back)(&x.detach(), &g.detach()).map(Some)
    }
}
