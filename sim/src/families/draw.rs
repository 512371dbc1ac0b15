//! Random draws of the scenario families: a counter hashed with the family's name and the seed, so that a draw depends
//! on nothing but how many came before it.

use crate::scenario::Point;
use std::cell::Cell;

/// A stream of draws.
#[derive(Debug, Clone)]
pub struct Draw {
    key: u64,
    count: Cell<u64>,
}

impl Draw {
    /// The stream of a family's seed; `attempt` counts the redraws of a rejected case.
    pub fn new(family: &str, seed: u64, attempt: u64) -> Draw {
        let name = family.bytes().fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
        Draw { key: mix(mix(name ^ mix(seed)) ^ attempt), count: Cell::new(0) }
    }

    fn next(&self) -> u64 {
        self.count.set(self.count.get() + 1);
        mix(self.key ^ self.count.get().wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// Uniform in `[0, 1)`.
    pub fn unit(&self) -> f32 {
        (self.next() >> 40) as f32 / (1u64 << 24) as f32
    }

    /// Uniform between two values.
    pub fn range(&self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.unit()
    }

    /// An integer from `low` to `high`, both included.
    pub fn int(&self, low: usize, high: usize) -> usize {
        low + (self.next() % (high - low + 1) as u64) as usize
    }

    /// True with probability `p`.
    pub fn chance(&self, p: f32) -> bool {
        self.unit() < p
    }

    /// +1 or -1.
    pub fn sign(&self) -> f32 {
        if self.chance(0.5) { 1.0 } else { -1.0 }
    }

    /// One of a few.
    pub fn pick<T: Copy>(&self, of: &[T]) -> T {
        of[self.int(0, of.len() - 1)]
    }

    /// A point within `radius` in each axis of `at`.
    pub fn near(&self, at: Point, radius: f32) -> Point {
        [at[0] + self.range(-radius, radius), at[1] + self.range(-radius, radius)]
    }
}

/// The finaliser of splitmix64.
fn mix(z: u64) -> u64 {
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
