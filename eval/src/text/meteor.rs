//! METEOR (Banerjee and Lavie 2005; parameters alpha 0.9, beta 3, gamma 0.5 as in the 2007 release) with exact and
//! Porter-stem matches. **No WordNet synonyms and no paraphrases**, so it is a lower bound of the full measure.
//!
//! With m matched words, c and r words in candidate and reference: P = m/c, R = m/r, F = P R / (0.9 P + 0.1 R),
//! penalty = 0.5 (chunks / m)^3, score = F (1 - penalty); the best reference counts; a set's value is the mean.
//! Matching is by stems (equal words have equal stems), which always reaches the largest m; among such matchings a
//! beam search finds few chunks (the fewest are hard to find in general; short texts get them).

use super::{Pair, stem};
use std::collections::BTreeMap;

const ALPHA: f64 = 0.9;
const BETA: f64 = 3.0;
const GAMMA: f64 = 0.5;

/// Mean METEOR (exact + stem) of a set, in 0..1; 0 for an empty set.
pub fn meteor(pairs: &[Pair]) -> f64 {
    pairs.iter().map(meteor_one).sum::<f64>() / pairs.len().max(1) as f64
}

/// METEOR (exact + stem) of one candidate.
pub fn meteor_one(pair: &Pair) -> f64 {
    let stems = |tokens: &[String]| tokens.iter().map(|t| stem(t)).collect::<Vec<_>>();
    let own = stems(&pair.candidate);
    pair.references.iter().map(|r| against(&own, &stems(r))).fold(0.0, f64::max)
}

fn against(own: &[String], reference: &[String]) -> f64 {
    let (matches, chunks) = align(own, reference);
    if matches == 0 {
        return 0.0;
    }
    let (m, chunks) = (matches as f64, chunks as f64);
    let (precision, recall) = (m / own.len() as f64, m / reference.len() as f64);
    let f = precision * recall / (ALPHA * precision + (1.0 - ALPHA) * recall);
    f * (1.0 - GAMMA * (chunks / m).powf(BETA))
}

/// A partial alignment.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Partial {
    chunks: usize,
    /// The reference position that would continue the last chunk.
    continues: Option<usize>,
    used: Vec<bool>,
    matches: usize,
}

/// Partial alignments kept at each word.
const BEAM: usize = 40;

/// Matched words and the chunks they form: a beam search over the candidate's words for the fewest chunks. A word is
/// left unmatched only when enough of its kind remain to use up the reference, so the matches are always the most.
fn align(own: &[String], reference: &[String]) -> (usize, usize) {
    let mut places: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (at, word) in reference.iter().enumerate() {
        places.entry(word).or_default().push(at);
    }
    let mut left: BTreeMap<&str, usize> = BTreeMap::new();
    own.iter().for_each(|w| *left.entry(w).or_default() += 1);

    let mut beam = vec![Partial { chunks: 0, continues: None, used: vec![false; reference.len()], matches: 0 }];
    for word in own {
        let remaining = left.get_mut(word.as_str()).map_or(0, |n| {
            *n -= 1;
            *n
        });
        let places = places.get(word.as_str()).map_or(&[][..], Vec::as_slice);
        let mut next = Vec::new();
        for state in beam {
            let free: Vec<usize> = places.iter().copied().filter(|at| state.used.get(*at) == Some(&false)).collect();
            if remaining >= free.len() {
                next.push(Partial { continues: None, ..state.clone() });
            }
            for at in free {
                let mut used = state.used.clone();
                used.iter_mut().skip(at).take(1).for_each(|u| *u = true);
                let chunks = state.chunks + usize::from(state.continues != Some(at));
                next.push(Partial { chunks, continues: Some(at + 1), used, matches: state.matches + 1 });
            }
        }
        next.sort_unstable();
        next.dedup_by(|b, a| (&a.used, a.continues) == (&b.used, b.continues));
        next.truncate(BEAM);
        beam = next;
    }
    beam.first().map_or((0, 0), |best| (best.matches, best.chunks))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(c: &str, r: &[&str], want: f64) {
        let got = meteor_one(&Pair::new(c, r));
        assert!((got - want).abs() < 1e-12, "{c}: {got} {want}");
    }

    #[test]
    fn by_hand() {
        // Identical, 4 words: m 4, one chunk: F 1, penalty 0.5 (1/4)^3 = 1/128.
        close("the car stops now", &["the car stops now"], 1.0 - 1.0 / 128.0);
        // "the car" against "the red car stops": m 2, two chunks, P 1, R 1/2: F = 0.5 / (0.9 + 0.05) ; penalty 0.5.
        close("the car", &["the red car stops"], 0.5 / 0.95 * 0.5);
        // Stems: stopping/stops, cars/car. m 2 of 2 and 2, one chunk: penalty 0.5 / 8.
        close("cars stopping", &["car stops"], 1.0 - 1.0 / 16.0);
        // Nothing in common; empty.
        close("bus", &["car"], 0.0);
        close("", &["car"], 0.0);
    }

    #[test]
    fn by_hand_order_costs_chunks() {
        // "b a" against "a b": m 2, two chunks: F 1, penalty 0.5.
        close("b a", &["a b"], 0.5);
        // "a b c d" against "c d a b": two chunks of two, m 4: penalty 0.5 (2/4)^3 = 1/16.
        close("a b c d", &["c d a b"], 15.0 / 16.0);
        // Two references: the better one counts.
        close("b a", &["a b", "b a"], 1.0 - 1.0 / 16.0);
    }

    #[test]
    fn repeated_words_match_once_each() {
        // "the the" against "the": m 1, P 1/2, R 1: F = 0.5 / (0.45 + 0.1); one chunk of one: penalty 0.5.
        close("the the", &["the"], 0.5 / 0.55 * 0.5);
        // Three a, two places: the one that would split the run is left out. m 3, one chunk, P 3/4, R 1.
        let f = 0.75 / (0.9 * 0.75 + 0.1);
        close("a a b a", &["a b a"], f * (1.0 - 0.5 / 27.0));
        // The run "the car" wins over the first "the": one chunk, m 2, P 1, R 2/4.
        close("the car", &["the bus the car"], 0.5 / 0.95 * (1.0 - 0.5 / 8.0));
    }
}
