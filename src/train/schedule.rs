//! Learning-rate schedules of the Hugging Face trainer as pure functions of the optimizer step, with its key names.
//!
//! [`Schedule::lr`] gives the rate in force at step k, counted from 0; formulas and quirks (warm-up starts at exactly 0,
//! `cosine_warmup_with_min_lr` is one step ahead) are those of `transformers.optimization`. `reduce_lr_on_plateau`
//! depends on a metric and is not a function of the step: it is refused.

use crate::error::{Failure, Result};
use serde::{Deserialize, Serialize};
use std::f64::consts::PI;

/// Shape of the curve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SchedulerType {
    /// Down to 0 in a straight line; the trainer's default.
    Linear,
    /// Half a cosine down to 0 (`num_cycles` 0.5).
    Cosine,
    /// `num_cycles` half cosines, each from the full rate.
    CosineWithRestarts,
    /// Down to `lr_end` by a power of the remaining part.
    Polynomial,
    /// Always the full rate, without warm-up.
    Constant,
    /// The full rate after warm-up.
    ConstantWithWarmup,
    /// `1 / sqrt(step / timescale)` after warm-up.
    InverseSqrt,
    /// Cosine down to `min_lr` or `min_lr_rate` of the full rate.
    CosineWithMinLr,
    /// The same with a warm-up from `warmup_lr_rate`, one step ahead.
    CosineWarmupWithMinLr,
    /// Warm-up, flat, then decay over `num_decay_steps`.
    WarmupStableDecay,
}

/// Extra parameters; those that a type does not use are refused.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SchedulerKwargs {
    /// Cosine waves: 0.5 for the cosines, 1 for restarts when not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub num_cycles: Option<f64>,
    /// Exponent of `polynomial`, 1 when not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub power: Option<f64>,
    /// Final rate of `polynomial`, 1e-7 when not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lr_end: Option<f64>,
    /// Final rate of the `min_lr` cosines.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_lr: Option<f64>,
    /// The same as a part of the full rate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_lr_rate: Option<f64>,
    /// Start of the warm-up of `cosine_warmup_with_min_lr` as a part of the full rate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warmup_lr_rate: Option<f64>,
    /// Time scale of `inverse_sqrt`, the warm-up or 10 000 when not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timescale: Option<f64>,
    /// Length of the decay of `warmup_stable_decay`; required there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub num_decay_steps: Option<u64>,
    /// Length of its flat part, what is left over when not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub num_stable_steps: Option<u64>,
    /// Its warm-up curve: `linear` (default), `cosine` or `1-sqrt`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warmup_type: Option<Curve>,
    /// Its decay curve: `cosine` (default), `linear` or `1-sqrt`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decay_type: Option<Curve>,
    /// Its final rate as a part of the full rate, 0 when not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_lr_ratio: Option<f64>,
}

/// Curves of `warmup_stable_decay`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Curve {
    /// Straight.
    Linear,
    /// Half a cosine.
    Cosine,
    /// One minus a square root.
    #[serde(rename = "1-sqrt")]
    OneMinusSqrt,
}

/// What a run's settings say about the learning rate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ScheduleOptions {
    /// Full rate.
    pub learning_rate: f64,
    /// Curve.
    pub lr_scheduler_type: SchedulerType,
    /// Optimizer steps of warm-up; below 1, the part of all steps (as `warmup_ratio`).
    pub warmup_steps: f64,
    /// Part of all steps spent warming up, used when `warmup_steps` is 0.
    pub warmup_ratio: f64,
    /// Extra parameters of the curve.
    pub lr_scheduler_kwargs: SchedulerKwargs,
}

impl Default for ScheduleOptions {
    fn default() -> Self {
        ScheduleOptions {
            learning_rate: 5e-5,
            lr_scheduler_type: SchedulerType::Linear,
            warmup_steps: 0.,
            warmup_ratio: 0.,
            lr_scheduler_kwargs: SchedulerKwargs::default(),
        }
    }
}

/// A schedule whose every number is known.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    kind: SchedulerType,
    base: f64,
    warmup: f64,
    total: f64,
    cycles: f64,
    power: f64,
    /// Final rate as a part of the full one.
    floor: f64,
    warmup_floor: Option<f64>,
    timescale: f64,
    stable: f64,
    decay: f64,
    curves: (Curve, Curve),
}

