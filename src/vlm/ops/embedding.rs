//! Embedding rows by id; the gradient adds only into rows that were used (the rest stay untouched zero pages).

use super::host::{elements, output, tensor, view};
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};

/// Rows `ids` of a `(V, H)` table; ids are checked by the caller.
pub(super) struct Embedding {
    pub(super) ids: Vec<u32>,
}

impl CustomOp1 for Embedding {
    fn name(&self) -> &'static str {
        "embedding"
    }

    fn cpu_fwd(&self, table: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (_, width) = layout.shape().dims2()?;
        let table = elements(table, layout)?;
        let mut out = Vec::with_capacity(self.ids.len() * width);
        for &id in &self.ids {
            out.extend_from_slice(&table[id as usize * width..][..width]);
        }
        output(out, (self.ids.len(), width))
    }

    fn bwd(&self, table: &Tensor, _: &Tensor, g: &Tensor) -> Result<Option<Tensor>> {
        let (_, width) = table.dims2()?;
        let g = g.contiguous()?;
        let gs = view(&g)?;
        let mut grad = vec![0f32; table.elem_count()];
        for (&id, g) in self.ids.iter().zip(gs.chunks_exact(width.max(1))) {
            for (sum, g) in grad[id as usize * width..][..width].iter_mut().zip(g) {
                *sum += g;
            }
        }
        Ok(Some(tensor(grad, table.shape())?))
    }
}
