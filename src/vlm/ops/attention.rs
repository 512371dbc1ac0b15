//! Fused grouped-query attention: per head, tiles of queries against the keys they can see ([`Tile`]), with the products by
//! `gemm` and the softmax in place. The forward pass keeps one log-sum-exp per query, the backward pass recomputes
//! the probabilities from it (Dao et al. 2022, FlashAttention, equations for dQ, dK, dV with
//! delta = rowsum(dO * O)).
//!
//! Heads are read where they lie through strides: `(B, S, K, D)` may be a view into a larger key/value cache.
//! A single query (decoding) streams over the keys without any product; its bits depend on its own row only.

use super::gemm::{Mat, MatMut, Threads, matmul};
use super::host::{output, tensor, view};
use super::mask::{Mask, Piece, Tile};
use super::simd::{axpy, dot, exp, max, multiversion, sum_of};
use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

/// Queries per tile: small enough that hidden parts of the causal triangle are skipped, large enough for `gemm`.
const TILE: usize = 64;

/// q `(B, T, N, D)`, k and v `(B, S, K, D)`.
pub(super) struct Attention {
    pub(super) mask: Mask,
    pub(super) scale: f32,
    /// Log-sum-exp per `(B, N, T)`, kept by the forward pass when a gradient will be wanted.
    pub(super) lse: Arc<OnceLock<Vec<f32>>>,
    /// Whether to keep it.
    pub(super) training: bool,
}

/// A `(B, T, N, D)` argument with unit stride in D and any other strides.
#[derive(Clone, Copy)]
struct Heads<'a> {
    data: &'a [f32],
    dims: [usize; 4],
    strides: [usize; 3],
}

impl<'a> Heads<'a> {
    fn new(storage: &'a CpuStorage, layout: &Layout) -> Result<Self> {
        let data = storage.as_slice::<f32>()?;
        Self::of(&data[layout.start_offset()..], layout.dims(), layout.stride())
    }
    fn of(data: &'a [f32], dims: &[usize], strides: &[usize]) -> Result<Self> {
        match (dims, strides) {
            (&[b, t, n, d], &[sb, st, sn, 1]) => Ok(Heads { data, dims: [b, t, n, d], strides: [sb, st, sn] }),
            (&[b, t, n, 1], &[sb, st, sn, _]) => Ok(Heads { data, dims: [b, t, n, 1], strides: [sb, st, sn] }),
            _ => bail!("attention: expected (B, T, N, D) with D contiguous, got {dims:?} with strides {strides:?}"),
        }
    }
    /// Some rows of one head as a matrix `(rows, D)`.
    fn head(&self, b: usize, n: usize, rows: &Range<usize>) -> Result<Mat<'a>> {
        let at = b * self.strides[0] + rows.start * self.strides[1] + n * self.strides[2];
        Mat::new(&self.data[at..], rows.len(), self.dims[3], self.strides[1])
    }
    /// One position of one head.
    #[inline(always)]
    fn row(&self, b: usize, t: usize, n: usize) -> &'a [f32] {
        &self.data[b * self.strides[0] + t * self.strides[1] + n * self.strides[2]..][..self.dims[3]]
    }
}

/// A result buffer `(B, T, N, D)` whose heads are written by different threads.
struct Shared {
    data: *mut f32,
    len: usize,
    dims: [usize; 4],
}

// SAFETY: `Shared` is only read through `head`, whose contract keeps the written regions apart.
#[allow(unsafe_code)]
unsafe impl Sync for Shared {}

impl Shared {
    fn new(buffer: &mut [f32], dims: [usize; 4]) -> Self {
        Shared { data: buffer.as_mut_ptr(), len: buffer.len(), dims }
    }
    /// Some rows of head `n` of batch row `b`.
    ///
    /// # Safety
    /// The buffer must outlive the result, and no two live results may cover the same head.
    #[allow(unsafe_code)]
    unsafe fn head(&self, b: usize, n: usize, rows: &Range<usize>) -> Result<MatMut<'_>> {
        let [_, t, heads, d] = self.dims;
        let at = ((b * t + rows.start) * heads + n) * d;
        if at > self.len {
            bail!("attention: head {n} of row {b} lies outside the result")
        }
        // SAFETY: `at` is inside the buffer, `MatMut::shared` checks the rest, exclusivity is the caller's.
        unsafe { MatMut::shared(self.data.add(at), self.len - at, rows.len(), d, heads * d) }
    }
}

