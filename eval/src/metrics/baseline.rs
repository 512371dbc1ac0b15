//! Answers that need no model: the most frequent labels, and a table over ego speed and command.
//!
//! Every accuracy table carries both, because a constant `KEEP, STRAIGHT` already scores 72 % on public sets.

use super::Truth;
use scene::{MetaAction, PathAction, SpeedAction};
use std::collections::BTreeMap;

/// Counts of labels, each axis on its own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Counts {
    speed: [i64; SpeedAction::ALL.len()],
    path: [i64; PathAction::ALL.len()],
}

impl Counts {
    fn add(&mut self, truth: Truth, sign: i64) {
        if let Some(cell) = truth.speed.and_then(|l| self.speed.get_mut(l.index())) {
            *cell += sign;
        }
        if let Some(cell) = truth.path.and_then(|l| self.path.get_mut(l.index())) {
            *cell += sign;
        }
    }

    fn minus(&self, other: Option<&Counts>) -> Counts {
        let mut rest = self.clone();
        if let Some(other) = other {
            rest.speed.iter_mut().zip(other.speed).for_each(|(a, b)| *a -= b);
            rest.path.iter_mut().zip(other.path).for_each(|(a, b)| *a -= b);
        }
        rest
    }
}

/// The most frequent label; the first in table order when several are.
fn most<L: Copy>(counts: &[i64], labels: &[L]) -> Option<L> {
    let best = counts.iter().copied().max().filter(|n| *n > 0)?;
    counts.iter().zip(labels).find(|(n, _)| **n == best).map(|(_, l)| *l)
}

/// The most frequent speed and the most frequent path of a set, as one constant answer. An axis that is never known
/// gives KEEP or STRAIGHT.
pub fn majority(truths: impl IntoIterator<Item = Truth>) -> MetaAction {
    let mut counts = Counts::default();
    truths.into_iter().for_each(|t| counts.add(t, 1));
    MetaAction {
        speed: most(&counts.speed, SpeedAction::ALL).unwrap_or(SpeedAction::Keep),
        path: most(&counts.path, PathAction::ALL).unwrap_or(PathAction::Straight),
    }
}

/// What the ego-speed-only answer may see, and the truth it is fitted on.
#[derive(Debug, Clone, PartialEq)]
pub struct EgoRow {
    /// Ego speed in m/s; unknown is a bin of its own.
    pub speed_mps: Option<f64>,
    /// Navigation command.
    pub command: Option<String>,
    /// Recording it belongs to; rows without one count as a recording each.
    pub clip: Option<String>,
    /// Driven.
    pub truth: Truth,
}

/// Upper edges of the speed bins in m/s; the last bin is open.
pub const SPEED_EDGES: [f64; 10] = [0.5, 2.0, 4.0, 6.0, 8.0, 10.0, 12.5, 15.0, 20.0, 25.0];

/// Fewest labels of an axis in a cell before it is asked instead of the coarser one.
const ENOUGH: i64 = 3;

/// Cells from fine to coarse: speed bin and command, speed bin, everything.
fn keys(row: &EgoRow) -> [(Option<usize>, Option<&str>); 3] {
    let bin = row.speed_mps.map_or(usize::MAX, |v| SPEED_EDGES.iter().take_while(|edge| v >= **edge).count());
    [(Some(bin), Some(row.command.as_deref().unwrap_or(""))), (Some(bin), None), (None, None)]
}

/// The best table from binned ego speed and command to labels: each axis takes its most frequent label in the cell
/// (speed bin, command), in the speed bin when the cell has under three labels of the axis, overall when that has.
#[derive(Debug, Clone, Default)]
pub struct EgoTable<'a> {
    cells: BTreeMap<(Option<usize>, Option<&'a str>), Counts>,
    /// The same counts per recording, to leave one out.
    by_clip: BTreeMap<(&'a str, Option<usize>, Option<&'a str>), Counts>,
}

impl<'a> EgoTable<'a> {
    /// Fits the table.
    pub fn fit(rows: &'a [EgoRow]) -> Self {
        let mut table = EgoTable::default();
        for row in rows {
            for key in keys(row) {
                table.cells.entry(key).or_default().add(row.truth, 1);
                if let Some(clip) = row.clip.as_deref() {
                    table.by_clip.entry((clip, key.0, key.1)).or_default().add(row.truth, 1);
                }
            }
        }
        table
    }

    /// The answer for a row from another set.
    pub fn answer(&self, row: &EgoRow) -> MetaAction {
        self.answer_from(keys(row).map(|key| self.cells.get(&key).cloned().unwrap_or_default()))
    }