impl ScheduleOptions {
    /// The schedule for a run of `total` optimizer steps. Fails on numbers out of range and parameters that the curve
    /// does not know.
    pub fn resolve(&self, total: u64) -> Result<Schedule> {
        use SchedulerType::*;
        let k = &self.lr_scheduler_kwargs;
        let kind = self.lr_scheduler_type;
        let non_negative = |name: &str, value: f64| match value.is_finite() && value >= 0. {
            true => Ok(()),
            false => Err(Failure::usage(format!("{name} must be finite and not negative, got {value}"))),
        };
        non_negative("learning_rate", self.learning_rate)?;
        non_negative("warmup_steps", self.warmup_steps)?;
        if !(0. ..=1.).contains(&self.warmup_ratio) {
            return Err(Failure::usage(format!("warmup_ratio must be between 0 and 1, got {}", self.warmup_ratio)));
        }
        let min_lr = matches!(kind, CosineWithMinLr | CosineWarmupWithMinLr);
        let cosine = min_lr || matches!(kind, Cosine | CosineWithRestarts | WarmupStableDecay);
        let stable = kind == WarmupStableDecay;
        for (name, value, known) in [
            ("num_cycles", k.num_cycles, cosine),
            ("power", k.power, kind == Polynomial),
            ("lr_end", k.lr_end, kind == Polynomial),
            ("min_lr", k.min_lr, min_lr),
            ("min_lr_rate", k.min_lr_rate, min_lr),
            ("warmup_lr_rate", k.warmup_lr_rate, kind == CosineWarmupWithMinLr),
            ("timescale", k.timescale, kind == InverseSqrt),
            ("num_decay_steps", k.num_decay_steps.map(|n| n as f64), stable),
            ("num_stable_steps", k.num_stable_steps.map(|n| n as f64), stable),
            ("min_lr_ratio", k.min_lr_ratio, stable),
            ("warmup_type", k.warmup_type.map(|_| 0.), stable),
            ("decay_type", k.decay_type.map(|_| 0.), stable),
        ] {
            if let Some(value) = value {
                non_negative(&format!("lr_scheduler_kwargs.{name}"), value)?;
                if !known {
                    return Err(Failure::usage(format!("lr_scheduler_kwargs.{name} means nothing to {kind:?}"))
                        .hint("remove it, or choose another lr_scheduler_type"));
                }
            }
        }
        let total = total as f64;
        let warmup = match self.warmup_steps {
            0. => (total * self.warmup_ratio).ceil(),
            part if part < 1. => (total * part).ceil(),
            steps => steps.floor(),
        };
        let of_base = |lr: f64| if self.learning_rate > 0. { lr / self.learning_rate } else { 0. };
        let floor = match (kind, k.min_lr, k.min_lr_rate) {
            (Polynomial, ..) => of_base(k.lr_end.unwrap_or(1e-7)),
            (WarmupStableDecay, ..) => k.min_lr_ratio.unwrap_or(0.),
            (_, None, None) if min_lr => {
                return Err(Failure::usage(
                    "lr_scheduler_kwargs needs min_lr or min_lr_rate for this lr_scheduler_type",
                ));
            }
            (_, Some(_), Some(_)) => return Err(Failure::usage("give min_lr or min_lr_rate, not both")),
            (_, Some(lr), None) => of_base(lr),
            (_, None, rate) => rate.unwrap_or(0.),
        };
        if kind == Polynomial && self.learning_rate > 0. && floor >= 1. {
            let (end, lr) = (k.lr_end.unwrap_or(1e-7), self.learning_rate);
            return Err(Failure::usage(format!("lr_end {end} must be below the learning rate {lr}")));
        }
        let decay = match (stable, k.num_decay_steps) {
            (true, None) => {
                return Err(Failure::usage("warmup_stable_decay needs lr_scheduler_kwargs.num_decay_steps"));
            }
            (_, steps) => steps.unwrap_or(0) as f64,
        };
        Ok(Schedule {
            kind,
            base: self.learning_rate,
            warmup,
            total,
            cycles: k.num_cycles.unwrap_or(if kind == CosineWithRestarts { 1. } else { 0.5 }),
            power: k.power.unwrap_or(1.),
            floor,
            warmup_floor: k.warmup_lr_rate,
            timescale: k.timescale.filter(|t| *t > 0.).unwrap_or(if warmup > 0. { warmup } else { 10_000. }),
            stable: k.num_stable_steps.map_or(total - warmup - decay, |n| n as f64),
            decay,
            curves: (k.warmup_type.unwrap_or(Curve::Linear), k.decay_type.unwrap_or(Curve::Cosine)),
        })
    }
}

impl Schedule {
    /// Learning rate in force at optimizer step `step`, counted from 0.
    pub fn lr(&self, step: u64) -> f64 {
        self.base * self.factor(step as f64).max(0.)
    }

    /// Optimizer steps of warm-up.
    pub fn warmup_steps(&self) -> u64 {
        self.warmup as u64
    }

