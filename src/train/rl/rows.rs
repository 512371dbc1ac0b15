//! Between tensors and the host: numbers of a padded micro-batch in f64, and a scalar tensor with a given gradient.

use super::loss::Completions;
use crate::error::{Failure, Result};
use candle_core::{DType, Tensor};

/// A micro-batch on the host; all tensors `(B, T)`, row after row.
pub(super) struct Rows {
    /// Padded length.
    pub(super) width: usize,
    pub(super) logps: Vec<f64>,
    /// `logps` again, as the terms see it through which no gradient flows; finite differences move only the other.
    pub(super) stopped: Vec<f64>,
    pub(super) old: Option<Vec<f64>>,
    pub(super) sampling: Option<Vec<f64>>,
    pub(super) reference: Option<Vec<f64>>,
    pub(super) entropies: Option<Vec<f64>>,
    pub(super) mask: Vec<bool>,
    /// One per row.
    pub(super) advantages: Vec<f64>,
}

impl Rows {
    pub(super) fn read(batch: &Completions) -> Result<Self> {
        let (b, width) = shape(batch.logps)?;
        if batch.advantages.len() != b {
            return Err(Failure::usage(format!("{b} completions cannot have {} advantages", batch.advantages.len())));
        }
        if let Some(row) = batch.advantages.iter().position(|a| !a.is_finite()) {
            return Err(Failure::device(format!("the advantage of completion {row} is {}", batch.advantages[row])));
        }
        let mask = mask(batch.mask, (b, width))?;
        let numbers = |what: &str, tensor: &Tensor| host(what, tensor, &mask, (b, width));
        let optional = |what: &str, tensor: Option<&Tensor>| tensor.map(|tensor| numbers(what, tensor)).transpose();
        let logps = numbers("log-probability", batch.logps)?;
        Ok(Rows {
            width,
            stopped: logps.clone(),
            logps,
            old: optional("old log-probability", batch.old_logps)?,
            sampling: optional("sampled log-probability", batch.sampling_logps)?,
            reference: optional("reference log-probability", batch.ref_logps)?,
            entropies: optional("entropy", batch.entropies)?,
            advantages: batch.advantages.to_vec(),
            mask,
        })
    }

    /// Flat indices of the tokens of a row that count.
    pub(super) fn tokens(&self, row: usize) -> impl Iterator<Item = usize> + '_ {
        (row * self.width..(row + 1) * self.width).filter(|at| self.mask[*at])
    }

    /// Number of tokens that count.
    pub(super) fn counted(&self) -> usize {
        self.mask.iter().filter(|counts| **counts).count()
    }

    /// Fails when a loss or its gradient does not fit f32.
    pub(super) fn check_finite(&self, value: f64, grad: &[f64]) -> Result<()> {
        let apart = |at: usize, others: &Option<Vec<f64>>| others.as_ref().map_or(0., |o| self.logps[at] - o[at]);
        let worst = |at: usize| {
            let (old, reference) = (apart(at, &self.old), apart(at, &self.reference));
            if old.abs() >= reference.abs() { old } else { reference }
        };
        check_finite("policy loss", value, grad, self.width, worst)
    }
}

/// Fails when a loss or its gradient does not fit f32, naming the token whose log-ratio is the largest.
pub(super) fn check_finite(
    what: &str,
    value: f64,
    grad: &[f64],
    width: usize,
    log_ratio: impl Fn(usize) -> f64,
) -> Result<()> {
    let fits = |x: f64| (x as f32).is_finite();
    if fits(value) && grad.iter().all(|g| fits(*g)) {
        return Ok(());
    }
    let at = (0..grad.len()).max_by(|a, b| log_ratio(*a).abs().total_cmp(&log_ratio(*b).abs())).unwrap_or(0);
    let (row, token, ratio) = (at / width, at % width, log_ratio(at));
    let text = format!("the {what} overflows: completion {row} token {token} has a log-ratio of {ratio:.4}");
    Err(Failure::device(text).hint("the policy has moved too far: lower the learning rate"))
}

