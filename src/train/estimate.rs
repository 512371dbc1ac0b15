//! What a training step will take, computed from shapes before anything is loaded: peak memory and arithmetic.
//!
//! The memory is what the code holds at its worst moment, tensor by tensor: weights as they are stored, the activations
//! that candle's graph keeps for the backward pass, gradients, moments, and the temporaries of the largest single
//! operation. Loading, a step and a save each have a peak of their own; freed memory stays with the process, so the
//! largest of the three counts. `B` rows of `T` tokens, other letters as in [`crate::vlm`].

use crate::{
    error::Result,
    vlm::{VlmConfig, config::Family, ops},
};
use candle_core::{DType, Device, Tensor};
use serde::Serialize;
use std::time::Instant;

/// A tensor of the model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Canonical name.
    pub name: String,
    /// Numbers in it.
    pub elements: u64,
    /// Bytes in memory, as it will be stored (packed copies included).
    pub bytes: u64,
    /// Whether it is held in blocks.
    pub packed: bool,
    /// Whether it is trained.
    pub trained: bool,
}

/// Low-rank adapters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Adapters {
    /// Numbers in all A and B.
    pub parameters: u64,
    /// Sum of the ranks over the decoder's adapted layers.
    pub ranks: u64,
    /// Sum of input and of output widths of the decoder's adapted layers.
    pub widths: [u64; 2],
    /// Whether inputs are dropped.
    pub dropout: bool,
}

/// The largest micro-batch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rows {
    /// B
    pub count: u64,
    /// T, the padded width.
    pub width: u64,
    /// Image tokens of all rows.
    pub image_tokens: u64,
    /// Image tokens of the largest picture.
    pub picture: u64,
    /// Tokens that carry loss, of all rows.
    pub scored: u64,
}

/// Everything that decides what a step takes.
#[derive(Debug, Clone)]
pub struct Setup {
    /// Shapes.
    pub config: VlmConfig,
    /// The model's tensors.
    pub tensors: Vec<Stored>,
    /// Adapters, when they are trained.
    pub adapters: Option<Adapters>,
    /// Whether arithmetic is in 16 bits, which runs on candle's own operations and keeps more.
    pub half: bool,
    /// One decoder layer at a time.
    pub checkpointing: bool,
    /// The largest micro-batch.
    pub rows: Rows,
    /// Micro-batches of a step.
    pub micro_batches: u64,
    /// Numbers in what is trained beside the model (an auxiliary head).
    pub beside: u64,
    /// Picture features that are kept from step to step.
    pub features: u64,
}

/// Peak memory by what holds it, in bytes. The three phases include everything but `base`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Memory {
    /// The program itself: code, tokenizer, thread stacks.
    pub base: u64,
    /// Weights as stored.
    pub weights: u64,
    /// Adapters and the moments of AdamW.
    pub optimizer: u64,
    /// Gradients of what is trained.
    pub gradients: u64,
    /// What the graph keeps for the backward pass.
    pub activations: u64,
    /// The largest temporaries of a step.
    pub temporaries: u64,
    /// Pictures: patches, features, activations of a trained tower.
    pub pictures: u64,
    /// The peak while loading.
    pub loading: u64,
    /// The peak of a step.
    pub step: u64,
    /// The peak while saving.
    pub saving: u64,
    /// The largest of the three, with `base`.
    pub peak: u64,
}

/// Measured on the release binary with a model of a few kilobytes.
const BASE: u64 = 20 << 20;
const F32: u64 = 4;
/// One part in so many of what comes and goes is lost between blocks of the heap, as measured.
const GAPS: u64 = 32;
/// Part of a matrix product's speed that a whole step reaches.
const SHARE: f64 = 0.6;

impl Setup {
    /// Numbers that are trained.
    pub fn trainable(&self) -> u64 {
        let own: u64 = self.tensors.iter().filter(|t| t.trained).map(|t| t.elements).sum();
        own + self.adapters.map_or(0, |a| a.parameters) + self.beside
    }

    /// Numbers in the model.
    pub fn parameters(&self) -> u64 {
        self.tensors.iter().map(|t| t.elements).sum()
    }

    fn trains(&self, part: &str) -> bool {
        self.tensors.iter().any(|t| t.trained && t.name.contains(part))
    }

