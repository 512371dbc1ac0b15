//! The metadata of a pair as a `config.json`, which then goes through the same checks as one that was downloaded.
//!
//! llama.cpp's converters say in metadata what its code needs and no more: the text file cannot tell Qwen2-VL from
//! Qwen2.5-VL (`clip.projector_type` can), the vision inner width of Qwen2-VL is the width of the text in the file (a
//! quirk of the converter; the tensors are right), the vision norms' epsilon is the text's, and token ids are found by
//! name. What can be read off a tensor's shape is read there.

use super::file::GgufFile;
use crate::error::{Failure, Result};
use serde_json::{Value, json};

/// The vision family of a projector type.
pub(super) const PROJECTORS: [(&str, &str, &str); 3] = [
    ("qwen2vl_merger", "qwen2_vl", "qwen2vl"),
    ("qwen2.5vl_merger", "qwen2_5_vl", "qwen2vl"),
    ("qwen3vl_merger", "qwen3_vl", "qwen3vl"),
];

/// Our own key for full-attention blocks that are not every n-th one.
pub(super) const FULL_ATTENTION: &str = "reinsman.vision.fullatt_block_indexes";
/// Our own key for the temporal positions per second of video.
pub(super) const TOKENS_PER_SECOND: &str = "reinsman.vision.tokens_per_second";

/// `config.json` of a pair.
///
/// # Errors
/// Another architecture, a key or tensor that is missing, halves of different models.
pub fn config_json(text: &GgufFile, vision: &GgufFile) -> Result<Value> {
    let arch = architecture(text)?;
    if text.size("split.count")?.is_some_and(|n| n > 1) {
        return Err(text
            .wrong("this is one part of a split model")
            .hint("join the parts with llama-gguf-split --merge"));
    }
    let (projector, family) = projector(vision)?;
    let fits = PROJECTORS.iter().any(|(p, _, a)| *p == projector && *a == arch);
    let hidden = text.required_size(&format!("{arch}.embedding_length"))?;
    let out = vision.required_size("clip.vision.projection_dim")?;
    if !fits || hidden != out {
        return Err(Failure::data(format!(
            "{} ({arch}, width {hidden}) and {} ({projector}, width {out}) belong to different models",
            text.path.display(),
            vision.path.display()
        ))
        .hint("use the mmproj file of the same model"));
    }
    let mut text_config = text_config(text, &arch, hidden)?;
    let mut root = json!({
        "architectures": [match family {
            "qwen2_vl" => "Qwen2VLForConditionalGeneration",
            "qwen2_5_vl" => "Qwen2_5_VLForConditionalGeneration",
            _ => "Qwen3VLForConditionalGeneration",
        }],
        "model_type": family,
        "tie_word_embeddings": text.tensor("output.weight").is_none(),
        "torch_dtype": "float32",
        "vision_config": vision_config(vision, family, hidden)?,
    });
    let tokens = text.texts("tokenizer.ggml.tokens")?.ok_or_else(|| text.missing("tokenizer.ggml.tokens"))?;
    for (key, token) in [
        ("image_token_id", "<|image_pad|>"),
        ("video_token_id", "<|video_pad|>"),
        ("vision_start_token_id", "<|vision_start|>"),
        ("vision_end_token_id", "<|vision_end|>"),
    ] {
        let id = tokens.iter().position(|t| *t == token);
        root[key] = id.ok_or_else(|| text.wrong(&format!("the tokenizer has no {token}")))?.into();
    }
    for (key, gguf) in [("bos_token_id", "bos_token_id"), ("eos_token_id", "eos_token_id")] {
        if let Some(id) = text.size(&format!("tokenizer.ggml.{gguf}"))? {
            text_config[key] = id.into();
        }
    }
    match (family, root.as_object_mut(), text_config) {
        ("qwen3_vl", Some(map), nested) => {
            map.insert("text_config".into(), nested);
        }
        (_, Some(map), Value::Object(flat)) => map.extend(flat.into_iter().filter(|(key, _)| key != "model_type")),
        _ => {}
    }
    Ok(root)
}

fn architecture(text: &GgufFile) -> Result<String> {
    let key = "general.architecture";
    match text.text(key)?.ok_or_else(|| text.missing(key))? {
        arch @ ("qwen2vl" | "qwen3vl") => Ok(arch.to_string()),
        "clip" => Err(text.wrong("this is the vision half of a model").hint("give the text model beside it")),
        other => Err(text
            .wrong(&format!("general.architecture is {other:?}; supported are \"qwen2vl\" and \"qwen3vl\""))
            .hint("Qwen2-VL, Qwen2.5-VL and Qwen3-VL models can be read")),
    }
}

/// Projector type and `model_type`.
fn projector(vision: &GgufFile) -> Result<(&'static str, &'static str)> {
    let keys = ["clip.projector_type", "clip.vision.projector_type"];
    let key = keys.into_iter().find(|key| vision.has(key)).unwrap_or(keys[0]);
    let found = vision.text(key)?.ok_or_else(|| vision.missing(key))?;
    PROJECTORS
        .iter()
        .find(|(projector, ..)| *projector == found)
        .map(|(projector, family, _)| (*projector, *family))
        .ok_or_else(|| {
            let known = PROJECTORS.map(|(projector, ..)| projector).join(", ");
            vision.wrong(&format!("{key} is {found:?}; supported are {known}"))
        })
}

