//! A hand-made road: two lanes to the east at y 3.5 (lane 0) and 0 (lane 1), one to the west at y 7 (lane 2), with a light
//! and its stop line at x 60. Ego stands at the origin in the right lane.

use sim::batch::Scene;
use sim::describe::{Lens, Sight};
use sim::render::{Camera, Style};
use sim::scenario::{
    Agent, AgentKind, Control, Lamp, Lane, LaneKind, Light, Map, Scenario, StopLine, StopRule, Turn, VERSION,
};
use sim::{Batch, World};
use std::sync::Arc;

pub fn lane(points: Vec<[f32; 2]>, left: Option<usize>, right: Option<usize>) -> Lane {
    let (width, limit) = (3.5, 13.9);
    Lane { points, width, limit, next: vec![], left, right, turn: Turn::None, kind: LaneKind::Road }
}

pub fn agent(kind: AgentKind, pose: [f32; 3], speed: f32, control: Control) -> Agent {
    let size = match kind {
        AgentKind::Pedestrian => [0.5, 0.5, 1.8],
        AgentKind::Cyclist => [1.8, 0.6, 1.7],
        AgentKind::Truck | AgentKind::Bus => [9.0, 2.5, 3.2],
        _ => [4.6, 1.9, 1.6],
    };
    let (route, track, script) = (vec![], vec![], vec![]);
    Agent { kind, size, pose, speed, control, route, desired_speed: 0.0, track, script, driver: None }
}

pub fn scenario(lamp: Lamp, others: Vec<Agent>) -> Scenario {
    let ego = Agent { route: vec![1], ..agent(AgentKind::Car, [0.0, 0.0, 0.0], 10.0, Control::Policy) };
    let map = Map {
        lanes: vec![
            lane(vec![[-100.0, 3.5], [300.0, 3.5]], None, Some(1)),
            lane(vec![[-100.0, 0.0], [300.0, 0.0]], Some(0), None),
            lane(vec![[300.0, 7.0], [-100.0, 7.0]], None, None),
        ],
        stop_lines: vec![StopLine { points: [[60.0, 5.2], [60.0, -1.7]], lanes: vec![0, 1], rule: StopRule::Light(0) }],
        lights: vec![Light {
            at: [62.0, -3.0],
            heading: std::f32::consts::PI,
            program: vec![(lamp, 10.0)],
            offset: 0.0,
        }],
        ..Map::default()
    };
    Scenario {
        version: VERSION,
        name: "hand/1".into(),
        family: "hand".into(),
        seed: 0,
        abilities: vec![],
        licence: String::new(),
        duration: 20.0,
        map,
        agents: std::iter::once(ego).chain(others).collect(),
        hazard: None,
    }
}

pub fn batch(scenario: Scenario) -> Batch {
    Batch::new(vec![Arc::new(World::new(scenario))])
}

/// A sight without a picture: the agents named by `seen` show 100 pixels, whatever is inside the frame is seen.
pub fn sight(scene: &Scene, seen: impl Fn(usize) -> bool) -> Sight {
    let pixels = (0..scene.agents()).map(|a| if seen(a) { 100 } else { 5 }).collect();
    Sight {
        lens: Lens::new(&Camera::vlm(), &Style::plain(0)),
        ego: [scene.x[0], scene.y[0], scene.cos[0], scene.sin[0]],
        pixels,
        boxes: vec![[10, 20, 29, 59]; scene.agents()],
        class: vec![],
    }
}
