//! Low-rank adapters: `y += scale * B(A(x))` on chosen linear layers, scale `alpha/r` or (rslora) `alpha/sqrt(r)`.
//!
//! A starts Kaiming-uniform(a = sqrt 5), that is uniform in +-1/sqrt(inputs), B at zero, so a fresh adapter changes
//! nothing. Reference: Hu et al. 2021 (LoRA), Kalajdzievski 2023 (rslora); names and matching rules as in PEFT.

use super::{
    build::{LinearSite, canonical},
    linear::matmul,
    ops,
    weight::Weight,
};
use crate::{
    error::{Failure, Result},
    streams::Stream,
};
use candle_core::{Device, Tensor, Var};
use regex_lite::Regex;
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

/// The language model's attention and MLP projections: what is adapted unless something else is asked for.
pub const DEFAULT_TARGETS: &str =
    r".*language_model\.layers\.\d+\.(self_attn\.(q|k|v|o)_proj|mlp\.(gate|up|down)_proj)";

/// Which linear layers carry an adapter.
#[derive(Debug, Clone, PartialEq)]
pub enum Targets {
    /// Must match the whole module name.
    Regex(String),
    /// The module name or its end, as in `["q_proj", "v_proj"]`. Also hits the vision tower's layers of that name.
    Suffixes(Vec<String>),
}

/// What an adapter looks like.
#[derive(Debug, Clone, PartialEq)]
pub struct LoraSpec {
    /// Rank.
    pub r: usize,
    /// Numerator of the scale.
    pub alpha: f64,
    /// Adapted layers.
    pub target_modules: Targets,
    /// Scale by `alpha/sqrt(r)`.
    pub use_rslora: bool,
    /// Probability of dropping an input element of A while dropout is on ([`super::Vlm::set_dropout`]).
    pub dropout: f64,
    /// Rank for modules matching a pattern; the first match wins.
    pub rank_pattern: Vec<(String, usize)>,
    /// Alpha for modules matching a pattern; the first match wins.
    pub alpha_pattern: Vec<(String, f64)>,
    /// Seed of the initial A.
    pub seed: u64,
}

impl Default for LoraSpec {
    fn default() -> Self {
        LoraSpec {
            r: 16,
            alpha: 32.,
            target_modules: Targets::Regex(DEFAULT_TARGETS.into()),
            use_rslora: false,
            dropout: 0.,
            rank_pattern: Vec::new(),
            alpha_pattern: Vec::new(),
            seed: 0,
        }
    }
}

type Matcher = Box<dyn Fn(&str) -> bool>;

impl LoraSpec {
    /// Refuses values that mean nothing.
    pub fn check(&self) -> Result<()> {
        let ranks = std::iter::once(self.r).chain(self.rank_pattern.iter().map(|(_, r)| *r));
        if let Some(r) = ranks.into_iter().find(|r| *r == 0 || *r > 4096) {
            return Err(Failure::usage(format!("LoRA rank r is {r}; allowed: 1 to 4096")));
        }
        let alphas = std::iter::once(self.alpha).chain(self.alpha_pattern.iter().map(|(_, a)| *a));
        if let Some(alpha) = alphas.into_iter().find(|a| !a.is_finite()) {
            return Err(Failure::usage(format!("LoRA alpha is {alpha}; allowed: a finite number")));
        }
        if !(0. ..1.).contains(&self.dropout) {
            return Err(Failure::usage(format!("LoRA dropout is {}; allowed: 0 up to below 1", self.dropout)));
        }
        Ok(())
    }

    /// Rank and scale of one module.
    pub fn rank_and_scale(&self, module: &str) -> Result<(usize, f64)> {
        let r = first_match(&self.rank_pattern, module)?.unwrap_or(self.r);
        let alpha = first_match(&self.alpha_pattern, module)?.unwrap_or(self.alpha);
        let scale = if self.use_rslora { alpha / (r as f64).sqrt() } else { alpha / r as f64 };
        Ok((r, scale))
    }

    fn matcher(&self) -> Result<Matcher> {
        Ok(match &self.target_modules {
            Targets::Regex(pattern) if pattern == "all-linear" => Box::new(|_| true),
            Targets::Regex(pattern) => {
                let regex = compile(&format!("^(?:{pattern})$"), pattern)?;
                Box::new(move |name| regex.is_match(name))
            }
            Targets::Suffixes(list) => {
                let list = list.clone();
                Box::new(move |name| {
                    list.iter().any(|s| name.strip_suffix(s.as_str()).is_some_and(|n| n.is_empty() || n.ends_with('.')))
                })
            }
        })
    }

