//! Finding and reading fixtures, and comparing with them.

use candle_core::{DType, Device, Tensor};
use std::{collections::HashMap, path::PathBuf};

/// Tensors of one safetensors file by name.
pub type Tensors = HashMap<String, Tensor>;

/// The fixture folder: `REINSMAN_HF_FIXTURES` or the one in the repository.
pub fn root() -> PathBuf {
    match std::env::var_os("REINSMAN_HF_FIXTURES") {
        Some(dir) => PathBuf::from(dir),
        None => PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/hf_parity"),
    }
}

/// Every folder that holds `ckpt/config.json`, sorted; panics when there is none.
pub fn families() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(root())
        .unwrap_or_else(|e| panic!("{}: {e}", root().display()))
        .map(|entry| entry.unwrap().path())
        .filter(|dir| dir.join("ckpt/config.json").is_file())
        .collect();
    found.sort();
    assert!(!found.is_empty(), "no model family under {}", root().display());
    found
}

/// Reads a safetensors file, or `None` when it does not exist.
pub fn tensors(path: &std::path::Path) -> Option<Tensors> {
    path.is_file().then(|| {
        candle_core::safetensors::load(path, &Device::Cpu).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    })
}

/// Reads a JSON file, or `None` when it does not exist.
pub fn json(path: &std::path::Path) -> Option<serde_json::Value> {
    path.is_file().then(|| {
        serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    })
}

/// Largest absolute difference and largest absolute expected value, in f32; shapes must agree.
pub fn max_diff(got: &Tensor, want: &Tensor) -> (f32, f32) {
    assert_eq!(got.dims(), want.dims(), "shapes differ");
    let flat = |t: &Tensor| t.to_dtype(DType::F32).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let (got, want) = (flat(got), flat(want));
    let diff = got
        .iter()
        .zip(&want)
        .map(|(g, w)| if g.is_finite() { (g - w).abs() } else { f32::INFINITY })
        .fold(0., f32::max);
    (diff, want.iter().fold(0., |m: f32, w| m.max(w.abs())))
}

/// Fails with a readable line unless every element is within `tolerance`.
pub fn assert_close(what: &str, got: &Tensor, want: &Tensor, tolerance: f32) {
    let (diff, scale) = max_diff(got, want);
    assert!(diff <= tolerance, "{what}: max |difference| {diff:e} over {tolerance:e} (max |expected| {scale:e})");
}
