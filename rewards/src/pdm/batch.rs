//! Scoring many plans of one scene.

use super::aggregate::{best_progress, combine};
use super::raw::score_motion;
use super::{MetricCache, PdmError, PreviousPlan, RawScores, Scores, Traffic, Workspace, check_plan};
use rayon::prelude::*;
use scene::Trajectory;
use scene::dynamics::{STATES, State};

/// Whether the human's failures excuse the planner's (v2, spec 11).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Filter {
    /// Sub-scores as they are.
    #[default]
    Off,
    /// Where the human scores 0, so may everybody: the sub-score becomes 1.
    Human,
}

/// A plan to score.
#[derive(Debug, Clone, Copy)]
pub struct Proposal<'a> {
    /// Poses relative to ego.
    pub plan: &'a Trajectory,
    /// The plan of the frame 0.5 s earlier, for extended comfort (v2).
    pub previous: Option<&'a PreviousPlan>,
}

impl<'a> Proposal<'a> {
    /// A plan without a predecessor: no extended comfort.
    pub fn alone(plan: &'a Trajectory) -> Self {
        Proposal { plan, previous: None }
    }
}

/// Scores every proposal against the cached reference, as if each were paired with it alone, into `scores`
/// (cleared first). Allocates nothing once `scores` has the capacity. On an error `scores` is empty.
pub fn score_batch(
    cache: &MetricCache,
    traffic: &Traffic,
    proposals: &[Proposal<'_>],
    filter: Filter,
    workspace: &mut Workspace,
    scores: &mut Vec<Scores>,
) -> Result<(), PdmError> {
    scores.clear();
    for (i, p) in proposals.iter().enumerate() {
        check_plan(i, p.plan)?;
    }
    scores.extend(proposals.iter().map(|&p| score_checked(cache, traffic, p, filter, workspace)));
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
    check_plan(0, proposal.plan)?;
    Ok(score_checked(cache, traffic, proposal, filter, workspace))
}

/// The official call: the reference, and with the filter the human, are simulated and scored again for this one plan.
/// The same result as [`score_one`]; it exists to compare speeds.
pub fn score_official(
    cache: &MetricCache,
    traffic: &Traffic,
    proposal: Proposal<'_>,
    filter: Filter,
    workspace: &mut Workspace,
) -> Result<Scores, PdmError> {
    check_plan(0, proposal.plan)?;
    let ground = &cache.ground;
    let mut again = |knots: &scene::dynamics::Knots, past: bool| {
        ground.drive_from(&ground.ego, knots, &mut workspace.motion.states);
        score_motion(ground, &traffic.observation, cache.version, past, workspace)
    };
    let reference = again(&cache.reference_knots, true);
    let human = match filter {
        Filter::Human => cache.human_knots.as_ref().map(|knots| again(knots, false)),
        Filter::Off => None,
    };
    Ok(against(cache, traffic, &reference, human.as_ref(), proposal, workspace))
}

/// Scores a drive that is simulated already.
pub fn score_states(
    cache: &MetricCache,
    traffic: &Traffic,
    states: &[State; STATES],
    previous: Option<&PreviousPlan>,
    filter: Filter,
    workspace: &mut Workspace,
) -> Scores {
    workspace.motion.states = *states;
    let human = traffic.human.as_ref().filter(|_| filter == Filter::Human);
    finish(cache, traffic, &traffic.reference, human, previous, workspace)
}

/// [`score_batch`] over all threads of the current rayon pool. The result does not depend on their number.
pub fn score_parallel(
    cache: &MetricCache,
    traffic: &Traffic,
    proposals: &[Proposal<'_>],
    filter: Filter,
) -> Result<Vec<Scores>, PdmError> {
    for (i, p) in proposals.iter().enumerate() {
        check_plan(i, p.plan)?;
    }
    let one = |w: &mut Workspace, &p: &Proposal<'_>| score_checked(cache, traffic, p, filter, w);
    Ok(proposals.par_iter().with_min_len(16).map_init(Workspace::default, one).collect())
}

fn score_checked(
    cache: &MetricCache,
    traffic: &Traffic,
    proposal: Proposal<'_>,
    filter: Filter,
    workspace: &mut Workspace,
) -> Scores {
    let human = traffic.human.as_ref().filter(|_| filter == Filter::Human);
    against(cache, traffic, &traffic.reference, human, proposal, workspace)
}

fn against(
    cache: &MetricCache,
    traffic: &Traffic,
    reference: &RawScores,
    human: Option<&RawScores>,
    proposal: Proposal<'_>,
    workspace: &mut Workspace,
) -> Scores {
    let ground = &cache.ground;
    let Workspace { knots, motion, .. } = workspace;
    knots.fill_from_plan(&ground.ego, proposal.plan, ground.compat.dynamics());
    ground.drive_from(&ground.ego, knots, &mut motion.states);
    finish(cache, traffic, reference, human, proposal.previous, workspace)
}

fn finish(
    cache: &MetricCache,
    traffic: &Traffic,
    reference: &RawScores,
    human: Option<&RawScores>,
    previous: Option<&PreviousPlan>,
    workspace: &mut Workspace,
) -> Scores {
    let (ground, version) = (&cache.ground, cache.version);
    let raw = score_motion(ground, &traffic.observation, version, true, workspace);
    let ec = previous.map(|p| p.compare(&cache.ec_filters, &workspace.motion.states, &mut workspace.now).score);
    combine(version, &ground.compat, &raw, best_progress(version, [reference, &raw]), human, ec)
}
