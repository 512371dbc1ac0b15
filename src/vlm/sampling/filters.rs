//! Penalties and filters on one row of logits; what is excluded becomes negative infinity. Formulas and the handling
//! of ties are those of the transformers logits processors.

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
    // What is this small is dropped whatever its order (all of it together fits in the budget): no need to sort it.
    let small = budget / scores.len() as f64;
    let mut dropped = 0.;
    let mut rest: Vec<usize> = Vec::new();
    for (id, probability) in probabilities.iter().enumerate() {
        match *probability <= small {
            true => dropped += probability,
            false => rest.push(id),
        }
    }
    // The likeliest holds at least total / len, which exceeds `small` unless p is 0.
    let best = argmax(scores);
    rest.sort_by(|a, b| scores[*a].total_cmp(&scores[*b])); // stable: among equals the first is dropped first
    let mut keep = vec![false; scores.len()];
    for &id in &rest {
        dropped += probabilities[id];
        keep[id] = dropped > budget;
    }
    match rest.last() {
        Some(&last) => keep[last] = true,
        None => keep[best] = true,
    }
    scores.iter_mut().zip(keep).filter(|(_, keep)| !keep).for_each(|(s, _)| *s = f32::NEG_INFINITY);
}

pub(super) fn keep_min_p(scores: &mut [f32], p: f64) {
    let most = scores[argmax(scores)];
    // p_i < p * p_max, with both sides divided by p_max.
    let low = |s: f32| ((s - most) as f64).exp() < p;
    scores.iter_mut().filter(|s| low(**s)).for_each(|s| *s = f32::NEG_INFINITY);
}

/// `e^(score - max)` per token, and their sum.
fn exponentials(scores: &[f32]) -> (Vec<f64>, f64) {
    let most = scores[argmax(scores)];
    let e: Vec<f64> = scores.iter().map(|s| ((s - most) as f64).exp()).collect();
    let total = e.iter().sum();
    (e, total)
}

/// Probabilities of processed scores; they sum to 1.
pub fn probabilities(scores: &[f32]) -> Vec<f64> {
    if scores.is_empty() {
        return Vec::new();
    }
    let (mut e, total) = exponentials(scores);
    e.iter_mut().for_each(|e| *e /= total);
    e
}

/// The largest score, the first of equals; 0 when there is none.
pub fn argmax(scores: &[f32]) -> usize {
    let mut best = 0;
    for (id, score) in scores.iter().enumerate() {
        if *score > scores[best] {
            best = id;
        }
    }
    best
}

/// The token at `u` (at least 0, below 1) of the cumulative distribution, in id order.
pub(super) fn draw(scores: &[f32], u: f64) -> usize {
    let (e, total) = exponentials(scores);
    let mut left = u * total;
    let mut last = 0;
    for (id, e) in e.iter().enumerate().filter(|(_, e)| **e > 0.) {
        last = id;
        if left < *e {
            break;
        }
        left -= e;
    }
    last
}

/// `log softmax(logits / temperature)[token]`.
pub(super) fn log_probability(logits: &[f32], token: usize, temperature: f64) -> f64 {
    let most = logits[argmax(logits)] as f64;
    let sum: f64 = logits.iter().map(|x| ((*x as f64 - most) / temperature).exp()).sum();
    (logits[token] as f64 - most) / temperature - sum.ln()
}
