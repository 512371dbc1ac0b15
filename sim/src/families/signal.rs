//! A junction with lights: red on arrival, about to turn red, or green.

use super::Family;
use super::crossroads::{Crossroads, Shape};
use super::stage::Stage;
use crate::scenario::{Ability, AgentKind, Scenario, Turn};

/// Traffic light.
pub const FAMILY: Family = Family {
    name: "signal",
    abilities: &[Ability::TrafficSign],
    about: "Ego crosses or turns at a junction with traffic lights, mostly red when it arrives.",
    make,
};

fn make(seed: u64) -> Scenario {
    let mut stage = Stage::new(&FAMILY, seed, 0);
    let turn = stage.draw.pick(&[Turn::Left, Turn::Straight, Turn::Straight, Turn::Right]);
    let speed = if turn == Turn::Straight { stage.draw.range(8.0, 12.5) } else { stage.draw.range(6.5, 8.5) };
    let mut arms = [true; 4];
    match turn {
        Turn::Left => arms[1] = stage.draw.chance(0.7),
        Turn::Right => arms[3] = stage.draw.chance(0.7),
        _ => arms[stage.draw.pick(&[1, 3])] = stage.draw.chance(0.6),
    }
    let shape = Shape {
        main: stage.draw.int(1, 2),
        side: stage.draw.int(1, 2),
        arms,
        distance: speed * stage.draw.range(2.8, 4.2),
        limit: 13.9,
        bike: if stage.draw.chance(0.2) { 1.6 } else { 0.0 },
        shoulder: 0.0,
        zebra: stage.draw.chance(0.5),
    };
    let lane = stage.draw.int(0, shape.main - 1);
    let scene = Crossroads::build(&mut stage, &shape, turn, lane, speed);
    let greens = [stage.draw.range(14.0, 22.0), stage.draw.range(8.0, 14.0)];
    let arrival = scene.distance / speed;
    let cycle = greens[0] + greens[1] + 10.0;
    let offset = match stage.draw.int(0, 9) {
        // Red when ego arrives, for some seconds more.
        0..7 => cycle - arrival - stage.draw.range(3.0, 0.6 * greens[1] + 3.0),
        // Yellow in time to stop gently.
        7..9 => greens[0] - (arrival - 0.15 * speed - 2.2).max(0.3),
        // Green.
        _ => stage.draw.range(0.0, 3.0),
    };
    scene.junction.two_phases(&mut stage.net, greens, offset.max(0.0));
    for (from, to) in [(3, 1), (1, 3)] {
        for column in 0..shape.side {
            let count = stage.draw.int(1, 3);
            if offset > greens[0] {
                // They have green now: under way.
                let route = scene.through(&stage.net, from, to, column);
                let pace = stage.draw.range(7.0, 10.0);
                let late = stage.draw.range(-0.2, 0.4);
                if let Some(&first) = scene.stream(&mut stage, &route, pace, late, count, (1.2, 2.5)).first() {
                    stage.insists(first);
                }
            } else {
                scene.queue(&mut stage, from, to, column, count);
            }
        }
    }
    // Others who wait for the same light.
    if offset > greens[0] + 3.0 && stage.draw.chance(0.55) {
        let to = scene.junction.connectors.iter().find(|c| c.2 == scene.route[1]).map_or(2, |c| c.1);
        let column = if to == 2 { lane } else { 0 };
        let count = stage.draw.int(1, 2);
        scene.queue(&mut stage, 0, to, column, count);
    }
    if shape.main > 1 && stage.draw.chance(0.6) {
        let route = scene.through(&stage.net, 0, 2, 1 - lane);
        if turn == Turn::Straight && !route.is_empty() {
            stage.drive(AgentKind::Car, &route, stage.draw.range(50.0, 75.0), speed);
        }
    }
    let oncoming = scene.through(&stage.net, 2, 0, 0);
    if !oncoming.is_empty() {
        let count = stage.draw.int(0, 2);
        scene.queue(&mut stage, 2, 0, 0, if offset > greens[0] { count } else { 0 });
    }
    scene.dress(&mut stage, 1.5);
    stage.finish(&FAMILY, seed, 60.0)
}
