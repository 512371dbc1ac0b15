//! The whole product on a toy model: every verb once, from making a model to planning with what was trained, in under a
//! minute. A verb without a step here fails the test, so a new one must come with one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod toy;

use clap::CommandFactory;
use reinsman::cli::Cli;
use serde_json::{Value, json};
use std::{
    io::Write,
    panic::{AssertUnwindSafe, catch_unwind},
    process::Stdio,
};
use toy::{FIXTURES, Ran, Toy};

type Step = (&'static str, fn(&Toy));

/// Verb (the first word of the name) and what is tried with it, in an order in which later steps use earlier ones.
const STEPS: &[Step] = &[
    ("init", init),
    ("config show", config_show),
    ("data check", data_check),
    ("data stats", data_stats),
    ("data show", data_show),
    ("data convert", data_convert),
    ("data label", data_label),
    ("data generate", data_generate),
    ("sft", sft),
    ("grpo", grpo),
    ("dpo", dpo),
    ("il", il),
    ("pair", pair),
    ("reproduce", reproduce),
    ("plan", plan),
    ("eval", eval),
    ("chat", chat),
    ("score", score),
    ("drive", drive),
    ("export", export),
    ("doctor", doctor),
    ("bench model", bench_model),
    ("bench score", bench_score),
    ("bench sim", bench_sim),
    ("bench branches", bench_branches),
    ("completions", completions),
];

#[test]
fn every_verb_works_on_a_toy_model() {
    let toy = Toy::new();
    let failed: Vec<&str> = STEPS
        .iter()
        .filter(|(name, step)| {
            let begin = std::time::Instant::now();
            let failed = catch_unwind(AssertUnwindSafe(|| step(&toy))).is_err();
            println!("{:<14} {:>6.2} s{}", name, begin.elapsed().as_secs_f64(), if failed { "  FAILED" } else { "" });
            failed
        })
        .map(|(name, _)| *name)
        .collect();
    assert!(failed.is_empty(), "failed: {}", failed.join(", "));
}

#[test]
fn no_verb_is_left_out() {
    let mut verbs = Vec::new();
    for verb in Cli::command().get_subcommands() {
        let name = verb.get_name().to_owned();
        let inner: Vec<String> = verb.get_subcommands().map(|v| format!("{name} {}", v.get_name())).collect();
        verbs.extend(if inner.is_empty() { vec![name] } else { inner });
    }
    let mut tried: Vec<&str> = STEPS.iter().map(|(name, _)| *name).collect();
    verbs.sort();
    tried.sort_unstable();
    assert_eq!(verbs, tried);
}

fn init(toy: &Toy) {
    let again = toy.init("again", toy::SHAPE, &[]);
    toy::assert_same("the same seed gives the same model", &toy.path("model"), &again);
    toy.init("other", toy::SHAPE, &["--seed", "3"]);
    let weights = |name: &str| std::fs::read(toy.path(name).join("model.safetensors")).unwrap();
    assert_ne!(weights("model"), weights("other"));
    // The layout of a public checkpoint, with random weights.
    toy.run(&["init", "--shape", "small", "--max-pixels", "4096", "--out", "public"]).ok();
    let config = std::fs::read_to_string(toy.path("public/config.json")).unwrap();
    assert!(config.contains("\"torch_dtype\": \"bfloat16\"") && config.contains("Qwen2_5_VL"), "{config}");
    let bytes = weights("public").len();
    assert!((105_000_000..106_000_000).contains(&bytes), "{bytes}");
    let asked = ["plan", "frame0.png", "--model", "public", "--no-think", "--max-new-tokens", "4", "--out", "p.png"];
    toy.run(&[&asked[..], &["--json"]].concat()).ok().json();
    toy.run(&["init", "--shape", "qwen4", "--out", "none"]).fails(2, &["qwen4", "qwen2.5-vl-3b"]);
    toy.run(&["init", "--shape", "small", "--vocab", "999", "--out", "none"]).fails(2, &["--vocab"]);
}

fn config_show(toy: &Toy) {
    let shown = toy.run(&["config", "show", "--set", "sft.max_steps=7"]).ok();
    assert!(shown.stdout.contains("max_steps = 7"), "{}", shown.stdout);
    std::fs::write(toy.path("shown.toml"), &shown.stdout).unwrap();
    let again = toy.run(&["config", "show", "--config", "shown.toml", "--json"]).ok().json();
    let max = again.as_array().unwrap().iter().find(|s| s["key"] == "sft.max_steps").unwrap();
    assert_eq!(max["value"], json!(7));
}

fn data_check(toy: &Toy) {
    toy.run(&["data", "check", "train.jsonl"]).ok();
    let mut missing = toy.record(0);
    missing["images"] = json!(["nowhere.png"]);
    toy.write_records("missing.jsonl", &[missing]);
    let found = toy.run(&["data", "check", "missing.jsonl"]);
    assert_eq!(found.code, Some(3), "{found:?}");
    assert!(format!("{}{}", found.stdout, found.stderr).contains("nowhere.png"), "{found:?}");
}

fn data_stats(toy: &Toy) {
    let stats = toy.run(&["data", "stats", "train.jsonl"]).ok();
    assert!(stats.stdout.contains("12") && stats.stdout.contains("LEFT_TURN"), "{}", stats.stdout);
    toy.run(&["data", "stats", "train.jsonl", "--json"]).ok().json();
}

fn data_show(toy: &Toy) {
    let shown = toy.run(&["data", "show", "train.jsonl", "--n", "1"]).ok();
    assert!(shown.stdout.contains("follow the road") && shown.stdout.contains("KEEP"), "{}", shown.stdout);
}

fn data_convert(toy: &Toy) {
    let metaad = format!("{FIXTURES}/metaad.jsonl");
    toy.run(&["data", "convert", &metaad, "--out", "converted.jsonl"]).ok();
    let options = data::ReadOptions::default();
    let before = data::load(metaad.as_ref(), &options).unwrap().samples;
    let after = data::load(&toy.path("converted.jsonl"), &options).unwrap().samples;
    let labels = |samples: &[data::Sample]| samples.iter().map(|s| s.labels.clone()).collect::<Vec<_>>();
    assert_eq!(labels(&before), labels(&after));
}

fn data_label(toy: &Toy) {
    let frames = format!("{FIXTURES}/frames.jsonl");
    toy.run(&["data", "label", &frames, "--out", "labelled.jsonl"]).ok();
    let set = data::load(&toy.path("labelled.jsonl"), &data::ReadOptions::default()).unwrap();
    assert!(set.samples.iter().any(|s| s.labels.path.is_some()), "{:?}", set.samples);
}

/// Long enough to learn the records by heart, so that what follows has plans to show.
fn sft(toy: &Toy) {
    let sets = ["model.train=full", "sft.max_steps=200", "sft.learning_rate=1e-2", "sft.per_device_train_batch_size=6"];
    let args = toy.sft("run", &[&sets[..], &["data.val=train.jsonl"]].concat());
    toy.run(&[&args[..], &["--dry-run".into()]].concat()).ok();
    toy.run(&args).ok();
    let last = toy::metrics(&toy.path("run")).pop().unwrap();
    assert!(last["eval_loss"].as_f64().unwrap() < 0.5, "{last}");
    toy.run(&["sft", "--resume", "run"]).ok();
}

/// Two steps on what `sft` made, rewarded by the recipe that is the default; the answers are on record.
fn grpo(toy: &Toy) {
    let mut args = toy.grpo("improved", &["grpo.max_steps=2", "grpo.max_completion_length=48", "grpo.temperature=1.2"]);
    args[2] = toy.text("run");
    args.extend(["--set", "grpo.reward=meta-action", "--set", "model.train=full"].map(String::from));
    let dry = toy.run(&[&args[..], &["--dry-run".into(), "--json".into()]].concat()).ok().json();
    assert!(dry["step"]["reward"].is_number() && !toy.path("improved").exists(), "{dry}");
    toy.run(&args).ok();
    let lines = toy::metrics(&toy.path("improved"));
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0]["rewards/format/mean"].as_f64().unwrap() > 0.5, "{}", lines[0]);
    let said = std::fs::read_to_string(toy.path("improved/completions.jsonl")).unwrap();
    let first: Value = serde_json::from_str(said.lines().next().unwrap()).unwrap();
    assert!(first["completion"].is_string() && first["rewards"]["speed"].is_number(), "{first}");
    toy.run(&["grpo", "--resume", "improved"]).ok();
    toy.run(&["sft", "--resume", "improved"]).fails(2, &["is a run of `reinsman grpo`", "grpo --resume"]);
    toy.run(&["plan", "frame0.png", "--model", "improved", "--max-new-tokens", "8", "--out", "i.png", "--json"]).ok();
    args.extend(["--set".into(), "grpo.reward=meta-actoin".into()]);
    toy.run(&args).fails(2, &["meta-actoin", "did you mean meta-action?"]);
}

