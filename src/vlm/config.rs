//! `config.json` of the three families, flat or nested, as first published or as re-saved by transformers 5.
//!
//! The file is untrusted: every size has a bound and every relation that the code relies on is checked here,
//! so nothing below re-validates. Traps: in Qwen2-VL `vision_config.hidden_size` is the *text* width
//! (`embed_dim` is the tower's), in Qwen2.5-VL it is the tower's; `in_chans` or `in_channels`; `rope_scaling` +
//! `rope_theta` or `rope_parameters`; `tie_word_embeddings` at the root or inside `text_config`.

use crate::error::{Failure, Result, io_at};
use serde_json::{Map, Value};
use std::path::Path;

/// The supported model families.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// `qwen2_vl`
    Qwen2Vl,
    /// `qwen2_5_vl`
    Qwen25Vl,
    /// `qwen3_vl`
    Qwen3Vl,
}

/// The decoder's shape.
#[derive(Debug, Clone, PartialEq)]
pub struct TextConfig {
    /// Rows of the embedding table; may exceed the tokenizer's length.
    pub vocab_size: usize,
    /// H
    pub hidden_size: usize,
    /// Inner width of the gated MLP.
    pub intermediate_size: usize,
    /// Decoder layers.
    pub num_hidden_layers: usize,
    /// N
    pub num_attention_heads: usize,
    /// K, divides N.
    pub num_key_value_heads: usize,
    /// D, even; N*D may differ from H.
    pub head_dim: usize,
    /// RMSNorm epsilon.
    pub rms_norm_eps: f64,
    /// Base of the rotary frequencies.
    pub rope_theta: f64,
    /// How the D/2 frequencies are shared between time, height and width.
    pub mrope_section: [usize; 3],
    /// Biases of the q, k, v projections.
    pub qkv_bias: bool,
    /// Bias of the o projection.
    pub o_bias: bool,
    /// Context length the checkpoint declares; reported, never allocated.
    pub max_position_embeddings: usize,
}

/// The vision tower's shape.
#[derive(Debug, Clone, PartialEq)]
pub struct VisionConfig {
    /// Blocks.
    pub depth: usize,
    /// E
    pub embed_dim: usize,
    /// Width of the merged tokens, equal to H of the text.
    pub out_dim: usize,
    /// Inner width of the MLP.
    pub intermediate_size: usize,
    /// Attention heads.
    pub num_heads: usize,
    /// Colour channels.
    pub in_channels: usize,
    /// Patch side in pixels.
    pub patch_size: usize,
    /// Frames per patch.
    pub temporal_patch_size: usize,
    /// Patches per merged token and side.
    pub spatial_merge_size: usize,
    /// Side of an attention window in pixels (Qwen2.5-VL).
    pub window_size: usize,
    /// Blocks with full attention (Qwen2.5-VL).
    pub fullatt_block_indexes: Vec<usize>,
    /// Temporal positions per second of video (Qwen2.5-VL).
    pub tokens_per_second: f64,
    /// Rows of the learned position table, a square number (Qwen3-VL).
    pub num_position_embeddings: usize,
    /// Blocks whose features are added to the decoder's first layers (Qwen3-VL); may be empty.
    pub deepstack_visual_indexes: Vec<usize>,
    /// Base of the two-axis rotary frequencies.
    pub rope_theta: f64,
}

impl VisionConfig {
    /// Length of one flattened patch row: C * t * p * p.
    pub fn patch_len(&self) -> usize {
        self.in_channels * self.temporal_patch_size * self.patch_size * self.patch_size
    }
}

/// Everything the model code needs from `config.json`.
#[derive(Debug, Clone, PartialEq)]
pub struct VlmConfig {
    /// Which family.
    pub family: Family,
    /// The decoder.
    pub text: TextConfig,
    /// The vision tower.
    pub vision: VisionConfig,
    /// Whether the head is the embedding table; `None` when the file is silent (then the weights decide).
    pub tie_word_embeddings: Option<bool>,
    /// `<|image_pad|>`
    pub image_token_id: u32,
    /// `<|video_pad|>`
    pub video_token_id: u32,
    /// `<|vision_start|>`
    pub vision_start_token_id: u32,
    /// `<|vision_end|>`
    pub vision_end_token_id: u32,
    /// Declared dtype of the weights, as written.
    pub dtype: Option<String>,
}

