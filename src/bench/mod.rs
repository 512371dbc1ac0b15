//! Measuring fixed work items: how long they take, how much processor time and memory they need.
//!
//! A measurement is the best of some repeats after a warm-up; wall and processor seconds are taken apart, because on a
//! shared machine only the second means much. Every item runs in a process of its own ([`crate::cli::bench`]), so that
//! peak memory is its own. Models are made from a shape with [`crate::vlm::tiled`] random weights.

pub mod branches;
pub mod clock;
pub mod decode;
pub mod grpo;
pub mod inputs;
pub mod items;
pub mod pictures;
pub mod score;
pub mod sim;
pub mod train;

use crate::{error::Result, train::progress::peak_bytes};
use clock::{Lap, lap};
use serde::{Deserialize, Serialize};

/// One line of a report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// The work item.
    pub name: String,
    /// How fast, in `unit`: a rate or a wall time, the best of the repeats.
    pub value: f64,
    /// `tokens/s`, `patches/s`, `ms`, `s`, or so many per processor second (`trajectories/cpu_s`).
    pub unit: String,
    /// Threads computed with.
    pub threads: usize,
    /// Processor seconds (user and system, all threads) of the item once, the least of the repeats.
    pub cpu_seconds: f64,
    /// The most memory that the item's process occupied, model included; `None` where the system does not tell.
    pub peak_rss_bytes: Option<u64>,
}

/// How the value of an item reads.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Unit {
    /// Wall seconds.
    Seconds,
    /// Wall milliseconds.
    Milliseconds,
    /// So many of these per wall second.
    PerSecond(usize, &'static str),
}

impl Measured {
    /// The line of an item that took this long.
    pub fn new(name: impl Into<String>, took: Lap, unit: Unit) -> Self {
        let (value, unit) = match unit {
            Unit::Seconds => (took.wall, "s".to_owned()),
            Unit::Milliseconds => (took.wall * 1e3, "ms".to_owned()),
            Unit::PerSecond(count, what) => (count as f64 / took.wall, format!("{what}/s")),
        };
        let threads = rayon::current_num_threads();
        Measured { name: name.into(), value, unit, threads, cpu_seconds: took.cpu, peak_rss_bytes: peak_bytes() }
    }
}

/// Best of `repeats` runs after `warm` unmeasured ones.
///
/// # Errors
/// Those of the work.
pub fn best(warm: usize, repeats: usize, mut work: impl FnMut() -> Result<()>) -> Result<Lap> {
    best_lap(warm, repeats, || lap(&mut work))
}

/// [`best`] of work that times a part of itself.
///
/// # Errors
/// Those of the work.
pub fn best_lap(warm: usize, repeats: usize, mut work: impl FnMut() -> Result<Lap>) -> Result<Lap> {
    for _ in 0..warm {
        work()?;
    }
    let mut best = work()?;
    for _ in 1..repeats {
        best = best.least(work()?);
    }
    Ok(best)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_least_of_each_clock_counts_and_rates_are_per_wall_second() {
        let mut laps = [(9.0, 9.0), (2.0, 3.0), (4.0, 1.0)].map(|(wall, cpu)| Lap { wall, cpu }).into_iter();
        let took = best_lap(1, 2, || Ok(laps.next().unwrap())).unwrap();
        assert_eq!(took, Lap { wall: 2.0, cpu: 1.0 });
        let line = Measured::new("x", took, Unit::PerSecond(64, "tokens"));
        assert_eq!((line.value, line.unit.as_str(), line.cpu_seconds), (32.0, "tokens/s", 1.0));
        assert_eq!(Measured::new("x", took, Unit::Milliseconds).value, 2000.0);
    }
}