fn text_config(text: &GgufFile, arch: &str, hidden: u64) -> Result<Value> {
    let size = |key: &str| text.required_size(&format!("{arch}.{key}"));
    let optional = |key: &str| text.size(&format!("{arch}.{key}"));
    let number = |key: &str| {
        let key = format!("{arch}.{key}");
        text.number(&key)?.ok_or_else(|| text.missing(&key))
    };
    if let Some(scaling) = text.text(&format!("{arch}.rope.scaling.type"))?.filter(|kind| *kind != "none") {
        return Err(text.wrong(&format!("{arch}.rope.scaling.type is {scaling:?}; scaled positions are not supported")));
    }
    let key = format!("{arch}.rope.dimension_sections");
    let mut sections = text.sizes(&key)?.ok_or_else(|| text.missing(&key))?;
    if sections.len() == 4 && sections[3] == 0 {
        sections.pop(); // padded to four
    }
    let heads = size("attention.head_count")?;
    let embedding = text.tensor("token_embd.weight").filter(|tensor| tensor.shape.len() == 2);
    let vocabulary = embedding.ok_or_else(|| text.wrong("there is no tensor token_embd.weight"))?.shape[0];
    let mut config = json!({
        "model_type": "qwen3_vl_text",
        "hidden_size": hidden,
        "intermediate_size": size("feed_forward_length")?,
        "num_hidden_layers": size("block_count")?,
        "num_attention_heads": heads,
        "num_key_value_heads": optional("attention.head_count_kv")?.unwrap_or(heads),
        "hidden_act": "silu",
        "rms_norm_eps": number("attention.layer_norm_rms_epsilon")?,
        "rope_theta": number("rope.freq_base")?,
        "rope_scaling": {"type": "mrope", "mrope_section": sections},
        "max_position_embeddings": size("context_length")?,
        "vocab_size": vocabulary,
    });
    if arch == "qwen3vl" {
        let head = optional("attention.key_length")?.unwrap_or(hidden / heads.max(1));
        config["head_dim"] = head.into();
        config["attention_bias"] = text.tensor("blk.0.attn_q.bias").is_some().into();
        config["rope_scaling"] = json!({"rope_type": "default", "mrope_interleaved": true, "mrope_section": sections});
    } else if let Some(head) = optional("attention.key_length")? {
        config["head_dim"] = head.into();
    }
    Ok(config)
}

fn vision_config(vision: &GgufFile, family: &str, hidden: u64) -> Result<Value> {
    let size = |key: &str| vision.required_size(&format!("clip.vision.{key}"));
    let shape = |name: &str, rank: usize| {
        let found = vision.tensor(name).filter(|tensor| tensor.shape.len() == rank);
        found.map(|t| &t.shape[..]).ok_or_else(|| vision.wrong(&format!("there is no tensor {name} of rank {rank}")))
    };
    let (depth, width, patch) = (size("block_count")?, size("embedding_length")?, size("patch_size")?);
    let up = shape("v.blk.0.ffn_up.weight", 2)?;
    // Files of an early converter have up and down the other way round; the width is the side that is not the tower's.
    let inner = if up[1] as u64 == width { up[0] } else { up[1] };
    let mut config = json!({
        "depth": depth,
        "num_heads": size("attention.head_count")?,
        "patch_size": patch,
        "spatial_merge_size": vision.size("clip.vision.spatial_merge_size")?.unwrap_or(2),
        "temporal_patch_size": 2,
    });
    let channels = shape("v.patch_embd.weight", 4)?[1];
    if family == "qwen2_vl" {
        config["embed_dim"] = width.into();
        config["hidden_size"] = hidden.into();
        config["in_chans"] = channels.into();
        // A ratio of two whole numbers; where it has no exact decimal, half a unit more is cut off again.
        let exact = width > 0 && (inner as u64).is_multiple_of(width);
        config["mlp_ratio"] =
            if exact { (inner as u64 / width).into() } else { ((inner as f64 + 0.5) / width as f64).into() };
        return Ok(config);
    }
    config["hidden_size"] = width.into();
    config["out_hidden_size"] = hidden.into();
    config["intermediate_size"] = inner.into();
    if family == "qwen2_5_vl" {
        config["hidden_act"] = "silu".into();
        config["in_chans"] = channels.into();
        config["window_size"] = vision.size("clip.vision.window_size")?.unwrap_or(112).into();
        config["tokens_per_second"] = vision.number(TOKENS_PER_SECOND)?.unwrap_or(2.).into();
        config["fullatt_block_indexes"] = match vision.sizes(FULL_ATTENTION)? {
            Some(blocks) => blocks.into(),
            None => {
                let every = size("n_wa_pattern")?;
                if every == 0 || depth > 1 << 10 {
                    return Err(vision.wrong(&format!("clip.vision.n_wa_pattern is {every} for {depth} blocks")));
                }
                (0..depth).filter(|block| (block + 1) % every == 0).collect::<Vec<_>>().into()
            }
        };
    } else {
        config["hidden_act"] = "gelu_pytorch_tanh".into();
        config["in_channels"] = channels.into();
        config["num_position_embeddings"] = shape("v.position_embd.weight", 2)?[0].into();
        config["deepstack_visual_indexes"] = deepstack(vision, depth)?.into();
    }
    Ok(config)
}

/// Blocks with a DeepStack merger, from the array of truth values or from the tensors.
fn deepstack(vision: &GgufFile, depth: u64) -> Result<Vec<u64>> {
    let key = "clip.vision.is_deepstack_layers";
    match vision.bools(key)? {
        Some(layers) if layers.len() as u64 != depth => {
            Err(vision.wrong(&format!("{key} has {} entries for {depth} blocks", layers.len())))
        }
        Some(layers) => Ok((0..).zip(layers).filter(|(_, on)| *on).map(|(block, _)| block).collect()),
        None => {
            let has = |block: &u64| vision.tensor(&format!("v.deepstack.{block}.fc1.weight")).is_some();
            Ok((0..depth.min(1 << 10)).filter(has).collect())
        }
    }
}
