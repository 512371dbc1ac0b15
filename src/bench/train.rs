//! Training items: one optimizer step on two rows of 384 tokens.

use super::{Measured, Unit, best, inputs::Prompts};
use crate::{
    error::{Failure, Result},
    settings::Checkpointing,
    train::{
        adamw::{AdamW, AdamWOptions, Outcome},
        clip::{Gradients, clip_coefficient},
        segment::Pass,
    },
    vlm::{Batch, Targets, Vlm},
};
use candle_core::Tensor;

/// Tokens of a row beside its picture's 256.
const TEXT: usize = 128;
/// The last tokens of a row carry loss.
const LABELLED: usize = 70;

/// `sft_lora_step_2x384`, `sft_full_step_2x384`: forward, backward, clipping at 1 and AdamW on what the model trains;
/// gradient checkpointing as `sft` does it unless told otherwise.
pub fn step(vlm: &Vlm, name: &str, warm: usize, repeats: usize) -> Result<Measured> {
    let prompts = Prompts::new(vlm.config(), 2, TEXT)?;
    let batch = prompts.batch(vlm.config())?;
    let unlabelled = prompts.width() - LABELLED;
    let targets = Targets::select(&batch, |_, token| token >= unlabelled);
    let mut optimizer = AdamW::new(vlm.vars(), AdamWOptions::default())?;
    let took = best(warm, repeats, || {
        let gradients = gradients(vlm, &prompts, &batch, &targets)?;
        let clip = clip_coefficient(gradients.norm()?, 1.0);
        match optimizer.step(&gradients, 1e-4, clip)? {
            Outcome::Stepped => Ok(()),
            Outcome::Refused { tensors } => {
                Err(Failure::device(format!("{name}: gradients that are not finite: {}", tensors.join(", "))))
            }
        }
    })?;
    Ok(Measured::new(name, took, Unit::PerSecond(2 * prompts.width(), "tokens")))
}

fn gradients(vlm: &Vlm, prompts: &Prompts, batch: &Batch, targets: &Targets) -> Result<Gradients> {
    let images = vlm.encode_images(&prompts.pixels, &prompts.grids)?;
    let checkpointing = Checkpointing::Auto.on(vlm.parameter_count());
    let pass = Pass { vlm, batch, images: Some(&images), vars: vlm.vars(), checkpointing };
    let loss = |hidden: &Tensor, _: Option<&_>| {
        let (logps, _) = vlm.token_logps(hidden, &targets.rows, &targets.ids, 1.0)?;
        Ok(logps.mean_all()?.neg()?)
    };
    Ok(pass.gradients(loss)?.1)
}
