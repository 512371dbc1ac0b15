//! All sub-scores of simulated drives.

use super::{Ground, Observation, RawScores, Version};
use scene::dynamics::{STATES, State};

/// Buffers that scoring reuses; one per thread. Its memory does not grow with the number of scorings.
#[derive(Debug, Clone, Default)]
pub struct Workspace {
    _private: (),
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
    let _ = (ground, observation, version, states, with_past, workspace);
    RawScores {
        nc: 0.0,
        dac: 0.0,
        ddc: 0.0,
        tlc: 0.0,
        ttc: 0.0,
        lk: 0.0,
        comfort: 0.0,
        progress: 0.0,
        first_at_fault: None,
        first_ttc: None,
    }
}
