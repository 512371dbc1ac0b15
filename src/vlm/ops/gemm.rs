//! Strided matrix products on f32 slices: bounds are checked here, the arithmetic is the `gemm` crate's.
//!
//! candle's own matmul allocates its result zeroed and hands back transposed gradients as strided views; going to
//! the crate directly lets forward and both gradients read and write rows where they lie.

use candle_core::{Result, bail};

/// A read-only matrix inside a slice: element `(i, j)` is `data[i * row + j * col]`.
#[derive(Clone, Copy)]
pub(in crate::vlm) struct Mat<'a> {
    data: &'a [f32],
    rows: usize,
    cols: usize,
    row: usize,
    col: usize,
}

/// A mutable matrix inside a slice, laid out like [`Mat`].
pub(in crate::vlm) struct MatMut<'a> {
    data: *mut f32,
    len: usize,
    rows: usize,
    cols: usize,
    row: usize,
    life: std::marker::PhantomData<&'a mut [f32]>,
}

fn check(len: usize, rows: usize, cols: usize, row: usize, col: usize) -> Result<()> {
    if rows > 0 && cols > 0 && (rows - 1) * row + (cols - 1) * col >= len {
        bail!("matrix {rows} x {cols} with strides {row}, {col} does not fit in {len} elements")
    }
    Ok(())
}

impl<'a> Mat<'a> {
    /// `rows` x `cols` with `row` elements from one row to the next.
    pub(in crate::vlm) fn new(data: &'a [f32], rows: usize, cols: usize, row: usize) -> Result<Self> {
        check(data.len(), rows, cols, row, 1)?;
        Ok(Mat { data, rows, cols, row, col: 1 })
    }
    /// The transpose, without a copy.
    pub(in crate::vlm) fn t(self) -> Self {
        Mat { rows: self.cols, cols: self.rows, row: self.col, col: self.row, ..self }
    }
}

impl<'a> MatMut<'a> {
    /// `rows` x `cols` with `row` elements from one row to the next.
    pub(in crate::vlm) fn new(data: &'a mut [f32], rows: usize, cols: usize, row: usize) -> Result<Self> {
        check(data.len(), rows, cols, row, 1)?;
        Ok(MatMut { data: data.as_mut_ptr(), len: data.len(), rows, cols, row, life: std::marker::PhantomData })
    }
    /// A matrix inside a buffer that other threads write other elements of.
    ///
    /// # Safety
    /// `data` must be valid for writes of `len` elements during `'a`, and nobody else may touch the elements of the
    /// matrix in that time.
    #[allow(unsafe_code)]
    pub(in crate::vlm) unsafe fn shared(
        data: *mut f32,
        len: usize,
        rows: usize,
        cols: usize,
        row: usize,
    ) -> Result<Self> {
        check(len, rows, cols, row, 1)?;
        Ok(MatMut { data, len, rows, cols, row, life: std::marker::PhantomData })
    }
    /// Row `i`.
    #[allow(unsafe_code)]
    pub(in crate::vlm) fn line(&mut self, i: usize) -> &mut [f32] {
        if i >= self.rows || i * self.row + self.cols > self.len {
            return &mut [];
        }
        // SAFETY: the row lies inside the buffer (checked above), and the matrix is exclusively ours.
        unsafe { std::slice::from_raw_parts_mut(self.data.add(i * self.row), self.cols) }
    }
}

/// Whether a product may use the thread pool. Inside a parallel loop over heads it must not.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::vlm) enum Threads {
    /// Stay on the calling thread.
    One,
    /// Split rows or columns (never the summed dimension) over the pool.
    Pool,
}

/// `dst = scale * a @ b`, or `dst += scale * a @ b` when `accumulate`.
#[allow(unsafe_code)]
pub(in crate::vlm) fn matmul(
    dst: &mut MatMut,
    accumulate: bool,
    a: Mat,
    b: Mat,
    scale: f32,
    threads: Threads,
) -> Result<()> {
    if a.cols != b.rows || dst.rows != a.rows || dst.cols != b.cols {
        bail!("product of {} x {} and {} x {} into {} x {}", a.rows, a.cols, b.rows, b.cols, dst.rows, dst.cols)
    }
    if dst.rows == 0 || dst.cols == 0 {
        return Ok(());
    }
    if a.cols == 0 {
        if !accumulate {
            (0..dst.rows).for_each(|i| dst.line(i).fill(0.));
        }
        return Ok(());
    }
    let parallelism = match threads {
        Threads::One => gemm::Parallelism::None,
        Threads::Pool => match rayon::current_num_threads() {
            1 => gemm::Parallelism::None,
            n => gemm::Parallelism::Rayon(n),
        },
    };
    // SAFETY: every matrix was checked against its buffer, shapes agree, and `dst` is exclusively borrowed.
    unsafe {
        gemm::gemm(
            a.rows,
            b.cols,
            a.cols,
            dst.data,
            1,
            dst.row as isize,
            accumulate,
            a.data.as_ptr(),
            a.col as isize,
            a.row as isize,
            b.data.as_ptr(),
            b.col as isize,
            b.row as isize,
            1.,
            scale,
            false,
            false,
            false,
            parallelism,
        );
    }
    Ok(())
}
