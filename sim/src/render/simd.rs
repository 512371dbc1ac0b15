//! The inner loops: filling convex polygons row by row, and packing colours into bytes.
//!
//! Each loop exists twice, in portable Rust and with AVX-512, chosen at run time; both do the same single-precision
//! operations in the same order (no fused multiply-add), so the pixels are equal.

#![allow(unsafe_code)]

use super::style::mix;

/// What a polygon does to a pixel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fill {
    /// One colour where it is nearer than what is there.
    Solid,
    /// A colour per row, whatever is there: paint on the ground.
    Ground,
    /// Five eighths of the colour that is there.
    Shadow,
}

/// A convex polygon of at most four edges in pixels.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Poly {
    /// Rows it covers: first and one past the last.
    pub rows: (i32, i32),
    /// Columns that bound it: first and one past the last.
    pub columns: (i32, i32),
    /// Upper end of each edge.
    pub x: [f32; 4],
    pub y: [f32; 4],
    /// Columns per row of each edge.
    pub slope: [f32; 4],
    /// Added to an edge's column where it bounds from the left (0, else -∞) and from the right (0, else ∞).
    pub left: [f32; 4],
    pub right: [f32; 4],
    /// Inverse depth at the optical axis, its change per column and per row, and its bounds.
    pub depth: [f32; 3],
    pub depth_min: f32,
    pub depth_max: f32,
    pub colour: u32,
    pub tag: u32,
    pub fill: Fill,
}

/// Buffers of one picture. All slices hold `width * height` items; `tag` may be empty.
pub(crate) struct Target<'a> {
    pub width: usize,
    pub height: usize,
    pub cx: f32,
    pub cy: f32,
    pub colour: &'a mut [u32],
    pub depth: &'a mut [f32],
    pub tag: &'a mut [u32],
    pub vector: bool,
}

/// Whether this machine has the instructions of the vector code.
pub(crate) fn available() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vbmi")
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        false
    }
}

impl Target<'_> {
    /// Draws a polygon; `rows` holds 16 colours per row; for [`Fill::Ground`] the polygon's colour is one's number.
    #[inline]
    pub fn fill(&mut self, poly: &Poly, rows: &[[u32; 16]]) {
        debug_assert!(poly.rows.0 >= 0 && poly.rows.1 <= self.height as i32);
        #[cfg(target_arch = "x86_64")]
        if self.vector {
            // SAFETY: `vector` is only set where `available` said yes.
            unsafe { avx512::fill(self, poly, rows) };
            return;
        }
        portable::fill(self, poly, rows);
    }
}

/// Red, green and blue bytes of packed colours; `rgb` holds three bytes per colour.
pub(crate) fn pack(colour: &[u32], rgb: &mut [u8], vector: bool) {
    #[cfg(target_arch = "x86_64")]
    if vector {
        // SAFETY: `vector` is only set where `available` said yes.
        unsafe { avx512::pack(colour, rgb) };
        return;
    }
    let _ = vector;
    portable::pack(colour, rgb);
}

/// Sixteen colours mixed with one: `(256 - t) / 256` of each, `t / 256` of `haze`.
pub(crate) fn mix16(colours: &[u32; 16], haze: u32, t: u32, out: &mut [u32; 16], vector: bool) {
    #[cfg(target_arch = "x86_64")]
    if vector {
        // SAFETY: `vector` is only set where `available` said yes.
        unsafe { avx512::mix16(colours, haze, t, out) };
        return;
    }
    let _ = vector;
    for (out, colour) in out.iter_mut().zip(colours) {
        *out = mix(*colour, haze, t);
    }
}

/// Averages each colour with its neighbours in the row, by bytes: a quarter, a half, a quarter.
pub(crate) fn blur(colour: &mut [u32], width: usize, vector: bool) {
    for row in colour.chunks_exact_mut(width.max(1)) {
        #[cfg(target_arch = "x86_64")]
        if vector && width.is_multiple_of(16) {
            // SAFETY: `vector` is only set where `available` said yes.
            unsafe { avx512::blur(row) };
            continue;
        }
        let _ = vector;
        portable::blur(row);
    }
}

