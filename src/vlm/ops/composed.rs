//! Every operation from candle primitives that record a graph: slow, on any device and dtype, and the
//! yardstick for the fused CPU versions.

use super::{Mask, Shared};
use candle_core::{D, DType, Device, Result, Tensor};
use candle_nn::ops::{log_softmax, softmax};
use std::cell::Cell;

thread_local! {
    static ONLY: Cell<bool> = const { Cell::new(false) };
}

/// While it lives, what this thread computes on the CPU goes through the operations of this module, and models that are
/// loaded hold their blocks as other devices do: how tests see what a GPU would do.
#[derive(Debug)]
pub struct Only {
    before: bool,
}

impl Only {
    /// From here on.
    #[must_use = "it ends when the value is dropped"]
    pub fn here() -> Self {
        Only { before: ONLY.replace(true) }
    }
}

impl Drop for Only {
    fn drop(&mut self) {
        ONLY.set(self.before);
    }
}

/// Whether an [`Only`] of this thread lives.
pub(crate) fn only() -> bool {
    ONLY.get()
}

/// `x / rms(x) * w` over the last dimension; the mean in f32. x `(.., D)`, w `(D)`.
pub fn rms_norm(x: &Tensor, w: &Tensor, eps: f64) -> Result<Tensor> {
    let dtype = x.dtype();
    let xf = x.to_dtype(DType::F32)?;
    let variance = xf.sqr()?.mean_keepdim(D::Minus1)?;
    let normed = xf.broadcast_div(&(variance + eps)?.sqrt()?)?;
    normed.to_dtype(dtype)?.broadcast_mul(w)
}

/// LayerNorm over the last dimension. x `(.., D)`, w and b `(D)`.
pub fn layer_norm(x: &Tensor, w: &Tensor, b: &Tensor, eps: f64) -> Result<Tensor> {
    let dtype = x.dtype();
    let xf = x.to_dtype(DType::F32)?;
    let centred = xf.broadcast_sub(&xf.mean_keepdim(D::Minus1)?)?;
    let variance = centred.sqr()?.mean_keepdim(D::Minus1)?;
    let normed = centred.broadcast_div(&(variance + eps)?.sqrt()?)?;
    normed.to_dtype(dtype)?.broadcast_mul(w)?.broadcast_add(b)
}

/// Rotary embedding in the half-split ("rotate half") form. x `(B, T, N, D)`; cos, sin `(B, T, D)`.
pub fn rope(x: &Tensor, cos: &Tensor, sin: &Tensor) -> Result<Tensor> {
    let d = x.dim(D::Minus1)?;
    let (cos, sin) = (cos.unsqueeze(2)?, sin.unsqueeze(2)?); // (B, T, 1, D)
    let (lo, hi) = (x.narrow(D::Minus1, 0, d / 2)?, x.narrow(D::Minus1, d / 2, d / 2)?);
    let rotated = Tensor::cat(&[&hi.neg()?, &lo], D::Minus1)?;
    x.broadcast_mul(&cos)? + rotated.broadcast_mul(&sin)?
}

/// Grouped-query attention. q `(B, T, N, D)`, k and v `(B, S, K, D)` with K dividing N; result `(B, T, N, D)`.
pub fn attention(q: &Tensor, k: &Tensor, v: &Tensor, mask: &Mask, scale: f64) -> Result<Tensor> {
    let (b, t, n, d) = q.dims4()?;
    let (_, s, kv, _) = k.dims4()?;
    let cu = match mask {
        Mask::Causal { .. } => return attend(q, k, v, &|from, to| hidden(mask, b, from, to, s, q.device()), scale),
        Mask::Tails { cu } => return tails_attention(q, k, v, cu, scale),
        Mask::Segments { cu } => cu,
    };
    // Segments of one length lie side by side as rows of a batch; none needs a mask.
    let mut parts = Vec::new();
    for (from, count, length) in equal_segments(cu) {
        let rows = |x: &Tensor, heads: usize| x.narrow(1, from, count * length)?.reshape((count, length, heads, d));
        let y = attend(&rows(q, n)?, &rows(k, kv)?, &rows(v, kv)?, &|_, _| Ok(None), scale)?;
        parts.push(y.reshape((1, count * length, n, d))?);
    }
    match parts.len() {
        0 => Tensor::zeros((b, t, n, d), q.dtype(), q.device()),
        1 => Ok(parts.swap_remove(0)),
        _ => Tensor::cat(&parts, 1),
    }
}

