//! What an evaluation shows and writes: rows, limits, drawn answers, thresholds, the published script, a trained run.

use super::*;
use std::{collections::BTreeSet, path::PathBuf};

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
    let all = entries(dir.path(), "r", "samples.jsonl");
    assert_eq!((all.len(), entries(dir.path(), "r", "samples-blind.jsonl").len()), (30, 30));
    assert_eq!(all[3]["tokens"], 12);
    assert_eq!(all[3]["reasoning"], "The road ahead is clear.");
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
    assert_eq!((all["samples"].as_u64(), entries(dir.path(), "r", "samples.jsonl").len()), (Some(30), 30));
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
        entries(dir.path(), out, "samples.jsonl")
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
    for entry in entries(dir.path(), "run/eval/set", "samples.jsonl") {
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
        entries(dir.path(), &inner.display().to_string(), "samples.jsonl")
            .iter()
            .all(|e| e.get("probabilities").is_none())
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
    assert_eq!(entries(dir.path(), "r", "samples-blind.jsonl").len(), 30);
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
    let all = entries(dir.path(), "r", "samples.jsonl");
    assert_eq!(all.len(), 2);
    assert_eq!((all[0]["reasoning"].as_str(), all[0]["speed_mps"].as_f64()), (Some("Clear road."), Some(5.0)));
    assert_eq!(all[1]["truth"], json!({ "speed": "STOP", "path": "LEFT_TURN" }));
    assert_eq!(summary(dir.path(), "r")["text"]["samples"], 1);
    let wrong = line(3, "<image> and <image>", json!({ "solution": "KEEP, STRAIGHT" }));
    fs::write(dir.path().join("wrong.jsonl"), wrong).unwrap();
    let (code, _, err) = eval(dir.path(), "--model tiny --data wrong.jsonl");
    assert!(code == 3 && err.contains("2 <image> marks and the record 1 images"), "{err}");
}
