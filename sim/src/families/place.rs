//! Where things may stand: oriented rectangles, their overlap, and the removal of background traffic that would overlap.

use super::curve::{Curve, shifted};
use super::roads::clear_of_road;
use crate::scenario::{Agent, Map, Point};

/// Corners of an oriented rectangle, grown by a margin.
pub fn corners(pose: [f32; 3], size: [f32; 2], margin: f32) -> [Point; 4] {
    let (l, w) = (0.5 * size[0] + margin, 0.5 * size[1] + margin);
    [[l, w], [-l, w], [-l, -w], [l, -w]].map(|[f, s]| shifted(pose, f, s))
}

/// Whether two convex quadrilaterals overlap (separating axes).
pub fn overlap(a: &[Point; 4], b: &[Point; 4]) -> bool {
    let separated = |a: &[Point; 4], b: &[Point; 4]| {
        (0..2).any(|i| {
            let axis = [a[i + 1][0] - a[i][0], a[i + 1][1] - a[i][1]];
            let span = |q: &[Point; 4]| {
                let along = q.map(|p| p[0] * axis[0] + p[1] * axis[1]);
                (along.iter().copied().fold(f32::MAX, f32::min), along.iter().copied().fold(f32::MIN, f32::max))
            };
            let ((a0, a1), (b0, b1)) = (span(a), span(b));
            a1 < b0 || b1 < a0
        })
    };
    !separated(a, b) && !separated(b, a)
}

/// Footprint of a road user.
pub fn footprint(agent: &Agent, margin: f32) -> [Point; 4] {
    corners(agent.pose, [agent.size[0], agent.size[1]], margin)
}

/// Whether a rectangle stays off the road, the road users and the lines they walk.
pub fn is_free(map: &Map, agents: &[Agent], pose: [f32; 3], size: [f32; 2]) -> bool {
    let quad = corners(pose, size, 0.3);
    let outline = Curve::through(&[quad[0], quad[1], quad[2], quad[3], quad[0]]);
    let steps = (outline.length() / 1.5).ceil().max(4.0) as usize;
    let clear = |i: usize| {
        let pose = outline.at(outline.length() * i as f32 / steps as f32);
        clear_of_road(map, [pose[0], pose[1]], 0.1)
    };
    let walked = |agent: &Agent| {
        let line: Vec<Point> = agent.track.iter().map(|row| [row[1], row[2]]).collect();
        if line.len() < 2 {
            return false;
        }
        let line = Curve::through(&line);
        (0..=line.length() as usize + 1).any(|s| {
            let p = line.at((s as f32).min(line.length()));
            overlap(&quad, &corners(p, [1.2, 1.2], 0.0))
        })
    };
    clear_of_road(map, [pose[0], pose[1]], 0.1)
        && !agents.iter().any(|a| overlap(&quad, &footprint(a, 0.3)) || walked(a))
        && (0..steps).all(clear)
}

/// Keeps, of every pair of road users that would start too near each other, the first. `hazard` is the index
/// of one of them, before and after.
pub fn unclash(agents: &mut Vec<Agent>, hazard: &mut Option<usize>) {
    let mut kept: Vec<Agent> = Vec::new();
    let mut found = None;
    for (i, agent) in agents.drain(..).enumerate() {
        let own = footprint(&agent, 0.3);
        if !kept.iter().any(|k| overlap(&own, &footprint(k, 0.3))) {
            if *hazard == Some(i) {
                found = Some(kept.len());
            }
            kept.push(agent);
        }
    }
    (*agents, *hazard) = (kept, found);
}
