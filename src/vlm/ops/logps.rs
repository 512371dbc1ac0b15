//! Log-probabilities and entropies of given tokens without ever holding all logits: chunks of rows go through the
//! output head, leave two numbers per row, and are recomputed in the backward pass: of a log-probability
//! d logit = (onehot - p) / T, of an entropy H d logit = -p (ln p + H) / T.
//!
//! Rows whose gradients are zero (masked tokens) cost nothing backward, and a frozen head gets no gradient tensor.

use super::gemm::{Mat, MatMut, Threads, matmul};
use super::host::{elements, output, tensor, view};
use super::known::known;
use super::simd::{exp, madd, max, multiversion};
use crate::vlm::{quant::Quantized, weight::Weight};
use candle_core::{CpuStorage, CustomOp1, CustomOp2, DType, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;
use std::sync::{Arc, OnceLock};

/// What the forward pass keeps per row for the way back.
struct Rows {
    /// Log of the sum of exponentials of the scaled logits.
    lse: Vec<f32>,
    /// Entropy in nats.
    entropy: Vec<f32>,
}

/// hidden `(R, H)`, head `(V, H)`; the result is `(2, R)`: log-probabilities, then entropies. Targets are checked by the
/// caller. The head is the second argument of the operation, or `frozen`.
pub(super) struct TokenLogps {
    targets: Vec<u32>,
    temperature: f32,
    kept: OnceLock<Rows>,
    frozen: Option<Arc<Quantized>>,
}

/// The output head, `(V, H)`.
#[derive(Clone, Copy)]
enum Head<'a> {
    Dense(Mat<'a>),
    Blocks(&'a Quantized),
}

impl Head<'_> {
    /// `logits = x @ head.T / temperature`, x `(n, width)`.
    fn logits(self, x: &[f32], width: usize, temperature: f32, logits: &mut [f32]) -> Result<()> {
        let n = x.len() / width;
        match self {
            Head::Dense(head) => {
                let vocabulary = logits.len() / n;
                let mut dst = MatMut::new(logits, n, vocabulary, vocabulary)?;
                matmul(&mut dst, false, Mat::new(x, n, width, width)?, head.t(), 1. / temperature, Threads::Pool)
            }
            Head::Blocks(head) => {
                head.forward(x, logits);
                if temperature != 1. {
                    logits.iter_mut().for_each(|x| *x /= temperature);
                }
                Ok(())
            }
        }
    }

    /// `dx = dlogits @ head`, dlogits `(n, V)`.
    fn back(self, dlogits: &[f32], n: usize, width: usize, dx: &mut [f32]) -> Result<()> {
        match self {
            Head::Dense(head) => {
                let vocabulary = dlogits.len() / n;
                let dlogits = Mat::new(dlogits, n, vocabulary, vocabulary)?;
                matmul(&mut MatMut::new(dx, n, width, width)?, false, dlogits, head, 1., Threads::Pool)
            }
            Head::Blocks(head) => {
                dx.fill(0.);
                head.backward(dlogits, dx)
            }
        }
    }
}

/// Rows of logits that exist at a time.
fn chunk_rows(vocabulary: usize) -> usize {
    if vocabulary > 1 << 15 { 64 } else { 128 }
}

multiversion! {
    /// `sum e^((x - most) factor)`.
    fn sum_of_exponentials(x: &[f32], most: f32, factor: f32) -> f64 {
        let mut sum = 0f64;
        // f32 lanes over blocks, f64 over blocks, as below.
        for block in x.chunks(1024) {
            let mut lanes = [0f32; 16];
            let chunks = block.chunks_exact(16);
            let rest = chunks.remainder();
            for chunk in chunks {
                for lane in 0..16 {
                    lanes[lane] += exp::<FMA>((chunk[lane] - most) * factor);
                }
            }
            for (lane, x) in lanes.iter_mut().zip(rest) {
                *lane += exp::<FMA>((x - most) * factor);
            }
            for lane in lanes {
                sum += f64::from(lane);
            }
        }
        sum
    }
}

multiversion! {
    /// The largest number, ignoring NaN; negative infinity when there is none.
    fn largest_of(x: &[f32]) -> f32 {
        max(x)
    }
}

multiversion! {
    fn exponentials_of(x: &[f32], most: f32, out: &mut [f32]) {
        for (o, x) in out.iter_mut().zip(x) { *o = exp::<FMA>(x - most); }
    }
}

multiversion! {
    /// Sum in 16 lanes of f64.
    fn wide_sum(x: &[f32]) -> f64 {
        let mut lanes = [0f64; 16];
        let chunks = x.chunks_exact(16);
        let rest = chunks.remainder();
        for chunk in chunks {
            for lane in 0..16 {
                lanes[lane] += f64::from(chunk[lane]);
            }
        }
        for (lane, x) in lanes.iter_mut().zip(rest) {
            *lane += f64::from(*x);
        }
        lanes.iter().sum()
    }
}

/// Sum in f64, in an order that depends on the length alone.
pub(crate) fn sum(x: &[f32]) -> f64 {
    wide_sum(x)
}

/// The largest number, ignoring NaN; negative infinity when there is none.
pub(crate) fn largest(x: &[f32]) -> f32 {
    largest_of(x)
}

/// `e^(x - most)` of each.
pub(crate) fn exponentials(x: &[f32], most: f32) -> Vec<f32> {
    let mut out = vec![0f32; x.len()];
    exponentials_of(x, most, &mut out);
    out
}

/// `ln sum e^(x / temperature)` of one row of logits.
pub(crate) fn log_sum_exp(x: &[f32], temperature: f64) -> f64 {
    let most = largest(x);
    f64::from(most) / temperature + sum_of_exponentials(x, most, (1. / temperature) as f32).ln()
}

multiversion! {
    /// (log-sum-exp, entropy) of one row of logits.
    fn statistics(logits: &[f32]) -> (f32, f32) {
        let most = max(logits);
        let (mut sum, mut product) = (0f64, 0f64);
        // f32 lanes over blocks, f64 over blocks: exact enough for 150 000 tokens.
        for block in logits.chunks(1024) {
            let (mut s, mut p) = ([0f32; 16], [0f32; 16]);
            let chunks = block.chunks_exact(16);
            let rest = chunks.remainder();
            for chunk in chunks {
                for lane in 0..16 {
                    let below = chunk[lane] - most;
                    let e = exp::<FMA>(below);
                    s[lane] += e;
                    p[lane] = madd::<FMA>(e, below, p[lane]);
                }
            }
            for (lane, x) in rest.iter().enumerate() {
                let e = exp::<FMA>(x - most);
                s[lane] += e;
                p[lane] = madd::<FMA>(e, x - most, p[lane]);
            }
            sum += s.iter().map(|x| *x as f64).sum::<f64>();
            product += p.iter().map(|x| *x as f64).sum::<f64>();
        }
        let log = sum.ln();
        ((most as f64 + log) as f32, (log - product / sum) as f32)
    }
}

multiversion! {
    /// In place: logits -> `-weight * e^(logit - lse)`.
    fn negative_probabilities(logits: &mut [f32], lse: f32, weight: f32) {
        for x in logits.iter_mut() {
            *x = -weight * exp::<FMA>(*x - lse);
        }
    }
}

multiversion! {
    /// The same with the gradient of the entropy: logits -> `-p (weight + by_entropy (ln p + entropy))`.
    fn with_entropy(logits: &mut [f32], lse: f32, weight: f32, by_entropy: f32, entropy: f32) {
        for x in logits.iter_mut() {
            let logp = *x - lse;
            *x = -exp::<FMA>(logp) * madd::<FMA>(by_entropy, logp + entropy, weight);
        }
    }
}

impl TokenLogps {
    pub(super) fn new(targets: &[u32], temperature: f64, frozen: Option<Arc<Quantized>>) -> Self {
        TokenLogps { targets: targets.to_vec(), temperature: temperature as f32, kept: OnceLock::new(), frozen }
    }

    fn forward(&self, x: &[f32], width: usize, vocabulary: usize, head: Head) -> Result<(CpuStorage, Shape)> {
        let count = self.targets.len();
        let size = chunk_rows(vocabulary);
        let mut logits = vec![0f32; size.min(count) * vocabulary];
        let mut out = vec![0f32; 2 * count];
        let logps = &mut out[..count];
        let mut kept = Rows { lse: vec![0.; count], entropy: vec![0.; count] };
        for from in (0..count).step_by(size) {
            let to = (from + size).min(count);
            let logits = &mut logits[..(to - from) * vocabulary];
            head.logits(&x[from * width..to * width], width, self.temperature, logits)?;
            let results = (&mut logps[from..to], &mut kept.lse[from..to], &mut kept.entropy[from..to]);
            let rows = logits.par_chunks_exact(vocabulary).zip(results.0).zip(results.1).zip(results.2);
            rows.zip(&self.targets[from..to]).with_min_len(8).for_each(|((((logits, logp), lse), entropy), target)| {
                (*lse, *entropy) = statistics(logits);
                *logp = logits[*target as usize] - *lse;
            });
        }
        out[count..].copy_from_slice(&kept.entropy);
        let _ = self.kept.set(kept); // set once: an operation runs forward once
        output(out, (2, count))
    }

    /// Gradients of the hidden states and of a dense head, each when wanted; g `(2, R)`.
    fn backward(
        &self,
        x: &Tensor,
        vocabulary: usize,
        head: Head,
        g: &Tensor,
        trained: bool,
    ) -> Result<(Option<Tensor>, Option<Vec<f32>>)> {
        let Some(kept) = self.kept.get() else { bail!("token_logps: the forward pass kept nothing") };
        let (count, width) = x.dims2()?;
        let g = g.contiguous()?;
        let (xs, gs) = (view(x)?, view(&g)?);
        let mut dx = x.track_op().then(|| vec![0f32; xs.len()]);
        let mut dw = trained.then(|| vec![0f32; vocabulary * width]);
        let (gs, ge) = gs.split_at(count);
        let active: Vec<usize> = (0..count).filter(|&r| gs[r] != 0. || ge[r] != 0.).collect();
        let size = chunk_rows(vocabulary);
        let most = size.min(active.len());
        let (mut logits, mut part) = (vec![0f32; most * vocabulary], vec![0f32; most * width]);
        let mut dpart = vec![0f32; if dx.is_some() { most * width } else { 0 }];
        for rows in active.chunks(size) {
            let n = rows.len();
            let (logits, part) = (&mut logits[..n * vocabulary], &mut part[..n * width]);
            for (&r, to) in rows.iter().zip(part.chunks_exact_mut(width)) {
                to.copy_from_slice(&xs[r * width..][..width]);
            }
            head.logits(part, width, self.temperature, logits)?;
            logits.par_chunks_exact_mut(vocabulary).zip(rows).with_min_len(8).for_each(|(logits, &r)| {
                let weight = gs[r] / self.temperature;
                match ge[r] / self.temperature {
                    0. => negative_probabilities(logits, kept.lse[r], weight),
                    by_entropy => with_entropy(logits, kept.lse[r], weight, by_entropy, kept.entropy[r]),
                }
                logits[self.targets[r] as usize] += weight;
            });
            if let Some(dx) = &mut dx {
                let dpart = &mut dpart[..n * width];
                head.back(logits, n, width, dpart)?;
                for (&r, from) in rows.iter().zip(dpart.chunks_exact(width)) {
                    dx[r * width..][..width].copy_from_slice(from);
                }
            }
            if let Some(dw) = &mut dw {
                let dlogits = Mat::new(logits, n, vocabulary, vocabulary)?;
                let mut dst = MatMut::new(dw, vocabulary, width, width)?;
                matmul(&mut dst, true, dlogits.t(), Mat::new(part, n, width, width)?, 1., Threads::Pool)?;
            }
        }
        Ok((dx.map(|dx| tensor(dx, x.shape())).transpose()?, dw))
    }
}

impl CustomOp2 for TokenLogps {
    fn name(&self) -> &'static str {
        "token-logps"
    }

    fn cpu_fwd(&self, x: &CpuStorage, lx: &Layout, w: &CpuStorage, lw: &Layout) -> Result<(CpuStorage, Shape)> {
        let (vocabulary, width) = lw.shape().dims2()?;
        let head = Head::Dense(Mat::new(elements(w, lw)?, vocabulary, width, width)?);
        self.forward(elements(x, lx)?, width, vocabulary, head)
    }

    fn bwd(&self, x: &Tensor, w: &Tensor, _: &Tensor, g: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (vocabulary, width) = w.dims2()?;
        let ws = view(w)?;
        let head = Head::Dense(Mat::new(&ws, vocabulary, width, width)?);
        let (dx, dw) = self.backward(x, vocabulary, head, g, w.track_op())?;
        Ok((dx, dw.map(|dw| tensor(dw, w.shape())).transpose()?))
    }
}

