//! The decoder: grouped-query attention with three-axis rotary positions and a gated MLP.
//!
//! One definition serves training (no cache, gradients where the weights are variables) and inference (with cache).
//! Qwen2/2.5 have biases on q, k, v; Qwen3 has none but normalises q and k per head before the rotation, and adds
//! features of earlier vision blocks to the image positions after its first layers (DeepStack).

use super::{
    build::Scope,
    cache::KvCache,
    config::{Family, TextConfig, VlmConfig},
    linear::{Linear, Norm},
    model::{Trace, note},
    ops::{self, Mask},
    weight::Weight,
};
use candle_core::{Result, Tensor};

#[derive(Debug, Clone)]
pub(crate) struct TextModel {
    pub(crate) embed: Weight, // (V, H)
    layers: Vec<Layer>,
    norm: Norm,
}

/// What every layer needs besides the hidden states.
pub(crate) struct Context<'a> {
    pub(crate) cos: Tensor, // (B, T, D)
    pub(crate) sin: Tensor,
    pub(crate) mask: Mask,
    pub(crate) cache: Option<&'a KvCache>,
    /// Flat rows of B*T that hold image tokens `(I)` and what to add there after layer 0, 1, ..: `(I, H)` each.
    pub(crate) deepstack: Option<(Tensor, &'a [Tensor])>,
}

impl TextModel {
    pub(crate) fn new(scope: &Scope, config: &VlmConfig) -> Result<Self> {
        let text = &config.text;
        let embed = scope.pp("embed_tokens").weight("weight", [text.vocab_size, text.hidden_size])?;
        let layers = (0..text.num_hidden_layers)
            .map(|i| Layer::new(&scope.pp("layers").pp(i), text, config.family))
            .collect::<Result<_>>()?;
        let norm = Norm::rms(&scope.pp("norm"), text.hidden_size, text.rms_norm_eps)?;
        Ok(TextModel { embed, layers, norm })
    }

    /// x `(B, T, H)`; result the same shape, after the final norm.
    pub(crate) fn forward(&self, mut x: Tensor, ctx: &Context, trace: &mut Option<&mut Trace>) -> Result<Tensor> {
        for index in 0..self.layers.len() {
            x = self.layer(index, &x, ctx, trace)?;
        }
        let x = self.norm.forward(&x)?;
        note(trace, || "text.final_norm".into(), &x);
        Ok(x)
    }

    /// Number of layers.
    pub(crate) fn depth(&self) -> usize {
        self.layers.len()
    }

    /// One layer, and what DeepStack adds after it.
    pub(crate) fn layer(
        &self,
        index: usize,
        x: &Tensor,
        ctx: &Context,
        trace: &mut Option<&mut Trace>,
    ) -> Result<Tensor> {
        let y = self.layers[index].forward(x, index, ctx)?;
        note(trace, || format!("text.layer{index}"), &y);
        match &ctx.deepstack {
            Some((rows, features)) if index < features.len() => {
                y.flatten(0, 1)?.index_add(rows, &features[index], 0)?.reshape(x.dims())
            }
            _ => Ok(y),
        }
    }

    /// The final norm.
    pub(crate) fn last(&self, x: &Tensor) -> Result<Tensor> {
        self.norm.forward(x)
    }
}

#[derive(Debug, Clone)]
struct Layer {
    input_layernorm: Norm,
    self_attn: Attention,
    post_attention_layernorm: Norm,
    mlp: Mlp,
}

impl Layer {
    fn new(scope: &Scope, config: &TextConfig, family: Family) -> Result<Self> {
        let norm = |name: &str| Norm::rms(&scope.pp(name), config.hidden_size, config.rms_norm_eps);
        Ok(Layer {
            input_layernorm: norm("input_layernorm")?,
            self_attn: Attention::new(&scope.pp("self_attn"), config, family)?,
            post_attention_layernorm: norm("post_attention_layernorm")?,
            mlp: Mlp::new(&scope.pp("mlp"), config.hidden_size, config.intermediate_size, false)?,
        })
    }

