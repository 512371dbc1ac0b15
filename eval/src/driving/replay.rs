//! A drive as a page replays it from above: lanes and boxes as whole decimetres and hundredths of a radian, five times a
//! second, each box as differences to the one before.

use serde::Serialize;
use sim::drive::Episode;
use sim::event::EventKind;
use sim::scenario::{AgentKind, Lamp, Point, PropKind};

/// Simulator steps between frames.
const EVERY: usize = 2;
/// Metres around ego's way that are kept of the map.
const AROUND: f32 = 70.0;

/// A drive.
#[derive(Debug, Clone, Serialize)]
pub struct Replay {
    /// `family/seed`.
    pub name: String,
    /// Seconds between frames.
    pub dt: f64,
    /// Number of frames.
    pub frames: usize,
    /// Centre lines: width, then x, y as start and differences.
    lanes: Vec<Vec<i32>>,
    /// Drivable areas.
    areas: Vec<Vec<i32>>,
    /// Painted lines.
    lines: Vec<Vec<i32>>,
    /// Zebra crossings.
    crosswalks: Vec<Vec<i32>>,
    /// Stop lines: light or -1, then the two points.
    stops: Vec<Vec<i32>>,
    /// A letter for each frame of each light: r, y, g, o.
    lights: Vec<String>,
    /// Kind, x, y, heading, length, width.
    props: Vec<[i32; 6]>,
    /// Boxes; the first is ego.
    agents: Vec<Track>,
    /// Ego's speed at each frame, dm/s.
    speed: Vec<i32>,
    /// Plans: frame, then x, y as start and differences.
    plans: Vec<Vec<i32>>,
    /// Seconds, words, whether it costs.
    events: Vec<(f64, &'static str, bool)>,
}

/// A box in motion.
#[derive(Debug, Clone, Serialize)]
struct Track {
    /// Kind.
    k: i32,
    /// Which agent.
    i: usize,
    /// Length, width.
    l: i32,
    w: i32,
    /// First frame and number of frames.
    f: usize,
    n: usize,
    /// x, y, heading: the first pose, then differences; a single pose for what stands.
    t: Vec<i32>,
}

/// The replay of a recorded episode.
pub fn replay(episode: &Episode) -> Replay {
    let world = &episode.world;
    let map = &world.scenario.map;
    let count = episode.boxes.len().div_ceil(EVERY);
    let near = |p: Point| {
        episode.samples.iter().step_by(10).any(|s| (s.x - p[0]).abs() < AROUND && (s.y - p[1]).abs() < AROUND)
    };
    let kept = |points: &[Point]| points.iter().any(|&p| near(p));
    let all = |lists: &[Vec<Point>]| -> Vec<Vec<i32>> { lists.iter().filter(|l| kept(l)).map(|l| line(l)).collect() };
    let lanes = map.lanes.iter().filter(|lane| kept(&lane.points)).map(|lane| {
        let mut packed = vec![dm(lane.width)];
        packed.extend(line(&lane.points));
        packed
    });
    let stops = map.stop_lines.iter().filter(|s| kept(&s.points)).map(|s| {
        let light = match s.rule {
            sim::scenario::StopRule::Light(light) => light as i32,
            _ => -1,
        };
        let mut packed = vec![light];
        packed.extend(line(&s.points));
        packed
    });
    let letter = |lamp: Lamp| match lamp {
        Lamp::Red => 'r',
        Lamp::Yellow => 'y',
        Lamp::Green => 'g',
        Lamp::Off => 'o',
    };
    let time = |frame: usize| (frame * EVERY) as f32 * sim::scenario::DT;
    let lights = (0..map.lights.len()).map(|l| (0..count).map(|f| letter(world.lamp(l, time(f)).0)).collect());
    let props = map
        .props
        .iter()
        .filter(|p| near(p.at))
        .map(|p| [prop(p.kind), dm(p.at[0]), dm(p.at[1]), hundredths(p.heading), dm(p.size[0]), dm(p.size[1])]);
    let plans = episode.plans.iter().map(|(step, plan)| {
        let s = &episode.samples[*step as usize];
        let ego = scene::Pose::new(s.x.into(), s.y.into(), s.heading.into());
        let mut points = vec![[s.x, s.y]];
        points.extend(plan.poses.iter().map(|p| p.out_of_frame(ego)).map(|p| [p.x as f32, p.y as f32]));
        let mut packed = vec![(*step as usize / EVERY) as i32];
        packed.extend(line(&points));
        packed
    });
    let events = episode.events.iter().filter(|e| e.kind != EventKind::Complete).map(|e| {
        let costs = super::penalty::coefficient(e.kind).is_some() || super::penalty::spoils(e.kind);
        (f64::from(e.step) * 0.1, super::penalty::name(e.kind), costs)
    });
    Replay {
        name: world.scenario.name.clone(),
        dt: EVERY as f64 * 0.1,
        frames: count,
        lanes: lanes.collect(),
        areas: all(&map.areas),
        lines: map.lines.iter().filter(|l| kept(&l.points)).map(|l| line(&l.points)).collect(),
        crosswalks: all(&map.crosswalks),
        stops: stops.collect(),
        lights: lights.collect(),
        props: props.collect(),
        agents: (0..world.agents.len()).flat_map(|i| tracks(episode, i)).collect(),
        speed: episode.samples.iter().step_by(EVERY).map(|s| dm(s.v)).collect(),
        plans: plans.collect(),
        events: events.collect(),
    }
}

/// The spans of frames in which an agent is there.
fn tracks(episode: &Episode, agent: usize) -> Vec<Track> {
    let spec = &episode.world.agents[agent];
    let mut found: Vec<Track> = Vec::new();
    let mut last: Option<[i32; 3]> = None;
    for (f, boxes) in episode.boxes.iter().step_by(EVERY).enumerate() {
        let b = boxes[agent];
        if !b[0].is_finite() {
            last = None;
            continue;
        }
        let now = [dm(b[0]), dm(b[1]), hundredths(b[2])];
        match (found.last_mut(), last) {
            (Some(track), Some(before)) => {
                track.t.extend([0, 1, 2].map(|k| now[k] - before[k]));
                track.n += 1;
            }
            _ => found.push(Track {
                k: kind(spec.kind),
                i: agent,
                l: dm(spec.size[0]),
                w: dm(spec.size[1]),
                f,
                n: 1,
                t: now.to_vec(),
            }),
        }
        last = Some(now);
    }
    for track in &mut found {
        if track.t[3..].iter().all(|&d| d == 0) {
            track.t.truncate(3);
        }
    }
    found
}

fn dm(metres: f32) -> i32 {
    (10.0 * metres).round() as i32
}

fn hundredths(radians: f32) -> i32 {
    (100.0 * radians).round() as i32
}

/// x, y of the first point, then differences.
fn line(points: &[Point]) -> Vec<i32> {
    let mut before = [0, 0];
    let mut packed = Vec::with_capacity(2 * points.len());
    for p in points {
        let now = [dm(p[0]), dm(p[1])];
        packed.extend([now[0] - before[0], now[1] - before[1]]);
        before = now;
    }
    packed
}

/// 0 vehicle, 1 emergency vehicle, 2 two wheels, 3 on foot.
fn kind(kind: AgentKind) -> i32 {
    match kind {
        AgentKind::Car | AgentKind::Van | AgentKind::Truck | AgentKind::Bus => 0,
        AgentKind::Emergency => 1,
        AgentKind::Motorcycle | AgentKind::Cyclist => 2,
        AgentKind::Pedestrian => 3,
    }
}

/// 0 grey, 1 green, 2 orange.
fn prop(kind: PropKind) -> i32 {
    match kind {
        PropKind::Building | PropKind::Wall | PropKind::Container => 0,
        PropKind::Hedge | PropKind::Tree => 1,
        PropKind::Cone | PropKind::Barrier => 2,
    }
}
