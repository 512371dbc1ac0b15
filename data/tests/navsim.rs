//! NAVSIM files, from outside: submissions both ways, logs as scenes, our JSON lines, and what bad ones say.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::result_large_err, missing_docs)]

use data::{
    DataError,
    navsim::{LoadedScene, Log, Plans, SceneFile, Submission, read_map},
};
use proptest::prelude::*;
use scene::{Pose, Trajectory, world::Map};
use serde_json::{Value, json};
use std::{io::Write, path::PathBuf};
use tempfile::TempDir;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/cases/pickle/");

fn golden(name: &str) -> Vec<u8> {
    std::fs::read(format!("{FOLDER}{name}")).unwrap_or_else(|e| panic!("{name}: {e}"))
}

fn submission(name: &str) -> Submission {
    Submission::from_bytes(name, &golden(name)).unwrap()
}

#[test]
fn submissions_of_both_versions() {
    for tag in ["np1", "np2"] {
        for protocol in 0..6 {
            let read = submission(&format!("submission_p{protocol}_{tag}.pkl"));
            assert_eq!(read.info[0], ("team_name".into(), "team".into()));
            assert_eq!((read.info.len(), read.first.len(), read.second.len()), (5, 2, 0));
            let (token, trajectory) = &read.first[1];
            assert_eq!((token.as_str(), trajectory.step, trajectory.poses.len()), ("fedcba9876543210", 0.5, 8));
            assert_eq!(trajectory.poses[7], Pose::new(21.0, -1.0, 1.0));
        }
        let read = submission(&format!("two_stage_{tag}.pkl"));
        assert_eq!(read.first[1].1.poses[1], Pose::new(7.0, 1.5, 0.25), "Fortran order");
        assert_eq!((read.second[0].1.step, read.second[0].1.poses.len()), (0.1, 40));
        assert_eq!(read.into_plans(&data::Place::file("x")).unwrap().len(), 3);
    }
}

/// Values that float32 holds, and values that it does not.
fn to_write() -> [Submission; 2] {
    let facts = ["team_name", "authors"].map(|key| (key.to_owned(), format!("{key} \u{fc}")));
    let plan = |scale: f64, n: i32, step| {
        let poses = (1..=n).map(|k| Pose::new(f64::from(k) * scale, -scale, 0.125 * scale)).collect();
        Trajectory { step, poses }
    };
    let token = |i: u32| format!("{i:016x}");
    let first = vec![(token(1), plan(0.5, 8, 0.5)), (token(2), plan(0.1, 8, 0.5)), (token(3), plan(2.0, 1, 4.0))];
    let second = vec![("s".repeat(300), plan(0.3, 40, 0.1))];
    [vec![], second].map(|second| Submission { info: facts.to_vec(), first: first.clone(), second })
}

#[test]
fn what_is_written_is_what_python_read() {
    for (i, wanted) in to_write().into_iter().enumerate() {
        let (name, bytes) = (format!("written_v{}", i + 1), wanted.to_bytes());
        if std::env::var_os("REINSMAN_WRITE").is_some() {
            std::fs::write(format!("{FOLDER}{name}.pkl"), &bytes).unwrap();
        }
        if std::env::var_os("REINSMAN_WRITE").is_some() {
            continue;
        }
        assert!(golden(&format!("{name}.pkl")) == bytes, "{name}: the bytes are no longer those that Python read");
        assert_eq!(Submission::from_bytes(&name, &bytes).unwrap(), wanted);
        // Every pose as Python printed it.
        let lines = String::from_utf8(golden(&format!("{name}.jsonl"))).unwrap();
        let all: Vec<&(String, Trajectory)> = wanted.first.iter().chain(&wanted.second).collect();
        assert_eq!(lines.lines().count(), all.len());
        for (line, (token, trajectory)) in lines.lines().zip(all) {
            let line: Value = serde_json::from_str(line).unwrap();
            assert_eq!(line[1], json!(token));
            assert_eq!(line[3], json!([trajectory.poses.len(), trajectory.duration(), trajectory.step]));
            assert_eq!(line[4], json!(trajectory.poses));
        }
    }
}

#[test]
fn submissions_that_break_a_rule() {
    let says = |bytes: &[u8], words: &[&str]| {
        let e = Submission::from_bytes("sub.pkl", bytes).unwrap_err();
        for word in words {
            assert!(e.to_string().contains(word), "{e}");
        }
    };
    says(b"", &["sub.pkl: byte 0", "cut off"]);
    says(b"}.", &["\"predictions\"", "is missing in a dict"]);
    says(&golden("evil.pkl"), &["evil.module.Evil, which is refused"]);
    says(b"\x80\x04}\x8c\x0bpredictions]s.", &["sub.pkl predictions", "has 0 entries: must have one dict"]);
    says(b"\x80\x04}\x8c\x0bpredictions]Nas.", &["holds None: must hold a dict"]);
    says(b"\x80\x04}\x8c\x0bpredictions]}\x8c\x01tNsas.", &["token t: poses is missing", "None"]);
    let mut wild = to_write()[0].clone();
    for (value, word) in [(f64::NAN, "has y NaN"), (1e7, "has y 10000000"), (f64::INFINITY, "has y inf")] {
        wild.first[2].1.poses[0].y = value;
        says(&wild.to_bytes(), &["sub.pkl predictions", "token 0000000000000003", "poses[0]", word, "finite"]);
    }
    wild.first[2].1 = Trajectory { step: f64::NAN, poses: vec![Pose::ORIGIN] };
    says(&wild.to_bytes(), &["interval is NaN"]);
}

