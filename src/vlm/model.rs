//! The whole model: load, encode pictures, run the decoder, read logits, save.
//!
//! [`Vlm::frozen`] is the same model without gradients: it shares storage with the trainable one, so it always
//! sees the latest update, and generation and scoring through it record no graph.

use super::{
    batch::Batch,
    build::{Builder, Layout},
    cache::KvCache,
    config::VlmConfig,
    gguf::Pair,
    init,
    lora::{Adapter, LoraSpec, compile},
    ops::{self, Mask},
    positions::text_rope,
    quant::{Kind, Quantized, rule::format_of, store},
    text::{Context, TextModel},
    vision::{self, Grid, Tower},
    weight::{Blocks, Weight},
    weights::Weights,
};
use crate::{
    error::{Failure, Result, io_at},
    streams::Stream,
};
use candle_core::{DType, Device, Tensor, Var};
use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
    sync::{Arc, OnceLock, atomic::Ordering},
};

/// Which tensors get gradients.
#[derive(Debug, Clone, Default)]
pub enum Trainable {
    /// None: inference.
    #[default]
    None,
    /// Every tensor of the checkpoint.
    All,
    /// A fresh adapter on a frozen base.
    Lora(LoraSpec),
    /// Tensors whose name (as in the file, or canonical) the regular expression finds.
    Matching(String),
}

/// How to load a model.
#[derive(Debug, Clone)]
pub struct LoadOptions {
    /// Compute dtype; trainable tensors stay f32 whatever it is.
    pub dtype: DType,
    /// What gets gradients.
    pub trainable: Trainable,
    /// Where the tensors live.
    pub device: Device,
    /// Quantizes frozen matrices while they are read.
    pub quant: Option<store::Options>,
    /// Computes with the blocks that a file holds; otherwise they become dense numbers.
    pub keep_blocks: bool,
}

impl Default for LoadOptions {
    fn default() -> Self {
        LoadOptions {
            dtype: DType::F32,
            trainable: Trainable::None,
            device: Device::Cpu,
            quant: None,
            keep_blocks: true,
        }
    }
}

/// Merged picture tokens and what DeepStack adds to the first decoder layers, over all pictures of a call.
#[derive(Debug, Clone)]
pub struct ImageFeatures {
    /// `(I, H)`
    pub embeds: Tensor,
    /// `(I, H)` each; empty for families without DeepStack.
    pub deepstack: Vec<Tensor>,
}

impl ImageFeatures {
    /// Features of several calls one after the other.
    pub fn concat(parts: &[&ImageFeatures]) -> Result<Self> {
        let cat = |pick: &dyn Fn(&ImageFeatures) -> Tensor| {
            Tensor::cat(&parts.iter().map(|part| pick(part)).collect::<Vec<_>>(), 0)
        };
        let depth = parts.first().map_or(0, |part| part.deepstack.len());
        let deepstack = (0..depth).map(|i| cat(&|part| part.deepstack[i].clone())).collect::<Result<_, _>>()?;
        Ok(ImageFeatures { embeds: cat(&|part| part.embeds.clone())?, deepstack })
    }

    /// The same numbers without gradients.
    pub fn detach(&self) -> Self {
        let deepstack = self.deepstack.iter().map(Tensor::detach).collect();
        ImageFeatures { embeds: self.embeds.detach(), deepstack }
    }

    /// The features `from .. from + count`, as views.
    pub fn narrow(&self, from: usize, count: usize) -> Result<Self> {
        let part = |tensor: &Tensor| tensor.narrow(0, from, count);
        let deepstack = self.deepstack.iter().map(part).collect::<candle_core::Result<_>>()?;
        Ok(ImageFeatures { embeds: part(&self.embeds)?, deepstack })
    }
}

/// Named intermediate tensors, for tests and debugging.
#[derive(Debug, Default)]
pub struct Trace {
    /// By name: `vision.block0`, `text.layer3`, ...
    pub tensors: BTreeMap<String, Tensor>,
}

pub(crate) fn note(trace: &mut Option<&mut Trace>, name: impl FnOnce() -> String, tensor: &Tensor) {
    if let Some(trace) = trace {
        trace.tensors.insert(name(), tensor.clone());
    }
}

