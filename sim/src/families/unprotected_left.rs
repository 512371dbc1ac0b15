//! Ego turns left across a stream of oncoming traffic, with a green light for both or without any light.

use super::Family;
use super::crossroads::{Crossroads, Shape};
use super::stage::Stage;
use crate::scenario::{Ability, Scenario, SignKind, Turn};

/// Left turn across oncoming traffic.
pub const FAMILY: Family = Family {
    name: "unprotected_left",
    abilities: &[Ability::Merging, Ability::TrafficSign],
    about: "Ego turns left and gives way to a stream of oncoming traffic.",
    make,
};

fn make(seed: u64) -> Scenario {
    let mut stage = Stage::new(&FAMILY, seed, 0);
    let speed = stage.draw.range(6.0, 8.5);
    let main = stage.draw.int(1, 2);
    let shape = Shape {
        main,
        side: 1,
        arms: [true, stage.draw.chance(0.7), true, true],
        distance: speed * stage.draw.range(2.0, 3.4),
        limit: 13.9,
        bike: 0.0,
        shoulder: 0.0,
        zebra: stage.draw.chance(0.4),
    };
    let lights = stage.draw.chance(0.6);
    let scene = Crossroads::build(&mut stage, &shape, Turn::Left, 0, speed);
    if lights {
        let green = stage.draw.range(32.0, 45.0);
        scene.junction.two_phases(&mut stage.net, [green, 12.0], 0.0);
    } else {
        for arm in [1, 3] {
            scene.junction.sign(&mut stage.net, arm, SignKind::Yield);
        }
    }
    for lane in 0..main {
        let pace = stage.draw.range(8.5, 12.0);
        let route = scene.through(&stage.net, 2, 0, lane);
        // The first two are there when ego would turn.
        let early = stage.draw.range(0.2, 0.9);
        let count = stage.draw.int(3, 7);
        let stream = scene.stream(&mut stage, &route, pace, -early, count, (0.9, 2.2));
        for i in stream {
            stage.insists(i);
        }
        let ahead = scene.meeting(&mut stage, crate::scenario::AgentKind::Car, &route, pace, -early - 2.2);
        if let Some(i) = ahead {
            stage.insists(i);
        }
    }
    if lights {
        for arm in [1, 3] {
            let count = stage.draw.int(0, 3);
            scene.queue(&mut stage, arm, (arm + 2) % 4, 0, count);
        }
    }
    scene.dress(&mut stage, 1.0);
    stage.finish(&FAMILY, seed, 50.0)
}
