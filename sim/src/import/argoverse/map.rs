//! The vector map: lane segments with boundaries and neighbours, drivable areas, crossings.

use crate::import::ImportError;
use crate::import::check::{MAX_ENTRIES, MAX_LANES};
use crate::import::connect::{cut, trim_edges};
use crate::import::geometry::{P, centre, dot, ends, mean, narrow_all, nearest, quad, sub, thin, turn, wide};
use crate::import::native::parse;
use crate::import::route::Net;
use crate::scenario::{Lane, LaneKind, Line, Map, Mark, Point, Turn};
use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Deserialize)]
struct File {
    lane_segments: BTreeMap<String, Segment>,
    #[serde(default)]
    drivable_areas: BTreeMap<String, Area>,
    #[serde(default)]
    pedestrian_crossings: BTreeMap<String, Crossing>,
}

#[derive(Deserialize)]
struct Xy {
    x: f64,
    y: f64,
}

#[derive(Deserialize)]
struct Segment {
    id: i64,
    is_intersection: bool,
    lane_type: String,
    left_lane_boundary: Vec<Xy>,
    right_lane_boundary: Vec<Xy>,
    left_lane_mark_type: String,
    right_lane_mark_type: String,
    successors: Vec<i64>,
    left_neighbor_id: Option<i64>,
    right_neighbor_id: Option<i64>,
}

#[derive(Deserialize)]
struct Area {
    area_boundary: Vec<Xy>,
}

#[derive(Deserialize)]
struct Crossing {
    edge1: Vec<Xy>,
    edge2: Vec<Xy>,
}

/// Reads a map; returns what was subtracted from its positions.
pub(super) fn read(bytes: &[u8]) -> Result<(Map, P), ImportError> {
    let file: File = parse("Argoverse 2 map", bytes)?;
    let bounds = file.lane_segments.values().flat_map(|s| s.left_lane_boundary.iter().chain(&s.right_lane_boundary));
    let origin = mean(bounds.map(|p| [p.x, p.y]));
    let local = |points: &[Xy]| -> Vec<P> { points.iter().map(|p| sub([p.x, p.y], origin)).collect() };
    let count = file.lane_segments.len();
    if count > MAX_LANES {
        return Err(ImportError::Count { at: "lane_segments".into(), count, min: 1, max: MAX_LANES });
    }
    let ids: BTreeMap<i64, usize> = file.lane_segments.values().enumerate().map(|(i, s)| (s.id, i)).collect();
    let mut map = Map::default();
    for (key, segment) in &file.lane_segments {
        let at = format!("lane_segments.{}", key.chars().take(40).collect::<String>());
        let (left, right) = (local(&segment.left_lane_boundary), local(&segment.right_lane_boundary));
        for (name, points) in [("left_lane_boundary", &left), ("right_lane_boundary", &right)] {
            if !(2..=MAX_ENTRIES).contains(&points.len()) {
                let at = format!("{at}.{name}");
                return Err(ImportError::Count { at, count: points.len(), min: 2, max: MAX_ENTRIES });
            }
        }
        map.lanes.push(lane(&at, segment, &left, &right, &ids)?);
    }
    crate::import::check::lanes(&map)?;
    neighbours(&mut map, &file, &ids);
    paint(&mut map, &file, &ids, local);
    let mut rings: Vec<Vec<Point>> = Vec::new();
    for area in file.drivable_areas.values() {
        let mut ring = thin(&local(&area.area_boundary));
        if ring.len() > 3 {
            rings.push(narrow_all(&ring));
            // Rings come closed.
            ring.pop();
            map.areas.push(narrow_all(&ring));
        }
    }
    // Areas meet in the middle of roads: no edge there.
    let wide_rings: Vec<Vec<P>> = rings.iter().map(|r| r.iter().map(|&p| wide(p)).collect()).collect();
    for (i, ring) in rings.iter().enumerate() {
        let others = || wide_rings.iter().enumerate().filter(move |(j, _)| *j != i).map(|(_, r)| r);
        map.edges.extend(cut(ring, |p| others().any(|r| nearest(r, p).distance < 0.5)));
    }
    let net = Net::new(&map.lanes);
    trim_edges(&mut map, &net);
    for crossing in file.pedestrian_crossings.values() {
        let ring: Vec<P> = local(&crossing.edge1).into_iter().chain(local(&crossing.edge2).into_iter().rev()).collect();
        map.crosswalks.extend(quad(&ring).map(|q| narrow_all(&q)));
    }
    Ok((map, origin))
}

