//! CommonRoad: two recorded NGSIM scenes (2018b and 2020a), and every error.

use crate::{bytes, edited, near, widest_gap};
use sim::Scenario;
use sim::import::{Options, read_commonroad};
use sim::scenario::{AgentKind, Control, Lamp, Mark, PropKind, SignKind, StopRule, Turn};

const US101: &str = "USA_US101-3_3_T-1.xml";
const PEACH: &str = "USA_Peach-4_8_T-1.xml";

fn scene(name: &str) -> Scenario {
    read_commonroad(&bytes(name), &Options::default()).unwrap()
}

#[test]
fn us101_has_its_lanes_and_vehicles() {
    let s = scene(US101);
    assert_eq!((s.name.as_str(), s.map.lanes.len(), s.agents.len()), ("USA_US101-3_3_T-1", 12, 13));
    assert!(s.licence.contains("NGSIM"));
    // Goal time 30 to 31 steps of 0.1 s; obstacles are recorded for 31.
    assert!((s.duration - 3.1).abs() < 1e-5);
    let ego = &s.agents[0];
    assert_eq!((ego.pose, ego.speed, ego.control), ([-0.0, 0.0, -0.72], 9.65, Control::Policy));
    // 12 obstacles with 31 states after the initial one: 372 in all.
    assert_eq!(s.agents[1..].iter().map(|a| a.track.len() - 1).sum::<usize>(), 372);
    assert!(s.agents[1..].iter().all(|a| a.control == Control::Replay && a.track[0][0] == 0.0));
}

#[test]
fn us101_lanes_lie_side_by_side() {
    let s = scene(US101);
    let lanes = &s.map.lanes;
    // In the order of the file: 31, 29, 33, 27, 35, 26, 37, 25, 39, 24, 23, 22. 31 is the leftmost, 33 to its right.
    assert_eq!((lanes[0].left, lanes[0].right, lanes[0].next.as_slice()), (None, Some(2), &[1][..]));
    assert_eq!((lanes[2].left, lanes[2].right, lanes[2].next.as_slice()), (Some(0), Some(4), &[3][..]));
    assert_eq!(lanes.iter().map(|l| l.next.len()).sum::<usize>(), 6);
    // First point: the middle of (-44.8542, 41.9582) and (-47.1636, 39.3286).
    assert!(near(lanes[0].points[0], [-46.0089, 40.6434], 1e-3), "{:?}", lanes[0].points[0]);
    assert!(lanes.iter().all(|l| (2.5..4.5).contains(&l.width)), "{:?}", lanes.iter().map(|l| l.width));
    assert!(widest_gap(&s) < 0.5, "{}", widest_gap(&s));
    // A file without markings: dashes between lanes.
    assert!(s.map.lines.iter().filter(|l| l.mark == Mark::Dashed).count() >= 9);
    // Ego starts in the goal's lanelet, 31.
    assert_eq!(s.agents[0].route, vec![0]);
}

#[test]
fn peach_has_its_junction_lights_and_limits() {
    let s = scene(PEACH);
    assert_eq!((s.map.lanes.len(), s.agents.len(), s.map.lights.len(), s.map.stop_lines.len()), (79, 10, 4, 13));
    assert_eq!(s.map.lanes.iter().map(|l| l.next.len()).sum::<usize>(), 76);
    assert!(widest_gap(&s) < 0.5, "{}", widest_gap(&s));
    // Limits are in m/s in the file: 35 and 25 mph.
    let limits: Vec<f32> = s.map.lanes.iter().map(|l| l.limit).collect();
    assert_eq!(limits.iter().filter(|l| **l == 15.6464).count(), 38);
    assert_eq!(limits.iter().filter(|l| **l == 11.176).count(), 41);
    // All of its signs are virtual.
    assert!(s.map.signs.is_empty());
    assert!(s.map.stop_lines.iter().all(|l| matches!(l.rule, StopRule::Light(_)) && l.lanes.len() == 1));
    let turned = |t: Turn| s.map.lanes.iter().filter(|l| l.turn == t).count();
    assert!(turned(Turn::Left) >= 4 && turned(Turn::Right) >= 4 && turned(Turn::Straight) >= 8);
}

