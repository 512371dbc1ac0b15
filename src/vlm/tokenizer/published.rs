//! A tokenizer whose special tokens have the ids of the public checkpoints, around a small vocabulary.
//!
//! The public vocabularies have 151643 learned tokens before the special ones. Here the learned ones come first and the
//! rest is filled with tokens that no merge produces, so text never turns into them, while a model with random weights
//! may well write them: they read as ` ~12345`.

use super::{
    Tokenizer,
    train::{CHAT_TEMPLATE, Trained, pipeline},
};
use crate::{
    error::{Failure, Result},
    vlm::config::{Family, VlmConfig},
};
use serde_json::{Map, Value, json};

/// Special tokens in the order of their ids.
const SPECIAL: [&str; 14] = [
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|object_ref_start|>",
    "<|object_ref_end|>",
    "<|box_start|>",
    "<|box_end|>",
    "<|quad_start|>",
    "<|quad_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
];
/// Index of `<|vision_start|>` among them.
const VISION_START: u32 = 9;
/// Tokens behind them that are added but not special: from Qwen2.5-VL on, and the last four from Qwen3-VL on.
const ADDED: [&str; 12] = [
    "<tool_call>",
    "</tool_call>",
    "<|fim_prefix|>",
    "<|fim_middle|>",
    "<|fim_suffix|>",
    "<|fim_pad|>",
    "<|repo_name|>",
    "<|file_sep|>",
    "<tool_response>",
    "</tool_response>",
    "<think>",
    "</think>",
];

/// The tokenizer of a public shape with the learned tokens and merges of another `tokenizer.json`.
///
/// # Errors
/// Exit 2 when the shape's ids leave no room for the learned tokens.
pub fn published(config: &VlmConfig, learned: &[u8]) -> Result<Trained> {
    let mut learned: Value =
        serde_json::from_slice(learned).map_err(|e| Failure::data(format!("tokenizer.json: {e}")))?;
    let mut model = learned["model"].take();
    let vocab = model["vocab"].as_object_mut().ok_or_else(|| Failure::data("tokenizer.json has no vocabulary"))?;
    let (count, first) = (vocab.len() as u32, config.vision_start_token_id.saturating_sub(VISION_START));
    let last = config.text.vocab_size;
    if count > first || first as usize + SPECIAL.len() > last {
        return Err(Failure::usage(format!(
            "{count} learned and {} special tokens do not fit a vocabulary of {last} with <|vision_start|> at {}",
            SPECIAL.len(),
            config.vision_start_token_id
        ))
        .hint("learn fewer tokens (--vocab)"));
    }
    for id in count..first {
        vocab.insert(format!("Ġ~{id}"), json!(id));
    }
    let added = match config.family {
        Family::Qwen2Vl => 0,
        Family::Qwen25Vl => 8,
        Family::Qwen3Vl => ADDED.len(),
    };
    let tokens = SPECIAL.iter().map(|t| (*t, true)).chain(ADDED[..added].iter().map(|t| (*t, false)));
    let room = last - first as usize;
    let tokens: Vec<(u32, &str, bool)> =
        (first..).zip(tokens).take(room).map(|(id, (text, special))| (id, text, special)).collect();
    let entry = |text: &str, special: bool| json!({"content": text, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": special});
    let mut json = pipeline(model);
    json["added_tokens"] = tokens
        .iter()
        .map(|(id, text, special)| {
            let mut entry = entry(text, *special);
            entry["id"] = json!(id);
            entry
        })
        .collect();
    let listed: Map<String, Value> =
        tokens.iter().map(|(id, text, special)| (id.to_string(), entry(text, *special))).collect();
    let settings = json!({
        "add_prefix_space": false,
        "added_tokens_decoder": listed,
        "additional_special_tokens": SPECIAL[1..],
        "bos_token": null,
        "chat_template": CHAT_TEMPLATE,
        "clean_up_tokenization_spaces": false,
        "eos_token": "<|im_end|>",
        "errors": "replace",
        "model_max_length": config.text.max_position_embeddings,
        "pad_token": "<|endoftext|>",
        "split_special_tokens": false,
        "tokenizer_class": "Qwen2Tokenizer",
        "unk_token": null,
    });
    let made = Trained {
        tokenizer_json: json.to_string(),
        tokenizer_config: format!("{settings:#}\n"),
        vocab_size: first as usize + tokens.len(),
    };
    check(config, &made.tokenizer()?)?;
    Ok(made)
}

/// The ids that the configuration names must be those of the tokens.
fn check(config: &VlmConfig, tokenizer: &Tokenizer) -> Result<()> {
    for (text, id) in [
        ("<|vision_start|>", config.vision_start_token_id),
        ("<|vision_end|>", config.vision_end_token_id),
        ("<|image_pad|>", config.image_token_id),
        ("<|video_pad|>", config.video_token_id),
    ] {
        if tokenizer.id(text) != Some(id) {
            let has = tokenizer.id(text);
            return Err(Failure::usage(format!("the shape gives {text} the id {id}, its place is {has:?}")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::vlm::{shapes, tokenizer::train};

    #[test]
    fn ids_are_the_public_ones_and_text_uses_learned_tokens_only() {
        let learned = train(vec!["the road bends left, the road bends right"; 9], 400).unwrap();
        for (name, think) in [("qwen2-vl-2b", None), ("qwen2.5-vl-3b", None), ("qwen3-vl-4b", Some(151_667))] {
            let config = shapes::config(name).unwrap();
            let made = published(&config, learned.tokenizer_json.as_bytes()).unwrap();
            let tokenizer = made.tokenizer().unwrap();
            assert_eq!(tokenizer.id("<|im_end|>"), Some(151_645));
            assert_eq!(tokenizer.id("<think>"), think);
            assert_eq!(tokenizer.pad(), 151_643);
            let text = "the road bends ~300 é";
            let ids = tokenizer.encode_text(text).unwrap();
            assert!(ids.iter().all(|id| *id < 400), "{ids:?}");
            assert_eq!(tokenizer.decode(&ids, true), text);
            assert_eq!(tokenizer.decode(&[151_000], true), " ~151000");
            assert_eq!(tokenizer.encode_rendered("<|im_start|>user").unwrap()[0], 151_644);
        }
        let small = shapes::config("small").unwrap();
        assert!(published(&small, learned.tokenizer_json.as_bytes()).is_ok());
    }
}
