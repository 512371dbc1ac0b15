//! How the scored car drives: from a planned trajectory over an LQR tracker to simulated states.
//!
//! States are rear-axle states of one vehicle, the Pacifica of the NAVSIM benchmark (spec 1.1, 2-4).

mod bicycle;
mod profile;
mod state;
mod targets;
mod tracker;

pub use bicycle::step;
pub use profile::{curvature_profile, velocity_profile};
pub use state::{State, vehicle};
pub use targets::{Knots, targets};
pub use tracker::{Tracker, simulate};

/// Simulated steps after the initial state.
pub const STEPS: usize = 40;
/// States of a simulation: the initial one and [`STEPS`] more.
pub const STATES: usize = STEPS + 1;
/// Seconds between states (nominal).
pub const INTERVAL: f64 = 0.1;

/// Which quirks of the reference the simulation keeps; all on by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quirks {
    /// Pitfall 1: the velocity fit penalises accelerations, not their differences.
    pub overwritten_regulariser: bool,
    /// Pitfall 2: the bicycle's step is 0.09999999999999999 s.
    pub truncated_step: bool,
    /// Pitfall 19: times go through float seconds and are cut to whole microseconds.
    pub truncated_times: bool,
}

impl Default for Quirks {
    fn default() -> Self {
        Quirks { overwritten_regulariser: true, truncated_step: true, truncated_times: true }
    }
}
