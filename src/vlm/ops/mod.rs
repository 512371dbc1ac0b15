//! The differentiable operations of the models. Every function here keeps gradients: candle's own fused
//! `rms_norm`, `layer_norm`, `rope`, `softmax_last_dim` and `sdpa` silently cut them, so none is used.
//!
//! Layouts: activations `(B, T, H)`, heads `(B, T, N, D)` (time before heads: no transposes around attention).
//! On the CPU in f32 each function is one pass with an analytic gradient; on other devices and dtypes it is
//! [`composed`] of candle primitives, which is also the yardstick of the tests. Arguments that track no gradient get
//! none computed, arguments that are not contiguous are copied first, wrong shapes are errors that name them.
//!
//! Same input and machine give the same bits for any number of threads. A decoding row `(B, 1, I)` of `linear` has the
//! same bits in any batch, any other row in any batch of up to 16 rows, and in any larger one (measured with the pinned
//! `gemm`, 17 to 300 rows); the two differ by rounding, and so do a prefill and a decoding step. A row of
//! `shared_attention` and a single query of `attention` depend on themselves only.

mod activation;
mod attention;
pub mod composed;
mod dropout;
mod embedding;
pub(in crate::vlm) mod gemm;
mod heap;
pub(crate) mod host;
mod known;
mod linear;
mod logps;
mod lora;
mod mask;
mod norm;
mod quantized;
mod rope;
mod shared;
pub(in crate::vlm) mod simd;

pub use heap::keep_heap;
pub use mask::Mask;
pub use shared::Shared;

pub(crate) use logps::{exponentials, largest, log_sum_exp, sum};

use crate::vlm::{quant::Quantized, weight::Weight};
use activation::{Gelu, SwiGlu};
use candle_core::{D, DType, Result, Tensor, bail, quantized::QTensor};
use host::fused;
use std::sync::{Arc, OnceLock};

/// Fails unless `w` is a vector as long as the last dimension of `x`.
fn check_width(what: &str, x: &Tensor, w: &Tensor) -> Result<()> {
    if x.rank() == 0 || w.dims() != [x.dim(D::Minus1)?] || w.elem_count() == 0 {
        bail!("{what}: expected a weight of the last dimension of {:?}, got {:?}", x.dims(), w.dims())
    }
    Ok(())
}

/// `x / rms(x) * w` over the last dimension; the mean in f32. x `(.., D)`, w `(D)`.
pub fn rms_norm(x: &Tensor, w: &Tensor, eps: f64) -> Result<Tensor> {
    check_width("rms_norm", x, w)?;
    if !fused(&[x, w]) {
        return composed::rms_norm(x, w, eps);
    }
    x.contiguous()?.apply_op2(&w.contiguous()?, norm::RmsNorm { eps: eps as f32 })
}

/// LayerNorm over the last dimension. x `(.., D)`, w and b `(D)`.
pub fn layer_norm(x: &Tensor, w: &Tensor, b: &Tensor, eps: f64) -> Result<Tensor> {
    check_width("layer_norm", x, w)?;
    check_width("layer_norm", x, b)?;
    if !fused(&[x, w, b]) {
        return composed::layer_norm(x, w, b, eps);
    }
    x.contiguous()?.apply_op3(&w.contiguous()?, &b.contiguous()?, norm::LayerNorm { eps: eps as f32 })
}

/// Rotary embedding in the half-split ("rotate half") form. x `(B, T, N, D)`; cos, sin `(B or 1, T, D)`, no gradient.
pub fn rope(x: &Tensor, cos: &Tensor, sin: &Tensor) -> Result<Tensor> {
    let (b, t, _, d) = x.dims4()?;
    let fits = |table: &Tensor| table.dims() == [b, t, d] || table.dims() == [1, t, d];
    if !fits(cos) || cos.dims() != sin.dims() || d % 2 == 1 {
        let (cos, sin) = (cos.dims(), sin.dims());
        bail!("rope: expected an even width and tables ({b} or 1, {t}, {d}) for x {:?}, got {cos:?}, {sin:?}", x.dims())
    }
    if !fused(&[x, cos, sin]) {
        return composed::rope(x, &cos.detach(), &sin.detach());
    }
    let op = rope::Rope { cos: cos.detach().contiguous()?, sin: sin.detach().contiguous()? };
    x.contiguous()?.apply_op1(op)
}

