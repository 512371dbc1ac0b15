//! GGUF through the binary: a model is written as a pair, read back, trained on, and damaged pairs end in one message.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod toy;

use reinsman::vlm::gguf::GgufFile;
use serde_json::{Value, json};
use toy::{SHAPE, Toy};

/// Label probabilities of a model for a frame.
fn asked(toy: &Toy, model: &str) -> Value {
    let args = ["plan", "frame0.png", "--model", model, "--no-think", "--max-new-tokens", "8", "--json"];
    let mut plan = toy.run(&[&args[..], &["--out", "plan.png"]].concat()).ok().json();
    plan["probabilities"].take()
}

/// Largest difference between two sets of probabilities.
fn apart(a: &Value, b: &Value) -> f64 {
    let flat = |v: &Value| -> Vec<f64> {
        let axes = v.as_object().unwrap().values();
        axes.flat_map(|axis| axis.as_object().unwrap().values().map(|p| p.as_f64().unwrap())).collect()
    };
    flat(a).iter().zip(flat(b)).fold(0., |worst: f64, (a, b)| worst.max((a - b).abs()))
}

#[test]
fn pairs_answer_as_the_model_they_were_made_from() {
    let toy = Toy::new();
    let own = asked(&toy, "model");
    // A toy is sensitive: rounded to bf16 it is compared with the folder that is rounded so, in blocks it must answer.
    toy.run(&["export", "--model", "model", "--merge", "bf16", "--out", "rounded"]).ok();
    let rounded = asked(&toy, "rounded");
    for (format, file, like, tolerance) in [
        ("f32", "model-F32.gguf", &own, 0.),
        ("f16", "model-F16.gguf", &own, 2e-3),
        ("bf16", "model-BF16.gguf", &rounded, 2e-2),
        ("q8_0", "model-Q8_0.gguf", &own, 1.),
        ("q4_k", "model-Q4_K.gguf", &own, 1.),
    ] {
        toy.run(&["export", "--model", "model", "--gguf", format, "--out", format]).ok();
        let by_folder = asked(&toy, format);
        assert_eq!(by_folder, asked(&toy, &format!("{format}/{file}")));
        let off = apart(like, &by_folder);
        assert!(off <= tolerance, "{format}: {off}");
        let count = std::fs::read_dir(toy.path(format)).unwrap().count();
        assert_eq!(count, 3, "two files and the card");
    }
    // From a pair to a folder again: the same numbers.
    toy.run(&["export", "--model", "f32", "--merge", "f32", "--out", "back"]).ok();
    assert_eq!(asked(&toy, "back"), own);
    toy.run(&["export", "--model", "model", "--gguf", "f32", "--out", "f32"]).fails(2, &["already holds", "--force"]);
    toy.run(&["export", "--model", "model", "--gguf", "q8_0", "--out", "f32"]).fails(2, &["mmproj-F32.gguf", "--out"]);
    toy.run(&["export", "--model", "model", "--gguf", "f32", "--out", "f32", "--force"]).ok();
}

/// The format of each tensor follows from its width and what it is for.
#[test]
fn formats_are_mixed_by_width() {
    let toy = Toy::new();
    let mut shape: Value = serde_json::from_slice(&std::fs::read(SHAPE).unwrap()).unwrap();
    let text = if shape["text_config"].is_object() { &mut shape["text_config"] } else { &mut shape };
    text["hidden_size"] = json!(256);
    text["intermediate_size"] = json!(96);
    shape["vision_config"]["out_hidden_size"] = json!(256);
    std::fs::write(toy.path("wide.json"), shape.to_string()).unwrap();
    toy.init("wide", &toy.text("wide.json"), &[]);
    toy.run(&["export", "--model", "wide", "--gguf", "q4_k", "--out", "pair"]).ok();
    let file = GgufFile::open(&toy.path("pair/model-Q4_K.gguf")).unwrap();
    let kind = |name: &str| file.tensor(name).unwrap_or_else(|| panic!("no {name}")).kind.name;
    assert_eq!(kind("blk.0.attn_q.weight"), "Q4_K");
    assert_eq!(kind("blk.0.ffn_up.weight"), "Q4_K");
    assert_eq!(kind("blk.0.ffn_down.weight"), "Q8_0", "96 columns");
    assert_eq!(kind("token_embd.weight"), "Q6_K");
    assert_eq!(kind("blk.0.attn_norm.weight"), "F32");
    assert_eq!(file.text("tokenizer.ggml.pre").unwrap(), Some("qwen2"));
    let vision = GgufFile::open(&toy.path("pair/mmproj-F16.gguf")).unwrap();
    assert_eq!(vision.tensor("v.blk.0.ffn_up.weight").unwrap().kind.name, "F16");
    assert_eq!(vision.tensor("mm.0.bias").unwrap().kind.name, "F32");
    assert!(apart(&asked(&toy, "wide"), &asked(&toy, "pair")) < 0.1);
}

#[test]
fn adapters_train_on_pairs_and_merge_into_them() {
    let toy = Toy::new();
    toy.run(&["export", "--model", "model", "--gguf", "f32", "--out", "pair"]).ok();
    let base = toy.text("pair/model-F32.gguf");
    let mut args = toy.sft("lora", &["sft.max_steps=2", "sft.learning_rate=1e-2"]);
    let at = args.iter().position(|arg| arg == "--model").unwrap();
    args[at + 1] = base;
    toy.run(&args).ok();
    let tuned = asked(&toy, "lora");
    assert!(apart(&tuned, &asked(&toy, "pair")) > 1e-6);
    toy.run(&["export", "--model", "lora", "--gguf", "f32", "--out", "tuned"]).ok();
    toy.run(&["export", "--model", "lora", "--merge", "f32", "--out", "folder"]).ok();
    for merged in ["tuned", "folder"] {
        let off = apart(&asked(&toy, merged), &tuned);
        assert!(off < 1e-5, "{merged}: {off}");
    }
}

