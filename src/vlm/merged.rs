//! A model's weights one tensor at a time, an adapter merged in: what is written by an export never is in memory whole.

use super::{
    build::Layout,
    config::VlmConfig,
    lora::Adapter,
    model::layout,
    peft::{FIRST, digest_part, finish_digest, read_adapter},
    weight::Weight,
    weights::Weights,
};
use crate::error::{Failure, Result};
use candle_core::{DType, Device, Tensor};
use sha2::{Digest, Sha256};
use std::path::Path;

/// An opened checkpoint and what is added to it.
pub struct Merged {
    config: VlmConfig,
    layout: Layout,
    weights: Weights,
    adapter: Option<Adapter>,
}

impl Merged {
    /// Takes a checkpoint and, if there is one, the PEFT folder of its adapter.
    ///
    /// # Errors
    /// Tensors that are missing or misshapen; an adapter that belongs to another base.
    pub fn new(mut config: VlmConfig, weights: Weights, adapter: Option<&Path>) -> Result<Self> {
        config.tie_word_embeddings.get_or_insert(!weights.has("lm_head.weight"));
        let layout = layout(&config)?;
        let mut merged = Merged { config, layout, weights, adapter: None };
        if let Some(dir) = adapter {
            let mine = merged.digest()?;
            merged.adapter = Some(read_adapter(dir, &merged.layout.linears, &mine, &Device::Cpu)?);
        }
        Ok(merged)
    }

    /// The same as [`super::Vlm::base_digest`].
    fn digest(&self) -> Result<String> {
        let mut names: Vec<&(String, Vec<usize>)> = self.layout.tensors.iter().collect();
        names.sort();
        let mut hash = Sha256::new();
        for (name, shape) in names {
            digest_part(&mut hash, name, shape, &self.weights.first(name, FIRST)?);
        }
        Ok(finish_digest(hash))
    }

    /// The configuration, with `tie_word_embeddings` decided.
    pub fn config(&self) -> &VlmConfig {
        &self.config
    }

    /// Every tensor (canonical name, shape), in module order.
    pub fn tensors(&self) -> &[(String, Vec<usize>)] {
        &self.layout.tensors
    }

    /// Number of parameters.
    pub fn parameter_count(&self) -> usize {
        self.layout.tensors.iter().map(|(_, shape)| shape.iter().product::<usize>()).sum()
    }

    /// The checkpoint's own spelling of a canonical name.
    pub fn own_name<'a>(&'a self, name: &'a str) -> &'a str {
        self.weights.own_name(name).unwrap_or(name)
    }

    /// A tensor in f32, by canonical name.
    ///
    /// # Errors
    /// A name that the model does not have; unreadable files.
    pub fn tensor(&self, name: &str) -> Result<Tensor> {
        let Some((_, shape)) = self.layout.tensors.iter().find(|(own, _)| own == name) else {
            return Err(Failure::data(format!("the model has no tensor {name}")));
        };
        let (_, tensor) = self.weights.load(name, shape, DType::F32, &Device::Cpu)?;
        match &self.adapter {
            Some(adapter) => adapter.merged(name, &Weight::Dense(tensor)),
            None => Ok(tensor),
        }
    }
}
