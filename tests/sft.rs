//! `reinsman sft` as a process: cut and resumed runs end in the same bytes, learning works on every data format, and
//! what is refused is refused with a way out. Numbers that break are in `sft_numbers` at the end.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod toy;

use reinsman::{
    policy::{Planner, Source, planner::Options},
    streams::Stream,
    train::{
        checkpoint::Checkpoint,
        examples::Recipe,
        features::{BUDGET, Features},
        lock::{Lock, host},
    },
    vlm::encode::IGNORED,
};
use serde_json::json;
use std::path::Path;
use toy::{FIXTURES, SHAPE, Toy, assert_same, copy, metrics, signal, tree, wait_until};

const SIX: [&str; 4] =
    ["sft.max_steps=6", "sft.save_steps=1", "sft.save_total_limit=none", "sft.per_device_train_batch_size=2"];
const FULL: &str = "model.train=full";

fn load(path: &Path) -> Planner {
    Planner::load(&Source::resolve(Some(path)).unwrap(), &Options::default()).unwrap()
}

fn samples(path: &Path) -> Vec<data::Sample> {
    data::load(path, &data::ReadOptions::default()).unwrap().samples
}

/// Runs six steps, then for every k goes back to what a kill right after the k-th save leaves on the disk (later
/// checkpoints gone, metrics of later steps still there) and resumes.
fn cut_everywhere(sets: &[&str]) {
    let toy = Toy::new();
    let all = toy.path("all");
    toy.run(&toy.sft("all", sets)).ok();
    let lines = std::fs::read(all.join("metrics.jsonl")).unwrap();
    for k in 0..6 {
        let name = format!("cut{k}");
        let cut = toy.path(&name);
        copy(&all, &cut);
        for later in k + 1..=6 {
            std::fs::remove_dir_all(cut.join(format!("ckpt/step-{later:06}"))).unwrap();
        }
        toy.run(&["sft", "--resume", &toy.text(&name)]).ok();
        assert_same(&format!("cut after step {k}"), &all.join("ckpt"), &cut.join("ckpt"));
        assert_eq!(lines, std::fs::read(cut.join("metrics.jsonl")).unwrap(), "metrics of the run cut after step {k}");
        toy::events::assert_events(&cut);
    }
    assert_eq!(metrics(&all).iter().filter(|line| line.get("loss").is_some()).count(), 6);
}

#[test]
fn full_training_resumes_to_the_same_bytes() {
    cut_everywhere(&[&SIX[..], &[FULL, "sft.weight_decay=0.1", "sft.warmup_steps=2"]].concat());
}

#[test]
fn lora_with_dropout_resumes_to_the_same_bytes() {
    cut_everywhere(&[&SIX[..], &["lora.lora_dropout=0.3", "lora.r=4", "sft.learning_rate=1e-2"]].concat());
}

/// Recomputed layers draw the dropout of the first time, also in a resumed run.
#[test]
fn checkpointed_training_resumes_to_the_same_bytes() {
    let more = ["sft.gradient_checkpointing=true", "lora.lora_dropout=0.3", "sft.gradient_accumulation_steps=2"];
    cut_everywhere(&[&SIX[..], &more].concat());
    let aux = ["sft.auxiliary.targets=bend", "sft.auxiliary.vision_steps=2", "sft.auxiliary.weight=0.5"];
    cut_everywhere(&[&SIX[1..], &aux, &[FULL, "sft.max_steps=4", "sft.gradient_checkpointing=true"]].concat());
}

#[test]
fn the_vision_phase_and_augmentation_resume_to_the_same_bytes() {
    let aux = ["sft.auxiliary.targets=bend", "sft.auxiliary.vision_steps=2", "sft.auxiliary.weight=0.5"];
    let augment = ["sft.augment.flip=true", "sft.augment.jitter=0.3", "sft.augment.shift=0.1"];
    let rest = [FULL, "sft.max_steps=4", "data.val=train.jsonl", "sft.eval_steps=2"];
    cut_everywhere(&[&SIX[1..], &aux, &augment, &rest].concat());
}