/// `(B, T)` of the log-probabilities.
pub(super) fn shape(tensor: &Tensor) -> Result<(usize, usize)> {
    match tensor.dims() {
        [b, width] if b * width > 0 => Ok((*b, *width)),
        dims => Err(Failure::usage(format!("log-probabilities need the shape (B, T), got {dims:?}"))),
    }
}

/// A mask of zeros and ones of any dtype, `(B, T)`.
pub(super) fn mask(tensor: &Tensor, want: (usize, usize)) -> Result<Vec<bool>> {
    let mask = flat("mask", tensor, want)?;
    match mask.iter().find(|x| **x != 0. && **x != 1.) {
        Some(bad) => Err(Failure::usage(format!("a mask holds {bad}; allowed: 0 and 1"))),
        None => Ok(mask.into_iter().map(|x| x == 1.).collect()),
    }
}

/// The numbers of a tensor; those that do not count read 0, those that do must be finite.
pub(super) fn host(what: &str, tensor: &Tensor, mask: &[bool], want: (usize, usize)) -> Result<Vec<f64>> {
    let mut numbers = flat(what, tensor, want)?;
    for (at, (x, counts)) in numbers.iter_mut().zip(mask).enumerate() {
        if !counts {
            *x = 0.;
        } else if !x.is_finite() {
            let (row, token) = (at / want.1, at % want.1);
            return Err(Failure::device(format!("the {what} of completion {row} token {token} is {x}")));
        }
    }
    Ok(numbers)
}

fn flat(what: &str, tensor: &Tensor, want: (usize, usize)) -> Result<Vec<f64>> {
    if tensor.dims() != [want.0, want.1] {
        return Err(Failure::usage(format!("{what}: expected the shape {want:?}, got {:?}", tensor.dims())));
    }
    Ok(tensor.detach().to_dtype(DType::F64)?.flatten_all()?.to_vec1()?)
}

/// Numbers of `lengths.len()` completions one after the other, `(R)`, as `(B, T)` padded with zeros on the right, with
/// their graph, and the mask of what is not padding, `(B, T)`, u8; T is the longest length, at least 1.
///
/// # Errors
/// Usage: lengths that do not add up to R, or none.
pub fn padded(flat: &Tensor, lengths: &[usize]) -> Result<(Tensor, Tensor)> {
    let count: usize = lengths.iter().sum();
    if lengths.is_empty() || flat.dims() != [count] {
        return Err(Failure::usage(format!("{:?} numbers are not completions of {lengths:?} tokens", flat.dims())));
    }
    let (b, width) = (lengths.len(), lengths.iter().copied().max().unwrap_or(0).max(1));
    let (mut index, mut mask, mut start) = (vec![count as u32; b * width], vec![0u8; b * width], 0);
    for (row, length) in lengths.iter().enumerate() {
        for token in 0..*length {
            index[row * width + token] = (start + token) as u32;
            mask[row * width + token] = 1;
        }
        start += length;
    }
    let index = Tensor::new(index, flat.device())?;
    let zero = Tensor::zeros(1, flat.dtype(), flat.device())?;
    let padded = Tensor::cat(&[flat, &zero], 0)?.index_select(&index, 0)?.reshape((b, width))?;
    Ok((padded, Tensor::from_vec(mask, (b, width), flat.device())?))
}

/// A scalar of a given value whose gradient with respect to `x` is `grad`, and that gradient as a tensor like `x`; f32,
/// or f64 where `x` is.
pub(super) fn seeded(x: &Tensor, value: f64, grad: &[f64]) -> Result<(Tensor, Tensor)> {
    let dtype = if x.dtype() == DType::F64 { DType::F64 } else { DType::F32 };
    let grad = Tensor::new(grad, x.device())?.reshape(x.shape())?.to_dtype(dtype)?;
    let x = x.to_dtype(dtype)?;
    // 0 everywhere, or NaN where padding is not finite; there nothing may reach the sum.
    let zero = (&x - x.detach())?;
    let zero = zero.eq(&zero)?.where_cond(&zero, &grad.zeros_like()?)?;
    let loss = ((zero * &grad)?.sum_all()? + value)?;
    Ok((loss, grad))
}
