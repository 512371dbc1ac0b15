//! What is told about steps and evaluations: lines of `metrics.jsonl` and notes for people.

use crate::train::{auxiliary::Accuracy, sight::Sight};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// What one step did.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Mean loss over micro-batches.
    pub loss: f64,
    /// Mean auxiliary loss, where there is one.
    pub aux: Option<f64>,
    /// Right and known auxiliary answers, summed over targets.
    pub aux_hits: (usize, usize),
    /// Gradient norm before clipping.
    pub grad_norm: f64,
    /// Learning rate.
    pub lr: f64,
    /// Input tokens.
    pub tokens: u64,
    /// Why nothing was written, if so.
    pub skipped: Option<String>,
    /// Samples of the step.
    pub ids: Vec<String>,
}

impl Report {
    /// The line of `metrics.jsonl` after `step` steps.
    pub(super) fn line(&self, step: u64, epoch: f64, num_tokens: u64) -> Value {
        let mut line = Map::new();
        line.insert("step".into(), json!(step));
        line.insert("epoch".into(), json!(epoch));
        line.insert("loss".into(), json!(self.loss));
        if let Some(aux) = self.aux {
            line.insert("aux_loss".into(), json!(aux));
            line.insert("aux_accuracy".into(), json!(self.aux_hits.0 as f64 / self.aux_hits.1.max(1) as f64));
        }
        line.insert("learning_rate".into(), json!(self.lr));
        line.insert("grad_norm".into(), json!(self.grad_norm));
        line.insert("num_tokens".into(), json!(num_tokens));
        if let Some(why) = &self.skipped {
            line.insert("skipped".into(), json!(why));
            line.insert("samples".into(), json!(self.ids));
        }
        Value::Object(line)
    }
}

/// The note and the metrics line of an evaluation on held-out samples.
pub(super) fn evaluation(step: u64, sight: &Sight, aux: Option<BTreeMap<String, Accuracy>>) -> (String, Value) {
    let mut line = json!({ "step": step });
    merge(&mut line, serde_json::to_value(sight).unwrap_or_default());
    let gap = |gap: Option<f64>| gap.map_or_else(|| "unknown".into(), |gap| format!("{gap:+.3}"));
    let (wrong, blank) = (gap(sight.wrong_image_gap), gap(sight.blank_image_gap));
    let mut text =
        format!("step {step}  held-out loss {:.3}  wrong image {wrong}  blank image {blank}", sight.eval_loss);
    if let Some(accuracy) = aux {
        for (name, a) in &accuracy {
            text.push_str(&format!("  {name} {:.2} ({:.2})", a.accuracy, a.majority));
        }
        merge(&mut line, json!({ "eval_aux": accuracy }));
    }
    (text, line)
}

fn merge(line: &mut Value, more: Value) {
    if let (Some(line), Value::Object(more)) = (line.as_object_mut(), more) {
        line.extend(more);
    }
}
