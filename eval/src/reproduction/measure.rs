//! Values of an arm over its seeds, with intervals: every resample draws seeds and frames with replacement, the same ones
//! for every arm, so that the difference of two arms is drawn paired.
//!
//! With one seed the interval covers the choice of frames only. Frames of one drive resemble each other and are drawn
//! one by one, so the truth is somewhat wider.

use super::Finished;
use crate::log::{Entry, Log};
use crate::metrics::bootstrap::{Bootstrap, Figure, draw_index, interval};
use crate::metrics::multi::multi;
use crate::metrics::{Metric, Row, Tally};
use crate::summary::{reasoning, row, sorted};
use crate::text::{Counts, Pair};
use serde::{Deserialize, Serialize};

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Both labels right.
    Joint,
    /// Macro-F1 of the speed axis.
    SpeedF1,
    /// Macro-F1 of the path axis.
    PathF1,
    /// Replies that were a plan.
    Parsed,
    /// Corpus BLEU-4 of the reasoning against the annotated one.
    Bleu4,
    /// Different plans among the drawn replies to a frame.
    Distinct,
    /// Frames where one of the drawn replies has both labels right.
    AnyOfK,
    /// Both labels right without the picture.
    Blind,
    /// EPDMS of one frame, without extended comfort.
    Epdms,
    /// No at-fault collision.
    Nc,
    /// Drivable-area compliance.
    Dac,
    /// Driving-direction compliance.
    Ddc,
    /// Traffic-light compliance.
    Tlc,
    /// Ego progress.
    Ep,
    /// Time to collision within bound.
    Ttc,
    /// Lane keeping.
    Lk,
    /// History comfort.
    Hc,
}

impl Measure {
    /// Every measure.
    pub const ALL: [Measure; 17] = [
        Measure::Joint,
        Measure::SpeedF1,
        Measure::PathF1,
        Measure::Parsed,
        Measure::Bleu4,
        Measure::Distinct,
        Measure::AnyOfK,
        Measure::Blind,
        Measure::Epdms,
        Measure::Nc,
        Measure::Dac,
        Measure::Ddc,
        Measure::Tlc,
        Measure::Ep,
        Measure::Ttc,
        Measure::Lk,
        Measure::Hc,
    ];

    /// Those of trajectories, in the order of score tables.
    pub const DRIVEN: &[Measure] = Self::ALL.split_at(8).1;

    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Measure::Joint => "accuracy",
            Measure::SpeedF1 => "speed F1",
            Measure::PathF1 => "path F1",
            Measure::Parsed => "plans read",
            Measure::Bleu4 => "BLEU-4",
            Measure::Distinct => "plans per frame",
            Measure::AnyOfK => "any right",
            Measure::Blind => "without image",
            Measure::Epdms => "EPDMS",
            Measure::Nc => "NC",
            Measure::Dac => "DAC",
            Measure::Ddc => "DDC",
            Measure::Tlc => "TLC",
            Measure::Ep => "EP",
            Measure::Ttc => "TTC",
            Measure::Lk => "LK",
            Measure::Hc => "HC",
        }
    }

    /// What a value is multiplied by when it is shown: shares are percent, counts are not.
    pub fn scale(self) -> f64 {
        if self == Measure::Distinct { 1.0 } else { 100.0 }
    }

    /// Digits behind the point when it is shown.
    pub fn digits(self) -> usize {
        if self == Measure::Distinct { 2 } else { 1 }
    }
}

/// A value over seeds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Value {
    /// Mean over seeds, with its 95 % interval over seeds and frames.
    #[serde(flatten)]
    pub figure: Figure,
    /// The value of every seed.
    pub seeds: Vec<f64>,
}

/// A value over seeds with its resamples.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Drawn {
    pub(super) seeds: Vec<f64>,
    /// `None` where a resample has no value.
    pub(super) rounds: Vec<Option<f64>>,
}

impl Drawn {
    pub(super) fn mean(&self) -> f64 {
        self.seeds.iter().sum::<f64>() / self.seeds.len().max(1) as f64
    }

    pub(super) fn value(&self) -> Value {
        let mut rounds: Vec<f64> = self.rounds.iter().copied().flatten().collect();
        Value { figure: interval(self.mean(), &mut rounds), seeds: self.seeds.clone() }
    }
}

