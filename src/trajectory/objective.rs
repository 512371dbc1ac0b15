//! Tree-GRPO: every leaf is scored alone, every node is credited with the mean of the leaves under it.
//!
//! With V(n) the mean reward of the leaves under node n, R their mean over the tree, G leaves and
//! `s = max(std of the leaves, floor)`: `A(n) = [(1 - eta) (V(n) - R) + eta (V(n) - V(parent))] / s`,
//! `w_n = leaves(n) / G`, `rho_n = exp(logp_n - old_n)` and
//! `L = -sum_n w_n min(rho_n A_n, clip(rho_n, 1 - eps, 1 + eps_high) A_n) + beta sum_n w_n KL_n`, the mean over trees.
//! At `rho = 1` and `eta = 0` its gradient is that of flat GRPO over root-to-leaf paths ([`flat_loss`]).
//!
//! Deviations:
//! 1. PaIR-Drive compares whole paths of a fixed list with `r - mean` over their own deviation; here the deviation has a
//!    floor and trees in which all leaves earn the same are left out: they teach nothing.
//! 2. `eta` may not be 1: on a level with one child V(n) = V(parent), and the level would learn nothing.
//! 3. The divergence is exact, from the initial policy, not an estimate from the policy of the last step.

use super::{geometry::LEVELS, policy::Evaluated, tree::Tree};
use crate::error::{Failure, Result};
use candle_core::{Device, Tensor};
use serde::{Deserialize, Serialize};

/// Settings of the objective.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ObjectiveOptions {
    /// Lower clip of the ratio.
    pub epsilon: f64,
    /// Upper clip of the ratio.
    pub epsilon_high: f64,
    /// Weight of the divergence from the initial policy.
    pub beta: f64,
    /// Share of the advantage against the parent, eta; 0 to 0.5.
    pub parent_share: f64,
    /// Divide by the deviation of the leaves' rewards (off: Dr. GRPO).
    pub scale_rewards: bool,
    /// Smallest deviation that is divided by.
    pub std_floor: f64,
    /// Trees whose rewards spread less than this are left out.
    pub min_spread: f64,
}

impl Default for ObjectiveOptions {
    fn default() -> Self {
        ObjectiveOptions {
            epsilon: 0.2,
            epsilon_high: 0.28,
            beta: 0.01,
            parent_share: 0.0,
            scale_rewards: true,
            std_floor: 0.05,
            min_spread: 1e-3,
        }
    }
}

impl ObjectiveOptions {
    /// Fails on a number out of range.
    ///
    /// # Errors
    /// Exit 2 with the name, the value and what is allowed.
    pub fn check(&self) -> Result<()> {
        let ranges = [
            ("epsilon", self.epsilon, 0.0, 1.0),
            ("epsilon_high", self.epsilon_high, 0.0, 10.0),
            ("beta", self.beta, 0.0, 10.0),
            ("parent_share", self.parent_share, 0.0, 0.5),
            ("std_floor", self.std_floor, 1e-6, 1.0),
            ("min_spread", self.min_spread, 0.0, 1.0),
        ];
        for (name, value, low, high) in ranges {
            if !(low..=high).contains(&value) {
                return Err(Failure::usage(format!("{name} is {value}; allowed: {low} to {high}")));
            }
        }
        Ok(())
    }
}

/// What the nodes of a tree are credited with.
#[derive(Debug, Clone, PartialEq)]
pub struct Credit {
    /// Advantage of each node.
    pub advantages: Vec<f64>,
    /// Share of the leaves under each node.
    pub weights: Vec<f64>,
    /// Advantage of each leaf as a whole path.
    pub leaves: Vec<f64>,
}

