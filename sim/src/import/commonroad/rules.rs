//! Traffic signs, lights and stop lines.

use super::lanelets::Lanelets;
use super::shape::value;
use super::{Context, id};
use crate::import::ImportError;
use crate::import::build::stop_line;
use crate::import::check::MAX_ENTRIES;
use crate::import::geometry::{P, at, heading, length, narrow};
use crate::import::route::Net;
use crate::import::xml::{child, children, need, number, place, point, text};
use crate::scenario::{Lamp, Light, Map, Sign, SignKind, StopRule};
use roxmltree::Node;
use std::collections::BTreeMap;

/// Reads signs and lights; limits go to the lanes that refer to them, stop lines to the end of theirs.
pub(super) fn read(
    root: Node,
    map: &mut Map,
    net: &Net,
    lanelets: &Lanelets,
    context: &Context,
) -> Result<(), ImportError> {
    let signs = table(root, "trafficSign")?;
    let lights = table(root, "trafficLight")?;
    let mut placed: BTreeMap<i64, usize> = BTreeMap::new();
    for (i, lanelet) in lanelets.list.iter().enumerate() {
        let mut rule = None;
        let line = child(lanelet.node, "stopLine");
        let both = || [Some(lanelet.node), line].into_iter().flatten();
        for (key, sign) in both().flat_map(|n| children(n, "trafficSignRef")).filter_map(|r| find(&signs, r)) {
            for element in children(sign, "trafficSignElement") {
                let Some(kind) = sign_kind(element)? else { continue };
                match kind {
                    Told::Limit(limit) => map.lanes[i].limit = limit as f32,
                    Told::Stop => rule = Some(StopRule::Stop),
                    Told::Yield => rule = Some(StopRule::Yield),
                }
                if !placed.contains_key(&key) && child(sign, "virtual").map(text) != Some("true") {
                    let beside = lanelet.right.last().copied().unwrap_or_default();
                    map.signs.push(stand(sign, kind, net, i, beside, context)?);
                }
            }
            placed.insert(key, i);
        }
        let light = both().flat_map(|n| children(n, "trafficLightRef")).find_map(|r| find(&lights, r));
        if let Some((key, node)) = light {
            rule = Some(StopRule::Light(light_of(map, &mut placed, key, node, net, i, context)?));
        }
        if let Some(rule) = rule {
            let mut stop = stop_line(&map.lanes, net, &[i], f64::INFINITY, rule);
            let ends: Result<Vec<P>, ImportError> =
                line.into_iter().flat_map(|l| children(l, "point")).map(|p| Ok(context.local(point(p)?))).collect();
            if let [left, right] = ends?[..] {
                stop.points = [narrow(left), narrow(right)];
            }
            map.stop_lines.push(stop);
        }
    }
    Ok(())
}

fn table<'a, 'i>(root: Node<'a, 'i>, name: &'static str) -> Result<BTreeMap<i64, Node<'a, 'i>>, ImportError> {
    let table: Result<BTreeMap<_, _>, ImportError> = children(root, name).map(|n| Ok((id(n, "id")?, n))).collect();
    let table = table?;
    if table.len() > MAX_ENTRIES {
        return Err(ImportError::Count { at: name.into(), count: table.len(), min: 0, max: MAX_ENTRIES });
    }
    Ok(table)
}

/// The sign or light that an element refers to; references to what the file lacks say nothing.
fn find<'a, 'i>(table: &BTreeMap<i64, Node<'a, 'i>>, reference: Node) -> Option<(i64, Node<'a, 'i>)> {
    let key = id(reference, "ref").ok()?;
    table.get(&key).map(|&n| (key, n))
}

/// What a sign element demands, of the kinds that a scenario knows.
#[derive(Clone, Copy)]
enum Told {
    Stop,
    Yield,
    /// m/s.
    Limit(f64),
}

