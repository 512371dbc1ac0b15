//! Policy losses of the GRPO family on per-token log-probabilities, with gradients and the metrics that TRL logs.
//!
//! Per token, with log-ratio `w = logp - old`, ratio `r = e^w` and the completion's advantage A:
//! * `grpo`, `bnpo`, `dr_grpo`, `dapo`, `luspo`: `-min(min(r, delta) A, clip(r, 1 - epsilon, 1 + epsilon_high) A)`
//!   (Schulman et al. 2017; clip-higher: Yu et al. 2025; the upper bound delta: INTELLECT-2, 2025),
//! * `cispo`: `-sg(min(r, epsilon_high)) A logp` (MiniMax-M1, 2025),
//! * `sapo`: `-(4 / tau) sigmoid(tau (r - 1)) A` (Gao et al. 2025),
//! * `vespo`: `-sg(phi) A logp`, `ln phi = lambda + k W - lambda e^W`, W the sum of w over the completion,
//!
//! plus `beta (e^d - d - 1)`, `d = ref - logp` (the k3 estimate of the divergence from the reference; Schulman 2020).
//! `importance_sampling_level = "sequence"` puts the mean of w over the completion in the place of w (GSPO, Zheng et al.
//! 2025). [`LossType`] says how tokens are averaged. `sg` stops the gradient.
//!
//! A sampler that rounds otherwise than the trainer draws from another policy. Where its log-probabilities are given, the
//! policy's part of each token's loss is multiplied by the importance ratio `e^(old - sampled)` of the token or the whole
//! completion, bounded as [`Correction`] says (truncated: Yao et al. 2025; masked: Liu et al. 2025); in `vespo` its
//! logarithm, between `ln 1e-8` and 20 per token, is a part of W instead.
//!
//! Deviations from TRL 1.16:
//! 1. `cispo` without `epsilon_high` uses 5 (ScaleRL, 2025), not `epsilon`, which would cut every ratio to 0.2.
//! 2. A masked token has no influence even when it holds NaN; a non-finite number elsewhere, or a loss or gradient that
//!    overflows, is an error that names the token.
//! 3. `clip_ratio/low_min` and `high_max` of a batch without any token are 0, not NaN.

use super::{
    objective::{Evaluated, evaluate},
    rows::{Rows, seeded},
};
use crate::error::{Failure, Result};
use candle_core::Tensor;
use serde::{Deserialize, Serialize};

/// Which loss, and how the tokens of B completions are averaged; `|o|` is a completion's number of tokens, and all but
/// the losses over the items of a step are also divided by the gradient accumulation steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LossType {
    /// Mean over completions of the mean over tokens (Shao et al. 2024).
    Grpo,
    /// Mean over the tokens of the micro-batch.
    Bnpo,
    /// Sum over tokens / (B x max_completion_length) (Liu et al. 2025).
    DrGrpo,
    /// Sum over tokens / tokens of the optimizer step (Yu et al. 2025).
    #[default]
    Dapo,
    /// Averaged as `dapo`.
    Cispo,
    /// Averaged as `grpo`.
    Sapo,
    /// Averaged as `dapo`.
    Vespo,
    /// Mean over completions of the sum over tokens; meant for the sequence level (LUSPO).
    Luspo,
}

/// What an importance ratio belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Each token has its own.
    #[default]
    Token,
    /// The geometric mean over the completion (GSPO).
    Sequence,
}

/// What the importance ratio between trainer and sampler belongs to, and what happens to one out of bounds (TRL's
/// `vllm_importance_sampling_mode`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Correction {
    /// Each token has its own, moved to the bound.
    TokenTruncate,
    /// Each token has its own; out of bounds it is 0.
    TokenMask,
    /// The product over the completion, moved to the bound.
    SequenceTruncate,
    /// The product over the completion; out of bounds it is 0.
    #[default]
    SequenceMask,
}

impl Correction {
    /// Whether a whole completion has one ratio.
    pub fn of_sequences(self) -> bool {
        matches!(self, Correction::SequenceTruncate | Correction::SequenceMask)
    }
}

