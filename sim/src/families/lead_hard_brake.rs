//! The vehicle ahead brakes hard, without a reason that ego sees.

use super::Family;
use super::stage::Stage;
use super::street::{START, Street, cross_section};
use crate::scenario::{Ability, Act, AgentKind, Scenario, When};

/// Hard braking of the leader.
pub const FAMILY: Family = Family {
    name: "lead_hard_brake",
    abilities: &[Ability::EmergencyBrake],
    about: "The leader brakes hard, stands or crawls for a while and drives on.",
    make,
};

fn make(seed: u64) -> Scenario {
    let mut stage = Stage::new(&FAMILY, seed, 0);
    let speed = stage.draw.range(8.0, 15.0);
    let limit = stage.draw.pick(&[13.9, 16.7f32]).max(speed);
    let (lanes, back) = (stage.draw.int(1, 3), stage.draw.int(0, 2));
    let cross = cross_section(&stage.draw, lanes, back, limit);
    let length = stage.draw.range(150.0, 230.0);
    let street = Street::build(&mut stage, cross, length, speed);
    let lane = stage.draw.int(0, lanes - 1);
    stage.ego(&street.route(lane), START, speed);

    let kind = stage.traffic_kind();
    let gap = stage.draw.range(8.0, 10.0) + speed * stage.draw.range(0.5, 1.0);
    let lead = street.drive(&mut stage, kind, lane, 4.6 + gap, speed);
    let to = if stage.draw.chance(0.6) { 0.0 } else { stage.draw.range(1.0, 3.0) };
    let decel = stage.draw.range(4.0, 6.5);
    stage.cue(lead, When::Time(stage.draw.range(1.0, 3.5)), Act::Brake { decel, to });
    stage.cue(lead, When::After(stage.draw.range(4.5, 8.0)), Act::Speed(speed));
    if stage.draw.chance(0.3) {
        // Once more, further on.
        stage.cue(lead, When::After(5.0), Act::Brake { decel: 4.0, to: 0.0 });
        stage.cue(lead, When::After(5.0), Act::Speed(speed));
    }
    // The lanes beside are taken, so that braking is the answer.
    for other in (0..lanes).filter(|&l| l != lane) {
        let mut place = stage.draw.range(20.0, 34.0);
        for _ in 0..stage.draw.int(2, 5) {
            let kind = stage.traffic_kind();
            let i = street.drive(&mut stage, kind, other, place, speed * 0.97);
            place -= stage.agents[i].size[0] + stage.draw.range(5.0, 12.0);
        }
    }
    if stage.draw.chance(0.5) {
        let back = stage.draw_back();
        street.drive(&mut stage, AgentKind::Car, lane, -back, speed);
    }
    street.oncoming_traffic(&mut stage, 20.0, 4);
    street.dress(&mut stage, 0.3);
    stage.finish(&FAMILY, seed, 15.0 + 2.0 * length / speed)
}
