//! Ego comes to a stop sign; the crossing road has priority and traffic.

use super::Family;
use super::crossroads::{Crossroads, Shape};
use super::stage::Stage;
use crate::scenario::{Ability, Scenario, SignKind, Turn};

/// Stop sign.
pub const FAMILY: Family = Family {
    name: "stop_sign",
    abilities: &[Ability::TrafficSign],
    about: "Ego stops at a stop sign, gives way and goes on.",
    make,
};

fn make(seed: u64) -> Scenario {
    let mut stage = Stage::new(&FAMILY, seed, 0);
    let speed = stage.draw.range(7.0, 11.0);
    let turn = stage.draw.pick(&[Turn::Left, Turn::Straight, Turn::Right]);
    let all = stage.draw.chance(0.55) || turn == Turn::Straight;
    let shape = Shape {
        main: 1,
        side: stage.draw.int(1, 2),
        arms: [true, true, all, true],
        distance: 4.0 + speed * stage.draw.range(2.2, 3.6),
        limit: 13.9,
        bike: 0.0,
        shoulder: 0.0,
        zebra: stage.draw.chance(0.25),
    };
    let speed = if turn == Turn::Straight { speed } else { speed.min(8.0) };
    let scene = Crossroads::build(&mut stage, &shape, turn, 0, speed);
    scene.junction.sign(&mut stage.net, 0, SignKind::Stop);
    scene.junction.sign(&mut stage.net, 2, SignKind::Stop);
    for (from, to) in [(3, 1), (1, 3)] {
        for lane in 0..shape.side {
            let route = scene.through(&stage.net, from, to, lane);
            if route.is_empty() {
                continue;
            }
            let pace = stage.draw.range(8.0, 12.0);
            let (late, count) = (stage.draw.range(-0.2, 0.4), stage.draw.int(2, 5));
            let stream = scene.stream(&mut stage, &route, pace, late, count, (1.2, 3.0));
            if let Some(&first) = stream.first() {
                stage.insists(first);
            }
        }
    }
    scene.dress(&mut stage, 2.0);
    stage.finish(&FAMILY, seed, 50.0)
}