multiversion! {
    /// In place: scores of one query -> `e^(s - max)` on `range`, 0 elsewhere; returns (max, sum).
    fn soften(scores: &mut [f32], first: usize, end: usize) -> (f32, f32) {
        scores[..first].fill(0.);
        scores[end..].fill(0.);
        let seen = &mut scores[first..end];
        let most = max(seen);
        for s in seen.iter_mut() {
            *s = exp::<FMA>(*s - most);
        }
        (most, sum_of([seen], |[s], sum| sum + s))
    }
}

multiversion! {
    /// In place: scores -> probabilities from the kept log-sum-exp on `range`, 0 elsewhere.
    fn probabilities(scores: &mut [f32], first: usize, end: usize, lse: f32) {
        scores[..first].fill(0.);
        scores[end..].fill(0.);
        for s in scores[first..end].iter_mut() {
            *s = exp::<FMA>(*s - lse);
        }
    }
}

multiversion! {
    /// `dp := p (dp - delta)` on `range`, 0 elsewhere.
    fn score_gradient(p: &[f32], dp: &mut [f32], first: usize, end: usize, delta: f32) {
        dp[..first].fill(0.);
        dp[end..].fill(0.);
        for (dp, p) in dp[first..end].iter_mut().zip(&p[first..end]) {
            *dp = p * (*dp - delta);
        }
    }
}

multiversion! {
    fn inner(a: &[f32], b: &[f32]) -> f32 {
        dot::<FMA>(a, b)
    }
}

multiversion! {
    fn scale_by(x: &mut [f32], factor: f32) {
        for x in x.iter_mut() { *x *= factor; }
    }
}

multiversion! {
    /// One query against keys `first .. end` of its head: `out = softmax(scale q k) v`; returns the log-sum-exp.
    /// `k` and `v` begin at key `first`, keys lie `k_row` and `v_row` apart.
    fn one_query(q: &[f32], k: &[f32], k_row: usize, v: &[f32], v_row: usize, scale: f32, scores: &mut [f32], out: &mut [f32]) -> f32 {
        let d = q.len();
        for (i, score) in scores.iter_mut().enumerate() {
            *score = scale * dot::<FMA>(q, &k[i * k_row..][..d]);
        }
        let most = max(scores);
        let mut sum = 0.;
        out.fill(0.);
        for (i, score) in scores.iter().enumerate() {
            let p = exp::<FMA>(score - most);
            sum += p;
            axpy::<FMA>(p, &v[i * v_row..][..d], out);
        }
        let inverse = 1. / sum;
        for o in out.iter_mut() { *o *= inverse; }
        most + sum.ln()
    }
}

impl Attention {
    /// Several queries per row: one task per (batch row, head).
    #[allow(unsafe_code)]
    fn forward_tiles(&self, q: Heads, k: Heads, v: Heads, out: &mut [f32], lse: &mut [f32]) -> Result<()> {
        let [_, t, n, _] = q.dims;
        let group = n / k.dims[2];
        let tiles = self.tiles(q.dims);
        let shared = Shared::new(out, q.dims);
        lse.par_chunks_mut(t).enumerate().try_for_each_init(Vec::new, |scratch: &mut Vec<f32>, (task, lse)| {
            let (b, head) = (task / n, task % n);
            for tile in &tiles[b] {
                let scores = table(scratch, tile);
                for piece in &tile.pieces {
                    let (qm, km) = (q.head(b, head, &piece.queries)?, k.head(b, head / group, &piece.keys)?);
                    matmul(&mut block_mut(scores, tile, piece)?, false, qm, km.t(), self.scale, Threads::One)?;
                }
                let mut sums = [0f32; TILE];
                for (i, (line, seen)) in scores.chunks_exact_mut(tile.width).zip(&tile.seen).enumerate() {
                    let (most, sum) = soften(line, seen.start, seen.end);
                    lse[tile.queries.start + i] = most + sum.ln();
                    sums[i] = sum;
                }
                for (i, piece) in tile.pieces.iter().enumerate() {
                    let vm = v.head(b, head / group, &piece.keys)?;
                    // SAFETY: each task has its own (batch row, head), so no other thread writes these elements.
                    let mut o = unsafe { shared.head(b, head, &piece.queries)? };
                    matmul(&mut o, i > 0, block(scores, tile, piece)?, vm, 1., Threads::One)?;
                }
                // SAFETY: as above.
                let mut o = unsafe { shared.head(b, head, &tile.queries)? };
                for (i, sum) in sums[..tile.queries.len()].iter().enumerate() {
                    scale_by(o.line(i), 1. / sum);
                }
            }
            Ok(())
        })
    }

    /// The tiles of every batch row of q `(B, T, N, D)`.
    fn tiles(&self, [b, t, _, _]: [usize; 4]) -> Vec<Vec<Tile>> {
        (0..b).map(|b| self.mask.tiles(b, t, TILE)).collect()
    }

