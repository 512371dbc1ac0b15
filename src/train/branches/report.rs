//! What is told about steps: lines of `metrics.jsonl`, and the progress line.

use super::{imitation::Imitated, selection::Selected, sequential::Tuned, tree::Reinforced};
use crate::train::progress::{self, Progress};
use serde_json::{Map, Value, json};
use std::time::Instant;

/// What one step did.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// The imitation head's part.
    pub il: Option<Imitated>,
    /// The tree's part.
    pub tree: Option<Reinforced>,
    /// The part of reinforcement learning in sequential mode.
    pub sequential: Option<Tuned>,
    /// The selector's part.
    pub selector: Option<Selected>,
    /// Why branches were left as they were.
    pub skipped: Vec<String>,
    /// Samples of the branches that were.
    pub ids: Vec<String>,
}

impl Report {
    /// The line of `metrics.jsonl` after `step` steps.
    pub(super) fn line(&self, step: u64) -> Value {
        let mut line = Map::new();
        let mut put = |name: &str, value: f64| drop(line.insert(name.into(), json!(value)));
        if let Some(it) = &self.il {
            put("il/loss", it.loss);
            put("il/l1", it.l1);
            put("il/mode_accuracy", it.hits);
            put("il/learning_rate", it.stepped.lr);
            put("il/grad_norm", it.stepped.grad_norm);
        }
        if let Some(it) = &self.tree {
            put("tree/loss", it.loss);
            put("tree/reward", it.reward);
            put("tree/reward_std", it.reward_std);
            put("tree/reference", it.reference);
            put("tree/best", it.best);
            put("tree/kl", it.kl);
            put("tree/clip_ratio", it.clipped);
            put("tree/frac_reward_zero_std", it.idle);
            put("tree/comfort", it.comfort[0]);
            put("tree/reference_comfort", it.comfort[1]);
            put("tree/learning_rate", it.stepped.lr);
            put("tree/grad_norm", it.stepped.grad_norm);
        }
        if let Some(it) = &self.sequential {
            put("sequential/loss", it.loss);
            put("sequential/reward", it.reward);
            put("sequential/reference", it.reference);
            put("sequential/learning_rate", it.stepped.lr);
            put("sequential/grad_norm", it.stepped.grad_norm);
        }
        if let Some(it) = &self.selector {
            put("selector/loss", it.loss);
            put("selector/cross_entropy", it.cross_entropy);
            put("selector/chosen", it.chosen);
            put("selector/best", it.best);
            put("selector/learning_rate", it.stepped.lr);
            put("selector/grad_norm", it.stepped.grad_norm);
        }
        line.insert("step".into(), json!(step));
        if !self.skipped.is_empty() {
            line.insert("skipped".into(), json!(self.skipped));
            line.insert("samples".into(), json!(self.ids));
        }
        Value::Object(line)
    }

    /// The numbers for people.
    fn text(&self) -> String {
        let mut parts = Vec::new();
        if let Some(it) = &self.il {
            parts.push(format!("il {:.2} (off {:.2})", it.loss, it.l1));
        }
        if let Some(it) = &self.tree {
            parts.push(format!("tree {:.3} over {:.3}, best {:.3}", it.reward, it.reference, it.best));
        }
        if let Some(it) = &self.sequential {
            parts.push(format!("drives {:.3}, choice {:.3}", it.reward, it.reference));
        }
        if let Some(it) = &self.selector {
            parts.push(format!("selector {:.3} of {:.3}", it.chosen, it.best));
        }
        parts.join("  ")
    }
}

/// The progress line of a run.
pub(super) struct Told {
    begin: Instant,
    from: u64,
}

impl Told {
    pub(super) fn from(step: u64) -> Self {
        Told { begin: Instant::now(), from: step }
    }

    pub(super) fn progress(&mut self, progress: &mut Progress, report: &Report, step: u64, total: u64) {
        let seconds = self.begin.elapsed().as_secs_f64() / (step - self.from).max(1) as f64;
        progress.line(step == total, || {
            let eta = progress::duration(seconds * total.saturating_sub(step) as f64);
            let digits = if seconds < 1.0 { 3 } else { 1 };
            format!("step {step}/{total}  {}  {seconds:.digits$} s/step  eta {eta}", report.text())
        });
    }
}
