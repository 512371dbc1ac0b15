//! `reinsman eval` as a process: the table, the log that survives anything, limits, bad input, exit codes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::OnceLock,
    time::Duration,
};
use tempfile::TempDir;

const SOURCE: &str = env!("CARGO_MANIFEST_DIR");

fn reinsman(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_reinsman"));
    command.current_dir(dir).args(args).stdin(Stdio::null());
    command
}

/// (exit code, stdout, stderr)
fn run(dir: &Path, args: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } = reinsman(dir, args).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (status.code().unwrap_or(-1), text(stdout), text(stderr))
}

fn eval(dir: &Path, args: &str) -> (i32, String, String) {
    run(dir, &["eval"].into_iter().chain(args.split_whitespace()).collect::<Vec<_>>())
}

/// As [`eval`], which must succeed.
fn good(dir: &Path, args: &str) -> String {
    let (code, out, err) = eval(dir, args);
    assert_eq!(code, 0, "{args}\n{out}\n{err}");
    out
}

fn summary(dir: &Path, out: &str) -> Value {
    serde_json::from_slice(&fs::read(dir.join(out).join("summary.json")).unwrap()).unwrap()
}

fn log(dir: &Path, out: &str, name: &str) -> Vec<Value> {
    let text = fs::read_to_string(dir.join(out).join(name)).unwrap_or_default();
    text.split_inclusive('\n').filter_map(|line| serde_json::from_str(line.strip_suffix('\n')?).ok()).collect()
}

/// A folder with 30 labelled frames of two shapes (`set.jsonl`) and a random model that never writes a plan (`tiny`).
fn workplace() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("frames")).unwrap();
    let mut lines = String::new();
    for i in 0..30u8 {
        let (width, height) = if i % 2 == 0 { (64, 64) } else { (96, 48) };
        let pixel = |x: u32, y: u32| image::Rgb([x as u8 * 2, y as u8 * 3, i * 8]);
        image::RgbImage::from_fn(width, height, pixel).save(dir.path().join(format!("frames/{i}.png"))).unwrap();
        let speed = ["KEEP", "KEEP", "STOP"][usize::from(i % 3)];
        let path = if i % 5 == 4 { "LEFT_TURN" } else { "STRAIGHT" };
        let record = json!({
            "id": format!("s{i:02}"),
            "images": [format!("frames/{i}.png")],
            "ego": { "speed_mps": f64::from(i) / 2.0 },
            "command": if i % 2 == 0 { "turn left" } else { "follow the road" },
            "reasoning": "The road ahead is clear.",
            "plan": { "speed": speed, "path": path },
            "clip": format!("c{}", i / 6),
        });
        lines += &format!("{record}\n");
    }
    fs::write(dir.path().join("set.jsonl"), lines).unwrap();
    static MODEL: OnceLock<TempDir> = OnceLock::new();
    let model = MODEL.get_or_init(|| {
        let model = tempfile::tempdir().unwrap();
        fs::copy(dir.path().join("set.jsonl"), model.path().join("set.jsonl")).unwrap();
        let shape = format!("{SOURCE}/tests/fixtures/tiny/shape.json");
        let args = ["init", "--shape", &shape, "--text", "set.jsonl", "--max-pixels", "4096", "--out", "tiny"];
        let (code, _, err) = run(model.path(), &args);
        assert_eq!(code, 0, "{err}");
        model
    });
    copy_folder(&model.path().join("tiny"), &dir.path().join("tiny"));
    dir
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
}

/// Rewrites one line of `set.jsonl`.
fn change(dir: &Path, line: usize, with: impl Fn(&mut Value)) {
    let path = dir.join("set.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    let lines = text.lines().enumerate().map(|(i, text)| {
        let mut value: Value = serde_json::from_str(text).unwrap();
        if i == line {
            with(&mut value);
        }
        format!("{value}\n")
    });
    fs::write(&path, lines.collect::<String>()).unwrap();
}

