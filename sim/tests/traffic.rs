//! What the others do: follow, stop, give way, change lanes, replay and follow scripts.

#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::{car, lane, line_at, one, scenario, straight};
use sim::batch::flag;
use sim::scenario::{Act, AgentKind, Control, Cue, Driver, Lamp, Light, Scenario, StopLine, StopRule, Turn, When};
use sim::{Action, Batch};

fn steps(batch: &mut Batch, n: usize) {
    for _ in 0..n {
        batch.step_scene(0, Action::default());
    }
}

fn crashed(batch: &Batch) -> Vec<usize> {
    let scene = batch.scene(0);
    (1..scene.agents()).filter(|&i| scene.flags[i] & flag::CRASHED != 0).collect()
}

/// A road with ego standing out of the way in the left lane, and these others.
fn with(lanes: usize, others: Vec<sim::scenario::Agent>) -> Scenario {
    let mut scenario = straight(lanes, 600.0, 0.0);
    scenario.agents[0].pose = [550.0, 3.5 * (lanes - 1) as f32, 0.0];
    scenario.agents.extend(others);
    scenario
}

#[test]
fn a_follower_settles_at_the_gap_of_the_model() {
    let mut lead = car(Control::Idm, [60.0, 0.0, 0.0], 8.0, &[0]);
    lead.desired_speed = 8.0;
    let mut batch = one(with(2, vec![lead, car(Control::Idm, [20.0, 0.0, 0.0], 12.0, &[0])]));
    steps(&mut batch, 550);
    let scene = batch.scene(0);
    let gap = scene.x[1] - scene.x[2] - 4.5;
    // Equilibrium at v = 8, v0 = 15: (s0 + v T) / sqrt(1 - (v/v0)^4) = 14 / 0.96 (the lead's own speed is just under 8).
    assert!((gap - 14.6).abs() < 1.0, "{gap}");
    assert!((scene.v[2] - scene.v[1]).abs() < 0.2);
}

#[test]
fn a_red_light_stops_traffic_and_green_lets_it_go() {
    let mut scenario = with(2, vec![car(Control::Idm, [20.0, 0.0, 0.0], 12.0, &[0])]);
    scenario.map.lights.push(Light {
        at: [100.0, 5.0],
        heading: sim::math::PI,
        program: vec![(Lamp::Red, 15.0), (Lamp::Green, 60.0)],
        offset: 0.0,
    });
    scenario.map.stop_lines.push(line_at(100.0, StopRule::Light(0)));
    let mut batch = one(scenario);
    steps(&mut batch, 145);
    let scene = batch.scene(0);
    assert_eq!(scene.v[1], 0.0);
    assert!((scene.x[1] + 2.25 - 99.0).abs() < 0.7, "{}", scene.x[1]);
    assert_ne!(scene.flags[1] & flag::BRAKING, 0);
    steps(&mut batch, 60);
    assert!(batch.scene(0).x[1] > 105.0);
}

#[test]
fn a_yellow_light_stops_who_can_and_lets_pass_who_cannot() {
    let run = |gap: f32| {
        let mut scenario = with(2, vec![car(Control::Idm, [100.0 - gap - 2.25, 0.0, 0.0], 14.0, &[0])]);
        let program = vec![(Lamp::Yellow, 3.0), (Lamp::Red, 60.0)];
        scenario.map.lights.push(Light { at: [100.0, 5.0], heading: sim::math::PI, program, offset: 0.0 });
        scenario.map.stop_lines.push(line_at(100.0, StopRule::Light(0)));
        let mut batch = one(scenario);
        steps(&mut batch, 150);
        batch.scene(0).x[1]
    };
    assert!(run(45.0) < 98.0);
    assert!(run(15.0) > 110.0);
}

