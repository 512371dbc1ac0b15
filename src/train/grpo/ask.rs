//! An evaluation while training: the most probable answer to held-out samples, rewarded and compared with the labels.

use super::{
    judge::Judge,
    report::{plans, right},
    rollout::{self, Prompt, Sampling},
    setup,
};
use crate::{error::Result, policy::Planner, settings::Grpo, train::common::EVAL_LIMIT, vlm::sampling::SamplingParams};
use data::Sample;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Samples asked at a time.
const BATCH: usize = 8;

/// Sums over held-out samples.
#[derive(Debug, Default)]
pub(super) struct Asked {
    samples: f64,
    reward: f64,
    /// Sum and number of each reward.
    rewards: BTreeMap<String, (f64, f64)>,
    parsed: f64,
    right: f64,
    tokens: f64,
}

/// Asks the first samples. `None` when `go_on`, asked before every batch, says no.
pub(super) fn evaluate(
    planner: &Planner,
    judge: &Judge,
    samples: &[Sample],
    grpo: &Grpo,
    go_on: &dyn Fn() -> bool,
) -> Result<Option<Asked>> {
    let params = SamplingParams::default(); // greedy
    let sampling = Sampling { generations: 1, params, ..setup::sampling(grpo) };
    let mut asked = Asked::default();
    for batch in samples[..samples.len().min(EVAL_LIMIT)].chunks(BATCH) {
        if !go_on() {
            return Ok(None);
        }
        let batch: Vec<&Sample> = batch.iter().collect();
        judge.prepare(planner, &batch)?;
        let prompts = Prompt::of(planner, None, &batch, grpo.think)?;
        for mut group in rollout::sample(planner, prompts, &sampling, (0, 0))? {
            judge.score(&mut group);
            let sample = group.prompt.sample;
            for answer in &group.answers {
                let plans = plans(&answer.text, grpo.num_answers);
                asked.samples += 1.0;
                asked.parsed += f64::from(plans.is_some());
                asked.right += f64::from(plans.is_some_and(|plans| right(sample, &plans)));
                asked.tokens += answer.ids.len() as f64;
                for ((name, weight), score) in judge.names.iter().zip(&judge.weights).zip(&answer.scores) {
                    let Some(score) = score else { continue };
                    let (sum, n) = asked.rewards.entry(name.clone()).or_default();
                    (*sum, *n) = (*sum + score.value, *n + 1.0);
                    asked.reward += weight * score.value;
                }
            }
        }
    }
    Ok(Some(asked))
}

impl Asked {
    /// For people.
    pub(super) fn text(&self, step: u64) -> String {
        let n = self.samples.max(1.0);
        format!(
            "step {step}  held-out reward {:.3}  accuracy {:.2}  plans read {:.2}",
            self.reward / n,
            self.right / n,
            self.parsed / n
        )
    }

    /// The line of `metrics.jsonl`.
    pub(super) fn line(&self, step: u64) -> Value {
        let n = self.samples.max(1.0);
        let mut line = json!({
            "step": step,
            "eval_reward": self.reward / n,
            "eval_accuracy": self.right / n,
            "eval_parsed_ratio": self.parsed / n,
            "eval_completions/mean_length": self.tokens / n,
            "eval_samples": self.samples,
        });
        for (name, (sum, count)) in &self.rewards {
            line[format!("eval_rewards/{name}/mean")] = json!(sum / count.max(1.0));
        }
        line
    }
}
