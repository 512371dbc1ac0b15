//! GPUDrive: an invented scene in the exact schema, two carriageway lanes with a crossing and a stop sign.

use crate::{bytes, edited, near};
use sim::Scenario;
use sim::import::{Options, read_gpudrive};
use sim::scenario::{AgentKind, Control, Lamp, LaneKind, Mark, Point, SignKind, StopRule, Turn};

const FILE: &str = "gpudrive.json";

fn scene() -> Scenario {
    read_gpudrive(&bytes(FILE), &Options::default()).unwrap()
}

/// A point relative to where ego starts: (10, 0) in the file's local metres.
fn local(s: &Scenario, p: Point) -> Point {
    [p[0] - s.agents[0].pose[0] + 10.0, p[1] - s.agents[0].pose[1]]
}

#[test]
fn objects_become_agents_with_ego_first() {
    let s = scene();
    assert_eq!((s.name.as_str(), s.family.as_str(), s.duration), ("00000000000000ff", "gpudrive", 9.0));
    // 8 objects less one of unset type and one that is never valid.
    let kinds: Vec<AgentKind> = s.agents.iter().map(|a| a.kind).collect();
    use AgentKind::{Car, Cyclist, Pedestrian, Truck};
    assert_eq!(kinds, [Car, Car, Pedestrian, Cyclist, Truck, Car]);
    assert_eq!(s.agents[0].control, Control::Policy);
    assert!(s.agents[1..].iter().all(|a| a.control == Control::Replay));
    assert_eq!((s.agents[0].size, s.agents[0].speed, s.agents[0].track.len()), ([5.0, 2.1, 1.6], 10.0, 91));
    let end = s.agents[0].track[90];
    assert!(near(local(&s, [end[1], end[2]]), [100.0, 0.0], 1e-2) && (end[0] - 9.0).abs() < 1e-5);
    // Backwards: 1 m/s against its heading.
    assert_eq!(s.agents[5].speed, -1.0);
}

#[test]
fn invalid_states_leave_gaps() {
    let s = scene();
    let walker = &s.agents[2];
    // Valid from step 20 to 79 without 40.
    assert_eq!(walker.track.len(), 59);
    assert!((walker.track[0][0] - 2.0).abs() < 1e-6 && (walker.track[58][0] - 7.9).abs() < 1e-6);
    assert!((walker.track[20][0] - walker.track[19][0] - 0.2).abs() < 1e-5);
    let all = s.agents.iter().flat_map(|a| &a.track);
    assert!(all.clone().all(|r| r[1].abs() < 200.0 && r[2].abs() < 200.0));
}

#[test]
fn positions_are_relative_to_the_mean() {
    let s = scene();
    let rows: Vec<&[f32; 5]> = s.agents.iter().flat_map(|a| &a.track).collect();
    // The object of unset type counts in the mean although it is no agent: 91 states at the file's (0, 0).
    let (n, lost) = (rows.len() as f32, 91.0);
    let origin = [s.agents[0].pose[0] - 10.0, s.agents[0].pose[1]];
    let mean = |k: usize| (rows.iter().map(|r| r[k]).sum::<f32>() + lost * origin[k - 1]) / (n + lost);
    assert!(mean(1).abs() < 0.01 && mean(2).abs() < 0.01, "{} {}", mean(1), mean(2));
}

#[test]
fn lanes_connect_by_their_ends() {
    let s = scene();
    let lanes = &s.map.lanes;
    // A lane of one point is none.
    assert_eq!(lanes.len(), 5);
    assert_eq!(lanes[0].next, vec![1, 3]);
    assert!(lanes[1..].iter().all(|l| l.next.is_empty()));
    assert_eq!((lanes[3].turn, lanes[0].turn), (Turn::Right, Turn::None));
    assert_eq!((lanes[0].left, lanes[1].left, lanes[2].right), (Some(2), Some(2), Some(0)));
    assert_eq!((lanes[4].kind, lanes[4].left, lanes[4].width), (LaneKind::Bicycle, None, 1.5));
    // 3.5 m from its neighbour; the turning lane has none.
    assert!((lanes[0].width - 3.5).abs() < 0.01 && lanes[3].width == 3.7);
    // The record ends where lane 0 does; the route goes straight on for 20 m.
    assert_eq!(s.agents[0].route, vec![0, 1]);
}

#[test]
fn limits_are_what_vehicles_drive() {
    let s = scene();
    assert!((s.map.lanes[0].limit - 10.0).abs() < 1e-3);
    assert!((s.map.lanes[2].limit - 12.0).abs() < 1e-3);
    // Nobody drives there.
    assert_eq!(s.map.lanes[3].limit, 15.65);
}

