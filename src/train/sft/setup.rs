//! From settings to the parts of a trainer.

use crate::{
    error::Result,
    settings::Settings,
    train::{adamw::AdamWOptions, common, schedule::Schedule},
};

pub(super) fn optimizer(settings: &Settings) -> AdamWOptions {
    let sft = &settings.sft;
    AdamWOptions {
        adam_beta1: sft.adam_beta1,
        adam_beta2: sft.adam_beta2,
        adam_epsilon: sft.adam_epsilon,
        weight_decay: sft.weight_decay,
        ..AdamWOptions::default()
    }
}

/// Optimizer steps of the main phase.
pub(super) fn total_steps(settings: &Settings, samples: usize) -> u64 {
    let sft = &settings.sft;
    let per_step = sft.per_device_train_batch_size * sft.gradient_accumulation_steps;
    common::total_steps(sft.max_steps, sft.num_train_epochs, samples, per_step)
}

pub(super) fn schedule(settings: &Settings, total: u64) -> Result<Schedule> {
    let sft = &settings.sft;
    let warmup = if sft.warmup_steps > 0 { sft.warmup_steps as f64 } else { sft.warmup_ratio };
    common::curve(sft.learning_rate, sft.lr_scheduler_type, warmup, total)
}
