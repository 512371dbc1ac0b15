//! What branches drive on held-out frames and what that scores: the rows of every table.

use super::{Frames, references::first_choices, selection::Listed};
use crate::{
    error::Result,
    streams::Stream,
    trajectory::{Branches, ConstantVelocity, Reference, SubScores, plan},
};
use scene::Trajectory;

/// Frames that are planned for at a time.
const BATCH: usize = 32;
/// Thresholds that are tried.
const THRESHOLDS: [f64; 8] = [0.0, 0.01, 0.02, 0.03, 0.05, 0.08, 0.12, 0.2];
/// Where nothing is known of held-out frames.
pub const THRESHOLD: f64 = 0.02;

/// One policy on a set of frames.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// What drives.
    pub name: String,
    /// The scores of what it drives, one a frame.
    pub scores: Vec<SubScores>,
}

impl Row {
    /// Mean of a number of the scores.
    pub fn mean(&self, of: impl Fn(&SubScores) -> f64) -> f64 {
        self.scores.iter().map(of).sum::<f64>() / self.scores.len().max(1) as f64
    }
}

/// A frame's candidates with what they score and what the selector thinks of them.
struct Planned {
    scores: Vec<SubScores>,
    predicted: Vec<f64>,
    modes: usize,
}

impl Planned {
    /// What is driven among the first `n` candidates.
    fn chosen(&self, n: usize, threshold: f64) -> SubScores {
        let mut best = 0;
        for at in 1..n.min(self.predicted.len()) {
            if self.predicted[at] > self.predicted[best] {
                best = at;
            }
        }
        let leaves = self.predicted[best] - self.predicted[0] > threshold;
        self.scores[if leaves { best } else { 0 }]
    }
}

/// Plans every frame over a reference with tree and selector of `branches`.
fn planned(branches: &Branches, reference: &dyn Reference, frames: &Frames, lean: bool) -> Result<Vec<Planned>> {
    let all: Vec<usize> = (0..frames.len()).collect();
    let mut done = Vec::with_capacity(all.len());
    for picks in all.chunks(BATCH) {
        let context = frames.context(picks)?;
        let mut unused = Stream::new(0, "leans");
        let leans = match lean {
            true => frames.leans(picks, 1.0, &mut unused),
            false => vec![None; picks.len()],
        };
        let sets = plan::candidates(&context, reference, branches.tree.as_ref(), &leans)?;
        let modes: Vec<usize> =
            sets.iter().map(|set| set.iter().filter(|(_, s)| matches!(s, plan::Source::Mode(_))).count()).collect();
        let drives: Vec<Vec<Trajectory>> =
            sets.into_iter().map(|set| set.into_iter().map(|(drive, _)| drive).collect()).collect();
        let scores = frames.score(picks, &drives)?;
        let predicted: Vec<Vec<f64>> = match &branches.selector {
            Some(selector) => {
                let judged = selector.judge(&context, &drives)?;
                judged.iter().map(|set| set.iter().map(|j| j.scores.total()).collect()).collect()
            }
            None => drives.iter().map(|set| vec![0.0; set.len()]).collect(),
        };
        for ((scores, predicted), modes) in scores.into_iter().zip(predicted).zip(modes) {
            done.push(Planned { scores, predicted, modes });
        }
    }
    Ok(done)
}

/// Scores of single drives, one a frame.
fn driven(name: &str, frames: &Frames, drives: impl Fn(&[usize]) -> Result<Vec<Trajectory>>) -> Result<Row> {
    let all: Vec<usize> = (0..frames.len()).collect();
    let mut scores = Vec::with_capacity(all.len());
    for picks in all.chunks(BATCH) {
        let sets: Vec<Vec<Trajectory>> = drives(picks)?.into_iter().map(|drive| vec![drive]).collect();
        scores.extend(frames.score(picks, &sets)?.into_iter().flatten());
    }
    Ok(Row { name: name.into(), scores })
}

/// A policy alone.
///
/// # Errors
/// The policy's.
pub fn alone(name: &str, reference: &dyn Reference, frames: &Frames) -> Result<Row> {
    driven(name, frames, |picks| first_choices(reference, &frames.context(picks)?))
}

/// Baselines of every table: constant velocity and what was demonstrated.
///
/// # Errors
/// Device trouble.
pub fn baselines(frames: &Frames) -> Result<Vec<Row>> {
    Ok(vec![
        alone("constant velocity", &ConstantVelocity, frames)?,
        driven("demonstrated", frames, |picks| Ok(frames.demonstrated(picks)))?,
    ])
}

/// A reference alone, with the selector, with tree and selector, and the best candidate of all: what the parts add.
///
/// # Errors
/// The policy's.
pub fn parts(branches: &Branches, reference: &dyn Reference, frames: &Frames, lean: bool) -> Result<Vec<Row>> {
    let planned = planned(branches, reference, frames, lean)?;
    let threshold = branches.about.threshold;
    let row = |name: &str, of: &dyn Fn(&Planned) -> SubScores| Row {
        name: name.into(),
        scores: planned.iter().map(of).collect(),
    };
    let best = |p: &Planned| {
        let better = |a: SubScores, b: &SubScores| if b.total() > a.total() { *b } else { a };
        p.scores.iter().fold(p.scores[0], better)
    };
    let mut rows = vec![row("IL", &|p| p.scores[0])];
    if branches.selector.is_some() {
        rows.push(row("IL + selector", &|p| p.chosen(p.modes, threshold)));
    }
    if branches.tree.is_some() {
        if branches.selector.is_some() {
            rows.push(row("IL + tree + selector", &|p| p.chosen(p.scores.len(), threshold)));
        }
        rows.push(row("best candidate", &best));
    }
    Ok(rows)
}

/// The same over demonstrated drives as references.
///
/// # Errors
/// Device trouble.
pub fn over_demonstrated(branches: &Branches, frames: &Frames) -> Result<Vec<Row>> {
    let all: Vec<usize> = (0..frames.len()).collect();
    let mut rows: Vec<Row> = Vec::new();
    for picks in all.chunks(BATCH) {
        let part = frames.part(picks);
        let more = parts(branches, &Listed(part.demonstrated(&(0..part.len()).collect::<Vec<_>>())), &part, false)?;
        match rows.is_empty() {
            true => rows = more,
            false => rows.iter_mut().zip(more).for_each(|(row, more)| row.scores.extend(more.scores)),
        }
    }
    Ok(rows)
}

/// The threshold that does best on held-out frames, the smallest of several.
///
/// # Errors
/// Device trouble.
pub fn tune(branches: &Branches, frames: &Frames) -> Result<f64> {
    let planned = planned(branches, &branches.il, frames, false)?;
    let mean = |threshold: f64| planned.iter().map(|p| p.chosen(p.scores.len(), threshold).total()).sum::<f64>();
    let mut best = (THRESHOLDS[0], mean(THRESHOLDS[0]));
    for threshold in &THRESHOLDS[1..] {
        let sum = mean(*threshold);
        if sum > best.1 {
            best = (*threshold, sum);
        }
    }
    Ok(best.0)
}