#[test]
fn peach_obstacles_start_and_end_where_the_file_says() {
    let s = scene(PEACH);
    let first = &s.agents[1];
    assert_eq!((first.kind, first.size), (AgentKind::Car, [4.572, 2.0422, 1.5]));
    assert_eq!(first.track[0], [0.0, -8.1864, 14.4662, -2.7699, 6.9799]);
    assert_eq!((first.track.len(), &first.track[2][1..3]), (3, &[-9.1267, 13.7735][..]));
    assert!((first.track[2][0] - 0.2).abs() < 1e-6);
    assert_eq!(s.agents[1..].iter().map(|a| a.track.len() - 1).sum::<usize>(), 359);
    assert_eq!((s.agents[0].pose, s.agents[0].speed), ([0.0, 0.0, 1.5217], 0.012192));
}

#[test]
fn peach_light_phases_are_those_of_commonroad() {
    let s = scene(PEACH);
    let world = sim::World::new(s.clone());
    // 40 s green, 3 s yellow, 57 s red from 59 s on for light 43918 at (13.6, -13.4): at 0 s it is 41 s into the cycle.
    let light = s.map.lights.iter().position(|l| near(l.at, [13.6179, -13.3698], 1e-3)).unwrap();
    assert!((s.map.lights[light].offset - 41.0).abs() < 1e-3);
    assert_eq!(s.map.lights[light].program, vec![(Lamp::Green, 40.0), (Lamp::Yellow, 3.0), (Lamp::Red, 57.0)]);
    let at = |time: f32| world.lamp(light, time).0;
    assert_eq!(
        (at(0.0), at(1.9), at(2.1), at(58.9), at(59.1)),
        (Lamp::Yellow, Lamp::Yellow, Lamp::Red, Lamp::Red, Lamp::Green)
    );
}

#[test]
fn peach_ego_turns_left_to_its_goal() {
    let s = scene(PEACH);
    let route = &s.agents[0].route;
    assert_eq!(route.len(), 5, "{route:?}");
    // The first lanelet turns left (from north to west), the others lead west.
    assert_eq!(s.map.lanes[route[0]].turn, Turn::Left);
    let end = s.map.lanes[*route.last().unwrap()].points.last().unwrap();
    assert!(end[0] < -40.0, "{end:?}");
}

#[test]
fn reactive_replay_is_an_option() {
    let s = read_commonroad(&bytes(US101), &Options { reactive: true }).unwrap();
    assert!(s.agents[1..].iter().all(|a| a.control == Control::ReactiveReplay));
}

/// A straight road of two lanelets end to end with everything else that the format has.
fn invented(extra: &str, problem: &str) -> String {
    let bound = |name: &str, x: f32, y: f32| {
        format!(
            "<{name}><point><x>{x}</x><y>{y}</y></point><point><x>{}</x><y>{y}</y></point>\
             <lineMarking>dashed</lineMarking></{name}>",
            x + 50.0
        )
    };
    let lanelet = |id: u32, x: f32, more: &str| {
        format!("<lanelet id='{id}'>{}{}{more}</lanelet>", bound("leftBound", x, 2.0), bound("rightBound", x, -1.5))
    };
    format!(
        "<commonRoad commonRoadVersion='2020a' timeStepSize='0.2' benchmarkID='DEU_X-1'>{}{}{extra}{problem}</commonRoad>",
        lanelet(1, 0.0, "<successor ref='2'/><trafficSignRef ref='7'/><trafficLightRef ref='8'/>"),
        lanelet(2, 50.0, "<predecessor ref='1'/>"),
    )
}