const FIGURES: [&str; 6] = ["joint", "speed", "path", "speed_f1", "path_f1", "parsed"];

#[test]
fn a_constant_answerer_scores_exactly_the_majority_row() {
    let dir = tempfile::tempdir().unwrap();
    // No --data: the bundled held-out set, found beside the sources from any folder.
    let (code, out, err) = run(dir.path(), &["eval", "--answer", "KEEP, STRAIGHT"]);
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("constant KEEP, STRAIGHT on test.jsonl"), "{out}");
    assert!(out.contains("majority KEEP,STRAIGHT") && !out.contains("without the image"), "{out}");
    let summary = summary(dir.path(), "out/eval/test-constant");
    let rows = summary["rows"].as_array().unwrap();
    let majority = rows.iter().find(|row| row["name"] == "majority").unwrap();
    assert_eq!(majority["detail"], "KEEP, STRAIGHT");
    for figure in FIGURES {
        assert_eq!(rows[0][figure], majority[figure], "{figure}");
    }
    assert_eq!(summary["left_out"], json!({ "unlabelled": 4, "unasked": 0, "bad": 0 }));
    // A plan that is not the majority's does not score like it.
    let (_, out, _) = run(dir.path(), &["eval", "--answer", "STOP, LEFT_TURN", "--out", "other", "--json"]);
    assert_ne!(serde_json::from_str::<Value>(&out).unwrap()["rows"][0]["joint"], majority["joint"]);
}

#[test]
fn every_output_is_there_and_a_second_run_adds_nothing() {
    let dir = workplace();
    let args = "--model tiny --data set.jsonl --out r --max-new-tokens 12";
    let out = good(dir.path(), args);
    for part in
        ["tiny on set.jsonl", "samples 30", "this model", "  without the image", "ego speed only", "report.html"]
    {
        assert!(out.contains(part), "{part}\n{out}");
    }
    let first = summary(dir.path(), "r");
    assert_eq!((first["complete"].as_bool(), first["samples"].as_u64()), (Some(true), Some(30)));
    for key in ["eval_loss", "wrong_image_gap", "blank_image_gap"] {
        assert!(first[key].as_f64().unwrap().is_finite(), "{key}");
    }
    let page = fs::read_to_string(dir.path().join("r/report.html")).unwrap();
    assert!(page.contains("data:image/jpeg;base64,") && page.contains("Worst samples"));
    assert!(fs::read_to_string(dir.path().join("r/report.md")).unwrap().contains("per token"));
    let entries = log(dir.path(), "r", "samples.jsonl");
    assert_eq!((entries.len(), log(dir.path(), "r", "samples-blind.jsonl").len()), (30, 30));
    assert_eq!(entries[3]["tokens"], 12);
    assert_eq!(entries[3]["reasoning"], "The road ahead is clear.");
    let kept = |name: &str| fs::read(dir.path().join("r").join(name)).unwrap();
    let names = ["summary.json", "samples.jsonl", "samples-blind.jsonl", "report.md", "report.html"];
    let before = names.map(kept);
    let (_, _, err) = eval(dir.path(), args);
    assert!(err.contains("30 samples are finished") && !err.contains("eval 30/30"), "{err}");
    assert_eq!(names.map(kept), before);
}

