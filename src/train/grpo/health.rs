//! Signs that a run goes wrong long before its end, with what to try. Looks at the last steps only, and repeats a
//! warning at most every fifty steps.

use super::report::Report;
use std::{collections::BTreeMap, fmt};

/// Steps that a sign must last.
const WINDOW: usize = 10;
/// Steps over which accuracy should move.
const LONG: usize = 40;
/// Steps between two warnings of a kind.
const SILENT: u64 = 50;

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Warning {
    /// Most groups have equal rewards, so there is nothing to compare.
    ZeroVariance(f64),
    /// Answers run into the length limit.
    Clipped(f64),
    /// The policy hardly varies any more: entropy then and now, nats.
    EntropyCollapse(f64, f64),
    /// One plan is given to nearly everything: its part among answers and the part of the most common label.
    OneClass(f64, f64),
    /// Answers have the form, but accuracy stays.
    FormatOnly(f64),
    /// Sampler and trainer disagree about the answers: how far the importance ratio between them is from 1.
    Mismatch(f64),
    /// Part of the steps in which resampling found too few groups.
    ResampleCap(f64),
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Warning::ZeroVariance(part) => write!(
                f,
                "{:.0} % of the groups have equal rewards and teach nothing: raise grpo.temperature or \
                 grpo.num_generations, set grpo.dynamic_sample=true, or train on harder samples",
                100.0 * part
            ),
            Warning::Clipped(part) => write!(
                f,
                "{:.0} % of the answers are cut off: raise grpo.max_completion_length, or set \
                 grpo.mask_truncated_completions=true",
                100.0 * part
            ),
            Warning::EntropyCollapse(then, now) => write!(
                f,
                "entropy fell from {then:.3} to {now:.3}: lower grpo.learning_rate, or raise grpo.epsilon_high \
                 (0.28) or grpo.beta"
            ),
            Warning::OneClass(part, labels) => write!(
                f,
                "{:.0} % of the plans are the same, of the labels {:.0} %: set grpo.class_balance=sqrt, or a reward \
                 that weighs rare actions more",
                100.0 * part,
                100.0 * labels
            ),
            Warning::FormatOnly(accuracy) => write!(
                f,
                "answers have the right form, but accuracy stays at {accuracy:.2}: check that the model sees \
                 (`reinsman eval` against --blind), fine-tune it longer first, or raise the weight of the actions"
            ),
            Warning::Mismatch(far) => write!(
                f,
                "the importance ratio between trainer and sampler is {far:.2} from 1 on average: compute in \
                 model.dtype=f32 or with model.quant=none or q8_0, or set \
                 grpo.importance_sampling_mode=token_truncate"
            ),
            Warning::ResampleCap(part) => write!(
                f,
                "in {:.0} % of the steps grpo.max_resample_times was not enough to find groups whose rewards differ: \
                 raise it, grpo.num_generations or grpo.temperature, or train on other samples",
                100.0 * part
            ),
        }
    }
}

/// What was seen so far.
#[derive(Debug, Default)]
pub(super) struct Health {
    history: BTreeMap<&'static str, Vec<f64>>,
    told: [u64; 7],
}

const SIGNS: [&str; 10] = [
    "frac_reward_zero_std",
    "completions/clipped_ratio",
    "entropy",
    "plans/most_common_ratio",
    "labels/most_common_ratio",
    "plans/parsed_ratio",
    "plans/accuracy",
    "sampling/importance_sampling_ratio/mean",
    "sampling/sampling_logp_difference/mean",
    "resample/capped",
];

impl Health {
    /// Takes a step in and says what is wrong.
    pub(super) fn look(&mut self, step: u64, report: &Report) -> Vec<Warning> {
        if report.skipped.is_some() {
            return Vec::new();
        }
        for name in SIGNS {
            self.history.entry(name).or_default().extend(report.get(name));
        }
        let found = [
            self.recent("frac_reward_zero_std").filter(|part| *part > 0.8).map(Warning::ZeroVariance),
            self.recent("completions/clipped_ratio").filter(|part| *part > 0.3).map(Warning::Clipped),
            self.entropy(),
            self.one_class(),
            self.format_only(),
            self.mismatch(),
            self.recent("resample/capped").filter(|part| *part > 0.5).map(Warning::ResampleCap),
        ];
        let mut out = Vec::new();
        for (told, warning) in self.told.iter_mut().zip(found) {
            if let Some(warning) = warning.filter(|_| *told == 0 || step >= *told + SILENT) {
                *told = step;
                out.push(warning);
            }
        }
        out
    }

    fn of(&self, name: &str) -> &[f64] {
        self.history.get(name).map_or(&[], Vec::as_slice)
    }

    /// Mean over the window, once there is one.
    fn recent(&self, name: &str) -> Option<f64> {
        let all = self.of(name);
        Some(mean(&all[all.len().checked_sub(WINDOW)?..]))
    }

