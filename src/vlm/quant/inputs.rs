//! Inputs as 23-bit integers per 32 values: `x = scale * (65536 high + 256 middle + low)`, three int8 planes.
//!
//! Planes make products with the weights' codes exact in 32-bit integers. The error is at most 1/8323072 of the largest
//! of the 32, what f32 itself is worth: with two planes (1/64768) training, decoding and rollouts, whose attention
//! differs in rounding, agreed to 1e-3 in log-probabilities, with three to 1e-4.

use crate::vlm::ops::simd::multiversion;

/// Inputs that share a scale.
pub(super) const BLOCK: usize = 32;
/// Largest integer: below 2^22, where rounding by addition is exact.
const TOP: f32 = 4_161_536.0;
/// Bytes of a block.
pub(super) const PLANES: usize = 3 * BLOCK;

/// Rows whose blocks lie together, so that the products of a tile read memory in order.
pub(super) const TILE: usize = 8;

/// Quantized rows, in tiles of [`TILE`]: block `b` of row `r` is number [`Inputs::at`].
pub(super) struct Inputs {
    /// Blocks per row.
    pub(super) blocks: usize,
    /// Number of rows.
    pub(super) rows: usize,
    /// Per block 32 high parts, then 32 middle parts, then 32 low parts.
    pub(super) planes: Vec<i8>,
    /// Scale per block.
    pub(super) scales: Vec<f32>,
    /// Scale times the sum of the integers, per block.
    pub(super) sums: Vec<f32>,
    /// Sums of the integers of the two halves of a block.
    pub(super) halves: Vec<[i32; 2]>,
    /// 128 times the sums of the upper two planes together and of the low plane.
    pub(super) offsets: Vec<[i32; 2]>,
}

multiversion! {
    fn quantize_block(x: &[f32], planes: &mut [i8]) -> (f32, [i32; 2], [i32; 2]) {
        let mut most = [0f32; 16];
        // Unlike `max`, a comparison that is false for a NaN on either side keeps it.
        for (lane, most) in most.iter_mut().enumerate() {
            let (a, b) = (x[lane].abs(), x[lane + 16].abs());
            *most = if a > b || a.is_nan() { a } else { b };
        }
        let mut top = 0f32;
        for m in most {
            if m > top || m.is_nan() { top = m; }
            if top.is_nan() { break; }
        }
        if top == 0. {
            planes.fill(0);
            return (0., [0, 0], [0, 0]);
        }
        if !top.is_finite() {
            planes.fill(0);
            return (f32::NAN, [0, 0], [0, 0]);
        }
        // Tiny blocks would overflow the inverse.
        let scale = (top / TOP).max(1e-37);
        let inverse = 1. / scale;
        let mut integers = [0i32; BLOCK];
        for (q, x) in integers.iter_mut().zip(x) {
            // Adding and taking away 1.5 * 2^23 rounds to the nearest integer, ties to even.
            *q = ((x * inverse + 12_582_912.) - 12_582_912.) as i32;
        }
        let mut over = 0;
        let (high, rest) = planes.split_at_mut(BLOCK);
        let (middle, low) = rest.split_at_mut(BLOCK);
        for (((q, high), middle), low) in integers.iter().zip(high).zip(middle).zip(low) {
            let upper = (q + 128) >> 8;
            let part = (upper + 128) >> 8;
            *high = part as i8;
            *middle = (upper - (part << 8)) as i8;
            *low = (q - (upper << 8)) as i8;
            over += upper;
        }
        let halves: [i32; 2] = [integers[..16].iter().sum(), integers[16..].iter().sum()];
        (scale, halves, [128 * over, 128 * (halves[0] + halves[1] - 256 * over)])
    }
}

impl Inputs {
    /// Quantizes rows of `width` values, a multiple of [`BLOCK`].
    pub(super) fn new(x: &[f32], width: usize) -> Self {
        let (blocks, rows) = (width / BLOCK, x.len() / width);
        let count = blocks * rows.next_multiple_of(TILE);
        let mut inputs = Inputs {
            blocks,
            rows,
            planes: vec![0; PLANES * count],
            scales: vec![0.; count],
            sums: vec![0.; count],
            halves: vec![[0; 2]; count],
            offsets: vec![[0; 2]; count],
        };
        for (row, x) in x.chunks_exact(width).enumerate() {
            for (b, x) in x.chunks_exact(BLOCK).enumerate() {
                let at = inputs.at(row, b);
                let (scale, halves, offsets) = quantize_block(x, &mut inputs.planes[PLANES * at..][..PLANES]);
                inputs.scales[at] = scale;
                inputs.sums[at] = scale * (halves[0] + halves[1]) as f32;
                inputs.halves[at] = halves;
                inputs.offsets[at] = offsets;
            }
        }
        inputs
    }

    /// Where a block is.
    pub(super) fn at(&self, row: usize, block: usize) -> usize {
        (row / TILE * self.blocks + block) * TILE + row % TILE
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn integers_are_near_and_planes_in_range() {
        let x: Vec<f32> = (0..96).map(|i| ((i * 37 % 101) as f32 - 50.) * if i < 32 { 1e-30 } else { 3. }).collect();
        let inputs = Inputs::new(&x, 96);
        for (b, x) in x.chunks(32).enumerate() {
            let most = x.iter().fold(0f32, |m, x| m.max(x.abs()));
            let mut sum = 0;
            for (i, x) in x.iter().enumerate() {
                let at = PLANES * inputs.at(0, b) + i;
                let part = |plane: usize| i32::from(inputs.planes[at + plane * BLOCK]);
                let (upper, low) = (256 * part(0) + part(1), part(2));
                assert!((-64..=64).contains(&part(0)));
                let back = inputs.scales[inputs.at(0, b)] * (256 * upper + low) as f32;
                assert!((back - x).abs() <= most / 4e6, "{back} {x}");
                sum += 256 * upper + low;
            }
            let [first, second] = inputs.halves[inputs.at(0, b)];
            assert_eq!(sum, first + second);
        }
    }

    #[test]
    fn broken_numbers_stay_broken() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for at in 0..32 {
                let mut x = vec![1f32; 32];
                x[at] = bad;
                assert!(Inputs::new(&x, 32).scales[0].is_nan(), "{bad} at {at}");
            }
        }
        assert_eq!(Inputs::new(&[0.; 32], 32).scales[0], 0.);
        assert!(Inputs::new(&[1e-45; 32], 32).scales[0].is_finite());
    }
}
