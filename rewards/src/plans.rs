//! Several plans in one completion: AlphaDrive (arXiv 2503.07608) reports that reinforced planners offer more than one
//! plausible plan (`STOP, STRAIGHT` or `KEEP, LEFT_TURN`), but names no measure and no rule of choice. These two are ours.
//!
//! An answer lists plans separated by `;` or new lines, each `SPEED, PATH`, case free; several answer blocks add up.
//! Anything else between the separators is passed over; equal plans count once.
//!
//! * `plan_set_f1`: F1 between the set of plans and the driven one, `2 hit / (plans + 1)`: every plan more costs.
//! * `plan_best_of`: the best of at most `plans` (2) plans, by the share of right axes; more plans than that give 0.
//!   Two guesses for the price of one, as in minFDE over k modes: use it where offering alternatives is the wish.

use crate::{Asked, Reference, Score, Setting, Term, axis::bodies};
use scene::{MetaAction, parse::answer};

/// The term `plan_set_f1`.
#[derive(Debug, Clone, Copy)]
pub struct SetF1;

/// The term `plan_best_of`.
#[derive(Debug, Clone, Copy)]
pub struct BestOf;

const BEST_OF: &[Setting] = &[Setting { name: "plans", default: 2.0, range: (1.0, 20.0) }];

impl Term for SetF1 {
    fn name(&self) -> &'static str {
        "plan_set_f1"
    }

    fn score(&self, completion: &str, reference: &Reference, _: &[&str]) -> Option<Score> {
        let want = driven(reference)?;
        let plans = plans(completion);
        let hit = if plans.contains(&want) { 2.0 } else { 0.0 };
        Some(Score::new(hit / (plans.len() + 1) as f64, show(&plans, want)))
    }
}

impl Term for BestOf {
    fn name(&self) -> &'static str {
        "plan_best_of"
    }

    fn settings(&self) -> &'static [Setting] {
        BEST_OF
    }

    fn score(&self, completion: &str, reference: &Reference, group: &[&str]) -> Option<Score> {
        self.judge(&Asked::new(completion, reference, group))
    }

    fn judge(&self, asked: &Asked) -> Option<Score> {
        let want = driven(asked.reference)?;
        let plans = plans(asked.completion);
        let most = asked.value(BEST_OF, 0);
        if plans.len() as f64 > most {
            return Some(Score::new(0.0, format!("{} plans, at most {most} are allowed", plans.len())));
        }
        let right = |p: &MetaAction| f64::from(u8::from(p.speed == want.speed) + u8::from(p.path == want.path)) / 2.0;
        Some(Score::new(plans.iter().map(right).fold(0.0, f64::max), show(&plans, want)))
    }
}

fn driven(reference: &Reference) -> Option<MetaAction> {
    Some(MetaAction::new(reference.speed?, reference.path?))
}

/// Different plans in order of mention; at most 20 exist.
fn plans(completion: &str) -> Vec<MetaAction> {
    let mut found = Vec::new();
    for item in bodies(completion).flat_map(|b| b.split([';', '\n'])) {
        // Longer than any plan with generous white space: not worth an upper-case copy.
        if item.len() <= 200
            && let Ok(plan) = answer(&item.to_ascii_uppercase())
            && !found.contains(&plan)
        {
            found.push(plan);
        }
    }
    found
}

fn show(plans: &[MetaAction], want: MetaAction) -> String {
    let list: Vec<String> = plans.iter().map(MetaAction::to_string).collect();
    match list.is_empty() {
        true => format!("no plan, driven {want}"),
        false => format!("{}, driven {want}", list.join("; ")),
    }
}
