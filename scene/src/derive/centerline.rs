//! The lane ego starts from and the centre line of the route (spec 14.6).

use super::route::nearest_vertex;
use super::{DeriveError, RoadGraph};
use crate::Pose;
use crate::dynamics::State;
use crate::geometry::{Aabb, Place, Shape, headed, locate, str_order, strictly_inside};
use crate::world::{DrivableArea, Scene};

/// Roadblocks searched ahead of the start lane's.
const WINDOW: usize = 30;
/// Cost of the start lane; any constant would do.
const START_COST: f64 = 1.0;

/// Among route lanes that the rear axle touches, the one with the smallest heading error at its nearest vertex; else
/// the first route lane that contains ego's centre, or the one nearest to ego's box.
pub fn start_lane(
    scene: &Scene,
    graph: &RoadGraph<'_>,
    lanes: &[usize],
    areas: &[DrivableArea],
) -> Result<usize, DeriveError> {
    let ego = State::of_ego(&scene.ego);
    let polygons: Vec<&[[f64; 2]]> =
        areas.iter().map(|a| scene.map.polygon(a.kind, &a.id).unwrap_or_default()).collect();
    let bounds: Vec<Aabb> = polygons.iter().map(|p| Aabb::of(p)).collect();
    let mut best: Option<(f64, usize)> = None;
    for i in str_order(&bounds) {
        let Some(lane) = graph.lane_index(&areas[i].id).filter(|l| lanes.contains(l)) else { continue };
        if locate(polygons[i], [ego.x, ego.y]) == Place::Outside {
            continue;
        }
        let (_, error) = nearest_vertex(&headed(&graph.lane(lane).centerline), scene.ego.pose);
        if best.is_none_or(|(least, _)| error < least) {
            best = Some((error, lane));
        }
    }
    let fallback = || {
        let around = |&&l: &&usize| strictly_inside(&graph.lane(l).polygon, ego.center());
        lanes.iter().find(around).copied().or_else(|| nearest_lane(graph, lanes, &ego))
    };
    best.map(|(_, lane)| lane).or_else(fallback).ok_or_else(|| DeriveError::NoLane { scene: scene.name.clone() })
}

fn nearest_lane(graph: &RoadGraph<'_>, lanes: &[usize], ego: &State) -> Option<usize> {
    let footprint = Shape::new(vec![ego.footprint().corners().to_vec()]);
    let mut best: Option<(f64, usize)> = None;
    for &lane in lanes {
        let distance = Shape::new(vec![graph.lane(lane).polygon.clone()]).distance(&footprint);
        if best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, lane));
        }
    }
    best.map(|(_, lane)| lane)
}

/// The base lines from the start lane to the last roadblock of the window, joined; vertices at the joints repeat.
pub fn centerline(
    scene: &Scene,
    graph: &RoadGraph<'_>,
    route: &[usize],
    lanes: &[usize],
    start: usize,
) -> Result<Vec<Pose>, DeriveError> {
    let current = graph.block_of(start).and_then(|b| route.iter().position(|&r| r == b)).unwrap_or(0);
    let window = &route[current..route.len().min(current + WINDOW)];
    let goal = window.last().copied().ok_or_else(|| DeriveError::EmptyRoute { scene: scene.name.clone() })?;
    let mut line = Vec::new();
    for lane in cheapest_way(graph, lanes, start, goal) {
        if length(graph, lane) <= 0.0 {
            return Err(DeriveError::FlatLane { scene: scene.name.clone(), lane: graph.lane(lane).id.clone() });
        }
        line.extend(headed(&graph.lane(lane).centerline));
    }
    Ok(line)
}

/// Metres along a lane's base line.
fn length(graph: &RoadGraph<'_>, lane: usize) -> f64 {
    let squared = |p: &[[f64; 2]]| (p[1][0] - p[0][0]).powi(2) + (p[1][1] - p[0][1]).powi(2);
    graph.lane(lane).centerline.windows(2).map(|p| squared(p).sqrt()).sum()
}

/// A lane reached by the search.
struct Node {
    lane: usize,
    cost: f64,
    depth: usize,
    parent: Option<usize>,
}

/// Dijkstra over route lanes: to any lane of the goal roadblock, or, when none is reached, to the deepest lane
/// expanded (the cheapest of those).
fn cheapest_way(graph: &RoadGraph<'_>, lanes: &[usize], start: usize, goal: usize) -> Vec<usize> {
    let mut nodes = vec![Node { lane: start, cost: START_COST, depth: 1, parent: None }];
    let (mut open, mut expanded) = (vec![0], Vec::new());
    let mut end = None;
    while let Some(slot) = cheapest(&nodes, &open) {
        let here = open.remove(slot);
        if graph.block_of(nodes[here].lane) == Some(goal) {
            end = Some(here);
            break;
        }
        expanded.push(here);
        for next in graph.lane_out(nodes[here].lane).into_iter().filter(|l| lanes.contains(l)) {
            let (cost, depth) = (nodes[here].cost + length(graph, next), nodes[here].depth + 1);
            match nodes.iter().position(|n| n.lane == next) {
                None => {
                    open.push(nodes.len());
                    nodes.push(Node { lane: next, cost, depth, parent: Some(here) });
                }
                Some(known) if open.contains(&known) && cost < nodes[known].cost => {
                    nodes[known] = Node { lane: next, cost, depth, parent: Some(here) };
                }
                Some(_) => {}
            }
        }
    }
    let deepest = expanded.iter().map(|&n| nodes[n].depth).max();
    let at_depth: Vec<usize> = expanded.into_iter().filter(|&n| Some(nodes[n].depth) == deepest).collect();
    let mut node = end.or_else(|| cheapest(&nodes, &at_depth).map(|slot| at_depth[slot]));
    let mut way = Vec::new();
    while let Some(n) = node {
        way.push(nodes[n].lane);
        node = nodes[n].parent;
    }
    way.reverse();
    way
}

/// The place in `list` of the first node of least cost.
fn cheapest(nodes: &[Node], list: &[usize]) -> Option<usize> {
    let mut best: Option<(f64, usize)> = None;
    for (slot, &n) in list.iter().enumerate() {
        if best.is_none_or(|(least, _)| nodes[n].cost < least) {
            best = Some((nodes[n].cost, slot));
        }
    }
    best.map(|(_, slot)| slot)
}
