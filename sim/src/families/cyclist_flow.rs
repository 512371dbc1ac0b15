//! Ego turns across a bicycle lane on which cyclists ride one after the other.

use super::Family;
use super::crossroads::{Crossroads, Shape, follow, meet};
use super::curve::Curve;
use super::stage::Stage;
use super::street::START;
use crate::scenario::{Ability, AgentKind, Scenario, Turn};

/// Turn across a stream of cyclists.
pub const FAMILY: Family = Family {
    name: "cyclist_flow",
    abilities: &[Ability::Merging],
    about: "Ego turns across a bicycle lane and lets the cyclists on it pass.",
    make,
};

fn make(seed: u64) -> Scenario {
    let mut stage = Stage::new(&FAMILY, seed, 0);
    let speed = stage.draw.range(5.5, 7.5);
    let turn = if stage.draw.chance(0.6) { Turn::Right } else { Turn::Left };
    let shape = Shape {
        main: 1,
        side: 1,
        arms: [true, true, true, true],
        distance: speed * stage.draw.range(2.2, 3.4),
        limit: 13.9,
        bike: stage.draw.range(1.5, 2.0),
        shoulder: 0.0,
        zebra: false,
    };
    let scene = Crossroads::build(&mut stage, &shape, turn, 0, speed);
    if stage.draw.chance(0.7) {
        scene.junction.two_phases(&mut stage.net, [stage.draw.range(30.0, 40.0), 12.0], 0.0);
    }
    // Cyclists straight on: beside ego when it turns right, toward it when it turns left.
    let arm = if turn == Turn::Right { 0 } else { 2 };
    let first = scene.junction.arm(arm).and_then(|a| a.strips.last()).and_then(|s| s.bike_back);
    if let Some(first) = first {
        let route = follow(&stage.net, first);
        let pace = stage.draw.range(3.8, 5.5);
        let line = Curve::of_route(&stage.net.map, &route);
        if let Some((own, its)) = meet(&scene.way(&stage.net), &line) {
            let mut s = its - pace * (own - START) / speed + stage.draw.range(4.0, 9.0);
            for _ in 0..stage.draw.int(4, 8) {
                if s < 3.0 {
                    break;
                }
                let i = stage.drive(AgentKind::Cyclist, &route, s, pace);
                stage.insists(i);
                stage.follows_at(i, 0.5, 0.2);
                s -= stage.draw.range(2.6, 5.5);
            }
        }
    }
    if turn == Turn::Right {
        let route = scene.through(&stage.net, 2, 0, 0);
        let pace = stage.draw.range(8.0, 11.0);
        let (late, count) = (stage.draw.range(-2.0, 3.0), stage.draw.int(0, 3));
        scene.stream(&mut stage, &route, pace, late, count, (1.2, 3.0));
    }
    scene.dress(&mut stage, 1.5);
    stage.finish(&FAMILY, seed, 45.0)
}
