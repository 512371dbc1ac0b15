//! Traffic-light compliance, 0 or 1 (spec 7.4, v2).

use super::motion::Motion;
use super::observation::Observation;
use scene::dynamics::STATES;

/// 0 when ego touches a red connector at any step, the start included (pitfall 18) unless `at_start` is off, which
/// excuses the connectors that ego touches when they are red at t = 0.
pub(super) fn traffic_light(motion: &Motion, observation: &Observation, at_start: bool) -> f64 {
    for red in observation.red() {
        let touches = |t: usize| red.is_red(t) && red.touches(&motion.bounds[t], &motion.corners[t]);
        if !at_start && touches(0) {
            continue;
        }
        if (0..STATES).any(touches) {
            return 0.0;
        }
    }
    1.0
}