#[test]
fn limits_thinking_and_json() {
    let dir = workplace();
    let plain = "--model tiny --data set.jsonl --max-new-tokens 6 --no-blind --json";
    let args = &format!("{plain} --out r");
    let ten: Value = serde_json::from_str(&good(dir.path(), &format!("{args} --limit 10"))).unwrap();
    assert_eq!((ten["samples"].as_u64(), ten["rows"].as_array().unwrap().len()), (Some(10), 3));
    assert_eq!(ten, summary(dir.path(), "r"));
    assert!(!dir.path().join("r/samples-blind.jsonl").exists() && ten.get("eval_loss").is_none());
    // More of the same set continues; fewer counts only what was asked for.
    let all: Value = serde_json::from_str(&good(dir.path(), args)).unwrap();
    assert_eq!((all["samples"].as_u64(), log(dir.path(), "r", "samples.jsonl").len()), (Some(30), 30));
    let again: Value = serde_json::from_str(&good(dir.path(), &format!("{args} --limit 10"))).unwrap();
    assert_eq!(again, ten);
    // Without reasoning nothing is compared with the annotated one.
    let short: Value = serde_json::from_str(&good(dir.path(), &format!("{plain} --no-think --out n"))).unwrap();
    assert!(short["text"].is_null() && all["text"].is_object());
    assert_eq!(good(dir.path(), &format!("{args} --no-think --think --quiet")), good(dir.path(), args));
}

#[test]
fn several_answers_are_drawn_from_streams_of_their_own() {
    let dir = workplace();
    let args = "--model tiny --data set.jsonl --max-new-tokens 6 --no-blind --samples 3";
    good(dir.path(), &format!("{args} --out a"));
    good(dir.path(), &format!("{args} --out b --batch-size 30"));
    good(dir.path(), &format!("{args} --out c --seed 1"));
    let texts = |out: &str| -> Vec<String> {
        let text = |r: &Value| r["text"].as_str().unwrap().to_owned();
        log(dir.path(), out, "samples.jsonl")
            .iter()
            .flat_map(|e| e["replies"].as_array().unwrap().iter().map(text).collect::<Vec<_>>())
            .collect()
    };
    let a = texts("a");
    assert_eq!((a.len(), a.iter().collect::<BTreeSet<_>>().len() > 80), (90, true));
    // Other batches draw the same numbers; rounding may tip a draw now and then.
    assert!(a.iter().zip(texts("b")).filter(|(a, b)| *a == b).count() >= 85);
    assert!(a.iter().zip(texts("c")).filter(|(a, c)| *a == c).count() <= 5);
    assert_eq!(summary(dir.path(), "a")["multi"]["k"], 3);
}

#[test]
fn missed_thresholds_exit_1_with_the_list() {
    let dir = workplace();
    let args = ["eval", "--answer", "KEEP, STRAIGHT", "--data", "set.jsonl", "--fail-under"];
    let with = |limits: &[&str]| run(dir.path(), &[&args[..], limits].concat());
    let (code, out, err) = with(&["joint=0.9", "--fail-under", "path=0.8", "--fail-under", "bleu4=0"]);
    assert_eq!(code, 1, "{err}");
    assert!(out.contains("ok   path 0.8000, at least 0.8 wanted"), "{out}");
    let want = "2 of 3 thresholds missed: joint is 0.5333, 0.9 wanted; bleu4 could not be measured, 0 wanted";
    assert!(err.contains(want), "{err}");
    assert_eq!(with(&["joint=0.5"]).0, 0);
    let (code, _, err) = with(&["jont=0.5"]);
    assert!(code == 2 && err.contains("known are joint"), "{err}");
}

#[test]
fn the_published_script_can_be_asked_for() {
    let dir = workplace();
    let everything = "KEEP ACCELERATE DECELERATE STOP, STRAIGHT LEFT_TURN";
    let args = ["eval", "--data", "set.jsonl", "--out", "r", "--scorer", "released", "--answer", everything];
    let (code, out, _) = run(dir.path(), &args);
    // It takes any mention for an answer; the strict table does not.
    assert!(
        code == 0 && out.starts_with("Total Number: 30\nCorrect Number: 30\nPlanning Accuracy: 100.00%\n"),
        "{out}"
    );
    let released: Value = serde_json::from_slice(&fs::read(dir.path().join("r/released.json")).unwrap()).unwrap();
    assert_eq!(released["f1_score"]["KEEP"], 1.0);
    assert_eq!(
        (summary(dir.path(), "r")["failures"].as_u64(), summary(dir.path(), "r")["rows"][0]["joint"]["value"].as_f64()),
        (Some(30), Some(0.0))
    );
}

