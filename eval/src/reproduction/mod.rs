//! A paper's claims beside runs of our own: arms, trained under several seeds, that answered the same held-out frames.
//!
//! [`measure`] reduces the logs of an arm to values with intervals over frames and seeds, [`claim`] compares two arms and
//! says whether the paper's effect is there, [`Report::of`] puts both together, [`terminal`] and [`page`] show it.

pub mod claim;
pub mod curves;
pub mod measure;
mod page;
mod terminal;

pub use claim::{Claim, Effect, Verdict};
pub use curves::Curve;
pub use measure::{Measure, Value};
pub use page::{Card, Page, Said, page};
pub use terminal::terminal;

use crate::log::Log;
use crate::metrics::baseline::{EgoRow, EgoTable, majority};
use crate::metrics::bootstrap::Bootstrap;
use crate::metrics::{Metric, Row, Tally};
use crate::summary::{EGO_ONLY, MAJORITY, ego_row, sorted};
use measure::{Drawn, drawn};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What is reproduced, in words.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct About {
    /// Short name of the paper.
    pub name: String,
    /// Where to find it.
    pub paper: String,
    /// What our scale is and what it can show.
    pub scale: String,
}

/// A size of the training set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Size {
    /// Its name in folders.
    pub name: String,
    /// Training frames.
    pub frames: usize,
    /// The size of the paper that it stands for.
    pub paper: String,
}

/// An arm by name, with the accuracy that the paper gives it at each size, percent.
#[derive(Debug, Clone, PartialEq)]
pub struct ArmName {
    /// Its name in folders.
    pub id: String,
    /// For people.
    pub label: String,
    /// Accuracy in the paper by size, percent.
    pub paper: BTreeMap<String, f64>,
}

/// A finished run of an arm.
#[derive(Debug, Clone)]
pub struct Finished {
    /// Arm.
    pub arm: String,
    /// Size.
    pub size: String,
    /// Seed.
    pub seed: u64,
    /// Optimizer steps of its own, without those of what it started from.
    pub steps: u64,
    /// Wall seconds of training and of answering.
    pub seconds: f64,
    /// The most probable answer to every held-out frame, where it answers.
    pub greedy: Option<Log>,
    /// Several drawn answers to some of them.
    pub sampled: Option<Log>,
    /// The most probable answers without the picture.
    pub blind: Option<Log>,
    /// What its drives scored, one number a held-out frame, where it drives.
    pub scores: BTreeMap<Measure, Vec<f64>>,
}

/// An arm at a size, over its seeds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ArmRow {
    /// Arm.
    pub arm: String,
    /// For people.
    pub label: String,
    /// Size.
    pub size: String,
    /// Training frames.
    pub frames: usize,
    /// Seeds that are finished.
    pub seeds: Vec<u64>,
    /// Steps of each.
    pub steps: u64,
    /// Mean wall seconds of each.
    pub seconds: f64,
    /// What was measured, by name of the measure.
    pub values: BTreeMap<Measure, Value>,
    /// Accuracy in the paper, percent.
    pub paper: Option<f64>,
}

/// Answers that need no training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    /// Which.
    pub name: String,
    /// The constant answer, or how it was fitted.
    pub detail: String,
    /// Both labels right.
    pub joint: Option<f64>,
    /// Macro-F1, speed.
    pub speed_f1: Option<f64>,
    /// Macro-F1, path.
    pub path_f1: Option<f64>,
}

/// Everything that came out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// What is reproduced.
    pub about: About,
    /// Held-out frames.
    pub test: usize,
    /// One row per arm and size, in the order of the recipe.
    pub rows: Vec<ArmRow>,
    /// Majority and ego speed.
    pub baselines: Vec<Baseline>,
    /// The paper's claims.
    pub effects: Vec<Effect>,
    /// How intervals were drawn.
    pub bootstrap: Bootstrap,
    /// Wall seconds of all runs together.
    pub seconds: f64,
}

