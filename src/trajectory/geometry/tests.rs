#![allow(clippy::unwrap_used)]
use super::*;
use crate::streams::Stream;
use proptest::prelude::*;

const NONE: [Action; LEVELS] = [[0.0; 2]; LEVELS];

fn straight(speed: f64) -> Trajectory {
    arc(speed, 0.0)
}

/// A bend of constant curvature, 1/m.
fn arc(speed: f64, curvature: f64) -> Trajectory {
    let pose = |t: usize| {
        let (s, k) = (speed * STEP * t as f64, curvature);
        if k == 0.0 { Pose::new(s, 0.0, 0.0) } else { Pose::new((k * s).sin() / k, (1.0 - (k * s).cos()) / k, k * s) }
    };
    Trajectory::half_second((1..=POSES).map(pose).collect())
}

fn standing() -> Trajectory {
    Trajectory::half_second(vec![Pose::ORIGIN; POSES])
}

/// Largest second and third differences of a coordinate on the 2 Hz grid, the origin and rest of the past included:
/// m/s2 and m/s3.
fn cost(values: &[f64], speed: f64) -> (f64, f64) {
    let mut x = vec![-2.0 * speed * STEP, -speed * STEP, 0.0];
    x.extend_from_slice(values);
    let accelerations: Vec<f64> = x.windows(3).map(|w| (w[2] - 2.0 * w[1] + w[0]) / (STEP * STEP)).collect();
    let jerks = accelerations.windows(2).map(|w| (w[1] - w[0]).abs() / STEP);
    (accelerations.iter().fold(0.0, |m, a| a.abs().max(m)), jerks.fold(0.0, f64::max))
}

fn ys(t: &Trajectory) -> Vec<f64> {
    t.poses.iter().map(|p| p.y).collect()
}

fn xs(t: &Trajectory) -> Vec<f64> {
    t.poses.iter().map(|p| p.x).collect()
}

/// (i) No action is the reference, to the last bit: straight, bent, standing, stopping, noisy.
#[test]
fn keeping_is_the_reference() {
    let mut noisy = arc(6.0, 0.03);
    let mut stream = Stream::new(1, "noise");
    noisy.poses.iter_mut().for_each(|p| {
        *p = Pose::new(p.x + 0.1 * stream.normal(), p.y + 0.1 * stream.normal(), p.heading + 0.1 * stream.normal())
    });
    let mut stopping = straight(4.0);
    (4..POSES).for_each(|t| stopping.poses[t] = stopping.poses[3]);
    for reference in [straight(8.0), arc(8.0, 0.05), arc(5.0, -0.1), standing(), noisy, stopping] {
        assert_eq!(Frenet::new(&reference).unwrap().apply(&NONE), reference);
    }
}

/// (ii) Aside by 1 m and by a lane at 8 m/s: comfortable, where grafted steps of 10 % are not.
#[test]
fn offsets_are_comfortable_and_grafts_are_not() {
    let frenet = Frenet::new(&straight(8.0)).unwrap();
    let metre = ys(&frenet.apply(&[[0.0, 1.0], [0.0, -1.0], [0.0, 0.0], [0.0, 0.0]]));
    let lane = ys(&frenet.apply(&[[0.0, 1.75], [0.0, 0.0], [0.0, -1.75], [0.0, 0.0]]));
    assert!((metre[7] - 1.0).abs() < 1e-9 && (lane[7] - 3.5).abs() < 1e-9, "{metre:?} {lane:?}");
    let ((metre, jerk), (lane, lane_jerk)) = (cost(&metre, 0.0), cost(&lane, 0.0));
    assert!((metre - 1.0).abs() < 1e-9 && (lane - 1.75).abs() < 1e-9, "{metre} {lane}");
    assert!((jerk - 2.0).abs() < 1e-9 && (lane_jerk - 1.75).abs() < 1e-9, "{jerk} {lane_jerk}");
    // The released rule: 10 % of 1.5 mean steps, added to every pose from the level's end on.
    let step = 0.1 * 1.5 * 8.0 * STEP;
    let grafted: Vec<f64> = (1..=POSES).map(|t| if t >= LEVEL_POSES { step } else { 0.0 }).collect();
    let (graft, graft_jerk) = cost(&grafted, 0.0);
    assert!((graft - 2.4).abs() < 1e-9 && (graft_jerk - 9.6).abs() < 1e-9, "{graft} {graft_jerk}");
    // Along the path: full braking comes in two levels.
    let braking = xs(&frenet.apply(&[[-4.0, 0.0]; LEVELS]));
    let (deceleration, jerk) = cost(&braking, 8.0);
    assert!(deceleration <= 4.0 + 1e-9 && jerk <= 4.0 + 1e-9, "{deceleration} {jerk}");
}

