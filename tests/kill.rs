//! Every trainer cut and killed: 220 `kill -9` at random moments of runs that save every step, and 20 cuts at random
//! steps for each way of training. Whatever was published is complete and stays, and a run that went through all of it
//! ends in the bytes of one that was left alone.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod toy;

use reinsman::{streams::Stream, train::checkpoint::Checkpoint};
use std::{
    path::{Path, PathBuf},
    process::Child,
    time::Duration,
};
use toy::{Toy, assert_same, copy, metrics, tree, wait_until};

/// What is written beside checkpoints and must be the same too.
const LINES: [&str; 2] = ["metrics.jsonl", "completions.jsonl"];

/// The checkpoint folders of a run that can be seen, by step.
fn visible(run: &Path) -> Vec<(u64, PathBuf)> {
    let names = std::fs::read_dir(run.join("ckpt")).into_iter().flatten();
    let step = |path: PathBuf| Some((path.file_name()?.to_str()?.strip_prefix("step-")?.parse().ok()?, path));
    let mut found: Vec<(u64, PathBuf)> = names.filter_map(|entry| step(entry.ok()?.path())).collect();
    found.sort();
    found
}

fn newest(run: &Path) -> u64 {
    visible(run).last().map_or(0, |(step, _)| *step)
}

/// Opens every checkpoint that can be seen, hashes and all; the step of the newest.
fn verified(run: &Path) -> u64 {
    for (step, dir) in visible(run) {
        let opened =
            Checkpoint::open(&dir).unwrap_or_else(|e| panic!("{} can be seen but not used: {e:?}", dir.display()));
        assert_eq!(opened.step, step);
    }
    newest(run)
}

/// Kills the child after a random while: of two lives, one ends at a random moment after its start, the other soon
/// after it published something. Gives the newest step that could be seen before, `None` when the child had ended by
/// itself.
fn kill(child: &mut Child, life: usize, random: &mut Stream, run: &Path) -> Option<u64> {
    if life.is_multiple_of(2) {
        std::thread::sleep(Duration::from_millis(random.below(120)));
    } else {
        let before = newest(run);
        wait_until(child, || newest(run) > before);
        std::thread::sleep(Duration::from_micros(random.below(30_000)));
    }
    let running = child.try_wait().unwrap().is_none();
    let seen = newest(run);
    child.kill().unwrap();
    child.wait().unwrap();
    running.then_some(seen)
}

/// Kills runs of `steps` steps until there were `kills`.
fn survives(verb: &str, kills: usize, steps: u64, sets: &[&str]) {
    let toy = Toy::new();
    let max = format!("VERB.max_steps={steps}");
    let sets = [sets, &[max.as_str()]].concat();
    let last = format!("ckpt/step-{steps:06}");
    toy.run(&toy.train(verb, "straight", &[&sets[..], &["VERB.save_steps=1000"]].concat())).ok();
    let straight = toy.path("straight");
    let mut random = Stream::new(1, &format!("kills/{verb}"));
    let (mut killed, mut round, mut with_progress) = (0, 0, 0);
    while killed < kills {
        round += 1;
        let name = format!("killed{round}");
        let run = toy.path(&name);
        let mut fresh = toy.train(verb, &name, &[&sets[..], &["VERB.save_steps=1"]].concat());
        fresh.push("--quiet".into());
        let again = [verb, "--resume", &toy.text(&name), "--quiet"].map(String::from).to_vec();
        let args = || if run.join("run.json").exists() { &again } else { &fresh };
        while killed < kills && newest(&run) < steps {
            let before = newest(&run);
            let seen = kill(&mut toy.spawn(args()), killed, &mut random, &run);
            killed += usize::from(seen.is_some());
            let left = verified(&run);
            let published = seen.unwrap_or(before);
            assert!(left >= published, "step {published} was published and is gone; the newest is {left}");
            with_progress += usize::from(left > before);
        }
        toy.run(args()).ok();
        assert_same("the killed run", &straight.join(&last), &run.join(&last));
        let (straight, run) = (tree(&straight), tree(&run));
        assert!(LINES.iter().all(|name| straight.get(*name) == run.get(*name)), "{verb}: lines differ");
        let left: Vec<&String> = run.keys().filter(|name| name.starts_with("ckpt/.")).collect();
        assert!(left.is_empty(), "left behind: {left:?}");
    }
    assert!(with_progress >= kills / 4, "only {with_progress} of {kills} lives got anywhere before they were killed");
    println!("{verb}: {kills} kills over {round} runs, {with_progress} of them after new checkpoints");
}

