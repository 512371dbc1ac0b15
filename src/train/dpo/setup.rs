//! From settings to the parts of a trainer.

use crate::{
    error::Result,
    settings::{Dpo, PairLoss},
    train::{
        adamw::AdamWOptions,
        common,
        rl::dpo::{DpoLossType, DpoOptions},
        schedule::Schedule,
    },
};

pub(super) fn optimizer(dpo: &Dpo) -> AdamWOptions {
    AdamWOptions { weight_decay: dpo.weight_decay, ..AdamWOptions::default() }
}

pub(super) fn total_steps(dpo: &Dpo, pairs: usize) -> u64 {
    let per_step = dpo.per_device_train_batch_size * dpo.gradient_accumulation_steps;
    common::total_steps(dpo.max_steps, dpo.num_train_epochs, pairs, per_step)
}

pub(super) fn schedule(dpo: &Dpo, total: u64) -> Result<Schedule> {
    common::curve(dpo.learning_rate, dpo.lr_scheduler_type, dpo.warmup_steps as f64, total)
}

/// The loss; `rpo_alpha` adds one to it.
pub(super) fn loss(dpo: &Dpo) -> Result<DpoOptions> {
    let mut loss_type: Vec<DpoLossType> = dpo.loss_type.iter().map(|loss| kind(*loss)).collect();
    let mut loss_weights = dpo.loss_weights.clone();
    if let Some(alpha) = dpo.rpo_alpha {
        loss_weights.get_or_insert_with(|| vec![1.0; loss_type.len()]).push(alpha);
        loss_type.push(DpoLossType::Sft);
    }
    let options = DpoOptions { loss_type, loss_weights, beta: dpo.beta, label_smoothing: dpo.label_smoothing };
    options.check().map_err(|e| e.context("dpo").hint("`reinsman config show --docs` explains every setting"))?;
    Ok(options)
}

fn kind(loss: PairLoss) -> DpoLossType {
    match loss {
        PairLoss::Sigmoid => DpoLossType::Sigmoid,
        PairLoss::Hinge => DpoLossType::Hinge,
        PairLoss::Ipo => DpoLossType::Ipo,
        PairLoss::ExoPair => DpoLossType::ExoPair,
        PairLoss::NcaPair => DpoLossType::NcaPair,
        PairLoss::Robust => DpoLossType::Robust,
        PairLoss::ApoZero => DpoLossType::ApoZero,
        PairLoss::ApoDown => DpoLossType::ApoDown,
        PairLoss::SigmoidNorm => DpoLossType::SigmoidNorm,
        PairLoss::Sft => DpoLossType::Sft,
    }
}
