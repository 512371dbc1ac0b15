//! Asking a planner: one question or a batch of them, once or several times, greedy or sampled, streamed or not.

use super::planner::{Planner, Question};
use crate::{
    error::{Failure, Result},
    streams::Stream,
    vlm::{
        Batch, Flow, GenerateOptions, ImageFeatures, Row, Visual,
        encode::Encoded,
        generate::Finish,
        processor::Pixels,
        sampling::{Sampler, SamplingParams},
        stream::Detokenizer,
    },
};
use std::time::Instant;

/// How answers are drawn.
#[derive(Debug, Clone)]
pub struct Decoding {
    /// Penalty, temperature, top-k, top-p, min-p.
    pub sampling: SamplingParams,
    /// Most tokens an answer may have.
    pub max_new_tokens: usize,
    /// Seed of the draws; row `i` of a batch has a stream of its own.
    pub seed: u64,
}

impl Decoding {
    /// The most probable token each time.
    pub fn greedy(max_new_tokens: usize) -> Self {
        Decoding { sampling: SamplingParams::default(), max_new_tokens, seed: 0 }
    }
}

/// One answer.
#[derive(Debug, Clone)]
pub struct Completion {
    /// The text without special tokens.
    pub text: String,
    /// Token ids, the one that ended it included.
    pub ids: Vec<u32>,
    /// Log-probability of each token under the model at temperature 1.
    pub logps: Vec<f32>,
    /// Whether it ran into `max_new_tokens`.
    pub cut: bool,
    /// Whether the one who listened stopped it.
    pub stopped: bool,
    /// Wall seconds of the call that made it.
    pub seconds: f64,
}

/// A question as the model sees it: its ids, and its pictures already through the vision tower, so that asking it again
/// (samples, the probabilities of the labels) does not pay for them twice.
pub struct Seen {
    /// The prompt.
    pub encoded: Encoded,
    /// Features of its pictures.
    pub images: Option<ImageFeatures>,
    batch: Batch,
}

impl Planner {
    /// Encodes a question and its pictures.
    ///
    /// # Errors
    /// Encoding and device trouble.
    pub fn see(&self, question: &Question) -> Result<Seen> {
        self.see_encoded(self.encode(question)?)
    }

    /// [`Self::see`] of a question that is encoded already.
    ///
    /// # Errors
    /// Device trouble.
    pub fn see_encoded(&self, encoded: Encoded) -> Result<Seen> {
        let (batch, images) = self.batch(&[&encoded])?;
        Ok(Seen { encoded, images, batch })
    }

    /// Answers one question; `on_text` gets every finished piece of text and may stop by returning false.
    ///
    /// # Errors
    /// Encoding and device trouble.
    pub fn ask(
        &self,
        question: &Question,
        decoding: &Decoding,
        on_text: &mut dyn FnMut(&str) -> bool,
    ) -> Result<Completion> {
        self.ask_seen(&self.see(question)?, decoding, on_text)
    }

    /// [`Self::ask`] of what was already encoded.
    ///
    /// # Errors
    /// Device trouble.
    pub fn ask_seen(
        &self,
        seen: &Seen,
        decoding: &Decoding,
        on_text: &mut dyn FnMut(&str) -> bool,
    ) -> Result<Completion> {
        let mut stream = Detokenizer::new(&self.encoder.tokenizer, true);
        let mut completions = self.draw(seen, &[decoding.seed], decoding, &mut |_, id| {
            let piece = stream.push(id);
            piece.is_empty() || on_text(&piece)
        })?;
        let rest = stream.finish();
        if !rest.is_empty() {
            on_text(&rest);
        }
        Ok(completions.remove(0))
    }

    /// One answer per seed to the same question, as one batch over one prefilled prompt.
    ///
    /// # Errors
    /// Device trouble.
    pub fn draw(
        &self,
        seen: &Seen,
        seeds: &[u64],
        decoding: &Decoding,
        on_token: &mut dyn FnMut(usize, u32) -> bool,
    ) -> Result<Vec<Completion>> {
        self.continued(&[&seen.encoded], &seen.batch, seen.images.as_ref(), seeds, decoding, on_token)
    }

    /// Answers several encoded questions as one batch; `seeds` has one seed a row, or the same number for every row:
    /// then so many answers a row, in order.
    ///
    /// # Errors
    /// Device trouble.
    pub fn generate(
        &self,
        rows: &[&Encoded],
        seeds: &[u64],
        decoding: &Decoding,
        on_token: &mut dyn FnMut(usize, u32) -> bool,
    ) -> Result<Vec<Completion>> {
        let (batch, images) = self.batch(rows)?;
        self.continued(rows, &batch, images.as_ref(), seeds, decoding, on_token)
    }

    fn continued(
        &self,
        rows: &[&Encoded],
        batch: &Batch,
        images: Option<&ImageFeatures>,
        seeds: &[u64],
        decoding: &Decoding,
        on_token: &mut dyn FnMut(usize, u32) -> bool,
    ) -> Result<Vec<Completion>> {
        let begin = Instant::now();
        if seeds.is_empty() || !seeds.len().is_multiple_of(rows.len()) {
            return Err(Failure::usage(format!("{} seeds cannot serve {} questions", seeds.len(), rows.len())));
        }
        let samples = seeds.len() / rows.len();
        let tokenizer = &self.encoder.tokenizer;
        let contexts = (0..seeds.len()).map(|row| rows[row / samples].ids.clone());
        let streams = seeds.iter().map(|seed| Stream::new(*seed, "answer"));
        let mut sampler = Sampler::new(decoding.sampling.clone(), contexts.zip(streams));
        let options = GenerateOptions {
            samples,
            max_new_tokens: decoding.max_new_tokens,
            eos: tokenizer.eos().to_vec(),
            ..GenerateOptions::default()
        };
        let done = self.vlm.generate(batch, images, &options, &mut sampler, &mut |token| {
            let visible = !options.eos.contains(&token.id);
            if !visible || on_token(token.row, token.id) { Flow::Continue } else { Flow::StopRow }
        })?;
        let seconds = begin.elapsed().as_secs_f64();
        let completion = |row: crate::vlm::Generated| Completion {
            text: tokenizer.decode(&row.ids, true),
            cut: row.finish == Finish::Length,
            stopped: row.finish == Finish::Stopped,
            ids: row.ids,
            logps: row.logps,
            seconds,
        };
        Ok(done.into_iter().map(completion).collect())
    }

    /// A left-padded batch with its image features (encoded without gradients).
    ///
    /// # Errors
    /// Device trouble.
    pub fn batch(&self, rows: &[&Encoded]) -> Result<(Batch, Option<ImageFeatures>)> {
        let visuals: Vec<Vec<Visual>> =
            rows.iter().map(|row| row.grids.iter().map(|grid| Visual::image(*grid)).collect()).collect();
        let model_rows: Vec<Row> =
            rows.iter().zip(&visuals).map(|(row, visuals)| Row::new(&row.ids, visuals)).collect();
        let batch = Batch::left_padded(self.vlm.config(), &model_rows, self.encoder.tokenizer.pad())?;
        // The pictures of a row go through the tower alone: its answer must not depend on its neighbours by rounding.
        let mut features = Vec::new();
        for row in rows {
            if let Some((values, grids)) = Pixels::concat(&row.pixels)? {
                features.push(self.vlm.frozen()?.encode_images(&values, &grids)?);
            }
        }
        let images = match &features[..] {
            [] => None,
            [one] => Some(one.clone()),
            all => Some(ImageFeatures::concat(&all.iter().collect::<Vec<_>>())?),
        };
        Ok((batch, images))
    }
}
