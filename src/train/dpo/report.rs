//! What is told about steps and evaluations: lines of `metrics.jsonl` with TRL's names, and the progress line.

use crate::train::{
    progress::{self, Progress},
    rl::dpo::DpoLoss,
};
use serde_json::{Map, Value, json};
use std::{collections::BTreeMap, time::Instant};

/// What one step did, or an evaluation found.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Mean loss over micro-batches.
    pub loss: f64,
    /// Gradient norm before clipping.
    pub grad_norm: f64,
    /// Learning rate.
    pub lr: f64,
    /// Input tokens, those of a shared prompt twice.
    pub tokens: u64,
    /// Why nothing was written, if so.
    pub skipped: Option<String>,
    /// Samples of the step.
    pub ids: Vec<String>,
    /// Sums over micro-batches by their name in the metrics.
    pub(super) sums: BTreeMap<&'static str, f64>,
    /// Micro-batches.
    pub(super) parts: f64,
}

impl Report {
    /// Adds a micro-batch; `tokens` are the scored ones of the chosen answers.
    pub(super) fn add(&mut self, found: &DpoLoss, pairs: usize, tokens: usize) {
        self.parts += 1.0;
        let mut add = |name, value| *self.sums.entry(name).or_default() += value;
        add("loss", found.value);
        for (name, value) in &found.metrics {
            add(name, *value);
            if *name == "logps/chosen" {
                add("nll_loss", -value * pairs as f64 / tokens.max(1) as f64);
            }
        }
        self.loss = self.get("loss").unwrap_or_default();
    }

    /// A number of the metrics, if it is known.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.sums.get(name).map(|sum| sum / self.parts)
    }

    /// The line of `metrics.jsonl` after `step` steps.
    pub(super) fn line(&self, step: u64, epoch: f64, num_tokens: u64) -> Value {
        let mut line = Map::new();
        line.insert("step".into(), json!(step));
        line.insert("epoch".into(), json!(epoch));
        line.insert("loss".into(), json!(self.get("loss")));
        line.extend(self.means(""));
        line.insert("learning_rate".into(), json!(self.lr));
        line.insert("grad_norm".into(), json!(self.grad_norm));
        line.insert("num_tokens".into(), json!(num_tokens));
        if let Some(why) = &self.skipped {
            line.insert("skipped".into(), json!(why));
            line.insert("samples".into(), json!(self.ids));
        }
        Value::Object(line)
    }

    /// The line of an evaluation on so many pairs.
    pub(super) fn evaluation(&self, step: u64, pairs: usize) -> Value {
        let mut line = Map::new();
        line.insert("step".into(), json!(step));
        line.extend(self.means("eval_"));
        line.insert("eval_samples".into(), json!(pairs));
        Value::Object(line)
    }

    fn means(&self, before: &str) -> Vec<(String, Value)> {
        self.sums.iter().map(|(name, sum)| (format!("{before}{name}"), json!(sum / self.parts))).collect()
    }

    /// The numbers for people.
    pub(super) fn text(&self) -> String {
        let value = |name: &str| self.get(name).unwrap_or(f64::NAN);
        let (margin, accuracy) = (value("rewards/margins"), value("rewards/accuracies"));
        format!("loss {:.3}  margin {margin:+.3}  accuracy {accuracy:.2}", value("loss"))
    }
}

/// The progress line of a run.
pub(super) struct Told {
    margins: Vec<f64>,
    begin: Instant,
    from: u64,
}

impl Told {
    pub(super) fn from(step: u64) -> Self {
        Told { margins: Vec::new(), begin: Instant::now(), from: step }
    }

    pub(super) fn progress(&mut self, progress: &mut Progress, report: &Report, step: u64, total: u64) {
        self.margins.extend(report.get("rewards/margins"));
        let seconds = self.begin.elapsed().as_secs_f64() / (step - self.from).max(1) as f64;
        progress.line(step == total, || {
            let bars = progress::sparkline(&self.margins, 8);
            let eta = progress::duration(seconds * total.saturating_sub(step) as f64);
            let digits = if seconds < 1.0 { 3 } else { 1 };
            format!(
                "step {step}/{total}  {}  {bars}  lr {:.1e}  {seconds:.digits$} s/step  eta {eta}",
                report.text(),
                report.lr
            )
        });
    }
}
