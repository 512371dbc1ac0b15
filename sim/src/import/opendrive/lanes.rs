//! Lane sections become lanes, pavements, lines and edges.

use super::plan::piecewise;
use super::road::{Road, RoadLane, Section};
use crate::import::ImportError;
use crate::import::check::MAX_LANES;
use crate::import::geometry::{P, length, narrow_all, thin, turn};
use crate::scenario::{Lane, LaneKind, Line, Map, Mark, Turn};
use std::collections::BTreeMap;

/// Metres between samples along the reference line.
const STEP: f64 = 2.0;

/// Lane of each road (position in the list), section and lane id, and whether it leads along rising s.
pub(super) type Table = BTreeMap<(usize, usize, i32), (usize, bool)>;

/// Whether a lane of this road is driven along rising s.
pub(super) fn along(road: &Road, id: i32) -> bool {
    (id < 0) != road.left_hand
}

/// Samples the lanes of all roads.
pub(super) fn build(roads: &[Road], map: &mut Map) -> Result<Table, ImportError> {
    let mut table = Table::new();
    for (r, road) in roads.iter().enumerate() {
        for (k, section) in road.sections.iter().enumerate() {
            if section.end - section.start < 0.01 {
                continue;
            }
            let shape = Shape::new(road, section);
            for (i, lane) in section.lanes.iter().enumerate().filter(|(_, l)| l.id != 0) {
                if let Some(made) = shape.lane(road, section, i) {
                    table.insert((r, k, lane.id), (map.lanes.len(), along(road, lane.id)));
                    map.lanes.push(made);
                    // A lane has one width; what it has more of in places is drivable all the same.
                    if shape.tapers(i) {
                        map.areas.extend(shape.polygon(i));
                    }
                } else if matches!(lane.kind, "border" | "restricted" | "roadWorks") {
                    map.areas.extend(shape.polygon(i));
                } else if matches!(lane.kind, "sidewalk" | "walking" | "median" | "curb") {
                    map.pavements.extend(shape.polygon(i));
                }
            }
            if map.lanes.len() > MAX_LANES {
                return Err(ImportError::Count { at: "lanes".into(), count: map.lanes.len(), min: 1, max: MAX_LANES });
            }
            shape.paint(road, section, map);
            beside(section, (r, k), &table, map);
        }
    }
    crate::import::check::lanes(map)?;
    Ok(table)
}

/// Borders of a section's lanes.
struct Shape {
    s: Vec<f64>,
    /// For each lane by falling id: distance of its outer border (the centre lane's is the centre) from the reference line.
    borders: Vec<Vec<f64>>,
    /// The same as points.
    points: Vec<Vec<P>>,
    /// Position of the centre lane.
    centre: usize,
}

impl Shape {
    fn new(road: &Road, section: &Section) -> Shape {
        let span = section.end - section.start;
        let count = (span / STEP).ceil().max(1.0) as usize + 1;
        let s: Vec<f64> = (0..count).map(|i| section.start + span * i as f64 / (count - 1) as f64).collect();
        let n = section.lanes.len();
        let centre = section.lanes.iter().position(|l| l.id == 0).unwrap_or(0);
        let mut borders = vec![Vec::with_capacity(count); n];
        for &at in &s {
            let middle = piecewise(&road.offsets, at);
            let width = |l: &RoadLane| if l.id == 0 { 0.0 } else { piecewise(&l.widths, at - section.start).max(0.0) };
            let mut t = middle;
            for i in (0..centre).rev() {
                t += width(&section.lanes[i]);
                borders[i].push(t);
            }
            t = middle;
            for (border, lane) in borders.iter_mut().zip(&section.lanes).skip(centre) {
                t -= width(lane);
                border.push(t);
            }
        }
        let place = |b: &Vec<f64>| s.iter().zip(b).map(|(&s, &t)| road.plan.beside(s, t)).collect();
        let points = borders.iter().map(place).collect();
        Shape { s, borders, points, centre }
    }

    /// Position of the lane whose border is the inner one of lane `i`; none where that is the bare reference line.
    fn inner(&self, i: usize) -> Option<usize> {
        if i < self.centre {
            (i + 1 < self.borders.len()).then_some(i + 1)
        } else {
            i.checked_sub(1).filter(|&j| j >= self.centre)
        }
    }

    fn lane(&self, road: &Road, section: &Section, i: usize) -> Option<Lane> {
        let lane = &section.lanes[i];
        let kind = match lane.kind {
            "driving" | "entry" | "exit" | "onRamp" | "offRamp" | "connectingRamp" | "bidirectional" | "bus"
            | "taxi" | "HOV" | "mwyEntry" | "mwyExit" => LaneKind::Road,
            "biking" => LaneKind::Bicycle,
            "shoulder" | "parking" | "stop" => LaneKind::Shoulder,
            _ => return None,
        };
        let inner = self.inner_border(road, i);
        let mut widths: Vec<f64> = self.borders[i].iter().zip(&inner).map(|(a, b)| (a - b).abs()).collect();
        let mut points: Vec<P> = self
            .s
            .iter()
            .zip(self.borders[i].iter().zip(&inner))
            .map(|(&s, (&a, &b))| road.plan.beside(s, (a + b) / 2.0))
            .collect();
        widths.sort_by(f64::total_cmp);
        let width = widths[widths.len() / 2];
        points = thin(&points);
        if !(0.5..=30.0).contains(&width) || points.len() < 2 || length(&points) < 0.05 {
            return None;
        }
        if !along(road, lane.id) {
            points.reverse();
        }
        let turn = if road.junction { turn(&points) } else { Turn::None };
        let limit = limit(road, section, lane) as f32;
        let (points, width) = (narrow_all(&points), width as f32);
        Some(Lane { points, width, limit, next: Vec::new(), left: None, right: None, turn, kind })
    }

