//! Attention of new tokens over what rows share and what is their own: all rows of a prompt stream over its keys once,
//! then each over its tail; the parts are merged by their log-sum-exp as they come (Milakov and Gimelshein 2018, online
//! softmax). No gradient.
//!
//! A row's bits depend on its own query, prompt and tail alone: keys are taken in blocks of fixed size, every score is
//! one inner product, every sum over keys runs in their order, whichever queries happen to be computed together.

use super::host::{elements, view};
use super::simd::{LANES, axpy, dot1, dot4, exp, madd, max, multiversion, sum_of};
use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

/// Keys per block: with the values 64 KB at a head width of 128, so a block stays near while the queries pass.
const BLOCK: usize = 64;

/// The keys and values of one prompt and who continues it.
#[derive(Debug, Clone)]
pub struct Shared {
    /// `(P, K, D)`, contiguous.
    pub keys: Tensor,
    /// `(P, K, D)`, contiguous.
    pub values: Tensor,
    /// The place in the tails of each of its rows, in the order of the batch.
    pub slots: Vec<usize>,
}

/// q `(R, T, N, D)` with the rows of `prompts` one after the other, tails `(S, C, K, D)` that hold `len` tokens of each
/// row, the T new ones among them.
pub(super) struct SharedAttention<'a> {
    pub(super) prompts: &'a [Shared],
    pub(super) len: usize,
    pub(super) scale: f32,
}

/// Rows of one prompt and one key/value head.
struct Task {
    prompt: usize,
    kv_head: usize,
    /// Rows of the batch, and of the prompt.
    rows: std::ops::Range<usize>,
    first: usize,
}

/// Keys or values of one head: `width` numbers every `stride`.
#[derive(Clone, Copy)]
pub(super) struct Strided<'a> {
    data: &'a [f32],
    stride: usize,
}

multiversion! {
    /// Adds `count` keys and values to the running softmax of queries `(n, d)`, already scaled: `state` holds the largest
    /// score and the sum of `e^(score - largest)` of each, `out` `(n, d)` the sum of weighted values.
    fn absorb(q: &[f32], d: usize, keys: Strided, values: Strided, count: usize, state: &mut [[f32; 2]], out: &mut [f32]) {
        let n = state.len();
        let mut weights = [0f32; 4 * BLOCK];
        for from in (0..count).step_by(BLOCK) {
            let block = BLOCK.min(count - from);
            let key = |i: usize| &keys.data[(from + i) * keys.stride..][..d];
            for first in (0..n).step_by(4) {
                let together = 4.min(n - first);
                let query = |k: usize| &q[(first + k) * d..][..d];
                if together == 4 {
                    let queries = [query(0), query(1), query(2), query(3)];
                    for i in 0..block {
                        let scores = dot4::<FMA>(queries, key(i), &[], 0);
                        for (k, score) in scores.into_iter().enumerate() {
                            weights[k * BLOCK + i] = score;
                        }
                    }
                } else {
                    for k in 0..together {
                        for i in (0..block - block % 4).step_by(4) {
                            let keys = [key(i), key(i + 1), key(i + 2), key(i + 3)];
                            weights[k * BLOCK + i..][..4].copy_from_slice(&dot4::<FMA>(keys, query(k), &[], 0));
                        }
                        for i in block - block % 4..block {
                            weights[k * BLOCK + i] = dot1::<FMA>(query(k), key(i));
                        }
                    }
                }
                let out = &mut out[first * d..(first + together) * d];
                for ((weights, state), out) in
                    weights.chunks_exact_mut(BLOCK).zip(&mut state[first..first + together]).zip(out.chunks_exact_mut(d))
                {
                    let weights = &mut weights[..block];
                    let [before, sum] = *state;
                    let most = max(weights);
                    let most = if most > before { most } else { before };
                    for weight in weights.iter_mut() {
                        *weight = exp::<FMA>(*weight - most);
                    }
                    let shrink = exp::<FMA>(before - most);
                    *state = [most, madd::<FMA>(sum, shrink, sum_of([weights], |[w], sum| sum + w))];
                    if shrink != 1. {
                        for o in out.iter_mut() { *o *= shrink; }
                    }
                }
                mix::<FMA>(&weights, block, values.data, from * values.stride, values.stride, d, out);
            }
        }
    }
}