/// Two steps on what `sft` made: margins are on record, and the adapter is a planner like any other.
fn dpo(toy: &Toy) {
    let mut args = toy.dpo("preferred", &["dpo.max_steps=2", "dpo.learning_rate=1e-3", "dpo.rpo_alpha=0.5"]);
    args[2] = toy.text("run");
    let dry = toy.run(&[&args[..], &["--dry-run".into(), "--json".into()]].concat()).ok().json();
    assert!(dry["pairs"] == 12 && dry["loss"].is_number() && !toy.path("preferred").exists(), "{dry}");
    toy.run(&args).ok();
    let lines = toy::metrics(&toy.path("preferred"));
    assert!(lines.len() == 2 && lines[1]["rewards/margins"].as_f64().unwrap() > 0.0, "{lines:?}");
    toy.run(&["dpo", "--resume", "preferred"]).ok();
    toy.run(&["sft", "--resume", "preferred"]).fails(2, &["is a run of `reinsman dpo`", "dpo --resume"]);
    toy.run(&["plan", "frame0.png", "--model", "preferred", "--max-new-tokens", "8", "--out", "d.png", "--json"]).ok();
    toy.run(&["data", "check", "pairs.jsonl"]).ok();
    assert!(toy.run(&["data", "stats", "pairs.jsonl"]).ok().stdout.contains("12 preference pair"));
    let shown = toy.run(&["data", "show", "pairs.jsonl", "--n", "1", "--model", "model"]).ok().stdout;
    assert!(shown.contains("«<answer> KEEP, STRAIGHT </answer>") && shown.contains("rejected ("), "{shown}");
}

