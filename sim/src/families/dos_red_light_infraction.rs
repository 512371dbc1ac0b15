//! Ego has green; lorries that wait in the lane to its left hide somebody who runs the red light from the left.

use super::Family;
use super::crossroads::{Crossroads, Shape};
use super::dos_left_turn::wait;
use super::stage::{Stage, promised};
use crate::scenario::{Ability, Act, AgentKind, Scenario, Turn, When};

/// Hidden behind what waits beside.
pub const FAMILY: Family = Family {
    name: "dos_red_light_infraction",
    abilities: &[Ability::EmergencyBrake],
    about: "A vehicle from the left runs its red light behind lorries that wait beside ego.",
    make: |seed| promised(&FAMILY, seed, draft),
};

fn draft(mut stage: Stage, seed: u64) -> Option<Scenario> {
    let speed = stage.draw.range(7.0, 10.5);
    let shape = Shape {
        main: 2,
        side: stage.draw.int(1, 2),
        arms: [true; 4],
        distance: speed * stage.draw.range(2.6, 3.8),
        limit: 13.9,
        bike: 0.0,
        shoulder: 0.0,
        zebra: stage.draw.chance(0.4),
    };
    let scene = Crossroads::build(&mut stage, &shape, Turn::Straight, 1, speed);
    scene.junction.two_phases(&mut stage.net, [stage.draw.range(24.0, 34.0), 12.0], stage.draw.range(0.0, 6.0));

    let route = scene.through(&stage.net, 3, 1, stage.draw.int(0, shape.side - 1));
    let kind = stage.draw.pick(&[AgentKind::Car, AgentKind::Car, AgentKind::Van, AgentKind::Motorcycle]);
    let (late, pace) = (stage.draw.range(-0.2, 0.3), stage.draw.range(7.0, 12.0));
    let hazard = scene.meeting(&mut stage, kind, &route, pace, late)?;
    stage.hazard = Some(hazard);
    stage.cue(hazard, When::Time(0.0), Act::IgnoreRules);
    stage.insists(hazard);

    let (ahead, slow) = (scene.distance + stage.draw.range(38.0, 50.0), speed * stage.draw.range(0.35, 0.5));
    if stage.draw.chance(0.8) {
        scene.slow_ahead(&mut stage, ahead, slow);
    }
    let left = scene.through(&stage.net, 0, 3, 0);
    let (beyond, count) = (stage.draw.range(-1.5, 3.0), stage.draw.int(1, 3));
    wait(&mut stage, &left, beyond, count);
    if !stage.keeps_promise(&FAMILY) {
        return None;
    }
    for column in 0..shape.side {
        let count = stage.draw.int(0, 2);
        scene.queue(&mut stage, 1, 3, column, count);
    }
    scene.dress(&mut stage, 2.0);
    Some(stage.finish(&FAMILY, seed, 45.0))
}
