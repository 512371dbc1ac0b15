//! A vehicle of the lane beside, or one parked at the kerb, moves in front of ego and is slower.

use super::Family;
use super::stage::Stage;
use super::street::{START, Street, cross_section};
use crate::scenario::{Ability, Act, AgentKind, Scenario, When};

/// Cut-in from the side.
pub const FAMILY: Family = Family {
    name: "cut_in",
    abilities: &[Ability::Merging],
    about: "A vehicle from the lane beside ego's moves in closely in front and slows down.",
    make,
};

fn make(seed: u64) -> Scenario {
    let mut stage = Stage::new(&FAMILY, seed, 0);
    let speed = stage.draw.range(9.0, 15.0);
    let limit = stage.draw.pick(&[13.9, 16.7, 22.2f32]).max(speed);
    let lanes = stage.draw.int(2, 3);
    let back = stage.draw.int(0, 1) * 2;
    let cross = cross_section(&stage.draw, lanes, back, limit);
    let length = stage.draw.range(170.0, 240.0);
    let street = Street::build(&mut stage, cross, length, speed);
    let lane = stage.draw.int(0, lanes - 1);
    let from = if lane == 0 || (lane + 1 < lanes && stage.draw.chance(0.5)) { lane + 1 } else { lane - 1 };
    stage.ego(&street.route(lane), START, speed);

    let kind = stage.draw.pick(&[AgentKind::Car, AgentKind::Car, AgentKind::Van, AgentKind::Truck]);
    let gap = stage.draw.range(5.0, 9.0) + if kind == AgentKind::Truck { 3.0 } else { 0.0 };
    let cutter = street.drive(&mut stage, kind, from, 4.6 + gap, speed);
    let start = stage.draw.range(0.8, 2.6);
    let side = if from > lane { 1 } else { -1 };
    stage.cue(cutter, When::Time(start), Act::Change { side, seconds: stage.draw.range(1.8, 2.8) });
    let slow = speed * stage.draw.range(0.2, 0.5);
    stage.cue(
        cutter,
        When::After(stage.draw.range(0.8, 1.6)),
        Act::Brake { decel: stage.draw.range(2.5, 3.8), to: slow },
    );
    stage.cue(cutter, When::After(stage.draw.range(3.5, 6.0)), Act::Speed(speed));

    for other in 0..lanes {
        let (near, far) = if other == from { (-16.0, -30.0) } else { (45.0, 70.0) };
        if stage.draw.chance(0.7) {
            let kind = stage.traffic_kind();
            let place = stage.draw.range(far, near);
            let pace = speed * stage.draw.range(0.85, 1.0);
            street.drive(&mut stage, kind, other, place, pace);
        }
    }
    street.oncoming_traffic(&mut stage, 30.0, 3);
    street.dress(&mut stage, 0.3);
    stage.finish(&FAMILY, seed, 2.5 * length / speed)
}