#[test]
fn a_stop_sign_is_a_short_stop() {
    let mut scenario = with(2, vec![car(Control::Idm, [20.0, 0.0, 0.0], 12.0, &[0])]);
    scenario.map.stop_lines.push(line_at(100.0, StopRule::Stop));
    let mut batch = one(scenario);
    let mut stood = 0;
    for _ in 0..300 {
        steps(&mut batch, 1);
        stood += usize::from(batch.scene(0).v[1] < 0.05);
    }
    assert!((1..30).contains(&stood), "{stood}");
    assert!(batch.scene(0).x[1] > 130.0);
}

#[test]
fn bends_are_taken_slowly() {
    let mut bend = lane([0.0, 0.0], [100.0, 0.0]);
    for k in 1..=90 {
        let a = (k as f32).to_radians();
        bend.points.push([100.0 + 15.0 * a.sin(), 15.0 - 15.0 * a.cos()]);
    }
    bend.points.push([115.0, 115.0]);
    let mut ego = car(Control::Policy, [114.0, 110.0, 1.57], 0.0, &[0]);
    ego.size = [1.0, 0.5, 1.0];
    let mut batch = one(scenario(vec![bend], vec![ego, car(Control::Idm, [10.0, 0.0, 0.0], 15.0, &[0])]));
    let mut sideways: f32 = 0.0;
    for _ in 0..130 {
        steps(&mut batch, 1);
        let scene = batch.scene(0);
        sideways = sideways.max((scene.v[1] * scene.yaw_rate[1]).abs());
    }
    assert!(batch.scene(0).y[1] > 10.0);
    assert!(sideways > 1.5 && sideways < 3.2, "{sideways}");
}

#[test]
fn mobil_overtakes_a_slow_car_with_its_indicator_on() {
    let mut slow = car(Control::Idm, [80.0, 0.0, 0.0], 4.0, &[0]);
    slow.desired_speed = 4.0;
    let mut quick = car(Control::Idm, [20.0, 0.0, 0.0], 14.0, &[0]);
    quick.driver = Some(Driver { mobil: true, ..Driver::default() });
    let mut batch = one(with(3, vec![slow, quick]));
    let mut indicated = false;
    for _ in 0..200 {
        steps(&mut batch, 1);
        indicated |= batch.scene(0).flags[2] & flag::LEFT != 0;
    }
    let scene = batch.scene(0);
    assert!(indicated && scene.x[2] > scene.x[1] && crashed(&batch).is_empty());
    // Without MOBIL it stays behind.
    let mut slow = car(Control::Idm, [80.0, 0.0, 0.0], 4.0, &[0]);
    slow.desired_speed = 4.0;
    let mut batch = one(with(3, vec![slow, car(Control::Idm, [20.0, 0.0, 0.0], 14.0, &[0])]));
    steps(&mut batch, 200);
    assert!(batch.scene(0).x[2] < batch.scene(0).x[1]);
}

#[test]
fn a_lane_change_takes_its_time_and_is_smooth() {
    let mut other = car(Control::Idm, [20.0, 0.0, 0.0], 12.0, &[0]);
    other.script = vec![Cue { when: When::Time(1.0), act: Act::Change { side: 1, seconds: 3.0 } }];
    let mut batch = one(with(3, vec![other]));
    let mut last = 0.0;
    for k in 0..60 {
        steps(&mut batch, 1);
        let (y, heading) = (batch.scene(0).y[1], batch.scene(0).heading[1]);
        assert!(y >= last - 1e-4 && y - last < 0.25, "step {k}: {last} to {y}");
        assert!((-1e-3..0.2).contains(&heading), "{heading}");
        last = y;
        if k == 24 {
            assert!((y - 1.75).abs() < 0.2, "halfway: {y}");
        }
    }
    assert!((last - 3.5).abs() < 1e-3);
}

