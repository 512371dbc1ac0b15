//! The native format and the check that every scenario passes.

use crate::fixture;
use serde_json::{Value, json};
use sim::Scenario;
use sim::import::{ImportError, Options, check, read, read_native};
use sim::scenario::{Agent, AgentKind, Control, Lane, LaneKind, Map, Turn, VERSION};

fn small() -> Scenario {
    let lane = |x: f32, next: Vec<usize>| Lane {
        points: vec![[x, 0.0], [x + 50.0, 0.0]],
        width: 3.5,
        limit: 13.9,
        next,
        left: None,
        right: None,
        turn: Turn::None,
        kind: LaneKind::Road,
    };
    let ego = Agent {
        kind: AgentKind::Car,
        size: [4.5, 1.9, 1.5],
        pose: [5.0, 0.0, 0.0],
        speed: 3.0,
        control: Control::Policy,
        route: vec![0, 1],
        desired_speed: 0.0,
        track: vec![[0.0, 5.0, 0.0, 0.0, 3.0], [0.1, 5.3, 0.0, 0.0, 3.0]],
        script: vec![],
        driver: None,
    };
    let map = Map { lanes: vec![lane(0.0, vec![1]), lane(50.0, vec![])], ..Map::default() };
    Scenario {
        version: VERSION,
        name: "small/0".into(),
        family: "small".into(),
        seed: 0,
        abilities: vec![],
        licence: String::new(),
        duration: 10.0,
        map,
        agents: vec![ego],
        hazard: None,
    }
}

#[test]
fn a_scenario_survives_writing_and_reading() {
    let scenario = small();
    let text = serde_json::to_string(&scenario).unwrap();
    assert_eq!(read_native(text.as_bytes()).unwrap(), scenario);
}

#[test]
fn every_family_passes_the_check() {
    for family in sim::families::ALL {
        // One of each: occlusion families search long for their scenario.
        let scenario = (family.make)(0);
        check(&scenario).unwrap_or_else(|e| panic!("{}: {e}", scenario.name));
    }
}

#[test]
fn the_later_version_is_named_before_its_unknown_fields() {
    let mut value = serde_json::to_value(small()).unwrap();
    value["version"] = json!(VERSION + 1);
    value["weather"] = json!("rain");
    let error = read_native(value.to_string().as_bytes()).unwrap_err();
    assert_eq!(error.to_string(), format!("version is {}; allowed: {VERSION}", VERSION + 1));
}

/// Sets the value at a JSON pointer and expects an error that says all of `words`.
fn refused(pointer: &str, value: Value, words: &[&str]) {
    let mut scenario = serde_json::to_value(small()).unwrap();
    *scenario.pointer_mut(pointer).unwrap_or_else(|| panic!("no {pointer}")) = value;
    let error = read_native(scenario.to_string().as_bytes()).expect_err(pointer).to_string();
    assert!(words.iter().all(|w| error.contains(w)), "{pointer}: {error}");
}

#[test]
fn each_rule_names_place_value_and_what_is_allowed() {
    refused("/duration", json!(0.0), &["duration is 0", "0.1 to 3600"]);
    refused("/duration", json!(1e39), &["number out of range", "line 1"]);
    refused("/map/lanes/0/next/0", json!(7), &["map.lanes[0].next[0] is 7", "below 2"]);
    refused("/map/lanes/1/width", json!(0.0), &["map.lanes[1].width is 0", "0.1 to 30"]);
    refused("/map/lanes/1/limit", json!(-3.0), &["map.lanes[1].limit is -3"]);
    refused("/map/lanes/0/points/1/0", json!(3e4), &["map.lanes[0].points[1] x is 30000", "20000 m"]);
    refused("/map/lanes/0/points", json!([[0.0, 0.0]]), &["map.lanes[0].points has 1 entries", "2 to"]);
    refused("/map/lanes/0/points", json!([[1.0, 2.0], [1.0, 2.0]]), &["map.lanes[0].points is 0 m long"]);
    refused("/map/areas", json!([[[0.0, 0.0], [1.0, 0.0]]]), &["map.areas[0] has 2 entries"]);
    refused("/map/crosswalks", json!([[[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]]]), &["map.crosswalks[0] has 3", "4 to 4"]);
    refused("/map/lines", json!([{"points": [[0.0, 0.0]], "mark": "solid"}]), &["map.lines[0].points has 1"]);
    refused("/agents", json!([]), &["agents has 0 entries", "1 to"]);
    refused("/agents/0/route/1", json!(9), &["agents[0].route[1] is 9"]);
    refused("/agents/0/route", json!([1, 0]), &["agents[0].route[1] is 0", "continue lane 1"]);
    refused("/agents/0/size/0", json!(0.0), &["agents[0].size[0] is 0"]);
    refused("/agents/0/speed", json!(400.0), &["agents[0].speed is 400", "-50 to 100"]);
    refused("/agents/0/pose/2", json!(1e9), &["agents[0].pose[2] is 1000000000"]);
    refused("/agents/0/track/1/0", json!(0.0), &["agents[0].track[1][0] is 0", "later than the 0 s"]);
    refused("/agents/0/track/1/1", json!(-4e4), &["agents[0].track[1] x is -40000"]);
}

