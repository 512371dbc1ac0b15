//! Block-quantized matrices for the CPU: ggml's `Q4_K`, `Q6_K` and `Q8_0` numbers in a layout of our own, of which one copy
//! serves decoding, prefill, training and row look-up.
//!
//! Weights are stored for sixteen output rows at a time ([`layout`]), so that one vector instruction multiplies sixteen
//! rows by the same four inputs. Inputs are quantized to 16 bits per 32 values ([`inputs`]), two int8 planes whose products
//! are exact integers: results are those of the dequantized weights to about 1e-5 and a row has the same bits in any
//! batch. Machines without AVX-512 VNNI multiply in f32 ([`portable`]).

mod bytes;
mod inputs;
mod layout;
mod matmul;
mod portable;
pub mod rule;
pub mod store;
#[cfg(target_arch = "x86_64")]
mod vnni;

pub use bytes::Bytes;

use crate::error::{Failure, Result};
use candle_core::{
    Device, Tensor,
    quantized::{GgmlDType, QTensor},
};
use layout::{STRIP, Strip};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// A block format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Kind {
    /// 4.5 bits: 256 weights share a scale and a minimum, refined by 6 bits for every 32.
    #[serde(rename = "q4_k")]
    Q4K,
    /// 6.56 bits: 256 weights share a scale, refined by 8 bits for every 16.
    #[serde(rename = "q6_k")]
    Q6K,
    /// 8.5 bits: 32 weights share a scale.
    #[serde(rename = "q8_0")]
    Q8_0,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 3] = [Kind::Q4K, Kind::Q6K, Kind::Q8_0];

    /// Weights in a block of ggml: the width of a matrix must be a multiple.
    pub fn block(self) -> usize {
        match self {
            Kind::Q4K | Kind::Q6K => 256,
            Kind::Q8_0 => 32,
        }
    }

    /// Bytes of a block of ggml.
    pub fn block_bytes(self) -> usize {
        match self {
            Kind::Q4K => 144,
            Kind::Q6K => 210,
            Kind::Q8_0 => 34,
        }
    }

    /// What it is called in settings and file names.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Q4K => "q4_k",
            Kind::Q6K => "q6_k",
            Kind::Q8_0 => "q8_0",
        }
    }

    /// The same format in candle.
    pub fn ggml(self) -> GgmlDType {
        match self {
            Kind::Q4K => GgmlDType::Q4K,
            Kind::Q6K => GgmlDType::Q6K,
            Kind::Q8_0 => GgmlDType::Q8_0,
        }
    }

    /// Bytes that a matrix takes in memory.
    pub fn packed_bytes(self, rows: usize, cols: usize) -> usize {
        rows.div_ceil(STRIP) * (cols / self.block()) * layout::record_bytes(self)
    }
}

/// A frozen matrix `(rows, cols)` in a block format.
#[derive(Debug, Clone)]
pub struct Quantized {
    kind: Kind,
    rows: usize,
    cols: usize,
    data: Bytes,
    first: Vec<half::bf16>,
}

impl Quantized {
    /// Notes the first numbers before they were quantized, by which adapters recognise their base.
    pub fn with_first(self, first: Vec<half::bf16>) -> Self {
        Quantized { first, ..self }
    }

    /// What [`Quantized::with_first`] noted.
    pub fn first(&self) -> &[half::bf16] {
        &self.first
    }

    /// Takes packed bytes as [`Quantized::packed`] gives them.
    ///
    /// # Errors
    /// A width that is no multiple of the block, or the wrong number of bytes.
    pub fn from_packed(kind: Kind, rows: usize, cols: usize, data: Bytes) -> Result<Self> {
        check(kind, rows, cols)?;
        let expected = kind.packed_bytes(rows, cols);
        if data.len() != expected {
            return Err(Failure::data(format!(
                "{} bytes of packed {} for {rows} x {cols}, expected {expected}",
                data.len(),
                kind.name()
            )));
        }
        Ok(Quantized { kind, rows, cols, data, first: Vec::new() })
    }

    /// Takes blocks in ggml's order, row by row.
    ///
    /// # Errors
    /// As [`Quantized::from_packed`].
    pub fn from_blocks(kind: Kind, rows: usize, cols: usize, blocks: &[u8]) -> Result<Self> {
        check(kind, rows, cols)?;
        let row_bytes = cols / kind.block() * kind.block_bytes();
        if blocks.len() != rows * row_bytes {
            return Err(Failure::data(format!(
                "{} bytes of {} for {rows} x {cols}, expected {}",
                blocks.len(),
                kind.name(),
                rows * row_bytes
            )));
        }
        let mut data = vec![0u8; kind.packed_bytes(rows, cols)];
        let strip_bytes = kind.packed_bytes(STRIP, cols);
        if strip_bytes > 0 {
            let strips = data.par_chunks_mut(strip_bytes).zip(blocks.par_chunks(STRIP * row_bytes));
            strips.for_each(|(strip, blocks)| layout::pack(kind, cols, blocks, strip));
        }
        Ok(Quantized { kind, rows, cols, data: data.into(), first: Vec::new() })
    }

