//! Blocks of a GGUF tensor to f32, exactly as the reference does it. candle's blocks and scalar code do the work; what
//! is added here are the checks that candle leaves to its caller.

use super::kind::Kind;
use crate::error::{Failure, Result};
use candle_core::{DType, Device, Tensor, quantized::ggml_file::qtensor_from_ggml};

/// The values of a tensor in f32, from its bytes.
///
/// # Errors
/// A number format that cannot be read, by name; the wrong number of bytes.
pub fn dequantize(kind: Kind, shape: &[usize], bytes: &[u8], device: &Device) -> Result<Tensor> {
    let Some(ggml) = kind.candle() else {
        return Err(Failure::data(format!("the number format {} cannot be read", kind.name))
            .hint(format!("readable are {}: choose another file of this model", Kind::readable())));
    };
    let elements: usize = shape.iter().product();
    if !elements.is_multiple_of(kind.block) || bytes.len() != elements / kind.block * kind.bytes {
        return Err(Failure::data(format!("{} bytes of {} for the shape {shape:?}", bytes.len(), kind.name)));
    }
    let plain = match kind.name {
        "F32" => Some(DType::F32),
        "F16" => Some(DType::F16),
        "BF16" => Some(DType::BF16),
        _ => None,
    };
    if let Some(dtype) = plain {
        return Ok(Tensor::from_raw_buffer(bytes, dtype, shape, device)?.to_dtype(DType::F32)?);
    }
    // candle reads blocks in place, and they begin with an f16. Every allocation is aligned so; a slice need not be.
    if bytes.as_ptr().align_offset(2) != 0 {
        return Err(Failure::data("blocks at an odd address"));
    }
    Ok(qtensor_from_ggml(ggml, bytes, shape.to_vec(), device)?.dequantize(device)?)
}
