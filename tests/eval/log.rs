//! The log of finished samples: killed, stopped, torn, of another run, in use.

use super::*;
use std::{collections::BTreeSet, time::Duration};

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
    let lines = |name: &str| entries(dir.path(), "cut", name).len();
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
            let all = entries(dir.path(), "cut", name);
            let ids: BTreeSet<&str> = all.iter().map(|e| e["id"].as_str().unwrap()).collect();
            assert_eq!(ids.len(), all.len(), "a sample is logged twice");
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
    println!("{inside} of {kills} kills hit a run under way, {completed} runs ended between them");
    assert!(inside >= 25, "only {inside} of {kills} kills hit a run under way");
}

#[cfg(unix)]
#[test]
fn a_stop_on_request_saves_and_tells_how_to_continue() {
    let dir = workplace();
    let args = "eval --model tiny --data set.jsonl --max-new-tokens 120 --batch-size 1 --no-blind --out r";
    let args: Vec<&str> = args.split_whitespace().collect();
    let mut child = reinsman(dir.path(), &args).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    while entries(dir.path(), "r", "samples.jsonl").is_empty() {
        assert!(child.try_wait().unwrap().is_none(), "it ended before it could be stopped");
        std::thread::sleep(Duration::from_micros(200));
    }
    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
    let Output { status, stderr, .. } = child.wait_with_output().unwrap();
    let err = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(75), "{err}");
    assert!(err.contains("reinsman eval --model tiny --data set.jsonl") && err.contains("of 30 samples"), "{err}");
    let part = summary(dir.path(), "r");
    let done = entries(dir.path(), "r", "samples.jsonl").len();
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
