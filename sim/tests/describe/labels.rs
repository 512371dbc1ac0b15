//! Meta-actions of driven futures on a road whose lanes are known.

use super::stage::{batch, scenario};
use scene::{MetaAction, PathAction as P, SpeedAction as S};
use sim::World;
use sim::describe::{driven, labels::lane_change};
use sim::scenario::Lamp;

fn world() -> std::sync::Arc<World> {
    batch(scenario(Lamp::Off, vec![])).worlds[0].clone()
}

/// Poses along the road at a speed, with these metres to the left at each.
fn poses(speed: f32, lats: [f32; 8]) -> Vec<[f32; 3]> {
    lats.iter().enumerate().map(|(i, y)| [0.5 * speed * (i + 1) as f32, *y, 0.0]).collect()
}

#[test]
fn lane_changes_are_read_off_the_lanes() {
    let world = world();
    let change = |y0: f32, lats| lane_change(&world, [0.0, y0, 0.0], &poses(10.0, lats));
    assert_eq!(change(0.0, [0.0; 8]), 0);
    assert_eq!(change(0.0, [0.1, 0.4, 0.9, 1.5, 2.2, 2.9, 3.3, 3.5]), 1, "over the line within 3 s");
    assert_eq!(change(0.0, [0.0, 0.1, 0.2, 0.4, 0.7, 1.1, 1.6, 2.2]), 1, "on its way at 3 s");
    assert_eq!(change(0.0, [0.0, 0.0, 0.0, 0.0, 0.1, 0.3, 0.9, 1.9]), 0, "barely begun at 3 s");
    assert_eq!(change(0.0, [0.2, 0.6, 1.0, 1.3, 1.3, 1.0, 0.5, 0.2]), 0, "a swerve within the lane");
    assert_eq!(change(2.0, [2.3, 2.7, 3.0, 3.3, 3.5, 3.5, 3.5, 3.5]), 1, "being finished");
    assert_eq!(change(3.5, [3.2, 2.6, 1.9, 1.2, 0.5, 0.1, 0.0, 0.0]), -1, "back again");
    // Also beside the lanes of its direction: past the middle of the road and back.
    assert_eq!(change(7.0, [6.4, 5.6, 4.8, 4.2, 3.8, 3.6, 3.5, 3.5]), -1);
}

#[test]
fn speed_and_turns_follow_the_rule() {
    let world = world();
    let label = |speed: f32, future: &[[f32; 3]]| driven(&world, [0.0, 0.0, 0.0], speed, future).unwrap().action;
    assert_eq!(label(10.0, &poses(10.0, [0.0; 8])), MetaAction::new(S::Keep, P::Straight));
    assert_eq!(label(8.5, &poses(10.0, [0.0; 8])).speed, S::Accelerate);
    assert_eq!(label(11.5, &poses(10.0, [0.0; 8])).speed, S::Decelerate);
    assert_eq!(label(0.0, &poses(0.0, [0.0; 8])).speed, S::Stop);
    let arc = |radius: f32, side: f32| -> Vec<[f32; 3]> {
        let angles = (1..=8).map(|i| 4.0 * i as f32 / radius);
        angles.map(|a| [radius * a.sin(), side * radius * (1.0 - a.cos()), side * a]).collect()
    };
    assert_eq!(label(8.0, &arc(30.0, 1.0)).path, P::LeftTurn);
    assert_eq!(label(8.0, &arc(30.0, -1.0)).path, P::RightTurn);
    let future = driven(&world, [0.0, 0.0, 0.0], 10.0, &poses(10.0, [0.0; 8])).unwrap().future;
    assert_eq!(future.poses.len(), 8);
    assert!((future.poses[7].x - 40.0).abs() < 1e-4);
    assert!(driven(&world, [0.0, 0.0, 0.0], 10.0, &poses(10.0, [0.0; 8])[..4]).is_err());
}
