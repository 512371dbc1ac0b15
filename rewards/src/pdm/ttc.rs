//! Time to collision within bound, 0 or 1 (spec 8.2).

use super::areas::EgoAreas;
use super::motion::Motion;
use super::observation::{Ignored, Observation};
use super::{Ground, Version};
use scene::dynamics::STATES;
use scene::geometry::{Aabb, convex_intersect};

/// Steps looked ahead, in the order in which they are asked.
const LOOK_AHEAD: [usize; 4] = [0, 3, 6, 9];
/// v2 stops after this step, so that every look-ahead has a frame (pitfall 7).
const LAST_V2: usize = 31;
/// Below this speed (m/s) nothing is asked.
const STOPPED: f64 = 5e-3;

/// The score and the first step with a violation.
pub(super) fn time_to_collision(
    ground: &Ground,
    version: Version,
    motion: &Motion,
    areas: &EgoAreas,
    observation: &Observation,
    ignored: &mut Ignored,
) -> (f64, Option<u8>) {
    let compat = &ground.compat;
    let steps = if version == Version::V2 && compat.short_ttc { LAST_V2 + 1 } else { STATES };
    ignored.clear(observation.tracks());
    for t in 0..steps {
        let speed = motion.speed[t];
        // The reference skips every intersecting polygon of such a step without remembering it.
        if speed < STOPPED {
            continue;
        }
        let (sin, cos) = motion.turned[t];
        for k in LOOK_AHEAD {
            if t + k >= observation.frames() {
                break;
            }
            let seconds = k as f64 * 0.1;
            let shift = [speed * cos * seconds, speed * sin * seconds];
            let bounds = &motion.bounds[t];
            let moved = Aabb {
                min: [bounds.min[0] + shift[0], bounds.min[1] + shift[1]],
                max: [bounds.max[0] + shift[0], bounds.max[1] + shift[1]],
            };
            for agent in observation.near(t + k, &moved) {
                if ignored.has(agent.track) {
                    continue;
                }
                let ego = motion.corners[t].map(|c| [c[0] + shift[0], c[1] + shift[1]]);
                if !convex_intersect(&ego, &agent.corners) {
                    continue;
                }
                let (ahead, behind) = motion.ahead_behind(t, agent.center, compat.arccos_nan);
                if ahead || (!behind && (areas.off_lane(t) || ground.axle_in_intersection(&motion.states[t]))) {
                    return (0.0, Some(t as u8));
                }
                ignored.add(agent.track);
            }
        }
    }
    (1.0, None)
}
