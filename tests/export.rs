//! `reinsman export`: the folder that comes out is the model that went in, adapter included.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use candle_core::{DType, Device, Tensor, safetensors::load};
use serde_json::Value;
use std::{collections::HashMap, fs, path::Path, process::Command};

const SOURCE: &str = env!("CARGO_MANIFEST_DIR");

/// (exit code, stdout, stderr)
fn run(dir: &Path, line: &str) -> (i32, String, String) {
    let out =
        Command::new(env!("CARGO_BIN_EXE_reinsman")).current_dir(dir).args(line.split_whitespace()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (out.status.code().unwrap_or(-1), text(out.stdout), text(out.stderr))
}

fn good(dir: &Path, line: &str) -> String {
    let (code, out, err) = run(dir, line);
    assert_eq!(code, 0, "{line}\n{out}\n{err}");
    out
}

/// A folder with a random tiny model (`tiny`) and the bundled samples beside it.
fn workplace() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let samples = format!("{SOURCE}/data/samples/real_drive");
    let shape = format!("{SOURCE}/tests/fixtures/tiny/shape.json");
    good(dir.path(), &format!("init --shape {shape} --text {samples}/val.jsonl --max-pixels 16384 --out tiny"));
    dir
}

fn weights(folder: &Path) -> HashMap<String, Tensor> {
    load(folder.join("model.safetensors"), &Device::Cpu).unwrap()
}

/// Largest difference between two sets of weights relative to the size of each value (1e-6 at least).
fn difference(a: &HashMap<String, Tensor>, b: &HashMap<String, Tensor>) -> f32 {
    assert_eq!(a.len(), b.len());
    let flat = |t: &Tensor| t.to_dtype(DType::F32).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
    a.iter().fold(0.0, |worst, (name, tensor)| {
        let (x, y) = (flat(tensor), flat(&b[name]));
        assert_eq!(x.len(), y.len(), "{name}");
        x.iter().zip(&y).fold(worst, |worst: f32, (x, y)| worst.max((x - y).abs() / x.abs().max(1e-3)))
    })
}

/// Loss per token of a model on the annotated answers of twelve frames.
fn loss(dir: &Path, model: &str) -> f64 {
    let data = format!("{SOURCE}/data/samples/real_drive/test.jsonl");
    let short = "--limit 12 --max-new-tokens 2 --no-probabilities";
    good(dir, &format!("eval --quiet --model {model} --data {data} {short} --out loss-{model}"));
    let summary = fs::read(dir.join(format!("loss-{model}/summary.json"))).unwrap();
    let summary: Value = serde_json::from_slice(&summary).unwrap();
    summary["eval_loss"].as_f64().unwrap()
}

#[test]
fn weights_come_back_within_the_rounding_of_the_format() {
    let dir = workplace();
    let before = weights(&dir.path().join("tiny"));
    for (dtype, kind, rounding) in
        [("f32", DType::F32, 0.0), ("bf16", DType::BF16, 1.0 / 256.0), ("f16", DType::F16, 1.0 / 2048.0)]
    {
        good(dir.path(), &format!("export --model tiny --merge {dtype} --out {dtype}"));
        let after = weights(&dir.path().join(dtype));
        assert!(after.values().all(|tensor| tensor.dtype() == kind), "{dtype}");
        let off = difference(&before, &after);
        assert!(off <= rounding && (off > 0.0) == (rounding > 0.0), "{dtype}: {off}");
        for entry in fs::read_dir(dir.path().join("tiny")).unwrap() {
            let name = entry.unwrap().file_name();
            assert!(dir.path().join(dtype).join(&name).is_file(), "{name:?} is missing");
        }
        assert_eq!(fs::read_dir(dir.path().join(dtype)).unwrap().count(), 7, "nothing else is left behind");
        let (a, b) = (loss(dir.path(), "tiny"), loss(dir.path(), dtype));
        assert!((a - b).abs() <= 0.1 * f64::from(rounding) * a, "{dtype}: {a} {b}");
    }
    let same = |name: &str| fs::read(dir.path().join("tiny").join(name)).unwrap();
    assert_eq!(same("config.json"), fs::read(dir.path().join("f16/config.json")).unwrap(), "it names no format");
}