/// The whole line: a run of `sft` that learned to say the majority, evaluated in its own folder.
#[test]
fn a_trained_run_is_evaluated_in_its_folder_with_probabilities() {
    let dir = workplace();
    let sft = "sft --model tiny --data set.jsonl --out run --quiet --set sft.max_steps=120 --set sft.think=false \
               --set sft.learning_rate=1e-2 --set model.train=full";
    let (code, _, err) = run(dir.path(), &sft.split_whitespace().collect::<Vec<_>>());
    assert_eq!(code, 0, "{err}");
    good(dir.path(), "--model run --data set.jsonl --no-think --train-data set.jsonl");
    let s = summary(dir.path(), "run/eval/set");
    assert_eq!(s["failures"], 0, "{s:#}");
    assert!(s["rows"][2]["detail"].as_str().unwrap().contains("fitted on 30 training samples"));
    for entry in log(dir.path(), "run/eval/set", "samples.jsonl") {
        for axis in ["speed", "path"] {
            let all = entry["probabilities"][axis].as_object().unwrap();
            let sum: f64 = all.values().map(|p| p.as_f64().unwrap()).sum();
            assert!((sum - 1.0).abs() < 1e-6, "{entry}");
            let said = entry["replies"][0]["plan"][axis].as_str().unwrap();
            let best = all.iter().max_by(|a, b| a.1.as_f64().unwrap().total_cmp(&b.1.as_f64().unwrap())).unwrap().0;
            assert_eq!(said, best, "{entry}");
        }
    }
    // The next checkpoint gets a folder of its own, and each finds its own again.
    let sft = format!("{sft} --resume run --resume-anyway").replace("max_steps=120", "max_steps=130");
    let (code, _, err) = run(dir.path(), &sft.split_whitespace().collect::<Vec<_>>());
    assert_eq!(code, 0, "{err}");
    let (code, out, err) = eval(dir.path(), "--model run --data set.jsonl --no-think --no-probabilities");
    assert!(code == 0 && err.contains("holds an evaluation with another model"), "{err}");
    let page = out.lines().last().unwrap().split_whitespace().next().unwrap();
    let inner = PathBuf::from(page).parent().unwrap().to_path_buf();
    assert_eq!(inner.parent(), Some(Path::new("run/eval/set")));
    assert!(
        log(dir.path(), &inner.display().to_string(), "samples.jsonl").iter().all(|e| e.get("probabilities").is_none())
    );
    assert_eq!(summary(dir.path(), "run/eval/set"), s);
}

#[test]
fn only_the_blind_run() {
    let dir = workplace();
    let args = "--model tiny --data set.jsonl --out r --max-new-tokens 6";
    good(dir.path(), &format!("{args} --blind"));
    assert!(!dir.path().join("r/samples.jsonl").exists());
    let rows = summary(dir.path(), "r")["rows"].clone();
    assert_eq!((rows[0]["name"].as_str(), rows.as_array().unwrap().len()), (Some("without the image"), 3));
    good(dir.path(), args);
    assert_eq!(summary(dir.path(), "r")["rows"].as_array().unwrap().len(), 4);
    assert_eq!(log(dir.path(), "r", "samples-blind.jsonl").len(), 30);
}

#[test]
fn another_run_in_the_same_out_is_refused_and_nothing_changes() {
    let dir = workplace();
    let args = "--model tiny --data set.jsonl --out r --max-new-tokens 6 --no-blind";
    good(dir.path(), args);
    let before = fs::read(dir.path().join("r/samples.jsonl")).unwrap();
    let (code, _, err) = eval(dir.path(), &args.replace("tokens 6", "tokens 7"));
    assert!(code == 2 && err.contains("r holds an evaluation with another max_new_tokens"), "{err}");
    change(dir.path(), 3, |record| record["ego"]["speed_mps"] = json!(9.0));
    let (code, _, err) = eval(dir.path(), args);
    assert!(code == 2 && err.contains("another data") && err.contains("--out"), "{err}");
    // A log that was copied in says so itself.
    fs::create_dir(dir.path().join("q")).unwrap();
    fs::copy(dir.path().join("r/samples.jsonl"), dir.path().join("q/samples.jsonl")).unwrap();
    let (code, _, err) = eval(dir.path(), &args.replace("--out r", "--out q"));
    assert!(code == 2 && err.contains("belongs to run"), "{err}");
    assert_eq!(fs::read(dir.path().join("r/samples.jsonl")).unwrap(), before);
}