    /// One query per row: stream over the keys.
    fn forward_one(&self, q: Heads, k: Heads, v: Heads, out: &mut [f32], lse: &mut [f32]) {
        let [_, _, n, d] = q.dims;
        let group = n / k.dims[2];
        let one = |scratch: &mut Vec<f32>, task: usize, out: &mut [f32], lse: &mut f32| {
            let (b, head) = (task / n, task % n);
            let (first, end) = self.mask.range(b, 0);
            scratch.clear();
            scratch.resize(end - first, 0.);
            let at = |x: &Heads| b * x.strides[0] + first * x.strides[1] + head / group * x.strides[2];
            let (ks, vs) = (&k.data[at(&k)..], &v.data[at(&v)..]);
            *lse = one_query(q.row(b, 0, head), ks, k.strides[1], vs, v.strides[1], self.scale, scratch, out);
        };
        if q.dims[0] * n * k.dims[1] * d < 1 << 17 {
            let mut scratch = Vec::new();
            for (task, (out, lse)) in out.chunks_exact_mut(d).zip(lse).enumerate() {
                one(&mut scratch, task, out, lse);
            }
        } else {
            let tasks = out.par_chunks_exact_mut(d).zip(lse).enumerate();
            tasks.for_each_init(Vec::new, |scratch, (task, (out, lse))| one(scratch, task, out, lse));
        }
    }

    /// Gradients of query heads that share a key/value head, tile by tile in order; those of keys and values go to place
    /// `place` of their buffers.
    #[allow(unsafe_code)]
    fn backward_heads(
        &self,
        x: &Inputs,
        (b, place): (usize, usize),
        heads: Range<usize>,
        grads: &[Shared; 3],
        scratch: &mut [Vec<f32>; 2],
    ) -> Result<()> {
        let [_, t, n, _] = x.q.dims;
        let kv_head = heads.start * x.k.dims[2] / n;
        for head in heads {
            for tile in &x.tiles[b] {
                let [p, dp] = scratch;
                let (p, dp) = (table(p, tile), table(dp, tile));
                for piece in &tile.pieces {
                    let (qm, gm) = (x.q.head(b, head, &piece.queries)?, x.g.head(b, head, &piece.queries)?);
                    let (km, vm) = (x.k.head(b, kv_head, &piece.keys)?, x.v.head(b, kv_head, &piece.keys)?);
                    matmul(&mut block_mut(p, tile, piece)?, false, qm, km.t(), self.scale, Threads::One)?;
                    matmul(&mut block_mut(dp, tile, piece)?, false, gm, vm.t(), 1., Threads::One)?;
                }
                let lines = p.chunks_exact_mut(tile.width).zip(dp.chunks_exact_mut(tile.width));
                for ((p, dp), (query, seen)) in lines.zip(tile.queries.clone().zip(&tile.seen)) {
                    probabilities(p, seen.start, seen.end, x.lse[(b * n + head) * t + query]);
                    let delta = inner(x.o.row(b, query, head), x.g.row(b, query, head));
                    score_gradient(p, dp, seen.start, seen.end, delta);
                }
                for (i, piece) in tile.pieces.iter().enumerate() {
                    let (p, ds) = (block(p, tile, piece)?, block(dp, tile, piece)?);
                    let (qm, gm) = (x.q.head(b, head, &piece.queries)?, x.g.head(b, head, &piece.queries)?);
                    let km = x.k.head(b, kv_head, &piece.keys)?;
                    // SAFETY: each task has its own (batch row, place) and with it these query heads.
                    let (mut dq, mut dk, mut dv) = unsafe {
                        (
                            grads[0].head(b, head, &piece.queries)?,
                            grads[1].head(b, place, &piece.keys)?,
                            grads[2].head(b, place, &piece.keys)?,
                        )
                    };
                    matmul(&mut dv, true, p.t(), gm, 1., Threads::One)?;
                    matmul(&mut dq, i > 0, ds, km, self.scale, Threads::One)?;
                    matmul(&mut dk, true, ds.t(), qm, self.scale, Threads::One)?;
                }
            }
        }
        Ok(())
    }
}

/// Room for the scores of a tile.
fn table<'s>(scratch: &'s mut Vec<f32>, tile: &Tile) -> &'s mut [f32] {
    let len = tile.queries.len() * tile.width;
    scratch.resize(len.max(scratch.len()), 0.);
    &mut scratch[..len]
}

/// Where the scores of a piece begin in the table of its tile.
fn corner(tile: &Tile, piece: &Piece) -> usize {
    (piece.queries.start - tile.queries.start) * tile.width + piece.column
}

