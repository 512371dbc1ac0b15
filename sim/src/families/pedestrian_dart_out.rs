//! Someone steps onto the road in plain sight, too late to drive on and early enough to brake.

use super::Family;
use super::stage::Stage;
use super::street::{START, Street, cross_section};
use crate::scenario::{Ability, AgentKind, Scenario, SignKind, When};

/// Sudden crossing.
pub const FAMILY: Family = Family {
    name: "pedestrian_dart_out",
    abilities: &[Ability::EmergencyBrake],
    about: "A pedestrian or a cyclist crosses the road in front of ego without waiting.",
    make,
};

fn make(seed: u64) -> Scenario {
    let mut stage = Stage::new(&FAMILY, seed, 0);
    let speed = stage.draw.range(7.5, 12.0);
    let (lanes, back) = (stage.draw.int(1, 2), stage.draw.int(0, 2));
    let mut cross = cross_section(&stage.draw, lanes, back, 13.9);
    cross.pavement = cross.pavement.max(2.0);
    cross.shoulder = cross.shoulder.min(1.2);
    let length = stage.draw.range(130.0, 190.0);
    let street = Street::build(&mut stage, cross, length, speed);
    let lane = stage.draw.int(0, lanes - 1);
    stage.ego(&street.route(lane), START, speed);

    // From the kerb that is nearer to ego's lane, mostly.
    let from_right = stage.draw.chance(if lane + 1 == lanes { 0.8 } else { 0.4 });
    let at = 8.0 + speed * stage.draw.range(2.8, 4.2);
    crossing(&mut stage, &street, lane, at, from_right, speed);
    if stage.draw.chance(0.35) {
        let further = at + stage.draw_back() + 20.0;
        crossing(&mut stage, &street, lane, further, !from_right, speed);
    }
    // People who stay on the pavement.
    for _ in 0..stage.draw.int(0, 4) {
        let s = stage.draw.range(10.0, 100.0);
        let d = if stage.draw.chance(0.5) { cross.right() - 1.4 } else { cross.left() + 1.4 };
        let (a, b) = (street.ahead(s, d), street.ahead(s + stage.draw.sign() * 18.0, d));
        stage.walk(AgentKind::Pedestrian, &[a, b], stage.draw_pace(), When::Time(0.0));
    }
    street.oncoming_traffic(&mut stage, 30.0, 3);
    street.dress(&mut stage, 2.5);
    if stage.draw.chance(0.3) {
        stage.net.sign(&street.curve, street.start + 0.4 * at, &cross, SignKind::Pedestrians);
    }
    stage.finish(&FAMILY, seed, 10.0 + 2.5 * length / speed)
}

/// Someone crosses at `at` metres ahead of ego's start, so that they are in ego's lane when it comes.
pub fn crossing(stage: &mut Stage, street: &Street, lane: usize, at: f32, from_right: bool, speed: f32) -> usize {
    let c = &street.cross;
    let (right, left) = (c.right() - stage.draw.range(0.5, 1.0), c.left() + stage.draw.range(0.5, 1.0));
    let (d0, d1) = if from_right { (right, left + 1.0) } else { (left, right - 1.0) };
    let (from, to) = (street.ahead(at, d0), street.ahead(at + stage.draw.range(-1.0, 1.0), d1));
    let cyclist = stage.draw.chance(0.2);
    let kind = if cyclist { AgentKind::Cyclist } else { AgentKind::Pedestrian };
    let target = c.centre_of(lane);
    let way = (d0 - target).abs();
    // The pace that lets a careful driver stop, and that brings them to the lane's middle with ego.
    let notice = (speed / 9.0 + 1.0).max(way / if cyclist { 4.0 } else { 2.6 });
    let pace = way / notice;
    let arrive = street.ahead(at - 2.0, target);
    stage.walk(kind, &[from, to], pace, When::EgoArrives { at: arrive, within: notice })
}

impl Stage {
    /// A walking speed, m/s.
    pub fn draw_pace(&self) -> f32 {
        self.draw.range(0.9, 1.7)
    }
}