    fn inner_border(&self, road: &Road, i: usize) -> Vec<f64> {
        match self.inner(i) {
            Some(j) => self.borders[j].clone(),
            None => self.s.iter().map(|&s| piecewise(&road.offsets, s)).collect(),
        }
    }

    fn tapers(&self, i: usize) -> bool {
        let Some(j) = self.inner(i) else { return false };
        let widths = self.borders[i].iter().zip(&self.borders[j]).map(|(a, b)| (a - b).abs());
        let (low, high) = widths.fold((f64::INFINITY, 0.0_f64), |(lo, hi), w| (lo.min(w), hi.max(w)));
        high - low > 0.3
    }

    fn polygon(&self, i: usize) -> Option<Vec<[f32; 2]>> {
        let inner = &self.points[self.inner(i)?];
        let ring: Vec<P> = self.points[i].iter().chain(inner.iter().rev()).copied().collect();
        let ring = thin(&ring);
        (ring.len() >= 3).then(|| narrow_all(&ring))
    }

    /// Road marks of every border, and an edge along the outermost lanes of roads outside junctions.
    fn paint(&self, road: &Road, section: &Section, map: &mut Map) {
        for (i, lane) in section.lanes.iter().enumerate() {
            for (k, mark) in lane.marks.iter().enumerate() {
                let from = section.start + mark.offset;
                let to = lane.marks.get(k + 1).map_or(section.end, |m| section.start + m.offset);
                let on = |s: &f64| (from - 1e-6..=to + 1e-6).contains(s);
                let part: Vec<P> = self.s.iter().zip(&self.points[i]).filter(|(s, _)| on(s)).map(|(_, &p)| p).collect();
                let part = thin(&part);
                if part.len() < 2 {
                    continue;
                }
                match style(mark.kind, mark.yellow) {
                    Painted::Line(mark) => map.lines.push(Line { points: narrow_all(&part), mark }),
                    Painted::Curb => map.edges.push(narrow_all(&part)),
                    Painted::Nothing => {}
                }
            }
        }
        if road.junction {
            return;
        }
        let paved = |l: &RoadLane| l.id != 0 && !matches!(l.kind, "sidewalk" | "walking" | "none" | "median" | "curb");
        let left = section.lanes.iter().position(|l| l.id > 0 && paved(l));
        let right = section.lanes.iter().rposition(|l| l.id < 0 && paved(l));
        if left.or(right).is_none() {
            return;
        }
        // A one-way road ends at its centre.
        for i in [left.unwrap_or(self.centre), right.unwrap_or(self.centre)] {
            let points = thin(&self.points[i]);
            if points.len() > 1 {
                map.edges.push(narrow_all(&points));
            }
        }
    }
}

fn limit(road: &Road, section: &Section, lane: &RoadLane) -> f64 {
    // A lane has one limit: what holds in its middle.
    let half = (section.end - section.start) / 2.0;
    let last = |list: &[(f64, f64)], s: f64| list.iter().rev().find(|(from, _)| *from <= s).map(|(_, v)| *v);
    last(&lane.limits, half).or_else(|| last(&road.limits, section.start + half)).unwrap_or(13.9)
}

enum Painted {
    Line(Mark),
    Curb,
    Nothing,
}

fn style(kind: &str, yellow: bool) -> Painted {
    Painted::Line(match (kind, yellow) {
        ("broken" | "broken broken" | "botts dots", false) => Mark::Dashed,
        ("broken" | "broken broken" | "botts dots", true) => Mark::YellowDashed,
        ("solid", false) => Mark::Solid,
        ("solid", true) => Mark::Yellow,
        ("solid solid" | "solid broken" | "broken solid", false) => Mark::Double,
        ("solid solid" | "solid broken" | "broken solid", true) => Mark::YellowDouble,
        ("curb", _) => return Painted::Curb,
        _ => return Painted::Nothing,
    })
}

/// Neighbours in the same direction, where the mark between them lets one change.
fn beside(section: &Section, (r, k): (usize, usize), table: &Table, map: &mut Map) {
    for lane in &section.lanes {
        let Some(&(made, forward)) = table.get(&(r, k, lane.id)) else { continue };
        // Facing along s the left one has the higher id.
        for (id, left) in [(lane.id + 1, forward), (lane.id - 1, !forward)] {
            let Some(&(other, _)) = table.get(&(r, k, id)).filter(|_| id.signum() == lane.id.signum()) else {
                continue;
            };
            // The mark between two lanes is that of the inner one's outer border.
            let between = if id.abs() < lane.id.abs() { id } else { lane.id };
            let solid = section
                .lanes
                .iter()
                .filter(|l| l.id == between)
                .flat_map(|l| l.marks.first())
                .any(|m| matches!(m.kind, "solid" | "solid solid" | "curb"));
            if !solid && map.lanes[made].kind == map.lanes[other].kind {
                let side = if left { &mut map.lanes[made].left } else { &mut map.lanes[made].right };
                *side = Some(other);
            }
        }
    }
}