/// An imitation head; `tests/branches/` has the rest.
fn il(toy: &Toy) {
    let args = toy.branches("il", "head", &["data.val=frames/val.jsonl"]);
    let dry = toy.run(&[&args[..], &["--dry-run".into(), "--json".into()]].concat()).ok().json();
    assert!(dry["steps"] == 6 && dry["step_seconds"].is_number() && !toy.path("head").exists(), "{dry}");
    let table = toy.run(&args).ok().stdout;
    assert!(table.contains("demonstrated") && table.contains("head/ckpt/step-000006"), "{table}");
    assert!(toy::metrics(&toy.path("head")).iter().all(|line| line["il/loss"].is_number()));
    toy.run(&["il", "--resume", "head"]).ok();
}

/// A tree and a selector beside what `il` made.
fn pair(toy: &Toy) {
    let mut args = toy.branches("pair", "branches", &["data.val=frames/val.jsonl", "il.max_steps=0"]);
    args.extend(["--il", "head", "--json"].map(String::from));
    let done = toy.run(&args).ok().json();
    assert!(done["steps"] == 6 && done["rows"].as_array().unwrap().len() == 7, "{done}");
    toy.run(&["pair", "--resume", "branches"]).ok();
    toy.run(&["sft", "--resume", "branches"]).fails(2, &["is a run of `reinsman pair`", "pair --resume"]);
}

/// One arm on a handful of frames; `tests/reproduce.rs` runs all of them.
fn reproduce(toy: &Toy) {
    let one = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/reproduce/one.toml");
    let asked = ["reproduce", "alphadrive", "--quick", "--recipe", one, "--out", "reproduced"];
    let table = toy.run(&asked).ok();
    assert!(table.stdout.contains("majority") && table.stdout.contains("report.html"), "{}", table.stdout);
    let again = toy.run(&[&asked[..], &["--json"]].concat()).ok().json();
    assert_eq!(again["report"]["rows"][0]["arm"], json!("sft"), "{again}");
    toy.run(&["reproduce", "alphadrve"]).fails(2, &["alphadrve", "did you mean alphadrive?"]);
}

fn sums_to_one(axis: &Value, labels: &[&str]) {
    let axis = axis.as_object().unwrap();
    assert_eq!(axis.keys().collect::<Vec<_>>(), labels);
    let sum: f64 = axis.values().map(|p| p.as_f64().unwrap()).sum();
    assert!((sum - 1.0).abs() < 1e-6, "{axis:?}");
}

