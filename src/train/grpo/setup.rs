//! From settings to the parts of a trainer.

use super::rollout::Sampling;
use crate::{
    error::Result,
    settings::{self, Grpo},
    train::{
        adamw::AdamWOptions,
        rl::{
            advantage::{AdvantageOptions, Aggregation, ScaleRewards},
            loss::{LossOptions, LossType},
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
        params: SamplingParams {
            do_sample: true,
            temperature: grpo.temperature,
            top_k: grpo.top_k,
            top_p: grpo.top_p,
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
        },
        epsilon: grpo.epsilon,
        epsilon_high: grpo.epsilon_high,
        beta: grpo.beta,
        ..LossOptions::default()
    }
}