impl VlmConfig {
    /// Reads `config.json` of a model folder.
    pub fn load(dir: &Path) -> Result<Self> {
        let path = dir.join("config.json");
        let bytes = std::fs::read(&path).map_err(io_at(&path))?;
        let hint = "the folder must be a whole Qwen2-VL, Qwen2.5-VL or Qwen3-VL checkpoint, as published";
        Self::parse(&bytes).map_err(|e| e.context(path.display()).or_hint(hint))
    }

    /// Parses the bytes of a `config.json`.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let value: Value = serde_json::from_slice(bytes).map_err(|e| Failure::data(format!("not valid JSON: {e}")))?;
        Self::from_json(&value)
    }

    /// Checks a parsed `config.json`.
    pub fn from_json(value: &Value) -> Result<Self> {
        let root = Fields::new(value, "")?;
        let family = match root.str("model_type") {
            Some("qwen2_vl") => Family::Qwen2Vl,
            Some("qwen2_5_vl") => Family::Qwen25Vl,
            Some("qwen3_vl") => Family::Qwen3Vl,
            other => {
                return Err(Failure::data(format!(
                    "model_type is {}; supported are qwen2_vl, qwen2_5_vl, qwen3_vl",
                    other.map_or("missing".to_string(), |name| format!("{name:?}"))
                )));
            }
        };
        if root.has("quantization_config") {
            return Err(Failure::data("quantization_config is set: packed weights cannot be read")
                .hint("use the bf16 or f32 release of this checkpoint"));
        }
        let nested = root.map.get("text_config").filter(|v| v.is_object());
        let text_fields = match nested {
            Some(text) => Fields::new(text, "text_config.")?,
            None => Fields::new(value, "")?,
        };
        let vision_value = root.map.get("vision_config").ok_or_else(|| Failure::data("vision_config is missing"))?;
        let text = text_config(&text_fields, family)?;
        let vision = vision_config(&Fields::new(vision_value, "vision_config.")?, family, &text)?;
        let id = |name: &str| -> Result<u32> {
            let fields = if root.has(name) { &root } else { &text_fields };
            Ok(fields.size(name, None, text.vocab_size - 1, true)? as u32)
        };
        let tie_word_embeddings = root.bool("tie_word_embeddings")?.or(text_fields.bool("tie_word_embeddings")?);
        let dtype = ["dtype", "torch_dtype"].iter().find_map(|key| root.str(key)).map(str::to_string);
        let config = VlmConfig {
            family,
            tie_word_embeddings,
            image_token_id: id("image_token_id")?,
            video_token_id: id("video_token_id")?,
            vision_start_token_id: id("vision_start_token_id")?,
            vision_end_token_id: id("vision_end_token_id")?,
            dtype,
            text,
            vision,
        };
        Ok(config)
    }
}

