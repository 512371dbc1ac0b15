//! All sub-scores of simulated drives.

use super::comfort::Felt;
use super::ec::Features;
use super::motion::Motion;
use super::observation::Ignored;
use super::{Ground, Observation, RawScores, Version, areas, dac, ddc, ep, hc, lk, nc, tlc, ttc};
use scene::dynamics::{Knots, STATES, State};

/// Buffers that scoring reuses; one per thread. Its memory does not grow with the number of scorings.
#[derive(Debug, Clone, Default)]
pub struct Workspace {
    pub(super) motion: Motion,
    pub(super) ignored: Ignored,
    pub(super) felt: Felt,
    pub(super) knots: Knots,
    pub(super) now: Features,
}

impl Workspace {
    /// Bytes of heap memory that the buffers hold.
    pub fn heap_bytes(&self) -> usize {
        self.ignored.heap_bytes() + self.felt.heap_bytes() + self.knots.heap_bytes()
    }
}

/// The sub-scores of one simulated drive among the agents of `observation`. `with_past`: whether history comfort sees
/// ego's past (v2; the human of the filter and PDM-Closed's own search are scored without, which makes it 1).
pub fn raw_scores(
    ground: &Ground,
    observation: &Observation,
    version: Version,
    states: &[State; STATES],
    with_past: bool,
    workspace: &mut Workspace,
) -> RawScores {
    workspace.motion.states = *states;
    score_motion(ground, observation, version, with_past, workspace)
}

/// The same for the states that `workspace.motion` holds.
pub(super) fn score_motion(
    ground: &Ground,
    observation: &Observation,
    version: Version,
    with_past: bool,
    workspace: &mut Workspace,
) -> RawScores {
    let Workspace { motion, ignored, felt, .. } = workspace;
    let compat = &ground.compat;
    motion.update();
    let found = areas::areas(ground, motion);
    let (nc, first_at_fault) = nc::no_collision(motion, &found, observation, compat.arccos_nan, ignored);
    let (ttc, first_ttc) = ttc::time_to_collision(ground, version, motion, &found, observation, ignored);
    let (tlc, lk) = match version {
        Version::V1 => (1.0, 1.0),
        Version::V2 => (
            tlc::traffic_light(motion, observation, compat.red_light_at_start),
            lk::lane_keeping(motion, &found, &ground.line, compat.lane_keeping_pause),
        ),
    };
    RawScores {
        nc,
        dac: dac::drivable_area(&found),
        ddc: ddc::driving_direction(motion, &found, version),
        tlc,
        ttc,
        lk,
        comfort: hc::comfort(ground, version, with_past, &motion.states, felt),
        progress: ep::progress(motion, &ground.line, ground.start_progress),
        first_at_fault,
        first_ttc,
    }
}
