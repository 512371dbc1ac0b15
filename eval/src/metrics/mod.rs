//! Planning metrics as pure functions of rows: accuracies, F1, confusion, baselines, bootstrap intervals.
//!
//! An axis whose truth is unknown is skipped on that axis and in the joint accuracy; a reply that is no plan counts as
//! wrong wherever the truth is known. Macro-F1 is the plain mean of F1 over the classes that occur in the truth or in
//! the predictions of the evaluated rows; a class without true positives has F1 0.

pub mod axis;
pub mod baseline;
pub mod bootstrap;
pub mod multi;

use axis::Confusion;
use scene::{MetaAction, PathAction, SpeedAction};
use serde::{Deserialize, Serialize};

/// What was driven; an axis may be unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Truth {
    /// The driven speed action.
    pub speed: Option<SpeedAction>,
    /// The driven path action.
    pub path: Option<PathAction>,
}

impl Truth {
    /// Both labels, when both are known.
    pub fn both(self) -> Option<MetaAction> {
        Some(MetaAction { speed: self.speed?, path: self.path? })
    }
}

/// One evaluated sample: what was driven and what the planner said (`None`: no plan could be read).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// Driven.
    pub truth: Truth,
    /// Said.
    pub said: Option<MetaAction>,
}

/// Everything the scalar metrics need, summed over rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Tally {
    /// Rows.
    pub samples: u64,
    /// Rows without a plan.
    pub failures: u64,
    /// Rows with both labels known.
    pub joint_known: u64,
    /// Of those, rows with both labels right.
    pub joint_right: u64,
    /// Speed axis.
    pub speed: Confusion,
    /// Path axis.
    pub path: Confusion,
}

impl Default for Tally {
    fn default() -> Self {
        Tally {
            samples: 0,
            failures: 0,
            joint_known: 0,
            joint_right: 0,
            speed: Confusion::new(SpeedAction::ALL.iter().map(|l| l.as_str())),
            path: Confusion::new(PathAction::ALL.iter().map(|l| l.as_str())),
        }
    }
}

impl Tally {
    /// The tally of a set.
    pub fn of<'a>(rows: impl IntoIterator<Item = &'a Row>) -> Self {
        let mut tally = Tally::default();
        rows.into_iter().for_each(|row| tally.add(row));
        tally
    }

    /// Adds a row.
    pub fn add(&mut self, row: &Row) {
        self.samples += 1;
        self.failures += u64::from(row.said.is_none());
        if let Some(truth) = row.truth.both() {
            self.joint_known += 1;
            self.joint_right += u64::from(row.said == Some(truth));
        }
        if let Some(truth) = row.truth.speed {
            self.speed.add(truth.index(), row.said.map(|a| a.speed.index()));
        }
        if let Some(truth) = row.truth.path {
            self.path.add(truth.index(), row.said.map(|a| a.path.index()));
        }
    }
}

/// A scalar metric, 0..1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Both labels right.
    Joint,
    /// Speed label right.
    Speed,
    /// Path label right.
    Path,
    /// Macro-F1 of the speed axis.
    SpeedF1,
    /// Macro-F1 of the path axis.
    PathF1,
    /// Replies that were a plan.
    Parsed,
}

impl Metric {
    /// Every metric.
    pub const ALL: [Metric; 6] =
        [Metric::Joint, Metric::Speed, Metric::Path, Metric::SpeedF1, Metric::PathF1, Metric::Parsed];

    /// Short name, as in thresholds and JSON.
    pub fn name(self) -> &'static str {
        match self {
            Metric::Joint => "joint",
            Metric::Speed => "speed",
            Metric::Path => "path",
            Metric::SpeedF1 => "speed_f1",
            Metric::PathF1 => "path_f1",
            Metric::Parsed => "parsed",
        }
    }

    /// The value of a tally; `None` when no row has the truth it needs.
    pub fn of(self, t: &Tally) -> Option<f64> {
        match self {
            Metric::Joint => ratio(t.joint_right, t.joint_known),
            Metric::Speed => t.speed.accuracy(),
            Metric::Path => t.path.accuracy(),
            Metric::SpeedF1 => t.speed.macro_f1(),
            Metric::PathF1 => t.path.macro_f1(),
            Metric::Parsed => ratio(t.samples - t.failures, t.samples),
        }
    }
}

/// `part / whole`, `None` over nothing.
pub(crate) fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use PathAction::{LeftTurn, Straight};
    use SpeedAction::{Keep, Stop};

    /// Rows from "TRUTH_SPEED TRUTH_PATH SAID_SPEED SAID_PATH" lines, `-` for unknown or no plan.
    pub(crate) fn rows(lines: &[&str]) -> Vec<Row> {
        lines
            .iter()
            .map(|line| {
                let w: Vec<&str> = line.split_whitespace().collect();
                let said = w[2].parse().ok().zip(w[3].parse().ok()).map(|(s, p)| MetaAction::new(s, p));
                Row { truth: Truth { speed: w[0].parse().ok(), path: w[1].parse().ok() }, said }
            })
            .collect()
    }

    #[test]
    fn by_hand_accuracies() {
        let t = Tally::of(&rows(&[
            "KEEP STRAIGHT KEEP STRAIGHT",
            "KEEP STRAIGHT KEEP LEFT_TURN",
            "STOP LEFT_TURN - -",
            "- LEFT_TURN STOP LEFT_TURN",
            "KEEP - STOP STRAIGHT",
        ]));
        // Joint: rows 1 to 3 are known, row 1 is right. Speed: rows 1, 2, 3, 5 known, 2 right. Path: rows 1..4, 2 right.
        assert_eq!(Metric::Joint.of(&t), Some(1.0 / 3.0));
        assert_eq!(Metric::Speed.of(&t), Some(2.0 / 4.0));
        assert_eq!(Metric::Path.of(&t), Some(2.0 / 4.0));
        assert_eq!(Metric::Parsed.of(&t), Some(4.0 / 5.0));
        // KEEP: tp 2, fn 1 (row 5), fp 0: F1 = 4/5. STOP: tp 0, fn 1, fp 1: 0. Mean over the two: 0.4.
        assert!((Metric::SpeedF1.of(&t).unwrap() - 0.4).abs() < 1e-12);
        assert_eq!(t.speed.counts[Keep.index()][Stop.index()], 1);
        assert_eq!(t.path.counts[LeftTurn.index()].last(), Some(&1));
        assert_eq!(t.path.counts[Straight.index()][LeftTurn.index()], 1);
    }

    #[test]
    fn nothing_known_is_no_number() {
        let t = Tally::of(&rows(&["- - KEEP STRAIGHT"]));
        for metric in [Metric::Joint, Metric::Speed, Metric::Path, Metric::SpeedF1, Metric::PathF1] {
            assert_eq!(metric.of(&t), None);
        }
        assert_eq!(Metric::Parsed.of(&t), Some(1.0));
        assert_eq!(Metric::Parsed.of(&Tally::default()), None);
    }
}
