//! Generation: each prompt is prefilled alone and once, then all rows of all prompts take one token per step; finished
//! rows leave. A row's tokens depend on its prompt and its chooser only, not on the rows beside it: same bits.
//!
//! How a token is chosen is the caller's: [`Choose`] gets the f32 logits of a row and may change them (penalties,
//! temperature, cuts). The log-probability recorded beside each token is that of the *unchanged* logits divided by
//! `logp_temperature`, which is what a policy-gradient update needs.

use super::{
    batch::Batch,
    cache::KvCache,
    model::ImageFeatures,
    model::Vlm,
    ops::{self, host},
    sampling::argmax,
    score::Targets,
};
use crate::error::{Failure, Result};
use candle_core::{Device, Tensor};

/// Picks the next token of a row from its logits (`V` values, free to be overwritten).
pub trait Choose {
    /// `row` is the row of the results: prompt `row / samples`, sample `row % samples`.
    fn choose(&mut self, row: usize, logits: &mut [f32]) -> Result<u32>;
}

impl<F: FnMut(usize, &mut [f32]) -> Result<u32>> Choose for F {
    fn choose(&mut self, row: usize, logits: &mut [f32]) -> Result<u32> {
        self(row, logits)
    }
}

/// The most probable token, the first of equals.
pub fn greedy(_row: usize, logits: &mut [f32]) -> Result<u32> {
    if logits.iter().fold(false, |bad, x| bad | x.is_nan()) {
        return Err(Failure::device("a logit is not a number; the weights or the input are broken"));
    }
    Ok(argmax(logits) as u32)
}

/// How much to generate.
#[derive(Debug, Clone)]
pub struct GenerateOptions {
    /// Continuations per prompt; the prompt is prefilled once for all of them.
    pub samples: usize,
    /// Most tokens per row.
    pub max_new_tokens: usize,
    /// Tokens before which no eos id can be chosen.
    pub min_new_tokens: usize,
    /// Ids that end a row; the id itself is kept.
    pub eos: Vec<u32>,
    /// Temperature of the recorded log-probabilities.
    pub logp_temperature: f64,
}

impl Default for GenerateOptions {
    fn default() -> Self {
        GenerateOptions { samples: 1, max_new_tokens: 256, min_new_tokens: 0, eos: Vec::new(), logp_temperature: 1. }
    }
}

/// One new token, as given to the callback.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Token {
    /// Row of the results.
    pub row: usize,
    /// Index among the row's new tokens.
    pub index: usize,
    /// The token.
    pub id: u32,
    /// Its log-probability.
    pub logp: f32,
}

/// What the callback wants next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// Go on.
    Continue,
    /// End this row.
    StopRow,
    /// End all rows.
    StopAll,
}

/// Why a row ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    /// An eos id.
    Eos,
    /// `max_new_tokens`.
    Length,
    /// The callback.
    Stopped,
}

/// The new tokens of one row.
#[derive(Debug, Clone, PartialEq)]
pub struct Generated {
    /// New ids, the eos included.
    pub ids: Vec<u32>,
    /// Log-probability of each.
    pub logps: Vec<f32>,
    /// Why it ended.
    pub finish: Finish,
}

