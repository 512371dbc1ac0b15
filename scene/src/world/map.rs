//! The map around a scene. Polygons are open rings of world points, convex or not, in either direction.

use crate::geometry::Point;
use serde::{Deserialize, Serialize};

/// Everything the scorer and the rule planner know of the road.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Map {
    /// Lanes and lane connectors.
    pub lanes: Vec<Lane>,
    /// Roadblocks (parallel lanes of one direction) and roadblock connectors.
    pub roadblocks: Vec<Roadblock>,
    /// Junction areas.
    pub intersections: Vec<Area>,
    /// Car parks.
    pub carparks: Vec<Area>,
}

/// A lane, or a lane connector through a junction.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Lane {
    /// Unique among lanes.
    pub id: String,
    /// Id of the roadblock (or roadblock connector) it belongs to.
    pub roadblock: String,
    /// Whether it is a lane connector.
    pub connector: bool,
    /// m/s.
    #[serde(default)]
    pub speed_limit: Option<f64>,
    /// Base line in driving direction.
    pub centerline: Vec<Point>,
    /// Its area.
    pub polygon: Vec<Point>,
    /// Successor lane ids.
    #[serde(default)]
    pub out: Vec<String>,
    /// Predecessor lane ids.
    #[serde(default)]
    pub inc: Vec<String>,
}

/// Parallel lanes of one direction, or the connectors between two such groups.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Roadblock {
    /// Unique among roadblocks.
    pub id: String,
    /// Whether it is a roadblock connector.
    pub connector: bool,
    /// Its area.
    pub polygon: Vec<Point>,
    /// Ids of its lanes.
    #[serde(default)]
    pub lanes: Vec<String>,
}

/// A plain named area.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Area {
    /// Unique among its kind.
    pub id: String,
    /// Its area.
    pub polygon: Vec<Point>,
}

/// One entry of the drivable map: a reference to a map object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrivableArea {
    /// Id of the object among its kind.
    pub id: String,
    /// What the object is.
    #[serde(rename = "type")]
    pub kind: DrivableKind,
}

/// Kinds of map objects the scorer tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum DrivableKind {
    /// A roadblock: drivable.
    Roadblock,
    /// A lane.
    Lane,
    /// A lane connector.
    LaneConnector,
    /// A junction: drivable.
    Intersection,
    /// A car park: drivable.
    CarparkArea,
}

impl DrivableKind {
    /// Whether being inside makes ego "on the road" (spec 6: lanes alone do not).
    pub fn is_drivable(self) -> bool {
        matches!(self, DrivableKind::Roadblock | DrivableKind::Intersection | DrivableKind::CarparkArea)
    }

    /// Whether it is a lane or a lane connector.
    pub fn is_lane(self) -> bool {
        matches!(self, DrivableKind::Lane | DrivableKind::LaneConnector)
    }
}

impl Map {
    /// The polygon of an object, `None` when there is no object of that kind and id.
    pub fn polygon(&self, kind: DrivableKind, id: &str) -> Option<&[Point]> {
        let area = |areas: &'_ [Area]| areas.iter().position(|a| a.id == id);
        match kind {
            DrivableKind::Roadblock => self.roadblocks.iter().find(|r| r.id == id).map(|r| r.polygon.as_slice()),
            DrivableKind::Lane | DrivableKind::LaneConnector => self.lane(id).map(|l| l.polygon.as_slice()),
            DrivableKind::Intersection => area(&self.intersections).map(|i| self.intersections[i].polygon.as_slice()),
            DrivableKind::CarparkArea => area(&self.carparks).map(|i| self.carparks[i].polygon.as_slice()),
        }
    }

    /// The lane or connector of an id.
    pub fn lane(&self, id: &str) -> Option<&Lane> {
        self.lanes.iter().find(|l| l.id == id)
    }
}