/// The scores of a piece.
fn block<'s>(scores: &'s [f32], tile: &Tile, piece: &Piece) -> Result<Mat<'s>> {
    Mat::new(&scores[corner(tile, piece)..], piece.queries.len(), piece.keys.len(), tile.width)
}

/// [`block`] to write.
fn block_mut<'s>(scores: &'s mut [f32], tile: &Tile, piece: &Piece) -> Result<MatMut<'s>> {
    MatMut::new(&mut scores[corner(tile, piece)..], piece.queries.len(), piece.keys.len(), tile.width)
}

/// Sums over runs of `parts` neighbouring heads: `(.., K parts, D)` to `(.., K, D)`.
fn sum_heads(x: Vec<f32>, parts: usize, d: usize) -> Vec<f32> {
    if parts == 1 {
        return x;
    }
    let mut out = Vec::with_capacity(x.len() / parts);
    for heads in x.chunks_exact(parts * d) {
        let at = out.len();
        out.extend_from_slice(&heads[..d]);
        for head in heads[d..].chunks_exact(d) {
            out[at..].iter_mut().zip(head).for_each(|(sum, x)| *sum += x);
        }
    }
    out
}

/// What the backward pass reads.
struct Inputs<'a> {
    q: Heads<'a>,
    k: Heads<'a>,
    v: Heads<'a>,
    o: Heads<'a>,
    g: Heads<'a>,
    lse: &'a [f32],
    tiles: Vec<Vec<Tile>>,
}

impl CustomOp3 for Attention {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn cpu_fwd(
        &self,
        q: &CpuStorage,
        lq: &Layout,
        k: &CpuStorage,
        lk: &Layout,
        v: &CpuStorage,
        lv: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (q, k, v) = (Heads::new(q, lq)?, Heads::new(k, lk)?, Heads::new(v, lv)?);
        let [b, t, n, d] = q.dims;
        let mut out = vec![0f32; b * t * n * d];
        let mut lse = vec![0f32; b * n * t];
        if !out.is_empty() {
            match t {
                1 => self.forward_one(q, k, v, &mut out, &mut lse),
                _ => self.forward_tiles(q, k, v, &mut out, &mut lse)?,
            }
        }
        if self.training {
            let _ = self.lse.set(lse); // set once: an operation runs forward once
        }
        output(out, (b, t, n, d))
    }

    fn bwd(
        &self,
        q: &Tensor,
        k: &Tensor,
        v: &Tensor,
        o: &Tensor,
        g: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let Some(lse) = self.lse.get() else { bail!("attention: the forward pass kept nothing for a gradient") };
        let (q_, k_, v_, g_) = (q.contiguous()?, k.contiguous()?, v.contiguous()?, g.contiguous()?);
        let (qs, ks, vs, os, gs) = (view(&q_)?, view(&k_)?, view(&v_)?, view(o)?, view(&g_)?);
        let heads = |data, t: &Tensor| Heads::of(data, t.dims(), t.stride());
        let x = Inputs {
            q: heads(&qs, &q_)?,
            k: heads(&ks, &k_)?,
            v: heads(&vs, &v_)?,
            o: heads(&os, o)?,
            g: heads(&gs, &g_)?,
            lse,
            tiles: self.tiles(q.dims4()?.into()),
        };
        let ([b, _, n, d], kv) = (x.q.dims, x.k.dims[2]);
        // A task has the query heads of a key/value head, or of a single row one of them: else there were too few tasks.
        let parts = if b == 1 { n / kv } else { 1 };
        let places = kv * parts;
        let mut dq = vec![0f32; qs.len()];
        let (mut dk, mut dv) = (vec![0f32; ks.len() * parts], vec![0f32; vs.len() * parts]);
        let kv_dims = [b, x.k.dims[1], places, d];
        let grads = [Shared::new(&mut dq, x.q.dims), Shared::new(&mut dk, kv_dims), Shared::new(&mut dv, kv_dims)];
        let tasks = if qs.is_empty() { 0 } else { b * places };
        let init = || [Vec::new(), Vec::new()];
        (0..tasks).into_par_iter().try_for_each_init(init, |scratch, task| {
            let (b, place, each) = (task / places, task % places, n / places);
            self.backward_heads(&x, (b, place), place * each..(place + 1) * each, &grads, scratch)
        })?;
        let (dk, dv) = (sum_heads(dk, parts, d), sum_heads(dv, parts, d));
        let wanted = |t: &Tensor, grad: Vec<f32>| t.track_op().then(|| tensor(grad, t.shape())).transpose();
        Ok((wanted(q, dq)?, wanted(k, dk)?, wanted(v, dv)?))
    }
}