/// Makes each colour darker or lighter by up to `amplitude` (at most 127), the same in all its bytes, by a hash of its
/// number and `key`.
pub(crate) fn speckle(colour: &mut [u32], key: u32, amplitude: u8, vector: bool) {
    #[cfg(target_arch = "x86_64")]
    if vector {
        // SAFETY: `vector` is only set where `available` said yes.
        let done = unsafe { avx512::speckle(colour, key, amplitude) };
        portable::speckle(&mut colour[done..], key.wrapping_add(done as u32), amplitude);
        return;
    }
    let _ = vector;
    portable::speckle(colour, key, amplitude);
}

mod portable {
    use super::{Fill, Poly, Target};

    /// Rounded-up average of each byte.
    fn average(a: u32, b: u32) -> u32 {
        (a | b) - (((a ^ b) >> 1) & 0x7F7F_7F7F)
    }

    pub fn blur(row: &mut [u32]) {
        let mut before = row[0];
        for i in 0..row.len() {
            let (here, after) = (row[i], row[(i + 1).min(row.len() - 1)]);
            row[i] = average(average(before, after), here);
            before = here;
        }
    }

    pub fn speckle(colour: &mut [u32], key: u32, amplitude: u8) {
        let amplitude = u32::from(amplitude);
        for (i, c) in colour.iter_mut().enumerate() {
            let mut h = key.wrapping_add(i as u32).wrapping_mul(0x9E37_79B1);
            h ^= h >> 15;
            h = h.wrapping_mul(0x85EB_CA6B);
            h ^= h >> 13;
            let n = ((h & 0xFFFF) * (2 * amplitude + 1)) >> 16;
            let byte = |shift: u32| ((*c >> shift & 0xFF) + n).min(255).saturating_sub(amplitude) << shift;
            *c = byte(0) | byte(8) | byte(16);
        }
    }

    pub fn fill(t: &mut Target, p: &Poly, rows: &[[u32; 16]]) {
        for row in p.rows.0..p.rows.1 {
            let y = row as f32 + 0.5;
            let (mut from, mut to) = (p.columns.0 as f32, p.columns.1 as f32);
            for e in 0..4 {
                let x = p.x[e] + (y - p.y[e]) * p.slope[e];
                let (l, r) = (x + p.left[e], x + p.right[e]);
                from = if l > from { l } else { from };
                to = if r < to { r } else { to };
            }
            let (from, to) = ((from - 0.5).ceil() as i32, (to - 0.5).ceil() as i32);
            if from >= to {
                continue;
            }
            let start = row as usize * t.width;
            let span = start + from as usize..start + to as usize;
            match p.fill {
                Fill::Ground => {
                    t.colour[span.clone()].fill(rows[row as usize][p.colour as usize & 15]);
                    if !t.tag.is_empty() {
                        t.tag[span].fill(p.tag);
                    }
                }
                Fill::Shadow => {
                    for c in &mut t.colour[span] {
                        *c = ((*c >> 1) & 0x7F_7F7F) + ((*c >> 3) & 0x1F_1F1F);
                    }
                }
                Fill::Solid => {
                    let base = p.depth[0] + p.depth[2] * (y - t.cy);
                    for (i, column) in span.zip(from..to) {
                        let depth = base + p.depth[1] * (column as f32 + (0.5 - t.cx));
                        let depth = if depth > p.depth_min { depth } else { p.depth_min };
                        let depth = if depth < p.depth_max { depth } else { p.depth_max };
                        if depth >= t.depth[i] {
                            t.depth[i] = depth;
                            t.colour[i] = p.colour;
                            if !t.tag.is_empty() {
                                t.tag[i] = p.tag;
                            }
                        }
                    }
                }
            }
        }
    }