/// What one run answered, one item a frame.
enum Column {
    Plans(Vec<Row>, Metric),
    Means(Vec<f64>),
    Texts(Vec<Counts>),
}

impl Column {
    fn len(&self) -> usize {
        match self {
            Column::Plans(rows, _) => rows.len(),
            Column::Means(values) => values.len(),
            Column::Texts(counts) => counts.len(),
        }
    }

    /// The value over some frames, repeated ones counting as often as they come.
    fn value(&self, frames: impl Iterator<Item = usize>) -> Option<f64> {
        match self {
            Column::Plans(rows, metric) => metric.of(&Tally::of(frames.filter_map(|i| rows.get(i)))),
            Column::Means(values) => {
                let (sum, n) = frames.filter_map(|i| values.get(i)).fold((0.0, 0.0), |(s, n), v| (s + v, n + 1.0));
                (n > 0.0).then(|| sum / n)
            }
            Column::Texts(counts) => {
                let mut all = Counts::default();
                frames.filter_map(|i| counts.get(i)).for_each(|one| all.add(one));
                Some(all.bleu()[3])
            }
        }
    }
}

/// A measure of runs of one arm, one run a seed. `None` where it was not taken.
pub(super) fn drawn(runs: &[&Finished], measure: Measure, bootstrap: Bootstrap) -> Option<Drawn> {
    let columns: Vec<Column> = runs.iter().map(|run| column(run, measure)).collect::<Option<_>>()?;
    let frames = columns.iter().map(Column::len).min().filter(|n| *n > 0)?;
    let seeds: Vec<f64> = columns.iter().map(|c| c.value(0..c.len())).collect::<Option<_>>()?;
    let rounds = (0..bootstrap.resamples).map(|round| {
        // Seeds and frames have streams of their own, the same for every arm and measure.
        let at = (round * frames) as u64 + 1;
        let values: Vec<f64> = (0..columns.len())
            .map(|i| {
                let place = (round * columns.len() + i) as u64 + 1;
                let one = columns.get(draw_index(!bootstrap.seed, place, columns.len()))?;
                one.value((0..frames).map(|j| draw_index(bootstrap.seed, at + j as u64, frames)))
            })
            .collect::<Option<_>>()?;
        Some(values.iter().sum::<f64>() / values.len() as f64)
    });
    Some(Drawn { rounds: rounds.collect(), seeds })
}

fn column(run: &Finished, measure: Measure) -> Option<Column> {
    let plans =
        |log: &Option<Log>, metric| Some(Column::Plans(sorted(log.as_ref()?).into_iter().map(row).collect(), metric));
    let drawn = |of: fn(&Entry) -> f64| {
        let log = run.sampled.as_ref()?;
        Some(Column::Means(sorted(log).into_iter().map(of).collect()))
    };
    match measure {
        Measure::Joint => plans(&run.greedy, Metric::Joint),
        Measure::SpeedF1 => plans(&run.greedy, Metric::SpeedF1),
        Measure::PathF1 => plans(&run.greedy, Metric::PathF1),
        Measure::Parsed => plans(&run.greedy, Metric::Parsed),
        Measure::Blind => plans(&run.blind, Metric::Joint),
        Measure::Bleu4 => {
            let pairs: Vec<Pair> = sorted(run.greedy.as_ref()?).into_iter().filter_map(reasoning).collect();
            (!pairs.is_empty()).then(|| Column::Texts(pairs.iter().map(Counts::of).collect()))
        }
        Measure::Distinct => drawn(|entry| of_k(entry).0),
        Measure::AnyOfK => drawn(|entry| of_k(entry).1),
        driven => run.scores.get(&driven).cloned().map(Column::Means),
    }
}

/// Different plans among the replies, and whether any is right.
fn of_k(entry: &Entry) -> (f64, f64) {
    let replies = entry.replies.iter().map(|r| r.plan().map(|p| p.action)).collect();
    let scores = multi(&[(entry.truth, replies)]);
    scores.map_or((0.0, 0.0), |scores| (scores.distinct, scores.any_of_k.unwrap_or(0.0)))
}
