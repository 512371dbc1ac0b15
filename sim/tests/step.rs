//! Ego's dynamics, and every kind of event by a case that triggers exactly it and a near twin that does not.

#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::{car, line_at, one, steady, straight};
use sim::event::EventKind::{self, *};
use sim::scenario::{AgentKind, Control, Lamp, Light, Prop, PropKind, Scenario, StopRule};
use sim::{Action, Batch};

const COAST: Action = Action { accel: 0.0, steer: 0.0 };

/// Kinds of the events of ego until the episode ends or so many steps are done.
fn kinds(batch: &mut Batch, steps: usize, act: impl Fn(usize, f32) -> Action) -> Vec<EventKind> {
    for k in 0..steps {
        let s = batch.scene(0).s[0];
        batch.step_scene(0, act(k, s));
    }
    batch.scene(0).head.log.events().iter().map(|e| e.kind).collect()
}

fn coasting(scenario: Scenario, steps: usize) -> Vec<EventKind> {
    kinds(&mut one(scenario), steps, |_, _| COAST)
}

#[test]
fn ego_turns_on_the_circle_of_its_steering_angle() {
    let mut scenario = straight(1, 400.0, 5.0);
    scenario.map.areas.push(vec![[-500.0, -500.0], [500.0, -500.0], [500.0, 500.0], [-500.0, 500.0]]);
    let mut batch = one(scenario);
    // 0.6 rad/s: 0.3 rad are reached after 5 steps.
    for k in 1..=5 {
        batch.step_scene(0, Action { accel: 0.0, steer: 0.3 });
        assert!((batch.scene(0).steer[0] - 0.06 * k as f32).abs() < 1e-5);
    }
    let (wheelbase, beta) = (0.6 * 4.5, (0.5 * 0.3_f32.tan()).atan());
    let rate = 5.0 * beta.cos() * 0.3_f32.tan() / wheelbase;
    batch.step_scene(0, Action { accel: 0.0, steer: 0.3 });
    assert!((batch.scene(0).yaw_rate[0] - rate).abs() < 1e-4);
    // Half a circle later it is a diameter away.
    let (x, y) = (batch.scene(0).x[0], batch.scene(0).y[0]);
    let steps = (std::f32::consts::PI / (rate * 0.1)).round() as usize;
    for _ in 0..steps {
        batch.step_scene(0, Action { accel: 0.0, steer: 0.3 });
    }
    let (dx, dy) = (batch.scene(0).x[0] - x, batch.scene(0).y[0] - y);
    assert!((dx.hypot(dy) - 2.0 * 5.0 / rate).abs() < 0.2, "{}", dx.hypot(dy));
}

#[test]
fn ego_accelerates_within_its_limits_and_never_rolls_back() {
    let mut batch = one(straight(1, 400.0, 5.0));
    batch.step_scene(0, Action { accel: 100.0, steer: 0.0 });
    assert!((batch.scene(0).v[0] - 5.4).abs() < 1e-5);
    batch.step_scene(0, Action { accel: -100.0, steer: 0.0 });
    assert!((batch.scene(0).v[0] - 4.6).abs() < 1e-5);
    for _ in 0..20 {
        batch.step_scene(0, Action { accel: -8.0, steer: 0.0 });
    }
    assert_eq!(batch.scene(0).v[0], 0.0);
    let x = batch.scene(0).x[0];
    batch.step_scene(0, Action { accel: -8.0, steer: 0.0 });
    assert_eq!(batch.scene(0).x[0], x);
}

#[test]
fn a_straight_drive_completes_and_nothing_else() {
    assert_eq!(coasting(straight(2, 150.0, 12.0), 400), [Complete]);
}

#[test]
fn time_runs_out() {
    let mut scenario = straight(1, 400.0, 5.0);
    scenario.duration = 5.0;
    assert_eq!(coasting(scenario.clone(), 60), [Timeout]);
    assert_eq!(coasting(scenario, 49), []);
}

#[test]
fn standing_for_a_minute_is_blocked() {
    assert_eq!(coasting(straight(1, 400.0, 0.0), 700), [Blocked]);
    let nudge = |k: usize, _| Action { accel: if k == 590 { 3.0 } else { 0.0 }, steer: 0.0 };
    assert_eq!(kinds(&mut one(straight(1, 400.0, 0.0)), 700, nudge), []);
}