#[test]
fn a_torn_last_line_is_asked_again() {
    let dir = workplace();
    let args = "--model tiny --data set.jsonl --out r --max-new-tokens 6";
    good(dir.path(), args);
    let path = dir.path().join("r/samples.jsonl");
    let (whole, table) = (fs::read_to_string(&path).unwrap(), fs::read(dir.path().join("r/summary.json")).unwrap());
    let third = whole.match_indices('\n').nth(2).unwrap().0 + 1;
    fs::write(&path, &whole[..third + 57]).unwrap();
    let (code, _, err) = eval(dir.path(), args);
    assert!(code == 0 && err.contains("the last line was cut off"), "{err}");
    assert_eq!(fs::read(dir.path().join("r/summary.json")).unwrap(), table);
    let timeless = |text: &str| -> Vec<Value> {
        let entry = |line: &str| {
            let mut entry: Value = serde_json::from_str(line).unwrap();
            entry["seconds"] = json!(0);
            entry
        };
        text.lines().map(entry).collect()
    };
    assert_eq!(timeless(&fs::read_to_string(&path).unwrap()), timeless(&whole));
}

/// Kills at random places: what was logged stays, nothing is logged twice, the totals are those of a run never killed.
#[test]
fn fifty_kills_lose_nothing_and_count_nothing_twice() {
    let dir = workplace();
    let args = "eval --model tiny --data set.jsonl --max-new-tokens 40 --out";
    let args: Vec<&str> = args.split_whitespace().collect();
    assert_eq!(run(dir.path(), &[&args[..], &["whole"]].concat()).0, 0);
    let want = fs::read(dir.path().join("whole/summary.json")).unwrap();
    let lines = |name: &str| log(dir.path(), "cut", name).len();
    let finished = || lines("samples.jsonl") + lines("samples-blind.jsonl");
    let (mut kills, mut inside, mut completed, mut state) = (0, 0, 0, 7u64);
    let mut random = |below: u64| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) % below
    };
    while kills < 50 || completed == 0 {
        let before = finished();
        let mut child = reinsman(dir.path(), &[&args[..], &["cut"]].concat())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // After some more samples are on disk and a little while, wherever that is.
        let (goal, pause) = (before + random(9) as usize, Duration::from_micros(random(4000)));
        let ended = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break Some(status);
            }
            if kills < 50 && finished() >= goal {
                std::thread::sleep(pause);
                child.kill().unwrap();
                break child.wait().map(|_| None).unwrap();
            }
            std::thread::sleep(Duration::from_micros(300));
        };
        let after = finished();
        assert!(after >= before, "lost {} finished samples", before - after);
        for name in ["samples.jsonl", "samples-blind.jsonl"] {
            let entries = log(dir.path(), "cut", name);
            let ids: BTreeSet<&str> = entries.iter().map(|e| e["id"].as_str().unwrap()).collect();
            assert_eq!(ids.len(), entries.len(), "a sample is logged twice");
        }
        match ended {
            None => {
                kills += 1;
                inside += usize::from((1..60).contains(&after));
            }
            Some(status) => {
                assert!(status.success());
                assert_eq!(fs::read(dir.path().join("cut/summary.json")).unwrap(), want);
                completed += 1;
                fs::remove_dir_all(dir.path().join("cut")).unwrap();
            }
        }
    }
    assert!(inside >= 25, "only {inside} of {kills} kills hit a run under way");
}