#[test]
fn accumulation_and_class_balance_resume_to_the_same_bytes() {
    let more = [FULL, "sft.gradient_accumulation_steps=2", "sft.class_balance=uniform", "sft.think=false"];
    cut_everywhere(&[&SIX[..], &more].concat());
}

#[test]
fn a_signal_saves_exits_75_and_loses_nothing() {
    let toy = Toy::new();
    let sets = [FULL, "sft.max_steps=400", "sft.save_steps=400", "sft.save_total_limit=1"];
    toy.run(&toy.sft("straight", &sets)).ok();
    for name in ["TERM", "INT", "USR1"] {
        let run = toy.path(name);
        let mut child = toy.spawn(&toy.sft(name, &sets));
        let lines = run.join("metrics.jsonl");
        let running = wait_until(&mut child, || std::fs::metadata(&lines).is_ok_and(|m| m.len() > 300));
        assert!(running, "the run was over before it could be stopped: make it longer");
        signal(&child, name);
        let stopped = toy::Ran::of(&[name.into()], child.wait_with_output().unwrap());
        let command = format!("reinsman sft --resume {}", toy.text(name));
        let stopped = stopped.fails(75, &["stopped on request; everything is saved in", &command]);
        let saved = Checkpoint::newest(&run).unwrap();
        let saved = saved.found.unwrap();
        assert!(stopped.stderr.contains(&saved.dir.display().to_string()), "{}", stopped.stderr);
        assert!((1..400).contains(&saved.step), "{}", saved.step);
        toy.run(&["sft", "--resume", &toy.text(name)]).ok();
        assert_same(name, &toy.path("straight/ckpt"), &run.join("ckpt"));
        assert_eq!(tree(&toy.path("straight"))["metrics.jsonl"], tree(&run)["metrics.jsonl"]);
    }
}

#[test]
fn a_finished_run_resumes_to_itself() {
    let toy = Toy::new();
    toy.run(&toy.sft("a", &SIX)).ok();
    copy(&toy.path("a"), &toy.path("b"));
    toy.run(&["sft", "--resume", &toy.text("b")]).ok();
    assert_same("resumed after its end", &toy.path("a/ckpt"), &toy.path("b/ckpt"));
}

#[test]
fn the_loss_goes_down_and_the_model_folder_answers() {
    let toy = Toy::new();
    let records: Vec<_> = (0..4).map(|i| toy.record(i)).collect();
    toy.write_records("train.jsonl", &records);
    let sets = [FULL, "sft.max_steps=80", "sft.learning_rate=1e-2", "sft.save_steps=80"];
    let ran = toy.run(&[&toy.sft("run", &sets)[..], &["--json".into()]].concat()).ok();
    assert_eq!(ran.json()["steps"], json!(80));
    let lines = metrics(&toy.path("run"));
    let loss = |i: usize| lines[i]["loss"].as_f64().unwrap();
    assert!(loss(79) < 0.2 * loss(0), "{} to {}", loss(0), loss(79));
    assert_eq!((lines[79]["step"].as_u64(), lines[79]["epoch"].as_f64()), (Some(80), Some(80.0)));
    // The checkpoint is a whole model folder, found as a folder, as a checkpoint and as a run.
    let folder = toy.path("run/ckpt/step-000080/model");
    let kinds = [folder.clone(), toy.path("run/ckpt/step-000080"), toy.path("run")];
    let digests = kinds.map(|path| load(&path).vlm.base_digest().unwrap());
    assert!(digests.iter().all(|d| *d == digests[0]));
    assert_ne!(digests[0], load(&toy.path("model")).vlm.base_digest().unwrap(), "training changed nothing");
    let (ours, theirs) = (tree(&toy.path("model")), tree(&folder));
    assert_eq!(ours.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>());
    for (name, bytes) in ours.iter().filter(|(name, _)| *name != "model.safetensors") {
        assert_eq!(*bytes, theirs[name], "{name}");
    }
}

/// What carries loss, read back as text.
fn scored(planner: &Planner, sample: &data::Sample, think: bool) -> String {
    let mut stream = Stream::new(0, "x");
    let example =
        Recipe::plain(think).example(&planner.encoder, &planner.prompts, sample, &mut stream).unwrap().unwrap();
    let scored: Vec<u32> = example.encoded.labels.iter().filter(|l| **l != IGNORED).map(|l| *l as u32).collect();
    planner.encoder.tokenizer.decode(&scored, false)
}

