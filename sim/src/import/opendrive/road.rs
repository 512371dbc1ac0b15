//! Roads as the file has them: reference line, lane sections, links, limits.

use super::plan::{Cubic, Plan};
use crate::import::ImportError;
use crate::import::check::{MAX_ENTRIES, MAX_METRES};
use crate::import::geometry::P;
use crate::import::xml::{attribute, attribute_number, child, children, finite, need, place};
use roxmltree::Node;

/// Which end of a road.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Start,
    End,
}

/// What a road continues with.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Link {
    Road(String, End),
    Junction(String),
}

pub(super) struct Road<'a, 'i> {
    pub node: Node<'a, 'i>,
    pub id: &'a str,
    pub length: f64,
    /// Whether it is a connection inside a junction.
    pub junction: bool,
    /// Traffic drives on the left.
    pub left_hand: bool,
    pub plan: Plan,
    pub offsets: Vec<Cubic>,
    pub sections: Vec<Section<'a>>,
    pub before: Option<Link>,
    pub after: Option<Link>,
    /// Start and m/s.
    pub limits: Vec<(f64, f64)>,
}

pub(super) struct Section<'a> {
    pub start: f64,
    pub end: f64,
    /// By falling id: from the left border of the road to the right one, the centre (id 0) included.
    pub lanes: Vec<RoadLane<'a>>,
}

pub(super) struct RoadLane<'a> {
    pub id: i32,
    pub kind: &'a str,
    pub widths: Vec<Cubic>,
    pub marks: Vec<RoadMark<'a>>,
    pub before: Option<i32>,
    pub after: Option<i32>,
    /// Offset in the section and m/s.
    pub limits: Vec<(f64, f64)>,
}

impl RoadLane<'_> {
    /// The centre of a section that does not name it.
    fn centre() -> Self {
        RoadLane { id: 0, kind: "none", widths: vec![], marks: vec![], before: None, after: None, limits: vec![] }
    }
}

pub(super) struct RoadMark<'a> {
    pub offset: f64,
    pub kind: &'a str,
    pub yellow: bool,
}

/// Reads all roads.
pub(super) fn read<'a, 'i>(root: Node<'a, 'i>, origin: P) -> Result<Vec<Road<'a, 'i>>, ImportError> {
    let mut roads = Vec::new();
    let mut metres = 0.0;
    for node in children(root, "road") {
        let road = road(node, origin)?;
        metres += road.sections.iter().map(|s| (s.end - s.start) * s.lanes.len() as f64).sum::<f64>();
        // Before anything is sampled.
        if metres > MAX_METRES || roads.len() >= MAX_ENTRIES {
            let allowed = format!("at most {MAX_METRES} m and {MAX_ENTRIES} roads");
            return Err(ImportError::value("all lanes of all roads", format!("{metres} m"), allowed));
        }
        roads.push(road);
    }
    Ok(roads)
}

fn road<'a, 'i>(node: Node<'a, 'i>, origin: P) -> Result<Road<'a, 'i>, ImportError> {
    let length = attribute_number(node, "length")?;
    if !(0.0..=1e5).contains(&length) {
        return Err(ImportError::value(format!("{}.length", place(node)), length, "0 to 100000 m"));
    }
    let lanes = need(node, "lanes")?;
    let mut offsets = cubics(lanes, "laneOffset", "s")?;
    offsets.sort_by(|a, b| a.s.total_cmp(&b.s));
    let link = child(node, "link");
    let end = |name: &str| link.and_then(|l| child(l, name)).map(neighbour).transpose();
    Ok(Road {
        node,
        id: attribute(node, "id")?,
        length,
        junction: node.attribute("junction").is_some_and(|j| !matches!(j, "-1" | "")),
        left_hand: node.attribute("rule") == Some("LHT"),
        plan: Plan::read(need(node, "planView")?, origin)?,
        offsets,
        sections: sections(lanes, length)?,
        before: end("predecessor")?,
        after: end("successor")?,
        limits: limits(node)?,
    })
}

fn cubics(node: Node, name: &str, start: &str) -> Result<Vec<Cubic>, ImportError> {
    children(node, name).map(|n| Cubic::read(n, start)).collect()
}

fn neighbour(node: Node) -> Result<Link, ImportError> {
    let id = attribute(node, "elementId")?.to_owned();
    match attribute(node, "elementType")? {
        "junction" => Ok(Link::Junction(id)),
        "road" => Ok(Link::Road(id, contact(node)?)),
        other => {
            let other: String = other.chars().take(40).collect();
            Err(ImportError::value(format!("{}.elementType", place(node)), other, "road or junction"))
        }
    }
}

/// The attribute `contactPoint`.
pub(super) fn contact(node: Node) -> Result<End, ImportError> {
    match attribute(node, "contactPoint")? {
        "start" => Ok(End::Start),
        "end" => Ok(End::End),
        other => {
            let other: String = other.chars().take(40).collect();
            Err(ImportError::value(format!("{}.contactPoint", place(node)), other, "start or end"))
        }
    }
}

