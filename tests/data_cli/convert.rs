//! `data convert`: every format read back, planning questions in our words, refusals.

use super::{drive, fixture, json, read, says, write};
use data::{Content, Sample};
use reinsman::vlm::{chat::text_of, prompt::Prompts};
use serde_json::Value;
use std::{fs, path::Path};

#[test]
fn convert_round_trips() {
    let dir = tempfile::tempdir().unwrap();
    let out = |name: &str| dir.path().join(name).display().to_string();
    for (file, formats) in [
        ("metaad.json", &["record", "metaad", "llava", "messages"][..]),
        ("metaad.jsonl", &["record", "metaad", "llava", "messages"]),
        ("sharegpt.jsonl", &["record", "llava", "messages"]),
        ("senna.json", &["record", "llava", "messages"]),
    ] {
        let before = read(fixture(file));
        for to in formats {
            for ending in ["jsonl", "json"] {
                let path = out(&format!("{file}.{to}.{ending}"));
                let text = says(0, &["data", "convert", &fixture(file), "--to", to, "--out", &path]);
                assert!(text.contains(&format!("wrote {} records", before.len())), "{text}");
                let after = read(&path);
                assert_eq!(after.len(), before.len());
                for (a, b) in before.iter().zip(&after) {
                    let same = |p: &data::Image| match p {
                        data::Image::File(p) => data::Image::File(std::path::absolute(p).unwrap()),
                        bytes => bytes.clone(),
                    };
                    let images = |s: &Sample| s.images.iter().map(same).collect::<Vec<_>>();
                    assert_eq!((&a.id, images(a)), (&b.id, images(b)), "{to}");
                    assert_eq!((a.labels.speed, a.labels.path), (b.labels.speed, b.labels.path), "{to}");
                    // MetaAD's own spelling has spaces inside the tags.
                    let text = |s: &Sample| format!("{:?}", s.content).replace(' ', "");
                    assert_eq!(text(a), text(b), "{file} {to}");
                    assert!(*to == "metaad" || a.content == b.content, "{file} {to}");
                }
            }
        }
    }
}

#[test]
fn converted_plans_ask_in_our_words() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("deep/er/out.json").display().to_string();
    let train = drive("train.jsonl");
    let refused = says(3, &["data", "convert", &train, "--to", "metaad", "--out", &out]);
    assert!(
        refused.contains("udacity_00_000 cannot be written as metaad") && refused.contains("--skip-bad"),
        "{refused}"
    );
    assert!(!Path::new(&out).exists());
    let found = json(&["data", "convert", &train, "--to", "metaad", "--out", &out, "--skip-bad"]);
    assert_eq!((found["written"].as_u64(), found["left_out"].as_array().unwrap().len()), (Some(94), 121));
    let rows: Value = serde_json::from_slice(&fs::read(&out).unwrap()).unwrap();
    let sample = read(&train).into_iter().find(|s| s.id == rows[0]["id"].as_str().unwrap()).unwrap();
    let Content::Planning { ego, .. } = &sample.content else { panic!() };
    let asked = Prompts::builtin().plan_turns(ego, 1, true).unwrap();
    assert_eq!(rows[0]["problem"].as_str().unwrap(), text_of(&asked[0]));
    assert_eq!(rows[0]["solution"], format!("<answer> {} </answer>", sample.action().unwrap()));
    // Other words for labels.
    let old = "{\"image\":\"a.jpg\",\"problem\":\"?\",\"solution\":\"<answer> KEEP, GO_STRAIGHT </answer>\"}\n";
    let old = write(dir.path(), "old.jsonl", old);
    let new = dir.path().join("new.jsonl").display().to_string();
    let refused = says(3, &["data", "convert", &old, "--out", &new]);
    assert!(
        refused.contains("old.jsonl line 1") && refused.contains("--map GO_STRAIGHT=STRAIGHT, or --skip-bad"),
        "{refused}"
    );
    says(0, &["data", "convert", &old, "--out", &new, "--map", "GO_STRAIGHT=STRAIGHT"]);
    assert_eq!(read(&new)[0].action().unwrap().to_string(), "KEEP, STRAIGHT");
    let same = says(2, &["data", "convert", &old, "--out", &old]);
    assert!(same.contains("is also an input") && fs::read_to_string(&old).unwrap().contains("GO_STRAIGHT"), "{same}");
    says(2, &["data", "convert", &old, "--out", &dir.path().display().to_string()]);
    says(2, &["data", "convert", &old, "--out", &new, "--to", "parquet"]);
    says(2, &["data", "convert", &old, "--out", &new, "--map", "GO_STRAIGHT=AHEAD"]);
    assert!(says(2, &["data", "stats", &old, "--format", "poses"]).contains("data label"));
    assert!(says(2, &["data", "stats", &old, "--format", "recrod"]).contains("record"));
}