    fn factor(&self, step: f64) -> f64 {
        use SchedulerType::*;
        let left = (self.total - self.warmup).max(1.);
        let wave = |progress: f64| 0.5 * (1. + (PI * self.cycles * 2. * progress).cos());
        let above_floor = |factor: f64| factor * (1. - self.floor) + self.floor;
        if step < self.warmup && self.kind != Constant {
            let linear = step / self.warmup.max(1.);
            return match (self.kind, self.warmup_floor) {
                (CosineWarmupWithMinLr, None) => (step + 1.) / self.warmup.max(1.),
                (CosineWarmupWithMinLr, Some(from)) => from + (1. - from) * step / (self.warmup - 1.).max(1.),
                (WarmupStableDecay, _) => above_floor(match self.curves.0 {
                    Curve::Linear => linear,
                    Curve::Cosine => 0.5 * (1. - (PI * linear).cos()),
                    Curve::OneMinusSqrt => 1. - (1. - linear).sqrt(),
                }),
                _ => linear,
            };
        }
        let progress = (step - self.warmup) / left;
        match self.kind {
            Constant | ConstantWithWarmup => 1.,
            Linear => (self.total - step) / left,
            Cosine => wave(progress),
            CosineWithRestarts if progress >= 1. => 0.,
            CosineWithRestarts => 0.5 * (1. + (PI * ((self.cycles * progress) % 1.)).cos()),
            Polynomial if step > self.total => self.floor,
            Polynomial => above_floor((1. - progress).powf(self.power)),
            InverseSqrt => 1. / ((step + self.timescale - self.warmup) / self.timescale).sqrt(),
            CosineWithMinLr => above_floor(wave(progress)),
            CosineWarmupWithMinLr => above_floor(wave((step - self.warmup + 1.) / left)),
            WarmupStableDecay => {
                let past = step - self.warmup - self.stable;
                if past < 0. {
                    return 1.;
                }
                if past >= self.decay {
                    return self.floor;
                }
                let progress = past / self.decay.max(1.);
                above_floor(match self.curves.1 {
                    Curve::Linear => 1. - progress,
                    Curve::Cosine => wave(progress),
                    Curve::OneMinusSqrt => 1. - progress.sqrt(),
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    fn options(json: &str) -> ScheduleOptions {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn warmup_as_steps_or_part() {
        assert_eq!(options(r#"{"warmup_steps": 7}"#).resolve(100).unwrap().warmup_steps(), 7);
        assert_eq!(options(r#"{"warmup_ratio": 0.031}"#).resolve(100).unwrap().warmup_steps(), 4);
        assert_eq!(options(r#"{"warmup_steps": 0.1, "warmup_ratio": 0.5}"#).resolve(30).unwrap().warmup_steps(), 3);
    }

    /// Types that the fixtures may not hold, at hand-computed points.
    #[test]
    fn the_other_curves() {
        let at = |json: &str, total, step| options(json).resolve(total).unwrap().lr(step);
        let close = |got: f64, want: f64| assert!((got - want).abs() < 1e-12, "{got} {want}");
        let inverse = r#"{"learning_rate": 1, "lr_scheduler_type": "inverse_sqrt", "warmup_steps": 4}"#;
        close(at(inverse, 100, 2), 0.5);
        close(at(inverse, 100, 16), 0.5);
        let restarts = r#"{"learning_rate": 1, "lr_scheduler_type": "cosine_with_restarts",
            "lr_scheduler_kwargs": {"num_cycles": 2}}"#;
        close(at(restarts, 8, 2), 0.5);
        close(at(restarts, 8, 4), 1.);
        close(at(restarts, 8, 8), 0.);
        let stable = r#"{"learning_rate": 2, "lr_scheduler_type": "warmup_stable_decay", "warmup_steps": 2,
            "lr_scheduler_kwargs": {"num_decay_steps": 4, "min_lr_ratio": 0.1, "decay_type": "1-sqrt"}}"#;
        close(at(stable, 10, 0), 0.2);
        close(at(stable, 10, 5), 2.);
        close(at(stable, 10, 7), 2. * (0.5 * 0.9 + 0.1));
        close(at(stable, 10, 10), 0.2);
        let ahead = r#"{"learning_rate": 1, "lr_scheduler_type": "cosine_warmup_with_min_lr", "warmup_steps": 2,
            "lr_scheduler_kwargs": {"min_lr": 0.5}}"#;
        close(at(ahead, 4, 0), 0.5);
        close(at(ahead, 4, 2), 0.75);
        let square = r#"{"learning_rate": 1, "lr_scheduler_type": "polynomial",
            "lr_scheduler_kwargs": {"power": 2, "lr_end": 0.5}}"#;
        close(at(square, 2, 1), 0.625);
        close(at(square, 2, 9), 0.5);
    }

    #[test]
    fn refuses_what_makes_no_sense() {
        let refused = |json: &str, part: &str| {
            let message = options(json).resolve(10).unwrap_err().message;
            assert!(message.contains(part), "{message}");
        };
        refused(r#"{"learning_rate": -1}"#, "learning_rate");
        refused(r#"{"warmup_ratio": 1.5}"#, "warmup_ratio");
        refused(r#"{"lr_scheduler_kwargs": {"power": 2}}"#, "power");
        refused(r#"{"lr_scheduler_type": "cosine_with_min_lr"}"#, "min_lr");
        refused(r#"{"lr_scheduler_type": "warmup_stable_decay"}"#, "num_decay_steps");
        refused(r#"{"lr_scheduler_type": "polynomial", "learning_rate": 1e-8}"#, "lr_end");
        assert!(serde_json::from_str::<ScheduleOptions>(r#"{"lr_scheduler_type": "reduce_lr_on_plateau"}"#).is_err());
        assert!(serde_json::from_str::<ScheduleOptions>(r#"{"lr_scheduler_kwargs": {"x": 1}}"#).is_err());
    }
}