#[cfg(unix)]
#[test]
fn a_stop_on_request_saves_and_tells_how_to_continue() {
    let dir = workplace();
    let args = "eval --model tiny --data set.jsonl --max-new-tokens 60 --batch-size 1 --no-blind --out r";
    let args: Vec<&str> = args.split_whitespace().collect();
    let mut child = reinsman(dir.path(), &args).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    while log(dir.path(), "r", "samples.jsonl").is_empty() {
        assert!(child.try_wait().unwrap().is_none(), "it ended before it could be stopped");
        std::thread::sleep(Duration::from_micros(200));
    }
    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
    let Output { status, stderr, .. } = child.wait_with_output().unwrap();
    let err = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(75), "{err}");
    assert!(err.contains("reinsman eval --model tiny --data set.jsonl") && err.contains("of 30 samples"), "{err}");
    let part = summary(dir.path(), "r");
    let done = log(dir.path(), "r", "samples.jsonl").len();
    assert!(done < 30 && part["samples"] == done && part["complete"] == false, "{part:#}");
    assert_eq!(run(dir.path(), &args).0, 0);
    assert_eq!(
        (summary(dir.path(), "r")["samples"].as_u64(), summary(dir.path(), "r")["complete"].as_bool()),
        (Some(30), Some(true))
    );
}

#[test]
fn two_evaluations_do_not_share_a_folder() {
    let dir = workplace();
    let _held = reinsman::train::lock::Lock::acquire(&dir.path().join("r")).unwrap();
    let (code, _, err) = eval(dir.path(), "--model tiny --data set.jsonl --out r");
    assert!(code == 3 && err.contains("r is in use by process"), "{err}");
}

#[test]
fn bad_input_is_named_and_can_be_left_out() {
    let dir = workplace();
    let args = "--model tiny --data set.jsonl --max-new-tokens 4 --no-blind --out";
    let says = |more: &str, code: i32, parts: &[&str]| {
        let (found, out, err) = eval(dir.path(), &format!("{args} {more}"));
        assert_eq!(found, code, "{out}{err}");
        assert!(parts.iter().all(|part| err.contains(part)), "{parts:?}\n{err}");
        assert!(!err.contains("this is a bug"), "{err}");
    };
    // Missing before anything is asked, unreadable in the middle.
    change(dir.path(), 7, |record| record["images"] = json!(["frames/none.png"]));
    says("r", 3, &["sample s07: ", "frames/none.png does not exist", "--skip-bad"]);
    assert!(!dir.path().join("r").exists());
    fs::write(dir.path().join("frames/20.png"), b"\x89PNG\r\n\x1a\nbroken").unwrap();
    change(dir.path(), 7, |record| record["images"] = json!(["frames/7.png"]));
    says("r", 3, &["sample s20: ", "frames/20.png", "--skip-bad"]);
    assert_eq!(log(dir.path(), "r", "samples.jsonl").len(), 16, "two batches were finished before the bad one");
    says("r --skip-bad", 0, &[]);
    let bad: Value = serde_json::from_slice(&fs::read(dir.path().join("r/bad.json")).unwrap()).unwrap();
    assert_eq!((bad.as_array().unwrap().len(), bad[0]["id"].as_str()), (1, Some("s20")));
    let s = summary(dir.path(), "r");
    assert_eq!((s["samples"].as_u64(), s["left_out"]["bad"].as_u64()), (Some(29), Some(1)));
    assert!(s["notes"].to_string().contains("1 bad record left out"), "{}", s["notes"]);
    // Labels, ids, lines.
    change(dir.path(), 2, |record| record["plan"]["path"] = json!("GO_STRAIGHT"));
    says("s", 3, &["set.jsonl line 3", "GO_STRAIGHT", "--map GO_STRAIGHT=STRAIGHT"]);
    says("s --skip-bad --map GO_STRAIGHT=STRAIGHT", 0, &[]);
    says("s --map GO_STRAIGHT=FLY", 2, &["is no label"]);
    change(dir.path(), 2, |record| record["plan"]["path"] = json!("STRAIGHT"));
    change(dir.path(), 5, |record| record["id"] = json!("s04"));
    says("t", 3, &["the id \"s04\" occurs twice", "--skip-bad"]);
    fs::write(dir.path().join("torn.jsonl"), "{\"id\": \"a\", \"images\": [\"x.png\"], \"ego\": {").unwrap();
    let (code, _, err) = eval(dir.path(), "--answer x --data torn.jsonl");
    assert!(code == 3 && err.contains("torn.jsonl line 1") && err.contains("hint"), "{err}");
    // Nothing to score.
    for i in 0..30 {
        change(dir.path(), i, |record| record["plan"] = Value::Null);
    }
    says("u --skip-bad", 3, &["no record can be scored"]);
}

