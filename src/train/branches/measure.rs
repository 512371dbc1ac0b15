//! What branches drive on held-out frames and what that scores: the rows of every table.

pub use super::references::first_choices;

use super::Frames;
use crate::{
    error::Result,
    trajectory::{
        Branches, ConstantVelocity, Reference, SubScores, plan,
        selector::{Judged, choose},
    },
};
use scene::Trajectory;

/// Frames that are planned for at a time.
pub const BATCH: usize = 32;
/// Names of the rows of [`parts`]: the reference's first choice,
pub const REFERENCE: &str = "IL";
/// the selector's among its proposals,
pub const SELECTOR: &str = "IL + selector";
/// the likeliest path of the tree,
pub const TREE: &str = "IL + tree";
/// the selector's among proposals and leaves,
pub const WHOLE: &str = "IL + tree + selector";
/// and the best that nobody could know.
pub const BEST: &str = "best candidate";
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

/// A frame's candidates with what they score and, where there is a selector, what it thinks of them.
struct Planned {
    scores: Vec<SubScores>,
    judged: Vec<Judged>,
    modes: usize,
}

impl Planned {
    /// What is driven among the first `n` candidates.
    fn chosen(&self, n: usize, threshold: f64) -> SubScores {
        let judged = &self.judged[..n.min(self.judged.len())];
        self.scores[if judged.is_empty() { 0 } else { choose(judged, threshold) }]
    }
}

/// Plans every frame over a reference with tree and selector of `branches`.
fn planned(branches: &Branches, reference: &dyn Reference, frames: &Frames) -> Result<Vec<Planned>> {
    let all: Vec<usize> = (0..frames.len()).collect();
    let mut done = Vec::with_capacity(all.len());
    for picks in all.chunks(BATCH) {
        let context = frames.context(picks)?;
        let leans = vec![None; picks.len()];
        let sets = plan::candidates(&context, reference, branches.tree.as_ref(), branches.selector.as_ref(), &leans)?;
        let modes: Vec<usize> =
            sets.iter().map(|set| set.iter().filter(|(_, s)| matches!(s, plan::Source::Mode(_))).count()).collect();
        let drives: Vec<Vec<Trajectory>> =
            sets.into_iter().map(|set| set.into_iter().map(|(drive, _)| drive).collect()).collect();
        let scores = frames.score(picks, &drives)?;
        let judged = match &branches.selector {
            Some(selector) => selector.judge(&context, &drives)?,
            None => vec![Vec::new(); drives.len()],
        };
        for ((scores, judged), modes) in scores.into_iter().zip(judged).zip(modes) {
            done.push(Planned { scores, judged, modes });
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
pub fn parts(branches: &Branches, reference: &dyn Reference, frames: &Frames) -> Result<Vec<Row>> {
    let planned = planned(branches, reference, frames)?;
    let threshold = branches.about.threshold;
    let row = |name: &str, of: &dyn Fn(&Planned) -> SubScores| Row {
        name: name.into(),
        scores: planned.iter().map(of).collect(),
    };
    let best = |p: &Planned| {
        let better = |a: SubScores, b: &SubScores| if b.total() > a.total() { *b } else { a };
        p.scores.iter().fold(p.scores[0], better)
    };
    let mut rows = vec![row(REFERENCE, &|p| p.scores[0])];
    if branches.selector.is_some() {
        rows.push(row(SELECTOR, &|p| p.chosen(p.modes, threshold)));
    }
    if branches.tree.is_some() {
        // The first leaf is the tree's own likeliest path.
        rows.push(row(TREE, &|p| p.scores[p.modes]));
        if branches.selector.is_some() {
            rows.push(row(WHOLE, &|p| p.chosen(p.scores.len(), threshold)));
        }
        rows.push(row(BEST, &best));
    }
    Ok(rows)
}

/// The threshold that does best on held-out frames, the smallest of several.
///
/// # Errors
/// Device trouble.
pub fn tune(branches: &Branches, frames: &Frames) -> Result<f64> {
    let planned = planned(branches, &branches.il, frames)?;
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
