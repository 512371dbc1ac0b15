//! DPO on a toy model: the margin rises and the planner then prefers the chosen plan, loss falls on answers only and
//! reaches every tensor, the reference is the start, and broken numbers are skipped and named. That cut and killed runs
//! end in the same bytes is shown in `tests/kill.rs`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod toy;

use data::{ReadOptions, Role, Sample};
use reinsman::{
    policy::{Planner, Source, planner::Options},
    settings::{Draft, Settings},
    train::{
        checkpoint::Checkpoint,
        dpo::{Report, Trainer},
        pair::rows,
        progress::Progress,
        reference::Reference,
        run::{Run, Start},
        signals::Stop,
    },
    vlm::{LoraSpec, Trainable, encode::IGNORED},
};
use scene::{PathAction, SpeedAction};
use serde_json::{Value, json};
use toy::{FIXTURES, Toy, assert_finite, assert_same, metrics, signal, tree, wait_until};

fn planner(toy: &Toy, trainable: Trainable) -> Planner {
    let options = Options { trainable, ..Options::default() };
    Planner::load(&Source::resolve(Some(&toy.path("model"))).unwrap(), &options).unwrap()
}

fn copy(toy: &Toy) -> Reference {
    Reference::Copy(Box::new(planner(toy, Trainable::None)))
}

fn settings(sets: &[&str]) -> Settings {
    let mut draft = Draft::new();
    sets.iter().for_each(|set| draft.set(set).unwrap());
    draft.finish().unwrap().0
}

fn pairs(toy: &Toy, n: usize) -> Vec<Sample> {
    let pairs: Vec<Value> = (0..n).map(|i| toy.pair(i)).collect();
    let path = toy.write_records("pairs.jsonl", &pairs);
    data::load(&path, &ReadOptions::default()).unwrap().samples
}

fn weights(planner: &Planner) -> Vec<(String, Vec<f32>)> {
    let numbers = |var: &candle_core::Var| var.flatten_all().unwrap().to_vec1().unwrap();
    planner.vlm.vars().iter().map(|(name, var)| (name.clone(), numbers(var))).collect()
}

fn index<T: PartialEq>(all: &[T], one: &T) -> usize {
    all.iter().position(|other| other == one).unwrap()
}

fn get(report: &Report, name: &str) -> f64 {
    report.get(name).unwrap_or_else(|| panic!("{name} is not in {report:?}"))
}

