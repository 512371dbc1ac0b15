//! `reinsman score` and `reinsman bench score` as processes, on the bundled scenes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use serde_json::{Value, json};
use std::{fs, path::Path, process::Command};
use tempfile::TempDir;

const CASES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/data/cases/pickle");

/// (exit code, stdout, stderr)
fn run(dir: &Path, args: &str) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_reinsman"));
    let output = command.current_dir(dir).args(args.split_whitespace()).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
}

#[track_caller]
fn good(dir: &Path, args: &str) -> String {
    let (code, out, err) = run(dir, args);
    assert_eq!(code, 0, "{args}\n{out}\n{err}");
    out
}

#[track_caller]
fn fails(dir: &Path, args: &str, code: i32, words: &[&str]) {
    let (found, out, err) = run(dir, args);
    assert_eq!(found, code, "{args}\n{out}\n{err}");
    words.iter().for_each(|word| assert!(err.contains(word), "{word:?} is not in\n{err}"));
}

fn summary(dir: &Path, out: &str) -> Value {
    serde_json::from_slice(&fs::read(dir.join(out).join("summary.json")).unwrap()).unwrap()
}

fn lines(dir: &Path, file: &str) -> Vec<Value> {
    let text = fs::read_to_string(dir.join(file)).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The average of a planner's column.
fn figure(summary: &Value, planner: &str, key: &str) -> f64 {
    let all = summary["lines"].as_array().unwrap();
    let line = all.iter().find(|l| l["planner"] == planner && l["kind"].is_null());
    line.unwrap_or_else(|| panic!("no {planner}"))["figures"][key]["value"].as_f64().unwrap()
}

/// A folder with the bundled scenes as a plain file, one a line.
fn workplace() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let text: String = data::navsim::bundled()
        .map(|loaded| format!("{}\n", serde_json::to_string(&loaded.unwrap().scene).unwrap()))
        .collect();
    fs::write(dir.path().join("scenes.jsonl"), text).unwrap();
    dir
}

/// A straight drive of a speed for every scene, as lines.
fn straight(dir: &Path, name: &str, speed: f64, change: impl Fn(usize, &mut Value)) {
    let mut text = String::new();
    for (i, scene) in lines(dir, "scenes.jsonl").iter().enumerate() {
        let poses: Vec<[f64; 3]> = (1..=8).map(|k| [f64::from(k) * 0.5 * speed, 0.0, 0.0]).collect();
        let mut line = json!({"scene": scene["name"], "poses": poses});
        change(i, &mut line);
        text += &format!("{line}\n");
    }
    fs::write(dir.join(name), text).unwrap();
}

#[test]
fn bundled_scenes_with_all_baselines() {
    let dir = workplace();
    let out = good(dir.path(), "score");
    for word in ["5 scenes in", "EPDMS", "proposals", "constant velocity", "human", "PDM-Closed", "report.html"] {
        assert!(out.contains(word), "{out}");
    }
    let entries = lines(dir.path(), "out/score/bundled/trajectories.jsonl");
    assert_eq!(entries.len(), 5 * (8 + 3));
    let keys =
        ["nc", "dac", "ddc", "tlc", "ep", "ttc", "lk", "comfort", "ec", "multiplicative", "pdm_score", "total", "raw"];
    assert!(keys.iter().all(|key| entries[0]["scores"][key].is_number() || entries[0]["scores"][key].is_object()));
    let found = summary(dir.path(), "out/score/bundled");
    let own: Vec<f64> = entries
        .iter()
        .filter(|e| e["planner"] == "proposals")
        .map(|e| e["scores"]["total"].as_f64().unwrap())
        .collect();
    assert!((figure(&found, "proposals", "epdms") - own.iter().sum::<f64>() / 40.0).abs() < 1e-12);
    let line = &found["lines"][0];
    assert_eq!(
        (&line["trajectories"], &line["scenes"], &found["policy"]),
        (&json!(40), &json!(5), &json!("log replay"))
    );
    let interval = &line["figures"]["epdms"];
    assert!(
        interval["low"].as_f64() < interval["value"].as_f64() && interval["value"].as_f64() < interval["high"].as_f64()
    );
    let page = fs::read_to_string(dir.path().join("out/score/bundled/report.html")).unwrap();
    for word in ["<svg class=\"bev\"", "at-fault collision", "t = ", "Content-Security-Policy", "10 m"] {
        assert!(page.contains(word), "{word}");
    }
    assert!(
        !page.contains("<script") && !page.contains("http:") && !page.contains("https:") && page.len() < 600_000,
        "{}",
        page.len()
    );
}

