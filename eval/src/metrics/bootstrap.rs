//! Percentile bootstrap (Efron 1979): rows are drawn with replacement, the metric is taken again, and the middle 95 %
//! of the results is the interval. Draws come from a counter, so they depend on the seed and nothing else.
//!
//! The interval covers the choice of samples only. Frames of one recording resemble each other, so where few
//! recordings hold many frames the truth is wider than the interval; report several seeds and recordings besides.

use super::{Metric, Row, Tally};
use serde::{Deserialize, Serialize};

/// How intervals are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bootstrap {
    /// Seed of the draws.
    pub seed: u64,
    /// Number of resamples; 0 gives no intervals.
    pub resamples: usize,
}

impl Default for Bootstrap {
    fn default() -> Self {
        Bootstrap { seed: 0, resamples: 1000 }
    }
}

/// A measured value with its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// The value on the set itself.
    pub value: f64,
    /// Lower end (2.5 %).
    pub low: f64,
    /// Upper end (97.5 %).
    pub high: f64,
}

impl Figure {
    /// Half the width of the interval.
    pub fn half_width(&self) -> f64 {
        (self.high - self.low) / 2.0
    }
}

/// The difference of two runs on the same samples.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// First minus second, with its interval.
    pub figure: Figure,
    /// Samples compared.
    pub samples: usize,
    /// Whether the interval excludes 0.
    pub clear: bool,
}