#[test]
fn wrong_models_folders_and_flags() {
    let dir = workplace();
    let says = |args: &str, code: i32, part: &str| {
        let (found, _, err) = eval(dir.path(), args);
        assert!(found == code && err.contains(part) && !err.contains("this is a bug"), "{args}: {found}\n{err}");
    };
    says("--model nowhere --data set.jsonl", 3, "no model at nowhere");
    says("--model frames --data set.jsonl", 3, "holds no model");
    says("--model tiny --data nowhere.jsonl", 3, "nowhere.jsonl");
    says("--model tiny --data set.jsonl --out set.jsonl/x", 3, "set.jsonl/x");
    says("--model tiny --data set.jsonl --train-data nowhere.jsonl", 3, "ego-speed row");
    says("--model tiny --data set.jsonl --samples 2 --temperature 0", 2, "same answer");
    says("--model tiny --data set.jsonl --blind --no-blind", 2, "cannot be used with");
    says("--model tiny --answer KEEP --data set.jsonl", 2, "cannot be used with");
}

/// MetaAD-style records: the question is taken literally, the answer is the reference.
#[test]
fn conversations_are_asked_as_they_are() {
    let dir = workplace();
    let line = |i: usize, problem: &str, more: Value| {
        let mut record = json!({ "id": format!("m{i}"), "image": format!("frames/{i}.png"), "problem": problem });
        more.as_object().unwrap().iter().for_each(|(key, value)| record[key] = value.clone());
        format!("{record}\n")
    };
    let lines = [
        line(
            0,
            "<image> 5.0 m/s. What now?",
            json!({ "solution": "KEEP, STRAIGHT", "thinking": "<think> Clear road. </think>" }),
        ),
        line(1, "You drive at 7.5 m/s.", json!({ "solution": "<answer> STOP, LEFT_TURN </answer>" })),
        line(2, "Nobody knows the answer.", json!({})),
    ];
    fs::write(dir.path().join("metaad.jsonl"), lines.concat()).unwrap();
    let out = good(dir.path(), "--model tiny --data metaad.jsonl --out r --max-new-tokens 4");
    assert!(out.contains("1 record without any label left out"), "{out}");
    let entries = log(dir.path(), "r", "samples.jsonl");
    assert_eq!(entries.len(), 2);
    assert_eq!((entries[0]["reasoning"].as_str(), entries[0]["speed_mps"].as_f64()), (Some("Clear road."), Some(5.0)));
    assert_eq!(entries[1]["truth"], json!({ "speed": "STOP", "path": "LEFT_TURN" }));
    assert_eq!(summary(dir.path(), "r")["text"]["samples"], 1);
    let wrong = line(3, "<image> and <image>", json!({ "solution": "KEEP, STRAIGHT" }));
    fs::write(dir.path().join("wrong.jsonl"), wrong).unwrap();
    let (code, _, err) = eval(dir.path(), "--model tiny --data wrong.jsonl");
    assert!(code == 3 && err.contains("2 <image> marks and the record 1 images"), "{err}");
}
