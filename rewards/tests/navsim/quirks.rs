//! Hand-made cases for the quirks that the fixtures do not reach.

use super::fixture;
use rewards::pdm::*;
use scene::Trajectory;
use scene::world::{AgentType, Scene, Track};

fn scene(name_part: &str) -> fixture::Case {
    let all = fixture::own_cases();
    all.iter().find(|c| c.scene.name.contains(name_part)).or(all.first()).unwrap().clone()
}

fn score(scene: &Scene, plan: &Trajectory, version: Version, compat: Compat) -> Scores {
    let cache = MetricCache::new(scene, version, compat).unwrap();
    score_one(&cache, &cache.log_replay, Proposal::alone(plan), Filter::Off, &mut Workspace::default()).unwrap()
}

/// A box right in front of ego for the whole time, first seen with `speed` and then standing.
fn blocked(case: &fixture::Case, distance: f64, speed: f64, kind: AgentType) -> Scene {
    let mut s = case.scene.clone();
    let at = scene::Pose::new(distance, 0.0, 0.0).out_of_frame(s.ego.pose);
    for (tracks, frames) in [(&mut s.agents_10hz_v2, 41), (&mut s.agents_10hz_v1, 51)] {
        let detection = |v: f64| Some([at.x, at.y, at.heading, v * at.heading.cos(), v * at.heading.sin()]);
        let mut all = vec![detection(0.0); frames];
        all[0] = detection(speed);
        *tracks = Some(vec![Track { token: "box".into(), kind, length: 2.0, width: 2.0, frames: all }]);
    }
    s
}

#[test]
fn v2_forgets_what_overlaps_ego_now_and_v1_does_not() {
    let case = scene("straight_free");
    let plan = case.proposals[0].plan();
    let overlapping = blocked(&case, 3.0, 0.0, AgentType::Vehicle);
    assert_eq!(score(&overlapping, &plan, Version::V2, Compat::reference()).nc, 1.0);
    assert_eq!(score(&overlapping, &plan, Version::V1, Compat::reference()).nc, 0.0);
    let kept = Compat { drop_initial_overlaps: false, ..Compat::reference() };
    assert_eq!(score(&overlapping, &plan, Version::V2, kept).nc, 0.0);
}

#[test]
fn static_things_cost_half() {
    let case = scene("straight_free");
    let plan = case.proposals[0].plan();
    let cone = blocked(&case, 12.0, 0.0, AgentType::TrafficCone);
    let car = blocked(&case, 12.0, 0.0, AgentType::Vehicle);
    assert_eq!(score(&cone, &plan, Version::V2, Compat::reference()).nc, 0.5);
    assert_eq!(score(&car, &plan, Version::V2, Compat::reference()).nc, 0.0);
}

#[test]
fn a_scene_without_lights_needs_an_empty_list() {
    let case = scene("straight_free");
    let mut s = case.scene.clone();
    s.red_lights = None;
    let e = MetricCache::new(&s, Version::V2, Compat::reference()).unwrap_err();
    assert!(e.to_string().contains("red_lights is missing"), "{e}");
    MetricCache::new(&s, Version::V1, Compat::reference()).unwrap();
}

#[test]
fn synthetic_scenes_have_no_human_filter() {
    let mut s = scene("lead_const").scene;
    assert!(MetricCache::new(&s, Version::V2, Compat::reference()).unwrap().log_replay.human.is_some());
    s.scene_type = scene::world::SceneType::Synthetic;
    assert!(MetricCache::new(&s, Version::V2, Compat::reference()).unwrap().log_replay.human.is_none());
}

#[test]
fn the_missing_history_sample_is_there_when_asked_for() {
    let s = scene("straight_free").scene;
    let count = |compat| comfort_samples(&MetricCache::new(&s, Version::V2, compat).unwrap().ground, Version::V2);
    let (published, whole) = (count(Compat::reference()), count(Compat { history_gap: false, ..Compat::reference() }));
    assert!((published == 55 || published == 56) && whole == 56, "{published} {whole}");
}

#[test]
fn plans_of_distant_frames_are_not_compared() {
    let case = scene("straight_free");
    let cache = MetricCache::new(&case.scene, Version::V2, Compat::reference()).unwrap();
    let e = cache.previous(&case.scene.ego_history[0], &case.proposals[0].previous_plan()).unwrap_err();
    assert!(e.to_string().contains("less than 0.55 s"), "{e}");
}