/// SplitMix64 at a position of a stream: every position is independent of the order of asking.
pub fn draw(seed: u64, position: u64) -> u64 {
    let mut z = seed.wrapping_mul(0xd134_2543_de82_ef95).wrapping_add(position.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// An index below `n` (0 when `n` is 0).
pub fn draw_index(seed: u64, position: u64, n: usize) -> usize {
    ((u128::from(draw(seed, position)) * n as u128) >> 64) as usize
}

/// Every metric of a set with its interval; `None` where the metric has no value.
pub fn figures(rows: &[Row], settings: Bootstrap) -> Vec<(Metric, Option<Figure>)> {
    let full = Tally::of(rows);
    let mut drawn: Vec<Vec<f64>> = vec![Vec::new(); Metric::ALL.len()];
    for round in 0..settings.resamples {
        let tally = resample(rows, settings.seed, round);
        for (values, metric) in drawn.iter_mut().zip(Metric::ALL) {
            values.extend(metric.of(&tally));
        }
    }
    Metric::ALL
        .into_iter()
        .zip(drawn)
        .map(|(metric, mut values)| (metric, metric.of(&full).map(|value| interval(value, &mut values))))
        .collect()
}

/// First minus second on one metric, both runs drawn together. `None` when the sets differ in length or lack the truth.
pub fn difference(first: &[Row], second: &[Row], metric: Metric, settings: Bootstrap) -> Option<Difference> {
    if first.len() != second.len() {
        return None;
    }
    let value = metric.of(&Tally::of(first))? - metric.of(&Tally::of(second))?;
    let mut drawn = Vec::with_capacity(settings.resamples);
    for round in 0..settings.resamples {
        let (a, b) = (resample(first, settings.seed, round), resample(second, settings.seed, round));
        drawn.extend(metric.of(&a).zip(metric.of(&b)).map(|(a, b)| a - b));
    }
    let figure = interval(value, &mut drawn);
    Some(Difference { figure, samples: first.len(), clear: figure.low > 0.0 || figure.high < 0.0 })
}

/// Means of several columns over groups that are drawn as a whole; a group holds the sum and the number of values of each
/// column. `None` where a column has no value.
pub fn means(groups: &[&[(f64, f64)]], columns: usize, settings: Bootstrap) -> Vec<Option<Figure>> {
    let add = |total: &mut Vec<(f64, f64)>, group: &[(f64, f64)]| {
        total.iter_mut().zip(group).for_each(|(total, (sum, n))| *total = (total.0 + sum, total.1 + n));
    };
    let mean = |(sum, n): &(f64, f64)| (*n > 0.0).then(|| sum / n);
    let mut full = vec![(0.0, 0.0); columns];
    groups.iter().for_each(|group| add(&mut full, group));
    let mut drawn: Vec<Vec<f64>> = vec![Vec::with_capacity(settings.resamples); columns];
    for round in 0..settings.resamples {
        let mut total = vec![(0.0, 0.0); columns];
        let base = (round * groups.len()) as u64;
        for i in 0..groups.len() {
            if let Some(group) = groups.get(draw_index(settings.seed, base + i as u64 + 1, groups.len())) {
                add(&mut total, group);
            }
        }
        drawn.iter_mut().zip(&total).for_each(|(values, total)| values.extend(mean(total)));
    }
    full.iter().zip(&mut drawn).map(|(full, drawn)| mean(full).map(|value| interval(value, drawn))).collect()
}

fn resample(rows: &[Row], seed: u64, round: usize) -> Tally {
    let mut tally = Tally::default();
    let base = (round * rows.len()) as u64;
    for i in 0..rows.len() {
        if let Some(row) = rows.get(draw_index(seed, base + i as u64 + 1, rows.len())) {
            tally.add(row);
        }
    }
    tally
}

/// The middle 95 % of the drawn values, ends interpolated; without draws the value itself.
pub(crate) fn interval(value: f64, drawn: &mut [f64]) -> Figure {
    drawn.sort_by(f64::total_cmp);
    let quantile = |q: f64| {
        let at = q * drawn.len().saturating_sub(1) as f64;
        let below = drawn.get(at.floor() as usize).copied().unwrap_or(value);
        let above = drawn.get(at.ceil() as usize).copied().unwrap_or(below);
        below + (at - at.floor()) * (above - below)
    };
    Figure { value, low: quantile(0.025), high: quantile(0.975) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::tests::rows;
    use super::*;

    fn half_right(n: usize) -> Vec<Row> {
        rows(&["KEEP STRAIGHT KEEP STRAIGHT", "KEEP STRAIGHT STOP STRAIGHT"].repeat(n / 2))
    }

    fn joint(rows: &[Row], seed: u64) -> Figure {
        figures(rows, Bootstrap { seed, resamples: 1000 })[0].1.unwrap()
    }

    #[test]
    fn the_width_is_the_binomial_one() {
        // 400 samples at one half: standard error sqrt(0.25 / 400) = 0.025, so about +-0.049.
        let f = joint(&half_right(400), 1);
        assert_eq!(f.value, 0.5);
        assert!((f.half_width() - 0.049).abs() < 0.006, "{f:?}");
        assert!((f.low + f.high - 1.0).abs() < 0.02, "{f:?}");
        // Four times the samples, half the width.
        assert!((joint(&half_right(1600), 1).half_width() - 0.0245).abs() < 0.004);
    }

    #[test]
    fn seeds_decide_and_nothing_else() {
        let set = half_right(100);
        assert_eq!(joint(&set, 7), joint(&set, 7));
        assert_ne!(joint(&set, 7), joint(&set, 8));
        // Certain outcomes have no width; no resamples, no width.
        let sure = rows(&["KEEP STRAIGHT KEEP STRAIGHT"; 10]);
        assert_eq!(joint(&sure, 3), Figure { value: 1.0, low: 1.0, high: 1.0 });
        let none = figures(&set, Bootstrap { seed: 0, resamples: 0 })[0].1.unwrap();
        assert_eq!((none.low, none.high), (0.5, 0.5));
        assert!(figures(&[], Bootstrap::default()).iter().all(|(_, f)| f.is_none()));
    }

    #[test]
    fn coverage_is_about_95_percent() {
        // 200 sets of 60 coin flips: the interval should hold the true 0.5 in 90 to 99 % of them.
        let holds = (0..200u64)
            .filter(|set| {
                let flips: Vec<&str> = (0..60)
                    .map(|i| match draw(99, set * 1000 + i) & 1 {
                        0 => "KEEP STRAIGHT KEEP STRAIGHT",
                        _ => "KEEP STRAIGHT STOP STRAIGHT",
                    })
                    .collect();
                let f = figures(&rows(&flips), Bootstrap { seed: *set, resamples: 300 })[0].1.unwrap();
                f.low <= 0.5 && 0.5 <= f.high
            })
            .count();
        assert!((180..=198).contains(&holds), "{holds}");
    }

    #[test]
    fn paired_differences_see_what_unpaired_intervals_hide() {
        // The same samples, the second run wrong on 10 more of 200: both intervals overlap, the paired one excludes 0.
        let a = half_right(200);
        let mut b = a.clone();
        b.iter_mut().filter(|r| r.said == r.truth.both()).take(10).for_each(|r| r.said = None);
        let d = difference(&a, &b, Metric::Joint, Bootstrap::default()).unwrap();
        assert!((d.figure.value - 0.05).abs() < 1e-12 && d.clear && d.figure.low > 0.01, "{d:?}");
        assert!(joint(&a, 0).low < joint(&b, 0).high);
        let same = difference(&a, &a, Metric::Joint, Bootstrap::default()).unwrap();
        assert!(!same.clear && same.figure.half_width() == 0.0);
        assert_eq!(difference(&a, &b[1..], Metric::Joint, Bootstrap::default()), None);
    }

    #[test]
    fn means_of_groups_are_drawn_as_a_whole() {
        // 100 groups of 1 or 0: the binomial interval; the second column has values in half of them, the third nowhere.
        let rows: Vec<Vec<(f64, f64)>> =
            (0..100).map(|i| vec![(f64::from(i % 2), 1.0), (f64::from(i % 2), f64::from(i % 2)), (0.0, 0.0)]).collect();
        let groups: Vec<&[(f64, f64)]> = rows.iter().map(Vec::as_slice).collect();
        let found = means(&groups, 3, Bootstrap::default());
        let first = found[0].unwrap();
        assert!(first.value == 0.5 && (first.half_width() - 0.098).abs() < 0.012, "{first:?}");
        assert_eq!(found[1].unwrap().low, 1.0);
        assert_eq!(found[2], None);
        // Ten times the values in every group say nothing more.
        let more: Vec<Vec<(f64, f64)>> =
            rows.iter().map(|r| r.iter().map(|(s, n)| (10.0 * s, 10.0 * n)).collect()).collect();
        let groups: Vec<&[(f64, f64)]> = more.iter().map(Vec::as_slice).collect();
        assert_eq!(means(&groups, 3, Bootstrap::default())[0].unwrap(), first);
    }

    #[test]
    fn draws_are_even() {
        let mut seen = [0; 10];
        (0..10_000).for_each(|i| seen[draw_index(5, i, 10)] += 1);
        assert!(seen.iter().all(|n| (850..1150).contains(n)), "{seen:?}");
        assert_eq!(draw_index(1, 1, 0), 0);
    }
}