/// Whatever of two plans the random planner finds less probable is chosen, axis by axis.
#[test]
fn the_margin_rises_and_the_planner_prefers_what_was_chosen() {
    let toy = Toy::new();
    let planner = planner(&toy, Trainable::All);
    let records = data::load(&toy.path("train.jsonl"), &ReadOptions::default()).unwrap().samples;
    let asked = |i: usize, speed: SpeedAction| {
        let pictures = reinsman::train::examples::pictures(&records[i]).unwrap();
        let question = planner.question_of(&records[i], pictures, false).unwrap();
        let found = planner.probabilities(&question, "", Some(speed)).unwrap();
        let speeds = [SpeedAction::Keep, SpeedAction::Stop].map(|l| found.speed[index(SpeedAction::ALL, &l)]);
        let paths = [PathAction::LeftTurn, PathAction::RightTurn].map(|l| found.path[index(PathAction::ALL, &l)]);
        (speeds, paths)
    };
    let (mut wanted, mut rows) = (Vec::new(), Vec::new());
    for i in 0..6 {
        let speeds = [SpeedAction::Keep, SpeedAction::Stop];
        let paths = [PathAction::LeftTurn, PathAction::RightTurn];
        let less = |found: [f64; 2]| usize::from(found[1] < found[0]);
        let speed = less(asked(i, SpeedAction::Keep).0);
        let path = less(asked(i, speeds[speed]).1);
        let mut pair = toy.pair(i);
        let answer =
            |speed: usize, path: usize| json!(format!("<answer> {}, {} </answer>", speeds[speed], paths[path]));
        (pair["chosen"], pair["rejected"]) = (answer(speed, path), answer(1 - speed, 1 - path));
        rows.push(pair);
        wanted.push((speeds[speed], speed, path));
    }
    let pairs = data::load(&toy.write_records("pairs.jsonl", &rows), &ReadOptions::default()).unwrap().samples;
    // How much more probable the chosen word is than the rejected one, nats.
    let ratios = || -> Vec<[f64; 2]> {
        let ratio = |(i, (action, speed, path)): (usize, &(SpeedAction, usize, usize))| {
            let (speeds, paths) = asked(i, *action);
            [(speeds[*speed] / speeds[1 - speed]).ln(), (paths[*path] / paths[1 - path]).ln()]
        };
        wanted.iter().enumerate().map(ratio).collect()
    };
    let before = ratios();
    assert!(before.iter().flatten().all(|ratio| *ratio <= 0.0), "{before:?}");
    let sets = ["dpo.max_steps=40", "dpo.learning_rate=3e-3", "dpo.per_device_train_batch_size=6", "dpo.rpo_alpha=0.2"];
    let settings = settings(&sets);
    let mut trainer = Trainer::new(&planner, &settings, &pairs, &pairs, copy(&toy)).unwrap();
    let run = Run::create(&toy.path("run"), &settings, &Start::here("dpo", 1, "cpu", 1)).unwrap();
    trainer.run(&run, &mut Progress::new(true), &Stop::default()).unwrap();
    let lines = metrics(&toy.path("run"));
    assert_eq!(lines.len(), 41);
    let value = |line: &Value, name: &str| line[name].as_f64().unwrap_or_else(|| panic!("no {name} in {line}"));
    let (first, last, held_out) = (&lines[0], &lines[39], &lines[40]);
    assert!(value(first, "rewards/margins").abs() < 1e-5, "{first}");
    assert!(value(last, "rewards/margins") > 0.5 && value(last, "rewards/accuracies") == 1.0, "{last}");
    assert!(value(last, "loss") < 0.8 * value(first, "loss") && value(last, "nll_loss") < value(first, "nll_loss"));
    for name in ["rewards/chosen", "rewards/rejected", "logps/chosen", "logps/rejected", "grad_norm", "num_tokens"] {
        assert!(value(last, name).is_finite(), "{last}");
    }
    assert!(value(held_out, "eval_rewards/margins") > 0.5 && value(held_out, "eval_samples") == 6.0, "{held_out}");
    assert!(value(held_out, "eval_loss") < value(first, "loss"), "{held_out}");
    let after = ratios();
    assert!(after.iter().flatten().all(|ratio| *ratio > 1.0), "{before:?} to {after:?}");
}

/// What carries loss, read back as text.
fn scored(planner: &Planner, sample: &Sample) -> [String; 2] {
    let grids = planner.encoder.grids(&reinsman::train::examples::pictures(sample).unwrap()).unwrap();
    let rows = rows(&planner.encoder, &planner.prompts, sample, &grids).unwrap().unwrap();
    assert_eq!(rows.chosen.ids[..rows.prompt], rows.rejected.ids[..rows.prompt]);
    [rows.chosen, rows.rejected].map(|row| {
        assert!(row.labels[..rows.prompt].iter().all(|label| *label == IGNORED), "the prompt carries loss");
        let scored: Vec<u32> = row.labels.iter().filter(|l| **l != IGNORED).map(|l| *l as u32).collect();
        planner.encoder.tokenizer.decode(&scored, false)
    })
}

