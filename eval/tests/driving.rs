//! Driving scores of drives that really happen in the simulator.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use eval::driving::{RouteScore, Suite, ability, replay, report, route};
use eval::metrics::bootstrap::Bootstrap;
use eval::report::{Shown, anchor, driving_page};
use sim::drive::{Episode, Options, drive};
use sim::event::{Event, EventKind};
use sim::expert::RuleExpert;
use sim::policy::{ConstantSpeed, Policy};
use sim::scenario::Ability;
use sim::world::World;
use std::collections::BTreeMap;
use std::sync::Arc;

fn tiny(policy: &mut dyn Policy) -> Vec<Episode> {
    let worlds = Suite::named("tiny").unwrap().scenarios().into_iter().map(|s| Arc::new(World::new(s))).collect();
    drive(worlds, policy, Options::default(), |_, _| {})
}

#[test]
fn a_perfect_drive_has_100_points_and_each_infraction_its_price() {
    let episodes = tiny(&mut RuleExpert::default());
    for episode in &episodes {
        let score = route(episode);
        assert_eq!((score.driving_score, score.success, score.penalty), (100.0, true, 1.0), "{score:?}");
        let hd = score.hd.unwrap();
        assert!(hd.score > 0.6 && hd.dac == 1.0, "{hd:?}");
        assert!(score.comfort.unwrap() > 0.2, "{score:?}");
    }
    // The same drive with what did not happen.
    let mut spoilt = episodes[0].clone();
    spoilt.events.push(Event { kind: EventKind::CollisionVehicle, ..Event::default() });
    spoilt.events.push(Event { kind: EventKind::RedLight, ..Event::default() });
    spoilt.outside = 0.5 * spoilt.driven;
    let score = route(&spoilt);
    assert!((score.driving_score - 100.0 * 0.6 * 0.7 * 0.5).abs() < 1e-4 && !score.success, "{score:?}");
    // Half the route, and time is up.
    let mut half = episodes[0].clone();
    half.end = sim::drive::End::Timeout;
    half.events = vec![Event { kind: EventKind::Timeout, ..Event::default() }];
    let middle = half.start + 0.5 * (half.world.goal - half.start);
    half.samples.retain(|s| s.progress <= middle);
    let score = route(&half);
    assert!((score.driving_score - 35.0).abs() < 0.5 && !score.success, "{}", score.driving_score);
}

#[test]
fn who_sees_nothing_scores_less() {
    let bootstrap = Bootstrap::default();
    let blind = report("constant", "tiny", tiny(&mut ConstantSpeed).iter().map(route).collect(), bootstrap);
    let expert = report("expert", "tiny", tiny(&mut RuleExpert::default()).iter().map(route).collect(), bootstrap);
    let value = |f: Option<eval::metrics::bootstrap::Figure>| f.unwrap().value;
    assert!(value(blind.driving_score) < 60.0, "{:?}", blind.driving_score);
    assert!(value(blind.hd_score) < value(expert.hd_score));
    assert!(blind.routes[0].driving_score <= blind.routes[2].driving_score);
    let collisions: usize = blind.infractions.iter().filter(|i| i.kind.starts_with("collision")).map(|i| i.count).sum();
    assert!(collisions > 0);
}

/// Driving scores of a policy on a suite, by family.
fn by_family(suite: &str, policy: &mut dyn Policy) -> BTreeMap<String, Vec<f64>> {
    let worlds = Suite::named(suite).unwrap().scenarios().into_iter().map(|s| Arc::new(World::new(s))).collect();
    let options = Options { record: false, ..Options::default() };
    let mut scores: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for score in drive(worlds, policy, options, |_, _| {}).iter().map(route) {
        scores.entry(score.family).or_default().push(score.driving_score);
    }
    scores
}

fn mean<'a>(scores: impl Iterator<Item = &'a Vec<f64>>) -> f64 {
    let all: Vec<f64> = scores.flatten().copied().collect();
    all.iter().sum::<f64>() / all.len() as f64
}

#[test]
fn the_expert_solves_every_family_and_constant_speed_none() {
    for (suite, families, most) in [("validation", 16, 40.0), ("occlusion", 4, 60.0)] {
        let expert = by_family(suite, &mut RuleExpert::default());
        let constant = by_family(suite, &mut ConstantSpeed);
        assert_eq!((expert.len(), constant.len()), (families, families), "{suite}");
        assert!(expert.values().all(|scores| scores.len() == 5), "{suite}: five seeds each");
        assert!(mean(expert.values()) >= 90.0, "{suite}: {expert:?}");
        assert!(mean(constant.values()) <= most, "{suite}: {constant:?}");
        for (family, scores) in &expert {
            assert!(mean([scores].into_iter()) >= 80.0, "{family}: {scores:?}");
            assert!(scores.iter().any(|&score| score > 90.0), "{family}: {scores:?}");
            assert!(constant[family].iter().all(|&score| score < 100.0), "{family}: {:?}", constant[family]);
        }
    }
}

#[test]
fn abilities_by_hand() {
    let base = route(&tiny(&mut RuleExpert::default())[0]);
    let one = |abilities: &[Ability], success: bool, junction_passed: bool| RouteScore {
        abilities: abilities.to_vec(),
        success,
        junction_passed,
        ..base.clone()
    };
    use Ability::*;
    let routes = [
        one(&[Merging, TrafficSign], true, true),
        one(&[Merging, TrafficSign], false, true),
        one(&[Merging], false, true),
        one(&[Overtaking], false, false),
        one(&[EmergencyBrake], true, false),
        one(&[TrafficSign], false, false),
    ];
    let (share, mean) = ability::table(&routes);
    // A failed route that passed its junction counts for traffic signs and for nothing else.
    assert_eq!(share, [Some(1.0 / 3.0), Some(0.0), Some(1.0), None, Some(2.0 / 3.0)]);
    assert_eq!(mean, Some(0.5));
}

#[test]
fn the_page_holds_everything_and_nothing_from_outside() {
    let episodes = tiny(&mut ConstantSpeed);
    let report = report("constant <speed>", "tiny", episodes.iter().map(route).collect(), Bootstrap::default());
    let shown: Vec<Shown> = episodes
        .iter()
        .map(|e| Shown { replay: replay::replay(e), camera: vec![(0.0, vec![0x89, b'P', b'N', b'G'])] })
        .collect();
    let page = driving_page(&report, &shown).unwrap();
    assert!(page.contains("constant &lt;speed&gt;") && page.contains("default-src 'none'"));
    assert!(!page.contains("http://") && !page.contains("https://"));
    for episode in &episodes {
        let name = &episode.world.scenario.name;
        assert!(
            page.contains(&format!("id=\"{}\"", anchor(name))) && page.contains(&format!("data-replay=\"{name}\""))
        );
    }
    // A replay unpacks to where the boxes were.
    let json = serde_json::to_value(&shown[0].replay).unwrap();
    let track: Vec<i64> = json["agents"][0]["t"].as_array().unwrap().iter().map(|v| v.as_i64().unwrap()).collect();
    let frames = json["frames"].as_u64().unwrap() as usize;
    assert_eq!(track.len(), 3 * frames);
    let x: i64 = track.iter().step_by(3).sum();
    let last = episodes[0].boxes[2 * (frames - 1)][0][0];
    assert!((x as f32 / 10.0 - last).abs() < 0.06, "{x} {last}");
    let written = serde_json::to_string(&report).unwrap();
    let read: eval::driving::DrivingReport = serde_json::from_str(&written).unwrap();
    assert_eq!(read.routes.len(), report.routes.len());
}
