//! Products with a whole matrix: strips shared among threads, inputs in tiles that stay in the cache.

use super::{
    Quantized,
    inputs::Inputs,
    layout::STRIP,
    portable::{self, PANEL},
};
use crate::vlm::ops::gemm::{Mat, MatMut, Threads, matmul};
use candle_core::Result;
use rayon::prelude::*;

/// Multiply-adds below which the calling thread works alone.
const SERIAL: usize = 1 << 19;
/// Rows that are dequantized at a time on the way back.
const BACK: usize = 16 * STRIP;

/// Where the threads write their columns of the result `(m, rows)`.
#[derive(Clone, Copy)]
struct Out {
    data: *mut f32,
    rows: usize,
    len: usize,
}

// SAFETY: every strip owns its sixteen columns, and each strip belongs to one thread.
#[allow(unsafe_code)]
unsafe impl Send for Out {}
// SAFETY: as above.
#[allow(unsafe_code)]
unsafe impl Sync for Out {}

impl Out {
    /// Writes up to sixteen values of row `m` from column `from`; columns past the end are padding and dropped.
    #[allow(unsafe_code)]
    fn write(self, m: usize, from: usize, values: &[f32]) {
        let n = values.len().min(self.rows - from);
        assert!(m * self.rows + from + n <= self.len, "a strip outside the result");
        // SAFETY: in bounds by the line above; no other thread writes these columns.
        unsafe { std::ptr::copy_nonoverlapping(values.as_ptr(), self.data.add(m * self.rows + from), n) };
    }
}

pub(super) fn forward(w: &Quantized, x: &[f32], out: &mut [f32]) {
    let m = x.len() / w.cols;
    let strips = w.rows.div_ceil(STRIP);
    let to = Out { data: out.as_mut_ptr(), rows: w.rows, len: out.len() };
    let work = m * w.rows * w.cols;
    #[cfg(target_arch = "x86_64")]
    if super::vnni::available() {
        let inputs = Inputs::new(x, w.cols);
        let one =
            |strips: std::ops::Range<usize>| super::vnni::products(w, &inputs, strips, |m, n, v| to.write(m, n, v));
        return shared(strips, work, 4 * STRIP * w.cols, one);
    }
    let one = |strips: std::ops::Range<usize>| {
        let mut acc = Vec::new();
        for strip in strips {
            portable::products(w.strip(strip), x, w.cols, &mut acc, |m, v| to.write(m, strip * STRIP, v));
        }
    };
    shared(strips, work, 4 * STRIP * w.cols, one);
}

/// Runs over ranges of strips, on all threads when there is enough to do. A strip's result does not depend on the cut.
fn shared(strips: usize, work: usize, _bytes: usize, one: impl Fn(std::ops::Range<usize>) + Sync) {
    let threads = rayon::current_num_threads();
    if threads == 1 || work < SERIAL {
        return one(0..strips);
    }
    let run = strips.div_ceil(4 * threads).max(1);
    (0..strips.div_ceil(run)).into_par_iter().for_each(|i| one(i * run..((i + 1) * run).min(strips)));
}

/// Rows are dequantized a few strips at a time and multiplied in f32: exact gradients in little memory.
pub(super) fn backward(w: &Quantized, g: &[f32], dx: &mut [f32]) -> Result<()> {
    let m = g.len() / w.rows;
    let width = w.cols;
    let mut panel = vec![0f32; BACK.min(w.rows.next_multiple_of(STRIP)) * width];
    for from in (0..w.rows).step_by(BACK) {
        let rows = BACK.min(w.rows - from);
        let padded = rows.next_multiple_of(STRIP);
        // (width, padded): sixteen rows of a strip lie together, as the panels have them.
        let part = &mut panel[..padded * width];
        part.par_chunks_mut(padded * 32).enumerate().for_each(|(b, part)| {
            let mut values = [0f32; PANEL];
            for strip in 0..padded / STRIP {
                portable::panel(w.strip(from / STRIP + strip), b, &mut values);
                for (part, values) in part.chunks_exact_mut(padded).zip(values.chunks_exact(STRIP)) {
                    part[strip * STRIP..][..STRIP].copy_from_slice(values);
                }
            }
        });
        let g = Mat::new(&g[from..], m, rows, w.rows)?;
        let part = Mat::new(part, width, rows, padded)?;
        matmul(&mut MatMut::new(dx, m, width, width)?, true, g, part.t(), 1., Threads::Pool)?;
    }
    Ok(())
}
