//! From settings to the parts of a trainer.

use crate::{
    error::Result,
    settings::{ClassBalance, LrScheduler, Settings},
    train::{
        adamw::AdamWOptions,
        schedule::{Schedule, ScheduleOptions, SchedulerKwargs, SchedulerType},
    },
};
use data::balance::Balance;

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

/// Optimizer steps of the main phase: `max_steps`, or what `num_train_epochs` passes take.
pub(super) fn total_steps(settings: &Settings, samples: usize) -> u64 {
    let sft = &settings.sft;
    let per_step = (sft.per_device_train_batch_size * sft.gradient_accumulation_steps).max(1);
    match sft.max_steps {
        Some(steps) => steps as u64,
        None => ((samples as f64 * sft.num_train_epochs / per_step as f64).ceil() as u64).max(1),
    }
}

pub(super) fn schedule(settings: &Settings, total: u64) -> Result<Schedule> {
    let sft = &settings.sft;
    let warmup = if sft.warmup_steps > 0 { sft.warmup_steps as f64 } else { sft.warmup_ratio };
    curve(sft.learning_rate, sft.lr_scheduler_type, warmup, total)
}

/// A schedule over `total` steps; `warmup` below 1 is a part of them.
pub(in crate::train) fn curve(learning_rate: f64, kind: LrScheduler, warmup: f64, total: u64) -> Result<Schedule> {
    ScheduleOptions {
        learning_rate,
        lr_scheduler_type: kind_of(kind),
        warmup_steps: warmup,
        lr_scheduler_kwargs: match kind {
            LrScheduler::CosineWithMinLr => SchedulerKwargs { min_lr_rate: Some(0.1), ..SchedulerKwargs::default() },
            _ => SchedulerKwargs::default(),
        },
        ..ScheduleOptions::default()
    }
    .resolve(total)
}

fn kind_of(kind: LrScheduler) -> SchedulerType {
    match kind {
        LrScheduler::Linear => SchedulerType::Linear,
        LrScheduler::Cosine => SchedulerType::Cosine,
        LrScheduler::CosineWithMinLr => SchedulerType::CosineWithMinLr,
        LrScheduler::Polynomial => SchedulerType::Polynomial,
        LrScheduler::Constant => SchedulerType::Constant,
        LrScheduler::ConstantWithWarmup => SchedulerType::ConstantWithWarmup,
    }
}

pub(in crate::train) fn balance(kind: ClassBalance) -> Balance {
    match kind {
        ClassBalance::None => Balance::None,
        ClassBalance::Sqrt => Balance::Sqrt,
        ClassBalance::Uniform => Balance::Uniform,
    }
}
