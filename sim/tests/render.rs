//! The renderer: known geometry, visibility, lamps, equal pixels from vector and portable code.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use sim::render::{Actor, Camera, Frame, Stage, Style, birds_eye, draw};
use sim::scenario::*;
use std::f32::consts::PI;

fn straight(y: f32) -> Vec<Point> {
    (0..30).map(|i| [i as f32 * 10.0 - 60.0, y]).collect()
}

/// A road along x with two lanes each way, pavements, a crossing at 40 m, a light, signs, houses and trees.
fn town() -> Map {
    let lane = |y: f32, reverse: bool| {
        let mut points = straight(y);
        if reverse {
            points.reverse();
        }
        Lane {
            points,
            width: 3.5,
            limit: 13.9,
            next: vec![],
            left: None,
            right: None,
            turn: Turn::None,
            kind: LaneKind::Road,
        }
    };
    let line = |y: f32, mark: Mark| Line { points: straight(y), mark };
    let strip = |y0: f32, y1: f32| vec![[-60.0, y0], [230.0, y0], [230.0, y1], [-60.0, y1]];
    let prop = |kind, x: f32, y: f32, heading: f32, size| Prop { kind, at: [x, y], heading, size };
    let mut props = Vec::new();
    for i in 0..8 {
        let x = i as f32 * 22.0 - 10.0;
        props.push(prop(PropKind::Building, x, 18.0, 0.0, [16.0, 9.0, 6.0 + (i % 3) as f32 * 3.0]));
        props.push(prop(PropKind::Tree, x + 9.0, -10.5, 0.0, [3.5, 3.5, 6.5]));
        props.push(prop(PropKind::Hedge, x, -13.0, 0.0, [12.0, 1.2, 1.5]));
    }
    for i in 0..5 {
        props.push(prop(PropKind::Cone, 14.0 + 3.0 * i as f32, -6.2 + 0.3 * i as f32, 0.0, [0.4, 0.4, 0.75]));
    }
    props.push(prop(PropKind::Barrier, 30.0, -5.2, 1.57, [2.5, 0.4, 1.0]));
    props.push(prop(PropKind::Container, 60.0, -11.0, 0.0, [6.0, 2.4, 2.6]));
    let light = |x: f32, y: f32| Light { at: [x, y], heading: PI, program: vec![(Lamp::Red, 10.0)], offset: 0.0 };
    let sign = |x: f32, y: f32, kind| Sign { at: [x, y], heading: PI, kind };
    Map {
        lanes: vec![lane(-1.75, false), lane(-5.25, false), lane(1.75, true), lane(5.25, true)],
        areas: vec![vec![[48.0, -40.0], [56.0, -40.0], [56.0, 40.0], [48.0, 40.0]]],
        lines: vec![
            line(0.0, Mark::YellowDouble),
            line(-3.5, Mark::Dashed),
            line(3.5, Mark::Dashed),
            line(-6.9, Mark::Solid),
            line(6.9, Mark::Solid),
        ],
        edges: vec![straight(7.2), straight(-7.2)],
        crosswalks: vec![vec![[40.0, -7.0], [44.0, -7.0], [44.0, 7.0], [40.0, 7.0]]],
        pavements: vec![strip(7.2, 10.0), strip(-10.0, -7.2)],
        stop_lines: vec![StopLine { points: [[38.5, 0.0], [38.5, -7.0]], lanes: vec![0, 1], rule: StopRule::Light(0) }],
        lights: vec![light(39.0, -7.8), light(45.0, 7.8)],
        signs: vec![
            sign(16.0, -8.2, SignKind::Limit(50)),
            sign(12.0, 8.0, SignKind::Stop),
            sign(22.0, -8.2, SignKind::Works),
            sign(18.0, 8.0, SignKind::Pedestrians),
            sign(27.0, -8.2, SignKind::Yield),
        ],
        props,
    }
}

fn actor(kind: AgentKind, id: u16, x: f32, y: f32, heading: f32) -> Actor {
    let [length, width, height] = match kind {
        AgentKind::Car => [4.6, 1.85, 1.5],
        AgentKind::Van => [5.6, 2.0, 2.3],
        AgentKind::Truck => [9.0, 2.5, 3.5],
        AgentKind::Bus => [12.0, 2.5, 3.1],
        AgentKind::Emergency => [5.8, 2.1, 2.4],
        AgentKind::Motorcycle => [2.1, 0.8, 1.6],
        AgentKind::Cyclist => [1.8, 0.6, 1.75],
        AgentKind::Pedestrian => [0.5, 0.6, 1.75],
    };
    Actor { kind, x, y, heading, length, width, height, speed: 1.4, braking: false, indicator: 0, id, phase: id as f32 }
}