    /// Blocks in ggml's order, row by row: what [`Quantized::from_blocks`] was given.
    pub fn to_blocks(&self) -> Vec<u8> {
        let row_bytes = self.cols / self.kind.block() * self.kind.block_bytes();
        let mut blocks = vec![0u8; self.rows * row_bytes];
        if row_bytes > 0 {
            blocks
                .par_chunks_mut(STRIP * row_bytes)
                .enumerate()
                .for_each(|(i, rows)| layout::unpack(self.kind, self.cols, self.strip(i).bytes, rows));
        }
        blocks
    }

    /// Quantizes f32 weights, row by row.
    ///
    /// # Errors
    /// As [`Quantized::from_packed`].
    pub fn quantize(kind: Kind, rows: usize, cols: usize, weights: &[f32]) -> Result<Self> {
        Self::from_blocks(kind, rows, cols, &blocks_of(kind, rows, cols, weights)?)
    }

    /// The format.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Output rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Input width.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// The bytes in memory (and in a cache file).
    pub fn packed(&self) -> &[u8] {
        &self.data
    }

    fn strip(&self, i: usize) -> Strip<'_> {
        let bytes = self.kind.packed_bytes(STRIP, self.cols);
        Strip { kind: self.kind, bytes: &self.data[i * bytes..(i + 1) * bytes] }
    }

    /// Some rows as f32, `(ids.len(), cols)`. Ids outside the matrix are the caller's fault and give an error.
    pub fn gather(&self, ids: &[u32]) -> Result<Vec<f32>> {
        if let Some(id) = ids.iter().find(|id| **id as usize >= self.rows) {
            return Err(Failure::data(format!("row {id} of a matrix with {} rows", self.rows)));
        }
        let mut out = vec![0f32; ids.len() * self.cols];
        for (id, out) in ids.iter().zip(out.chunks_exact_mut(self.cols.max(1))) {
            portable::row(self.strip(*id as usize / STRIP), *id as usize % STRIP, out);
        }
        Ok(out)
    }

    /// All weights as f32 `(rows, cols)`; for tests and merging, never for a forward pass.
    pub fn dequantize(&self) -> Result<Vec<f32>> {
        let ids: Vec<u32> = (0..self.rows as u32).collect();
        self.gather(&ids)
    }

    /// `x @ w.T` for `x` `(m, cols)` into `out` `(m, rows)`.
    pub fn forward(&self, x: &[f32], out: &mut [f32]) {
        matmul::forward(self, x, out);
    }

    /// `g @ w` for `g` `(m, rows)` into `dx` `(m, cols)`, which is added to.
    pub fn backward(&self, g: &[f32], dx: &mut [f32]) -> candle_core::Result<()> {
        matmul::backward(self, g, dx)
    }
}

/// Blocks of ggml's layout for f32 weights.
pub fn blocks_of(kind: Kind, rows: usize, cols: usize, weights: &[f32]) -> Result<Vec<u8>> {
    check(kind, rows, cols)?;
    if weights.len() != rows * cols {
        return Err(Failure::data(format!("{} weights for {rows} x {cols}", weights.len())));
    }
    // Pieces of rows: the quantizers run on one thread, and candle copies what it quantizes.
    let piece = (1 << 18) / cols.max(1) + 1;
    let parts: Vec<candle_core::Result<Vec<u8>>> = weights
        .par_chunks((piece * cols).max(1))
        .map(|part| {
            let tensor = Tensor::from_slice(part, (part.len() / cols, cols), &Device::Cpu)?;
            Ok(QTensor::quantize(&tensor, kind.ggml())?.data()?.into_owned())
        })
        .collect();
    let mut blocks = Vec::with_capacity(rows * cols / kind.block() * kind.block_bytes());
    for part in parts {
        blocks.extend_from_slice(&part?);
    }
    Ok(blocks)
}

fn check(kind: Kind, rows: usize, cols: usize) -> Result<()> {
    if cols == 0 || !cols.is_multiple_of(kind.block()) || rows == 0 {
        return Err(Failure::data(format!(
            "a matrix of {rows} x {cols} cannot be {}: its width must be a multiple of {}",
            kind.name(),
            kind.block()
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
