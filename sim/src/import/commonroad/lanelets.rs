//! Lanelets: lanes, their relations, paint between them and edges beside them.

use super::{Context, id};
use crate::import::ImportError;
use crate::import::check::{MAX_ENTRIES, MAX_LANES};
use crate::import::geometry::{P, centre, distance, narrow_all, quad};
use crate::import::xml::{child, children, need, number, place, point, text};
use crate::scenario::{Lane, LaneKind, Line, Map, Mark, Turn};
use roxmltree::Node;
use std::collections::BTreeMap;

/// The lanelets that became lanes, in the order of lanes.
pub(super) struct Lanelets<'a, 'i> {
    /// Lane of each lanelet id.
    pub lanes: BTreeMap<i64, usize>,
    /// In the order of lanes.
    pub list: Vec<Lanelet<'a, 'i>>,
    /// Ids of lanelets that are something else: pavements, crossings.
    other: Vec<i64>,
}

/// A lanelet with what is needed after its lane is made.
pub(super) struct Lanelet<'a, 'i> {
    pub node: Node<'a, 'i>,
    pub left: Vec<P>,
    pub right: Vec<P>,
    left_mark: Option<&'a str>,
    right_mark: Option<&'a str>,
    /// Lane to the left and whether it leads the same way.
    beside_left: Option<(usize, bool)>,
    beside_right: Option<(usize, bool)>,
}

impl Lanelets<'_, '_> {
    /// The lane that an element's `ref` names; none where it names a pavement or a crossing.
    pub(super) fn lane(&self, node: Node) -> Result<Option<usize>, ImportError> {
        let id = id(node, "ref")?;
        if self.other.contains(&id) {
            return Ok(None);
        }
        let lane = self.lanes.get(&id).copied();
        lane.map(Some).ok_or_else(|| ImportError::value(format!("{}.ref", place(node)), id, "the id of a lanelet"))
    }
}

/// Reads all lanelets; lanes get widths, limits, successors and neighbours.
pub(super) fn read<'a, 'i>(root: Node<'a, 'i>, context: &Context) -> Result<(Map, Lanelets<'a, 'i>), ImportError> {
    let mut map = Map::default();
    let mut lanelets = Lanelets { lanes: BTreeMap::new(), list: Vec::new(), other: Vec::new() };
    let default = usual_limit(root);
    for node in children(root, "lanelet") {
        let at = id(node, "id")?;
        let (left, left_mark) = bound(node, "leftBound", context)?;
        let (right, right_mark) = bound(node, "rightBound", context)?;
        let types: Vec<&str> = children(node, "laneletType").map(text).collect();
        let is = |name: &str| types.contains(&name);
        if is("sidewalk") || is("crosswalk") {
            let ring: Vec<P> = left.iter().chain(right.iter().rev()).copied().collect();
            match is("crosswalk") {
                true => map.crosswalks.extend(quad(&ring).map(|q| narrow_all(&q))),
                false => map.pavements.push(narrow_all(&ring)),
            }
            lanelets.other.push(at);
            continue;
        }
        let (points, width) = centre(&left, &right);
        let widths = left.iter().zip(&right).map(|(&l, &r)| distance(l, r));
        if left.len() == right.len() && widths.fold(0.0, f64::max) > width + 0.3 {
            // A lane has one width; what it has more of in places is drivable all the same.
            map.areas.push(narrow_all(&left.iter().chain(right.iter().rev()).copied().collect::<Vec<P>>()));
        }
        let limit = match child(node, "speedLimit") {
            Some(limit) => number(limit)?,
            None if is("highway") || is("interstate") => 33.3,
            None if is("country") => 27.8,
            None if is("urban") => 13.9,
            None => default,
        };
        let kind = match () {
            () if is("bicycleLane") => LaneKind::Bicycle,
            () if is("shoulder") || is("parking") => LaneKind::Shoulder,
            () => LaneKind::Road,
        };
        if lanelets.lanes.insert(at, map.lanes.len()).is_some() || map.lanes.len() >= MAX_LANES {
            let allowed = format!("{MAX_LANES} lanelets with ids of their own");
            return Err(ImportError::value(format!("lanelet {}", map.lanes.len()), at, allowed));
        }
        map.lanes.push(Lane {
            points: narrow_all(&points),
            width: width as f32,
            limit: limit as f32,
            next: Vec::new(),
            left: None,
            right: None,
            turn: Turn::None,
            kind,
        });
        lanelets.list.push(Lanelet { node, left, right, left_mark, right_mark, beside_left: None, beside_right: None });
    }
    // A lane whose points coincide would break what follows; `check` has the words for it.
    crate::import::check::lanes(&map)?;
    relate(&mut map, &mut lanelets)?;
    Ok((map, lanelets))
}

/// What is allowed where neither lanelet nor sign says so, m/s: by the tags of the scenario.
fn usual_limit(root: Node) -> f64 {
    let tags = root.attribute("tags").unwrap_or_default();
    let tagged = |name: &str| {
        tags.split_whitespace().any(|t| t == name)
            || child(root, "scenarioTags").is_some_and(|t| child(t, name).is_some())
    };
    if tagged("interstate") || tagged("highway") { 33.3 } else { 13.9 }
}