    /// Bytes of one activation.
    fn number(&self) -> u64 {
        if self.half { 2 } else { F32 }
    }

    /// Numbers per token that the graph of one decoder layer keeps: results of the two norms, of q, k, v before and after
    /// the rotation, of attention, of the seven linears and of the two sums.
    fn layer(&self) -> u64 {
        let text = &self.config.text;
        let [h, i] = [text.hidden_size, text.intermediate_size].map(|n| n as u64);
        let [q, k] = [text.num_attention_heads, text.num_key_value_heads].map(|n| (n * text.head_dim) as u64);
        let normed = if self.config.family == Family::Qwen3Vl { q + k } else { 0 };
        let mut numbers = 6 * h + 3 * q + 3 * k + 3 * i + normed;
        if self.half {
            // Norms in f32 and their parts, half rotations, silu, and attention without its square matrices.
            numbers += 2 * (6 * h) + 4 * (q + k) + 4 * q + 2 * i;
        }
        let layers = text.num_hidden_layers.max(1) as u64;
        if let Some(Adapters { ranks, widths: [inputs, outputs], dropout, .. }) = self.adapters {
            numbers += ranks / layers;
            if dropout || self.half {
                // What is left of the input and its mask; base result, scaled inner product, difference, sum.
                numbers += (5 * inputs / 4 + 2 * outputs + 2 * ranks) / layers;
            }
        }
        numbers
    }

    /// Numbers per token alive while one layer's gradients are made.
    fn layer_temporaries(&self) -> u64 {
        let text = &self.config.text;
        5 * text.intermediate_size as u64 + 3 * text.hidden_size as u64
    }

    /// Bytes of the square matrices of one layer's attention, which only the composed form keeps.
    fn squares(&self) -> u64 {
        let heads = self.config.text.num_attention_heads as u64;
        if self.half { 4 * F32 * self.rows.count * heads * self.rows.width * self.rows.width } else { 0 }
    }

    /// Numbers per patch that the graph of a trained tower keeps.
    fn tower(&self) -> u64 {
        let vision = &self.config.vision;
        let [e, i] = [vision.embed_dim, vision.intermediate_size].map(|n| n as u64);
        let mlp = if self.config.family == Family::Qwen25Vl { 3 * i } else { 2 * i };
        let merger = 3 * e + vision.out_dim as u64 / 4;
        let mergers = 1 + vision.deepstack_visual_indexes.len() as u64;
        vision.depth as u64 * (12 * e + mlp) + mergers * merger + 3 * e
    }

    /// Patches of some image tokens.
    fn patches(&self, tokens: u64) -> u64 {
        let merge = self.config.vision.spatial_merge_size as u64;
        tokens * merge * merge
    }

    /// The memory of training.
    pub fn memory(&self) -> Memory {
        let (text, vision) = (&self.config.text, &self.config.vision);
        let rows = &self.rows;
        let (tokens, number) = (rows.count * rows.width, self.number());
        let (h, v) = (text.hidden_size as u64, text.vocab_size as u64);
        let layers = text.num_hidden_layers as u64;
        let trainable = self.trainable();

        let weights: u64 = self.tensors.iter().map(|t| t.bytes).sum();
        let adapters = self.adapters.map_or(0, |a| a.parameters) + self.beside;
        let optimizer = F32 * adapters + 2 * F32 * trainable;
        let gradients = F32 * trainable * if self.micro_batches > 1 { 2 } else { 1 };

        let one = number * tokens * self.layer() + self.squares();
        let kept = number * tokens * h;
        let activations = if self.checkpointing { (layers + 6) * kept + one } else { layers * one + 4 * kept };

        let chunk = rows.scored.min(if v > 1 << 15 { 64 } else { 128 });
        let head = if self.half { 4 * F32 * rows.scored * v } else { F32 * (chunk * v + 3 * rows.scored * h) };
        let table = F32 * v * h;
        let head = head + if self.trains("embed_tokens") || self.trains("lm_head") { 2 * table } else { 0 };
        let layer = number * tokens * self.layer_temporaries();

        let trained_tower = self.trains("visual.");
        let patches = self.patches(if trained_tower { rows.image_tokens } else { rows.picture });
        let [e, i] = [vision.embed_dim, vision.intermediate_size].map(|n| n as u64);
        let block = if trained_tower { number * patches * (5 * i + 6 * e) } else { 0 };
        let temporaries = head.max(layer).max(block);
        let per_patch = 2 * vision.patch_len() as u64 + if trained_tower { self.tower() } else { 8 * e + 3 * i };
        let features = rows.image_tokens * h * (1 + vision.deepstack_visual_indexes.len() as u64);
        let seeing = number * patches * per_patch;
        let pictures = self.features + number * features + if trained_tower { seeing } else { 0 };

        let resident = weights + optimizer;
        let beside = if trained_tower { 0 } else { seeing };
        let passing = gradients + activations + temporaries + pictures - self.features;
        let step = resident + self.features + (passing + passing / GAPS).max(beside);
        let largest = |counts: &dyn Fn(&Stored) -> bool| {
            self.tensors.iter().filter(|t| counts(t)).map(|t| t.elements * F32).max().unwrap_or(0)
        };
        // Files are read a tensor, or some rows to quantize, at a time.
        let loading = weights + 2 * largest(&|t| !t.packed);
        // Files are written from where the numbers lie, but for adapters; a check for finite numbers copies a tensor.
        let saving = resident + self.features + F32 * adapters + largest(&|t| t.trained);
        let peak = BASE + loading.max(step).max(saving);
        Memory {
            base: BASE,
            weights,
            optimizer,
            gradients,
            activations,
            temporaries,
            pictures,
            loading,
            step,
            saving,
            peak,
        }
    }

