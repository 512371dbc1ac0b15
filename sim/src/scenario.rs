//! The native scenario format: everything that is needed to drive, draw and score one situation, as one JSON file.
//!
//! Importers and scenario families write it; [`crate::world::World`] is compiled from it and is what the simulator runs.
//! World metres around a local origin, x east, y north, headings in radians counter-clockwise from +x, seconds.

use serde::{Deserialize, Serialize};

/// Version that this program writes and reads.
pub const VERSION: u32 = 1;
/// Seconds between simulator steps.
pub const DT: f32 = 0.1;

/// A point, metres.
pub type Point = [f32; 2];

/// One situation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// [`VERSION`].
    pub version: u32,
    /// Unique in its suite, for example `cut_in/3`.
    pub name: String,
    /// Scenario family, or the importer's name.
    pub family: String,
    /// What it was drawn with; 0 for recordings.
    #[serde(default)]
    pub seed: u64,
    /// Bench2Drive abilities.
    #[serde(default)]
    pub abilities: Vec<Ability>,
    /// Licence of the data.
    #[serde(default)]
    pub licence: String,
    /// Seconds after which the episode ends.
    pub duration: f32,
    /// Roads and what stands beside them.
    pub map: Map,
    /// Everyone; the first is ego.
    pub agents: Vec<Agent>,
    /// A hidden hazard that an occlusion family promises: checked by [`crate::visibility`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hazard: Option<usize>,
}

/// The five abilities of Bench2Drive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ability {
    /// Joining, crossing and changing streams of traffic.
    Merging,
    /// Getting past what stands in the way.
    Overtaking,
    /// Braking for what appears.
    EmergencyBrake,
    /// Making room.
    GiveWay,
    /// Lights, signs and junction rules.
    TrafficSign,
}

impl Ability {
    /// Every ability, in the order of tables.
    pub const ALL: [Ability; 5] =
        [Ability::Merging, Ability::Overtaking, Ability::EmergencyBrake, Ability::GiveWay, Ability::TrafficSign];
}

/// Roads, rules and solids.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Map {
    /// Lanes and lane connectors; an id is a position in this list.
    pub lanes: Vec<Lane>,
    /// Drivable areas beyond the lanes (junctions, car parks): simple closed polygons.
    pub areas: Vec<Vec<Point>>,
    /// Painted lines.
    pub lines: Vec<Line>,
    /// Kerbs and other road borders, drawn as a raised strip.
    pub edges: Vec<Vec<Point>>,
    /// Zebra crossings: convex quadrilaterals, first side across the road... any order of the corners around.
    pub crosswalks: Vec<Vec<Point>>,
    /// Pavements beside the road: simple closed polygons, drawn only.
    pub pavements: Vec<Vec<Point>>,
    /// Where lights and signs hold traffic.
    pub stop_lines: Vec<StopLine>,
    /// Traffic lights; a stop line refers to a position in this list.
    pub lights: Vec<Light>,
    /// Signs.
    pub signs: Vec<Sign>,
    /// Solid things that never move: they can be hit and they hide what is behind them.
    pub props: Vec<Prop>,
}

/// A lane: one direction of driving.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lane {
    /// Centre line in driving direction, at least 2 points.
    pub points: Vec<Point>,
    /// Metres.
    pub width: f32,
    /// m/s.
    pub limit: f32,
    /// Lanes that continue it.
    #[serde(default)]
    pub next: Vec<usize>,
    /// Lane to the left in the same direction that may be changed to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left: Option<usize>,
    /// Lane to the right in the same direction that may be changed to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub right: Option<usize>,
    /// Whether it lies inside a junction, and how it turns there.
    #[serde(default)]
    pub turn: Turn,
    /// Who uses it.
    #[serde(default)]
    pub kind: LaneKind,
}

/// What a lane does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Turn {
    /// An ordinary lane, outside junctions.
    #[default]
    None,
    /// A connector that leads straight on.
    Straight,
    /// A connector that turns left.
    Left,
    /// A connector that turns right.
    Right,
}

