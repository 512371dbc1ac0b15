//! Random weights from named streams: the same seed and name give the same numbers whatever else is drawn.
//!
//! Matrices are N(0, 1/fan_in), the projections that write into a residual stream are divided by
//! sqrt(2 * layers), norms are 1 and biases 0. Never candle's own generator, which cannot be seeded on CPU.

use super::{build::Layout, config::VlmConfig};
use crate::{
    error::{Failure, Result},
    streams::Stream,
};
use candle_core::{Device, Tensor};
use std::collections::HashMap;

/// What a tensor starts as.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scale {
    /// Norm weights.
    Ones,
    /// Biases.
    Zeros,
    /// Normal numbers with this standard deviation.
    Normal(f64),
}

/// What a tensor of a (canonical) name and shape starts as.
pub fn scale(config: &VlmConfig, name: &str, shape: &[usize]) -> Scale {
    match shape.len() {
        0 | 1 if name.ends_with(".weight") => Scale::Ones,
        0 | 1 => Scale::Zeros,
        _ => {
            let fan_in: usize = shape[1..].iter().product();
            let depth =
                if name.starts_with("model.visual.") { config.vision.depth } else { config.text.num_hidden_layers };
            let residual = if writes_residual(name) { (2. * depth as f64).sqrt() } else { 1. };
            Scale::Normal(1. / (fan_in as f64).sqrt() / residual)
        }
    }
}

/// Random tensors for every expected (canonical) name of a configuration, f32.
pub fn random_tensors(config: &VlmConfig, layout: &Layout, seed: u64) -> Result<HashMap<String, Tensor>> {
    let mut out = HashMap::new();
    for (name, shape) in &layout.tensors {
        let count = elements(name, shape)?;
        let values = match scale(config, name, shape) {
            Scale::Ones => vec![1f32; count],
            Scale::Zeros => vec![0f32; count],
            Scale::Normal(deviation) => Stream::new(seed, name).normals(count, deviation),
        };
        out.insert(name.clone(), Tensor::from_vec(values, shape.as_slice(), &Device::Cpu)?);
    }
    Ok(out)
}

/// Number of elements of a tensor that is to be made.
///
/// # Errors
/// Exit 2 for one that no machine of today holds.
pub fn elements(name: &str, shape: &[usize]) -> Result<usize> {
    let count = shape.iter().try_fold(1usize, |n, d| n.checked_mul(*d)).filter(|n| *n <= 1 << 34);
    count.ok_or_else(|| Failure::usage(format!("{name} {shape:?} is too large to draw")).hint("choose a smaller shape"))
}

fn writes_residual(name: &str) -> bool {
    let inside = name.contains(".layers.") || name.contains(".blocks.");
    let ends = ["self_attn.o_proj", "mlp.down_proj", "attn.proj", "mlp.fc2", "mlp.linear_fc2"];
    inside && ends.iter().any(|end| name.strip_suffix(".weight").is_some_and(|n| n.ends_with(end)))
}
