//! Between candle's tensors and f32 slices: checked views, results, and row-parallel loops.
//!
//! Work is cut by rows and never by a reduced dimension, so results do not depend on the number of threads.

use candle_core::{CpuStorage, DType, Layout, Result, Shape, Storage, StorageRef, Tensor, bail};
use rayon::prelude::*;

/// Elements below which a loop stays on the calling thread: waking a worker costs more than it saves.
const SERIAL: usize = 1 << 15;

/// True when every tensor is f32 on the CPU, where the fused operations work.
pub(super) fn fused(tensors: &[&Tensor]) -> bool {
    !super::composed::only() && tensors.iter().all(|t| t.device().is_cpu() && t.dtype() == DType::F32)
}

/// The elements of a contiguous f32 argument of a custom operation.
pub(super) fn elements<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&storage.as_slice::<f32>()?[start..end]),
        None => bail!("fused operation: the argument of shape {:?} is not contiguous", layout.shape()),
    }
}

/// A read guard over the elements of a contiguous f32 CPU tensor.
pub(crate) struct View<'a> {
    guard: StorageRef<'a>,
    range: std::ops::Range<usize>,
}

/// Borrows the elements of a tensor; fails unless it is f32, contiguous and on the CPU.
pub(crate) fn view(t: &Tensor) -> Result<View<'_>> {
    let (guard, layout) = t.storage_and_layout();
    let Some((start, end)) = layout.contiguous_offsets() else {
        bail!("fused operation: the tensor of shape {:?} is not contiguous", t.shape())
    };
    match &*guard {
        Storage::Cpu(CpuStorage::F32(_)) => Ok(View { guard, range: start..end }),
        _ => bail!("fused operation: expected an f32 tensor on the CPU, got {:?} on {:?}", t.dtype(), t.device()),
    }
}

impl std::ops::Deref for View<'_> {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        match &*self.guard {
            Storage::Cpu(CpuStorage::F32(all)) => &all[self.range.clone()],
            _ => &[], // `view` has checked the variant
        }
    }
}

/// The result of a custom operation.
pub(super) fn output(data: Vec<f32>, shape: impl Into<Shape>) -> Result<(CpuStorage, Shape)> {
    Ok((CpuStorage::F32(data), shape.into()))
}

/// A CPU tensor of the shape of another.
pub(super) fn tensor(data: Vec<f32>, shape: &Shape) -> Result<Tensor> {
    Tensor::from_vec(data, shape.clone(), &candle_core::Device::Cpu)
}

/// Fills `rows` x `width` by `f(first_row, rows)`, in parallel when there is enough to do. Rows are independent.
pub(super) fn rows(out: &mut [f32], width: usize, f: impl Fn(usize, &mut [f32]) + Sync) {
    if width == 0 || out.is_empty() {
        return;
    }
    let threads = rayon::current_num_threads();
    if out.len() < SERIAL || threads == 1 {
        return f(0, out);
    }
    let count = out.len() / width;
    let chunk = count.div_ceil(4 * threads).max((SERIAL / 4).div_ceil(width));
    out.par_chunks_mut(chunk * width).enumerate().for_each(|(i, part)| f(i * chunk, part));
}

/// Rows per partial sum of a reduction over rows: fixed, so that the sum does not depend on the number of threads.
pub(super) const REDUCE: usize = 64;

/// Like [`rows`], for loops that also reduce over rows: `f(first_row, rows, partial)` adds into a zeroed `partial` of
/// length `reduced`; the partial sums of every [`REDUCE`] rows are added in order.
pub(super) fn rows_reducing(
    out: &mut [f32],
    width: usize,
    reduced: usize,
    f: impl Fn(usize, &mut [f32], &mut [f32]) + Sync,
) -> Vec<f32> {
    let mut total = vec![0f32; reduced];
    if width == 0 || out.is_empty() {
        return total;
    }
    let one = |(i, part): (usize, &mut [f32])| {
        let mut partial = vec![0f32; reduced];
        f(i * REDUCE, part, &mut partial);
        partial
    };
    let parts: Vec<Vec<f32>> = if out.len() < SERIAL {
        out.chunks_mut(REDUCE * width).enumerate().map(one).collect()
    } else {
        out.par_chunks_mut(REDUCE * width).enumerate().map(one).collect()
    };
    for part in parts {
        for (t, p) in total.iter_mut().zip(part) {
            *t += p;
        }
    }
    total
}
