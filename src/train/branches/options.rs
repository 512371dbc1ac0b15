//! From settings to what the branches and their learners take.

use super::{Mix, Verb, learner::Pace, tree::Shaping};
use crate::{
    error::{Failure, Result},
    settings::{Pair, Settings},
    trajectory::{IlOptions, ObjectiveOptions, Shape, TreeOptions, geometry::LEVELS},
};

/// Fails on what is known to be wrong before any frame is encoded. `given`: there is an imitation head to start from.
///
/// # Errors
/// Exit 2 with the setting.
pub fn check(verb: Verb, settings: &Settings, given: bool) -> Result<()> {
    if settings.il.max_steps == 0 && !given {
        let failure = Failure::usage("il.max_steps is 0 and there is no imitation head to start from");
        return Err(match verb {
            Verb::Il => failure.hint("raise il.max_steps"),
            Verb::Pair => failure.hint("name one with --il RUN, or raise il.max_steps"),
        });
    }
    tree(settings, 1).map(|_| ())
}

/// Sizes of every branch over features of a width.
pub fn shape(settings: &Settings, feature_width: usize) -> Shape {
    let it = &settings.trajectory;
    Shape {
        feature_width,
        width: it.width,
        heads: it.heads,
        layers: it.layers,
        inner: it.inner,
        registers: it.registers,
    }
}

/// The imitation head.
pub fn il(settings: &Settings, feature_width: usize) -> IlOptions {
    IlOptions { shape: shape(settings, feature_width), modes: settings.il.modes }
}

/// The tree.
///
/// # Errors
/// Sizes that make no sense.
pub fn tree(settings: &Settings, feature_width: usize) -> Result<TreeOptions> {
    let pair = &settings.pair;
    let options = TreeOptions {
        shape: shape(settings, feature_width),
        branching: levels(&pair.branching),
        plan_branching: levels(&pair.plan_branching),
        lean_bias: pair.lean_bias,
        ..TreeOptions::default()
    };
    options.check()?;
    Ok(options)
}

fn levels(numbers: &[usize]) -> [usize; LEVELS] {
    let mut levels = [1; LEVELS];
    levels.iter_mut().zip(numbers).for_each(|(level, number)| *level = *number);
    levels
}

/// The objective of the tree.
pub fn objective(pair: &Pair) -> ObjectiveOptions {
    ObjectiveOptions {
        epsilon: pair.epsilon,
        epsilon_high: pair.epsilon_high,
        beta: pair.beta,
        parent_share: pair.parent_share,
        scale_rewards: pair.scale_rewards,
        ..ObjectiveOptions::default()
    }
}

/// The references of the tree.
pub fn mix(pair: &Pair) -> Mix {
    let weight = |at: usize| pair.reference_weights.get(at).copied().unwrap_or(0.0);
    Mix { human: weight(0), shaken: weight(1), anchor: weight(2), constant: weight(3), il: weight(4) }
}

/// The shaping of rewards.
pub fn shaping(pair: &Pair) -> Shaping {
    Shaping { action_cost: pair.action_cost, comfort_cost: pair.comfort_cost, consistency: pair.consistency }
}

/// How the imitation head learns.
pub fn il_pace(settings: &Settings) -> Pace {
    let il = &settings.il;
    Pace {
        learning_rate: il.learning_rate,
        scheduler: il.lr_scheduler_type,
        warmup_steps: il.warmup_steps,
        steps: il.max_steps,
        weight_decay: il.weight_decay,
        max_grad_norm: il.max_grad_norm,
    }
}

/// How reinforcement learning goes.
pub fn rl_pace(pair: &Pair) -> Pace {
    Pace {
        learning_rate: pair.learning_rate,
        scheduler: pair.lr_scheduler_type,
        warmup_steps: pair.warmup_steps,
        steps: pair.max_steps,
        weight_decay: pair.weight_decay,
        max_grad_norm: pair.max_grad_norm,
    }
}

/// How the selector learns.
pub fn selector_pace(pair: &Pair) -> Pace {
    let warmup_steps = pair.warmup_steps.min(pair.selector_steps);
    Pace { learning_rate: pair.selector_learning_rate, steps: pair.selector_steps, warmup_steps, ..rl_pace(pair) }
}
