//! Tokenizer, stop ids, chat template and picture settings of a pair, as the files of a Hugging Face folder.

use super::file::GgufFile;
use crate::{
    error::Result,
    vlm::{
        config::{Family, VlmConfig},
        tokenizer::{Listed, TokenKind},
    },
};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Added tokens of Qwen2.5 and Qwen3 that llama.cpp's converter marks as control tokens because of their spelling,
/// although the model's own files do not call them special.
const NOT_SPECIAL: [&str; 6] =
    ["<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>", "<|fim_pad|>", "<|repo_name|>", "<|file_sep|>"];

/// The files by name, without `config.json`.
pub(super) fn files(text: &GgufFile, vision: &GgufFile, config: &VlmConfig) -> Result<BTreeMap<String, Vec<u8>>> {
    let (tokenizer, tokens) = tokenizer(text)?;
    let json = |value: &Value| format!("{value:#}\n").into_bytes();
    Ok(BTreeMap::from([
        ("tokenizer.json".to_string(), tokenizer.to_json()?.into_bytes()),
        ("tokenizer_config.json".to_string(), json(&tokenizer_config(text, &tokens)?)),
        ("generation_config.json".to_string(), json(&generation_config(text, &tokens)?)),
        ("preprocessor_config.json".to_string(), json(&preprocessor_config(vision, config)?)),
    ]))
}

fn tokenizer(text: &GgufFile) -> Result<(Listed, Vec<&str>)> {
    for (key, allowed) in [("tokenizer.ggml.model", "gpt2"), ("tokenizer.ggml.pre", "qwen2")] {
        if let Some(found) = text.text(key)?.filter(|found| *found != allowed) {
            return Err(text
                .wrong(&format!("{key} is {found:?}; supported is {allowed:?}"))
                .hint("the Qwen2-VL, Qwen2.5-VL and Qwen3-VL tokenizers can be read"));
        }
    }
    let list = |key: &str| text.texts(key)?.ok_or_else(|| text.missing(key));
    let tokens = list("tokenizer.ggml.tokens")?;
    let merges = list("tokenizer.ggml.merges")?;
    let key = "tokenizer.ggml.token_type";
    let kinds = text.sizes(key)?.ok_or_else(|| text.missing(key))?;
    if kinds.len() != tokens.len() {
        return Err(text.wrong(&format!("{} tokens have {} types", tokens.len(), kinds.len())));
    }
    let kind = |(token, kind): (&&str, &u64)| match kind {
        3 if NOT_SPECIAL.contains(token) => Ok(TokenKind::Added),
        1 | 2 | 6 => Ok(TokenKind::Normal),
        3 => Ok(TokenKind::Special),
        4 => Ok(TokenKind::Added),
        5 => Ok(TokenKind::Unused),
        other => Err(text.wrong(&format!("token {token:?} has the type {other}; known are 1 to 6"))),
    };
    let kinds = tokens.iter().zip(&kinds).map(kind).collect::<Result<Vec<_>>>()?;
    let own = |list: &[&str]| list.iter().map(|t| t.to_string()).collect();
    Ok((Listed { tokens: own(&tokens), kinds, merges: own(&merges) }, tokens))
}

/// The token of an id key.
fn named<'a>(text: &GgufFile, tokens: &[&'a str], key: &str) -> Result<Option<(u64, &'a str)>> {
    let key = format!("tokenizer.ggml.{key}");
    let Some(id) = text.size(&key)? else { return Ok(None) };
    match usize::try_from(id).ok().and_then(|id| tokens.get(id)) {
        Some(token) => Ok(Some((id, token))),
        None => Err(text.wrong(&format!("{key} is {id}; there are {} tokens", tokens.len()))),
    }
}

fn tokenizer_config(text: &GgufFile, tokens: &[&str]) -> Result<Value> {
    let name = |key: &str| named(text, tokens, key).map(|found| found.map(|(_, token)| token));
    let mut config = json!({
        "tokenizer_class": "Qwen2Tokenizer",
        "add_prefix_space": false,
        "clean_up_tokenization_spaces": false,
        "errors": "replace",
        "split_special_tokens": false,
        "bos_token": null, // Qwen has an id for it and never writes it
        "eos_token": name("eos_token_id")?,
        "pad_token": name("padding_token_id")?,
        "unk_token": null,
    });
    if let Some(template) = text.text("tokenizer.chat_template")? {
        config["chat_template"] = template.into();
    }
    Ok(config)
}

/// llama.cpp ends an answer at the tokens that the file names and, where it names none but the first, also at Qwen's two.
fn generation_config(text: &GgufFile, tokens: &[&str]) -> Result<Value> {
    let mut ends: Vec<u64> = Vec::new();
    for key in ["eos_token_id", "eot_token_id", "eom_token_id"] {
        ends.extend(named(text, tokens, key)?.map(|(id, _)| id));
    }
    if !text.has("tokenizer.ggml.eot_token_id") {
        let usual = ["<|im_end|>", "<|endoftext|>"].into_iter();
        ends.extend(usual.filter_map(|end| tokens.iter().position(|token| *token == end)).map(|id| id as u64));
    }
    let mut once = Vec::new();
    for id in ends {
        if !once.contains(&id) {
            once.push(id);
        }
    }
    let mut config = json!({"eos_token_id": once});
    for (key, gguf) in [("bos_token_id", "bos_token_id"), ("pad_token_id", "padding_token_id")] {
        if let Some((id, _)) = named(text, tokens, gguf)? {
            config[key] = id.into();
        }
    }
    Ok(config)
}

/// Sizes that a file leaves out are those of the published models.
fn preprocessor_config(vision: &GgufFile, config: &VlmConfig) -> Result<Value> {
    let shape = &config.vision;
    let (least, most) = match config.family {
        Family::Qwen3Vl => (256 * 256, 4096 * 4096),
        Family::Qwen2Vl | Family::Qwen25Vl => (56 * 56, 16384 * 28 * 28),
    };
    let three = |key: &str| {
        let numbers = vision.numbers(key)?.ok_or_else(|| vision.missing(key))?;
        match numbers.len() {
            3 => Ok(numbers),
            n => Err(vision.wrong(&format!("{key} has {n} numbers, 3 are needed"))),
        }
    };
    Ok(json!({
        "image_processor_type": "Qwen2VLImageProcessor",
        "patch_size": shape.patch_size,
        "temporal_patch_size": shape.temporal_patch_size,
        "merge_size": shape.spatial_merge_size,
        "min_pixels": vision.size("clip.vision.image_min_pixels")?.unwrap_or(least),
        "max_pixels": vision.size("clip.vision.image_max_pixels")?.unwrap_or(most),
        "image_mean": three("clip.vision.image_mean")?,
        "image_std": three("clip.vision.image_std")?,
    }))
}
