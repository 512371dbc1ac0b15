//! Runs that were cut at random steps or stopped on request, and what a run refuses to go on with.

use super::{
    WAYS, toy,
    toy::{assert_same, copy, metrics, signal, tree, wait_until},
};
use reinsman::{streams::Stream, train::checkpoint::Checkpoint};

/// Each way is cut after three random steps: what a kill right after that save leaves on the disk, resumed.
#[test]
fn cuts_at_random_steps_end_in_the_same_bytes() {
    let toy = toy();
    let mut random = Stream::new(3, "cuts");
    for (way, (verb, sets)) in WAYS.into_iter().enumerate() {
        let every = ["VERB.save_steps=1", "VERB.save_total_limit=none", "data.val=frames/val.jsonl"];
        let all = toy.path(&format!("all{way}"));
        toy.run(&toy.train(verb, &format!("all{way}"), &[&every[..], sets].concat())).ok();
        let total = metrics(&all).len() as u64;
        assert_eq!(total, if sets.is_empty() { 6 } else { 12 });
        let mut steps: Vec<u64> = (0..total).collect();
        random.shuffle(&mut steps);
        for k in &steps[..3] {
            let name = format!("cut{way}at{k}");
            let cut = toy.path(&name);
            copy(&all, &cut);
            let later = k + 1..=total;
            later.for_each(|step| std::fs::remove_dir_all(cut.join(format!("ckpt/step-{step:06}"))).unwrap());
            toy.run(&[verb, "--resume", &name]).ok();
            let what = format!("{verb} {sets:?} cut after step {k}");
            assert_same(&what, &all.join("ckpt"), &cut.join("ckpt"));
            assert!(tree(&all)["metrics.jsonl"] == tree(&cut)["metrics.jsonl"], "{what}: lines differ");
        }
    }
}

#[test]
fn a_stop_on_request_saves_and_says_how_to_go_on() {
    let toy = toy();
    for (way, (verb, sets)) in WAYS.into_iter().enumerate() {
        let (name, long) =
            (format!("run{way}"), ["VERB.max_steps=100000", "VERB.save_steps=100000", "il.warmup_steps=0"]);
        let run = toy.path(&name);
        let mut child = toy.spawn(&toy.train(verb, &name, &[&long[..], sets].concat()));
        let lines = || std::fs::read_to_string(run.join("metrics.jsonl")).is_ok_and(|text| text.lines().count() > 1);
        assert!(wait_until(&mut child, lines), "{verb} ended by itself");
        signal(&child, "TERM");
        let ended = toy::Ran::of(std::slice::from_ref(&name), child.wait_with_output().unwrap());
        ended.fails(75, &["everything is saved", &format!("reinsman {verb} --resume")]);
        let saved = Checkpoint::newest(&run).unwrap().found.unwrap();
        assert_eq!(metrics(&run).len() as u64, saved.step);
    }
}

#[test]
fn changed_settings_and_changed_records_are_refused() {
    let toy = toy();
    toy.run(&toy.branches("pair", "run", &[])).ok();
    let changed = ["pair", "--resume", "run", "--set", "pair.action_cost=0.1"];
    toy.run(&changed).fails(2, &["pair.action_cost was 0.05 and is 0.1", "--resume-anyway"]);
    toy.run(&["pair", "--resume", "run", "--set", "trajectory.cache=false"]).ok();
    toy.run(&["il", "--resume", "run"]).fails(2, &["is a run of `reinsman pair`", "pair --resume"]);
    let file = toy.path("frames/train.jsonl");
    let text = std::fs::read_to_string(&file).unwrap();
    let fewer: String = text.lines().skip(1).map(|line| format!("{line}\n")).collect();
    // Only what is said of a frame: tree and rewards lean on it.
    let other = text.replacen("\"speed\":\"KEEP\"", "\"speed\":\"STOP\"", 1);
    assert_ne!(text, other);
    for changed in [fewer, other] {
        std::fs::write(&file, &changed).unwrap();
        toy.run(&["pair", "--resume", "run"]).fails(2, &["training frames are not those", "--resume-anyway"]);
        let anyway = toy.run(&["pair", "--resume", "run", "--resume-anyway"]).ok();
        assert!(anyway.stderr.contains("training frames are not those"), "{anyway:?}");
    }
}
