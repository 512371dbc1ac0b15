//! Penalties and filters on one row of logits; what is excluded becomes negative infinity. Formulas and the handling
//! of ties are those of the transformers logits processors.

use crate::vlm::ops;

pub(super) fn penalise(scores: &mut [f32], context: &[u32], penalty: f32) {
    let mut seen = vec![false; scores.len()];
    for &id in context {
        let id = id as usize;
        if id < seen.len() && !std::mem::replace(&mut seen[id], true) {
            scores[id] = if scores[id] < 0. { scores[id] * penalty } else { scores[id] / penalty };
        }
    }
}

pub(super) fn ban_repeats(scores: &mut [f32], context: &[u32], n: usize) {
    if context.len() + 1 < n {
        return;
    }
    let tail = &context[context.len() + 1 - n..];
    for gram in context.windows(n) {
        if &gram[..n - 1] == tail
            && let Some(score) = scores.get_mut(gram[n - 1] as usize)
        {
            *score = f32::NEG_INFINITY;
        }
    }
}

pub(super) fn keep_top_k(scores: &mut [f32], k: usize) {
    if k >= scores.len() {
        return;
    }
    let mut sorted = scores.to_vec();
    let (_, last, _) = sorted.select_nth_unstable_by(k - 1, |a, b| b.total_cmp(a));
    let last = *last;
    scores.iter_mut().filter(|s| **s < last).for_each(|s| *s = f32::NEG_INFINITY);
}

/// Drops tokens, the least likely first, while what is dropped holds at most 1 - p; the likeliest always stays.
pub(super) fn keep_top_p(scores: &mut [f32], p: f64) {
    let (probabilities, total) = exponentials(scores);
    let budget = (1. - p) * total;
    // What is this small is dropped whatever its order: all of it together fits in the budget.
    let small = budget / scores.len() as f64;
    let mut dropped = 0.;
    let mut rest: Vec<usize> = Vec::new();
    for (id, probability) in probabilities.iter().enumerate() {
        match f64::from(*probability) <= small {
            true => dropped += f64::from(*probability),
            false => rest.push(id),
        }
    }
    // The likeliest holds at least total / len, which exceeds `small` unless p is 0.
    let best = argmax(scores);
    // Least likely first; among equals the first is dropped first.
    let order = |a: &usize, b: &usize| scores[*a].total_cmp(&scores[*b]).then(a.cmp(b));
    // Halve what is undecided until sorting it costs nothing: the lower half goes at once, or the upper stays.
    let (mut low, mut high) = (0, rest.len());
    while high - low > 64 {
        let half = (high - low) / 2;
        rest[low..high].select_nth_unstable_by(half, order);
        let lower: f64 = rest[low..low + half].iter().map(|id| f64::from(probabilities[*id])).sum();
        if dropped + lower <= budget {
            (dropped, low) = (dropped + lower, low + half);
        } else {
            high = low + half;
        }
    }
    rest[low..high].sort_unstable_by(order);
    while low < high && dropped + f64::from(probabilities[rest[low]]) <= budget {
        dropped += f64::from(probabilities[rest[low]]);
        low += 1;
    }
    let mut keep = vec![false; scores.len()];
    rest[low..].iter().for_each(|id| keep[*id] = true);
    keep[rest.iter().copied().max_by(order).unwrap_or(best)] = true;
    scores.iter_mut().zip(keep).filter(|(_, keep)| !keep).for_each(|(s, _)| *s = f32::NEG_INFINITY);
}

pub(super) fn keep_min_p(scores: &mut [f32], p: f64) {
    let most = ops::largest(scores);
    // p_i < p * p_max, with both sides divided by p_max.
    let low = |s: f32| ((s - most) as f64).exp() < p;
    // Far below or above the limit there is no need to compute the exponential.
    let limit = p.ln() as f32;
    let sure = |s: f32| s - most < limit - 1.;
    let near = |s: f32| s - most < limit + 1.;
    scores.iter_mut().filter(|s| sure(**s) || (near(**s) && low(**s))).for_each(|s| *s = f32::NEG_INFINITY);
}

/// `e^(score - max)` per token, and their sum.
fn exponentials(scores: &[f32]) -> (Vec<f32>, f64) {
    let e = ops::exponentials(scores, ops::largest(scores));
    let total = e.chunks(RUN).map(ops::sum).sum();
    (e, total)
}

/// Tokens that are added up before f64 takes over.
const RUN: usize = 512;

/// Probabilities of processed scores; they sum to 1.
pub fn probabilities(scores: &[f32]) -> Vec<f64> {
    let (e, total) = exponentials(scores);
    e.into_iter().map(|e| f64::from(e) / total).collect()
}

/// The largest score, the first of equals; 0 when there is none.
pub fn argmax(scores: &[f32]) -> usize {
    let most = ops::largest(scores);
    scores.iter().position(|score| *score == most).unwrap_or(0)
}

/// The token at `u` (at least 0, below 1) of the cumulative distribution, in id order.
pub(super) fn draw(scores: &[f32], u: f64) -> usize {
    let (e, total) = exponentials(scores);
    let mut left = u * total;
    // Whole runs first, then the tokens of the one that holds the point.
    for (run, part) in e.chunks(RUN).enumerate() {
        let sum = ops::sum(part);
        if left >= sum {
            left -= sum;
            continue;
        }
        for (i, e) in part.iter().enumerate() {
            if left < f64::from(*e) {
                return run * RUN + i;
            }
            left -= f64::from(*e);
        }
    }
    // Rounding used up the last bit: the last token that can be drawn at all.
    e.iter().rposition(|e| *e > 0.).unwrap_or(0)
}