/// `out[k] += sum_i weights[k][i] values[i]` for up to four queries: 32 columns of each stay in registers while the
/// values pass.
#[inline(always)]
fn mix<const FMA: bool>(
    w: &[f32; 4 * BLOCK],
    block: usize,
    v: &[f32],
    at: usize,
    stride: usize,
    d: usize,
    out: &mut [f32],
) {
    const WIDE: usize = 2 * LANES;
    let wide = if out.len() == 4 * d { d - d % WIDE } else { 0 };
    for column in (0..wide).step_by(WIDE) {
        let load = |k: usize, half: usize| {
            let mut lanes = [0f32; LANES];
            lanes.copy_from_slice(&out[k * d + column + half * LANES..][..LANES]);
            lanes
        };
        let (mut a0, mut a1, mut b0, mut b1) = (load(0, 0), load(0, 1), load(1, 0), load(1, 1));
        let (mut c0, mut c1, mut e0, mut e1) = (load(2, 0), load(2, 1), load(3, 0), load(3, 1));
        for i in 0..block {
            let value = &v[at + i * stride + column..][..WIDE];
            let (v0, v1) = value.split_at(LANES);
            let (wa, wb, wc, we) = (w[i], w[BLOCK + i], w[2 * BLOCK + i], w[3 * BLOCK + i]);
            for lane in 0..LANES {
                a0[lane] = madd::<FMA>(wa, v0[lane], a0[lane]);
                a1[lane] = madd::<FMA>(wa, v1[lane], a1[lane]);
                b0[lane] = madd::<FMA>(wb, v0[lane], b0[lane]);
                b1[lane] = madd::<FMA>(wb, v1[lane], b1[lane]);
                c0[lane] = madd::<FMA>(wc, v0[lane], c0[lane]);
                c1[lane] = madd::<FMA>(wc, v1[lane], c1[lane]);
                e0[lane] = madd::<FMA>(we, v0[lane], e0[lane]);
                e1[lane] = madd::<FMA>(we, v1[lane], e1[lane]);
            }
        }
        for (k, [low, high]) in [[a0, a1], [b0, b1], [c0, c1], [e0, e1]].into_iter().enumerate() {
            out[k * d + column..][..LANES].copy_from_slice(&low);
            out[k * d + column + LANES..][..LANES].copy_from_slice(&high);
        }
    }
    for (k, out) in out.chunks_exact_mut(d).enumerate() {
        let wide = match wide {
            0 => mix_one::<FMA>(&w[k * BLOCK..][..block], v, at, stride, out),
            wide => wide,
        };
        for i in 0..block {
            axpy::<FMA>(w[k * BLOCK + i], &v[at + i * stride + wide..][..d - wide], &mut out[wide..]);
        }
    }
}

/// [`mix`] for one query, 64 columns at a time; returns how many columns that were.
#[inline(always)]
fn mix_one<const FMA: bool>(w: &[f32], v: &[f32], at: usize, stride: usize, out: &mut [f32]) -> usize {
    const WIDE: usize = 4 * LANES;
    let wide = out.len() - out.len() % WIDE;
    for (column, out) in out.chunks_exact_mut(WIDE).enumerate() {
        let (mut a, mut b, mut c, mut e) = ([0f32; LANES], [0f32; LANES], [0f32; LANES], [0f32; LANES]);
        a.copy_from_slice(&out[..LANES]);
        b.copy_from_slice(&out[LANES..2 * LANES]);
        c.copy_from_slice(&out[2 * LANES..3 * LANES]);
        e.copy_from_slice(&out[3 * LANES..]);
        for (i, w) in w.iter().enumerate() {
            let v = &v[at + i * stride + column * WIDE..][..WIDE];
            for lane in 0..LANES {
                a[lane] = madd::<FMA>(*w, v[lane], a[lane]);
                b[lane] = madd::<FMA>(*w, v[LANES + lane], b[lane]);
                c[lane] = madd::<FMA>(*w, v[2 * LANES + lane], c[lane]);
                e[lane] = madd::<FMA>(*w, v[3 * LANES + lane], e[lane]);
            }
        }
        out[..LANES].copy_from_slice(&a);
        out[LANES..2 * LANES].copy_from_slice(&b);
        out[2 * LANES..3 * LANES].copy_from_slice(&c);
        out[3 * LANES..].copy_from_slice(&e);
    }
    wide
}

multiversion! {
    fn scaled(x: &[f32], factor: f32, out: &mut [f32]) {
        for (o, x) in out.iter_mut().zip(x) { *o = x * factor; }
    }
}

impl SharedAttention<'_> {
    /// Cuts the work so that each thread gets some, by rows where the heads do not suffice.
    fn tasks(&self, kv: usize, work: usize) -> Vec<Task> {
        let heads = self.prompts.len() * kv;
        let wanted = if work < 1 << 17 { 1 } else { 2 * rayon::current_num_threads() };
        let cuts = wanted.div_ceil(heads.max(1));
        let (mut tasks, mut first) = (Vec::new(), 0);
        for (prompt, shared) in self.prompts.iter().enumerate() {
            let rows = shared.slots.len();
            let size = rows.div_ceil(cuts).max(1);
            for kv_head in 0..kv {
                let parts = (0..rows).step_by(size).map(|from| first + from..first + (from + size).min(rows));
                tasks.extend(parts.map(|rows| Task { prompt, kv_head, rows, first }));
            }
            first += rows;
        }
        tasks
    }
}

