//! Prompts and the answers sampled to them. Each prompt is prefilled once for all its answers; all answers of a step are
//! sampled as one batch, and each draws from a random stream named after its step and place, so that an answer depends
//! on the weights and its own name only.

use crate::{
    error::Result,
    policy::{Planner, Question},
    train::{
        examples::pictures,
        features::{Features, Seen},
        reference::{Reference, Shown},
    },
    vlm::{
        Batch, Flow, GenerateOptions, ImageFeatures, Row, Visual,
        generate::Finish,
        processor::Pixels,
        sampling::{Sampler, SamplingParams, rollout_stream},
    },
};
use data::Sample;
use rewards::Score;

/// A prompt as the model sees it.
pub struct Prompt<'a> {
    /// Where it comes from.
    pub sample: &'a Sample,
    /// Token ids, T.
    pub ids: Vec<u32>,
    /// Grid of each picture.
    pub grids: Vec<[usize; 3]>,
    /// Patches, where the vision tower is trained.
    pub pixels: Vec<Pixels>,
    /// Picture features under the weights of now, without gradients.
    pub images: Option<ImageFeatures>,
}

/// A sampled answer and what is known about it by the end of a step.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    /// Token ids, the one that ended it included.
    pub ids: Vec<u32>,
    /// Log-probability of each when it was sampled, under `softmax(logits / temperature)` before any filter.
    pub logps: Vec<f32>,
    /// The same in the first update pass.
    pub old: Option<Vec<f32>>,
    /// The same under the reference policy, where there is one.
    pub reference: Option<Vec<f32>>,
    /// The text without special tokens.
    pub text: String,
    /// Whether it ran into the length limit.
    pub cut: bool,
    /// Score of each reward, `None` where it does not apply.
    pub scores: Vec<Option<Score>>,
    /// Their weighted sum.
    pub reward: f64,
    /// The reward compared with its group.
    pub advantage: f64,
}

/// A prompt and its answers.
pub struct Group<'a> {
    /// The prompt.
    pub prompt: Prompt<'a>,
    /// Its answers in sampling order.
    pub answers: Vec<Answer>,
}

impl Group<'_> {
    /// Gives every answer its log-probabilities under the reference.
    ///
    /// # Errors
    /// Device trouble.
    pub fn refer(&mut self, reference: &Reference, policy: &Planner, temperature: f64) -> Result<()> {
        let Prompt { ids, grids, pixels, images, .. } = &self.prompt;
        let shown = Shown { ids, grids, pixels, images: images.as_ref() };
        let answers: Vec<Vec<u32>> = self.answers.iter().map(|answer| answer.ids.clone()).collect();
        let logps = reference.logps(policy, &shown, &answers, temperature)?;
        self.answers.iter_mut().zip(logps).for_each(|(answer, logps)| answer.reference = Some(logps));
        Ok(())
    }
}

/// How answers are drawn.
#[derive(Debug, Clone)]
pub struct Sampling {
    /// Answers per prompt.
    pub generations: usize,
    /// Most tokens of an answer.
    pub max_new_tokens: usize,
    /// Tokens before which no answer ends.
    pub min_new_tokens: usize,
    /// Temperature and filters.
    pub params: SamplingParams,
    /// Seed of the draws.
    pub seed: u64,
}

impl<'a> Prompt<'a> {
    /// Prompts of samples; pictures come from `features` where the tower is frozen, else they are read and encoded.
    ///
    /// # Errors
    /// Pictures that cannot be read, samples that ask nothing, device trouble.
    pub fn of(
        planner: &Planner,
        features: Option<&mut Features>,
        samples: &[&'a Sample],
        think: bool,
    ) -> Result<Vec<Self>> {
        match features {
            Some(features) => {
                let seen = features.of(planner, samples)?;
                samples.iter().zip(&seen).map(|(sample, seen)| Self::seen(planner, sample, seen, think)).collect()
            }
            None => samples.iter().map(|sample| Self::fresh(planner, sample, think)).collect(),
        }
    }

    fn seen(planner: &Planner, sample: &'a Sample, seen: &[Seen], think: bool) -> Result<Self> {
        let grids: Vec<[usize; 3]> = seen.iter().map(|s| s.grid).collect();
        let turns = planner.turns_of(sample, grids.len(), think)?;
        let layout = planner.encoder.prompt_layout(&turns, &grids);
        let layout = layout.map_err(|e| e.context(format!("sample {}", sample.id)))?;
        let parts: Vec<&ImageFeatures> = seen.iter().map(|s| &s.features).collect();
        let images = if parts.is_empty() { None } else { Some(ImageFeatures::concat(&parts)?) };
        Ok(Prompt { sample, ids: layout.ids, grids, pixels: Vec::new(), images })
    }

    fn fresh(planner: &Planner, sample: &'a Sample, think: bool) -> Result<Self> {
        let question: Question = planner.question_of(sample, pictures(sample)?, think)?;
        let encoded = planner.encode(&question).map_err(|e| e.context(format!("sample {}", sample.id)))?;
        let images = match Pixels::concat(&encoded.pixels)? {
            Some((values, grids)) => Some(planner.vlm.frozen()?.encode_images(&values, &grids)?),
            None => None,
        };
        Ok(Prompt { sample, ids: encoded.ids, grids: encoded.grids, pixels: encoded.pixels, images })
    }

    /// Its pictures as the batch knows them.
    pub fn visuals(&self) -> Vec<Visual> {
        self.grids.iter().map(|grid| Visual::image(*grid)).collect()
    }
}

/// Samples a group of answers to every prompt; the step and the place in it of the first prompt name the random streams.
///
/// # Errors
/// Logits that are not finite, device trouble.
pub fn sample<'a>(
    planner: &Planner,
    prompts: Vec<Prompt<'a>>,
    sampling: &Sampling,
    (step, first): (u64, u64),
) -> Result<Vec<Group<'a>>> {
    let tokenizer = &planner.encoder.tokenizer;
    let visuals: Vec<Vec<Visual>> = prompts.iter().map(Prompt::visuals).collect();
    let rows: Vec<Row> = prompts.iter().zip(&visuals).map(|(prompt, visuals)| Row::new(&prompt.ids, visuals)).collect();
    let batch = Batch::left_padded(planner.vlm.config(), &rows, tokenizer.pad())?;
    let images: Vec<&ImageFeatures> = prompts.iter().filter_map(|prompt| prompt.images.as_ref()).collect();
    let images = if images.is_empty() { None } else { Some(ImageFeatures::concat(&images)?) };
    let streams = (first..).zip(&prompts).flat_map(|(place, prompt)| {
        let name = format!("{step}.{place}");
        (0..sampling.generations).map(move |i| (prompt.ids.clone(), rollout_stream(sampling.seed, &name, i)))
    });
    let mut sampler = Sampler::new(sampling.params.clone(), streams);
    let options = GenerateOptions {
        samples: sampling.generations,
        max_new_tokens: sampling.max_new_tokens,
        min_new_tokens: sampling.min_new_tokens,
        eos: tokenizer.eos().to_vec(),
        logp_temperature: sampling.params.temperature,
    };
    let drawn = planner.vlm.generate(&batch, images.as_ref(), &options, &mut sampler, &mut |_| Flow::Continue)?;
    let mut answers = drawn.into_iter().map(|row| Answer {
        text: tokenizer.decode(&row.ids, true),
        cut: row.finish == Finish::Length,
        ids: row.ids,
        logps: row.logps,
        ..Answer::default()
    });
    let group = |prompt| Group { prompt, answers: answers.by_ref().take(sampling.generations).collect() };
    Ok(prompts.into_iter().map(group).collect())
}
