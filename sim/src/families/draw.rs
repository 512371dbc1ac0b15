//! Random draws of the scenario families. A stream is shared by reference, so that a draw can be an argument of a call
//! that changes the scene.

use crate::rng::Rng;
use std::cell::Cell;

/// A stream of draws.
#[derive(Debug, Clone)]
pub struct Draw {
    rng: Cell<Rng>,
}

impl Draw {
    /// The stream of a family's seed; `attempt` counts the redraws of a rejected case.
    pub fn new(family: &str, seed: u64, attempt: u64) -> Draw {
        Draw { rng: Cell::new(Rng::new(crate::rng::hash(seed, attempt), family)) }
    }

    fn with<T>(&self, draw: impl FnOnce(&mut Rng) -> T) -> T {
        let mut rng = self.rng.get();
        let drawn = draw(&mut rng);
        self.rng.set(rng);
        drawn
    }

    /// Uniform in `[0, 1)`.
    pub fn unit(&self) -> f32 {
        self.with(Rng::unit)
    }

    /// Uniform between two values.
    pub fn range(&self, low: f32, high: f32) -> f32 {
        self.with(|rng| rng.range(low, high))
    }

    /// An integer from `low` to `high`, both included.
    pub fn int(&self, low: usize, high: usize) -> usize {
        low + self.with(|rng| rng.below(high + 1 - low))
    }

    /// True with probability `p`.
    pub fn chance(&self, p: f32) -> bool {
        self.unit() < p
    }

    /// +1 or -1.
    pub fn sign(&self) -> f32 {
        if self.chance(0.5) { 1.0 } else { -1.0 }
    }

    /// One of a few; there is at least one.
    pub fn pick<T: Copy>(&self, of: &[T]) -> T {
        of[self.int(0, of.len() - 1)]
    }
}