    fn forward(&self, x: &Tensor, index: usize, ctx: &Context) -> Result<Tensor> {
        let x = (x + self.self_attn.forward(&self.input_layernorm.forward(x)?, index, ctx)?)?;
        &x + self.mlp.forward(&self.post_attention_layernorm.forward(&x)?)?
    }
}

#[derive(Debug, Clone)]
struct Attention {
    q_proj: Linear,
    k_proj: Linear,
    v_proj: Linear,
    o_proj: Linear,
    qk_norm: Option<(Norm, Norm)>,
    heads: usize,
    kv_heads: usize,
    head_dim: usize,
}

impl Attention {
    fn new(scope: &Scope, config: &TextConfig, family: Family) -> Result<Self> {
        let (heads, kv_heads, head_dim) = (config.num_attention_heads, config.num_key_value_heads, config.head_dim);
        let hidden = config.hidden_size;
        let norm = |name: &str| Norm::rms(&scope.pp(name), head_dim, config.rms_norm_eps);
        Ok(Attention {
            q_proj: Linear::new(&scope.pp("q_proj"), hidden, heads * head_dim, config.qkv_bias)?,
            k_proj: Linear::new(&scope.pp("k_proj"), hidden, kv_heads * head_dim, config.qkv_bias)?,
            v_proj: Linear::new(&scope.pp("v_proj"), hidden, kv_heads * head_dim, config.qkv_bias)?,
            o_proj: Linear::new(&scope.pp("o_proj"), heads * head_dim, hidden, config.o_bias)?,
            qk_norm: if family == Family::Qwen3Vl { Some((norm("q_norm")?, norm("k_norm")?)) } else { None },
            heads,
            kv_heads,
            head_dim,
        })
    }

    fn forward(&self, x: &Tensor, index: usize, ctx: &Context) -> Result<Tensor> {
        let (b, t, _) = x.dims3()?;
        let mut q = self.q_proj.forward(x)?.reshape((b, t, self.heads, self.head_dim))?;
        let mut k = self.k_proj.forward(x)?.reshape((b, t, self.kv_heads, self.head_dim))?;
        let v = self.v_proj.forward(x)?.reshape((b, t, self.kv_heads, self.head_dim))?;
        if let Some((q_norm, k_norm)) = &self.qk_norm {
            (q, k) = (q_norm.forward(&q)?, k_norm.forward(&k)?);
        }
        (q, k) = (ops::rope(&q, &ctx.cos, &ctx.sin)?, ops::rope(&k, &ctx.cos, &ctx.sin)?);
        let scale = 1. / (self.head_dim as f64).sqrt();
        let y = match ctx.cache {
            Some(cache) => cache.attend(index, &q, &k, &v, scale)?,
            None => ops::attention(&q, &k, &v, &ctx.mask, scale)?,
        }; // (B, T, N, D)
        self.o_proj.forward(&y.reshape((b, t, self.heads * self.head_dim))?)
    }
}

/// `down(silu(gate x) * up x)`, shared with the Qwen2.5 vision tower (there with biases).
#[derive(Debug, Clone)]
pub(crate) struct Mlp {
    gate_proj: Linear,
    up_proj: Linear,
    down_proj: Linear,
}

impl Mlp {
    pub(crate) fn new(scope: &Scope, width: usize, inner: usize, bias: bool) -> Result<Self> {
        Ok(Mlp {
            gate_proj: Linear::new(&scope.pp("gate_proj"), width, inner, bias)?,
            up_proj: Linear::new(&scope.pp("up_proj"), width, inner, bias)?,
            down_proj: Linear::new(&scope.pp("down_proj"), inner, width, bias)?,
        })
    }

    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.down_proj.forward(&ops::swiglu(&self.gate_proj.forward(x)?, &self.up_proj.forward(x)?)?)
    }
}
