//! Group-relative advantages (Shao et al. 2024, DeepSeekMath, section 4.1) from one or more reward terms, in f64.
//!
//! Terms are weighted and summed, then compared within the group (`sum_then_normalize`), or each term is compared first
//! and the sum is then compared within the batch (`normalize_then_sum`, GDPO, Liu et al. 2026), so that a term with a
//! small spread is not drowned. NaN is a reward that is not known: it is left out of means and deviations, and a
//! completion with no known reward has advantage 0.
//!
//! Deviation from TRL 1.16:
//! 1. A group in which all known rewards are the same has advantages of exactly 0, not rounding errors over 1e-4.

use crate::error::{Failure, Result};
use serde::{Deserialize, Serialize};

/// Added to a deviation before dividing by it.
const EPSILON: f64 = 1e-4;

/// What advantages are divided by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScaleRewards {
    /// The deviation within the group.
    #[default]
    Group,
    /// The deviation within the whole batch (Lite PPO, Liu et al. 2025).
    Batch,
    /// Nothing: only the group's mean is taken away (Dr. GRPO, Liu et al. 2025).
    None,
}

/// How several reward terms become one advantage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Aggregation {
    /// Weighted sum, then the group's statistics.
    #[default]
    SumThenNormalize,
    /// The group's statistics of each term, weighted sum, then the batch's statistics; `scale_rewards` is not used.
    NormalizeThenSum,
}

/// Settings of [`advantages`], with TRL's key names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdvantageOptions {
    /// What advantages are divided by.
    pub scale_rewards: ScaleRewards,
    /// How several terms become one.
    pub multi_objective_aggregation: Aggregation,
}

/// Advantages of a batch of groups, and what is logged of its rewards.
#[derive(Debug, Clone, PartialEq)]
pub struct Advantages {
    /// One number per completion, `(B)`, always finite.
    pub advantages: Vec<f64>,
    /// Weighted sum of the known terms of each completion, `(B)`; NaN where none is known.
    pub rewards: Vec<f64>,
    /// Mean of the known `rewards`, NaN when none is known.
    pub reward: f64,
    /// Their sample deviation over the batch, NaN with fewer than two.
    pub reward_std: f64,
    /// Part of the completions whose deviation (the one that `options` divide by) is 0: nothing can be learned there.
    pub frac_reward_zero_std: f64,
    /// Mean and sample deviation over the batch of each term's known values, `(terms)`.
    pub terms: Vec<Moments>,
}

/// Mean and sample deviation of the numbers that are not NaN; NaN where they are too few.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Moments {
    /// Mean.
    pub mean: f64,
    /// Sample deviation (n - 1).
    pub std: f64,
}

impl Moments {
    /// Of the known numbers among `values`.
    pub fn of(values: &[f64]) -> Self {
        let known: Vec<f64> = values.iter().copied().filter(|value| !value.is_nan()).collect();
        let n = known.len() as f64;
        let mean = known.iter().sum::<f64>() / n;
        // The mean of equal numbers can differ from them in the last bit.
        let constant = known.windows(2).all(|pair| pair[0] == pair[1]);
        let mean = if constant { known.first().copied().unwrap_or(f64::NAN) } else { mean };
        let std = match known.len() {
            0 | 1 => f64::NAN,
            _ => (known.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.)).sqrt(),
        };
        Moments { mean, std }
    }
}

