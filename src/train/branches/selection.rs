//! One step of the selector: candidates of every source with what they score.
//!
//! Half of the steps take the proposals of the imitation head and the leaves of the tree over its choice, the others a
//! single reference of the mixture and its leaves; all with shaken copies of candidates as hard negatives.

use super::{Frames, Learner, Mix, Stepped, references::shaken};
use crate::{
    error::Result,
    streams::Stream,
    trajectory::{Context, IlHead, Proposals, Reference, Selector, TreePolicy, plan},
};
use scene::Trajectory;

/// Hard negatives of a frame.
const NEGATIVES: usize = 4;
/// Deviations of their accelerations, m/s2, along and to the left.
const ROUGH: [f64; 2] = [1.5, 0.8];

/// What a step works with.
pub struct Working<'a> {
    /// The frames.
    pub frames: &'a Frames,
    /// The imitation head as it is now.
    pub il: &'a IlHead,
    /// The tree as it is now, if there is one.
    pub tree: Option<&'a TreePolicy>,
    /// References of every other step.
    pub mix: Mix,
    /// Share of frames whose tree is told the meta-action.
    pub lean_share: f64,
    /// The seed of the run.
    pub seed: u64,
}

/// What is logged of a step.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Selected {
    /// The loss.
    pub loss: f64,
    /// Mean binary cross-entropy of the sub-scores.
    pub cross_entropy: f64,
    /// Mean EPDMS of the candidate it would choose.
    pub chosen: f64,
    /// Mean EPDMS of the best candidate.
    pub best: f64,
    /// The update.
    pub stepped: Stepped,
}

/// A policy that proposes what it was given.
pub struct Listed(pub Vec<Trajectory>);

impl Reference for Listed {
    fn propose(&self, _: &Context) -> Result<Vec<Proposals>> {
        Ok(self.0.iter().cloned().map(Proposals::only).collect())
    }
}

/// Learns what candidates of some frames are worth.
///
/// # Errors
/// Device trouble.
pub fn step(
    selector: &Selector,
    learner: &mut Learner,
    working: &Working,
    picks: &[usize],
    step: u64,
) -> Result<Selected> {
    let frames = working.frames;
    let context = frames.context(picks)?;
    let mut stream = Stream::new(working.seed, &format!("selector.{step}"));
    let leans = frames.leans(picks, working.lean_share, &mut stream);
    let listed;
    let reference: &dyn Reference = if step.is_multiple_of(2) {
        working.il
    } else {
        listed = Listed(working.mix.draw(frames, picks, &context, working.il, &mut stream)?);
        &listed
    };
    let mut sets = Vec::with_capacity(picks.len());
    for set in plan::candidates(&context, reference, working.tree, Some(selector), &leans)? {
        let mut set: Vec<Trajectory> = set.into_iter().map(|(trajectory, _)| trajectory).collect();
        for i in 0..NEGATIVES {
            set.push(shaken(&set[i % set.len()], ROUGH, &mut stream)?);
        }
        sets.push(set);
    }
    let scores = frames.score(picks, &sets)?;
    let judged = selector.judge(&context, &sets)?;
    let loss = selector.loss(&context, &sets, &scores)?;
    let (mut chosen, mut best) = (0.0, 0.0);
    for (judged, scores) in judged.iter().zip(&scores) {
        chosen += scores[crate::trajectory::selector::choose(judged, 0.0)].total();
        best += scores.iter().map(|score| score.total()).fold(0.0, f64::max);
    }
    let n = picks.len().max(1) as f64;
    let value = f64::from(loss.total.to_vec0::<f32>()?);
    let stepped = learner.step(&loss.total, step)?;
    Ok(Selected { loss: value, cross_entropy: loss.cross_entropy, chosen: chosen / n, best: best / n, stepped })
}
