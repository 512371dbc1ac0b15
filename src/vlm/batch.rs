//! Rows of token ids padded to one width, with their positions and the places of their image features.
//!
//! Left padding serves generation (all rows end together), right padding serves training and scoring. Padding
//! positions are 0 and never looked at. Flat indices run row by row: `row * width + column`.
//!
//! A packed batch is one row: a prompt once, then its continuations (tails) one after the other, each at the positions that
//! it has behind the prompt. No tail sees another, so the prompt is computed once for all of them.

use super::{
    config::VlmConfig,
    positions::{RowPositions, row_positions},
};
use crate::error::{Failure, Result};

pub use super::positions::Visual;

/// One row: ids and the pictures they contain, in order of appearance.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    /// Token ids, image tokens expanded.
    pub ids: &'a [u32],
    /// Pictures in order.
    pub visuals: &'a [Visual],
    /// How many of the last ids a model wrote: text whatever they are, since a model may sample an image token.
    pub written: usize,
}

impl<'a> Row<'a> {
    /// A prompt and its pictures.
    pub fn new(ids: &'a [u32], visuals: &'a [Visual]) -> Self {
        Row { ids, visuals, written: 0 }
    }

    /// A row without pictures.
    pub fn text(ids: &'a [u32]) -> Self {
        Row::new(ids, &[])
    }

    /// A row whose last `written` ids a model wrote.
    pub fn written(self, written: usize) -> Self {
        Row { written, ..self }
    }
}

/// A padded batch on the host.
#[derive(Debug, Clone)]
pub struct Batch {
    /// B
    pub rows: usize,
    /// T
    pub width: usize,
    /// B*T token ids.
    pub ids: Vec<u32>,
    /// First real token per row (0 with right padding).
    pub start: Vec<usize>,
    /// Real tokens per row.
    pub lens: Vec<usize>,
    /// Time, height and width position of every token, B*T each.
    pub positions: [Vec<i64>; 3],
    /// Per row, what to add to the index of a later token to get its position.
    pub deltas: Vec<i64>,
    /// Flat indices that receive the image features, in feature order.
    pub visual: Vec<u32>,
    /// Of a packed batch: where the prompt ends, and each tail after it. Else empty.
    pub tails: Vec<usize>,
}

impl Batch {
    /// Rows aligned at their ends, for generation.
    pub fn left_padded(config: &VlmConfig, rows: &[Row], pad: u32) -> Result<Self> {
        Self::padded(config, rows, pad, true)
    }

    /// Rows aligned at their beginnings, for training and scoring.
    pub fn right_padded(config: &VlmConfig, rows: &[Row], pad: u32) -> Result<Self> {
        Self::padded(config, rows, pad, false)
    }

    fn padded(config: &VlmConfig, rows: &[Row], pad: u32, left: bool) -> Result<Self> {
        let placed = rows.iter().enumerate().map(|(i, row)| {
            check_ids(row.ids, config.text.vocab_size).map_err(|e| e.context(format!("row {i}")))?;
            row_positions(config, row.ids, row.visuals, row.written).map_err(|e| e.context(format!("row {i}")))
        });
        let placed: Vec<RowPositions> = placed.collect::<Result<_>>()?;
        let ids: Vec<&[u32]> = rows.iter().map(|row| row.ids).collect();
        Self::assemble(&ids, &placed, pad.min(config.text.vocab_size as u32 - 1), left)
    }

    /// Right-padded text rows that continue others: row i starts at position `first[i]` on all axes.
    pub fn continuing(config: &VlmConfig, rows: &[&[u32]], first: &[i64]) -> Result<Self> {
        let mut placed = Vec::with_capacity(rows.len());
        for (ids, first) in rows.iter().zip(first) {
            check_ids(ids, config.text.vocab_size)?;
            let axis: Vec<i64> = (*first..*first + ids.len() as i64).collect();
            placed.push(RowPositions { axes: [axis.clone(), axis.clone(), axis], delta: *first, visual: Vec::new() });
        }
        Self::assemble(rows, &placed, 0, false)
    }