fn plan(toy: &Toy) {
    let asked = ["plan", "frame0.png", "--model", "run", "--speed", "3", "--max-new-tokens", "64", "--out", "plan.png"];
    toy.run(&asked).ok();
    let plan = toy.run(&[&asked[..], &["--json"]].concat()).ok().json();
    assert_eq!(plan["plan"], json!({"speed": "KEEP", "path": "STRAIGHT"}), "{plan}");
    assert!(plan["reasoning"].as_str().unwrap().contains("straight"), "{plan}");
    sums_to_one(&plan["probabilities"]["speed"], &["KEEP", "ACCELERATE", "DECELERATE", "STOP"]);
    let paths = ["STRAIGHT", "LEFT_TURN", "RIGHT_TURN", "LEFT_CHANGE", "RIGHT_CHANGE"];
    sums_to_one(&plan["probabilities"]["path"], &paths);
    assert!(plan["model"].is_string() && plan["prompt_version"].is_string(), "{plan}");
    let picture = image::open(toy.path(plan["picture"].as_str().unwrap())).unwrap();
    assert!(picture.width() >= 64);
    let more = ["--samples", "3", "--no-think", "--seed", "1", "--json"];
    toy.run(&[&asked[..], &more].concat()).ok().json();
}

fn eval(toy: &Toy) {
    let asked = ["eval", "--model", "run", "--data", "train.jsonl", "--max-new-tokens", "64", "--out", "scores"];
    let table = toy.run(&asked).ok();
    assert!(table.stdout.contains("joint") && table.stdout.contains("majority"), "{}", table.stdout);
    let again = toy.run(&[&asked[..], &["--json"]].concat()).ok().json();
    assert!(again.is_object());
    let baseline = ["eval", "--data", "train.jsonl", "--answer", "KEEP, STRAIGHT", "--out", "constant"];
    toy.run(&baseline).ok();
    let missed = [&baseline[..], &["--fail-under", "joint=0.99"]].concat();
    assert_eq!(toy.run(&missed).code, Some(1));
}

fn chat(toy: &Toy) {
    let asked = ["chat", "--quiet", "--model", "run", "--image", "frame0.png", "--speed", "3"];
    let mut child =
        toy.command(&asked).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"Plan?\n/speed 4\n/probs\n/help\n/nonsense\n").unwrap();
    let ran = Ran::of(&asked.map(String::from), child.wait_with_output().unwrap()).ok();
    assert!(ran.stdout.contains("KEEP") && ran.stderr.contains("/nonsense"), "{ran:?}");
}

/// An adapter merged into its base and half as large: the folder stands alone, and so does a pair of GGUF files.
fn export(toy: &Toy) {
    toy.run(&toy.sft("lora", &["sft.max_steps=2", "sft.learning_rate=1e-2"])).ok();
    toy.run(&["export", "--model", "lora", "--merge", "bf16", "--out", "merged"]).ok();
    let size = |path: &str| std::fs::metadata(toy.path(path)).unwrap().len();
    assert!(size("merged/model.safetensors") < size("model/model.safetensors") * 6 / 10);
    let asked =
        ["plan", "frame0.png", "--model", "merged", "--no-think", "--max-new-tokens", "8", "--out", "merged.png"];
    assert!(toy.run(&[&asked[..], &["--json"]].concat()).ok().json()["probabilities"].is_object());
    toy.run(&["export", "--model", "lora", "--merge", "f32", "--out", "merged"])
        .fails(2, &["already holds a model", "--force"]);
    toy.run(&["export", "--model", "lora", "--gguf", "q8_0", "--out", "pair"]).ok();
    let asked = ["plan", "frame0.png", "--model", "pair/model-Q8_0.gguf", "--no-think", "--max-new-tokens", "8"];
    let asked = [&asked[..], &["--json", "--out", "pair.png"]].concat();
    assert!(toy.run(&asked).ok().json()["probabilities"].is_object());
}

fn doctor(toy: &Toy) {
    let stdout = toy.run(&["doctor"]).ok().stdout;
    assert!(stdout.contains("huggingface.co") && stdout.contains("HF_HUB_OFFLINE"), "{stdout}");
}

