//! A weight matrix as a layer holds it: dense, or frozen in blocks of a few bits.
//!
//! Everything that multiplies by a weight goes through here, so that one model definition serves trained, frozen and
//! quantized weights. A quantized weight has a gradient for its input and none of its own.

use super::{
    lora::Slot,
    ops,
    quant::{Kind, Quantized},
};
use candle_core::{
    DType, Device, Result, Tensor,
    quantized::{QStorage, QTensor},
};
use std::sync::Arc;

/// A matrix `(O, I)`, or a dense tensor of any shape.
#[derive(Debug, Clone)]
pub enum Weight {
    /// Numbers of a float type; trainable where it is a variable.
    Dense(Tensor),
    /// Packed blocks in main memory.
    Quant(Arc<Quantized>),
    /// Candle's blocks, for other devices than the CPU.
    Device(Arc<Blocks>),
}

/// A matrix in blocks where a device can multiply by it.
#[derive(Debug)]
pub struct Blocks {
    tensor: Arc<QTensor>, // (O, I)
    kind: Kind,
    /// The first numbers before they were quantized, where somebody noted them.
    first: Vec<half::bf16>,
}

impl Blocks {
    /// Copies a matrix to a device.
    ///
    /// # Errors
    /// Not enough memory there.
    pub fn new(matrix: &Quantized, device: &Device) -> Result<Self> {
        let storage = QStorage::from_data(matrix.to_blocks().into(), device, matrix.kind().ggml())?;
        let tensor = QTensor::new(storage, (matrix.rows(), matrix.cols()))?;
        Ok(Blocks { tensor: Arc::new(tensor), kind: matrix.kind(), first: matrix.first().to_vec() })
    }

    /// Rows `ids` in f32, `(ids.len(), I)`; nothing else is dequantized.
    fn rows(&self, ids: &[u32]) -> Result<Tensor> {
        let (rows, _) = self.tensor.shape().dims2()?;
        if let Some(id) = ids.iter().find(|id| **id as usize >= rows) {
            candle_core::bail!("row {id} of a matrix with {rows} rows")
        }
        self.tensor.embedding(&Tensor::from_slice(ids, ids.len(), &self.tensor.device())?)
    }
}

impl From<Tensor> for Weight {
    fn from(tensor: Tensor) -> Self {
        Weight::Dense(tensor)
    }
}

impl Weight {
    /// The tensor of a weight that is never quantized (norms, biases, tables of positions).
    pub(crate) fn dense(&self) -> Result<&Tensor> {
        match self {
            Weight::Dense(tensor) => Ok(tensor),
            _ => candle_core::bail!("a quantized weight where a dense one is needed"),
        }
    }

    /// Sizes, as of a tensor.
    pub fn dims(&self) -> Vec<usize> {
        match self {
            Weight::Dense(tensor) => tensor.dims().to_vec(),
            Weight::Quant(matrix) => vec![matrix.rows(), matrix.cols()],
            Weight::Device(blocks) => blocks.tensor.shape().dims().to_vec(),
        }
    }

    /// Number of weights.
    pub fn elem_count(&self) -> usize {
        self.dims().iter().product()
    }

    /// Bytes in memory.
    pub fn bytes(&self) -> usize {
        match self {
            Weight::Dense(tensor) => tensor.elem_count() * tensor.dtype().size_in_bytes(),
            Weight::Quant(matrix) => matrix.packed().len(),
            Weight::Device(blocks) => blocks.tensor.storage_size_in_bytes(),
        }
    }

    /// What it is stored as: `f32`, `q4_k`, ...
    pub fn format(&self) -> String {
        match self {
            Weight::Dense(tensor) => tensor.dtype().as_str().into(),
            Weight::Quant(matrix) => matrix.kind().name().into(),
            Weight::Device(blocks) => blocks.kind.name().into(),
        }
    }

    /// The same numbers without a gradient; storage is shared.
    pub(crate) fn detach(&self) -> Self {
        match self {
            Weight::Dense(tensor) => Weight::Dense(tensor.detach()),
            other => other.clone(),
        }
    }

    /// All numbers as a dense tensor; a quantized weight is dequantized to f32.
    pub fn to_dense(&self) -> Result<Tensor> {
        match self {
            Weight::Dense(tensor) => Ok(tensor.clone()),
            Weight::Quant(matrix) => {
                let values = matrix.dequantize().map_err(candle_core::Error::wrap)?;
                Tensor::from_vec(values, (matrix.rows(), matrix.cols()), &Device::Cpu)
            }
            Weight::Device(blocks) => blocks.tensor.dequantize(&blocks.tensor.device()),
        }
    }

