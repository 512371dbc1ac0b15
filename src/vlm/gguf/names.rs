//! One table between the checkpoint's tensor names and those of GGUF files, read in both directions.
//!
//! llama.cpp names one thing in several ways: the temporal halves of the patch kernel are two tensors, q, k, v of the
//! vision tower are one tensor (Qwen3-VL) or three (Qwen2-VL, Qwen2.5-VL), and DeepStack mergers carry the number of the
//! block they read, not their own. Each of these is a [`Binding`].

use crate::vlm::config::VlmConfig;

/// Which of the two files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Half {
    /// The text model.
    Text,
    /// The vision half, `mmproj`.
    Vision,
}

/// How a tensor of the checkpoint lies in the files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Binding {
    /// Under one name, same shape.
    Whole(Half, String),
    /// `(E, C, 2, p, p)` as two tensors `(E, C, p, p)`, one per frame.
    Frames([String; 2]),
    /// q, k, v below each other: under one name, or as three tensors.
    Qkv(String, [String; 3]),
}

/// Modules of the text model outside its layers.
const TEXT: &[(&str, &str)] = &[
    ("model.language_model.embed_tokens", "token_embd"),
    ("model.language_model.norm", "output_norm"),
    ("lm_head", "output"),
];
/// Modules of a decoder layer.
const LAYER: &[(&str, &str)] = &[
    ("input_layernorm", "attn_norm"),
    ("post_attention_layernorm", "ffn_norm"),
    ("self_attn.q_proj", "attn_q"),
    ("self_attn.k_proj", "attn_k"),
    ("self_attn.v_proj", "attn_v"),
    ("self_attn.o_proj", "attn_output"),
    ("self_attn.q_norm", "attn_q_norm"),
    ("self_attn.k_norm", "attn_k_norm"),
    ("mlp.gate_proj", "ffn_gate"),
    ("mlp.up_proj", "ffn_up"),
    ("mlp.down_proj", "ffn_down"),
];
/// Modules of the vision tower outside its blocks; the families name their mergers differently.
const VISION: &[(&str, &str)] = &[
    ("patch_embed.proj", "v.patch_embd"),
    ("pos_embed", "v.position_embd"),
    ("merger.ln_q", "v.post_ln"),
    ("merger.norm", "v.post_ln"),
    ("merger.mlp.0", "mm.0"),
    ("merger.mlp.2", "mm.2"),
    ("merger.linear_fc1", "mm.0"),
    ("merger.linear_fc2", "mm.2"),
];
/// Modules of a vision block.
const BLOCK: &[(&str, &str)] = &[
    ("norm1", "ln1"),
    ("norm2", "ln2"),
    ("attn.qkv", "attn_qkv"),
    ("attn.proj", "attn_out"),
    ("mlp.fc1", "ffn_up"),
    ("mlp.fc2", "ffn_down"),
    ("mlp.linear_fc1", "ffn_up"),
    ("mlp.linear_fc2", "ffn_down"),
    ("mlp.gate_proj", "ffn_gate"),
    ("mlp.up_proj", "ffn_up"),
    ("mlp.down_proj", "ffn_down"),
];
/// Modules of a DeepStack merger.
const DEEPSTACK: &[(&str, &str)] = &[("norm", "norm"), ("linear_fc1", "fc1"), ("linear_fc2", "fc2")];

fn find(table: &[(&str, &'static str)], module: &str) -> Option<&'static str> {
    table.iter().find(|(ours, _)| *ours == module).map(|(_, theirs)| *theirs)
}

/// `12.self_attn.q_proj` to `(12, "self_attn.q_proj")`.
fn numbered(rest: &str) -> Option<(usize, &str)> {
    let (number, module) = rest.split_once('.')?;
    Some((number.parse().ok()?, module))
}

/// Where a tensor of the checkpoint (canonical name) is in a pair of files; `None` for a name that no family has.
pub fn bind(canonical: &str, config: &VlmConfig) -> Option<Binding> {
    let (module, end) = canonical.rsplit_once('.')?;
    let whole = |half, name: String| Binding::Whole(half, format!("{name}.{end}"));
    if let Some(name) = find(TEXT, module) {
        return Some(whole(Half::Text, name.into()));
    }
    if let Some(rest) = module.strip_prefix("model.language_model.layers.") {
        let (layer, module) = numbered(rest)?;
        return Some(whole(Half::Text, format!("blk.{layer}.{}", find(LAYER, module)?)));
    }
    let module = module.strip_prefix("model.visual.")?;
    if module == "patch_embed.proj" && end == "weight" {
        return Some(Binding::Frames(["v.patch_embd.weight".into(), "v.patch_embd.weight.1".into()]));
    }
    if let Some(rest) = module.strip_prefix("blocks.") {
        let (block, module) = numbered(rest)?;
        if module == "attn.qkv" {
            let part = |part: char| format!("v.blk.{block}.attn_{part}.{end}");
            return Some(Binding::Qkv(format!("v.blk.{block}.attn_qkv.{end}"), ['q', 'k', 'v'].map(part)));
        }
        return Some(whole(Half::Vision, format!("v.blk.{block}.{}", find(BLOCK, module)?)));
    }
    if let Some(rest) = module.strip_prefix("deepstack_merger_list.") {
        let (merger, module) = numbered(rest)?;
        let block = config.vision.deepstack_visual_indexes.get(merger)?;
        return Some(whole(Half::Vision, format!("v.deepstack.{block}.{}", find(DEEPSTACK, module)?)));
    }
    Some(whole(Half::Vision, find(VISION, module)?.into()))
}
