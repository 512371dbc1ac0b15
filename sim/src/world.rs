//! A scenario compiled for running: nothing in it changes while scenes step, and many scenes share one.

use crate::boxes::Props;
use crate::conflict::Conflicts;
use crate::path::Path;
use crate::road::Road;
use crate::scenario::{Agent, AgentKind, Control, Cue, Driver, Lamp, Scenario, Turn};
use std::sync::Arc;

/// Agents are padded to a multiple of this, the width of a vector register.
pub const LANES: usize = 16;
/// Metres that paths go on behind the last lane of a route.
const ONWARD: f32 = 150.0;

/// A compiled scenario. Agent 0 is ego.
#[derive(Debug, Clone)]
pub struct World {
    /// What it was compiled from.
    pub scenario: Arc<Scenario>,
    /// Lanes.
    pub road: Road,
    /// Every path that somebody follows or can change to.
    pub paths: Vec<Path>,
    /// For each lane the path that starts on it, or `None`: where lane changes lead.
    pub path_from: Vec<Option<usize>>,
    /// Agents.
    pub agents: Vec<Spec>,
    /// Half lengths, padded with 0 to a multiple of [`LANES`].
    pub half_length: Vec<f32>,
    /// Half widths, padded likewise.
    pub half_width: Vec<f32>,
    /// Radii of the circles around the boxes, padded likewise.
    pub radius: Vec<f32>,
    /// Solids.
    pub props: Props,
    /// Where paths cross.
    pub conflicts: Conflicts,
    /// Metres along ego's path (path 0) where the route ends.
    pub goal: f32,
}

/// An agent's constants.
#[derive(Debug, Clone, PartialEq)]
pub struct Spec {
    /// What it is.
    pub kind: AgentKind,
    /// Length, width, height, metres.
    pub size: [f32; 3],
    /// Who moves it.
    pub control: Control,
    /// Path it starts on, if it follows one.
    pub path: Option<usize>,
    /// Desired speed on a free road, m/s; 0: the limit.
    pub desired_speed: f32,
    /// Driver parameters.
    pub driver: Driver,
    /// What it does when.
    pub script: Vec<Cue>,
    /// `[t, x, y, heading, speed]`.
    pub track: Vec<[f32; 5]>,
    /// Start: x, y, heading.
    pub pose: [f32; 3],
    /// Start: m/s.
    pub speed: f32,
}

impl World {
    /// Compiles a scenario that [`crate::import::check`] accepts.
    pub fn new(scenario: Scenario) -> World {
        let road = Road::new(&scenario.map);
        let mut builder = Builder { scenario: &scenario, road: &road, paths: Vec::new(), routes: Vec::new() };
        let mut goal = 0.0;
        let agents: Vec<Spec> = scenario
            .agents
            .iter()
            .enumerate()
            .map(|(i, agent)| {
                let path = builder.path(agent);
                if i == 0
                    && let Some(p) = path
                {
                    goal = builder.goal(agent, p);
                }
                spec(agent, path)
            })
            .collect();
        let path_from = builder.neighbours();
        let Builder { mut paths, .. } = builder;
        let props = Props::new(&scenario.map.props);
        for path in &mut paths {
            path.find_blocks(&props);
        }
        let conflicts = Conflicts::new(&road, &paths);
        let padded = agents.len().next_multiple_of(LANES);
        let half = |axis: usize| -> Vec<f32> {
            (0..padded).map(|i| agents.get(i).map_or(0.0, |a| 0.5 * a.size[axis])).collect()
        };
        let (half_length, half_width) = (half(0), half(1));
        let radius = half_length.iter().zip(&half_width).map(|(l, w): (&f32, &f32)| (l * l + w * w).sqrt()).collect();
        World {
            road,
            paths,
            path_from,
            agents,
            half_length,
            half_width,
            radius,
            props,
            conflicts,
            goal,
            scenario: Arc::new(scenario),
        }
    }

    /// Colour of each light at a time, in the order of the map.
    pub fn lamps(&self, time: f32) -> Vec<Lamp> {
        (0..self.scenario.map.lights.len()).map(|i| self.lamp(i, time).0).collect()
    }

