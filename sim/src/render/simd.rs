//! The inner loops: filling convex polygons row by row, and packing colours into bytes.
//!
//! Each loop exists twice, in portable Rust and with AVX-512 (those of [`super::lanes`] and [`super::strips`] are the same
//! code compiled twice), chosen at run time; both do the same single-precision operations in the same order (no fused
//! multiply-add), so the pixels are equal.

#![allow(unsafe_code)]

use super::camera::View;
use super::lanes::{self, Inks, LANES, Lens, Polys, Quads, Queue, Seen};
use super::stage::{Sheet, Strips};
use super::strips;
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
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512vbmi")
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        false
    }
}

impl Target<'_> {
    /// Draws the polygons whose bit in `wanted` is set, in their order, with the queue's inks; `rows` holds 16
    /// colours per row; for [`Fill::Ground`] the ink's colour is one's number.
    pub fn fill(&mut self, polys: &Polys, queue: &Queue, wanted: u32, rows: &[[u32; 16]]) {
        #[cfg(target_arch = "x86_64")]
        if self.vector {
            // SAFETY: `vector` is only set where `available` said yes.
            unsafe { avx512::fill(self, polys, queue, wanted, rows) };
            return;
        }
        let mut left = wanted;
        while left != 0 {
            let lane = left.trailing_zeros() as usize;
            left &= left - 1;
            portable::fill(self, polys, lane, queue, rows);
        }
    }
}

/// [`lanes::setup`].
pub(crate) fn setup(queue: &Queue, lens: &Lens, out: &mut Polys, vector: bool) {
    #[cfg(target_arch = "x86_64")]
    if vector {
        // SAFETY: `vector` is only set where `available` said yes.
        return unsafe { avx512::setup(queue, lens, out) };
    }
    let _ = vector;
    lanes::setup(queue, lens, out);
}

/// [`Queue::append`]; the queue holds fewer than 16 before.
pub(crate) fn append(queue: &mut Queue, quads: &Quads, inks: &Inks, wanted: u32, vector: bool) {
    #[cfg(target_arch = "x86_64")]
    if vector {
        // SAFETY: `vector` is only set where `available` said yes.
        return unsafe { avx512::append(queue, quads, inks, wanted) };
    }
    let _ = vector;
    queue.append(quads, inks, wanted);
}

/// [`lanes::flat`].
pub(crate) fn flat(view: &View, ground: &Sheet, out: &mut Quads, vector: bool) -> Seen {
    #[cfg(target_arch = "x86_64")]
    if vector {
        // SAFETY: `vector` is only set where `available` said yes.
        return unsafe { avx512::flat(view, ground, out) };
    }
    let _ = vector;
    lanes::flat(view, ground, out)
}

