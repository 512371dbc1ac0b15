//! A vision-language planner: the model with the tokenizer, picture processor, chat template and prompts that belong
//! to it, loaded together and asked together.

use super::{
    card::{self, Card},
    language,
    source::{self, Source},
};
use crate::{
    device::{self, Choice},
    error::{Failure, Result, io_at},
    vlm::{
        LoadOptions, Trainable, Vlm, VlmConfig,
        encode::{Encoded, Encoder},
        gguf::Pair,
        image::Rgb,
        peft,
        prompt::Prompts,
        quant::{Kind, store},
    },
};
use candle_core::{DType, Device};
use data::{Content, Ego, Sample, Turn};
use std::{collections::BTreeMap, path::Path};

/// The files of the embedded checkpoint (see `data/models/embedded/README.md` for how it was made).
macro_rules! embedded {
    ($($name:literal),+ $(,)?) => {
        &[$(($name, include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/data/models/embedded/", $name)))),+]
    };
}
pub(super) const EMBEDDED: &[(&str, &[u8])] = embedded![
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "preprocessor_config.json",
    "reinsman.json",
    "tokenizer.json",
    "tokenizer_config.json",
];

/// The trajectory branches of the embedded checkpoint: the files of `data/models/embedded/branches`; none so far.
pub(super) const EMBEDDED_BRANCHES: &[(&str, &[u8])] = &[];

/// The weights of the embedded checkpoint, as a safetensors file.
pub fn embedded_weights() -> &'static [u8] {
    EMBEDDED.iter().find(|(name, _)| *name == "model.safetensors").map_or(&[], |(_, bytes)| *bytes)
}

/// Files beside the weights that make a model folder complete; copied into every full checkpoint.
pub(crate) const COMPANIONS: &[&str] = &[
    "config.json",
    "generation_config.json",
    "preprocessor_config.json",
    "video_preprocessor_config.json",
    "processor_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template.json",
    "chat_template.jinja",
    card::FILE,
];

/// Model, tokenizer, processor, template and prompts that belong together.
pub struct Planner {
    /// The model.
    pub vlm: Vlm,
    /// Conversations and pictures to model input.
    pub encoder: Encoder,
    /// Planning prompts.
    pub prompts: Prompts,
    /// How it wants to be asked.
    pub card: Card,
    /// Where it came from.
    pub source: Source,
    companions: BTreeMap<String, Vec<u8>>,
}

/// A question: turns up to where the assistant begins, and the pictures in them.
#[derive(Debug, Clone)]
pub struct Question {
    /// The conversation so far.
    pub turns: Vec<Turn>,
    /// Pictures in the order of their marks.
    pub images: Vec<Rgb>,
}

/// How to load a planner.
#[derive(Debug, Clone)]
pub struct Options<'a> {
    /// Folder of prompt templates that replace the built-in ones.
    pub prompts: Option<&'a Path>,
    /// What will be trained.
    pub trainable: Trainable,
    /// Where it computes.
    pub device: Device,
    /// Compute dtype.
    pub dtype: DType,
    /// Overrides the largest picture, in pixels.
    pub max_pixels: Option<u64>,
    /// How frozen weights are held.
    pub quant: Quant,
    /// Told what takes time while loading.
    pub note: fn(&str),
}

/// How frozen weights are held in memory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Quant {
    /// As the adapter's training held them; else as the files do (dense, or the blocks of a GGUF file).
    #[default]
    AsTrained,
    /// As numbers of the compute dtype, whatever the files hold.
    Dense,
    /// Quantized while they are read.
    Kind(Kind),
}

impl Default for Options<'_> {
    fn default() -> Self {
        Options {
            prompts: None,
            trainable: Trainable::None,
            device: Device::Cpu,
            dtype: DType::F32,
            max_pixels: None,
            quant: Quant::AsTrained,
            note: |_| {},
        }
    }
}

impl Options<'_> {
    /// The defaults on a device, in its number format.
    ///
    /// # Errors
    /// Exit 4 for a GPU that does not open.
    pub fn on(choice: Choice) -> Result<Self> {
        let device = choice.open()?;
        Ok(Options { dtype: device::arithmetic(&device), device, ..Options::default() })
    }
}

impl Planner {
    /// Loads a planner.
    ///
    /// # Errors
    /// Files that are missing, damaged or do not fit together.
    pub fn load(source: &Source, options: &Options) -> Result<Self> {
        match source {
            Source::Embedded => Self::embedded(options),
            Source::Folder(dir) => Self::folder(dir, options),
            Source::Gguf { text, mmproj } => {
                let pair = Pair::open(text, mmproj)?;
                let files = language::gguf_files(text, &pair)?;
                let encoder = language::encoder_of(&files)?;
                Self::assemble(Vlm::from_gguf(pair, &load_options(options))?, encoder, files, source.clone(), options)
            }
            Source::Adapter { base, adapter } => {
                let training = !matches!(options.trainable, Trainable::None);
                let quant = match (options.quant, peft::trained_on(adapter)?) {
                    (Quant::AsTrained, Some(kind)) => Quant::Kind(kind),
                    (quant, _) => quant,
                };
                let mut planner = Self::load(base, &Options { trainable: Trainable::None, quant, ..options.clone() })?;
                planner.vlm.load_adapter(adapter, training).map_err(|e| {
                    let made_for = source::named_base(adapter).unwrap_or_else(|_| "an unknown base".into());
                    e.context(format!("adapter {} (for {made_for}) on {}", adapter.display(), base.name()))
                })?;
                planner.source = source.clone();
                Ok(planner)
            }
        }
    }