    fn entropy(&self) -> Option<Warning> {
        let all = self.of("entropy");
        let then = mean(all.get(..WINDOW).filter(|_| all.len() >= 2 * WINDOW)?);
        let now = self.recent("entropy")?;
        (now < 0.2 * then).then_some(Warning::EntropyCollapse(then, now))
    }

    fn one_class(&self) -> Option<Warning> {
        let (part, labels) = (self.recent("plans/most_common_ratio")?, self.recent("labels/most_common_ratio")?);
        (part > 0.9 && labels < 0.7).then_some(Warning::OneClass(part, labels))
    }

    fn format_only(&self) -> Option<Warning> {
        let accuracy = self.of("plans/accuracy");
        let (before, after) = accuracy[accuracy.len().checked_sub(LONG)?..].split_at(LONG / 2);
        let (before, after) = (mean(before), mean(after));
        let flat = after - before < 0.02 && after < 0.9;
        (flat && self.recent("plans/parsed_ratio")? > 0.95).then_some(Warning::FormatOnly(after))
    }

    /// Bounds hide how far a ratio was off, and without a correction there is none: differences count too.
    fn mismatch(&self) -> Option<Warning> {
        let apart = self.recent("sampling/sampling_logp_difference/mean")?;
        let ratio = self.recent("sampling/importance_sampling_ratio/mean").unwrap_or(1.0);
        let far = apart.max((ratio - 1.0).abs());
        (far > 0.1).then_some(Warning::Mismatch(far))
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn report(values: &[(&str, f64)]) -> Report {
        let values = values.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
        Report { values, ..Report::default() }
    }

    /// Steps at which something was said.
    fn said(steps: u64, of: impl Fn(u64) -> Report) -> Vec<(u64, Warning)> {
        let mut health = Health::default();
        (1..=steps).flat_map(|step| health.look(step, &of(step)).into_iter().map(move |w| (step, w))).collect()
    }

    #[test]
    fn each_sign_speaks_once_in_fifty_steps() {
        let zero = said(70, |_| report(&[("frac_reward_zero_std", 0.9)]));
        assert_eq!(zero.iter().map(|(step, _)| *step).collect::<Vec<_>>(), [10, 60]);
        assert!(zero[0].1.to_string().contains("90 % of the groups"), "{}", zero[0].1);
        let clipped = said(20, |_| report(&[("completions/clipped_ratio", 0.4), ("frac_reward_zero_std", 0.5)]));
        assert!(matches!(clipped[..], [(10, Warning::Clipped(_))]), "{clipped:?}");
        let entropy = said(40, |step| report(&[("entropy", if step <= 10 { 1.0 } else { 0.1 })]));
        assert!(matches!(entropy[..], [(20, Warning::EntropyCollapse(..))]), "{entropy:?}");
        let same = |labels| move |_| report(&[("plans/most_common_ratio", 0.95), ("labels/most_common_ratio", labels)]);
        assert!(matches!(said(12, same(0.5))[..], [(10, Warning::OneClass(..))]));
        assert_eq!(said(12, same(0.9)), [], "the labels are as one-sided");
    }

    #[test]
    fn sampler_and_trainer_that_disagree_and_a_cap_that_is_reached_are_noticed() {
        let step = |apart: f64, ratio: f64| {
            let values =
                [("sampling/sampling_logp_difference/mean", apart), ("sampling/importance_sampling_ratio/mean", ratio)];
            move |_: u64| report(&values)
        };
        assert_eq!(said(30, step(0.001, 1.02)), []);
        for (apart, ratio) in [(0.2, 1.0), (0.01, 0.7), (0.01, 1.3)] {
            let found = said(30, step(apart, ratio));
            assert!(matches!(found[..], [(10, Warning::Mismatch(far))] if far > 0.19), "{found:?}");
            assert!(found[0].1.to_string().contains("model.dtype=f32"));
        }
        let uncorrected = said(12, |_| report(&[("sampling/sampling_logp_difference/mean", 0.5)]));
        assert!(matches!(uncorrected[..], [(10, Warning::Mismatch(_))]));
        let capped =
            |every: u64| move |step: u64| report(&[("resample/capped", f64::from(step.is_multiple_of(every)))]);
        let found = said(30, capped(1));
        assert!(matches!(found[..], [(10, Warning::ResampleCap(_))]), "{found:?}");
        assert!(found[0].1.to_string().contains("grpo.max_resample_times"));
        assert_eq!(said(30, capped(3)), []);
    }

    #[test]
    fn form_without_accuracy_is_noticed_and_progress_is_not() {
        let step = |rate: f64| {
            move |step: u64| report(&[("plans/parsed_ratio", 1.0), ("plans/accuracy", 0.4 + rate * step as f64)])
        };
        assert!(matches!(said(45, step(0.0))[..], [(40, Warning::FormatOnly(_))]));
        assert_eq!(said(45, step(0.005)), []);
        let skipped = Report { skipped: Some("x".into()), ..report(&[("frac_reward_zero_std", 1.0)]) };
        assert_eq!(said(20, |_| skipped.clone()), []);
    }
}
