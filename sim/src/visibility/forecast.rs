//! Where everyone will be while ego drives on at its start speed, as far as scripts and speeds say: nobody minds anybody.

use crate::families::curve::{Curve, distance};
use crate::scenario::{Act, Agent, Control, Scenario, When};

/// Positions over time.
#[derive(Debug)]
pub struct Forecast<'a> {
    scenario: &'a Scenario,
    movers: Vec<Mover>,
}

/// How an agent moves: along a curve, from `s` on, by stretches of constant acceleration.
#[derive(Debug)]
struct Mover {
    line: Option<Curve>,
    s: f32,
    /// Offset to the left of the line.
    left: f32,
    /// Start time, speed, acceleration and final speed of each stretch, in order.
    stretches: Vec<[f32; 4]>,
}

impl<'a> Forecast<'a> {
    /// Prepares it.
    pub fn new(scenario: &'a Scenario) -> Forecast<'a> {
        let ego = &scenario.agents[0];
        let route = (!ego.route.is_empty()).then(|| Curve::of_route(&scenario.map, &ego.route));
        let movers = scenario.agents.iter().map(|agent| Mover::new(scenario, agent, ego, route.as_ref())).collect();
        Forecast { scenario, movers }
    }

    /// Pose of every agent after so many seconds.
    pub fn at(&self, time: f32) -> Vec<[f32; 3]> {
        self.movers.iter().zip(&self.scenario.agents).map(|(mover, agent)| mover.at(time, agent)).collect()
    }
}

impl Mover {
    fn new(scenario: &Scenario, agent: &Agent, ego: &Agent, ego_route: Option<&Curve>) -> Mover {
        let line = match agent.control {
            Control::Policy | Control::Idm if !agent.route.is_empty() => {
                Some(Curve::of_route(&scenario.map, &agent.route))
            }
            Control::Walk => {
                let points: Vec<_> = agent.track.iter().map(|row| [row[1], row[2]]).collect();
                (points.len() > 1).then(|| Curve::through(&points))
            }
            _ => None,
        };
        let at = [agent.pose[0], agent.pose[1]];
        let s = line.as_ref().map_or(0.0, |l| l.project(at));
        let left = line.as_ref().map_or(0.0, |l| {
            let on = l.at(s);
            let (sin, cos) = crate::math::sin_cos(on[2]);
            (at[1] - on[1]) * cos - (at[0] - on[0]) * sin
        });
        let mut stretches = vec![[0.0, agent.speed, 0.0, agent.speed]];
        let mut before = 0.0_f32;
        for cue in &agent.script {
            let Some(time) = start(cue.when, before, ego, ego_route) else { break };
            before = time.max(before);
            match cue.act {
                Act::Go => stretches.push([before, agent.desired_speed, 0.0, agent.desired_speed]),
                Act::Brake { decel, to } => stretches.push([before, f32::NAN, -decel, to]),
                Act::Speed(to) => stretches.push([before, f32::NAN, 1.5, to]),
                _ => {}
            }
        }
        Mover { line, s, left, stretches }
    }

    fn at(&self, time: f32, agent: &Agent) -> [f32; 3] {
        let Some(line) = &self.line else { return agent.pose };
        let mut s = self.s;
        let mut speed = 0.0;
        for (i, &[from, initial, accel, to]) in self.stretches.iter().enumerate() {
            if from > time {
                break;
            }
            let until = self.stretches.get(i + 1).map_or(time, |next| next[0].min(time));
            if !initial.is_nan() {
                speed = initial;
            }
            let span = until - from;
            let changing = if accel == 0.0 { 0.0 } else { ((to - speed) / accel).clamp(0.0, span) };
            s += speed * changing + 0.5 * accel * changing * changing;
            speed += accel * changing;
            s += speed * (span - changing);
        }
        let walks = agent.control == Control::Walk;
        line.place(if walks { s.min(line.length()) } else { s }, self.left)
    }
}

/// When a cue happens while ego drives on at its start speed.
fn start(when: When, before: f32, ego: &Agent, route: Option<&Curve>) -> Option<f32> {
    let own = |route: &Curve| route.project([ego.pose[0], ego.pose[1]]);
    match when {
        When::Time(t) => Some(t),
        When::After(t) => Some(before + t),
        When::EgoArrives { at, within } => {
            let route = route?;
            Some(((route.project(at) - own(route)) / ego.speed.max(0.1) - within).max(0.0))
        }
        When::EgoNear { at, within } => {
            let route = route?;
            let from = own(route);
            (0..240).map(|i| 0.05 * i as f32).find(|t| {
                let p = route.at(from + ego.speed * t);
                distance([p[0], p[1]], at) <= within
            })
        }
        When::EgoGap(_) | When::AheadOfEgo(_) => None,
    }
}
