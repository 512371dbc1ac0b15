//! The same bits on every machine, with any number of threads, in debug and release, and in a fork.

#![allow(clippy::unwrap_used)]

mod common;

use common::{car, simple_driver, straight};
use sim::scenario::{Act, AgentKind, Control, Cue, Driver, Lamp, Light, Scenario, StopLine, StopRule, When};
use sim::{Action, Batch, World};
use std::sync::Arc;

/// Four lanes with lights, 29 cars that overtake each other, a walker, a recorded cyclist, and ego.
fn busy(seed: u64) -> Scenario {
    let mut scenario = straight(4, 3000.0, 10.0);
    scenario.duration = 300.0;
    let mut rng = sim::rng::Rng::new(seed, "golden");
    for k in 1..30 {
        let (row, lane) = (k / 4 + usize::from(k % 4 == 0), k % 4);
        let x = 20.0 + 14.0 * row as f32 + rng.range(0.0, 3.0);
        let mut agent = car(Control::Idm, [x, 3.5 * lane as f32, 0.0], rng.range(6.0, 12.0), &[lane]);
        agent.desired_speed = rng.range(7.0, 16.0);
        agent.driver = Some(Driver { mobil: true, ..Driver::default() });
        scenario.agents.push(agent);
    }
    let mut walker = car(Control::Walk, [260.0, -5.0, 1.57], 1.4, &[]);
    walker.kind = AgentKind::Pedestrian;
    walker.size = [0.5, 0.5, 1.7];
    walker.track = vec![[0.0, 260.0, -5.0, 1.57, 1.4], [20.0, 260.0, 16.0, 1.57, 1.4]];
    walker.script = vec![Cue { when: When::EgoArrives { at: [260.0, 0.0], within: 5.0 }, act: Act::Go }];
    scenario.agents.push(walker);
    let mut cyclist = car(Control::ReactiveReplay, [0.0, 0.0, 0.0], 5.0, &[]);
    cyclist.kind = AgentKind::Cyclist;
    cyclist.size = [1.8, 0.6, 1.7];
    cyclist.track = (0..100).map(|k| [k as f32, 5.0 * k as f32, -1.0, 0.0, 5.0]).collect();
    scenario.agents.push(cyclist);
    for x in [450.0, 1100.0] {
        let program = vec![(Lamp::Green, 20.0), (Lamp::Yellow, 3.0), (Lamp::Red, 15.0)];
        scenario.map.lights.push(Light { at: [x, -4.0], heading: sim::math::PI, program, offset: 0.01 * x });
        let rule = StopRule::Light(scenario.map.lights.len() - 1);
        scenario.map.stop_lines.push(StopLine { points: [[x, 12.25], [x, -1.75]], lanes: vec![0, 1, 2, 3], rule });
    }
    scenario
}

fn batch() -> Batch {
    Batch::new((0..4).map(|seed| Arc::new(World::new(busy(seed)))).collect())
}

/// The simple driver, each scene's a little different.
fn actions(batch: &Batch, k: usize) -> Vec<Action> {
    let one = |i| {
        let action = simple_driver(&batch.scene(i));
        Action { accel: action.accel - 0.1 * ((k / 20 + i) % 4) as f32, steer: action.steer }
    };
    (0..batch.len()).map(one).collect()
}

fn run(batch: &mut Batch, from: usize, to: usize) -> Vec<u64> {
    for k in from..to {
        let actions = actions(batch, k);
        batch.step(&actions);
    }
    (0..batch.len()).map(|i| batch.hash(i)).collect()
}

#[test]
fn a_thousand_steps_have_the_known_hashes_with_one_thread_and_with_two() {
    for threads in [1, 2] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let mut batch = batch();
        let hashes = pool.install(|| run(&mut batch, 0, 1000));
        assert!((0..4).all(|i| batch.scene(i).head.step == 1000), "an episode ended early");
        assert_eq!(hashes, GOLDEN, "{threads} threads");
    }
}

/// Changes only when the simulator's behaviour does: then copy the new values here.
const GOLDEN: [u64; 4] = [17557696386948802606, 4212965941691634492, 5282062061909972056, 17639230545182497328];

#[test]
fn a_fork_goes_on_like_its_origin() {
    let mut origin = batch();
    run(&mut origin, 0, 100);
    let mut fork = origin.fork(2, 3);
    assert_eq!(fork.hash(1), origin.hash(2));
    for k in 100..200 {
        let actions = actions(&origin, k);
        origin.step(&actions);
        fork.step(&[actions[2]; 3]);
    }
    assert_eq!([fork.hash(0), fork.hash(1), fork.hash(2)], [origin.hash(2); 3]);
    // Another action makes another future, in ego and in who reacts to it.
    fork.step_scene(0, Action { accel: -8.0, steer: 0.0 });
    fork.step_scene(1, Action { accel: 4.0, steer: 0.0 });
    assert_ne!(fork.hash(0), fork.hash(1));
    let mut copy = batch();
    copy.copy_from(0, &fork, 1);
    assert_eq!(copy.hash(0), fork.hash(1));
}

#[test]
fn a_reset_is_the_start() {
    let mut again = batch();
    let start: Vec<u64> = (0..4).map(|i| again.hash(i)).collect();
    let first = run(&mut again, 0, 60);
    for i in 0..4 {
        again.reset(i);
    }
    assert_eq!((0..4).map(|i| again.hash(i)).collect::<Vec<_>>(), start);
    assert_eq!(run(&mut again, 0, 60), first);
    assert_ne!(first, start);
}
