//! Lane keeping, 0 or 1 (spec 8.3, v2).

use super::areas::EgoAreas;
use super::ground::CenterLine;
use super::motion::Motion;
use scene::dynamics::STATES;

/// Steps in a row (2 s) away from the centre line that fail.
const STEPS: usize = 20;

/// 0 when the centre is more than half a metre off the centre line for 2 s, intersections not counted: they pause
/// the count (pitfall 17), or with `pause` off reset it.
pub(super) fn lane_keeping(motion: &Motion, areas: &EgoAreas, line: &CenterLine, pause: bool) -> f64 {
    let mut count = 0;
    for t in 0..STATES {
        if areas.intersection >> t & 1 == 1 {
            if !pause {
                count = 0;
            }
            continue;
        }
        // Too few steps are left to fail.
        if count + (STATES - t) < STEPS {
            break;
        }
        count = if line.is_far(motion.center[t]) { count + 1 } else { 0 };
        if count >= STEPS {
            return 0.0;
        }
    }
    1.0
}
