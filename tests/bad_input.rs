//! Bad input to `sft` and `init`: one clear message with a way out, the right exit code, nothing finished lost.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod toy;

use candle_core::{DType, Device, Tensor};
use reinsman::train::checkpoint::Checkpoint;
use serde_json::{Value, json};
use std::{collections::HashMap, path::Path, process::Command};
use toy::{FRAMES, Ran, SHAPE, Toy, assert_same, copy, signal, tree, wait_until};

/// A record file with a sound first record and a second one that is changed.
fn spoiled(toy: &Toy, change: impl FnOnce(&mut Value)) {
    let mut records = [toy.record(0), toy.record(1)];
    change(&mut records[1]);
    toy.write_records("train.jsonl", &records);
}

fn picture(toy: &Toy, name: &str, bytes: &[u8]) {
    std::fs::write(toy.path(name), bytes).unwrap();
    spoiled(toy, |record| record["images"] = json!([name]));
}

fn line(toy: &Toy, text: &str) {
    std::fs::write(toy.path("train.jsonl"), format!("{}\n{text}\n", toy.record(0))).unwrap();
}

/// Trains, must fail, and must leave no checkpoint behind.
#[track_caller]
fn refused(toy: &Toy, code: i32, words: &[&str]) {
    toy.run(&toy.sft("run", &["sft.max_steps=3"])).fails(code, words);
    let saved = Checkpoint::newest(&toy.path("run")).unwrap().found;
    assert!(saved.is_none(), "{saved:?}");
}

#[test]
fn pictures() {
    let toy = Toy::new();
    let frame = std::fs::read(Path::new(FRAMES).join("udacity_00_000.jpg")).unwrap();
    let png = std::fs::read(toy.path("frame0.png")).unwrap();
    spoiled(&toy, |record| record["images"] = json!(["frame7.jpg"]));
    refused(&toy, 3, &["sample toy1", "frame7.jpg does not exist", "did you mean frame7.png?", "--skip-bad"]);
    picture(&toy, "cut.jpg", &frame[..frame.len() * 2 / 3]);
    refused(&toy, 3, &["sample toy1", "cut.jpg is cut off", "copy or download it again"]);
    picture(&toy, "cut.png", &png[..png.len() / 2]);
    refused(&toy, 3, &["sample toy1", "cut.png", "copy or download it again"]);
    picture(&toy, "empty.jpg", b"");
    refused(&toy, 3, &["sample toy1", "empty.jpg is empty (0 bytes)"]);
    picture(&toy, "photo.heic", b"\0\0\0\x18ftypheic\0\0\0\0");
    refused(&toy, 3, &["photo.heic is not a JPEG or PNG", "ImageMagick"]);
    image::GrayImage::new(20_000, 200).save(toy.path("wide.png")).unwrap();
    spoiled(&toy, |record| record["images"] = json!(["wide.png"]));
    refused(&toy, 3, &["wide.png is 20000x200 pixels; the limit is 4096 per side"]);
    image::GrayImage::new(2000, 4).save(toy.path("thin.png")).unwrap();
    spoiled(&toy, |record| record["images"] = json!(["thin.png"]));
    refused(&toy, 3, &["sample toy1", "2000"]);
    // The same record can be left out, and that is said.
    let ran = toy.run(&[&toy.sft("run", &["sft.max_steps=1"])[..], &["--skip-bad".into()]].concat()).ok();
    assert!(ran.stdout.contains("1 samples") && ran.stdout.contains("1 bad left out (first: sample toy1"), "{ran:?}");
}

