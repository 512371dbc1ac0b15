//! What can be wrong with a request to score.

use scene::Trajectory;
use scene::world::SceneError;

/// A scene or a plan cannot be scored.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PdmError {
    /// The scene breaks a rule of the format.
    #[error(transparent)]
    Scene(#[from] SceneError),
    /// A plan holds a number that is not finite or outside its range.
    #[error("plan {plan}: {field} is {value}: must be {rule}")]
    Plan {
        /// Index of the plan in the batch.
        plan: usize,
        /// Which number.
        field: String,
        /// What was found.
        value: f64,
        /// What is allowed.
        rule: &'static str,
    },
    /// The interval between two frames does not allow extended comfort.
    #[error("interval of {0} s between two plans: extended comfort needs more than 0 and less than 0.55 s")]
    Interval(f64),
    /// Two things that belong to different versions of the metric were combined.
    #[error("{0} needs the {1} metric")]
    Version(&'static str, &'static str),
    /// A stage-two mapping names a token without scores.
    #[error("two-stage mapping names {0:?}, which has no row")]
    Token(String),
}

/// Most poses a plan may have.
const MOST_POSES: usize = 10_000;
/// Farthest a pose may lie from ego, metres.
const FARTHEST: f64 = 1e6;

/// Says the first rule that a plan breaks; `index` is its place in the batch.
pub fn check_plan(index: usize, plan: &Trajectory) -> Result<(), PdmError> {
    let wrong = |field: String, value: f64, rule| Err(PdmError::Plan { plan: index, field, value, rule });
    if !(plan.step >= 0.01 && plan.step <= 10.0) {
        return wrong("step".into(), plan.step, "between 0.01 and 10 s");
    }
    if plan.poses.is_empty() || plan.poses.len() > MOST_POSES {
        return wrong("number of poses".into(), plan.poses.len() as f64, "between 1 and 10000");
    }
    for (i, pose) in plan.poses.iter().enumerate() {
        for (name, value) in [("x", pose.x), ("y", pose.y), ("heading", pose.heading)] {
            if !value.is_finite() || value.abs() > FARTHEST {
                return wrong(format!("poses[{i}].{name}"), value, "a finite number of magnitude at most 1e6");
            }
        }
    }
    Ok(())
}
