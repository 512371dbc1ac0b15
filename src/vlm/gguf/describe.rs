//! A model's configuration, tokenizer and picture settings as the metadata of a pair, under the keys that llama.cpp reads.

use super::{
    config::{FULL_ATTENTION, PROJECTORS, TOKENS_PER_SECOND},
    write::Entry,
};
use crate::{
    error::{Failure, Result},
    vlm::{
        config::{Family, VlmConfig},
        encode::Encoder,
        tokenizer::TokenKind,
    },
};

/// Projector type, `model_type` and architecture of a family.
fn names(family: Family) -> (&'static str, &'static str, &'static str) {
    match family {
        Family::Qwen2Vl => PROJECTORS[0],
        Family::Qwen25Vl => PROJECTORS[1],
        Family::Qwen3Vl => PROJECTORS[2],
    }
}

fn u32_of(n: usize) -> Entry {
    Entry::U32(u32::try_from(n).unwrap_or(u32::MAX))
}

/// Metadata of the text model. `file_type` is llama.cpp's number for what most tensors are.
///
/// # Errors
/// A tokenizer that has no name in GGUF files.
pub(super) fn text(
    config: &VlmConfig,
    encoder: &Encoder,
    template: Option<String>,
    name: &str,
    file_type: u32,
) -> Result<Vec<(String, Entry)>> {
    let (text, arch) = (&config.text, names(config.family).2);
    let mut out = general(arch, "model", name, file_type);
    let mut add = |key: &str, entry: Entry| out.push((format!("{arch}.{key}"), entry));
    add("block_count", u32_of(text.num_hidden_layers));
    add("context_length", u32_of(text.max_position_embeddings));
    add("embedding_length", u32_of(text.hidden_size));
    add("feed_forward_length", u32_of(text.intermediate_size));
    add("attention.head_count", u32_of(text.num_attention_heads));
    add("attention.head_count_kv", u32_of(text.num_key_value_heads));
    add("attention.key_length", u32_of(text.head_dim));
    add("attention.value_length", u32_of(text.head_dim));
    add("attention.layer_norm_rms_epsilon", Entry::F32(text.rms_norm_eps as f32));
    add("rope.freq_base", Entry::F32(text.rope_theta as f32));
    let [t, h, w] = text.mrope_section.map(|n| n as i32);
    add("rope.dimension_sections", Entry::I32s(vec![t, h, w, 0]));
    if config.family == Family::Qwen3Vl {
        add("n_deepstack_layers", u32_of(config.vision.deepstack_visual_indexes.len()));
    }
    out.extend(tokenizer(config, encoder, template)?);
    Ok(out)
}

fn general(arch: &str, kind: &str, name: &str, file_type: u32) -> Vec<(String, Entry)> {
    let entry = |key: &str, entry: Entry| (format!("general.{key}"), entry);
    vec![
        entry("architecture", Entry::Text(arch.into())),
        entry("type", Entry::Text(kind.into())),
        entry("name", Entry::Text(name.into())),
        entry("file_type", Entry::U32(file_type)),
        entry("quantization_version", Entry::U32(2)),
    ]
}

fn tokenizer(config: &VlmConfig, encoder: &Encoder, template: Option<String>) -> Result<Vec<(String, Entry)>> {
    let tokenizer = &encoder.tokenizer;
    let listed = tokenizer.listed(config.text.vocab_size)?;
    let kind = |kind: &TokenKind| match kind {
        TokenKind::Normal => 1,
        TokenKind::Special => 3,
        TokenKind::Added => 4,
        TokenKind::Unused => 5,
    };
    let mut out = Vec::new();
    let mut add = |key: &str, entry: Entry| out.push((format!("tokenizer.{key}"), entry));
    add("ggml.model", Entry::Text("gpt2".into()));
    add("ggml.pre", Entry::Text("qwen2".into()));
    add("ggml.token_type", Entry::I32s(listed.kinds.iter().map(kind).collect()));
    add("ggml.tokens", Entry::Texts(listed.tokens));
    add("ggml.merges", Entry::Texts(listed.merges));
    // The second stop id is written even when it is the first again: it says that there are no others.
    let ends = tokenizer.eos();
    if let Some(first) = ends.first() {
        add("ggml.eos_token_id", Entry::U32(*first));
        add("ggml.eot_token_id", Entry::U32(*ends.get(1).unwrap_or(first)));
    }
    if let Some(third) = ends.get(2) {
        add("ggml.eom_token_id", Entry::U32(*third));
    }
    add("ggml.padding_token_id", Entry::U32(tokenizer.pad()));
    if let Some(id) = tokenizer.id("<|endoftext|>") {
        add("ggml.bos_token_id", Entry::U32(id));
    }
    add("ggml.add_bos_token", Entry::Bool(false));
    if let Some(template) = template {
        add("chat_template", Entry::Text(template));
    }
    Ok(out)
}

