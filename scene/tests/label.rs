//! The labelling rules: thresholds from both sides, lane changes at every speed, mirror symmetry, typed errors.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use proptest::prelude::*;
use scene::label::{ChangeTest, LabelError, LabelRule};
use scene::{PathAction as P, Pose, SpeedAction as S, Trajectory};

/// Straight on, with these speeds over the steps.
fn straight(speeds: &[f64]) -> Trajectory {
    let mut x = 0.0;
    Trajectory::half_second(
        speeds
            .iter()
            .map(|v| {
                x += v * 0.5;
                Pose::new(x, 0.0, 0.0)
            })
            .collect(),
    )
}

/// A lane change of `offset` metres at `speed` that takes exactly the 3 s, with or without headings.
fn change(speed: f64, offset: f64, headings: bool) -> Trajectory {
    let poses = (1..=6).map(|i| {
        let phase = std::f64::consts::PI * f64::from(i) / 6.0;
        let y = offset * 0.5 * (1.0 - phase.cos());
        let slope = offset * 0.5 * phase.sin() * std::f64::consts::PI / (speed * 3.0);
        Pose::new(speed * 0.5 * f64::from(i), y, if headings { slope.atan() } else { 0.0 })
    });
    Trajectory::half_second(poses.collect())
}

/// A bend of constant radius (left positive).
fn bend(speed: f64, radius: f64, headings: bool) -> Trajectory {
    let poses = (1..=6).map(|i| {
        let a = speed * 0.5 * f64::from(i) / radius;
        Pose::new(radius * a.sin(), radius * (1.0 - a.cos()), if headings { a } else { 0.0 })
    });
    Trajectory::half_second(poses.collect())
}

fn speed(rule: &LabelRule, speeds: &[f64]) -> S {
    rule.speed(&straight(speeds), Some(speeds[0])).unwrap()
}

#[test]
fn speed_thresholds_from_both_sides() {
    let rule = LabelRule::default();
    // Senna compares the steps between poses: the first entry, from the origin, does not count.
    assert_eq!(speed(&rule, &[0.0, 10.0, 10.0, 11.0, 12.0, 12.99]), S::Keep);
    assert_eq!(speed(&rule, &[0.0, 10.0, 10.0, 11.0, 12.0, 13.01]), S::Accelerate);
    assert_eq!(speed(&rule, &[0.0, 10.0, 10.0, 9.0, 8.0, 7.01]), S::Keep);
    assert_eq!(speed(&rule, &[0.0, 10.0, 10.0, 9.0, 8.0, 6.99]), S::Decelerate);
    assert_eq!(speed(&rule, &[9.0, 1.99, 1.0, 0.0, 0.0, 0.0]), S::Stop);
    assert_eq!(speed(&rule, &[9.0, 2.01, 1.0, 0.0, 0.0, 0.0]), S::Keep);
}

#[test]
fn real_drive_thresholds_scale_with_speed() {
    let rule = LabelRule::real_drive();
    // tau at 10 m/s is 2.
    assert_eq!(speed(&rule, &[10.0, 10.0, 10.0, 10.0, 11.0, 11.95]), S::Keep);
    assert_eq!(speed(&rule, &[10.0, 10.0, 10.0, 10.0, 11.0, 12.05]), S::Accelerate);
    // ... at 2.2 m/s it is the lower end, 0.5; at 30 m/s the upper, 3.
    assert_eq!(speed(&rule, &[2.2, 2.2, 2.2, 2.2, 2.0, 1.65]), S::Decelerate);
    assert_eq!(speed(&rule, &[30.0, 30.0, 30.0, 30.0, 30.0, 27.05]), S::Keep);
    assert_eq!(speed(&rule, &[30.0, 30.0, 30.0, 30.0, 30.0, 26.95]), S::Decelerate);
    // Comes to a stand from any speed; or crawls all along.
    assert_eq!(speed(&rule, &[9.0, 7.0, 5.0, 3.0, 1.0, 0.4]), S::Stop);
    assert_eq!(speed(&rule, &[1.9, 1.9, 1.9, 1.9, 1.9, 1.9]), S::Stop);
}