/// Lists every tensor (canonical name, shape) and linear layer of a configuration.
pub fn layout(config: &VlmConfig) -> Result<Layout> {
    let builder = Builder::Record(Default::default());
    Net::new(&builder, config, config.tie_word_embeddings.unwrap_or(true))?;
    match builder {
        Builder::Record(layout) => Ok(layout.into_inner()),
        Builder::Build { .. } => Ok(Layout::default()),
    }
}

/// The frozen matrices that are quantized in the file or that `options.quant` asks for, by canonical name, with the
/// checkpoint's own names.
fn quantize(
    weights: &Weights,
    layout: &Layout,
    options: &LoadOptions,
    trained: &dyn Fn(&str) -> bool,
) -> Result<BTreeMap<String, (String, Weight)>> {
    let mut found: BTreeMap<String, Arc<Quantized>> = BTreeMap::new();
    for name in layout.matrices.keys().filter(|name| options.keep_blocks && !trained(name)) {
        if let Some(matrix) = weights.blocks(name)? {
            found.insert(name.clone(), Arc::new(matrix));
        }
    }
    if let Some(quant) = &options.quant {
        found
            .extend(quantize_rest(weights, layout, options, quant, &|name| trained(name) || found.contains_key(name))?);
    }
    let mut out = BTreeMap::new();
    for (name, matrix) in found {
        let own = weights.own_name(&name).unwrap_or(&name).to_owned();
        let weight = match &options.device {
            Device::Cpu if !ops::composed::only() => Weight::Quant(matrix),
            device => Weight::Device(Arc::new(Blocks::new(&matrix, device)?)),
        };
        out.insert(name, (own, weight));
    }
    Ok(out)
}

/// The matrices that `quant` asks for, except those left out.
fn quantize_rest(
    weights: &Weights,
    layout: &Layout,
    options: &LoadOptions,
    quant: &store::Options,
    leave: &dyn Fn(&str) -> bool,
) -> Result<BTreeMap<String, Arc<Quantized>>> {
    if matches!(options.trainable, Trainable::All) {
        return Err(Failure::usage("quantized weights are frozen, but every weight is to be trained")
            .hint("train an adapter (model.train=lora), or leave quantization out"));
    }
    let mut plans = Vec::new();
    for (name, shape) in &layout.tensors {
        let (Some(role), &[rows, cols]) = (layout.matrices.get(name), shape.as_slice()) else { continue };
        weights.check(name, shape)?;
        if let Some(kind) = format_of(quant.kind, *role, rows, cols).filter(|_| !leave(name)) {
            plans.push(store::Plan { name: name.clone(), kind, rows, cols, first: Vec::new() });
        }
    }
    store::quantized(weights, plans, quant)
}

#[derive(Debug)]
struct Net {
    visual: Tower,
    language_model: TextModel,
    lm_head: Option<Weight>, // (V, H); None when tied
}

impl Net {
    fn new(builder: &Builder, config: &VlmConfig, tied: bool) -> candle_core::Result<Self> {
        let text = &config.text;
        Ok(Net {
            language_model: TextModel::new(&builder.scope("model.language_model"), config)?,
            visual: Tower::new(&builder.scope("model.visual"), config)?,
            lm_head: if tied {
                None
            } else {
                Some(builder.scope("lm_head").weight("weight", [text.vocab_size, text.hidden_size])?)
            },
        })
    }
}

/// A vision-language model.
#[derive(Debug)]
pub struct Vlm {
    config: VlmConfig,
    dtype: DType,
    device: Device,
    pub(crate) tensors: BTreeMap<String, Weight>, // by canonical name
    own_names: BTreeMap<String, String>,
    vars: BTreeMap<String, Var>,
    pub(crate) adapter: Option<Adapter>,
    net: Net,
    quant: Option<Kind>,
    frozen: OnceLock<Box<Vlm>>,
}

impl Vlm {
    /// Loads a Hugging Face folder.
    pub fn load(dir: &Path, options: &LoadOptions) -> Result<Self> {
        let config = VlmConfig::load(dir)?;
        Self::from_weights(config, &Weights::open(dir)?, options)
    }

    /// Loads a pair of GGUF files.
    pub fn from_gguf(pair: Pair, options: &LoadOptions) -> Result<Self> {
        let config = pair.config.clone();
        let weights = Weights::from_gguf(pair, &layout(&config)?)?;
        Self::from_weights(config, &weights, options)
    }