/// Numbers of German signs (also Zamunda's, the fallback of the format), and of the American ones.
fn sign_kind(element: Node) -> Result<Option<Told>, ImportError> {
    let name = text(need(element, "trafficSignID")?);
    Ok(match name {
        "206" | "R1-1" => Some(Told::Stop),
        "205" | "R1-2" => Some(Told::Yield),
        "274" | "R2-1" => {
            let node = need(element, "additionalValue")?;
            let limit = number(node)?;
            if !(0.1..=150.0).contains(&limit) {
                return Err(ImportError::value(place(node), limit, "0.1 to 150 m/s"));
            }
            Some(Told::Limit(limit))
        }
        _ => None,
    })
}

/// A sign at its place, or beside the end of its lane, facing those who drive towards it.
fn stand(sign: Node, told: Told, net: &Net, lane: usize, beside: P, context: &Context) -> Result<Sign, ImportError> {
    let place = child(sign, "position").and_then(|p| child(p, "point"));
    let p = place.map_or(Ok(beside), |p| Ok(context.local(point(p)?)))?;
    let kind = match told {
        Told::Stop => SignKind::Stop,
        Told::Yield => SignKind::Yield,
        Told::Limit(limit) => SignKind::Limit((limit * 3.6).round().clamp(1.0, 255.0) as u8),
    };
    Ok(Sign { at: narrow(p), heading: toward_driver(net, lane), kind })
}

fn toward_driver(net: &Net, lane: usize) -> f32 {
    let shape = &net.shapes[lane];
    let (_, d) = at(shape, length(shape));
    heading([-d[0], -d[1]]) as f32
}

/// The light of a reference, made when it is first referred to.
fn light_of(
    map: &mut Map,
    placed: &mut BTreeMap<i64, usize>,
    key: i64,
    node: Node,
    net: &Net,
    lane: usize,
    context: &Context,
) -> Result<usize, ImportError> {
    if let Some(&light) = placed.get(&key) {
        return Ok(light);
    }
    let position = child(node, "position").and_then(|p| child(p, "point"));
    let shape = &net.shapes[lane];
    let p = position.map_or_else(|| Ok(at(shape, length(shape)).0), |p| Ok(context.local(point(p)?)))?;
    let (program, offset) = program(node, context)?;
    placed.insert(key, map.lights.len());
    map.lights.push(Light { at: narrow(p), heading: toward_driver(net, lane), program, offset });
    Ok(map.lights.len() - 1)
}

/// Phases and seconds into them at time 0. CommonRoad's phase at step t is that of t minus its offset.
fn program(node: Node, context: &Context) -> Result<(Vec<(Lamp, f32)>, f32), ImportError> {
    let off = (vec![(Lamp::Off, 1.0)], 0.0);
    if child(node, "active").map(text) == Some("false") {
        return Ok(off);
    }
    // Without a cycle a light is out of order.
    let Some(cycle) = child(node, "cycle") else { return Ok(off) };
    let mut program = Vec::new();
    let mut total = 0.0;
    for element in children(cycle, "cycleElement").take(256) {
        let seconds = number(need(element, "duration")?)? * context.step;
        let colour = need(element, "color")?;
        let lamp = match text(colour) {
            "red" | "redYellow" => Lamp::Red,
            "yellow" => Lamp::Yellow,
            "green" => Lamp::Green,
            "inactive" => Lamp::Off,
            other => {
                let other: String = other.chars().take(40).collect();
                let allowed = "red, redYellow, yellow, green or inactive";
                return Err(ImportError::value(place(colour), format!("`{other}`"), allowed));
            }
        };
        total += seconds;
        program.push((lamp, seconds as f32));
    }
    if program.is_empty() {
        return Err(ImportError::missing(format!("{}.cycleElement", place(cycle))));
    }
    let offset = match child(cycle, "timeOffset") {
        Some(offset) if total > 0.0 => (-value(offset)? * context.step).rem_euclid(total),
        _ => 0.0,
    };
    Ok((program, offset as f32))
}