#[test]
fn records() {
    let toy = Toy::new();
    line(&toy, r#"{"id": "x", "images": ["frame1.png"], "plan": {"speed": "KEEP""#);
    refused(&toy, 3, &["train.jsonl line 2", "not valid JSON", "cut off", "--skip-bad"]);
    line(
        &toy,
        r#"{"images": ["frame1.png"], "ego": {"speed_mps": NaN}, "plan": {"speed": "KEEP", "path": "STRAIGHT"}}"#,
    );
    refused(&toy, 3, &["train.jsonl line 2", "JSON has no NaN"]);
    spoiled(&toy, |record| record["ego"]["speed_mps"] = json!(-3.0));
    refused(&toy, 3, &["train.jsonl line 2", "\"speed_mps\" is -3.0", "metres per second"]);
    spoiled(&toy, |record| record["plan"]["path"] = json!("GO_STRAIGHT"));
    refused(&toy, 3, &["line 2", "names the path GO_STRAIGHT", "LEFT_CHANGE", "--map GO_STRAIGHT=STRAIGHT"]);
    line(
        &toy,
        r#"{"images": ["frame1.png"], "messages": [{"role": "user", "content": "<image><image> Which?"}, {"role": "assistant", "content": "One."}]}"#,
    );
    let conversation = std::fs::read_to_string(toy.path("train.jsonl")).unwrap();
    std::fs::write(toy.path("train.jsonl"), conversation.lines().nth(1).unwrap()).unwrap();
    refused(&toy, 3, &["2 <image> marks", "1 images"]);
    std::fs::write(toy.path("train.jsonl"), "").unwrap();
    refused(&toy, 3, &["train.jsonl holds no records"]);
    std::fs::write(toy.path("train.jsonl"), "{\"a\": 1}\n").unwrap();
    refused(&toy, 3, &["no known format", "--format"]);
    toy.write_records("train.jsonl", &[json!({"images": ["frame1.png"], "plan": {"speed": null, "path": null}})]);
    refused(&toy, 3, &["none of 1 samples teaches anything", "data stats"]);
    std::fs::remove_file(toy.path("train.jsonl")).unwrap();
    refused(&toy, 3, &["train.jsonl"]);
    toy.write_records("train.jsonl", &[toy.record(0)]);
    toy.run(&toy.sft("run", &["data.val=nothing.jsonl"])).fails(3, &["data.val", "nothing.jsonl"]);
    toy.run(&["sft", "--out", "run"]).fails(2, &["no training data", "--data"]);
    toy.run(&["sft", "--data", "train.jsonl"]).fails(2, &["no run folder", "--out"]);
}

/// Reads the toy's weights, changes them, writes them back.
fn weights(toy: &Toy, change: impl FnOnce(&mut HashMap<String, Tensor>)) {
    let path = toy.path("model/model.safetensors");
    let mut tensors = candle_core::safetensors::load(&path, &Device::Cpu).unwrap();
    change(&mut tensors);
    candle_core::safetensors::save(&tensors, &path).unwrap();
}

#[test]
fn models() {
    let toy = Toy::new();
    let whole = std::fs::read(toy.path("model/model.safetensors")).unwrap();
    let name = "model.language_model.layers.0.mlp.up_proj.weight";
    weights(&toy, |tensors| drop(tensors.remove(name)));
    refused(&toy, 3, &[name, "[64, 32] is missing", "nearest are: ", "layers.0.mlp.gate_proj.weight"]);
    weights(&toy, |tensors| {
        tensors.insert(name.into(), Tensor::zeros((64, 31), DType::F32, &Device::Cpu).unwrap());
    });
    refused(&toy, 3, &[name, "has the shape [64, 31], expected [64, 32]", "different models"]);
    std::fs::write(toy.path("model/model.safetensors"), &whole[..whole.len() / 2]).unwrap();
    refused(&toy, 3, &["model.safetensors: not a valid safetensors file", "incomplete"]);
    std::fs::write(toy.path("model/model.safetensors"), b"version https://git-lfs.github.com/spec/v1").unwrap();
    refused(&toy, 3, &["model.safetensors: not a valid safetensors file", "Git LFS"]);
    let header = |text: &str| [&(text.len() as u64).to_le_bytes()[..], text.as_bytes(), &[0; 16]].concat();
    let entry = |shape: &str, at: &str| format!(r#"{{"dtype":"F32","shape":{shape},"data_offsets":{at}}}"#);
    for (bytes, word) in [
        (u64::MAX.to_le_bytes().to_vec(), "too large"),
        (header(&format!(r#"{{"a":{}}}"#, entry("[1099511627776,1099511627776]", "[0,16]"))), "overflow"),
        (header(&format!(r#"{{"a":{},"b":{}}}"#, entry("[3]", "[0,12]"), entry("[1]", "[8,16]"))), "invalid offset"),
        (header(&format!(r#"{{"a":{0},"a":{0}}}"#, entry("[4]", "[0,16]"))), "the tensor a occurs twice"),
    ] {
        std::fs::write(toy.path("model/model.safetensors"), bytes).unwrap();
        toy.run(&["plan", "frame0.png", "--model", "model"]).fails(3, &["model.safetensors: not a valid", word]);
    }
    std::fs::remove_file(toy.path("model/model.safetensors")).unwrap();
    refused(&toy, 3, &["holds neither model.safetensors nor"]);
    std::fs::write(toy.path("model/model.safetensors"), whole).unwrap();
    let changed = |key: &str, value: &str| {
        let path = toy.path("model/config.json");
        let before = std::fs::read_to_string(&path).unwrap();
        let mut config: Value = serde_json::from_str(&before).unwrap();
        *config.pointer_mut(key).unwrap() = serde_json::from_str(value).unwrap();
        std::fs::write(&path, config.to_string()).unwrap();
        before
    };
    let config = changed("/text_config/hidden_size", "0");
    assert!([2, 3].contains(&toy.run(&toy.sft("run", &[])).code.unwrap()), "a width of zero");
    std::fs::write(toy.path("model/config.json"), "{").unwrap();
    refused(&toy, 3, &["config.json"]);
    std::fs::write(toy.path("model/config.json"), config).unwrap();
    let mut args = toy.sft("run", &[]);
    args[2] = toy.text("train.jsonl");
    toy.run(&args).fails(3, &["is a file, a model is a folder or a .gguf file"]);
    args[2] = "Qwen/Qwen2.5-VL-3B-Instruct".into();
    toy.run(&args).fails(3, &["Qwen/Qwen2.5-VL-3B-Instruct is no folder here", "HF_HUB_OFFLINE"]);
    std::fs::create_dir(toy.path("hollow")).unwrap();
    args[2] = toy.text("hollow");
    toy.run(&args).fails(3, &["holds no model"]);
}

#[test]
fn settings() {
    let toy = Toy::new();
    let says = |set: &str, words: &[&str]| drop(toy.run(&toy.sft("run", &[set])).fails(2, words));
    says("sft.learning_rat=1", &["unknown setting sft.learning_rat", "did you mean sft.learning_rate?"]);
    says("sft.learning_rate=-1", &["sft.learning_rate is -1", "allowed"]);
    says("sft.max_pixels=1000", &["max_pixels 1000", "1024"]);
    says("lora.target_modules=nonsense", &["match no layer", "layers are named like"]);
    let aux = ["sft.auxiliary.weight=0.5", "sft.auxiliary.targets=bned", "model.train=full"];
    toy.run(&toy.sft("run", &aux)).fails(2, &["bned", "the data has: bend"]);
    let frozen = ["sft.auxiliary.weight=0.5", "sft.auxiliary.targets=bend"];
    toy.run(&toy.sft("run", &frozen)).fails(2, &["model.train is \"lora\", which freezes it"]);
    let mut record = toy.record(1);
    record["images"] = json!(["frame1.png", "frame0.png"]);
    toy.write_records("train.jsonl", &[record]);
    let aux = ["sft.auxiliary.weight=0.5", "sft.auxiliary.targets=bend", "model.train=full"];
    toy.run(&toy.sft("run", &aux)).fails(2, &["exactly one frame", "sft.auxiliary.weight=0"]);
}

/// `ulimit -f` is the full disk that needs no root: writes beyond it fail as on a full quota.
#[test]
fn a_disk_that_is_full_in_the_middle() {
    let toy = Toy::new();
    let sets = ["model.train=full", "sft.max_steps=6", "sft.save_steps=2", "sft.save_total_limit=none"];
    toy.run(&toy.sft("straight", &sets)).ok();
    copy(&toy.path("straight"), &toy.path("run"));
    std::fs::remove_dir_all(toy.path("run/ckpt/step-000006")).unwrap();
    let before = tree(&toy.path("run/ckpt"));
    let limited = |args: &[String]| {
        let line = format!("ulimit -f 100 && exec \"$0\" {}", args.join(" "));
        let mut command = Command::new("bash");
        command.args(["-c", &line, env!("CARGO_BIN_EXE_reinsman")]).current_dir(toy.path(""));
        Ran::of(args, command.output().unwrap())
    };
    let resume = ["sft", "--resume", &toy.text("run")].map(String::from);
    limited(&resume).fails(3, &["checkpoint of step 6 not saved", "File too large", "ulimit -f"]);
    assert!(before == tree(&toy.path("run/ckpt")), "the failed save changed something or left something behind");
    toy.run(&resume).ok();
    assert_same("resumed with room", &toy.path("straight/ckpt"), &toy.path("run/ckpt"));
    // Three failed saves in a row end a run that has far to go.
    let ran = limited(&toy.sft("never", &["model.train=full", "sft.max_steps=500", "sft.save_steps=1"]));
    let ran = ran.fails(3, &["checkpoint of step 3 not saved"]);
    assert_eq!(ran.stderr.matches("training goes on").count(), 2, "{}", ran.stderr);
    // A model folder that cannot be finished is not left looking like one.
    let init = ["init", "--shape", SHAPE, "--text", "train.jsonl", "--out", "half"].map(String::from);
    limited(&init).fails(3, &["File too large", "ulimit -f"]);
    assert!(!toy.path("half/config.json").exists());
    toy.run(&init).ok();
}

/// A picture that goes bad after the look over the data: the steps before it are kept.
#[test]
fn a_picture_that_vanishes_in_the_middle() {
    let toy = Toy::new();
    let sets = ["model.train=full", "sft.max_steps=100000", "sft.save_steps=100000"];
    let mut child = toy.spawn(&toy.sft("run", &sets));
    let metrics = toy.path("run/metrics.jsonl");
    assert!(wait_until(&mut child, || std::fs::metadata(&metrics).is_ok_and(|m| m.len() > 2000)));
    std::fs::rename(toy.path("frame5.png"), toy.path("gone.png")).unwrap();
    let ran = Ran::of(&["sft".into()], child.wait_with_output().unwrap());
    let ran = ran.fails(3, &["sample toy5", "frame5.png does not exist"]);
    let saved = Checkpoint::newest(&toy.path("run")).unwrap().found.unwrap();
    assert!(saved.step > 3 && ran.stderr.contains(&format!("{} steps are saved", saved.step)), "{}", ran.stderr);
}

#[test]
fn ctrl_c_before_and_during_training() {
    let toy = Toy::new();
    let mut child = toy.spawn(&toy.sft("run", &["model.train=full", "sft.max_steps=100000"]));
    let running = wait_until(&mut child, || toy.path("run/metrics.jsonl").exists());
    assert!(running);
    signal(&child, "INT");
    let ran = Ran::of(&["sft".into()], child.wait_with_output().unwrap());
    ran.fails(75, &["stopped on request", "reinsman sft --resume"]);
}

#[test]
fn init() {
    let toy = Toy::new();
    let run = |shape: &str, text: &str, more: &[&str]| {
        toy.run(&[&["init", "--shape", shape, "--text", text, "--out", "new"][..], more].concat())
    };
    run("nothing.json", "train.jsonl", &[]).fails(3, &["nothing.json", "check the path"]);
    run(SHAPE, "nothing.txt", &[]).fails(3, &["nothing.txt"]);
    run(SHAPE, "train.jsonl", &["--prompt", "plam"]).fails(2, &["plam", "plan_short"]);
    run(SHAPE, "train.jsonl", &["--vocab", "40"]).fails(2, &["40"]);
    std::fs::write(toy.path("shape.json"), "{").unwrap();
    run("shape.json", "train.jsonl", &[]).fails(2, &["shape.json"]);
    std::fs::write(toy.path("shape.json"), "[1]").unwrap();
    run("shape.json", "train.jsonl", &[]).fails(2, &[]);
    let shape = std::fs::read_to_string(SHAPE).unwrap();
    std::fs::write(toy.path("shape.json"), shape.replace("\"qwen3_vl\"", "\"llama\"")).unwrap();
    run("shape.json", "train.jsonl", &[]).fails(2, &["llama", "qwen3_vl"]);
    std::fs::write(
        toy.path("shape.json"),
        shape.replace("\"hidden_size\":32,\"intermediate", "\"hidden_size\":-3,\"intermediate"),
    )
    .unwrap();
    run("shape.json", "train.jsonl", &[]).fails(2, &["hidden_size"]);
    std::fs::write(toy.path("empty.txt"), "").unwrap();
    run(SHAPE, "empty.txt", &[]).fails(3, &["no text to learn"]);
    assert!(!toy.path("new/config.json").exists());
    run(SHAPE, "train.jsonl", &[]).ok();
    run(SHAPE, "train.jsonl", &[]).fails(2, &["already holds a model", "--out"]);
    toy.run(&["init", "--shape", SHAPE, "--text", "train.jsonl", "--out", "train.jsonl"]).fails(3, &["train.jsonl"]);
}