/// (iii) Turning noisy poses into accelerations and back is hopeless; offsets do not care about the noise.
#[test]
fn no_inverse_dynamics_no_amplified_noise() {
    let (mut squares, mut count, mut worst) = (0.0, 0.0, 0f64);
    let offsets = [[1.0, 0.5], [0.0, -0.5], [-1.0, 0.0], [0.0, 0.0]];
    let clean = straight(8.0);
    let moved = Frenet::new(&clean).unwrap().apply(&offsets);
    for seed in 0..200 {
        let mut noisy = clean.clone();
        let mut stream = Stream::new(seed, "noise");
        noisy.poses.iter_mut().for_each(|p| p.x += 0.05 * stream.normal());
        // Exact inversion of a constant acceleration per step: v_t = 2 d_t / dt - v_{t-1}.
        let mut speed = 8.0;
        for v in noisy.speeds() {
            let next = 2.0 * v - speed;
            squares += ((next - speed) / STEP).powi(2);
            count += 1.0;
            speed = next;
        }
        let again = Frenet::new(&noisy).unwrap().apply(&offsets);
        for t in 0..POSES {
            let shift = |from: &Trajectory, to: &Trajectory| to.poses[t].x - from.poses[t].x;
            worst = worst.max((shift(&noisy, &again) - shift(&clean, &moved)).abs());
            worst = worst.max((again.poses[t].y - moved.poses[t].y).abs());
        }
    }
    let error = (squares / count).sqrt();
    assert!(error > 2.5, "5 cm of noise become {error} m/s2");
    assert!(worst < 1e-6, "an offset moves a noisy reference by {worst} m more than a clean one");
}

#[test]
fn braking_ends_at_a_stand_and_a_standing_car_can_start() {
    let stopped = Frenet::new(&straight(3.0)).unwrap().apply(&[[-4.0, 0.0]; LEVELS]);
    assert!(stopped.speeds()[4..].iter().all(|v| *v < 1e-9), "{:?}", stopped.speeds());
    let started = Frenet::new(&standing()).unwrap().apply(&[[1.0, 0.0]; LEVELS]);
    assert!((started.poses[7].x - 8.0).abs() < 1e-9 && started.poses[7].y == 0.0, "{started:?}");
}

#[test]
fn a_bend_is_followed_ahead_and_aside() {
    let frenet = Frenet::new(&arc(8.0, 0.05)).unwrap();
    let outside = frenet.apply(&[[0.0, -1.0], [0.0, 1.0], [0.0, 0.0], [0.0, 0.0]]);
    let centre = Pose::new(0.0, 20.0, 0.0);
    for pose in &outside.poses[3..] {
        assert!((pose.distance(centre) - 21.0).abs() < 1e-6, "{pose:?}"); // 1 m outside a circle of 20 m
    }
    let ahead = frenet.apply(&[[1.0, 0.0], [-1.0, 0.0], [0.0, 0.0], [0.0, 0.0]]);
    for pose in &ahead.poses[..6] {
        assert!((pose.distance(centre) - 20.0).abs() < 0.11, "{pose:?}"); // on the chords
    }
}

#[test]
fn other_shapes_are_refused() {
    let mut short = straight(1.0);
    short.poses.pop();
    assert!(Frenet::new(&short).unwrap_err().message.contains("7 poses"));
    let slow = Trajectory { step: 1.0, ..straight(1.0) };
    assert!(Frenet::new(&slow).unwrap_err().message.contains("at 1 s"));
    let mut bad = straight(1.0);
    bad.poses[3].y = f64::NAN;
    assert!(Frenet::new(&bad).unwrap_err().message.contains("pose 3"));
}

proptest! {
    /// Never backwards, always finite, levels driven one by one are the whole.
    #[test]
    fn any_actions_drive_forward(
        speeds in prop::array::uniform8(0.0..15.0f64),
        actions in prop::array::uniform4((-4.0..2.0f64, -2.0..2.0f64)),
    ) {
        let mut x = 0.0;
        let poses = speeds.iter().map(|v| { x += v * STEP; Pose::new(x, 0.0, 0.0) }).collect();
        let frenet = Frenet::new(&Trajectory::half_second(poses)).unwrap();
        let driven = frenet.apply(&actions.map(|(a, b)| [a, b]));
        let xs = xs(&driven);
        prop_assert!(driven.poses.iter().all(|p| p.is_finite()));
        prop_assert!(xs[0] >= 0.0 && xs.windows(2).all(|w| w[1] >= w[0] - 1e-9), "{xs:?}");
    }
}
