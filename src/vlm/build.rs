//! How modules get their tensors: by the name tree of the checkpoint, from a table that was loaded before.
//!
//! The same constructors run in two modes. Recording, they list every expected (name, shape) and every linear
//! layer of a configuration (used to load, to initialise, to place adapters and to explain a missing tensor);
//! building, they take the tensors. Names here are canonical: `model.visual.*`, `model.language_model.*`,
//! `lm_head.weight`; [`canonical`] maps older spellings to them.

use super::{
    lora::{Adapter, Slot},
    quant::rule::Role,
    weight::Weight,
};
use candle_core::{Result, Tensor};
use std::{cell::RefCell, collections::BTreeMap};

/// Canonical form of a tensor or module name: accepts `visual.*`, `model.layers.*` (as first published),
/// `language_model.*` (a bare inner model) and the current names themselves.
pub fn canonical(name: &str) -> String {
    if name.starts_with("model.visual.") || name.starts_with("model.language_model.") {
        return name.to_string();
    }
    if let Some(rest) = name.strip_prefix("language_model.model.") {
        return format!("model.language_model.{rest}");
    }
    if let Some(rest) = name.strip_prefix("language_model.lm_head.") {
        return format!("lm_head.{rest}");
    }
    if name.starts_with("visual.") || name.starts_with("language_model.") {
        return format!("model.{name}");
    }
    match name.strip_prefix("model.") {
        Some(rest) => format!("model.language_model.{rest}"),
        None => name.to_string(),
    }
}

/// A linear layer that may carry an adapter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinearSite {
    /// Canonical module name, for example `model.language_model.layers.0.self_attn.q_proj`.
    pub module: String,
    /// Input width.
    pub inputs: usize,
    /// Output width.
    pub outputs: usize,
}

/// What a recording run saw.
#[derive(Debug, Default)]
pub struct Layout {
    /// Every tensor and its shape, in module order.
    pub tensors: Vec<(String, Vec<usize>)>,
    /// Every linear layer.
    pub linears: Vec<LinearSite>,
    /// Tensors that may be quantized, and what they are for.
    pub matrices: BTreeMap<String, Role>,
}

pub(crate) enum Builder<'a> {
    Record(RefCell<Layout>),
    Build { tensors: &'a BTreeMap<String, Weight>, adapter: Option<&'a Adapter> },
}

impl Builder<'_> {
    pub(crate) fn scope(&self, prefix: &str) -> Scope<'_> {
        Scope { builder: self, prefix: prefix.to_string() }
    }
}

/// A place in the name tree.
pub(crate) struct Scope<'a> {
    builder: &'a Builder<'a>,
    prefix: String,
}

impl<'a> Scope<'a> {
    pub(crate) fn pp(&self, part: impl std::fmt::Display) -> Scope<'a> {
        Scope { builder: self.builder, prefix: format!("{}.{part}", self.prefix) }
    }

    /// The tensor `<prefix>.<name>`; recording, a placeholder.
    pub(crate) fn get(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        let name = format!("{}.{name}", self.prefix);
        match self.builder {
            Builder::Record(layout) => {
                layout.borrow_mut().tensors.push((name, shape.to_vec()));
                Tensor::zeros((), candle_core::DType::F32, &candle_core::Device::Cpu)
            }
            Builder::Build { tensors, .. } => match tensors.get(&name) {
                Some(weight) => Ok(weight.dense()?.clone()),
                None => candle_core::bail!("tensor {name} was not loaded"),
            },
        }
    }

    /// Like [`Scope::get`] for a matrix that is only multiplied by or looked up in, and may therefore be quantized.
    pub(crate) fn weight(&self, name: &str, shape: [usize; 2]) -> Result<Weight> {
        let full = format!("{}.{name}", self.prefix);
        match self.builder {
            Builder::Record(layout) => {
                let role = if full.contains("embed_tokens") || full.starts_with("lm_head") {
                    Role::Vocabulary
                } else if full.starts_with("model.visual.") {
                    Role::Vision
                } else {
                    Role::Text
                };
                layout.borrow_mut().matrices.insert(full, role);
                self.get(name, &shape).map(Weight::Dense)
            }
            Builder::Build { tensors, .. } => match tensors.get(&full) {
                Some(weight) => Ok(weight.clone()),
                None => candle_core::bail!("tensor {full} was not loaded"),
            },
        }
    }

    /// The adapter slot of this module, if any; recording, notes the linear layer.
    pub(crate) fn slot(&self, inputs: usize, outputs: usize) -> Option<Slot> {
        match self.builder {
            Builder::Record(layout) => {
                layout.borrow_mut().linears.push(LinearSite { module: self.prefix.clone(), inputs, outputs });
                None
            }
            Builder::Build { adapter, .. } => adapter.and_then(|adapter| adapter.slots.get(&self.prefix).cloned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::canonical;

    #[test]
    fn old_and_new_names_meet() {
        for (old, new) in [
            ("visual.blocks.0.norm1.weight", "model.visual.blocks.0.norm1.weight"),
            ("model.layers.3.mlp.up_proj.weight", "model.language_model.layers.3.mlp.up_proj.weight"),
            ("model.norm.weight", "model.language_model.norm.weight"),
            ("language_model.norm.weight", "model.language_model.norm.weight"),
            ("language_model.model.norm.weight", "model.language_model.norm.weight"),
            ("lm_head.weight", "lm_head.weight"),
        ] {
            assert_eq!(canonical(old), new);
            assert_eq!(canonical(new), new);
        }
    }
}