    fn embedded(options: &Options) -> Result<Self> {
        let encoder = language::embedded_encoder()?; // first: it says so when nothing is embedded
        let file = |name: &str| EMBEDDED.iter().find(|(n, _)| *n == name).map_or(&[][..], |(_, bytes)| *bytes);
        let config = VlmConfig::parse(file("config.json"))?;
        let tensors = candle_core::safetensors::load_buffer(file("model.safetensors"), &Device::Cpu)?;
        let vlm = Vlm::from_tensors(config, tensors, &load_options(options))?;
        Self::assemble(vlm, encoder, embedded_companions(), Source::Embedded, options)
    }

    fn folder(dir: &Path, options: &Options) -> Result<Self> {
        let vlm = Vlm::load(dir, &load_options(options))?;
        let encoder = Encoder::from_dir(dir)?;
        Self::assemble(vlm, encoder, companions_in(dir)?, Source::Folder(dir.into()), options)
    }

    fn assemble(
        vlm: Vlm,
        encoder: Encoder,
        companions: BTreeMap<String, Vec<u8>>,
        source: Source,
        options: &Options,
    ) -> Result<Self> {
        let card = companions.get(card::FILE).map_or(Ok(Card::default()), |bytes| Card::parse(bytes))?;
        let (encoder, prompts) = language::settle(encoder, &card, options.prompts, options.max_pixels)?;
        let (tokens, vocabulary) = (encoder.tokenizer.vocab_size(), vlm.config().text.vocab_size);
        if tokens > vocabulary {
            return Err(Failure::data(format!("the tokenizer has {tokens} ids, the model knows {vocabulary}"))
                .hint("tokenizer.json belongs to another model"));
        }
        Ok(Planner { vlm, encoder, prompts, card, source, companions })
    }

    /// The name shown to people.
    pub fn name(&self) -> String {
        match (&self.card.name, &self.source) {
            (Some(name), Source::Embedded | Source::Folder(_) | Source::Gguf { .. }) => name.clone(),
            (_, source) => source.name(),
        }
    }

    /// Files beside the weights, by name.
    pub fn companions(&self) -> &BTreeMap<String, Vec<u8>> {
        &self.companions
    }

    /// A planning question about pictures, in this planner's own prompt.
    ///
    /// # Errors
    /// A command that holds one of the model's special tokens, or a broken prompt template.
    pub fn question(&self, ego: &Ego, images: Vec<Rgb>, think: bool) -> Result<Question> {
        self.encoder.tokenizer.reject_special(&ego.command.0)?;
        Ok(Question { turns: self.prompts.plan_turns(ego, images.len(), think)?, images })
    }

    /// The question that a record asks, without its answer.
    ///
    /// # Errors
    /// As [`Self::question`]; a conversation in which nothing is asked.
    pub fn question_of(&self, sample: &Sample, images: Vec<Rgb>, think: bool) -> Result<Question> {
        Ok(Question { turns: self.turns_of(sample, images.len(), think)?, images })
    }

    /// The turns of [`Self::question_of`] about so many pictures.
    ///
    /// # Errors
    /// As [`Self::question_of`].
    pub fn turns_of(&self, sample: &Sample, images: usize, think: bool) -> Result<Vec<Turn>> {
        match &sample.content {
            Content::Planning { ego, .. } => {
                self.encoder.tokenizer.reject_special(&ego.command.0)?;
                self.prompts.plan_turns(ego, images, think)
            }
            Content::Conversation { turns } => {
                let asked = turns.iter().rposition(|t| t.role == data::Role::User).map_or(0, |at| at + 1);
                if asked == 0 {
                    return Err(Failure::data(format!("sample {}: no user turn, so nothing is asked", sample.id)));
                }
                Ok(turns[..asked].to_vec())
            }
        }
    }

    /// Model input of a question.
    ///
    /// # Errors
    /// Marks and pictures that do not match; an input over the length limit.
    pub fn encode(&self, question: &Question) -> Result<Encoded> {
        self.encoder.prompt(&question.turns, &question.images)
    }
}

/// The companions of a folder.
pub(super) fn companions_in(dir: &Path) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut companions = BTreeMap::new();
    for name in COMPANIONS {
        let path = dir.join(name);
        if path.is_file() {
            companions.insert((*name).to_owned(), std::fs::read(&path).map_err(io_at(&path))?);
        }
    }
    Ok(companions)
}

/// The companions of the embedded checkpoint.
pub(super) fn embedded_companions() -> BTreeMap<String, Vec<u8>> {
    let kept = EMBEDDED.iter().filter(|(name, _)| COMPANIONS.contains(name));
    kept.map(|(name, bytes)| ((*name).to_owned(), bytes.to_vec())).collect()
}

fn load_options(options: &Options) -> LoadOptions {
    LoadOptions {
        dtype: options.dtype,
        trainable: options.trainable.clone(),
        device: options.device.clone(),
        quant: match options.quant {
            Quant::Kind(kind) => Some(store::Options { note: options.note, ..store::Options::new(kind) }),
            Quant::AsTrained | Quant::Dense => None,
        },
        keep_blocks: options.quant != Quant::Dense,
    }
}
