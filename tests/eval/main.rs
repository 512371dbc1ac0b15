//! `reinsman eval` as a process, on a tiny random model and 30 small pictures.
//!
//! [`table`]: what it shows and writes. [`log`]: what survives. [`input`]: what it refuses.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use serde_json::{Value, json};
use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
    sync::OnceLock,
};
use tempfile::TempDir;

mod input;
mod log;
mod table;

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

fn entries(dir: &Path, out: &str, name: &str) -> Vec<Value> {
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
