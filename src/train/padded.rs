//! From the answers' tokens one after the other to a rectangle `(B, T)`, as the losses on sampled answers and on pairs
//! want them.

use crate::error::Result;
use candle_core::{Device, Tensor};

/// The shape of a micro-batch.
pub struct Padded<'d> {
    lens: Vec<usize>,
    width: usize,
    device: &'d Device,
}

impl<'d> Padded<'d> {
    /// Of answers of these lengths.
    pub fn new(lens: &[usize], device: &'d Device) -> Self {
        Padded { lens: lens.to_vec(), width: lens.iter().copied().max().unwrap_or(0), device }
    }

    fn shape(&self) -> (usize, usize) {
        (self.lens.len(), self.width)
    }

    /// Numbers of all tokens `(R)` as `(B, T)`, with their graph; padding repeats the first token and is masked.
    ///
    /// # Errors
    /// Device trouble.
    pub fn of(&self, flat: &Tensor) -> Result<Tensor> {
        let mut index = Vec::with_capacity(self.lens.len() * self.width);
        let mut from = 0;
        for len in &self.lens {
            index.extend((0..self.width).map(|t| if t < *len { (from + t) as u32 } else { 0 }));
            from += len;
        }
        let index = Tensor::from_vec(index, self.lens.len() * self.width, self.device)?;
        Ok(flat.index_select(&index, 0)?.reshape(self.shape())?)
    }

    /// 1 at tokens, 0 at padding, `(B, T)`.
    ///
    /// # Errors
    /// Device trouble.
    pub fn mask(&self) -> Result<Tensor> {
        let row = |len: &usize| (0..self.width).map(|t| f32::from(t < *len)).collect::<Vec<_>>();
        Ok(Tensor::from_vec(self.lens.iter().flat_map(row).collect(), self.shape(), self.device)?)
    }

    /// Known numbers of each answer's tokens as `(B, T)`, padded with 0.
    ///
    /// # Errors
    /// Device trouble.
    pub fn rows<'n>(&self, rows: impl IntoIterator<Item = &'n [f32]>) -> Result<Tensor> {
        let mut all = Vec::with_capacity(self.lens.len() * self.width);
        for row in rows {
            all.extend((0..self.width).map(|t| row.get(t).copied().unwrap_or(0.0)));
        }
        Ok(Tensor::from_vec(all, self.shape(), self.device)?)
    }

    /// The same of numbers that every answer has, or nothing when one lacks them.
    ///
    /// # Errors
    /// Device trouble.
    pub fn numbers<'n>(&self, rows: impl IntoIterator<Item = Option<&'n Vec<f32>>>) -> Result<Option<Tensor>> {
        let rows: Option<Vec<&[f32]>> = rows.into_iter().map(|row| row.map(Vec::as_slice)).collect();
        rows.map(|rows| self.rows(rows)).transpose()
    }
}
