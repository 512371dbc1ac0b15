//! CIDEr (Vedantam et al. 2015): cosine similarity of TF-IDF weighted n-grams, n = 1..4, averaged over n and over the
//! references, times 10. Document frequencies come from the evaluated set's own references.
//!
//! [`cider`] is the original. [`cider_d`] clips the candidate's weights to the reference's and multiplies by
//! `exp(-(length difference)^2 / (2 * 6^2))`, which is what the COCO scripts call "CIDEr".
//! In a set of one sample every document frequency is 1 of 1, so both are 0: the measure needs a set.

use super::{Pair, bleu::ngrams};
use std::collections::{BTreeMap, BTreeSet};

const SIGMA: f64 = 6.0;

/// The original CIDEr of a set, in 0..10.
pub fn cider(pairs: &[Pair]) -> f64 {
    score(pairs, false)
}

/// CIDEr-D of a set, in 0..10.
pub fn cider_d(pairs: &[Pair]) -> f64 {
    score(pairs, true)
}

type Weights<'a> = BTreeMap<&'a [String], f64>;

fn score(pairs: &[Pair], clipped: bool) -> f64 {
    if pairs.is_empty() {
        return 0.0;
    }
    let log_samples = (pairs.len() as f64).ln();
    let mut total = 0.0;
    for n in 1..=4 {
        // In how many samples does an n-gram occur in some reference?
        let mut seen: BTreeMap<&[String], f64> = BTreeMap::new();
        for pair in pairs {
            let grams: BTreeSet<&[String]> = pair.references.iter().flat_map(|r| r.windows(n)).collect();
            grams.into_iter().for_each(|g| *seen.entry(g).or_insert(0.0) += 1.0);
        }
        let weigh = |tokens| -> Weights {
            let rarity = |g: &[String]| log_samples - seen.get(g).copied().unwrap_or(1.0).max(1.0).ln();
            ngrams(tokens, n).into_iter().map(|(g, count)| (g, count * rarity(g))).collect()
        };
        for pair in pairs {
            let own = weigh(&pair.candidate);
            let over_references: f64 = pair
                .references
                .iter()
                .map(|reference| {
                    let gap = pair.candidate.len() as f64 - reference.len() as f64;
                    let penalty = if clipped { (-gap * gap / (2.0 * SIGMA * SIGMA)).exp() } else { 1.0 };
                    penalty * similarity(&own, &weigh(reference), clipped)
                })
                .sum();
            total += over_references / pair.references.len().max(1) as f64;
        }
    }
    10.0 * total / 4.0 / pairs.len() as f64
}

fn similarity(own: &Weights, reference: &Weights, clipped: bool) -> f64 {
    let norm = |w: &Weights| w.values().map(|v| v * v).sum::<f64>().sqrt();
    let dot: f64 = own
        .iter()
        .filter_map(|(gram, &a)| reference.get(gram).map(|&b| if clipped { a.min(b) * b } else { a * b }))
        .sum();
    let scale = norm(own) * norm(reference);
    if scale > 0.0 { dot / scale } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand_one_word_texts() {
        // Two samples, all words unique: every weight is ln 2. First candidate right (cosine 1 for n = 1, no longer
        // n-grams, so 0 for n = 2..4): 10 * (1 + 0 + 0 + 0) / 4 = 2.5. Second wrong: 0. Mean 1.25.
        let set = [Pair::new("red", &["red"]), Pair::new("bus", &["car"])];
        assert!((cider(&set) - 1.25).abs() < 1e-12);
        assert!((cider_d(&set) - 1.25).abs() < 1e-12);
    }

    #[test]
    fn by_hand_common_words_weigh_nothing() {
        // "the" is in both samples' references: ln 2 - ln 2 = 0. So n = 1 sees only light / road.
        // Sample 1, candidate "the light", reference "the light": n=1 cosine 1; n=2 (the-light, ln 2) cosine 1.
        // Sample 2, candidate "the light", reference "the road": n=1: 0; n=2: 0.
        // 10 * (1 + 1) / 4 = 5 and 0: mean 2.5.
        let set = [Pair::new("the light", &["the light"]), Pair::new("the light", &["the road"])];
        assert!((cider(&set) - 2.5).abs() < 1e-12, "{}", cider(&set));
    }

    #[test]
    fn by_hand_repeats_and_lengths() {
        // Sample 1: candidate "a a", reference "a"; sample 2: "b", "b". Weights 2 ln2 and ln2: cosine 1 for n = 1, so
        // CIDEr is 2.5 for both samples: 2.5. CIDEr-D clips 2 ln2 to ln2: ln2*ln2 / (2 ln2 * ln2) = 1/2, and the
        // length gap of 1 gives exp(-1/72): sample 1 is 1.25 exp(-1/72), sample 2 is 2.5.
        let set = [Pair::new("a a", &["a"]), Pair::new("b", &["b"])];
        assert!((cider(&set) - 2.5).abs() < 1e-12);
        let want = (1.25 * (-1.0f64 / 72.0).exp() + 2.5) / 2.0;
        assert!((cider_d(&set) - want).abs() < 1e-12);
    }

    #[test]
    fn by_hand_two_references_average() {
        // Sample 1 has references "x" and "y", candidate "x": mean of 1 and 0, 10 * 0.5 / 4 = 1.25. Sample 2: 2.5.
        let set = [Pair::new("x", &["x", "y"]), Pair::new("z", &["z"])];
        assert!((cider(&set) - (1.25 + 2.5) / 2.0).abs() < 1e-12);
    }
}
