//! Corpus BLEU (Papineni et al. 2002) as the COCO caption scripts compute it: clipped counts summed over the corpus,
//! the reference length closest to the candidate's, and tiny constants in place of smoothing.

use super::Pair;
use std::collections::BTreeMap;

const TINY: f64 = 1e-15;
const SMALL: f64 = 1e-9;

/// N-grams of a text with their counts.
pub(super) fn ngrams(tokens: &[String], n: usize) -> BTreeMap<&[String], f64> {
    let mut counts = BTreeMap::new();
    for gram in tokens.windows(n) {
        *counts.entry(gram).or_insert(0.0) += 1.0;
    }
    counts
}

/// What BLEU needs to know of a corpus; sums over its pairs.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Counts {
    guesses: [f64; 4],
    correct: [f64; 4],
    length: f64,
    wanted: f64,
}

impl Counts {
    /// Those of one pair.
    pub fn of(pair: &Pair) -> Self {
        let own = pair.candidate.len();
        // The closest reference; the shorter one when two are equally close.
        let wanted = pair.references.iter().map(Vec::len).min_by_key(|l| (l.abs_diff(own), *l)).unwrap_or(0);
        let mut counts = Counts { length: own as f64, wanted: wanted as f64, ..Counts::default() };
        for n in 1..=4 {
            counts.guesses[n - 1] = own.saturating_sub(n - 1) as f64;
            let references: Vec<_> = pair.references.iter().map(|r| ngrams(r, n)).collect();
            for (gram, count) in ngrams(&pair.candidate, n) {
                let most = references.iter().filter_map(|r| r.get(gram)).copied().fold(0.0, f64::max);
                counts.correct[n - 1] += count.min(most);
            }
        }
        counts
    }

    /// Adds those of other pairs.
    pub fn add(&mut self, other: &Counts) {
        for k in 0..4 {
            self.guesses[k] += other.guesses[k];
            self.correct[k] += other.correct[k];
        }
        self.length += other.length;
        self.wanted += other.wanted;
    }

    /// BLEU-1 to BLEU-4, each in 0..1.
    pub fn bleu(&self) -> [f64; 4] {
        let ratio = (self.length + TINY) / (self.wanted + SMALL);
        let brevity = if ratio < 1.0 { (1.0 - 1.0 / ratio).exp() } else { 1.0 };
        let mut product = 1.0;
        std::array::from_fn(|k| {
            product *= (self.correct[k] + TINY) / (self.guesses[k] + SMALL);
            brevity * f64::powf(product, 1.0 / (k as f64 + 1.0))
        })
    }
}

/// BLEU-1 to BLEU-4 of a corpus, each in 0..1.
pub fn bleu(pairs: &[Pair]) -> [f64; 4] {
    let mut counts = Counts::default();
    pairs.iter().for_each(|pair| counts.add(&Counts::of(pair)));
    counts.bleu()
}

/// BLEU-4 of a corpus.
pub fn bleu4(pairs: &[Pair]) -> f64 {
    bleu(pairs)[3]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(got: f64, want: f64) {
        assert!((got - want).abs() < 1e-6, "{got} {want}");
    }

    #[test]
    fn by_hand_precision_and_brevity() {
        // candidate: the car stops at the light (6); reference: the car stops at the red light (7).
        // 1-grams 6/6; 2-grams the-car car-stops stops-at at-the 4/5 (the-light missing);
        // 3-grams the-car-stops car-stops-at stops-at-the 3/4; 4-grams 2/3. Brevity exp(1 - 7/6).
        let b = bleu(&[Pair::new("the car stops at the light", &["the car stops at the red light"])]);
        let brevity = (1.0f64 - 7.0 / 6.0).exp();
        close(b[0], brevity);
        close(b[1], brevity * (4.0f64 / 5.0).sqrt());
        close(b[3], brevity * (4.0f64 / 5.0 * 3.0 / 4.0 * 2.0 / 3.0).powf(0.25));
    }

    #[test]
    fn by_hand_clipping_and_two_references() {
        // "the the the" against "the cat" and "the the dog": at most 2 of 3 count. 2-grams: the-the twice, once allowed.
        // Closest length: the reference of 3. 3-grams 0/1, so BLEU-3 is (2/3 * 1/2 * 1e-15)^(1/3).
        let b = bleu(&[Pair::new("the the the", &["the cat", "the the dog"])]);
        close(b[0], 2.0 / 3.0);
        close(b[1], (2.0f64 / 3.0 / 2.0).sqrt());
        close(b[2], (2.0f64 / 3.0 / 2.0 * 1e-15).cbrt());
        // No 4-grams at all: 0/0 reads as 1e-15 / 1e-9 = 1e-6.
        close(b[3], (2.0f64 / 3.0 / 2.0 * 1e-15 * 1e-6).powf(0.25));
    }

    #[test]
    fn by_hand_the_corpus_is_pooled_not_averaged() {
        // First pair: all of 4; second: 2 of 4 words right ("a b" of "a b x y"), one of 3 2-grams.
        // Pooled 1-grams (4 + 2) / 8, 2-grams (3 + 1) / 6; lengths equal, so no brevity.
        let b = bleu(&[Pair::new("p q r s", &["p q r s"]), Pair::new("a b x y", &["a b c d"])]);
        close(b[0], 6.0 / 8.0);
        close(b[1], (6.0f64 / 8.0 * 4.0 / 6.0).sqrt());
        // 3-grams (2 + 0) / 4, 4-grams (1 + 0) / 2.
        close(b[3], (6.0f64 / 8.0 * 4.0 / 6.0 * 2.0 / 4.0 * 1.0 / 2.0).powf(0.25));
    }
}
