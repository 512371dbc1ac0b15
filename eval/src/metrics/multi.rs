//! Several samples per question: how often any of k plans is right, how often one is on average, how many differ.

use super::Truth;
use scene::MetaAction;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// k-sample figures over the samples that have at least two replies.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MultiScores {
    /// Replies per sample; the largest when samples differ.
    pub k: usize,
    /// Samples with at least two replies.
    pub samples: usize,
    /// Of those, samples with both labels known: the base of the two accuracies.
    pub joint_known: usize,
    /// Some reply has both labels right.
    pub any_of_k: Option<f64>,
    /// Mean share of replies with both labels right.
    pub mean_of_k: Option<f64>,
    /// Mean number of different plans among the replies that are plans.
    pub distinct: f64,
    /// `histogram[d]`: samples with `d` different plans.
    pub histogram: Vec<usize>,
}

/// The figures; `None` when no sample has two replies. A reply that is no plan (`None`) is wrong and not counted as a
/// different plan.
pub fn multi(samples: &[(Truth, Vec<Option<MetaAction>>)]) -> Option<MultiScores> {
    let several: Vec<_> = samples.iter().filter(|(_, replies)| replies.len() > 1).collect();
    let k = several.iter().map(|(_, r)| r.len()).max()?;
    let (mut any, mut mean, mut known) = (0usize, 0.0, 0usize);
    let mut histogram = vec![0; k + 1];
    for (truth, replies) in &several {
        let plans: BTreeSet<MetaAction> = replies.iter().copied().flatten().collect();
        if let Some(cell) = histogram.get_mut(plans.len()) {
            *cell += 1;
        }
        if let Some(truth) = truth.both() {
            let right = replies.iter().filter(|r| **r == Some(truth)).count();
            known += 1;
            any += usize::from(right > 0);
            mean += right as f64 / replies.len() as f64;
        }
    }
    let plans: usize = histogram.iter().enumerate().map(|(d, n)| d * n).sum();
    Some(MultiScores {
        k,
        samples: several.len(),
        joint_known: known,
        any_of_k: (known > 0).then(|| any as f64 / known as f64),
        mean_of_k: (known > 0).then(|| mean / known as f64),
        distinct: plans as f64 / several.len() as f64,
        histogram,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(truth: &str, replies: &[&str]) -> (Truth, Vec<Option<MetaAction>>) {
        let pair = |t: &str| t.split_once(' ').map(|(s, p)| (s.parse().ok(), p.parse().ok())).unwrap_or_default();
        let (speed, path) = pair(truth);
        let plan = |t: &&str| {
            let (s, p) = pair(t);
            Some(MetaAction::new(s?, p?))
        };
        (Truth { speed, path }, replies.iter().map(plan).collect())
    }

    #[test]
    fn by_hand() {
        let set = [
            // 1 of 3 right, two different plans; then none right, one plan and a failure; then no known truth.
            sample("KEEP STRAIGHT", &["KEEP STRAIGHT", "STOP STRAIGHT", "STOP STRAIGHT"]),
            sample("STOP STRAIGHT", &["KEEP STRAIGHT", "nonsense", "KEEP STRAIGHT"]),
            sample("- STRAIGHT", &["KEEP STRAIGHT", "KEEP LEFT_TURN", "STOP STRAIGHT"]),
        ];
        let m = multi(&set);
        assert!(m.is_some());
        if let Some(m) = m {
            assert_eq!((m.k, m.samples, m.joint_known), (3, 3, 2));
            assert_eq!((m.any_of_k, m.mean_of_k), (Some(0.5), Some(1.0 / 6.0)));
            assert_eq!((m.distinct, m.histogram.as_slice()), (2.0, &[0, 1, 1, 1][..]));
        }
    }

    #[test]
    fn by_hand_all_right_and_all_failed() {
        let m = multi(&[sample("KEEP STRAIGHT", &["KEEP STRAIGHT", "KEEP STRAIGHT"])]);
        assert!(m.is_some_and(|m| (m.any_of_k, m.mean_of_k, m.distinct) == (Some(1.0), Some(1.0), 1.0)));
        let m = multi(&[sample("KEEP STRAIGHT", &["x", "y"])]);
        assert!(m.is_some_and(|m| (m.any_of_k, m.mean_of_k, m.distinct) == (Some(0.0), Some(0.0), 0.0)));
    }

    #[test]
    fn one_reply_each_is_not_this_mode() {
        assert_eq!(multi(&[sample("KEEP STRAIGHT", &["KEEP STRAIGHT"])]), None);
        assert_eq!(multi(&[]), None);
    }
}
