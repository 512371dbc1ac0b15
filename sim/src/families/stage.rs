//! A scene under construction: the road network, its road users, and the draws that decide about both.

use super::curve::{Curve, direction};
use super::draw::Draw;
use super::roads::Net;
use super::{Family, place};
use crate::math::{sin_cos, wrap};
use crate::scenario::{Act, Agent, AgentKind, Control, Cue, Driver, Point, Scenario, VERSION, When};

/// Length, width, height of ego.
pub const EGO_SIZE: [f32; 3] = [4.6, 1.9, 1.5];

/// Draws of an occlusion family's scene before it gives up.
const DRAWS: u64 = 200;

/// A scene under construction.
#[derive(Debug, Clone)]
pub struct Stage {
    /// Roads.
    pub net: Net,
    /// Road users; ego comes first.
    pub agents: Vec<Agent>,
    /// Random draws.
    pub draw: Draw,
    /// Index of the hidden hazard.
    pub hazard: Option<usize>,
}

impl Stage {
    /// An empty scene of a family's seed; `attempt` counts redraws.
    pub fn new(family: &Family, seed: u64, attempt: u64) -> Stage {
        Stage { net: Net::default(), agents: Vec::new(), draw: Draw::new(family.name, seed, attempt), hazard: None }
    }

    /// Ego, `s` metres along its route.
    pub fn ego(&mut self, route: &[usize], s: f32, speed: f32) {
        let pose = Curve::of_route(&self.net.map, route).at(s);
        let agent = agent(AgentKind::Car, EGO_SIZE, pose, speed, Control::Policy);
        self.agents.insert(0, Agent { route: route.to_vec(), ..agent });
    }

    /// A driver that keeps `speed` on a free road, `s` metres along its route; returns its index.
    pub fn drive(&mut self, kind: AgentKind, route: &[usize], s: f32, speed: f32) -> usize {
        let pose = Curve::of_route(&self.net.map, route).at(s);
        let size = self.size(kind);
        let agent = agent(kind, size, pose, speed, Control::Idm);
        self.agents.push(Agent { route: route.to_vec(), desired_speed: speed.max(1.0), ..agent });
        self.agents.len() - 1
    }

    /// A vehicle that stands; returns its index.
    pub fn park(&mut self, kind: AgentKind, pose: [f32; 3]) -> usize {
        let size = self.size(kind);
        self.agents.push(agent(kind, size, pose, 0.0, Control::Static));
        self.agents.len() - 1
    }

    /// Someone who goes along `points` at `speed` once `when` holds; returns the index.
    pub fn walk(&mut self, kind: AgentKind, points: &[Point], speed: f32, when: When) -> usize {
        let size = self.size(kind);
        let heading = direction(points[0], points[1]);
        let mut agent = agent(kind, size, [points[0][0], points[0][1], heading], 0.0, Control::Walk);
        let line = Curve::through(points);
        for &p in points {
            let s = line.project(p);
            agent.track.push([s / speed, p[0], p[1], wrap(line.at(s)[2]), speed]);
        }
        agent.desired_speed = speed;
        agent.script = vec![Cue { when, act: Act::Go }];
        self.agents.push(agent);
        self.agents.len() - 1
    }

    /// Adds a step to an agent's script.
    pub fn cue(&mut self, agent: usize, when: When, act: Act) {
        self.agents[agent].script.push(Cue { when, act });
    }

    /// From the start on, an agent does not mind ego: it has the way and takes it.
    pub fn insists(&mut self, agent: usize) {
        self.agents[agent].script.insert(0, Cue { when: When::Time(0.0), act: Act::IgnoreEgo });
    }

    /// From the start on, an agent lets nobody in, though it follows whoever is ahead of it.
    pub fn lets_nobody_in(&mut self, agent: usize) {
        self.agents[agent].script.insert(0, Cue { when: When::Time(0.0), act: Act::IgnoreRules });
    }

    /// An agent keeps this standstill gap (metres) and headway (seconds).
    pub fn follows_at(&mut self, agent: usize, gap: f32, headway: f32) {
        self.agents[agent].driver = Some(Driver { gap, headway, ..Driver::default() });
    }

    /// Length, width and height of a road user of a kind.
    pub fn size(&self, kind: AgentKind) -> [f32; 3] {
        let (low, high) = match kind {
            AgentKind::Car => ([4.1, 1.75, 1.42], [4.9, 1.92, 1.62]),
            AgentKind::Van => ([5.2, 1.98, 2.1], [6.2, 2.1, 2.6]),
            AgentKind::Truck => ([7.5, 2.4, 3.0], [9.8, 2.55, 3.6]),
            AgentKind::Bus => ([11.0, 2.5, 3.0], [12.2, 2.55, 3.2]),
            AgentKind::Emergency => ([5.2, 2.0, 2.2], [6.0, 2.1, 2.6]),
            AgentKind::Motorcycle => ([2.0, 0.75, 1.5], [2.2, 0.85, 1.65]),
            AgentKind::Cyclist => ([1.7, 0.55, 1.6], [1.85, 0.7, 1.8]),
            AgentKind::Pedestrian => ([0.45, 0.5, 1.55], [0.55, 0.6, 1.85]),
        };
        [0, 1, 2].map(|k| self.draw.range(low[k], high[k]))
    }

