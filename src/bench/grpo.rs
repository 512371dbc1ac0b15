//! The step of group relative policy optimisation that TRL is raced on: one prompt of 427 tokens with its picture, eight
//! answers of exactly 64 tokens at temperature 1, log-probabilities of the reference (adapter off), loss `grpo` with
//! beta 0.04, gradients, clipping at 1 and AdamW on the adapter.
//!
//! It is put together from what [`crate::train::grpo`] uses. Rewards are made up, as the peer's are, and the picture
//! comes as patches.

use super::{
    Measured, Unit,
    clock::{Lap, Watch},
    decode::{GROUP, ROLLOUT_TOKENS, roll, rollout_prompt},
    inputs::Prompts,
};
use crate::{
    error::{Failure, Result},
    settings::Checkpointing,
    train::{
        adamw::{AdamW, AdamWOptions, Outcome},
        clip::clip_coefficient,
        rl::{
            advantage::{AdvantageOptions, advantages},
            loss::{Completions, LossOptions, LossType, Step, policy_loss},
        },
        segment::Pass,
    },
    vlm::{Batch, ImageFeatures, Targets, Vlm},
};
use candle_core::Tensor;

/// `grpo_step_8x64` and its three parts, each the best of the repeats for itself.
pub fn step(vlm: &Vlm, repeats: usize) -> Result<Vec<Measured>> {
    let prompts = rollout_prompt(vlm)?;
    let mut optimizer = AdamW::new(vlm.vars(), AdamWOptions::default())?;
    let mut best = once(vlm, &prompts, &mut optimizer)?; // the first is the warm-up
    for repeat in 0..repeats {
        let laps = once(vlm, &prompts, &mut optimizer)?;
        best = if repeat == 0 { laps } else { std::array::from_fn(|i| best[i].least(laps[i])) };
    }
    let names = ["grpo_step_8x64", "grpo_step_8x64.rollout", "grpo_step_8x64.score", "grpo_step_8x64.update"];
    Ok(names.into_iter().zip(best).map(|(name, took)| Measured::new(name, took, Unit::Seconds)).collect())
}

/// One step: the whole, rollout, score, update.
fn once(vlm: &Vlm, prompts: &Prompts, optimizer: &mut AdamW) -> Result<[Lap; 4]> {
    let whole = Watch::start();
    let images = vlm.encode_images(&prompts.pixels, &prompts.grids)?;
    let answers: Vec<Vec<u32>> = roll(vlm, prompts, &images)?.into_iter().map(|row| row.ids).collect();
    let rollout = whole.lap();

    let watch = Watch::start();
    let prompt = prompts.batch(vlm.config())?;
    vlm.set_adapter_enabled(false);
    let reference = vlm.continuation_logps(&prompt, Some(&images), &answers, 1.0);
    vlm.set_adapter_enabled(true);
    let reference = Tensor::from_vec(reference?.concat(), (GROUP, ROLLOUT_TOKENS), vlm.device())?;
    let rewards = vec![(0..GROUP).map(|i| (i % 3) as f64).collect()];
    let advantages = advantages(&rewards, &[1.0], GROUP, AdvantageOptions::default())?.advantages;
    let score = watch.lap();

    let watch = Watch::start();
    update(vlm, &prompt, &images, &answers, &reference, &advantages, optimizer)?;
    Ok([whole.lap(), rollout, score, watch.lap()])
}

fn update(
    vlm: &Vlm,
    prompt: &Batch,
    images: &ImageFeatures,
    answers: &[Vec<u32>],
    reference: &Tensor,
    advantages: &[f64],
    optimizer: &mut AdamW,
) -> Result<()> {
    let tails: Vec<&[u32]> = answers.iter().map(Vec::as_slice).collect();
    let batch = Batch::packed(vlm.config(), prompt, &tails)?;
    let targets = Targets::tails(&batch);
    let options = LossOptions { loss_type: LossType::Grpo, beta: 0.04, ..LossOptions::default() };
    let part = Step {
        gradient_accumulation_steps: 1,
        num_items: (GROUP * ROLLOUT_TOKENS) as f64,
        max_completion_length: ROLLOUT_TOKENS,
    };
    let checkpointing = Checkpointing::Auto.on(vlm.parameter_count());
    let pass = Pass { vlm, batch: &batch, images: Some(images), vars: vlm.vars(), checkpointing };
    let (_, gradients) = pass.gradients(|hidden, _| {
        let (logps, entropies) = vlm.token_logps(hidden, &targets.rows, &targets.ids, 1.0)?;
        let shape = (GROUP, ROLLOUT_TOKENS);
        let completions = Completions {
            logps: &logps.reshape(shape)?,
            old_logps: None,
            sampling_logps: None,
            ref_logps: Some(reference),
            mask: &reference.ones_like()?,
            advantages,
            entropies: Some(&entropies.reshape(shape)?),
        };
        Ok(policy_loss(&completions, part, &options)?.loss)
    })?;
    let clip = clip_coefficient(gradients.norm()?, 1.0);
    match optimizer.step(&gradients, 1e-5, clip)? {
        Outcome::Stepped => Ok(()),
        Outcome::Refused { tensors } => {
            Err(Failure::device(format!("grpo_step_8x64: gradients that are not finite: {}", tensors.join(", "))))
        }
    }
}
