//! Ego's lane is blocked (a broken-down car, an accident, road works, slow cyclists) and the lane beside it is in use.

use super::Family;
use super::stage::Stage;
use super::street::{START, Street, cross_section};
use crate::scenario::{Ability, AgentKind, PropKind, Scenario, SignKind};

/// Obstacle in the lane, same-direction lane beside it.
pub const FAMILY: Family = Family {
    name: "obstacle_bypass",
    abilities: &[Ability::Overtaking],
    about: "Something blocks ego's lane; the lane beside it leads in the same direction and carries traffic.",
    make,
};

fn make(seed: u64) -> Scenario {
    let mut stage = Stage::new(&FAMILY, seed, 0);
    let speed = stage.draw.range(8.0, 12.5);
    let limit = stage.draw.pick(&[13.9, 13.9, 16.7]);
    let (lanes, back) = (stage.draw.int(2, 3), stage.draw.int(0, 2));
    let cross = cross_section(&stage.draw, lanes, back, limit);
    let length = stage.draw.range(150.0, 220.0);
    let street = Street::build(&mut stage, cross, length, speed);
    let lane = if stage.draw.chance(0.7) { lanes - 1 } else { stage.draw.int(0, lanes - 1) };
    stage.ego(&street.route(lane), START, speed);

    let at = 10.0 + speed * stage.draw.range(3.0, 4.6);
    block(&mut stage, &street, lane, at);

    let beside: Vec<usize> = [lane.wrapping_sub(1), lane + 1].into_iter().filter(|&l| l < lanes).collect();
    for other in beside {
        let pace = (speed * stage.draw.range(0.9, 1.25)).min(limit);
        let mut back = stage.draw.range(-6.0, 22.0);
        for _ in 0..stage.draw.int(1, 4) {
            let kind = stage.traffic_kind();
            let i = street.drive(&mut stage, kind, other, back, pace);
            back -= stage.agents[i].size[0] + 3.0 + pace * stage.draw.range(0.6, 2.6);
            if back < -62.0 {
                break;
            }
        }
    }
    street.oncoming_traffic(&mut stage, 40.0, 3);
    street.dress(&mut stage, 0.3);
    stage.finish(&FAMILY, seed, 2.5 * length / speed)
}

/// Blocks a forward lane from `at` metres ahead of ego's start on.
pub fn block(stage: &mut Stage, street: &Street, lane: usize, at: f32) {
    let middle = street.cross.centre_of(lane);
    match stage.draw.int(0, 3) {
        0 => {
            let kind = stage.draw.pick(&[AgentKind::Car, AgentKind::Van, AgentKind::Truck]);
            let pose = street.pose(at, middle + stage.draw.range(-0.5, 0.2));
            stage.park(kind, pose);
        }
        1 => {
            // An accident: two vehicles askew, perhaps with a police car.
            let mut s = at;
            for _ in 0..stage.draw.int(2, 3) {
                let kind = stage.draw.pick(&[AgentKind::Car, AgentKind::Car, AgentKind::Emergency]);
                let mut pose = street.pose(s, middle + stage.draw.range(-0.3, 0.2));
                pose[2] += stage.draw.range(-0.2, 0.2);
                stage.park(kind, pose);
                s += stage.draw.range(7.5, 9.0);
            }
        }
        2 => {
            let length = stage.draw.range(8.0, 18.0);
            works(stage, street, lane, (at, at + length));
        }
        _ => {
            for i in 0..stage.draw.int(1, 3) {
                let pace = stage.draw.range(2.0, 3.0);
                street.drive(stage, AgentKind::Cyclist, lane, at - 14.0 + 4.0 * i as f32, pace);
            }
        }
    }
}

/// Road works on a lane: cones along a taper and beside the lane, barriers inside, a sign before.
pub fn works(stage: &mut Stage, street: &Street, lane: usize, (from, to): (f32, f32)) {
    let (middle, half) = (street.cross.centre_of(lane), 0.5 * street.cross.width);
    // The leftmost of several lanes is passed on the right, all others on the left.
    let open = if lane == 0 && street.cross.forward > 1 { -1.0 } else { 1.0 };
    let cone = |stage: &mut Stage, s: f32, d: f32| {
        stage.force(PropKind::Cone, street.pose(s, middle + d), [0.4, 0.4, 0.75]);
    };
    for i in 0..5 {
        let t = i as f32 / 4.0;
        cone(stage, from - 7.0 * (1.0 - t), open * (half - 0.35) * (2.0 * t - 1.0));
    }
    let mut s = from + 3.0;
    while s < to {
        cone(stage, s, open * (half - 0.35));
        s += 4.0;
    }
    let mut pose = street.pose(from + 1.5, middle);
    pose[2] += std::f32::consts::FRAC_PI_2;
    stage.force(PropKind::Barrier, pose, [2.2, 0.3, 1.0]);
    if stage.draw.chance(0.5) {
        stage.force(PropKind::Container, street.pose(to - 3.5, middle - 0.2 * open), [5.0, 2.3, 2.4]);
    }
    stage.net.sign(&street.curve, street.start + (from - 28.0).max(6.0), &street.cross, SignKind::Works);
}