    /// Builds a model from tensors in memory, under any accepted spelling of their names.
    pub fn from_tensors(config: VlmConfig, tensors: HashMap<String, Tensor>, options: &LoadOptions) -> Result<Self> {
        Self::from_weights(config, &Weights::from_tensors(tensors)?, options)
    }

    /// Random weights (see [`init`]): the same seed gives the same bytes.
    pub fn random(config: VlmConfig, seed: u64, options: &LoadOptions) -> Result<Self> {
        let tensors = init::random_tensors(&config, &layout(&config)?, seed)?;
        Self::from_tensors(config, tensors, options)
    }

    /// Builds a model from an opened checkpoint.
    pub fn from_weights(mut config: VlmConfig, weights: &Weights, options: &LoadOptions) -> Result<Self> {
        config.tie_word_embeddings.get_or_insert(!weights.has("lm_head.weight"));
        let layout = layout(&config)?;
        let regex = match &options.trainable {
            Trainable::Matching(pattern) => Some(compile(pattern, pattern)?),
            _ => None,
        };
        let trained = |name: &str| match &options.trainable {
            Trainable::All => true,
            Trainable::Matching(_) => regex
                .as_ref()
                .is_some_and(|r| r.is_match(name) || weights.own_name(name).is_some_and(|own| r.is_match(own))),
            Trainable::None | Trainable::Lora(_) => false,
        };
        let mut packed = quantize(weights, &layout, options, &trained)?;
        let (mut tensors, mut own_names, mut vars) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        for (name, shape) in &layout.tensors {
            if let Some((own, weight)) = packed.remove(name) {
                own_names.insert(name.clone(), own);
                tensors.insert(name.clone(), weight);
                continue;
            }
            let kept = options.quant.as_ref().filter(|_| layout.matrices.contains_key(name));
            let dtype = match kept.and_then(|_| weights.dtype(name)) {
                _ if trained(name) => DType::F32,
                // A matrix whose width fits no block stays as small as it came.
                Some(dtype @ (DType::BF16 | DType::F16)) => dtype,
                _ => options.dtype,
            };
            let (own, mut tensor) = weights.load(name, shape, dtype, &options.device)?;
            if trained(name) {
                let var = Var::from_tensor(&tensor)?;
                tensor = var.as_tensor().clone();
                vars.insert(own.clone(), var);
            }
            own_names.insert(name.clone(), own);
            tensors.insert(name.clone(), Weight::Dense(tensor));
        }
        if let Trainable::Matching(pattern) = &options.trainable
            && vars.is_empty()
        {
            return Err(Failure::usage(format!("no tensor matches {pattern:?}; nothing would be trained"))
                .hint("names look like model.language_model.layers.0.mlp.up_proj.weight"));
        }
        let mut adapter = None;
        if let Trainable::Lora(spec) = &options.trainable {
            let mut fresh = Adapter::fresh(spec, &layout.linears, &options.device)?;
            vars = fresh.make_trainable()?;
            adapter = Some(fresh);
        }
        let mut vlm = Self::assemble(config, options.dtype, options.device.clone(), tensors, own_names, vars, adapter)?;
        vlm.quant = options.quant.as_ref().map(|quant| quant.kind);
        Ok(vlm)
    }

    fn assemble(
        config: VlmConfig,
        dtype: DType,
        device: Device,
        tensors: BTreeMap<String, Weight>,
        own_names: BTreeMap<String, String>,
        vars: BTreeMap<String, Var>,
        adapter: Option<Adapter>,
    ) -> Result<Self> {
        let builder = Builder::Build { tensors: &tensors, adapter: adapter.as_ref() };
        let net = Net::new(&builder, &config, config.tie_word_embeddings.unwrap_or(true))?;
        Ok(Vlm { config, dtype, device, tensors, own_names, vars, adapter, net, quant: None, frozen: OnceLock::new() })
    }

