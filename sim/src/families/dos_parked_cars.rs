//! A pedestrian on the pavement goes behind parked vehicles, is hidden there, and steps onto the road between them.

use super::Family;
use super::stage::{Stage, promised};
use super::street::{START, Street, cross_section};
use crate::scenario::{Ability, AgentKind, Scenario, When};

/// Hidden between parked cars.
pub const FAMILY: Family = Family {
    name: "dos_parked_cars",
    abilities: &[Ability::EmergencyBrake],
    about: "A pedestrian disappears behind parked vehicles and steps out between two of them.",
    make: |seed| promised(&FAMILY, seed, draft),
};

fn draft(mut stage: Stage, seed: u64) -> Option<Scenario> {
    let speed = stage.draw.range(6.5, 9.5);
    let (lanes, back) = (stage.draw.int(1, 2), stage.draw.int(0, 1));
    let mut cross = cross_section(&stage.draw, lanes, back, 11.1);
    (cross.bike, cross.shoulder, cross.pavement) = (0.0, stage.draw.range(2.1, 2.5), stage.draw.range(2.4, 3.4));
    let length = stage.draw.range(130.0, 180.0);
    let street = Street::build(&mut stage, cross, length, speed);
    let lane = lanes - 1;
    stage.ego(&street.route(lane), START, speed);

    let at = 8.0 + speed * stage.draw.range(3.4, 5.0);
    // Along the pavement, then through the gap and across.
    let behind = cross.right() - stage.draw.range(0.7, 1.4);
    let (pace, beside) = (stage.draw.range(1.2, 2.0), (behind - cross.centre_of(lane)).abs());
    let furthest = pace * (at - 2.0) / speed - beside - 0.3;
    if furthest < 1.0 {
        return None;
    }
    let along = stage.draw.sign() * stage.draw.range(1.0, furthest.min(10.0));
    let across = stage.draw.range(-0.6, 0.6);
    let points =
        [street.ahead(at + along, behind), street.ahead(at, behind), street.ahead(at + across, cross.left() + 1.5)];
    let way = along.abs() + beside;
    let when = When::EgoArrives { at: street.ahead(at - 2.0, cross.centre_of(lane)), within: way / pace };
    let walker = stage.walk(AgentKind::Pedestrian, &points, pace, when);
    if stage.draw.chance(0.3) {
        let child = stage.draw.range(1.15, 1.35);
        stage.agents[walker].size[2] = child;
    }
    stage.hazard = Some(walker);
    // The vehicle on ego's side of the gap hides them; what stands further on is as it comes.
    let kind = stage.draw.pick(&[AgentKind::Van, AgentKind::Van, AgentKind::Truck, AgentKind::Car]);
    let gap = stage.draw.range(0.7, 1.2);
    let cover = stage.park(kind, street.pose(at - gap - 3.0, cross.shoulder_centre()));
    let half = 0.5 * stage.agents[cover].size[0];
    stage.agents[cover].pose = street.pose(at - gap - half, cross.shoulder_centre() + stage.draw.range(-0.1, 0.15));
    street.parked(&mut stage, (at - gap - 2.0 * half - 30.0, at - gap - 2.0 * half - 2.5), 0.8);
    street.parked(&mut stage, (at + gap + 2.6, at + 40.0), 0.75);
    if !stage.keeps_promise(&FAMILY) {
        return None;
    }
    street.oncoming_traffic(&mut stage, 30.0, 3);
    street.dress(&mut stage, 0.3);
    Some(stage.finish(&FAMILY, seed, 10.0 + 2.5 * length / speed))
}
