//! Savitzky-Golay filters as fixed linear maps (spec 9.1): a window slides over the samples, a polynomial is fitted,
//! its value or derivative is the output. The weights depend on nothing but the parameters and are computed once.

/// Seconds between samples.
const DT: f64 = 0.1;

/// One filter.
#[derive(Debug, Clone)]
pub struct SavGol {
    window: usize,
    /// Output `n` in the interior uses samples from `n - before`.
    before: usize,
    interior: Vec<f64>,
    /// `window / 2` rows of `window` weights, for the first and for the last outputs: there the polynomial of the
    /// outermost window is evaluated off its middle.
    first: Vec<f64>,
    last: Vec<f64>,
}

impl SavGol {
    /// A filter of `window` samples that fits polynomials of degree `degree` and returns the `derivative`-th
    /// derivative per second. An even window is evaluated half a sample late in the interior (pitfall 11).
    pub fn new(window: usize, degree: usize, derivative: usize) -> SavGol {
        let half = window / 2;
        let middle = (window as f64 - 1.0) / 2.0;
        let row = |at: f64| weights(window, degree, derivative, at - middle);
        SavGol {
            window,
            before: (window - 1) / 2,
            interior: row(middle),
            first: (0..half).flat_map(|i| row(i as f64)).collect(),
            last: (window - half..window).flat_map(|i| row(i as f64)).collect(),
        }
    }

    /// Filters at least `window` samples into `out` (as long as `samples`), rounded to 8 decimals.
    pub fn apply(&self, samples: &[f64], out: &mut [f64]) {
        let (n, w, half) = (samples.len(), self.window, self.window / 2);
        let dot = |weights: &[f64], samples: &[f64]| weights.iter().zip(samples).map(|(a, b)| a * b).sum::<f64>();
        let interior = &mut out[half..n - half];
        interior.fill(0.0);
        for (j, &weight) in self.interior.iter().enumerate() {
            let shifted = &samples[half - self.before + j..];
            for (o, s) in interior.iter_mut().zip(shifted) {
                *o += weight * s;
            }
        }
        for (o, row) in out[..half].iter_mut().zip(self.first.chunks_exact(w)) {
            *o = dot(row, &samples[..w]);
        }
        for (o, row) in out[n - half..].iter_mut().zip(self.last.chunks_exact(w)) {
            *o = dot(row, &samples[n - w..]);
        }
        out.iter_mut().for_each(|o| *o = round8(*o));
    }
}

/// Rounded to 8 decimals, half to even.
#[inline]
pub(super) fn round8(x: f64) -> f64 {
    // Adding 1.5 * 2^52 leaves no bits for a fraction, so the addition itself rounds; larger numbers have no 8 decimals.
    const SHIFT: f64 = 6_755_399_441_055_744.0;
    if x.abs() < 1e7 { (x * 1e8 + SHIFT - SHIFT) / 1e8 } else { x }
}

/// Weights of the samples at `-m, -m+1 .. m` (`m = (window - 1) / 2`) in the derivative at `at` of the least-squares
/// polynomial: discrete orthogonal polynomials on the window, by Gram-Schmidt.
fn weights(window: usize, degree: usize, derivative: usize, at: f64) -> Vec<f64> {
    let middle = (window as f64 - 1.0) / 2.0;
    let scale = middle.max(1.0);
    let grid: Vec<f64> = (0..window).map(|i| (i as f64 - middle) / scale).collect();
    let at = at / scale;
    // Each basis polynomial by its values on the grid and its derivatives 0, 1, 2 at the place of evaluation.
    let mut basis: Vec<(Vec<f64>, [f64; 3])> = Vec::new();
    let mut result = vec![0.0; window];
    for power in 0..=degree {
        let (mut values, mut there) = match basis.last() {
            None => (vec![1.0; window], [1.0, 0.0, 0.0]),
            Some((v, d)) => (
                v.iter().zip(&grid).map(|(v, x)| v * x).collect(),
                [d[0] * at, d[1] * at + d[0], d[2] * at + 2.0 * d[1]],
            ),
        };
        for _ in 0..2 {
            for (v, d) in &basis {
                let overlap: f64 = v.iter().zip(&values).map(|(a, b)| a * b).sum();
                values.iter_mut().zip(v).for_each(|(a, b)| *a -= overlap * b);
                there.iter_mut().zip(d).for_each(|(a, b)| *a -= overlap * b);
            }
        }
        let norm = values.iter().map(|v| v * v).sum::<f64>().sqrt();
        debug_assert!(norm > 0.0, "degree {power} needs a window of more samples than {window}");
        values.iter_mut().for_each(|v| *v /= norm);
        there.iter_mut().for_each(|d| *d /= norm);
        result.iter_mut().zip(&values).for_each(|(r, v)| *r += v * there[derivative]);
        basis.push((values, there));
    }
    let unit = (scale * DT).powi(derivative as i32);
    result.iter().map(|w| w / unit).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn close(a: &[f64], b: &[f64]) {
        assert!(
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-12 * (1.0 + b.abs())),
            "{a:?} {b:?}"
        );
    }

    #[test]
    fn interior_weights_of_the_specification() {
        close(&SavGol::new(8, 2, 0).interior, &[-3.0, 3.0, 7.0, 9.0, 9.0, 7.0, 3.0, -3.0].map(|w| w / 32.0));
        close(&SavGol::new(5, 2, 1).interior, &[-2.0, -1.0, 0.0, 1.0, 2.0].map(|w| w / 10.0 / DT));
        let second = [2.0, -1.0, -2.0, -1.0, 2.0].map(|w| w / 7.0 / (DT * DT));
        close(&SavGol::new(5, 2, 2).interior, &second);
        close(&SavGol::new(5, 3, 2).interior, &second);
        close(&SavGol::new(15, 2, 1).interior, &std::array::from_fn::<f64, 15, _>(|i| (i as f64 - 7.0) / 280.0 / DT));
    }

    #[test]
    fn polynomials_pass_through_unchanged_also_at_the_edges() {
        let t = |n: usize| n as f64 * DT;
        let samples: Vec<f64> = (0..41).map(|n| 1.0 - 2.0 * t(n) + 0.5 * t(n) * t(n)).collect();
        let mut out = vec![0.0; 41];
        for window in [5, 15, 41] {
            SavGol::new(window, 2, 1).apply(&samples, &mut out);
            assert!((0..41).all(|n| (out[n] - (t(n) - 2.0)).abs() < 1e-8), "{window}");
        }
        SavGol::new(8, 2, 0).apply(&samples, &mut out);
        assert!((out[0] - samples[0]).abs() < 1e-8 && (out[40] - samples[40]).abs() < 1e-8);
        // Half a sample late inside.
        assert!((out[10] - (1.0 - 2.0 * 1.05 + 0.5 * 1.05 * 1.05)).abs() < 1e-8);
    }

    #[test]
    fn rounds_half_to_even() {
        for x in [0.5e-8, 1.5e-8, 2.5e-8, -3.5e-8, 4.5, -1e-9, 123.456789015, 99_999.000000005] {
            assert_eq!(round8(x), (x * 1e8).round_ties_even() / 1e8);
        }
        assert_eq!(round8(-1.234567891), -1.23456789);
        assert_eq!(round8(3e9), 3e9);
        assert!(round8(f64::NAN).is_nan());
    }
}
