//! From a record to a row of training input: pictures are read and perhaps changed, the question is rendered in the
//! planner's own prompt, the answer gets labels. Evaluation, `data show` and the trainer all go through here, so what
//! is shown is what is trained.

use super::{augment, bend};
use crate::{
    error::{Failure, Result},
    policy::Planner,
    settings::Augment,
    streams::Stream,
    vlm::{
        Batch, ImageFeatures, Row, Targets, Visual, Vlm,
        encode::{Encoded, IGNORED, Unscored},
        image::{Loading, Rgb},
        processor::Pixels,
        prompt::Prompts,
    },
};
use candle_core::Tensor;
use data::{Content, Part, Role, Sample, Turn};
use rayon::prelude::*;
use std::collections::BTreeMap;

/// A conversation with its answer, and the bytes of the answer that carry no loss because that axis is not known.
#[derive(Debug, Clone)]
pub struct Lesson {
    /// Turns, the last of them the assistant's.
    pub turns: Vec<Turn>,
    /// Spans without loss.
    pub unscored: Vec<Unscored>,
}

/// One row of training input.
#[derive(Debug, Clone)]
pub struct Example {
    /// The sample's id.
    pub id: String,
    /// Ids, labels, patches.
    pub encoded: Encoded,
    /// Auxiliary classes.
    pub aux: BTreeMap<String, String>,
}

/// The conversation that teaches a sample; `None` when there is nothing to teach (no label on any axis, or a
/// conversation without an answer).
///
/// # Errors
/// A broken prompt template, a speed that is no number, a command of several lines.
pub fn lesson(prompts: &Prompts, sample: &Sample, think: bool) -> Result<Option<Lesson>> {
    let (ego, reasoning) = match &sample.content {
        Content::Conversation { turns } => {
            let taught = turns.iter().any(|turn| turn.role == Role::Assistant);
            return Ok(taught.then(|| Lesson { turns: turns.clone(), unscored: Vec::new() }));
        }
        Content::Planning { ego, reasoning } => (ego, reasoning.as_deref().filter(|_| think)),
    };
    let (speed, path) = (sample.labels.speed, sample.labels.path);
    if speed.is_none() && path.is_none() {
        return Ok(None);
    }
    let mut turns = prompts.plan_turns(ego, sample.images.len(), reasoning.is_some())?;
    let (text, unknown) = prompts.answer_known(reasoning, speed, path)?;
    let turn = turns.len();
    turns.push(Turn { role: Role::Assistant, parts: vec![Part::Text(text)] });
    Ok(Some(Lesson { turns, unscored: unknown.into_iter().map(|bytes| Unscored { turn, bytes }).collect() }))
}

/// Reads a sample's pictures.
///
/// # Errors
/// A missing or unreadable file, with the sample's id.
pub fn pictures(sample: &Sample) -> Result<Vec<Rgb>> {
    let loading = Loading::default();
    let read = |image| Rgb::from_record(image, &loading).map_err(|e| e.context(format!("sample {}", sample.id)));
    sample.images.iter().map(read).collect()
}

/// How samples become examples.
#[derive(Debug, Clone)]
pub struct Recipe {
    /// Teach reasoning where there is some.
    pub think: bool,
    /// Changes to pictures and labels.
    pub augment: Augment,
}

impl Recipe {
    /// Nothing changed.
    pub fn plain(think: bool) -> Self {
        Recipe { think, augment: Augment::default() }
    }

    /// Makes the example; `stream` decides the changes. `None` when the sample teaches nothing.
    ///
    /// # Errors
    /// Pictures, prompts, length: with the sample's id.
    pub fn example(&self, planner: &Planner, sample: &Sample, stream: &mut Stream) -> Result<Option<Example>> {
        let Augment { flip, jitter, shift, bend: most } = self.augment;
        let curvature = if most > 0.0 { bend::draw(most, stream) } else { 0.0 };
        let bent = if most > 0.0 { bend::bent(sample, curvature, stream.below(1 << 16)) } else { None };
        let curvature = if bent.is_some() { curvature } else { 0.0 };
        let taught = bent.as_ref().unwrap_or(sample);
        let mirrored = if flip && stream.below(2) == 1 { augment::mirrored(taught) } else { None };
        let taught = mirrored.as_ref().unwrap_or(taught);
        let Some(lesson) = lesson(&planner.prompts, taught, self.think)? else { return Ok(None) };
        let mut images = pictures(sample)?;
        let shift = (stream.uniform() * 2.0 - 1.0) * shift;
        for image in &mut images {
            if curvature != 0.0 || shift != 0.0 {
                bend::warp(image, curvature, shift);
            }
            if mirrored.is_some() {
                augment::mirror(image);
            }
            if jitter > 0.0 {
                augment::jitter(image, jitter, stream);
            }
        }
        let encoded = planner
            .encoder
            .encode(&lesson.turns, &images, &lesson.unscored)
            .map_err(|e| e.context(format!("sample {}", sample.id)))?;
        Ok(Some(Example { id: sample.id.clone(), encoded, aux: taught.aux.clone() }))
    }
}

