//! Antialiased bicubic resizing of 8-bit pictures, level for level what torchvision computes on a CPU.
//!
//! Two separable passes, always horizontal then vertical, each on 8-bit values with fixed-point weights and a round and
//! clamp at its end. The kernel is cubic convolution with a = -0.5 (Keys 1981) stretched by the scale when shrinking.
//! Weights are normalised in f64 and rounded half away from zero to the largest power of two (at most 2^22) at which
//! the largest still fits 16 bits, as torch's uint8 path does. A float pipeline differs by up to 10 levels at edges.

use super::image::Rgb;
use rayon::prelude::*;

/// Rows resized together, and neighbouring values of the vertical pass: one vector of so many levels is what both passes
/// work on, so that neither needs shuffles.
const ROWS: usize = 16;

/// Resizes to `width` x `height`; both must be positive.
pub fn resize(source: &Rgb, width: usize, height: usize) -> Rgb {
    let mut data = Vec::new();
    let mut current = &source.data;
    if width != source.width {
        data = horizontal(current, source.width, &Weights::new(source.width, width));
        current = &data;
    }
    if height != source.height {
        data = vertical(current, width * 3, &Weights::new(source.height, height));
        current = &data;
    }
    Rgb { width, height, data: if std::ptr::eq(current, &source.data) { current.clone() } else { data } }
}

/// The weights of one axis: output `i` is the sum of `taps(i)` times the inputs from `first[i]` on.
struct Weights {
    first: Vec<usize>,
    ends: Vec<usize>,
    values: Vec<i32>,
    bits: u32,
}

impl Weights {
    fn new(input: usize, output: usize) -> Weights {
        let scale = input as f64 / output as f64;
        let support = 2.0 * scale.max(1.0);
        let inverse = 1.0 / scale.max(1.0);
        let most = support.ceil() as usize * 2 + 1;
        let (mut first, mut ends, mut exact) = (Vec::with_capacity(output), Vec::with_capacity(output), Vec::new());
        let mut largest: f64 = 0.0;
        for i in 0..output {
            let center = scale * (i as f64 + 0.5);
            let start = ((center - support + 0.5) as i64).max(0) as usize;
            let end = ((center + support + 0.5) as i64).clamp(0, input as i64) as usize;
            let taps = end.saturating_sub(start).min(most);
            let at = exact.len();
            exact.extend((0..taps).map(|j| cubic(((j + start) as f64 - center + 0.5) * inverse)));
            let total: f64 = exact[at..].iter().sum();
            if total != 0.0 {
                exact[at..].iter_mut().for_each(|w| *w /= total);
            }
            largest = exact[at..].iter().fold(largest, |m, &w| m.max(w));
            first.push(start);
            ends.push(exact.len());
        }
        let fits = |bits: u32| ((0.5 + largest * f64::from(1u32 << bits)) as i64) < 1 << 15;
        let bits = (0..22).find(|&bits| !fits(bits + 1)).unwrap_or(22);
        let unit = f64::from(1u32 << bits);
        // `as` truncates towards zero, so adding half with the sign rounds half away from zero.
        let values = exact.iter().map(|&w| (w * unit + 0.5f64.copysign(w)) as i32).collect();
        Weights { first, ends, values, bits }
    }

    /// First input and weights of output `i`.
    fn taps(&self, i: usize) -> (usize, &[i32]) {
        let from = if i == 0 { 0 } else { self.ends[i - 1] };
        (self.first[i], &self.values[from..self.ends[i]])
    }

    fn len(&self) -> usize {
        self.first.len()
    }
}

/// Cubic convolution, a = -0.5.
fn cubic(x: f64) -> f64 {
    const A: f64 = -0.5;
    let x = x.abs();
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        0.0
    }
}

/// Rounds a fixed-point sum (half a unit already added) to a level.
#[inline(always)]
fn level(sum: i32, bits: u32) -> u8 {
    (sum >> bits).clamp(0, 255) as u8
}