    pub fn pack(colour: &[u32], rgb: &mut [u8]) {
        for (out, c) in rgb.chunks_exact_mut(3).zip(colour) {
            let [r, g, b, _] = c.to_le_bytes();
            out.copy_from_slice(&[r, g, b]);
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod avx512 {
    use super::{Fill, Poly, Target};
    use std::arch::x86_64::*;

    const COUNT: [f32; 16] = [0., 1., 2., 3., 4., 5., 6., 7., 8., 9., 10., 11., 12., 13., 14., 15.];

    /// First columns and columns past the last of 16 rows from `row` on.
    #[target_feature(enable = "avx512f")]
    fn spans(p: &Poly, row: i32, width: f32, from: &mut [i32; 16], to: &mut [i32; 16]) {
        // SAFETY: loads and stores of 16 items of arrays that hold 16.
        unsafe {
            let half = _mm512_set1_ps(0.5);
            let y = _mm512_add_ps(_mm512_add_ps(_mm512_set1_ps(row as f32), _mm512_loadu_ps(COUNT.as_ptr())), half);
            let (mut l, mut r) = (_mm512_set1_ps(p.columns.0 as f32), _mm512_set1_ps(p.columns.1 as f32));
            for e in 0..4 {
                let dy = _mm512_sub_ps(y, _mm512_set1_ps(p.y[e]));
                let x = _mm512_add_ps(_mm512_set1_ps(p.x[e]), _mm512_mul_ps(dy, _mm512_set1_ps(p.slope[e])));
                l = _mm512_max_ps(_mm512_add_ps(x, _mm512_set1_ps(p.left[e])), l);
                r = _mm512_min_ps(_mm512_add_ps(x, _mm512_set1_ps(p.right[e])), r);
            }
            // What lies outside the picture must not overflow the integers below.
            l = _mm512_min_ps(l, _mm512_set1_ps(width));
            r = _mm512_max_ps(r, _mm512_setzero_ps());
            let ceil =
                |v| _mm512_cvt_roundps_epi32::<{ _MM_FROUND_TO_POS_INF | _MM_FROUND_NO_EXC }>(_mm512_sub_ps(v, half));
            _mm512_storeu_si512(from.as_mut_ptr().cast(), ceil(l));
            _mm512_storeu_si512(to.as_mut_ptr().cast(), ceil(r));
        }
    }

    /// What all rows of a polygon share.
    struct Brush {
        colour: __m512i,
        tag: __m512i,
        count: __m512i,
        /// Depth: change per column, and its bounds.
        slope: __m512,
        low: __m512,
        high: __m512,
    }

    /// Sixteen columns of one row from `column` on, those in `mask`. `at` is the offset of the first of them in the buffers.
    ///
    /// # Safety
    /// Masked columns of the block at `at` lie inside the buffers.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    unsafe fn block<const FILL: u8, const LABELS: bool>(
        t: &mut Target,
        b: &Brush,
        at: usize,
        mask: u16,
        x: __m512,
        row: Row,
    ) {
        // SAFETY: the caller's promise; masked lanes are not touched.
        unsafe {
            let out = t.colour.as_mut_ptr().wrapping_add(at).cast::<i32>();
            let label = t.tag.as_mut_ptr().wrapping_add(at).cast::<i32>();
            let mut drawn = mask;
            if FILL == SOLID {
                let depth = t.depth.as_mut_ptr().wrapping_add(at);
                let z = _mm512_add_ps(_mm512_set1_ps(row.depth), _mm512_mul_ps(b.slope, x));
                let z = _mm512_min_ps(_mm512_max_ps(z, b.low), b.high);
                drawn = _mm512_mask_cmp_ps_mask::<_CMP_GE_OQ>(mask, z, _mm512_maskz_loadu_ps(mask, depth));
                _mm512_mask_storeu_ps(depth, drawn, z);
                _mm512_mask_storeu_epi32(out, drawn, b.colour);
            } else if FILL == GROUND {
                _mm512_mask_storeu_epi32(out, mask, _mm512_set1_epi32(row.colour as i32));
            } else {
                let c = _mm512_maskz_loadu_epi32(mask, out);
                let half = _mm512_and_epi32(_mm512_srli_epi32::<1>(c), _mm512_set1_epi32(0x7F_7F7F));
                let eighth = _mm512_and_epi32(_mm512_srli_epi32::<3>(c), _mm512_set1_epi32(0x1F_1F1F));
                _mm512_mask_storeu_epi32(out, mask, _mm512_add_epi32(half, eighth));
            }
            if LABELS {
                _mm512_mask_storeu_epi32(label, drawn, b.tag);
            }
        }
    }

    /// A row's depth at the optical axis and its colour on the ground.
    #[derive(Clone, Copy)]
    struct Row {
        depth: f32,
        colour: u32,
    }

    const SOLID: u8 = Fill::Solid as u8;
    const GROUND: u8 = Fill::Ground as u8;
    const SHADOW: u8 = Fill::Shadow as u8;

    #[target_feature(enable = "avx512f,avx512bw")]
    pub fn fill(t: &mut Target, p: &Poly, rows: &[[u32; 16]]) {
        assert!(p.rows.0 >= 0 && p.rows.1 as usize <= t.height);
        assert!(t.colour.len() == t.width * t.height && t.depth.len() == t.colour.len());
        if t.tag.is_empty() {
            match p.fill {
                Fill::Solid => fill_as::<SOLID, false>(t, p, rows),
                Fill::Ground => fill_as::<GROUND, false>(t, p, rows),
                Fill::Shadow => fill_as::<SHADOW, false>(t, p, rows),
            }
        } else {
            assert!(t.tag.len() == t.colour.len());
            match p.fill {
                Fill::Solid => fill_as::<SOLID, true>(t, p, rows),
                Fill::Ground => fill_as::<GROUND, true>(t, p, rows),
                Fill::Shadow => fill_as::<SHADOW, false>(t, p, rows),
            }
        }
    }

    #[target_feature(enable = "avx512f,avx512bw")]
    fn fill_as<const FILL: u8, const LABELS: bool>(t: &mut Target, p: &Poly, rows: &[[u32; 16]]) {
        let (mut from, mut to) = ([0i32; 16], [0i32; 16]);
        let brush = Brush {
            colour: _mm512_set1_epi32(p.colour as i32),
            tag: _mm512_set1_epi32(p.tag as i32),
            count: _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
            slope: _mm512_set1_ps(p.depth[1]),
            low: _mm512_set1_ps(p.depth_min),
            high: _mm512_set1_ps(p.depth_max),
        };
        let shift = _mm512_set1_ps(0.5 - t.cx);
        let mut row = p.rows.0;
        while row < p.rows.1 {
            spans(p, row, t.width as f32, &mut from, &mut to);
            let n = (p.rows.1 - row).min(16);
            let cy = t.cy;
            let line = |k: i32| {
                let y = (row + k) as f32 + 0.5;
                let depth = p.depth[0] + p.depth[2] * (y - cy);
                Row { depth, colour: if FILL == GROUND { rows[(row + k) as usize][p.colour as usize & 15] } else { 0 } }
            };
            if p.columns.1 - p.columns.0 <= 16 {
                // Small: all rows in one block of columns, without branches.
                let start = _mm512_set1_epi32(p.columns.0);
                let column = _mm512_add_epi32(start, brush.count);
                let x = _mm512_add_ps(_mm512_cvtepi32_ps(column), shift);
                for k in 0..n {
                    let first = _mm512_set1_epi32(from[k as usize]);
                    let last = _mm512_set1_epi32(to[k as usize]);
                    let mask = _mm512_mask_cmplt_epi32_mask(_mm512_cmpge_epi32_mask(column, first), column, last);
                    let at = ((row + k) as usize * t.width).wrapping_add(p.columns.0 as usize);
                    // SAFETY: `spans` keeps columns in 0..width, the row lies in 0..height (asserted in `fill`, as are the
                    // lengths of the buffers).
                    unsafe { block::<FILL, LABELS>(t, &brush, at, mask, x, line(k)) };
                }
            } else {
                for k in 0..n {
                    let (mut column, end) = (from[k as usize], to[k as usize]);
                    let (start, row) = ((row + k) as usize * t.width, line(k));
                    while column < end {
                        let mask = if end - column >= 16 { 0xFFFF } else { (1u16 << (end - column)) - 1 };
                        let columns = _mm512_add_epi32(_mm512_set1_epi32(column), brush.count);
                        let x = _mm512_add_ps(_mm512_cvtepi32_ps(columns), shift);
                        // SAFETY: as above.
                        unsafe { block::<FILL, LABELS>(t, &brush, start + column as usize, mask, x, row) };
                        column += 16;
                    }
                }
            }
            row += 16;
        }
    }

    #[target_feature(enable = "avx512f")]
    pub fn mix16(colours: &[u32; 16], haze: u32, t: u32, out: &mut [u32; 16]) {
        // SAFETY: both arrays hold 16 colours.
        unsafe {
            let c = _mm512_loadu_si512(colours.as_ptr().cast());
            let (rb, g) = (_mm512_set1_epi32(0xFF_00FF), _mm512_set1_epi32(0xFF00));
            let s = _mm512_set1_epi32(256 - t as i32);
            let part = |bytes: __m512i, mask: u32| {
                let other = _mm512_set1_epi32(((haze & mask) * t) as i32);
                let sum = _mm512_add_epi32(_mm512_mullo_epi32(_mm512_and_si512(c, bytes), s), other);
                _mm512_and_si512(_mm512_srli_epi32::<8>(sum), bytes)
            };
            let mixed = _mm512_or_si512(part(rb, 0xFF_00FF), part(g, 0xFF00));
            _mm512_storeu_si512(out.as_mut_ptr().cast(), mixed);
        }
    }

    /// A row whose length is a multiple of 16.
    #[target_feature(enable = "avx512f,avx512bw")]
    pub fn blur(row: &mut [u32]) {
        let last = row[row.len() - 1];
        let (mut before, n) = (_mm512_set1_epi32(row[0] as i32), row.len() / 16);
        for i in 0..n {
            // SAFETY: blocks i and, where it exists, i + 1 of 16 colours lie inside the row.
            unsafe {
                let p = row.as_mut_ptr().add(16 * i).cast();
                let here = _mm512_loadu_si512(p);
                let next = if i + 1 < n { _mm512_loadu_si512(p.add(1)) } else { _mm512_set1_epi32(last as i32) };
                let left = _mm512_alignr_epi32::<15>(here, before);
                let right = _mm512_alignr_epi32::<1>(next, here);
                _mm512_storeu_si512(p, _mm512_avg_epu8(_mm512_avg_epu8(left, right), here));
                before = here;
            }
        }
    }

    /// Returns how many colours it has done.
    #[target_feature(enable = "avx512f,avx512bw")]
    pub fn speckle(colour: &mut [u32], key: u32, amplitude: u8) -> usize {
        let count = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
        let low = _mm512_set1_epi32(0xFFFF);
        let range = _mm512_set1_epi32(2 * i32::from(amplitude) + 1);
        let (spread, less) = (_mm512_set1_epi32(0x01_0101), _mm512_set1_epi32(0x01_0101 * i32::from(amplitude)));
        for (block, c) in colour.chunks_exact_mut(16).enumerate() {
            let start = _mm512_set1_epi32(key.wrapping_add(16 * block as u32) as i32);
            let mut h = _mm512_mullo_epi32(_mm512_add_epi32(start, count), _mm512_set1_epi32(0x9E37_79B1_u32 as i32));
            h = _mm512_xor_epi32(h, _mm512_srli_epi32::<15>(h));
            h = _mm512_mullo_epi32(h, _mm512_set1_epi32(0x85EB_CA6B_u32 as i32));
            h = _mm512_xor_epi32(h, _mm512_srli_epi32::<13>(h));
            let n = _mm512_srli_epi32::<16>(_mm512_mullo_epi32(_mm512_and_epi32(h, low), range));
            let n = _mm512_mullo_epi32(n, spread);
            // SAFETY: the chunk holds 16 colours.
            unsafe {
                let p = c.as_mut_ptr().cast();
                let v = _mm512_subs_epu8(_mm512_adds_epu8(_mm512_loadu_si512(p), n), less);
                _mm512_storeu_si512(p, v);
            }
        }
        colour.len() / 16 * 16
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
    pub fn pack(colour: &[u32], rgb: &mut [u8]) {
        let mut index = [0u8; 64];
        for (i, byte) in index[..48].iter_mut().enumerate() {
            *byte = (i / 3 * 4 + i % 3) as u8;
        }
        // SAFETY: each load reads 16 colours of a whole chunk, each masked store writes the 48 bytes of its chunk.
        unsafe {
            let index = _mm512_loadu_si512(index.as_ptr().cast());
            for (c, out) in colour.chunks_exact(16).zip(rgb.chunks_exact_mut(48)) {
                let bytes = _mm512_permutexvar_epi8(index, _mm512_loadu_si512(c.as_ptr().cast()));
                _mm512_mask_storeu_epi8(out.as_mut_ptr().cast(), (1 << 48) - 1, bytes);
            }
        }
        let done = colour.len() / 16 * 16;
        super::portable::pack(&colour[done..], &mut rgb[3 * done..]);
    }
}
