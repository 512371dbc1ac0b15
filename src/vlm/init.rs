//! Random weights from named streams: the same seed and name give the same numbers whatever else is drawn.
//!
//! Matrices are N(0, 1/fan_in), the projections that write into a residual stream are divided by
//! sqrt(2 * layers), norms are 1 and biases 0. Never candle's own generator, which cannot be seeded on CPU.

use super::{build::Layout, config::VlmConfig};
use crate::error::{Failure, Result};
use candle_core::{Device, Tensor};
use rand_core::{Rng, SeedableRng};
use rand_pcg::Pcg64;
use sha2::{Digest, Sha256};
use std::collections::HashMap;

/// A stream of random numbers with a name: PCG-XSL-RR 128/64 seeded with SHA-256(seed, name).
#[derive(Debug, Clone)]
pub struct Stream(Pcg64);

impl Stream {
    /// The stream `name` of a seed.
    pub fn new(seed: u64, name: &str) -> Self {
        let mut hash = Sha256::new();
        hash.update(seed.to_le_bytes());
        hash.update(name.as_bytes());
        Stream(Pcg64::from_seed(hash.finalize().into()))
    }

    /// Uniform in [0, 1), 53 bits.
    pub fn uniform(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Standard normal (Box and Muller).
    pub fn normal(&mut self) -> f64 {
        let (u, v) = (1. - self.uniform(), self.uniform());
        (-2. * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
    }

    /// `n` normal numbers with a standard deviation.
    pub fn normals(&mut self, n: usize, deviation: f64) -> Vec<f32> {
        (0..n).map(|_| (self.normal() * deviation) as f32).collect()
    }
}

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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn streams_are_reproducible_and_apart() {
        let draw = |seed, name| Stream::new(seed, name).normals(10_001, 1.);
        assert_eq!(draw(1, "a"), draw(1, "a"));
        assert_ne!(draw(1, "a"), draw(1, "b"));
        assert_ne!(draw(1, "a"), draw(2, "a"));
        let x = draw(7, "moments");
        let mean = x.iter().sum::<f32>() / x.len() as f32;
        let var = x.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / x.len() as f32;
        assert!(mean.abs() < 0.04 && (var - 1.).abs() < 0.05, "mean {mean} variance {var}");
        let (a, b) = (draw(1, "a"), draw(2, "a"));
        let dot = a.iter().zip(&b).map(|(x, y)| x * y).sum::<f32>() / a.len() as f32;
        assert!(dot.abs() < 0.04, "neighbouring seeds correlate: {dot}");
    }
}
