//! The per-axis rewards of AlphaDrive's released code, defects and all, to compare with: terms `speed_released` and
//! `path_released`. From `mr-d-self-driving/AlphaDrive` at `bb4104c`, functions `plan_speed_reward` and
//! `plan_path_reward`:
//!
//! `F1(Y, Y*) * sum of weights / |Y| + d`, 1e-6 added to denominators, with d = +0.4 when every label of Y was seen
//! exactly once so far in this call, this completion included, else -0.4. Hence an empty Y earns +0.4, and equal answers
//! score by sampling order: **not** independent of the order of the group, unlike every other term. Without a position
//! the completion counts as the last equal one of its group.
//!
//! Labels come from the first answer block within one line, else from the whole text without answer tags; cut at
//! comma-space, exact words only: `KEEP,STRAIGHT` and `STRAIGHT.` name nothing.
//!
//! 1. A call is one group. The released counter runs over all prompts of a device batch; to see that, score them as one.

use crate::{Asked, Axis, Reference, Score, Setting, Term, axis::Labels, format::space, weight::Weight};
use scene::parse::TAGS;

const EPS: f64 = 1e-6;
const BONUS: f64 = 0.4;

/// The term of an axis.
#[derive(Debug, Clone, Copy)]
pub struct Released(pub Axis);

impl Term for Released {
    fn name(&self) -> &'static str {
        match self.0 {
            Axis::Speed => "speed_released",
            Axis::Path => "path_released",
        }
    }

    fn range(&self) -> (f64, f64) {
        (-BONUS, 1.0 + BONUS)
    }

    fn score(&self, completion: &str, reference: &Reference, group: &[&str]) -> Option<Score> {
        self.judge(&Asked::new(completion, reference, group))
    }

    fn judge(&self, asked: &Asked) -> Option<Score> {
        let want = self.0.driven(asked.reference)?;
        let named = named(self.0, asked.completion);
        let at = asked.at.or_else(|| asked.group.iter().rposition(|t| *t == asked.completion));
        let earlier = asked.group.get(..at.unwrap_or(asked.group.len())).unwrap_or_default();
        let seen = |i: usize| earlier.iter().any(|text| self::named(self.0, text).contains(i));
        let unique = !named.iter().any(seen);

        let hit = if named.contains(want) { 1.0 } else { 0.0 };
        let count = named.len() as f64;
        let (precision, recall) = (hit / (count + EPS), hit / (1.0 + EPS));
        let f1 = 2.0 * precision * recall / (precision + recall + EPS);
        let weights: &[Setting] = Weight(self.0).settings();
        let sum: f64 = named.iter().filter_map(|i| weights.get(i)).map(|w| w.default).sum();
        let weight = sum / (count + EPS);
        let bonus = if unique { BONUS } else { -BONUS };
        Some(Score {
            value: f1 * weight + bonus,
            parts: vec![("f1".into(), f1), ("weight".into(), weight), ("bonus".into(), bonus)],
            why: format!("{}, {}", self.0.show(named), if unique { "not seen before" } else { "seen before" }),
        })
    }
}

fn named(axis: Axis, text: &str) -> Labels {
    let block = text.split('\n').find_map(|line| line.split_once(TAGS[2])?.1.split_once(TAGS[3]).map(|(body, _)| body));
    let bare;
    let content = match block {
        Some(body) => body.trim_matches(space),
        None => {
            bare = text.replace(TAGS[2], "").replace(TAGS[3], "");
            &bare
        }
    };
    let words = axis.words();
    let mut labels = Labels::default();
    content.split(", ").filter_map(|w| words.iter().position(|l| *l == w)).for_each(|i| labels.insert(i));
    labels
}
