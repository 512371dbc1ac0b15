//! OpenDRIVE: an invented crossroads with all kinds of geometry, and every error.

use crate::{bytes, edited, near, widest_gap};
use sim::Scenario;
use sim::import::read_opendrive;
use sim::scenario::{Control, LaneKind, Mark, SignKind, StopRule, Turn};

const FILE: &str = "crossroads.xodr";

fn scene() -> Scenario {
    read_opendrive(&bytes(FILE), "crossroads").unwrap()
}

#[test]
fn lanes_lie_where_their_widths_say() {
    let s = scene();
    let lanes = &s.map.lanes;
    // West: 3 lanes in each of two sections; east 2; north 2; three connectors.
    assert_eq!(lanes.len(), 13);
    assert_eq!(lanes.iter().filter(|l| l.kind == LaneKind::Road).count(), 13);
    // Falling ids in a section: lane 1 is driven against the reference line, from the second section into the first.
    assert!(near(lanes[0].points[0], [50.0, 1.75], 1e-4) && near(*lanes[0].points.last().unwrap(), [0.0, 1.75], 1e-4));
    assert!(
        near(lanes[1].points[0], [0.0, -1.75], 1e-4) && near(*lanes[1].points.last().unwrap(), [50.0, -1.75], 1e-4)
    );
    assert!(near(lanes[2].points[0], [0.0, -5.125], 1e-4) && lanes[2].width == 3.25);
    assert_eq!(s.map.pavements.len(), 1);
}

#[test]
fn lanes_continue_through_sections_roads_and_the_junction() {
    let s = scene();
    let next = |i: usize| s.map.lanes[i].next.clone();
    // West's two sections, then straight on (10) and left (11); straight on leads to east's lane 1, which goes east.
    assert_eq!((next(1), next(2), next(3)), (vec![4], vec![5], vec![0]));
    assert_eq!((next(4), next(10), next(11)), (vec![10, 11], vec![6], vec![9]));
    assert_eq!((next(7), next(12)), (vec![12], vec![3]));
    assert_eq!(
        (s.map.lanes[10].turn, s.map.lanes[11].turn, s.map.lanes[12].turn),
        (Turn::Straight, Turn::Left, Turn::Straight)
    );
    assert!(widest_gap(&s) < 0.05, "{}", widest_gap(&s));
    assert!(
        near(s.map.lanes[6].points[0], [120.0, -1.75], 1e-3)
            && near(*s.map.lanes[6].points.last().unwrap(), [200.0, -1.75], 1e-3)
    );
}

#[test]
fn neighbours_where_the_mark_lets_one_change() {
    let s = scene();
    let lanes = &s.map.lanes;
    // Broken in the first section, solid in the second.
    assert_eq!((lanes[1].right, lanes[2].left), (Some(2), Some(1)));
    assert_eq!((lanes[4].right, lanes[5].left, lanes[0].left), (None, None, None));
}

#[test]
fn a_spiral_and_an_arc_turn_by_their_curvature() {
    let s = scene();
    // North's right lane leads away from the junction; the road turns by 0.2 + 0.6 + 0.2 rad.
    let points = &s.map.lanes[9].points;
    let heading = |a: [f32; 2], b: [f32; 2]| (b[1] - a[1]).atan2(b[0] - a[0]);
    let n = points.len();
    let turned = heading(points[n - 2], points[n - 1]) - heading(points[0], points[1]);
    assert!((turned - 1.0).abs() < 0.05, "{turned}");
    // Steps stay even where the pieces join.
    let steps: Vec<f32> = points.windows(2).map(|w| (w[1][0] - w[0][0]).hypot(w[1][1] - w[0][1])).collect();
    assert!(steps.iter().all(|d| (1.5..2.5).contains(d)), "{steps:?}");
}

#[test]
fn speeds_in_their_units() {
    let s = scene();
    assert!((s.map.lanes[1].limit - 50.0 / 3.6).abs() < 1e-4);
    assert!((s.map.lanes[4].limit - 20.0 * 0.44704).abs() < 1e-4);
    // No type at all.
    assert_eq!(s.map.lanes[6].limit, 13.9);
}