/// Attention of a prompt and its tails: the prompt is causal; the tails, padded to one length, are the new tokens of rows
/// that share it.
fn tails_attention(q: &Tensor, k: &Tensor, v: &Tensor, cu: &[usize], scale: f64) -> Result<Tensor> {
    let (device, prompt) = (q.device(), cu[0]);
    let first = |x: &Tensor| x.narrow(1, 0, prompt);
    let mask = Mask::Causal { offset: 0, start: vec![0] };
    let seen =
        attend(&first(q)?, &first(k)?, &first(v)?, &|from, to| hidden(&mask, 1, from, to, prompt, device), scale)?;
    let tails: Vec<(usize, usize)> = cu.windows(2).map(|edge| (edge[0], edge[1])).collect();
    let longest = tails.iter().map(|(from, to)| to - from).max().unwrap_or(0);
    if longest == 0 {
        return Ok(seen);
    }
    // What a tail lacks comes from its last token (an empty one's from the prompt's), behind all that a token looks at.
    let places = tails.iter().flat_map(|(from, to)| (0..longest).map(move |i| (from + i).min(to - 1) as u32));
    let places = Tensor::new(places.collect::<Vec<_>>(), device)?;
    let padded = |x: &Tensor| {
        let (_, _, heads, d) = x.dims4()?;
        x.squeeze(0)?.index_select(&places, 0)?.reshape((tails.len(), longest, heads, d))
    };
    let shared = |x: &Tensor| first(x)?.squeeze(0);
    let shared = [Shared { keys: shared(k)?, values: shared(v)?, slots: (0..tails.len()).collect() }];
    let own = shared_attention(&padded(q)?, &padded(k)?, &padded(v)?, &shared, longest, scale)?; // (G, longest, N, D)
    let real =
        tails.iter().enumerate().flat_map(|(i, (from, to))| (0..to - from).map(move |t| (i * longest + t) as u32));
    let own = own.flatten(0, 1)?.index_select(&Tensor::new(real.collect::<Vec<_>>(), device)?, 0)?;
    Tensor::cat(&[&seen, &own.unsqueeze(0)?], 1)
}

/// Runs of segments of one length, the empty ones left out: (begin, number, length).
fn equal_segments(cu: &[usize]) -> Vec<(usize, usize, usize)> {
    let mut runs: Vec<(usize, usize, usize)> = Vec::new();
    for edge in cu.windows(2).filter(|edge| edge[1] > edge[0]) {
        let length = edge[1] - edge[0];
        match runs.last_mut() {
            Some((_, count, same)) if *same == length => *count += 1,
            _ => runs.push((edge[0], 1, length)),
        }
    }
    runs
}

/// Scores that exist at a time.
const SCORES: usize = 1 << 28;

/// Attention with an additive mask for the queries `from..to`, in pieces of queries where there are very many scores.
fn attend(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    bias: &dyn Fn(usize, usize) -> Result<Option<Tensor>>,
    scale: f64,
) -> Result<Tensor> {
    let (b, t, n, d) = q.dims4()?;
    let (_, s, kv, _) = k.dims4()?;
    let repeat = |x: &Tensor| -> Result<Tensor> {
        let x = x.unsqueeze(3)?.expand((b, s, kv, n / kv, d))?.reshape((b, s, n, d))?;
        x.transpose(1, 2)?.contiguous() // (B, N, S, D)
    };
    let (k, v) = (repeat(k)?.transpose(2, 3)?.contiguous()?, repeat(v)?);
    let q = (q.transpose(1, 2)?.contiguous()? * scale)?;
    let piece = (SCORES / (b * n * s).max(1)).clamp(1, t.max(1));
    let mut parts = Vec::new();
    for from in (0..t).step_by(piece) {
        let to = (from + piece).min(t);
        let q = if to - from == t { q.clone() } else { q.narrow(2, from, to - from)?.contiguous()? };
        let scores = q.matmul(&k)?.to_dtype(DType::F32)?; // (B, N, T, S)
        let scores = match bias(from, to)? {
            Some(bias) => scores.broadcast_add(&bias)?,
            None => scores,
        };
        parts.push(softmax(&scores, D::Minus1)?.to_dtype(v.dtype())?.matmul(&v)?);
    }
    let y = if parts.len() == 1 { parts.swap_remove(0) } else { Tensor::cat(&parts, 2)? };
    y.transpose(1, 2)?.contiguous()
}

