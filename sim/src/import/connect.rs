//! Lane relations that a format leaves out, from geometry: successors, neighbours, widths, turns, limits from speeds.

use super::geometry::{
    Nearest, P, cross, crosses, distance, dot, ends, length, narrow_all, nearest, resample, sub, turn, wide,
};
use super::route::Net;
use crate::scenario::{Agent, AgentKind, Lane, LaneKind, Map, Mark, Point, Turn};
use std::collections::BTreeMap;

/// Farthest apart that an end and a start still connect, metres.
const GAP: f64 = 0.5;
/// Cosine of the largest change of heading over a connection, 15 degrees.
const STRAIGHT: f64 = 0.9659;

/// Fills `next`: lanes that start within 0.5 m of a lane's end and lead on within 15 degrees of its direction.
pub(super) fn successors(lanes: &mut [Lane], net: &Net) {
    let cell = |p: P| ((p[0] / GAP).floor() as i64, (p[1] / GAP).floor() as i64);
    let mut starts: BTreeMap<(i64, i64), Vec<usize>> = BTreeMap::new();
    for (i, shape) in net.shapes.iter().enumerate() {
        starts.entry(cell(shape[0])).or_default().push(i);
    }
    for i in 0..lanes.len() {
        let end = net.shapes[i][net.shapes[i].len() - 1];
        let (x, y) = cell(end);
        let around = (-1..=1).flat_map(|dx| (-1..=1).map(move |dy| (x + dx, y + dy)));
        let leads_on = |&j: &usize| {
            let fits = dot(ends(&net.shapes[i]).1, ends(&net.shapes[j]).0) > STRAIGHT;
            j != i && fits && distance(end, net.shapes[j][0]) < GAP && lanes[j].kind == lanes[i].kind
        };
        let mut next: Vec<usize> =
            around.filter_map(|c| starts.get(&c)).flatten().copied().filter(leads_on).take(64).collect();
        next.sort_unstable();
        lanes[i].next = next;
    }
}

/// Marks as connectors the lanes of under 80 m that share their start or their end with another one.
pub(super) fn turns(lanes: &mut [Lane], net: &Net) {
    let mut before = vec![0_usize; lanes.len()];
    for n in lanes.iter().flat_map(|l| &l.next) {
        before[*n] += 1;
    }
    let forks: Vec<usize> = lanes.iter().filter(|l| l.next.len() > 1).flat_map(|l| l.next.clone()).collect();
    for i in forks {
        lanes[i].turn = turn(&net.shapes[i]);
    }
    for (i, lane) in lanes.iter_mut().enumerate() {
        if lane.next.iter().any(|&n| before[n] > 1) {
            lane.turn = turn(&net.shapes[i]);
        }
        if length(&net.shapes[i]) > 80.0 {
            lane.turn = Turn::None;
        }
    }
}

/// Marks as connectors the lanes that cross another one, where nothing has said so.
pub(super) fn crossings(lanes: &mut [Lane], net: &Net) {
    for i in 0..lanes.len() {
        let crosses_other = |&j: &usize| {
            i != j
                && net.overlap(i, j)
                && net.shapes[i].windows(2).any(|a| net.shapes[j].windows(2).any(|b| crosses(a[0], a[1], b[0], b[1])))
        };
        if lanes[i].turn == Turn::None && length(&net.shapes[i]) < 80.0 && (0..lanes.len()).any(|j| crosses_other(&j)) {
            lanes[i].turn = turn(&net.shapes[i]);
        }
    }
}

/// Cuts out of the edges what lies on a lane, as where a junction's lanes cross the border of others.
pub(super) fn trim_edges(map: &mut Map, net: &Net) {
    let inside = |p: P| {
        let on = |(i, n): &(usize, Nearest)| n.distance < f64::from(map.lanes[*i].width) / 2.0 - 0.3;
        net.near(p, 8.0).iter().any(on)
    };
    map.edges = map.edges.iter().flat_map(|e| cut(e, inside)).collect();
}

/// The pieces of a line outside of something.
pub(super) fn cut(line: &[Point], inside: impl Fn(P) -> bool) -> Vec<Vec<Point>> {
    let points: Vec<P> = line.iter().map(|&p| wide(p)).collect();
    // Every 2 m, so that a crossing lane is not stepped over.
    let count = ((length(&points) / 2.0).ceil() as usize).clamp(points.len() - 1, 20_000) + 1;
    let mut kept: Vec<Vec<Point>> = Vec::new();
    let mut run: Vec<P> = Vec::new();
    for p in resample(&points, count.max(2)) {
        if !inside(p) {
            run.push(p);
        } else {
            if run.len() > 1 {
                kept.push(narrow_all(&run));
            }
            run.clear();
        }
    }
    if run.len() > 1 {
        kept.push(narrow_all(&run));
    }
    kept
}

