//! A planner as it is written out: weights one tensor at a time with an adapter merged in, and the files beside them.

use super::{
    card::{self, Card},
    language::{embedded_encoder, encoder_of, gguf_files},
    planner::{companions_in, embedded_companions, embedded_weights},
    source::{self, Source},
};
use crate::{
    error::{Failure, Result},
    vlm::{VlmConfig, encode::Encoder, gguf::Pair, merged::Merged, model::layout, weights::Weights},
};
use candle_core::Device;
use std::{collections::BTreeMap, path::Path};

/// A planner that can be written.
pub struct Whole {
    /// The weights.
    pub model: Merged,
    /// Tokenizer, template and picture settings, as in the files.
    pub encoder: Encoder,
    /// Files beside the weights, by name.
    pub files: BTreeMap<String, Vec<u8>>,
    /// The card's name, if it has one.
    pub name: Option<String>,
}

impl Whole {
    /// Opens a planner without reading its weights.
    ///
    /// # Errors
    /// As [`super::Planner::load`].
    pub fn open(source: &Source) -> Result<Self> {
        match source {
            Source::Adapter { base, adapter } => Self::with(base, Some(adapter)).map_err(|e| {
                let made_for = source::named_base(adapter).unwrap_or_else(|_| "an unknown base".into());
                e.context(format!("adapter {} (for {made_for}) on {}", adapter.display(), base.name()))
            }),
            whole => Self::with(whole, None),
        }
    }

    fn with(base: &Source, adapter: Option<&Path>) -> Result<Self> {
        let (config, weights, encoder, files) = match base {
            Source::Embedded => {
                let encoder = embedded_encoder()?;
                let files = embedded_companions();
                let config = VlmConfig::parse(files.get("config.json").map(Vec::as_slice).unwrap_or_default())?;
                let tensors = candle_core::safetensors::load_buffer(embedded_weights(), &Device::Cpu)?;
                (config, Weights::from_tensors(tensors)?, encoder, files)
            }
            Source::Folder(dir) => {
                (VlmConfig::load(dir)?, Weights::open(dir)?, Encoder::from_dir(dir)?, companions_in(dir)?)
            }
            Source::Gguf { text, mmproj } => {
                let pair = Pair::open(text, mmproj)?;
                let files = gguf_files(text, &pair)?;
                let config = pair.config.clone();
                let layout = layout(&config)?;
                (config, Weights::from_gguf(pair, &layout)?, encoder_of(&files)?, files)
            }
            Source::Adapter { .. } => return Err(Failure::data("an adapter on an adapter cannot be merged")),
        };
        let card = files.get(card::FILE).map_or(Ok(Card::default()), |bytes| Card::parse(bytes))?;
        Ok(Whole { model: Merged::new(config, weights, adapter)?, encoder, files, name: card.name })
    }
}
