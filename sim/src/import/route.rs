//! Routes over lanes: along a recorded track, to a goal, or straight ahead.
//!
//! A track is matched by a Viterbi search whose states are lanes (Newson and Krumm, *Hidden Markov map matching*, 2009). A
//! route continues from lane to lane, so that a change of lane becomes the chain of lanes that it ends in.

use super::geometry::{Nearest, P, cross, distance, dot, ends, length, nearest, wide};
use crate::scenario::{Lane, LaneKind, Turn};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

/// Shapes of lanes, for searching.
pub(super) struct Net {
    /// Centre lines.
    pub shapes: Vec<Vec<P>>,
    boxes: Vec<[f64; 4]>,
}

impl Net {
    pub(super) fn new(lanes: &[Lane]) -> Net {
        let shapes: Vec<Vec<P>> = lanes.iter().map(|l| l.points.iter().map(|&p| wide(p)).collect()).collect();
        let outside = [f64::INFINITY, f64::INFINITY, f64::NEG_INFINITY, f64::NEG_INFINITY];
        let grow = |b: [f64; 4], p: &P| [b[0].min(p[0]), b[1].min(p[1]), b[2].max(p[0]), b[3].max(p[1])];
        let boxes = shapes.iter().map(|s: &Vec<P>| s.iter().fold(outside, grow)).collect();
        Net { shapes, boxes }
    }

    /// Lanes within `reach` metres of a point, in the order of lanes.
    pub(super) fn near(&self, p: P, reach: f64) -> Vec<(usize, Nearest)> {
        let inside =
            |b: &[f64; 4]| p[0] >= b[0] - reach && p[1] >= b[1] - reach && p[0] <= b[2] + reach && p[1] <= b[3] + reach;
        let close = self.boxes.iter().enumerate().filter(|(_, b)| inside(b));
        close.map(|(i, _)| (i, nearest(&self.shapes[i], p))).filter(|(_, n)| n.distance <= reach).collect()
    }

    /// Whether the boxes around two lanes overlap.
    pub(super) fn overlap(&self, i: usize, j: usize) -> bool {
        let (a, b) = (&self.boxes[i], &self.boxes[j]);
        a[0] <= b[2] && b[0] <= a[2] && a[1] <= b[3] && b[1] <= a[3]
    }

    /// The lanes that a road user with this direction may be on, nearest first: those that lead within 45 degrees of it.
    pub(super) fn lanes_of(&self, lanes: &[Lane], p: P, direction: P) -> Vec<(usize, Nearest)> {
        let fits = |(i, n): &(usize, Nearest)| {
            n.distance <= f64::from(lanes[*i].width).max(3.0) * 0.75
                && dot(n.direction, direction) > std::f64::consts::FRAC_1_SQRT_2
        };
        let mut found: Vec<(usize, Nearest)> = self.near(p, 8.0).into_iter().filter(fits).collect();
        found.sort_by(|a, b| cost(&a.1, direction).total_cmp(&cost(&b.1, direction)));
        found
    }
}

/// How badly a pose fits a lane: squared metres, and as much for a heading that is 30 degrees off as for 1 m.
fn cost(n: &Nearest, direction: P) -> f64 {
    n.distance * n.distance + 7.5 * (1.0 - dot(n.direction, direction))
}

