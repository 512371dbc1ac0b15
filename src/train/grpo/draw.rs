//! Which groups a step learns from: answers to the next prompts in the order of the data, and with `dynamic_sample`
//! further prompts in the place of groups whose rewards are all equal (dynamic sampling; Yu et al. 2025, DAPO, equation
//! 11).
//!
//! Prompts come from the state's cursor on, and random streams are named after the step and the place of a draw in it: a
//! step is a function of the seed, the weights and the state.
//!
//! Deviations from DAPO:
//! 1. A round draws as many prompts as are missing, not a whole batch.
//! 2. When the rounds are used up, the first groups that were left out fill the step, so that it has its size.

use super::{
    Trainer,
    rollout::{self, Answer, Group, Prompt},
    setup,
};
use crate::{
    error::Result,
    train::rl::advantage::{Advantages, advantages},
};
use data::Sample;

/// The groups of a step.
#[derive(Default)]
pub(super) struct Drawn<'a> {
    /// Those it learns from.
    pub(super) groups: Vec<Group<'a>>,
    /// Those it leaves out.
    pub(super) discarded: Vec<Group<'a>>,
    /// Prompts taken from the order of the data.
    pub(super) prompts: u64,
    /// Whether groups that teach nothing had to fill the step.
    pub(super) capped: bool,
    /// Why the rewards cannot be used, if so.
    pub(super) broken: Option<String>,
}

impl<'a> Drawn<'a> {
    /// All groups that were drawn.
    pub(super) fn all(&self) -> Vec<&Group<'a>> {
        self.groups.iter().chain(&self.discarded).collect()
    }
}

impl<'a> Trainer<'a> {
    /// Draws and rewards the groups of a step.
    pub(super) fn draw(&mut self) -> Result<Drawn<'a>> {
        let (grpo, wanted) = (&self.settings.grpo, self.settings.grpo.prompts_per_step);
        let rounds = if grpo.dynamic_sample { grpo.max_resample_times } else { 0 };
        let mut drawn = Drawn::default();
        for _ in 0..=rounds {
            let from = self.state.cursor + drawn.prompts;
            let missing = (wanted - drawn.groups.len()) as u64;
            let picked: Vec<&'a Sample> =
                (from..from + missing).map(|position| &self.train[self.order.at(position)]).collect();
            self.judge.prepare(self.planner, &picked)?;
            let prompts = Prompt::of(self.planner, self.features.as_mut(), &picked, grpo.think)?;
            let groups = rollout::sample(self.planner, prompts, &self.sampling, (self.state.step, drawn.prompts))?;
            drawn.prompts += missing;
            for mut group in groups {
                let broken = self.judge.score(&mut group);
                let keep = broken.is_some() || !grpo.dynamic_sample || self.teaches(&group)?;
                let named = |why| format!("{why} of sample {}", group.prompt.sample.id);
                drawn.broken = drawn.broken.take().or(broken.map(named));
                if keep { drawn.groups.push(group) } else { drawn.discarded.push(group) }
            }
            if drawn.broken.is_some() || drawn.groups.len() == wanted {
                break;
            }
        }
        let missing = (wanted - drawn.groups.len()).min(drawn.discarded.len());
        drawn.groups.extend(drawn.discarded.drain(..missing));
        drawn.capped = missing > 0;
        Ok(drawn)
    }

    /// Whether some answer is better than another.
    fn teaches(&self, group: &Group) -> Result<bool> {
        let found = self.compare(&[group])?;
        Ok(found.frac_reward_zero_std == 0.0 && found.advantages.iter().any(|a| *a != 0.0))
    }

    /// Advantages of the answers of groups with finite rewards.
    pub(super) fn compare(&self, groups: &[&Group]) -> Result<Advantages> {
        // (terms, B), NaN where a reward does not apply.
        let value =
            |answer: &Answer, k: usize| answer.scores.get(k).and_then(Option::as_ref).map_or(f64::NAN, |s| s.value);
        let term = |k| groups.iter().flat_map(|group| &group.answers).map(|answer| value(answer, k)).collect();
        let rewards: Vec<Vec<f64>> = (0..self.judge.names.len()).map(term).collect();
        advantages(&rewards, &self.judge.weights, self.sampling.generations, setup::advantage(&self.settings.grpo))
    }
}