#[test]
fn the_same_from_files_in_json_and_for_any_number_of_threads() {
    let dir = workplace();
    straight(dir.path(), "mine.jsonl", 5.0, |_, _| ());
    let one = good(dir.path(), "score --threads 1 --scenes scenes.jsonl --trajectories mine.jsonl --json --out one");
    good(dir.path(), "score --threads 3 --scenes scenes.jsonl --trajectories mine.jsonl --out three");
    let read = |out: &str| fs::read(dir.path().join(out).join("trajectories.jsonl")).unwrap();
    assert!(read("one") == read("three"));
    let printed: Value = serde_json::from_str(&one).unwrap();
    assert_eq!(printed["lines"], summary(dir.path(), "three")["lines"]);
    assert_eq!(printed["lines"][0]["planner"], "mine");
    // Scenes without derived fields come to the same numbers.
    let raw: String = lines(dir.path(), "scenes.jsonl")
        .into_iter()
        .map(|mut scene| {
            let derived =
                ["centerline", "route_lane_ids", "drivable_map", "red_lights", "pdm_reference", "human_poses"];
            for field in derived.into_iter().chain(["agents_10hz_v1", "agents_10hz_v2"]) {
                scene.as_object_mut().unwrap().remove(field);
            }
            format!("{scene}\n")
        })
        .collect();
    fs::write(dir.path().join("raw.jsonl"), raw).unwrap();
    good(dir.path(), "score --scenes raw.jsonl --trajectories mine.jsonl --out raw");
    for key in ["epdms", "nc", "ep", "ttc"] {
        let found = [figure(&printed, "mine", key), figure(&summary(dir.path(), "raw"), "mine", key)];
        assert!((found[0] - found[1]).abs() < 1e-9, "{key} {found:?}");
    }
}

#[test]
fn versions_policies_and_quirks() {
    let dir = workplace();
    let epdms = |args: &str| {
        let out = good(dir.path(), &format!("score --json {args}"));
        serde_json::from_str::<Value>(&out).unwrap()
    };
    let v1 = epdms("--version v1");
    assert!(v1["lines"][0]["figures"].get("pdms").is_some() && v1["lines"][0]["figures"].get("lk").is_none());
    let [log, idm, constant, fixed, unfiltered] = [
        epdms(""),
        epdms("--policy idm"),
        epdms("--policy constant-velocity"),
        epdms("--fixed"),
        epdms("--no-human-filter --baseline human"),
    ];
    let of = |summary: &Value| figure(summary, "proposals", "epdms");
    assert!(of(&log) != of(&idm) && of(&log) != of(&fixed));
    assert_eq!((&constant["policy"], &fixed["fixed"]), (&json!("constant velocity"), &json!(true)));
    assert_eq!(unfiltered["lines"].as_array().unwrap().len(), 2);
    assert!(of(&unfiltered) <= of(&log));
    fails(dir.path(), "score --version v1 --policy idm", 2, &["log-replay", "--version v2"]);
    fails(dir.path(), "score --baseline none,human", 2, &["--baseline none"]);
}

#[test]
fn a_plan_of_the_frame_before_is_found() {
    // The second scene is the first one half a second earlier, so the first gets extended comfort from its plan.
    let dir = workplace();
    let scenes = lines(dir.path(), "scenes.jsonl");
    let (now, mut then) = (scenes[0].clone(), scenes[0].clone());
    let history = now["ego_history"].as_array().unwrap();
    then["name"] = json!("then");
    then["ego"] = history[2].clone();
    then["ego_history"] = json!([]);
    fs::write(dir.path().join("two.jsonl"), format!("{then}\n{now}\n")).unwrap();
    straight(dir.path(), "mine.jsonl", 5.0, |_, _| ());
    let mine = fs::read_to_string(dir.path().join("mine.jsonl")).unwrap();
    let first = mine.lines().next().unwrap();
    let name = now["name"].as_str().unwrap();
    fs::write(dir.path().join("plans.jsonl"), format!("{first}\n{}\n", first.replace(name, "then"))).unwrap();
    good(dir.path(), "score --scenes two.jsonl --trajectories plans.jsonl --baseline none --out o");
    let entries = lines(dir.path(), "o/trajectories.jsonl");
    assert!(entries[0]["scores"]["ec"].is_null() && entries[1]["scores"]["ec"].is_number(), "{entries:?}");
}