fn bound<'a>(node: Node<'a, '_>, name: &str, context: &Context) -> Result<(Vec<P>, Option<&'a str>), ImportError> {
    let bound = need(node, name)?;
    let points: Result<Vec<P>, ImportError> = children(bound, "point").map(|p| Ok(context.local(point(p)?))).collect();
    let points = points?;
    if !(2..=MAX_ENTRIES).contains(&points.len()) {
        let at = format!("{}.point", place(bound));
        return Err(ImportError::Count { at, count: points.len(), min: 2, max: MAX_ENTRIES });
    }
    Ok((points, child(bound, "lineMarking").map(text).filter(|m| !matches!(*m, "unknown" | "no_marking"))))
}

fn relate(map: &mut Map, lanelets: &mut Lanelets) -> Result<(), ImportError> {
    for i in 0..lanelets.list.len() {
        let node = lanelets.list[i].node;
        for n in children(node, "successor") {
            if let Some(next) = lanelets.lane(n)? {
                map.lanes[i].next.push(next);
            }
        }
        for n in children(node, "predecessor") {
            if let Some(before) = lanelets.lane(n)? {
                map.lanes[before].next.push(i);
            }
        }
        let beside = |name: &str| -> Result<Option<(usize, bool)>, ImportError> {
            let Some(n) = child(node, name) else { return Ok(None) };
            Ok(lanelets.lane(n)?.map(|lane| (lane, n.attribute("drivingDir") == Some("same"))))
        };
        let (left, right) = (beside("adjacentLeft")?, beside("adjacentRight")?);
        let same = |side: Option<(usize, bool)>, mark: Option<&str>| {
            let lane = side.filter(|s| s.1 && may_cross(mark)).map(|s| s.0);
            lane.filter(|&l| l != i && map.lanes[l].kind == map.lanes[i].kind)
        };
        let l = &mut lanelets.list[i];
        (map.lanes[i].left, map.lanes[i].right) = (same(left, l.left_mark), same(right, l.right_mark));
        (l.beside_left, l.beside_right) = (left, right);
    }
    for lane in &mut map.lanes {
        lane.next.sort_unstable();
        lane.next.dedup();
    }
    Ok(())
}

fn may_cross(mark: Option<&str>) -> bool {
    !matches!(mark, Some("solid" | "broad_solid" | "solid_solid" | "curb" | "lowered_curb"))
}

/// How connectors turn, where the file says so.
pub(super) fn junctions(root: Node, map: &mut Map, lanelets: &Lanelets) -> Result<(), ImportError> {
    let turns =
        [("successorsLeft", Turn::Left), ("successorsStraight", Turn::Straight), ("successorsRight", Turn::Right)];
    for incoming in children(root, "intersection").flat_map(|i| children(i, "incoming")) {
        for (name, turn) in turns {
            for node in children(incoming, name) {
                if let Some(lane) = lanelets.lane(node)? {
                    map.lanes[lane].turn = turn;
                }
            }
        }
    }
    Ok(())
}

/// Lines where the file marks them; in a file without marks, dashes between lanes and solid lines beside them. Edges where
/// a lane outside junctions has no neighbour.
pub(super) fn paint(map: &mut Map, lanelets: &Lanelets, context: &Context) {
    let marked = lanelets.list.iter().any(|l| l.left_mark.is_some() || l.right_mark.is_some());
    for (i, l) in lanelets.list.iter().enumerate() {
        let sides = [(&l.left, l.left_mark, l.beside_left, true), (&l.right, l.right_mark, l.beside_right, false)];
        for (points, mark, beside, left) in sides {
            let open = map.lanes[i].turn == Turn::None;
            // The lane with the lower number paints the line between two, unless only the other one has it marked.
            let twin = beside.map(|(j, same)| {
                let other = &lanelets.list[j];
                (j, if same == left { other.right_mark } else { other.left_mark })
            });
            let ours = twin.is_none_or(|(j, theirs)| i < j || theirs.is_none());
            let opposite = beside.is_some_and(|(_, same)| !same);
            let mark = match mark {
                Some("curb" | "lowered_curb") => {
                    map.edges.push(narrow_all(points));
                    continue;
                }
                Some(mark) => Some(style(mark, opposite && context.american)),
                None if marked || !open => None,
                None if beside.is_some() && !opposite => Some(Mark::Dashed),
                None => Some(style("solid", opposite && context.american)),
            };
            if let Some(mark) = mark
                && ours
            {
                map.lines.push(Line { points: narrow_all(points), mark });
            }
            if beside.is_none() && open {
                map.edges.push(narrow_all(points));
            }
        }
    }
}

fn style(mark: &str, yellow: bool) -> Mark {
    match (mark, yellow) {
        ("dashed" | "broad_dashed" | "dashed_dashed", false) => Mark::Dashed,
        ("dashed" | "broad_dashed" | "dashed_dashed", true) => Mark::YellowDashed,
        ("solid_solid" | "solid_dashed" | "dashed_solid", false) => Mark::Double,
        (_, false) => Mark::Solid,
        ("broad_solid" | "solid_solid" | "solid_dashed" | "dashed_solid", true) => Mark::YellowDouble,
        (_, true) => Mark::Yellow,
    }
}