    /// The layers that this specification adapts; an error when there are none.
    pub fn sites<'a>(&self, linears: &'a [LinearSite]) -> Result<Vec<&'a LinearSite>> {
        let matches = self.matcher()?;
        let hit = |site: &&LinearSite| matches(&site.module) || matches(&published(&site.module));
        let sites: Vec<_> = linears.iter().filter(hit).collect();
        if sites.is_empty() {
            let names = linears.iter().rev().take(7).map(|s| s.module.as_str()).collect::<Vec<_>>().join(", ");
            return Err(Failure::usage(format!("LoRA target_modules {:?} match no layer", self.target_modules))
                .hint(format!("layers are named like {names}")));
        }
        Ok(sites)
    }
}

/// The spelling of a module's or tensor's name in the checkpoints as first published (`model.layers.*`, `visual.*`).
pub(crate) fn published(module: &str) -> String {
    match (module.strip_prefix("model.language_model."), module.strip_prefix("model.visual.")) {
        (Some(rest), _) => format!("model.{rest}"),
        (_, Some(rest)) => format!("visual.{rest}"),
        _ => module.to_string(),
    }
}

pub(crate) fn compile(pattern: &str, shown: &str) -> Result<Regex> {
    Regex::new(pattern).map_err(|e| {
        Failure::usage(format!("{shown:?} is not a usable regular expression: {e}"))
            .hint("look-around and back-references are not supported; a list of layer names works too")
    })
}

/// PEFT's rule: a pattern names a module or its end after a dot.
fn first_match<T: Copy>(patterns: &[(String, T)], module: &str) -> Result<Option<T>> {
    for (pattern, value) in patterns {
        let regex = compile(&format!(r"^(.*\.)?(?:{pattern})$"), pattern)?;
        if regex.is_match(module) || regex.is_match(&published(module)) {
            return Ok(Some(*value));
        }
    }
    Ok(None)
}

/// Shared by all slots of one adapter: on or off, and the dropout stream while training.
#[derive(Debug)]
pub(crate) struct Switch {
    pub(crate) off: AtomicBool,
    pub(crate) dropout: Mutex<Option<Stream>>,
}

/// The adapter of one linear layer.
#[derive(Debug, Clone)]
pub(crate) struct Slot {
    pub(crate) a: Tensor, // (r, I)
    pub(crate) b: Tensor, // (O, r)
    pub(crate) scale: f64,
    dropout: f64,
    switch: Arc<Switch>,
}

impl Slot {
    /// Whether the adapter is switched on.
    pub(crate) fn on(&self) -> bool {
        !self.switch.off.load(Ordering::Relaxed)
    }

    /// Whether it is on and drops elements of its input.
    pub(crate) fn drops(&self) -> bool {
        let stream = || self.switch.dropout.lock().unwrap_or_else(std::sync::PoisonError::into_inner).is_some();
        self.dropout > 0. && self.on() && stream()
    }

    /// `y + scale * drop(x) A' B'`, computed in the adapter's dtype.
    pub(crate) fn add_to(&self, x: &Tensor, y: Tensor) -> candle_core::Result<Tensor> {
        let x = self.drop(x.to_dtype(self.a.dtype())?)?;
        let low = (matmul(&x, &self.a)? * self.scale)?;
        let delta = matmul(&low, &self.b)?.to_dtype(y.dtype())?;
        y + delta
    }

    fn drop(&self, x: Tensor) -> candle_core::Result<Tensor> {
        let mut guard = self.switch.dropout.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let Some(stream) = guard.as_mut() else { return Ok(x) };
        let kept = (0..x.elem_count()).map(|_| stream.uniform() >= self.dropout).collect();
        drop(guard);
        ops::dropout(&x, kept, self.dropout)
    }

    fn detach(&self) -> Slot {
        Slot { a: self.a.detach(), b: self.b.detach(), ..self.clone() }
    }
}

/// An adapter over a whole model.
#[derive(Debug, Clone)]
pub(crate) struct Adapter {
    pub(crate) spec: LoraSpec,
    pub(crate) slots: BTreeMap<String, Slot>,
    pub(crate) switch: Arc<Switch>,
}

impl Adapter {
    /// A fresh adapter: A drawn, B zero.
    pub(crate) fn fresh(spec: &LoraSpec, linears: &[LinearSite], device: &Device) -> Result<Self> {
        spec.check()?;
        let mut pairs = BTreeMap::new();
        for site in spec.sites(linears)? {
            let (r, _) = spec.rank_and_scale(&site.module)?;
            let bound = 1. / (site.inputs as f64).sqrt();
            let mut stream = Stream::new(spec.seed, &format!("lora_A.{}", site.module));
            let a: Vec<f32> = (0..r * site.inputs).map(|_| ((2. * stream.uniform() - 1.) * bound) as f32).collect();
            let a = Tensor::from_vec(a, (r, site.inputs), device)?;
            let b = Tensor::zeros((site.outputs, r), candle_core::DType::F32, device)?;
            pairs.insert(site.module.clone(), (a, b));
        }
        Self::from_pairs(spec.clone(), pairs)
    }

