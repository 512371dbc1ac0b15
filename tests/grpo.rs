//! GRPO on a toy model: cut and resumed runs end in the same bytes, the sampler and the trainer agree on every
//! log-probability, a reward that can be learned is learned, and broken numbers are skipped and named.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod toy;

use reinsman::{
    policy::{
        Planner, Source,
        planner::{Options, Quant},
    },
    settings::{Draft, Settings},
    train::{
        checkpoint::Checkpoint,
        grpo::{Trainer, judge::Judge, rollout::Answer},
        progress::Progress,
        reference::Reference,
        run::{Run, Start},
        signals::Stop,
    },
    vlm::{LoraSpec, Trainable},
};
use rewards::Score;
use std::{cell::Cell, path::Path};
use toy::{Toy, assert_same, copy, metrics, signal, tree, wait_until};

const FOUR: [&str; 4] =
    ["grpo.max_steps=4", "grpo.save_steps=1", "grpo.save_total_limit=none", "grpo.log_completions_steps=1"];
const SMALL: [&str; 3] = ["grpo.max_completion_length=12", "grpo.num_generations=4", "grpo.prompts_per_step=3"];

/// Runs four steps, then for every k goes back to what a kill right after the k-th save leaves on the disk (later
/// checkpoints gone, lines of later steps still there) and resumes.
fn cut_everywhere(sets: &[&str]) {
    let toy = Toy::new();
    let all = toy.path("all");
    toy.run(&toy.grpo("all", &[&FOUR, sets].concat())).ok();
    let lines = metrics(&all);
    let trained = lines.iter().filter(|line| line["grad_norm"].as_f64().is_some_and(|norm| norm > 0.0));
    assert_eq!(trained.count(), 4, "{lines:?}");
    for k in 0..4 {
        let name = format!("cut{k}");
        let cut = toy.path(&name);
        copy(&all, &cut);
        for later in k + 1..=4 {
            std::fs::remove_dir_all(cut.join(format!("ckpt/step-{later:06}"))).unwrap();
        }
        toy.run(&["grpo", "--resume", &toy.text(&name)]).ok();
        assert_same(&format!("cut after step {k}"), &all.join("ckpt"), &cut.join("ckpt"));
        for file in ["metrics.jsonl", "completions.jsonl"] {
            let read = |run: &Path| std::fs::read(run.join(file)).unwrap();
            assert!(read(&all) == read(&cut), "{file} of the run cut after step {k}");
        }
    }
}

#[test]
fn an_adapter_with_a_kl_penalty_resumes_to_the_same_bytes() {
    let more = ["lora.r=4", "grpo.learning_rate=1e-2", "grpo.beta=0.1", "grpo.class_balance=uniform"];
    cut_everywhere(&more);
}

#[test]
fn full_training_with_two_updates_and_a_reference_copy_resumes_to_the_same_bytes() {
    let updates = ["model.train=full", "grpo.learning_rate=1e-3", "grpo.num_iterations=2", "grpo.beta=0.1"];
    let rest =
        ["grpo.per_device_train_batch_size=3", "grpo.weight_decay=0.1", "data.val=train.jsonl", "grpo.eval_steps=2"];
    cut_everywhere(&[&updates[..], &rest].concat());
}

#[test]
fn a_signal_saves_exits_75_and_loses_nothing() {
    let toy = Toy::new();
    let sets = ["grpo.max_steps=60", "grpo.save_steps=100", "grpo.save_total_limit=1", "grpo.learning_rate=1e-3"];
    toy.run(&toy.grpo("straight", &sets)).ok();
    let run = toy.path("stopped");
    let mut child = toy.spawn(&toy.grpo("stopped", &sets));
    let lines = run.join("metrics.jsonl");
    let running = wait_until(&mut child, || std::fs::metadata(&lines).is_ok_and(|m| m.len() > 300));
    assert!(running, "the run was over before it could be stopped: make it longer");
    signal(&child, "TERM");
    let stopped = toy::Ran::of(&["TERM".into()], child.wait_with_output().unwrap());
    let command = format!("reinsman grpo --resume {}", toy.text("stopped"));
    stopped.fails(75, &["stopped on request; everything is saved in", &command]);
    let saved = Checkpoint::newest(&run).unwrap().found.unwrap();
    assert!((1..60).contains(&saved.step), "{}", saved.step);
    toy.run(&["grpo", "--resume", &toy.text("stopped")]).ok();
    assert_same("stopped", &toy.path("straight/ckpt"), &run.join("ckpt"));
    assert_eq!(tree(&toy.path("straight"))["metrics.jsonl"], tree(&run)["metrics.jsonl"]);
    // Another recipe behind the run's back.
    std::fs::write(toy.path("short.toml"), "[[reward]]\nterms = [\"format\"]\n").unwrap();
    let again = ["grpo", "--resume", &toy.text("stopped")];
    toy.run(&again).fails(2, &["the reward recipe is not the one in", "reward.toml", "--resume-anyway"]);
    toy.run(&[&again[..], &["--resume-anyway"]].concat()).ok();
}

