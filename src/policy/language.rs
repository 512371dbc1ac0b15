//! What a planner reads and writes, without its weights: tokenizer, chat template, picture processor and prompts. Enough
//! to show and measure training data, so that `data show` and `data stats` need no gigabytes.

use super::{
    card::{self, Card},
    planner::{EMBEDDED, embedded_companions, embedded_weights},
    source::Source,
};
use crate::{
    error::{Failure, Result, io_at},
    vlm::{
        VlmConfig, chat::ChatTemplate, encode::Encoder, gguf::Pair, model::layout, processor::Processor,
        prompt::Prompts, tokenizer::Tokenizer, weights::Weights,
    },
};
use std::{collections::BTreeMap, path::Path};

/// A planner's encoder and prompts.
pub struct Language {
    /// Conversations and pictures to model input.
    pub encoder: Encoder,
    /// Planning prompts.
    pub prompts: Prompts,
    /// Name of the planner, for people.
    pub name: String,
}

impl Language {
    /// Reads a planner's files except its weights. They are exactly those that [`super::Planner::load`] uses.
    ///
    /// # Errors
    /// Files that are missing or damaged; an embedded checkpoint that was not there when the program was built.
    pub fn load(source: &Source, prompts: Option<&Path>, max_pixels: Option<u64>) -> Result<Self> {
        let (encoder, card) = match source {
            Source::Adapter { base, .. } => {
                return Ok(Language { name: source.name(), ..Self::load(base, prompts, max_pixels)? });
            }
            Source::Embedded => (embedded_encoder()?, Card::parse(embedded(card::FILE))?),
            Source::Folder(dir) => {
                let path = dir.join(card::FILE);
                let card = match path.is_file() {
                    true => Card::parse(&std::fs::read(&path).map_err(io_at(&path))?)?,
                    false => Card::default(),
                };
                (Encoder::from_dir(dir)?, card)
            }
            Source::Gguf { text, mmproj } => {
                let files = gguf_files(text, &Pair::open(text, mmproj)?)?;
                let card = files.get(card::FILE).map_or(Ok(Card::default()), |bytes| Card::parse(bytes))?;
                (encoder_of(&files)?, card)
            }
        };
        let (encoder, prompts) = settle(encoder, &card, prompts, max_pixels)?;
        Ok(Language { encoder, prompts, name: card.name.unwrap_or_else(|| source.name()) })
    }
}

/// A planner's shape and its weights, none of them loaded.
///
/// # Errors
/// Files that are missing or refused.
pub fn open(source: &Source) -> Result<(VlmConfig, Weights)> {
    Ok(match source {
        Source::Adapter { base, .. } => open(base)?,
        Source::Embedded => {
            let tensors = candle_core::safetensors::load_buffer(embedded_weights(), &candle_core::Device::Cpu)?;
            (VlmConfig::parse(embedded("config.json"))?, Weights::from_tensors(tensors)?)
        }
        Source::Folder(dir) => (VlmConfig::load(dir)?, Weights::open(dir)?),
        Source::Gguf { text, mmproj } => {
            let pair = Pair::open(text, mmproj)?;
            let config = pair.config.clone();
            let layout = layout(&config)?;
            (config, Weights::from_gguf(pair, &layout)?)
        }
    })
}

/// The files that a pair stands for, and the card beside it.
pub(super) fn gguf_files(text: &Path, pair: &Pair) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut files = pair.files.clone();
    let card = text.with_file_name(card::FILE);
    if card.is_file() {
        files.insert(card::FILE.into(), std::fs::read(&card).map_err(io_at(&card))?);
    }
    Ok(files)
}

/// An encoder from the files of a folder that are in memory.
pub(super) fn encoder_of(files: &BTreeMap<String, Vec<u8>>) -> Result<Encoder> {
    let file = |name: &str| files.get(name).map(Vec::as_slice);
    let tokenizer = Tokenizer::from_bytes(
        file("tokenizer.json").unwrap_or_default(),
        file("tokenizer_config.json"),
        file("generation_config.json"),
    )?;
    let chat = ChatTemplate::from_tokenizer(&tokenizer)?;
    let processor = Processor::from_json(file("preprocessor_config.json").unwrap_or_default())?;
    Ok(Encoder { tokenizer, chat, processor, max_length: None })
}

/// The encoder inside the binary.
pub(super) fn embedded_encoder() -> Result<Encoder> {
    if embedded("tokenizer.json").is_empty() {
        return Err(Failure::data("no checkpoint is embedded in this build")
            .hint("give --model, or build from a checkout whose data/models/embedded/ is complete"));
    }
    encoder_of(&embedded_companions())
}

/// Applies what the card and the caller say about picture size and prompts.
pub(super) fn settle(
    mut encoder: Encoder,
    card: &Card,
    prompts: Option<&Path>,
    max_pixels: Option<u64>,
) -> Result<(Encoder, Prompts)> {
    if let Some(pixels) = max_pixels.or(card.max_pixels) {
        encoder.processor = encoder.processor.with_max_pixels(pixels)?;
    }
    let prompts = match prompts {
        Some(dir) => Prompts::from_dir(dir)?,
        None => Prompts::builtin(),
    };
    Ok((encoder, prompts.with_style(card.style()?)))
}

fn embedded(name: &str) -> &'static [u8] {
    EMBEDDED.iter().find(|(file, _)| *file == name).map_or(&[], |(_, bytes)| *bytes)
}
