//! GGUF blocks: every number format found in `gguf/`, dequantised exactly; and pairs of files that hold the same model as
//! the checkpoint they were made from.

use crate::support;
use candle_core::{DType, Device, Tensor, quantized::QTensor};
use reinsman::vlm::gguf::GgufFile;

fn flat(tensor: &Tensor) -> Vec<f32> {
    tensor.to_dtype(DType::F32).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

/// Distance in representable numbers.
fn ulps(a: f32, b: f32) -> u32 {
    let order = |x: f32| {
        let bits = x.to_bits() as i32;
        if bits < 0 { i32::MIN - bits } else { bits }
    };
    order(a).abs_diff(order(b))
}

#[test]
fn every_format_dequantises_exactly() {
    let dir = support::root().join("gguf");
    let Some(expected) = support::tensors(&dir.join("dequantized.safetensors")) else { return };
    let file = GgufFile::open(&dir.join("tensors.gguf")).unwrap();
    assert!(!file.tensors().is_empty(), "no tensor in {}", dir.display());
    let x = &expected["x"];
    for tensor in file.tensors() {
        let what = format!("{} ({})", tensor.name, tensor.kind.name);
        let got = file.values(tensor, &Device::Cpu).unwrap();
        let want = &expected[&tensor.name];
        assert_eq!(got.dims(), want.dims(), "{what}");
        let worst = flat(&got).iter().zip(flat(want)).map(|(a, b)| ulps(*a, b)).max().unwrap();
        assert!(worst <= 1, "{what}: {worst} ulp");
        let product = x.matmul(&got.t().unwrap()).unwrap();
        let want = &expected[&format!("matmul.{}", tensor.name)];
        let (_, scale) = support::max_diff(want, want);
        support::assert_close(&format!("{what}: matmul"), &product, want, 1e-5 * scale.max(1.));
    }
}

/// The quantiser makes the reference's bytes where the reference has a quantiser.
#[test]
fn quantised_bytes_are_the_references() {
    let dir = support::root().join("gguf");
    let Some(expected) = support::tensors(&dir.join("dequantized.safetensors")) else { return };
    let file = GgufFile::open(&dir.join("tensors.gguf")).unwrap();
    for tensor in file.tensors().iter().filter(|tensor| tensor.kind.name == "Q8_0") {
        let Some(source) = expected.get(&format!("src.{}", tensor.name)) else { continue };
        let made = QTensor::quantize(source, tensor.kind.candle().unwrap()).unwrap();
        assert_eq!(&*made.data().unwrap(), file.bytes(tensor), "{}", tensor.name);
    }
}
