//! History comfort, 0 or 1 (spec 9.3, v2), and comfort C (v1).

use super::comfort::{ComfortFlags, Felt};
use super::{Ground, Version, Workspace};
use scene::dynamics::{STATES, State};

/// The six checks behind the comfort score of a drive: v1 on the simulated states, v2 on ego's past and these.
pub fn comfort_flags(
    ground: &Ground,
    version: Version,
    states: &[State; STATES],
    workspace: &mut Workspace,
) -> ComfortFlags {
    flags(ground, version, states, &mut workspace.felt)
}

/// Samples that the checks of a version see.
pub fn comfort_samples(ground: &Ground, version: Version) -> usize {
    STATES + if version == Version::V2 { ground.past.states.len() } else { 0 }
}

fn flags(ground: &Ground, version: Version, states: &[State; STATES], felt: &mut Felt) -> ComfortFlags {
    match version {
        Version::V1 => ground.checks_v1.flags(&[], states, felt),
        Version::V2 => ground.checks_v2.flags(&ground.past.states, states, felt),
    }
}

/// v2 without a past is always comfortable.
pub(super) fn comfort(
    ground: &Ground,
    version: Version,
    with_past: bool,
    states: &[State; STATES],
    felt: &mut Felt,
) -> f64 {
    let no_past = !with_past || ground.past.states.is_empty();
    if version == Version::V2 && no_past {
        return 1.0;
    }
    if flags(ground, version, states, felt).iter().all(|&ok| ok) { 1.0 } else { 0.0 }
}
