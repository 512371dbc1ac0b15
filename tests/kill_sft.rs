//! Fifty `kill -9` at random moments of a run that saves every step: the newest checkpoint always verifies, nothing
//! that was published is lost, and the run that went through all of it ends in the bytes of one that was left alone.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod toy;

use reinsman::{streams::Stream, train::checkpoint::Checkpoint};
use std::{path::Path, process::Child, time::Duration};
use toy::{Toy, assert_same, tree, wait_until};

const KILLS: usize = 50;
const STEPS: u64 = 160;

fn newest(run: &Path) -> u64 {
    let newest = Checkpoint::newest(run).unwrap();
    assert!(newest.skipped.is_empty(), "a visible checkpoint is not complete: {:?}", newest.skipped);
    newest.found.map_or(0, |checkpoint| checkpoint.step)
}

/// Step of the newest folder, without reading what is in it.
fn visible(run: &Path) -> u64 {
    let names = std::fs::read_dir(run.join("ckpt")).into_iter().flatten();
    let step = |name: std::ffi::OsString| name.to_str()?.strip_prefix("step-")?.parse().ok();
    names.filter_map(|entry| step(entry.ok()?.file_name())).max().unwrap_or(0)
}

/// Kills the child after a random while: of two lives, one ends at a random moment after its start, the other soon
/// after it published something. False when it had ended by itself.
fn kill(child: &mut Child, life: usize, random: &mut Stream, run: &Path) -> bool {
    if life.is_multiple_of(2) {
        std::thread::sleep(Duration::from_millis(random.below(120)));
    } else {
        let before = visible(run);
        wait_until(child, || visible(run) > before);
        std::thread::sleep(Duration::from_micros(random.below(30_000)));
    }
    let running = child.try_wait().unwrap().is_none();
    child.kill().unwrap();
    child.wait().unwrap();
    running
}

#[test]
fn fifty_kills_lose_nothing() {
    let toy = Toy::new();
    let steps = format!("sft.max_steps={STEPS}");
    let sets = ["model.train=full", &steps, "sft.per_device_train_batch_size=1", "sft.augment.jitter=0.2"];
    toy.run(&toy.sft("straight", &[&sets[..], &["sft.save_steps=1000"]].concat())).ok();
    let straight = toy.path("straight/ckpt/step-000160");
    let mut random = Stream::new(1, "kills");
    let (mut kills, mut round, mut with_progress) = (0, 0, 0);
    while kills < KILLS {
        round += 1;
        let name = format!("killed{round}");
        let run = toy.path(&name);
        let fresh = [&toy.sft(&name, &[&sets[..], &["sft.save_steps=1"]].concat())[..], &["--quiet".into()]].concat();
        let again = ["sft", "--resume", &toy.text(&name), "--quiet"].map(String::from).to_vec();
        let args = || if run.join("run.json").exists() { &again } else { &fresh };
        while kills < KILLS && newest(&run) < STEPS {
            let published = newest(&run);
            let mut child = toy.spawn(args());
            kills += usize::from(kill(&mut child, kills, &mut random, &run));
            let left = newest(&run);
            assert!(left >= published, "step {published} was published and is gone; the newest is {left}");
            with_progress += usize::from(left > published);
        }
        toy.run(args()).ok();
        assert_same("the killed run", &straight, &run.join("ckpt/step-000160"));
        assert_eq!(tree(&toy.path("straight"))["metrics.jsonl"], tree(&run)["metrics.jsonl"]);
        let left: Vec<String> = std::fs::read_dir(run.join("ckpt"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name != "latest" && !name.starts_with("step-"))
            .collect();
        assert!(left.is_empty(), "left behind: {left:?}");
    }
    assert!(with_progress >= KILLS / 4, "only {with_progress} of {KILLS} lives got anywhere before they were killed");
    println!("{KILLS} kills over {round} runs, {with_progress} of them after new checkpoints");
}
