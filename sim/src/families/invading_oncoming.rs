//! Oncoming vehicles cut the bend and come into ego's lane.

use super::Family;
use super::stage::Stage;
use super::street::{START, Street, cross_section};
use crate::scenario::{Ability, Act, AgentKind, Mark, PropKind, Scenario, When};

/// Oncoming traffic over the centre line.
pub const FAMILY: Family = Family {
    name: "invading_oncoming",
    abilities: &[Ability::GiveWay],
    about: "Oncoming vehicles use part of ego's lane; ego makes room to the right.",
    make,
};

fn make(seed: u64) -> Scenario {
    let mut stage = Stage::new(&FAMILY, seed, 0);
    let speed = stage.draw.range(7.5, 11.5);
    let mut cross = cross_section(&stage.draw, 1, 1, 13.9);
    cross.width = stage.draw.range(3.4, 3.75);
    cross.bike = 0.0;
    cross.shoulder = stage.draw.range(1.2, 2.2);
    cross.centre = stage.draw.pick(&[Mark::YellowDashed, Mark::YellowDouble, Mark::Dashed, Mark::Yellow]);
    let length = stage.draw.range(140.0, 210.0);
    let street = Street::build(&mut stage, cross, length, speed);
    stage.ego(&street.route(0), START, speed);

    let pace = stage.draw.range(7.0, 10.5);
    // They come so far over that ego must leave them half a metre to a metre.
    let intrusion = stage.draw.range(0.35, 0.65);
    let first = (speed + pace) * stage.draw.range(3.2, 4.6);
    let mut ahead = first;
    for _ in 0..stage.draw.int(1, 4) {
        if ahead > street.end - street.start + 60.0 {
            break;
        }
        let kind = stage.draw.pick(&[AgentKind::Car, AgentKind::Car, AgentKind::Van]);
        let i = street.oncoming(&mut stage, kind, 0, ahead, pace);
        let width = stage.agents[i].size[1];
        // Ego's left side, in its lane's middle, is at -(w - 1.9) / 2; theirs at offset - (w - width) / 2.
        let gap = 0.5 * (cross.width - 1.9) + 0.5 * (cross.width - width);
        let meets = ahead / (speed + pace);
        let over = Act::Drift { offset: gap + intrusion, seconds: 1.8 };
        stage.insists(i);
        stage.cue(i, When::Time((meets - 3.4).max(0.1)), over);
        stage.cue(i, When::After(5.5), Act::Drift { offset: 0.0, seconds: 2.0 });
        ahead += stage.agents[i].size[0] + 3.0 + pace * stage.draw.range(1.0, 2.2);
    }
    if stage.draw.chance(0.5) {
        // What they avoid: cones at their side.
        let from = 0.5 * speed * first / (speed + pace);
        for i in 0..10 {
            let pose = street.pose(from + 5.0 * i as f32, cross.left() - 0.6);
            stage.force(PropKind::Cone, pose, [0.4, 0.4, 0.75]);
        }
    }
    street.dress(&mut stage, 0.3);
    stage.finish(&FAMILY, seed, 10.0 + 2.2 * length / speed)
}
