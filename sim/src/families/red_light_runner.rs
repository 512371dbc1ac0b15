//! Ego has green; somebody from the side drives through the red light.

use super::Family;
use super::crossroads::{Crossroads, Shape};
use super::stage::Stage;
use crate::scenario::{Ability, Act, AgentKind, Scenario, Turn, When};

/// Cross traffic that runs the red light.
pub const FAMILY: Family = Family {
    name: "red_light_runner",
    abilities: &[Ability::EmergencyBrake],
    about: "A vehicle from the side runs its red light while ego crosses with green.",
    make,
};

fn make(seed: u64) -> Scenario {
    let mut stage = Stage::new(&FAMILY, seed, 0);
    let speed = stage.draw.range(8.0, 12.0);
    let shape = Shape {
        main: stage.draw.int(1, 2),
        side: stage.draw.int(1, 2),
        arms: [true; 4],
        distance: speed * stage.draw.range(2.4, 3.6),
        limit: 13.9,
        bike: 0.0,
        shoulder: 0.0,
        zebra: stage.draw.chance(0.4),
    };
    let lane = stage.draw.int(0, shape.main - 1);
    let scene = Crossroads::build(&mut stage, &shape, Turn::Straight, lane, speed);
    let green = stage.draw.range(22.0, 34.0);
    scene.junction.two_phases(&mut stage.net, [green, 12.0], stage.draw.range(0.0, 6.0));

    let (from, to) = if stage.draw.chance(0.5) { (3, 1) } else { (1, 3) };
    let route = scene.through(&stage.net, from, to, stage.draw.int(0, shape.side - 1));
    let kind =
        stage.draw.pick(&[AgentKind::Car, AgentKind::Car, AgentKind::Van, AgentKind::Motorcycle, AgentKind::Truck]);
    let pace = stage.draw.range(7.5, 12.0);
    let late = stage.draw.range(-0.15, 0.25);
    for (count, late) in [(1, late), (usize::from(stage.draw.chance(0.3)), late + 1.6)] {
        for _ in 0..count {
            if let Some(i) = scene.meeting(&mut stage, kind, &route, pace, late) {
                stage.cue(i, When::Time(0.0), Act::IgnoreRules);
                stage.insists(i);
            }
        }
    }
    // Slow traffic beyond, which ego follows.
    let (ahead, slow) = (scene.distance + stage.draw.range(38.0, 50.0), speed * stage.draw.range(0.35, 0.5));
    if stage.draw.chance(0.85) {
        scene.slow_ahead(&mut stage, ahead, slow);
    }
    for arm in [1, 3] {
        for column in 0..shape.side {
            if arm != from {
                let count = stage.draw.int(0, 2);
                scene.queue(&mut stage, arm, (arm + 2) % 4, column, count);
            }
        }
    }
    let oncoming = scene.through(&stage.net, 2, 0, 0);
    let count = stage.draw.int(0, 3);
    let pace = stage.draw.range(8.0, 12.0);
    scene.stream(&mut stage, &oncoming, pace, 2.5, count, (1.2, 3.0));
    scene.dress(&mut stage, 3.0);
    stage.finish(&FAMILY, seed, 45.0)
}
