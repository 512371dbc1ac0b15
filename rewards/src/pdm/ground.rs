//! The part of a scene that no agent and no plan changes.

use super::comfort::{Past, SixChecks};
use super::grid::{Class, Grid, MOST_LANES};
use super::{Compat, PdmError};
use scene::dynamics::{Knots, STATES, State, Tracker, targets};
use scene::geometry::{Point, Ring};
use scene::world::{DrivableKind, EgoStatus, Scene, SceneError};

pub(super) use super::center_line::CenterLine;

/// Map index, centre line, ego and its past: everything that scoring needs besides agents and a plan.
#[derive(Debug, Clone)]
pub struct Ground {
    /// Quirks that are kept.
    pub compat: Compat,
    /// Ego now.
    pub ego: EgoStatus,
    tracker: Tracker,
    pub(super) grid: Grid,
    intersections: Vec<Ring>,
    /// The set of lanes that belong to the route.
    pub(super) route: Vec<u64>,
    pub(super) line: CenterLine,
    /// Progress of the present centre, metres.
    pub(super) start_progress: f64,
    /// Ego's past, resampled for history comfort.
    pub(super) past: Past,
    pub(super) checks_v1: SixChecks,
    pub(super) checks_v2: SixChecks,
}

impl Ground {
    /// Indexes the map. Needs the scene's `centerline`, `route_lane_ids` and `drivable_map`; neither agents nor the
    /// PDM-Closed reference, so that reference can be searched with it.
    pub fn new(scene: &Scene, compat: Compat) -> Result<Ground, PdmError> {
        scene::world::check(scene)?;
        let missing = |field, rule| SceneError::Missing { scene: scene.name.clone(), field, rule };
        let line = scene.centerline.as_ref().ok_or_else(|| missing("centerline", "progress is measured along it"))?;
        let on_route =
            scene.route_lane_ids.as_ref().ok_or_else(|| missing("route_lane_ids", "they tell wrong-way driving"))?;
        let areas = scene.drivable_map.as_ref().ok_or_else(|| missing("drivable_map", "it tells where the road is"))?;

        let (mut polygons, mut lanes, mut route) = (Vec::new(), 0u32, Vec::new());
        for area in areas {
            let points = scene.map.polygon(area.kind, &area.id).unwrap_or_default();
            let class = match area.kind {
                DrivableKind::Lane | DrivableKind::LaneConnector => {
                    route.resize(lanes as usize / 64 + 1, 0u64);
                    if on_route.contains(&area.id) {
                        route[lanes as usize / 64] |= 1 << (lanes % 64);
                    }
                    lanes += 1;
                    Class::Lane(lanes - 1)
                }
                DrivableKind::Intersection => Class::Intersection,
                DrivableKind::Roadblock | DrivableKind::CarparkArea => Class::Drivable,
            };
            polygons.push((class, Ring::new(points.to_vec())));
        }
        if lanes as usize > MOST_LANES {
            let (scene, field, found) = (scene.name.clone(), "drivable_map".into(), lanes as usize);
            return Err(SceneError::Count { scene, field, found, rule: "at most 4096 lanes" }.into());
        }
        let junction = |(class, ring): &(Class, Ring)| (*class == Class::Intersection).then(|| ring.clone());
        let line = CenterLine::new(line.iter().map(|p| [p.x, p.y]).collect());
        let start = State::of_ego(&scene.ego);
        Ok(Ground {
            compat,
            ego: scene.ego,
            tracker: Tracker::new(compat.dynamics()),
            intersections: polygons.iter().filter_map(junction).collect(),
            grid: Grid::new(polygons, lanes as usize, start.center()),
            route,
            start_progress: line.progress(start.center()),
            line,
            past: Past::new(&scene.ego_history, &compat),
            checks_v1: SixChecks::v1(&compat),
            checks_v2: SixChecks::v2(&compat),
        })
    }

    /// Simulates ego along timed world poses.
    pub fn drive(&self, knots: &Knots) -> [State; STATES] {
        let mut states = [State::default(); STATES];
        self.drive_from(&self.ego, knots, &mut states);
        states
    }

    /// Simulates from any ego state along timed world poses.
    pub(super) fn drive_from(&self, ego: &EgoStatus, knots: &Knots, states: &mut [State; STATES]) {
        states[0] = State::of_ego(ego);
        self.tracker.simulate_into(states, &targets(knots, ego.time_us, self.compat.dynamics()));
    }

    /// The simulation's first state.
    pub fn start(&self) -> State {
        State::of_ego(&self.ego)
    }

    /// Whether the rear axle is in an intersection.
    pub(super) fn axle_in_intersection(&self, state: &State) -> bool {
        let axle: Point = [state.x, state.y];
        self.intersections.iter().any(|ring| ring.contains(axle))
    }
}