    /// Replaces the adapter (and the variables it brings).
    pub(crate) fn set_adapter(&mut self, adapter: Option<Adapter>, vars: BTreeMap<String, Var>) -> Result<()> {
        self.vars.retain(|name, _| !name.starts_with("base_model."));
        self.vars.extend(vars);
        let builder = Builder::Build { tensors: &self.tensors, adapter: adapter.as_ref() };
        self.net = Net::new(&builder, &self.config, self.config.tie_word_embeddings.unwrap_or(true))?;
        self.adapter = adapter;
        self.frozen = OnceLock::new();
        Ok(())
    }

    /// The same model without gradients; updates of the variables are seen through it.
    pub fn frozen(&self) -> Result<&Vlm> {
        if self.vars.is_empty() {
            return Ok(self);
        }
        if let Some(frozen) = self.frozen.get() {
            return Ok(frozen);
        }
        let tensors = self.tensors.iter().map(|(name, tensor)| (name.clone(), tensor.detach())).collect();
        let adapter = self.adapter.as_ref().map(Adapter::detached);
        let (config, names) = (self.config.clone(), self.own_names.clone());
        let device = self.device.clone();
        let frozen = Self::assemble(config, self.dtype, device, tensors, names, BTreeMap::new(), adapter)?;
        Ok(self.frozen.get_or_init(|| Box::new(frozen)))
    }

    /// The configuration, with `tie_word_embeddings` decided.
    pub fn config(&self) -> &VlmConfig {
        &self.config
    }

    /// What frozen matrices were quantized to when the model was loaded.
    pub fn quant(&self) -> Option<Kind> {
        self.quant
    }

    /// Compute dtype.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Where the tensors live.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// A weight by its canonical name.
    pub fn weight(&self, name: &str) -> Option<&Weight> {
        self.tensors.get(name)
    }

    /// What is trained, under the checkpoint's names (adapters under their PEFT names).
    pub fn vars(&self) -> &BTreeMap<String, Var> {
        &self.vars
    }

    /// Number of parameters of the base model.
    pub fn parameter_count(&self) -> usize {
        self.tensors.values().map(Weight::elem_count).sum()
    }

    /// Bytes that the weights take in memory.
    pub fn weight_bytes(&self) -> usize {
        self.tensors.values().map(Weight::bytes).sum()
    }

    /// Number of weights and bytes of each storage format, the largest first.
    pub fn formats(&self) -> Vec<(String, usize, usize)> {
        let mut found: BTreeMap<String, (usize, usize)> = BTreeMap::new();
        for weight in self.tensors.values() {
            let entry = found.entry(weight.format()).or_default();
            *entry = (entry.0 + weight.elem_count(), entry.1 + weight.bytes());
        }
        let mut found: Vec<_> = found.into_iter().map(|(format, (count, bytes))| (format, count, bytes)).collect();
        found.sort_by_key(|(_, _, bytes)| std::cmp::Reverse(*bytes));
        found
    }

    /// Switches the adapter off (`false`) or on, for example to score with the reference policy.
    pub fn set_adapter_enabled(&self, on: bool) {
        if let Some(adapter) = &self.adapter {
            adapter.switch.off.store(!on, Ordering::Relaxed);
        }
    }

    /// Turns the adapter's dropout on with a stream of its own for this step, or off.
    pub fn set_dropout(&self, stream: Option<Stream>) {
        if let Some(adapter) = &self.adapter {
            *adapter.switch.dropout.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = stream;
        }
    }