    /// Colour of a light at a time and the seconds until it changes.
    pub fn lamp(&self, light: usize, time: f32) -> (Lamp, f32) {
        let Some(light) = self.scenario.map.lights.get(light) else { return (Lamp::Off, f32::MAX) };
        let cycle: f32 = light.program.iter().map(|(_, seconds)| seconds).sum();
        if cycle <= 0.0 {
            return (light.program.first().map_or(Lamp::Off, |p| p.0), f32::MAX);
        }
        let t = time + light.offset;
        let mut left = t - cycle * (t / cycle).floor();
        for &(lamp, seconds) in &light.program {
            if left < seconds {
                return (lamp, seconds - left);
            }
            left -= seconds;
        }
        (light.program.last().map_or(Lamp::Off, |p| p.0), 0.0)
    }

    /// Ego's route.
    pub fn route(&self) -> Option<&Path> {
        self.paths.get(self.agents.first()?.path?)
    }
}

fn spec(agent: &Agent, path: Option<usize>) -> Spec {
    Spec {
        kind: agent.kind,
        size: agent.size,
        control: agent.control,
        path,
        desired_speed: agent.desired_speed,
        driver: agent.driver.unwrap_or_default(),
        script: agent.script.clone(),
        track: agent.track.clone(),
        pose: agent.pose,
        speed: agent.speed,
    }
}

struct Builder<'a> {
    scenario: &'a Scenario,
    road: &'a Road,
    paths: Vec<Path>,
    /// The lanes of each path.
    routes: Vec<Vec<usize>>,
}

impl Builder<'_> {
    fn path(&mut self, agent: &Agent) -> Option<usize> {
        if !agent.route.is_empty() {
            let lanes = self.onward(&agent.route, ONWARD, &[]);
            return Some(self.lanes(lanes));
        }
        let points: Vec<_> = agent.track.iter().map(|t| [t[1], t[2]]).collect();
        let long = crate::road::length(&points) > 2.0;
        long.then(|| {
            let fastest = agent.track.iter().map(|t| t[4]).fold(agent.desired_speed, f32::max);
            self.paths.push(Path::through(&points, fastest));
            self.routes.push(Vec::new());
            self.paths.len() - 1
        })
    }

    fn lanes(&mut self, lanes: Vec<usize>) -> usize {
        if let Some(known) = self.routes.iter().position(|r| *r == lanes) {
            return known;
        }
        self.paths.push(Path::along(self.road, &lanes, &self.scenario.map.stop_lines));
        self.routes.push(lanes);
        self.paths.len() - 1
    }

    /// A chain of lanes continued for so many metres: beside the lanes of `beside` where that is possible, else straight.
    fn onward(&self, lanes: &[usize], metres: f32, beside: &[usize]) -> Vec<usize> {
        let mut chain = lanes.to_vec();
        let mut left = metres;
        while left > 0.0
            && let Some(last) = chain.last().and_then(|&l| self.road.lanes.get(l))
        {
            let rank = |&&next: &&usize| {
                let info = &self.road.lanes[next];
                let near = beside.contains(&next)
                    || [info.left, info.right].into_iter().flatten().any(|side| beside.contains(&side));
                (!near, !matches!(info.turn, Turn::None | Turn::Straight), next)
            };
            let Some(&next) = last.next.iter().filter(|n| !chain.contains(n)).min_by_key(rank) else { break };
            chain.push(next);
            left -= self.road.lanes[next].length;
        }
        chain
    }

    /// Where ego's route ends on its path: at the end of the route's last lane, where the path ends there too, when ego's front has 1 m
    /// to go.
    fn goal(&self, agent: &Agent, path: usize) -> f32 {
        let path = &self.paths[path];
        let last = agent.route.last().map(|&l| l as u32);
        let end = match last {
            Some(lane) => path.lane.iter().rposition(|&l| l == lane).unwrap_or_default() as f32,
            None => path.length(),
        };
        end.min(path.length() - 1.0 - 0.5 * agent.size[0])
    }

    /// Paths from the lanes beside those of every path, and beside these, until nothing is new.
    fn neighbours(&mut self) -> Vec<Option<usize>> {
        let mut from: Vec<Option<usize>> = vec![None; self.road.lanes.len()];
        for (i, route) in self.routes.iter().enumerate().rev() {
            if let Some(&first) = route.first() {
                from[first] = Some(i);
            }
        }
        let mut next = 0;
        while next < self.routes.len() {
            let route = self.routes[next].clone();
            for (k, &lane) in route.iter().enumerate() {
                let info = &self.road.lanes[lane];
                for side in [info.left, info.right].into_iter().flatten() {
                    if from[side].is_none() {
                        let chain = self.onward(&[side], ONWARD, &route[k..]);
                        let path = self.lanes(chain);
                        from[side] = Some(path);
                    }
                }
            }
            next += 1;
        }
        from
    }
}