/// Fills `left`, `right` and, where a lane has a neighbour, `width`: lanes that run 2.5 m to 5 m beside each other in the
/// same direction, with no solid line or edge between them.
pub(super) fn neighbours(map: &mut Map, net: &Net) {
    let barriers = Barriers::new(map);
    for i in 0..map.lanes.len() {
        let shape = &net.shapes[i];
        let mut votes: BTreeMap<(usize, bool), (usize, f64)> = BTreeMap::new();
        for fraction in [0.25, 0.5, 0.75] {
            let (p, d) = super::geometry::at(shape, length(shape) * fraction);
            for (j, n) in net.near(p, 5.0) {
                let beside = (2.5..5.0).contains(&n.distance) && n.distance - n.lateral.abs() < 0.1;
                if j == i || !beside || dot(n.direction, d) < STRAIGHT || map.lanes[j].kind != map.lanes[i].kind {
                    continue;
                }
                let (q, _) = super::geometry::at(&net.shapes[j], n.s);
                if !barriers.between(p, q) {
                    // A point to the right of the other lane has that lane on its left.
                    let vote = votes.entry((j, n.lateral < 0.0)).or_default();
                    *vote = (vote.0 + 1, vote.1 + n.distance);
                }
            }
        }
        let mut spacing = Vec::new();
        for left in [true, false] {
            let sure = votes.iter().filter(|((_, l), (count, _))| *l == left && *count >= 2);
            let closest = sure.map(|((j, _), (count, sum))| (*j, sum / *count as f64));
            if let Some((j, metres)) = closest.min_by(|a, b| a.1.total_cmp(&b.1)) {
                let side = if left { &mut map.lanes[i].left } else { &mut map.lanes[i].right };
                *side = Some(j);
                spacing.push(metres);
            }
        }
        if let Some(metres) = spacing.iter().copied().reduce(f64::min) {
            map.lanes[i].width = metres as f32;
        }
    }
}

/// Lines that may not be crossed, with boxes around them.
pub(super) struct Barriers {
    lines: Vec<([f64; 4], Vec<P>)>,
}

impl Barriers {
    /// Solid lines and edges.
    fn new(map: &Map) -> Barriers {
        let solid = map.lines.iter().filter(|l| !matches!(l.mark, Mark::Dashed | Mark::YellowDashed));
        Barriers::of(solid.map(|l| &l.points).chain(&map.edges))
    }

    pub(super) fn of<'a>(shapes: impl Iterator<Item = &'a Vec<Point>>) -> Barriers {
        let lines = shapes.map(|points| {
            let points: Vec<P> = points.iter().map(|&p| wide(p)).collect();
            let outside = [f64::INFINITY, f64::INFINITY, f64::NEG_INFINITY, f64::NEG_INFINITY];
            let grow = |b: [f64; 4], p: &P| [b[0].min(p[0]), b[1].min(p[1]), b[2].max(p[0]), b[3].max(p[1])];
            (points.iter().fold(outside, grow), points)
        });
        Barriers { lines: lines.collect() }
    }

    fn between(&self, p: P, q: P) -> bool {
        self.first(p, q).is_some()
    }

    /// How far along from `p` to `q` the first barrier is, as a fraction.
    pub(super) fn first(&self, p: P, q: P) -> Option<f64> {
        let apart = |b: &[f64; 4]| {
            p[0].max(q[0]) < b[0] || p[1].max(q[1]) < b[1] || p[0].min(q[0]) > b[2] || p[1].min(q[1]) > b[3]
        };
        let near = self.lines.iter().filter(|(b, _)| !apart(b));
        let hits = near.flat_map(|(_, points)| points.windows(2)).filter(|w| crosses(p, q, w[0], w[1]));
        let fraction = |w: &[P]| {
            let d = sub(w[1], w[0]);
            cross(sub(w[0], p), d) / cross(sub(q, p), d)
        };
        hits.map(fraction).min_by(f64::total_cmp)
    }
}

/// Sets limits from what vehicles were seen to drive: the 90th percentile on each lane with at least 10 moving samples, and
/// not under 30 km/h, which a queue would give.
pub(super) fn limits(lanes: &mut [Lane], net: &Net, agents: &[Agent]) {
    let mut seen: Vec<Vec<f32>> = vec![Vec::new(); lanes.len()];
    let motor = |k: AgentKind| !matches!(k, AgentKind::Pedestrian | AgentKind::Cyclist);
    for row in agents.iter().filter(|a| motor(a.kind)).flat_map(|a| &a.track).filter(|r| r[4] > 0.5) {
        let direction = super::geometry::unit(f64::from(row[3]));
        if let Some((lane, _)) = net.lanes_of(lanes, [row[1].into(), row[2].into()], direction).first() {
            seen[*lane].push(row[4]);
        }
    }
    for (lane, speeds) in lanes.iter_mut().zip(&mut seen) {
        if speeds.len() >= 10 && lane.kind == LaneKind::Road {
            speeds.sort_by(f32::total_cmp);
            lane.limit = speeds[speeds.len() * 9 / 10].clamp(30.0 / 3.6, 40.0);
        }
    }
}

/// The lanes that a sign at a point holds: the one whose end is nearest, within `reach` metres and on whose right or ahead
/// of which it stands, and those that end beside it in the same direction.
pub(super) fn lanes_before(lanes: &[Lane], net: &Net, p: P, reach: f64) -> Vec<usize> {
    let open = |i: &usize| lanes[*i].kind == LaneKind::Road && lanes[*i].turn == Turn::None;
    let end = |i: usize| net.shapes[i][net.shapes[i].len() - 1];
    let place = (0..lanes.len()).filter(open).filter_map(|i| {
        let apart = distance(p, end(i));
        (apart < reach && nearest(&net.shapes[i], p).lateral < 1.0).then_some((i, apart))
    });
    let Some((first, _)) = place.min_by(|a, b| a.1.total_cmp(&b.1)) else { return Vec::new() };
    let ahead = ends(&net.shapes[first]).1;
    let beside = |i: &usize| {
        let d = sub(end(*i), end(first));
        dot(d, ahead).abs() < 5.0 && cross(ahead, d).abs() < 12.0 && dot(ends(&net.shapes[*i]).1, ahead) > STRAIGHT
    };
    (0..lanes.len()).filter(open).filter(beside).collect()
}
