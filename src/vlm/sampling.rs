//! From the logits of one position to a token: penalties and filters in the order of the reference (repetition
//! penalty, n-gram ban, temperature, top-k, top-p, min-p), then the largest or a draw from a named random stream.
//!
//! The log-probability that is returned is that of the raw logits divided by the temperature, which is what policy
//! gradients differentiate (TRL), not that of the filtered distribution. NaN and +infinity are errors.

use crate::{
    error::{Failure, Result},
    streams::Stream,
};
use serde::{Deserialize, Serialize};

mod filters;

pub use filters::{argmax, probabilities};

use super::{
    generate::Choose,
    ops::{largest, log_sum_exp},
};
use filters::{ban_repeats, draw, keep_min_p, keep_top_k, keep_top_p, penalise};

/// How a token is chosen; the names are those of `generation_config.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SamplingParams {
    /// Draw (true) or take the largest logit (false). Penalties apply to both, the rest to drawing only.
    pub do_sample: bool,
    /// Divides the logits.
    pub temperature: f64,
    /// Keeps the k largest logits and what equals the last of them; 0 keeps all.
    pub top_k: usize,
    /// Keeps the smallest set of tokens that holds this much probability, at least one token; 1 keeps all.
    pub top_p: f64,
    /// Drops tokens below this part of the largest probability; 0 keeps all.
    pub min_p: f64,
    /// Divides positive and multiplies negative logits of every id of prompt and completion, each once; 1 is off.
    pub repetition_penalty: f64,
    /// Bans tokens that would repeat an n-gram of prompt and completion; 0 is off.
    pub no_repeat_ngram_size: usize,
}

impl Default for SamplingParams {
    fn default() -> Self {
        SamplingParams {
            do_sample: false,
            temperature: 1.,
            top_k: 0,
            top_p: 1.,
            min_p: 0.,
            repetition_penalty: 1.,
            no_repeat_ngram_size: 0,
        }
    }
}

/// What a model folder says about generation.
#[derive(Debug, Clone, PartialEq)]
pub struct GenerationConfig {
    /// How tokens are chosen.
    pub sampling: SamplingParams,
    /// Ids that end a completion.
    pub eos_token_id: Vec<u32>,
    /// Id that fills rows.
    pub pad_token_id: Option<u32>,
    /// Limit of new tokens, when the file has one.
    pub max_new_tokens: Option<usize>,
}

impl GenerationConfig {
    /// Reads the content of a `generation_config.json`. Unknown keys are ignored (the file has dozens), missing and null
    /// ones take the library's defaults: top-k 50, everything else off.
    pub fn from_json(config: &serde_json::Value) -> Result<Self> {
        let Some(object) = config.as_object() else {
            return Err(Failure::data("generation_config.json: expected an object"));
        };
        let known = |key: &str| object.get(key).filter(|value| !value.is_null());
        let wrong = |key: &str, value: &serde_json::Value, want: &str| {
            Failure::data(format!("generation_config.json: {key} is {value}, expected {want}"))
        };
        let number = |key: &str, default: f64| match known(key) {
            None => Ok(default),
            Some(value) => value.as_f64().ok_or_else(|| wrong(key, value, "a number")),
        };
        let count = |key: &str| match known(key) {
            None => Ok(None),
            Some(value) => match value.as_u64() {
                Some(n) => Ok(Some(n as usize)),
                None => Err(wrong(key, value, "a whole number")),
            },
        };
        let id = |key: &str, value: &serde_json::Value| {
            let id = value.as_u64().and_then(|id| u32::try_from(id).ok());
            id.ok_or_else(|| wrong(key, value, "a token id or a list of them"))
        };
        let ids = |key: &str| match known(key) {
            None => Ok(Vec::new()),
            Some(serde_json::Value::Array(list)) => list.iter().map(|value| id(key, value)).collect(),
            Some(value) => id(key, value).map(|id| vec![id]),
        };
        let do_sample = match known("do_sample") {
            None => false,
            Some(value) => value.as_bool().ok_or_else(|| wrong("do_sample", value, "true or false"))?,
        };
        let sampling = SamplingParams {
            do_sample,
            temperature: number("temperature", 1.)?,
            top_k: count("top_k")?.unwrap_or(50),
            top_p: number("top_p", 1.)?,
            min_p: number("min_p", 0.)?,
            repetition_penalty: number("repetition_penalty", 1.)?,
            no_repeat_ngram_size: count("no_repeat_ngram_size")?.unwrap_or(0),
        };
        sampling.check().map_err(|e| Failure::data(e.message).context("generation_config.json"))?;
        Ok(GenerationConfig {
            sampling,
            eos_token_id: ids("eos_token_id")?,
            pad_token_id: ids("pad_token_id")?.first().copied(),
            max_new_tokens: count("max_new_tokens")?,
        })
    }
}