/// The shape of the report; times are whatever they are.
fn bench_model(toy: &Toy) {
    let shape = ["bench", "model", "--config", "model/config.json", "--repeats", "1"];
    let report = toy.run(&[&shape[..], &["--threads", "2", "--json"]].concat()).ok().json();
    assert!(report["machine"]["processor"].is_string() && report["machine"]["cores"].as_u64().unwrap() > 0, "{report}");
    let keys = ["name", "value", "unit", "threads", "cpu_seconds", "peak_rss_bytes"];
    let mut names = Vec::new();
    for line in report["results"].as_array().unwrap() {
        assert_eq!(line.as_object().unwrap().keys().collect::<Vec<_>>(), keys, "{line}");
        assert!(line["value"].as_f64().unwrap() > 0.0 && line["cpu_seconds"].as_f64().unwrap() > 0.0, "{line}");
        assert!(["s", "ms", "tokens/s", "patches/s"].contains(&line["unit"].as_str().unwrap()), "{line}");
        assert!(line["peak_rss_bytes"].as_u64().unwrap() > 1 << 20 && line["threads"] == 2, "{line}");
        names.push(line["name"].as_str().unwrap().to_owned());
    }
    let wanted = [
        "startup",
        "preprocess",
        "preprocess_1600x900_full",
        "preprocess_448x448",
        "jpeg_decode_1600x900",
        "vision_tower_1024_patches",
        "prefill_256img_128text",
        "decode_b1",
        "decode_b8",
        "generate_api_64_tokens_b1",
        "rollouts_8x64",
        "sft_lora_step_2x384",
        "sft_full_step_2x384",
        "grpo_step_8x64",
        "grpo_step_8x64.rollout",
        "grpo_step_8x64.score",
        "grpo_step_8x64.update",
    ];
    assert_eq!(names, wanted);
    let two = toy.run(&[&shape[..], &["--items", "text_256_24"]].concat()).ok();
    assert!(two.stdout.contains("text_prefill_256") && two.stdout.contains("text_decode_24"), "{}", two.stdout);
    toy.run(&["bench", "model", "--shape", "7b"]).fails(2, &["7b", "qwen2.5-vl-3b"]);
    toy.run(&["bench", "model", "--items", "decode"]).fails(2, &["decode_b1"]);
}

/// The bundled scenes with their own proposals.
fn score(toy: &Toy) {
    let summary = toy.run(&["score", "--json", "--limit", "2"]).ok().json();
    assert!(summary["lines"][0]["figures"]["epdms"]["value"].is_number(), "{summary}");
    assert!(toy.path("out/score/bundled/report.html").is_file());
}

fn bench_score(toy: &Toy) {
    let items = ["bench", "score", "--items", "epdms_batch_256", "--repeats", "1", "--limit", "1", "--json"];
    let report = toy.run(&items).ok().json();
    let line = &report["results"][0];
    let keys = ["name", "value", "unit", "threads", "cpu_seconds", "peak_rss_bytes"];
    assert_eq!(line.as_object().unwrap().keys().collect::<Vec<_>>(), keys, "{report}");
    assert!(line["value"].as_f64().unwrap() > 0.0 && line["unit"] == "trajectories/cpu_s", "{report}");
}

/// One item: the others take longer than a test may.
fn bench_sim(toy: &Toy) {
    let items = ["bench", "sim", "--items", "fork_rollout_32x4s", "--repeats", "1"];
    let report = toy.run(&[&items[..], &["--json"]].concat()).ok().json();
    let line = &report["results"][0];
    assert!(line["value"].as_f64().unwrap() > 0.0 && line["unit"] == "ms", "{report}");
    assert!(toy.run(&items).ok().stdout.contains("per CPU second"));
    toy.run(&["bench", "sim", "--items", "vectr"]).fails(2, &["vectr", "vector"]);
}

