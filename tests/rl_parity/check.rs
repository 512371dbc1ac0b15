//! Reading the JSON cases and comparing with them.

use crate::support;
use candle_core::{DType, Device, Tensor, Var};
use serde_json::Value;

/// Values are printed with 8 digits and were computed in f32.
const RELATIVE: f64 = 1e-5;

/// A file of `rl/` and its cases.
pub fn cases(file: &str) -> (Value, Vec<Value>) {
    let path = support::root().join("rl").join(file);
    let all = support::json(&path).unwrap_or_else(|| panic!("{} is missing", path.display()));
    let cases = all["cases"].as_array().unwrap().clone();
    assert!(!cases.is_empty());
    (all, cases)
}

/// Numbers; null is NaN.
pub fn list(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap_or(f64::NAN)).collect()
}

pub fn table(value: &Value) -> Vec<Vec<f64>> {
    value.as_array().unwrap().iter().map(list).collect()
}

/// A table as an f32 tensor.
pub fn tensor(rows: &[Vec<f64>]) -> Tensor {
    Tensor::new(rows.to_vec(), &Device::Cpu).unwrap().to_dtype(DType::F32).unwrap()
}

pub fn var(rows: &[Vec<f64>]) -> Var {
    Var::from_tensor(&tensor(rows)).unwrap()
}

pub fn scalar(tensor: &Tensor) -> f64 {
    tensor.to_dtype(DType::F64).unwrap().to_scalar().unwrap()
}

/// Fails unless `got` is within 1e-5 of `want`, relative to the larger of `want` and `scale`.
pub fn close(what: &str, got: f64, want: f64, scale: f64) {
    let near = (got - want).abs() <= RELATIVE * want.abs().max(scale);
    assert!(near || got.is_nan() && want.is_nan(), "{what}: {got} instead of {want}");
}

/// Compares a gradient, relative to each number and to a tenth of the largest one (sums in f32 cancel).
pub fn gradient(what: &str, got: &Tensor, want: &[Vec<f64>]) {
    let got = got.to_dtype(DType::F64).unwrap().to_vec2::<f64>().unwrap();
    let largest = want.iter().flatten().fold(0f64, |most, x| most.max(x.abs()));
    assert_eq!(got.len(), want.len(), "{what}");
    for (row, (got, want)) in got.iter().zip(want).enumerate() {
        assert_eq!(got.len(), want.len(), "{what}");
        for (token, (got, want)) in got.iter().zip(want).enumerate() {
            close(&format!("{what}: gradient of row {row} token {token}"), *got, *want, 0.1 * largest);
        }
    }
}

/// Compares every metric of the case that the loss is to give.
pub fn metrics(what: &str, got: &[(&'static str, f64)], want: &Value) {
    let want = want.as_object().unwrap();
    for (name, want) in want {
        let (_, got) = got.iter().find(|(known, _)| known == name).unwrap_or_else(|| panic!("{what}: no {name}"));
        close(&format!("{what}: {name}"), *got, want.as_f64().unwrap(), 0.1);
    }
    assert_eq!(got.len(), want.len(), "{what}: {got:?}");
}
