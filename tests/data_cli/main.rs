//! `reinsman data ...` and `reinsman doctor` as a user runs them: exit codes, messages with places and hints, and what is
//! shown against what the encoder really makes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod convert;
mod generate;
mod label;
mod show;

use data::{ReadOptions, Sample, load};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn fixture(name: &str) -> String {
    format!("{ROOT}/tests/fixtures/data/{name}")
}

fn drive(name: &str) -> String {
    format!("{ROOT}/data/samples/real_drive/{name}")
}

/// A model folder with a real tokenizer, whatever is embedded.
fn model() -> String {
    format!("{ROOT}/tests/fixtures/hf_parity/qwen2_5_vl/ckpt")
}

struct Ran {
    code: i32,
    out: String,
    err: String,
}

fn reinsman(args: &[&str]) -> Ran {
    let output = Command::new(env!("CARGO_BIN_EXE_reinsman")).args(args).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    Ran { code: output.status.code().unwrap(), out: text(&output.stdout), err: text(&output.stderr) }
}

/// Runs, expects an exit code, gives stdout and stderr joined.
fn says(code: i32, args: &[&str]) -> String {
    let ran = reinsman(args);
    assert_eq!(ran.code, code, "{args:?}\n{}{}", ran.out, ran.err);
    ran.out + &ran.err
}

fn json(args: &[&str]) -> Value {
    let ran = reinsman(&[args, &["--json"]].concat());
    serde_json::from_str(&ran.out).unwrap_or_else(|e| panic!("{e}: {args:?}\n{}{}", ran.out, ran.err))
}

fn write(folder: &Path, name: &str, bytes: impl AsRef<[u8]>) -> String {
    let path = folder.join(name);
    fs::write(&path, bytes).unwrap();
    path.display().to_string()
}

fn read(path: impl AsRef<Path>) -> Vec<Sample> {
    load(path.as_ref(), &ReadOptions::default()).unwrap().samples
}

#[test]
fn the_bundled_set_is_sound() {
    let files = ["train.jsonl", "val.jsonl", "test.jsonl"].map(drive);
    let args: Vec<&str> = ["data", "check"].into_iter().chain(files.iter().map(String::as_str)).collect();
    let found = json(&args);
    assert_eq!(
        (found["errors"].as_u64(), found["samples"].as_u64(), found["images"].as_u64()),
        (Some(0), Some(344), Some(344))
    );
    assert_eq!(says(0, &args).matches("error").count(), 0);
    says(0, &["data", "check", &files[1], "--decode"]);
}

/// Everything that can be wrong, in four files at once: each is named with its place, none hides another.
#[test]
fn check_finds_everything_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let frame = fs::read(drive("frames/udacity_00_000.jpg")).unwrap();
    write(dir.path(), "ok.jpg", &frame);
    write(dir.path(), "cut.jpg", &frame[..frame.len() / 2]);
    write(dir.path(), "photo.jpg", b"\0\0\0\x18ftypheic");
    let row = |id: &str, image: &str, path: &str| {
        format!(
            "{{\"id\":\"{id}\",\"images\":[\"{image}\"],\"ego\":{{\"speed_mps\":9}},\"clip\":\"hill\",\
             \"plan\":{{\"speed\":\"KEEP\",\"path\":\"{path}\"}}}}\n"
        )
    };
    let train = [
        row("a", "ok.jpg", "STRAIGHT"),
        row("a", "ok.jpg", "STRAIGHT"),
        "{\"id\": \"b\", oops}\n".into(),
        row("c", "ok.jpg", "GO_STRAIGHT"),
        row("d", "ok.jpg", "STRAIGHT").replace("9", "NaN"),
        row("e", "ok.jpeg", "STRAIGHT"),
        row("f", "cut.jpg", "STRAIGHT"),
        row("g", "photo.jpg", "STRAIGHT"),
    ];
    let train = write(dir.path(), "train.jsonl", train.concat());
    let val = write(dir.path(), "val.jsonl", row("v", "ok.jpg", "STRAIGHT"));
    let noise = write(dir.path(), "noise.jsonl", [0u8, 159, 146, 150, 0]);
    let gone = dir.path().join("gone.jsonl").display().to_string();
    let args = ["data", "check", &train, &val, &noise, &gone];
    let text = says(3, &args);
    for expected in [
        "train.jsonl line 3 column",
        "train.jsonl line 4 plan: \"path\" names the path GO_STRAIGHT; known are STRAIGHT",
        "--map GO_STRAIGHT=STRAIGHT",
        "train.jsonl line 5 column",
        "JSON has no NaN",
        "1 ids used twice",
        "ok.jpeg does not exist",
        "did you mean ok.jpg?",
        "cut.jpg is cut off: the JPEG has no end marker",
        "photo.jpg is not a JPEG or PNG (it starts with \"ftypheic\")",
        "1 clips in two splits",
        "hill is in",
        "noise.jsonl is not JSON or JSONL text",
        "gone.jsonl: No such file",
        "error: 11 errors",
    ] {
        assert!(text.contains(expected), "{expected}\n{text}");
    }
    let found = json(&args);
    assert_eq!(found["errors"], 11, "{found:#}");
    let kinds: Vec<&str> = found["findings"].as_array().unwrap().iter().filter_map(|f| f["problem"].as_str()).collect();
    let count = |kind: &str| kinds.iter().filter(|k| **k == kind).count();
    assert_eq!(["bad_record", "missing_image", "broken_image", "leaked_image"].map(count), [5, 1, 2, 1]);
    let mapped = json(&[&args[..], &["--map", "GO_STRAIGHT=STRAIGHT"]].concat());
    assert_eq!(mapped["errors"], 10, "{mapped:#}");
}

