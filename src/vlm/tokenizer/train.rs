//! Training a byte-level BPE tokenizer with Qwen's pipeline, for models of our own.
//!
//! NFC, then Qwen's split (one token per digit), then bytes. Special and added tokens come after the learned ones, as in
//! the public files, and are cut out of the texts so that no merge is spent on them.

use super::Tokenizer;
use crate::error::{Failure, Result, io_at};
use serde_json::{Value, json};
use std::path::Path;
use tokenizers::{
    AddedToken,
    models::{TrainerWrapper, bpe::BpeTrainer},
    pre_tokenizers::byte_level::ByteLevel,
};

/// Special tokens, in the public order.
const SPECIAL: [&str; 8] = [
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
];
/// Added tokens that decoding keeps.
const ADDED: [&str; 4] = ["<think>", "</think>", "<answer>", "</answer>"];

/// How Qwen splits text before merging: contractions, words with a leading mark, single digits, marks, line ends, blanks.
const SPLIT: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// The template that goes into `tokenizer_config.json`.
pub(super) const CHAT_TEMPLATE: &str = include_str!("../../../prompts/chatml.jinja");

/// A trained tokenizer as the files of a model folder.
#[derive(Debug, Clone)]
pub struct Trained {
    /// `tokenizer.json`
    pub tokenizer_json: String,
    /// `tokenizer_config.json`
    pub tokenizer_config: String,
    /// Ids, added tokens included; fewer than asked for when the texts hold no more pairs worth merging.
    pub vocab_size: usize,
}

impl Trained {
    /// Writes both files into a folder that exists.
    pub fn write(&self, dir: &Path) -> Result<()> {
        for (name, text) in
            [("tokenizer.json", &self.tokenizer_json), ("tokenizer_config.json", &self.tokenizer_config)]
        {
            let path = dir.join(name);
            std::fs::write(&path, text).map_err(|e| io_at(&path)(e))?;
        }
        Ok(())
    }

    /// The tokenizer itself.
    pub fn tokenizer(&self) -> Result<Tokenizer> {
        Tokenizer::from_bytes(self.tokenizer_json.as_bytes(), Some(self.tokenizer_config.as_bytes()), None)
    }
}

/// A `tokenizer.json` with Qwen's pipeline around a model.
pub(super) fn pipeline(model: Value) -> Value {
    let bytes = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false});
    json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": [],
        "normalizer": {"type": "NFC"},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": SPLIT}, "behavior": "Isolated", "invert": false},
            bytes,
        ]},
        "post_processor": bytes,
        "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
        "model": model,
    })
}

/// Learns a vocabulary of at most `vocab_size` ids (256 bytes and 12 added tokens included) from texts.
/// The same texts give the same tokenizer. Pairs seen only once are not merged.
pub fn train<S: AsRef<str>>(texts: impl IntoIterator<Item = S>, vocab_size: usize) -> Result<Trained> {
    let added = SPECIAL.len() + ADDED.len();
    let least = 256 + added;
    if !(least..=1 << 20).contains(&vocab_size) {
        return Err(Failure::usage(format!("a vocabulary of {vocab_size} ids; allowed are {least} to {}", 1 << 20)));
    }
    let empty = pipeline(json!({"type": "BPE", "vocab": {}, "merges": []})).to_string();
    let mut tokenizer = tokenizers::Tokenizer::from_bytes(empty).map_err(super::failed)?;
    let mut trainer = TrainerWrapper::BpeTrainer(
        BpeTrainer::builder()
            .vocab_size(vocab_size - added)
            .min_frequency(2)
            .show_progress(false)
            .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
            .build(),
    );
    let plain: Vec<String> = texts.into_iter().flat_map(|text| without_tokens(text.as_ref())).collect();
    tokenizer.train(&mut trainer, plain.iter()).map_err(super::failed)?;
    let special = SPECIAL.iter().map(|t| AddedToken::from(*t, true));
    tokenizer
        .add_tokens(special.chain(ADDED.iter().map(|t| AddedToken::from(*t, false).normalized(false))))
        .map_err(super::failed)?;

    let mut listed = serde_json::Map::new();
    for (token, special) in SPECIAL.iter().map(|t| (t, true)).chain(ADDED.iter().map(|t| (t, false))) {
        let Some(id) = tokenizer.token_to_id(token) else {
            return Err(Failure::data(format!("{token} was not added to the vocabulary")));
        };
        listed.insert(
            id.to_string(),
            json!({"content": token, "lstrip": false, "normalized": false, "rstrip": false, "single_word": false, "special": special}),
        );
    }
    let config = json!({
        "add_bos_token": false,
        "add_prefix_space": false,
        "added_tokens_decoder": listed,
        "additional_special_tokens": SPECIAL[1..],
        "bos_token": null,
        "chat_template": CHAT_TEMPLATE,
        "clean_up_tokenization_spaces": false,
        "eos_token": "<|im_end|>",
        "errors": "replace",
        "model_max_length": 32768,
        "pad_token": "<|endoftext|>",
        "split_special_tokens": false,
        "tokenizer_class": "Qwen2Tokenizer",
        "unk_token": null,
    });
    Ok(Trained {
        tokenizer_json: tokenizer.to_string(false).map_err(super::failed)?,
        tokenizer_config: serde_json::to_string_pretty(&config).map_err(|e| Failure::data(e.to_string()))?,
        vocab_size: tokenizer.get_vocab_size(true),
    })
}

