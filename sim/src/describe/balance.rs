//! A balanced selection of moments: labels about equally often, and the question (speed and command) telling as little
//! of the answer as the pool allows, so that a model has to look. With it the blind floor: what the best table from
//! question to answer would score.

use super::command::Command;
use crate::rng;
use scene::{MetaAction, PathAction, SpeedAction};
use std::collections::BTreeMap;

/// Upper borders of the speed bins, m/s.
pub const SPEEDS: [f32; 6] = [0.5, 3.0, 6.0, 9.0, 12.0, 16.0];
/// Shares aimed at: STRAIGHT, LEFT_TURN, RIGHT_TURN, LEFT_CHANGE, RIGHT_CHANGE.
const PATHS: [f64; 5] = [0.36, 0.16, 0.16, 0.16, 0.16];

/// What a selection needs to know of a moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Moment {
    /// Ego, m/s.
    pub speed: f32,
    /// What navigation asks for.
    pub command: Command,
    /// The label.
    pub action: MetaAction,
}

/// What the question tells: speed bin and command.
type Question = (usize, Command);

impl Moment {
    /// Speed bin and command.
    pub fn question(&self) -> Question {
        (SPEEDS.iter().filter(|b| self.speed >= **b).count(), self.command)
    }

    fn labels(&self) -> (usize, usize) {
        (self.action.speed.index(), self.action.path.index())
    }
}

/// Positions of `count` moments of a pool (all of them if it has no more), rising. Greedy: each choice takes a moment of
/// the cell (question, speed label, path label) whose labels are rarest so far, in all and for its question. Within a
/// cell the order is random by `seed`.
pub fn pick(pool: &[Moment], count: usize, seed: u64) -> Vec<usize> {
    let mut members: BTreeMap<(Question, usize, usize), Vec<usize>> = BTreeMap::new();
    for (i, m) in pool.iter().enumerate() {
        let (speed, path) = m.labels();
        members.entry((m.question(), speed, path)).or_default().push(i);
    }
    let mut questions: Vec<Question> = members.keys().map(|k| k.0).collect();
    questions.dedup();
    let mut cells: Vec<Cell> = members
        .into_iter()
        .map(|((question, speed, path), mut members)| {
            members.sort_by_key(|&i| rng::hash(seed, i as u64));
            let question = questions.binary_search(&question).unwrap_or_default();
            Cell { question, speed, path, size: members.len(), members }
        })
        .collect();
    let mut all = Tally::default();
    let mut asked = vec![Tally::default(); questions.len()];
    let mut picked = Vec::with_capacity(count.min(pool.len()));
    while picked.len() < count {
        let open = cells.iter().enumerate().filter(|(_, cell)| !cell.members.is_empty());
        let costs = open.map(|(k, cell)| {
            let used = 1.0 - cell.members.len() as f64 / cell.size as f64;
            (all.excess(cell, 20.0) + asked[cell.question].excess(cell, 4.0) + used, k)
        });
        let Some((_, k)) = costs.min_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1))) else { break };
        picked.extend(cells[k].members.pop());
        all.add(&cells[k]);
        asked[cells[k].question].add(&cells[k]);
    }
    picked.sort_unstable();
    picked
}

/// Moments that are asked alike and answered alike.
struct Cell {
    question: usize,
    speed: usize,
    path: usize,
    size: usize,
    members: Vec<usize>,
}

/// Labels chosen so far.
#[derive(Debug, Clone, Default)]
struct Tally {
    total: f64,
    speeds: [f64; 4],
    paths: [f64; 5],
}

impl Tally {
    /// How often a cell's labels are there, over how often they should be; `prior` chosen moments are assumed.
    fn excess(&self, cell: &Cell, prior: f64) -> f64 {
        let n = self.total + prior;
        self.speeds[cell.speed] / (0.25 * n) + self.paths[cell.path] / (PATHS[cell.path] * n)
    }

    fn add(&mut self, cell: &Cell) {
        self.total += 1.0;
        self.speeds[cell.speed] += 1.0;
        self.paths[cell.path] += 1.0;
    }
}

/// How often each label occurs, in the order of the axes' `ALL`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Speed labels.
    pub speed: [usize; 4],
    /// Path labels.
    pub path: [usize; 5],
}

impl Counts {
    /// Of these moments.
    pub fn of(moments: impl IntoIterator<Item = Moment>) -> Counts {
        let mut counts = Counts::default();
        for m in moments {
            let (speed, path) = m.labels();
            counts.speed[speed] += 1;
            counts.path[path] += 1;
        }
        counts
    }
}

impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let total = self.speed.iter().sum::<usize>().max(1) as f64;
        let speeds = SpeedAction::ALL.iter().map(|l| l.as_str()).zip(self.speed);
        let paths = PathAction::ALL.iter().map(|l| l.as_str()).zip(self.path);
        for (label, n) in speeds.chain(paths) {
            writeln!(f, "{label:<12} {n:>7} {:5.1} %", 100.0 * n as f64 / total)?;
        }
        Ok(())
    }
}