/// Attention of new tokens over the prompts that rows share and their own tails, as [`super::shared_attention`]: one product
/// with the keys of a prompt for all its rows, one with those of the tails, one softmax over both.
pub fn shared_attention(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    prompts: &[Shared],
    len: usize,
    scale: f64,
) -> Result<Tensor> {
    let ((_, t, n, d), (_, _, kv, _)) = (q.dims4()?, k.dims4()?);
    let group = n / kv;
    let (mut first, mut out) = (0, Vec::with_capacity(prompts.len()));
    for prompt in prompts.iter().filter(|prompt| !prompt.slots.is_empty()) {
        let (rows, shared) = (prompt.slots.len(), prompt.keys.dim(0)?);
        let each = rows * t * group;
        // Heads first, then rows, new tokens and the queries of a head: for the prompt all of a head are one matrix, for
        // the tails each row is.
        let heads = q.narrow(0, first, rows)?.reshape((rows, t, kv, group, d))?.permute((2, 0, 1, 3, 4))?;
        let heads = (heads.contiguous()? * scale)?; // (K, R, T, N/K, D)
        let apart = |x: &Tensor, width: usize| -> Result<Tensor> {
            x.reshape((kv, rows, t * group, width))?.transpose(0, 1)?.reshape((rows * kv, t * group, width))
        };
        let together = |x: &Tensor, width: usize| -> Result<Tensor> {
            x.reshape((rows, kv, t * group, width))?.transpose(0, 1)?.reshape((kv, each, width))
        };
        let tail = |x: &Tensor, dims: [usize; 4]| -> Result<Tensor> {
            let x = chosen(x, &prompt.slots)?.narrow(1, 0, len)?.permute(dims)?.contiguous()?;
            let dims = x.dims();
            x.reshape((dims[0] * dims[1], dims[2], dims[3]))
        };
        let own = apart(&heads, d)?.matmul(&tail(k, [0, 2, 3, 1])?)?.to_dtype(DType::F32)?; // (R K, T N/K, len)
        let own = match newest(t, group, len, q)? {
            Some(bias) => own.broadcast_add(&bias)?,
            None => own,
        };
        let own = together(&own, len)?;
        let keys = prompt.keys.permute((1, 2, 0))?.contiguous()?; // (K, D, P)
        let all = heads.reshape((kv, each, d))?.matmul(&keys)?.to_dtype(DType::F32)?;
        let weights = softmax(&Tensor::cat(&[&all, &own], D::Minus1)?, D::Minus1)?.to_dtype(v.dtype())?;
        let of_tails = apart(&weights.narrow(2, shared, len)?.contiguous()?, len)?.matmul(&tail(v, [0, 2, 1, 3])?)?;
        let values = prompt.values.transpose(0, 1)?.contiguous()?; // (K, P, D)
        let y = (weights.narrow(2, 0, shared)?.contiguous()?.matmul(&values)? + together(&of_tails, d)?)?;
        out.push(y.reshape((kv, rows, t, group, d))?.permute((1, 2, 0, 3, 4))?.reshape((rows, t, n, d))?);
        first += rows;
    }
    if out.len() == 1 { Ok(out.swap_remove(0)) } else { Tensor::cat(&out, 0) }
}

/// Some rows of the tails, as a view where they lie side by side.
fn chosen(tails: &Tensor, slots: &[usize]) -> Result<Tensor> {
    let from = slots.first().copied().unwrap_or(0);
    if slots.iter().enumerate().all(|(i, slot)| *slot == from + i) {
        return tails.narrow(0, from, slots.len());
    }
    let slots: Vec<u32> = slots.iter().map(|slot| *slot as u32).collect();
    tails.index_select(&Tensor::new(slots.as_slice(), tails.device())?, 0)
}

/// Additive mask `(1, T N/K, len)` of `t` new tokens at the end of `len`; `None` where nothing is hidden.
fn newest(t: usize, group: usize, len: usize, like: &Tensor) -> Result<Option<Tensor>> {
    if t == 1 {
        return Ok(None);
    }
    let mut bias = vec![HIDDEN; t * group * len];
    for (i, line) in bias.chunks_exact_mut(len).enumerate() {
        line[..len - t + i / group + 1].fill(0.);
    }
    Tensor::from_vec(bias, (1, t * group, len), like.device()).map(Some)
}

/// Large, but finite: a fully hidden row must not be NaN.
const HIDDEN: f32 = -1e30;