fn bench_branches(toy: &Toy) {
    let items = ["bench", "branches", "--items", "plan", "--repeats", "1"];
    let report = toy.run(&[&items[..], &["--json"]].concat()).ok().json();
    let lines = report["results"].as_array().unwrap();
    let names: Vec<_> = lines.iter().map(|line| line["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["plan", "plan.il", "plan.tree", "plan.selector"]);
    assert!(lines.iter().all(|line| line["cpu_seconds"].as_f64().unwrap() > 0.0 && line["unit"] == "ms"), "{report}");
    assert!(report["machine"]["sgemm_gflops"].as_f64().unwrap() > 0.0, "{report}");
    assert!(toy.run(&items).ok().stdout.contains("floor ms"));
    toy.run(&["bench", "branches", "--items", "plann"]).fails(2, &["plann", "plan"]);
}

/// Frames, records, questions and card; the same command gives the same bytes, and what is written trains.
fn data_generate(toy: &Toy) {
    let args = [
        "data",
        "generate",
        "--count",
        "24",
        "--split",
        "0.5,0.25,0.25",
        "--families",
        "signal,cut_in",
        "--camera",
        "tiny",
    ];
    toy.run(&[&args[..], &["--questions", "--out", "boxes"]].concat()).ok();
    toy.run(&[&args[..], &["--threads", "1", "--questions", "--out", "boxes-again"]].concat()).ok();
    let card = std::fs::read_to_string(toy.path("boxes/CARD.md")).unwrap();
    assert!(card.contains("blind floor") && card.contains("--families signal,cut_in"), "{card}");
    // The cards name their folders; everything else is the same.
    ["boxes", "boxes-again"].iter().for_each(|set| std::fs::remove_file(toy.path(set).join("CARD.md")).unwrap());
    toy::assert_same("any number of threads", &toy.path("boxes"), &toy.path("boxes-again"));
    for (file, records) in [("train.jsonl", 12), ("val.jsonl", 6), ("test.jsonl", 6)] {
        let text = std::fs::read_to_string(toy.path("boxes").join(file)).unwrap();
        assert_eq!(text.lines().count(), records, "{file}");
        toy.run(&["data", "check", &format!("boxes/{file}")]).ok();
    }
    let stats = toy.run(&["data", "stats", "boxes/train.questions.json", "--json"]).ok().json();
    assert!(stats["all"]["samples"].as_u64().unwrap() > 24, "{stats}");
    toy.run(&[&args[..], &["--out", "boxes"]].concat()).fails(2, &["is there already", "--force"]);
    toy.run(&["data", "generate", "--families", "signl", "--out", "none"]).fails(2, &["signl", "did you mean signal?"]);
    toy.run(&["data", "generate", "--camera", "huge", "--out", "none"]).fails(2, &["huge", "288x128@75"]);
}

/// The expert and the toy model, whose answers need not be plans; a scene file; a threshold.
fn drive(toy: &Toy) {
    let expert = toy.run(&["drive", "--suite", "tiny", "--policy", "expert", "--alone", "--json"]).ok().json();
    assert!(expert["driving_score"]["value"].as_f64().unwrap() > 80.0, "{expert}");
    for key in ["driving_score", "success_rate", "efficiency", "comfort", "abilities", "infractions", "routes"] {
        assert!(!expert[key].is_null(), "{key}: {expert}");
    }
    let args = ["drive", "--limit", "1", "--model", "model", "--no-think", "--camera", "tiny"];
    let driven = toy.run(&[&args[..], &["--json"]].concat()).ok().json();
    assert!(
        driven["answers"]["asked"].as_u64().unwrap() > 5 && driven["constant"]["driving_score"].is_object(),
        "{driven}"
    );
    let page = std::fs::read_to_string(toy.path("out/drive/vlm-tiny/index.html")).unwrap();
    assert!(
        page.contains("data:image/png") && !page.contains("http://") && !page.contains("https://"),
        "a page of its own"
    );
    let limits = ["drive", "--policy", "constant", "--alone", "--fail-under", "driving_score=99"];
    toy.run(&limits).fails(1, &["driving_score"]);
    toy.run(&["drive", "--suite", "cutin"]).fails(2, &["cutin", "did you mean cut_in?"]);
    toy.run(&["drive", "--suite", "nowhere.xml", "--policy", "idm"]).fails(3, &["nowhere.xml"]);
    std::fs::write(toy.path("none.toml"), "routes = []").unwrap();
    toy.run(&["drive", "--suite", "none.toml", "--policy", "idm"]).fails(3, &["holds no route"]);
    std::fs::write(toy.path("broken.toml"), "[[routes]]\nfamily = 3").unwrap();
    toy.run(&["drive", "--suite", "broken.toml", "--policy", "idm"]).fails(3, &["not a suite of routes"]);
}

fn completions(toy: &Toy) {
    assert!(toy.run(&["completions", "bash"]).ok().stdout.contains("reinsman"));
}
