//! Scenarios written by hand, and a simple driver.

#![allow(dead_code)]

use sim::scenario::{
    Agent, AgentKind, Control, Lamp, Lane, LaneKind, Light, Map, Point, Scenario, StopLine, StopRule, Turn,
};
use sim::world::World;
use sim::{Action, Batch, Scene};
use std::sync::Arc;

/// A straight lane from one point to another, 3.5 m wide, 15 m/s.
pub fn lane(from: Point, to: Point) -> Lane {
    Lane {
        points: vec![from, to],
        width: 3.5,
        limit: 15.0,
        next: Vec::new(),
        left: None,
        right: None,
        turn: Turn::None,
        kind: LaneKind::Road,
    }
}

/// A car of 4.5 by 1.8 m that follows lanes.
pub fn car(control: Control, pose: [f32; 3], speed: f32, route: &[usize]) -> Agent {
    Agent {
        kind: AgentKind::Car,
        size: [4.5, 1.8, 1.5],
        pose,
        speed,
        control,
        route: route.to_vec(),
        desired_speed: 0.0,
        track: Vec::new(),
        script: Vec::new(),
        driver: None,
    }
}

/// A scenario of these lanes and agents.
pub fn scenario(lanes: Vec<Lane>, agents: Vec<Agent>) -> Scenario {
    Scenario {
        version: sim::scenario::VERSION,
        name: "test".into(),
        family: "test".into(),
        seed: 0,
        abilities: Vec::new(),
        licence: String::new(),
        duration: 120.0,
        map: Map { lanes, ..Map::default() },
        agents,
        hazard: None,
    }
}

/// A straight road to the east with so many lanes beside each other, the rightmost first, and ego at x = 20 in lane 0.
pub fn straight(lanes: usize, length: f32, ego_speed: f32) -> Scenario {
    let mut all: Vec<Lane> = (0..lanes).map(|k| lane([0.0, 3.5 * k as f32], [length, 3.5 * k as f32])).collect();
    for (k, lane) in all.iter_mut().enumerate() {
        lane.left = (k + 1 < lanes).then_some(k + 1);
        lane.right = k.checked_sub(1);
    }
    scenario(all, vec![car(Control::Policy, [20.0, 0.0, 0.0], ego_speed, &[0])])
}

/// A stop line across the lane to the east at `x`.
pub fn line_at(x: f32, rule: StopRule) -> StopLine {
    StopLine { points: [[x, 1.75], [x, -1.75]], lanes: vec![0], rule }
}

/// A light of one colour.
pub fn steady(lamp: Lamp) -> Light {
    Light { at: [0.0, 0.0], heading: 0.0, program: vec![(lamp, 1.0)], offset: 0.0 }
}

/// A batch of one scene.
pub fn one(scenario: Scenario) -> Batch {
    Batch::new(vec![Arc::new(World::new(scenario))])
}

/// Follows ego's route: steers at a point ahead, keeps the path's pace, stops for lights, signs and what is ahead.
pub fn simple_driver(scene: &Scene<'_>) -> Action {
    let world = scene.world;
    let Some(path) = world.route() else { return Action::default() };
    let (s, v) = (scene.s[0], scene.v[0]);
    let ahead = path.at(s + (0.8 * v).clamp(4.0, 20.0));
    let (dx, dy) = (ahead.x - scene.x[0], ahead.y - scene.y[0]);
    let (x, y) = (dx * scene.cos[0] + dy * scene.sin[0], dy * scene.cos[0] - dx * scene.sin[0]);
    let wheelbase = 1.2 * world.half_length[0];
    let steer = sim::math::atan(2.0 * wheelbase * y / (x * x + y * y).max(1.0));
    let front = s + world.half_length[0];
    let mut accel = (path.pace[path.index(s)].min(15.0) - v).clamp(-3.0, 2.0);
    let mut stop_at = |gap: f32| {
        if gap > 0.0 && gap < 3.0 + v * v / 4.0 {
            accel = accel.min(if gap < 1.0 { -4.0 } else { -v * v / (2.0 * (gap - 0.8).max(0.2)) });
        }
    };
    for stop in &path.stops {
        let closed = match stop.rule {
            StopRule::Light(light) => world.lamp(light, scene.time()).0 != Lamp::Green,
            StopRule::Stop => scene.head.lines_done & (1 << stop.line.min(63)) == 0,
            StopRule::Yield => false,
        };
        if closed {
            stop_at(stop.s - front);
        }
    }
    for j in 1..scene.agents() {
        if scene.present(j) {
            let place = path.project_anywhere(scene.x[j], scene.y[j]);
            let wide = world.half_width[0] + world.half_width[j].max(0.5) + 0.5;
            if place.s > s && place.lat.abs() < wide {
                stop_at(place.s - front - world.half_length[j] - 2.0);
            }
        }
    }
    if scene.head.time_to_collision < 2.0 {
        accel = accel.min(-5.0);
    }
    Action { accel, steer }
}

/// Drives scene 0 for at most so many steps with [`simple_driver`].
pub fn drive(batch: &mut Batch, steps: usize) {
    for _ in 0..steps {
        let action = simple_driver(&batch.scene(0));
        batch.step_scene(0, action);
    }
}
