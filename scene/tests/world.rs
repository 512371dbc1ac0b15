//! Scenes: what is refused, and in which words.
#![allow(clippy::unwrap_used)]

use scene::world::{self, EgoStatus, Lane, RedLight, Scene, Track2Hz};
use scene::{Pose, world::AgentType};

/// One lane, one car, one light.
fn small() -> Scene {
    let square = vec![[0.0, 0.0], [50.0, 0.0], [50.0, 4.0], [0.0, 4.0]];
    let mut scene = Scene { schema: world::SCHEMA.into(), name: "small".into(), ..Scene::default() };
    scene.map.lanes.push(Lane {
        id: "7".into(),
        roadblock: "1".into(),
        connector: true,
        speed_limit: Some(13.0),
        centerline: vec![[0.0, 2.0], [50.0, 2.0]],
        polygon: square,
        out: vec![],
        inc: vec![],
    });
    scene.agents_2hz.push(Track2Hz {
        token: "car".into(),
        kind: AgentType::Vehicle,
        size: [4.0, 2.0, 1.5],
        frames: vec![Some([20.0, 2.0, 0.0, 3.0, 0.0]); 9],
    });
    let at = |time_us: i64| EgoStatus { time_us, pose: Pose::new(1.0, 2.0, 0.0), ..EgoStatus::default() };
    scene.ego_history = vec![at(-500_000), at(0)];
    scene.ego = at(0);
    scene.red_lights = Some(vec![RedLight { token: "red_light_7".into(), frames: "0".repeat(41) }]);
    scene
}

fn refused(damage: impl Fn(&mut Scene)) -> String {
    let mut scene = small();
    damage(&mut scene);
    world::check(&scene).unwrap_err().to_string()
}

#[test]
fn a_small_scene_is_fine_and_survives_json() {
    let scene = small();
    world::check(&scene).unwrap();
    let text = serde_json::to_string(&scene).unwrap();
    assert_eq!(serde_json::from_str::<Scene>(&text).unwrap(), scene);
}

#[test]
fn errors_name_scene_field_value_and_rule() {
    let cases: [(String, &str); 11] = [
        (refused(|s| s.schema = "other/1".into()), "scene small: schema is \"other/1\": must be navsim-fixture/1"),
        (
            refused(|s| s.map.lanes[0].polygon.truncate(2)),
            "scene small: map.lanes[7].polygon has 2 entries: must have at least 3 vertices",
        ),
        (
            refused(|s| s.map.lanes[0].polygon[2][1] = f64::NAN),
            "scene small: map.lanes[7].polygon[2] is NaN: must be a finite number of magnitude at most 1e8",
        ),
        (
            refused(|s| s.map.lanes[0].speed_limit = Some(-1.0)),
            "scene small: map.lanes[7].speed_limit is -1: must be a finite number of m/s, not negative",
        ),
        (
            refused(|s| s.map.lanes.push(s.map.lanes[0].clone())),
            "scene small: map.lanes id \"7\" occurs twice: ids must be unique",
        ),
        (
            refused(|s| s.agents_2hz[0].frames.clear()),
            "scene small: agents_2hz[car].frames has 0 entries: must have 9 or 11 frames",
        ),
        (
            refused(|s| s.agents_2hz[0].size[1] = 0.0),
            "scene small: agents_2hz[car].size is 0: must be a length between 0.001 and 1000 m",
        ),
        (
            refused(|s| s.ego_history[1].time_us = -500_000),
            "scene small: ego_history.time_us[1] is -500000: must be later than the entry before it",
        ),
        (
            refused(|s| s.ego.time_us = i64::MAX),
            "scene small: ego.time_us is 9223372036854776000: must be microseconds of magnitude at most 1e17",
        ),
        (
            refused(|s| s.red_lights.as_mut().unwrap()[0].token = "red_light_8".into()),
            "scene small: red_lights[0].token names \"8\", which is no lane connector of the map",
        ),
        (refused(|s| s.red_lights.as_mut().unwrap()[0].frames.push('2')), "must be 41 characters 0 or 1"),
    ];
    for (ours, expected) in cases {
        assert!(ours.contains(expected), "{ours}\n{expected}");
    }
}
