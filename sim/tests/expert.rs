//! Policies that drive: the expert, the baselines, plans of words.
#![allow(clippy::unwrap_used)]

use scene::{MetaAction, PathAction, Pose, SpeedAction, Trajectory};
use sim::drive::{End, Options, drive};
use sim::event::EventKind;
use sim::expert::RuleExpert;
use sim::policy::tracker::Plan;
use sim::policy::{ConstantSpeed, IdmOnly, Policy, meta};
use sim::{Batch, World, families};
use std::sync::Arc;

fn worlds(names: &[&str], seed: u64) -> Vec<Arc<World>> {
    names.iter().map(|name| Arc::new(World::new((families::find(name).unwrap().make)(seed)))).collect()
}

const SOME: [&str; 6] =
    ["signal", "stop_sign", "pedestrian_dart_out", "lead_hard_brake", "obstacle_bypass", "red_light_runner"];

#[test]
fn the_expert_arrives_without_a_collision() {
    let episodes = drive(worlds(&SOME, 2000), &mut RuleExpert::default(), Options::default(), |_, _| {});
    for episode in &episodes {
        let name = &episode.world.scenario.name;
        assert_eq!((episode.end, episode.completion()), (End::Complete, 1.0), "{name}");
        let bad = |kind| !matches!(kind, EventKind::Complete | EventKind::NearMiss | EventKind::OffRoute);
        assert!(episode.events.iter().all(|e| !bad(e.kind)), "{name}: {:?}", episode.events);
        assert!(
            episode.plans.iter().all(|(_, plan)| plan.poses.len() == 8 && plan.poses.iter().all(|p| p.is_finite()))
        );
        assert_eq!(episode.boxes.len(), episode.samples.len());
    }
}

#[test]
fn baselines_are_worse_and_drives_repeat() {
    let run = |policy: &mut dyn Policy| drive(worlds(&SOME, 2000), policy, Options::default(), |_, _| {});
    let hits = |policy: &mut dyn Policy| {
        let collision = |kind| {
            matches!(kind, EventKind::CollisionVehicle | EventKind::CollisionStatic | EventKind::CollisionPedestrian)
        };
        run(policy).iter().filter(|e| e.events.iter().any(|e| collision(e.kind))).count()
    };
    assert!(hits(&mut ConstantSpeed) >= 3);
    assert!(hits(&mut IdmOnly) >= 1);
    let (a, b) = (run(&mut RuleExpert::default()), run(&mut RuleExpert::default()));
    for (a, b) in a.iter().zip(&b) {
        assert_eq!(a.events, b.events);
        assert_eq!(a.samples.last().map(|s| (s.x, s.y, s.v)), b.samples.last().map(|s| (s.x, s.y, s.v)));
        assert_eq!(a.plans, b.plans);
    }
}

/// An empty open road with ego at 8 m/s.
fn alone() -> Batch {
    let mut scenario = (families::find("lane_change_chain").unwrap().make)(2000);
    scenario.agents.truncate(1);
    scenario.map.props.clear();
    scenario.agents[0].speed = 8.0;
    Batch::new(vec![Arc::new(World::new(scenario))])
}

#[test]
fn a_plan_of_poses_is_followed() {
    let mut batch = alone();
    // 2 s straight on at 8 m/s, then a stop within 2 s.
    let x = [4.0, 8.0, 12.0, 16.0, 19.5, 22.0, 23.5, 24.0];
    let plan = Trajectory::half_second(x.map(|x| Pose::new(x, 0.0, 0.0)).to_vec());
    let scene = batch.scene(0);
    let start = Pose::new(scene.x[0].into(), scene.y[0].into(), scene.heading[0].into());
    let mut plan = Plan::of_poses(&plan, start, scene.v[0]);
    for _ in 0..60 {
        let action = plan.follow(&batch.scene(0));
        batch.step(&[action]);
    }
    let scene = batch.scene(0);
    let end = Pose::new(scene.x[0].into(), scene.y[0].into(), scene.heading[0].into()).into_frame(start);
    assert!((end.x - 24.0).abs() < 1.0 && end.y.abs() < 0.1 && scene.v[0] < 0.05, "{end:?} {}", scene.v[0]);
}

#[test]
fn words_become_speeds() {
    let speed_after = |speed: SpeedAction| {
        let mut batch = alone();
        let mut offset = 0.0;
        for _ in 0..30 {
            let action = MetaAction::new(speed, PathAction::Straight);
            let mut plan = meta::plan(&batch.scene(0), action, &mut offset).unwrap();
            let action = plan.follow(&batch.scene(0));
            batch.step(&[action]);
        }
        (batch.scene(0).v[0], batch.scene(0).lat[0])
    };
    let near = |v: f32, expected: f32| (v - expected).abs() < 0.6;
    assert!(near(speed_after(SpeedAction::Keep).0, 8.0));
    assert!(near(speed_after(SpeedAction::Accelerate).0, 12.5));
    assert!(near(speed_after(SpeedAction::Decelerate).0, 2.0));
    assert!(speed_after(SpeedAction::Stop).0 < 0.7);
    assert!(speed_after(SpeedAction::Keep).1.abs() < 0.2);
}

#[test]
fn words_change_lanes_where_there_is_one() {
    let mut scenario = (families::find("obstacle_bypass").unwrap().make)(2000);
    scenario.agents.truncate(1);
    scenario.map.props.clear();
    let world = Arc::new(World::new(scenario));
    let route = world.route().unwrap();
    let info = &world.road.lanes[route.lane[route.index(10.0)] as usize];
    let (left, right) = (info.left.is_some(), info.right.is_some());
    assert!(left || right, "the family has several lanes");
    let side = if left { PathAction::LeftChange } else { PathAction::RightChange };
    let mut batch = Batch::new(vec![Arc::clone(&world)]);
    let mut offset = 0.0;
    for step in 0..60 {
        let path = if step == 0 { side } else { PathAction::Straight };
        let action = MetaAction::new(SpeedAction::Keep, path);
        let mut plan = meta::plan(&batch.scene(0), action, &mut offset).unwrap();
        let action = plan.follow(&batch.scene(0));
        batch.step(&[action]);
    }
    let lat = batch.scene(0).lat[0];
    assert!((lat.abs() - info.width).abs() < 0.8 && (lat > 0.0) == left, "{lat}");
}