/// [`strips::strips`].
pub(crate) fn strips<const KERBS: bool>(
    view: &View,
    strips: &Strips,
    top: &mut Quads,
    side: &mut Quads,
    vector: bool,
) -> [Seen; 2] {
    #[cfg(target_arch = "x86_64")]
    if vector {
        // SAFETY: `vector` is only set where `available` said yes.
        return unsafe { avx512::strips::<KERBS>(view, strips, top, side) };
    }
    let _ = vector;
    strips::strips::<KERBS>(view, strips, top, side)
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

/// One colour and one depth for a whole row.
pub(crate) fn row(colours: &mut [u32], colour: u32, depths: &mut [f32], depth: f32, vector: bool) {
    #[cfg(target_arch = "x86_64")]
    if vector {
        // SAFETY: `vector` is only set where `available` said yes.
        return unsafe { avx512::row(colours, colour, depths, depth) };
    }
    let _ = vector;
    colours.fill(colour);
    depths.fill(depth);
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
    use super::{Fill, Polys, Queue, Target};

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

    pub fn fill(t: &mut Target, p: &Polys, lane: usize, ink: &Queue, rows: &[[u32; 16]]) {
        let (fill, colour, tag) = (ink.fill[lane], ink.colour[lane], ink.tag[lane]);
        if fill == Fill::Solid && p.plane >> lane & 1 == 0 {
            return;
        }
        for row in p.rows[0][lane]..p.rows[1][lane] {
            let y = row as f32 + 0.5;
            let (mut from, mut to) = (p.columns[0][lane] as f32, p.columns[1][lane] as f32);
            for e in 0..4 {
                let x = (y - p.y[e][lane]) * p.slope[e][lane];
                let (l, r) = (p.left[e][lane] + x, p.right[e][lane] + x);
                from = if l > from { l } else { from };
                to = if r < to { r } else { to };
            }
            let (from, to) = ((from - 0.5).ceil() as i32, (to - 0.5).ceil() as i32);
            if from >= to {
                continue;
            }
            let start = row as usize * t.width;
            let span = start + from as usize..start + to as usize;
            match fill {
                Fill::Ground => {
                    t.colour[span.clone()].fill(rows[row as usize][colour as usize & 15]);
                    if !t.tag.is_empty() {
                        t.tag[span].fill(tag);
                    }
                }
                Fill::Shadow => {
                    for c in &mut t.colour[span] {
                        *c = ((*c >> 1) & 0x7F_7F7F) + ((*c >> 3) & 0x1F_1F1F);
                    }
                }
                Fill::Solid => {
                    let base = p.depth[0][lane] + p.depth[2][lane] * (y - t.cy);
                    let (low, high) = (p.depth_min[lane], p.depth_max[lane]);
                    for (i, column) in span.zip(from..to) {
                        let depth = base + p.depth[1][lane] * (column as f32 + (0.5 - t.cx));
                        let depth = if depth > low { depth } else { low };
                        let depth = if depth < high { depth } else { high };
                        if depth >= t.depth[i] {
                            t.depth[i] = depth;
                            t.colour[i] = colour;
                            if !t.tag.is_empty() {
                                t.tag[i] = tag;
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
    use super::{Fill, Inks, LANES, Lens, Polys, Quads, Queue, Seen, Sheet, Strips, Target, View};
    use std::arch::x86_64::*;

    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
    pub fn setup(queue: &Queue, lens: &Lens, out: &mut Polys) {
        super::lanes::setup(queue, lens, out);
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
    pub fn append(queue: &mut Queue, q: &Quads, inks: &Inks, wanted: u32) {
        let at = queue.count;
        assert!(at <= LANES);
        let mask = wanted as u16;
        // SAFETY: loads of 16 items of arrays that hold 16, stores of 16 items from `at` on of arrays that hold 32.
        unsafe {
            let put = |from: *const f32, to: *mut f32| {
                _mm512_storeu_ps(to.add(at), _mm512_maskz_compress_ps(mask, _mm512_loadu_ps(from)));
            };
            for i in 0..4 {
                put(q.x[i].as_ptr(), queue.x[i].as_mut_ptr());
                put(q.y[i].as_ptr(), queue.y[i].as_mut_ptr());
                put(q.z[i].as_ptr(), queue.z[i].as_mut_ptr());
            }
            put(inks.colour.as_ptr().cast(), queue.colour.as_mut_ptr().cast());
            put(inks.tag.as_ptr().cast(), queue.tag.as_mut_ptr().cast());
        }
        queue.fill[at..at + LANES].fill(Fill::Ground);
        queue.count = at + mask.count_ones() as usize;
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
    pub fn flat(view: &View, ground: &Sheet, out: &mut Quads) -> Seen {
        super::lanes::flat(view, ground, out)
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
    pub fn strips<const KERBS: bool>(view: &View, s: &Strips, top: &mut Quads, side: &mut Quads) -> [Seen; 2] {
        super::strips::strips::<KERBS>(view, s, top, side)
    }

    /// Eight rows of one polygon.
    struct Rows {
        /// Columns: first, and past the last.
        from: [i32; 8],
        to: [i32; 8],
        /// The columns as bits above the polygon's first one, where it is at most 16 wide.
        mask: [u32; 8],
        /// Inverse depth at the optical axis.
        depth: [f32; 8],
    }

    impl Rows {
        const NONE: Rows = Rows { from: [0; 8], to: [0; 8], mask: [0; 8], depth: [0.0; 8] };
    }

    /// Rows from `row` on.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
    fn spans(p: &Polys, lane: usize, row: i32, width: f32, cy: f32, out: &mut Rows) {
        // SAFETY: stores of 8 items of arrays that hold 8.
        unsafe {
            let half = _mm256_set1_ps(0.5);
            let count = _mm256_setr_ps(0., 1., 2., 3., 4., 5., 6., 7.);
            let y = _mm256_add_ps(_mm256_add_ps(_mm256_set1_ps(row as f32), count), half);
            let first = p.columns[0][lane];
            let (mut l, mut r) = (_mm256_set1_ps(first as f32), _mm256_set1_ps(p.columns[1][lane] as f32));
            for e in 0..4 {
                let dy = _mm256_sub_ps(y, _mm256_set1_ps(p.y[e][lane]));
                let x = _mm256_mul_ps(dy, _mm256_set1_ps(p.slope[e][lane]));
                l = _mm256_max_ps(_mm256_add_ps(_mm256_set1_ps(p.left[e][lane]), x), l);
                r = _mm256_min_ps(_mm256_add_ps(_mm256_set1_ps(p.right[e][lane]), x), r);
            }
            // What lies outside the picture must not overflow the integers below.
            l = _mm256_min_ps(l, _mm256_set1_ps(width));
            r = _mm256_max_ps(r, _mm256_setzero_ps());
            let ceil = |v| _mm256_cvtps_epi32(_mm256_ceil_ps(_mm256_sub_ps(v, half)));
            let from = ceil(l);
            let to = _mm256_max_epi32(ceil(r), from);
            let (one, start) = (_mm256_set1_epi32(1), _mm256_set1_epi32(first));
            let bits = |v| _mm256_sllv_epi32(one, _mm256_sub_epi32(v, start));
            let depth = _mm256_mul_ps(_mm256_set1_ps(p.depth[2][lane]), _mm256_sub_ps(y, _mm256_set1_ps(cy)));
            _mm256_storeu_si256(out.from.as_mut_ptr().cast(), from);
            _mm256_storeu_si256(out.to.as_mut_ptr().cast(), to);
            _mm256_storeu_si256(out.mask.as_mut_ptr().cast(), _mm256_sub_epi32(bits(to), bits(from)));
            _mm256_storeu_ps(out.depth.as_mut_ptr(), _mm256_add_ps(_mm256_set1_ps(p.depth[0][lane]), depth));
        }
    }

    /// What all rows of a polygon share.
    struct Brush {
        colour: __m512i,
        tag: __m512i,
        /// Depth: change per column, and its bounds.
        slope: __m512,
        low: __m512,
        high: __m512,
    }

    /// Sixteen columns of one row, those in `mask`. `at` is the offset of the first of them in the buffers, `x` their columns
    /// from the optical axis, `depth` the row's depth there, `ground` its colour.
    ///
    /// # Safety
    /// Masked columns of the block at `at` lie inside the buffers.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
    unsafe fn block<const FILL: u8, const LABELS: bool>(
        t: &mut Target,
        b: &Brush,
        at: usize,
        mask: u16,
        x: __m512,
        depth: f32,
        ground: u32,
    ) {
        // SAFETY: the caller's promise; masked lanes are not touched.
        unsafe {
            let out = t.colour.as_mut_ptr().wrapping_add(at).cast::<i32>();
            let label = t.tag.as_mut_ptr().wrapping_add(at).cast::<i32>();
            let mut drawn = mask;
            if FILL == SOLID {
                let z = _mm512_add_ps(_mm512_set1_ps(depth), _mm512_mul_ps(b.slope, x));
                let z = _mm512_min_ps(_mm512_max_ps(z, b.low), b.high);
                let depth = t.depth.as_mut_ptr().wrapping_add(at);
                drawn = _mm512_mask_cmp_ps_mask::<_CMP_GE_OQ>(mask, z, _mm512_maskz_loadu_ps(mask, depth));
                _mm512_mask_storeu_ps(depth, drawn, z);
                _mm512_mask_storeu_epi32(out, drawn, b.colour);
            } else if FILL == GROUND {
                _mm512_mask_storeu_epi32(out, mask, _mm512_set1_epi32(ground as i32));
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

    const SOLID: u8 = Fill::Solid as u8;
    const GROUND: u8 = Fill::Ground as u8;
    const SHADOW: u8 = Fill::Shadow as u8;

    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
    pub fn fill(t: &mut Target, p: &Polys, ink: &Queue, wanted: u32, rows: &[[u32; 16]]) {
        let labels = !t.tag.is_empty();
        assert!(t.colour.len() == t.width * t.height && t.depth.len() == t.colour.len());
        assert!(!labels || t.tag.len() == t.colour.len());
        let mut left = wanted & 0xFFFF;
        while left != 0 {
            let lane = left.trailing_zeros() as usize;
            left &= left - 1;
            match (ink.fill[lane], labels) {
                (Fill::Solid, _) if p.plane >> lane & 1 == 0 => {}
                (Fill::Solid, false) => fill_as::<SOLID, false>(t, p, lane, ink, rows),
                (Fill::Solid, true) => fill_as::<SOLID, true>(t, p, lane, ink, rows),
                (Fill::Ground, false) => fill_as::<GROUND, false>(t, p, lane, ink, rows),
                (Fill::Ground, true) => fill_as::<GROUND, true>(t, p, lane, ink, rows),
                (Fill::Shadow, _) => fill_as::<SHADOW, false>(t, p, lane, ink, rows),
            }
        }
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
    fn fill_as<const FILL: u8, const LABELS: bool>(
        t: &mut Target,
        p: &Polys,
        lane: usize,
        ink: &Queue,
        rows: &[[u32; 16]],
    ) {
        let [top, bottom] = [p.rows[0][lane], p.rows[1][lane]];
        let [first, last] = [p.columns[0][lane], p.columns[1][lane]];
        assert!(top >= 0 && bottom <= t.height as i32 && (FILL != GROUND || t.height <= rows.len()));
        let brush = Brush {
            colour: _mm512_set1_epi32(ink.colour[lane] as i32),
            tag: _mm512_set1_epi32(ink.tag[lane] as i32),
            slope: _mm512_set1_ps(p.depth[1][lane]),
            low: _mm512_set1_ps(p.depth_min[lane]),
            high: _mm512_set1_ps(p.depth_max[lane]),
        };
        let count = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
        let shift = _mm512_set1_ps(0.5 - t.cx);
        let axis = |column: i32| {
            let columns = _mm512_add_epi32(_mm512_set1_epi32(column), count);
            _mm512_add_ps(_mm512_cvtepi32_ps(columns), shift)
        };
        let mut spanned = Rows::NONE;
        let mut row = top;
        while row < bottom {
            spans(p, lane, row, t.width as f32, t.cy, &mut spanned);
            let n = (bottom - row).min(8) as usize;
            let ground = |k: usize| match FILL {
                GROUND => rows[row as usize + k][ink.colour[lane] as usize & 15],
                _ => 0,
            };
            if last - first <= 16 {
                // Small: all rows in one block of columns, without branches.
                let x = axis(first);
                for k in 0..n {
                    let mask = spanned.mask[k] as u16;
                    let at = (row as usize + k) * t.width + first as usize;
                    // SAFETY: `spans` keeps columns in 0..width, the row lies in 0..height (asserted above, as are the
                    // lengths of the buffers in `fill`).
                    unsafe { block::<FILL, LABELS>(t, &brush, at, mask, x, spanned.depth[k], ground(k)) };
                }
            } else {
                for k in 0..n {
                    let (mut column, end) = (spanned.from[k], spanned.to[k]);
                    let start = (row as usize + k) * t.width;
                    while column < end {
                        let mask = if end - column >= 16 { 0xFFFF } else { (1u16 << (end - column)) - 1 };
                        let (at, depth) = (start + column as usize, spanned.depth[k]);
                        // SAFETY: as above.
                        unsafe { block::<FILL, LABELS>(t, &brush, at, mask, axis(column), depth, ground(k)) };
                        column += 16;
                    }
                }
            }
            row += 8;
        }
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
    pub fn row(colours: &mut [u32], colour: u32, depths: &mut [f32], depth: f32) {
        colours.fill(colour);
        depths.fill(depth);
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
