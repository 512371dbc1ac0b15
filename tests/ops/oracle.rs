//! The operations once more as plain f64 loops, and gradients of them by central differences: independent of candle.

/// A forward formula over flat f64 inputs.
pub type Formula<'a> = &'a dyn Fn(&[Vec<f64>]) -> Vec<f64>;

/// Gradient of `sum(weights * f(inputs))` with respect to `inputs[which]`.
pub fn gradient(f: Formula, inputs: &[Vec<f64>], weights: &[f64], which: usize) -> Vec<f64> {
    const STEP: f64 = 1e-5;
    let loss = |inputs: &[Vec<f64>]| -> f64 { f(inputs).iter().zip(weights).map(|(y, w)| y * w).sum() };
    let mut inputs = inputs.to_vec();
    (0..inputs[which].len())
        .map(|i| {
            let at = inputs[which][i];
            inputs[which][i] = at + STEP;
            let above = loss(&inputs);
            inputs[which][i] = at - STEP;
            let below = loss(&inputs);
            inputs[which][i] = at;
            (above - below) / (2. * STEP)
        })
        .collect()
}

pub fn rms_norm(x: &[f64], w: &[f64], eps: f64) -> Vec<f64> {
    let d = w.len();
    let row = |x: &[f64]| -> Vec<f64> {
        let r = (x.iter().map(|x| x * x).sum::<f64>() / d as f64 + eps).sqrt();
        x.iter().zip(w).map(|(x, w)| x / r * w).collect()
    };
    x.chunks(d).flat_map(row).collect()
}

pub fn layer_norm(x: &[f64], w: &[f64], b: &[f64], eps: f64) -> Vec<f64> {
    let d = w.len();
    let row = |x: &[f64]| -> Vec<f64> {
        let mean = x.iter().sum::<f64>() / d as f64;
        let s = (x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / d as f64 + eps).sqrt();
        (0..d).map(|i| (x[i] - mean) / s * w[i] + b[i]).collect()
    };
    x.chunks(d).flat_map(row).collect()
}

pub fn linear(x: &[f64], w: &[f64], b: Option<&[f64]>, inner: usize) -> Vec<f64> {
    let dot = |x: &[f64], w: &[f64]| -> f64 { x.iter().zip(w).map(|(x, w)| x * w).sum() };
    let bias = |j: usize| b.map_or(0., |b| b[j]);
    x.chunks(inner)
        .flat_map(|x| w.chunks(inner).enumerate().map(|(j, w)| dot(x, w) + bias(j)).collect::<Vec<_>>())
        .collect()
}

/// x (B, T, N, D), tables (B, T, D).
pub fn rope(x: &[f64], cos: &[f64], sin: &[f64], n: usize, d: usize) -> Vec<f64> {
    let h = d / 2;
    let mut out = Vec::new();
    for (i, x) in x.chunks(d).enumerate() {
        let at = i / n * d;
        for j in 0..d {
            let turned = if j < h { -x[j + h] } else { x[j - h] };
            out.push(x[j] * cos[at + j] + turned * sin[at + j]);
        }
    }
    out
}

/// `visible(b, t)` is the range of keys.
#[allow(clippy::too_many_arguments)]
pub fn attention(
    q: &[f64],
    k: &[f64],
    v: &[f64],
    dims: [usize; 6], // b, t, n, d, s, kv
    scale: f64,
    visible: &dyn Fn(usize, usize) -> (usize, usize),
) -> Vec<f64> {
    let [b, t, n, d, s, kv] = dims;
    let mut out = vec![0.; b * t * n * d];
    for row in 0..b {
        for query in 0..t {
            for head in 0..n {
                let q = &q[((row * t + query) * n + head) * d..][..d];
                let at = |key: usize| ((row * s + key) * kv + head / (n / kv)) * d;
                let (first, end) = visible(row, query);
                let scores: Vec<f64> =
                    (first..end).map(|key| (0..d).map(|i| q[i] * k[at(key) + i]).sum::<f64>() * scale).collect();
                let most = scores.iter().copied().fold(f64::MIN, f64::max);
                let sum: f64 = scores.iter().map(|s| (s - most).exp()).sum();
                let o = &mut out[((row * t + query) * n + head) * d..][..d];
                for (key, score) in (first..end).zip(&scores) {
                    let p = (score - most).exp() / sum;
                    (0..d).for_each(|i| o[i] += p * v[at(key) + i]);
                }
            }
        }
    }
    out
}

pub fn silu(x: f64) -> f64 {
    x / (1. + (-x).exp())
}

pub fn quick_gelu(x: f64) -> f64 {
    x / (1. + (-1.702 * x).exp())
}

pub fn gelu_tanh(x: f64) -> f64 {
    0.5 * x * (1. + ((2. / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3))).tanh())
}

pub fn gelu_erf(x: f64) -> f64 {
    0.5 * x * (1. + erf(x / 2f64.sqrt()))
}

/// Maclaurin series up to 2, continued fraction of erfc above.
fn erf(x: f64) -> f64 {
    let pi = std::f64::consts::PI.sqrt();
    if x.abs() > 2. {
        let t = x.abs();
        let tail = (1..200).rev().fold(0., |tail, n| n as f64 / 2. / (t + tail));
        return (1. - (-t * t).exp() / pi / (t + tail)).copysign(x);
    }
    let (mut term, mut sum) = (x, x);
    for n in 1..100 {
        term *= -x * x / n as f64;
        sum += term / (2 * n + 1) as f64;
    }
    sum * 2. / pi
}

/// Log-probabilities and entropies of logits (R, V).
pub fn token_logps(logits: &[f64], vocabulary: usize, targets: &[u32], temperature: f64) -> (Vec<f64>, Vec<f64>) {
    let row = |(row, target): (&[f64], &u32)| -> (f64, f64) {
        let scaled: Vec<f64> = row.iter().map(|x| x / temperature).collect();
        let most = scaled.iter().copied().fold(f64::MIN, f64::max);
        let lse = most + scaled.iter().map(|x| (x - most).exp()).sum::<f64>().ln();
        let entropy = -scaled.iter().map(|x| (x - lse).exp() * (x - lse)).sum::<f64>();
        (scaled[*target as usize] - lse, entropy)
    };
    logits.chunks(vocabulary).zip(targets).map(row).unzip()
}
