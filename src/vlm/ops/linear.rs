//! Fused linear maps: `x @ w.T (+ b)` and its gradients by strided products, no transposed copies, and nothing at
//! all computed for an argument that is frozen.
//!
//! Up to [`FEW`] rows, and any number of decoding rows `(B, 1, I)`, go through inner products whose order depends on the
//! row alone, so a decoding row has the same bits in any batch. Above that the `gemm` crate decides; see the tests.

use super::gemm::{Mat, MatMut, Threads, matmul};
use super::host::{elements, output, tensor, view};
use super::simd::{dot1, dot4, dot4x4, multiversion};
use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

/// Rows that are handled by inner products: below this `gemm` spends its time packing the weights (measured at 256 x 640
/// and 1536 x 8960: 2x faster at 1 to 8 rows, equal at 16).
pub(super) const FEW: usize = 16;
/// Rows up to which the result is computed transposed, so that `gemm` packs the inputs instead of the weights. The bits are
/// the same; at 24 rows 1024 x 256 takes 0.19 instead of 0.83 ms, at 64 rows 2048 x 2048 5.5 instead of 16.7, and from
/// some 100 rows on nothing is gained.
const SOME: usize = 64;

/// `x @ w.T`; x `(.., I)`, w `(O, I)`.
pub(super) struct Linear;

/// `x @ w.T + b`; b `(O)`.
pub(super) struct LinearBias;

multiversion! {
    /// `out[r][j] = x[r] . w[j] + b[j]` for a run of outputs; out is `(R, run)`. Tiles of four weight rows (one stream of
    /// memory each) by four inputs; every product has the same bits wherever it falls.
    fn few_rows(x: &[f32], w: &[f32], b: &[f32], inner: usize, run: usize, out: &mut [f32]) {
        let count = x.len() / inner;
        let x = |r: usize| &x[r * inner..(r + 1) * inner];
        let row = |j: usize| &w[j * inner..(j + 1) * inner];
        let (tiled, fours) = (run - run % 4, count - count % 4);
        let passes = count.div_ceil(4);
        let lines = (4 / passes).max(1);
        for j in (0..tiled).step_by(4) {
            let ws = [row(j), row(j + 1), row(j + 2), row(j + 3)];
            // The tile after this one, asked for in equal parts by the first passes.
            let ahead = |pass: usize| match (j + 4) * inner + pass * lines * inner {
                at if pass < 4 && at < w.len() => (&w[at..], lines),
                _ => (w, 0),
            };
            for r in (0..fours).step_by(4) {
                let (ahead, lines) = ahead(r / 4);
                let sums = dot4x4::<FMA>([x(r), x(r + 1), x(r + 2), x(r + 3)], ws, ahead, lines);
                for (k, sums) in sums.iter().enumerate() {
                    out[(r + k) * run + j..][..4].copy_from_slice(sums);
                }
            }
            for r in fours..count {
                let (ahead, lines) = if r == fours { ahead(passes - 1) } else { (w, 0) };
                out[r * run + j..][..4].copy_from_slice(&dot4::<FMA>(ws, x(r), ahead, lines));
            }
        }
        for j in tiled..run {
            for r in 0..count {
                out[r * run + j] = dot1::<FMA>(x(r), row(j));
            }
        }
        if !b.is_empty() {
            for out in out.chunks_exact_mut(run) {
                for (out, b) in out.iter_mut().zip(b) { *out += b; }
            }
        }
    }
}

/// Decoding: every output is one inner product; threads share the outputs.
fn forward_few(x: &[f32], w: &[f32], b: &[f32], inner: usize, outer: usize) -> Vec<f32> {
    let count = x.len() / inner;
    let threads = rayon::current_num_threads();
    // Few large parts: waking a thread costs as much as some ten thousand products.
    let parts = if threads == 1 || w.len() * count < 1 << 17 { 1 } else { 2 * threads };
    let run = outer.div_ceil(parts).next_multiple_of(4);
    let part = |i: usize| {
        let (from, run) = (i * run, run.min(outer - i * run));
        let bias = if b.is_empty() { b } else { &b[from..from + run] };
        let mut part = vec![0f32; count * run];
        few_rows(x, &w[from * inner..(from + run) * inner], bias, inner, run, &mut part);
        part
    };
    if run >= outer {
        return part(0);
    }
    let parts: Vec<Vec<f32>> = (0..outer.div_ceil(run)).into_par_iter().map(part).collect();
    let mut out = vec![0f32; count * outer];
    for (i, part) in parts.iter().enumerate() {
        let len = part.len() / count;
        for r in 0..count {
            out[r * outer + i * run..][..len].copy_from_slice(&part[r * len..][..len]);
        }
    }
    out
}

