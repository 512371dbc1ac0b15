//! The map objects around ego, in the order the reference lists them (spec 14.5).

use super::RoadGraph;
use crate::dynamics::State;
use crate::geometry::{Point, rings_intersect};
use crate::world::{DrivableArea, DrivableKind, Scene};

/// Half the side of the square around ego's centre, metres.
const RADIUS: f64 = 100.0;

/// Roadblocks, their lanes, the connectors of roadblock connectors, intersections and car parks whose polygon (for
/// lanes: whose roadblock's polygon) meets the square of half side 100 m around ego's centre.
pub fn drivable_map(scene: &Scene, graph: &RoadGraph<'_>) -> Vec<DrivableArea> {
    let around = square(State::of_ego(&scene.ego).center(), RADIUS);
    let near = |polygon: &[Point]| rings_intersect(polygon, &around);
    let area = |id: &str, kind| DrivableArea { id: id.to_owned(), kind };
    let near_blocks = |connector: bool| {
        scene.map.roadblocks.iter().filter(move |r| r.connector == connector).filter(|r| near(&r.polygon))
    };
    let lanes_of = |connector, kind| {
        near_blocks(connector)
            .flat_map(|r| &r.lanes)
            .filter(|id| graph.lane_index(id).is_some())
            .map(|id| area(id, kind))
            .collect::<Vec<_>>()
    };
    let mut areas: Vec<DrivableArea> = near_blocks(false).map(|r| area(&r.id, DrivableKind::Roadblock)).collect();
    areas.extend(lanes_of(false, DrivableKind::Lane));
    areas.extend(lanes_of(true, DrivableKind::LaneConnector));
    for (objects, kind) in
        [(&scene.map.intersections, DrivableKind::Intersection), (&scene.map.carparks, DrivableKind::CarparkArea)]
    {
        areas.extend(objects.iter().filter(|a| near(&a.polygon)).map(|a| area(&a.id, kind)));
    }
    areas
}

/// The axis-aligned square of half side `half` metres.
pub(super) fn square([x, y]: Point, half: f64) -> [Point; 4] {
    [[x + half, y - half], [x + half, y + half], [x - half, y + half], [x - half, y - half]]
}
