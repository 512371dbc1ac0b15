//! The scene of the junction families: ego comes from the south and goes straight on or turns.

use super::curve::{Curve, Piece};
use super::junction::{Junction, Plan};
use super::roads::{Cross, Net};
use super::stage::Stage;
use super::street::START;
use crate::scenario::{AgentKind, Mark, Turn};

/// Road behind ego's start and beyond the end of its route, metres.
const SPARE: f32 = 55.0;

/// What to build.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Lanes in each direction of ego's road.
    pub main: usize,
    /// Lanes in each direction of the crossing road.
    pub side: usize,
    /// Which arms exist.
    pub arms: [bool; 4],
    /// From ego's start to the stop line, metres.
    pub distance: f32,
    /// m/s.
    pub limit: f32,
    /// Width of bicycle lanes, metres; 0: none.
    pub bike: f32,
    /// Width of shoulders, metres; 0: none.
    pub shoulder: f32,
    /// Zebra crossings at the arms.
    pub zebra: bool,
}

/// A junction that has been built, with ego's place in it.
#[derive(Debug, Clone)]
pub struct Crossroads {
    /// The junction.
    pub junction: Junction,
    /// Ego's route.
    pub route: Vec<usize>,
    /// Metres from ego's start to the stop line.
    pub distance: f32,
}

impl Crossroads {
    /// Builds the junction and puts ego on its way: `lane` of its approach (only for going straight), `turn` in the junction.
    pub fn build(stage: &mut Stage, shape: &Shape, turn: Turn, lane: usize, speed: f32) -> Crossroads {
        let d = &stage.draw;
        let centre = d.pick(&[Mark::YellowDouble, Mark::Yellow, Mark::Solid, Mark::Double]);
        let width = d.range(3.25, 3.6);
        let pavement = if d.chance(0.85) { d.range(1.8, 3.0) } else { 0.0 };
        let cross = |lanes: usize| Cross {
            forward: lanes,
            backward: lanes,
            width,
            limit: shape.limit,
            bike: shape.bike,
            shoulder: shape.shoulder,
            pavement,
            centre,
        };
        let skews = [d.range(-0.06, 0.06), d.range(-0.06, 0.06)];
        let exits = d.range(55.0, 105.0);
        let mut plans = [0, 1, 2, 3].map(|arm| {
            let near = if arm == 0 { shape.distance + START } else { exits };
            let length = near + SPARE.max(150.0 - near);
            let bend = d.sign() * d.range(0.0, 1.0 / 140.0);
            let straight = d.range(0.3, 0.6) * length;
            let shape_of = vec![
                Piece { length: straight, from: 0.0, to: 0.0 },
                Piece { length: length - straight, from: 0.0, to: bend },
            ];
            let lanes = if arm % 2 == 0 { shape.main } else { shape.side };
            // Opposite arms stay in line, so that straight on is straight.
            let plan =
                Plan { skew: skews[arm % 2], shape: shape_of, cuts: vec![0.0, near, length], cross: cross(lanes) };
            Some(plan)
        });
        for (plan, exists) in plans.iter_mut().zip(shape.arms) {
            if !exists {
                *plan = None;
            }
        }
        let corner = d.range(5.5, 8.5);
        let junction = Junction::build(&mut stage.net, plans, corner, shape.zebra);
        let to = match turn {
            Turn::Left => 3,
            Turn::Right => 1,
            _ => 2,
        };
        let full = junction.crossing(&stage.net, 0, to, lane);
        // Without the road behind and the road beyond.
        let route = if full.len() > 2 { full[1..full.len() - 1].to_vec() } else { full };
        stage.ego(&route, START, speed);
        Crossroads { junction, route, distance: shape.distance }
    }

    /// Ego's way as a curve; ego starts at [`START`].
    pub fn way(&self, net: &Net) -> Curve {
        Curve::of_route(&net.map, &self.route)
    }

    /// A route through the junction from the far end of an arm to the far end of another.
    pub fn through(&self, net: &Net, from: usize, to: usize, lane: usize) -> Vec<usize> {
        self.junction.crossing(net, from, to, lane)
    }