/// Grouped-query attention. q `(B, T, N, D)`, k and v `(B, S, K, D)` with K dividing N; result `(B, T, N, D)`.
/// Views into a larger cache are read in place as long as D is contiguous.
pub fn attention(q: &Tensor, k: &Tensor, v: &Tensor, mask: &Mask, scale: f64) -> Result<Tensor> {
    let ((b, t, n, d), (kb, s, kv, kd)) = (q.dims4()?, k.dims4()?);
    if kb != b || kd != d || kv == 0 || n % kv != 0 || v.dims() != k.dims() {
        bail!("attention: q {:?} (B, T, N, D) does not fit k {:?}, v {:?} (B, S, K, D)", q.dims(), k.dims(), v.dims())
    }
    mask.check(b, t, s)?;
    if !fused(&[q, k, v]) {
        return composed::attention(q, k, v, mask, scale);
    }
    let unit = |x: &Tensor| if x.stride()[3] == 1 { Ok(x.clone()) } else { x.contiguous() };
    let (q, k, v) = (unit(q)?, unit(k)?, unit(v)?);
    let training = q.track_op() || k.track_op() || v.track_op();
    let lse = Arc::new(OnceLock::new());
    q.apply_op3(&k, &v, attention::Attention { mask: mask.clone(), scale: scale as f32, lse, training })
}

/// Grouped-query attention of the newest tokens of rows that continue `prompts`, without a gradient. q `(R, T, N, D)`, the
/// rows of each prompt one after the other; tails k and v `(S, C, K, D)` hold `len` tokens of each row, its T new ones
/// last. Every query sees its whole prompt, and its tail up to itself. Result `(R, T, N, D)`; a row's bits are the same
/// whatever rows are beside it.
pub fn shared_attention(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    prompts: &[Shared],
    len: usize,
    scale: f64,
) -> Result<Tensor> {
    shared::check(q, k, v, prompts, len)?;
    let prefixes = prompts.iter().flat_map(|prompt| [&prompt.keys, &prompt.values]);
    if !prefixes.clone().all(|x| fused(&[x]) && x.is_contiguous()) || !fused(&[q, k, v]) {
        return composed::shared_attention(q, k, v, prompts, len, scale);
    }
    let op = shared::SharedAttention { prompts, len, scale: scale as f32 };
    q.contiguous()?.apply_op3_no_bwd(&k.contiguous()?, &v.contiguous()?, &op)
}

/// `silu(gate) * up`, same shapes.
pub fn swiglu(gate: &Tensor, up: &Tensor) -> Result<Tensor> {
    if gate.dims() != up.dims() {
        bail!("swiglu: gate {:?} and up {:?} differ in shape", gate.dims(), up.dims())
    }
    if !fused(&[gate, up]) {
        return composed::swiglu(gate, up);
    }
    gate.contiguous()?.apply_op2(&up.contiguous()?, SwiGlu)
}

/// `x * sigmoid(1.702 x)`.
pub fn quick_gelu(x: &Tensor) -> Result<Tensor> {
    if fused(&[x]) { x.contiguous()?.apply_op1(Gelu::Quick) } else { composed::quick_gelu(x) }
}

/// The tanh form of GELU.
pub fn gelu_tanh(x: &Tensor) -> Result<Tensor> {
    if fused(&[x]) { x.contiguous()?.apply_op1(Gelu::Tanh) } else { composed::gelu_tanh(x) }
}

/// The exact (erf) GELU.
pub fn gelu_erf(x: &Tensor) -> Result<Tensor> {
    if fused(&[x]) { x.contiguous()?.apply_op1(Gelu::Erf) } else { composed::gelu_erf(x) }
}

/// Fails unless w is `(O, I)` for x `(.., I)`.
fn check_linear(what: &str, x: &Tensor, w: &Tensor) -> Result<()> {
    let (_, inner) = w.dims2()?;
    if x.rank() == 0 || x.dim(D::Minus1)? != inner {
        bail!("{what}: x {:?} (.., I) does not fit the weight {:?} (O, I)", x.dims(), w.dims())
    }
    Ok(())
}

/// Frozen linear map: `x @ w.T` whose backward reaches x only. x `(.., I)`, w `(O, I)`.
pub fn frozen_linear(x: &Tensor, w: &Tensor) -> Result<Tensor> {
    linear(x, &w.detach())
}

