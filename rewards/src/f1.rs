//! AlphaDrive's accuracy (arXiv 2503.07608): F1 between the set Y of labels that the answer names on one axis and the
//! set Y* of the driven label, `2 |Y and Y*| / (|Y| + |Y*|)`. Terms `speed_f1` and `path_f1`.
//!
//! Naming a second label beside the right one costs a third, naming all of an axis two thirds or so. But a list beats a
//! wrong label, whatever the form of F1; recipes that must not pay for that use [`crate::action`].
//!
//! 1. Labels are read as [`crate::axis`] says; the paper gives no parser. No label: 0.

use crate::{Axis, Reference, Score, Term};

/// The term of an axis.
#[derive(Debug, Clone, Copy)]
pub struct F1(pub Axis);

impl Term for F1 {
    fn name(&self) -> &'static str {
        match self.0 {
            Axis::Speed => "speed_f1",
            Axis::Path => "path_f1",
        }
    }

    fn score(&self, completion: &str, reference: &Reference, _: &[&str]) -> Option<Score> {
        let want = self.0.driven(reference)?;
        let named = self.0.named(completion);
        let hit = usize::from(named.contains(want));
        let part = |name: &str, of: usize| (name.to_owned(), if of == 0 { 0.0 } else { hit as f64 / of as f64 });
        Some(Score {
            value: 2.0 * hit as f64 / (named.len() + 1) as f64,
            parts: vec![part("precision", named.len()), part("recall", 1)],
            why: format!("{}, driven {}", self.0.show(named), self.0.words().get(want).unwrap_or(&"?")),
        })
    }
}
