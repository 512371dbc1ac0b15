//! One axis of the plan: confusion counts and what follows from them.

use super::ratio;
use serde::{Deserialize, Serialize};

/// Name of the last column of a confusion matrix: replies that were no plan.
pub const NO_PLAN: &str = "(no plan)";

/// Counts by truth (rows) and prediction (columns, the last one for replies without a plan).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confusion {
    /// The classes, in table order.
    pub labels: Vec<String>,
    /// `counts[truth][said]`, `labels.len()` rows of `labels.len() + 1`.
    pub counts: Vec<Vec<u64>>,
}

/// One class against the rest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassScore {
    /// The class.
    pub label: String,
    /// How often it is the truth.
    pub truth: u64,
    /// How often it was said.
    pub said: u64,
    /// Right among said; 0 when never said.
    pub precision: f64,
    /// Right among true; 0 when never true.
    pub recall: f64,
    /// `2 tp / (truth + said)`; 0 when neither.
    pub f1: f64,
}

impl Confusion {
    /// An empty matrix over these classes.
    pub fn new<'a>(labels: impl Iterator<Item = &'a str>) -> Self {
        let labels: Vec<String> = labels.map(str::to_owned).collect();
        let counts = vec![vec![0; labels.len() + 1]; labels.len()];
        Confusion { labels, counts }
    }

    /// Counts a sample; `said` is `None` for a reply without a plan. Unknown indices are not counted.
    pub fn add(&mut self, truth: usize, said: Option<usize>) {
        let column = said.unwrap_or(self.labels.len());
        if let Some(cell) = self.counts.get_mut(truth).and_then(|row| row.get_mut(column)) {
            *cell += 1;
        }
    }

    fn cell(&self, truth: usize, said: usize) -> u64 {
        self.counts.get(truth).and_then(|r| r.get(said)).copied().unwrap_or(0)
    }

    /// Samples counted.
    pub fn total(&self) -> u64 {
        self.counts.iter().flatten().sum()
    }

    /// How often a class is the truth.
    pub fn truth(&self, class: usize) -> u64 {
        self.counts.get(class).map_or(0, |r| r.iter().sum())
    }

    /// How often a class was said.
    pub fn said(&self, class: usize) -> u64 {
        (0..self.labels.len()).map(|t| self.cell(t, class)).sum()
    }

    /// Share of right answers; `None` when nothing was counted.
    pub fn accuracy(&self) -> Option<f64> {
        ratio((0..self.labels.len()).map(|c| self.cell(c, c)).sum(), self.total())
    }

    /// Precision, recall and F1 of every class, in table order.
    pub fn classes(&self) -> Vec<ClassScore> {
        self.labels
            .iter()
            .enumerate()
            .map(|(c, label)| {
                let (right, truth, said) = (self.cell(c, c), self.truth(c), self.said(c));
                ClassScore {
                    label: label.clone(),
                    truth,
                    said,
                    precision: ratio(right, said).unwrap_or(0.0),
                    recall: ratio(right, truth).unwrap_or(0.0),
                    f1: ratio(2 * right, truth + said).unwrap_or(0.0),
                }
            })
            .collect()
    }

    /// Mean F1 over the classes that occur in truth or prediction; `None` when nothing was counted.
    pub fn macro_f1(&self) -> Option<f64> {
        let (mut sum, mut classes) = (0.0, 0u64);
        for c in 0..self.labels.len() {
            let occurs = self.truth(c) + self.said(c);
            if let Some(f1) = ratio(2 * self.cell(c, c), occurs) {
                sum += f1;
                classes += 1;
            }
        }
        (classes > 0).then(|| sum / classes as f64)
    }

    /// The wrong answer most often given for a class, with its count: an index into `labels`, or `labels.len()` for
    /// no plan. `None` when nothing was mistaken.
    pub fn most_mistaken_for(&self, class: usize) -> Option<(usize, u64)> {
        let row = self.counts.get(class)?;
        let wrong = row.iter().copied().enumerate().filter(|&(said, n)| said != class && n > 0);
        wrong.max_by_key(|&(said, n)| (n, std::cmp::Reverse(said)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(cells: &[(usize, Option<usize>, u64)]) -> Confusion {
        let mut c = Confusion::new(["A", "B", "C"].into_iter());
        for &(truth, said, n) in cells {
            (0..n).for_each(|_| c.add(truth, said));
        }
        c
    }

    #[test]
    fn by_hand_class_scores() {
        // A: 6 true, of them 4 right, 1 as B, 1 unread; B: 2 true, both said A. C never occurs.
        let c = filled(&[(0, Some(0), 4), (0, Some(1), 1), (0, None, 1), (1, Some(0), 2)]);
        let s = c.classes();
        // A: said 6, right 4: P 4/6, R 4/6, F1 4/6. B: said 1, right 0. Macro over A and B: 1/3. Accuracy 4/8.
        assert_eq!((s[0].truth, s[0].said), (6, 6));
        assert!((s[0].precision - 2.0 / 3.0).abs() < 1e-12 && (s[0].f1 - 2.0 / 3.0).abs() < 1e-12);
        assert_eq!((s[1].truth, s[1].said, s[1].f1), (2, 1, 0.0));
        assert_eq!((s[2].truth, s[2].said), (0, 0));
        assert!(c.macro_f1().is_some_and(|m| (m - 1.0 / 3.0).abs() < 1e-12));
        assert_eq!(c.accuracy(), Some(0.5));
        assert_eq!(c.most_mistaken_for(0), Some((1, 1)));
        assert_eq!(c.most_mistaken_for(1), Some((0, 2)));
        assert_eq!(c.most_mistaken_for(2), None);
    }

    #[test]
    fn by_hand_a_class_that_is_only_said_counts_in_the_mean() {
        // A right 3 times, A said C once: A P 1, R 3/4, F1 6/7; C: F1 0 (said once, never true). Mean 3/7.
        let c = filled(&[(0, Some(0), 3), (0, Some(2), 1)]);
        assert!(c.macro_f1().is_some_and(|m| (m - 3.0 / 7.0).abs() < 1e-12));
    }

    #[test]
    fn by_hand_perfect_and_empty() {
        let c = filled(&[(0, Some(0), 2), (1, Some(1), 5), (2, Some(2), 1)]);
        assert_eq!((c.accuracy(), c.macro_f1()), (Some(1.0), Some(1.0)));
        let empty = filled(&[]);
        assert_eq!((empty.accuracy(), empty.macro_f1(), empty.total()), (None, None, 0));
    }
}
