//! What every trainer makes of its settings, and says, in the same way.

use super::{
    auxiliary::Head,
    schedule::{Schedule, ScheduleOptions, SchedulerKwargs, SchedulerType},
    snapshot::{self, Saved},
};
use crate::{
    error::{Failure, Result},
    policy::Planner,
    settings::{ClassBalance, LrScheduler},
};
use data::balance::Balance;

/// Skipped steps in a row after which training stops.
pub const MAX_BAD: u32 = 5;
/// Held-out samples that an evaluation looks at.
pub const EVAL_LIMIT: usize = 128;

/// Optimizer steps: `max_steps`, or what `epochs` passes over the samples take.
pub fn total_steps(max_steps: Option<usize>, epochs: f64, samples: usize, per_step: usize) -> u64 {
    match max_steps {
        Some(steps) => steps as u64,
        None => ((samples as f64 * epochs / per_step.max(1) as f64).ceil() as u64).max(1),
    }
}

/// A schedule over `total` steps; `warmup` below 1 is a part of them.
///
/// # Errors
/// Numbers out of range.
pub fn curve(learning_rate: f64, kind: LrScheduler, warmup: f64, total: u64) -> Result<Schedule> {
    ScheduleOptions {
        learning_rate,
        lr_scheduler_type: kind_of(kind),
        warmup_steps: warmup,
        lr_scheduler_kwargs: match kind {
            LrScheduler::CosineWithMinLr => SchedulerKwargs { min_lr_rate: Some(0.1), ..SchedulerKwargs::default() },
            _ => SchedulerKwargs::default(),
        },
        ..ScheduleOptions::default()
    }
    .resolve(total)
}

fn kind_of(kind: LrScheduler) -> SchedulerType {
    match kind {
        LrScheduler::Linear => SchedulerType::Linear,
        LrScheduler::Cosine => SchedulerType::Cosine,
        LrScheduler::CosineWithMinLr => SchedulerType::CosineWithMinLr,
        LrScheduler::Polynomial => SchedulerType::Polynomial,
        LrScheduler::Constant => SchedulerType::Constant,
        LrScheduler::ConstantWithWarmup => SchedulerType::ConstantWithWarmup,
    }
}

/// How rare plans are drawn more often.
pub fn balance(kind: ClassBalance) -> Balance {
    match kind {
        ClassBalance::None => Balance::None,
        ClassBalance::Sqrt => Balance::Sqrt,
        ClassBalance::Uniform => Balance::Uniform,
    }
}

/// Why a step with broken gradients was skipped.
pub fn not_finite(tensors: &[String]) -> String {
    let shown = tensors.iter().take(2).map(String::as_str).collect::<Vec<_>>().join(", ");
    match tensors.len().saturating_sub(2) {
        0 => format!("the gradient of {shown} is not finite"),
        more => format!("the gradient of {shown} and {more} more is not finite"),
    }
}

/// Why training ends after [`MAX_BAD`] broken steps; `section` is that of the trainer's settings.
pub fn broken(
    section: &str,
    (planner, head): (&Planner, Option<&Head>),
    (why, ids): (&str, &[String]),
    saved: &Saved,
) -> Failure {
    let samples = ids.join(", ");
    let failure = Failure::device(format!(
        "{MAX_BAD} steps in a row were broken, the last because {why}; its samples were {samples}"
    ));
    let kept = match &saved.dir {
        Some(dir) => format!("{} is good; ", dir.display()),
        None => String::new(),
    };
    match snapshot::non_finite(planner, head, true) {
        Ok(Some(name)) => failure.hint(format!("{name} of the model holds a NaN or an infinity: start from another")),
        _ => failure.hint(format!("{kept}lower {section}.learning_rate or look at the named samples")),
    }
}