/// Metadata of the vision half.
///
/// # Errors
/// A tower that the layout has no keys for.
pub(super) fn vision(
    config: &VlmConfig,
    encoder: &Encoder,
    name: &str,
    file_type: u32,
) -> Result<Vec<(String, Entry)>> {
    let shape = &config.vision;
    let no_place = |what: String| {
        Failure::data(format!("{what} has no place in a GGUF file")).hint("export --merge keeps it (safetensors)")
    };
    if shape.temporal_patch_size != 2 {
        return Err(no_place(format!("vision_config.temporal_patch_size {}", shape.temporal_patch_size)));
    }
    if shape.rope_theta != 1e4 {
        return Err(no_place(format!("vision_config rope_theta {}", shape.rope_theta)));
    }
    let mut out = general("clip", "mmproj", name, file_type);
    let mut add = |key: &str, entry: Entry| out.push((format!("clip.{key}"), entry));
    add("has_vision_encoder", Entry::Bool(true));
    add("projector_type", Entry::Text(names(config.family).0.into()));
    let image_size = match config.family {
        Family::Qwen3Vl => shape.num_position_embeddings.isqrt() * shape.patch_size,
        _ => 560, // what the converter writes; the picture's own size counts
    };
    let (mean, std) = encoder.processor.normalisation();
    let (least, most) = encoder.processor.limits();
    add("vision.image_size", u32_of(image_size));
    add("vision.patch_size", u32_of(shape.patch_size));
    add("vision.embedding_length", u32_of(shape.embed_dim));
    add("vision.feed_forward_length", u32_of(shape.intermediate_size));
    add("vision.projection_dim", u32_of(shape.out_dim));
    add("vision.block_count", u32_of(shape.depth));
    add("vision.attention.head_count", u32_of(shape.num_heads));
    add("vision.attention.layer_norm_epsilon", Entry::F32(1e-6));
    add("vision.spatial_merge_size", u32_of(shape.spatial_merge_size));
    add("vision.image_mean", Entry::F32s(mean.to_vec()));
    add("vision.image_std", Entry::F32s(std.to_vec()));
    add("vision.image_min_pixels", u32_of(least as usize));
    add("vision.image_max_pixels", u32_of(most as usize));
    match config.family {
        Family::Qwen2Vl => {}
        Family::Qwen25Vl => {
            add("use_silu", Entry::Bool(true));
            add("vision.window_size", u32_of(shape.window_size));
            // Without the pattern llama.cpp refuses the file, which is right where it could not say which blocks.
            let pattern = every_nth(&shape.fullatt_block_indexes, shape.depth);
            if let Some(n) = pattern {
                add("vision.n_wa_pattern", u32_of(n));
            } else {
                let blocks = shape.fullatt_block_indexes.iter().map(|i| *i as i32).collect();
                out.push((FULL_ATTENTION.into(), Entry::I32s(blocks)));
            }
            out.push((TOKENS_PER_SECOND.into(), Entry::F32(shape.tokens_per_second as f32)));
        }
        Family::Qwen3Vl => {
            add("use_gelu", Entry::Bool(true));
            let on = |block: usize| shape.deepstack_visual_indexes.contains(&block);
            add("vision.is_deepstack_layers", Entry::Bools((0..shape.depth).map(on).collect()));
        }
    }
    Ok(out)
}

/// `n` when the blocks are exactly every n-th one of `depth`.
fn every_nth(blocks: &[usize], depth: usize) -> Option<usize> {
    let n = blocks.first()? + 1;
    (0..depth).filter(|block| (block + 1) % n == 0).eq(blocks.iter().copied()).then_some(n)
}

#[cfg(test)]
mod tests {
    use super::every_nth;

    #[test]
    fn patterns() {
        assert_eq!(every_nth(&[7, 15, 23, 31], 32), Some(8));
        assert_eq!(every_nth(&[1, 3], 4), Some(2));
        assert_eq!(every_nth(&[1, 3], 6), None);
        assert_eq!(every_nth(&[0, 2], 4), None);
        assert_eq!(every_nth(&[], 4), None);
    }
}