/// Settings of [`policy_loss`], with TRL's key names (without `vllm_`) and defaults; the one exception is that
/// `use_bias_correction_kl` is off.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LossOptions {
    /// Which loss.
    pub loss_type: LossType,
    /// What a ratio belongs to.
    pub importance_sampling_level: Level,
    /// Ratios below `1 - epsilon` are clipped.
    pub epsilon: f64,
    /// Ratios above `1 + epsilon_high` are clipped (above `epsilon_high` itself in `cispo`); `epsilon` when not given.
    pub epsilon_high: Option<f64>,
    /// Upper bound of the ratio of completions with a negative advantage; meant to be above `1 + epsilon`.
    pub delta: Option<f64>,
    /// Weight of the divergence from the reference policy.
    pub beta: f64,
    /// Multiplies that divergence by the importance ratio (DeepSeek-V3.2).
    pub use_bias_correction_kl: bool,
    /// Weight of the mean entropy, which the loss is lowered by.
    pub entropy_coef: f64,
    /// Only this part of the tokens, those with the highest entropy, moves the policy (Wang et al. 2025).
    pub top_entropy_quantile: f64,
    /// Completions with a negative advantage whose mean of `sampled - logp` (`old - logp` where the former is not given)
    /// is above this are left out (DeepSeek-V3.2).
    pub off_policy_mask_threshold: Option<f64>,
    /// Corrects for the difference between sampler and trainer, where the sampler's log-probabilities are given.
    pub importance_sampling_correction: bool,
    /// How.
    pub importance_sampling_mode: Correction,
    /// Largest ratio of that correction.
    pub importance_sampling_clip_max: Option<f64>,
    /// Smallest ratio of that correction.
    pub importance_sampling_clip_min: Option<f64>,
    /// tau of `sapo` for positive advantages.
    pub sapo_temperature_pos: f64,
    /// tau of `sapo` for others.
    pub sapo_temperature_neg: f64,
    /// k of `vespo` for advantages from 0 up.
    pub vespo_k_pos: f64,
    /// lambda of `vespo` for advantages from 0 up.
    pub vespo_lambda_pos: f64,
    /// k of `vespo` for negative advantages.
    pub vespo_k_neg: f64,
    /// lambda of `vespo` for negative advantages.
    pub vespo_lambda_neg: f64,
}

impl Default for LossOptions {
    fn default() -> Self {
        LossOptions {
            loss_type: LossType::default(),
            importance_sampling_level: Level::default(),
            epsilon: 0.2,
            epsilon_high: None,
            delta: None,
            beta: 0.,
            use_bias_correction_kl: false,
            entropy_coef: 0.,
            top_entropy_quantile: 1.,
            off_policy_mask_threshold: None,
            importance_sampling_correction: true,
            importance_sampling_mode: Correction::default(),
            importance_sampling_clip_max: Some(3.),
            importance_sampling_clip_min: None,
            sapo_temperature_pos: 1.,
            sapo_temperature_neg: 1.05,
            vespo_k_pos: 2.,
            vespo_lambda_pos: 3.,
            vespo_k_neg: 3.,
            vespo_lambda_neg: 2.,
        }
    }
}

impl LossOptions {
    /// Fails on numbers out of range.
    ///
    /// # Errors
    /// Usage, naming the key, its value and what is allowed.
    pub fn check(&self) -> Result<()> {
        let within = |name: &str, value: f64, allowed: bool, range: &str| match allowed && value.is_finite() {
            true => Ok(()),
            false => Err(Failure::usage(format!("{name} is {value}; allowed: {range}"))),
        };
        within("epsilon", self.epsilon, (0. ..=1.).contains(&self.epsilon), "0 to 1")?;
        let part = self.top_entropy_quantile;
        within("top_entropy_quantile", part, (0. ..=1.).contains(&part), "0 to 1")?;
        within("entropy_coef", self.entropy_coef, true, "a finite number")?;
        let threshold = self.off_policy_mask_threshold.unwrap_or(0.);
        within("off_policy_mask_threshold", threshold, true, "a finite number")?;
        for (name, value) in [
            ("epsilon_high", self.epsilon_high),
            ("beta", Some(self.beta)),
            ("importance_sampling_clip_max", self.importance_sampling_clip_max),
            ("importance_sampling_clip_min", self.importance_sampling_clip_min),
        ] {
            within(name, value.unwrap_or(0.), value.is_none_or(|value| value >= 0.), "0 or more")?;
        }
        for (name, value) in [
            ("delta", self.delta.unwrap_or(1.)),
            ("sapo_temperature_pos", self.sapo_temperature_pos),
            ("sapo_temperature_neg", self.sapo_temperature_neg),
            ("vespo_k_pos", self.vespo_k_pos),
            ("vespo_lambda_pos", self.vespo_lambda_pos),
            ("vespo_k_neg", self.vespo_k_neg),
            ("vespo_lambda_neg", self.vespo_lambda_neg),
        ] {
            within(name, value, value > 0., "above 0")?;
        }
        Ok(())
    }

    /// Whether the loss looks at the reference policy.
    pub fn needs_reference(&self) -> bool {
        self.beta != 0.
    }

