//! Inputs as 15-bit integers per 32 values: `x = scale * (128 high + low)` with high in -127..=127, low in -64..=63.
//!
//! Two int8 planes make products with the weights' codes exact in 32-bit integers. The error is at most 1/32512 of the
//! largest of the 32, two hundred times less than with one plane, so that training, decoding and rollouts, whose
//! attention differs in rounding, agree.

use crate::vlm::ops::simd::multiversion;

/// Inputs that share a scale.
pub(super) const BLOCK: usize = 32;
/// Largest integer: 127 * 128.
const TOP: f32 = 16256.0;

/// Quantized rows.
pub(super) struct Inputs {
    /// Blocks per row.
    pub(super) blocks: usize,
    /// Per block 32 high parts, then 32 low parts.
    pub(super) planes: Vec<i8>,
    /// Scale per block.
    pub(super) scales: Vec<f32>,
    /// Scale times the sum of the integers, per block.
    pub(super) sums: Vec<f32>,
    /// Sums of the integers of the two halves of a block.
    pub(super) halves: Vec<[i32; 2]>,
}

multiversion! {
    fn quantize_block(x: &[f32], planes: &mut [i8]) -> (f32, [i32; 2]) {
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
            return (0., [0, 0]);
        }
        if !top.is_finite() {
            planes.fill(0);
            return (f32::NAN, [0, 0]);
        }
        // Tiny blocks would overflow the inverse.
        let scale = (top / TOP).max(1e-37);
        let inverse = 1. / scale;
        let (high, low) = planes.split_at_mut(32);
        let mut sums = [0i32; 2];
        for h in 0..2 {
            for i in 16 * h..16 * h + 16 {
                // Adding and taking away 1.5 * 2^23 rounds to the nearest integer, ties to even.
                let q = ((x[i] * inverse + 12_582_912.) - 12_582_912.) as i32;
                let part = (q + 64) >> 7;
                high[i] = part as i8;
                low[i] = (q - (part << 7)) as i8;
                sums[h] += q;
            }
        }
        (scale, sums)
    }
}

impl Inputs {
    /// Quantizes rows of `width` values, a multiple of [`BLOCK`].
    pub(super) fn new(x: &[f32], width: usize) -> Self {
        let blocks = width / BLOCK;
        let count = x.len() / BLOCK;
        let mut inputs = Inputs {
            blocks,
            planes: vec![0; 2 * x.len()],
            scales: vec![0.; count],
            sums: vec![0.; count],
            halves: vec![[0; 2]; count],
        };
        let planes = inputs.planes.chunks_exact_mut(2 * BLOCK);
        let numbers = inputs.scales.iter_mut().zip(&mut inputs.sums).zip(&mut inputs.halves);
        for ((x, planes), ((scale, sum), halves)) in x.chunks_exact(BLOCK).zip(planes).zip(numbers) {
            (*scale, *halves) = quantize_block(x, planes);
            *sum = *scale * (halves[0] + halves[1]) as f32;
        }
        inputs
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
                let (high, low) = (inputs.planes[64 * b + i] as i32, inputs.planes[64 * b + 32 + i] as i32);
                assert!((-127..=127).contains(&high) && (-64..=63).contains(&low));
                let back = inputs.scales[b] * (128 * high + low) as f32;
                assert!((back - x).abs() <= most / 32000., "{back} {x}");
                sum += 128 * high + low;
            }
            assert_eq!(sum, inputs.halves[b][0] + inputs.halves[b][1]);
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