#[test]
fn only_answers_carry_loss_and_unknown_words_none() {
    let toy = Toy::new();
    let planner = load(&toy.path("model"));
    let mut half = toy.record(1);
    half["plan"]["speed"] = json!(null);
    let path = toy.write_records("half.jsonl", &[toy.record(1), half]);
    let set = samples(&path);
    let reasoning = "<think> The road bends sharp_left ahead";
    let whole = "so I choose ACCELERATE. </think> <answer> ACCELERATE, STRAIGHT </answer><|im_end|>\n";
    let text = scored(&planner, &set[0], true);
    assert!(text.starts_with("<think> The road bends"), "{text:?}");
    assert!(text.ends_with(whole.split_once("so I").unwrap().1), "{text:?} {reasoning}");
    assert_eq!(scored(&planner, &set[0], false), "<answer> ACCELERATE, STRAIGHT </answer><|im_end|>\n");
    assert_eq!(scored(&planner, &set[1], false), "<answer>, STRAIGHT </answer><|im_end|>\n");
    // Every assistant turn of a conversation, and nothing of the user's.
    let llava = samples(&Path::new(FIXTURES).join("llava.json"));
    let said = "We moved on.<|im_end|>\n<think>A bend.</think><answer>DECELERATE, LEFT_TURN</answer><|im_end|>\n";
    assert_eq!(scored(&planner, &llava[1], true), said);
}

#[test]
fn every_data_format_takes_steps_also_with_several_pictures() {
    let toy = Toy::new();
    let frame = toy.path("frame0.png");
    for camera in ["FRONT", "FRONT_RIGHT", "FRONT_LEFT", "BACK", "BACK_LEFT", "BACK_RIGHT"] {
        let folder = toy.path(&format!("samples/CAM_{camera}"));
        std::fs::create_dir_all(&folder).unwrap();
        for name in [format!("n__CAM_{camera}__1.jpg"), "udacity_00_000.jpg".into(), "udacity_00_001.jpg".into()] {
            std::fs::copy(&frame, folder.join(name)).unwrap();
        }
        std::fs::copy(&frame, folder.join("udacity_00_002.jpg")).unwrap();
    }
    // One of these records names pictures beside itself.
    std::fs::copy(Path::new(FIXTURES).join("senna.json"), toy.path("senna.json")).unwrap();
    for i in 0..6 {
        std::fs::copy(&frame, toy.path(&format!("view_{i}.jpg"))).unwrap();
    }
    let roots = format!("data.root=samples/={0}/,../nuscenes/samples/={0}/", toy.text("samples"));
    let formats =
        ["metaad.json", "llava.json", "messages.jsonl", "sharegpt.jsonl", "drivelm.json", "senna.json", "record.jsonl"];
    for (i, file) in formats.into_iter().enumerate() {
        let out = format!("run{i}");
        let data = if file == "senna.json" { toy.text(file) } else { format!("{FIXTURES}/{file}") };
        let sets = [FULL, "sft.max_steps=3", "sft.learning_rate=1e-3", &roots];
        let mut args = toy.sft(&out, &sets);
        args[4] = data;
        let ran = toy.run(&args).ok();
        assert!(ran.stdout.contains(&format!("{file}: ")), "{}", ran.stdout);
        let lines = metrics(&toy.path(&out));
        assert_eq!(lines.len(), 3, "{file}");
        let finite = |key: &str| lines.iter().all(|l| l[key].as_f64().is_some_and(|v| v.is_finite() && v > 0.0));
        assert!(finite("loss") && finite("grad_norm") && finite("num_tokens"), "{file}: {lines:?}");
    }
}