#[test]
fn marks_signs_and_lights() {
    let s = scene();
    let count = |m: Mark| s.map.lines.iter().filter(|l| l.mark == m).count();
    assert_eq!((count(Mark::YellowDouble), count(Mark::Yellow), count(Mark::Dashed), count(Mark::Solid)), (1, 1, 1, 4));
    assert_eq!(s.map.signs.iter().map(|s| s.kind).collect::<Vec<_>>(), [SignKind::Stop, SignKind::Limit(50)]);
    assert!(near(s.map.signs[0].at, [97.0, -8.0], 1e-4));
    assert!((s.map.signs[0].heading.abs() - std::f32::consts::PI).abs() < 1e-5);
    let [stop, light] = &s.map.stop_lines[..] else { panic!("{:?}", s.map.stop_lines) };
    assert_eq!((stop.rule, stop.lanes.as_slice()), (StopRule::Stop, &[4, 5][..]));
    // Across both lanes: from the middle of the road to 6.75 m on its right.
    assert!(near(stop.points[0], [99.7, 0.0], 0.01) && near(stop.points[1], [99.7, -6.75], 0.01), "{:?}", stop.points);
    // The light is valid for one lane only.
    assert_eq!((light.rule, light.lanes.as_slice()), (StopRule::Light(0), &[4][..]));
}

#[test]
fn ego_takes_the_longest_way_and_cars_are_added() {
    let s = scene();
    let ego = &s.agents[0];
    assert_eq!((ego.control, ego.route.as_slice()), (Control::Policy, &[1, 4, 10, 6][..]));
    assert!(s.agents.len() > 2 && s.agents[1..].iter().all(|a| a.control == Control::Idm && !a.route.is_empty()));
    for (i, a) in s.agents.iter().enumerate() {
        for b in &s.agents[..i] {
            assert!(!near([a.pose[0], a.pose[1]], [b.pose[0], b.pose[1]], 20.0));
        }
    }
    assert_eq!(s, scene());
}

#[test]
fn left_hand_traffic_swaps_directions() {
    let text = String::from_utf8(bytes(FILE)).unwrap().replace("junction=\"-1\">", "junction=\"-1\" rule=\"LHT\">");
    let s = read_opendrive(text.as_bytes(), "left").unwrap();
    // West's lane 1 now leads east, and the broken line still lies between lanes -1 and -2.
    assert!(near(s.map.lanes[0].points[0], [0.0, 1.75], 1e-4));
    assert_eq!((s.map.lanes[1].left, s.map.lanes[2].right), (Some(2), Some(1)));
}

#[test]
fn every_error_names_its_place() {
    let refused = |from: &str, to: &str, words: &[&str]| {
        let error = read_opendrive(&edited(FILE, from, to), "x").expect_err(to).to_string();
        assert!(words.iter().all(|w| error.contains(w)), "{to}: {error}");
    };
    refused("length=\"100\" id=\"1\"", "length=\"-1\" id=\"1\"", &["road[1].length is -1", "100000 m"]);
    refused("length=\"100\" id=\"1\"", "length=\"1e400\" id=\"1\"", &["road[1].length is `1e400`", "finite"]);
    refused("curvature=\"0.02\"", "curvature=\"200\"", &["road[3].planView.geometry[1].arc.curvature is 200"]);
    refused("curvature=\"0.02\"", "", &["road[3].planView.geometry[1].arc.curvature is missing"]);
    refused("<line/>", "<cube/>", &["line, arc, spiral, poly3 or paramPoly3 is missing"]);
    refused("hdg=\"0\"", "hdg=\"east\"", &["hdg is `east`"]);
    refused("elementType=\"junction\"", "elementType=\"bridge\"", &["elementType is bridge", "road or junction"]);
    refused("contactPoint=\"end\"", "contactPoint=\"middle\"", &["contactPoint is middle", "start or end"]);
    refused("max=\"50\" unit=\"km/h\"", "max=\"fast\" unit=\"km/h\"", &["speed.max is `fast` km/h", "150 m/s"]);
    refused("max=\"50\" unit=\"km/h\"", "max=\"50\" unit=\"knots\"", &["speed.unit is knots"]);
    refused("<lane id=\"1\"", "<lane id=\"one\"", &["lane[one].id is `one`", "integer"]);
    refused("a=\"3.5\"", "a=\"NaN\"", &["width.a is `NaN`"]);
    refused("s=\"97\"", "s=\"\"", &["signal[1].s is ``"]);
    let none = String::from_utf8(bytes(FILE)).unwrap().replace("type=\"driving\"", "type=\"tram\"");
    let error = read_opendrive(none.as_bytes(), "x").unwrap_err().to_string();
    assert!(error.contains("a lane for motor traffic is missing"), "{error}");
}