/// Lanes that a recorded track (places and directions) follows, each continuing the one before. None where the track leaves
/// the lanes or jumps between lanes that are not connected.
pub(super) fn along_track(lanes: &[Lane], net: &Net, track: &[(P, P)]) -> Option<Vec<usize>> {
    const CHANGE: f64 = 4.0;
    let mut samples: Vec<(P, P)> = Vec::new();
    for &(p, d) in track {
        if samples.last().is_none_or(|&(q, _)| distance(p, q) > 1.0) {
            samples.push((p, d));
        }
    }
    // Per sample: lane, cost so far, position in the list before.
    let mut layers: Vec<Vec<(usize, f64, usize)>> = Vec::new();
    let mut missed = 0;
    for &(p, d) in samples.iter().take(20_000) {
        let fits = |(i, n): &(usize, Nearest)| dot(n.direction, d) > 0.5 && lanes[*i].kind == LaneKind::Road;
        let found: Vec<(usize, Nearest)> = net.near(p, 3.5).into_iter().filter(fits).take(64).collect();
        if found.is_empty() {
            missed += 1;
            continue;
        }
        let layer: Vec<(usize, f64, usize)> = match layers.last() {
            None => found.iter().map(|(i, n)| (*i, cost(n, d), 0)).collect(),
            Some(before) => {
                let reached = found.iter().filter_map(|(i, n)| {
                    let from = |(k, &(j, c, _)): (usize, &(usize, f64, usize))| {
                        step(lanes, net, j, *i, CHANGE).map(|extra| (c + extra, k))
                    };
                    let best = before.iter().enumerate().filter_map(from).min_by(|a, b| a.0.total_cmp(&b.0))?;
                    Some((*i, best.0 + cost(n, d), best.1))
                });
                reached.collect()
            }
        };
        if layer.is_empty() {
            return None;
        }
        layers.push(layer);
    }
    if layers.is_empty() || missed * 5 > samples.len() {
        return None;
    }
    let last = layers.last()?;
    let mut k = (0..last.len()).min_by(|&a, &b| last[a].1.total_cmp(&last[b].1))?;
    let mut path: Vec<usize> = Vec::new();
    for layer in layers.iter().rev() {
        if path.last() != Some(&layer[k].0) {
            path.push(layer[k].0);
        }
        k = layer[k].2;
    }
    path.reverse();
    straighten(lanes, &fill(lanes, net, &path)?)
}

/// Cost of going from lane `a` to lane `b` between two samples; none where that cannot be.
fn step(lanes: &[Lane], net: &Net, a: usize, b: usize, change: f64) -> Option<f64> {
    if a == b {
        return Some(0.0);
    }
    if lanes[a].left == Some(b) || lanes[a].right == Some(b) {
        return Some(change);
    }
    between(lanes, net, a, b).map(|_| 0.0)
}

/// The lanes between `a` and `b` where `b` follows `a` directly or over one or two lanes of under 5 m.
fn between(lanes: &[Lane], net: &Net, a: usize, b: usize) -> Option<Vec<usize>> {
    if lanes[a].next.contains(&b) {
        return Some(Vec::new());
    }
    let short = |i: usize| length(&net.shapes[i]) < 5.0;
    for &m in lanes[a].next.iter().filter(|&&m| short(m)) {
        if lanes[m].next.contains(&b) {
            return Some(vec![m]);
        }
        for &n in lanes[m].next.iter().filter(|&&n| short(n)) {
            if lanes[n].next.contains(&b) {
                return Some(vec![m, n]);
            }
        }
    }
    None
}

fn fill(lanes: &[Lane], net: &Net, path: &[usize]) -> Option<Vec<usize>> {
    let mut out: Vec<usize> = path.first().copied().into_iter().collect();
    for w in path.windows(2) {
        if lanes[w[0]].left != Some(w[1]) && lanes[w[0]].right != Some(w[1]) {
            out.extend(between(lanes, net, w[0], w[1])?);
        }
        out.push(w[1]);
    }
    Some(out)
}

/// Turns a path with changes of lane into lanes that continue each other: before a change, the lanes beside the path that
/// lead to where it goes; where there are none, the lanes beside the path after the change.
pub(super) fn straighten(lanes: &[Lane], path: &[usize]) -> Option<Vec<usize>> {
    let mut chain: Vec<usize> = Vec::new();
    for (i, &lane) in path.iter().enumerate() {
        match chain.last() {
            None => chain.push(lane),
            Some(&end) if lanes[end].next.contains(&lane) => chain.push(lane),
            // After a change that could not be moved to the front, the chain runs beside the path.
            Some(&end) if i > 0 && path[i - 1] != end => {
                let beside = lanes[end].next.iter().copied().find(|&n| row(lanes, n).contains(&lane));
                match beside {
                    Some(n) => chain.push(n),
                    // A chain that ends beside the path's end has arrived.
                    None if row(lanes, end).contains(&lane) => {}
                    None => return None,
                }
            }
            Some(&end) => {
                if !row(lanes, end).contains(&lane) {
                    return None;
                }
                if let Some(moved) = backward(lanes, &chain, lane) {
                    chain = moved;
                }
            }
        }
    }
    Some(chain)
}