    /// The adapter's dropout stream as it stands, to draw the same masks again.
    pub(crate) fn dropout(&self) -> Option<Stream> {
        let adapter = self.adapter.as_ref()?;
        adapter.switch.dropout.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// Merged tokens of pictures. pixel_values `(P, C*t*p*p)` for all of them in order.
    pub fn encode_images(&self, pixel_values: &Tensor, grids: &[Grid]) -> Result<ImageFeatures> {
        self.encode_images_traced(pixel_values, grids, None)
    }

    /// [`Vlm::encode_images`] that also keeps the intermediate tensors.
    pub fn encode_images_traced(
        &self,
        pixel_values: &Tensor,
        grids: &[Grid],
        mut trace: Option<&mut Trace>,
    ) -> Result<ImageFeatures> {
        vision::check_input(&self.config.vision, pixel_values, grids)?;
        let pixels = pixel_values.to_device(&self.device)?.to_dtype(self.dtype)?;
        Ok(self.net.visual.forward(&pixels, grids, &mut trace)?)
    }

    /// Hidden states `(B, T, H)` after the final norm. With a cache, the batch is a new prompt or continues its rows.
    pub fn forward(
        &self,
        batch: &Batch,
        images: Option<&ImageFeatures>,
        mut cache: Option<&mut KvCache>,
        mut trace: Option<&mut Trace>,
    ) -> Result<Tensor> {
        if let Some(cache) = cache.as_deref_mut() {
            cache.begin(batch)?;
        }
        let x = self.embed(batch, images)?;
        note(&mut trace, || "text.inputs_embeds".into(), &x);
        let context = self.context(batch, images, cache.as_deref(), &mut trace)?;
        let x = self.net.language_model.forward(x, &context, &mut trace)?;
        if let Some(cache) = cache {
            cache.advance(batch.width);
        }
        Ok(x)
    }

    /// The decoder, for passes that take it layer by layer.
    pub(crate) fn decoder(&self) -> &TextModel {
        &self.net.language_model
    }

    /// What the decoder layers need besides the hidden states.
    pub(crate) fn context<'a>(
        &self,
        batch: &Batch,
        images: Option<&'a ImageFeatures>,
        cache: Option<&'a KvCache>,
        trace: &mut Option<&mut Trace>,
    ) -> Result<Context<'a>> {
        let (cos, sin) = text_rope(&self.config, &batch.positions);
        let shape = (batch.rows, batch.width, self.config.text.head_dim);
        let cos = Tensor::from_vec(cos, shape, &self.device)?;
        let sin = Tensor::from_vec(sin, shape, &self.device)?;
        note(trace, || "text.rope_cos".into(), &cos);
        note(trace, || "text.rope_sin".into(), &sin);
        let mask = match batch.tails.is_empty() {
            true => Mask::Causal { offset: 0, start: batch.start.clone() },
            false => Mask::Tails { cu: batch.tails.clone() },
        };
        let deepstack = match images {
            Some(images) if !images.deepstack.is_empty() && !batch.visual.is_empty() => {
                let rows = Tensor::from_slice(&batch.visual, batch.visual.len(), &self.device)?;
                Some((rows, images.deepstack.as_slice()))
            }
            _ => None,
        };
        let (cos, sin) = (cos.to_dtype(self.dtype)?, sin.to_dtype(self.dtype)?);
        Ok(Context { cos, sin, mask, cache, deepstack })
    }

    /// Token embeddings with the image features in their places, `(B, T, H)`.
    pub(crate) fn embed(&self, batch: &Batch, images: Option<&ImageFeatures>) -> Result<Tensor> {
        let have = images.map_or(Ok(0), |images| images.embeds.dim(0))?;
        if have != batch.visual.len() {
            return Err(Failure::data(format!(
                "the batch has places for {} image tokens, {have} were encoded",
                batch.visual.len()
            )));
        }
        let table = &self.net.language_model.embed;
        let shape = (batch.rows, batch.width, self.config.text.hidden_size);
        let look_up = |ids: &[u32]| -> candle_core::Result<Tensor> { table.rows(ids)?.to_dtype(self.dtype) };
        let Some(images) = images.filter(|_| have > 0) else {
            return Ok(look_up(&batch.ids)?.reshape(shape)?);
        };
        // Runs of text and picture alternate: looking up text only and joining the runs copies each row once.
        let runs = runs(batch.ids.len(), &batch.visual);
        let text_ids = runs.iter().filter(|run| !run.visual).flat_map(|run| &batch.ids[run.from..run.to]);
        let text = look_up(&text_ids.copied().collect::<Vec<u32>>())?;
        let embeds = images.embeds.to_dtype(self.dtype)?;
        let (mut text_at, mut image_at) = (0, 0);
        let mut parts = Vec::with_capacity(runs.len());
        for run in &runs {
            let (source, at) = if run.visual { (&embeds, &mut image_at) } else { (&text, &mut text_at) };
            parts.push(source.narrow(0, *at, run.to - run.from)?);
            *at += run.to - run.from;
        }
        Ok(Tensor::cat(&parts, 0)?.reshape(shape)?)
    }

    /// The output head `(V, H)`.
    pub fn head(&self) -> &Weight {
        self.net.lm_head.as_ref().unwrap_or(&self.net.language_model.embed)
    }

    /// Logits `(.., V)` of hidden states `(.., H)`, in f32.
    pub fn logits(&self, hidden: &Tensor) -> Result<Tensor> {
        Ok(self.head().matmul(hidden)?.to_dtype(DType::F32)?)
    }

    /// Writes every tensor under the checkpoint's names, an adapter merged in, through a temporary file.
    pub fn save(&self, path: &Path, dtype: DType) -> Result<()> {
        write_safetensors(path, &self.checkpoint(Some(dtype))?, metadata())
    }

    /// What [`Vlm::save`] writes, in memory.
    pub fn to_bytes(&self, dtype: DType) -> Result<Vec<u8>> {
        to_safetensors(&self.checkpoint(Some(dtype))?, metadata())
    }

    /// Every tensor under the checkpoint's names, an adapter merged in; nothing is copied that need not change.
    pub(crate) fn checkpoint(&self, dtype: Option<DType>) -> Result<HashMap<String, Tensor>> {
        let mut out = HashMap::new();
        for (name, tensor) in &self.tensors {
            let tensor = match &self.adapter {
                Some(adapter) => adapter.merged(name, tensor)?,
                None => tensor.to_dense()?,
            };
            out.insert(
                self.own_names[name].clone(),
                tensor.detach().to_dtype(dtype.unwrap_or(tensor.dtype()))?.contiguous()?,
            );
        }
        Ok(out)
    }
}