#[test]
fn scripts_brake_hold_and_drive_on() {
    let mut other = car(Control::Idm, [20.0, 0.0, 0.0], 10.0, &[0]);
    other.desired_speed = 10.0;
    other.script = vec![
        Cue { when: When::Time(2.0), act: Act::Brake { decel: 5.0, to: 0.0 } },
        Cue { when: When::After(5.0), act: Act::Speed(8.0) },
        Cue { when: When::After(2.0), act: Act::Drift { offset: 0.8, seconds: 2.0 } },
    ];
    let mut batch = one(with(2, vec![other]));
    steps(&mut batch, 21);
    assert!((batch.scene(0).a[1] + 5.0).abs() < 0.01, "{}", batch.scene(0).a[1]);
    assert_ne!(batch.scene(0).flags[1] & flag::BRAKING, 0);
    steps(&mut batch, 45);
    assert_eq!(batch.scene(0).v[1], 0.0);
    steps(&mut batch, 100);
    assert!((batch.scene(0).v[1] - 8.0).abs() < 1.0, "{}", batch.scene(0).v[1]);
    assert!((batch.scene(0).lat[1] - 0.8).abs() < 1e-3);
}

#[test]
fn conditions_look_at_ego() {
    let run = |when: When| {
        let mut scenario = straight(1, 600.0, 10.0);
        let mut walker = car(Control::Walk, [100.0, -6.0, 1.57], 1.5, &[]);
        walker.kind = AgentKind::Pedestrian;
        walker.size = [0.5, 0.5, 1.7];
        walker.track = vec![[0.0, 100.0, -6.0, 1.57, 1.5], [20.0, 100.0, 24.0, 1.57, 1.5]];
        walker.script = vec![Cue { when, act: Act::Go }];
        scenario.agents.push(walker);
        let mut batch = one(scenario);
        (0..200).find(|_| {
            steps(&mut batch, 1);
            batch.scene(0).v[1] > 0.0
        })
    };
    // Ego starts at x = 20 with 10 m/s: 1 m a step.
    assert_eq!(run(When::Time(3.0)), Some(30));
    assert_eq!(run(When::EgoNear { at: [100.0, 0.0], within: 20.0 }), Some(60));
    assert_eq!(run(When::EgoArrives { at: [100.0, 0.0], within: 3.0 }), Some(50));
    assert_eq!(run(When::EgoGap(10.0)), Some(68));
    assert_eq!(run(When::AheadOfEgo(200.0)), None);
    assert_eq!(run(When::AheadOfEgo(50.0)), Some(0));
}

#[test]
fn replay_interpolates_and_is_there_only_in_its_time() {
    let mut other = car(Control::Replay, [0.0; 3], 10.0, &[]);
    other.track = vec![[1.0, 50.0, 0.0, 0.0, 10.0], [2.0, 60.0, 0.0, 0.0, 10.0], [3.0, 70.0, 0.0, 0.0, 10.0]];
    let mut batch = one(with(2, vec![other]));
    assert!(!batch.scene(0).present(1));
    steps(&mut batch, 10);
    assert!(batch.scene(0).present(1));
    steps(&mut batch, 5);
    assert!((batch.scene(0).x[1] - 55.0).abs() < 0.01, "{}", batch.scene(0).x[1]);
    steps(&mut batch, 16);
    assert!(!batch.scene(0).present(1));
}

#[test]
fn a_reactive_replay_brakes_for_ego_and_a_plain_one_does_not() {
    let run = |control| {
        let mut scenario = straight(1, 600.0, 0.0);
        scenario.agents[0].pose = [150.0, 0.0, 0.0];
        let mut other = car(control, [20.0, 0.0, 0.0], 10.0, &[]);
        other.track = (0..40).map(|k| [k as f32, 20.0 + 10.0 * k as f32, 0.0, 0.0, 10.0]).collect();
        scenario.agents.push(other);
        let mut batch = one(scenario);
        steps(&mut batch, 250);
        let scene = batch.scene(0);
        (scene.x[1], scene.flags[1] & flag::HANDED_OVER != 0)
    };
    let (x, handed) = run(Control::ReactiveReplay);
    assert!(handed && x < 145.0, "{x}");
    let (x, handed) = run(Control::Replay);
    assert!(!handed && x > 200.0, "{x}");
}

