//! Someone steps out from behind something at the kerb: parked vehicles, a container, a hedge.

use super::Family;
use super::stage::Stage;
use super::street::{START, Street, cross_section};
use crate::scenario::{Ability, AgentKind, PropKind, Scenario, When};

/// Crossing from behind cover.
pub const FAMILY: Family = Family {
    name: "occluded_pedestrian",
    abilities: &[Ability::EmergencyBrake],
    about: "A pedestrian steps onto the road from behind a parked vehicle or another cover.",
    make,
};

fn make(seed: u64) -> Scenario {
    let mut stage = Stage::new(&FAMILY, seed, 0);
    let speed = stage.draw.range(7.0, 10.5);
    let (lanes, back) = (stage.draw.int(1, 2), stage.draw.int(0, 1));
    let mut cross = cross_section(&stage.draw, lanes, back, 13.9);
    cross.pavement = cross.pavement.max(2.2);
    cross.bike = 0.0;
    let vehicle = stage.draw.chance(0.65);
    cross.shoulder = if vehicle { stage.draw.range(2.2, 2.6) } else { 0.0 };
    let length = stage.draw.range(130.0, 190.0);
    let street = Street::build(&mut stage, cross, length, speed);
    let lane = lanes - 1;
    stage.ego(&street.route(lane), START, speed);

    let at = 10.0 + speed * stage.draw.range(2.6, 4.0);
    if vehicle {
        let kind = stage.draw.pick(&[AgentKind::Van, AgentKind::Van, AgentKind::Truck]);
        let cover = stage.park(kind, street.pose(at, cross.shoulder_centre()));
        let half = 0.5 * stage.agents[cover].size[0];
        stage.agents[cover].pose = street.pose(at - 1.2 - half, cross.shoulder_centre());
        street.parked(&mut stage, (at + 5.0, at + 40.0), 0.5);
        street.parked(&mut stage, (at - 45.0, at - 14.0), 0.5);
    } else {
        let size = stage.draw.pick(&[[6.0, 1.2, 2.4], [8.0, 0.9, 1.9], [3.0, 1.4, 2.3]]);
        let kind = if size[0] > 7.0 { PropKind::Hedge } else { PropKind::Container };
        stage.put(kind, street.pose(at - 1.0 - 0.5 * size[0], cross.right() - 0.45 - 0.5 * size[1]), size);
    }
    // From the middle of the cover to the other side of the road.
    let d0 = if vehicle { cross.shoulder_centre() - 0.5 } else { cross.right() - 0.9 };
    let d1 = cross.left() + 1.5;
    let way = (d0 - cross.centre_of(lane)).abs();
    let notice = speed / 9.0 + stage.draw.range(0.9, 1.2);
    let pace = (way / notice).min(2.8);
    let arrive = street.ahead(at - 2.0, cross.centre_of(lane));
    let points = [street.ahead(at, d0), street.ahead(at, d1)];
    stage.walk(AgentKind::Pedestrian, &points, pace, When::EgoArrives { at: arrive, within: way / pace });
    street.oncoming_traffic(&mut stage, 30.0, 3);
    street.dress(&mut stage, 0.6);
    stage.finish(&FAMILY, seed, 10.0 + 2.5 * length / speed)
}