fn metadata() -> HashMap<String, String> {
    HashMap::from([("format".to_string(), "pt".to_string())])
}

/// The bytes of a safetensors file: the same for the same content, also its metadata, which the library writes in the
/// order of a hash map.
pub(crate) fn to_safetensors(tensors: &HashMap<String, Tensor>, metadata: HashMap<String, String>) -> Result<Vec<u8>> {
    let failed = |e: String| Failure::data(format!("cannot serialise: {e}"));
    let several = metadata.len() > 1;
    let mut bytes = safetensors::serialize(tensors, Some(metadata)).map_err(|e| failed(e.to_string()))?;
    if several {
        let (length, rest) = bytes.split_first_chunk_mut::<8>().ok_or_else(|| failed("no header".into()))?;
        let header = rest.get_mut(..u64::from_le_bytes(*length) as usize).ok_or_else(|| failed("no header".into()))?;
        let mut json: serde_json::Value = serde_json::from_slice(header).map_err(|e| failed(e.to_string()))?;
        json["__metadata__"].sort_all_objects();
        let mut text = json.to_string().into_bytes();
        text.resize(header.len(), b' ');
        header.copy_from_slice(&text);
    }
    Ok(bytes)
}

/// Writes a safetensors file beside its final place, syncs it and renames it over.
pub(crate) fn write_safetensors(
    path: &Path,
    tensors: &HashMap<String, Tensor>,
    metadata: HashMap<String, String>,
) -> Result<()> {
    let name = path.file_name().map_or("model.safetensors".into(), |name| name.to_string_lossy().into_owned());
    let temporary = path.with_file_name(format!(".{name}.{}.tmp", std::process::id()));
    let write = || -> Result<()> {
        safetensors::serialize_to_file(tensors, Some(metadata), &temporary).map_err(|e| match e {
            safetensors::SafeTensorError::IoError(e) => io_at(&temporary)(e),
            other => Failure::data(format!("{}: {other}", temporary.display())),
        })?;
        std::fs::File::open(&temporary).and_then(|file| file.sync_all()).map_err(io_at(&temporary))?;
        std::fs::rename(&temporary, path).map_err(io_at(path))
    };
    let result = write();
    if result.is_err() {
        let _ = std::fs::remove_file(&temporary);
    }
    result
}

struct Run {
    from: usize,
    to: usize,
    visual: bool,
}

/// Cuts `0..len` at the borders between text and the sorted picture indices.
fn runs(len: usize, visual: &[u32]) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    let mut visual = visual.iter().peekable();
    for i in 0..len {
        let is_visual = visual.next_if(|at| **at as usize == i).is_some();
        match runs.last_mut() {
            Some(run) if run.visual == is_visual => run.to = i + 1,
            _ => runs.push(Run { from: i, to: i + 1, visual: is_visual }),
        }
    }
    runs
}
