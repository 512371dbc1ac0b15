//! A branch: its network over an own set of named parameters, drawn from own streams, saved as safetensors.
//!
//! The network exists twice over the same storage, with and without gradients. Names begin with the branch (`il.`,
//! `tree.`, `selector.`), so that streams, optimizers and files of two branches can never meet.

use crate::{
    error::{Failure, Result},
    files::{RealFs, write_atomic},
    streams::Stream,
    vlm::{
        build::{Builder, Scope},
        init::elements,
        weight::Weight,
        weights::Weights,
    },
};
use candle_core::{DType, Device, Tensor, Var};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, path::Path};

/// Sizes of a branch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Shape {
    /// Width of the picture features, F.
    pub feature_width: usize,
    /// Hidden width, H.
    pub width: usize,
    /// Attention heads; they divide the hidden width.
    pub heads: usize,
    /// Decoder layers.
    pub layers: usize,
    /// Width inside the feed-forward parts.
    pub inner: usize,
    /// Tokens that the picture features are compressed to.
    pub registers: usize,
}

impl Default for Shape {
    fn default() -> Self {
        Shape { feature_width: 2048, width: 256, heads: 8, layers: 3, inner: 1024, registers: 64 }
    }
}

impl Shape {
    /// Fails on a size that is 0 or absurd, or heads that do not divide the width.
    ///
    /// # Errors
    /// Exit 2 with the name and the value.
    pub fn check(&self) -> Result<()> {
        let sizes = [
            ("feature_width", self.feature_width),
            ("width", self.width),
            ("heads", self.heads),
            ("layers", self.layers),
            ("inner", self.inner),
            ("registers", self.registers),
        ];
        for (name, size) in sizes {
            if size == 0 || size > 1 << 16 {
                return Err(Failure::usage(format!("trajectory: {name} is {size}; allowed: 1 to {}", 1 << 16)));
            }
        }
        if !self.width.is_multiple_of(self.heads) {
            let (width, heads) = (self.width, self.heads);
            return Err(Failure::usage(format!("trajectory: {heads} heads do not divide the width {width}"))
                .hint("choose a width that is a multiple of the heads, such as 256 and 8"));
        }
        Ok(())
    }
}

/// A network of type `N` and its parameters.
pub(crate) struct Branch<N> {
    vars: BTreeMap<String, Var>,
    trained: N,
    frozen: N,
}

impl<N> Branch<N> {
    /// Draws the parameters of a network that `make` builds under the name `name`.
    pub(crate) fn new(name: &str, seed: u64, make: impl Fn(&Scope) -> candle_core::Result<N>) -> Result<Self> {
        let recorder = Builder::Record(Default::default());
        make(&recorder.scope(name))?;
        let Builder::Record(layout) = recorder else {
            return Err(Failure::device(format!("{name}: the layout was not recorded")));
        };
        let mut vars = BTreeMap::new();
        for (name, shape) in &layout.into_inner().tensors {
            let values = start(name, shape, seed)?;
            vars.insert(name.clone(), Var::from_vec(values, shape.as_slice(), &Device::Cpu)?);
        }
        let build = |weight: fn(&Var) -> Tensor| {
            let tensors = vars.iter().map(|(name, var)| (name.clone(), Weight::Dense(weight(var)))).collect();
            make(&Builder::Build { tensors: &tensors, adapter: None }.scope(name))
        };
        let (trained, frozen) = (build(|var| var.as_tensor().clone())?, build(Var::as_detached_tensor)?);
        Ok(Branch { vars, trained, frozen })
    }

    /// Trainable tensors by name.
    pub(crate) fn vars(&self) -> &BTreeMap<String, Var> {
        &self.vars
    }

    /// The network whose results carry gradients.
    pub(crate) fn trained(&self) -> &N {
        &self.trained
    }

    /// The network whose results carry none.
    pub(crate) fn frozen(&self) -> &N {
        &self.frozen
    }

