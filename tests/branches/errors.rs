//! What is refused, and what is said then.

use super::{toy, toy::Toy};

fn fails(toy: &Toy, verb: &str, sets: &[&str], code: i32, words: &[&str]) {
    toy.run(&toy.branches(verb, "none", sets)).fails(code, words);
}

#[test]
fn wrong_settings() {
    let toy = toy();
    fails(&toy, "pair", &["pair.branching=[4,2]"], 2, &["pair.branching has 2 numbers; it needs 4"]);
    fails(&toy, "pair", &["pair.branching=[9,9,9,9]"], 2, &["[9, 9, 9, 9]", "leaves"]);
    fails(&toy, "pair", &["pair.plan_branching=[7,1,1,1]"], 2, &["pair.plan_branching", "1 to 6"]);
    fails(&toy, "pair", &["pair.reference_weights=[1]"], 2, &["pair.reference_weights has 1 number"]);
    fails(&toy, "pair", &["pair.reference_weights=[0,0,0,0,0]"], 2, &["all 0"]);
    fails(&toy, "pair", &["pair.threshold=2"], 2, &["pair.threshold", "\"auto\" or a number from 0 to 1"]);
    fails(&toy, "pair", &["pair.threshold=of"], 2, &["pair.threshold", "auto"]);
    fails(&toy, "il", &["trajectory.heads=3"], 2, &["trajectory.heads is 3", "trajectory.width, 16"]);
    fails(&toy, "il", &["il.warmup_steps=9"], 2, &["il.warmup_steps is 9", "only 6"]);
    fails(&toy, "il", &["il.mods=2"], 2, &["il.mods", "il.modes"]);
    fails(&toy, "il", &["il.max_steps=0"], 2, &["il.max_steps is 0", "raise il.max_steps"]);
    fails(&toy, "pair", &["il.max_steps=0"], 2, &["il.max_steps is 0", "--il"]);
    assert!(!toy.path("none/ckpt").exists());
}

#[test]
fn wrong_folders_and_records() {
    let toy = toy();
    let mut args = toy.branches("il", "none", &[]);
    let at = args.iter().position(|arg| arg == "--out").unwrap();
    args.drain(at..at + 2);
    toy.run(&args).fails(2, &["no run folder", "--out DIR"]);
    toy.run(&["pair", "--out", "none"]).fails(2, &["no training data", "data generate"]);
    toy.run(&["il", "--resume", "none"]).fails(3, &["none", "run"]);
    // Records of something else, frames of other sizes, too few of them.
    let mut other = toy.branches("il", "none", &[]);
    other[4] = toy.text("train.jsonl");
    toy.run(&other).fails(3, &["toy0", "clip", "data generate"]);
    let text = std::fs::read_to_string(toy.path("frames/train.jsonl")).unwrap();
    let two: String = text.lines().take(2).map(|line| format!("{line}\n")).collect();
    std::fs::write(toy.path("frames/train.jsonl"), &two).unwrap();
    fails(&toy, "il", &[], 3, &["4 anchors need as many different drives, there are 2", "fewer modes"]);
    std::fs::write(toy.path("frames/train.jsonl"), "").unwrap();
    toy.run(&toy.branches("il", "none", &[])).fails(3, &[]);
    std::fs::write(toy.path("frames/train.jsonl"), two.replacen("\"future\":[[", "\"future\":[[9", 1)).unwrap();
    fails(&toy, "il", &[], 3, &["the future", "this version of `reinsman data generate`"]);
    let mut named = toy.branches("pair", "none", &[]);
    named.extend(["--il".into(), "model".into()]);
    toy.run(&named).fails(3, &["holds no trajectory branches", "reinsman il"]);
}

#[test]
fn branches_of_other_eyes() {
    let toy = toy();
    toy.run(&toy.branches("il", "il", &[])).ok();
    toy.init("other", toy::SHAPE, &["--seed", "3"]);
    let mut args = toy.branches("pair", "none", &["il.max_steps=0"]);
    args[2] = toy.text("other");
    args.extend(["--il".into(), "il".into()]);
    toy.run(&args)
        .fails(2, &["learned with the vision tower of", "other sees differently", "the model that they learned with"]);
}