impl Vlm {
    /// Continues every row of a batch, padded or not; `samples` results per row, in order.
    ///
    /// # Errors
    /// No samples, a temperature that is not above 0, image features that do not fit, or what the chooser reports.
    pub fn generate(
        &self,
        batch: &Batch,
        images: Option<&ImageFeatures>,
        options: &GenerateOptions,
        chooser: &mut dyn Choose,
        on_token: &mut dyn FnMut(Token) -> Flow,
    ) -> Result<Vec<Generated>> {
        let model = self.frozen()?;
        let empty = Generated { ids: Vec::new(), logps: Vec::new(), finish: Finish::Length };
        let (samples, temperature) = (options.samples, options.logp_temperature);
        let mut out = vec![empty; batch.rows * samples];
        if options.max_new_tokens == 0 {
            return Ok(out);
        }
        if samples == 0 || !(temperature > 0. && temperature.is_finite()) {
            let given = format!("samples {samples}, temperature {temperature}");
            return Err(Failure::usage(format!("generation needs a sample and a temperature above 0, got {given}")));
        }
        let (mut cache, last) = model.prefill(batch, images)?;
        let prompts: Vec<usize> = (0..out.len()).map(|row| row / samples).collect();
        cache.fork(&prompts, options.max_new_tokens - 1)?; // the last token is never fed back
        let mut logits = model.logits(&last)?;
        // The row of the logits that each active row reads: at first that of its prompt.
        let (mut active, mut reads): (Vec<usize>, _) = ((0..out.len()).collect(), prompts);
        let mut scratch = vec![0f32; model.config().text.vocab_size];
        for step in 0..options.max_new_tokens {
            let (mut keep, mut next, mut stop_all) = (Vec::new(), Vec::new(), false);
            let on_host = logits.to_device(&Device::Cpu)?.contiguous()?;
            let all = host::view(&on_host)?;
            for (slot, (row, reads)) in active.iter().zip(&reads).enumerate() {
                let logits = &all[reads * scratch.len()..][..scratch.len()];
                scratch.copy_from_slice(logits);
                if step < options.min_new_tokens {
                    for id in &options.eos {
                        if let Some(logit) = scratch.get_mut(*id as usize) {
                            *logit = f32::NEG_INFINITY;
                        }
                    }
                }
                let id = chooser.choose(*row, &mut scratch)?;
                let Some(logit) = logits.get(id as usize) else {
                    return Err(Failure::usage(format!("token {id} was chosen; the model knows {}", logits.len())));
                };
                let logp = (f64::from(*logit) / temperature - ops::log_sum_exp(logits, temperature)) as f32;
                out[*row].ids.push(id);
                out[*row].logps.push(logp);
                let flow = on_token(Token { row: *row, index: step, id, logp });
                if options.eos.contains(&id) {
                    out[*row].finish = Finish::Eos;
                } else if flow != Flow::Continue {
                    out[*row].finish = Finish::Stopped;
                } else {
                    keep.push(slot);
                    next.push(id);
                }
                stop_all |= flow == Flow::StopAll;
            }
            if stop_all {
                keep.iter().for_each(|slot| out[active[*slot]].finish = Finish::Stopped);
                break;
            }
            if keep.is_empty() || step + 1 == options.max_new_tokens {
                break;
            }
            if keep.len() < active.len() {
                cache.keep(&keep);
                active = keep.iter().map(|slot| active[*slot]).collect();
            }
            let position = |row: &usize| (batch.lens[row / samples] + step) as i64 + batch.deltas[row / samples];
            let at: Vec<i64> = active.iter().map(position).collect();
            let rows: Vec<&[u32]> = next.iter().map(std::slice::from_ref).collect();
            let tokens = Batch::continuing(model.config(), &rows, &at)?;
            logits = model.logits(&model.forward(&tokens, None, Some(&mut cache), None)?)?;
            reads = (0..active.len()).collect();
        }
        Ok(out)
    }

    /// A cache that holds every row of a batch as a prompt, each computed alone, and their last hidden states
    /// `(B, 1, H)`.
    fn prefill(&self, batch: &Batch, images: Option<&ImageFeatures>) -> Result<(KvCache, Tensor)> {
        let have = images.map_or(Ok(0), |images| images.embeds.dim(0))?;
        if have != batch.visual.len() {
            let places = batch.visual.len();
            return Err(Failure::data(format!("the batch has places for {places} image tokens, {have} were encoded")));
        }
        let mut cache = KvCache::new(&self.config().text, self.dtype(), self.device());
        let (mut last, mut used) = (Vec::with_capacity(batch.rows), 0);
        for row in 0..batch.rows {
            let prompt = batch.row(row);
            let count = prompt.visual.len();
            let images = images.filter(|_| count > 0).map(|images| images.narrow(used, count)).transpose()?;
            used += count;
            let hidden = self.forward(&prompt, images.as_ref(), Some(&mut cache), None)?;
            last.push(hidden.narrow(1, prompt.width - 1, 1)?);
        }
        Ok((cache, Tensor::cat(&last, 0)?))
    }

    /// Log-probabilities of each token of several continuations of one prompt (a batch of one row), computed once for all.
    ///
    /// # Errors
    /// When the batch holds more than one row or a continuation is empty.
    pub fn continuation_logps(
        &self,
        prompt: &Batch,
        images: Option<&ImageFeatures>,
        continuations: &[Vec<u32>],
        temperature: f64,
    ) -> Result<Vec<Vec<f32>>> {
        if continuations.is_empty() {
            return Ok(Vec::new());
        }
        let model = self.frozen()?;
        let tails: Vec<&[u32]> = continuations.iter().map(Vec::as_slice).collect();
        let batch = Batch::packed(model.config(), prompt, &tails)?;
        let targets = Targets::tails(&batch);
        let hidden = model.forward(&batch, images, None, None)?;
        let (logps, _) = model.token_logps(&hidden, &targets.rows, &targets.ids, temperature)?;
        let mut logps = logps.to_vec1::<f32>()?.into_iter();
        Ok(targets.per_row.iter().map(|count| logps.by_ref().take(*count).collect()).collect())
    }
}
