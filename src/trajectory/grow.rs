//! Growing trees, level by level for all frames at once: sampled for learning, by the likeliest intentions for planning.
//!
//! Children are drawn independently from the policy, so the mean over leaves is unbiased. Every frame draws from its
//! own stream: what it draws never depends on the batch. Nothing here records a gradient.

use super::{
    features::Context,
    geometry::{Drift, Frenet},
    intention::{INTENTIONS, Intention},
    policy::{HALF_LN_TAU, Heads, TreePolicy},
    tree::{Branching, Node, STATE, Tree, state},
};
use crate::{
    error::{Failure, Result},
    streams::Stream,
};
use candle_core::{Device, Tensor};
use scene::Trajectory;

/// The policy at one decision point, on the host.
struct Choice {
    logp: [f64; INTENTIONS],
    mu: [[f64; 2]; INTENTIONS],
    log_sigma: [[f64; 2]; INTENTIONS],
}

/// What a child does: an intention and its numbers before the sigmoid.
type Child = (Intention, [f32; 2]);

/// Which children a node has: frame, how many, what the heads say.
type Choose<'a> = dyn FnMut(usize, usize, &Choice) -> Result<Vec<Child>> + 'a;

impl Choice {
    /// Log-probability of an intention and, where it has a continuous part, of its `z`.
    fn logp(&self, intention: Intention, z: [f32; 2]) -> f64 {
        let k = intention.index();
        let mut logp = self.logp[k];
        if intention.bounds().is_some() {
            for (c, z) in z.iter().enumerate() {
                let distance = (f64::from(*z) - self.mu[k][c]) * (-self.log_sigma[k][c]).exp();
                logp -= 0.5 * distance * distance + self.log_sigma[k][c] + HALF_LN_TAU;
            }
        }
        logp
    }

    /// The `n` likeliest intentions with their means.
    fn likeliest(&self, n: usize) -> Vec<(Intention, [f32; 2])> {
        let mut order = Intention::ALL;
        order.sort_by(|a, b| self.logp[b.index()].total_cmp(&self.logp[a.index()]));
        order.iter().take(n).map(|k| (*k, self.normals(*k, |mu, _| mu))).collect()
    }

    /// `n` independent draws.
    fn draw(&self, n: usize, stream: &mut Stream) -> Result<Vec<(Intention, [f32; 2])>> {
        let weights = self.logp.map(f64::exp);
        let one = |stream: &mut Stream| -> Result<(Intention, [f32; 2])> {
            let Some(k) = stream.weighted(&weights) else {
                return Err(Failure::device(format!("the tree policy gives the probabilities {weights:?}"))
                    .hint("the weights have diverged: lower the learning rate"));
            };
            let intention = Intention::ALL[k];
            Ok((intention, self.normals(intention, |mu, log_sigma| mu + log_sigma.exp() * stream.normal())))
        };
        (0..n).map(|_| one(stream)).collect()
    }

    /// The `z` of an intention, zeros without a continuous part.
    fn normals(&self, intention: Intention, mut of: impl FnMut(f64, f64) -> f64) -> [f32; 2] {
        let k = intention.index();
        match intention.bounds() {
            Some(_) => [0, 1].map(|c| of(self.mu[k][c], self.log_sigma[k][c]) as f32),
            None => [0.0; 2],
        }
    }
}

impl TreePolicy {
    /// Samples one tree a frame over its reference, for learning. `leans`: what the meta-action of the frame leans to.
    ///
    /// # Errors
    /// Another number of references, leans or streams than frames; a reference that is not 8 finite poses; a policy
    /// that is not finite.
    pub fn sample(
        &self,
        context: &Context,
        references: &[Trajectory],
        leans: &[Option<Intention>],
        streams: &mut [Stream],
    ) -> Result<Vec<Tree>> {
        context.expect("random streams", streams.len())?;
        let branching = self.options().branching;
        self.grow(context, references, leans, branching, &mut |frame, n, choice| choice.draw(n, &mut streams[frame]))
    }

    /// Expands one tree a frame for planning: the likeliest intentions, each with its mean accelerations.
    ///
    /// # Errors
    /// As [`TreePolicy::sample`].
    pub fn expand(
        &self,
        context: &Context,
        references: &[Trajectory],
        leans: &[Option<Intention>],
    ) -> Result<Vec<Tree>> {
        let branching = self.options().plan_branching;
        self.grow(context, references, leans, branching, &mut |_, n, choice| Ok(choice.likeliest(n)))
    }

