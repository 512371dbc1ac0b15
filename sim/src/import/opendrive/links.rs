//! Which lane continues which: through sections, between roads, through junctions.

use super::lanes::{Table, along};
use super::road::{End, Link, Road, contact, lane_id};
use crate::import::ImportError;
use crate::import::xml::{attribute, children};
use crate::scenario::Map;
use roxmltree::Node;
use std::collections::BTreeMap;

/// Fills `next` of all lanes.
pub(super) fn connect(root: Node, roads: &[Road], table: &Table, map: &mut Map) -> Result<(), ImportError> {
    let index: BTreeMap<&str, usize> = roads.iter().enumerate().map(|(i, r)| (r.id, i)).collect();
    for (&(r, k, id), &(lane, forward)) in table {
        let road = &roads[r];
        let Some(own) = road.sections[k].lanes.iter().find(|l| l.id == id) else { continue };
        for end in [End::Start, End::End] {
            let linked = if end == End::Start { own.before } else { own.after };
            let Some(to) = linked else { continue };
            // The lane that touches this one at that end, and at which of its own ends.
            let touching = match end {
                End::Start if k > 0 => Some((r, k - 1, End::End)),
                End::End if k + 1 < road.sections.len() => Some((r, k + 1, End::Start)),
                _ => match if end == End::Start { &road.before } else { &road.after } {
                    Some(Link::Road(id, contact)) => {
                        index.get(id.as_str()).map(|&o| (o, section(&roads[o], *contact), *contact))
                    }
                    _ => None,
                },
            };
            let Some((other, &(to, to_forward))) =
                touching.and_then(|(o, k, contact)| Some((contact, table.get(&(o, k, to))?)))
            else {
                continue;
            };
            // One leaves at the end of a lane along s and at the start of the others.
            let leaves = forward == (end == End::End);
            let enters = to_forward == (other == End::Start);
            match (leaves, enters) {
                (true, true) => map.lanes[lane].next.push(to),
                (false, false) => map.lanes[to].next.push(lane),
                _ => {}
            }
        }
    }
    for junction in children(root, "junction") {
        junction_links(junction, roads, &index, table, map)?;
    }
    for lane in &mut map.lanes {
        lane.next.sort_unstable();
        lane.next.dedup();
    }
    Ok(())
}

/// The section at an end of a road.
fn section(road: &Road, end: End) -> usize {
    if end == End::Start { 0 } else { road.sections.len() - 1 }
}

fn junction_links(
    junction: Node,
    roads: &[Road],
    index: &BTreeMap<&str, usize>,
    table: &Table,
    map: &mut Map,
) -> Result<(), ImportError> {
    let id = attribute(junction, "id")?;
    for connection in children(junction, "connection") {
        // Virtual and direct junctions have no connecting road.
        let named = |name: &str| connection.attribute(name).and_then(|id| index.get(id).copied());
        let (Some(from), Some(to)) = (named("incomingRoad"), named("connectingRoad")) else { continue };
        let at = contact(connection)?;
        for link in children(connection, "laneLink") {
            let (a, b) = (lane_id(link, "from")?, lane_id(link, "to")?);
            let forward = along(&roads[from], a);
            // The end where this lane is left must be the one at the junction.
            let (end, linked) =
                if forward { (End::End, &roads[from].after) } else { (End::Start, &roads[from].before) };
            if !matches!(linked, Some(Link::Junction(j)) if j == id) {
                continue;
            }
            let leaving = table.get(&(from, section(&roads[from], end), a));
            let entering = table.get(&(to, section(&roads[to], at), b));
            if let (Some(&(lane, _)), Some(&(next, next_forward))) = (leaving, entering)
                && next_forward == (at == End::Start)
            {
                map.lanes[lane].next.push(next);
            }
        }
    }
    Ok(())
}