impl SamplingParams {
    /// Fails on a value out of range, naming it.
    pub fn check(&self) -> Result<()> {
        let rule = |ok: bool, name: &str, value: f64, allowed: &str| match ok {
            true => Ok(()),
            false => Err(Failure::usage(format!("{name} must be {allowed}, got {value}"))),
        };
        let positive = |x: f64| x.is_finite() && x > 0.;
        let hint = "positive; for greedy decoding use do_sample = false";
        rule(positive(self.temperature), "temperature", self.temperature, hint)?;
        rule((0. ..=1.).contains(&self.top_p), "top_p", self.top_p, "between 0 and 1")?;
        rule((0. ..=1.).contains(&self.min_p), "min_p", self.min_p, "between 0 and 1")?;
        rule(positive(self.repetition_penalty), "repetition_penalty", self.repetition_penalty, "positive")
    }

    /// The logits after penalties and, when drawing, the filters; what is excluded is negative infinity. `context` holds
    /// the ids of prompt and completion so far.
    pub fn process(&self, logits: &[f32], context: &[u32]) -> Result<Vec<f32>> {
        let mut scores = logits.to_vec();
        self.apply(&mut scores, context)?;
        Ok(scores)
    }

    /// [`Self::process`] in place.
    fn apply(&self, scores: &mut [f32], context: &[u32]) -> Result<()> {
        self.check()?;
        check_logits(scores)?;
        if self.repetition_penalty != 1. {
            penalise(scores, context, self.repetition_penalty as f32);
        }
        if self.no_repeat_ngram_size > 0 {
            ban_repeats(scores, context, self.no_repeat_ngram_size);
        }
        if self.do_sample {
            if self.temperature != 1. {
                scores.iter_mut().for_each(|s| *s /= self.temperature as f32);
            }
            if self.top_k > 0 {
                keep_top_k(scores, self.top_k);
            }
            if self.top_p < 1. {
                keep_top_p(scores, self.top_p);
            }
            if self.min_p > 0. {
                keep_min_p(scores, self.min_p);
            }
        }
        if largest(scores) == f32::NEG_INFINITY {
            return Err(Failure::device("every token is excluded").hint("lower no_repeat_ngram_size"));
        }
        Ok(())
    }

    /// Chooses a token and leaves the processed scores behind. The stream advances by one draw when `do_sample`, never
    /// otherwise.
    pub fn pick(&self, logits: &mut [f32], context: &[u32], stream: &mut Stream) -> Result<u32> {
        self.apply(logits, context)?;
        Ok(if self.do_sample { draw(logits, stream.uniform()) } else { argmax(logits) } as u32)
    }

    /// [`Self::pick`] that keeps the logits and also says how likely the token was.
    pub fn choose(&self, logits: &[f32], context: &[u32], stream: &mut Stream) -> Result<Choice> {
        let token = self.pick(&mut logits.to_vec(), context, stream)?;
        let temperature = if self.do_sample { self.temperature } else { 1. };
        let logp = f64::from(logits[token as usize]) / temperature - log_sum_exp(logits, temperature);
        Ok(Choice { token, logp: logp as f32 })
    }
}

/// Draws for the rows of a batch: each row has its own tokens so far and its own random stream, so what it draws does
/// not depend on the rows beside it.
#[derive(Debug, Clone)]
pub struct Sampler {
    params: SamplingParams,
    rows: Vec<(Vec<u32>, Stream)>,
}

impl Sampler {
    /// `rows` holds the prompt's ids and the random stream of each row of the results.
    pub fn new(params: SamplingParams, rows: impl IntoIterator<Item = (Vec<u32>, Stream)>) -> Self {
        Sampler { params, rows: rows.into_iter().collect() }
    }
}

impl Choose for Sampler {
    fn choose(&mut self, row: usize, logits: &mut [f32]) -> Result<u32> {
        let count = self.rows.len();
        let Some((context, stream)) = self.rows.get_mut(row) else {
            return Err(Failure::usage(format!("row {row} has no random stream, there are {count}")));
        };
        let token = self.params.pick(logits, context, stream)?;
        context.push(token);
        Ok(token)
    }
}

/// The random numbers of the `sample`-th continuation of a prompt, named by what it is and not by its place in a batch.
pub fn rollout_stream(seed: u64, prompt: &str, sample: usize) -> Stream {
    Stream::new(seed, &format!("rollout.{prompt}.{sample}"))
}

/// A chosen token.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Choice {
    /// Its id.
    pub token: u32,
    /// Its log-probability under the raw logits divided by the temperature (1 when greedy).
    pub logp: f32,
}

