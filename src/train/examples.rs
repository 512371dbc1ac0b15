//! From a record to a row of training input: pictures are read and perhaps changed, the question is rendered in the
//! planner's own prompt, the answer gets labels. Evaluation, `data show` and the trainer all go through here, so what
//! is shown is what is trained.

use super::{augment, bend, features::Seen};
use crate::{
    error::Result,
    policy::Planner,
    settings::Augment,
    streams::Stream,
    vlm::{
        Batch, ImageFeatures, Row, Targets, Visual, Vlm,
        chat::text_of,
        encode::{Encoded, Encoder, IGNORED, Unscored},
        image::{Loading, Rgb},
        processor::Pixels,
        prompt::Prompts,
    },
};
use candle_core::Tensor;
use data::{Content, Image, Part, Role, Sample, Turn};
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
    /// Features of the pictures where they are known already; there are no patches then.
    pub features: Option<ImageFeatures>,
    /// Auxiliary classes.
    pub aux: BTreeMap<String, String>,
}

/// The conversation that teaches a sample, of a preference pair the chosen answer; `None` when there is nothing to teach
/// (no label on any axis, or a conversation without an answer).
///
/// # Errors
/// A broken prompt template, a speed that is no number, a command of several lines.
pub fn lesson(prompts: &Prompts, sample: &Sample, think: bool) -> Result<Option<Lesson>> {
    if let Some([chosen, _]) = pair_lessons(prompts, sample)? {
        return Ok(Some(Lesson { turns: chosen, unscored: Vec::new() }));
    }
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

/// The question of a preference pair with the chosen and with the rejected answer; `None` when the sample is no pair. A
/// planning question asks for reasoning when the chosen answer gives some.
///
/// # Errors
/// As [`lesson`].
pub fn pair_lessons(prompts: &Prompts, sample: &Sample) -> Result<Option<[Vec<Turn>; 2]>> {
    let Some(pair) = &sample.pair else { return Ok(None) };
    let asked = match &sample.content {
        Content::Conversation { turns } => turns.clone(),
        Content::Planning { ego, .. } => {
            let think = pair.chosen.iter().any(|turn| text_of(turn).contains("<think>"));
            prompts.plan_turns(ego, sample.images.len(), think)?
        }
    };
    Ok(Some([&pair.chosen, &pair.rejected].map(|answer| [&asked[..], answer].concat())))
}

/// Reads a sample's pictures.
///
/// # Errors
/// A missing or unreadable file, with the sample's id.
pub fn pictures(sample: &Sample) -> Result<Vec<Rgb>> {
    sample.images.iter().map(|image| picture(sample, image)).collect()
}

/// Reads one of them.
///
/// # Errors
/// As [`pictures`].
pub fn picture(sample: &Sample, image: &Image) -> Result<Rgb> {
    Rgb::from_record(image, &Loading::default()).map_err(|e| e.context(format!("sample {}", sample.id)))
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
    pub fn example(
        &self,
        encoder: &Encoder,
        prompts: &Prompts,
        sample: &Sample,
        stream: &mut Stream,
    ) -> Result<Option<Example>> {
        let Augment { flip, jitter, shift, bend: most } = self.augment;
        let curvature = if most > 0.0 { bend::draw(most, stream) } else { 0.0 };
        let bent = if most > 0.0 { bend::bent(sample, curvature, stream.below(1 << 16)) } else { None };
        // A future that no longer fits one label would leave nothing to teach.
        let bent = bent.filter(|bent| bent.labels.path.is_some() == sample.labels.path.is_some());
        let curvature = if bent.is_some() { curvature } else { 0.0 };
        let taught = bent.as_ref().unwrap_or(sample);
        let mirrored = if flip && stream.below(2) == 1 { augment::mirrored(taught) } else { None };
        let taught = mirrored.as_ref().unwrap_or(taught);
        let Some(lesson) = lesson(prompts, taught, self.think)? else { return Ok(None) };
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
        let encoded = encoder
            .encode(&lesson.turns, &images, &lesson.unscored)
            .map_err(|e| e.context(format!("sample {}", sample.id)))?;
        Ok(Some(Example { id: sample.id.clone(), encoded, features: None, aux: taught.aux.clone() }))
    }

    /// The same example from pictures whose features are known.
    ///
    /// # Errors
    /// As [`Self::example`].
    pub fn example_of(&self, planner: &Planner, sample: &Sample, seen: &[Seen]) -> Result<Option<Example>> {
        let Some(lesson) = lesson(&planner.prompts, sample, self.think)? else { return Ok(None) };
        let grids: Vec<[usize; 3]> = seen.iter().map(|s| s.grid).collect();
        let layout = planner
            .encoder
            .layout(&lesson.turns, &grids, &lesson.unscored)
            .map_err(|e| e.context(format!("sample {}", sample.id)))?;
        let (ids, labels, images) = (layout.ids, layout.labels, layout.images);
        let encoded = Encoded { ids, labels, grids, pixels: Vec::new(), images };
        let parts: Vec<&ImageFeatures> = seen.iter().map(|s| &s.features).collect();
        let features = if parts.is_empty() { None } else { Some(ImageFeatures::concat(&parts)?) };
        Ok(Some(Example { id: sample.id.clone(), encoded, features, aux: sample.aux.clone() }))
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
    let pixels: Vec<Pixels> = rows.iter().flat_map(|row| row.pixels.iter().cloned()).collect();
    let images = match Pixels::concat(&pixels)? {
        Some((values, grids)) => Some(vlm.encode_images(&values, &grids)?),
        None => None,
    };
    Batched::new(planner, rows, images)
}

impl Batched {
    /// The batch of rows whose pictures are encoded.
    ///
    /// # Errors
    /// Rows that do not fit the model.
    pub fn new(planner: &Planner, rows: &[&Encoded], images: Option<ImageFeatures>) -> Result<Self> {
        let visuals: Vec<Vec<Visual>> =
            rows.iter().map(|row| row.grids.iter().map(|grid| Visual::image(*grid)).collect()).collect();
        let model_rows: Vec<Row> =
            rows.iter().zip(&visuals).map(|(row, visuals)| Row::new(&row.ids, visuals)).collect();
        let batch = Batch::right_padded(planner.vlm.config(), &model_rows, planner.encoder.tokenizer.pad())?;
        let targets = Targets::select(&batch, |row, token| rows[row].labels[token] != IGNORED);
        Ok(Batched { batch, images, targets })
    }

    /// Log-probability and entropy of every scored token.
    ///
    /// # Errors
    /// Device trouble.
    pub fn logps(&self, vlm: &Vlm, temperature: f64) -> Result<(Tensor, Tensor)> {
        let hidden = vlm.forward(&self.batch, self.images.as_ref(), None, None)?;
        vlm.token_logps(&hidden, &self.targets.rows, &self.targets.ids, temperature)
    }
}