#[inline(always)]
fn half(bits: u32) -> i32 {
    if bits == 0 { 0 } else { 1 << (bits - 1) }
}

fn horizontal(source: &[u8], width: usize, weights: &Weights) -> Vec<u8> {
    let (from, to) = (width * 3, weights.len() * 3);
    let mut out = vec![0; source.len() / from * to];
    out.par_chunks_mut(ROWS * to).zip(source.par_chunks(ROWS * from)).for_each_init(
        || (vec![[0u8; ROWS]; from], vec![[0u8; ROWS]; to]),
        |(columns, resized), (out, rows)| {
            transpose_in(rows, columns);
            run(Pass::Horizontal { columns, resized, weights });
            transpose_out(resized, out);
        },
    );
    out
}

fn vertical(source: &[u8], width: usize, weights: &Weights) -> Vec<u8> {
    let mut out = vec![0; weights.len() * width];
    out.par_chunks_mut(width).enumerate().for_each(|(i, out)| {
        let (first, taps) = weights.taps(i);
        let rows = &source[first * width..(first + taps.len()) * width];
        run(Pass::Vertical { rows, taps, bits: weights.bits, out });
    });
    out
}

/// Columns transposed at a time, so that they stay in the first cache while every row is written into them.
const TILE: usize = 256;

/// Up to [`ROWS`] rows into columns.
fn transpose_in(rows: &[u8], columns: &mut [[u8; ROWS]]) {
    let width = columns.len();
    for (tile, columns) in columns.chunks_mut(TILE).enumerate() {
        for (r, row) in rows.chunks_exact(width).enumerate() {
            for (column, &value) in columns.iter_mut().zip(&row[tile * TILE..]) {
                column[r] = value;
            }
        }
    }
}

/// Columns back into the rows there are.
fn transpose_out(columns: &[[u8; ROWS]], rows: &mut [u8]) {
    for (tile, part) in columns.chunks(TILE).enumerate() {
        for (r, row) in rows.chunks_exact_mut(columns.len()).enumerate() {
            for (value, column) in row[tile * TILE..].iter_mut().zip(part) {
                *value = column[r];
            }
        }
    }
}

/// Runs a pass with the widest instructions of this machine; the arithmetic is integer, so results never differ.
fn run(pass: Pass) {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: `wide::run` needs nothing but AVX2, which was just detected.
        #[allow(unsafe_code)]
        return unsafe { wide::run(pass) };
    }
    inner(pass, portable);
}