fn planner(toy: &Toy, trainable: Trainable) -> Planner {
    let options = Options { trainable, quant: Quant::AsTrained, ..Options::default() };
    Planner::load(&Source::resolve(Some(&toy.path("model"))).unwrap(), &options).unwrap()
}

fn settings(sets: &[&str]) -> Settings {
    let mut draft = Draft::new();
    SMALL.iter().chain(sets).for_each(|set| draft.set(set).unwrap());
    draft.finish().unwrap().0
}

fn samples(toy: &Toy) -> Vec<data::Sample> {
    data::load(&toy.path("train.jsonl"), &data::ReadOptions::default()).unwrap().samples
}

/// Rewards every answer by a number made from its text.
fn judge(of: impl Fn(&str) -> f64 + 'static) -> Judge {
    let score = move |text: &&str| vec![Some(Score::new(of(text), "a test"))];
    let scoring = Box::new(move |_: &data::Sample, texts: &[&str], _: &[usize]| texts.iter().map(&score).collect());
    Judge { names: vec!["test".into()], weights: vec![1.0], scoring }
}

/// The part of the letters that are an e.
fn share_of_e(text: &str) -> f64 {
    text.chars().filter(|c| *c == 'e').count() as f64 / text.chars().count().max(1) as f64
}

fn weights(planner: &Planner) -> Vec<Vec<f32>> {
    planner.vlm.vars().values().map(|var| var.flatten_all().unwrap().to_vec1().unwrap()).collect()
}

/// What was recorded while sampling, one token at a time behind a shared prompt, is what the update computes from whole
/// padded rows.
#[test]
fn sampled_and_trained_log_probabilities_agree() {
    let toy = Toy::new();
    let samples = samples(&toy);
    for (temperature, trainable) in [("1", Trainable::All), ("0.7", Trainable::Lora(LoraSpec::default()))] {
        let planner = planner(&toy, trainable);
        let temperature = format!("grpo.temperature={temperature}");
        let sets = ["grpo.num_iterations=2", "grpo.per_device_train_batch_size=3", &temperature];
        let settings = settings(&sets);
        let mut trainer = Trainer::new(&planner, &settings, &samples, &[], judge(share_of_e), None).unwrap();
        let (report, groups) = trainer.step().unwrap();
        assert_eq!(report.skipped, None);
        let answers: Vec<&Answer> = groups.iter().flat_map(|group| &group.answers).collect();
        assert_eq!(answers.len(), 12);
        let mut most = 0f32;
        for answer in answers {
            let trained = answer.old.as_ref().unwrap();
            assert_eq!((answer.ids.len(), answer.logps.len()), (trained.len(), trained.len()));
            assert!(answer.logps.iter().all(|logp| *logp < 0.0));
            most = answer.logps.iter().zip(trained).map(|(a, b)| (a - b).abs()).fold(most, f32::max);
        }
        assert!(most < 1e-4, "{temperature}: {most}");
        let told = report.get("sampling/sampling_logp_difference/max").unwrap();
        assert!((told - f64::from(most)).abs() < 1e-9, "{told} {most}");
        assert!(report.get("entropy").unwrap() > 0.0 && report.grad_norm > 0.0);
    }
}

/// How a step is cut into passes, and whether activations are kept, changes its gradient by rounding only.
#[test]
fn passes_of_any_size_give_the_same_step() {
    let toy = Toy::new();
    let samples = samples(&toy);
    let mut norms = Vec::new();
    for more in [&[][..], &["grpo.per_device_train_batch_size=1"], &["grpo.gradient_checkpointing=true"]] {
        let planner = planner(&toy, Trainable::All);
        let settings = settings(more);
        let mut trainer = Trainer::new(&planner, &settings, &samples, &[], judge(share_of_e), None).unwrap();
        let (report, groups) = trainer.step().unwrap();
        let lens: Vec<usize> = groups.iter().flat_map(|group| &group.answers).map(|answer| answer.ids.len()).collect();
        norms.push((report.grad_norm, report.loss, lens));
    }
    let (norm, loss, lens) = &norms[0];
    assert!(*norm > 0.01, "{norms:?}");
    for (other, its, its_lens) in &norms[1..] {
        assert!((other / norm - 1.0).abs() < 1e-3 && (its - loss).abs() < 1e-5 && lens == its_lens, "{norms:?}");
    }
}

