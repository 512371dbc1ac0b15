//! Products on AVX-512 VNNI: 64 eight-bit multiply-adds an instruction, sixteen rows of weights by four inputs.
//!
//! Per block of 32 inputs the codes of a strip are unpacked once into eight registers and meet the three planes of every
//! input row of the tile: `(((high products) << 8) + middle products) << 8) + low products` is the exact integer product,
//! then one conversion and two fused multiply-adds apply the scales. A row's sums are in the same order in any tile.
//! Integers may wrap on the way, for the result fits: at most 2^22 * 32 * 15 for `Q4_K`, 2^22 * 16 * 32 for a half of
//! `Q6_K` once its codes are less 32; `Q8_0` keeps the low plane apart.

use super::{
    Kind, Quantized,
    inputs::{BLOCK, Inputs, PLANES, TILE},
    layout::{STRIP, record_bytes},
};
use std::{arch::x86_64::*, ops::Range, sync::OnceLock};

/// Bytes of weights that stay in the second cache while the inputs pass.
const RESIDENT: usize = 1 << 19;

/// How far memory is asked for in advance.
const AHEAD: usize = 8192;

/// Whether this machine can run [`products`].
pub(super) fn available() -> bool {
    static FOUND: OnceLock<bool> = OnceLock::new();
    *FOUND.get_or_init(|| {
        let features = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vnni");
        features && std::env::var_os("REINSMAN_PORTABLE_KERNELS").is_none()
    })
}

/// Results of all input rows with a range of strips: `write(row, first column, sixteen values)`.
#[allow(unsafe_code)]
pub(super) fn products(
    w: &Quantized,
    inputs: &Inputs,
    strips: Range<usize>,
    mut write: impl FnMut(usize, usize, &[f32]),
) {
    let bytes = w.kind.packed_bytes(STRIP, w.cols);
    let chunk = (RESIDENT / bytes.max(1)).max(1);
    let rows = inputs.rows;
    let mut from = strips.start;
    while from < strips.end {
        let to = (from + chunk).min(strips.end);
        let mut row = 0;
        while row < rows {
            let left = rows - row;
            let size = if left >= TILE { TILE } else { 1 << left.ilog2() };
            for strip in from..to {
                let mut out = [[0f32; STRIP]; TILE];
                let weights = w.strip(strip).bytes;
                // SAFETY: `available` found the instructions (the caller asked), the strip holds `inputs.blocks` blocks
                // (checked when the matrix was made) and the rows exist.
                unsafe {
                    match size {
                        8 => tile::<8>(w.kind, weights, inputs, row, &mut out),
                        4 => tile::<4>(w.kind, weights, inputs, row, &mut out),
                        2 => tile::<2>(w.kind, weights, inputs, row, &mut out),
                        _ => tile::<1>(w.kind, weights, inputs, row, &mut out),
                    }
                }
                for (i, out) in out[..size].iter().enumerate() {
                    write(row + i, strip * STRIP, out);
                }
            }
            row += size;
        }
        from = to;
    }
}

#[allow(unsafe_code)]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn tile<const M: usize>(
    kind: Kind,
    weights: &[u8],
    inputs: &Inputs,
    row: usize,
    out: &mut [[f32; STRIP]; TILE],
) {
    let records = inputs.blocks / (kind.block() / 32);
    assert!(weights.len() >= records * record_bytes(kind) && row + M <= inputs.rows && row % TILE + M <= TILE);
    // SAFETY: reads stay inside the strip and the input rows by the line above.
    unsafe {
        let acc = match kind {
            Kind::Q4K => q4k::<M>(weights.as_ptr(), inputs, row),
            Kind::Q6K => q6k::<M>(weights.as_ptr(), inputs, row),
            Kind::Q8_0 => q8::<M>(weights.as_ptr(), inputs, row),
        };
        for m in 0..M {
            _mm512_storeu_ps(out[m].as_mut_ptr(), acc[m]);
        }
    }
}