impl Report {
    /// Reduces finished runs. `train` are the rows that the ego-speed-only answer is fitted on.
    pub fn of(
        about: About,
        (sizes, arms, claims): (&[Size], &[ArmName], &[Claim]),
        finished: &[Finished],
        train: &[EgoRow],
        bootstrap: Bootstrap,
    ) -> Report {
        let mut rows = Vec::new();
        let mut all: Vec<(&str, &str, Measure, Drawn)> = Vec::new();
        for (size, arm) in sizes.iter().flat_map(|size| arms.iter().map(move |arm| (size, arm))) {
            let mut runs: Vec<&Finished> = finished.iter().filter(|f| f.arm == arm.id && f.size == size.name).collect();
            runs.sort_by_key(|run| run.seed);
            let Some(first) = runs.first() else { continue };
            let mut values = BTreeMap::new();
            for measure in Measure::ALL {
                if let Some(drawn) = drawn(&runs, measure, bootstrap) {
                    values.insert(measure, drawn.value());
                    all.push((&arm.id, &size.name, measure, drawn));
                }
            }
            rows.push(ArmRow {
                arm: arm.id.clone(),
                label: arm.label.clone(),
                size: size.name.clone(),
                frames: size.frames,
                seeds: runs.iter().map(|run| run.seed).collect(),
                steps: first.steps,
                seconds: runs.iter().map(|run| run.seconds).sum::<f64>() / runs.len() as f64,
                values,
                paper: arm.paper.get(&size.name).copied(),
            });
        }
        let effects = claims
            .iter()
            .map(|claim| {
                let of = |arm: &String| {
                    let found = all.iter().find(|(a, s, m, _)| a == arm && *s == claim.size && *m == claim.measure);
                    found.map(|(.., drawn)| drawn)
                };
                claim.judge(of(&claim.arm).zip(of(&claim.against)))
            })
            .collect();
        let log = finished.first().and_then(|run| run.greedy.as_ref());
        let driven = finished.iter().filter_map(|run| run.scores.values().next()).map(Vec::len).max();
        Report {
            about,
            test: log.map(|log| log.entries.len()).or(driven).unwrap_or(0),
            rows,
            baselines: log.map_or_else(Vec::new, |log| baselines(log, train)),
            effects,
            bootstrap,
            seconds: finished.iter().map(|run| run.seconds).sum(),
        }
    }

    /// What was measured of any arm, in the order of [`Measure::ALL`].
    pub fn measures(&self) -> Vec<Measure> {
        Measure::ALL.into_iter().filter(|m| self.rows.iter().any(|row| row.values.contains_key(m))).collect()
    }

    /// The measure that stands for an arm.
    pub fn lead(&self) -> Measure {
        if self.measures().contains(&Measure::Joint) { Measure::Joint } else { Measure::Epdms }
    }

    /// A row of the table.
    pub fn row(&self, arm: &str, size: &str) -> Option<&ArmRow> {
        self.rows.iter().find(|row| row.arm == arm && row.size == size)
    }
}

fn baselines(log: &Log, train: &[EgoRow]) -> Vec<Baseline> {
    let own: Vec<EgoRow> = sorted(log).into_iter().map(ego_row).collect();
    let constant = majority(own.iter().map(|row| row.truth));
    let table = EgoTable::fit(train);
    let fitted = own.iter().map(|row| table.answer(row)).collect();
    let answered: [(&str, String, Vec<_>); 2] = [
        (MAJORITY, constant.to_string(), vec![constant; own.len()]),
        (EGO_ONLY, format!("command and speed, fitted on {} frames", train.len()), fitted),
    ];
    let baseline = |(name, detail, said): (&str, String, Vec<_>)| {
        let rows: Vec<Row> =
            own.iter().zip(said).map(|(own, said)| Row { truth: own.truth, said: Some(said) }).collect();
        let tally = Tally::of(&rows);
        let of = |metric: Metric| metric.of(&tally);
        let (joint, speed_f1, path_f1) = (of(Metric::Joint), of(Metric::SpeedF1), of(Metric::PathF1));
        Baseline { name: name.into(), detail, joint, speed_f1, path_f1 }
    };
    answered.into_iter().map(baseline).collect()
}
