//! Routes end before they cross themselves (spec 14.7).

use super::RoadGraph;
use crate::geometry::overlap_area;

/// Square metres that two connectors may share.
const TOLERATED: f64 = 1.0;

/// The route up to the first roadblock connector that overlaps an earlier one by more than a square metre.
pub(super) fn cut(graph: &RoadGraph<'_>, mut route: Vec<usize>) -> Vec<usize> {
    let mut earlier: Vec<usize> = Vec::new();
    for (i, &block) in route.iter().enumerate() {
        if !graph.block(block).connector {
            continue;
        }
        let overlaps = |&e: &usize| overlap_area(&graph.block(e).polygon, &graph.block(block).polygon) > TOLERATED;
        if earlier.iter().any(overlaps) {
            route.truncate(i);
            break;
        }
        earlier.push(block);
    }
    route
}
