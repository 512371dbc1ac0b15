//! From settings to the parts of a trainer.

use super::rollout::Sampling;
use crate::{
    error::Result,
    settings::{self, Grpo},
    train::{
        adamw::AdamWOptions,
        rl::{
            advantage::{AdvantageOptions, Aggregation, ScaleRewards},
            loss::{Correction, Level, LossOptions, LossType},
        },
        schedule::Schedule,
    },
    vlm::sampling::SamplingParams,
};

pub(super) use crate::train::common::balance;

pub(super) fn sampling(grpo: &Grpo) -> Sampling {
    Sampling {
        generations: grpo.num_generations,
        max_new_tokens: grpo.max_completion_length,
        min_new_tokens: grpo.min_new_tokens,
        params: SamplingParams {
            do_sample: true,
            temperature: grpo.temperature,
            top_k: grpo.top_k,
            top_p: grpo.top_p,
            min_p: grpo.min_p,
            repetition_penalty: grpo.repetition_penalty,
            ..SamplingParams::default()
        },
        seed: grpo.seed,
    }
}

pub(super) fn optimizer(grpo: &Grpo) -> AdamWOptions {
    AdamWOptions { weight_decay: grpo.weight_decay, ..AdamWOptions::default() }
}

pub(super) fn schedule(grpo: &Grpo) -> Result<Schedule> {
    crate::train::common::curve(
        grpo.learning_rate,
        grpo.lr_scheduler_type,
        grpo.warmup_steps as f64,
        grpo.max_steps as u64,
    )
}

pub(super) fn advantage(grpo: &Grpo) -> AdvantageOptions {
    AdvantageOptions {
        scale_rewards: match grpo.scale_rewards {
            settings::ScaleRewards::Group => ScaleRewards::Group,
            settings::ScaleRewards::Batch => ScaleRewards::Batch,
            settings::ScaleRewards::None => ScaleRewards::None,
        },
        multi_objective_aggregation: match grpo.multi_objective_aggregation {
            settings::Aggregation::SumThenNormalize => Aggregation::SumThenNormalize,
            settings::Aggregation::NormalizeThenSum => Aggregation::NormalizeThenSum,
        },
    }
}

pub(super) fn loss(grpo: &Grpo) -> LossOptions {
    LossOptions {
        loss_type: match grpo.loss_type {
            settings::LossType::Grpo => LossType::Grpo,
            settings::LossType::Bnpo => LossType::Bnpo,
            settings::LossType::DrGrpo => LossType::DrGrpo,
            settings::LossType::Dapo => LossType::Dapo,
            settings::LossType::Cispo => LossType::Cispo,
            settings::LossType::Sapo => LossType::Sapo,
            settings::LossType::Vespo => LossType::Vespo,
            settings::LossType::Luspo => LossType::Luspo,
        },
        importance_sampling_level: match grpo.importance_sampling_level {
            settings::ImportanceSamplingLevel::Token => Level::Token,
            settings::ImportanceSamplingLevel::Sequence => Level::Sequence,
        },
        epsilon: grpo.epsilon,
        epsilon_high: grpo.epsilon_high,
        delta: grpo.delta,
        beta: grpo.beta,
        use_bias_correction_kl: grpo.use_bias_correction_kl,
        entropy_coef: grpo.entropy_coef,
        top_entropy_quantile: grpo.top_entropy_quantile,
        off_policy_mask_threshold: grpo.off_policy_mask_threshold,
        importance_sampling_correction: grpo.importance_sampling_correction,
        importance_sampling_mode: match grpo.importance_sampling_mode {
            settings::ImportanceSamplingMode::TokenTruncate => Correction::TokenTruncate,
            settings::ImportanceSamplingMode::TokenMask => Correction::TokenMask,
            settings::ImportanceSamplingMode::SequenceTruncate => Correction::SequenceTruncate,
            settings::ImportanceSamplingMode::SequenceMask => Correction::SequenceMask,
        },
        importance_sampling_clip_max: grpo.importance_sampling_clip_max,
        importance_sampling_clip_min: grpo.importance_sampling_clip_min,
        sapo_temperature_pos: grpo.sapo_temperature_pos,
        sapo_temperature_neg: grpo.sapo_temperature_neg,
        vespo_k_pos: grpo.vespo_k_pos,
        vespo_lambda_pos: grpo.vespo_lambda_pos,
        vespo_k_neg: grpo.vespo_k_neg,
        vespo_lambda_neg: grpo.vespo_lambda_neg,
    }
}