impl CustomOp3 for SharedAttention<'_> {
    fn name(&self) -> &'static str {
        "shared-attention"
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
        let ((rows, t, n, d), (_, capacity, kv, _)) = (lq.shape().dims4()?, lk.shape().dims4()?);
        let (q, k, v) = (elements(q, lq)?, elements(k, lk)?, elements(v, lv)?);
        let (group, stride) = (n / kv, kv * d);
        let prefixes =
            self.prompts.iter().map(|p| Ok([view(&p.keys)?, view(&p.values)?])).collect::<Result<Vec<_>>>()?;
        let keys_seen: usize = self.prompts.iter().map(|p| p.slots.len() * (p.keys.dims()[0] + self.len)).sum();
        let work = keys_seen * t * n * d;
        let one = |task: &Task| {
            let prompt = &self.prompts[task.prompt];
            let count = task.rows.len() * t * group;
            // Queries row by row, position by position, and within one the heads that share these keys.
            let at = |row: usize, token: usize| ((row * t + token) * n + task.kv_head * group) * d;
            let places = || task.rows.clone().flat_map(|row| (0..t).map(move |token| (row, token)));
            let mut queries = vec![0f32; count * d];
            for ((row, token), own) in places().zip(queries.chunks_exact_mut(group * d)) {
                scaled(&q[at(row, token)..][..group * d], self.scale, own);
            }
            let (mut state, mut out) = (vec![[f32::NEG_INFINITY, 0.]; count], vec![0f32; count * d]);
            let [keys, values] = &prefixes[task.prompt];
            let head = |data| Strided { data, stride };
            let shared = prompt.keys.dims()[0];
            if shared > 0 {
                let (keys, values) = (&keys[task.kv_head * d..], &values[task.kv_head * d..]);
                absorb(&queries, d, head(keys), head(values), shared, &mut state, &mut out);
            }
            let own =
                queries.chunks_exact(group * d).zip(state.chunks_exact_mut(group)).zip(out.chunks_exact_mut(group * d));
            for ((row, token), ((queries, state), out)) in places().zip(own) {
                let tail = prompt.slots[row - task.first] * capacity * stride + task.kv_head * d;
                // The new tokens are the last t of the tail; each sees those before it and itself.
                let seen = self.len - t + token + 1;
                absorb(queries, d, head(&k[tail..]), head(&v[tail..]), seen, state, out);
            }
            for (out, [_, sum]) in out.chunks_exact_mut(d).zip(&state) {
                out.iter_mut().for_each(|o| *o /= sum);
            }
            out
        };
        let tasks = self.tasks(kv, work);
        let parts: Vec<Vec<f32>> = match work < 1 << 17 {
            true => tasks.iter().map(one).collect(),
            false => tasks.par_iter().map(one).collect(),
        };
        let mut out = vec![0f32; rows * t * n * d];
        for (task, part) in tasks.iter().zip(&parts) {
            let places = task.rows.clone().flat_map(|row| (0..t).map(move |token| (row, token)));
            for ((row, token), part) in places.zip(part.chunks_exact(group * d)) {
                out[((row * t + token) * n + task.kv_head * group) * d..][..group * d].copy_from_slice(part);
            }
        }
        Ok((CpuStorage::F32(out), lq.shape().clone()))
    }
}

/// Fails unless everything fits together: rows, slots, widths and lengths.
pub(super) fn check(q: &Tensor, k: &Tensor, v: &Tensor, prompts: &[Shared], len: usize) -> Result<()> {
    let ((rows, t, n, d), (slots, capacity, kv, width)) = (q.dims4()?, k.dims4()?);
    if d != width || kv == 0 || n % kv != 0 || v.dims() != k.dims() || d == 0 {
        bail!("shared_attention: q {:?} (R, T, N, D) does not fit tails {:?}, {:?}", q.dims(), k.dims(), v.dims())
    }
    if t == 0 || len < t || len > capacity {
        bail!("shared_attention: {t} new of {len} tokens in tails of {capacity}")
    }
    let listed: usize = prompts.iter().map(|prompt| prompt.slots.len()).sum();
    let far = prompts.iter().flat_map(|prompt| &prompt.slots).find(|slot| **slot >= slots);
    if listed != rows || far.is_some() {
        bail!("shared_attention: {listed} tails listed (one of {slots}: {far:?}) for {rows} rows")
    }
    for prompt in prompts {
        let (shared, heads, width) = prompt.keys.dims3()?;
        if (heads, width) != (kv, d) || prompt.values.dims() != [shared, kv, d] {
            bail!("shared_attention: a prompt with keys {:?} for tails {:?}", prompt.keys.dims(), k.dims())
        }
    }
    Ok(())
}