#[test]
fn sft_survives_80_kills() {
    survives("sft", 80, 160, &["model.train=full", "sft.per_device_train_batch_size=1", "sft.augment.jitter=0.2"]);
}

#[test]
fn grpo_survives_60_kills() {
    let more = ["grpo.beta=0.1", "grpo.log_completions_steps=1", "data.val=train.jsonl", "grpo.eval_steps=20"];
    survives("grpo", 60, 50, &[&more[..], &["lora.r=4", "grpo.learning_rate=1e-3"]].concat());
}

#[test]
fn dpo_survives_60_kills() {
    let sets = ["model.train=full", "dpo.learning_rate=1e-4", "data.val=pairs.jsonl", "dpo.eval_steps=20"];
    survives("dpo", 60, 100, &sets);
}

#[test]
fn pair_survives_20_kills() {
    survives("pair", 20, 60, &["il.max_steps=30", "pair.selector_steps=30"]);
}

/// Runs eight steps each way, and each run is cut at five random steps: what a kill right after that save leaves on the
/// disk (later checkpoints gone, lines of later steps still there), resumed.
fn random_cuts(verb: &str, ways: [&[&str]; 4]) {
    const STEPS: u64 = 8;
    let toy = Toy::new();
    let mut random = Stream::new(2, &format!("cuts/{verb}"));
    for (way, sets) in ways.into_iter().enumerate() {
        let every = ["VERB.max_steps=8", "VERB.save_steps=1", "VERB.save_total_limit=none"];
        let all = toy.path(&format!("all{way}"));
        toy.run(&toy.train(verb, &format!("all{way}"), &[&every[..], sets].concat())).ok();
        let trained = metrics(&all).iter().filter(|l| l["grad_norm"].as_f64().is_some_and(|norm| norm > 0.0)).count();
        assert_eq!(trained as u64, STEPS, "{verb} {sets:?}: steps without a gradient are no test");
        let mut steps: Vec<u64> = (0..STEPS).collect();
        random.shuffle(&mut steps);
        for k in &steps[..5] {
            let name = format!("cut{way}at{k}");
            let cut = toy.path(&name);
            copy(&all, &cut);
            visible(&cut).into_iter().filter(|(step, _)| step > k).for_each(|(_, dir)| {
                std::fs::remove_dir_all(dir).unwrap();
            });
            toy.run(&[verb, "--resume", &toy.text(&name), "--quiet"]).ok();
            let what = format!("{verb} {sets:?} cut after step {k}");
            assert_same(&what, &all.join("ckpt"), &cut.join("ckpt"));
            let (all, cut) = (tree(&all), tree(&cut));
            assert!(LINES.iter().all(|name| all.get(*name) == cut.get(*name)), "{what}: lines differ");
        }
    }
}

#[test]
fn twenty_random_cuts_of_grpo_end_in_the_same_bytes() {
    let seen = ["data.val=train.jsonl", "grpo.eval_steps=3", "grpo.log_completions_steps=1", "grpo.beta=0.1"];
    random_cuts(
        "grpo",
        [
            &[&seen[..], &["lora.r=4", "grpo.learning_rate=1e-2", "grpo.class_balance=uniform"]].concat(),
            &[&seen[..], &["model.train=full", "grpo.learning_rate=1e-3", "grpo.num_iterations=2"]].concat(),
            &["model.train=vision", "grpo.learning_rate=1e-3", "grpo.gradient_checkpointing=true"],
            &["model.train=text", "grpo.learning_rate=1e-3", "grpo.weight_decay=0.1", "grpo.warmup_steps=3"],
        ],
    );
}

#[test]
fn twenty_random_cuts_of_dpo_end_in_the_same_bytes() {
    let seen = ["data.val=pairs.jsonl", "dpo.eval_steps=3"];
    random_cuts(
        "dpo",
        [
            &[&seen[..], &["lora.r=4", "dpo.learning_rate=1e-2", "dpo.gradient_accumulation_steps=2"]].concat(),
            &[&seen[..], &["model.train=full", "dpo.learning_rate=1e-3", "dpo.precompute_ref_log_probs=true"]].concat(),
            &["model.train=vision", "dpo.learning_rate=1e-3", "dpo.gradient_checkpointing=true", "dpo.loss_type=ipo"],
            &["model.train=text", "dpo.rpo_alpha=0.5", "dpo.weight_decay=0.1", "dpo.warmup_steps=3"],
        ],
    );
}
