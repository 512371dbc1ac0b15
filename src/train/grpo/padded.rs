//! From the answers' tokens one after the other to a rectangle `(B, T)`, as the policy losses want them.

use super::rollout::Answer;
use crate::error::Result;
use candle_core::{Device, Tensor};

/// The shape of a micro-batch.
pub(super) struct Padded<'d> {
    lens: Vec<usize>,
    width: usize,
    device: &'d Device,
}

impl<'d> Padded<'d> {
    /// Of answers of these lengths.
    pub(super) fn new(lens: &[usize], device: &'d Device) -> Self {
        Padded { lens: lens.to_vec(), width: lens.iter().copied().max().unwrap_or(0), device }
    }

    fn shape(&self) -> (usize, usize) {
        (self.lens.len(), self.width)
    }

    /// Numbers of all tokens `(R)` as `(B, T)`, with their graph; padding repeats the first token and is masked.
    pub(super) fn of(&self, flat: &Tensor) -> Result<Tensor> {
        let mut index = Vec::with_capacity(self.lens.len() * self.width);
        let mut from = 0;
        for len in &self.lens {
            index.extend((0..self.width).map(|t| if t < *len { (from + t) as u32 } else { 0 }));
            from += len;
        }
        let index = Tensor::from_vec(index, self.lens.len() * self.width, self.device)?;
        Ok(flat.index_select(&index, 0)?.reshape(self.shape())?)
    }

    /// 1 at tokens, 0 at padding.
    pub(super) fn mask(&self) -> Result<Tensor> {
        let row = |len: &usize| (0..self.width).map(|t| f32::from(t < *len)).collect::<Vec<_>>();
        Ok(Tensor::from_vec(self.lens.iter().flat_map(row).collect(), self.shape(), self.device)?)
    }

    /// Numbers that every answer has, or nothing when one lacks them.
    pub(super) fn numbers(
        &self,
        answers: &[&mut Answer],
        of: fn(&Answer) -> Option<&Vec<f32>>,
    ) -> Result<Option<Tensor>> {
        let mut all = Vec::with_capacity(self.lens.len() * self.width);
        for answer in answers {
            let Some(numbers) = of(answer) else { return Ok(None) };
            all.extend((0..self.width).map(|t| numbers.get(t).copied().unwrap_or(0.0)));
        }
        Ok(Some(Tensor::from_vec(all, self.shape(), self.device)?))
    }
}
