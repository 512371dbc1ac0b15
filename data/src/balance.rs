//! Class-balanced sampling: a weight per sample from how rare its joint label is, and a deterministic order of one
//! epoch drawn with those weights. Random numbers come from the caller's named stream.

use crate::sample::Sample;
use scene::{PathAction, SpeedAction};
use std::collections::HashMap;

/// How strongly rare classes are drawn more often.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Balance {
    /// Every sample once an epoch.
    #[default]
    None,
    /// Class weight 1 / sqrt(count).
    Sqrt,
    /// Class weight 1 / count: all classes equally often.
    Uniform,
}

/// The class that is balanced: both labels, unknown axes being classes of their own.
pub type Class = (Option<SpeedAction>, Option<PathAction>);

/// Weight of every sample, mean 1.
pub fn weights(samples: &[Sample], balance: Balance) -> Vec<f64> {
    let class = |s: &Sample| -> Class { (s.labels.speed, s.labels.path) };
    let mut counts: HashMap<Class, f64> = HashMap::new();
    samples.iter().for_each(|s| *counts.entry(class(s)).or_default() += 1.0);
    let raw = |s: &Sample| match balance {
        Balance::None => 1.0,
        Balance::Sqrt => counts[&class(s)].sqrt().recip(),
        Balance::Uniform => counts[&class(s)].recip(),
    };
    let weights: Vec<f64> = samples.iter().map(raw).collect();
    let mean = weights.iter().sum::<f64>() / weights.len().max(1) as f64;
    weights.into_iter().map(|w| w / mean).collect()
}

/// Sample indices of one epoch of `n` draws. `uniform` gives numbers in [0, 1).
///
/// Draws are systematic (one random offset, then even steps through the summed weights), so that each sample comes
/// `floor` or `ceil` of its expected number of times and equal weights with `n = weights.len()` are a permutation. The
/// draws are then shuffled. Weights that are not positive and finite count as 0; if all do, the order is empty.
pub fn epoch_order(weights: &[f64], n: usize, uniform: &mut dyn FnMut() -> f64) -> Vec<usize> {
    let weight = |w: &f64| if w.is_finite() && *w > 0.0 { *w } else { 0.0 };
    let total: f64 = weights.iter().map(weight).sum();
    if n == 0 || total <= 0.0 {
        return Vec::new();
    }
    let step = total / n as f64;
    // Half a step of margin keeps rounding from pushing equal weights across a border.
    let equal = weights.windows(2).all(|w| w[0] == w[1]) && n == weights.len();
    let offset = if equal { 0.5 } else { uniform() };
    let (mut order, mut sum) = (Vec::with_capacity(n), 0.0);
    for (i, w) in weights.iter().enumerate() {
        sum += weight(w);
        while order.len() < n && (order.len() as f64 + offset) * step < sum {
            order.push(i);
        }
    }
    // Rounding may leave the last draw beyond the sum.
    let last = weights.iter().rposition(|w| weight(w) > 0.0).unwrap_or(0);
    order.resize(n, last);
    shuffle(&mut order, uniform);
    order
}

/// Fisher-Yates.
pub fn shuffle<T>(items: &mut [T], uniform: &mut dyn FnMut() -> f64) {
    for i in (1..items.len()).rev() {
        let j = (uniform() * (i + 1) as f64) as usize;
        items.swap(i, j.min(i));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    fn stream(mut seed: u64) -> impl FnMut() -> f64 {
        move || {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (seed >> 11) as f64 / (1u64 << 53) as f64
        }
    }

    fn samples() -> Vec<Sample> {
        let row = |i: usize| {
            let path = if i < 90 { "STRAIGHT" } else { "LEFT_TURN" };
            format!(r#"{{"images":["a{i}.jpg"],"plan":{{"speed":"KEEP","path":"{path}"}}}}"#) + "\n"
        };
        let text: String = (0..100).map(row).collect();
        crate::read_bytes("s.jsonl", text.as_bytes(), &Default::default()).unwrap().samples
    }

    #[test]
    fn none_is_a_permutation_and_deterministic() {
        let w = weights(&samples(), Balance::None);
        let order = epoch_order(&w, 100, &mut stream(3));
        assert_eq!(order, epoch_order(&w, 100, &mut stream(3)));
        assert_ne!(order, epoch_order(&w, 100, &mut stream(4)));
        let mut sorted = order;
        sorted.sort_unstable();
        assert_eq!(sorted, (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn shares_follow_the_weights() {
        let left = |balance, n| {
            let order = epoch_order(&weights(&samples(), balance), n, &mut stream(1));
            assert_eq!(order.len(), n);
            order.iter().filter(|i| **i >= 90).count()
        };
        assert_eq!(left(Balance::Uniform, 1000), 500);
        assert_eq!(left(Balance::Sqrt, 1000), 250); // 10/sqrt(10) against 90/sqrt(90): 1 to 3
        assert_eq!(left(Balance::None, 1000), 100);
        let w = weights(&samples(), Balance::Sqrt);
        assert!((w.iter().sum::<f64>() / 100.0 - 1.0).abs() < 1e-12);
    }

    #[test]
    fn odd_weights() {
        assert_eq!(epoch_order(&[], 5, &mut stream(1)), Vec::<usize>::new());
        assert_eq!(epoch_order(&[0.0, f64::NAN], 5, &mut stream(1)), Vec::<usize>::new());
        assert_eq!(epoch_order(&[0.0, 1.0, f64::INFINITY], 3, &mut stream(1)), vec![1, 1, 1]);
    }
}