/// `x @ w.T` with gradients for whichever of the two tracks them. x `(.., I)`, w `(O, I)`; result `(.., O)`.
pub fn linear(x: &Tensor, w: &Tensor) -> Result<Tensor> {
    check_linear("linear", x, w)?;
    if !fused(&[x, w]) {
        return composed::linear(x, w);
    }
    x.contiguous()?.apply_op2(&w.contiguous()?, linear::Linear)
}

/// `x @ w.T + b` with gradients for whichever tracks them. x `(.., I)`, w `(O, I)`, b `(O)`; result `(.., O)`.
pub fn linear_bias(x: &Tensor, w: &Tensor, b: &Tensor) -> Result<Tensor> {
    check_linear("linear_bias", x, w)?;
    if b.dims() != [w.dim(0)?] {
        bail!("linear_bias: bias {:?} does not fit the weight {:?} (O, I)", b.dims(), w.dims())
    }
    if !fused(&[x, w, b]) {
        return composed::linear_bias(x, w, b);
    }
    x.contiguous()?.apply_op3(&w.contiguous()?, &b.contiguous()?, linear::LinearBias)
}

/// `x @ w.T + bias + scale * (x @ a.T) @ b.T` over a frozen w, with gradients for whichever of x, a and b tracks them.
/// x `(.., I)`, w `(O, I)`, bias `(O)`, a `(r, I)`, b `(O, r)`; result `(.., O)`. f32 throughout or composed.
pub fn lora_linear(
    x: &Tensor,
    w: &Tensor,
    bias: Option<&Tensor>,
    a: &Tensor,
    b: &Tensor,
    scale: f64,
) -> Result<Tensor> {
    check_linear("lora_linear", x, w)?;
    check_linear("lora_linear", x, a)?;
    if b.dims() != [w.dim(0)?, a.dim(0)?] || bias.is_some_and(|bias| bias.dims() != [b.dims()[0]]) {
        let (w, a, b) = (w.dims(), a.dims(), b.dims());
        bail!("lora_linear: A {a:?} (r, I), B {b:?} (O, r) and the bias do not fit the weight {w:?} (O, I)")
    }
    if !fused(&[x, w, a, b]) || w.track_op() || bias.is_some_and(|bias| bias.track_op() || !fused(&[bias])) {
        return composed::lora_linear(x, w, bias, a, b, scale);
    }
    lora::adapted(x, lora::Base::Dense(w.contiguous()?), bias, a, b, scale)
}

/// [`lora_linear`] over a quantized weight; all other arguments f32 on the CPU.
pub fn quantized_lora_linear(
    x: &Tensor,
    w: &Arc<Quantized>,
    bias: Option<&Tensor>,
    a: &Tensor,
    b: &Tensor,
    scale: f64,
) -> Result<Tensor> {
    check_linear("quantized_lora_linear", x, a)?;
    if a.dim(1)? != w.cols() || b.dims() != [w.rows(), a.dim(0)?] || bias.is_some_and(|b| b.dims() != [w.rows()]) {
        let (a, b, o, i) = (a.dims(), b.dims(), w.rows(), w.cols());
        bail!("quantized_lora_linear: A {a:?} (r, I), B {b:?} (O, r) and the bias do not fit the weight {o} x {i}")
    }
    lora::adapted(x, lora::Base::Quant(w.clone()), bias, a, b, scale)
}

/// `x / (1 - p)` where `kept`, one flag an element, and 0 elsewhere.
pub fn dropout(x: &Tensor, kept: Vec<bool>, p: f64) -> Result<Tensor> {
    if kept.len() != x.elem_count() {
        bail!("dropout: {} flags for x {:?}", kept.len(), x.dims())
    }
    let scale = (1. / (1. - p)) as f32;
    if !fused(&[x]) {
        let mask: Vec<f32> = kept.iter().map(|kept| if *kept { scale } else { 0. }).collect();
        return x.mul(&Tensor::from_vec(mask, x.shape(), x.device())?.to_dtype(x.dtype())?);
    }
    x.contiguous()?.apply_op1(dropout::Dropout { kept, scale })
}

