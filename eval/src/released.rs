//! Scores as the published AlphaDrive evaluation script gives them, for comparison with published tables.
//!
//! Substrings over the whole reply, reasoning included: a sample is right when both true labels occur in the reply;
//! a class k counts as TP when k occurs and the true label of its axis occurs too, FP when k occurs and the true
//! label does not, FN when k is missing and is the truth. A reply that lists every label is therefore always right.
//! Samples without both labels cannot be scored this way and are left out.

use crate::metrics::Truth;
use scene::{MetaAction, PathAction, SpeedAction};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Whether a label occurs in a reply, anywhere.
pub fn released_contains(reply: &str, label: &str) -> bool {
    reply.contains(label)
}

/// Path labels in the script's order.
const PATHS: [PathAction; 5] = [
    PathAction::RightTurn,
    PathAction::RightChange,
    PathAction::LeftTurn,
    PathAction::LeftChange,
    PathAction::Straight,
];

/// Path labels in the order of the script's F1 map.
const F1_PATHS: [PathAction; 5] = [
    PathAction::RightTurn,
    PathAction::LeftTurn,
    PathAction::RightChange,
    PathAction::LeftChange,
    PathAction::Straight,
];

/// The script's output file: `summary` text and `f1_score` map, in its order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Released {
    /// Counts and accuracy, one line each, overall and per joint class that occurs.
    pub summary: String,
    /// F1 per label.
    pub f1_score: Map<String, Value>,
}

#[derive(Default, Clone, Copy)]
struct Counts {
    tp: f64,
    fp: f64,
    fn_: f64,
}

impl Counts {
    fn add(&mut self, class: &str, truth: &str, reply: &str) {
        if released_contains(reply, class) {
            if released_contains(reply, truth) { self.tp += 1.0 } else { self.fp += 1.0 }
        } else if class == truth {
            self.fn_ += 1.0;
        }
    }

    fn f1(self) -> f64 {
        let share = |part: f64, whole: f64| if whole == 0.0 { 0.0 } else { part / whole };
        let (precision, recall) = (share(self.tp, self.tp + self.fp), share(self.tp, self.tp + self.fn_));
        share(2.0 * precision * recall, precision + recall)
    }
}