/// Credits the nodes of a tree with the rewards of its leaves; `None` when these are all the same.
///
/// # Errors
/// Another number of rewards than leaves; a reward that is not finite.
pub fn credit(tree: &Tree, rewards: &[f64], options: &ObjectiveOptions) -> Result<Option<Credit>> {
    let (count, leaves) = (rewards.len(), tree.leaves());
    if count != leaves.len() || count == 0 {
        return Err(Failure::data(format!("{count} rewards for a tree of {} leaves", leaves.len())));
    }
    if let Some(leaf) = rewards.iter().position(|r| !r.is_finite()) {
        return Err(Failure::device(format!(
            "the reward of leaf {leaf} ({}) is {}",
            tree.code(leaves.start + leaf),
            rewards[leaf]
        )));
    }
    let (low, high) = rewards.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), r| (a.min(*r), b.max(*r)));
    if high - low < options.min_spread || high == low {
        return Ok(None);
    }
    let mean = rewards.iter().sum::<f64>() / count as f64;
    let std = (rewards.iter().map(|r| (r - mean).powi(2)).sum::<f64>() / count as f64).sqrt();
    let scale = if options.scale_rewards { std.max(options.std_floor) } else { 1.0 };
    let mut sums = vec![0.0; tree.nodes.len()];
    let mut under = vec![0usize; tree.nodes.len()];
    for (leaf, reward) in leaves.zip(rewards) {
        for node in tree.path(leaf) {
            sums[node] += reward;
            under[node] += 1;
        }
    }
    let value = |node: usize| sums[node] / under[node] as f64;
    let eta = options.parent_share;
    let advantage = |node: usize| {
        let parent = tree.nodes[node].parent.map_or(mean, value);
        ((1.0 - eta) * (value(node) - mean) + eta * (value(node) - parent)) / scale
    };
    Ok(Some(Credit {
        advantages: (0..sums.len()).map(advantage).collect(),
        weights: under.iter().map(|n| *n as f64 / count as f64).collect(),
        leaves: rewards.iter().map(|r| (r - mean) / scale).collect(),
    }))
}

/// A loss and what is logged of it.
pub struct Loss {
    /// A scalar with gradient.
    pub total: Tensor,
    /// Mean divergence of a decision from the initial policy.
    pub kl: f64,
    /// Share of the weight of all nodes whose ratio was clipped.
    pub clipped: f64,
    /// Trees that taught something.
    pub trees: usize,
}

/// `min(rho A, clip(rho) A)` for log-probabilities against old ones.
fn surrogate(logp: &Tensor, old: &Tensor, advantages: &Tensor, o: &ObjectiveOptions) -> candle_core::Result<Tensor> {
    let ratio = (logp - old)?.exp()?;
    let clipped = ratio.clamp(1.0 - o.epsilon, 1.0 + o.epsilon_high)?;
    (&ratio * advantages)?.minimum(&(clipped * advantages)?)
}

/// Share of `weights` at which the clip cuts the gradient.
fn clipped_share(logp: &[f32], old: &[f64], advantages: &[f64], weights: &[f64], o: &ObjectiveOptions) -> f64 {
    let (mut all, mut cut) = (0.0, 0.0);
    for (((logp, old), a), w) in logp.iter().zip(old).zip(advantages).zip(weights) {
        let ratio = (f64::from(*logp) - old).exp();
        all += w;
        if (*a > 0.0 && ratio > 1.0 + o.epsilon_high) || (*a < 0.0 && ratio < 1.0 - o.epsilon) {
            cut += w;
        }
    }
    if all > 0.0 { cut / all } else { 0.0 }
}

fn vector(values: &[f64]) -> candle_core::Result<Tensor> {
    let values: Vec<f32> = values.iter().map(|x| *x as f32).collect();
    let count = values.len();
    Tensor::from_vec(values, count, &Device::Cpu)
}

/// The credit of each tree, and how many teach something.
fn credits(trees: &[Tree], rewards: &[Vec<f64>], options: &ObjectiveOptions) -> Result<(Vec<Option<Credit>>, usize)> {
    if trees.len() != rewards.len() {
        return Err(Failure::data(format!("rewards of {} trees for {} trees", rewards.len(), trees.len())));
    }
    let of = |(b, (tree, rewards)): (usize, (&Tree, &Vec<f64>))| {
        credit(tree, rewards, options).map_err(|e| e.context(format!("tree {b}")))
    };
    let credits = trees.iter().zip(rewards).enumerate().map(of).collect::<Result<Vec<_>>>()?;
    let used = credits.iter().flatten().count();
    Ok((credits, used))
}