/// The integer products of a block's codes, over registers `FROM..TO`, with the three planes of one input row.
#[allow(unsafe_code)]
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn products_of<const FROM: usize, const TO: usize>(codes: &[__m512i; 8], planes: *const i8) -> [__m512i; 3] {
    // SAFETY: `planes` has `PLANES` readable bytes.
    unsafe {
        let four = |plane: usize, i: usize| {
            _mm512_set1_epi32(planes.add(BLOCK * plane + 4 * i).cast::<i32>().read_unaligned())
        };
        let mut sums = [_mm512_setzero_si512(); 3];
        // A counted loop over constants, which the compiler unrolls so that the codes stay in registers; three sums at a
        // time, since one alone would wait for itself.
        let mut i = FROM;
        while i < TO {
            sums[0] = _mm512_dpbusd_epi32(sums[0], codes[i], four(0, i));
            sums[1] = _mm512_dpbusd_epi32(sums[1], codes[i], four(1, i));
            sums[2] = _mm512_dpbusd_epi32(sums[2], codes[i], four(2, i));
            i += 1;
        }
        sums
    }
}

/// `256 high + low`.
#[allow(unsafe_code)]
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn join(high: __m512i, low: __m512i) -> __m512i {
    _mm512_add_epi32(_mm512_slli_epi32::<8>(high), low)
}

/// The integer product of a block's codes, over registers `FROM..TO`, with one input row.
#[allow(unsafe_code)]
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn dot<const FROM: usize, const TO: usize>(codes: &[__m512i; 8], planes: *const i8) -> __m512i {
    // SAFETY: `planes` has `PLANES` readable bytes.
    unsafe {
        let [high, middle, low] = products_of::<FROM, TO>(codes, planes);
        join(join(high, middle), low)
    }
}

/// Asks for `LINES` lines of memory that are needed some blocks later: alone, the processor stops at every page.
#[inline(always)]
#[allow(unsafe_code)]
fn ahead<const LINES: usize>(at: *const u8) {
    let mut line = 0;
    while line < LINES {
        // SAFETY: a prefetch reads nothing and may point anywhere.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(at.wrapping_add(AHEAD + 64 * line).cast()) };
        line += 1;
    }
}

/// Sixteen bytes as integers.
#[allow(unsafe_code)]
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn sixteen(at: *const u8) -> __m128i {
    // SAFETY: the caller has sixteen readable bytes there.
    unsafe { _mm_loadu_si128(at.cast()) }
}

/// Sixteen f16 numbers.
#[allow(unsafe_code)]
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn halves(at: *const u8) -> __m512 {
    // SAFETY: the caller has 32 readable bytes there.
    unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(at.cast())) }
}

#[allow(unsafe_code)]
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn q4k<const M: usize>(mut record: *const u8, inputs: &Inputs, row: usize) -> [__m512; M] {
    // SAFETY: see `tile`.
    unsafe {
        let mut acc = [_mm512_setzero_ps(); M];
        let nibble = _mm512_set1_epi8(15);
        let (planes, scales, sums) = (inputs.planes.as_ptr(), inputs.scales.as_ptr(), inputs.sums.as_ptr());
        let (blocks, first) = (inputs.blocks, inputs.at(row, 0));
        for s in 0..blocks / 8 {
            let (d, dmin) = (halves(record), halves(record.add(32)));
            ahead::<5>(record);
            for j in 0..8 {
                let at = record.add(320 + j / 2 * 512);
                if j % 2 == 0 {
                    ahead::<8>(at);
                }
                let mut codes = [_mm512_setzero_si512(); 8];
                for (i, code) in codes.iter_mut().enumerate() {
                    let bytes = _mm512_loadu_si512(at.add(64 * i).cast());
                    let bytes = if j % 2 == 0 { bytes } else { _mm512_srli_epi16::<4>(bytes) };
                    *code = _mm512_and_si512(bytes, nibble);
                }
                let scale = _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(sixteen(record.add(64 + 16 * j))));
                let min = _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(sixteen(record.add(192 + 16 * j))));
                let (scale, min) = (_mm512_mul_ps(scale, d), _mm512_mul_ps(min, dmin));
                for (m, acc) in acc.iter_mut().enumerate() {
                    let b = first + (8 * s + j) * TILE + m;
                    let sum = dot::<0, 8>(&codes, planes.add(PLANES * b));
                    let sum = _mm512_mul_ps(_mm512_cvtepi32_ps(sum), _mm512_set1_ps(*scales.add(b)));
                    *acc = _mm512_fmadd_ps(sum, scale, *acc);
                    *acc = _mm512_fnmadd_ps(_mm512_set1_ps(*sums.add(b)), min, *acc);
                }
            }
            record = record.add(record_bytes(Kind::Q4K));
        }
        acc
    }
}