#[test]
fn only_answers_carry_loss() {
    let toy = Toy::new();
    let planner = planner(&toy, Trainable::None);
    let end = "<|im_end|>\n";
    let [chosen, rejected] = scored(&planner, &pairs(&toy, 1)[0]);
    assert_eq!(chosen, format!("<answer> KEEP, STRAIGHT </answer>{end}"));
    assert_eq!(rejected, format!("<answer> STOP, LEFT_CHANGE </answer>{end}"));
    // What the assistant said before, and what the user says within an answer, does not.
    let turn = |role: &str, content: &str| json!({"role": role, "content": content});
    let prompt = [turn("user", "Which way?"), turn("assistant", "The bend."), turn("user", "And then?")];
    let long = [turn("assistant", "Stop."), turn("user", "Why?"), turn("assistant", "Red.")];
    let pair = json!({"prompt": prompt, "chosen": [turn("assistant", "Keep.")], "rejected": long});
    let path = toy.write_records("turns.jsonl", &[pair]);
    let sample = &data::load(&path, &ReadOptions::default()).unwrap().samples[0];
    assert_eq!(scored(&planner, sample), [format!("Keep.{end}"), format!("Stop.{end}Red.{end}")]);
    assert!(sample.pair.as_ref().unwrap().chosen.iter().all(|turn| turn.role == Role::Assistant));
}

#[test]
fn every_trainable_tensor_learns() {
    let toy = Toy::new();
    let pairs = pairs(&toy, 4);
    let settings = settings(&["dpo.learning_rate=1e-3", "dpo.lr_scheduler_type=constant"]);
    for (trainable, steps) in [(Trainable::All, 1), (Trainable::Lora(LoraSpec::default()), 2)] {
        let reference = if steps == 1 { copy(&toy) } else { Reference::AdapterOff };
        let planner = planner(&toy, trainable);
        let before = weights(&planner);
        let mut trainer = Trainer::new(&planner, &settings, &pairs, &[], reference).unwrap();
        // The matrix B of an adapter starts at zero, so that A learns from the second step on.
        for _ in 0..steps {
            assert_eq!(trainer.step().unwrap().skipped, None);
        }
        // Without weight decay AdamW moves a number exactly when its gradient is not zero.
        for ((name, before), (_, after)) in before.iter().zip(weights(&planner)) {
            assert!(before.iter().zip(&after).any(|(a, b)| a != b), "{name} has a gradient of zeros");
            assert!(after.iter().all(|x| x.is_finite()), "{name}");
        }
    }
}

#[test]
fn the_reference_is_the_start() {
    let toy = Toy::new();
    let pairs = pairs(&toy, 4);
    let settings = settings(&["dpo.learning_rate=1e-2", "dpo.lr_scheduler_type=constant"]);
    for trainable in [Trainable::Lora(LoraSpec::default()), Trainable::All] {
        let reference = match trainable {
            Trainable::All => copy(&toy),
            _ => Reference::AdapterOff,
        };
        let planner = planner(&toy, trainable);
        let mut trainer = Trainer::new(&planner, &settings, &pairs, &[], reference).unwrap();
        let reports: Vec<Report> = (0..3).map(|_| trainer.step().unwrap()).collect();
        assert!((reports[0].loss - 2f64.ln()).abs() < 1e-5, "{:?}", reports[0]);
        for name in ["rewards/chosen", "rewards/rejected", "rewards/margins"] {
            assert!(get(&reports[0], name).abs() < 1e-5, "{:?}", reports[0]);
        }
        assert!(get(&reports[2], "rewards/margins") > 1e-3, "{:?}", reports[2]);
    }
}

