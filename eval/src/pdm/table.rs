//! Averages of every column with 95 % intervals: scenes are drawn with replacement, all trajectories of a scene together.

use super::entry::{Column, Entry, columns};
use crate::metrics::bootstrap::{Bootstrap, Figure, means};
use rewards::pdm::{Averages, Version};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// More labels than this are not given lines of their own.
const MAX_KINDS: usize = 12;

/// One line of the table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// The planner.
    pub planner: String,
    /// One label of it; `None` for all of its trajectories.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Scenes with a trajectory of it.
    pub scenes: usize,
    /// Trajectories scored.
    pub trajectories: usize,
    /// Trajectories without a score, which the averages leave out.
    pub failed: usize,
    /// Every column by name; `None` where nothing has a value.
    pub figures: BTreeMap<String, Option<Figure>>,
}

/// The outcome of a two-stage evaluation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stages {
    /// Stage one times stage two.
    pub score: Figure,
    /// Entries of the mapping.
    pub entries: usize,
    /// All averages of the product.
    pub combined: Averages,
    /// Of stage one.
    pub stage_one: Averages,
    /// Of stage two.
    pub stage_two: Averages,
}

/// Everything a report shows besides pictures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Table {
    /// Version of the metric.
    pub version: Version,
    /// Policy of everyone else, in words.
    pub policy: String,
    /// Whether quirks of the reference were turned off.
    pub fixed: bool,
    /// Whether the human's failures excused the planner's.
    pub human_filter: bool,
    /// Scenes scored.
    pub scenes: usize,
    /// One line per planner and per label.
    pub lines: Vec<Line>,
    /// Two-stage result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub two_stage: Option<Stages>,
    /// How the intervals were drawn.
    pub bootstrap: Bootstrap,
    /// What a reader should know.
    pub notes: Vec<String>,
}

impl Table {
    /// The columns of its version.
    pub fn columns(&self) -> &'static [Column] {
        columns(self.version)
    }

    /// The figure of a line.
    pub fn figure(line: &Line, column: &Column) -> Option<Figure> {
        line.figures.get(column.key).copied().flatten()
    }
}

/// Gathers what the lines need from entries as they come; a benchmark's entries need not be kept.
#[derive(Debug, Clone)]
pub struct Gathered {
    version: Version,
    planners: Vec<(String, Planner)>,
}

#[derive(Debug, Clone, Default)]
struct Planner {
    all: Groups,
    kinds: BTreeMap<String, Groups>,
}

/// Per scene and column the sum and the number of values.
#[derive(Debug, Clone, Default)]
struct Groups {
    scenes: Vec<(String, Vec<(f64, f64)>)>,
    trajectories: usize,
    failed: usize,
}

impl Groups {
    /// Entries of one scene come one after the other.
    fn add(&mut self, entry: &Entry, columns: &[Column]) {
        let Some(scores) = &entry.scores else {
            self.failed += 1;
            return;
        };
        self.trajectories += 1;
        if self.scenes.last().is_none_or(|(scene, _)| *scene != entry.scene) {
            self.scenes.push((entry.scene.clone(), vec![(0.0, 0.0); columns.len()]));
        }
        let Some((_, sums)) = self.scenes.last_mut() else { return };
        for ((sum, n), column) in sums.iter_mut().zip(columns) {
            if let Some(value) = (column.of)(scores) {
                *sum += value;
                *n += 1.0;
            }
        }
    }

    fn line(&self, planner: &str, kind: Option<&str>, columns: &[Column], bootstrap: Bootstrap) -> Line {
        let groups: Vec<&[(f64, f64)]> = self.scenes.iter().map(|(_, sums)| sums.as_slice()).collect();
        let figures = means(&groups, columns.len(), bootstrap);
        Line {
            planner: planner.into(),
            kind: kind.map(str::to_owned),
            scenes: self.scenes.len(),
            trajectories: self.trajectories,
            failed: self.failed,
            figures: columns.iter().map(|c| c.key.to_owned()).zip(figures).collect(),
        }
    }
}

impl Gathered {
    /// Nothing yet.
    pub fn new(version: Version) -> Self {
        Gathered { version, planners: Vec::new() }
    }

    /// Takes one entry. Entries of one scene must follow each other.
    pub fn add(&mut self, entry: &Entry) {
        let at = self.planners.iter().position(|(name, _)| *name == entry.planner).unwrap_or_else(|| {
            self.planners.push((entry.planner.clone(), Planner::default()));
            self.planners.len() - 1
        });
        let Some((_, planner)) = self.planners.get_mut(at) else { return };
        let columns = columns(self.version);
        planner.all.add(entry, columns);
        if let Some(kind) = &entry.kind {
            planner.kinds.entry(kind.clone()).or_default().add(entry, columns);
        }
    }

    /// The lines, in the order in which planners first came, labels in the order of their names.
    pub fn lines(&self, bootstrap: Bootstrap) -> Vec<Line> {
        let columns = columns(self.version);
        let mut lines = Vec::new();
        for (name, planner) in &self.planners {
            lines.push(planner.all.line(name, None, columns, bootstrap));
            if (2..=MAX_KINDS).contains(&planner.kinds.len()) {
                lines.extend(planner.kinds.iter().map(|(kind, g)| g.line(name, Some(kind), columns, bootstrap)));
            }
        }
        lines
    }
}