#[test]
fn long_samples_are_dropped_and_counted_never_cut() {
    let toy = Toy::new();
    let mut records: Vec<_> = (0..3).map(|i| toy.record(i)).collect();
    records[1]["reasoning"] = json!("the road ".repeat(200));
    records[2]["images"] = json!(vec!["frame2.png"; 40]);
    toy.write_records("train.jsonl", &records);
    let args = [&toy.sft("run", &["sft.max_length=200"])[..], &["--dry-run".into()]].concat();
    let dropped = toy.run(&args).ok();
    assert!(dropped.stdout.contains("1 samples, 1 images"), "{}", dropped.stdout);
    assert!(dropped.stdout.contains("2 dropped: too long by "), "{}", dropped.stdout);
    let json = toy.run(&[&args[..], &["--json".into()]].concat()).ok().json();
    assert_eq!((json["samples"].as_u64(), json["dropped_too_long"].as_u64()), (Some(1), Some(2)));
    let most = json["tokens"]["max"].as_u64().unwrap();
    assert!(most <= 200);
    // A limit inside the picture of the shortest sample.
    let ran = toy.run(&toy.sft("run", &["sft.max_length=16"]));
    let numbers = format!("the shortest has {most} tokens, 16 are allowed");
    ran.fails(3, &["all 3 samples are too long", &numbers, "sft.max_length", "sft.max_pixels"]);
}

#[test]
fn a_dry_run_prints_the_numbers_and_writes_nothing() {
    let toy = Toy::new();
    let before = tree(toy.path("model").parent().unwrap());
    let args = [&toy.sft("run", &["sft.max_steps=50"])[..], &["--dry-run".into()]].concat();
    let told = toy.run(&args).ok();
    for word in [
        "parameters",
        "LoRA r 16 on 7 linears",
        "12 samples, 12 images, tokens",
        "50 of 4 samples",
        "all 50 steps about",
    ] {
        assert!(told.stdout.contains(word), "no {word:?} in\n{}", told.stdout);
    }
    let json = toy.run(&[&args[..], &["--json".into()]].concat()).ok().json();
    for key in ["parameters", "trainable", "step_tokens", "step_seconds", "total_seconds", "peak_bytes", "loss"] {
        assert!(json[key].as_f64().is_some_and(|v| v > 0.0), "{key}: {json}");
    }
    assert_eq!(json["samples"], json!(12));
    let auxiliary = ["model.train=full", "sft.auxiliary.targets=bend", "sft.auxiliary.vision_steps=3"];
    let json = toy.run(&[&toy.sft("run", &auxiliary)[..], &["--dry-run".into(), "--json".into()]].concat()).ok().json();
    assert!(json["vision_step_seconds"].as_f64().is_some_and(|v| v > 0.0), "{json}");
    assert!(before == tree(toy.path("model").parent().unwrap()), "a dry run wrote files");
}

#[test]
fn settings_and_folders_of_other_runs_are_refused() {
    let toy = Toy::new();
    toy.run(&toy.sft("run", &["sft.max_steps=4", "sft.save_steps=2"])).ok();
    let run = toy.text("run");
    toy.run(&toy.sft("run", &[])).fails(2, &["already holds a run", &format!("--resume {run}"), "--out"]);
    let changed = ["sft", "--resume", &run, "--set", "sft.learning_rate=2e-4", "--set", "sft.max_steps=6"];
    let told = ["sft.learning_rate was 1e-4 and is 2e-4", "sft.max_steps was 4 and is 6", "--resume-anyway"];
    toy.run(&changed).fails(2, &told);
    toy.run(&["sft", "--resume", &run, "--set", "sft.save_steps=1"]).ok();
    let went_on = toy.run(&[&changed[..], &["--resume-anyway"]].concat()).ok();
    assert!(went_on.stderr.contains("continuing with changed settings"), "{}", went_on.stderr);
    assert_eq!(Checkpoint::newest(&toy.path("run")).unwrap().found.unwrap().step, 6);
    toy.run(&["sft", "--resume", &run, "--out", &toy.text("other")]).fails(2, &["two run folders"]);
    toy.run(&["sft", "--resume", &toy.text("model")]).fails(3, &["is not a run folder"]);
    toy.run(&["sft", "--resume"]).fails(2, &["which run"]);
    // Records changed behind the run's back.
    toy.write_records("train.jsonl", &[toy.record(0), toy.record(1)]);
    let longer = ["sft", "--resume", &run];
    toy.run(&longer).fails(2, &["the training samples are not those", "--resume-anyway"]);
    // Held by this very process.
    let held = Lock::acquire(&toy.path("run")).unwrap();
    let holder = format!("in use by process {} on {}", std::process::id(), host());
    toy.run(&longer).fails(3, &[&holder]);
    toy.run(&toy.sft("run", &[])).fails(3, &[&holder]);
    drop(held);
}