/// How a step is cut into passes, whether activations are kept, and how the sft term is asked for change its gradient by
/// rounding only.
#[test]
fn passes_of_any_size_give_the_same_step() {
    let toy = Toy::new();
    let pairs = pairs(&toy, 4);
    let norm = |sets: &[&str], pairs: &[Sample]| {
        let planner = planner(&toy, Trainable::All);
        let settings = settings(&[&["dpo.seed=3"][..], sets].concat());
        let mut trainer = Trainer::new(&planner, &settings, pairs, &[], copy(&toy)).unwrap();
        let report = trainer.step().unwrap();
        (report.grad_norm, report.loss, get(&report, "nll_loss"))
    };
    let two = ["dpo.per_device_train_batch_size=2", "dpo.gradient_accumulation_steps=2"];
    let (wanted, loss, nll) = norm(&[], &pairs);
    assert!(wanted > 0.01, "{wanted}");
    for sets in [&two[..], &["dpo.gradient_checkpointing=true"]] {
        let (norm, its, _) = norm(sets, &pairs);
        assert!((norm / wanted - 1.0).abs() < 1e-3 && (its - loss).abs() < 1e-5, "{sets:?}: {norm} {wanted}");
    }
    let (rpo, rpo_loss, _) = norm(&["dpo.rpo_alpha=0.5"], &pairs);
    let (sft, sft_loss, _) = norm(&["dpo.loss_type=sigmoid,sft", "dpo.loss_weights=[1.0, 0.5]"], &pairs);
    assert!((rpo / sft - 1.0).abs() < 1e-6 && (rpo / wanted - 1.0).abs() > 0.1, "{rpo} {sft} {wanted}");
    assert!(
        (rpo_loss - (loss + 0.5 * nll)).abs() < 1e-5 && (rpo_loss - sft_loss).abs() < 1e-9,
        "{rpo_loss} {loss} {nll}"
    );
}

#[test]
fn pairs_in_every_layout_take_steps() {
    let toy = Toy::new();
    let text = |n: usize| json!({"prompt": format!("Question {n}?"), "chosen": "Yes, it is.", "rejected": "No."});
    toy.write_records("texts.jsonl", &[text(0), text(1)]);
    let fixture = format!("{FIXTURES}/preference.jsonl");
    for (i, (data, n)) in [(toy.text("texts.jsonl"), 2), (fixture, 4)].into_iter().enumerate() {
        let mut args = toy.dpo(&format!("run{i}"), &["dpo.max_steps=3", "dpo.learning_rate=1e-3"]);
        args[4] = data;
        let ran = toy.run(&args).ok();
        assert!(
            ran.stdout.contains(&format!("{n} pairs")) && ran.stdout.contains("loss       sigmoid"),
            "{}",
            ran.stdout
        );
        let lines = metrics(&toy.path(&format!("run{i}")));
        assert!(lines.len() == 3 && lines.iter().all(|line| line["grad_norm"].as_f64().unwrap() > 0.0), "{lines:?}");
    }
    // Chosen answers alone can be taught too.
    let mut args = toy.sft("taught", &["sft.max_steps=1"]);
    args[4] = toy.text("texts.jsonl");
    toy.run(&args).ok();
}

