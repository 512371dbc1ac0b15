//! Keys and values of the tokens seen so far. Each prompt is kept once, `(P, K, D)` per layer; each row that continues
//! one has a tail of its own, preallocated to the length that will be needed.
//!
//! A cache without rows takes prompts, one row each and without padding; [`KvCache::fork`] then opens the rows, and
//! what follows goes to their tails. Nothing of a prompt is ever copied, nothing is concatenated, and a finished row
//! leaves by leaving the list: its tail stays where it is.

use super::{
    batch::Batch,
    config::TextConfig,
    ops::{self, Mask, Shared},
};
use crate::error::{Failure, Result};
use candle_core::{DType, Device, Tensor};
use std::sync::OnceLock;

/// One prompt: K and V `(P, K, D)` of every layer, each set once.
type Prompt = Vec<OnceLock<(Tensor, Tensor)>>;

/// Prompts and the rows that continue them.
#[derive(Debug)]
pub struct KvCache {
    prompts: Vec<Prompt>,
    tails: Vec<(Tensor, Tensor)>, // (S, C, K, D) each
    /// Prompt and tail of each row; the rows of a prompt one after the other.
    rows: Vec<(usize, usize)>,
    len: usize,
    capacity: usize,
    shape: (usize, usize, usize), // layers, K, D
    dtype: DType,
    device: Device,
}

impl KvCache {
    /// No prompts yet.
    pub fn new(config: &TextConfig, dtype: DType, device: &Device) -> Self {
        let shape = (config.num_hidden_layers, config.num_key_value_heads, config.head_dim);
        let device = device.clone();
        KvCache { prompts: Vec::new(), tails: Vec::new(), rows: Vec::new(), len: 0, capacity: 0, shape, dtype, device }
    }

    /// Rows that continue prompts.
    pub fn rows(&self) -> usize {
        self.rows.len()
    }

    /// Tokens behind the prompt, per row.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no row has a token of its own.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Opens a row per element, which names its prompt, with room for `capacity` tokens each.
    ///
    /// # Errors
    /// When rows are open already, a prompt does not exist, or the rows of a prompt are not together.
    pub fn fork(&mut self, prompts: &[usize], capacity: usize) -> Result<()> {
        let count = self.prompts.len();
        let sorted = prompts.is_sorted();
        if !self.rows.is_empty() || !sorted || prompts.iter().any(|prompt| *prompt >= count) {
            let open = self.rows.len();
            return Err(Failure::usage(format!(
                "cannot open rows for prompts {prompts:?}: {count} prompts, {open} rows"
            )));
        }
        let (layers, heads, width) = self.shape;
        let shape = (prompts.len(), capacity, heads, width);
        let tail = || Tensor::zeros(shape, self.dtype, &self.device);
        self.tails = (0..layers).map(|_| Ok((tail()?, tail()?))).collect::<candle_core::Result<_>>()?;
        self.rows = prompts.iter().copied().zip(0..).collect();
        (self.len, self.capacity) = (0, capacity);
        Ok(())
    }

    /// Keeps these rows, in rising order.
    pub fn keep(&mut self, rows: &[usize]) {
        self.rows = rows.iter().filter_map(|row| self.rows.get(*row).copied()).collect();
    }

    /// Makes room for a batch: a new prompt while no rows are open, else the next tokens of every row.
    pub(crate) fn begin(&mut self, batch: &Batch) -> Result<()> {
        let (rows, tokens) = (self.rows.len(), batch.width);
        if !batch.tails.is_empty() {
            return Err(Failure::usage("a packed batch is computed at once, without a cache"));
        }
        if rows == 0 {
            if batch.rows != 1 || batch.lens != [tokens] {
                return Err(Failure::usage(format!("a prompt is one row without padding, got {} rows", batch.rows)));
            }
            self.prompts.push((0..self.shape.0).map(|_| OnceLock::new()).collect());
        } else if batch.rows != rows || self.len + tokens > self.capacity || batch.start.iter().any(|start| *start > 0)
        {
            return Err(Failure::usage(format!(
                "{} rows of {tokens} more tokens do not fit a cache of {rows} rows holding {} of {}",
                batch.rows, self.len, self.capacity
            )));
        }
        Ok(())
    }

    /// Attention of the batch that [`KvCache::begin`] announced, whose k and v `(B, T, K, D)` are kept. q `(B, T, N, D)`.
    pub(crate) fn attend(
        &self,
        layer: usize,
        q: &Tensor,
        k: &Tensor,
        v: &Tensor,
        scale: f64,
    ) -> candle_core::Result<Tensor> {
        let (k, v) = (k.contiguous()?, v.contiguous()?);
        if self.rows.is_empty() {
            if let Some(prompt) = self.prompts.last() {
                let _ = prompt[layer].set((k.squeeze(0)?, v.squeeze(0)?)); // empty: `begin` has just made it
            }
            return ops::attention(q, &k, &v, &Mask::Causal { offset: 0, start: vec![0] }, scale);
        }
        let (keys, values) = &self.tails[layer];
        for (from, to) in self.runs() {
            let (slot, count) = (self.rows[from].1, to - from);
            for (tails, new) in [(keys, &k), (values, &v)] {
                tails.narrow(0, slot, count)?.slice_set(&new.narrow(0, from, count)?, 1, self.len)?;
            }
        }
        let mut prompts: Vec<Shared> = Vec::new();
        let mut last = None;
        for (prompt, slot) in &self.rows {
            if last != Some(prompt) {
                let Some((keys, values)) = self.prompts[*prompt][layer].get() else {
                    candle_core::bail!("layer {layer} of prompt {prompt} was never filled")
                };
                prompts.push(Shared { keys: keys.clone(), values: values.clone(), slots: Vec::new() });
                last = Some(prompt);
            }
            if let Some(shared) = prompts.last_mut() {
                shared.slots.push(*slot);
            }
        }
        ops::shared_attention(q, keys, values, &prompts, self.len + q.dim(1)?, scale)
    }

    /// Runs of rows whose tails lie side by side.
    fn runs(&self) -> Vec<(usize, usize)> {
        let mut runs: Vec<(usize, usize)> = Vec::new();
        for (row, (_, slot)) in self.rows.iter().enumerate() {
            match runs.last_mut() {
                Some((from, to)) if self.rows[*from].1 + (row - *from) == *slot => *to = row + 1,
                _ => runs.push((row, row + 1)),
            }
        }
        runs
    }

    /// Counts what was appended, after all layers have written.
    pub(crate) fn advance(&mut self, tokens: usize) {
        if !self.rows.is_empty() {
            self.len += tokens;
        }
    }
}
