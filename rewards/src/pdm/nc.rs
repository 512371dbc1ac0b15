//! No at-fault collision, 0, 0.5 or 1 (spec 7.1).

use super::areas::EgoAreas;
use super::motion::Motion;
use super::observation::{Ignored, Observation};
use scene::dynamics::STATES;
use scene::geometry::{convex_intersect, segment_intersects_quad};

/// Below this speed (m/s) ego or an agent stands.
pub(super) const STOPPED: f64 = 0.05;

/// The score and the first step with an at-fault collision.
pub(super) fn no_collision(
    motion: &Motion,
    areas: &EgoAreas,
    observation: &Observation,
    arccos_nan: bool,
    ignored: &mut Ignored,
) -> (f64, Option<u8>) {
    ignored.clear(observation.tracks());
    let (mut score, mut first) = (1.0f64, None);
    for t in 0..STATES.min(observation.frames()) {
        for agent in observation.near(t, &motion.bounds[t]) {
            if ignored.has(agent.track) || !convex_intersect(&motion.corners[t], &agent.corners) {
                continue;
            }
            let ego = &motion.corners[t];
            let at_fault = if motion.speed[t] <= STOPPED {
                false
            } else if !agent.is_agent || agent.stopped {
                true
            } else if motion.ahead_behind(t, agent.center, arccos_nan).1 {
                false
            } else {
                segment_intersects_quad(ego[0], ego[3], &agent.corners) || areas.off_lane(t)
            };
            if at_fault {
                score = score.min(if agent.is_agent { 0.0 } else { 0.5 });
                first = first.or(Some(t as u8));
            } else {
                ignored.add(agent.track);
            }
        }
    }
    (score, first)
}