#[test]
fn turns_need_offset_and_bearing() {
    for rule in [LabelRule::default(), LabelRule::senna(), LabelRule::real_drive()] {
        assert_eq!(rule.path(&bend(8.0, 20.0, true)).unwrap(), P::LeftTurn);
        assert_eq!(rule.path(&bend(8.0, -20.0, false)).unwrap(), P::RightTurn);
        assert_eq!(rule.path(&bend(8.0, 100.0, true)).unwrap(), P::Straight);
        // A U-turn: the end point lies behind.
        assert_eq!(rule.path(&bend(8.0, 5.0, true)).unwrap(), P::LeftTurn);
        assert_eq!(rule.path(&straight(&[0.0; 6])).unwrap(), P::Straight);
    }
}

#[test]
fn lane_changes_are_found_at_every_speed_and_bends_are_not() {
    let rule = LabelRule::default();
    for headings in [true, false] {
        for v in [4.0, 6.0, 8.0, 12.0, 20.0, 35.0] {
            for offset in [2.8, 3.5, 4.5] {
                let left = change(v, offset, headings);
                assert_eq!(rule.path(&left).unwrap(), P::LeftChange, "{v} m/s {offset} m {headings}");
                assert_eq!(rule.path(&left.mirrored()).unwrap(), P::RightChange, "{v} m/s {offset} m {headings}");
            }
            for radius in [30.0f64, 60.0, 120.0, 250.0, 500.0, 1000.0] {
                let got = rule.path(&bend(v, radius, headings)).unwrap();
                assert!(matches!(got, P::Straight | P::LeftTurn), "{v} m/s radius {radius}: {got}");
            }
        }
    }
    // What the published rule does with the same drives.
    let senna = LabelRule::senna();
    assert_eq!(senna.path(&change(8.0, 4.5, true)).unwrap(), P::LeftTurn);
    assert_eq!(senna.path(&change(8.0, 3.5, true)).unwrap(), P::Straight);
    assert_eq!(senna.path(&change(20.0, 4.5, true)).unwrap(), P::LeftChange);
    assert_eq!(senna.path(&bend(30.0, 800.0, true)).unwrap(), P::LeftChange);
    // Too little: half a lane. Too slow: a parking move.
    assert_eq!(rule.path(&change(12.0, 1.8, true)).unwrap(), P::Straight);
    assert_eq!(rule.path(&change(2.5, 3.0, true)).unwrap(), P::Straight);
    assert_eq!(LabelRule { change: ChangeTest::Never, ..rule }.path(&change(12.0, 3.5, true)).unwrap(), P::Straight);
}

#[test]
fn senna_is_not_symmetric_at_exactly_four_metres() {
    let at = |y| Trajectory::half_second((1..=6).map(|i| Pose::new(2.0 * f64::from(i), y, 0.0)).collect());
    assert_eq!(LabelRule::senna().path(&at(4.0)).unwrap(), P::LeftTurn);
    assert_eq!(LabelRule::senna().path(&at(-4.0)).unwrap(), P::Straight);
    assert_eq!(LabelRule::real_drive().path(&at(4.0)).unwrap(), P::Straight);
}

