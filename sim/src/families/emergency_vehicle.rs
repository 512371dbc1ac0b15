//! An ambulance or police car comes up from behind and needs the lane.

use super::Family;
use super::stage::Stage;
use super::street::{START, Street, cross_section};
use crate::scenario::{Ability, Act, AgentKind, Scenario, When};

/// Emergency vehicle from behind.
pub const FAMILY: Family = Family {
    name: "emergency_vehicle",
    abilities: &[Ability::GiveWay],
    about: "An emergency vehicle with blue lights comes up behind ego in its lane and must get past.",
    make,
};

fn make(seed: u64) -> Scenario {
    let mut stage = Stage::new(&FAMILY, seed, 0);
    let speed = stage.draw.range(7.5, 11.0);
    let limit = stage.draw.pick(&[13.9, 16.7]);
    let lanes = stage.draw.int(2, 3);
    let back = stage.draw.int(0, 1) * 2;
    let cross = cross_section(&stage.draw, lanes, back, limit);
    let length = stage.draw.range(170.0, 240.0);
    let street = Street::build(&mut stage, cross, length, speed);
    let lane = stage.draw.int(0, lanes - 2);
    stage.ego(&street.route(lane), START, speed);

    let behind = stage.draw.range(24.0, 48.0);
    let pace = speed + stage.draw.range(4.0, 7.0);
    let vehicle = street.drive(&mut stage, AgentKind::Emergency, lane, -behind, pace);
    stage.cue(vehicle, When::Time(0.0), Act::IgnoreRules);

    // Others make it less easy to move over, but leave room.
    for other in (0..lanes).filter(|&l| l != lane) {
        let pace = speed * stage.draw.range(0.9, 1.05);
        let places = [stage.draw.range(20.0, 34.0), stage.draw.range(-42.0, -24.0)];
        for place in places {
            if stage.draw.chance(0.55) {
                let kind = stage.traffic_kind();
                street.drive(&mut stage, kind, other, place, pace);
            }
        }
    }
    street.oncoming_traffic(&mut stage, 30.0, 3);
    street.dress(&mut stage, 0.3);
    stage.finish(&FAMILY, seed, 2.5 * length / speed)
}
