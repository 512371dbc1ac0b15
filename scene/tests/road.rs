//! Roads of our own: route correction, centre lines, reactive traffic where the fixtures are too tame.
#![allow(clippy::unwrap_used)]

use scene::Pose;
use scene::derive::{self, DeriveError, RoadGraph};
use scene::dynamics::{STATES, State};
use scene::idm::{Config, IdmError, IdmTraffic, Quirks};
use scene::world::{AgentType, EgoStatus, Lane, Map, Roadblock, SCHEMA, Scene, Track2Hz};

const LENGTH: f64 = 20.0;

/// A straight lane from `(x, y)` along +x, 4 m wide, alone in the roadblock `r<id>`.
fn lane(id: &str, x: f64, y: f64, connector: bool, out: &[&str], inc: &[&str]) -> (Lane, Roadblock) {
    let names = |ids: &[&str]| ids.iter().map(|s| (*s).to_owned()).collect();
    let polygon = vec![[x, y - 2.0], [x + LENGTH, y - 2.0], [x + LENGTH, y + 2.0], [x, y + 2.0]];
    let lane = Lane {
        id: id.into(),
        roadblock: format!("r{id}"),
        connector,
        speed_limit: Some(10.0),
        centerline: (0..=10).map(|k| [x + f64::from(k) * LENGTH / 10.0, y]).collect(),
        polygon: polygon.clone(),
        out: names(out),
        inc: names(inc),
    };
    let block = Roadblock { id: format!("r{id}"), connector, polygon, lanes: vec![id.into()] };
    (lane, block)
}

fn scene(lanes: Vec<(Lane, Roadblock)>, route: &[&str], ego: [f64; 2]) -> Scene {
    let (lanes, roadblocks) = lanes.into_iter().unzip();
    let ego = EgoStatus { pose: Pose::new(ego[0], ego[1], 0.0), velocity: [5.0, 0.0], ..EgoStatus::default() };
    Scene {
        schema: SCHEMA.into(),
        name: "road".into(),
        map: Map { lanes, roadblocks, ..Map::default() },
        route_roadblock_ids: route.iter().map(|r| (*r).to_owned()).collect(),
        ego,
        ..Scene::default()
    }
}

/// a -> b -> c -> d in a row.
fn row(route: &[&str], ego: [f64; 2]) -> Scene {
    let ids = ["a", "b", "c", "d"];
    let lanes = (0..4).map(|i| {
        let neighbour = |k: Option<usize>| k.and_then(|k| ids.get(k)).map(|id| vec![*id]).unwrap_or_default();
        lane(ids[i], i as f64 * LENGTH, 0.0, i == 1, &neighbour(Some(i + 1)), &neighbour(i.checked_sub(1)))
    });
    scene(lanes.collect(), route, ego)
}

fn route_of(scene: &Scene) -> Result<Vec<String>, DeriveError> {
    let graph = RoadGraph::new(scene)?;
    let route = derive::corrected_route(scene, &graph)?;
    Ok(route.into_iter().map(|b| graph.block(b).id.clone()).collect())
}

#[test]
fn a_good_route_stays() {
    assert_eq!(route_of(&row(&["ra", "rb", "rc"], [5.0, 0.0])).unwrap(), ["ra", "rb", "rc"]);
}

#[test]
fn a_route_that_starts_ahead_is_led_back_to_ego() {
    assert_eq!(route_of(&row(&["rc", "rd"], [5.0, 0.0])).unwrap(), ["ra", "rb", "rc", "rd"]);
}

#[test]
fn a_route_that_starts_behind_is_joined_forward() {
    // Ego stands on c; nothing leads from d back to c before the route's first block, but c leads to d.
    let mut off = row(&["rb", "rd"], [45.0, 0.0]);
    off.map.lanes[1].inc.clear();
    off.map.lanes[1].out.clear();
    assert_eq!(route_of(&off).unwrap(), ["rc", "rd"]);
}

#[test]
fn gaps_are_filled() {
    assert_eq!(route_of(&row(&["ra", "rd"], [5.0, 0.0])).unwrap(), ["ra", "rb", "rc", "rd"]);
}

#[test]
fn a_route_ends_before_it_crosses_itself() {
    let mut crossing = row(&["ra", "rb", "rc", "rd"], [5.0, 0.0]);
    crossing.map.roadblocks[3].connector = true;
    crossing.map.roadblocks[3].polygon =
        crossing.map.roadblocks[1].polygon.iter().map(|p| [p[0], p[1] + 3.7]).collect();
    assert_eq!(route_of(&crossing).unwrap(), ["ra", "rb", "rc"], "6 m2 shared");
    crossing.map.roadblocks[3].polygon =
        crossing.map.roadblocks[1].polygon.iter().map(|p| [p[0], p[1] + 3.96]).collect();
    assert_eq!(route_of(&crossing).unwrap().len(), 4, "0.8 m2 shared");
}