impl CustomOp1 for TokenLogps {
    fn name(&self) -> &'static str {
        "token-logps-quantized"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let Some(head) = &self.frozen else { bail!("token_logps: no head") };
        self.forward(elements(x, layout)?, head.cols(), head.rows(), Head::Blocks(head))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, g: &Tensor) -> Result<Option<Tensor>> {
        let Some(head) = &self.frozen else { bail!("token_logps: no head") };
        Ok(self.backward(x, head.rows(), Head::Blocks(head), g, false)?.0)
    }
}

/// Whether [`frozen`] is the way: off the CPU, with a head that learns nothing.
pub(super) fn piecewise(hidden: &Tensor, head: &Weight) -> bool {
    let trained = matches!(head, Weight::Dense(w) if w.track_op());
    !trained && hidden.elem_count() > 0 && (super::composed::only() || !hidden.device().is_cpu())
}

/// The same `(2, R)` from candle's operations, on any device, for a head without gradient: pieces of rows forward, and
/// again backward.
pub(super) fn frozen(hidden: &Tensor, head: &Weight, targets: &[u32], temperature: f64) -> Result<Tensor> {
    let (x, vocabulary) = (hidden.detach(), head.dims()[0]);
    let device = x.device().clone();
    let targets = Tensor::new(targets, &device)?.unsqueeze(1)?; // (R, 1)
    let pieces = Pieces { head: head.detach(), targets, temperature, size: chunk_rows(vocabulary) };
    let w = pieces.weights(&x)?;
    let (mut logps, mut sums, mut entropies) = (Vec::new(), Vec::new(), Vec::new());
    for (from, count) in pieces.cuts(x.dim(0)?) {
        let logits = pieces.logits(&x, &w, from, count)?;
        let most = logits.max_keepdim(1)?;
        let below = logits.broadcast_sub(&most)?;
        let e = below.exp()?;
        let (sum, product) = (e.sum_keepdim(1)?, (e * below)?.sum_keepdim(1)?);
        let log = sum.log()?;
        let lse = (most + &log)?;
        logps.push((logits.gather(&pieces.targets.narrow(0, from, count)?, 1)? - &lse)?);
        entropies.push((log - (product / sum)?)?);
        sums.push(lse);
    }
    let (lse, entropy) = (Tensor::cat(&sums, 0)?, Tensor::cat(&entropies, 0)?); // (R, 1)
    let both = Tensor::cat(&[&Tensor::cat(&logps, 0)?, &entropy], 0)?.reshape((2, hidden.dim(0)?))?;
    known("token-logps", hidden, both, move |x, g| {
        let g = (g.to_dtype(DType::F32)? / pieces.temperature)?;
        let (g, by_entropy) = (g.get(0)?.unsqueeze(1)?, g.get(1)?.unsqueeze(1)?); // (R, 1)
        // Most losses look at log-probabilities alone.
        let entropies = by_entropy.abs()?.sum_all()?.to_scalar::<f32>()? != 0.;
        let w = pieces.weights(x)?;
        let mut dx = Vec::new();
        for (from, count) in pieces.cuts(x.dim(0)?) {
            let logits = pieces.logits(x, &w, from, count)?;
            let part = |rows: &Tensor| rows.narrow(0, from, count)?.contiguous();
            let g = part(&g)?;
            let logp = logits.broadcast_sub(&part(&lse)?)?;
            let dlogits = logp.exp()?;
            let dlogits = if entropies {
                let slope = logp.broadcast_add(&part(&entropy)?)?.broadcast_mul(&part(&by_entropy)?)?;
                (dlogits * slope.broadcast_add(&g)?)?.neg()?
            } else {
                dlogits.broadcast_mul(&g.neg()?)?
            };
            let dlogits = dlogits.scatter_add(&pieces.targets.narrow(0, from, count)?, &g, 1)?;
            dx.push(dlogits.to_dtype(x.dtype())?.matmul(&w)?);
        }
        Tensor::cat(&dx, 0)
    })
}

/// Rows of logits that are made a piece at a time.
struct Pieces {
    head: Weight,
    targets: Tensor, // (R, 1)
    temperature: f64,
    size: usize,
}

impl Pieces {
    fn weights(&self, x: &Tensor) -> Result<Tensor> {
        self.head.to_dense()?.to_device(x.device())?.to_dtype(x.dtype())
    }

    fn cuts(&self, rows: usize) -> impl Iterator<Item = (usize, usize)> + use<> {
        let size = self.size;
        (0..rows).step_by(size).map(move |from| (from, size.min(rows - from)))
    }

    fn logits(&self, x: &Tensor, w: &Tensor, from: usize, count: usize) -> Result<Tensor> {
        x.narrow(0, from, count)?.contiguous()?.matmul(&w.t()?)?.to_dtype(DType::F32)? / self.temperature
    }
}