/// Limits of the road's types: their `<speed>`, or the usual one of the type.
fn limits(node: Node) -> Result<Vec<(f64, f64)>, ImportError> {
    let mut list = Vec::new();
    for kind in children(node, "type") {
        let usual = match kind.attribute("type") {
            Some("motorway") => 36.1,
            Some("rural") => 27.8,
            Some("lowSpeed") => 8.3,
            _ => 13.9,
        };
        let told = child(kind, "speed").map(speed).transpose()?.flatten();
        list.push((attribute_number(kind, "s")?, told.unwrap_or(usual)));
    }
    Ok(list)
}

/// `max` in m/s; none where there is no limit.
pub(super) fn speed(node: Node) -> Result<Option<f64>, ImportError> {
    let text = attribute(node, "max")?;
    if matches!(text, "no limit" | "undefined") {
        return Ok(None);
    }
    let unit = node.attribute("unit").unwrap_or("m/s");
    let factor = match unit {
        "m/s" | "" => 1.0,
        "km/h" => 1.0 / 3.6,
        "mph" => 0.44704,
        other => {
            let other: String = other.chars().take(40).collect();
            return Err(ImportError::value(format!("{}.unit", place(node)), other, "m/s, km/h or mph"));
        }
    };
    let limit = finite(text).map(|v| v * factor).filter(|v| (0.0..=150.0).contains(v));
    match limit {
        // Some editors write 0 or less for none.
        Some(v) if v < 0.1 => Ok(None),
        Some(v) => Ok(Some(v)),
        None => {
            let shown: String = text.chars().take(40).collect();
            Err(ImportError::value(format!("{}.max", place(node)), format!("`{shown}` {unit}"), "0 to 150 m/s"))
        }
    }
}

fn sections<'a>(lanes: Node<'a, '_>, length: f64) -> Result<Vec<Section<'a>>, ImportError> {
    let mut sections = Vec::new();
    for node in children(lanes, "laneSection") {
        let start = attribute_number(node, "s")?.clamp(0.0, length);
        let mut list = Vec::new();
        for side in ["left", "center", "right"] {
            for lane in child(node, side).into_iter().flat_map(|s| children(s, "lane")) {
                list.push(road_lane(lane)?);
            }
        }
        if list.len() > 256 {
            return Err(ImportError::Count { at: place(node), count: list.len(), min: 1, max: 256 });
        }
        if list.iter().all(|l: &RoadLane| l.id != 0) {
            list.push(RoadLane::centre());
        }
        list.sort_by_key(|l: &RoadLane| std::cmp::Reverse(l.id));
        sections.push(Section { start, end: length, lanes: list });
    }
    sections.sort_by(|a, b| a.start.total_cmp(&b.start));
    for k in 1..sections.len() {
        sections[k - 1].end = sections[k].start;
    }
    if sections.is_empty() {
        return Err(ImportError::missing(format!("{}.laneSection", place(lanes))));
    }
    Ok(sections)
}

fn road_lane<'a>(node: Node<'a, '_>) -> Result<RoadLane<'a>, ImportError> {
    let id = lane_id(node, "id")?;
    let link = child(node, "link");
    let linked = |name: &str| link.and_then(|l| child(l, name)).map(|l| lane_id(l, "id")).transpose();
    let mut widths = cubics(node, "width", "sOffset")?;
    widths.sort_by(|a, b| a.s.total_cmp(&b.s));
    let mut marks = Vec::new();
    for m in children(node, "roadMark") {
        let yellow = m.attribute("color") == Some("yellow");
        marks.push(RoadMark {
            offset: attribute_number(m, "sOffset")?,
            kind: m.attribute("type").unwrap_or("none"),
            yellow,
        });
    }
    marks.sort_by(|a, b| a.offset.total_cmp(&b.offset));
    let mut limits = Vec::new();
    for s in children(node, "speed") {
        limits.extend(speed(s)?.map(|v| (s, v)));
    }
    let limits: Result<Vec<(f64, f64)>, ImportError> =
        limits.into_iter().map(|(s, v)| Ok((attribute_number(s, "sOffset")?, v))).collect();
    let kind = node.attribute("type").unwrap_or("none");
    Ok(RoadLane {
        id,
        kind,
        widths,
        marks,
        before: linked("predecessor")?,
        after: linked("successor")?,
        limits: limits?,
    })
}

/// A lane's number.
pub(super) fn lane_id(node: Node, name: &str) -> Result<i32, ImportError> {
    let text = attribute(node, name)?;
    text.trim().parse::<i32>().ok().filter(|id| id.abs() < 1_000).ok_or_else(|| {
        let shown: String = text.chars().take(40).collect();
        ImportError::value(format!("{}.{name}", place(node)), format!("`{shown}`"), "an integer within 1000")
    })
}
