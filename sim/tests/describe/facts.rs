//! Known facts of hand-made scenes, and the targets made of them.

use super::stage::{agent, batch, lane, scenario, sight};
use sim::batch::flag;
use sim::describe::{self, Command, facts::Side, targets::TARGETS};
use sim::render::{Camera, Frame, Stage, Style};
use sim::scenario::{Agent, AgentKind as K, Control, Lamp, LaneKind, Turn};
use sim::view;
use std::f32::consts::PI;

fn others() -> Vec<Agent> {
    vec![
        agent(K::Van, [24.6, 0.3, 0.0], 8.0, Control::Idm),
        agent(K::Car, [6.0, 3.5, 0.0], 10.0, Control::Idm),
        agent(K::Pedestrian, [30.0, -5.0, 0.5 * PI], 1.4, Control::Walk),
        agent(K::Car, [45.0, 7.0, PI], 9.0, Control::Idm),
        agent(K::Car, [40.0, -1.6, 0.0], 0.0, Control::Static),
        agent(K::Emergency, [70.0, 3.5, 0.0], 12.0, Control::Idm),
    ]
}

#[test]
fn a_scene_with_known_facts() {
    let mut batch = batch(scenario(Lamp::Red, others()));
    batch.scene_mut(0).flags[1] |= flag::BRAKING;
    let scene = batch.scene(0);
    let facts = describe::facts(&scene, &sight(&scene, |_| true));
    let lead = facts.lead.unwrap();
    assert_eq!((lead.agent, lead.kind, lead.braking, lead.parked), (1, K::Van, true, false));
    assert!((lead.gap - 20.0).abs() < 0.05 && (lead.opening + 2.0).abs() < 0.01, "{lead:?}");
    assert_eq!(facts.beside[0].map(|o| o.agent), Some(2));
    assert_eq!(facts.beside[1], None);
    let person = facts.person.unwrap();
    assert_eq!((person.agent, person.side, person.in_way, person.toward), (3, Side::Right, false, true));
    assert!((person.gap - 27.45).abs() < 0.1, "{person:?}");
    assert_eq!(facts.opposite.map(|o| o.agent), Some(4));
    assert_eq!(facts.oncoming, None);
    let obstacle = facts.obstacle.unwrap();
    assert_eq!((obstacle.vehicle, obstacle.side), (Some((5, K::Car)), Side::Right));
    assert_eq!(facts.emergency.map(|o| o.agent), Some(6));
    let (lamp, distance) = facts.light.unwrap();
    assert_eq!(lamp, Lamp::Red);
    assert!((distance - 57.7).abs() < 0.1, "{distance}");
    assert_eq!((facts.road.lanes, facts.command), (Some((2, 1)), Command::Follow));
    let aux = describe::aux(&facts);
    for (name, class) in [
        ("lead", "van"),
        ("lead_distance", "middle"),
        ("brake_lights", "on"),
        ("beside", "left"),
        ("light", "red"),
        ("light_distance", "far"),
        ("pedestrian", "beside"),
        ("pedestrian_side", "right"),
        ("obstacle", "parked"),
        ("curvature", "straight"),
        ("lane_layout", "two"),
        ("own_lane", "right"),
        ("junction", "none"),
        ("oncoming", "none"),
    ] {
        assert_eq!(aux[name], class, "{name}");
    }
    assert!(aux.iter().all(|(k, v)| TARGETS.iter().any(|(name, classes)| name == k && classes.contains(&v.as_str()))));
}

#[test]
fn what_shows_too_few_pixels_is_not_there() {
    let batch = batch(scenario(Lamp::Off, others()));
    let scene = batch.scene(0);
    let facts = describe::facts(&scene, &sight(&scene, |_| false));
    assert!(facts.lead.is_none() && facts.person.is_none() && facts.obstacle.is_none() && facts.seen.is_empty());
    assert!(facts.light.is_none() && facts.emergency.is_none() && facts.opposite.is_none());
    let one = describe::facts(&scene, &sight(&scene, |a| a == 3));
    assert_eq!(one.person.map(|p| p.agent), Some(3));
    assert!(one.lead.is_none() && one.seen.len() == 1);
}