#[test]
fn what_does_not_fit_is_refused_with_a_way_out() {
    let toy = Toy::new();
    let plain = toy.dpo("run", &[]);
    let with = |more: &[&str]| [&plain[..], &more.iter().map(ToString::to_string).collect::<Vec<_>>()].concat();
    toy.run(&with(&["--set", "dpo.label_smoothing=0.1"])).fails(2, &["label_smoothing 0.1 means nothing"]);
    toy.run(&with(&["--set", "dpo.loss_weights=[1, 2]"])).fails(2, &["loss_weights", "1 finite numbers"]);
    toy.run(&with(&["--set", "dpo.loss_type=sigmiod"])).fails(2, &["dpo.loss_type is", "sigmoid, hinge"]);
    toy.run(&with(&["--set", "dpo.eval_steps=2"])).fails(2, &["dpo.eval_steps is 2 but data.val is empty"]);
    toy.run(&with(&["--set", "dpo.max_length=20"])).fails(3, &["all 12 samples are too long", "dpo.max_length"]);
    assert!(!toy.path("run/ckpt").exists());
    let mut broken = toy.pair(3);
    let rejected = broken.as_object_mut().unwrap().remove("rejected").unwrap();
    broken["rejectd"] = rejected;
    toy.write_records("broken.jsonl", &[toy.pair(0), broken]);
    let mut args = plain.clone();
    args[4] = toy.text("broken.jsonl");
    toy.run(&args)
        .fails(3, &["broken.jsonl line 2", "\"rejected\" is missing", "is it the column \"rejectd\"?", "--skip-bad"]);
    let dry = [&args[..], &["--skip-bad".into(), "--dry-run".into()]].concat();
    let before = tree(toy.path("model").parent().unwrap());
    let told = toy.run(&dry).ok().stdout;
    for word in
        ["1 pairs, 1 images, tokens", "1 bad left out", "adapter    LoRA r 16", "in the first epoch; epoch about"]
    {
        assert!(told.contains(word), "no {word:?} in\n{told}");
    }
    let json = toy.run(&[&dry[..], &["--json".into()]].concat()).ok().json();
    for key in
        ["parameters", "trainable", "pairs", "step_tokens", "step_seconds", "total_seconds", "peak_bytes", "loss"]
    {
        assert!(json[key].as_f64().is_some_and(|v| v > 0.0), "{key}: {json}");
    }
    assert!(before == tree(toy.path("model").parent().unwrap()), "a dry run wrote files");
}

/// Scoring everything under the reference first changes no bit, and a run may change its mind about it.
#[test]
fn precomputed_reference_log_probabilities_are_the_same() {
    let toy = Toy::new();
    let sets = ["model.train=full", "dpo.max_steps=8", "dpo.save_steps=4", "dpo.learning_rate=1e-3"];
    let sets = [&sets[..], &["data.val=pairs.jsonl", "dpo.eval_steps=4", "dpo.save_total_limit=none"]].concat();
    toy.run(&toy.dpo("late", &sets)).ok();
    toy.run(&toy.dpo("early", &[&sets[..], &["dpo.precompute_ref_log_probs=true"]].concat())).ok();
    let weights = |run: &str| toy.path(run).join("ckpt/step-000008/model");
    assert_same("precomputed", &weights("late"), &weights("early"));
    assert_eq!(tree(&toy.path("late"))["metrics.jsonl"], tree(&toy.path("early"))["metrics.jsonl"]);
    std::fs::remove_dir_all(toy.path("early/ckpt/step-000008")).unwrap();
    toy.run(&["dpo", "--resume", "early", "--set", "dpo.precompute_ref_log_probs=false"]).ok();
    assert_same("changed its mind", &weights("late"), &weights("early"));
}

#[test]
fn a_signal_saves_exits_75_and_loses_nothing() {
    let toy = Toy::new();
    let sets = ["dpo.max_steps=200", "dpo.save_steps=500", "dpo.save_total_limit=1", "dpo.learning_rate=1e-3"];
    toy.run(&toy.dpo("straight", &sets)).ok();
    let run = toy.path("stopped");
    let mut child = toy.spawn(&toy.dpo("stopped", &sets));
    let lines = run.join("metrics.jsonl");
    let running = wait_until(&mut child, || std::fs::metadata(&lines).is_ok_and(|m| m.len() > 300));
    assert!(running, "the run was over before it could be stopped: make it longer");
    signal(&child, "TERM");
    let stopped = toy::Ran::of(&["TERM".into()], child.wait_with_output().unwrap());
    let command = format!("reinsman dpo --resume {}", toy.text("stopped"));
    stopped.fails(75, &["stopped on request; everything is saved in", &command]);
    let saved = Checkpoint::newest(&run).unwrap().found.unwrap();
    assert!((1..200).contains(&saved.step), "{}", saved.step);
    toy.run(&["dpo", "--resume", &toy.text("stopped")]).ok();
    assert_same("stopped", &toy.path("straight/ckpt"), &run.join("ckpt"));
    assert_eq!(tree(&toy.path("straight"))["metrics.jsonl"], tree(&run)["metrics.jsonl"]);
    // Pairs changed behind the run's back: the answers count, not only the question.
    let mut changed: Vec<Value> = (0..12).map(|i| toy.pair(i)).collect();
    changed[5]["rejected"] = json!("<answer> STOP, STRAIGHT </answer>");
    toy.write_records("pairs.jsonl", &changed);
    toy.run(&["dpo", "--resume", &toy.text("stopped")]).fails(2, &["the training samples are not those"]);
}