fn lane(at: &str, s: &Segment, left: &[P], right: &[P], ids: &BTreeMap<i64, usize>) -> Result<Lane, ImportError> {
    let (points, width) = centre(left, right);
    // Maps are cut out of a city: successors outside are not listed.
    let next = s.successors.iter().filter_map(|id| ids.get(id).copied()).collect();
    // The maps have no limits: 25 mph is that of most of their streets.
    let (kind, limit) = match s.lane_type.as_str() {
        "VEHICLE" | "BUS" => (LaneKind::Road, 11.18),
        "BIKE" => (LaneKind::Bicycle, 6.9),
        other => {
            let other: String = other.chars().take(40).collect();
            return Err(ImportError::value(format!("{at}.lane_type"), other, "VEHICLE, BUS or BIKE"));
        }
    };
    let turn = if s.is_intersection && points.len() > 1 { turn(&points) } else { Turn::None };
    Ok(Lane { points: narrow_all(&points), width: width as f32, limit, next, left: None, right: None, turn, kind })
}

/// Neighbours that lead the same way and may be changed to; the file also names oncoming ones.
fn neighbours(map: &mut Map, file: &File, ids: &BTreeMap<i64, usize>) {
    let heads: Vec<(P, P)> =
        map.lanes.iter().map(|l| ends(&l.points.iter().map(|&p| wide(p)).collect::<Vec<P>>())).collect();
    for (i, segment) in file.lane_segments.values().enumerate() {
        let beside = |id: Option<i64>, mark: &str| {
            let j = id.and_then(|id| ids.get(&id).copied())?;
            let same = dot(heads[i].0, heads[j].0) > 0.7 && map.lanes[i].kind == map.lanes[j].kind && i != j;
            (same && may_cross(mark)).then_some(j)
        };
        let left = beside(segment.left_neighbor_id, &segment.left_lane_mark_type);
        let right = beside(segment.right_neighbor_id, &segment.right_lane_mark_type);
        (map.lanes[i].left, map.lanes[i].right) = (left, right);
    }
}

fn may_cross(mark: &str) -> bool {
    !matches!(
        mark,
        "SOLID_WHITE"
            | "SOLID_YELLOW"
            | "DOUBLE_SOLID_YELLOW"
            | "DOUBLE_SOLID_WHITE"
            | "SOLID_BLUE"
            | "SOLID_DASH_YELLOW"
            | "SOLID_DASH_WHITE"
    )
}

/// Each marked boundary once: the lane with the lower number paints what both sides have.
fn paint(map: &mut Map, file: &File, ids: &BTreeMap<i64, usize>, local: impl Fn(&[Xy]) -> Vec<P>) {
    for (i, s) in file.lane_segments.values().enumerate() {
        let sides = [
            (&s.left_lane_boundary, &s.left_lane_mark_type, s.left_neighbor_id),
            (&s.right_lane_boundary, &s.right_lane_mark_type, s.right_neighbor_id),
        ];
        for (points, mark, beside) in sides {
            let Some(mark) = style(mark) else { continue };
            let twin = beside
                .and_then(|id| ids.get(&id).copied())
                .filter(|&j| j < i && map.lanes[j].kind == map.lanes[i].kind);
            if twin.is_none() {
                map.lines.push(Line { points: narrow_all(&local(points)), mark });
            }
        }
    }
}

fn style(mark: &str) -> Option<Mark> {
    let yellow = mark.ends_with("YELLOW");
    match mark {
        "NONE" | "UNKNOWN" => None,
        m if m.starts_with("DASHED") => Some(if yellow { Mark::YellowDashed } else { Mark::Dashed }),
        m if m.starts_with("SOLID_DASH") || m.starts_with("DASH_SOLID") || m.starts_with("DOUBLE") => {
            Some(if yellow { Mark::YellowDouble } else { Mark::Double })
        }
        _ => Some(if yellow { Mark::Yellow } else { Mark::Solid }),
    }
}
