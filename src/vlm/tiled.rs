//! Random weights at the price of a copy, for measuring and for trying out full-size models.
//!
//! One block of normal numbers is drawn once and laid end to end through every tensor, from a place that depends on the
//! tensor's name, scaled as [`super::init`] scales. The block's length is a prime, so that rows of any usual width never
//! meet the same numbers at the same place. Speed does not depend on the values; nothing should be trained from these.

use super::init::Scale;
use crate::streams::Stream;
use half::{bf16, f16, slice::HalfFloatSliceExt};

/// The largest prime below 2^20.
const LENGTH: usize = 1_048_573;

/// The block.
#[derive(Debug, Clone)]
pub struct Tiles {
    block: Vec<f32>,
    seed: u64,
}

impl Tiles {
    /// The block of a seed.
    pub fn new(seed: u64) -> Self {
        Tiles { block: Stream::new(seed, "tiles").normals(LENGTH, 1.), seed }
    }

    /// What the block was drawn from.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Calls `put` with `count` values of a tensor from number `from` on, piece after piece.
    ///
    /// # Errors
    /// What `put` reports.
    pub fn pieces<E>(
        &self,
        name: &str,
        scale: Scale,
        from: usize,
        count: usize,
        mut put: impl FnMut(&[f32]) -> Result<(), E>,
    ) -> Result<(), E> {
        let deviation = match scale {
            Scale::Ones | Scale::Zeros => {
                let value = if matches!(scale, Scale::Ones) { 1. } else { 0. };
                return put(&vec![value; count]);
            }
            Scale::Normal(deviation) => deviation as f32,
        };
        let begin = Stream::new(self.seed, name).below(LENGTH as u64) as usize;
        let mut at = (begin + from % LENGTH) % LENGTH;
        let (mut left, mut piece) = (count, vec![0f32; LENGTH.min(count)]);
        while left > 0 {
            let n = left.min(LENGTH - at);
            for (out, x) in piece.iter_mut().zip(&self.block[at..at + n]) {
                *out = x * deviation;
            }
            put(&piece[..n])?;
            (at, left) = ((at + n) % LENGTH, left - n);
        }
        Ok(())
    }

    /// `count` values of a tensor from number `from` on.
    pub fn values(&self, name: &str, scale: Scale, from: usize, count: usize) -> Vec<f32> {
        let mut values = Vec::with_capacity(count);
        let Ok(()) = self.pieces(name, scale, from, count, |piece| {
            values.extend_from_slice(piece);
            Ok::<(), std::convert::Infallible>(())
        });
        values
    }
}

/// Little-endian bytes of values in bf16 (`f16` when `fine`), appended to `out`.
pub fn half_bytes(values: &[f32], fine: bool, out: &mut Vec<u8>) {
    if fine {
        let mut half = vec![f16::ZERO; values.len()];
        half.convert_from_f32_slice(values);
        out.extend(half.iter().flat_map(|x| x.to_le_bytes()));
    } else {
        let mut half = vec![bf16::ZERO; values.len()];
        half.convert_from_f32_slice(values);
        out.extend(half.iter().flat_map(|x| x.to_le_bytes()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensors_are_random_repeatable_and_without_equal_rows() {
        let tiles = Tiles::new(3);
        let (rows, width) = (2000, 1024);
        let values = tiles.values("a", Scale::Normal(0.5), 0, rows * width);
        assert_eq!(values, Tiles::new(3).values("a", Scale::Normal(0.5), 0, rows * width));
        assert_ne!(values[..64], tiles.values("b", Scale::Normal(0.5), 0, 64));
        let part = tiles.values("a", Scale::Normal(0.5), 1_500_000, 64);
        assert_eq!(part, values[1_500_000..1_500_064]);
        let deviation = (values.iter().map(|x| f64::from(x * x)).sum::<f64>() / values.len() as f64).sqrt();
        assert!((deviation - 0.5).abs() < 0.01, "{deviation}");
        let mut firsts: Vec<_> = values.chunks(width).map(|row| [row[0], row[1], row[2]].map(f32::to_bits)).collect();
        firsts.sort_unstable();
        firsts.dedup();
        assert_eq!(firsts.len(), rows);
        assert_eq!(tiles.values("n", Scale::Ones, 0, 3), [1.; 3]);
        assert_eq!(tiles.values("n", Scale::Zeros, 0, 2), [0.; 2]);
    }

    #[test]
    fn halves_are_little_endian() {
        let (mut coarse, mut fine) = (Vec::new(), Vec::new());
        half_bytes(&[1.0, -2.0], false, &mut coarse);
        half_bytes(&[1.0, -2.0], true, &mut fine);
        assert_eq!(coarse, [0x80, 0x3f, 0x00, 0xc0]);
        assert_eq!(fine, [0x00, 0x3c, 0x00, 0xc0]);
    }
}