const PROBLEM: &str = "<planningProblem id='9'><initialState><position><point><x>5</x><y>0</y></point></position>\
    <orientation><intervalStart>-0.1</intervalStart><intervalEnd>0.3</intervalEnd></orientation><time><exact>10</exact></time>\
    <velocity><intervalStart>4</intervalStart><intervalEnd>6</intervalEnd></velocity></initialState><goalState>\
    <position><rectangle><length>4</length><width>2</width><center><x>80</x><y>0</y></center></rectangle></position>\
    <time><intervalStart>50</intervalStart><intervalEnd>60</intervalEnd></time></goalState></planningProblem>";

const SIGNS: &str = "<trafficSign id='7'><trafficSignElement><trafficSignID>274</trafficSignID>\
    <additionalValue>8.3333</additionalValue></trafficSignElement><position><point><x>40</x><y>-3</y></point></position>\
    </trafficSign><trafficLight id='8'><cycle><cycleElement><duration>10</duration><color>redYellow</color></cycleElement>\
    <cycleElement><duration>5</duration><color>inactive</color></cycleElement></cycle></trafficLight>";

#[test]
fn intervals_signs_lights_and_static_obstacles() {
    let obstacles = "<staticObstacle id='20'><type>parkedVehicle</type><shape><rectangle><length>4.2</length><width>1.8</width>\
        </rectangle></shape><initialState><position><point><x>30</x><y>-1</y></point></position><orientation><exact>0.05</exact>\
        </orientation><time><exact>0</exact></time></initialState></staticObstacle><staticObstacle id='21'><type>building</type>\
        <shape><polygon><point><x>0</x><y>0</y></point><point><x>10</x><y>0</y></point><point><x>10</x><y>6</y></point>\
        <point><x>0</x><y>6</y></point></polygon></shape><initialState><position><point><x>20</x><y>5</y></point></position>\
        <orientation><exact>0</exact></orientation><time><exact>0</exact></time></initialState></staticObstacle>";
    let parked = obstacles.replace("<time><exact>0</exact></time>", "<time><exact>10</exact></time>");
    let text = invented(&format!("{SIGNS}{parked}"), PROBLEM);
    let s = read_commonroad(text.as_bytes(), &Options::default()).unwrap();
    let ego = &s.agents[0];
    assert!((ego.pose[2] - 0.1).abs() < 1e-6 && ego.speed == 5.0 && ego.route == vec![0, 1]);
    // 60 steps of 0.2 s, from step 10 on.
    assert!((s.duration - 10.0).abs() < 1e-5);
    assert_eq!((s.agents[1].control, s.agents[1].pose), (Control::Static, [30.0, -1.0, 0.05]));
    assert_eq!(s.map.props[0].kind, PropKind::Building);
    assert_eq!((s.map.props[0].at, s.map.props[0].size[0]), ([25.0, 8.0], 10.0));
    // 8.3333 m/s is a sign of 30 km/h, faces west, and holds on the lane that refers to it.
    assert_eq!((s.map.signs[0].kind, s.map.signs[0].at), (SignKind::Limit(30), [40.0, -3.0]));
    assert!((s.map.signs[0].heading.abs() - std::f32::consts::PI).abs() < 1e-5);
    assert!((s.map.lanes[0].limit - 8.3333).abs() < 1e-4 && s.map.lanes[1].limit == 13.9);
    assert_eq!(s.map.lights[0].program, vec![(Lamp::Red, 2.0), (Lamp::Off, 1.0)]);
    // The stop line lies across the end of the lane, left end first.
    let [left, right] = s.map.stop_lines[0].points;
    assert!(near(left, [49.7, 2.0], 0.01) && near(right, [49.7, -1.5], 0.01), "{left:?} {right:?}");
    assert!((s.map.lanes[0].width - 3.5).abs() < 1e-6);
}