    /// Whether the loss looks at entropies (they are logged whenever they are given).
    pub fn needs_entropies(&self) -> bool {
        self.entropy_coef != 0. || self.top_entropy_quantile < 1.
    }

    /// `epsilon_high` or what stands for it.
    pub(super) fn high(&self) -> f64 {
        let otherwise = if self.loss_type == LossType::Cispo { 5. } else { self.epsilon };
        self.epsilon_high.unwrap_or(otherwise)
    }
}

/// A micro-batch of B completions padded to T tokens, in any float dtype and on any device.
#[derive(Debug, Clone, Copy)]
pub struct Completions<'a> {
    /// Log-probabilities of the sampled tokens under the policy, `(B, T)`, with their graph.
    pub logps: &'a Tensor,
    /// The same under the policy that sampled them, `(B, T)`; not given means `logps` itself, ratios of 1.
    pub old_logps: Option<&'a Tensor>,
    /// The same as the sampler itself computed them, `(B, T)`; not given means that sampler and trainer agree.
    pub sampling_logps: Option<&'a Tensor>,
    /// The same under the reference policy, `(B, T)`; needed when `beta` is not 0.
    pub ref_logps: Option<&'a Tensor>,
    /// 1 for tokens that count, 0 for padding and whatever else is left out, `(B, T)`, any dtype.
    pub mask: &'a Tensor,
    /// One per completion, `(B)`.
    pub advantages: &'a [f64],
    /// Entropies of the policy at each token in nats, `(B, T)`; needed by the entropy settings, else only logged. Where
    /// they carry a graph, the entropy bonus has a gradient through it; where not, it changes the value alone.
    pub entropies: Option<&'a Tensor>,
}

/// What a micro-batch is a part of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// Micro-batches of an optimizer step.
    pub gradient_accumulation_steps: usize,
    /// Counted tokens of all micro-batches of the optimizer step, which `dapo`, `cispo` and `vespo` divide by.
    pub num_items: f64,
    /// Longest completion that may be generated, which `dr_grpo` divides by.
    pub max_completion_length: usize,
}

/// A loss with its gradient.
#[derive(Debug, Clone)]
pub struct PolicyLoss {
    /// The loss as a scalar with a graph: its backward pass gives [`grad_logps`](Self::grad_logps) to `logps`. f32, or
    /// f64 where `logps` is.
    pub loss: Tensor,
    /// Its value.
    pub value: f64,
    /// `d loss / d logps`, `(B, T)`, without graph; 0 at masked tokens.
    pub grad_logps: Tensor,
    /// What TRL logs, by its names: `entropy` when entropies are given, `kl` with a reference, `clip_ratio/...`,
    /// `cispo_clip_ratio`, `vespo/phi_seq_mean`, `policy_loss` and `entropy_coef` with an entropy bonus.
    pub metrics: Vec<(&'static str, f64)>,
    /// The importance ratios between trainer and sampler as they were applied, one per token that counts or one per
    /// completion with such tokens; empty without that correction.
    pub corrections: Vec<f64>,
}

/// The loss of a micro-batch. A batch in which nothing counts has loss 0 and gradient 0.
///
/// # Errors
/// Usage: settings out of range, shapes that do not fit, a tensor that the settings need and that is not given.
/// Device (numerics): a number that is not finite at a token that counts, a loss or gradient that overflows.
pub fn policy_loss(batch: &Completions, step: Step, options: &LossOptions) -> Result<PolicyLoss> {
    options.check()?;
    if options.needs_reference() && batch.ref_logps.is_none() {
        return Err(Failure::usage(format!("beta {} needs reference log-probabilities", options.beta)));
    }
    if options.needs_entropies() && batch.entropies.is_none() {
        return Err(Failure::usage("entropy_coef and top_entropy_quantile need entropies"));
    }
    let counts = step.gradient_accumulation_steps > 0 && step.max_completion_length > 0;
    if !counts || !step.num_items.is_finite() || step.num_items < 0. {
        return Err(Failure::usage(format!("a micro-batch cannot be a part of {step:?}")));
    }
    let rows = Rows::read(batch)?;
    let Evaluated { value, grad, entropy_grad, metrics, corrections } = evaluate(&rows, step, options);
    rows.check_finite(value, &grad)?;
    let (loss, grad_logps) = seeded(batch.logps, value, &grad)?;
    let loss = match batch.entropies.filter(|e| e.track_op() && options.entropy_coef != 0.) {
        Some(entropies) => (loss + seeded(entropies, 0., &entropy_grad)?.0.to_dtype(grad_logps.dtype())?)?,
        None => loss,
    };
    Ok(PolicyLoss { loss, value, grad_logps, metrics, corrections })
}
