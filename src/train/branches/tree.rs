//! One step of the tree policy: references, trees, the scores of their leaves, the update.
//!
//! `R` is the EPDMS of a leaf alone against the cached reference, never of leaves together, whose progress would then
//! depend on one another; minus a small cost of acceleration that decides among equals; plus, where asked for, a bonus for
//! a leaf that drives the meta-action of the frame.

use super::{Frames, Learner, Mix, Stepped};
use crate::{
    error::Result,
    streams::Stream,
    trajectory::{IlHead, ObjectiveOptions, SubScores, Tree, TreePolicy, geometry::LEVELS, objective},
};
use scene::{LabelRule, MetaAction, Trajectory};

/// Largest acceleration along the path, m/s2: what the cost of an action is measured in.
const FULL: f64 = 4.0;

/// How leaves are rewarded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shaping {
    /// Cost of accelerations everywhere as hard as can be.
    pub action_cost: f64,
    /// Bonus for driving the meta-action of the frame.
    pub consistency: f64,
}

/// What a step works with.
pub struct Working<'a> {
    /// The frames.
    pub frames: &'a Frames,
    /// The imitation head as it is now.
    pub il: &'a IlHead,
    /// References.
    pub mix: Mix,
    /// Shaping of rewards.
    pub shaping: Shaping,
    /// Share of frames whose tree is told the meta-action.
    pub lean_share: f64,
    /// Updates on the same trees.
    pub iterations: usize,
    /// The seed of the run.
    pub seed: u64,
}

/// What is logged of a step.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reinforced {
    /// The loss of the last update.
    pub loss: f64,
    /// Mean EPDMS of the leaves.
    pub reward: f64,
    /// Mean over trees of the deviation of their leaves' rewards.
    pub reward_std: f64,
    /// Mean EPDMS of the references.
    pub reference: f64,
    /// Mean EPDMS of the best leaf of each tree.
    pub best: f64,
    /// Mean divergence of a decision from the initial policy.
    pub kl: f64,
    /// Share of clipped weight.
    pub clipped: f64,
    /// Share of trees whose leaves all earn the same.
    pub idle: f64,
    /// Mean history comfort of leaves and of references.
    pub comfort: [f64; 2],
    /// The last update.
    pub stepped: Stepped,
}

/// Grows trees over references of some frames and learns from what their leaves earn. `objective.beta` is adapted.
///
/// # Errors
/// Weights that have diverged, device trouble.
pub fn step(
    policy: &TreePolicy,
    learner: &mut Learner,
    working: &Working,
    objective: &mut ObjectiveOptions,
    picks: &[usize],
    step: u64,
) -> Result<Reinforced> {
    let (frames, seed) = (working.frames, working.seed);
    let context = frames.context(picks)?;
    let mut stream = Stream::new(seed, &format!("tree.references.{step}"));
    let references = working.mix.draw(frames, picks, &context, working.il, &mut stream)?;
    let leans = frames.leans(picks, working.lean_share, &mut stream);
    let mut streams: Vec<Stream> = (0..picks.len()).map(|i| Stream::new(seed, &format!("tree.{step}.{i}"))).collect();
    let trees = policy.sample(&context, &references, &leans, &mut streams)?;
    let leaves: Vec<Vec<Trajectory>> = trees.iter().map(Tree::trajectories).collect();
    let scores = frames.score(picks, &leaves)?;
    let controls: Vec<Vec<Trajectory>> = trees.iter().map(|tree| vec![tree.control()]).collect();
    let before = frames.score(picks, &controls)?;
    let reward = |((at, tree), (leaves, scores)): ((&usize, &Tree), (&Vec<Trajectory>, &Vec<SubScores>))| {
        let frame = &frames.all()[*at];
        let said = frame.action.map(|action| (action, frame.moment.speed));
        let of = |((leaf, drive), score): ((usize, &Trajectory), &SubScores)| {
            score.total() + shape(tree, leaf, drive, said, &working.shaping)
        };
        tree.leaves().zip(leaves).zip(scores).map(of).collect::<Vec<f64>>()
    };
    let rewards: Vec<Vec<f64>> = picks.iter().zip(&trees).zip(leaves.iter().zip(&scores)).map(reward).collect();
    let mut logged = told(&rewards, &scores, &before);
    for _ in 0..working.iterations.max(1) {
        let evaluated = policy.evaluate(&context, &trees)?;
        let Some(loss) = objective::tree_loss(&evaluated, &trees, &rewards, objective)? else {
            logged.idle = 1.0;
            return Ok(logged);
        };
        logged.idle = 1.0 - loss.trees as f64 / trees.len() as f64;
        (logged.loss, logged.kl, logged.clipped) = (f64::from(loss.total.to_vec0::<f32>()?), loss.kl, loss.clipped);
        logged.stepped = learner.step(&loss.total, step)?;
        objective.beta = objective::adapted_beta(objective.beta, loss.kl);
    }
    Ok(logged)
}

/// What is added to the score of a leaf.
fn shape(tree: &Tree, leaf: usize, drive: &Trajectory, said: Option<(MetaAction, f64)>, shaping: &Shaping) -> f64 {
    let mut added = 0.0;
    if shaping.action_cost > 0.0 {
        let path = tree.path(leaf);
        let effort = path.iter().map(|node| {
            let node = &tree.nodes[*node];
            let from = node.parent.map(|at| tree.nodes[at].drift).unwrap_or_default();
            let [along, aside] = node.intention.action(node.z.map(f64::from), &from);
            along.hypot(aside) / FULL
        });
        added -= shaping.action_cost * effort.sum::<f64>() / LEVELS as f64;
    }
    if shaping.consistency > 0.0
        && let Some((action, speed)) = said
        && LabelRule::sim().label(drive, Some(speed.max(0.0))).is_ok_and(|driven| driven == action)
    {
        added += shaping.consistency;
    }
    added
}

fn told(rewards: &[Vec<f64>], scores: &[Vec<SubScores>], before: &[Vec<SubScores>]) -> Reinforced {
    let mean = |values: &mut dyn Iterator<Item = f64>| {
        let (sum, n) = values.fold((0.0, 0usize), |(sum, n), x| (sum + x, n + 1));
        sum / n.max(1) as f64
    };
    let spread = |rewards: &Vec<f64>| {
        let middle = mean(&mut rewards.iter().copied());
        mean(&mut rewards.iter().map(|r| (r - middle).powi(2))).sqrt()
    };
    let best = |scores: &Vec<SubScores>| scores.iter().map(SubScores::total).fold(0.0, f64::max);
    Reinforced {
        reward: mean(&mut scores.iter().flatten().map(SubScores::total)),
        reward_std: mean(&mut rewards.iter().map(spread)),
        reference: mean(&mut before.iter().flatten().map(SubScores::total)),
        best: mean(&mut scores.iter().map(best)),
        comfort: [scores, before].map(|all| mean(&mut all.iter().flatten().map(|score| score.comfort))),
        ..Reinforced::default()
    }
}
