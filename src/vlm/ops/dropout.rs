//! Dropout that remembers one byte an element: as a product with a mask it would keep mask, gradient of the mask and all.

use super::host::{elements, output, tensor, view};
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};

/// `x * scale` where kept, 0 elsewhere.
pub(super) struct Dropout {
    /// One for every element of x.
    pub(super) kept: Vec<bool>,
    pub(super) scale: f32,
}

impl Dropout {
    fn apply(&self, x: &[f32]) -> Vec<f32> {
        x.iter().zip(&self.kept).map(|(x, kept)| if *kept { x * self.scale } else { 0. }).collect()
    }
}

impl CustomOp1 for Dropout {
    fn name(&self) -> &'static str {
        "dropout"
    }

    fn cpu_fwd(&self, x: &CpuStorage, lx: &Layout) -> Result<(CpuStorage, Shape)> {
        output(self.apply(elements(x, lx)?), lx.shape())
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, g: &Tensor) -> Result<Option<Tensor>> {
        let g = g.contiguous()?;
        let dx = self.apply(&view(&g)?);
        Ok(Some(tensor(dx, x.shape())?))
    }
}