fn with_obstacle(kind: AgentKind, y: f32) -> Scenario {
    let mut scenario = straight(2, 150.0, 0.0);
    scenario.agents[0].speed = 0.9;
    let mut other = car(Control::Static, [26.0, y, 1.2], 0.0, &[]);
    other.kind = kind;
    other.size = [0.6, 0.6, 1.7];
    scenario.agents.push(other);
    scenario
}

/// Collisions among the events: a slow drive into something is a near miss first.
fn collisions(scenario: Scenario) -> Vec<EventKind> {
    coasting(scenario, 200).into_iter().filter(|k| *k != NearMiss && *k != Blocked).collect()
}

#[test]
fn hitting_a_person_is_one_collision_and_passing_is_none() {
    assert_eq!(collisions(with_obstacle(AgentKind::Pedestrian, 0.5)), [CollisionPedestrian]);
    assert_eq!(collisions(with_obstacle(AgentKind::Pedestrian, 1.4)), []);
}

#[test]
fn hitting_a_cyclist_is_a_collision_with_a_vehicle() {
    assert_eq!(collisions(with_obstacle(AgentKind::Cyclist, -0.5)), [CollisionVehicle]);
    assert_eq!(collisions(with_obstacle(AgentKind::Motorcycle, -1.4)), []);
}

#[test]
fn hitting_a_solid_is_a_static_collision_and_ego_does_not_pass_through() {
    let hit = |y| {
        let mut scenario = straight(1, 150.0, 20.0);
        scenario.map.props.push(Prop { kind: PropKind::Barrier, at: [60.0, y], heading: 1.57, size: [1.0, 0.4, 1.0] });
        scenario
    };
    let mut batch = one(hit(0.0));
    let kinds = kinds(&mut batch, 100, |k, _| Action { accel: if k < 20 { 2.0 } else { 0.0 }, steer: 0.0 });
    assert_eq!(kinds, [NearMiss, CollisionStatic]);
    assert!(batch.scene(0).x[0] < 58.0, "{}", batch.scene(0).x[0]);
    assert_eq!(collisions(hit(1.6)), [Complete]);
}

#[test]
fn a_fast_car_does_not_jump_over_a_thin_wall() {
    for start in 0..20 {
        let mut scenario = straight(1, 400.0, 39.0);
        scenario.agents[0].pose[0] += 0.2 * start as f32;
        scenario.agents[0].size = [2.2, 1.2, 1.2];
        scenario.map.props.push(Prop { kind: PropKind::Wall, at: [90.0, 0.0], heading: 1.57, size: [3.0, 0.1, 1.0] });
        assert!(collisions(scenario).contains(&CollisionStatic), "start {start}");
    }
}

#[test]
fn a_standing_ego_that_is_hit_has_no_collision() {
    let mut scenario = straight(1, 150.0, 0.0);
    let mut walker = car(Control::Walk, [22.0, -6.0, 1.57], 1.5, &[]);
    walker.kind = AgentKind::Pedestrian;
    walker.size = [0.5, 0.5, 1.7];
    walker.track = vec![[0.0, 20.5, -6.0, 1.57, 1.5], [10.0, 20.5, 9.0, 1.57, 1.5]];
    scenario.agents.push(walker);
    assert_eq!(collisions(scenario), []);
}

#[test]
fn a_red_light_counts_once_when_the_tail_has_passed_it() {
    let light = |lamp| {
        let mut scenario = straight(1, 150.0, 10.0);
        scenario.map.lights.push(steady(lamp));
        scenario.map.stop_lines.push(line_at(60.0, StopRule::Light(0)));
        scenario
    };
    assert_eq!(coasting(light(Lamp::Red), 300), [RedLight, Complete]);
    assert_eq!(coasting(light(Lamp::Green), 300), [Complete]);
    assert_eq!(coasting(light(Lamp::Yellow), 300), [Complete]);
    // It turns red just after the tail (at x = 59.5 after 4 s with the front at 62.2) has passed, or just before.
    let turns = |seconds: f32| {
        let mut scenario = light(Lamp::Red);
        scenario.map.lights[0] =
            Light { program: vec![(Lamp::Green, seconds), (Lamp::Red, 60.0)], ..scenario.map.lights[0].clone() };
        scenario
    };
    assert_eq!(coasting(turns(4.6), 300), [Complete]);
    assert_eq!(coasting(turns(4.0), 300), [RedLight, Complete]);
    // Waiting before the line is no infraction.
    let stop = |_, s: f32| Action { accel: if s > 30.0 { -4.0 } else { 0.0 }, steer: 0.0 };
    assert_eq!(kinds(&mut one(light(Lamp::Red)), 300, stop), []);
}