#[test]
fn stats_of_the_drivelm_layout() {
    let file = fixture("drivelm.json");
    let root = format!("../nuscenes/samples/CAM_FRONT/={ROOT}/data/samples/real_drive/frames/");
    let found = json(&["data", "stats", &file, "--root", &root, "--model", &model()]);
    let all = &found["all"];
    assert_eq!((all["samples"].as_u64(), all["image_files"].as_u64()), (Some(15), Some(3)));
    let category = &all["columns"]["category"];
    assert_eq!(
        ["perception", "prediction", "planning", "behavior"].map(|c| category[c].as_u64().unwrap()),
        [3, 3, 6, 3]
    );
    assert_eq!((all["clips"]["scene0"].as_u64(), all["clips"]["scene1"].as_u64()), (Some(10), Some(5)));
    assert_eq!(
        (found["tokens"]["all"]["n"].as_u64(), found["clips"]["scene1"]["samples"].as_u64()),
        (Some(15), Some(5))
    );
    // One file, one answer of known length: "Going ahead." with its end marks.
    let least = found["tokens"]["with_loss"]["min"].as_f64().unwrap();
    assert!((2.0..40.0).contains(&least) && found["tokens"]["all"]["min"].as_f64().unwrap() > least, "{found:#}");
    let text = says(0, &["data", "stats", &file, "--root", &root, "--model", &model(), "--category", "planning"]);
    assert!(text.contains("6 (6 conversation)") && text.contains("least, median, most of 6"), "{text}");
    // Without the folder the pictures cannot be measured, and this is said.
    let text = says(0, &["data", "stats", &file, "--model", &model()]);
    assert!(text.contains("15 samples not counted") && text.contains("does not exist"), "{text}");
}

#[test]
fn stats_by_split_and_clip() {
    let (train, val) = (drive("train.jsonl"), drive("val.jsonl"));
    let found = json(&["data", "stats", &train, &val, "--model", &model()]);
    assert_eq!(
        (found["splits"]["train"]["samples"].as_u64(), found["splits"]["val"]["samples"].as_u64()),
        (Some(215), Some(43))
    );
    assert_eq!(found["splits"]["val"]["path"]["RIGHT_TURN"], 2);
    assert_eq!(found["clips"].as_object().unwrap().len(), 6);
    assert_eq!(found["majority"]["label"], "KEEP, STRAIGHT");
    let text = says(0, &["data", "stats", &train, &val, "--model", &model()]);
    let row = text.lines().find(|line| line.starts_with("udacity_03 ")).unwrap();
    assert_eq!(row.split_whitespace().nth(1), Some("43"), "{text}");
    let wrong = says(3, &["data", "stats", &train, "--model", "nowhere/at/all"]);
    assert!(wrong.contains("no model at nowhere/at/all"), "{wrong}");
}

/// Truncated and random files: exit 3 and a message, for every verb and every place of the cut.
#[test]
fn damaged_files_are_told_never_a_crash() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("o.jsonl").display().to_string();
    let model = model();
    for name in ["record.jsonl", "drivelm.json", "llava.json"] {
        let whole = fs::read(fixture(name)).unwrap();
        for part in [1, 3] {
            let cut = write(dir.path(), name, &whole[..whole.len() * part / 4]);
            for args in [
                &["data", "check", &cut][..],
                &["data", "stats", &cut, "--model", &model],
                &["data", "convert", &cut, "--out", &out],
                &["data", "label", &cut, "--out", &out],
            ] {
                let text = says(3, args);
                assert!(text.contains("error: ") && text.contains(name), "{args:?}\n{text}");
            }
        }
    }
    for (name, bytes) in [
        ("empty.jsonl", &b""[..]),
        ("noise.jsonl", b"\xff\xfe\0\x01"),
        ("words.jsonl", b"hello world"),
        ("parquet.jsonl", b"PAR1...."),
    ] {
        let file = write(dir.path(), name, bytes);
        for verb in ["check", "stats", "show", "convert", "label"] {
            let more = match verb {
                "convert" | "label" => &["--out", &out][..],
                "show" => &["--model", &model],
                _ => &[],
            };
            let text = says(3, &[&["data", verb, &file], more].concat());
            assert!(text.contains(name), "{verb} {text}");
        }
    }
    let bad_csv = write(dir.path(), "p.csv", "t,x,y,frame\n0,0,0,a.jpg\n0.5,zero,0,b.jpg\n");
    let text = says(3, &["data", "label", &bad_csv, "--out", &out]);
    assert!(text.contains("p.csv line 3: \"x\" holds") && !Path::new(&out).exists(), "{text}");
}

#[test]
fn doctor_tells_the_embedded_checkpoint() {
    let weights = fs::read(PathBuf::from(ROOT).join("data/models/embedded/model.safetensors")).unwrap();
    let ran = reinsman(&["doctor", "--json"]);
    let found: Value = serde_json::from_str(&ran.out).unwrap();
    let check = found["checks"].as_array().unwrap().iter().find(|c| c["name"] == "model").unwrap();
    if weights.is_empty() {
        assert_eq!(check["state"], "weak");
        assert!(check["fix"].as_str().unwrap().contains("--model"), "{check}");
        return;
    }
    let digest: String = Sha256::digest(&weights).iter().map(|b| format!("{b:02x}")).collect();
    let text = check["found"].as_str().unwrap();
    assert!(
        text.contains(&digest) && text.contains("M parameters, prompt plan-1-") && text.contains("answers a frame"),
        "{text}"
    );
    assert_eq!(check["state"], "fine", "{check}");
}