/// Advantages of `B = groups x num_generations` completions, the completions of a prompt side by side.
///
/// `rewards[k][i]` is term k of completion i, `(terms, B)`, NaN when it is not known; `weights` has one number per term.
///
/// # Errors
/// Usage: shapes that do not fit, a weight that is not finite. Device (numerics): an infinite reward, named.
pub fn advantages(
    rewards: &[Vec<f64>],
    weights: &[f64],
    num_generations: usize,
    options: AdvantageOptions,
) -> Result<Advantages> {
    let count = check(rewards, weights, num_generations)?;
    let known: Vec<bool> = (0..count).map(|i| rewards.iter().any(|term| !term[i].is_nan())).collect();
    let sum = |terms: &[Vec<f64>]| -> Vec<f64> {
        let weighted = |i: usize| terms.iter().zip(weights).map(move |(term, w)| term[i] * w).filter(|x| !x.is_nan());
        (0..count).map(|i| if known[i] { weighted(i).sum() } else { f64::NAN }).collect()
    };
    let total = sum(rewards);
    let groups = |values: &[f64]| -> Vec<Moments> {
        let of = |group: &[f64]| std::iter::repeat_n(Moments::of(group), group.len());
        values.chunks(num_generations).flat_map(of).collect()
    };
    let batch = Moments::of(&total);
    let (numbers, zero_std) = match options.multi_objective_aggregation {
        Aggregation::SumThenNormalize => {
            let groups = groups(&total);
            let std = |i: usize| if options.scale_rewards == ScaleRewards::Batch { batch.std } else { groups[i].std };
            let scale = |i: usize| if options.scale_rewards == ScaleRewards::None { 1. } else { std(i) + EPSILON };
            let numbers: Vec<f64> = (0..count).map(|i| (total[i] - groups[i].mean) / scale(i)).collect();
            let of = if options.scale_rewards == ScaleRewards::Batch { count } else { num_generations };
            (numbers, (0..count).filter(|i| is_zero(std(*i), of)).count())
        }
        Aggregation::NormalizeThenSum => {
            let normalize = |term: &Vec<f64>| -> Vec<f64> {
                let moments = groups(term);
                let std = |m: &Moments| if num_generations > 1 { m.std } else { 0. };
                term.iter().zip(&moments).map(|(x, m)| (x - m.mean) / (std(m) + EPSILON)).collect()
            };
            let mixed = sum(&rewards.iter().map(normalize).collect::<Vec<_>>());
            let moments = Moments::of(&mixed);
            let numbers: Vec<f64> = mixed.iter().map(|x| (x - moments.mean) / (moments.std + EPSILON)).collect();
            (numbers, if is_zero(moments.std, count) { count } else { 0 })
        }
    };
    if let Some(i) = total.iter().zip(&known).position(|(sum, known)| *known && !sum.is_finite()) {
        return Err(Failure::device(format!("the weighted reward of completion {i} is {}", total[i])));
    }
    // Not known, or alone in its group with no deviation to divide by: nothing to learn.
    let advantages: Vec<f64> = numbers.into_iter().map(|a| if a.is_nan() { 0. } else { a }).collect();
    if let Some(i) = advantages.iter().position(|a| !a.is_finite()) {
        return Err(Failure::device(format!("the advantage of completion {i} is {}", advantages[i])));
    }
    Ok(Advantages {
        advantages,
        reward: batch.mean,
        reward_std: batch.std,
        rewards: total,
        frac_reward_zero_std: zero_std as f64 / count as f64,
        terms: rewards.iter().map(|term| Moments::of(term)).collect(),
    })
}

/// Whether a deviation of `n` numbers counts as 0; that of a single one does.
fn is_zero(std: f64, n: usize) -> bool {
    n == 1 || std.abs() <= 1e-8
}

/// The number of completions, when everything fits.
fn check(rewards: &[Vec<f64>], weights: &[f64], num_generations: usize) -> Result<usize> {
    let count = rewards.first().map_or(0, Vec::len);
    if count == 0 || rewards.iter().any(|term| term.len() != count) {
        let lengths: Vec<usize> = rewards.iter().map(Vec::len).collect();
        return Err(Failure::usage(format!("reward terms need one number per completion, got lengths {lengths:?}")));
    }
    if weights.len() != rewards.len() {
        let (terms, weights) = (rewards.len(), weights.len());
        return Err(Failure::usage(format!("{terms} reward terms cannot have {weights} weights")));
    }
    if num_generations == 0 || !count.is_multiple_of(num_generations) {
        return Err(Failure::usage(format!("{count} completions are not groups of {num_generations}")));
    }
    if let Some(weight) = weights.iter().find(|weight| !weight.is_finite()) {
        return Err(Failure::usage(format!("a reward weight is {weight}; allowed: finite numbers")));
    }
    for (k, term) in rewards.iter().enumerate() {
        if let Some(i) = term.iter().position(|reward| reward.is_infinite()) {
            return Err(Failure::device(format!("reward term {k} of completion {i} is {}", term[i])));
        }
    }
    Ok(count)
}
