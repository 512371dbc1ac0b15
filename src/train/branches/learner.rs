//! An optimizer and a learning-rate curve over the parameters of one branch.

use crate::{
    error::Result,
    settings::LrScheduler,
    train::{
        adamw::{AdamW, AdamWOptions, Outcome},
        clip::{Gradients, clip_coefficient},
        common,
        schedule::Schedule,
    },
};
use candle_core::{Tensor, Var};
use std::collections::BTreeMap;

/// The optimizer of a branch.
pub struct Learner {
    /// Its moments.
    pub adamw: AdamW,
    vars: BTreeMap<String, Var>,
    schedule: Schedule,
    max_grad_norm: f64,
}

/// Numbers of a learner.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Peak learning rate.
    pub learning_rate: f64,
    /// Its curve.
    pub scheduler: LrScheduler,
    /// Steps from zero to the peak.
    pub warmup_steps: usize,
    /// Steps in all.
    pub steps: usize,
    /// Decoupled decay of weights.
    pub weight_decay: f64,
    /// Gradients are scaled down to this norm; 0: never.
    pub max_grad_norm: f64,
}

/// What became of a step.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Stepped {
    /// Learning rate.
    pub lr: f64,
    /// Norm of the gradient before clipping.
    pub grad_norm: f64,
    /// Why nothing was changed.
    pub skipped: Option<String>,
}

impl Learner {
    /// Starts with zero moments.
    ///
    /// # Errors
    /// Numbers out of range.
    pub fn new(vars: &BTreeMap<String, Var>, pace: &Pace) -> Result<Learner> {
        let options = AdamWOptions { weight_decay: pace.weight_decay, ..AdamWOptions::default() };
        let schedule =
            common::curve(pace.learning_rate, pace.scheduler, pace.warmup_steps as f64, pace.steps.max(1) as u64)?;
        let adamw = AdamW::new(vars, options)?;
        Ok(Learner { adamw, vars: vars.clone(), schedule, max_grad_norm: pace.max_grad_norm })
    }

    /// Updates by the gradient of a loss, at step `step` from 0; changes nothing when a number is not finite.
    ///
    /// # Errors
    /// Device trouble.
    pub fn step(&mut self, loss: &Tensor, step: u64) -> Result<Stepped> {
        let lr = self.schedule.lr(step);
        let value = f64::from(loss.to_vec0::<f32>()?);
        if !value.is_finite() {
            return Ok(Stepped { lr, grad_norm: 0.0, skipped: Some(format!("the loss is {value}")) });
        }
        let gradients = Gradients::take(&mut loss.backward()?, &self.vars)?;
        let grad_norm = gradients.norm()?;
        let clip = clip_coefficient(grad_norm, self.max_grad_norm);
        let clip = if clip.is_finite() { clip } else { 1.0 };
        let skipped = match self.adamw.step(&gradients, lr, clip)? {
            Outcome::Stepped => None,
            Outcome::Refused { tensors } => Some(common::not_finite(&tensors)),
        };
        Ok(Stepped { lr, grad_norm, skipped })
    }
}
