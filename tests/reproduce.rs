//! A reproduction on a handful of frames: every arm runs, one that is stopped continues and ends in the same answers as
//! one that is not, what is finished is not repeated, and the report holds the paper's claims.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod toy;

use serde_json::Value;
use std::path::{Path, PathBuf};
use toy::{Toy, signal, wait_until};

fn command(out: &str) -> Vec<String> {
    let tiny = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/reproduce/tiny.toml");
    let words = ["reproduce", "alphadrive", "--quick", "--recipe", tiny, "--out", out, "--json", "--threads", "2"];
    words.map(String::from).to_vec()
}

/// Every log of answers, by its path in the folder; frames lie in another folder for each reproduction.
fn answers(folder: &Path) -> Vec<(PathBuf, String)> {
    let own = format!("{}/", folder.file_name().unwrap().to_str().unwrap());
    let mut found = Vec::new();
    let mut folders = vec![folder.join("large")];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.file_name().unwrap().to_str().unwrap().starts_with("samples") {
                let text = std::fs::read_to_string(&path).unwrap().replace(&own, "");
                found.push((path.strip_prefix(folder).unwrap().to_owned(), text));
            }
        }
    }
    found.sort();
    assert!(found.len() > 12, "{found:?}");
    found
}

#[test]
fn every_arm_runs_and_a_stopped_reproduction_continues_to_the_same_answers() {
    let toy = Toy::new();
    let whole = toy.run(&command("whole")).ok().json();
    let rows = whole["report"]["rows"].as_array().unwrap();
    let arms: Vec<&str> = rows.iter().map(|row| row["arm"].as_str().unwrap()).collect();
    let all = ["sft-answer", "sft", "rl", "sft-rl", "exact", "exact-format", "f1-format", "f1-weight-format"];
    assert!(all.iter().all(|arm| arms.contains(arm)) && arms.len() == 9, "{arms:?}");
    assert!(rows.iter().all(|row| row["values"]["joint"]["value"].is_number()), "{rows:?}");
    assert!(rows[1]["values"]["distinct"]["value"].is_number() && rows[1]["values"]["blind"]["value"].is_number());
    let effects = whole["report"]["effects"].as_array().unwrap();
    assert!(effects.iter().any(|effect| effect["claim"]["paper"] == 17.9), "{effects:?}");
    let page = std::fs::read_to_string(toy.path("whole/report.html")).unwrap();
    assert!(
        page.contains("reward: F1, diversity, format") && page.contains("<polyline") && page.contains("data:image/")
    );

    // Stopped when the first arm is finished, wherever that finds it.
    let mut child = toy.spawn(&command("cut"));
    let first = toy.path("cut/large/sft-answer/seed-1/result.json");
    assert!(wait_until(&mut child, || first.exists()), "ended before the first arm was finished");
    signal(&child, "TERM");
    let stopped = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&stopped.stderr).into_owned();
    assert_eq!(stopped.status.code(), Some(75), "{said}");
    assert!(said.contains("of 9 runs are finished") && said.contains("the same command continues"), "{said}");
    let written = std::fs::metadata(&first).unwrap().modified().unwrap();
    let cut = toy.run(&command("cut")).ok().json();
    assert_eq!(std::fs::metadata(&first).unwrap().modified().unwrap(), written, "a finished arm was repeated");
    assert!(answers(&toy.path("whole")) == answers(&toy.path("cut")), "other answers after a stop");
    let values = |report: &Value| -> Vec<Value> {
        report["report"]["rows"].as_array().unwrap().iter().map(|row| row["values"].clone()).collect()
    };
    assert_eq!(values(&whole), values(&cut));

    // Another recipe does not mix with this one.
    let other = toy.run(&["reproduce", "alphadrive", "--quick", "--out", "whole"]);
    other.fails(2, &["another recipe", "choose another --out"]);
}

fn pair(out: &str) -> Vec<String> {
    let tiny = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/reproduce/tiny-pair.toml");
    let words = ["reproduce", "pair-drive", "--quick", "--recipe", tiny, "--out", out, "--json", "--threads", "2"];
    words.map(String::from).to_vec()
}

#[test]
fn pair_drive_runs_and_a_stopped_one_continues_to_the_same_scores() {
    let toy = Toy::new();
    let whole = toy.run(&pair("whole")).ok().json();
    let rows = whole["report"]["rows"].as_array().unwrap();
    let row = |arm: &str, size: &str| {
        rows.iter().find(|row| row["arm"] == arm && row["size"] == size).unwrap_or_else(|| panic!("{arm} {size}"))
    };
    let value = |arm: &str, size: &str, column: &str| row(arm, size)["values"][column]["value"].as_f64().unwrap();
    for arm in ["demonstrated", "il", "then", "whole", "best", "over-ego", "over-next"] {
        assert!((0.0..=1.0).contains(&value(arm, "expert", "epdms")), "{arm}");
        assert_eq!(row(arm, "expert")["seeds"], serde_json::json!([1, 2]), "{arm}");
    }
    // The best candidate is no worse than any choice, and the expert hardly loses a point.
    for size in ["expert", "imperfect"] {
        assert!(value("best", size, "epdms") >= value("il", size, "epdms").max(value("whole", size, "epdms")));
    }
    assert!(value("demonstrated", "expert", "epdms") > 0.9);
    assert!(rows.iter().all(|row| !(row["arm"] == "then" && row["size"] == "imperfect")), "a run that is not there");
    let effect = &whole["report"]["effects"][0];
    assert!(effect["claim"]["paper"] == 3.5 && effect["ours"]["value"].is_number(), "{effect}");
    let page = std::fs::read_to_string(toy.path("whole/report.html")).unwrap();
    assert!(page.contains("PaIR over another seed") && page.contains("<polyline") && page.contains("too_close"));

    let mut child = toy.spawn(&pair("cut"));
    let first = toy.path("cut/expert/pair-3/seed-1/result.json");
    assert!(wait_until(&mut child, || first.exists()), "ended before the first run was finished");
    signal(&child, "TERM");
    let stopped = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&stopped.stderr).into_owned();
    assert_eq!(stopped.status.code(), Some(75), "{said}");
    assert!(said.contains("of 8 runs are finished") && said.contains("the same command continues"), "{said}");
    let written = std::fs::metadata(&first).unwrap().modified().unwrap();
    let cut = toy.run(&pair("cut")).ok().json();
    assert_eq!(std::fs::metadata(&first).unwrap().modified().unwrap(), written, "a finished run was repeated");
    let values = |report: &Value| -> Vec<Value> {
        report["report"]["rows"].as_array().unwrap().iter().map(|row| row["values"].clone()).collect()
    };
    assert_eq!(values(&whole), values(&cut));
    toy.run(&["reproduce", "pair-drive", "--quick", "--out", "whole"]).fails(2, &["another recipe"]);
    toy.run(&["reproduce", "pair-drve"]).fails(2, &["did you mean pair-drive?"]);
}
