//! Inference items: the vision tower, prefill, decoding, generation and group rollouts.

use super::{
    Measured, Unit, best, best_lap,
    clock::Watch,
    inputs::{Prompts, SIDE, plain},
};
use crate::{
    error::Result,
    streams::Stream,
    vlm::{
        Batch, Flow, GenerateOptions, Generated, ImageFeatures, Row, Vlm,
        generate::{Choose, greedy},
        sampling::SamplingParams,
    },
};
use std::hint::black_box;

/// Text tokens of a prompt beside its picture's 256.
const TEXT: usize = 128;
/// Text tokens of the rollout prompt: 427 in all.
const ROLLOUT_TEXT: usize = 171;
/// Continuations of a rollout.
pub const GROUP: usize = 8;
/// Tokens of each.
pub const ROLLOUT_TOKENS: usize = 64;

/// `vision_tower_1024_patches`: one picture up to the merger.
pub fn vision_tower(vlm: &Vlm, repeats: usize) -> Result<Measured> {
    let prompts = Prompts::new(vlm.config(), 1, TEXT)?;
    let took = best(1, repeats, || {
        black_box(vlm.encode_images(&prompts.pixels, &prompts.grids)?);
        Ok(vlm.device().synchronize()?)
    })?;
    Ok(Measured::new("vision_tower_1024_patches", took, Unit::PerSecond(SIDE * SIDE, "patches")))
}

/// `prefill_256img_128text`: picture, prompt, logits of the last position.
pub fn prefill(vlm: &Vlm, repeats: usize) -> Result<Measured> {
    let prompts = Prompts::new(vlm.config(), 1, TEXT)?;
    let took = best(1, repeats, || answer(vlm, &prompts, 1))?;
    Ok(Measured::new("prefill_256img_128text", took, Unit::PerSecond(prompts.width(), "tokens")))
}

/// `generate_api_64_tokens_b1`: picture, prompt and 64 tokens.
pub fn generate(vlm: &Vlm, repeats: usize) -> Result<Measured> {
    let prompts = Prompts::new(vlm.config(), 1, TEXT)?;
    let took = best(1, repeats, || answer(vlm, &prompts, 64))?;
    Ok(Measured::new("generate_api_64_tokens_b1", took, Unit::PerSecond(64, "tokens")))
}

fn answer(vlm: &Vlm, prompts: &Prompts, tokens: usize) -> Result<()> {
    let images = vlm.encode_images(&prompts.pixels, &prompts.grids)?;
    let options = GenerateOptions { max_new_tokens: tokens, ..GenerateOptions::default() };
    let batch = prompts.batch(vlm.config())?;
    black_box(vlm.generate(&batch, Some(&images), &options, &mut greedy, &mut |_| Flow::Continue)?);
    Ok(())
}

/// `decode_b1`, `decode_b8`: greedy steps behind the prefill of `rows` prompts, each with its own picture; only the steps
/// are timed.
pub fn decode(vlm: &Vlm, rows: usize, steps: usize, repeats: usize) -> Result<Measured> {
    let prompts = Prompts::new(vlm.config(), rows, TEXT)?;
    let images = vlm.encode_images(&prompts.pixels, &prompts.grids)?;
    let batch = prompts.batch(vlm.config())?;
    let took = best_lap(1, repeats, || timed_steps(vlm, &batch, Some(&images), steps))?;
    Ok(Measured::new(format!("decode_b{rows}"), took, Unit::PerSecond(rows * steps, "tokens")))
}

/// Time from the first token of the last row, which ends the prefill, to the end.
fn timed_steps(vlm: &Vlm, batch: &Batch, images: Option<&ImageFeatures>, steps: usize) -> Result<super::clock::Lap> {
    let options = GenerateOptions { max_new_tokens: steps + 1, ..GenerateOptions::default() };
    let mut watch = Watch::start();
    black_box(vlm.generate(batch, images, &options, &mut greedy, &mut |token| {
        if token.index == 0 {
            watch = Watch::start();
        }
        Flow::Continue
    })?);
    Ok(watch.lap())
}

/// `rollouts_8x64`: eight sampled continuations (temperature 1) of exactly 64 tokens behind one prompt of 427, its
/// picture included.
pub fn rollouts(vlm: &Vlm, repeats: usize) -> Result<Measured> {
    let prompts = rollout_prompt(vlm)?;
    let took = best(1, repeats, || {
        let images = vlm.encode_images(&prompts.pixels, &prompts.grids)?;
        black_box(roll(vlm, &prompts, &images)?);
        Ok(())
    })?;
    Ok(Measured::new("rollouts_8x64", took, Unit::PerSecond(GROUP * ROLLOUT_TOKENS, "tokens")))
}

/// The prompt of rollouts.
pub fn rollout_prompt(vlm: &Vlm) -> Result<Prompts> {
    Prompts::new(vlm.config(), 1, ROLLOUT_TEXT)
}

/// The continuations of a rollout.
pub fn roll(vlm: &Vlm, prompts: &Prompts, images: &ImageFeatures) -> Result<Vec<Generated>> {
    let options = GenerateOptions { samples: GROUP, max_new_tokens: ROLLOUT_TOKENS, ..GenerateOptions::default() };
    let batch = prompts.batch(vlm.config())?;
    let mut chooser = sampler(&prompts.ids[0]);
    vlm.generate(&batch, Some(images), &options, &mut *chooser, &mut |_| Flow::Continue)
}

/// Draws each row from a stream of its own.
fn sampler(prompt: &[u32]) -> Box<dyn Choose> {
    let sampling = SamplingParams { do_sample: true, ..SamplingParams::default() };
    let mut streams: Vec<Stream> = (0..GROUP as u64).map(|row| Stream::new(row, "rollout")).collect();
    let mut contexts = vec![prompt.to_vec(); GROUP];
    Box::new(move |row: usize, logits: &mut [f32]| {
        let choice = sampling.choose(logits, &contexts[row], &mut streams[row])?;
        contexts[row].push(choice.token);
        Ok(choice.token)
    })
}

/// `text_prefill_256` and `text_decode_24`, without a picture: what llama.cpp's own measurements do.
pub fn text(vlm: &Vlm, repeats: usize) -> Result<Vec<Measured>> {
    let ids = plain(vlm.config(), 256, &mut Stream::new(1, "text"));
    let batch = Batch::left_padded(vlm.config(), &[Row::text(&ids)], 0)?;
    let options = GenerateOptions { max_new_tokens: 1, ..GenerateOptions::default() };
    let prefill = best(1, repeats, || {
        black_box(vlm.generate(&batch, None, &options, &mut greedy, &mut |_| Flow::Continue)?);
        Ok(())
    })?;
    let decode = best_lap(1, repeats, || timed_steps(vlm, &batch, None, 24))?;
    Ok(vec![
        Measured::new("text_prefill_256", prefill, Unit::PerSecond(256, "tokens")),
        Measured::new("text_decode_24", decode, Unit::PerSecond(24, "tokens")),
    ])
}
