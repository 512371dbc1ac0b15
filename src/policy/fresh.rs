//! A new planner: random weights in a given shape and a tokenizer learned from text, in the public folder layout.

pub mod full_size;

use super::card::Card;
use crate::{
    error::{Failure, Result, io_at},
    files::{RealFs, write_atomic},
    vlm::{
        Family, LoadOptions, Vlm, VlmConfig,
        tokenizer::{self, Trained},
    },
};
use candle_core::DType;
use serde_json::{Map, Value, json};
use std::path::Path;

/// What to make.
#[derive(Debug, Clone)]
pub struct Fresh<'a> {
    /// A `config.json`; vocabulary size and token ids are filled in from the tokenizer.
    pub shape: &'a Value,
    /// Largest vocabulary; `None` takes the shape's.
    pub vocab: Option<usize>,
    /// Seed of the weights.
    pub seed: u64,
    /// How it is to be asked.
    pub card: Card,
}

/// Writes a model folder. Returns the configuration and the vocabulary size reached.
///
/// # Errors
/// A shape that is no valid configuration, an unusable vocabulary size, a folder that cannot be written.
pub fn write(dir: &Path, fresh: &Fresh, texts: &[String]) -> Result<(VlmConfig, usize)> {
    refuse_existing(dir)?;
    let mut config = fresh.shape.clone();
    if !config.is_object() {
        return Err(Failure::usage("the shape is not a JSON object").hint("give a config.json of a known family"));
    }
    let wanted = fresh.vocab.or_else(|| vocabulary(&mut config)?.as_u64().map(|n| n as usize)).ok_or_else(|| {
        Failure::usage("the shape has no vocab_size").hint("add text_config.vocab_size or give --vocab")
    })?;
    let trained = tokenizer::train(texts, wanted)
        .map_err(|e| e.or_hint("change --vocab, or text_config.vocab_size of the shape"))?;
    fill(&mut config, &trained)?;
    let unfit = |e: Failure| {
        Failure::usage(e.message).context("shape").hint("take data/models/embedded/shape.json as an example")
    };
    let parsed = VlmConfig::from_json(&config).map_err(unfit)?;
    let vlm = Vlm::random(parsed.clone(), fresh.seed, &LoadOptions::default())?;
    std::fs::create_dir_all(dir).map_err(io_at(dir))?;
    let put = |name: &str, bytes: &[u8]| write_atomic(&RealFs, &dir.join(name), bytes);
    put("tokenizer.json", trained.tokenizer_json.as_bytes())?;
    put("tokenizer_config.json", trained.tokenizer_config.as_bytes())?;
    put("generation_config.json", &pretty(&generation(&trained)?))?;
    put("preprocessor_config.json", &pretty(&preprocessor(&parsed)))?;
    put(super::card::FILE, &fresh.card.to_json())?;
    put("model.safetensors", &vlm.to_bytes(DType::F32)?)?;
    put("config.json", &pretty(&config))?; // last: a folder with a config.json is complete
    Ok((parsed, trained.vocab_size))
}

fn refuse_existing(dir: &Path) -> Result<()> {
    if dir.join("config.json").exists() {
        return Err(Failure::usage(format!("{} already holds a model", dir.display()))
            .hint("choose another --out or remove the folder"));
    }
    Ok(())
}

fn pretty(value: &Value) -> Vec<u8> {
    format!("{value:#}\n").into_bytes()
}

/// The place of `vocab_size`: in `text_config` where there is one.
fn vocabulary(config: &mut Value) -> Option<&mut Value> {
    let nested = config.get("text_config").is_some();
    let part = if nested { config.get_mut("text_config")? } else { config };
    part.as_object_mut().map(|part| part.entry("vocab_size").or_insert(Value::Null))
}

fn fill(config: &mut Value, trained: &Trained) -> Result<()> {
    let tokenizer = trained.tokenizer()?;
    if let Some(size) = vocabulary(config) {
        *size = json!(trained.vocab_size);
    }
    for (key, token) in [
        ("image_token_id", "<|image_pad|>"),
        ("video_token_id", "<|video_pad|>"),
        ("vision_start_token_id", "<|vision_start|>"),
        ("vision_end_token_id", "<|vision_end|>"),
        ("vision_token_id", "<|vision_pad|>"),
        ("eos_token_id", "<|im_end|>"),
    ] {
        config[key] = json!(tokenizer.required(token)?);
    }
    Ok(())
}

fn generation(trained: &Trained) -> Result<Value> {
    let tokenizer = trained.tokenizer()?;
    let end = tokenizer.required("<|endoftext|>")?;
    Ok(json!({ "do_sample": false, "eos_token_id": [tokenizer.required("<|im_end|>")?, end], "pad_token_id": end }))
}

fn preprocessor(config: &VlmConfig) -> Value {
    let vision = &config.vision;
    let (mean, std) = match config.family {
        Family::Qwen3Vl => ([0.5; 3], [0.5; 3]),
        Family::Qwen2Vl | Family::Qwen25Vl => {
            ([0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711])
        }
    };
    let class = if config.family == Family::Qwen3Vl { "Qwen3VLProcessor" } else { "Qwen2_5_VLProcessor" };
    let values = [
        ("patch_size", json!(vision.patch_size)),
        ("temporal_patch_size", json!(vision.temporal_patch_size)),
        ("merge_size", json!(vision.spatial_merge_size)),
        ("image_mean", json!(mean)),
        ("image_std", json!(std)),
        ("image_processor_type", json!("Qwen2VLImageProcessor")),
        ("processor_class", json!(class)),
        ("size", json!({ "longest_edge": 12_845_056, "shortest_edge": 4096 })),
    ];
    Value::Object(values.into_iter().map(|(k, v)| (k.to_owned(), v)).collect::<Map<_, _>>())
}