/// Who uses a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LaneKind {
    /// Motor traffic.
    #[default]
    Road,
    /// Bicycles only.
    Bicycle,
    /// Hard shoulder or parking strip: on the road, not for driving.
    Shoulder,
}

/// Paint on the road.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// At least 2 points.
    pub points: Vec<Point>,
    /// How it looks.
    pub mark: Mark,
}

/// Kinds of paint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mark {
    /// White, 3 m on and 9 m off.
    #[default]
    Dashed,
    /// White.
    Solid,
    /// Yellow, 3 m on and 9 m off.
    YellowDashed,
    /// Yellow.
    Yellow,
    /// Two yellow lines.
    YellowDouble,
    /// Two white lines.
    Double,
    /// A kerb or border drawn as a thin grey strip.
    Border,
}

/// A line at which to stop.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StopLine {
    /// From left to right as the driver sees it.
    pub points: [Point; 2],
    /// Lanes that it closes.
    pub lanes: Vec<usize>,
    /// Why one stops.
    pub rule: StopRule,
}

/// Why one stops at a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopRule {
    /// While this light is red.
    Light(usize),
    /// Once, to a standstill.
    Stop,
    /// While others with priority are near.
    Yield,
}

/// A traffic light with a fixed programme.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Light {
    /// Where its pole stands.
    pub at: Point,
    /// Direction in which the lamps shine (toward the driver).
    pub heading: f32,
    /// Phases in order, repeated: colour and seconds.
    pub program: Vec<(Lamp, f32)>,
    /// Seconds into the programme at time 0.
    #[serde(default)]
    pub offset: f32,
}

/// Which lamp is lit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lamp {
    /// Stop.
    #[default]
    Red,
    /// About to change.
    Yellow,
    /// Go.
    Green,
    /// Out of order.
    Off,
}

/// A sign.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sign {
    /// Where its pole stands.
    pub at: Point,
    /// Direction in which its face looks (toward the driver).
    pub heading: f32,
    /// What it says.
    pub kind: SignKind,
}

/// What a sign says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SignKind {
    /// Octagon.
    Stop,
    /// Triangle on its tip.
    Yield,
    /// Speed limit, km/h.
    Limit(u8),
    /// Warning triangle: road works.
    Works,
    /// Warning triangle: pedestrians.
    Pedestrians,
}

/// A solid that never moves.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prop {
    /// What it is.
    pub kind: PropKind,
    /// Centre.
    pub at: Point,
    /// Radians.
    pub heading: f32,
    /// Length along the heading, width, height in metres.
    pub size: [f32; 3],
}

/// What a solid is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PropKind {
    /// A house.
    Building,
    /// A hedge.
    Hedge,
    /// A tree: trunk and crown.
    Tree,
    /// A wall or fence.
    Wall,
    /// A traffic cone.
    Cone,
    /// A red and white barrier.
    Barrier,
    /// A container or hoarding.
    Container,
}

/// A road user.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Agent {
    /// What it is.
    pub kind: AgentKind,
    /// Length, width, height in metres.
    pub size: [f32; 3],
    /// Start: centre x, y, heading.
    pub pose: [f32; 3],
    /// Start: m/s.
    pub speed: f32,
    /// Who moves it.
    pub control: Control,
    /// Lanes to follow, in order, each continuing the one before; empty when a track says where it goes. Ego's is its route.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub route: Vec<usize>,
    /// Desired speed on a free road, m/s; 0: the lane's limit.
    #[serde(default)]
    pub desired_speed: f32,
    /// Recorded or planned poses `[t, x, y, heading, speed]`, rising in t. [`Control::Replay`] follows it by time;
    /// [`Control::Walk`] follows its line at its own speed and starts when the script says so.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub track: Vec<[f32; 5]>,
    /// What it does when, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub script: Vec<Cue>,
    /// Driver parameters other than the default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub driver: Option<Driver>,
}

