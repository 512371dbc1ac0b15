//! Objects and road pieces of a GPUDrive scene.

use super::{File, INVALID, Object, Road, STEP, local};
use crate::import::build::{WIDTH, recorded, row, usual_size};
use crate::import::check::MAX_ENTRIES;
use crate::import::connect::Barriers;
use crate::import::geometry::{P, along, at, distance, dot, left_of, length, narrow_all, quad, thin, unit};
use crate::import::route::Net;
use crate::import::{ImportError, Options};
use crate::scenario::{Agent, AgentKind, Control, Lane, LaneKind, Line, Map, Mark, Turn};
use std::collections::BTreeMap;

/// Road users, ego first, in the order of the file. Those never seen are left out.
pub(super) fn agents(file: &File, origin: P, options: &Options) -> Result<Vec<Agent>, ImportError> {
    let sdc = file.metadata.sdc_track_index;
    let seen = |o: &Object, k: usize| o.valid[k] && o.position[k].x != INVALID && o.position[k].y != INVALID;
    let ego = &file.objects[sdc];
    let Some(first) = (0..ego.valid.len()).find(|&k| seen(ego, k)) else {
        return Err(ImportError::value(format!("objects[{sdc}].valid"), "false throughout", "ego seen at least once"));
    };
    let read = |o: &Object, control: Control| {
        let rows = (first..o.valid.len()).filter(|&k| seen(o, k)).map(|k| {
            let speed = distance([o.velocity[k].x, o.velocity[k].y], [0.0; 2]);
            let reverse = dot([o.velocity[k].x, o.velocity[k].y], unit(o.heading[k])) < -0.5;
            row(
                (k - first) as f64 * STEP,
                local(&o.position[k], origin),
                o.heading[k],
                if reverse { -speed } else { speed },
            )
        });
        let kind = kind(&o.r#type, o.length)?;
        recorded(kind, size(o, kind), rows.collect(), control)
    };
    let mut agents = Vec::with_capacity(file.objects.len());
    let Some(ego) = read(ego, Control::Policy) else {
        let value = file.objects[sdc].r#type.clone();
        return Err(ImportError::value(format!("objects[{sdc}].type"), value, "vehicle, pedestrian, cyclist or other"));
    };
    agents.push(ego);
    let others = file.objects.iter().enumerate().filter(|(i, _)| *i != sdc);
    agents.extend(others.filter_map(|(_, o)| read(o, options.vehicle())));
    Ok(agents)
}

fn kind(name: &str, length: f64) -> Option<AgentKind> {
    match name {
        "vehicle" if length > 7.0 => Some(AgentKind::Truck),
        "vehicle" if length > 5.6 => Some(AgentKind::Van),
        "vehicle" => Some(AgentKind::Car),
        "pedestrian" => Some(AgentKind::Pedestrian),
        "cyclist" => Some(AgentKind::Cyclist),
        "other" => Some(if length < 3.0 { AgentKind::Motorcycle } else { AgentKind::Car }),
        _ => None,
    }
}

/// The size of the file, or the usual one of the kind where the file has none.
fn size(o: &Object, kind: AgentKind) -> [f32; 3] {
    let usual = usual_size(kind);
    let given = [o.length as f32, o.width as f32, o.height as f32];
    std::array::from_fn(|k| if given[k] > 0.05 { given[k] } else { usual[k] })
}

/// The map as drawn, lanes unconnected, and which lane each road id of the file became.
pub(super) fn map(file: &File, origin: P) -> (Map, BTreeMap<i64, usize>) {
    let mut map = Map::default();
    let mut ids = BTreeMap::new();
    for road in &file.roads {
        let points: Vec<P> = thin(&road.geometry.iter().map(|p| local(p, origin)).collect::<Vec<P>>());
        let two = points.len() >= 2;
        match element(road) {
            id @ 0..=3 if two => {
                ids.insert(road.id, map.lanes.len());
                map.lanes.push(lane(&points, id));
            }
            id @ 5..=13 if two => map.lines.push(Line { points: narrow_all(&points), mark: mark(id) }),
            14..=16 if two => map.edges.push(narrow_all(&points)),
            18 => map.crosswalks.extend(quad(&points).map(|q| narrow_all(&q))),
            20 if points.len() >= 3 => map.areas.push(narrow_all(&points)),
            _ => {}
        }
    }
    (map, ids)
}

/// The number of a road's kind; a file without numbers has names.
pub(super) fn element(road: &Road) -> u32 {
    road.map_element_id.unwrap_or(match road.r#type.as_str() {
        "lane" => 2,
        "road_line" => 7,
        "road_edge" => 15,
        "stop_sign" => 17,
        "crosswalk" => 18,
        "speed_bump" => 19,
        "driveway" => 20,
        _ => u32::MAX,
    })
}

fn lane(points: &[P], id: u32) -> Lane {
    // Limits until speeds are known: 65 mph, 35 mph, 25 km/h.
    let limit = match id {
        1 => 29.06,
        3 => 6.9,
        _ => 15.65,
    };
    let bicycle = id == 3;
    Lane {
        points: narrow_all(points),
        width: if bicycle { 1.5 } else { WIDTH as f32 },
        limit,
        next: Vec::new(),
        left: None,
        right: None,
        turn: Turn::None,
        kind: if bicycle { LaneKind::Bicycle } else { LaneKind::Road },
    }
}

fn mark(id: u32) -> Mark {
    match id {
        6 => Mark::Dashed,
        8 => Mark::Double,
        9 | 10 => Mark::YellowDashed,
        11 => Mark::Yellow,
        12 | 13 => Mark::YellowDouble,
        _ => Mark::Solid,
    }
}

/// The road surface beyond the lanes' width, where parked cars stand: from each lane across to the nearest edge within 9 m,
/// or else to the next lane. Nothing but road is reached without crossing an edge. Pieces of 10 m, so that they stay simple
/// in bends.
pub(super) fn surface(map: &mut Map, net: &Net) {
    const REACH: f64 = 9.0;
    let edges = Barriers::of(map.edges.iter());
    let centres = Barriers::of(map.lanes.iter().map(|l| &l.points));
    for (lane, shape) in map.lanes.iter().zip(&net.shapes).filter(|(l, _)| l.kind == LaneKind::Road) {
        let metres = length(shape);
        let half = f64::from(lane.width) / 2.0;
        let count = ((metres / 2.0).ceil() as usize).clamp(1, 10_000) + 1;
        let across: Vec<[P; 2]> = (0..count)
            .map(|i| {
                let (p, d) = at(shape, metres * i as f64 / (count - 1) as f64);
                let side = |aside: P| {
                    let far = along(p, aside, REACH);
                    // From 0.5 m aside, so as not to meet the lane itself.
                    let next = || centres.first(along(p, aside, 0.5), far).map(|f| 0.5 + f * (REACH - 0.5));
                    along(p, aside, edges.first(p, far).map(|f| f * REACH).or_else(next).unwrap_or(half))
                };
                let left = left_of(d);
                [side(left), side([-left[0], -left[1]])]
            })
            .collect();
        for piece in across.chunks(5).enumerate().map(|(k, _)| &across[5 * k..across.len().min(5 * k + 6)]) {
            let wider = piece.iter().any(|[l, r]| distance(*l, *r) > 2.0 * half + 0.3);
            if piece.len() > 1 && wider && map.areas.len() < MAX_ENTRIES {
                let ring = piece.iter().map(|s| s[0]).chain(piece.iter().rev().map(|s| s[1]));
                map.areas.push(narrow_all(&ring.collect::<Vec<P>>()));
            }
        }
    }
}