#[test]
fn an_adapter_is_merged_into_its_base() {
    let dir = workplace();
    let data = format!("{SOURCE}/data/samples/real_drive/train.jsonl");
    let set = "--set sft.max_steps=3 --set sft.learning_rate=0.05 --set sft.warmup_ratio=0 --set model.train=lora";
    good(dir.path(), &format!("sft --quiet --model tiny --data {data} {set} --out run"));
    good(dir.path(), "export --model run --merge f32 --out merged");
    let change = difference(&weights(&dir.path().join("tiny")), &weights(&dir.path().join("merged")));
    assert!(change > 1e-3, "the adapter changed nothing: {change}");
    let [base, run, merged] = ["tiny", "run", "merged"].map(|model| loss(dir.path(), model));
    assert!((run - merged).abs() < 1e-5 * base, "run {run}, merged {merged}");
    assert!((base - merged).abs() > 1e-3 * base, "base {base}, merged {merged}");
}

#[test]
fn a_model_is_replaced_only_when_asked_and_other_files_stay() {
    let dir = workplace();
    good(dir.path(), "export --model tiny --merge f32 --out out");
    fs::write(dir.path().join("out/shape.json"), "{}").unwrap();
    let before = fs::read(dir.path().join("out/model.safetensors")).unwrap();
    let (code, _, err) = run(dir.path(), "export --model tiny --merge f16 --out out");
    assert!(code == 2 && err.contains("already holds a model") && err.contains("--force"), "{code} {err}");
    assert_eq!(fs::read(dir.path().join("out/model.safetensors")).unwrap(), before);
    good(dir.path(), "export --model tiny --merge f16 --out out --force");
    assert!(fs::read(dir.path().join("out/model.safetensors")).unwrap().len() < before.len());
    assert_eq!(fs::read(dir.path().join("out/shape.json")).unwrap(), b"{}");
    fs::write(dir.path().join("out/model.safetensors.index.json"), "{}").unwrap();
    let (code, _, err) = run(dir.path(), "export --model tiny --merge f32 --out out --force");
    assert!(code == 2 && err.contains("index.json"), "{code} {err}");
}

#[test]
fn bad_input_exits_with_its_code_and_writes_nothing() {
    let dir = workplace();
    let mut tensors = weights(&dir.path().join("tiny"));
    let name = "model.language_model.norm.weight";
    let large = (tensors[name].ones_like().unwrap() * 1e5).unwrap();
    tensors.insert(name.into(), large);
    candle_core::safetensors::save(&tensors, dir.path().join("tiny/model.safetensors")).unwrap();
    let (code, _, err) = run(dir.path(), "export --model tiny --merge f16 --out out");
    assert!(code == 2 && err.contains(name) && err.contains("bf16"), "{code} {err}");
    assert!(!dir.path().join("out").exists());
    good(dir.path(), "export --model tiny --merge bf16 --out out");
    assert_eq!(run(dir.path(), "export --model tiny --merge q4 --out x").0, 2);
    assert_eq!(run(dir.path(), "export --model missing --merge f32 --out x").0, 3);
    fs::write(dir.path().join("file"), "").unwrap();
    assert_eq!(run(dir.path(), "export --model tiny --merge f32 --out file/x").0, 3);
}

#[test]
fn the_number_format_in_a_public_config_is_renamed() {
    let dir = tempfile::tempdir().unwrap();
    let model = format!("{SOURCE}/tests/fixtures/hf_parity/qwen2_5_vl/ckpt");
    good(dir.path(), &format!("export --model {model} --merge bf16 --out out"));
    let config = fs::read_to_string(dir.path().join("out/config.json")).unwrap();
    assert!(config.contains("\"bfloat16\"") && !config.contains("\"float32\""), "{config}");
    let before = fs::read(Path::new(&model).join("tokenizer.json")).unwrap();
    assert_eq!(fs::read(dir.path().join("out/tokenizer.json")).unwrap(), before);
}
