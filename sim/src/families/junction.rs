//! Junctions of up to four arms at the origin: arm 0 comes from the south (ego's), 1 leads east (its right), 2 north
//! (straight on), 3 west (its left). Each arm's curve runs outward, so that its backward lanes approach and its forward
//! lanes leave.

use super::curve::{Curve, Piece, distance, shifted};
use super::roads::{Cross, Net, Strip};
use crate::math::wrap;
use crate::scenario::{Lamp, LaneKind, Light, Point, Sign, SignKind, StopLine, StopRule, Turn};
use std::f32::consts::{FRAC_PI_2, PI};

/// What to build in one direction.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Radians added to the arm's own direction.
    pub skew: f32,
    /// Shape of the road, from the junction outward.
    pub shape: Vec<Piece>,
    /// Where the road is cut into strips, metres from the junction; the first is 0 and the last its end.
    pub cuts: Vec<f32>,
    /// Cross-section.
    pub cross: Cross,
}

/// An arm that has been built.
#[derive(Debug, Clone)]
pub struct Arm {
    /// Outward from the edge of the junction.
    pub curve: Curve,
    /// Cross-section.
    pub cross: Cross,
    /// From the junction outward.
    pub strips: Vec<Strip>,
}

/// A junction that has been built.
#[derive(Debug, Clone)]
pub struct Junction {
    /// By direction.
    pub arms: [Option<Arm>; 4],
    /// From arm, to arm, connector lane; from left to right within a pair of arms.
    pub connectors: Vec<(usize, usize, usize)>,
}

impl Junction {
    /// Builds arms, connectors, surface and kerbs; `corner` is the size of the kerb's fillets (5 m or more).
    pub fn build(net: &mut Net, plans: [Option<Plan>; 4], corner: f32, zebra: bool) -> Junction {
        let half = plans.iter().flatten().map(|p| p.cross.left().max(-p.cross.right())).fold(0.0, f32::max);
        let inset = if zebra { 6.0 } else { 0.0 };
        let radius = half + corner + inset;
        let mut direction = -FRAC_PI_2;
        let arms = plans.map(|plan| {
            let ahead = direction;
            direction += FRAC_PI_2;
            plan.map(|plan| {
                let heading = ahead + plan.skew;
                let start = shifted([0.0, 0.0, heading], radius, 0.0);
                let curve = Curve::new([start[0], start[1], heading], &plan.shape);
                let strips = net.road(&curve, &plan.cuts, &plan.cross);
                if zebra {
                    net.zebra(&curve, -5.2, &plan.cross);
                }
                Arm { curve, cross: plan.cross, strips }
            })
        });
        let mut junction = Junction { arms, connectors: Vec::new() };
        junction.surface(net, inset);
        for from in 0..4 {
            for (to, turn) in [(from + 3, Turn::Left), (from + 2, Turn::Straight), (from + 1, Turn::Right)] {
                junction.connect(net, from, to % 4, turn);
            }
        }
        junction
    }

    /// Surface, fillets of the kerb and pavement around them.
    fn surface(&self, net: &mut Net, inset: f32) {
        let present: Vec<&Arm> = self.arms.iter().flatten().collect();
        let mut area = Vec::new();
        for (i, arm) in present.iter().enumerate() {
            let next = present[(i + 1) % present.len()];
            let (left, right) = (arm.cross.left(), next.cross.right());
            let inward = arm.curve.place(-inset, left);
            let from = [inward[0], inward[1], wrap(inward[2] + PI)];
            let to = next.curve.place(-inset, right);
            let bend = Curve::between(from, to);
            let mut kerb = vec![arm.curve.point(0.0, left)];
            kerb.extend(bend.parallel(0.0, bend.length(), 0.0));
            kerb.push(next.curve.point(0.0, right));
            kerb.dedup_by(|a, b| distance(*a, *b) < 0.01);
            let along = Curve::through(&kerb);
            net.border(&along, (0.0, along.length()), 0.0, -arm.cross.pavement.min(next.cross.pavement));
            area.extend(kerb);
        }
        net.map.areas.push(area);
    }

    fn connect(&mut self, net: &mut Net, from: usize, to: usize, turn: Turn) {
        let (Some(a), Some(b)) = (&self.arms[from], &self.arms[to]) else { return };
        let (inward, outward) = (&a.strips[0], &b.strips[0]);
        let (n, m) = (inward.backward.len(), outward.forward.len());
        if n == 0 || m == 0 {
            return;
        }
        let pairs: Vec<(usize, usize)> = match turn {
            Turn::Left => vec![(0, 0)],
            Turn::Right => vec![(n - 1, m - 1)],
            _ => (0..n.min(m)).map(|i| (i, i)).collect(),
        };
        let mut built = Vec::new();
        for (i, j) in pairs {
            let start = a.curve.place(0.0, a.cross.width * (i as f32 + 0.5));
            let end = b.curve.place(0.0, b.cross.centre_of(j));
            let path = Curve::between([start[0], start[1], wrap(start[2] + PI)], end);
            let points = path.parallel(0.0, path.length(), 0.0);
            let limit = if turn == Turn::Straight { a.cross.limit } else { a.cross.limit.min(8.3) };
            let width = a.cross.width.min(b.cross.width);
            built.push((inward.backward[i], net.lane(points, width, limit, LaneKind::Road, turn), outward.forward[j]));
        }
        if let (Turn::Straight, Some(start_lane), Some(end_lane)) = (turn, inward.bike_back, outward.bike) {
            let start = a.curve.place(0.0, a.cross.width * n as f32 + 0.5 * a.cross.bike);
            let end = b.curve.place(0.0, b.cross.lanes_right() - 0.5 * b.cross.bike);
            let path = Curve::between([start[0], start[1], wrap(start[2] + PI)], end);
            let points = path.parallel(0.0, path.length(), 0.0);
            let lane = net.lane(points, a.cross.bike, 8.0, LaneKind::Bicycle, turn);
            net.link(start_lane, lane);
            net.link(lane, end_lane);
        }
        for (before, lane, after) in built {
            net.link(before, lane);
            net.link(lane, after);
            self.connectors.push((from, to, lane));
        }
    }

