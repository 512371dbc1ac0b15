//! The packed layout: sixteen rows ("strip") side by side, one record per block of ggml.
//!
//! Codes lie so that 64 bytes hold four consecutive inputs of each of the sixteen rows, the operand of one `vpdpbusd`;
//! formats under 8 bits put blocks of 32 inputs into bit fields of the same bytes. A record is
//! `Q4_K`: d f16[16], dmin f16[16], scales u8[8][16], mins u8[8][16], codes 2048 B;
//! `Q6_K`: d f16[16], scales i8[16][16], low nibbles 2048 B, high bit pairs 1024 B; `Q8_0`: d f16[16], codes + 128, 512 B.
//! Rows that fill up the last strip are zero.

use super::Kind;
use half::f16;

/// Rows of a strip.
pub(super) const STRIP: usize = 16;

/// Bytes of one record: sixteen rows of one block.
pub(super) fn record_bytes(kind: Kind) -> usize {
    match kind {
        Kind::Q4K => 64 + 256 + 2048,
        Kind::Q6K => 32 + 256 + 2048 + 1024,
        Kind::Q8_0 => 32 + 512,
    }
}

/// Sixteen packed rows.
#[derive(Clone, Copy)]
pub(super) struct Strip<'a> {
    pub(super) kind: Kind,
    pub(super) bytes: &'a [u8],
}

/// Where the code of row `r` and input `k` of a block is: (byte, shift) of its low bits within the codes.
fn low(r: usize, k: usize) -> (usize, u32) {
    let (block, quad) = (k / 32, k % 32 / 4);
    (block / 2 * 512 + quad * 64 + 4 * r + k % 4, 4 * (block as u32 % 2))
}

/// The same for the two high bits of `Q6_K`.
fn high(r: usize, k: usize) -> (usize, u32) {
    let (block, quad) = (k / 32, k % 32 / 4);
    (block / 4 * 512 + quad * 64 + 4 * r + k % 4, 2 * (block as u32 % 4))
}

/// Scale and minimum `j` of the twelve bytes of a `Q4_K` block.
fn scale_min(s: &[u8], j: usize) -> (u8, u8) {
    if j < 4 {
        (s[j] & 63, s[j + 4] & 63)
    } else {
        ((s[j + 4] & 15) | (s[j - 4] >> 6 << 4), (s[j + 4] >> 4) | (s[j] >> 6 << 4))
    }
}

/// Position of the low nibble and bit pair of element `k` in a `Q6_K` block: (ql byte, shift, qh byte, shift).
fn q6(k: usize) -> (usize, u32, usize, u32) {
    let (half, j, l) = (k / 128, k % 128 / 32, k % 32);
    (half * 64 + j % 2 * 32 + l, 4 * (j as u32 / 2), half * 32 + l, 2 * j as u32)
}

/// Packs up to sixteen rows of blocks into a zeroed strip.
pub(super) fn pack(kind: Kind, cols: usize, blocks: &[u8], strip: &mut [u8]) {
    let per_row = cols / kind.block();
    for (r, row) in blocks.chunks_exact(per_row * kind.block_bytes()).enumerate() {
        let records = strip.chunks_exact_mut(record_bytes(kind));
        for (block, record) in row.chunks_exact(kind.block_bytes()).zip(records) {
            match kind {
                Kind::Q4K => {
                    record[2 * r..2 * r + 2].copy_from_slice(&block[0..2]);
                    record[32 + 2 * r..34 + 2 * r].copy_from_slice(&block[2..4]);
                    for j in 0..8 {
                        let (scale, min) = scale_min(&block[4..16], j);
                        record[64 + 16 * j + r] = scale;
                        record[192 + 16 * j + r] = min;
                    }
                    for k in 0..256 {
                        let code = block[16 + k / 64 * 32 + k % 32] >> (4 * (k / 32 % 2)) & 15;
                        let (at, shift) = low(r, k);
                        record[320 + at] |= code << shift;
                    }
                }
                Kind::Q6K => {
                    record[2 * r..2 * r + 2].copy_from_slice(&block[208..210]);
                    for j in 0..16 {
                        record[32 + 16 * j + r] = block[192 + j];
                    }
                    for k in 0..256 {
                        let (ql, ql_shift, qh, qh_shift) = q6(k);
                        let ((at, shift), (high_at, high_shift)) = (low(r, k), high(r, k));
                        record[288 + at] |= (block[ql] >> ql_shift & 15) << shift;
                        record[2336 + high_at] |= (block[128 + qh] >> qh_shift & 3) << high_shift;
                    }
                }
                Kind::Q8_0 => {
                    record[2 * r..2 * r + 2].copy_from_slice(&block[0..2]);
                    for k in 0..32 {
                        record[32 + k / 4 * 64 + 4 * r + k % 4] = block[2 + k] ^ 128;
                    }
                }
            }
        }
    }
}

/// The inverse of [`pack`]: as many rows as `blocks` has room for.
pub(super) fn unpack(kind: Kind, cols: usize, strip: &[u8], blocks: &mut [u8]) {
    let per_row = cols / kind.block();
    for (r, row) in blocks.chunks_exact_mut(per_row * kind.block_bytes()).enumerate() {
        let records = strip.chunks_exact(record_bytes(kind));
        for (block, record) in row.chunks_exact_mut(kind.block_bytes()).zip(records) {
            block.fill(0);
            match kind {
                Kind::Q4K => {
                    block[0..2].copy_from_slice(&record[2 * r..2 * r + 2]);
                    block[2..4].copy_from_slice(&record[32 + 2 * r..34 + 2 * r]);
                    for j in 0..8 {
                        let (scale, min) = (record[64 + 16 * j + r], record[192 + 16 * j + r]);
                        if j < 4 {
                            block[4 + j] |= scale;
                            block[8 + j] |= min;
                        } else {
                            block[8 + j] |= (scale & 15) | (min << 4);
                            block[j] |= scale >> 4 << 6;
                            block[4 + j] |= min >> 4 << 6;
                        }
                    }
                    for k in 0..256 {
                        let (at, shift) = low(r, k);
                        block[16 + k / 64 * 32 + k % 32] |= (record[320 + at] >> shift & 15) << (4 * (k / 32 % 2));
                    }
                }
                Kind::Q6K => {
                    block[208..210].copy_from_slice(&record[2 * r..2 * r + 2]);
                    for j in 0..16 {
                        block[192 + j] = record[32 + 16 * j + r];
                    }
                    for k in 0..256 {
                        let (ql, ql_shift, qh, qh_shift) = q6(k);
                        let ((at, shift), (high_at, high_shift)) = (low(r, k), high(r, k));
                        block[ql] |= (record[288 + at] >> shift & 15) << ql_shift;
                        block[128 + qh] |= (record[2336 + high_at] >> high_shift & 3) << qh_shift;
                    }
                }
                Kind::Q8_0 => {
                    block[0..2].copy_from_slice(&record[2 * r..2 * r + 2]);
                    for k in 0..32 {
                        block[2 + k] = record[32 + k / 4 * 64 + 4 * r + k % 4] ^ 128;
                    }
                }
            }
        }
    }
}

/// Sixteen f16 numbers of a record.
pub(super) fn halves(bytes: &[u8]) -> [f32; STRIP] {
    std::array::from_fn(|r| f16::from_le_bytes([bytes[2 * r], bytes[2 * r + 1]]).to_f32())
}
