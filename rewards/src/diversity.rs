//! AlphaDrive's planning diversity (arXiv 2503.07608): `1 - min(cap, frequency of this plan in the group)` on one axis,
//! so that a group does not collapse into one answer. A factor of an accuracy. Terms `speed_diversity` and
//! `path_diversity`.
//!
//! 1. The frequency counts over the whole group, never over what was sampled before: equal answers score equal.
//! 2. It is the share of the *other* completions, since the paper's figure shows 1 for two distinct answers. The setting
//!    `count_self = 1` takes the share of the whole group instead, under which a group of five or fewer always has 1 - cap.
//! 3. Of several labels the most frequent one counts, so that a list is never rarer than what it lists.
//! 4. No label: 0; the released code gave the bonus to empty answers.

use crate::{Asked, Axis, Reference, Score, Setting, Term};

const SETTINGS: &[Setting] = &[
    Setting { name: "cap", default: 0.2, range: (0.0, 1.0) },
    Setting { name: "count_self", default: 0.0, range: (0.0, 1.0) },
];

/// The term of an axis.
#[derive(Debug, Clone, Copy)]
pub struct Diversity(pub Axis);

impl Term for Diversity {
    fn name(&self) -> &'static str {
        match self.0 {
            Axis::Speed => "speed_diversity",
            Axis::Path => "path_diversity",
        }
    }

    fn settings(&self) -> &'static [Setting] {
        SETTINGS
    }

    fn score(&self, completion: &str, reference: &Reference, group: &[&str]) -> Option<Score> {
        self.judge(&Asked::new(completion, reference, group))
    }

    fn judge(&self, asked: &Asked) -> Option<Score> {
        let own = self.0.named(asked.completion);
        if own.is_empty() {
            return Some(Score::new(0.0, "no label"));
        }
        let mut counts = [0usize; 8];
        for text in asked.group {
            self.0.named(text).iter().for_each(|i| counts[i] += 1);
        }
        // A completion that is not in its group, which callers should not do, is compared with all of the group.
        let itself = usize::from(asked.group.contains(&asked.completion));
        let most = own.iter().map(|i| counts[i]).max().unwrap_or(0);
        let (cap, counted) = (asked.value(SETTINGS, 0), asked.value(SETTINGS, 1));
        let same = (most - itself) as f64 + counted;
        let all = (asked.group.len() - itself) as f64 + counted;
        let frequency = if all > 0.0 { same / all } else { 0.0 };
        Some(Score {
            value: 1.0 - frequency.min(cap),
            parts: vec![("frequency".into(), frequency)],
            why: format!("{} of {} others agree on {}", most - itself, asked.group.len() - itself, self.0.show(own)),
        })
    }
}
