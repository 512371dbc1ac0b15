//! The exact probability of every label: the nine label words are scored as continuations of the prompt and the
//! reasoning, so the alternatives are on record and not only the word that was written.
//!
//! Speed: `p(word) = softmax over the four words of log p(word | prompt, reasoning, "<answer> ")`, the sum over the
//! word's tokens and the comma that ends it. Path: the same for the five words after the speed word that was chosen,
//! ended by the closing tag. Each axis sums to 1.

use super::planner::{Planner, Question};
use crate::{
    error::{Failure, Result},
    vlm::{Batch, ImageFeatures, Row, Visual, encode::Encoded},
};
use scene::{MetaAction, PathAction, SpeedAction};
use serde_json::{Map, Value, json};

/// Probability of every label.
#[derive(Debug, Clone, PartialEq)]
pub struct Probabilities {
    /// In the order of [`SpeedAction::ALL`].
    pub speed: Vec<f64>,
    /// In the order of [`PathAction::ALL`], given the speed word of the answer.
    pub path: Vec<f64>,
}

impl Probabilities {
    /// The most probable label of each axis.
    pub fn best(&self) -> MetaAction {
        let at = |values: &[f64]| (0..values.len()).fold(0, |best, i| if values[i] > values[best] { i } else { best });
        MetaAction { speed: SpeedAction::ALL[at(&self.speed)], path: PathAction::ALL[at(&self.path)] }
    }

    /// `{"speed": {LABEL: p}, "path": {LABEL: p}}`.
    pub fn to_json(&self) -> Value {
        let axis = |labels: Vec<&str>, values: &[f64]| {
            Value::Object(labels.into_iter().zip(values).map(|(l, p)| (l.to_owned(), json!(p))).collect::<Map<_, _>>())
        };
        json!({
            "speed": axis(SpeedAction::ALL.iter().map(|l| l.as_str()).collect(), &self.speed),
            "path": axis(PathAction::ALL.iter().map(|l| l.as_str()).collect(), &self.path),
        })
    }
}

impl Planner {
    /// Probabilities of the labels after `before`, the answer's text up to the opening answer tag (the reasoning with
    /// its tags; empty in no-think mode). `speed` fixes the speed word under which the path is scored; `None` takes the
    /// most probable one.
    ///
    /// # Errors
    /// Encoding and device trouble.
    pub fn probabilities(
        &self,
        question: &Question,
        before: &str,
        speed: Option<SpeedAction>,
    ) -> Result<Probabilities> {
        self.probabilities_of(&self.encode(question)?, before, speed)
    }

    /// As [`Self::probabilities`], of a question that is encoded already.
    ///
    /// # Errors
    /// Device trouble.
    pub fn probabilities_of(
        &self,
        encoded: &Encoded,
        before: &str,
        speed: Option<SpeedAction>,
    ) -> Result<Probabilities> {
        let (_, images) = self.batch(&[encoded])?;
        let opening = format!("{before}<answer>");
        let words: Vec<String> = SpeedAction::ALL.iter().map(|l| format!(" {l},")).collect();
        let speed_p = self.score(encoded, images.as_ref(), &opening, &words)?;
        let best = (0..speed_p.len()).fold(0, |best, i| if speed_p[i] > speed_p[best] { i } else { best });
        let chosen = speed.unwrap_or(SpeedAction::ALL[best]);
        let words: Vec<String> = PathAction::ALL.iter().map(|l| format!(" {l} </answer>")).collect();
        let path = self.score(encoded, images.as_ref(), &format!("{opening} {chosen},"), &words)?;
        Ok(Probabilities { speed: speed_p, path })
    }

    /// Softmax over the log-probabilities of `words` after the prompt and `prefix`.
    fn score(
        &self,
        encoded: &Encoded,
        images: Option<&ImageFeatures>,
        prefix: &str,
        words: &[String],
    ) -> Result<Vec<f64>> {
        let tokenizer = &self.encoder.tokenizer;
        let mut ids = encoded.ids.clone();
        ids.extend(tokenizer.encode_text(prefix)?);
        let words = words.iter().map(|word| tokenizer.encode_text(word)).collect::<Result<Vec<_>>>()?;
        let visuals: Vec<Visual> = encoded.grids.iter().map(|grid| Visual::image(*grid)).collect();
        let row = Row { ids: &ids, visuals: &visuals };
        let batch = Batch::left_padded(self.vlm.config(), &[row], tokenizer.pad())?;
        let logps = self.vlm.continuation_logps(&batch, images, &words, 1.0)?;
        let sums: Vec<f64> = logps.iter().map(|word| word.iter().map(|p| f64::from(*p)).sum()).collect();
        let top = sums.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if !top.is_finite() {
            return Err(Failure::device("the model gives no finite probability to any label")
                .hint("its weights or the picture are broken; try `reinsman doctor`"));
        }
        let weights: Vec<f64> = sums.iter().map(|s| (s - top).exp()).collect();
        let total: f64 = weights.iter().sum();
        Ok(weights.into_iter().map(|w| w / total).collect())
    }
}
