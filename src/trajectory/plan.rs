//! Driving with the three branches: propose, expand, judge, decide, with everything needed to explain the decision.

use super::{
    features::Context,
    intention::Intention,
    policy::TreePolicy,
    reference::Reference,
    selector::{Judged, Selector, choose},
};
use crate::error::{Failure, Result};
use scene::Trajectory;

/// Proposals of the reference that compete, the best first.
pub const MODES: usize = 8;

/// Where a candidate comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    /// A proposal of the reference, by its number.
    Mode(usize),
    /// A leaf of the tree, by its intentions, such as `left-settle-keep-keep`.
    Leaf(String),
}

/// A candidate and what the selector thinks of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// The poses.
    pub trajectory: Trajectory,
    /// Where it comes from.
    pub source: Source,
    /// What it is worth, as predicted; `None` where the reference drives alone.
    pub judged: Option<Judged>,
}

/// What to drive in one frame.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// Number of the chosen candidate.
    pub chosen: usize,
    /// Predicted gain over the reference's first choice.
    pub gain: f64,
    /// All candidates; the first is the reference's first choice.
    pub candidates: Vec<Candidate>,
}

impl Decision {
    /// The trajectory to drive.
    pub fn trajectory(&self) -> &Trajectory {
        &self.candidates[self.chosen].trajectory
    }

    /// The reference's first choice.
    pub fn reference(&self) -> &Trajectory {
        &self.candidates[0].trajectory
    }
}

/// Candidates of every frame, the reference's first choice first: its best proposals, then the leaves of a tree where there
/// is one. The tree grows over the proposal that the selector likes best, over the first without a selector; what keeps to
/// it is among the proposals already.
///
/// # Errors
/// Those of the reference and of the tree; a reference that proposes differently many candidates in different frames.
pub fn candidates(
    context: &Context,
    reference: &dyn Reference,
    tree: Option<&TreePolicy>,
    selector: Option<&Selector>,
    leans: &[Option<Intention>],
) -> Result<Vec<Vec<(Trajectory, Source)>>> {
    let proposals = reference.propose(context)?;
    context.expect("proposals", proposals.len())?;
    let mut all = Vec::with_capacity(proposals.len());
    for (frame, mut proposals) in proposals.into_iter().enumerate() {
        if proposals.candidates.is_empty() || proposals.candidates.len() != proposals.scores.len() {
            let (n, m) = (proposals.candidates.len(), proposals.scores.len());
            return Err(Failure::data(format!("frame {frame}: the reference proposes {n} candidates with {m} scores")));
        }
        let best = proposals.ranked().into_iter().take(MODES);
        let take = |k: usize| {
            (std::mem::replace(&mut proposals.candidates[k], Trajectory::half_second(Vec::new())), Source::Mode(k))
        };
        all.push(best.map(take).collect::<Vec<_>>());
    }
    let Some(policy) = tree else { return Ok(all) };
    let several = all.iter().any(|set| set.len() > 1);
    let best: Vec<usize> = match selector.filter(|_| several) {
        Some(selector) => {
            let proposals: Vec<Vec<Trajectory>> =
                all.iter().map(|set| set.iter().map(|(trajectory, _)| trajectory.clone()).collect()).collect();
            selector.judge(context, &proposals)?.iter().map(|judged| choose(judged, 0.0)).collect()
        }
        None => vec![0; all.len()],
    };
    let grown: Vec<Trajectory> = all.iter().zip(&best).map(|(set, best)| set[*best].0.clone()).collect();
    for (set, tree) in all.iter_mut().zip(policy.expand(context, &grown, leans)?) {
        set.extend(tree.leaves().map(|leaf| (tree.trajectory(leaf), Source::Leaf(tree.code(leaf)))));
    }
    Ok(all)
}

/// The reference alone: its best proposals, the first of them chosen.
///
/// # Errors
/// Those of the reference.
pub fn alone(context: &Context, reference: &dyn Reference) -> Result<Vec<Decision>> {
    let sets = candidates(context, reference, None, None, &[])?;
    let candidate = |(trajectory, source)| Candidate { trajectory, source, judged: None };
    let decide = |set: Vec<_>| Decision { chosen: 0, gain: 0.0, candidates: set.into_iter().map(candidate).collect() };
    Ok(sets.into_iter().map(decide).collect())
}

/// Plans every frame of a context. `threshold`: the predicted gain below which the reference is not left.
///
/// # Errors
/// Those of the branches; a reference that proposes differently many candidates in different frames.
pub fn plan(
    context: &Context,
    reference: &dyn Reference,
    tree: Option<&TreePolicy>,
    selector: &Selector,
    leans: &[Option<Intention>],
    threshold: f64,
) -> Result<Vec<Decision>> {
    let sets = candidates(context, reference, tree, Some(selector), leans)?;
    let trajectories: Vec<Vec<Trajectory>> =
        sets.iter().map(|set| set.iter().map(|(trajectory, _)| trajectory.clone()).collect()).collect();
    let judged = selector.judge(context, &trajectories)?;
    let decide = |(set, judged): (Vec<(Trajectory, Source)>, Vec<Judged>)| {
        let chosen = choose(&judged, threshold);
        let gain = judged[chosen].scores.total() - judged[0].scores.total();
        let candidates = set.into_iter().zip(judged);
        let candidates =
            candidates.map(|((trajectory, source), judged)| Candidate { trajectory, source, judged: Some(judged) });
        Decision { chosen, gain, candidates: candidates.collect() }
    };
    Ok(sets.into_iter().zip(judged).map(decide).collect())
}
