//! The planning problem: ego, its route, and how long it has.

use super::Context;
use super::lanelets::Lanelets;
use super::shape::{centre, latest, state};
use crate::import::ImportError;
use crate::import::build::{lay_lane, recorded, row, usual_size};
use crate::import::geometry::{P, along, unit};
use crate::import::route::{Net, ahead, extend, to_goal};
use crate::import::xml::{child, children, need};
use crate::scenario::{Agent, AgentKind, Control, LaneKind, Map};
use roxmltree::Node;

/// A planning problem.
pub(super) struct Problem {
    pub ego: Agent,
    /// Seconds of the file's time that become 0.
    pub start: f64,
    /// Seconds until the latest goal time.
    pub end: f64,
}

/// Reads the first planning problem; the file need not name a goal lanelet.
pub(super) fn read(
    root: Node,
    map: &mut Map,
    net: &Net,
    lanelets: &Lanelets,
    context: &Context,
) -> Result<Problem, ImportError> {
    let node = need(root, "planningProblem")?;
    let first = state(need(node, "initialState")?, context)?;
    let speed = first.speed.unwrap_or(0.0);
    let size = usual_size(AgentKind::Car);
    let pose = row(0.0, first.p, first.heading, speed);
    let Some(mut ego) = recorded(AgentKind::Car, size, vec![pose], Control::Policy) else {
        return Err(ImportError::missing("planningProblem.initialState"));
    };
    ego.track.clear();

    let mut goals = Vec::new();
    let mut end = 0.0_f64;
    for goal in children(node, "goalState") {
        if let Some(time) = child(goal, "time") {
            end = end.max(latest(time)? * context.step - first.time);
        }
        let Some(position) = child(goal, "position") else { continue };
        for reference in children(position, "lanelet") {
            goals.extend(lanelets.lane(reference)?);
        }
        if let Some(p) = centre(position)? {
            goals.extend(lanes_at(map, net, context.local(p)));
        }
    }
    let direction = unit(first.heading);
    // In a junction several lanes fit: the one that leads to the goal counts.
    let starts = net.lanes_of(&map.lanes, first.p, direction);
    let reached = starts.iter().find_map(|(lane, place)| {
        let mut route = to_goal(&map.lanes, net, *lane, &goals)?;
        extend(&map.lanes, net, &mut route, &goals, place.s + 20.0);
        Some(route)
    });
    ego.route = match (reached, starts.first()) {
        (Some(route), _) => route,
        // A goal that cannot be reached over lanelets leaves the way straight on.
        (None, Some((lane, _))) => ahead(&map.lanes, net, *lane, 200.0),
        (None, None) => vec![lay_lane(map, &[first.p, along(first.p, direction, 50.0)], 8.3)],
    };
    Ok(Problem { ego, start: first.time, end })
}

fn lanes_at(map: &Map, net: &Net, p: P) -> Vec<usize> {
    let inside = net
        .near(p, 5.0)
        .into_iter()
        .filter(|(i, n)| n.distance <= f64::from(map.lanes[*i].width) / 2.0 && map.lanes[*i].kind == LaneKind::Road);
    inside.map(|(i, _)| i).collect()
}
