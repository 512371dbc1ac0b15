//! Ego progress along the centre line (spec 8.1); its normalisation is in [`super::aggregate`].

use super::ground::CenterLine;
use super::motion::Motion;
use scene::dynamics::STATES;

/// Metres gained, not negative. `start` is the progress of the present centre, the same for all plans.
pub(super) fn progress(motion: &Motion, line: &CenterLine, start: f64) -> f64 {
    (line.progress(motion.center[STATES - 1]) - start).max(0.0)
}