#[test]
fn a_drawn_frame_hides_what_is_behind() {
    // A lorry right ahead hides the light, the van before it and the person behind it.
    let lorry = agent(K::Truck, [12.0, 0.0, 0.0], 5.0, Control::Idm);
    let hidden = agent(K::Pedestrian, [30.0, 0.0, 0.5 * PI], 1.4, Control::Walk);
    let light = |others: Vec<Agent>| {
        let batch = batch(scenario(Lamp::Green, others));
        let scene = batch.scene(0);
        let (camera, style) = (Camera::vlm(), Style::plain(3));
        let (mut frame, mut buffer) = (Frame::new(true), Vec::new());
        let stage = Stage::new(&scene.world.scenario.map);
        view::look(&scene, 0, &stage, &camera, &style, &mut buffer, &mut frame);
        let sight = describe::Sight::of(&scene, &camera, &style, &frame);
        assert!((1..scene.agents()).all(|a| sight.pixels[a] as usize == frame.visible_pixels(a as u16)));
        describe::facts(&scene, &sight)
    };
    let clear = light(vec![]);
    assert_eq!(clear.light.map(|l| l.0), Some(Lamp::Green));
    let blocked = light(vec![lorry, hidden]);
    assert_eq!(blocked.lead.map(|l| l.kind), Some(K::Truck));
    assert!(blocked.person.is_none() && blocked.light.is_none(), "{blocked:?}");
}

#[test]
fn someone_on_the_road_is_in_the_way_until_gone() {
    let state = |y: f32, heading: f32| {
        let batch = batch(scenario(Lamp::Off, vec![agent(K::Pedestrian, [20.0, y, heading], 1.4, Control::Walk)]));
        let scene = batch.scene(0);
        let person = describe::facts(&scene, &sight(&scene, |_| true)).person;
        person.map(|p| (p.in_way, p.toward, p.away))
    };
    let left = 0.5 * PI;
    assert_eq!(state(-4.0, left), Some((false, true, false)));
    assert_eq!(state(-4.0, -left), Some((false, false, true)));
    assert_eq!(state(-1.0, left), Some((true, true, false)));
    assert_eq!(state(1.0, left), Some((true, false, true)));
    assert_eq!(state(-9.0, left), None);
}

#[test]
fn turns_are_announced_from_fifty_metres_until_they_are_done() {
    // A left turn of radius 12 m that begins at x 100.
    let arc: Vec<[f32; 2]> = (0..=18)
        .map(|i| (5.0 * i as f32).to_radians())
        .map(|a| [100.0 + 12.0 * a.sin(), 12.0 - 12.0 * a.cos()])
        .collect();
    let mut scenario = scenario(Lamp::Off, vec![]);
    let mut before = lane(vec![[-100.0, 0.0], [100.0, 0.0]], None, None);
    before.next = vec![1];
    let mut turn = lane(arc, None, None);
    (turn.turn, turn.kind, turn.next) = (Turn::Left, LaneKind::Road, vec![2]);
    scenario.map.lanes = vec![before, turn, lane(vec![[112.0, 12.0], [112.0, 200.0]], None, None)];
    scenario.map.stop_lines.clear();
    scenario.agents[0].route = vec![0, 1, 2];
    let at = |x: f32, y: f32, heading: f32| {
        let mut scenario = scenario.clone();
        scenario.agents[0].pose = [x, y, heading];
        let batch = batch(scenario);
        let scene = batch.scene(0);
        (describe::command(&scene), describe::facts(&scene, &sight(&scene, |_| true)).road.junction.map(|j| j.0))
    };
    assert_eq!(at(48.0, 0.0, 0.0).0, Command::Follow);
    let (command, junction) = at(60.0, 0.0, 0.0);
    assert_eq!(command, Command::TurnLeft);
    assert!((junction.unwrap() - 40.0).abs() <= 1.5, "{junction:?}");
    assert_eq!(at(108.5, 3.5, 0.7).0, Command::TurnLeft);
    assert_eq!(at(112.0, 20.0, 0.5 * PI).0, Command::Follow);
    let text = scene::Command::from(Command::TurnLeft);
    assert_eq!(text.as_str(), "turn left");
}

#[test]
fn the_route_beside_is_asked_for() {
    let mut scenario = scenario(Lamp::Off, vec![]);
    scenario.agents[0].pose = [0.0, 3.5, 0.0];
    let batch = batch(scenario);
    assert_eq!(describe::command(&batch.scene(0)), Command::ChangeRight);
}