/// Scores replies (the first of each sample).
pub fn released<'a>(samples: impl IntoIterator<Item = (Truth, &'a str)>) -> Released {
    let mut speed = [Counts::default(); SpeedAction::ALL.len()];
    let mut path = [Counts::default(); PathAction::ALL.len()];
    let mut joint = std::collections::BTreeMap::<MetaAction, (usize, usize)>::new();
    let (mut total, mut correct) = (0, 0);
    for (truth, reply) in samples {
        let (Some(truth), reply) = (truth.both(), reply.trim()) else { continue };
        for (counts, label) in speed.iter_mut().zip(SpeedAction::ALL) {
            counts.add(label.as_str(), truth.speed.as_str(), reply);
        }
        for (counts, label) in path.iter_mut().zip(PathAction::ALL) {
            counts.add(label.as_str(), truth.path.as_str(), reply);
        }
        let right = released_contains(reply, truth.speed.as_str()) && released_contains(reply, truth.path.as_str());
        total += 1;
        correct += usize::from(right);
        let cell = joint.entry(truth).or_default();
        cell.0 += 1;
        cell.1 += usize::from(right);
    }
    let percent = |part: usize, whole: usize| 100.0 * part as f64 / whole.max(1) as f64;
    let mut summary =
        format!("Total Number: {total}\nCorrect Number: {correct}\nPlanning Accuracy: {:.2}%", percent(correct, total));
    for &s in SpeedAction::ALL {
        for p in PATHS {
            if let Some(&(n, right)) = joint.get(&MetaAction::new(s, p)) {
                summary += &format!("\n{s}_{p}: num: {n}, correct num: {right}, {:.2}%", percent(right, n));
            }
        }
    }
    let speeds = SpeedAction::ALL.iter().map(|l| (l.as_str(), speed.get(l.index())));
    let paths = F1_PATHS.iter().map(|l| (l.as_str(), path.get(l.index())));
    let f1_score = speeds
        .chain(paths)
        .map(|(label, counts)| (label.to_owned(), Value::from(counts.copied().unwrap_or_default().f1())))
        .collect();
    Released { summary, f1_score }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn truth(speed: &str, path: &str) -> Truth {
        Truth { speed: speed.parse().ok(), path: path.parse().ok() }
    }

    #[test]
    fn by_hand() {
        let r = released([
            (truth("KEEP", "STRAIGHT"), " <answer> KEEP, STRAIGHT </answer> "),
            (truth("STOP", "STRAIGHT"), "<answer> KEEP, STRAIGHT </answer>"),
            (truth("STOP", "LEFT_TURN"), "KEEP ACCELERATE DECELERATE STOP, LEFT_TURN STRAIGHT"),
            (truth("KEEP", "-"), "KEEP"),
        ]);
        assert_eq!(
            r.summary,
            "Total Number: 3\nCorrect Number: 2\nPlanning Accuracy: 66.67%\n\
             KEEP_STRAIGHT: num: 1, correct num: 1, 100.00%\n\
             STOP_LEFT_TURN: num: 1, correct num: 1, 100.00%\n\
             STOP_STRAIGHT: num: 1, correct num: 0, 0.00%"
        );
        // KEEP occurs in all three; its axis' truth occurs in 1 and 3, not in 2: tp 2, fp 1, fn 0: F1 = 4/5.
        // ACCELERATE: tp 1 (inflated), fp 0, fn 0: 1. STOP: tp 1, fn 1: P 1, R 1/2: 2/3.
        // STRAIGHT: occurs in all, truth occurs in all: tp 3: 1. LEFT_TURN: tp 1: 1. Others never: 0.
        let f1 = |k: &str| r.f1_score.get(k).and_then(Value::as_f64).unwrap_or(-1.0);
        assert!((f1("KEEP") - 0.8).abs() < 1e-12 && (f1("STOP") - 2.0 / 3.0).abs() < 1e-12);
        assert_eq!((f1("ACCELERATE"), f1("DECELERATE"), f1("STRAIGHT"), f1("LEFT_TURN")), (1.0, 1.0, 1.0, 1.0));
        assert_eq!((f1("RIGHT_TURN"), f1("LEFT_CHANGE")), (0.0, 0.0));
        let keys: Vec<_> = r.f1_score.keys().cloned().collect();
        assert_eq!(
            keys.join(" "),
            "KEEP ACCELERATE DECELERATE STOP RIGHT_TURN LEFT_TURN RIGHT_CHANGE LEFT_CHANGE STRAIGHT"
        );
    }

    #[test]
    fn one_label_per_axis_gives_ordinary_f1() {
        let set = [("KEEP", "KEEP"), ("KEEP", "STOP"), ("STOP", "STOP"), ("STOP", "STOP"), ("KEEP", "KEEP")];
        let replies: Vec<_> = set.iter().map(|(_, said)| format!("{said}, STRAIGHT")).collect();
        let r = released(set.iter().zip(&replies).map(|((t, _), said)| (truth(t, "STRAIGHT"), said.as_str())));
        // STOP: tp 2, fp 1, fn 0: F1 4/5. KEEP: tp 2, fp 0, fn 1: F1 4/5.
        for label in ["STOP", "KEEP"] {
            assert!(r.f1_score.get(label).and_then(Value::as_f64).is_some_and(|f| (f - 0.8).abs() < 1e-12));
        }
    }

    #[test]
    fn nothing_to_score() {
        let r = released([]);
        assert_eq!(r.summary, "Total Number: 0\nCorrect Number: 0\nPlanning Accuracy: 0.00%");
        assert!(r.f1_score.values().all(|v| v.as_f64() == Some(0.0)));
    }
}
