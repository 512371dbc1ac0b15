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

/// Random tensors for every expected (canonical) name of a configuration, f32.
pub fn random_tensors(config: &VlmConfig, layout: &Layout, seed: u64) -> Result<HashMap<String, Tensor>> {
    let mut out = HashMap::new();
    for (name, shape) in &layout.tensors {
        let count = shape.iter().try_fold(1usize, |n, d| n.checked_mul(*d)).filter(|n| *n <= 1 << 34);
        let count = count.ok_or_else(|| {
            Failure::usage(format!("{name} {shape:?} is too large to draw")).hint("choose a smaller shape")
        })?;
        let values = match shape.len() {
            1 if name.ends_with(".weight") => vec![1f32; count],
            1 => vec![0f32; count],
            _ => {
                let fan_in: usize = shape[1..].iter().product();
                let depth =
                    if name.starts_with("model.visual.") { config.vision.depth } else { config.text.num_hidden_layers };
                let residual = if writes_residual(name) { (2. * depth as f64).sqrt() } else { 1. };
                Stream::new(seed, name).normals(count, 1. / (fan_in as f64).sqrt() / residual)
            }
        };
        out.insert(name.clone(), Tensor::from_vec(values, shape.as_slice(), &Device::Cpu)?);
    }
    Ok(out)
}

fn writes_residual(name: &str) -> bool {
    let inside = name.contains(".layers.") || name.contains(".blocks.");
    let ends = ["self_attn.o_proj", "mlp.down_proj", "attn.proj", "mlp.fc2", "mlp.linear_fc2"];
    inside && ends.iter().any(|end| name.strip_suffix(".weight").is_some_and(|n| n.ends_with(end)))
}
