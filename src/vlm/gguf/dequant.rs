//! Blocks of a GGUF tensor to f32, exactly as the reference does it. candle's blocks and scalar code do the work; what
//! is added here are the checks that candle leaves to its caller.

use super::{header::TensorInfo, kind::Kind};
use crate::error::{Failure, Result};
use candle_core::{Device, Tensor, quantized::ggml_file::qtensor_from_ggml};

/// The values of a tensor in f32. `file` is the whole file that `tensor` was found in.
///
/// # Errors
/// A number format that cannot be read, by name.
pub fn dequantize(file: &[u8], tensor: &TensorInfo, device: &Device) -> Result<Tensor> {
    let Some(dtype) = tensor.kind.candle() else {
        return Err(Failure::data(format!("tensor {} has the number format {}", tensor.name, tensor.kind.name))
            .hint(format!("readable are {}: choose another file of this model", Kind::readable())));
    };
    let elements: usize = tensor.shape.iter().product();
    let bytes = file.get(tensor.bytes.clone()).unwrap_or_default();
    let blocks = elements / tensor.kind.block;
    if bytes.len() != blocks * tensor.kind.bytes || !elements.is_multiple_of(tensor.kind.block) {
        return Err(Failure::data(format!("tensor {} has {} bytes in the file", tensor.name, bytes.len())));
    }
    // candle reads the blocks in place. Data begin at a multiple of 8 in the file and a mapped file at one of the page
    // size, so this holds for every file; a slice of bytes from elsewhere may break it.
    if bytes.as_ptr().align_offset(8) != 0 {
        return Err(Failure::data(format!("tensor {} is not aligned in memory", tensor.name)));
    }
    Ok(qtensor_from_ggml(dtype, bytes, tensor.shape.clone(), device)?.dequantize(device)?)
}
