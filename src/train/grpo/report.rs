//! What is told about steps: lines of `metrics.jsonl` with TRL's names, answers in `completions.jsonl`, the progress line.

use super::{
    draw::Drawn,
    judge::Judge,
    rollout::{Answer, Group},
};
use crate::{
    error::Result,
    settings::Grpo,
    train::{
        metrics::Metrics,
        progress::{self, Progress},
        rl::{advantage::Advantages, loss::PolicyLoss},
        run::Run,
        snapshot::State,
    },
};
use data::Sample;
use scene::{
    MetaAction,
    parse::{Mode, answers, blocks, parse},
};
use serde_json::{Map, Value, json};
use std::{collections::BTreeMap, time::Instant};

/// What one step did.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Numbers by their name in the metrics; NaN where nothing is known.
    pub values: BTreeMap<String, f64>,
    /// Loss of the last update.
    pub loss: f64,
    /// Gradient norm of the last update before clipping.
    pub grad_norm: f64,
    /// Learning rate.
    pub lr: f64,
    /// Tokens of prompts and answers.
    pub tokens: u64,
    /// Why nothing was written, if so.
    pub skipped: Option<String>,
    /// Samples of the step.
    pub ids: Vec<String>,
    /// Sums over answer tokens of what update passes report, and the tokens.
    pub(super) sums: BTreeMap<&'static str, (f64, f64)>,
}