#[test]
fn two_stages() {
    let dir = workplace();
    straight(dir.path(), "mine.jsonl", 5.0, |_, _| ());
    let names: Vec<String> =
        lines(dir.path(), "scenes.jsonl").iter().map(|s| s["name"].as_str().unwrap().into()).collect();
    let mapping = json!([{"now": names[0], "previous": names[1], "pairs": [[names[2], names[3]]]}]);
    fs::write(dir.path().join("map.json"), mapping.to_string()).unwrap();
    let out = good(dir.path(), "score --scenes scenes.jsonl --trajectories mine.jsonl --two-stage map.json --out o");
    assert!(out.contains("two stages") && out.contains("over 1 entries") && out.contains("IDM"), "{out}");
    let found = &summary(dir.path(), "o")["two_stage"];
    let entries = lines(dir.path(), "o/trajectories.jsonl");
    let total = |name: &str| {
        let entry = entries.iter().find(|e| e["scene"] == name && e["planner"] == "mine").unwrap();
        entry["scores"]["total"].as_f64().unwrap()
    };
    // These frames are no pairs in time, so none has extended comfort and every weight is 1.
    let wanted = 0.5 * (total(&names[0]) * total(&names[2]) + total(&names[1]) * total(&names[3]));
    assert!((found["score"]["value"].as_f64().unwrap() - wanted).abs() < 1e-12, "{found}");
    fs::write(dir.path().join("bad.json"), mapping.to_string().replace(&names[3], "nobody")).unwrap();
    let args = "score --scenes scenes.jsonl --trajectories mine.jsonl --out p --two-stage";
    fails(dir.path(), &format!("{args} bad.json"), 3, &["nobody", "exactly one trajectory"]);
    fs::write(dir.path().join("bad.json"), "[]").unwrap();
    fails(dir.path(), &format!("{args} bad.json"), 3, &["bad.json", "\"pairs\""]);
}

#[test]
fn submissions_and_logs() {
    let dir = workplace();
    straight(dir.path(), "mine.jsonl", 4.0, |_, _| ());
    let args = "score --scenes scenes.jsonl --trajectories mine.jsonl --out a --export sub.pkl --info team_name=us";
    good(dir.path(), args);
    good(dir.path(), "score --scenes scenes.jsonl --trajectories sub.pkl --out b");
    let read = |out: &str| figure(&summary(dir.path(), out), if out == "a" { "mine" } else { "sub" }, "epdms");
    assert_eq!(read("a"), read("b"));
    fails(dir.path(), &args.replace("team_name", "tema"), 2, &["unknown fact \"tema\"", "team_name"]);
    // A log pickle needs a map; this invented one has a road along its drive.
    let strip = |half: f64| json!([[40.0, -half], [40.0, half], [160.0, half], [160.0, -half]]);
    let turned = |points: Value| -> Value {
        let (sin, cos) = 0.5f64.sin_cos();
        let turn = |p: &Value| {
            let (x, y) = (p[0].as_f64().unwrap() - 100.0, p[1].as_f64().unwrap());
            json!([100.0 + cos * x - sin * y, 50.0 + sin * x + cos * y])
        };
        points.as_array().unwrap().iter().map(turn).collect()
    };
    let lane = json!({"id": "2", "roadblock": "1", "connector": false, "speed_limit": 10.0, "polygon": turned(strip(2.0)),
        "centerline": turned(json!([[40.0, 0.0], [100.0, 0.0], [160.0, 0.0]]))});
    let block = json!({"id": "1", "connector": false, "polygon": turned(strip(2.0)), "lanes": ["2"]});
    fs::write(dir.path().join("map.json"), json!({"lanes": [lane], "roadblocks": [block]}).to_string()).unwrap();
    fs::copy(format!("{CASES}/log_np2.pkl"), dir.path().join("log.pkl")).unwrap();
    let poses: Vec<[f64; 3]> = (1..=8).map(|k| [2.0 * f64::from(k), 0.0, 0.0]).collect();
    let plan = json!({"scene": "0000000000000003", "poses": poses});
    fs::write(dir.path().join("plan.jsonl"), plan.to_string()).unwrap();
    good(dir.path(), "score --scenes log.pkl --map map.json --trajectories plan.jsonl --out log");
    let found = summary(dir.path(), "log");
    assert_eq!(found["scenes"], json!(1));
    assert!((figure(&found, "plan", "dac") - 1.0).abs() < 1e-12 && figure(&found, "human", "dac") == 1.0, "{found}");
    fails(dir.path(), "score --scenes log.pkl --trajectories plan.jsonl", 3, &["no map", "--map FILE"]);
    fs::copy(format!("{CASES}/evil.pkl"), dir.path().join("evil.pkl")).unwrap();
    fails(dir.path(), "score --trajectories evil.pkl", 3, &["evil.pkl", "evil.module.Evil, which is refused", "hint"]);
}