fn crowd() -> Vec<Actor> {
    use AgentKind::*;
    vec![
        Actor { braking: true, ..actor(Car, 0, 25.0, -1.75, 0.0) },
        actor(Car, 1, 12.0, -5.25, 0.0),
        Actor { indicator: 1, ..actor(Car, 2, 34.0, -5.25, 0.0) },
        actor(Car, 3, 20.0, 1.75, PI),
        actor(Bus, 4, 34.0, 5.25, PI),
        actor(Truck, 5, 52.0, -1.75, 0.0),
        actor(Emergency, 6, 60.0, 1.75, PI),
        actor(Van, 7, 75.0, -5.25, 0.0),
        actor(Pedestrian, 8, 42.0, -3.0, 1.57),
        actor(Pedestrian, 9, 15.0, 8.5, 0.0),
        actor(Pedestrian, 10, 10.0, -8.0, PI),
        actor(Cyclist, 11, 18.0, -6.4, 0.0),
        actor(Motorcycle, 12, 14.0, 0.9, PI),
        actor(Cyclist, 13, 52.0, 6.0, -1.57),
        actor(Car, 14, 90.0, 1.75, PI),
        actor(Pedestrian, 15, 41.0, 5.5, -1.57),
    ]
}

fn write_ppm(frame: &Frame, path: &str) {
    let mut bytes = format!("P6\n{} {}\n255\n", frame.width, frame.height).into_bytes();
    bytes.extend(&frame.rgb);
    std::fs::write(path, bytes).unwrap();
}

/// `RENDER_OUT=dir cargo test -p reinsman-sim --release --test render pictures -- --ignored`
#[test]
#[ignore = "writes pictures to look at"]
fn pictures() {
    let out = std::env::var("RENDER_OUT").unwrap();
    let stage = Stage::new(&town());
    let actors = crowd();
    let mut frame = Frame::new(true);
    for (name, camera) in [("tiny", Camera::tiny()), ("mid", Camera::mid()), ("vlm", Camera::vlm())] {
        for seed in 0..3 {
            for (look, style) in [("plain", Style::plain(seed)), ("rich", Style::rich(seed))] {
                let lamps = [[Lamp::Red, Lamp::Green, Lamp::Yellow][seed as usize]; 2];
                let ego = [[0.0, -1.75, 0.0], [5.0, -5.0, 0.05], [-14.0, -1.75, 0.0]][seed as usize];
                draw(&stage, &actors, &lamps, 0.1, ego, &camera, &style, &mut frame);
                write_ppm(&frame, &format!("{out}/{name}_{look}_{seed}.ppm"));
            }
        }
    }
    let ego = actor(AgentKind::Car, 99, 0.0, -1.75, 0.0);
    let plan: Vec<Point> = (0..10).map(|i| [3.0 * i as f32, -1.75 - 0.02 * (i * i) as f32]).collect();
    birds_eye(&stage, &actors, &[Lamp::Red; 2], &ego, &plan, 0.25, 400, &Style::plain(0), &mut frame);
    write_ppm(&frame, &format!("{out}/above.ppm"));
}

/// `cargo test -p reinsman-sim --release --test render speed -- --ignored --nocapture`
#[test]
#[ignore = "prints how long frames take"]
fn speed() {
    let stage = Stage::new(&town());
    let actors = crowd();
    let mut frame = Frame::new(false);
    for (name, camera) in [("tiny", Camera::tiny()), ("mid", Camera::mid()), ("vlm", Camera::vlm())] {
        for (look, style) in [("plain", Style::plain(1)), ("rich", Style::rich(1))] {
            let mut best = f64::INFINITY;
            for _ in 0..60 {
                let start = std::time::Instant::now();
                for i in 0..50 {
                    let ego = [i as f32 * 0.05, -1.75, 0.0];
                    draw(&stage, &actors, &[Lamp::Red; 2], 0.1, ego, &camera, &style, &mut frame);
                }
                best = best.min(start.elapsed().as_secs_f64() / 50.0);
            }
            println!("{name} {look}: {:.1} us, {:.0} frames/s", best * 1e6, 1.0 / best);
        }
    }
}