/// The chain beside `chain` that ends in `lane`, a neighbour of its last lane.
fn backward(lanes: &[Lane], chain: &[usize], lane: usize) -> Option<Vec<usize>> {
    let mut out = vec![lane];
    let mut front = lane;
    for k in (0..chain.len().saturating_sub(1)).rev() {
        if lanes[chain[k]].next.contains(&front) {
            out.extend(chain[..=k].iter().rev());
            break;
        }
        front = row(lanes, chain[k]).into_iter().find(|&q| lanes[q].next.contains(&front))?;
        out.push(front);
    }
    out.reverse();
    Some(out)
}

/// A lane and the lanes beside it in the same direction.
fn row(lanes: &[Lane], lane: usize) -> Vec<usize> {
    let mut out = vec![lane];
    for side in [|l: &Lane| l.left, |l: &Lane| l.right] {
        let mut at = lane;
        while let Some(n) = side(&lanes[at]) {
            if out.contains(&n) || out.len() > 32 {
                break;
            }
            out.push(n);
            at = n;
        }
    }
    out
}

/// The cheapest route from a lane to any of the goals: metres, and 50 m for each change of lane.
pub(super) fn to_goal(lanes: &[Lane], net: &Net, from: usize, goals: &[usize]) -> Option<Vec<usize>> {
    let mut done: BTreeMap<usize, usize> = BTreeMap::new();
    let mut queue = BinaryHeap::from([Reverse((0_u64, from, from))]);
    while let Some(Reverse((cost, lane, before))) = queue.pop() {
        if done.contains_key(&lane) {
            continue;
        }
        done.insert(lane, before);
        if goals.contains(&lane) {
            let mut path = vec![lane];
            let mut at = lane;
            while let (Some(&b), true) = (done.get(&at), at != from) {
                path.push(b);
                at = b;
            }
            path.reverse();
            return straighten(lanes, &path);
        }
        // Centimetres: exact, unlike sums of floats, whatever the order.
        let metres = (length(&net.shapes[lane]) * 100.0) as u64;
        queue.extend(lanes[lane].next.iter().map(|&n| Reverse((cost + metres, n, lane))));
        let beside = [lanes[lane].left, lanes[lane].right].into_iter().flatten();
        queue.extend(beside.map(|n| Reverse((cost + 5_000, n, lane))));
    }
    None
}

/// Lengthens a route over goal lanes that continue it, then straight ahead until it is at least so many metres long.
pub(super) fn extend(lanes: &[Lane], net: &Net, route: &mut Vec<usize>, goals: &[usize], metres: f64) {
    while let Some(&last) = route.last() {
        let Some(next) = lanes[last].next.iter().copied().find(|n| goals.contains(n) && !route.contains(n)) else {
            break;
        };
        route.push(next);
    }
    let gone: f64 = route.iter().map(|&i| length(&net.shapes[i])).sum();
    if let Some(last) = route.pop() {
        let rest = metres - gone + length(&net.shapes[last]);
        let on = ahead(lanes, net, last, rest);
        let fresh = on.iter().position(|n| route.contains(n)).unwrap_or(on.len());
        route.extend_from_slice(&on[..fresh]);
    }
}

/// From a lane straight ahead until the lanes behind it add up to so many metres or end or repeat.
pub(super) fn ahead(lanes: &[Lane], net: &Net, from: usize, metres: f64) -> Vec<usize> {
    let mut route = vec![from];
    let mut gone = length(&net.shapes[from]);
    let mut lane = from;
    while gone < metres {
        let (_, out) = ends(&net.shapes[lane]);
        let bend = |i: usize| {
            let (_, end) = ends(&net.shapes[i]);
            let straight = matches!(lanes[i].turn, Turn::None | Turn::Straight);
            cross(out, end).abs() + (1.0 - dot(out, end)) + if straight { 0.0 } else { 1.0 }
        };
        let free = lanes[lane].next.iter().copied().filter(|n| !route.contains(n));
        let Some(next) = free.min_by(|&a, &b| bend(a).total_cmp(&bend(b))) else { break };
        route.push(next);
        gone += length(&net.shapes[next]);
        lane = next;
    }
    route
}