#[test]
fn a_start_that_failed_may_be_repeated_in_the_same_folder() {
    let toy = Toy::new();
    let mut args = toy.sft("run", &["sft.max_steps=1"]);
    args[2] = toy.text("nodel");
    toy.run(&args).fails(3, &["no model at"]);
    toy.run(&toy.sft("run", &["sft.max_steps=1"])).ok();
}

#[test]
fn adapters_load_by_themselves_continue_and_refuse_another_base() {
    let toy = Toy::new();
    toy.run(&toy.sft("run", &["sft.max_steps=3", "sft.learning_rate=1e-2", "lora.r=4"])).ok();
    let adapter = toy.path("run/ckpt/step-000003/adapter");
    let names: Vec<String> = tree(&adapter).into_keys().collect();
    assert_eq!(names, ["adapter_config.json", "adapter_model.safetensors"]);
    for path in [&adapter, &toy.path("run"), &toy.path("run/ckpt/step-000003")] {
        let planner = load(path);
        assert_eq!(planner.vlm.adapter_spec().unwrap().r, 4);
        assert!(planner.name().contains("model"), "{}", planner.name());
    }
    let adapter = adapter.display().to_string();
    for (out, more) in [("flag", &["--adapter", &adapter][..]), ("run-as-model", &[])] {
        let mut args = toy.sft(out, &["sft.max_steps=1"]);
        if more.is_empty() {
            args[2] = toy.text("run");
        }
        args.extend(more.iter().map(ToString::to_string));
        let ran = toy.run(&args).ok();
        assert!(ran.stdout.contains("LoRA r 4"), "{}", ran.stdout);
        assert_eq!(load(&toy.path(out)).vlm.adapter_spec().unwrap().r, 4);
        toy.run(&["sft", "--resume", &toy.text(out)]).ok();
    }
    let other = toy.init("other", SHAPE, &["--seed", "9"]).display().to_string();
    let mut args = toy.sft("refused", &["sft.max_steps=1"]);
    args[2] = other.clone();
    args.extend(["--adapter".into(), adapter]);
    toy.run(&args).fails(3, &[&other, &toy.text("model"), "was trained on base"]);
    let mut args = toy.sft("refused", &[FULL]);
    args[2] = toy.text("run");
    toy.run(&args).fails(2, &["is an adapter", "model.train=lora"]);
}

#[test]
fn kept_picture_features_are_the_bits_of_fresh_ones() {
    let toy = Toy::new();
    let planner = load(&toy.path("model"));
    let set = samples(&toy.path("train.jsonl"));
    assert!(Features::fit(&planner, &Recipe::plain(true)));
    let (mut kept, mut none) = (Features::new(BUDGET), Features::new(0));
    let bits = |features: &mut Features, at: &[usize]| -> Vec<Vec<f32>> {
        let picked: Vec<&data::Sample> = at.iter().map(|i| &set[*i]).collect();
        let seen = features.of(&planner, &picked).unwrap();
        seen.iter().map(|s| s[0].features.embeds.flatten_all().unwrap().to_vec1().unwrap()).collect()
    };
    let first = bits(&mut kept, &[0, 1, 2, 1]);
    assert_eq!(first, bits(&mut kept, &[0, 1, 2, 1]));
    assert_eq!(first, bits(&mut none, &[0, 1, 2, 1]));
    assert_eq!(first[2], bits(&mut none, &[2])[0], "another batch, the same bits");
    assert_ne!(first[0], first[1]);
}

mod sft_numbers {
    //! Numbers that are not finite: skipped and named, never written.

    use super::*;
    use toy::assert_finite;