/// The loss over trees that [`TreePolicy::evaluate`](super::policy::TreePolicy::evaluate) looked at; one reward a leaf.
/// `None` when no tree teaches anything: there is no step to take.
///
/// # Errors
/// As [`credit`].
pub fn tree_loss(
    evaluated: &Evaluated,
    trees: &[Tree],
    rewards: &[Vec<f64>],
    options: &ObjectiveOptions,
) -> Result<Option<Loss>> {
    let (credits, used) = credits(trees, rewards, options)?;
    if used == 0 {
        return Ok(None);
    }
    let (mut advantages, mut weights, mut old) = (Vec::new(), Vec::new(), Vec::new());
    for (tree, credit) in trees.iter().zip(&credits) {
        let n = tree.nodes.len();
        old.extend(tree.nodes.iter().map(|node| node.logp));
        match credit {
            Some(credit) => {
                advantages.extend(&credit.advantages);
                weights.extend(credit.weights.iter().map(|w| w / trees.len() as f64));
            }
            None => {
                advantages.resize(advantages.len() + n, 0.0);
                weights.resize(weights.len() + n, 0.0);
            }
        }
    }
    let each = surrogate(&evaluated.logp, &vector(&old)?, &vector(&advantages)?, options)?;
    let w = vector(&weights)?;
    let kl = (&evaluated.kl * &w)?.sum_all()?;
    let total = ((&kl * options.beta)? - (each * &w)?.sum_all()?)?;
    let mean_kl = f64::from(kl.to_vec0::<f32>()?) * trees.len() as f64 / (used * LEVELS) as f64;
    let logp = evaluated.logp.to_vec1::<f32>()?;
    let clipped = clipped_share(&logp, &old, &advantages, &weights, options);
    Ok(Some(Loss { total, kl: mean_kl, clipped, trees: used }))
}

/// Flat GRPO over the same leaves: one ratio and one advantage for each whole path. What [`tree_loss`] is compared with.
///
/// # Errors
/// As [`credit`].
pub fn flat_loss(
    evaluated: &Evaluated,
    trees: &[Tree],
    rewards: &[Vec<f64>],
    options: &ObjectiveOptions,
) -> Result<Option<Loss>> {
    let (credits, used) = credits(trees, rewards, options)?;
    if used == 0 {
        return Ok(None);
    }
    let (mut nodes, mut old, mut advantages) = (Vec::new(), Vec::new(), Vec::new());
    let mut first = 0;
    for (tree, credit) in trees.iter().zip(&credits) {
        if let Some(credit) = credit {
            for (leaf, advantage) in tree.leaves().zip(&credit.leaves) {
                nodes.extend(tree.path(leaf).into_iter().map(|node| (first + node) as u32));
                old.push(tree.logp(leaf));
                advantages.push(*advantage);
            }
        }
        first += tree.nodes.len();
    }
    let (paths, nodes) = (old.len(), Tensor::new(nodes, &Device::Cpu)?);
    let along = |x: &Tensor| x.index_select(&nodes, 0)?.reshape((paths, LEVELS))?.sum(1);
    let logp = along(&evaluated.logp)?;
    let share = used as f64 / (trees.len() * paths) as f64; // of a path in the mean over trees
    let each = surrogate(&logp, &vector(&old)?, &vector(&advantages)?, options)?;
    let kl = (along(&evaluated.kl)?.sum_all()? * share)?;
    let total = ((&kl * options.beta)? - (each.sum_all()? * share)?)?;
    let mean_kl = f64::from(kl.to_vec0::<f32>()?) * trees.len() as f64 / (used * LEVELS) as f64;
    let clipped = clipped_share(&logp.to_vec1::<f32>()?, &old, &advantages, &vec![1.0; paths], options);
    Ok(Some(Loss { total, kl: mean_kl, clipped, trees: used }))
}