/// The tokens that only the pair with this number uses break its log-probabilities.
fn poison(toy: &Toy, n: usize, i: usize) -> Vec<Value> {
    let mut records: Vec<Value> = (0..n).map(|i| toy.pair(i)).collect();
    records[i]["command"] = json!("ßß");
    let path = toy.write_records("pairs.jsonl", &records);
    toy.untie();
    let planner = planner(toy, Trainable::None);
    let (mut its, mut others) = (Vec::new(), Vec::new());
    for (at, sample) in data::load(&path, &ReadOptions::default()).unwrap().samples.iter().enumerate() {
        let pictures = reinsman::train::examples::pictures(sample).unwrap();
        let grids = planner.encoder.grids(&pictures).unwrap();
        let rows = rows(&planner.encoder, &planner.prompts, sample, &grids).unwrap().unwrap();
        let ids = [rows.chosen.ids, rows.rejected.ids].concat();
        if at == i { its.extend(ids) } else { others.extend(ids) }
    }
    its.retain(|id| !others.contains(id));
    assert!(!its.is_empty(), "the pair has no token of its own");
    toy.poison(&its);
    records
}

#[test]
fn a_broken_step_is_skipped_and_named() {
    let toy = Toy::new();
    let sets = ["dpo.per_device_train_batch_size=1", "dpo.max_steps=5", "dpo.logging_steps=100", "dpo.save_steps=1"];
    let args = toy.dpo("run", &sets);
    poison(&toy, 5, 3);
    let ran = toy.run(&args).ok();
    assert!(ran.stderr.contains("skipped: ") && ran.stderr.contains("samples toy3"), "{}", ran.stderr);
    let lines = metrics(&toy.path("run"));
    let skipped: Vec<&Value> = lines.iter().filter(|line| line.get("skipped").is_some()).collect();
    assert_eq!(skipped.len(), 1, "{lines:?}");
    assert_eq!(skipped[0]["samples"], json!(["toy3"]));
    assert!(skipped[0]["skipped"].as_str().unwrap().contains("NaN"), "{}", skipped[0]);
    assert_finite(&toy.path("run/ckpt/step-000005/adapter/adapter_model.safetensors"));
    assert_finite(&toy.path("run/ckpt/step-000005/trainer/optim.safetensors"));
}

#[test]
fn five_broken_steps_end_the_run_and_the_last_checkpoint_is_good() {
    let toy = Toy::new();
    let sets = ["dpo.per_device_train_batch_size=1", "dpo.max_steps=40", "dpo.save_steps=1"];
    let args = toy.dpo("run", &sets);
    let mut records = poison(&toy, 4, 3);
    let bad = records[3].clone();
    records.extend((0..40).map(|_| bad.clone())); // so many that five come in a row, in any order
    toy.write_records("pairs.jsonl", &records);
    let ran = toy.run(&args).fails(4, &["5 steps in a row were broken", "toy3"]);
    assert!(ran.stderr.matches(" skipped: ").count() >= 5, "{}", ran.stderr);
    let newest = Checkpoint::newest(&toy.path("run")).unwrap().found.unwrap();
    assert_finite(&newest.dir.join("adapter/adapter_model.safetensors"));
    // A resumed run remembers how many were broken.
    toy.run(&["dpo", "--resume", &toy.text("run")]).fails(4, &["5 steps in a row were broken"]);
}
