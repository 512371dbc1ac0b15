//! Vehicles in the lane beside ego's brake for a pedestrian whom they hide from ego.

use super::Family;
use super::stage::{Stage, promised};
use super::street::{START, Street, cross_section};
use crate::scenario::{Ability, Act, AgentKind, Scenario, When};

/// Hidden by what brakes.
pub const FAMILY: Family = Family {
    name: "dos_sudden_brake",
    abilities: &[Ability::EmergencyBrake],
    about: "Vehicles beside and ahead brake for a pedestrian whom ego cannot see yet.",
    make: |seed| promised(&FAMILY, seed, draft),
};

fn draft(mut stage: Stage, seed: u64) -> Option<Scenario> {
    let speed = stage.draw.range(7.0, 10.5);
    // They come from the right past the right lane, or from the left of a one-way street.
    let from_right = stage.draw.chance(0.6);
    let back = if from_right { stage.draw.int(0, 2) } else { 0 };
    let lanes = 2;
    let mut cross = cross_section(&stage.draw, lanes, back, 13.9);
    (cross.bike, cross.shoulder, cross.pavement) = (0.0, 0.0, stage.draw.range(2.0, 3.0));
    let length = stage.draw.range(140.0, 190.0);
    let street = Street::build(&mut stage, cross, length, speed);
    let (lane, beside) = if from_right { (0, 1) } else { (1, 0) };
    stage.ego(&street.route(lane), START, speed);

    let at = 10.0 + speed * stage.draw.range(3.0, 4.4);
    let (near, far) =
        if from_right { (cross.right() - 0.8, cross.left() + 1.5) } else { (cross.left() + 0.8, cross.right() - 1.5) };
    let way = (near - cross.centre_of(lane)).abs();
    let pace = stage.draw.range(1.4, 2.3);
    let when = When::EgoArrives { at: street.ahead(at - 2.0, cross.centre_of(lane)), within: way / pace };
    let walker = stage.walk(AgentKind::Pedestrian, &[street.ahead(at, near), street.ahead(at, far)], pace, when);
    stage.hazard = Some(walker);

    // The first in the lane beside stops just short of the crossing; more follow it.
    let kind = stage.draw.pick(&[AgentKind::Van, AgentKind::Truck, AgentKind::Bus]);
    let size = stage.size(kind);
    let stop = at - stage.draw.range(1.2, 2.2) - 0.5 * size[0];
    let decel = stage.draw.range(3.0, 4.5);
    let ahead = stage.draw.range(6.0, 13.0) + 0.5 * size[0];
    let braking = (stop - speed * speed / (2.0 * decel) - ahead) / speed;
    if braking < 0.2 {
        return None;
    }
    let first = street.drive(&mut stage, kind, beside, ahead, speed);
    stage.agents[first].size = size;
    stage.cue(first, When::Time(braking), Act::Brake { decel, to: 0.0 });
    stage.cue(first, When::After(stage.draw.range(6.0, 8.0)), Act::Speed(speed));
    let mut behind = ahead - 0.5 * size[0];
    for _ in 0..stage.draw.int(0, 2) {
        let kind = stage.draw.pick(&[AgentKind::Car, AgentKind::Van]);
        behind -= stage.draw.range(6.0, 9.0) + 3.0;
        let i = street.drive(&mut stage, kind, beside, behind, speed);
        stage.cue(i, When::Time(braking + 0.5), Act::Brake { decel, to: 0.0 });
        stage.cue(i, When::After(8.0), Act::Speed(speed));
        behind -= 3.0;
    }
    if !stage.keeps_promise(&FAMILY) {
        return None;
    }
    street.oncoming_traffic(&mut stage, 30.0, 3);
    street.dress(&mut stage, 0.3);
    Some(stage.finish(&FAMILY, seed, 12.0 + 2.5 * length / speed))
}