#[test]
fn a_scene_in_map_coordinates_moves_to_the_origin() {
    let far = |text: String| text.replace("<y>", "<y>56000");
    // Only whole metres are moved: "<y>2</y>" has become "<y>560002</y>".
    let text = far(invented("", PROBLEM)).replace("<y>56000-1.5", "<y>559998.5");
    let s = read_commonroad(text.as_bytes(), &Options::default()).unwrap();
    assert!(s.map.lanes[0].points[0][1].abs() < 10.0, "{:?}", s.map.lanes[0].points);
    assert!((s.map.lanes[0].width - 3.5).abs() < 1e-4);
}

#[test]
fn every_error_names_its_place() {
    let refused = |from: &str, to: &str, words: &[&str]| {
        let error = read_commonroad(&edited(PEACH, from, to), &Options::default()).expect_err(to).to_string();
        assert!(words.iter().all(|w| error.contains(w)), "{to}: {error}");
    };
    refused(
        "commonRoadVersion=\"2020a\"",
        "commonRoadVersion=\"2017a\"",
        &["commonRoadVersion is 2017a", "2018b or 2020a"],
    );
    refused("timeStepSize=\"0.1\"", "timeStepSize=\"0\"", &["timeStepSize is 0"]);
    refused("timeStepSize=\"0.1\"", "", &["commonRoad.timeStepSize is missing"]);
    refused("benchmarkID", "nameless", &["commonRoad.benchmarkID is missing"]);
    refused("<x>5.293104</x>", "<x>1e400</x>", &["lanelet[43349].leftBound.point[0].x is `1e400`", "finite"]);
    refused("<x>5.293104</x>", "<x>NaN</x>", &["lanelet[43349].leftBound.point[0].x is `NaN`"]);
    refused("<x>5.293104</x>", "", &["lanelet[43349].leftBound.point[0].x is missing"]);
    refused("<successor ref=\"43590\"/>", "<successor ref=\"1\"/>", &["lanelet[43349].successor.ref is 1"]);
    refused(
        "<successor ref=\"43590\"/>",
        "<successor ref=\"a\"/>",
        &["lanelet[43349].successor.ref is `a`", "integer"],
    );
    refused("<lanelet id=\"43590\">", "<lanelet id=\"43349\">", &["43349", "ids of their own"]);
    refused(
        "<color>green</color>",
        "<color>blue</color>",
        &["trafficLight[43918].cycle.cycleElement[0].color is `blue`"],
    );
    refused("<additionalValue>15.6464", "<additionalValue>-1", &["trafficSign[43839]", "additionalValue is -1", "m/s"]);
    refused("<planningProblem", "<problem", &["XML"]);
    refused(
        "<orientation>\n        <exact>1.5217</exact>\n      </orientation>",
        "",
        &["planningProblem[603].initialState.orientation"],
    );
    refused("<length>4.572</length>", "", &["dynamicObstacle[507].shape.rectangle.length is missing"]);
    refused("<commonRoad ", "<commonRail ", &["XML"]);
    let us101 = |from: &str, to: &str, words: &[&str]| {
        let error = read_commonroad(&edited(US101, from, to), &Options::default()).expect_err(to).to_string();
        assert!(words.iter().all(|w| error.contains(w)), "{to}: {error}");
    };
    us101("<role>dynamic</role>", "<role>flying</role>", &["role is flying", "static or dynamic"]);
    let no_problem = invented("", "");
    let error = read_commonroad(no_problem.as_bytes(), &Options::default()).unwrap_err();
    assert!(error.to_string().contains("planningProblem is missing"), "{error}");
    let error = read_commonroad(b"<osm/>", &Options::default()).unwrap_err();
    assert_eq!(error.to_string(), "the root element is osm; allowed: commonRoad");
}

#[test]
fn tracks_that_go_back_in_time_are_refused() {
    let text = String::from_utf8(bytes(US101)).unwrap();
    let back = text.replacen("<exact>7</exact>", "<exact>3</exact>", 1);
    let error = read_commonroad(back.as_bytes(), &Options::default()).unwrap_err().to_string();
    assert!(error.contains("agents[1].track[7][0]") && error.contains("later than"), "{error}");
}
