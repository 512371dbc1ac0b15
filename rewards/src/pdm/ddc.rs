//! Driving-direction compliance, 0, 0.5 or 1 (spec 7.3).

use super::Version;
use super::areas::EgoAreas;
use super::motion::Motion;
use scene::dynamics::STATES;

/// Metres driven against traffic within one second that cost half, and all.
const HALF: f64 = 2.0;
const ALL: f64 = 6.0;
/// Steps that are summed: one second, both ends included.
const WINDOW: usize = 11;

/// Metres of the centre outside the route's lanes, summed over the worst second. v2 excuses intersections
/// (pitfall 16).
pub(super) fn driving_direction(motion: &Motion, areas: &EgoAreas, version: Version) -> f64 {
    let excused = if version == Version::V2 { areas.intersection } else { 0 };
    let wrong = areas.oncoming & !excused;
    if wrong >> 1 == 0 {
        return 1.0;
    }
    let driven: [f64; STATES] = std::array::from_fn(|t| {
        if t == 0 || wrong >> t & 1 == 0 {
            return 0.0;
        }
        let (a, b) = (motion.center[t - 1], motion.center[t]);
        let (dx, dy) = (b[0] - a[0], b[1] - a[1]);
        (dx * dx + dy * dy).sqrt()
    });
    let within = |t: usize| driven[(t + 1).saturating_sub(WINDOW)..=t].iter().sum::<f64>();
    let worst = (0..STATES).map(within).fold(0.0, f64::max);
    if worst < HALF {
        1.0
    } else if worst < ALL {
        0.5
    } else {
        0.0
    }
}