    /// The answer for a row of the fitted set, its own recording left out (the row alone when it names none).
    pub fn answer_leaving_out(&self, row: &EgoRow) -> MetaAction {
        self.answer_from(keys(row).map(|key| {
            let all = self.cells.get(&key).cloned().unwrap_or_default();
            match row.clip.as_deref() {
                Some(clip) => all.minus(self.by_clip.get(&(clip, key.0, key.1))),
                None => {
                    let mut own = Counts::default();
                    own.add(row.truth, 1);
                    all.minus(Some(&own))
                }
            }
        }))
    }

    fn answer_from(&self, cells: [Counts; 3]) -> MetaAction {
        let enough = |counts: &[i64], at: usize| at == 2 || counts.iter().sum::<i64>() >= ENOUGH;
        let speed = cells.iter().enumerate().find(|(at, c)| enough(&c.speed, *at));
        let path = cells.iter().enumerate().find(|(at, c)| enough(&c.path, *at));
        MetaAction {
            speed: speed.and_then(|(_, c)| most(&c.speed, SpeedAction::ALL)).unwrap_or(SpeedAction::Keep),
            path: path.and_then(|(_, c)| most(&c.path, PathAction::ALL)).unwrap_or(PathAction::Straight),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(v: f64, command: &str, clip: &str, speed: &str, path: &str) -> EgoRow {
        EgoRow {
            speed_mps: Some(v),
            command: Some(command.into()),
            clip: (!clip.is_empty()).then(|| clip.into()),
            truth: Truth { speed: speed.parse().ok(), path: path.parse().ok() },
        }
    }

    #[test]
    fn majority_by_hand() {
        let t = |s: &str, p: &str| Truth { speed: s.parse().ok(), path: p.parse().ok() };
        let set = [t("STOP", "STRAIGHT"), t("STOP", "LEFT_TURN"), t("KEEP", "LEFT_TURN"), t("-", "LEFT_TURN")];
        assert_eq!(majority(set).to_string(), "STOP, LEFT_TURN");
        // Equal counts: the first in table order; nothing known: KEEP, STRAIGHT.
        assert_eq!(majority([t("STOP", "-"), t("ACCELERATE", "-")]).to_string(), "ACCELERATE, STRAIGHT");
        assert_eq!(majority([]).to_string(), "KEEP, STRAIGHT");
    }

    #[test]
    fn the_table_uses_the_finest_cell_with_enough_labels() {
        let mut rows = vec![];
        for _ in 0..3 {
            rows.push(row(9.0, "turn left", "a", "DECELERATE", "LEFT_TURN"));
            rows.push(row(9.0, "go on", "a", "KEEP", "STRAIGHT"));
        }
        rows.push(row(9.0, "go on", "b", "KEEP", "STRAIGHT"));
        rows.push(row(0.0, "go on", "b", "STOP", "STRAIGHT"));
        let table = EgoTable::fit(&rows);
        let ask = |v, command| table.answer(&row(v, command, "z", "-", "-")).to_string();
        assert_eq!(ask(9.5, "turn left"), "DECELERATE, LEFT_TURN");
        assert_eq!(ask(9.5, "go on"), "KEEP, STRAIGHT");
        // Unknown command at 9 m/s: the speed bin, KEEP 4 against 3. One label at a stand is not enough: overall.
        assert_eq!(ask(9.5, "unheard"), "KEEP, STRAIGHT");
        assert_eq!(ask(0.0, "go on"), "KEEP, STRAIGHT");
    }

    #[test]
    fn leaving_a_recording_out_forgets_it() {
        let mut rows = vec![];
        for _ in 0..5 {
            rows.push(row(9.0, "go", "a", "STOP", "LEFT_TURN"));
        }
        for _ in 0..3 {
            rows.push(row(9.0, "go", "b", "KEEP", "STRAIGHT"));
        }
        let table = EgoTable::fit(&rows);
        assert_eq!(table.answer_leaving_out(&rows[0]).to_string(), "KEEP, STRAIGHT");
        assert_eq!(table.answer_leaving_out(&rows[7]).to_string(), "STOP, LEFT_TURN");
        // Without a recording only the row itself is forgotten.
        let alone = vec![row(9.0, "go", "", "STOP", "STRAIGHT"), row(9.0, "go", "", "KEEP", "STRAIGHT")];
        let table = EgoTable::fit(&alone);
        assert_eq!(table.answer_leaving_out(&alone[0]).to_string(), "KEEP, STRAIGHT");
        assert_eq!(table.answer_leaving_out(&alone[1]).to_string(), "STOP, STRAIGHT");
    }
}
