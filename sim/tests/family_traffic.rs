//! The traffic of the scenario families is sane whatever ego does: it neither crashes by itself nor runs red lights.

#![allow(clippy::unwrap_used)]

mod common;

use sim::batch::flag;
use sim::scenario::{Control, Lamp, StopRule};
use sim::{Action, Batch, Scene, World, families};
use std::sync::Arc;

/// Agents whose front passed the line of a red light between two scenes although they keep the rules.
fn ran_red(world: &World, before: &[f32], scene: &Scene<'_>) -> Vec<usize> {
    let time = scene.time() - 0.1;
    let passed = |i: &usize| {
        let i = *i;
        let keeps = scene.flags[i] & (flag::IGNORES_RULES | flag::CRASHED) == 0 && scene.present(i);
        let driver = world.agents[i].control == Control::Idm && world.agents[i].script.is_empty();
        let Some(path) = world.paths.get(scene.path[i] as usize) else { return false };
        let half = world.half_length[i];
        let (from, to) = (before[i] + half, scene.s[i] + half);
        keeps
            && driver
            && to - from < 5.0
            && path.stops.iter().any(|stop| match stop.rule {
                // Who could not stop any more when it turned red is through within 2 s.
                StopRule::Light(light) => {
                    from < stop.s
                        && to >= stop.s
                        && world.lamp(light, time).0 == Lamp::Red
                        && world.lamp(light, time - 2.0).0 == Lamp::Red
                }
                _ => false,
            })
    };
    (1..scene.agents()).filter(passed).collect()
}

/// Runs a scenario and returns what was absurd.
fn absurd(scenario: sim::Scenario, act: impl Fn(&Scene<'_>) -> Action) -> Vec<String> {
    let name = scenario.name.clone();
    let world = Arc::new(World::new(scenario));
    let mut batch = Batch::new(vec![Arc::clone(&world)]);
    let mut found = Vec::new();
    for step in 0..400 {
        let before = batch.scene(0).s.to_vec();
        let flags = batch.scene(0).flags.to_vec();
        let action = act(&batch.scene(0));
        batch.step_scene(0, action);
        let scene = batch.scene(0);
        for i in ran_red(&world, &before, &scene) {
            found.push(format!("{name}: {i} runs red at step {step}"));
        }
        let new = |i: &usize| scene.flags[*i] & !flags[*i] & flag::CRASHED != 0 && scene.head.touching >> i & 1 == 0;
        let crashed: Vec<usize> = (1..scene.agents()).filter(new).collect();
        if !crashed.is_empty() {
            found.push(format!("{name}: {crashed:?} crash at step {step}"));
        }
    }
    found
}

#[test]
fn traffic_is_sane_around_a_driver_and_around_a_parked_car() {
    let mut found = Vec::new();
    for family in families::ALL {
        for seed in 0..SEEDS {
            found.extend(absurd((family.make)(seed), common::simple_driver));
            found.extend(absurd((family.make)(seed), |_| Action { accel: -4.0, steer: 0.0 }));
        }
    }
    assert!(found.is_empty(), "{} cases:\n{}", found.len(), found.join("\n"));
}

const SEEDS: u64 = 2;