fn text_config(f: &Fields, family: Family) -> Result<TextConfig> {
    let hidden_size = f.size("hidden_size", None, 1 << 16, false)?;
    let heads = f.size("num_attention_heads", None, 1 << 10, false)?;
    let kv_heads = f.size("num_key_value_heads", Some(heads), 1 << 10, false)?;
    let head_dim = f.size("head_dim", Some(hidden_size / heads), 1 << 10, false)?;
    f.expect_act("hidden_act", "silu")?;
    if !f.has("head_dim") && hidden_size % heads != 0 {
        return Err(f.wrong("num_attention_heads", heads, format!("a divisor of hidden_size {hidden_size}")));
    }
    if heads % kv_heads != 0 {
        return Err(f.wrong("num_key_value_heads", kv_heads, format!("a divisor of num_attention_heads {heads}")));
    }
    if f.bool("use_sliding_window")? == Some(true) {
        return Err(f.wrong("use_sliding_window", true, "false (sliding-window attention is not implemented)".into()));
    }
    let empty = Value::Object(Map::new());
    let rope_key = if f.has("rope_parameters") { "rope_parameters" } else { "rope_scaling" };
    let rope = Fields::new(f.map.get(rope_key).filter(|v| !v.is_null()).unwrap_or(&empty), rope_key)?;
    for key in ["rope_type", "type"] {
        if let Some(kind) = rope.str(key).filter(|kind| !["default", "mrope"].contains(kind)) {
            return Err(f.wrong(&format!("{rope_key}.{key}"), kind, "\"default\" or \"mrope\"".into()));
        }
    }
    let rope_theta = match rope.number("rope_theta")? {
        Some(theta) => theta,
        None => f.number("rope_theta")?.ok_or_else(|| f.missing("rope_theta (or rope_parameters.rope_theta)"))?,
    };
    if !(rope_theta.is_finite() && rope_theta > 1.) {
        return Err(f.wrong("rope_theta", rope_theta, "a number above 1".into()));
    }
    let section = rope.sizes("mrope_section", head_dim)?.ok_or_else(|| f.missing("rope_scaling.mrope_section"))?;
    let mrope_section = match section[..] {
        [t, h, w] if 2 * (t + h + w) == head_dim => [t, h, w],
        _ => {
            let allowed = format!("three sizes with the sum head_dim/2 = {}", head_dim as f64 / 2.);
            return Err(f.wrong("mrope_section", format!("{section:?}"), allowed));
        }
    };
    let qwen3_bias = f.bool("attention_bias")?.unwrap_or(false);
    Ok(TextConfig {
        vocab_size: f.size("vocab_size", None, 1 << 22, false)?,
        hidden_size,
        intermediate_size: f.size("intermediate_size", None, 1 << 20, false)?,
        num_hidden_layers: f.size("num_hidden_layers", None, 1 << 10, false)?,
        num_attention_heads: heads,
        num_key_value_heads: kv_heads,
        head_dim,
        rms_norm_eps: f.epsilon("rms_norm_eps", 1e-6)?,
        rope_theta,
        mrope_section,
        qkv_bias: family != Family::Qwen3Vl || qwen3_bias,
        o_bias: family == Family::Qwen3Vl && qwen3_bias,
        max_position_embeddings: f.size("max_position_embeddings", Some(32768), usize::MAX, false)?,
    })
}

fn vision_config(f: &Fields, family: Family, text: &TextConfig) -> Result<VisionConfig> {
    let (width_key, out_key, act) = match family {
        Family::Qwen2Vl => ("embed_dim", "hidden_size", "quick_gelu"),
        Family::Qwen25Vl => ("hidden_size", "out_hidden_size", "silu"),
        Family::Qwen3Vl => ("hidden_size", "out_hidden_size", "gelu_pytorch_tanh"),
    };
    f.expect_act("hidden_act", act)?;
    let depth = f.size("depth", None, 1 << 10, false)?;
    let embed_dim = f.size(width_key, None, 1 << 16, false)?;
    let num_heads = f.size("num_heads", None, 1 << 10, false)?;
    if embed_dim % (4 * num_heads) != 0 {
        return Err(f.wrong("num_heads", num_heads, format!("heads whose width is a multiple of 4 in {embed_dim}")));
    }
    let intermediate_size = match family {
        Family::Qwen2Vl => {
            let ratio = f.number("mlp_ratio")?.unwrap_or(4.);
            if !(ratio > 0. && ratio <= 64.) {
                return Err(f.wrong("mlp_ratio", ratio, "above 0, at most 64".into()));
            }
            (embed_dim as f64 * ratio) as usize
        }
        _ => f.size("intermediate_size", None, 1 << 20, false)?,
    };
    let channels = if f.has("in_channels") { "in_channels" } else { "in_chans" };
    let patch_size = f.size("patch_size", None, 1 << 10, false)?;
    let spatial_merge_size = f.size("spatial_merge_size", Some(2), 16, false)?;
    let out_dim = f.size(out_key, None, 1 << 16, false)?;
    if out_dim != text.hidden_size {
        return Err(f.wrong(out_key, out_dim, format!("the text hidden_size {}", text.hidden_size)));
    }
    let window_size = f.size("window_size", Some(8 * patch_size), 1 << 16, false)?;
    if family == Family::Qwen25Vl && window_size / spatial_merge_size / patch_size == 0 {
        let allowed = format!("at least patch_size * spatial_merge_size = {}", patch_size * spatial_merge_size);
        return Err(f.wrong("window_size", window_size, allowed));
    }
    let positions = f.size("num_position_embeddings", (family != Family::Qwen3Vl).then_some(1), 1 << 22, false)?;
    if positions.isqrt().pow(2) != positions {
        return Err(f.wrong("num_position_embeddings", positions, "a square number".into()));
    }
    let deepstack = f.sizes("deepstack_visual_indexes", depth - 1)?.unwrap_or_default();
    if family == Family::Qwen3Vl && deepstack.len() > text.num_hidden_layers {
        let allowed = format!("at most one per decoder layer ({})", text.num_hidden_layers);
        return Err(f.wrong("deepstack_visual_indexes", format!("{deepstack:?}"), allowed));
    }
    let rope = f.map.get("rope_parameters").and_then(|r| r.get("rope_theta")).and_then(Value::as_f64);
    Ok(VisionConfig {
        depth,
        embed_dim,
        out_dim,
        intermediate_size,
        num_heads,
        in_channels: f.size(channels, Some(3), 64, false)?,
        patch_size,
        temporal_patch_size: f.size("temporal_patch_size", Some(2), 64, false)?,
        spatial_merge_size,
        window_size,
        fullatt_block_indexes: f.sizes("fullatt_block_indexes", usize::MAX)?.unwrap_or(vec![7, 15, 23, 31]),
        tokens_per_second: f.number("tokens_per_second")?.unwrap_or(4.),
        num_position_embeddings: positions,
        deepstack_visual_indexes: if family == Family::Qwen3Vl { deepstack } else { Vec::new() },
        rope_theta: rope.filter(|theta| theta.is_finite() && *theta > 1.).unwrap_or(1e4),
    })
}

