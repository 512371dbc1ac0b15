//! What comes of a plan in the scene that its frame was taken from: terms `driving` (driving score), `pdms` (PDM score) and
//! `tree` (what a trajectory tree that leans to the plan gains over the reference it grows on).
//!
//! Whoever has a simulator drives every joint plan out beforehand and puts what came of it into
//! [`crate::Driven::outcomes`]; the terms only look the plan of the completion up. It is read with the strict parser, so
//! that several plans, or none, score 0. Not applicable without outcomes, or (`pdms`, `tree`) where a plan has no such score.
//!
//! 1. The simulator's car follows its route whatever turn is named, so words that are not what it then did (a turn where
//!    the way goes straight on, a change to a lane that does not exist) would cost nothing. They count `misnamed` (0.5).
//!    The tree follows no route, so `tree` counts words in full.

use crate::{Asked, Reference, Score, Setting, Term};
use scene::{
    MetaAction, PathAction,
    parse::{Mode, parse},
};

/// Joint plans.
pub const PLANS: usize = 20;

/// What came of one joint plan.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Outcome {
    /// Driving score of the seconds driven, in `[0, 1]`; the best plan has 1.
    pub driving: f64,
    /// PDM score of the driven poses, in `[0, 1]`.
    pub pdms: Option<f64>,
    /// PDM score that the best leaf of a tree leaning to the plan has more than the reference, in `[0, 1]`.
    pub utility: Option<f64>,
    /// Product of what infractions cost, in `[0, 1]`.
    pub penalty: f64,
    /// Progress as a share of the expert's, in `[0, 1]`.
    pub progress: f64,
    /// Whether the path that was driven is the one that the plan names.
    pub as_said: bool,
    /// What cost most, in words; empty when nothing did.
    pub cost: &'static str,
}

/// What came of every joint plan.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Outcomes(pub [Outcome; PLANS]);

impl Outcomes {
    /// One outcome for each plan.
    pub fn new(of: impl Fn(MetaAction) -> Outcome) -> Outcomes {
        let mut all = Outcomes::default();
        MetaAction::all().for_each(|plan| all.0[place(plan)] = of(plan));
        all
    }

    /// What came of a plan.
    pub fn of(&self, plan: MetaAction) -> &Outcome {
        &self.0[place(plan)]
    }
}

/// Position of a plan in [`MetaAction::all`].
fn place(plan: MetaAction) -> usize {
    plan.speed.index() * PathAction::ALL.len() + plan.path.index()
}

/// The term `driving`.
#[derive(Debug, Clone, Copy)]
pub struct Driving;

/// The term `pdms`.
#[derive(Debug, Clone, Copy)]
pub struct Pdms;

/// The term `tree`.
#[derive(Debug, Clone, Copy)]
pub struct Tree;

const MISNAMED: &[Setting] = &[Setting { name: "misnamed", default: 0.5, range: (0.0, 1.0) }];

impl Term for Driving {
    fn name(&self) -> &'static str {
        "driving"
    }

    fn settings(&self) -> &'static [Setting] {
        MISNAMED
    }

    fn score(&self, completion: &str, reference: &Reference, group: &[&str]) -> Option<Score> {
        self.judge(&Asked::new(completion, reference, group))
    }

    fn judge(&self, asked: &Asked) -> Option<Score> {
        judge(asked, |outcome| Some(outcome.driving))
    }
}

impl Term for Pdms {
    fn name(&self) -> &'static str {
        "pdms"
    }

    fn settings(&self) -> &'static [Setting] {
        MISNAMED
    }

    fn score(&self, completion: &str, reference: &Reference, group: &[&str]) -> Option<Score> {
        self.judge(&Asked::new(completion, reference, group))
    }

    fn judge(&self, asked: &Asked) -> Option<Score> {
        judge(asked, |outcome| outcome.pdms)
    }
}

impl Term for Tree {
    fn name(&self) -> &'static str {
        "tree"
    }

    fn score(&self, completion: &str, reference: &Reference, group: &[&str]) -> Option<Score> {
        let found = look_up(&Asked::new(completion, reference, group), |outcome| outcome.utility)?;
        let told = |(plan, _, gain)| Score::new(gain, format!("{plan}: the tree gains {gain:.3}"));
        Some(found.map_or_else(|none| none, told))
    }
}

/// The plan of a completion, what came of it and the asked score, or the verdict where no plan can be read. `None` unless
/// every plan has the asked score, whatever the completion says.
fn look_up<'a>(
    asked: &Asked<'a>,
    of: impl Fn(&Outcome) -> Option<f64>,
) -> Option<Result<(MetaAction, &'a Outcome, f64), Score>> {
    let outcomes = asked.reference.driven.as_ref()?.outcomes.as_ref()?;
    if outcomes.0.iter().any(|outcome| of(outcome).is_none()) {
        return None;
    }
    let plan = match parse(asked.completion, Mode::Strict) {
        Ok(plan) => plan.action,
        Err(reason) => return Some(Err(Score::new(0.0, reason.to_string()))),
    };
    let outcome = outcomes.of(plan);
    let scored = of(outcome).filter(|value| value.is_finite()).unwrap_or_default().clamp(0.0, 1.0);
    Some(Ok((plan, outcome, scored)))
}

/// The asked score of the plan, less where its words are not what was driven.
fn judge(asked: &Asked, of: impl Fn(&Outcome) -> Option<f64>) -> Option<Score> {
    let (plan, outcome, scored) = match look_up(asked, of)? {
        Ok(found) => found,
        Err(none) => return Some(none),
    };
    let named = if outcome.as_said { 1.0 } else { asked.value(MISNAMED, 0) };
    let told = match (outcome.cost, outcome.as_said) {
        ("", true) => String::new(),
        ("", false) => ": the car drives another path".to_owned(),
        (cost, _) => format!(": {cost}"),
    };
    let parts = [("penalty", outcome.penalty), ("progress", outcome.progress), ("named", named)];
    Some(Score {
        value: scored * named,
        parts: parts.map(|(name, value)| (name.to_owned(), value)).to_vec(),
        why: format!("{plan}{told}"),
    })
}
