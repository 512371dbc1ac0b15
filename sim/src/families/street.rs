//! The scene of most families: one road, with ego's route on its middle part.

use super::curve::{Curve, Piece};
use super::draw::Draw;
use super::roads::{Cross, Strip};
use super::stage::Stage;
use crate::scenario::{AgentKind, Mark, Point, SignKind};

/// Road that lies behind ego's start, metres.
const BEHIND: f32 = 70.0;
/// Road beyond the end of ego's route, metres.
const BEYOND: f32 = 70.0;
/// Ego starts so far into its route, metres.
pub const START: f32 = 8.0;

/// One road that has been built.
#[derive(Debug, Clone)]
pub struct Street {
    /// Its axis.
    pub curve: Curve,
    /// Its cross-section.
    pub cross: Cross,
    /// Behind ego's route, along it, beyond it.
    pub strips: Vec<Strip>,
    /// Where ego starts, metres along the axis.
    pub start: f32,
    /// Where ego's route ends, metres along the axis.
    pub end: f32,
}

impl Street {
    /// Builds a road on which a route of so many metres fits, bent so that it can be driven at `speed`.
    pub fn build(stage: &mut Stage, cross: Cross, route: f32, speed: f32) -> Street {
        let pieces = bends(&stage.draw, BEHIND + route + BEYOND, speed);
        let draft = Curve::new([0.0; 3], &pieces);
        // Ego starts near the origin.
        let start = draft.at(BEHIND);
        let curve = Curve::new([-start[0], -start[1], 0.0], &pieces);
        let cuts = [0.0, BEHIND, BEHIND + route, BEHIND + route + BEYOND];
        let strips = stage.net.road(&curve, &cuts, &cross);
        Street { curve, cross, strips, start: BEHIND + START, end: BEHIND + route }
    }

    /// Ego's route in a forward lane.
    pub fn route(&self, lane: usize) -> Vec<usize> {
        vec![self.strips[1].forward[lane]]
    }

    /// The whole road in a forward lane.
    pub fn along(&self, lane: usize) -> Vec<usize> {
        self.strips.iter().map(|s| s.forward[lane]).collect()
    }

    /// The whole road in a lane of the other direction.
    pub fn against(&self, lane: usize) -> Vec<usize> {
        self.strips.iter().rev().map(|s| s.backward[lane]).collect()
    }

    /// Point so many metres ahead of ego's start, `left` of the axis.
    pub fn ahead(&self, metres: f32, left: f32) -> Point {
        self.curve.point(self.start + metres, left)
    }

    /// Pose so many metres ahead of ego's start, `left` of the axis.
    pub fn pose(&self, metres: f32, left: f32) -> [f32; 3] {
        self.curve.place(self.start + metres, left)
    }

    /// A driver in a forward lane, so many metres ahead of ego's start (negative: behind); returns its index.
    pub fn drive(&self, stage: &mut Stage, kind: AgentKind, lane: usize, metres: f32, speed: f32) -> usize {
        let route = self.along(lane);
        let s = Curve::of_route(&stage.net.map, &route).project(self.ahead(metres, self.cross.centre_of(lane)));
        stage.drive(kind, &route, s, speed)
    }

    /// A driver in a lane of the other direction, so many metres ahead of ego's start; returns its index.
    pub fn oncoming(&self, stage: &mut Stage, kind: AgentKind, lane: usize, metres: f32, speed: f32) -> usize {
        let route = self.against(lane);
        let left = self.cross.width * (lane as f32 + 0.5);
        let s = Curve::of_route(&stage.net.map, &route).project(self.ahead(metres, left));
        stage.drive(kind, &route, s, speed)
    }

    /// Free oncoming traffic from `from` metres ahead of ego's start on: so many vehicles in each lane.
    pub fn oncoming_traffic(&self, stage: &mut Stage, from: f32, count: usize) {
        let limit = self.end + BEYOND - self.start - 8.0;
        for lane in 0..self.cross.backward {
            let speed = self.cross.limit * stage.draw.range(0.75, 0.98);
            let mut at = from + stage.draw.range(0.0, 25.0);
            for _ in 0..stage.draw.int(0, count) {
                if at > limit {
                    break;
                }
                let kind = stage.traffic_kind();
                let i = self.oncoming(stage, kind, lane, at, speed);
                at += stage.agents[i].size[0] + 3.0 + speed * stage.draw.range(1.2, 4.0);
            }
        }
    }