    fn grow(
        &self,
        context: &Context,
        references: &[Trajectory],
        leans: &[Option<Intention>],
        branching: Branching,
        choose: &mut Choose,
    ) -> Result<Vec<Tree>> {
        context.expect("references", references.len())?;
        context.expect("leans", leans.len())?;
        let root = |(reference, lean): (&Trajectory, &Option<Intention>)| -> Result<Tree> {
            Ok(Tree::root(Frenet::new(reference)?, *lean, branching))
        };
        let mut trees = references.iter().zip(leans).map(root).collect::<Result<Vec<_>>>()?;
        let memory = self.frozen().memory(context)?;
        for (level, children) in branching.into_iter().enumerate() {
            // The parents: `None` for the root.
            let parents: Vec<Option<usize>> = match level {
                0 => vec![None],
                _ => trees.first().map_or(0..0, |t| t.before(level - 1)..t.before(level)).map(Some).collect(),
            };
            let drift = |tree: &Tree, parent: Option<usize>| parent.map_or(Drift::default(), |at| tree.nodes[at].drift);
            let mut states = Vec::with_capacity(trees.len() * parents.len() * STATE);
            for tree in &trees {
                parents.iter().for_each(|at| states.extend(state(&tree.frenet, &drift(tree, *at), level)));
            }
            let states = Tensor::from_vec(states, (trees.len(), parents.len(), STATE), &Device::Cpu)?;
            let heads = self.frozen().decide(&memory, &states, &vec![level as u32; parents.len()])?;
            let choices = choices(&heads)?;
            for (frame, (tree, choices)) in trees.iter_mut().zip(choices.chunks(parents.len())).enumerate() {
                for (parent, choice) in parents.iter().zip(choices) {
                    let choice = choice.leaning(tree.lean.filter(|_| level == 0), self.options().lean_bias);
                    let from = drift(tree, *parent);
                    for (intention, z) in choose(frame, children, &choice)? {
                        let action = intention.action(z.map(f64::from), &from);
                        let (drift, poses) = tree.frenet.level(&from, level, action);
                        let logp = choice.logp(intention, z);
                        tree.nodes.push(Node { parent: *parent, level, intention, z, logp, drift, poses });
                    }
                }
            }
        }
        Ok(trees)
    }
}

impl Choice {
    /// With a lean added to the logits, probabilities summing to 1 again.
    fn leaning(&self, lean: Option<Intention>, bias: f64) -> Choice {
        let mut logits = self.logp;
        if let Some(intention) = lean {
            logits[intention.index()] += bias;
        }
        let most = logits.iter().fold(f64::NEG_INFINITY, |m, x| m.max(*x));
        let total = most + logits.iter().map(|x| (x - most).exp()).sum::<f64>().ln();
        Choice { logp: logits.map(|x| x - total), ..*self }
    }
}

/// Heads on the host, one choice a decision point; `logp` still holds logits.
fn choices(heads: &Heads) -> Result<Vec<Choice>> {
    let logits = heads.logits.to_vec2::<f32>()?;
    let (mu, log_sigma) = (heads.mu.to_vec3::<f32>()?, heads.log_sigma.to_vec3::<f32>()?);
    let numbers = logits.iter().chain(mu.iter().flatten()).chain(log_sigma.iter().flatten());
    if numbers.flatten().any(|x| !x.is_finite()) {
        return Err(Failure::device("the tree policy decides by numbers that are not finite")
            .hint("weights have diverged or picture features are broken: lower the learning rate"));
    }
    let mut choices = Vec::with_capacity(logits.len());
    for ((logits, mu), log_sigma) in logits.iter().zip(&mu).zip(&log_sigma) {
        let mut choice =
            Choice { logp: [0.0; INTENTIONS], mu: [[0.0; 2]; INTENTIONS], log_sigma: [[0.0; 2]; INTENTIONS] };
        for (k, logit) in logits.iter().enumerate() {
            choice.logp[k] = f64::from(*logit);
            choice.mu[k] = [0, 1].map(|c| f64::from(mu[k][c]));
            choice.log_sigma[k] = [0, 1].map(|c| f64::from(log_sigma[k][c]));
        }
        choices.push(choice);
    }
    Ok(choices)
}
