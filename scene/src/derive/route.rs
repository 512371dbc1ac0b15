//! Route correction: where ego is, gaps, loops (spec 14.7).

use super::drivable::square;
use super::{DeriveError, RoadGraph, loops};
use crate::Pose;
use crate::geometry::{Shape, headed, rings_intersect};
use crate::pose::wrap_angle;
use crate::world::Scene;
use std::f64::consts::FRAC_PI_4;

/// Half side in metres of the square around ego in which roadblocks are candidates.
const NEAR: f64 = 1.0;
/// Candidates within this heading error (radians) and distance (metres) are preferred.
const HEADING: f64 = FRAC_PI_4;
const DISPLACEMENT: f64 = 3.0;
/// Roadblocks searched backward and forward.
const BACKWARD: usize = 15;
const FORWARD: usize = 30;
/// An ego off the route may join it at one of this many first roadblocks.
const JOINABLE: usize = 3;

/// All lanes of some roadblocks in order, without repetitions.
pub fn route_lanes(scene: &Scene, graph: &RoadGraph<'_>, blocks: &[usize]) -> Result<Vec<usize>, DeriveError> {
    let mut lanes = Vec::new();
    for &block in blocks {
        for lane in graph.lanes_of(block)? {
            if !lanes.contains(&lane) {
                lanes.push(lane);
            }
        }
    }
    if lanes.is_empty() { Err(DeriveError::NoLane { scene: scene.name.clone() }) } else { Ok(lanes) }
}

/// The route of the scene as roadblock indices: extended to where ego is, gaps filled, cut before the first loop.
pub fn corrected_route(scene: &Scene, graph: &RoadGraph<'_>) -> Result<Vec<usize>, DeriveError> {
    let given = graph.blocks(&scene.route_roadblock_ids, "route_roadblock_ids")?;
    if given.is_empty() {
        return Err(DeriveError::EmptyRoute { scene: scene.name.clone() });
    }
    let (current, candidates) = current_blocks(scene, graph, &given)?;
    let joined = if given.contains(&current) { given } else { join(graph, given, current, &candidates) };
    Ok(loops::cut(graph, fill_gaps(graph, &joined)))
}

/// The route with the way from ego's roadblock to it in front, where there is one.
fn join(graph: &RoadGraph<'_>, given: Vec<usize>, current: usize, candidates: &[usize]) -> Vec<usize> {
    if let Some(mut back) = graph.search(given[0], candidates, false, BACKWARD) {
        back.reverse();
        back.pop();
        back.extend(given);
        return back;
    }
    let joinable = &given[..given.len().min(JOINABLE)];
    let Some(mut way) = graph.search(current, joinable, true, FORWARD) else { return given };
    let met = way.last().and_then(|end| given.iter().position(|b| b == end)).unwrap_or(0);
    way.extend(&given[met + 1..]);
    way
}

fn fill_gaps(graph: &RoadGraph<'_>, route: &[usize]) -> Vec<usize> {
    let mut filled: Vec<usize> = Vec::with_capacity(route.len());
    for &block in route {
        let gap = filled.last().copied().filter(|b| !graph.neighbours(block, false).contains(b));
        let way = gap.and_then(|before| graph.search(before, &[block], true, FORWARD));
        if let Some(way) = way.filter(|way| way.len() >= 3) {
            filled.extend(&way[1..way.len() - 1]);
        }
        filled.push(block);
    }
    filled
}

/// The roadblock ego is on, and all that qualify in the same way.
fn current_blocks(scene: &Scene, graph: &RoadGraph<'_>, route: &[usize]) -> Result<(usize, Vec<usize>), DeriveError> {
    let nearby = nearby_blocks(scene);
    let (mut on_route, mut off_route, mut any) = (Vec::new(), Vec::new(), Vec::new());
    for &block in &nearby {
        let mut least = f64::INFINITY;
        for lane in graph.lanes_of(block)? {
            let (displacement, heading) = nearest_vertex(&headed(&graph.lane(lane).centerline), scene.ego.pose);
            least = least.min(displacement);
            if heading < HEADING && displacement < DISPLACEMENT {
                if route.contains(&block) { &mut on_route } else { &mut off_route }.push((displacement, block));
            }
        }
        any.push((least, block));
    }
    let chosen = [on_route, off_route, any].into_iter().find(|c| !c.is_empty()).unwrap_or_default();
    let mut best: Option<(f64, usize)> = None;
    for &(displacement, block) in &chosen {
        if best.is_none_or(|(least, _)| displacement < least) {
            best = Some((displacement, block));
        }
    }
    let (_, current) = best.ok_or_else(|| DeriveError::NoLane { scene: scene.name.clone() })?;
    Ok((current, chosen.into_iter().map(|(_, block)| block).collect()))
}

/// Roadblocks, then roadblock connectors, within a metre of ego; else the nearest of each.
fn nearby_blocks(scene: &Scene) -> Vec<usize> {
    let ego = [scene.ego.pose.x, scene.ego.pose.y];
    let around = square(ego, NEAR);
    let blocks = &scene.map.roadblocks;
    let of = |connector: bool| (0..blocks.len()).filter(move |&b| blocks[b].connector == connector);
    let near = |&b: &usize| rings_intersect(&blocks[b].polygon, &around);
    let found: Vec<usize> = of(false).filter(near).chain(of(true).filter(near)).collect();
    if !found.is_empty() {
        return found;
    }
    let point = Shape::new(vec![vec![ego]]);
    let distance = |b: usize| Shape::new(vec![blocks[b].polygon.clone()]).distance(&point);
    let nearest = |connector| of(connector).min_by(|&a, &b| distance(a).total_cmp(&distance(b)));
    nearest(false).into_iter().chain(nearest(true)).collect()
}

/// Metres to the nearest vertex of a base line and the absolute heading error there, radians.
pub(super) fn nearest_vertex(line: &[Pose], ego: Pose) -> (f64, f64) {
    let mut best = (f64::INFINITY, f64::INFINITY);
    for vertex in line {
        let (dx, dy) = (vertex.x - ego.x, vertex.y - ego.y);
        let distance = (dx * dx + dy * dy).sqrt();
        if distance < best.0 {
            best = (distance, wrap_angle(vertex.heading - ego.heading).abs());
        }
    }
    best
}
