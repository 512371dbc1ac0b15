//! The worst trajectories of a run, kept as pictures while scenes stream by: at most a few of each reason and two of a
//! scene, so that one kind of failure or one hard scene does not hide the others.

use super::entry::Entry;
use std::collections::BTreeMap;

/// Most of one scene.
const OF_A_SCENE: usize = 2;

/// A trajectory worth looking at.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    /// What was scored.
    pub entry: Entry,
    /// The scene from above, an SVG element.
    pub picture: String,
    order: usize,
}

/// The worst so far.
#[derive(Debug, Clone)]
pub struct Worst {
    limit: usize,
    kept: BTreeMap<&'static str, Vec<Case>>,
    seen: usize,
}

impl Worst {
    /// Keeps `limit` of them.
    pub fn new(limit: usize) -> Self {
        Worst { limit, kept: BTreeMap::new(), seen: 0 }
    }

    fn of_a_reason(&self) -> usize {
        self.limit.div_ceil(3)
    }

    /// Whether this one belongs among them: not perfect, and worse than what is kept of its reason.
    pub fn wants(&self, entry: &Entry) -> bool {
        let kept = self.kept.get(entry.reason());
        let same = self.kept.values().flatten().filter(|case| case.entry.scene == entry.scene);
        if same.filter(|case| case.entry.total() <= entry.total()).count() >= OF_A_SCENE {
            return false;
        }
        let full = kept.filter(|kept| kept.len() >= self.of_a_reason());
        let last = full.and_then(|kept| kept.last()).map_or(f64::INFINITY, |case| case.entry.total());
        self.limit > 0 && entry.total() < 1.0 - 1e-9 && entry.total() < last
    }

    /// Keeps one, and lets go of the best of its reason when there are too many.
    pub fn add(&mut self, entry: Entry, picture: String) {
        let (order, most) = (self.seen, self.of_a_reason());
        self.seen += 1;
        let kept = self.kept.entry(entry.reason()).or_default();
        kept.push(Case { entry, picture, order });
        // Stable: the earlier of two equals stays.
        kept.sort_by(|a, b| a.entry.total().total_cmp(&b.entry.total()).then(a.order.cmp(&b.order)));
        kept.truncate(most);
    }

    /// The worst first.
    pub fn cases(&self) -> Vec<&Case> {
        let mut all: Vec<&Case> = self.kept.values().flatten().collect();
        all.sort_by(|a, b| a.entry.total().total_cmp(&b.entry.total()).then(a.order.cmp(&b.order)));
        let mut of_a_scene: BTreeMap<&str, usize> = BTreeMap::new();
        all.retain(|case| {
            let n = of_a_scene.entry(case.entry.scene.as_str()).or_default();
            *n += 1;
            *n <= OF_A_SCENE
        });
        all.truncate(self.limit);
        all
    }
}