    /// The rows of the input embedding that only `sample` uses become NaN. The output head is a matrix of its own, so
    /// every other sample stays sound.
    fn poison(toy: &Toy, sample: &str) {
        toy.untie();
        let planner = load(&toy.path("model"));
        let (mut its, mut others) = (Vec::new(), Vec::new());
        for s in samples(&toy.path("train.jsonl")) {
            let recipe = Recipe::plain(true);
            let example = recipe.example(&planner.encoder, &planner.prompts, &s, &mut Stream::new(0, "x")).unwrap();
            let list = if s.id == sample { &mut its } else { &mut others };
            list.extend(example.unwrap().encoded.ids);
        }
        its.retain(|id| !others.contains(id));
        assert!(!its.is_empty(), "the sample has no token of its own");
        toy.poison(&its);
    }

    #[test]
    fn a_broken_step_is_skipped_and_named() {
        let toy = Toy::new();
        let mut records: Vec<_> = (0..5).map(|i| toy.record(i)).collect();
        records[3]["command"] = json!("ßß");
        toy.write_records("train.jsonl", &records);
        poison(&toy, "toy3");
        let one = ["sft.per_device_train_batch_size=1", "sft.max_steps=5", "sft.logging_steps=100", "sft.save_steps=1"];
        let ran = toy.run(&toy.sft("run", &one)).ok();
        assert!(ran.stderr.contains("skipped: the loss is NaN; samples toy3"), "{}", ran.stderr);
        let lines = metrics(&toy.path("run"));
        let skipped: Vec<_> = lines.iter().filter(|l| l.get("skipped").is_some()).collect();
        assert_eq!(skipped.len(), 1, "{lines:?}");
        assert_eq!((&skipped[0]["samples"], &skipped[0]["loss"]), (&json!(["toy3"]), &json!(null)));
        assert_finite(&toy.path("run/ckpt/step-000005/adapter/adapter_model.safetensors"));
        assert_finite(&toy.path("run/ckpt/step-000005/trainer/optim.safetensors"));
    }

    #[test]
    fn five_broken_steps_in_a_row_end_the_run_and_the_last_checkpoint_is_good() {
        let toy = Toy::new();
        let mut records: Vec<_> = (0..4).map(|i| toy.record(i)).collect();
        records[3]["command"] = json!("ßß");
        let bad = records[3].clone();
        toy.write_records("train.jsonl", &records);
        poison(&toy, "toy3");
        records.extend((0..7).map(|_| bad.clone()));
        toy.write_records("train.jsonl", &records);
        let sets = [
            "sft.per_device_train_batch_size=1",
            "sft.shuffle=false",
            "sft.max_steps=11",
            "sft.save_steps=2",
            "sft.save_total_limit=none",
        ];
        let ran = toy.run(&toy.sft("run", &sets)).fails(4, &["5 steps in a row were broken", "toy3"]);
        assert_eq!(ran.stderr.matches(" skipped: ").count(), 5, "{}", ran.stderr);
        let newest = Checkpoint::newest(&toy.path("run")).unwrap().found.unwrap();
        assert_eq!(newest.step, 6);
        for step in [2, 4, 6] {
            assert_finite(&toy.path(&format!("run/ckpt/step-{step:06}/adapter/adapter_model.safetensors")));
        }
        // A resumed run remembers how many were broken.
        toy.run(&["sft", "--resume", &toy.text("run")]).fails(4, &["5 steps in a row were broken"]);
    }

    #[test]
    fn weights_that_are_not_finite_are_never_written() {
        let toy = Toy::new();
        let mut records: Vec<_> = (0..4).map(|i| toy.record(i)).collect();
        records[3]["command"] = json!("ßß");
        toy.write_records("train.jsonl", &records);
        poison(&toy, "toy3");
        for (out, save) in [("seldom", "sft.save_steps=100"), ("always", "sft.save_steps=1")] {
            let ran = toy.run(&toy.sft(out, &[FULL, save, "sft.max_steps=20", "sft.per_device_train_batch_size=4"]));
            ran.fails(4, &["embed_tokens.weight", "NaN"]);
            assert!(Checkpoint::newest(&toy.path(out)).unwrap().found.is_none());
        }
    }
}
