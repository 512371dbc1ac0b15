//! ROUGE-L (Lin 2004) as in the COCO caption scripts: longest common subsequence, the best precision and the best
//! recall over the references, F with beta 1.2, mean over the samples.

use super::Pair;

const BETA: f64 = 1.2;

/// Mean ROUGE-L of a set, in 0..1; 0 for an empty set.
pub fn rouge_l(pairs: &[Pair]) -> f64 {
    pairs.iter().map(rouge_l_one).sum::<f64>() / pairs.len().max(1) as f64
}

/// ROUGE-L of one candidate.
pub fn rouge_l_one(pair: &Pair) -> f64 {
    let (mut precision, mut recall) = (0.0f64, 0.0f64);
    for reference in &pair.references {
        let common = common_subsequence(&pair.candidate, reference) as f64;
        precision = precision.max(common / pair.candidate.len().max(1) as f64);
        recall = recall.max(common / reference.len().max(1) as f64);
    }
    if precision == 0.0 || recall == 0.0 {
        return 0.0;
    }
    (1.0 + BETA * BETA) * precision * recall / (recall + BETA * BETA * precision)
}

/// Length of the longest common subsequence, one row at a time.
fn common_subsequence(a: &[String], b: &[String]) -> usize {
    let mut row = vec![0usize; b.len() + 1];
    for x in a {
        let mut diagonal = 0;
        let mut left = 0;
        for (y, cell) in b.iter().zip(row.iter_mut().skip(1)) {
            let above = *cell;
            *cell = if x == y { diagonal + 1 } else { above.max(left) };
            diagonal = above;
            left = *cell;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(c: &str, r: &[&str]) -> f64 {
        rouge_l_one(&Pair::new(c, r))
    }

    #[test]
    fn by_hand() {
        // LCS of "the car stops now" and "the red car stops" is the-car-stops: P 3/4, R 3/4, so F = 3/4.
        assert!((one("the car stops now", &["the red car stops"]) - 0.75).abs() < 1e-12);
        // P 2/2, R 2/4: F = 2.44 * 1 * 0.5 / (0.5 + 1.44 * 1) = 1.22 / 1.94.
        assert!((one("car stops", &["the car stops now"]) - 1.22 / 1.94).abs() < 1e-12);
        // Order matters: "stops car" has an LCS of 1 with "car stops": P = R = 1/2.
        assert!((one("stops car", &["car stops"]) - 0.5).abs() < 1e-12);
        assert_eq!(one("bus", &["car"]), 0.0);
    }

    #[test]
    fn by_hand_best_precision_and_best_recall_may_come_from_different_references() {
        // Against "a b x y z w": LCS 2, P 2/3, R 2/6. Against "a": LCS 1, P 1/3, R 1. Best P 2/3, best R 1:
        // F = 2.44 * 2/3 / (1 + 1.44 * 2/3) = 1.626667 / 1.96.
        let f = one("a b c", &["a b x y z w", "a"]);
        assert!((f - (2.44 * 2.0 / 3.0) / 1.96).abs() < 1e-12, "{f}");
    }

    #[test]
    fn a_set_is_a_mean() {
        let set = [Pair::new("a b", &["a b"]), Pair::new("x", &["y"])];
        assert!((rouge_l(&set) - 0.5).abs() < 1e-12);
    }
}
