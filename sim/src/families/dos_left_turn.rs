//! Ego turns left; vehicles that wait to turn the other way hide the oncoming traffic behind them.

use super::Family;
use super::crossroads::{Crossroads, Shape};
use super::stage::{Stage, promised};
use crate::scenario::{Ability, AgentKind, Control, Scenario, Turn};

/// Hidden behind what waits opposite.
pub const FAMILY: Family = Family {
    name: "dos_left_turn",
    abilities: &[Ability::EmergencyBrake, Ability::Merging],
    about: "Ego turns left across a lane that waiting lorries hide.",
    make: |seed| promised(&FAMILY, seed, draft),
};

fn draft(mut stage: Stage, seed: u64) -> Option<Scenario> {
    let speed = stage.draw.range(5.5, 7.5);
    let shape = Shape {
        main: 2,
        side: 1,
        arms: [true; 4],
        distance: speed * stage.draw.range(2.2, 3.4),
        limit: 13.9,
        bike: 0.0,
        shoulder: 0.0,
        zebra: stage.draw.chance(0.3),
    };
    let scene = Crossroads::build(&mut stage, &shape, Turn::Left, 0, speed);
    scene.junction.two_phases(&mut stage.net, [stage.draw.range(30.0, 40.0), 12.0], 0.0);

    let straight = scene.through(&stage.net, 2, 0, 1);
    let pace = stage.draw.range(8.0, 12.5);
    let kind = stage.draw.pick(&[AgentKind::Car, AgentKind::Car, AgentKind::Motorcycle]);
    let late = stage.draw.range(-0.3, 0.3);
    let hazard = scene.meeting(&mut stage, kind, &straight, pace, late)?;
    stage.hazard = Some(hazard);
    stage.insists(hazard);

    let (ahead, slow) = (scene.distance + stage.draw.range(38.0, 46.0), speed * stage.draw.range(0.35, 0.5));
    if stage.draw.chance(0.8) {
        scene.slow_ahead(&mut stage, ahead, slow);
    }
    let left = scene.through(&stage.net, 2, 1, 0);
    let (beyond, count) = (stage.draw.range(0.5, 5.0), stage.draw.int(2, 3));
    wait(&mut stage, &left, beyond, count);
    if !stage.keeps_promise(&FAMILY) {
        return None;
    }
    for late in [late + stage.draw.range(1.4, 2.2), late + stage.draw.range(3.4, 5.0)] {
        if let Some(i) = scene.meeting(&mut stage, AgentKind::Car, &straight, pace, late) {
            stage.insists(i);
        }
    }
    for arm in [1, 3] {
        let count = stage.draw.int(0, 2);
        scene.queue(&mut stage, arm, (arm + 2) % 4, 0, count);
    }
    scene.dress(&mut stage, 2.0);
    Some(stage.finish(&FAMILY, seed, 45.0))
}

/// Tall vehicles that stand one behind the other on a route whose second lane ends at the stop line; the first has its
/// front `beyond` metres past the line.
pub fn wait(stage: &mut Stage, route: &[usize], beyond: f32, count: usize) {
    let line = super::curve::Curve::of_route(&stage.net.map, &route[..2]).length();
    let mut front = line + beyond;
    for _ in 0..count {
        let kind = stage.draw.pick(&[AgentKind::Truck, AgentKind::Truck, AgentKind::Bus]);
        let size = stage.size(kind);
        let i = stage.drive(kind, route, front - 0.5 * size[0], 0.0);
        let agent = &mut stage.agents[i];
        (agent.size, agent.control, agent.desired_speed) = (size, Control::Static, 0.0);
        agent.route.clear();
        front -= size[0] + stage.draw.range(1.5, 2.5);
    }
}