    /// A prompt, one row without padding, and its continuations in one row.
    ///
    /// # Errors
    /// Another batch than one prompt, no tail or one without tokens, an id that the model does not know.
    pub fn packed(config: &VlmConfig, prompt: &Batch, tails: &[&[u32]]) -> Result<Self> {
        if prompt.lens != [prompt.width] || !prompt.tails.is_empty() {
            return Err(Failure::usage(format!(
                "tails need one prompt without padding, the batch has {}",
                prompt.rows
            )));
        }
        if tails.is_empty() {
            return Err(Failure::usage("a packed batch needs a tail"));
        }
        let mut batch = Batch { tails: vec![prompt.width], ..prompt.clone() };
        for (i, ids) in tails.iter().enumerate() {
            check_ids(ids, config.text.vocab_size).map_err(|e| e.context(format!("tail {i}")))?;
            let first = prompt.width as i64 + prompt.deltas[0];
            batch.ids.extend_from_slice(ids);
            batch.positions.iter_mut().for_each(|axis| axis.extend(first..first + ids.len() as i64));
            batch.tails.push(batch.ids.len());
        }
        (batch.width, batch.lens) = (batch.ids.len(), vec![batch.ids.len()]);
        Ok(batch)
    }

    fn assemble(rows: &[&[u32]], placed: &[RowPositions], pad: u32, left: bool) -> Result<Self> {
        let width = rows.iter().map(|row| row.len()).max().unwrap_or(0);
        if width == 0 {
            return Err(Failure::data("an empty batch: no row holds a token"));
        }
        let lens: Vec<usize> = rows.iter().map(|row| row.len()).collect();
        let start: Vec<usize> = lens.iter().map(|len| if left { width - len } else { 0 }).collect();
        let mut ids = vec![pad; rows.len() * width];
        let mut positions = [0; 3].map(|_: i64| vec![0i64; rows.len() * width]);
        let mut visual = Vec::new();
        for (i, (row, place)) in rows.iter().zip(placed).enumerate() {
            let at = i * width + start[i];
            ids[at..at + row.len()].copy_from_slice(row);
            for (axis, values) in positions.iter_mut().zip(&place.axes) {
                axis[at..at + row.len()].copy_from_slice(values);
            }
            visual.extend(place.visual.iter().map(|token| (at + token) as u32));
        }
        let deltas = placed.iter().map(|place| place.delta).collect();
        Ok(Batch { rows: rows.len(), width, ids, start, lens, positions, deltas, visual, tails: Vec::new() })
    }

    /// Row `row` alone, without padding.
    pub fn row(&self, row: usize) -> Batch {
        let (width, from) = (self.lens[row], self.flat(row, 0));
        let real = from..from + width;
        let visual =
            self.visual.iter().filter(|at| real.contains(&(**at as usize))).map(|at| at - from as u32).collect();
        Batch {
            rows: 1,
            width,
            ids: self.ids[real.clone()].to_vec(),
            start: vec![0],
            lens: vec![width],
            positions: [0, 1, 2].map(|axis| self.positions[axis][real.clone()].to_vec()),
            deltas: vec![self.deltas[row]],
            visual,
            tails: self.tails.clone(),
        }
    }

    /// Flat index of token `token` of row `row`, not counting padding.
    pub fn flat(&self, row: usize, token: usize) -> usize {
        row * self.width + self.start[row] + token
    }
}

fn check_ids(ids: &[u32], vocab: usize) -> Result<()> {
    if ids.is_empty() {
        return Err(Failure::data("a row without tokens"));
    }
    match ids.iter().position(|id| *id as usize >= vocab) {
        None => Ok(()),
        Some(at) => Err(Failure::data(format!("token {at} is id {}; the model knows 0 to {}", ids[at], vocab - 1))
            .hint("the tokenizer belongs to another model")),
    }
}