/// The pieces of a text between special and added tokens.
fn without_tokens(text: &str) -> Vec<String> {
    let mut pieces = vec![text.to_string()];
    for token in SPECIAL.iter().chain(&ADDED) {
        pieces = pieces.iter().flat_map(|piece| piece.split(token)).map(str::to_string).collect();
    }
    pieces.retain(|piece| !piece.is_empty());
    pieces
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    fn texts() -> Vec<String> {
        (0..200)
            .map(|i| {
                format!(
                    "<think> The road bends {} and I keep {i}.5 m/s. </think> <answer> KEEP, STRAIGHT </answer>",
                    ["left", "right"][i % 2]
                )
            })
            .collect()
    }

    #[test]
    fn trains_the_same_twice_and_merges_words() {
        let (a, b) = (train(texts(), 400).unwrap(), train(texts(), 400).unwrap());
        assert_eq!(a.tokenizer_json, b.tokenizer_json);
        assert!(a.vocab_size <= 400 && a.vocab_size > 268);
        let t = a.tokenizer().unwrap();
        assert_eq!(t.vocab_size(), a.vocab_size);
        assert_eq!(t.encode_text(" STRAIGHT").unwrap().len(), 1);
        // One token per digit, and tags are their own tokens.
        assert_eq!(t.encode_text("12345").unwrap().len(), 5);
        assert_eq!(t.encode_text("<answer>").unwrap().len(), 1);
        assert_eq!(t.eos(), [t.required("<|im_end|>").unwrap()]);
        assert_eq!(t.pad(), t.required("<|endoftext|>").unwrap());
        assert!(t.chat_template().unwrap().contains("im_start"));
    }

    #[test]
    fn written_folders_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let trained = train(texts(), 300).unwrap();
        trained.write(dir.path()).unwrap();
        std::fs::write(dir.path().join("generation_config.json"), r#"{"eos_token_id": [290, 288, 290]}"#).unwrap();
        let t = Tokenizer::from_dir(dir.path()).unwrap();
        assert_eq!(t.eos(), [290, 288]);
        let text = "The road <think>é🚗";
        assert_eq!(t.encode_text(text).unwrap(), trained.tokenizer().unwrap().encode_text(text).unwrap());
    }

    #[test]
    fn the_old_layout_reads_the_same() {
        let trained = train(texts(), 300).unwrap();
        let json: Value = serde_json::from_str(&trained.tokenizer_json).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let merges: Vec<String> = json["model"]["merges"]
            .as_array()
            .unwrap()
            .iter()
            .map(|m| format!("{} {}", m[0].as_str().unwrap(), m[1].as_str().unwrap()))
            .collect();
        std::fs::write(dir.path().join("vocab.json"), json["model"]["vocab"].to_string()).unwrap();
        std::fs::write(dir.path().join("merges.txt"), format!("#version: 0.2\n{}\n", merges.join("\n"))).unwrap();
        std::fs::write(dir.path().join("tokenizer_config.json"), &trained.tokenizer_config).unwrap();
        let (old, new) = (Tokenizer::from_dir(dir.path()).unwrap(), trained.tokenizer().unwrap());
        for text in ["The road bends left", "<|im_start|>user\n12.5<|im_end|>", "# <think> naïve 🚗"] {
            assert_eq!(old.encode_rendered(text).unwrap(), new.encode_rendered(text).unwrap());
        }
        assert_eq!(old.eos(), new.eos());
    }

    #[test]
    fn too_small_a_vocabulary_is_refused() {
        assert!(train(texts(), 267).unwrap_err().message.contains("268"));
        assert_eq!(train(Vec::<String>::new(), 268).unwrap().vocab_size, 268);
    }
}
