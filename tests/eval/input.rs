//! Bad records, models, folders and flags: one clear message each, and what can be left out is.

use super::*;

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
    assert_eq!(entries(dir.path(), "r", "samples.jsonl").len(), 16, "two batches were finished before the bad one");
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