#[test]
fn the_cheaper_of_two_ways_is_the_centre_line() {
    // a forks into a straight b and a detour e -> f, both lead to c.
    let mut fork = row(&["ra", "rb", "re", "rf", "rc"], [5.0, 0.0]);
    fork.map.lanes[0].out = vec!["e".into(), "b".into()];
    for (l, r) in [lane("e", 20.0, 4.0, false, &["f"], &["a"]), lane("f", 40.0, 4.0, false, &["c"], &["e"])] {
        fork.map.lanes.push(l);
        fork.map.roadblocks.push(r);
    }
    let full = derive::fill(&fork, true).unwrap();
    let line = full.centerline.unwrap();
    assert_eq!(line.len(), 33);
    assert!(line.iter().all(|p| p.y == 0.0));
    assert_eq!(full.route_lane_ids.unwrap(), ["a", "b", "e", "f", "c"]);
}

#[test]
fn the_deepest_lane_ends_the_line_of_a_broken_route() {
    let mut broken = row(&["ra", "rb", "rc", "rd"], [5.0, 0.0]);
    broken.map.lanes[2].out.clear();
    broken.map.lanes[3].inc.clear();
    let line = derive::fill(&broken, true).unwrap().centerline.unwrap();
    assert_eq!(line.last().unwrap().x, 60.0);
}

#[test]
fn bad_routes_are_named() {
    let error = |s: &Scene| derive::fill(s, true).unwrap_err();
    assert!(matches!(error(&row(&[], [5.0, 0.0])), DeriveError::EmptyRoute { .. }));
    assert!(matches!(error(&row(&["rx"], [5.0, 0.0])), DeriveError::UnknownRoadblock { id, .. } if id == "rx"));
    let mut flat = row(&["ra", "rb"], [5.0, 0.0]);
    flat.map.lanes[0].centerline = vec![[3.0, 0.0]; 4];
    assert!(matches!(error(&flat), DeriveError::FlatLane { lane, .. } if lane == "a"));
    let mut hollow = row(&["ra"], [5.0, 0.0]);
    hollow.map.roadblocks[0].lanes.clear();
    assert!(matches!(error(&hollow), DeriveError::NoLane { .. }));
    let mut gone = row(&["ra"], [5.0, 0.0]);
    gone.map.roadblocks[0].lanes.push("x".into());
    assert!(matches!(error(&gone), DeriveError::UnknownLane { id, .. } if id == "x"));
}

fn vehicle(token: &str, x: f64, v: f64) -> Track2Hz {
    Track2Hz {
        token: token.into(),
        kind: AgentType::Vehicle,
        size: [4.0, 2.0, 1.5],
        frames: vec![Some([x, 0.0, 0.0, v, 0.0]); 11],
    }
}

fn simulate(scene: &Scene) -> Result<Vec<Option<[f64; 5]>>, IdmError> {
    let states = [State::of_ego(&scene.ego); STATES];
    let traffic = IdmTraffic::build(scene, &[], Config::default(), Quirks::reference())?;
    Ok(traffic.simulate(&states)?.swap_remove(0).frames)
}

#[test]
fn a_vehicle_brakes_for_the_end_of_its_lane_and_stops() {
    let mut road = row(&["ra"], [70.0, 0.0]);
    road.agents_2hz = vec![vehicle("one", 4.0, 8.0)];
    let frames = simulate(&road).unwrap();
    let (first, last) = (frames[1].unwrap(), frames[40].unwrap());
    assert!((first[0] - 4.8).abs() < 1e-9, "the old speed moves it: {first:?}");
    assert!(last[0] <= 18.0 && last[3] < 1.0, "path without the last vertex ends at 18: {last:?}");
}

#[test]
fn a_follower_keeps_behind_its_leader() {
    let mut road = row(&["ra"], [70.0, 0.0]);
    road.map.lanes[0].centerline = (0..=50).map(|k| [f64::from(k) * 2.0, 0.0]).collect();
    road.agents_2hz = vec![vehicle("back", 3.0, 5.0), vehicle("front", 14.0, 0.0)];
    let frames = simulate(&road).unwrap();
    assert!(frames[40].unwrap()[0] < 14.0);
}

#[test]
fn invalid_traffic_is_said_so() {
    let mut short = row(&["ra"], [70.0, 0.0]);
    short.agents_2hz = vec![vehicle("one", 4.0, 8.0)];
    short.map.lanes[0].centerline = vec![[0.0, 0.0], [20.0, 0.0]];
    assert!(matches!(simulate(&short), Err(IdmError::ShortPath { vertices: 1, .. })));
    // The path ends at 2 m, the vehicle stands at 15 m: it never touches its own path.
    short.map.lanes[0].centerline = vec![[0.0, 0.0], [2.0, 0.0], [20.0, 0.0]];
    short.agents_2hz = vec![vehicle("one", 15.0, 8.0)];
    assert!(matches!(simulate(&short), Err(IdmError::OffPath { step: 1, .. })));
    short.agents_2hz[0].frames[0] = Some([f64::NAN, 0.0, 0.0, 1.0, 0.0]);
    assert!(matches!(simulate(&short), Err(IdmError::NotFinite { .. })));
}