#[test]
fn a_stop_sign_wants_a_standstill_before_the_line() {
    let mut scenario = straight(1, 150.0, 8.0);
    scenario.map.stop_lines.push(line_at(60.0, StopRule::Stop));
    assert_eq!(coasting(scenario.clone(), 300), [StopSign, Complete]);
    let stop_at = |mark: f32| {
        move |k: usize, s: f32| {
            let accel = if k > 120 {
                2.0
            } else if s > mark {
                -4.0
            } else {
                0.0
            };
            Action { accel, steer: 0.0 }
        }
    };
    // 8 m/s with 4 m/s²: 8 m. The front is 2.25 m ahead: it stands 1.5 m before the line, or 12 m before.
    assert_eq!(kinds(&mut one(scenario.clone()), 400, stop_at(48.0)), [Complete]);
    assert_eq!(kinds(&mut one(scenario), 400, stop_at(37.0)), [StopSign, Complete]);
}

#[test]
fn leaving_the_road_and_leaving_the_lanes_of_the_route() {
    // A narrow road: 0.6 rad for a moment leads off it; a gentle swerve does not.
    let swerve = |steer: f32| move |k: usize, _| Action { accel: 0.0, steer: if k < 4 { steer } else { 0.0 } };
    let left: Vec<_> = kinds(&mut one(straight(1, 400.0, 10.0)), 40, swerve(0.2));
    assert!(left.contains(&OffRoad), "{left:?}");
    assert_eq!(kinds(&mut one(straight(1, 400.0, 10.0)), 10, swerve(0.01)), []);
    // The oncoming lane is road, but not of the route.
    let mut scenario = straight(1, 200.0, 10.0);
    scenario.map.lanes.push(common::lane([200.0, 3.5], [0.0, 3.5]));
    assert_eq!(coasting(scenario.clone(), 300), [Complete]);
    scenario.agents[0].pose[1] = 3.4;
    let mut batch = one(scenario);
    assert_eq!(kinds(&mut batch, 300, |_, _| COAST), [OffRoute, Complete]);
    let head = batch.scene(0).head;
    assert!((head.outside - head.driven).abs() < 1e-3 && head.driven > 150.0, "{} {}", head.outside, head.driven);
}

#[test]
fn thirty_metres_from_the_route_end_the_episode() {
    let mut scenario = straight(1, 400.0, 10.0);
    scenario.map.areas.push(vec![[-500.0, -500.0], [500.0, -500.0], [500.0, 500.0], [-500.0, 500.0]]);
    scenario.agents[0].pose[2] = std::f32::consts::FRAC_PI_2;
    assert_eq!(coasting(scenario.clone(), 50), [Deviation]);
    assert_eq!(coasting(scenario, 29), []);
}

#[test]
fn an_emergency_vehicle_must_get_past() {
    let behind = |lane: usize| {
        let mut scenario = straight(2, 600.0, 8.0);
        let mut other = car(Control::Idm, [5.0, 3.5 * lane as f32, 0.0], 10.0, &[lane]);
        other.kind = AgentKind::Emergency;
        scenario.agents.push(other);
        scenario
    };
    assert_eq!(coasting(behind(0), 250), [YieldEmergency]);
    assert_eq!(coasting(behind(1), 250), []);
}

#[test]
fn late_braking_is_a_near_miss_and_early_braking_is_not() {
    let brake_from = |mark: f32, accel: f32| {
        let mut scenario = straight(1, 200.0, 15.0);
        scenario.agents.push(car(Control::Static, [80.0, 0.0, 0.0], 0.0, &[]));
        let mut batch = one(scenario);
        let found = kinds(&mut batch, 100, |_, s| Action { accel: if s > mark { accel } else { 0.0 }, steer: 0.0 });
        (found, batch.scene(0).head.log.events().first().map_or(0.0, |e| e.value))
    };
    let (found, value) = brake_from(57.0, -8.0);
    assert_eq!(found, [NearMiss]);
    assert!(value > 0.3 && value < 1.5, "{value}");
    assert_eq!(brake_from(30.0, -3.5).0, []);
}