/// One JSON object and where it is, for errors that name the field.
struct Fields<'a> {
    map: &'a Map<String, Value>,
    at: &'a str,
}

impl<'a> Fields<'a> {
    fn new(value: &'a Value, at: &'a str) -> Result<Self> {
        let map = value.as_object().ok_or_else(|| Failure::data(format!("{at:?} is not a JSON object")))?;
        Ok(Fields { map, at })
    }
    fn has(&self, name: &str) -> bool {
        self.map.get(name).is_some_and(|v| !v.is_null())
    }
    fn wrong(&self, name: &str, value: impl std::fmt::Display, allowed: String) -> Failure {
        Failure::data(format!("{}{name} is {value}; allowed: {allowed}", self.at))
    }
    fn missing(&self, name: &str) -> Failure {
        Failure::data(format!("{}{name} is missing", self.at))
    }
    fn str(&self, name: &str) -> Option<&'a str> {
        self.map.get(name).and_then(Value::as_str)
    }
    fn value(&self, name: &str) -> Option<&'a Value> {
        self.map.get(name).filter(|v| !v.is_null())
    }
    fn number(&self, name: &str) -> Result<Option<f64>> {
        self.value(name).map(|v| v.as_f64().ok_or_else(|| self.wrong(name, v, "a number".into()))).transpose()
    }
    fn bool(&self, name: &str) -> Result<Option<bool>> {
        self.value(name).map(|v| v.as_bool().ok_or_else(|| self.wrong(name, v, "true or false".into()))).transpose()
    }
    fn epsilon(&self, name: &str, default: f64) -> Result<f64> {
        let eps = self.number(name)?.unwrap_or(default);
        if eps > 0. && eps < 0.1 { Ok(eps) } else { Err(self.wrong(name, eps, "above 0, below 0.1".into())) }
    }
    /// An integer in `1..=max` (`0..=max` when `zero`).
    fn size(&self, name: &str, default: Option<usize>, max: usize, zero: bool) -> Result<usize> {
        let Some(value) = self.value(name) else { return default.ok_or_else(|| self.missing(name)) };
        let least = if zero { 0 } else { 1 };
        match value.as_u64() {
            Some(n) if n >= least && n <= max as u64 => Ok(n as usize),
            _ => Err(self.wrong(name, value, format!("a whole number from {least} to {max}"))),
        }
    }
    fn sizes(&self, name: &str, max: usize) -> Result<Option<Vec<usize>>> {
        let Some(value) = self.value(name) else { return Ok(None) };
        let wrong = || self.wrong(name, value, format!("a list of whole numbers up to {max}"));
        let list = value.as_array().filter(|list| list.len() <= 4096).ok_or_else(wrong)?;
        let one = |v: &Value| v.as_u64().filter(|n| *n <= max as u64).map(|n| n as usize).ok_or_else(wrong);
        list.iter().map(one).collect::<Result<Vec<_>>>().map(Some)
    }
    fn expect_act(&self, name: &str, act: &str) -> Result<()> {
        match self.str(name) {
            Some(other) if other != act => Err(self.wrong(name, format!("{other:?}"), format!("{act:?}"))),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn small() -> Value {
        json!({
            "model_type": "qwen2_5_vl", "tie_word_embeddings": false, "vocab_size": 100, "hidden_size": 64,
            "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
            "hidden_act": "silu", "rope_theta": 1e6, "rope_scaling": {"type": "mrope", "mrope_section": [2, 3, 3]},
            "image_token_id": 90, "video_token_id": 91, "vision_start_token_id": 92, "vision_end_token_id": 93,
            "vision_config": {"depth": 2, "hidden_size": 32, "out_hidden_size": 64, "intermediate_size": 48,
                "num_heads": 2, "in_chans": 3, "patch_size": 14, "window_size": 56, "fullatt_block_indexes": [1]},
        })
    }

    #[test]
    fn defaults_and_derived_values() {
        let config = VlmConfig::from_json(&small()).unwrap();
        assert_eq!((config.text.head_dim, config.vision.patch_len()), (16, 3 * 2 * 14 * 14));
        assert!(config.text.qkv_bias && !config.text.o_bias);
        assert_eq!(config.tie_word_embeddings, Some(false));
    }

    /// Each broken value is refused with an error that names the field.
    #[test]
    fn untrusted_values_are_refused() {
        for (at, value, word) in [
            ("/model_type", json!("llama"), "model_type"),
            ("/quantization_config", json!({"bits": 4}), "quantization_config"),
            ("/vision_config", json!(null), "not a JSON object"),
            ("/hidden_size", json!(0), "hidden_size"),
            ("/hidden_size", json!(1e30), "hidden_size"),
            ("/hidden_size", json!(-64), "hidden_size"),
            ("/num_attention_heads", json!(5), "num_attention_heads"),
            ("/num_key_value_heads", json!(3), "num_key_value_heads"),
            ("/hidden_act", json!("relu"), "hidden_act"),
            ("/rope_theta", json!(0), "rope_theta"),
            ("/rope_theta", json!(null), "rope_theta"),
            ("/rope_scaling/type", json!("yarn"), "rope_scaling.type"),
            ("/rope_scaling/mrope_section", json!([2, 3, 4]), "mrope_section"),
            ("/rope_scaling/mrope_section", json!([8]), "mrope_section"),
            ("/use_sliding_window", json!(true), "use_sliding_window"),
            ("/rms_norm_eps", json!(2), "rms_norm_eps"),
            ("/image_token_id", json!(100), "image_token_id"),
            ("/vision_config/out_hidden_size", json!(65), "out_hidden_size"),
            ("/vision_config/num_heads", json!(3), "num_heads"),
            ("/vision_config/window_size", json!(20), "window_size"),
            ("/vision_config/patch_size", json!("14"), "patch_size"),
            ("/vision_config/depth", json!(1_000_000), "depth"),
        ] {
            let mut config = small();
            let (parent, key) = at.rsplit_once('/').unwrap();
            let place = if parent.is_empty() { &mut config } else { config.pointer_mut(parent).unwrap() };
            place[key] = value;
            let error = VlmConfig::from_json(&config).unwrap_err();
            assert!(error.message.contains(word), "{at}: {error}");
        }
        assert!(VlmConfig::parse(b"[]").is_err());
        assert!(VlmConfig::parse(b"{").unwrap_err().message.contains("not valid JSON"));
    }
}