impl Report {
    /// A number of the metrics, if it is known.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.values.get(name).copied().filter(|value| value.is_finite())
    }

    fn put(&mut self, name: impl Into<String>, value: f64) {
        self.values.insert(name.into(), value);
    }

    /// What was drawn: how much of it, lengths of the answers, and the plans in them.
    pub(super) fn drawn(&mut self, drawn: &Drawn, grpo: &Grpo) {
        self.ids = drawn.groups.iter().map(|group| group.prompt.sample.id.clone()).collect();
        if grpo.dynamic_sample {
            self.put("resample/drawn_groups", drawn.prompts as f64);
            self.put("resample/discarded_groups", drawn.discarded.len() as f64);
            self.put("resample/capped", f64::from(drawn.capped));
        }
        self.answers(&drawn.all(), grpo.num_answers);
    }

    fn answers(&mut self, groups: &[&Group], wanted: usize) {
        let answers: Vec<&Answer> = groups.iter().flat_map(|group| &group.answers).collect();
        let n = answers.len().max(1) as f64;
        let lengths = |ended: bool| -> Vec<f64> {
            answers.iter().filter(|a| !(ended && a.cut)).map(|a| a.ids.len() as f64).collect()
        };
        let (all, ended) = (lengths(false), lengths(true));
        let mean = |of: &[f64]| if of.is_empty() { 0.0 } else { of.iter().sum::<f64>() / of.len() as f64 };
        self.put("completions/mean_length", mean(&all));
        self.put("completions/min_length", all.iter().copied().fold(f64::INFINITY, f64::min));
        self.put("completions/max_length", all.iter().copied().fold(0.0, f64::max));
        self.put("completions/mean_terminated_length", mean(&ended));
        self.put("completions/clipped_ratio", 1.0 - ended.len() as f64 / n);
        let (mut parsed, mut correct, mut found) = (0.0, 0.0, Vec::new());
        for (group, answer) in groups.iter().flat_map(|group| group.answers.iter().map(move |answer| (group, answer))) {
            let Some(plans) = plans(&answer.text, wanted) else { continue };
            parsed += 1.0;
            correct += f64::from(right(group.prompt.sample, &plans));
            found.push(plans.iter().map(MetaAction::to_string).collect::<Vec<_>>().join("; "));
        }
        self.put("plans/parsed_ratio", parsed / n);
        self.put("plans/accuracy", correct / n);
        self.put("plans/most_common_ratio", most_common(found.into_iter()));
        let labels =
            groups.iter().map(|g| format!("{:?}", (g.prompt.sample.labels.speed, g.prompt.sample.labels.path)));
        self.put("labels/most_common_ratio", most_common(labels));
        self.tokens += groups.iter().map(|g| (g.prompt.ids.len() * g.answers.len()) as u64).sum::<u64>();
        self.tokens += answers.iter().map(|a| a.ids.len() as u64).sum::<u64>();
    }

    /// Rewards of the groups that were drawn.
    pub(super) fn rewards(&mut self, names: &[String], found: &Advantages) {
        self.put("reward", found.reward);
        self.put("reward_std", found.reward_std);
        self.put("frac_reward_zero_std", found.frac_reward_zero_std);
        for (name, moments) in names.iter().zip(&found.terms) {
            self.put(format!("rewards/{name}/mean"), moments.mean);
            self.put(format!("rewards/{name}/std"), moments.std);
        }
    }

    /// An update pass over some answers; `logps` are those of their tokens, one after the other.
    pub(super) fn passed(&mut self, iteration: usize, answers: &[&mut Answer], logps: &[f32], found: &PolicyLoss) {
        self.loss += found.value;
        let tokens = logps.len() as f64;
        for (name, value) in &found.metrics {
            let (sum, weight) = self.sums.entry(name).or_default();
            (*sum, *weight) = (*sum + value * tokens, *weight + tokens);
        }
        if iteration == 0 {
            let sampled = answers.iter().flat_map(|answer| &answer.logps);
            let apart: Vec<f64> = sampled.zip(logps).map(|(a, b)| f64::from((a - b).abs())).collect();
            let (sum, weight) = self.sums.entry("sampling/sampling_logp_difference/mean").or_default();
            (*sum, *weight) = (*sum + apart.iter().sum::<f64>(), *weight + tokens);
            let most = self.values.entry("sampling/sampling_logp_difference/max".into()).or_default();
            *most = apart.iter().copied().fold(*most, f64::max);
            let ratio = |part: &str| format!("sampling/importance_sampling_ratio/{part}");
            for x in &found.corrections {
                let (sum, n) = self.sums.entry("sampling/importance_sampling_ratio/mean").or_default();
                (*sum, *n) = (*sum + x, *n + 1.0);
                for (part, pick) in [("min", f64::min as fn(f64, f64) -> f64), ("max", f64::max)] {
                    let bound = self.values.entry(ratio(part)).or_insert(*x);
                    *bound = pick(*bound, *x);
                }
            }
        }
        let means: Vec<(&str, f64)> = self.sums.iter().map(|(name, (sum, n))| (*name, sum / n.max(1.0))).collect();
        means.into_iter().for_each(|(name, mean)| self.put(name, mean));
    }

    /// The line of `metrics.jsonl`.
    pub fn line(&self, step: u64, epoch: f64, num_tokens: u64) -> Value {
        let mut line = Map::new();
        line.insert("step".into(), json!(step));
        line.insert("epoch".into(), json!(epoch));
        line.insert("loss".into(), json!(self.loss));
        line.extend(self.values.iter().map(|(name, value)| (name.clone(), json!(value))));
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

/// The plan in an answer, or the plans where several are wanted, strictly read.
pub(super) fn plans(text: &str, wanted: usize) -> Option<Vec<MetaAction>> {
    match wanted {
        1 => parse(text, Mode::Strict).ok().map(|plan| vec![plan.action]),
        _ => blocks(text).and_then(|blocks| answers(blocks.answer, wanted)).ok(),
    }
}

/// Whether a plan among these is the labelled one on every axis that is known.
pub(super) fn right(sample: &Sample, plans: &[MetaAction]) -> bool {
    let labels = &sample.labels;
    plans.iter().any(|plan| {
        labels.speed.is_none_or(|speed| speed == plan.speed) && labels.path.is_none_or(|path| path == plan.path)
    })
}

/// Part that the most common of some items has; 0 without any.
fn most_common(items: impl Iterator<Item = String>) -> f64 {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    items.for_each(|item| *counts.entry(item).or_default() += 1);
    let total = counts.values().sum::<usize>().max(1);
    counts.values().max().map_or(0.0, |most| *most as f64 / total as f64)
}

/// Where things are told.
pub(super) struct Told {
    pub(super) metrics: Metrics,
    completions: Metrics,
    rewards: Vec<f64>,
    begin: Instant,
    from: u64,
}

impl Told {
    /// Opens both files of a run and cuts them to what belongs to its state.
    pub(super) fn open(run: &Run, state: &State, progress: &mut Progress) -> Result<Self> {
        let metrics = run.metrics(state.metrics_bytes, progress)?;
        let path = run.dir.join("completions.jsonl");
        let (completions, missing) = Metrics::plain(&path, state.completions_bytes)?;
        if missing > 0 {
            progress.note(&format!("completions.jsonl lacks {missing} bytes of the steps before the checkpoint"));
        }
        Ok(Told { metrics, completions, rewards: Vec::new(), begin: Instant::now(), from: state.step })
    }

    /// The state with how much of both files belongs to it, all of it on the disk.
    pub(super) fn state(&mut self, state: &State) -> Result<State> {
        let (metrics_bytes, completions_bytes) = (self.metrics.offset()?, self.completions.offset()?);
        Ok(State { metrics_bytes, completions_bytes, ..state.clone() })
    }

    /// Writes the answers of a step down, one line each.
    pub(super) fn completions(&mut self, step: u64, judge: &Judge, groups: &[Group]) -> Result<()> {
        for (group, answer) in groups.iter().flat_map(|group| group.answers.iter().map(move |answer| (group, answer))) {
            let labels = &group.prompt.sample.labels;
            let each = |of: &dyn Fn(&rewards::Score) -> Value| -> Map<String, Value> {
                let pairs = judge.names.iter().zip(&answer.scores);
                pairs.map(|(name, score)| (name.clone(), score.as_ref().map_or(Value::Null, of))).collect()
            };
            self.completions.write(&json!({
                "step": step,
                "sample": group.prompt.sample.id,
                "speed": labels.speed.map(|label| label.as_str()),
                "path": labels.path.map(|label| label.as_str()),
                "completion": answer.text,
                "tokens": answer.ids.len(),
                "cut": answer.cut,
                "reward": answer.reward,
                "advantage": answer.advantage,
                "rewards": each(&|score| json!(score.value)),
                "why": each(&|score| json!(score.why)),
            }))?;
        }
        Ok(())
    }

    /// The line for people.
    pub(super) fn progress(&mut self, progress: &mut Progress, report: &Report, step: u64, total: u64) {
        let value = |name: &str| report.get(name).unwrap_or(f64::NAN);
        self.rewards.push(value("reward"));
        let seconds = self.begin.elapsed().as_secs_f64() / (step - self.from).max(1) as f64;
        progress.line(step == total, || {
            let mut parts = vec![
                format!("step {step}/{total}"),
                format!("reward {:.3}±{:.3}", value("reward"), value("reward_std")),
                progress::sparkline(&self.rewards, 8),
                format!("accuracy {:.2}", value("plans/accuracy")),
                format!("length {:.0}", value("completions/mean_length")),
                format!("entropy {:.2}", value("entropy")),
            ];
            parts.extend(report.get("kl").map(|kl| format!("kl {kl:.4}")));
            parts.push(format!("{seconds:.*} s/step", if seconds < 1.0 { 3 } else { 1 }));
            parts.push(format!("eta {}", progress::duration(seconds * total.saturating_sub(step) as f64)));
            parts.join("  ")
        });
    }
}
