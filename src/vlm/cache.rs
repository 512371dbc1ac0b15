//! Keys and values of the tokens seen so far, preallocated to the length that will be needed.
//!
//! Appending writes into place (no concatenation of the whole cache). Finished rows are dropped by
//! [`KvCache::select`], which also repeats a row to continue one prompt several ways.

use super::config::TextConfig;
use crate::error::{Failure, Result};
use candle_core::{DType, Device, Tensor};

/// K and V of every layer, `(B, capacity, K, D)` each.
#[derive(Debug)]
pub struct KvCache {
    layers: Vec<(Tensor, Tensor)>,
    len: usize,
    capacity: usize,
    start: Vec<usize>,
}

impl KvCache {
    /// Room for `capacity` tokens of each of `rows` rows.
    pub fn new(config: &TextConfig, rows: usize, capacity: usize, dtype: DType, device: &Device) -> Result<Self> {
        let shape = (rows, capacity, config.num_key_value_heads, config.head_dim);
        let layer = || -> candle_core::Result<_> {
            Ok((Tensor::zeros(shape, dtype, device)?, Tensor::zeros(shape, dtype, device)?))
        };
        let layers = (0..config.num_hidden_layers).map(|_| layer()).collect::<candle_core::Result<_>>()?;
        Ok(KvCache { layers, len: 0, capacity, start: Vec::new() })
    }

    /// Tokens held per row, padding included.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing was appended yet.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Tokens there is room for.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// First real token per row.
    pub fn start(&self) -> &[usize] {
        &self.start
    }

    /// Checks that `rows` x `tokens` fit; the first call also fixes the left padding.
    pub(crate) fn begin(&mut self, start: &[usize], tokens: usize) -> Result<()> {
        let rows = self.layers.first().map_or(0, |(k, _)| k.dims()[0]);
        if start.len() != rows || self.len + tokens > self.capacity {
            return Err(Failure::usage(format!(
                "{} rows of {tokens} more tokens do not fit a cache of {rows} rows holding {} of {}",
                start.len(),
                self.len,
                self.capacity
            )));
        }
        if self.len == 0 {
            self.start = start.to_vec();
        }
        Ok(())
    }

    /// Writes k and v `(B, T, K, D)` of one layer behind what is there and returns all `(B, len + T, K, D)`, as views.
    pub(crate) fn append(&self, layer: usize, k: &Tensor, v: &Tensor) -> candle_core::Result<(Tensor, Tensor)> {
        let (keys, values) = &self.layers[layer];
        let len = self.len + k.dim(1)?;
        keys.slice_set(&k.contiguous()?, 1, self.len)?;
        values.slice_set(&v.contiguous()?, 1, self.len)?;
        Ok((keys.narrow(1, 0, len)?, values.narrow(1, 0, len)?))
    }

    /// Counts the appended tokens, after all layers have written.
    pub(crate) fn advance(&mut self, tokens: usize) {
        self.len += tokens;
    }

    /// Keeps (or repeats) rows, in the given order.
    pub fn select(&mut self, rows: &[usize]) -> Result<()> {
        let Some((first, _)) = self.layers.first() else { return Ok(()) };
        let index = Tensor::from_vec(rows.iter().map(|r| *r as u32).collect::<Vec<_>>(), rows.len(), first.device())?;
        for (k, v) in &mut self.layers {
            (*k, *v) = (k.index_select(&index, 0)?, v.index_select(&index, 0)?);
        }
        self.start = rows.iter().map(|row| self.start.get(*row).copied().unwrap_or(0)).collect();
        Ok(())
    }

    /// Forgets everything after the first `len` tokens.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }
}