    /// Floating-point operations of a step: (of the decoder and the head, of the vision tower).
    pub fn operations(&self) -> (f64, f64) {
        let text = &self.config.text;
        let rows = &self.rows;
        let tokens = (rows.count * rows.width) as f64;
        let matrices = |part: &str, trained: bool| -> f64 {
            let wanted = |t: &&Stored| t.name.contains(part) && (!trained || t.trained) && !t.name.contains("embed");
            self.tensors.iter().filter(wanted).map(|t| t.elements as f64).sum()
        };
        let adapters = self.adapters.map_or(0.0, |a| a.parameters as f64);
        let layers = matrices("language_model.layers.", false);
        // Two products of T x T x D a head forward, five backward, half of each hidden by the causal mask.
        let width = (text.num_attention_heads * text.head_dim * text.num_hidden_layers) as f64;
        let attention = 2.0 * tokens * rows.width as f64 * width;
        let forward = 2.0 * (layers + adapters) * tokens + attention;
        let backward =
            2.0 * (layers + matrices("language_model.layers.", true) + 2.0 * adapters) * tokens + 2.5 * attention;
        let head = 2.0 * (rows.scored * (text.vocab_size * text.hidden_size) as u64) as f64;
        let head = head * if self.trains("embed_tokens") || self.trains("lm_head") { 4.0 } else { 3.0 };
        let again = if self.checkpointing { forward } else { 0.0 };
        let patches = self.patches(rows.image_tokens) as f64;
        let seen = 2.0 * matrices("visual.", false) * patches;
        let seen = seen * if self.trains("visual.") { 3.0 } else { 1.0 };
        let n = self.micro_batches as f64;
        (n * (forward + backward + again + head), n * seen)
    }
}

/// Floating-point operations a second of a whole step on a device: that of a matrix product of middle size, less what
/// the rest of a step (sums, norms, activations, copies) was measured to cost beside its products on a processor.
///
/// # Errors
/// Device trouble.
pub fn rate(device: &Device, dtype: DType) -> Result<f64> {
    // A GPU is not busy with less; on the processor f32 stands for both formats.
    let (size, dtype) = if device.is_cpu() { (512, DType::F32) } else { (4096, dtype) };
    let a = Tensor::ones((size, 2 * size), dtype, device)?;
    let product = || -> Result<()> {
        ops::linear(&a, &a)?;
        Ok(device.synchronize()?)
    };
    product()?; // wakes the threads
    let (mut runs, begin) = (0, Instant::now());
    while begin.elapsed().as_secs_f64() < 0.06 {
        product()?;
        runs += 1;
    }
    let product = begin.elapsed().as_secs_f64() / f64::from(runs.max(1));
    Ok(SHARE * 2.0 * (size * size * 2 * size) as f64 / product.max(1e-9))
}