/// The two inner loops, as data so that both go through one dispatch.
enum Pass<'a> {
    Horizontal { columns: &'a [[u8; ROWS]], resized: &'a mut [[u8; ROWS]], weights: &'a Weights },
    Vertical { rows: &'a [u8], taps: &'a [i32], bits: u32, out: &'a mut [u8] },
}

/// `strip` computes [`ROWS`] neighbouring levels: the weighted sum of what lies at 0, `stride`, ... in its source.
#[inline(always)]
fn inner(pass: Pass, strip: impl Fn(&[u8], usize, &[i32], u32, &mut [u8; ROWS])) {
    match pass {
        Pass::Horizontal { columns, resized, weights } => {
            for (i, out) in resized.as_chunks_mut::<3>().0.iter_mut().enumerate() {
                let (first, taps) = weights.taps(i);
                let window = columns[first * 3..(first + taps.len()) * 3].as_flattened();
                for (c, out) in out.iter_mut().enumerate() {
                    strip(&window[c * ROWS..], 3 * ROWS, taps, weights.bits, out);
                }
            }
        }
        Pass::Vertical { rows, taps, bits, out } => {
            let width = out.len();
            let (strips, rest) = out.as_chunks_mut::<ROWS>();
            let whole = strips.len() * ROWS;
            for (i, out) in strips.iter_mut().enumerate() {
                strip(&rows[i * ROWS..], width, taps, bits, out);
            }
            for (at, out) in rest.iter_mut().enumerate() {
                let column = rows[whole + at..].iter().step_by(width);
                *out = level(column.zip(taps).fold(half(bits), |s, (&v, w)| s + w * i32::from(v)), bits);
            }
        }
    }
}

fn portable(source: &[u8], stride: usize, taps: &[i32], bits: u32, out: &mut [u8; ROWS]) {
    let mut sums = [half(bits); ROWS];
    for (j, weight) in taps.iter().enumerate() {
        for (sum, &value) in sums.iter_mut().zip(&source[j * stride..j * stride + ROWS]) {
            *sum += weight * i32::from(value);
        }
    }
    for (out, &sum) in out.iter_mut().zip(&sums) {
        *out = level(sum, bits);
    }
}

/// The same with AVX2: two taps in one multiplication, which their 16 bits allow.
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
mod wide {
    use super::{Pass, ROWS, half, inner};
    use std::arch::x86_64::*;

    #[target_feature(enable = "avx2")]
    pub(super) fn run(pass: Pass) {
        inner(pass, |source, stride, taps, bits, out| strip(source, stride, taps, bits, out));
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn strip(source: &[u8], stride: usize, taps: &[i32], bits: u32, out: &mut [u8; ROWS]) {
        let load = |tap: usize| {
            let values = &source[tap * stride..][..ROWS];
            // SAFETY: 16 bytes are read from a slice of 16.
            unsafe { _mm_loadu_si128(values.as_ptr().cast()) }
        };
        let (mut low, mut high) = (_mm256_set1_epi32(half(bits)), _mm256_set1_epi32(half(bits)));
        let mut add = |a: __m128i, b: __m128i, weights: (i32, i32)| {
            let weights = _mm256_set1_epi32(weights.0 & 0xffff | weights.1 << 16);
            let (first, last) = (_mm_unpacklo_epi8(a, b), _mm_unpackhi_epi8(a, b));
            low = _mm256_add_epi32(low, _mm256_madd_epi16(_mm256_cvtepu8_epi16(first), weights));
            high = _mm256_add_epi32(high, _mm256_madd_epi16(_mm256_cvtepu8_epi16(last), weights));
        };
        let (pairs, odd) = taps.as_chunks::<2>();
        for (i, pair) in pairs.iter().enumerate() {
            add(load(2 * i), load(2 * i + 1), (pair[0], pair[1]));
        }
        if let [last] = odd {
            add(load(taps.len() - 1), _mm_setzero_si128(), (*last, 0));
        }
        let bits = _mm_cvtsi32_si128(bits as i32);
        let both = _mm256_packs_epi32(_mm256_sra_epi32(low, bits), _mm256_sra_epi32(high, bits));
        // The pack works within halves: 0-3 8-11 | 4-7 12-15.
        let ordered = _mm256_permute4x64_epi64::<0b11_01_10_00>(both);
        let levels = _mm_packus_epi16(_mm256_castsi256_si128(ordered), _mm256_extracti128_si256::<1>(ordered));
        // SAFETY: 16 bytes are written to an array of 16.
        unsafe { _mm_storeu_si128(out.as_mut_ptr().cast(), levels) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use proptest::prelude::*;

    fn noise(width: usize, height: usize, seed: u32) -> Rgb {
        let mut state = seed | 1;
        let data = (0..width * height * 3)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 17;
                state ^= state << 5;
                (state >> 11) as u8
            })
            .collect();
        Rgb { width, height, data }
    }

    /// The definition, one value at a time.
    fn plain(source: &Rgb, width: usize, height: usize) -> Vec<u8> {
        let (wx, wy) = (Weights::new(source.width, width), Weights::new(source.height, height));
        let mut middle = vec![0; source.height * width * 3];
        for y in 0..source.height {
            for x in 0..width {
                let (first, taps) = wx.taps(x);
                for c in 0..3 {
                    let sum: i64 = taps
                        .iter()
                        .enumerate()
                        .map(|(j, &w)| i64::from(w) * i64::from(source.data[(y * source.width + first + j) * 3 + c]))
                        .sum();
                    let sum = sum + (1 << wx.bits >> 1);
                    middle[(y * width + x) * 3 + c] = (sum >> wx.bits).clamp(0, 255) as u8;
                }
            }
        }
        let mut out = vec![0; height * width * 3];
        for y in 0..height {
            let (first, taps) = wy.taps(y);
            for x in 0..width * 3 {
                let sum: i64 = taps
                    .iter()
                    .enumerate()
                    .map(|(j, &w)| i64::from(w) * i64::from(middle[(first + j) * width * 3 + x]))
                    .sum();
                out[y * width * 3 + x] = ((sum + (1 << wy.bits >> 1)) >> wy.bits).clamp(0, 255) as u8;
            }
        }
        out
    }

    #[test]
    fn weights_fit_sixteen_bits_and_sum_to_one() {
        for (input, output) in [(1, 1), (1, 50), (50, 1), (160, 168), (90, 84), (1600, 588), (4096, 28), (7, 4096)] {
            let weights = Weights::new(input, output);
            for i in 0..output {
                let (first, taps) = weights.taps(i);
                assert!(first + taps.len() <= input && !taps.is_empty(), "{input} -> {output}");
                assert!(taps.iter().all(|&w| (-(1 << 15)..1 << 15).contains(&w)));
                let sum: i32 = taps.iter().sum();
                assert!((sum - (1 << weights.bits)).abs() <= taps.len() as i32, "{input} -> {output}: {sum}");
                // No pixel values can overflow the 32-bit sums.
                assert!(taps.iter().map(|&w| i64::from(w.abs()) * 255).sum::<i64>() < (1 << 31) - (1 << 22));
            }
        }
    }

    /// Both ways to compute a strip, also where only one of them is used on this machine.
    #[test]
    fn strips_agree() {
        let source: Vec<u8> = noise(40, 12, 5).data;
        for taps in [vec![32767], vec![-3000, 30000], vec![-32768, 32767, 400], vec![-700, 9000, 17000, 9000, -700]] {
            for bits in [0, 1, 15] {
                let mut expected = [0; ROWS];
                portable(&source, 100, &taps, bits, &mut expected);
                let mut rows = vec![0u8; 100];
                let rest = &source[..100 * taps.len()];
                run(Pass::Vertical { rows: rest, taps: &taps, bits, out: &mut rows });
                assert_eq!(rows[..ROWS], expected, "{taps:?} {bits}");
            }
        }
    }

    #[test]
    fn flat_pictures_stay_flat_and_equal_sizes_stay_equal() {
        for level in [0, 1, 127, 255] {
            let flat = Rgb::filled(37, 19, [level; 3]);
            assert!(resize(&flat, 20, 50).data.iter().all(|&v| v == level));
        }
        let picture = noise(20, 10, 3);
        assert_eq!(resize(&picture, 20, 10), picture);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]
        #[test]
        fn fast_equals_plain(w in 1usize..90, h in 1usize..50, ow in 1usize..90, oh in 1usize..50, seed: u32) {
            let source = noise(w, h, seed);
            let got = resize(&source, ow, oh);
            prop_assert_eq!((got.width, got.height), (ow, oh));
            prop_assert_eq!(got.data, plain(&source, ow, oh));
        }
    }

    /// Not a gate (machines differ): `cargo test --release -p reinsman --lib vlm::resize -- --ignored --nocapture`.
    #[test]
    #[ignore = "prints a time"]
    fn time() {
        let source = noise(1600, 900, 1);
        let best = (0..20)
            .map(|_| {
                let start = std::time::Instant::now();
                std::hint::black_box(resize(&source, 588, 308));
                start.elapsed()
            })
            .min()
            .unwrap();
        println!("1600x900 -> 588x308 in {best:?}");
    }
}
