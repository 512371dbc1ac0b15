//! From a record to a row of training input: pictures are read and perhaps changed, the question is rendered in the
//! planner's own prompt, the answer gets labels. Evaluation, `data show` and the trainer all go through here, so what
//! is shown is what is trained.

use super::{augment, streams::Stream};
use crate::{
    error::Result,
    policy::Planner,
    vlm::{
        encode::{Encoded, Unscored},
        image::{Loading, Rgb},
    },
};
use data::{Content, Part, Role, Sample, Turn};
use scene::{MetaAction, PathAction, SpeedAction};
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
/// A broken prompt template or a command with special tokens.
pub fn lesson(planner: &Planner, sample: &Sample, think: bool) -> Result<Option<Lesson>> {
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
    planner.encoder.tokenizer.reject_special(&ego.command.0)?;
    let mut turns = planner.prompts.plan_turns(ego, sample.images.len(), reasoning.is_some())?;
    let action =
        MetaAction { speed: speed.unwrap_or(SpeedAction::Keep), path: path.unwrap_or(PathAction::Straight) };
    let text = planner.prompts.answer_text(reasoning, action)?;
    let answer = text.rfind("<answer>").unwrap_or(0);
    let mut unscored = Vec::new();
    for (word, known) in [(action.speed.as_str(), speed.is_some()), (action.path.as_str(), path.is_some())] {
        if let Some(at) = text[answer..].find(word).filter(|_| !known) {
            unscored.push(Unscored { turn: turns.len(), bytes: answer + at..answer + at + word.len() });
        }
    }
    turns.push(Turn { role: Role::Assistant, parts: vec![Part::Text(text)] });
    Ok(Some(Lesson { turns, unscored }))
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
#[derive(Debug, Clone, Copy)]
pub struct Recipe {
    /// Teach reasoning where there is some.
    pub think: bool,
    /// Mirror half of the samples.
    pub flip: bool,
    /// Brightness, contrast and shift.
    pub jitter: f64,
}

impl Recipe {
    /// Nothing changed.
    pub fn plain(think: bool) -> Self {
        Recipe { think, flip: false, jitter: 0.0 }
    }

    /// Makes the example; `stream` decides the changes. `None` when the sample teaches nothing.
    ///
    /// # Errors
    /// Pictures, prompts, length: with the sample's id.
    pub fn example(&self, planner: &Planner, sample: &Sample, stream: &mut Stream) -> Result<Option<Example>> {
        let flip = self.flip && stream.below(2) == 1;
        let mirrored = if flip { augment::mirrored(sample) } else { None };
        let taught = mirrored.as_ref().unwrap_or(sample);
        let Some(lesson) = lesson(planner, taught, self.think)? else { return Ok(None) };
        let mut images = pictures(sample)?;
        for image in &mut images {
            if mirrored.is_some() {
                augment::mirror(image);
            }
            if self.jitter > 0.0 {
                augment::jitter(image, self.jitter, stream);
            }
        }
        let encoded = planner
            .encoder
            .encode(&lesson.turns, &images, &lesson.unscored)
            .map_err(|e| e.context(format!("sample {}", sample.id)))?;
        Ok(Some(Example { id: sample.id.clone(), encoded, aux: taught.aux.clone() }))
    }
}
