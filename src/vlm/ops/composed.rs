//! Every operation from candle primitives that record a graph: slow, on any device and dtype, and the
//! yardstick for the fused CPU versions.

use super::{Mask, Shared};
use candle_core::{D, DType, Device, Result, Tensor};
use candle_nn::ops::{log_softmax, softmax};

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
    let repeat = |x: &Tensor| -> Result<Tensor> {
        let x = x.unsqueeze(3)?.expand((b, s, kv, n / kv, d))?.reshape((b, s, n, d))?;
        x.transpose(1, 2)?.contiguous() // (B, N, S, D)
    };
    let (k, v) = (repeat(k)?, repeat(v)?);
    let q = (q.transpose(1, 2)?.contiguous()? * scale)?;
    let scores = q.matmul(&k.transpose(2, 3)?.contiguous()?)?.to_dtype(DType::F32)?; // (B, N, T, S)
    let bias = mask_bias(mask, b, t, s, q.device())?;
    let probs = softmax(&scores.broadcast_add(&bias)?, D::Minus1)?.to_dtype(v.dtype())?;
    probs.matmul(&v)?.transpose(1, 2)?.contiguous()
}

/// Attention of new tokens over the prompts that rows share and their own tails, as [`super::shared_attention`]: each row
/// gets its prompt and tail side by side.
pub fn shared_attention(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    prompts: &[Shared],
    len: usize,
    scale: f64,
) -> Result<Tensor> {
    let t = q.dim(1)?;
    let (mut rows, mut out) = (0.., Vec::with_capacity(q.dim(0)?));
    for prompt in prompts {
        let offset = prompt.keys.dim(0)? + len - t;
        for (slot, row) in prompt.slots.iter().zip(&mut rows) {
            let tail = |x: &Tensor| x.get(*slot)?.narrow(0, 0, len);
            let keys = Tensor::cat(&[&prompt.keys, &tail(k)?], 0)?.unsqueeze(0)?;
            let values = Tensor::cat(&[&prompt.values, &tail(v)?], 0)?.unsqueeze(0)?;
            let mask = Mask::Causal { offset, start: vec![0] };
            out.push(attention(&q.narrow(0, row, 1)?, &keys, &values, &mask, scale)?);
        }
    }
    Tensor::cat(&out, 0)
}

/// Additive mask `(B, 1, T, S)` of 0 and a large negative number (finite: a fully hidden row must not be NaN).
fn mask_bias(mask: &Mask, b: usize, t: usize, s: usize, device: &Device) -> Result<Tensor> {
    const HIDDEN: f32 = -1e30;
    let mut bias = vec![HIDDEN; b * t * s];
    for row in 0..b {
        for query in 0..t {
            let line = &mut bias[(row * t + query) * s..][..s];
            let (first, end) = mask.range(row, query);
            line[first..end].fill(0.);
        }
    }
    Tensor::from_vec(bias, (b, 1, t, s), device)
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
/// hidden `(R, H)`, head `(V, H)`, targets of length R; returns (log-probabilities `(R)`, entropies `(R)`,
/// the latter without gradient), both f32, of `softmax(hidden @ head.T / temperature)`. Only a chunk of
/// `(chunk, V)` logits may exist at a time in the fused version.
pub fn token_logps(hidden: &Tensor, head: &Tensor, targets: &[u32], temperature: f64) -> Result<(Tensor, Tensor)> {
    let logits = (linear(hidden, head)?.to_dtype(DType::F32)? / temperature)?;
    let logp = log_softmax(&logits, D::Minus1)?; // (R, V)
    let targets = Tensor::new(targets, hidden.device())?.unsqueeze(1)?;
    let chosen = logp.gather(&targets, 1)?.squeeze(1)?;
    let detached = logp.detach();
    let entropy = (detached.exp()? * &detached)?.sum(D::Minus1)?.neg()?;
    Ok((chosen, entropy))
}
