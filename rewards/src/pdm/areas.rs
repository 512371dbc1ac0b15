//! Where on the road ego is: three booleans per state (spec 6).

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
    areas(ground, &workspace.motion)
}

/// The same from prepared geometry.
pub(super) fn areas(ground: &Ground, motion: &Motion) -> EgoAreas {
    match ground.grid.words() {
        1 => areas_of::<1>(ground, motion),
        2 => areas_of::<2>(ground, motion),
        4 => areas_of::<4>(ground, motion),
        8 => areas_of::<8>(ground, motion),
        16 => areas_of::<16>(ground, motion),
        32 => areas_of::<32>(ground, motion),
        _ => areas_of::<64>(ground, motion),
    }
}

fn areas_of<const W: usize>(ground: &Ground, motion: &Motion) -> EgoAreas {
    let mut found = EgoAreas::default();
    for t in 0..STATES {
        let center = ground.grid.locate::<W>(motion.center[t]);
        let on_route = center.lanes.iter().zip(&ground.route).any(|(l, r)| l & r != 0);
        found.oncoming |= u64::from(!on_route) << t;
        found.intersection |= u64::from(center.intersection) << t;

        let corners = motion.corners[t].map(|corner| ground.grid.locate::<W>(corner));
        let drivable = corners.iter().all(|c| c.drivable);
        found.non_drivable |= u64::from(!drivable) << t;
        let (mut several, mut touched, mut held) = (false, false, false);
        for w in 0..W {
            let [a, b, c, d] = corners.map(|corner| corner.lanes[w]);
            let any = a | b | c | d;
            several |= (touched && any != 0) || any & any.wrapping_sub(1) != 0;
            touched |= any != 0;
            held |= a & b & c & d != 0;
        }
        found.multiple_lanes |= u64::from(several && !held) << t;
    }
    found
}
