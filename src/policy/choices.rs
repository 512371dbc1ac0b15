//! The exact probability of every label: the nine label words are scored as continuations of the prompt and the
//! reasoning, so the alternatives are on record and not only the word that was written.
//!
//! Speed: `p(word) = softmax over the four words of log p(word | prompt, reasoning, "<answer> ")`, the sum over the
//! word's tokens and the comma that ends it. Path: the same for the five words after the speed word that was chosen,
//! ended by the closing tag. Each axis sums to 1. Every continuation is tokenised together with what stands before it,
//! as in training, and only the tokens that all of them share go into the prompt, so a tokenizer that joins letters
//! across that border changes nothing.

use super::{
    ask::Seen,
    planner::{Planner, Question},
};
use crate::{
    error::{Failure, Result},
    vlm::{Batch, Row, Visual},
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
        MetaAction { speed: SpeedAction::ALL[largest(&self.speed)], path: PathAction::ALL[largest(&self.path)] }
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
        self.probabilities_seen(&self.see(question)?, before, speed)
    }

    /// [`Self::probabilities`] of what was already encoded.
    ///
    /// # Errors
    /// Device trouble.
    pub fn probabilities_seen(&self, seen: &Seen, before: &str, speed: Option<SpeedAction>) -> Result<Probabilities> {
        let opening = format!("{before}<answer>");
        let mut words: Vec<String> = SpeedAction::ALL.iter().map(|l| format!("{opening} {l},")).collect();
        // The speed word and its comma stand in all five, so they leave the softmax over the paths alone.
        let paths = |speed: SpeedAction| PathAction::ALL.iter().map(move |l| format!(" {speed}, {l} </answer>"));
        let paths = |speed| paths(speed).map(|word| format!("{opening}{word}")).collect::<Vec<_>>();
        if let Some(speed) = speed {
            words.extend(paths(speed)); // all nine in one pass
            let sums = self.log_probabilities(seen, &words)?;
            let (speeds, paths) = sums.split_at(SpeedAction::ALL.len());
            return Ok(Probabilities { speed: softmax(speeds)?, path: softmax(paths)? });
        }
        let speed = softmax(&self.log_probabilities(seen, &words)?)?;
        let path = softmax(&self.log_probabilities(seen, &paths(SpeedAction::ALL[largest(&speed)]))?)?;
        Ok(Probabilities { speed, path })
    }

    /// Log-probability of each text after the prompt, up to a constant: that of the tokens with which all begin.
    fn log_probabilities(&self, seen: &Seen, texts: &[String]) -> Result<Vec<f64>> {
        let tokenizer = &self.encoder.tokenizer;
        let texts = texts.iter().map(|text| tokenizer.encode_text(text)).collect::<Result<Vec<_>>>()?;
        let shared = shared_prefix(&texts);
        let mut ids = seen.encoded.ids.clone();
        ids.extend(texts.first().into_iter().flat_map(|text| &text[..shared]));
        let rest: Vec<Vec<u32>> = texts.iter().map(|text| text[shared..].to_vec()).collect();
        let visuals: Vec<Visual> = seen.encoded.grids.iter().map(|grid| Visual::image(*grid)).collect();
        let row = Row::new(&ids, &visuals);
        let batch = Batch::left_padded(self.vlm.config(), &[row], tokenizer.pad())?;
        let logps = self.vlm.continuation_logps(&batch, seen.images.as_ref(), &rest, 1.0)?;
        Ok(logps.iter().map(|word| word.iter().map(|p| f64::from(*p)).sum()).collect())
    }
}

/// Tokens with which every text begins; each keeps at least one of its own.
fn shared_prefix(texts: &[Vec<u32>]) -> usize {
    let Some(first) = texts.first() else { return 0 };
    let with_first = |text: &Vec<u32>| text.iter().zip(first).take_while(|(a, b)| a == b).count();
    let shared = texts.iter().map(with_first).min().unwrap_or(0);
    shared.min(texts.iter().map(|text| text.len().saturating_sub(1)).min().unwrap_or(0))
}

fn softmax(logps: &[f64]) -> Result<Vec<f64>> {
    let top = logps.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if !top.is_finite() || logps.iter().any(|p| p.is_nan()) {
        return Err(Failure::device("the model gives no finite probability to any label")
            .hint("its weights or the picture are broken; try `reinsman doctor`"));
    }
    let weights: Vec<f64> = logps.iter().map(|p| (p - top).exp()).collect();
    let total: f64 = weights.iter().sum();
    Ok(weights.into_iter().map(|w| w / total).collect())
}

/// Index of the largest value, the first of equals.
fn largest(values: &[f64]) -> usize {
    (0..values.len()).fold(0, |best, i| if values[i] > values[best] { i } else { best })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn what_is_shared_leaves_each_a_token() {
        assert_eq!(shared_prefix(&[vec![1, 2, 3], vec![1, 2, 4], vec![1, 2]]), 1);
        assert_eq!(shared_prefix(&[vec![1, 2, 3], vec![5]]), 0);
        assert_eq!(shared_prefix(&[]), 0);
    }

    #[test]
    fn softmax_by_hand() {
        let p = softmax(&[1000.0, 1000.0 + 3f64.ln()]).unwrap();
        assert!((p[0] - 0.25).abs() < 1e-12 && (p[1] - 0.75).abs() < 1e-12, "{p:?}");
        for broken in [[f64::NAN, 0.0], [f64::NEG_INFINITY; 2]] {
            assert_eq!(softmax(&broken).unwrap_err().kind.exit_code(), 4);
        }
    }
}