fn bundled() -> Vec<LoadedScene> {
    data::navsim::bundled().collect::<Result<_, _>>().unwrap()
}

#[test]
fn the_bundled_scenes_are_sound() {
    let scenes = bundled();
    assert_eq!(scenes.len(), 5);
    for loaded in &scenes {
        assert_eq!(loaded.proposals.len(), 8);
        assert!(loaded.proposals.iter().all(|p| p.kind.is_some() && p.previous.is_some()));
        assert!(loaded.scene.pdm_reference.is_some() && loaded.scene.agents_10hz_v2.is_some());
    }
}

#[test]
fn a_log_becomes_scenes() {
    let map = bundled().remove(0).scene.map;
    for tag in ["np1", "np2"] {
        let bytes = golden(&format!("log_{tag}.pkl"));
        let scenes: Vec<LoadedScene> = Log::from_bytes("log.pkl", &bytes, &map).unwrap().map(Result::unwrap).collect();
        assert_eq!(
            scenes.iter().map(|s| s.scene.name.as_str()).collect::<Vec<_>>(),
            ["0000000000000003", "0000000000000004"]
        );
        let scene = &scenes[0].scene;
        assert_eq!((scene.ego_history.len(), scene.future_poses.len(), scene.agents_2hz.len()), (4, 8, 2));
        assert_eq!(scene.ego, scene.ego_history[3]);
        assert!((scene.ego.pose.heading - 0.5).abs() < 1e-12 && scene.ego.velocity == [4.0, f64::from(0.1f32)]);
        let (sin, cos) = 0.5f64.sin_cos();
        let car = &scene.agents_2hz[0];
        assert_eq!((car.token.as_str(), car.size, car.frames.len()), ("aa00", [4.5, 2.0, 1.6], 11));
        // Frame 3: ego 6 m along, the car 13 m ahead of it; nobody is seen in frame 5.
        let at = car.frames[0].unwrap();
        assert!((at[0] - (100.0 + 19.0 * cos)).abs() < 1e-9 && (at[1] - (50.0 + 19.0 * sin)).abs() < 1e-9, "{at:?}");
        assert!((at[3] - 6.0 * cos).abs() < 1e-12 && (at[4] - 6.0 * sin).abs() < 1e-12);
        assert!(car.frames[2].is_none() && car.frames[3].is_some());
        assert_eq!(scene.traffic_lights_2hz.as_ref().unwrap()[0], [("7".into(), true), ("8".into(), false)]);
        assert_eq!(scene.route_roadblock_ids, ["1"]);
    }
    let short = Log::from_bytes("log.pkl", b"].", &map).err().unwrap().to_string();
    assert_eq!(short, "log.pkl: the log has 0 frames: a scene needs 14");
    let wrong = Log::from_bytes("log.pkl", b"]}a.", &map).err().unwrap().to_string();
    assert_eq!(wrong, "log.pkl frame 0: token is missing");
}

struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Files(tempfile::tempdir().unwrap())
    }

    fn put(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }
}

/// The first bundled scene as JSON, changed.
fn scene_with(change: impl FnOnce(&mut Value)) -> String {
    let mut value = serde_json::to_value(&bundled()[0].scene).unwrap();
    change(&mut value);
    value.to_string()
}

#[test]
fn bad_scenes_name_scene_field_value_and_rule() {
    let files = Files::new();
    let says = |text: String, words: &[&str]| {
        let path = files.put("s.jsonl", format!("\n{text}\n{}\n", scene_with(|_| ())));
        let mut scenes = SceneFile::open(&path, None).unwrap();
        let e = scenes.next().unwrap().unwrap_err().to_string();
        for word in words.iter().chain(&["s.jsonl line 2"]) {
            assert!(e.contains(word), "{e}");
        }
        assert!(scenes.next().unwrap().is_ok() && scenes.next().is_none(), "the next line is read on");
    };
    says("{".into(), &["not valid JSON"]);
    says("[1]".into(), &["invalid type"]);
    says("{}".into(), &["name must be a text"]);
    says(scene_with(|s| s["schema"] = json!("other/3")), &["dev01", "schema", "other/3", "navsim-fixture/1"]);
    says(
        scene_with(|s| s["map"]["lanes"][2]["speed_limit"] = json!("fast")),
        &["map.lanes[2].speed_limit", "\"fast\"", "f64"],
    );
    says(scene_with(|s| s["ego"]["velocity"][0] = json!(1e300)), &["dev01", "ego.velocity", "finite"]);
    says(scene_with(|s| s["agents_2hz"][0]["type"] = json!("tank")), &["agents_2hz[0].type", "`tank`", "vehicle"]);
    says(
        scene_with(|s| s["map"]["lanes"][0]["polygon"] = json!([[0, 0]])),
        &["dev01", "polygon has 1 entries", "3 vertices"],
    );
    says(scene_with(|s| s["proposals"] = json!([{"poses": []}])), &["proposals[0]", "poses has 0 entries"]);
    says(scene_with(|s| s["proposals"] = json!([{"poses": [[1, 2]]}])), &["proposals[0].poses[0]", "length 2"]);
}

