//! Choosing records so that labels are even and the prompt alone tells little about them.

use scene::{MetaAction, PathAction, SpeedAction};
use sim::{describe::Command, rng};
use std::collections::BTreeMap;

/// What is known of a moment before it is drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cell {
    /// Labels.
    pub action: MetaAction,
    /// Navigation command.
    pub command: Command,
    /// m/s.
    pub speed: f32,
}

/// Borders of the speed bins, m/s.
const BINS: [f32; 6] = [0.5, 2.5, 5.0, 8.0, 11.0, 15.0];
/// Rounds of fitting.
const ROUNDS: usize = 30;
/// Weights are held to this factor around their mean, so that no rare moment crowds out variety.
const LARGEST: f64 = 12.0;

impl Cell {
    /// What a model that never looks is told: command and speed bin.
    fn told(&self) -> (Command, usize) {
        (self.command, BINS.iter().filter(|&&b| self.speed >= b).count())
    }
}

/// Positions of `count` cells (or all, when there are fewer), in rising order. Weights are fitted in turns (iterative
/// proportional fitting) until speed labels, path labels, and within what the prompt tells the labels again, are about
/// even; then cells are drawn without replacement by weight, with random numbers of the seed.
pub fn choose(cells: &[Cell], count: usize, seed: u64) -> Vec<usize> {
    let mut weights = vec![1.0f64; cells.len()];
    for _ in 0..ROUNDS {
        even(cells, &mut weights, |c| ((), c.action.speed));
        even(cells, &mut weights, |c| ((), c.action.path));
        even(cells, &mut weights, |c| (c.told(), c.action.speed));
        even(cells, &mut weights, |c| (c.told(), c.action.path));
        let mean = weights.iter().sum::<f64>() / weights.len().max(1) as f64;
        weights.iter_mut().for_each(|w| *w = w.clamp(mean / LARGEST, mean * LARGEST));
    }
    // Exponential clocks: the first to ring is drawn in proportion to its weight (Efraimidis and Spirakis 2006).
    let clock = |(i, w): (usize, &f64)| {
        let uniform = ((rng::hash(seed, i as u64) >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
        (-uniform.ln() / w, i)
    };
    let mut order: Vec<(f64, usize)> = weights.iter().enumerate().map(clock).collect();
    order.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let mut chosen: Vec<usize> = order.into_iter().take(count).map(|(_, i)| i).collect();
    chosen.sort_unstable();
    chosen
}

/// Scales weights so that within each group its labels weigh the same; the group keeps its weight.
fn even<G: Ord + Copy, L: Ord + Copy>(cells: &[Cell], weights: &mut [f64], key: impl Fn(&Cell) -> (G, L)) {
    let mut sums: BTreeMap<(G, L), f64> = BTreeMap::new();
    let mut groups: BTreeMap<G, (f64, usize)> = BTreeMap::new();
    for (cell, w) in cells.iter().zip(&*weights) {
        let (group, label) = key(cell);
        let sum = sums.entry((group, label)).or_default();
        let entry = groups.entry(group).or_default();
        entry.1 += usize::from(*sum == 0.0);
        entry.0 += w;
        *sum += w;
    }
    for (cell, w) in cells.iter().zip(weights) {
        let (group, label) = key(cell);
        let (Some(sum), Some((total, labels))) = (sums.get(&(group, label)), groups.get(&group)) else { continue };
        // The square root damps: the conditions pull against each other.
        *w *= (total / *labels as f64 / sum).sqrt();
    }
}

/// How far the best table from what the prompt tells to labels gets on the cells that it was made from.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Floor {
    /// Macro-F1 of speed.
    pub speed_f1: f64,
    /// Macro-F1 of path.
    pub path_f1: f64,
    /// Share with both right.
    pub joint: f64,
}

/// The blind floor of a set.
pub fn blind_floor(cells: &[Cell]) -> Floor {
    type Votes = BTreeMap<MetaAction, usize>;
    let mut tables: BTreeMap<(Command, usize), (Votes, [usize; 4], [usize; 5])> = BTreeMap::new();
    for cell in cells {
        let entry = tables.entry(cell.told()).or_default();
        *entry.0.entry(cell.action).or_default() += 1;
        entry.1[cell.action.speed.index()] += 1;
        entry.2[cell.action.path.index()] += 1;
    }
    let most =
        |counts: &[usize]| counts.iter().enumerate().max_by_key(|(i, n)| (**n, usize::MAX - i)).map_or(0, |(i, _)| i);
    let mut speed = vec![[0usize; 3]; SpeedAction::ALL.len()];
    let mut path = vec![[0usize; 3]; PathAction::ALL.len()];
    let mut joint = 0;
    for (votes, speeds, paths) in tables.values() {
        joint += votes.values().max().copied().unwrap_or(0);
        for (counts, scores) in [(&speeds[..], &mut speed), (&paths[..], &mut path)] {
            let guess = most(counts);
            for (label, &n) in counts.iter().enumerate() {
                scores[label][0] += if label == guess { n } else { 0 };
                scores[guess][1] += n;
                scores[label][2] += n;
            }
        }
    }
    let f1 = |scores: &[[usize; 3]]| {
        let known = scores.iter().filter(|[_, _, truth]| *truth > 0);
        let each = known.clone().map(|[hit, said, truth]| 2.0 * *hit as f64 / (said + truth) as f64);
        each.sum::<f64>() / known.count().max(1) as f64
    };
    Floor { speed_f1: f1(&speed), path_f1: f1(&path), joint: joint as f64 / cells.len().max(1) as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(speed: SpeedAction, path: PathAction, command: Command, v: f32) -> Cell {
        Cell { action: MetaAction { speed, path }, command, speed: v }
    }

    #[test]
    fn rare_labels_are_drawn_more_often_and_the_same_seed_draws_the_same() {
        let cells: Vec<Cell> = (0..1000)
            .map(|i| match i % 20 {
                0 => cell(SpeedAction::Stop, PathAction::LeftTurn, Command::TurnLeft, 3.0),
                1 => cell(SpeedAction::Accelerate, PathAction::Straight, Command::TurnLeft, 3.0),
                _ => cell(SpeedAction::Keep, PathAction::Straight, Command::Follow, 9.0),
            })
            .collect();
        let chosen = choose(&cells, 200, 5);
        assert_eq!(chosen.len(), 200);
        assert_eq!(chosen, choose(&cells, 200, 5));
        assert_ne!(chosen, choose(&cells, 200, 6));
        assert!(chosen.windows(2).all(|w| w[0] < w[1]));
        let rare = chosen.iter().filter(|&&i| i % 20 == 0).count();
        assert!(rare >= 35, "{rare} of 50 rare moments; an even draw takes 10");
        assert_eq!(choose(&cells[..3], 10, 0), [0, 1, 2]);
        assert!(choose(&[], 10, 0).is_empty());
    }

    #[test]
    fn the_floor_is_what_the_best_table_gets() {
        use PathAction::{LeftTurn, Straight};
        use SpeedAction::{Keep, Stop};
        // The command tells the path; nothing tells the speed.
        let cells = [
            cell(Keep, LeftTurn, Command::TurnLeft, 9.0),
            cell(Stop, LeftTurn, Command::TurnLeft, 9.0),
            cell(Keep, Straight, Command::Follow, 9.0),
            cell(Stop, Straight, Command::Follow, 9.0),
        ];
        let floor = blind_floor(&cells);
        assert_eq!((floor.path_f1, floor.joint), (1.0, 0.5));
        assert!((floor.speed_f1 - 1.0 / 3.0).abs() < 1e-9, "{floor:?}");
    }
}