    /// An arm that exists by construction.
    pub fn arm(&self, i: usize) -> Option<&Arm> {
        self.arms[i].as_ref()
    }

    /// Approach lanes of an arm, from the far end to the junction, in column `lane` from the left.
    pub fn approach(&self, arm: usize, lane: usize) -> Vec<usize> {
        let strips = self.arms[arm].iter().flat_map(|a| a.strips.iter().rev());
        strips.filter_map(|s| s.backward.get(lane).copied()).collect()
    }

    /// Lanes that leave by an arm, from the junction outward, in column `lane` from the left.
    pub fn exit(&self, arm: usize, lane: usize) -> Vec<usize> {
        let strips = self.arms[arm].iter().flat_map(|a| a.strips.iter());
        strips.filter_map(|s| s.forward.get(lane).copied()).collect()
    }

    /// Lanes from the far end of one arm to the far end of another: the way in, the connector, the way out. `lane` is the
    /// approach lane of a straight crossing; turns have but one way. Empty where there is none.
    pub fn crossing(&self, net: &Net, from: usize, to: usize, lane: usize) -> Vec<usize> {
        let mut ways = self.connectors.iter().filter(|c| (c.0, c.1) == (from, to)).map(|c| c.2);
        let straight = (from + 2) % 4 == to;
        let Some(connector) = ways.nth(if straight { lane } else { 0 }) else { return Vec::new() };
        let first = |arm: usize| self.arms[arm].iter().flat_map(|a| a.strips.first()).next();
        let (Some(inward), Some(outward)) = (first(from), first(to)) else { return Vec::new() };
        let before = inward.backward.iter().position(|&l| net.map.lanes[l].next.contains(&connector));
        let after = outward.forward.iter().position(|l| net.map.lanes[connector].next.contains(l));
        let (Some(i), Some(j)) = (before, after) else { return Vec::new() };
        let mut route = self.approach(from, i);
        route.push(connector);
        route.extend(self.exit(to, j));
        route
    }

    /// A stop line across the approach lanes of an arm.
    pub fn stop_line(&self, net: &mut Net, arm: usize, rule: StopRule) {
        let Some(a) = &self.arms[arm] else { return };
        let lanes = a.strips[0].backward.clone();
        let far = a.cross.width * lanes.len() as f32;
        // The approaching driver's left is the middle of the road.
        let points = [a.curve.point(0.5, 0.1), a.curve.point(0.5, far - 0.1)];
        net.map.stop_lines.push(StopLine { points, lanes, rule });
    }

    /// A stop or yield line with its sign.
    pub fn sign(&self, net: &mut Net, arm: usize, kind: SignKind) {
        let Some(a) = &self.arms[arm] else { return };
        let rule = if kind == SignKind::Stop { StopRule::Stop } else { StopRule::Yield };
        self.stop_line(net, arm, rule);
        net.map.signs.push(Sign {
            at: a.curve.point(0.5, a.cross.left() + 0.9),
            heading: wrap(a.curve.at(0.0)[2]),
            kind,
        });
    }

    /// A light for an arm: its stop line, and a pole on the far side of the junction.
    pub fn light(&self, net: &mut Net, arm: usize, program: &[(Lamp, f32)], offset: f32) {
        let Some(a) = &self.arms[arm] else { return };
        let at: Point = match &self.arms[(arm + 2) % 4] {
            Some(b) => b.curve.point(0.8, b.cross.right() - 0.8),
            None => {
                // Behind the kerb that the approach lanes run at.
                let start = a.curve.place(0.0, 0.5 * a.cross.left());
                let radius = distance([0.0, 0.0], [a.curve.at(0.0)[0], a.curve.at(0.0)[1]]);
                let half = self.arms.iter().flatten().map(|b| b.cross.left()).fold(0.0, f32::max);
                shifted([start[0], start[1], wrap(start[2] + PI)], radius + half + 1.0, 0.0)
            }
        };
        let heading = wrap(a.curve.at(0.0)[2]);
        net.map.lights.push(Light { at, heading, program: program.to_vec(), offset });
        let rule = StopRule::Light(net.map.lights.len() - 1);
        self.stop_line(net, arm, rule);
    }

    /// Lights at every arm with two phases: arms 0 and 2 green for `green[0]` seconds, then 1 and 3 for `green[1]`, with 3 s
    /// of yellow and 2 s of red for all between. `offset` seconds into it at time 0.
    pub fn two_phases(&self, net: &mut Net, green: [f32; 2], offset: f32) {
        let main = [(Lamp::Green, green[0]), (Lamp::Yellow, 3.0), (Lamp::Red, green[1] + 7.0)];
        let side = [(Lamp::Red, green[0] + 5.0), (Lamp::Green, green[1]), (Lamp::Yellow, 3.0), (Lamp::Red, 2.0)];
        for arm in 0..4 {
            self.light(net, arm, if arm % 2 == 0 { &main[..] } else { &side[..] }, offset);
        }
    }
}