    /// The first numbers as bf16, what a base model is recognised by whatever it was quantized to.
    pub(crate) fn first(&self, n: usize) -> Result<Vec<half::bf16>> {
        match self {
            Weight::Dense(tensor) => {
                let flat = tensor.detach().flatten_all()?;
                flat.narrow(0, 0, flat.elem_count().min(n))?.to_dtype(DType::BF16)?.to_vec1()
            }
            Weight::Quant(matrix) if !matrix.first().is_empty() => Ok(matrix.first().to_vec()),
            Weight::Quant(matrix) => {
                let rows = matrix.rows().min(n.div_ceil(matrix.cols().max(1))) as u32;
                let numbers = matrix.gather(&(0..rows).collect::<Vec<_>>()).map_err(candle_core::Error::wrap)?;
                Ok(numbers.into_iter().take(n).map(half::bf16::from_f32).collect())
            }
            Weight::Device(blocks) if !blocks.first.is_empty() => Ok(blocks.first.clone()),
            Weight::Device(blocks) => {
                let (rows, cols) = blocks.tensor.shape().dims2()?;
                let rows = rows.min(n.div_ceil(cols.max(1))) as u32;
                let flat = blocks.rows(&(0..rows).collect::<Vec<_>>())?.flatten_all()?;
                flat.narrow(0, 0, flat.elem_count().min(n))?.to_dtype(DType::BF16)?.to_vec1()
            }
        }
    }

    /// `x @ w.T`, x `(.., I)`, result `(.., O)`; gradients for x, and for w where it is variable.
    pub(crate) fn matmul(&self, x: &Tensor) -> Result<Tensor> {
        match self {
            Weight::Dense(w) => ops::linear(x, &w.to_dtype(x.dtype())?),
            Weight::Quant(w) => ops::quantized_linear(x, w),
            Weight::Device(blocks) => ops::device_linear(x, &blocks.tensor),
        }
    }

    /// `x @ w.T + b`.
    pub(crate) fn affine(&self, x: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
        let Some(bias) = bias else { return self.matmul(x) };
        let bias = bias.to_dtype(x.dtype())?;
        match self {
            Weight::Dense(w) => ops::linear_bias(x, &w.to_dtype(x.dtype())?, &bias),
            _ => self.matmul(x)?.broadcast_add(&bias),
        }
    }

    /// `x @ w.T + b` and what an adapter adds, which drops nothing.
    pub(crate) fn adapted(&self, x: &Tensor, bias: Option<&Tensor>, slot: &Slot) -> Result<Tensor> {
        let Slot { a, b, scale, .. } = slot;
        let cast = |bias: &Tensor| bias.to_dtype(x.dtype());
        match self {
            Weight::Dense(w) => {
                ops::lora_linear(x, &w.to_dtype(x.dtype())?, bias.map(cast).transpose()?.as_ref(), a, b, *scale)
            }
            Weight::Quant(w) if x.dtype() == DType::F32 && a.dtype() == DType::F32 && a.device().is_cpu() => {
                ops::quantized_lora_linear(x, w, bias.map(cast).transpose()?.as_ref(), a, b, *scale)
            }
            _ => slot.add_to(x, self.affine(x, bias)?),
        }
    }

    /// Rows `ids`, `(ids.len(), I)`; of a quantized table only these rows are dequantized.
    pub(crate) fn rows(&self, ids: &[u32]) -> Result<Tensor> {
        match self {
            Weight::Dense(table) => ops::embedding(ids, table),
            Weight::Quant(table) => {
                let rows = table.gather(ids).map_err(candle_core::Error::wrap)?;
                Tensor::from_vec(rows, (ids.len(), table.cols()), &Device::Cpu)
            }
            Weight::Device(table) => table.rows(ids),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{streams::Stream, vlm::ops::composed::Only};

    fn values(t: &Tensor) -> Vec<f32> {
        t.flatten_all().unwrap().to_vec1().unwrap()
    }

    /// Blocks of a device are the numbers of the packed ones: whole, by rows, multiplied by, and on the way back.
    #[test]
    fn blocks_of_a_device_are_those_in_main_memory() {
        let (rows, cols) = (24, 512);
        let drawn = Stream::new(1, "weight").normals(rows * cols, 1.);
        let x = Stream::new(2, "x").normals(11 * cols, 1.);
        let x = candle_core::Var::from_vec(x, (11, cols), &Device::Cpu).unwrap();
        for kind in Kind::ALL {
            let matrix = Quantized::quantize(kind, rows, cols, &drawn).unwrap();
            let _only = Only::here();
            let blocks = Weight::Device(Arc::new(Blocks::new(&matrix, &Device::Cpu).unwrap()));
            let packed = Weight::Quant(Arc::new(matrix));
            assert_eq!((blocks.format(), blocks.dims()), (packed.format(), packed.dims()));
            let dense = packed.to_dense().unwrap();
            assert_eq!(values(&blocks.to_dense().unwrap()), values(&dense), "{kind:?}");
            let ids = [23, 0, 7, 7];
            assert_eq!(values(&blocks.rows(&ids).unwrap()), values(&packed.rows(&ids).unwrap()), "{kind:?}");
            assert!(blocks.rows(&[24]).is_err());
            assert_eq!(blocks.first(600).unwrap(), packed.first(600).unwrap(), "{kind:?}");
            let learned = |y: Tensor| {
                let grads = y.sqr().unwrap().sum_all().unwrap().backward().unwrap();
                (values(&y), values(grads.get(&x).unwrap()))
            };
            let want = learned(x.matmul(&dense.t().unwrap()).unwrap());
            assert_eq!(learned(blocks.matmul(&x).unwrap()), want, "{kind:?}");
            let three = x.reshape((1, 11, cols)).unwrap();
            assert_eq!(blocks.matmul(&three).unwrap().dims(), [1, 11, rows]);
        }
    }
}
