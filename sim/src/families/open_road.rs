//! Everyday driving of wide variety, for training data: bends, free road, leaders that speed up, hold, slow down and stop,
//! changing limits, turns with lights, lane changes and ramps. No hazards; not part of the evaluation.

use super::crossroads::{Crossroads, Shape};
use super::stage::Stage;
use super::street::{START, Street, cross_section};
use super::{Family, lane_change_chain, merge};
use crate::scenario::{Act, AgentKind, Scenario, SignKind, Turn, When};

/// Everyday driving.
pub const FAMILY: Family = Family {
    name: "open_road",
    abilities: &[],
    about: "Everyday driving: bends, leaders, limits, junctions, lane changes, ramps.",
    make,
};

fn make(seed: u64) -> Scenario {
    let mut stage = Stage::new(&FAMILY, seed, 0);
    let duration = match stage.draw.int(0, 19) {
        0..11 => street(&mut stage),
        11..17 => junction(&mut stage),
        17..19 => lane_change_chain::scene(&mut stage, false),
        _ => merge::scene(&mut stage, false),
    };
    stage.finish(&FAMILY, seed, duration)
}

/// A road with or without a leader.
fn street(stage: &mut Stage) -> f32 {
    let limit = stage.draw.pick(&[8.3, 11.1, 13.9, 13.9, 16.7, 19.4, 22.2]);
    let (lanes, back) = (stage.draw.int(1, 3), stage.draw.int(0, 2));
    let cross = cross_section(&stage.draw, lanes, back, limit);
    let length = stage.draw.range(160.0, 245.0);
    let mut street = Street::build(stage, cross, length, limit * stage.draw.range(0.7, 1.0));
    let lane = stage.draw.int(0, lanes - 1);
    // Much slower than allowed, about right, or standing.
    let speed = match stage.draw.int(0, 9) {
        0 => 0.0,
        1..4 => limit * stage.draw.range(0.1, 0.7),
        _ => limit * stage.draw.range(0.7, 1.0),
    };
    stage.ego(&street.route(lane), START, speed);
    if stage.draw.chance(0.25) {
        // Less than such a road would allow, said by a sign.
        let slower = stage.draw.pick(&[8.3, 11.1, 13.9]);
        let lanes: Vec<usize> =
            street.strips.iter().flat_map(|s| s.forward.iter().chain(&s.backward)).copied().collect();
        for lane in lanes {
            stage.net.map.lanes[lane].limit = slower;
        }
        street.cross.limit = slower;
        let at = stage.draw.range(12.0, 40.0);
        let kmh = (slower * 3.6_f32 / 10.0).round() * 10.0;
        stage.net.sign(&street.curve, street.start + at, &cross, SignKind::Limit(kmh as u8));
    }
    if stage.draw.chance(0.75) {
        let kind = stage.traffic_kind();
        let pace = if stage.draw.chance(0.15) { 0.0 } else { limit * stage.draw.range(0.3, 1.0) };
        // Not so near that nothing helps.
        let closing = (speed - pace).max(0.0);
        let gap = 9.0 + 0.4 * speed + closing * closing / 6.0 + stage.draw.range(0.0, 1.0).powi(2) * 55.0;
        let lead = street.drive(stage, kind, lane, 4.6 + gap, pace);
        variety(stage, lead, limit);
    }
    for other in (0..lanes).filter(|&l| l != lane) {
        let from = street.start + stage.draw.range(-30.0, 80.0);
        let pace = limit * stage.draw.range(0.6, 1.0);
        let count = stage.draw.int(0, 4);
        stage.platoon(&street.along(other), from, pace, count, (1.0, 4.0));
    }
    if stage.draw.chance(0.5) {
        let behind = 12.0 + speed + stage.draw_back();
        street.drive(stage, AgentKind::Car, lane, -behind.min(60.0), speed.max(4.0));
    }
    street.oncoming_traffic(stage, 20.0, 5);
    street.dress(stage, 0.3);
    12.0 + 2.2 * length / limit.min(14.0)
}

/// Lets a driver change its speed every few seconds.
fn variety(stage: &mut Stage, driver: usize, limit: f32) {
    let mut when = When::Time(stage.draw.range(0.0, 4.0));
    for _ in 0..stage.draw.int(0, 4) {
        let act = match stage.draw.int(0, 5) {
            0 => Act::Brake { decel: stage.draw.range(1.0, 4.0), to: 0.0 },
            1 | 2 => Act::Brake { decel: stage.draw.range(0.8, 3.0), to: limit * stage.draw.range(0.1, 0.6) },
            _ => Act::Speed(limit * stage.draw.range(0.5, 1.05)),
        };
        stage.cue(driver, when, act);
        when = When::After(stage.draw.range(2.5, 7.0));
    }
    stage.cue(driver, when, Act::Speed(limit * stage.draw.range(0.8, 1.0)));
}

/// A junction, mostly with lights.
fn junction(stage: &mut Stage) -> f32 {
    let turn = stage.draw.pick(&[Turn::Left, Turn::Right, Turn::Straight]);
    let speed = if turn == Turn::Straight { stage.draw.range(3.0, 13.0) } else { stage.draw.range(3.0, 9.0) };
    let mut arms = [true; 4];
    let spare = match turn {
        Turn::Left => [1, 2],
        Turn::Right => [2, 3],
        _ => [1, 3],
    };
    if stage.draw.chance(0.4) {
        arms[stage.draw.pick(&spare)] = false;
    }
    let shape = Shape {
        main: stage.draw.int(1, 2),
        side: stage.draw.int(1, 2),
        arms,
        distance: stage.draw.range(22.0, 60.0),
        limit: stage.draw.pick(&[11.1, 13.9, 13.9, 16.7]),
        bike: if stage.draw.chance(0.2) { 1.6 } else { 0.0 },
        shoulder: 0.0,
        zebra: stage.draw.chance(0.5),
    };
    let lane = stage.draw.int(0, shape.main - 1);
    let scene = Crossroads::build(stage, &shape, turn, lane, speed);
    if stage.draw.chance(0.75) {
        let greens = [stage.draw.range(10.0, 22.0), stage.draw.range(8.0, 14.0)];
        let offset = stage.draw.range(0.0, greens[0] + greens[1] + 10.0);
        scene.junction.two_phases(&mut stage.net, greens, offset);
    } else {
        for arm in [1, 3] {
            scene.junction.sign(&mut stage.net, arm, SignKind::Yield);
        }
    }
    if stage.draw.chance(0.45) {
        let to = scene.route.clone();
        let pace = speed.max(4.0) * stage.draw.range(0.7, 1.0);
        let lead = stage.drive(AgentKind::Car, &to, START + 14.0 + stage.draw.range(0.0, 25.0), pace);
        stage.agents[lead].desired_speed = 0.0;
    }
    for (from, to) in [(2, 0), (3, 1), (1, 3)] {
        let route = scene.through(&stage.net, from, to, 0);
        let pace = stage.draw.range(7.0, 11.0);
        let (late, count) = (stage.draw.range(-4.0, 3.0), stage.draw.int(0, 3));
        scene.stream(stage, &route, pace, late, count, (1.2, 3.5));
    }
    scene.dress(stage, 1.0);
    50.0
}