/// What each leaf adds as one of `k` candidates beside the reference: the mean, over all choices of `k - 1` other leaves, of
/// how far it exceeds the best of them and of the reference, `E[max(0, R_i - max(R_ref, R_others))]`.
///
/// A selector chooses among the leaves, so what counts is the best of a few, not their mean: rewarding the mean teaches
/// a tree over good references to keep to them (all leaves alike, nothing more to learn from). The sum over leaves is the
/// estimate of the gradient of `E[max of k]` with others as baseline (as in pass@k policy optimisation, Walder and
/// Karkhanis 2025).
pub fn improvements(rewards: &[f64], reference: f64, k: usize) -> Vec<f64> {
    let (n, k) = (rewards.len(), k.clamp(1, rewards.len().max(1)));
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|a, b| rewards[*a].total_cmp(&rewards[*b]));
    let improvement = |i: usize| {
        let over = |other: f64| (rewards[i] - other.max(reference)).max(0.0);
        if k == 1 {
            return over(f64::NEG_INFINITY);
        }
        // The largest of k - 1 of the n - 1 others is the one of rank j with probability C(j, k - 2) / C(n - 1, k - 1).
        let mut weight = 1.0; // C(j, k - 2), up to a factor
        let (mut sum, mut total) = (0.0, 0.0);
        for (j, other) in order.iter().filter(|at| **at != i).enumerate().skip(k - 2) {
            sum += weight * over(rewards[*other]);
            total += weight;
            weight *= (j + 1) as f64 / (j + 3 - k) as f64;
        }
        sum / total
    };
    (0..n).map(improvement).collect()
}

/// The next weight of the divergence: 1.5 times more above the target, 1.5 times less below a fifth of it.
pub fn adapted_beta(beta: f64, kl: f64, target: f64) -> f64 {
    let next = match kl {
        kl if kl > target => beta * 1.5,
        kl if kl < target / 5.0 => beta / 1.5,
        _ => beta,
    };
    next.clamp(1e-4, 10.0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn improvements_are_means_over_all_choices_of_others() {
        let rewards = [0.3, 0.9, 0.9, 0.1, 0.7, 0.5];
        for k in 1..=rewards.len() {
            let found = improvements(&rewards, 0.4, k);
            for (i, found) in found.iter().enumerate() {
                let (mut sum, mut sets) = (0.0, 0);
                for set in 0u32..1 << rewards.len() {
                    if set.count_ones() as usize == k && set >> i & 1 == 1 {
                        let others = (0..rewards.len()).filter(|j| *j != i && set >> j & 1 == 1);
                        let best = others.map(|j| rewards[j]).fold(0.4, f64::max);
                        sum += (rewards[i] - best).max(0.0);
                        sets += 1;
                    }
                }
                assert!((found - sum / f64::from(sets)).abs() < 1e-12, "k {k}, leaf {i}: {found}");
            }
        }
        assert!(improvements(&[], 0.5, 3).is_empty());
    }

    #[test]
    fn ranges_and_beta() {
        assert!(ObjectiveOptions::default().check().is_ok());
        let whole = ObjectiveOptions { parent_share: 1.0, ..Default::default() };
        assert!(whole.check().unwrap_err().message.contains("parent_share is 1; allowed: 0 to 0.5"));
        assert!(ObjectiveOptions { beta: f64::NAN, ..Default::default() }.check().is_err());
        assert_eq!((adapted_beta(0.02, 0.06, 0.05), adapted_beta(0.03, 0.001, 0.05)), (0.03, 0.02));
        assert_eq!((adapted_beta(0.01, 0.02, 0.05), adapted_beta(0.02, f64::NAN, 0.05)), (0.01, 0.02));
    }
}
