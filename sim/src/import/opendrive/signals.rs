//! Signals of simple kinds: stop, yield, limits, lights.
//!
//! Files say where lights are, not when they change: lights along the map's x axis get one half of a 36 s cycle, those
//! along y the other.

use super::lanes::Table;
use super::plan::Plan;
use super::road::Road;
use crate::import::ImportError;
use crate::import::build::stop_line;
use crate::import::check::MAX_ENTRIES;
use crate::import::geometry::{P, heading, length, narrow};
use crate::import::route::Net;
use crate::import::xml::{attribute_number, attribute_or, child, children, finite};
use crate::scenario::{Lamp, LaneKind, Light, Map, Sign, SignKind, StopRule};
use roxmltree::Node;

/// Type of the lights that pedestrians look at.
const PEDESTRIANS: &str = "1000002";

/// Reads the signals of all roads.
pub(super) fn read(roads: &[Road], table: &Table, net: &Net, map: &mut Map) -> Result<(), ImportError> {
    for (r, road) in roads.iter().enumerate() {
        for node in child(road.node, "signals").into_iter().flat_map(|s| children(s, "signal")) {
            let s = attribute_number(node, "s")?.clamp(0.0, road.length);
            let t = attribute_number(node, "t")?;
            if map.signs.len() + map.lights.len() >= MAX_ENTRIES {
                let count = map.signs.len() + map.lights.len();
                return Err(ImportError::Count { at: "signals".into(), count, min: 0, max: MAX_ENTRIES - 1 });
            }
            signal(node, (r, road, s), road.plan.beside(s, t), table, net, map)?;
        }
    }
    Ok(())
}

fn signal(
    node: Node,
    (r, road, s): (usize, &Road, f64),
    p: P,
    table: &Table,
    net: &Net,
    map: &mut Map,
) -> Result<(), ImportError> {
    let forward = node.attribute("orientation") != Some("-");
    let face = facing(&road.plan, s, forward);
    let kind = node.attribute("type").unwrap_or_default();
    let rule = match kind {
        "206" | "R1-1" => {
            map.signs.push(Sign { at: narrow(p), heading: face as f32, kind: SignKind::Stop });
            StopRule::Stop
        }
        "205" | "R1-2" => {
            map.signs.push(Sign { at: narrow(p), heading: face as f32, kind: SignKind::Yield });
            StopRule::Yield
        }
        "274" | "R2-1" => {
            map.signs.extend(limit_sign(node)?.map(|kind| Sign { at: narrow(p), heading: face as f32, kind }));
            return Ok(());
        }
        light if node.attribute("dynamic") == Some("yes") && light.starts_with("10000") && light != PEDESTRIANS => {
            StopRule::Light(map.lights.len())
        }
        _ => return Ok(()),
    };
    let lanes = closed(node, road, (r, s), forward, table, map)?;
    if let StopRule::Light(_) = rule {
        let d = crate::import::geometry::unit(face);
        let offset = if d[0].abs() > d[1].abs() { 0.0 } else { 18.0 };
        let program = vec![(Lamp::Green, 13.0), (Lamp::Yellow, 3.0), (Lamp::Red, 20.0)];
        map.lights.push(Light { at: narrow(p), heading: face as f32, program, offset });
    }
    let Some(&(lane, from)) = lanes.first() else { return Ok(()) };
    let numbers: Vec<usize> = lanes.iter().map(|l| l.0).collect();
    // Signs stand a little before the end of the road: its lanes are closed at their end.
    let whole = length(&net.shapes[lane]);
    let at = if whole - from < 10.0 { f64::INFINITY } else { from };
    map.stop_lines.push(stop_line(&map.lanes, net, &numbers, at.max(0.0), rule));
    Ok(())
}

/// Against the direction of those it is meant for.
fn facing(plan: &Plan, s: f64, forward: bool) -> f64 {
    let (_, d) = plan.at(s);
    heading(if forward { [-d[0], -d[1]] } else { d })
}

fn limit_sign(node: Node) -> Result<Option<SignKind>, ImportError> {
    let value = node.attribute("value").or(node.attribute("subtype")).and_then(finite).unwrap_or(0.0);
    let factor = match node.attribute("unit") {
        Some("m/s") => 3.6,
        Some("mph") => 1.609_344,
        _ => 1.0,
    };
    let kmh = (value * factor).round();
    Ok((1.0..=255.0).contains(&kmh).then_some(SignKind::Limit(kmh as u8)))
}

/// The lanes that a signal is meant for, and how far along them it stands.
fn closed(
    node: Node,
    road: &Road,
    (r, s): (usize, f64),
    forward: bool,
    table: &Table,
    map: &Map,
) -> Result<Vec<(usize, f64)>, ImportError> {
    let k = road.sections.iter().rposition(|section| section.start <= s + 1e-9).unwrap_or(0);
    let section = &road.sections[k];
    let valid: Option<(f64, f64)> = match child(node, "validity") {
        Some(v) => {
            let (a, b) = (attribute_or(v, "fromLane", -1e3)?, attribute_or(v, "toLane", 1e3)?);
            Some((a.min(b), a.max(b)))
        }
        None => None,
    };
    let meant = section.lanes.iter().filter(|l| valid.is_none_or(|(a, b)| (a..=b).contains(&f64::from(l.id))));
    let lanes = meant.filter_map(|l| table.get(&(r, k, l.id)));
    let driven = lanes.filter(|(lane, f)| *f == forward && map.lanes[*lane].kind == LaneKind::Road);
    Ok(driven.map(|&(lane, f)| (lane, if f { s - section.start } else { section.end - s })).collect())
}
