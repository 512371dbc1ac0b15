//! What holds for any actions and any traffic.

#![allow(clippy::unwrap_used)]

mod common;

use common::{car, one, straight};
use proptest::prelude::*;
use sim::batch::flag;
use sim::event::EventKind;
use sim::scenario::{Act, Control, Cue, When};
use sim::{Action, Scene};

fn number() -> impl Strategy<Value = f32> {
    prop_oneof![
        8 => -20.0_f32..20.0,
        1 => Just(f32::NAN),
        1 => Just(f32::INFINITY),
        1 => Just(f32::NEG_INFINITY),
        1 => Just(1e30_f32),
    ]
}

fn finite(scene: &Scene<'_>) -> bool {
    let fields = [scene.x, scene.y, scene.heading, scene.v, scene.a, scene.steer, scene.yaw_rate, scene.s, scene.lat];
    fields.iter().all(|f| f.iter().all(|v| v.is_finite())) && scene.v.iter().all(|v| *v >= 0.0)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn coasting_never_accelerates(speed in 0.0_f32..40.0, steer in -0.7_f32..0.7) {
        let mut batch = one(straight(2, 800.0, speed));
        for _ in 0..50 {
            let before = batch.scene(0).v[0];
            batch.step_scene(0, Action { accel: 0.0, steer });
            prop_assert!(batch.scene(0).v[0] <= before);
        }
    }

    #[test]
    fn no_action_breaks_the_numbers(actions in prop::collection::vec((number(), number()), 40)) {
        let mut scenario = straight(3, 400.0, 10.0);
        for k in 1..8 {
            scenario.agents.push(car(Control::Idm, [20.0 + 9.0 * k as f32, 3.5 * (k % 3) as f32, 0.0], 9.0, &[k % 3]));
        }
        let mut batch = one(scenario);
        for (accel, steer) in actions {
            let before = batch.scene(0).v[0];
            batch.step_scene(0, Action { accel, steer });
            prop_assert!(finite(&batch.scene(0)));
            if accel.is_nan() {
                prop_assert!(batch.scene(0).v[0] <= before);
            }
        }
    }

    #[test]
    fn no_follower_runs_into_a_lead_that_brakes(
        speed in 1.0_f32..25.0,
        lead_speed in 1.0_f32..25.0,
        slack in 0.0_f32..20.0,
        decel in 1.0_f32..8.0,
        at in 0.0_f32..8.0,
    ) {
        // A gap that the model itself would keep, or more.
        let gap = 2.0 + 1.5 * speed + (speed * speed - lead_speed * lead_speed).max(0.0) / (2.0 * 2.5) + slack;
        let mut scenario = straight(2, 2000.0, 0.0);
        scenario.agents[0].pose = [1900.0, 3.5, 0.0];
        let mut lead = car(Control::Idm, [100.0 + gap + 4.5, 0.0, 0.0], lead_speed, &[0]);
        lead.script = vec![Cue { when: When::Time(at), act: Act::Brake { decel, to: 0.0 } }];
        scenario.agents.push(lead);
        scenario.agents.push(car(Control::Idm, [100.0, 0.0, 0.0], speed, &[0]));
        let mut batch = one(scenario);
        for _ in 0..300 {
            batch.step_scene(0, Action::default());
            let scene = batch.scene(0);
            prop_assert!(scene.flags[2] & flag::CRASHED == 0, "gap {}", scene.x[1] - scene.x[2] - 4.5);
            prop_assert!(scene.a[2] >= -8.001);
        }
    }

    #[test]
    fn a_straight_drive_only_completes(speed in 5.0_f32..30.0, length in 100.0_f32..400.0, lanes in 1_usize..4) {
        let mut batch = one(straight(lanes, length, speed));
        for _ in 0..1000 {
            batch.step_scene(0, Action::default());
        }
        let kinds: Vec<_> = batch.scene(0).head.log.events().iter().map(|e| e.kind).collect();
        prop_assert_eq!(kinds, vec![EventKind::Complete]);
    }
}