/// What a road user is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum AgentKind {
    /// A car.
    #[default]
    Car,
    /// A van.
    Van,
    /// A lorry.
    Truck,
    /// A bus.
    Bus,
    /// An ambulance, a police car: blue lights flashing.
    Emergency,
    /// A motor bike.
    Motorcycle,
    /// A bicycle with rider.
    Cyclist,
    /// A person on foot.
    Pedestrian,
}

impl AgentKind {
    /// Whether hitting it counts as hitting a pedestrian (Bench2Drive counts cyclists as vehicles).
    pub fn is_pedestrian(self) -> bool {
        self == AgentKind::Pedestrian
    }
}

/// Who moves a road user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Control {
    /// A policy outside the simulator, through a bicycle model. Ego always is.
    #[default]
    Policy,
    /// The intelligent driver model along its route; changes lane by MOBIL where `driver.mobil`.
    Idm,
    /// Recorded poses, whatever happens.
    Replay,
    /// Recorded poses until ego comes into its safe distance, then the intelligent driver model along the recorded line.
    ReactiveReplay,
    /// Stands still.
    Static,
    /// Moves along the line of its track at constant speed once its script says [`Act::Go`].
    Walk,
}

/// A step of a script: when the cue's condition first holds (and all cues before it have happened), the act begins.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cue {
    /// Condition.
    pub when: When,
    /// Act.
    pub act: Act,
}

/// Conditions.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// Scenario time, seconds.
    Time(f32),
    /// Ego's centre within so many metres of a point.
    EgoNear {
        /// Where.
        at: Point,
        /// Metres.
        within: f32,
    },
    /// Ego, at its present speed, reaches the point of its route nearest to `at` within so many seconds.
    EgoArrives {
        /// Where.
        at: Point,
        /// Seconds.
        within: f32,
    },
    /// Ego's bumper to this agent's along ego's route: less than so many metres ahead of ego.
    EgoGap(f32),
    /// This agent's centre is so many metres or more ahead of ego's along ego's heading.
    AheadOfEgo(f32),
    /// So many seconds after the cue before.
    After(f32),
}

/// Acts.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// Start to move: a walker walks, a standing driver drives.
    Go,
    /// Brake with this deceleration (m/s²) to a speed (m/s) and hold it there.
    Brake {
        /// m/s², positive.
        decel: f32,
        /// m/s.
        to: f32,
    },
    /// A new desired speed, m/s; ends a [`Act::Brake`].
    Speed(f32),
    /// Move to the lane to the left (+1) or right (-1), whoever is there, within so many seconds.
    Change {
        /// +1 left, -1 right.
        side: i8,
        /// Seconds.
        seconds: f32,
    },
    /// Drift so many metres to the left (negative: right) of the lane's centre within so many seconds.
    Drift {
        /// Metres.
        offset: f32,
        /// Seconds.
        seconds: f32,
    },
    /// Disregard lights, signs and right of way from now on.
    IgnoreRules,
    /// Disregard ego from now on.
    IgnoreEgo,
}

/// Parameters of the intelligent driver model and of MOBIL.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Driver {
    /// Largest acceleration, m/s².
    pub accel: f32,
    /// Comfortable deceleration, m/s².
    pub decel: f32,
    /// Standstill gap, metres.
    pub gap: f32,
    /// Time headway, seconds.
    pub headway: f32,
    /// Whether it changes lanes by MOBIL.
    pub mobil: bool,
    /// MOBIL's regard for others, 0 to 1.
    pub politeness: f32,
}

impl Default for Driver {
    /// The intelligent driver model of nuPlan's agents with a livelier acceleration.
    fn default() -> Self {
        Driver { accel: 1.5, decel: 2.5, gap: 2.0, headway: 1.5, mobil: false, politeness: 0.3 }
    }
}