/// Fails on an empty row, NaN or +infinity, naming the first such token.
fn check_logits(logits: &[f32]) -> Result<()> {
    let bad = |x: &f32| x.is_nan() | (*x == f32::INFINITY);
    // One pass without branches first: it is vectorised, a search is not.
    let any = logits.iter().fold(false, |any, x| any | bad(x));
    match if any { logits.iter().position(bad) } else { None } {
        Some(at) => Err(Failure::device(format!("the logit of token {at} is {}", logits[at]))
            .hint("the weights or the image are damaged, or training diverged: go back to an earlier checkpoint")),
        None if logits.is_empty() => Err(Failure::device("no logits to choose from")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn greedy_takes_the_first_of_equals() {
        let mut stream = Stream::new(1, "test");
        let choice = SamplingParams::default().choose(&[1., 3., 3., -1.], &[], &mut stream).unwrap();
        assert_eq!((choice.token, &stream), (1, &Stream::new(1, "test")), "nothing was drawn");
        let e = std::f64::consts::E;
        assert!((choice.logp as f64 + (2. + e.powi(-2) + e.powi(-4)).ln()).abs() < 1e-6);
    }

    #[test]
    fn greedy_feels_the_penalty_each_id_once() {
        let params = SamplingParams { repetition_penalty: 2., ..Default::default() };
        assert_eq!(params.process(&[4., -1., 3.], &[0, 0, 1, 0, 99]).unwrap(), [2., -2., 3.]);
        assert_eq!(params.choose(&[4., -1., 3.], &[0], &mut Stream::new(1, "")).unwrap().token, 2);
    }

    /// Draws follow the distribution: chi-square with 3 degrees of freedom stays below its 0.999 quantile.
    #[test]
    fn draws_follow_the_distribution() {
        let logits = [0.1f32, 2., -1., 0.7];
        let params = SamplingParams { do_sample: true, temperature: 1.5, ..Default::default() };
        let mut stream = Stream::new(7, "chi");
        let (n, mut counts) = (20_000, [0f64; 4]);
        for _ in 0..n {
            counts[params.choose(&logits, &[], &mut stream).unwrap().token as usize] += 1.;
        }
        let expected = probabilities(&logits.map(|x| x / 1.5));
        let chi: f64 = counts.iter().zip(&expected).map(|(c, p)| (c - p * n as f64).powi(2) / (p * n as f64)).sum();
        assert!(chi < 16.27, "{chi} {counts:?}");
    }

    #[test]
    fn bad_logits_and_settings_are_errors() {
        let mut stream = Stream::new(1, "");
        let params = SamplingParams { do_sample: true, ..Default::default() };
        for logits in [&[1., f32::NAN][..], &[1., f32::INFINITY], &[], &[f32::NEG_INFINITY; 2]] {
            assert!(params.choose(logits, &[], &mut stream).is_err(), "{logits:?}");
        }
        assert_eq!(params.choose(&[f32::NEG_INFINITY, 0.], &[], &mut stream).unwrap().token, 1);
        for bad in [
            SamplingParams { temperature: 0., ..Default::default() },
            SamplingParams { top_p: 1.5, ..Default::default() },
            SamplingParams { min_p: f64::NAN, ..Default::default() },
            SamplingParams { repetition_penalty: -1., ..Default::default() },
        ] {
            assert!(bad.check().is_err(), "{bad:?}");
        }
        let all = SamplingParams { no_repeat_ngram_size: 1, ..Default::default() };
        assert!(all.process(&[1., 2.], &[0, 1]).is_err());
    }

    #[test]
    fn extreme_filters_keep_one() {
        for params in [
            SamplingParams { do_sample: true, top_p: 0., ..Default::default() },
            SamplingParams { do_sample: true, top_k: 1, ..Default::default() },
            SamplingParams { do_sample: true, min_p: 1., ..Default::default() },
        ] {
            let scores = params.process(&[0., 2., 1.], &[]).unwrap();
            assert_eq!(scores, [f32::NEG_INFINITY, 2., f32::NEG_INFINITY], "{params:?}");
        }
        // All equal: top-p drops the first ones.
        let params = SamplingParams { do_sample: true, top_p: 0.5, ..Default::default() };
        assert_eq!(params.process(&[1.; 4], &[]).unwrap()[..2], [f32::NEG_INFINITY; 2]);
    }

    #[test]
    fn reads_generation_config() {
        let json = |text: &str| GenerationConfig::from_json(&serde_json::from_str(text).unwrap());
        let config = json(
            r#"{"do_sample": true, "eos_token_id": [3, 4], "pad_token_id": 4, "temperature": 0.7, "top_k": 20,
                "top_p": null, "repetition_penalty": 1.05, "transformers_version": "5.23.0"}"#,
        )
        .unwrap();
        assert_eq!((config.eos_token_id, config.pad_token_id), (vec![3, 4], Some(4)));
        assert_eq!((config.sampling.top_k, config.sampling.top_p), (20, 1.));
        assert_eq!(json(r#"{"eos_token_id": 3}"#).unwrap().eos_token_id, [3]);
        assert_eq!(json("{}").unwrap().sampling.top_k, 50);
        for bad in [r#"{"temperature": "hot"}"#, r#"{"eos_token_id": [-1]}"#, r#"{"top_p": 2}"#, "[]"] {
            assert!(json(bad).is_err(), "{bad}");
        }
    }
}