#[test]
fn a_reward_that_can_be_learned_rises() {
    let toy = Toy::new();
    let samples = samples(&toy);
    let planner = planner(&toy, Trainable::All);
    let sets = ["grpo.max_steps=30", "grpo.learning_rate=1e-2", "grpo.num_generations=8", "grpo.prompts_per_step=2"];
    let settings = settings(&sets);
    let mut trainer = Trainer::new(&planner, &settings, &samples, &[], judge(share_of_e), None).unwrap();
    let run = Run::create(&toy.path("run"), &settings, &Start::here("grpo", 1, "cpu", 1)).unwrap();
    trainer.run(&run, &mut Progress::new(true), &Stop::default()).unwrap();
    let rewards: Vec<f64> = metrics(&toy.path("run")).iter().map(|line| line["reward"].as_f64().unwrap()).collect();
    assert_eq!(rewards.len(), 30);
    let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
    let (first, last) = (mean(&rewards[..5]), mean(&rewards[25..]));
    assert!(last > first + 0.1 && last > 2.0 * first, "{first} to {last}: {rewards:?}");
}

#[test]
fn the_reference_is_the_start() {
    let toy = Toy::new();
    let samples = samples(&toy);
    let settings = settings(&["grpo.beta=0.1", "grpo.learning_rate=1e-2"]);
    for trainable in [Trainable::Lora(LoraSpec::default()), Trainable::All] {
        let reference = match trainable {
            Trainable::All => Reference::Copy(Box::new(planner(&toy, Trainable::None))),
            _ => Reference::AdapterOff,
        };
        let planner = planner(&toy, trainable);
        let missing = Trainer::new(&planner, &settings, &samples, &[], judge(share_of_e), None).err().unwrap();
        assert!(missing.message.contains("no reference"), "{missing}");
        let mut trainer = Trainer::new(&planner, &settings, &samples, &[], judge(share_of_e), Some(reference)).unwrap();
        let kl: Vec<f64> = (0..3).map(|_| trainer.step().unwrap().0.get("kl").unwrap()).collect();
        assert!(kl[0].abs() < 1e-8 && kl[2] > 1e-4, "{kl:?}");
    }
}

#[test]
fn a_reward_that_is_no_number_skips_the_step() {
    let toy = Toy::new();
    let samples = samples(&toy);
    let planner = planner(&toy, Trainable::All);
    let settings = settings(&["grpo.learning_rate=1e-3"]);
    let calls = Cell::new(0);
    let sometimes = judge(move |text| {
        calls.set(calls.get() + 1);
        if calls.get() == 7 { f64::NAN } else { share_of_e(text) }
    });
    let mut trainer = Trainer::new(&planner, &settings, &samples, &[], sometimes, None).unwrap();
    let before = weights(&planner);
    let (report, groups) = trainer.step().unwrap();
    let culprit = &groups[1].prompt.sample.id; // the seventh answer belongs to the second group
    assert_eq!(report.skipped, Some(format!("the reward test is NaN of sample {culprit}")));
    assert!(before == weights(&planner), "a skipped step changed weights");
    assert_eq!(trainer.step().unwrap().0.skipped, None);
    assert!(before != weights(&planner));
}

#[test]
fn five_broken_steps_end_the_run_with_the_samples_named() {
    let toy = Toy::new();
    let samples = samples(&toy);
    let planner = planner(&toy, Trainable::Lora(LoraSpec::default()));
    let settings = settings(&["grpo.max_steps=20", "grpo.save_steps=1"]);
    let mut trainer = Trainer::new(&planner, &settings, &samples, &[], judge(|_| f64::INFINITY), None).unwrap();
    let run = Run::create(&toy.path("run"), &settings, &Start::here("grpo", 1, "cpu", 1)).unwrap();
    let failure = trainer.run(&run, &mut Progress::new(true), &Stop::default()).unwrap_err();
    assert_eq!(failure.kind.exit_code(), 4);
    let lines = metrics(&toy.path("run"));
    assert_eq!(lines.len(), 5, "{lines:?}");
    let named = lines[4]["samples"].as_array().unwrap();
    assert!(named.iter().all(|id| failure.message.contains(id.as_str().unwrap())), "{failure}");
    assert!(failure.message.contains("5 steps in a row") && failure.message.contains("the reward test is inf"));
    assert_eq!(Checkpoint::newest(&toy.path("run")).unwrap().found.unwrap().step, 4);
}

/// Nothing but cut-off answers, which carry no loss: there is no update, and that is no failure.
#[test]
fn masked_answers_move_nothing() {
    let toy = Toy::new();
    let samples = samples(&toy);
    let planner = planner(&toy, Trainable::All);
    let settings = settings(&["grpo.max_completion_length=2", "grpo.mask_truncated_completions=true"]);
    let mut trainer = Trainer::new(&planner, &settings, &samples, &[], judge(share_of_e), None).unwrap();
    let before = weights(&planner);
    let (report, groups) = trainer.step().unwrap();
    assert!(groups.iter().flat_map(|group| &group.answers).all(|answer| answer.cut), "an answer ended by chance");
    assert_eq!((report.skipped.clone(), report.get("completions/clipped_ratio")), (None, Some(1.0)));
    assert!(before == weights(&planner));
}