#[allow(unsafe_code)]
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn q6k<const M: usize>(mut record: *const u8, inputs: &Inputs, row: usize) -> [__m512; M] {
    // SAFETY: see `tile`.
    unsafe {
        let mut acc = [_mm512_setzero_ps(); M];
        let (nibble, pair) = (_mm512_set1_epi8(15), _mm512_set1_epi8(0x30));
        let (planes, scales, sums) = (inputs.planes.as_ptr(), inputs.scales.as_ptr(), inputs.halves.as_ptr());
        let (blocks, first) = (inputs.blocks, inputs.at(row, 0));
        for s in 0..blocks / 8 {
            let d = halves(record);
            ahead::<5>(record);
            for j in 0..8 {
                let (low, high) = (record.add(288 + j / 2 * 512), record.add(2336 + j / 4 * 512));
                if j % 2 == 0 {
                    ahead::<8>(low);
                }
                if j % 4 == 0 {
                    ahead::<8>(high);
                }
                let mut codes = [_mm512_setzero_si512(); 8];
                for (i, code) in codes.iter_mut().enumerate() {
                    let bytes = _mm512_loadu_si512(low.add(64 * i).cast());
                    let bytes = if j % 2 == 0 { bytes } else { _mm512_srli_epi16::<4>(bytes) };
                    let bits = _mm512_loadu_si512(high.add(64 * i).cast());
                    let bits = match j % 4 {
                        0 => _mm512_slli_epi16::<4>(bits),
                        1 => _mm512_slli_epi16::<2>(bits),
                        2 => bits,
                        _ => _mm512_srli_epi16::<2>(bits),
                    };
                    *code = _mm512_or_si512(_mm512_and_si512(bytes, nibble), _mm512_and_si512(bits, pair));
                }
                let scale = |half: usize| {
                    _mm512_mul_ps(
                        _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(sixteen(record.add(32 + 16 * (2 * j + half))))),
                        d,
                    )
                };
                let (left, right) = (scale(0), scale(1));
                for (m, acc) in acc.iter_mut().enumerate() {
                    let b = first + (8 * s + j) * TILE + m;
                    let by = _mm512_set1_ps(*scales.add(b));
                    let [a, z] = *sums.add(b);
                    let a = _mm512_sub_epi32(
                        dot::<0, 4>(&codes, planes.add(PLANES * b)),
                        _mm512_set1_epi32(a.wrapping_mul(32)),
                    );
                    let z = _mm512_sub_epi32(
                        dot::<4, 8>(&codes, planes.add(PLANES * b)),
                        _mm512_set1_epi32(z.wrapping_mul(32)),
                    );
                    let a = _mm512_mul_ps(_mm512_cvtepi32_ps(a), left);
                    let both = _mm512_fmadd_ps(_mm512_cvtepi32_ps(z), right, a);
                    *acc = _mm512_fmadd_ps(both, by, *acc);
                }
            }
            record = record.add(record_bytes(Kind::Q6K));
        }
        acc
    }
}

#[allow(unsafe_code)]
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn q8<const M: usize>(mut record: *const u8, inputs: &Inputs, row: usize) -> [__m512; M] {
    // SAFETY: see `tile`.
    unsafe {
        let mut acc = [_mm512_setzero_ps(); M];
        let (planes, scales, offsets) = (inputs.planes.as_ptr(), inputs.scales.as_ptr(), inputs.offsets.as_ptr());
        let (blocks, first) = (inputs.blocks, inputs.at(row, 0));
        for block in 0..blocks {
            let d = halves(record);
            ahead::<9>(record);
            let mut codes = [_mm512_setzero_si512(); 8];
            for (i, code) in codes.iter_mut().enumerate() {
                *code = _mm512_loadu_si512(record.add(32 + 64 * i).cast());
            }
            for (m, acc) in acc.iter_mut().enumerate() {
                let b = first + block * TILE + m;
                let [high, middle, low] = products_of::<0, 8>(&codes, planes.add(PLANES * b));
                let upper = join(high, middle);
                let [over, under] = *offsets.add(b);
                let upper = _mm512_cvtepi32_ps(_mm512_sub_epi32(upper, _mm512_set1_epi32(over)));
                let low = _mm512_cvtepi32_ps(_mm512_sub_epi32(low, _mm512_set1_epi32(under)));
                let sum = _mm512_fmadd_ps(upper, _mm512_set1_ps(256.), low);
                let sum = _mm512_mul_ps(sum, _mm512_set1_ps(*scales.add(b)));
                *acc = _mm512_fmadd_ps(sum, d, *acc);
            }
            record = record.add(record_bytes(Kind::Q8_0));
        }
        acc
    }
}