    /// A driver on `route` at `speed` that meets ego's way `late` seconds after ego, were ego to keep its start speed;
    /// nothing where the ways do not meet or the driver would start off its route. Returns its index.
    pub fn meeting(&self, stage: &mut Stage, kind: AgentKind, route: &[usize], speed: f32, late: f32) -> Option<usize> {
        if route.is_empty() {
            return None;
        }
        let way = self.way(&stage.net);
        let other = Curve::of_route(&stage.net.map, route);
        let (own, its) = meet(&way, &other)?;
        let time = (own - START) / stage.agents[0].speed + late;
        let s = its - speed * time;
        (s > 3.0 && s < other.length() - 3.0).then(|| stage.drive(kind, route, s, speed))
    }

    /// Drivers that pass through the junction on `route` one after the other; the first meets ego's way `late` seconds after
    /// ego would, the others follow with bumper gaps of so many seconds. Returns their indices.
    pub fn stream(
        &self,
        stage: &mut Stage,
        route: &[usize],
        speed: f32,
        late: f32,
        count: usize,
        gaps: (f32, f32),
    ) -> Vec<usize> {
        let mut placed = Vec::new();
        let mut late = late;
        for _ in 0..count {
            let kind = stage.traffic_kind();
            let Some(i) = self.meeting(stage, kind, route, speed, late) else { break };
            let length = stage.agents[i].size[0];
            if let Some(&before) = placed.last() {
                // Kept apart by the bumpers, whatever the lengths.
                let before: usize = before;
                late += 0.5 * (stage.agents[before].size[0] + length) / speed;
                stage.agents.pop();
                let Some(i) = self.meeting(stage, kind, route, speed, late) else { break };
                stage.follows_at(i, 1.5, 0.7);
                placed.push(i);
            } else {
                placed.push(i);
            }
            late += stage.draw.range(gaps.0, gaps.1);
        }
        placed
    }

    /// Somebody slow ahead of ego beyond the junction, `metres` after ego's start.
    pub fn slow_ahead(&self, stage: &mut Stage, metres: f32, speed: f32) {
        let mut route = self.route.clone();
        route.extend(follow(&stage.net, route[route.len() - 1]).into_iter().skip(1));
        let kind = stage.traffic_kind();
        stage.drive(kind, &route, START + metres, speed);
    }

    /// Vehicles that wait at the stop line of an arm.
    pub fn queue(&self, stage: &mut Stage, arm: usize, to: usize, lane: usize, count: usize) {
        let route = self.through(&stage.net, arm, to, lane);
        if route.len() < 3 {
            return;
        }
        let line = Curve::of_route(&stage.net.map, &route[..2]).length();
        let mut front = line - stage.draw.range(1.2, 2.5);
        for _ in 0..count {
            let kind = stage.traffic_kind();
            let i = stage.drive(kind, &route, front, 0.0);
            let length = stage.agents[i].size[0];
            let pose = Curve::of_route(&stage.net.map, &route).at(front - 0.5 * length);
            stage.agents[i].pose = pose;
            stage.agents[i].desired_speed = 9.0;
            front -= length + stage.draw.range(1.8, 3.0);
        }
    }

    /// Dresses all arms; `open` metres beside the kerbs stay free of anything that hides.
    pub fn dress(&self, stage: &mut Stage, open: f32) {
        let roads: Vec<(&Curve, &Cross)> = self.junction.arms.iter().flatten().map(|a| (&a.curve, &a.cross)).collect();
        stage.dress(&roads, open);
    }
}

/// Where two curves first come within a metre of each other: distances along both.
pub fn meet(a: &Curve, b: &Curve) -> Option<(f32, f32)> {
    let near = |s: f32| {
        let p = a.at(s);
        let on = b.project([p[0], p[1]]);
        let q = b.at(on);
        (super::curve::distance([p[0], p[1]], [q[0], q[1]]), on)
    };
    let mut s = 0.0;
    while s < a.length() {
        let (gap, on) = near(s);
        if gap < 1.0 {
            return Some((s, on));
        }
        s += 0.5;
    }
    None
}

/// The lanes that follow one, always the first continuation.
pub fn follow(net: &Net, from: usize) -> Vec<usize> {
    let mut route = vec![from];
    while let Some(&next) = route.last().and_then(|&l| net.map.lanes[l].next.first()) {
        if route.contains(&next) {
            break;
        }
        route.push(next);
    }
    route
}
