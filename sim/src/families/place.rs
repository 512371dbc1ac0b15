//! Where things may stand: oriented rectangles, their overlap, and the removal of background traffic that would overlap.

use super::curve::{Curve, distance, onto, shifted};
use super::roads::inside;
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
    is_off_road(map, pose, &quad) && !agents.iter().any(|a| overlap(&quad, &footprint(a, 0.3)) || walked(a))
}

/// Whether a rectangle around `pose` stays off lanes (shoulders and bicycle lanes as well) and areas.
fn is_off_road(map: &Map, pose: [f32; 3], quad: &[Point; 4]) -> bool {
    let centre = [pose[0], pose[1]];
    let radius = distance(centre, quad[0]);
    // Lanes as lines with half their width; the outline has to keep away from those in reach.
    let mut near: Vec<(Point, Point, f32)> = Vec::new();
    let mut note = |a: Point, b: Point, half: f32| {
        if onto(centre, a, b).1 < half + radius + 0.1 {
            near.push((a, b, half + 0.1));
        }
    };
    for lane in &map.lanes {
        lane.points.windows(2).for_each(|w| note(w[0], w[1], 0.5 * lane.width));
    }
    for area in &map.areas {
        let closing = area.iter().cycle().skip(1);
        area.iter().zip(closing).for_each(|(a, b)| note(*a, *b, 0.0));
    }
    let outline = Curve::through(&[quad[0], quad[1], quad[2], quad[3], quad[0]]);
    let steps = (outline.length() / 1.5).ceil().max(4.0) as usize;
    let clear = |p: Point| near.iter().all(|&(a, b, reach)| onto(p, a, b).1 >= reach);
    let at = |i: usize| outline.at(outline.length() * i as f32 / steps as f32);
    !map.areas.iter().any(|area| inside(centre, area))
        && clear(centre)
        && (0..steps).map(at).all(|p| clear([p[0], p[1]]))
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