/// A header with one key and one tensor, as bytes.
fn header(key: &[u8], tensor: &[u8]) -> Vec<u8> {
    let counts = [u64::from(!tensor.is_empty()), u64::from(!key.is_empty())];
    let counts: Vec<u8> = counts.iter().flat_map(|n| n.to_le_bytes()).collect();
    [&b"GGUF\x03\0\0\0"[..], &counts, key, tensor, &[0; 128]].concat()
}

fn named(name: &str, rest: &[u64], first: u32) -> Vec<u8> {
    let mut out = (name.len() as u64).to_le_bytes().to_vec();
    out.extend(name.as_bytes());
    out.extend(first.to_le_bytes());
    rest.iter().for_each(|n| out.extend(n.to_le_bytes()));
    out
}

#[test]
fn damaged_files_end_in_one_message() {
    let toy = Toy::new();
    toy.run(&["export", "--model", "model", "--gguf", "f32", "--out", "pair"]).ok();
    let text = std::fs::read(toy.path("pair/model-F32.gguf")).unwrap();
    let bad = |bytes: &[u8], words: &[&str]| {
        std::fs::write(toy.path("pair/model-F32.gguf"), bytes).unwrap();
        let words = [&["model-F32.gguf"], words].concat();
        toy.run(&["plan", "frame0.png", "--model", "pair/model-F32.gguf"]).fails(3, &words);
        toy.run(&["data", "show", "train.jsonl", "--model", "pair"]).fails(3, &words);
    };
    let tensor = |dims: &[u64]| {
        let mut out = named("t", dims, dims.len() as u32);
        out.extend(0u32.to_le_bytes()); // F32
        out.extend(0u64.to_le_bytes());
        out
    };
    bad(b"", &["does not start with GGUF"]);
    bad(b"version https://git-lfs.github.com/spec/v1", &["does not start with GGUF", "Git LFS"]);
    bad(&text[..3000], &["the file ends inside", "download it again"]);
    bad(&text[..text.len() - 1], &["the file has only", "download it again"]);
    bad(&text[..40], &["do not fit into the 16 bytes", "download it again"]);
    bad(&header(&named("k", &[u64::MAX], 8), &[]), &["k has 18446744073709551615 bytes"]);
    bad(&header(&[], &tensor(&[(1 << 32) + 1, 1 << 32])), &["the product of the dimensions", "overflows"]);
    bad(&header(&[], &tensor(&[1 << 40, 1 << 40])), &["the product of the dimensions", "overflows"]);
    let aligned = |n: u32| [named("general.alignment", &[], 4), n.to_le_bytes().to_vec()].concat();
    bad(&header(&aligned(0), &[]), &["general.alignment is 0", "power of two"]);
    bad(&header(&aligned(48), &[]), &["general.alignment is 48"]);
    bad(&header(&[], &[]), &["general.architecture is missing"]);
    let arch = |name: &str| [named("general.architecture", &[name.len() as u64], 8), name.as_bytes().to_vec()].concat();
    bad(&header(&arch("llama"), &[]), &["\"llama\"", "qwen2vl", "qwen3vl"]);
    // One byte wrong anywhere in the header: an error or the same model, never a panic.
    for at in (0..2000.min(text.len())).step_by(61) {
        let mut changed = text.clone();
        changed[at] ^= 0x55;
        std::fs::write(toy.path("pair/model-F32.gguf"), &changed).unwrap();
        let ran = toy.run(&["data", "show", "train.jsonl", "--n", "1", "--model", "pair"]);
        assert!(matches!(ran.code, Some(0 | 3)) && !ran.stderr.contains("bug in reinsman"), "{at}: {ran:?}");
    }
}

#[test]
fn halves_that_do_not_belong_together() {
    let toy = Toy::new();
    toy.run(&["export", "--model", "model", "--gguf", "f32", "--out", "a"]).ok();
    let text = toy.path("a/model-F32.gguf");
    std::fs::create_dir(toy.path("alone")).unwrap();
    std::fs::copy(&text, toy.path("alone/model.gguf")).unwrap();
    let plan = |model: &str| toy.run(&["plan", "frame0.png", "--model", model]);
    plan("alone/model.gguf").fails(3, &["no vision half", "mmproj"]);
    plan("alone").fails(3, &["no vision half"]);
    plan("a/mmproj-F32.gguf").fails(3, &["vision half", "model-F32.gguf"]);
    plan("a/nothing.gguf").fails(3, &["no model at"]);
    // Two text files: the file itself must be named.
    std::fs::copy(&text, toy.path("a/other.gguf")).unwrap();
    plan("a").fails(3, &["several models", "other.gguf", "--model DIR/NAME.gguf"]);
    plan("a/other.gguf").ok();
    std::fs::copy(toy.path("a/mmproj-F32.gguf"), toy.path("a/mmproj-b.gguf")).unwrap();
    plan("a/other.gguf").fails(3, &["several vision halves", "mmproj-F32.gguf, mmproj-b.gguf", "folder of their own"]);
    // The text half under both names.
    std::fs::copy(&text, toy.path("alone/mmproj.gguf")).unwrap();
    plan("alone").fails(3, &["mmproj.gguf", "clip.projector_type is missing"]);
}