#[test]
fn gzipped_scenes_and_maps() {
    let files = Files::new();
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(scene_with(|_| ()).as_bytes()).unwrap();
    let mut packed = packed.finish().unwrap();
    let scenes: Vec<_> = SceneFile::open(&files.put("s.jsonl.gz", &packed), None).unwrap().collect();
    assert_eq!(scenes.len(), 1);
    assert_eq!(scenes[0].as_ref().unwrap().scene, bundled()[0].scene);
    packed.truncate(packed.len() / 2);
    let cut: Vec<_> = SceneFile::open(&files.put("c.jsonl.gz", &packed), None).unwrap().take(2).collect();
    assert!(matches!(&cut[0], Err(DataError::Io { .. })), "{cut:?}");
    let map = serde_json::to_value(&bundled()[0].scene.map).unwrap();
    for text in [map.to_string(), json!({"map": map}).to_string(), scene_with(|_| ())] {
        assert_eq!(read_map(&files.put("map.json", text)).unwrap(), bundled()[0].scene.map);
    }
    let empty = read_map(&files.put("map.json", "{}")).unwrap_err().to_string();
    assert!(empty.contains("lanes is missing or empty"), "{empty}");
    let log = files.put("log.pkl", golden("log_np1.pkl"));
    let e = SceneFile::open(&log, None).err().unwrap();
    assert!(e.to_string().contains("no map") && e.hint().unwrap().contains("--map"), "{e}");
    assert_eq!(SceneFile::open(&log, Some(&bundled()[0].scene.map)).unwrap().count(), 2);
}

#[test]
fn plans_as_lines() {
    let files = Files::new();
    let read = |text: &str| Plans::read(&files.put("p.jsonl", text));
    let plans = read(
        "{\"scene\":\"a\",\"poses\":[[1,2,0.5]]}\n\n{\"scene\":\"a\",\"kind\":\"b\",\"interval\":0.1,\"poses\":[[1,2,3],[4,5,6]],\
         \"prev_poses\":[[7,8,9]]}\n",
    )
    .unwrap();
    let of_a = &plans.by_scene["a"];
    assert_eq!((of_a[0].trajectory.step, of_a[0].trajectory.poses[0]), (0.5, Pose::new(1.0, 2.0, 0.5)));
    assert_eq!((of_a[1].trajectory.step, of_a[1].previous.as_ref().unwrap().poses.len()), (0.1, 1));
    let says = |text: &str, word: &str| {
        let e = read(text).unwrap_err().to_string();
        assert!(e.contains(word), "{e}");
    };
    says("", "holds no records");
    says("{\"poses\":[[1,2,3]]}", "p.jsonl line 1: scene is missing");
    says("{\"scene\":\"a\"}", "missing field `poses`");
    says(
        "{\"scene\":\"a\",\"poses\":[[1,2,3]]}\n{\"scene\":\"a\",\"poses\":[[1,2,3]]}",
        "line 2 scene a: kind is missing twice",
    );
    says("{\"scene\":\"a\",\"interval\":0,\"poses\":[[1,2,3]]}", "scene a: interval is 0: must be between");
    says("{\"scene\":\"a\",\"poses\":[[1,2,1e99]]}", "scene a: poses[0] has heading 1000000");
    says("{\"scene\":\"a\",\"poses\":[[1,2,NaN]]}", "not valid JSON");
    let pickle = Plans::read(&PathBuf::from(format!("{FOLDER}two_stage_np2.pkl"))).unwrap();
    assert_eq!((pickle.len(), pickle.info.len()), (3, 5));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..Default::default() })]
    /// Damaged submissions and logs are read or refused; what was read is finite.
    #[test]
    fn damaged_files_never_panic(log in any::<bool>(), damages in prop::collection::vec((0.0..1.0f64, any::<u8>()), 1..8)) {
        let mut bytes = golden(if log { "log_np2.pkl" } else { "two_stage_np1.pkl" });
        let n = bytes.len();
        damages.iter().for_each(|(at, byte)| bytes[((n as f64 * at) as usize).min(n - 1)] = *byte);
        if log {
            if let Ok(log) = Log::from_bytes("x", &bytes, &Map::default()) {
                log.take(4).for_each(drop);
            }
        } else if let Ok(read) = Submission::from_bytes("x", &bytes) {
            for (_, t) in read.first.iter().chain(&read.second) {
                prop_assert!(t.poses.iter().all(|p| p.is_finite()) && t.step > 0.0);
            }
        }
    }
}
