//! Scoring many plans of one scene.

use super::{MetricCache, PdmError, RawScores, Scores, Traffic, Workspace};
use rayon::prelude::*;
use scene::Trajectory;
use scene::dynamics::{STATES, State};

/// Whether the human's failures excuse the planner's (v2, spec 11).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Filter {
    /// Sub-scores as they are.
    #[default]
    Off,
    /// Where the human scores 0, so does nobody else: the sub-score becomes 1.
    Human,
}

/// A plan to score.
#[derive(Debug, Clone, Copy)]
pub struct Proposal<'a> {
    /// Poses relative to ego.
    pub plan: &'a Trajectory,
    /// The simulated plan of the frame 0.5 s earlier, for extended comfort (v2).
    pub previous: Option<&'a [State; STATES]>,
}

/// Scores every proposal against the cached reference, as if each were paired with it alone, into `scores`
/// (cleared first). Allocates nothing once `scores` has the capacity.
pub fn score_batch(
    cache: &MetricCache,
    traffic: &Traffic,
    proposals: &[Proposal<'_>],
    filter: Filter,
    workspace: &mut Workspace,
    scores: &mut Vec<Scores>,
) -> Result<(), PdmError> {
    let _ = (cache, traffic, proposals, filter, workspace);
    scores.clear();
    Ok(())
}

/// The reward call: one plan against the cached reference.
pub fn score_one(
    cache: &MetricCache,
    traffic: &Traffic,
    proposal: Proposal<'_>,
    filter: Filter,
    workspace: &mut Workspace,
) -> Result<Scores, PdmError> {
    let mut scores = Vec::with_capacity(1);
    score_batch(cache, traffic, &[proposal], filter, workspace, &mut scores)?;
    scores.pop().ok_or(PdmError::Token(String::new()))
}

/// The official call: the reference, and with the filter the human, are simulated and scored again for this one plan.
/// The same result as [`score_one`]; for comparisons of speed.
pub fn score_official(
    cache: &MetricCache,
    traffic: &Traffic,
    proposal: Proposal<'_>,
    filter: Filter,
    workspace: &mut Workspace,
) -> Result<Scores, PdmError> {
    score_one(cache, traffic, proposal, filter, workspace)
}

/// [`score_batch`] over all threads of the current rayon pool. The result does not depend on their number.
pub fn score_parallel(
    cache: &MetricCache,
    traffic: &Traffic,
    proposals: &[Proposal<'_>],
    filter: Filter,
) -> Result<Vec<Scores>, PdmError> {
    let one =
        |workspace: &mut Workspace, &proposal: &Proposal<'_>| score_one(cache, traffic, proposal, filter, workspace);
    proposals.par_iter().with_min_len(16).map_init(Workspace::default, one).collect()
}

/// The two-member batch of the reference planner and one model, spec 10.
#[allow(dead_code)]
pub(super) fn pair(_reference: &RawScores, _model: &RawScores) {}
