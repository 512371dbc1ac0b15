//! A folder of the size and layout of a public checkpoint with random weights: for trying out loading, memory and speed
//! of full-size models without a download. It says nothing sensible.

use super::{generation, preprocessor, pretty, refuse_existing};
use crate::{
    error::{Result, io_at},
    files::{RealFs, write_atomic},
    policy::{card, planner::EMBEDDED},
    vlm::{
        VlmConfig, init,
        lora::published as published_name,
        model::layout,
        shards,
        tiled::Tiles,
        tokenizer::{self, Trained},
    },
};
use candle_core::DType;
use serde_json::{Value, json};
use std::path::Path;

/// What to make.
#[derive(Debug, Clone)]
pub struct FullSize<'a> {
    /// A `config.json`; written as it is, but for the number format.
    pub shape: &'a Value,
    /// Number format of the weights.
    pub dtype: DType,
    /// What `config.json` calls it.
    pub dtype_name: &'a str,
    /// Seed of the weights.
    pub seed: u64,
    /// How it is to be asked.
    pub card: card::Card,
}

/// Writes the folder; the tokenizer's words are those learned from `texts`, or the embedded planner's. Returns the
/// configuration and the bytes of the weights.
///
/// # Errors
/// A folder that holds a model exits 2, a disk that is full 3.
pub fn write(dir: &Path, full: &FullSize, texts: &[String]) -> Result<(VlmConfig, u64)> {
    refuse_existing(dir)?;
    let mut json = full.shape.clone();
    let nested = json["text_config"].is_object();
    let place = if nested { json["text_config"].as_object_mut() } else { json.as_object_mut() };
    if let Some(map) = place {
        let key = if map.contains_key("dtype") { "dtype" } else { "torch_dtype" };
        map.insert(key.into(), json!(full.dtype_name));
    }
    let config = VlmConfig::from_json(&json)?;
    let trained = words(&config, texts)?;
    std::fs::create_dir_all(dir).map_err(io_at(dir))?;
    let put = |name: &str, bytes: &[u8]| write_atomic(&RealFs, &dir.join(name), bytes);
    put("tokenizer.json", trained.tokenizer_json.as_bytes())?;
    put("tokenizer_config.json", trained.tokenizer_config.as_bytes())?;
    let settings: Value = serde_json::from_str(&trained.tokenizer_config).unwrap_or_default();
    put("chat_template.json", &pretty(&json!({"chat_template": settings["chat_template"]})))?;
    put("generation_config.json", &pretty(&generation(&trained)?))?;
    put("preprocessor_config.json", &pretty(&preprocessor(&config)))?;
    put(card::FILE, &full.card.to_json())?;

    let tensors = layout(&config)?.tensors;
    let first_published = config.family != crate::vlm::Family::Qwen3Vl;
    let own = |name: &String| if first_published { published_name(name) } else { name.clone() };
    let planned: Vec<shards::Planned> = tensors.iter().map(|(name, shape)| (own(name), shape.clone())).collect();
    let tiles = Tiles::new(full.seed);
    let bytes = shards::write(dir, &planned, full.dtype, shards::LIMIT, &mut |i, sink| {
        let (name, shape) = &tensors[i];
        let count = init::elements(name, shape)?;
        tiles.pieces(name, init::scale(&config, name, shape), 0, count, |piece| sink.put(piece))
    })?;
    put("config.json", &pretty(&json))?; // last: a folder with a config.json is complete
    Ok((config, bytes))
}

/// The tokenizer with the shape's ids.
fn words(config: &VlmConfig, texts: &[String]) -> Result<Trained> {
    if texts.is_empty() {
        let embedded = EMBEDDED.iter().find(|(name, _)| *name == "tokenizer.json").map_or(&[][..], |(_, bytes)| bytes);
        return tokenizer::published(config, embedded);
    }
    let room = (config.vision_start_token_id as usize).saturating_sub(9);
    tokenizer::published(config, tokenizer::train(texts, room)?.tokenizer_json.as_bytes())
}
