//! Where on the road ego is: three booleans per state (spec 6).

use super::grid::{DRIVABLE, INTERSECTION};
use super::motion::Motion;
use super::{Ground, Workspace};
use scene::dynamics::{STATES, State};

/// One bit per state, bit `t` = step `t`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EgoAreas {
    /// Corners in at least two lanes, and no lane holds all four.
    pub multiple_lanes: u64,
    /// Not all four corners on drivable ground.
    pub non_drivable: u64,
    /// The centre in no lane of the route; also off the road.
    pub oncoming: u64,
    /// The centre in an intersection.
    pub intersection: u64,
}

impl EgoAreas {
    /// Whether ego straddles lanes or leaves the road at a step.
    pub(super) fn off_lane(&self, t: usize) -> bool {
        (self.multiple_lanes | self.non_drivable) >> t & 1 == 1
    }
}

/// The areas of a simulated drive.
pub fn ego_areas(ground: &Ground, states: &[State; STATES], workspace: &mut Workspace) -> EgoAreas {
    workspace.motion.states = *states;
    workspace.motion.update();
    areas(ground, &workspace.motion, &mut workspace.lanes)
}

/// The same from prepared geometry; `lanes` is scratch for four sets of lanes.
pub(super) fn areas(ground: &Ground, motion: &Motion, lanes: &mut Vec<u64>) -> EgoAreas {
    let words = ground.grid.words();
    lanes.clear();
    lanes.resize(4 * words, 0);
    let mut found = EgoAreas::default();
    for t in 0..STATES {
        let center = ground.grid.locate(motion.center[t], &mut lanes[..words]);
        let on_route = lanes.iter().zip(&ground.route).any(|(l, r)| l & r != 0);
        found.oncoming |= u64::from(!on_route) << t;
        found.intersection |= u64::from(center & INTERSECTION != 0) << t;

        let mut drivable = DRIVABLE;
        for (corner, set) in motion.corners[t].iter().zip(lanes.chunks_exact_mut(words)) {
            drivable &= ground.grid.locate(*corner, set);
        }
        found.non_drivable |= u64::from(drivable == 0) << t;
        let (mut touched, mut held) = (0, 0);
        for w in 0..words {
            let of = |corner: usize| lanes[corner * words + w];
            touched += (of(0) | of(1) | of(2) | of(3)).count_ones();
            held |= of(0) & of(1) & of(2) & of(3);
        }
        found.multiple_lanes |= u64::from(touched >= 2 && held == 0) << t;
    }
    found
}