#[test]
fn bad_input_names_the_scene_the_field_the_value_and_the_rule() {
    let dir = workplace();
    straight(dir.path(), "mine.jsonl", 4.0, |i, line| {
        if i == 2 {
            line["poses"][3][0] = json!(1e9);
        }
    });
    let all = "score --scenes scenes.jsonl --trajectories";
    fails(
        dir.path(),
        &format!("{all} mine.jsonl"),
        3,
        &["mine.jsonl line 3", "dev16", "poses[3]", "1000000000", "finite"],
    );
    straight(dir.path(), "mine.jsonl", 4.0, |i, line| {
        if i == 2 {
            line["scene"] = json!("nowhere");
        }
    });
    fails(
        dir.path(),
        &format!("{all} mine.jsonl"),
        3,
        &["1 trajectories name scenes that are not there (first: nowhere)", "--skip-bad"],
    );
    let out = good(dir.path(), &format!("{all} mine.jsonl --skip-bad"));
    assert!(out.contains("4 scenes") && out.contains("note: 1 scenes without a trajectory"), "{out}");
    fails(dir.path(), &format!("{all} missing.jsonl"), 3, &["missing.jsonl", "check the path"]);

    straight(dir.path(), "mine.jsonl", 4.0, |_, _| ());
    let mut scenes = lines(dir.path(), "scenes.jsonl");
    scenes[1]["agents_2hz"][0]["size"][0] = json!(-1.0);
    let text: String = scenes.iter().map(|scene| format!("{scene}\n")).collect();
    fs::write(dir.path().join("scenes.jsonl"), text).unwrap();
    fails(
        dir.path(),
        &format!("{all} mine.jsonl"),
        3,
        &["scenes.jsonl line 2", "dev09", "agents_2hz", "size is -1", "--skip-bad"],
    );
    let out = good(dir.path(), &format!("{all} mine.jsonl --skip-bad"));
    assert!(out.contains("4 scenes") && out.contains("1 bad scenes left out"), "{out}");
    fails(dir.path(), "score --fail-under epdms=0.99", 1, &["1 of 1 thresholds missed", "epdms is 0."]);
    fails(dir.path(), "score --fail-under joint=0.99", 2, &["unknown metric \"joint\"", "epdms"]);
    fails(dir.path(), "score --out scenes.jsonl", 3, &["scenes.jsonl"]);
}

#[test]
fn bench_score_has_the_shape_of_every_bench() {
    let dir = workplace();
    let out =
        good(dir.path(), "--quiet bench score --items epdms_batch_8,pdms_official_call --repeats 1 --limit 2 --json");
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(report["machine"]["scenes"], "bundled");
    let results = report["results"].as_array().unwrap();
    assert_eq!(
        results.iter().map(|r| r["name"].as_str().unwrap()).collect::<Vec<_>>(),
        ["epdms_batch_8", "pdms_official_call"]
    );
    for result in results {
        assert_eq!((&result["unit"], &result["threads"]), (&json!("trajectories/cpu_s"), &json!(1)));
        assert!(result["value"].as_f64().unwrap() > 100.0 && result["cpu_seconds"].as_f64().unwrap() > 0.0);
        assert!(result["peak_rss_bytes"].as_u64().is_some_and(|bytes| bytes < 1 << 30) || !cfg!(target_os = "linux"));
    }
    let args = "--quiet bench score --items epdms_official_call --repeats 1 --scenes scenes.jsonl --limit 1";
    let text = good(dir.path(), args);
    assert!(text.contains("13.70") && text.contains('x') && text.contains("us each"), "{text}");
    fails(dir.path(), "bench score --items epdms_batch_9", 2, &["unknown work item", "did you mean epdms_batch_"]);
}