/// A right-padded batch with its pictures encoded and the places of the tokens that carry loss.
pub struct Batched {
    /// Ids and positions.
    pub batch: Batch,
    /// Picture features, with gradients if the tower is trained.
    pub images: Option<ImageFeatures>,
    /// Scored tokens.
    pub targets: Targets,
}

/// Builds the batch of some rows for training or scoring; `vlm` is the planner's model or its frozen twin.
///
/// # Errors
/// Device trouble.
pub fn row(planner: &Planner, rows: &[&Encoded], vlm: &Vlm) -> Result<Batched> {
    let visuals: Vec<Vec<Visual>> =
        rows.iter().map(|row| row.grids.iter().map(|grid| Visual::image(*grid)).collect()).collect();
    let model_rows: Vec<Row> = rows.iter().zip(&visuals).map(|(row, visuals)| Row { ids: &row.ids, visuals }).collect();
    let batch = Batch::right_padded(vlm.config(), &model_rows, planner.encoder.tokenizer.pad())?;
    let targets = Targets::select(&batch, |row, token| rows[row].labels[token] != IGNORED);
    let pixels: Vec<Pixels> = rows.iter().flat_map(|row| row.pixels.iter().cloned()).collect();
    let images = match Pixels::concat(&pixels)? {
        Some((values, grids)) => Some(vlm.encode_images(&values, &grids)?),
        None => None,
    };
    Ok(Batched { batch, images, targets })
}

impl Batched {
    /// Log-probability and entropy of every scored token.
    ///
    /// # Errors
    /// Device trouble.
    pub fn logps(&self, vlm: &Vlm, temperature: f64) -> Result<(Tensor, Tensor)> {
        let hidden = vlm.forward(&self.batch, self.images.as_ref(), None, None)?;
        vlm.token_logps(&hidden, &self.targets.rows, &self.targets.ids, temperature)
    }
}

/// What a look over a data set found, without decoding any picture.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Survey {
    /// Indices of samples that can be trained on.
    pub usable: Vec<usize>,
    /// Their lengths in tokens, image tokens included.
    pub tokens: Vec<usize>,
    /// Of these, tokens that carry loss.
    pub answer_tokens: Vec<usize>,
    /// By how many tokens the dropped ones are too long.
    pub too_long: Vec<usize>,
    /// Samples without anything to teach.
    pub nothing: usize,
    /// Samples left out because a picture is missing or unreadable (only with `skip_bad`).
    pub bad: Vec<String>,
}

/// Measures every sample. Samples over `max_length` are dropped and counted, never cut.
///
/// # Errors
/// A missing picture or a count that does not match, unless `skip_bad`; nothing usable at all.
pub fn survey(planner: &Planner, samples: &[Sample], think: bool, max_length: usize, skip_bad: bool) -> Result<Survey> {
    let measured: Vec<Result<Option<(usize, usize)>>> =
        samples.par_iter().map(|sample| measure(planner, sample, think)).collect();
    let mut out = Survey::default();
    for (i, (sample, result)) in samples.iter().zip(measured).enumerate() {
        match result {
            Ok(None) => out.nothing += 1,
            Ok(Some((tokens, _))) if tokens > max_length => out.too_long.push(tokens - max_length),
            Ok(Some((tokens, answer))) => {
                out.usable.push(i);
                out.tokens.push(tokens);
                out.answer_tokens.push(answer);
            }
            Err(e) if skip_bad => out.bad.push(e.context(format!("sample {}", sample.id)).message),
            Err(e) => return Err(e.context(format!("sample {}", sample.id))),
        }
    }
    if !out.usable.is_empty() {
        return Ok(out);
    }
    let longest = out.too_long.iter().min().map(|over| over + max_length);
    Err(match longest {
        Some(tokens) => Failure::data(format!(
            "every sample is too long: the shortest has {tokens} tokens, {max_length} are allowed"
        ))
        .hint("raise sft.max_length, or lower sft.max_pixels"),
        None => Failure::data(format!("none of {} samples teaches anything", samples.len()))
            .hint("training needs answers: plan labels or assistant turns; see `reinsman data stats`"),
    })
}

/// (tokens, tokens with loss) of a sample.
fn measure(planner: &Planner, sample: &Sample, think: bool) -> Result<Option<(usize, usize)>> {
    let Some(lesson) = lesson(&planner.prompts, sample, think)? else { return Ok(None) };
    let grids = sample.images.iter().map(|image| {
        let (width, height) = image_size(image)?;
        planner.encoder.processor.grid(width, height)
    });
    let layout = planner.encoder.layout(&lesson.turns, &grids.collect::<Result<Vec<_>>>()?, &lesson.unscored)?;
    let scored = layout.labels.iter().skip(1).filter(|label| **label != IGNORED).count();
    Ok((scored > 0).then_some((layout.ids.len(), scored)))
}

/// Width and height from the header where the file is plain; a picture that must be turned has the same token count.
fn image_size(image: &data::Image) -> Result<(usize, usize)> {
    if let data::Image::File(path) = image
        && let Ok((width, height)) = ::image::image_dimensions(path)
    {
        return Ok((width as usize, height as usize));
    }
    // Missing or odd files: decoding gives the message.
    Rgb::from_record(image, &Loading::default()).map(|picture| (picture.width, picture.height))
}