    /// A kind of motor vehicle as streets have them: mostly cars.
    pub fn traffic_kind(&self) -> AgentKind {
        let others = [AgentKind::Van, AgentKind::Van, AgentKind::Truck, AgentKind::Bus, AgentKind::Motorcycle];
        if self.draw.chance(0.7) { AgentKind::Car } else { self.draw.pick(&others) }
    }

    /// Vehicles one behind the other on a route, first at `s` and then further back, with bumper gaps of so many seconds.
    pub fn platoon(&mut self, route: &[usize], s: f32, speed: f32, count: usize, gaps: (f32, f32)) -> Vec<usize> {
        let mut at = s;
        let mut placed = Vec::new();
        for _ in 0..count {
            let kind = self.traffic_kind();
            if at < 4.0 {
                break;
            }
            let index = self.drive(kind, route, at, speed);
            let length = self.agents[index].size[0];
            at -= length + 2.0 + speed * self.draw.range(gaps.0, gaps.1);
            placed.push(index);
        }
        placed
    }

    /// Turns the scene by a random angle and closes it.
    pub fn finish(mut self, family: &Family, seed: u64, duration: f32) -> Scenario {
        let angle = self.draw.range(-std::f32::consts::PI, std::f32::consts::PI);
        let mut scenario = self.scenario(family, seed, duration);
        turn(&mut scenario, angle);
        scenario
    }

    /// The scene as it is, which leaves this one empty.
    fn scenario(&mut self, family: &Family, seed: u64, duration: f32) -> Scenario {
        place::unclash(&mut self.agents, &mut self.hazard);
        Scenario {
            version: VERSION,
            name: format!("{}/{seed}", family.name),
            family: family.name.to_owned(),
            seed,
            abilities: family.abilities.to_vec(),
            licence: String::new(),
            duration,
            map: std::mem::take(&mut self.net.map),
            agents: std::mem::take(&mut self.agents),
            hazard: self.hazard,
        }
    }

    /// Whether the scene, as it is now, keeps the promise of an occlusion family.
    pub fn keeps_promise(&self, family: &Family) -> bool {
        crate::visibility::accepts(&self.clone().scenario(family, 0, 60.0))
    }
}

/// Draws a scene until it keeps the promise of an occlusion family; `draft` gives nothing for a scene that cannot.
pub fn promised(family: &Family, seed: u64, draft: fn(Stage, u64) -> Option<Scenario>) -> Scenario {
    let mut fallback = None;
    for attempt in 0..DRAWS {
        if let Some(scenario) = draft(Stage::new(family, seed, attempt), seed) {
            if crate::visibility::accepts(&scenario) {
                return scenario;
            }
            fallback = Some(scenario);
        }
    }
    let empty = || Stage::new(family, seed, 0).finish(family, seed, 1.0);
    fallback.unwrap_or_else(empty)
}

fn agent(kind: AgentKind, size: [f32; 3], pose: [f32; 3], speed: f32, control: Control) -> Agent {
    let pose = [pose[0], pose[1], wrap(pose[2])];
    Agent {
        kind,
        size,
        pose,
        speed,
        control,
        route: Vec::new(),
        desired_speed: 0.0,
        track: Vec::new(),
        script: Vec::new(),
        driver: None,
    }
}

/// Turns a scenario around the origin.
fn turn(scenario: &mut Scenario, angle: f32) {
    let (sin, cos) = sin_cos(angle);
    let point = |p: &mut Point| *p = [cos * p[0] - sin * p[1], sin * p[0] + cos * p[1]];
    let heading = |h: &mut f32| *h = wrap(*h + angle);
    let map = &mut scenario.map;
    let lists = map.lanes.iter_mut().map(|l| &mut l.points).chain(map.lines.iter_mut().map(|l| &mut l.points));
    let lists = lists.chain(&mut map.areas).chain(&mut map.edges).chain(&mut map.crosswalks).chain(&mut map.pavements);
    lists.flatten().for_each(point);
    map.stop_lines.iter_mut().flat_map(|l| &mut l.points).for_each(point);
    for light in &mut map.lights {
        point(&mut light.at);
        heading(&mut light.heading);
    }
    for sign in &mut map.signs {
        point(&mut sign.at);
        heading(&mut sign.heading);
    }
    for prop in &mut map.props {
        point(&mut prop.at);
        heading(&mut prop.heading);
    }
    for agent in &mut scenario.agents {
        let pose = agent.pose;
        let (mut p, mut h) = ([pose[0], pose[1]], pose[2]);
        point(&mut p);
        heading(&mut h);
        agent.pose = [p[0], p[1], h];
        for row in &mut agent.track {
            let (mut p, mut h) = ([row[1], row[2]], row[3]);
            point(&mut p);
            heading(&mut h);
            (row[1], row[2], row[3]) = (p[0], p[1], h);
        }
        for cue in &mut agent.script {
            match &mut cue.when {
                When::EgoNear { at, .. } | When::EgoArrives { at, .. } => point(at),
                _ => {}
            }
        }
    }
}