/// `x @ w.T` with a frozen quantized weight; the gradient reaches x only. x `(.., I)` on the CPU.
pub fn quantized_linear(x: &Tensor, w: &Arc<Quantized>) -> Result<Tensor> {
    if x.rank() == 0 || x.dim(D::Minus1)? != w.cols() {
        bail!("quantized_linear: x {:?} (.., I) does not fit the weight {} x {} (O, I)", x.dims(), w.rows(), w.cols())
    }
    let dtype = x.dtype();
    let y = x.to_dtype(DType::F32)?.contiguous()?.apply_op1(quantized::Packed { weight: w.clone() })?;
    y.to_dtype(dtype)
}

/// [`quantized_linear`] with candle's own blocks, for devices that are not the CPU.
pub fn device_linear(x: &Tensor, w: &Arc<QTensor>) -> Result<Tensor> {
    let (outer, inner) = w.shape().dims2()?;
    if x.rank() == 0 || x.dim(D::Minus1)? != inner {
        bail!("device_linear: x {:?} (.., I) does not fit the weight {:?} (O, I)", x.dims(), w.shape())
    }
    let (mut shape, rows) = (x.dims().to_vec(), x.elem_count() / inner.max(1));
    if let Some(last) = shape.last_mut() {
        *last = outer;
    }
    quantized::blocks(&x.reshape((rows, inner))?, w)?.reshape(shape)
}

/// Fails unless every id is below `limit`.
fn check_ids(what: &str, ids: &[u32], limit: usize) -> Result<()> {
    match ids.iter().position(|&id| id as usize >= limit) {
        Some(at) => bail!("{what}: token id {} at position {at} is outside the vocabulary of {limit}", ids[at]),
        None => Ok(()),
    }
}

/// Rows `ids` of a table `(V, H)`; result `(ids.len(), H)`.
pub fn embedding(ids: &[u32], table: &Tensor) -> Result<Tensor> {
    check_ids("embedding", ids, table.dims2()?.0)?;
    if !fused(&[table]) {
        return composed::embedding(ids, table);
    }
    table.contiguous()?.apply_op1(embedding::Embedding { ids: ids.to_vec() })
}

/// Log-probability of each target and entropy of each distribution, from hidden states and the output head.
///
/// hidden `(R, H)`, head `(V, H)` dense or quantized, targets of length R; returns (log-probabilities `(R)`, entropies
/// `(R)` in nats), both f32 with gradients, of `softmax(hidden @ head.T / temperature)`. At most 128 rows of logits exist
/// at a time, in f32 on the CPU; on other devices with a frozen head.
pub fn head_logps(hidden: &Tensor, head: &Weight, targets: &[u32], temperature: f64) -> Result<(Tensor, Tensor)> {
    let dims = head.dims();
    let (count, width) = hidden.dims2()?;
    let [vocabulary, inner] = dims[..] else { bail!("token_logps: the head has the shape {dims:?}, expected (V, H)") };
    if width != inner {
        bail!("token_logps: hidden {:?} (R, H) does not fit the head {dims:?} (V, H)", hidden.dims())
    }
    if targets.len() != count {
        bail!("token_logps: {} targets for {count} rows of hidden states", targets.len())
    }
    if !(temperature > 0. && temperature.is_finite()) {
        bail!("token_logps: the temperature must be positive and finite, got {temperature}")
    }
    check_ids("token_logps", targets, vocabulary)?;
    let op = |frozen| logps::TokenLogps::new(targets, temperature, frozen);
    let both = match head {
        Weight::Dense(w) if fused(&[hidden, w]) && count > 0 => {
            hidden.contiguous()?.apply_op2(&w.contiguous()?, op(None))?
        }
        Weight::Quant(w) if fused(&[hidden]) && count > 0 => hidden.contiguous()?.apply_op1(op(Some(w.clone())))?,
        frozen if logps::piecewise(hidden, frozen) => logps::frozen(hidden, frozen, targets, temperature)?,
        other => {
            let w = other.to_dense()?.to_device(hidden.device())?.to_dtype(hidden.dtype())?;
            return composed::token_logps(hidden, &w, targets, temperature);
        }
    };
    Ok((both.get(0)?, both.get(1)?))
}

/// [`head_logps`] for a dense head `(V, H)`, which gets a gradient where it tracks one.
pub fn token_logps(hidden: &Tensor, head: &Tensor, targets: &[u32], temperature: f64) -> Result<(Tensor, Tensor)> {
    head_logps(hidden, &Weight::Dense(head.clone()), targets, temperature)
}
