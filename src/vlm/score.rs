//! Log-probabilities and entropies of given tokens, the quantity behind the SFT loss and every policy update.
//!
//! The hidden state at index t scores the token at t + 1. Only the asked positions go through the head.

use super::{batch::Batch, model::Vlm, ops};
use crate::error::{Failure, Result};
use candle_core::{DType, Tensor};

/// Which hidden rows score which tokens.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Targets {
    /// Flat index (row * width + column) of the scoring hidden state.
    pub rows: Vec<u32>,
    /// The scored token.
    pub ids: Vec<u32>,
    /// Number of targets of each batch row, or of each tail of a packed batch; they are stored one after the other.
    pub per_row: Vec<usize>,
}

impl Targets {
    /// The tokens for which `wanted(row, token)` holds, `token` counted without padding; a row's first token has
    /// nothing before it and is never scored.
    pub fn select(batch: &Batch, mut wanted: impl FnMut(usize, usize) -> bool) -> Self {
        let mut targets = Targets::default();
        for row in 0..batch.rows {
            let before = targets.ids.len();
            for token in (1..batch.lens[row]).filter(|token| wanted(row, *token)) {
                targets.rows.push(batch.flat(row, token - 1) as u32);
                targets.ids.push(batch.ids[batch.flat(row, token)]);
            }
            targets.per_row.push(targets.ids.len() - before);
        }
        targets
    }

    /// Every token of the tails of a packed batch: the prompt's last position scores the first of each.
    pub fn tails(batch: &Batch) -> Self {
        let mut targets = Targets::default();
        for tail in batch.tails.windows(2) {
            let before = (tail[0]..tail[1]).map(|at| if at == tail[0] { batch.tails[0] - 1 } else { at - 1 });
            targets.rows.extend(before.map(|at| at as u32));
            targets.ids.extend_from_slice(&batch.ids[tail[0]..tail[1]]);
            targets.per_row.push(tail[1] - tail[0]);
        }
        targets
    }
}

impl Vlm {
    /// Log-probability of each target and entropy in nats under `softmax(logits / temperature)`, both with gradients;
    /// hidden `(B, T, H)`, `rows` flat indices into B*T. Both results `(R)`, f32.
    pub fn token_logps(
        &self,
        hidden: &Tensor,
        rows: &[u32],
        targets: &[u32],
        temperature: f64,
    ) -> Result<(Tensor, Tensor)> {
        let (vocab, count) = (self.config().text.vocab_size, hidden.dim(0)? * hidden.dim(1)?);
        if rows.len() != targets.len() || rows.is_empty() {
            return Err(Failure::usage(format!("{} hidden rows cannot score {} tokens", rows.len(), targets.len())));
        }
        if let Some(bad) = targets.iter().find(|id| **id as usize >= vocab) {
            return Err(Failure::data(format!("target {bad} is outside the vocabulary of {vocab}")));
        }
        if let Some(bad) = rows.iter().find(|row| **row as usize >= count) {
            return Err(Failure::usage(format!("hidden row {bad} does not exist, there are {count}")));
        }
        if !(temperature.is_finite() && temperature > 0.) {
            return Err(Failure::usage(format!("temperature is {temperature}; allowed: a number above 0")));
        }
        let index = Tensor::from_slice(rows, rows.len(), hidden.device())?;
        let picked = hidden.flatten(0, 1)?.index_select(&index, 0)?; // (R, H)
        Ok(ops::head_logps(&picked, self.head(), targets, temperature)?)
    }

    /// The `n` most probable next tokens at each of `rows`, with their log-probabilities, most probable first.
    pub fn top_tokens(&self, hidden: &Tensor, rows: &[u32], n: usize) -> Result<Vec<Vec<(u32, f32)>>> {
        let index = Tensor::from_slice(rows, rows.len(), hidden.device())?;
        let picked = hidden.flatten(0, 1)?.index_select(&index, 0)?;
        let logits = self.head().matmul(&picked)?.to_dtype(DType::F32)?.detach();
        let logps = candle_nn::ops::log_softmax(&logits, candle_core::D::Minus1)?.to_vec2::<f32>()?;
        let best = |row: Vec<f32>| {
            let mut order: Vec<u32> = (0..row.len() as u32).collect();
            order.sort_by(|a, b| row[*b as usize].total_cmp(&row[*a as usize]));
            order.into_iter().take(n).map(|id| (id, row[id as usize])).collect()
        };
        Ok(logps.into_iter().map(best).collect())
    }
}
