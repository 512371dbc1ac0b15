//! Ego's lane is blocked and the only way past leads through the lane of oncoming traffic.

use super::Family;
use super::obstacle_bypass::works;
use super::stage::Stage;
use super::street::{START, Street, cross_section};
use crate::scenario::{Ability, AgentKind, Mark, Scenario};

/// Obstacle in the lane, oncoming lane beside it.
pub const FAMILY: Family = Family {
    name: "two_way_bypass",
    abilities: &[Ability::Overtaking],
    about: "Something blocks ego's lane on a two-lane road; ego waits for a gap in the oncoming traffic.",
    make,
};

fn make(seed: u64) -> Scenario {
    let mut stage = Stage::new(&FAMILY, seed, 0);
    let speed = stage.draw.range(7.5, 11.0);
    let mut cross = cross_section(&stage.draw, 1, 1, 13.9);
    cross.shoulder = 0.0;
    cross.bike = 0.0;
    cross.centre = stage.draw.pick(&[Mark::YellowDashed, Mark::Dashed]);
    let length = stage.draw.range(140.0, 200.0);
    let street = Street::build(&mut stage, cross, length, speed);
    stage.ego(&street.route(0), START, speed);

    let at = 10.0 + speed * stage.draw.range(3.2, 4.6);
    let middle = cross.centre_of(0);
    match stage.draw.int(0, 2) {
        0 => {
            let to = at + stage.draw.range(6.0, 10.0);
            works(&mut stage, &street, 0, (at, to));
        }
        1 => {
            let kind = stage.draw.pick(&[AgentKind::Car, AgentKind::Van, AgentKind::Truck]);
            stage.park(kind, street.pose(at, middle + stage.draw.range(-0.5, 0.0)));
        }
        _ => {
            for i in 0..2 {
                let mut pose = street.pose(at + 8.5 * i as f32, middle + stage.draw.range(-0.4, 0.1));
                pose[2] += stage.draw.range(-0.15, 0.15);
                stage.park(AgentKind::Car, pose);
            }
        }
    }
    // Oncoming traffic: a group that leaves no gap, and then none.
    let pace = stage.draw.range(8.0, 11.0);
    let mut ahead = at + stage.draw.range(5.0, 45.0);
    for _ in 0..stage.draw.int(1, 5) {
        if ahead > street.end - street.start + 55.0 {
            break;
        }
        let kind = stage.traffic_kind();
        let i = street.oncoming(&mut stage, kind, 0, ahead, pace);
        ahead += stage.agents[i].size[0] + 3.0 + pace * stage.draw.range(1.0, 2.5);
    }
    if stage.draw.chance(0.5) {
        let back = stage.draw_back();
        street.drive(&mut stage, AgentKind::Car, 0, -back, speed);
    }
    street.dress(&mut stage, 0.3);
    stage.finish(&FAMILY, seed, 20.0 + 2.2 * length / speed)
}

impl Stage {
    /// How far behind ego a follower starts, metres.
    pub fn draw_back(&self) -> f32 {
        self.draw.range(22.0, 45.0)
    }
}
