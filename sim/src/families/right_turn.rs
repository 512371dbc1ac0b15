//! Ego turns right into a road with priority, or over a crossing that people use.

use super::Family;
use super::crossroads::{Crossroads, Shape};
use super::curve::Curve;
use super::stage::Stage;
use crate::scenario::{Ability, AgentKind, Scenario, SignKind, Turn, When};

/// Right turn into a stream, or over a zebra crossing.
pub const FAMILY: Family = Family {
    name: "right_turn",
    abilities: &[Ability::Merging, Ability::TrafficSign],
    about: "Ego turns right and gives way to traffic from its left or to people who cross.",
    make,
};

fn make(seed: u64) -> Scenario {
    let mut stage = Stage::new(&FAMILY, seed, 0);
    let speed = stage.draw.range(5.5, 8.0);
    let people = stage.draw.chance(0.4);
    let shape = Shape {
        main: stage.draw.int(1, 2),
        side: stage.draw.int(1, 2),
        arms: [true, true, stage.draw.chance(0.6), true],
        distance: speed * stage.draw.range(2.2, 3.4),
        limit: 13.9,
        bike: 0.0,
        shoulder: 0.0,
        zebra: people,
    };
    let scene = Crossroads::build(&mut stage, &shape, Turn::Right, 0, speed);
    scene.junction.sign(&mut stage.net, 0, SignKind::Yield);
    scene.junction.sign(&mut stage.net, 2, SignKind::Yield);
    let lane = shape.side - 1;
    let route = scene.through(&stage.net, 3, 1, lane);
    let pace = stage.draw.range(7.5, 11.0);
    if people {
        zebra(&mut stage, &scene, speed);
    } else {
        let count = stage.draw.int(3, 6);
        let early = stage.draw.range(-0.1, 0.4);
        let stream = scene.stream(&mut stage, &route, pace, -early, count, (1.0, 2.0));
        // Those that ego would meet have priority and take it; it may join in front of those after them.
        for &i in stream.iter().take(2) {
            stage.insists(i);
        }
        scene.meeting(&mut stage, AgentKind::Car, &route, pace, -early - 2.0);
    }
    let other = scene.through(&stage.net, 1, 3, 0);
    let count = stage.draw.int(0, 4);
    scene.stream(&mut stage, &other, pace, 0.5, count, (1.2, 3.0));
    scene.dress(&mut stage, 1.0);
    stage.finish(&FAMILY, seed, 45.0)
}

/// People on the zebra crossing of the arm that ego leaves by.
fn zebra(stage: &mut Stage, scene: &Crossroads, speed: f32) {
    let Some(arm) = scene.junction.arm(1) else { return };
    let (curve, cross) = (arm.curve.clone(), arm.cross);
    let from_right = stage.draw.chance(0.7);
    let (near, far) =
        if from_right { (cross.right() - 0.8, cross.left() + 1.5) } else { (cross.left() + 0.8, cross.right() - 1.5) };
    let way = Curve::of_route(&stage.net.map, &scene.route);
    let lane = cross.centre_of(cross.forward - 1);
    let at = way.project(curve.point(-3.2, lane));
    let arrive = way.at(at - 2.3);
    let pace = stage.draw.range(1.3, 1.9);
    let notice = (near - lane).abs() / pace;
    // From the far side it takes them longer than anyone looks ahead: they are on the crossing when ego comes near.
    let notice = if from_right { notice.max(speed / 9.0 + 0.9) } else { notice };
    let pace = (near - lane).abs() / notice;
    for i in 0..stage.draw.int(1, 3) {
        let s = -3.2 + 0.9 * i as f32 - 0.9;
        let points = [curve.point(s, near + (near.signum()) * 0.9 * i as f32), curve.point(s, far)];
        stage.walk(
            AgentKind::Pedestrian,
            &points,
            pace,
            When::EgoArrives { at: [arrive[0], arrive[1]], within: notice },
        );
    }
}