/// Two roads that cross at the origin; lane 0 to the east, lane 1 to the north; ego far away in the east.
fn crossing(east_from: f32, north_from: f32) -> Scenario {
    let mut lanes = vec![lane([-150.0, 0.0], [150.0, 0.0]), lane([0.0, -150.0], [0.0, 150.0])];
    lanes[0].turn = Turn::Straight;
    lanes[1].turn = Turn::Straight;
    let ego = car(Control::Policy, [140.0, 0.0, 0.0], 0.0, &[0]);
    let north = std::f32::consts::FRAC_PI_2;
    let others = [
        car(Control::Idm, [-east_from, 0.0, 0.0], 12.0, &[0]),
        car(Control::Idm, [0.0, -north_from, north], 12.0, &[1]),
    ];
    scenario(lanes, [vec![ego], others.to_vec()].concat())
}

#[test]
fn crossing_traffic_gives_way() {
    for shift in -10..=10 {
        let mut batch = one(crossing(60.0, 60.0 + 1.5 * shift as f32));
        let mut slowest = [f32::MAX; 2];
        for _ in 0..100 {
            steps(&mut batch, 1);
            for (k, slow) in slowest.iter_mut().enumerate() {
                *slow = slow.min(batch.scene(0).v[k + 1]);
            }
        }
        assert!(crashed(&batch).is_empty(), "shift {shift}");
        // From the east the other comes from the right, so that one goes first; the yielding one gets through in the end.
        assert!(batch.scene(0).x[1] > 15.0 && batch.scene(0).y[2] > 15.0, "shift {shift}: {slowest:?}");
        assert!(slowest[1] > 8.0 || slowest[0] > 8.0, "shift {shift}: both braked: {slowest:?}");
    }
}

#[test]
fn a_yield_line_makes_wait() {
    let mut scenario = crossing(70.0, 70.0);
    scenario.map.stop_lines.push(StopLine {
        points: [[-1.75, -6.0], [1.75, -6.0]],
        lanes: vec![1],
        rule: StopRule::Yield,
    });
    let mut batch = one(scenario);
    let mut slowest = [f32::MAX; 2];
    for _ in 0..100 {
        steps(&mut batch, 1);
        for (k, slow) in slowest.iter_mut().enumerate() {
            *slow = slow.min(batch.scene(0).v[k + 1]);
        }
    }
    assert!(crashed(&batch).is_empty());
    assert!(slowest[0] > 10.0 && slowest[1] < 8.0, "{slowest:?}");
    assert!(batch.scene(0).y[2] > 15.0);
}

#[test]
fn drivers_wait_for_who_walks_across() {
    let mut walker = car(Control::Walk, [100.0, -8.0, 1.57], 1.4, &[]);
    walker.kind = AgentKind::Pedestrian;
    walker.size = [0.5, 0.5, 1.7];
    walker.track = vec![[0.0, 100.0, -8.0, 1.57, 1.4], [12.0, 100.0, 9.0, 1.57, 1.4]];
    let mut batch = one(with(1, vec![car(Control::Idm, [35.0, 0.0, 0.0], 11.0, &[0]), walker]));
    let mut slowest = f32::MAX;
    for _ in 0..200 {
        steps(&mut batch, 1);
        slowest = slowest.min(batch.scene(0).v[1]);
    }
    assert!(crashed(&batch).is_empty());
    assert!(slowest < 6.0 && batch.scene(0).x[1] > 130.0, "{slowest} {}", batch.scene(0).x[1]);
}

#[test]
fn a_solid_on_the_lane_stops_traffic() {
    use sim::scenario::{Prop, PropKind};
    let mut scenario = with(2, vec![car(Control::Idm, [35.0, 0.0, 0.0], 11.0, &[0])]);
    scenario.map.props.push(Prop { kind: PropKind::Barrier, at: [100.0, 0.5], heading: 1.57, size: [1.5, 0.5, 1.0] });
    let mut batch = one(scenario);
    steps(&mut batch, 200);
    let front = batch.scene(0).x[1] + 2.25;
    assert!(batch.scene(0).v[1] == 0.0 && front < 99.0 && front > 96.0, "{front}");
}
