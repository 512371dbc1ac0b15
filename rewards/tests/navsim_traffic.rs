//! Reactive traffic, derived cache fields and PDM-Closed against the reference's own numbers.
//!
//! Reads every `scenes*.jsonl(.gz)` of `tests/fixtures/navsim`, or of the folder named by `REINSMAN_NAVSIM_FIXTURES`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use flate2::read::MultiGzDecoder;
use rewards::pdm::{Compat, closed};
use scene::dynamics::{STATES, State};
use scene::idm::{Config, IdmTraffic, Quirks};
use scene::world::{Scene, Track};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;

/// A scene with everything the reference computed for it.
struct Case {
    scene: Scene,
    raw: Value,
}

fn folder() -> PathBuf {
    let own = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/navsim");
    std::env::var_os("REINSMAN_NAVSIM_FIXTURES").map_or_else(|| own.into(), PathBuf::from)
}

fn cases() -> Vec<Case> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder()).unwrap().map(|e| e.unwrap().path()).collect();
    files.retain(|f| f.file_name().is_some_and(|n| n.to_string_lossy().contains("scenes")));
    files.sort();
    let mut cases = Vec::new();
    for file in files {
        let open = std::fs::File::open(&file).unwrap();
        let gz = file.extension().is_some_and(|e| e == "gz");
        let read: Box<dyn Read> = if gz { Box::new(MultiGzDecoder::new(open)) } else { Box::new(open) };
        for line in BufReader::new(read).lines() {
            let raw: Value = serde_json::from_str(&line.unwrap()).unwrap();
            cases.push(Case { scene: serde_json::from_value(raw.clone()).unwrap(), raw });
        }
    }
    assert!(!cases.is_empty(), "no scenes in {}", folder().display());
    cases
}

fn states(value: &Value) -> [State; STATES] {
    let states: Vec<State> = serde_json::from_value(value.clone()).unwrap();
    states.try_into().unwrap()
}

/// The largest difference between two lists of tracks: infinite when order, type or presence differ.
fn difference(found: &[Track], expected: &[Track]) -> f64 {
    let label = |t: &Track| (t.token.clone(), t.kind, t.frames.iter().map(Option::is_some).collect::<Vec<_>>());
    if found.iter().map(label).ne(expected.iter().map(label)) {
        return f64::INFINITY;
    }
    let numbers = |t: &Track| {
        let frames = t.frames.iter().flatten().flatten().copied();
        frames.chain([t.length, t.width]).collect::<Vec<f64>>()
    };
    let pairs = found.iter().flat_map(numbers).zip(expected.iter().flat_map(numbers));
    pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

#[test]
fn idm_tracks_are_those_of_the_reference() {
    let (mut worst, mut tracks, mut invalid, mut wrong) = (0.0f64, 0, 0, Vec::new());
    for case in cases() {
        let logged = case.scene.agents_10hz_v2.clone().unwrap();
        let traffic = IdmTraffic::build(&case.scene, &logged, Config::default(), Quirks::reference());
        let expected = case.raw["expected"]["proposals"].as_array().unwrap();
        for (i, proposal) in expected.iter().enumerate().filter(|(_, p)| p.get("v2_idm").is_some()) {
            let found = traffic.clone().and_then(|t| t.simulate(&states(&proposal["sim"])));
            if proposal["v2_idm"].is_null() {
                invalid += 1;
                if found.is_ok() {
                    wrong.push(format!("{} {i}: valid, reference: {}", case.scene.name, proposal["v2_idm_error"]));
                }
                continue;
            }
            let Some(agents) = proposal.get("v2_idm_agents").filter(|a| !a.is_null()) else {
                if let Err(e) = found {
                    wrong.push(format!("{} {i}: {e}", case.scene.name));
                }
                continue;
            };
            let agents: Vec<Track> = serde_json::from_value(agents.clone()).unwrap();
            let found: Vec<Track> = match found {
                Ok(found) => found.into_iter().take(agents.len().max(1)).collect(),
                Err(e) => {
                    wrong.push(format!("{} {i}: {e}", case.scene.name));
                    continue;
                }
            };
            let vehicles: Vec<Track> =
                found.into_iter().filter(|t| t.kind == scene::world::AgentType::Vehicle).collect();
            let d = difference(&vehicles, &agents);
            tracks += agents.len();
            worst = worst.max(d);
            if d > 1e-8 {
                wrong.push(format!("{} {i}: {d:e}", case.scene.name));
            }
        }
    }
    println!("{tracks} IDM tracks, {invalid} invalid, largest difference {worst:e}");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn derived_fields_are_those_of_the_reference() {
    let (mut worst, mut wrong) = (0.0f64, Vec::new());
    for Case { scene, .. } in cases() {
        let found = scene::derive::fill(&scene, true).unwrap();
        let mut differs = |field: &str, d: f64| {
            worst = worst.max(d);
            if d > 1e-9 {
                wrong.push(format!("{} {field}: {d:e}", scene.name));
            }
        };
        let exact = |same: bool| if same { 0.0 } else { f64::INFINITY };
        differs("route_lane_ids", exact(found.route_lane_ids == scene.route_lane_ids));
        differs("drivable_map", exact(found.drivable_map == scene.drivable_map));
        differs("red_lights", exact(found.red_lights == scene.red_lights));
        let pairs = [(&found.agents_10hz_v2, &scene.agents_10hz_v2), (&found.agents_10hz_v1, &scene.agents_10hz_v1)];
        for (i, (found, expected)) in pairs.into_iter().enumerate() {
            differs(["agents_10hz_v2", "agents_10hz_v1"][i], difference(found.as_ref().unwrap(), expected.as_ref().unwrap()));
        }
        let lines = [(&found.centerline, &scene.centerline), (&found.human_poses, &scene.human_poses)];
        for (i, (found, expected)) in lines.into_iter().enumerate() {
            differs(["centerline", "human_poses"][i], pose_difference(found.as_ref().unwrap(), expected.as_ref().unwrap()));
        }
    }
    println!("derived fields: largest difference {worst:e}");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The largest difference in metres or radians: infinite when the counts differ.
fn pose_difference(found: &[scene::Pose], expected: &[scene::Pose]) -> f64 {
    if found.len() != expected.len() {
        return f64::INFINITY;
    }
    let apart = |(a, b): (&scene::Pose, &scene::Pose)| {
        (a.x - b.x).abs().max((a.y - b.y).abs()).max(scene::pose::wrap_angle(a.heading - b.heading).abs())
    };
    found.iter().zip(expected).map(apart).fold(0.0, f64::max)
}

#[test]
fn pdm_closed_plans_are_those_of_the_reference() {
    let (mut worst, mut wrong) = (0.0f64, Vec::new());
    for Case { scene, .. } in cases() {
        let expected = scene.pdm_reference.clone().unwrap();
        let raw = Scene { pdm_reference: None, ..scene };
        let full = closed::complete(&raw, Compat::reference()).unwrap();
        let found = full.pdm_reference.unwrap();
        if found.time_us != expected.time_us {
            wrong.push(format!("{} time_us", raw.name));
        }
        for (version, found, expected) in [
            ("v2", &found.v2, &expected.v2),
            ("v1", found.v1.as_ref().unwrap_or(&found.v2), expected.v1.as_ref().unwrap_or(&expected.v2)),
        ] {
            let d = pose_difference(found, expected);
            worst = worst.max(d);
            if d > 1e-8 {
                wrong.push(format!("{} {version}: {d:e}", raw.name));
            }
        }
    }
    println!("PDM-Closed: largest difference {worst:e}");
    assert!(wrong.is_empty(), "{wrong:#?}");
}