/// Additive mask `(B or 1, 1, to - from, S)` of 0 and a large negative number; `None` where nothing is hidden.
fn hidden(mask: &Mask, b: usize, from: usize, to: usize, s: usize, device: &Device) -> Result<Option<Tensor>> {
    let ranges = |row: usize| (from..to).map(move |query| mask.range(row, query));
    let same = (1..b).all(|row| ranges(row).eq(ranges(0)));
    let rows = if same { b.min(1) } else { b };
    if (0..rows).all(|row| ranges(row).all(|range| range == (0, s))) {
        return Ok(None);
    }
    let mut bias = vec![HIDDEN; rows * (to - from) * s];
    let lines = bias.chunks_exact_mut(s.max(1)).zip((0..rows).flat_map(ranges));
    for (line, (first, end)) in lines {
        line[first..end].fill(0.);
    }
    Tensor::from_vec(bias, (rows, 1, to - from, s), device).map(Some)
}

/// `silu(gate) * up`, same shapes.
pub fn swiglu(gate: &Tensor, up: &Tensor) -> Result<Tensor> {
    gate.silu()? * up
}

/// `x * sigmoid(1.702 x)`.
pub fn quick_gelu(x: &Tensor) -> Result<Tensor> {
    x * candle_nn::ops::sigmoid(&(x * 1.702)?)?
}

/// The tanh form of GELU.
pub fn gelu_tanh(x: &Tensor) -> Result<Tensor> {
    x.gelu()
}

/// The exact (erf) GELU.
pub fn gelu_erf(x: &Tensor) -> Result<Tensor> {
    x.gelu_erf()
}

/// Frozen linear map: `x @ w.T (+ bias)` whose backward reaches x only. x `(.., I)`, w `(O, I)`.
pub fn frozen_linear(x: &Tensor, w: &Tensor) -> Result<Tensor> {
    linear(x, &w.detach())
}

/// `x @ w.T` with gradients for both. x `(.., I)`, w `(O, I)`; result `(.., O)`.
pub fn linear(x: &Tensor, w: &Tensor) -> Result<Tensor> {
    let (out, inner) = w.dims2()?;
    let mut shape = x.dims().to_vec();
    let rows = x.elem_count() / inner;
    let y = x.reshape((rows, inner))?.matmul(&w.t()?)?;
    if let Some(last) = shape.last_mut() {
        *last = out;
    }
    y.reshape(shape)
}

/// `x @ w.T + b`. x `(.., I)`, w `(O, I)`, b `(O)`.
pub fn linear_bias(x: &Tensor, w: &Tensor, b: &Tensor) -> Result<Tensor> {
    linear(x, w)?.broadcast_add(b)
}

/// `x @ w.T + bias + scale * (x @ a.T) @ b.T`, the adapter in its own dtype. x `(.., I)`, w `(O, I)`, a `(r, I)`, b `(O, r)`.
pub fn lora_linear(
    x: &Tensor,
    w: &Tensor,
    bias: Option<&Tensor>,
    a: &Tensor,
    b: &Tensor,
    scale: f64,
) -> Result<Tensor> {
    let y = match bias {
        Some(bias) => linear_bias(x, w, bias)?,
        None => linear(x, w)?,
    };
    let low = (linear(&x.to_dtype(a.dtype())?, a)? * scale)?;
    let delta = linear(&low, b)?.to_dtype(y.dtype())?;
    y + delta
}

/// Rows `ids` of a table `(V, H)`; result `(ids.len(), H)`.
pub fn embedding(ids: &[u32], table: &Tensor) -> Result<Tensor> {
    table.index_select(&Tensor::new(ids, table.device())?, 0)
}

/// Log-probability of each target and entropy of each distribution, from hidden states and the output head.
///
/// hidden `(R, H)`, head `(V, H)`, targets of length R; returns (log-probabilities `(R)`, entropies `(R)`), both f32, of
/// `softmax(hidden @ head.T / temperature)`. Only a chunk of `(chunk, V)` logits may exist at a time in the fused version.
pub fn token_logps(hidden: &Tensor, head: &Tensor, targets: &[u32], temperature: f64) -> Result<(Tensor, Tensor)> {
    let logits = (linear(hidden, head)?.to_dtype(DType::F32)? / temperature)?;
    let logp = log_softmax(&logits, D::Minus1)?; // (R, V)
    let targets = Tensor::new(targets, hidden.device())?.unsqueeze(1)?;
    let chosen = logp.gather(&targets, 1)?.squeeze(1)?;
    let entropy = (logp.exp()? * &logp)?.sum(D::Minus1)?.neg()?;
    Ok((chosen, entropy))
}