#[test]
fn roads_by_their_number() {
    let s = scene();
    let marks: Vec<Mark> = s.map.lines.iter().map(|l| l.mark).collect();
    assert_eq!(marks, [Mark::Dashed, Mark::YellowDouble]);
    assert_eq!((s.map.edges.len(), s.map.crosswalks.len()), (2, 1));
    assert!(near(local(&s, s.map.crosswalks[0][0]), [93.0, -7.0], 1e-2));
    assert_eq!(s.map.signs.len(), 1);
    assert_eq!(s.map.signs[0].kind, SignKind::Stop);
    assert!(near(local(&s, s.map.signs[0].at), [101.0, -4.0], 1e-2));
    let stop = s.map.stop_lines.iter().find(|l| l.rule == StopRule::Stop).unwrap();
    assert_eq!(stop.lanes, vec![0]);
    assert!(near(local(&s, stop.points[0]), [99.7, 1.75], 0.02), "{:?}", local(&s, stop.points[0]));
    // Road surface reaches from the lane to the edge at -7.5, and is not beyond it.
    let road = sim::road::Road::new(&s.map);
    let at = |x: f32, y: f32| [x + s.agents[0].pose[0] - 10.0, y + s.agents[0].pose[1]];
    assert!(road.in_area(at(50.0, -6.5)[0], at(50.0, -6.5)[1]));
    assert!(!road.in_area(at(50.0, -7.9)[0], at(50.0, -7.9)[1]));
}

#[test]
fn recorded_lights_become_a_programme() {
    let s = scene();
    let light = &s.map.lights[0];
    let seconds: Vec<(Lamp, i32)> = light.program.iter().map(|p| (p.0, (p.1 * 10.0).round() as i32)).collect();
    assert_eq!(seconds, [(Lamp::Red, 30), (Lamp::Green, 50), (Lamp::Yellow, 11)]);
    let line = s.map.stop_lines.iter().find(|l| l.rule == StopRule::Light(0)).unwrap();
    assert_eq!(line.lanes, vec![2]);
    assert!(near(local(&s, line.points[1]), [90.0, 1.75], 0.02));
}

#[test]
fn only_vehicles_react() {
    let s = read_gpudrive(&bytes(FILE), &Options { reactive: true }).unwrap();
    let controls: Vec<Control> = s.agents[1..].iter().map(|a| a.control).collect();
    use Control::{ReactiveReplay as R, Replay};
    assert_eq!(controls, [R, Replay, R, R, R]);
}

#[test]
fn ego_without_lanes_gets_one_along_its_track() {
    let text = String::from_utf8(bytes(FILE))
        .unwrap()
        .replace("\"type\":\"lane\",\"map_element_id\":2", "\"type\":\"lane\",\"map_element_id\":99");
    let s = read_gpudrive(text.as_bytes(), &Options::default()).unwrap();
    assert_eq!(s.agents[0].route.len(), 1);
    let lane = &s.map.lanes[s.agents[0].route[0]];
    assert!(near(local(&s, lane.points[0]), [10.0, 0.0], 0.01));
    assert!(near(local(&s, *lane.points.last().unwrap()), [100.0, 0.0], 0.01));
}

#[test]
fn every_error_names_its_place() {
    let refused = |from: &str, to: &str, words: &[&str]| {
        let error = read_gpudrive(&edited(FILE, from, to), &Options::default()).expect_err(to).to_string();
        assert!(words.iter().all(|w| error.contains(w)), "{to}: {error}");
    };
    refused("\"sdc_track_index\":4", "\"sdc_track_index\":8", &["metadata.sdc_track_index is 8", "below 8"]);
    refused("\"sdc_track_index\":4", "\"sdc_track_index\":7", &["objects[7].valid is false throughout"]);
    refused("\"sdc_track_index\":4", "\"sdc_track_index\":5", &["objects[5].type is unset"]);
    refused("\"valid\":[true,", "\"valid\":[", &["objects[0].valid has 90 entries", "91 to 91"]);
    refused("\"objects\":", "\"things\":", &["GPUDrive JSON", "missing field `objects`", "line 1"]);
    refused("\"heading\":[0.0,", "\"heading\":[1e400,", &["number out of range", "line 1"]);
    refused("\"heading\":[0.0,", "\"heading\":[null,", &["invalid type: null"]);
    refused("\"state\":[\"stop\"", "\"state\":[\"halt\"", &["tl_states.3.state[0] is halt", "arrow_go"]);
    refused("\"time_index\":[0,1,", "\"time_index\":[0,0,", &["tl_states.3.time_index[1] is 0", "rising"]);
    refused("\"time_index\":[0,", "\"time_index\":[", &["tl_states.3.time_index has 90"]);
    refused("\"x\":2030.0,", "\"x\":1e9,", &[" x is ", "20000 m of the origin"]);
}