    /// Dresses both sides; `open` metres beside the kerbs stay free of anything that hides.
    pub fn dress(&self, stage: &mut Stage, open: f32) {
        if stage.draw.chance(0.6) {
            let at = stage.draw.range(4.0, 30.0);
            let kmh = (self.cross.limit * 3.6 / 10.0).round() * 10.0;
            stage.net.sign(&self.curve, self.start + at, &self.cross, SignKind::Limit(kmh as u8));
        }
        stage.dress(&[(&self.curve, &self.cross)], open);
    }

    /// Parked cars on the right shoulder from `from` to `to` metres ahead of ego's start.
    pub fn parked(&self, stage: &mut Stage, (from, to): (f32, f32), density: f32) {
        let mut at = from;
        while at < to {
            let kind = if stage.draw.chance(0.8) { AgentKind::Car } else { AgentKind::Van };
            let pose = self.pose(at, self.cross.shoulder_centre() + stage.draw.range(-0.15, 0.1));
            if stage.draw.chance(density) {
                stage.park(kind, pose);
            }
            at += 6.2 + stage.draw.range(0.3, 1.5);
        }
    }
}

/// A random road axis: straight, one bend, an S-bend or a bend with clothoids, never tighter than `speed` allows.
pub fn bends(draw: &Draw, length: f32, speed: f32) -> Vec<Piece> {
    // 1.8 m/s² of lateral acceleration at most.
    let sharpest = (1.8 / (speed * speed)).min(1.0 / 40.0);
    // No road turns by more than some 80 degrees.
    let k = draw.sign() * draw.range(0.15, 1.0) * sharpest.min(1.4 / length * 2.0);
    let straight = |length: f32| Piece { length, from: 0.0, to: 0.0 };
    match draw.int(0, 3) {
        0 => vec![straight(length)],
        1 => {
            let ramp = 0.12 * length;
            let body = length * draw.range(0.25, 0.45);
            let before = (length - body - 2.0 * ramp) * draw.range(0.2, 0.8);
            let after = length - body - 2.0 * ramp - before;
            vec![
                straight(before),
                Piece { length: ramp, from: 0.0, to: k },
                Piece { length: body, from: k, to: k },
                Piece { length: ramp, from: k, to: 0.0 },
                straight(after),
            ]
        }
        2 => {
            let part = length / 6.0;
            vec![
                straight(part * 0.5),
                Piece { length: part, from: 0.0, to: k },
                Piece { length: 1.25 * part, from: k, to: k * 0.8 },
                Piece { length: part, from: k * 0.8, to: -k },
                Piece { length: 1.25 * part, from: -k, to: -k },
                Piece { length: part, from: -k, to: 0.0 },
            ]
        }
        _ => vec![
            Piece { length: 0.5 * length, from: 0.0, to: 0.7 * k },
            Piece { length: 0.5 * length, from: 0.7 * k, to: 0.2 * k },
        ],
    }
}

/// A random cross-section with so many lanes.
pub fn cross_section(draw: &Draw, forward: usize, backward: usize, limit: f32) -> Cross {
    let centre = if forward + backward > 2 {
        draw.pick(&[Mark::YellowDouble, Mark::Yellow, Mark::Double, Mark::Solid])
    } else {
        draw.pick(&[Mark::YellowDashed, Mark::YellowDashed, Mark::Dashed])
    };
    Cross {
        forward,
        backward,
        width: draw.range(3.25, 3.75),
        limit,
        bike: if draw.chance(0.2) { 1.6 } else { 0.0 },
        shoulder: if draw.chance(0.3) { draw.range(1.0, 2.4) } else { 0.0 },
        pavement: if draw.chance(0.75) { draw.range(1.8, 3.2) } else { 0.0 },
        centre,
    }
}