    /// An adapter from given (A, B) by canonical module name.
    pub(crate) fn from_pairs(spec: LoraSpec, pairs: BTreeMap<String, (Tensor, Tensor)>) -> Result<Self> {
        let switch = Arc::new(Switch { off: AtomicBool::new(false), dropout: Mutex::new(None) });
        let mut slots = BTreeMap::new();
        for (module, (a, b)) in pairs {
            let (_, scale) = spec.rank_and_scale(&module)?;
            slots.insert(module, Slot { a, b, scale, dropout: spec.dropout, switch: switch.clone() });
        }
        Ok(Adapter { spec, slots, switch })
    }

    /// Turns A and B into variables, returned by their PEFT names.
    pub(crate) fn make_trainable(&mut self) -> Result<BTreeMap<String, Var>> {
        let mut vars = BTreeMap::new();
        for (module, slot) in &mut self.slots {
            for (half, tensor) in [("A", &mut slot.a), ("B", &mut slot.b)] {
                let var = Var::from_tensor(tensor)?;
                *tensor = var.as_tensor().clone();
                vars.insert(peft_name(module, half), var);
            }
        }
        Ok(vars)
    }

    /// The same numbers without gradients (storage shared, so updates are seen).
    pub(crate) fn detached(&self) -> Adapter {
        let slots = self.slots.iter().map(|(module, slot)| (module.clone(), slot.detach())).collect();
        Adapter { spec: self.spec.clone(), slots, switch: self.switch.clone() }
    }

    /// `w + scale * B A` of a module's weight, or the weight itself where there is no adapter.
    pub(crate) fn merged(&self, tensor_name: &str, w: &Weight) -> Result<Tensor> {
        let slot = tensor_name.strip_suffix(".weight").and_then(|module| self.slots.get(module));
        let w = w.to_dense()?;
        let Some(slot) = slot else { return Ok(w) };
        let delta = (slot.b.detach().matmul(&slot.a.detach())? * slot.scale)?;
        let w32 = w.detach().to_dtype(delta.dtype())?;
        Ok((w32 + delta)?.to_dtype(w.dtype())?)
    }
}

/// `base_model.model.<module>.lora_A.weight`, the name in an adapter file.
pub fn peft_name(module: &str, half: &str) -> String {
    format!("base_model.model.{module}.lora_{half}.weight")
}

/// Canonical module and half ("A"/"B") of a name in an adapter file, old or new spelling, with or without the
/// adapter's own name (`.default`).
pub fn parse_peft_name(name: &str) -> Option<(String, &'static str)> {
    let rest = name.strip_prefix("base_model.model.")?;
    for half in ["A", "B"] {
        for end in [format!(".lora_{half}.weight"), format!(".lora_{half}.default.weight")] {
            if let Some(module) = rest.strip_suffix(&end) {
                return Some((canonical(module), if half == "A" { "A" } else { "B" }));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn site(module: &str) -> LinearSite {
        LinearSite { module: module.into(), inputs: 4, outputs: 4 }
    }

    #[test]
    fn targets_match_as_in_peft() {
        let linears = [
            site("model.language_model.layers.0.self_attn.q_proj"),
            site("model.language_model.layers.0.mlp.up_proj"),
            site("model.visual.blocks.0.mlp.up_proj"),
        ];
        let count = |targets: Targets| {
            LoraSpec { target_modules: targets, ..Default::default() }.sites(&linears).map(|s| s.len())
        };
        assert_eq!(count(Targets::Regex(DEFAULT_TARGETS.into())).unwrap(), 2);
        assert_eq!(count(Targets::Suffixes(vec!["up_proj".into()])).unwrap(), 2);
        assert_eq!(count(Targets::Suffixes(vec!["p_proj".into()])).map_err(|e| e.kind).unwrap_err().exit_code(), 2);
        assert_eq!(count(Targets::Regex(r"model\.layers\.\d+\.self_attn\.q_proj".into())).unwrap(), 1);
        assert_eq!(count(Targets::Regex("all-linear".into())).unwrap(), 3);
    }

    #[test]
    fn patterns_change_rank_and_alpha() {
        let spec = LoraSpec {
            r: 4,
            alpha: 8.,
            rank_pattern: vec![("q_proj".into(), 16), ("self_attn.q_proj".into(), 2)],
            alpha_pattern: vec![(r"layers\.1\.mlp\.up_proj".into(), 2.)],
            ..Default::default()
        };
        let q = "model.language_model.layers.0.self_attn.q_proj";
        assert_eq!(spec.rank_and_scale(q).unwrap(), (16, 0.5));
        assert_eq!(spec.rank_and_scale("model.language_model.layers.1.mlp.up_proj").unwrap(), (4, 0.5));
        assert_eq!(spec.rank_and_scale("model.language_model.layers.11.mlp.up_proj").unwrap(), (4, 2.));
        let rs = LoraSpec { use_rslora: true, rank_pattern: vec![], ..spec };
        assert_eq!(rs.rank_and_scale(q).unwrap(), (4, 4.));
    }
}
