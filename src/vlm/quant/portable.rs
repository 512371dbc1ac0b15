//! Dequantisation, and products in f32 for machines without AVX-512 VNNI.
//!
//! A block of 32 inputs of sixteen rows becomes a panel `(32, 16)`: inputs outside, rows in the lanes of a vector.
//! Numbers are those of ggml's dequantisation, in the same order of operations.

use super::{
    Kind,
    layout::{STRIP, Strip, halves, record_bytes},
};
use crate::vlm::ops::simd::{madd, multiversion};

/// Values of a panel.
pub(super) const PANEL: usize = 32 * STRIP;

/// A code of sixteen rows in 32-bit lanes, one byte per input.
#[inline(always)]
fn words(bytes: &[u8]) -> [u32; STRIP] {
    std::array::from_fn(|r| u32::from_le_bytes([bytes[4 * r], bytes[4 * r + 1], bytes[4 * r + 2], bytes[4 * r + 3]]))
}

multiversion! {
    /// `value = scale * code - min` of eight groups of four inputs; `code = (low >> shift & mask) | (high >> .. & 3) << 4`,
    /// less an offset.
    fn fill(codes: &[u8], shift: u32, high: &[u8], high_shift: u32, mask: u32, offset: i32, scales: &[[f32; 16]; 2], min: &[f32; 16], out: &mut [f32]) {
        for quad in 0..8 {
            let low = words(&codes[64 * quad..64 * quad + 64]);
            let high = if high.is_empty() { [0; STRIP] } else { words(&high[64 * quad..64 * quad + 64]) };
            let scale = &scales[quad / 4];
            for i in 0..4 {
                let out = &mut out[(4 * quad + i) * STRIP..][..STRIP];
                let (low_at, high_at) = (8 * i as u32 + shift, 8 * i as u32 + high_shift);
                for r in 0..STRIP {
                    let code = (low[r] >> low_at & mask) | (high[r] >> high_at & 3) << 4;
                    out[r] = scale[r] * (code as i32 - offset) as f32 - min[r];
                }
            }
        }
    }
}

/// Block `b` (of 32 inputs) of a strip.
pub(super) fn panel(strip: Strip, b: usize, out: &mut [f32]) {
    let size = record_bytes(strip.kind);
    let per = strip.kind.block() / 32;
    let record = &strip.bytes[b / per * size..(b / per + 1) * size];
    let j = b % per;
    let zero = [0f32; STRIP];
    match strip.kind {
        Kind::Q4K => {
            let (d, dmin) = (halves(record), halves(&record[32..]));
            let scale = std::array::from_fn(|r| d[r] * record[64 + 16 * j + r] as f32);
            let min = std::array::from_fn(|r| dmin[r] * record[192 + 16 * j + r] as f32);
            fill(&record[320 + j / 2 * 512..], 4 * (j as u32 % 2), &[], 0, 15, 0, &[scale, scale], &min, out);
        }
        Kind::Q6K => {
            let d = halves(record);
            let scale =
                |half: usize| std::array::from_fn(|r| d[r] * f32::from(record[32 + 16 * (2 * j + half) + r] as i8));
            let (low, high) = (&record[288 + j / 2 * 512..], &record[2336 + j / 4 * 512..]);
            fill(low, 4 * (j as u32 % 2), high, 2 * (j as u32 % 4), 15, 32, &[scale(0), scale(1)], &zero, out);
        }
        Kind::Q8_0 => {
            let d = halves(record);
            fill(&record[32..], 0, &[], 0, 255, 128, &[d, d], &zero, out);
        }
    }
}

/// One row of a strip, `out` as wide as the matrix.
pub(super) fn row(strip: Strip, r: usize, out: &mut [f32]) {
    let mut values = [0f32; PANEL];
    for (b, out) in out.chunks_exact_mut(32).enumerate() {
        panel(strip, b, &mut values);
        for (k, out) in out.iter_mut().enumerate() {
            *out = values[k * STRIP + r];
        }
    }
}

multiversion! {
    /// `acc[lane] += sum over k of x[k] panel[k][lane]`.
    fn accumulate(x: &[f32], values: &[f32], acc: &mut [f32; 16]) {
        for (x, values) in x.iter().zip(values.chunks_exact(STRIP)) {
            for r in 0..STRIP {
                acc[r] = madd::<FMA>(*x, values[r], acc[r]);
            }
        }
    }
}

/// Products of `x` `(m, width)` with a strip into `out(row, sixteen values)`.
pub(super) fn products(
    strip: Strip,
    x: &[f32],
    width: usize,
    acc: &mut Vec<[f32; STRIP]>,
    mut out: impl FnMut(usize, &[f32]),
) {
    let mut values = [0f32; PANEL];
    acc.clear();
    acc.resize(x.len() / width, [0.; STRIP]);
    for b in 0..width / 32 {
        panel(strip, b, &mut values);
        for (x, acc) in x.chunks_exact(width).zip(acc.iter_mut()) {
            accumulate(&x[32 * b..32 * b + 32], &values, acc);
        }
    }
    for (row, acc) in acc.iter().enumerate() {
        out(row, acc);
    }
}