/// `w @ x.T`, then transposed.
fn forward_some(x: &[f32], w: &[f32], b: &[f32], inner: usize, outer: usize) -> Result<Vec<f32>> {
    const RUN: usize = 16; // outputs of all rows that are transposed at a time: one line of the result each
    let count = x.len() / inner;
    let mut columns = vec![0f32; outer * count];
    let (x, w) = (Mat::new(x, count, inner, inner)?, Mat::new(w, outer, inner, inner)?);
    matmul(&mut MatMut::new(&mut columns, outer, count, count)?, false, w, x.t(), 1., Threads::Pool)?;
    let mut out = vec![0f32; count * outer];
    for (run, columns) in columns.chunks(RUN * count).enumerate() {
        for (r, out) in out.chunks_exact_mut(outer).enumerate() {
            for (out, column) in out[run * RUN..].iter_mut().zip(columns.chunks_exact(count)) {
                *out = column[r];
            }
        }
    }
    if !b.is_empty() {
        for out in out.chunks_exact_mut(outer) {
            for (out, b) in out.iter_mut().zip(b) {
                *out += b;
            }
        }
    }
    Ok(out)
}

pub(super) fn forward(x: &[f32], step: bool, w: &[f32], b: &[f32], inner: usize, outer: usize) -> Result<Vec<f32>> {
    if inner == 0 || x.is_empty() {
        let rows = x.len().checked_div(inner).unwrap_or(0);
        return Ok(vec![0f32; rows * outer]);
    }
    let count = x.len() / inner;
    if step || count <= FEW {
        return Ok(forward_few(x, w, b, inner, outer));
    }
    if count <= SOME {
        return forward_some(x, w, b, inner, outer);
    }
    let mut out = vec![0f32; count * outer];
    if !b.is_empty() {
        out.chunks_exact_mut(outer).for_each(|row| row.copy_from_slice(b));
    }
    let mut y = MatMut::new(&mut out, count, outer, outer)?;
    let (x, w) = (Mat::new(x, count, inner, inner)?, Mat::new(w, outer, inner, inner)?);
    matmul(&mut y, !b.is_empty(), x, w.t(), 1., Threads::Pool)?;
    Ok(out)
}

/// Whether x is `(B, 1, I)`, one new token for each of B rows: its rows must not depend on B.
pub(crate) fn is_step(dims: &[usize]) -> bool {
    matches!(dims, [_, 1, _])
}

pub(super) fn result_shape(x: &Shape, outer: usize) -> Shape {
    let mut dims = x.dims().to_vec();
    if let Some(last) = dims.last_mut() {
        *last = outer;
    }
    dims.into()
}

/// Gradients for x and w, each only when it is wanted.
fn backward(x: &Tensor, w: &Tensor, g: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
    let (outer, inner) = w.dims2()?;
    let count = x.elem_count().checked_div(inner).unwrap_or(0);
    let gs = view(g)?;
    let g_mat = Mat::new(&gs, count, outer, outer)?;
    let dx = if x.track_op() {
        let ws = view(w)?;
        let mut dx = vec![0f32; count * inner];
        let w_mat = Mat::new(&ws, outer, inner, inner)?;
        matmul(&mut MatMut::new(&mut dx, count, inner, inner)?, false, g_mat, w_mat, 1., Threads::Pool)?;
        Some(tensor(dx, x.shape())?)
    } else {
        None
    };
    let dw = if w.track_op() {
        let xs = view(x)?;
        let mut dw = vec![0f32; outer * inner];
        let x_mat = Mat::new(&xs, count, inner, inner)?;
        matmul(&mut MatMut::new(&mut dw, outer, inner, inner)?, false, g_mat.t(), x_mat, 1., Threads::Pool)?;
        Some(tensor(dw, w.shape())?)
    } else {
        None
    };
    Ok((dx, dw))
}

/// Sum over rows, in row order.
pub(super) fn column_sums(g: &[f32], width: usize) -> Vec<f32> {
    let mut sums = vec![0f32; width];
    for row in g.chunks_exact(width) {
        for (sum, g) in sums.iter_mut().zip(row) {
            *sum += g;
        }
    }
    sums
}

impl CustomOp2 for Linear {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn cpu_fwd(&self, x: &CpuStorage, lx: &Layout, w: &CpuStorage, lw: &Layout) -> Result<(CpuStorage, Shape)> {
        let (outer, inner) = lw.shape().dims2()?;
        let y = forward(elements(x, lx)?, is_step(lx.dims()), elements(w, lw)?, &[], inner, outer)?;
        output(y, result_shape(lx.shape(), outer))
    }

    fn bwd(&self, x: &Tensor, w: &Tensor, _: &Tensor, g: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        backward(x, w, &g.contiguous()?)
    }
}

impl CustomOp3 for LinearBias {
    fn name(&self) -> &'static str {
        "linear-bias"
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
        let (outer, inner) = lw.shape().dims2()?;
        let y = forward(elements(x, lx)?, is_step(lx.dims()), elements(w, lw)?, elements(b, lb)?, inner, outer)?;
        output(y, result_shape(lx.shape(), outer))
    }

    fn bwd(
        &self,
        x: &Tensor,
        w: &Tensor,
        b: &Tensor,
        _: &Tensor,
        g: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let g = g.contiguous()?;
        let (dx, dw) = backward(x, w, &g)?;
        let db = if b.track_op() { Some(tensor(column_sums(&view(&g)?, b.elem_count()), b.shape())?) } else { None };
        Ok((dx, dw, db))
    }
}