/// Scores of the best answers that know only the question.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Floor {
    /// Macro-F1 of the speed label.
    pub speed_f1: f64,
    /// Macro-F1 of the path label.
    pub path_f1: f64,
    /// Share of moments for which a table of joint labels is right on both axes.
    pub joint: f64,
}

/// The blind floor of a set: tables from question to label made on `fit` and scored on `test` (questions unknown to
/// `fit` get its commonest label). Tables for F1 begin with the commonest label and change one entry at a time while
/// that raises macro-F1 on `fit`.
pub fn blind_floor(fit: &[Moment], test: &[Moment]) -> Floor {
    let speed = |m: &Moment| m.labels().0;
    let path = |m: &Moment| m.labels().1;
    let joint = |m: &Moment| 5 * m.labels().0 + m.labels().1;
    let table = commonest(fit, joint, 20);
    let right = test.iter().filter(|m| table.answer(m) == joint(m)).count();
    Floor {
        speed_f1: improved(fit, speed, 4).macro_f1(test, speed, 4),
        path_f1: improved(fit, path, 5).macro_f1(test, path, 5),
        joint: right as f64 / test.len().max(1) as f64,
    }
}

struct Table {
    entries: BTreeMap<Question, usize>,
    otherwise: usize,
}

impl Table {
    fn answer(&self, m: &Moment) -> usize {
        self.entries.get(&m.question()).copied().unwrap_or(self.otherwise)
    }

    /// Mean F1 over the classes that occur in truth or answers.
    fn macro_f1(&self, moments: &[Moment], label: impl Fn(&Moment) -> usize, classes: usize) -> f64 {
        let mut counts = vec![[0.0; 3]; classes];
        for m in moments {
            let (truth, said) = (label(m), self.answer(m));
            counts[truth][0] += 1.0;
            counts[said][1] += 1.0;
            counts[truth][2] += f64::from(u8::from(truth == said));
        }
        macro_f1(&counts)
    }
}

/// From truth, said and right counts of each class.
fn macro_f1(counts: &[[f64; 3]]) -> f64 {
    let occurring = counts.iter().filter(|c| c[0] + c[1] > 0.0);
    let (sum, n) = occurring.fold((0.0, 0.0), |(sum, n), c| (sum + 2.0 * c[2] / (c[0] + c[1]), n + 1.0));
    if n > 0.0 { sum / n } else { 0.0 }
}

fn histogram(moments: &[Moment], label: &impl Fn(&Moment) -> usize, n: usize) -> BTreeMap<Question, Vec<f64>> {
    let mut out: BTreeMap<Question, Vec<f64>> = BTreeMap::new();
    for m in moments {
        out.entry(m.question()).or_insert_with(|| vec![0.0; n])[label(m)] += 1.0;
    }
    out
}

fn largest(counts: &[f64]) -> usize {
    (0..counts.len()).rev().max_by(|&a, &b| counts[a].total_cmp(&counts[b])).unwrap_or(0)
}

fn commonest(moments: &[Moment], label: impl Fn(&Moment) -> usize, n: usize) -> Table {
    let by_question = histogram(moments, &label, n);
    let mut all = vec![0.0; n];
    by_question.values().for_each(|h| h.iter().zip(&mut all).for_each(|(c, sum)| *sum += c));
    let entries = by_question.iter().map(|(q, h)| (*q, largest(h))).collect();
    Table { entries, otherwise: largest(&all) }
}

fn improved(moments: &[Moment], label: impl Fn(&Moment) -> usize, n: usize) -> Table {
    let mut table = commonest(moments, &label, n);
    let by_question = histogram(moments, &label, n);
    let mut counts = vec![[0.0; 3]; n];
    let shift = |counts: &mut Vec<[f64; 3]>, h: &[f64], said: usize, sign: f64| {
        counts[said][1] += sign * h.iter().sum::<f64>();
        counts[said][2] += sign * h[said];
    };
    for (question, h) in &by_question {
        h.iter().zip(&mut counts).for_each(|(c, count)| count[0] += c);
        shift(&mut counts, h, table.entries[question], 1.0);
    }
    let mut best = macro_f1(&counts);
    loop {
        let before = best;
        for (question, h) in &by_question {
            for class in 0..n {
                let now = table.entries[question];
                let mut trial = counts.clone();
                shift(&mut trial, h, now, -1.0);
                shift(&mut trial, h, class, 1.0);
                let f1 = macro_f1(&trial);
                if f1 > best + 1e-9 {
                    (best, counts) = (f1, trial);
                    table.entries.insert(*question, class);
                }
            }
        }
        if best <= before {
            return table;
        }
    }
}