#[test]
fn errors_say_what_is_wrong() {
    let rule = LabelRule::default();
    let e = rule.label(&straight(&[1.0; 5]), None).unwrap_err();
    assert_eq!(e, LabelError::TooShort { have: 5, need: 6, seconds: 2.5, horizon: 3.0 });
    let mut bad = straight(&[1.0; 6]);
    bad.poses[3].y = f64::NAN;
    assert!(matches!(rule.label(&bad, None).unwrap_err(), LabelError::NonFinite { index: 3, .. }));
    let coarse = Trajectory { step: 1.0, poses: straight(&[1.0; 6]).poses };
    assert_eq!(rule.label(&coarse, None).unwrap_err(), LabelError::WrongStep { step: 1.0, expected: 0.5 });
    let nan = Trajectory { step: f64::NAN, poses: vec![] };
    assert!(matches!(rule.label(&nan, None).unwrap_err(), LabelError::WrongStep { .. }));
    for speed in [None, Some(f64::NAN), Some(-1.0)] {
        let e = LabelRule::real_drive().label(&straight(&[1.0; 6]), speed).unwrap_err();
        assert!(matches!(e, LabelError::Speed { .. }), "{e}");
    }
    let e = LabelRule { lateral: f64::NAN, ..rule.clone() }.label(&straight(&[1.0; 6]), None).unwrap_err();
    assert!(e.to_string().contains("lateral"), "{e}");
    let e = LabelRule { horizon: 0.7, ..rule }.label(&straight(&[1.0; 6]), None).unwrap_err();
    assert!(e.to_string().contains("horizon"), "{e}");
}

#[test]
fn the_simulators_rule_turns_by_heading() {
    let rule = LabelRule::sim();
    let drive = |heading: f64| {
        let poses = (1..=8).map(|i| Pose::new(f64::from(i) * 4.0, f64::from(i), heading * f64::from(i) / 6.0));
        Trajectory::half_second(poses.collect())
    };
    let path = |degrees: f64| rule.path(&drive(degrees.to_radians())).unwrap();
    assert_eq!([path(21.0), path(-21.0)], [P::LeftTurn, P::RightTurn]);
    assert_eq!([path(19.0), path(-19.0)], [P::Straight; 2]);
    let speed = |v: f64, now: f64| rule.speed(&straight(&[v; 8]), Some(now)).unwrap();
    assert_eq!(speed(6.0, 7.1), S::Decelerate);
    assert_eq!([speed(6.0, 6.9), speed(6.0, 4.9)], [S::Keep, S::Accelerate]);
    assert_eq!([speed(0.4, 8.0), speed(0.8, 0.4)], [S::Stop, S::Keep]);
}

#[test]
fn presets_have_names_and_a_file_form() {
    for name in ["default", "senna", "real_drive", "sim"] {
        let rule = LabelRule::preset(name).unwrap();
        let text = serde_json::to_string(&rule).unwrap();
        assert_eq!(serde_json::from_str::<LabelRule>(&text).unwrap(), rule);
    }
    assert_eq!(LabelRule::preset("other"), None);
    assert_eq!(serde_json::from_str::<LabelRule>(r#"{"lateral": 3.0}"#).unwrap().lateral, 3.0);
    assert!(serde_json::from_str::<LabelRule>(r#"{"laterl": 3.0}"#).is_err());
}

proptest! {
    #[test]
    fn a_mirrored_drive_has_the_mirrored_label(
        steps in proptest::collection::vec((-1.0..20.0f64, -4.0..4.0f64, -1.0..1.0f64), 6..9),
        v in 0.0..30.0f64,
    ) {
        let (mut x, mut y) = (0.0, 0.0);
        let poses = steps.iter().map(|(dx, dy, h)| { x += dx; y += dy; Pose::new(x, y, *h) }).collect();
        let drive = Trajectory::half_second(poses);
        for rule in [LabelRule::default(), LabelRule::real_drive()] {
            let label = rule.label(&drive, Some(v)).unwrap();
            prop_assert_eq!(rule.label(&drive.mirrored(), Some(v)).unwrap(), label.mirrored());
        }
    }

    #[test]
    fn any_numbers_are_answered(poses in proptest::collection::vec(any::<[f64; 3]>(), 0..10), v in any::<f64>()) {
        let drive = Trajectory::half_second(poses.into_iter().map(Pose::from).collect());
        for rule in [LabelRule::default(), LabelRule::senna(), LabelRule::real_drive()] {
            let _ = rule.label(&drive, Some(v));
        }
    }
}