#[test]
fn rules_of_furniture_and_scripts() {
    let stop = |lane: usize, rule: Value| json!([{"points": [[0.0, 1.0], [0.0, -1.0]], "lanes": [lane], "rule": rule}]);
    refused("/map/stop_lines", stop(5, json!("stop")), &["map.stop_lines[0].lanes[0] is 5"]);
    refused("/map/stop_lines", stop(0, json!({"light": 0})), &["map.stop_lines[0].rule.light is 0", "below 0"]);
    let light = |program: Value| json!([{"at": [0.0, 0.0], "heading": 0.0, "program": program}]);
    refused("/map/lights", light(json!([])), &["map.lights[0].program has 0"]);
    refused("/map/lights", light(json!([["red", 0.0]])), &["whole cycle", "is 0"]);
    refused("/map/lights", light(json!([["red", -1.0]])), &["map.lights[0].program[0][1] is -1"]);
    refused(
        "/map/signs",
        json!([{"at": [0.0, 0.0], "heading": 0.0, "kind": {"limit": 0}}]),
        &["map.signs[0].kind.limit is 0"],
    );
    let prop = json!([{"kind": "cone", "at": [0.0, 0.0], "heading": 0.0, "size": [0.3, 0.0, 1.0]}]);
    refused("/map/props", prop, &["map.props[0].size[1] is 0"]);
    let mut scenario = small();
    scenario.hazard = Some(1);
    assert!(check(&scenario).unwrap_err().to_string().contains("hazard is 1"));
    let script = |act: Value| {
        let mut value = serde_json::to_value(small()).unwrap();
        value["agents"][0]["script"] = json!([{"when": {"time": 1.0}, "act": act}]);
        read_native(value.to_string().as_bytes()).unwrap_err().to_string()
    };
    assert!(script(json!({"change": {"side": 2, "seconds": 3.0}})).contains("agents[0].script[0].act.side is 2"));
    assert!(script(json!({"brake": {"decel": 0.0, "to": 0.0}})).contains("agents[0].script[0].act.decel is 0"));
}

#[test]
fn not_a_number_is_refused_by_the_check() {
    let mut scenario = small();
    scenario.agents[0].pose[1] = f32::NAN;
    assert!(check(&scenario).unwrap_err().to_string().contains("agents[0].pose y is NaN"));
    let mut scenario = small();
    scenario.map.lanes[0].points[1][1] = f32::NAN;
    assert!(check(&scenario).unwrap_err().to_string().contains("map.lanes[0].points[1] y is NaN"));
}

#[test]
fn a_world_of_unbounded_memory_is_refused() {
    // Each list is within its bound; their product is not.
    let mut scenario = small();
    scenario.map.areas = vec![vec![[-2e4, -2e4], [2e4, -2e4], [2e4, 2e4]]];
    assert!(check(&scenario).unwrap_err().to_string().contains("boxes around map.areas"));
    let mut scenario = small();
    scenario.map.lanes[0].points = (0..100).map(|i| [if i % 2 == 0 { -2e4 } else { 2e4 }, 0.0]).collect();
    assert!(check(&scenario).unwrap_err().to_string().contains("sum of map.lanes' lengths"));
    let mut scenario = small();
    scenario.map.lanes[0].points = vec![[-2e4, 0.0], [2e4, 0.0]];
    scenario.agents = vec![scenario.agents[0].clone(); 100];
    assert!(check(&scenario).unwrap_err().to_string().contains("sum of agents' routes"));
}

#[test]
fn the_reader_picks_by_extension_and_content() {
    let options = Options::default();
    assert_eq!(read(&fixture("gpudrive.json"), &options).unwrap().family, "gpudrive");
    assert_eq!(read(&fixture("argoverse_map.json"), &options).unwrap().family, "argoverse");
    assert_eq!(read(&fixture("USA_US101-3_3_T-1.xml"), &options).unwrap().family, "commonroad");
    assert_eq!(read(&fixture("crossroads.xodr"), &options).unwrap().family, "opendrive");
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let native = file("small.JSON", &serde_json::to_string(&small()).unwrap());
    assert_eq!(read(&native, &options).unwrap(), small());
    assert!(matches!(read(&file("a.txt", "{}"), &options), Err(ImportError::UnknownFormat { .. })));
    assert!(matches!(read(&folder.path().join("none.json"), &options), Err(ImportError::Io { .. })));
    let error = read(&file("b.json", "{}"), &options).unwrap_err().to_string();
    assert!(error.contains("lane_segments") && error.contains("missing"), "{error}");
    let error = read(&file("c.json", "{\"version\": 1e400}"), &options).unwrap_err().to_string();
    assert!(error.contains("line 1"), "{error}");
}