    /// The parameters and further tensors as one safetensors file.
    ///
    /// # Errors
    /// Exit 4 naming a tensor that is not finite.
    pub(crate) fn bytes(&self, more: &[(&str, &Tensor)]) -> Result<Vec<u8>> {
        let mut tensors = BTreeMap::new();
        for (name, var) in &self.vars {
            let tensor = var.as_detached_tensor();
            if !tensor.abs()?.sum_all()?.to_vec0::<f32>()?.is_finite() {
                return Err(Failure::device(format!("{name} holds a NaN or an infinity, so it is not written")));
            }
            tensors.insert(name.clone(), tensor);
        }
        tensors.extend(more.iter().map(|(name, tensor)| (name.to_string(), (*tensor).clone())));
        safetensors::serialize(&tensors, None).map_err(|e| Failure::data(format!("{e}")))
    }

    /// Writes [`Branch::bytes`] to a file, in one step.
    pub(crate) fn save(&self, path: &Path, more: &[(&str, &Tensor)]) -> Result<()> {
        write_atomic(&RealFs, path, &self.bytes(more)?)
    }

    /// Reads the parameters that [`Branch::save`] wrote; the opened file, for further tensors.
    ///
    /// # Errors
    /// A tensor that is missing or of another shape, before anything is changed; a number that is not finite.
    pub(crate) fn load(&mut self, path: &Path) -> Result<Weights> {
        let weights = Weights::open_file(path)?;
        let mut read = Vec::new();
        for (name, var) in &self.vars {
            let (_, tensor) = weights.load(name, var.dims(), DType::F32, &Device::Cpu)?;
            let sum = tensor.abs()?.sum_all()?.to_vec0::<f32>()?;
            if !sum.is_finite() {
                return Err(Failure::data(format!("{}: {name} holds a number that is not finite", path.display()))
                    .hint("take an earlier checkpoint, or train it again"));
            }
            read.push((var, tensor));
        }
        for (var, tensor) in read {
            var.set(&tensor)?;
        }
        Ok(weights)
    }
}

/// What a tensor starts as: norms 1, biases 0, tables N(0, 1), matrices N(0, 1/fan_in), a fifth of that where they
/// write into a residual stream, a twentieth where they are the last of a head, so that a head starts near its bias.
fn start(name: &str, shape: &[usize], seed: u64) -> Result<Vec<f32>> {
    let count = elements(name, shape)?;
    let fan_in = shape.last().copied().unwrap_or(1).max(1) as f64;
    let deviation = match name.rsplit_once('.') {
        Some((_, "bias")) => return Ok(vec![0.0; count]),
        Some((_, "weight")) if shape.len() < 2 => return Ok(vec![1.0; count]),
        Some((_, "table")) => 1.0,
        Some((at, _)) if at.ends_with(".out") || at.ends_with(".down") => 0.2 / fan_in.sqrt(),
        Some((at, _)) if at.ends_with("_head") => 0.05 / fan_in.sqrt(),
        _ => 1.0 / fan_in.sqrt(),
    };
    Ok(Stream::new(seed, name).normals(count, deviation))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn starts_depend_on_seed_and_name_only() {
        let deviation = |name: &str, shape: &[usize]| {
            let values = start(name, shape, 3).unwrap();
            (values.iter().map(|x| f64::from(x * x)).sum::<f64>() / values.len() as f64).sqrt()
        };
        assert!((deviation("il.a.weight", &[64, 100]) - 0.1).abs() < 0.01);
        assert!((deviation("il.a.out.weight", &[64, 100]) - 0.02).abs() < 0.002);
        assert!((deviation("il.score_head.weight", &[64, 100]) - 0.005).abs() < 0.0005);
        assert!((deviation("il.registers.table", &[64, 100]) - 1.0).abs() < 0.05);
        assert_eq!((deviation("il.norm.weight", &[7]), deviation("il.norm.bias", &[7])), (1.0, 0.0));
        let drawn = |seed| start("il.a.weight", &[2, 3], seed).unwrap();
        assert!(drawn(1) == drawn(1) && drawn(1) != drawn(2));
    }

    #[test]
    fn shapes_are_checked() {
        assert!(Shape::default().check().is_ok());
        let bad = |shape: Shape| shape.check().unwrap_err().message;
        assert!(bad(Shape { heads: 7, ..Shape::default() }).contains("7 heads"));
        assert!(bad(Shape { layers: 0, ..Shape::default() }).contains("layers is 0"));
    }
}
