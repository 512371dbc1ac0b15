//! The reward `tree`: what leaning to a plan gains on a tiny trained tree, worked out again by hand; a run with it; and
//! what is refused.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod toy;

use data::{Content, Sample};
use eval::outcome::Moment;
use reinsman::{
    policy::{Planner, Source, eyes, planner::Options},
    train::{
        examples,
        grpo::{
            judge::{self, Judge},
            utility::TRIED,
        },
    },
    trajectory::{Branches, Context, Ego, Intention, Route, plan},
};
use rewards::{Outcomes, pdm::Workspace};
use scene::{MetaAction, Plan, Trajectory};
use std::path::Path;
use toy::{Toy, metrics};

const SMALL: [&str; 16] = [
    "trajectory.width=16",
    "trajectory.heads=2",
    "trajectory.layers=1",
    "trajectory.inner=16",
    "trajectory.registers=4",
    "il.modes=3",
    "il.max_steps=3",
    "il.warmup_steps=0",
    "il.per_device_train_batch_size=4",
    "pair.max_steps=2",
    "pair.warmup_steps=0",
    "pair.per_device_train_batch_size=2",
    "pair.selector_steps=0",
    "pair.lean_bias=10",
    "pair.threshold=0.0",
    "pair.mode=parallel",
];

fn train(toy: &Toy, verb: &str, out: &str) {
    let mut args = vec![verb, "--model", "model", "--data", "boxes/train.jsonl", "--out", out];
    SMALL.iter().for_each(|set| args.extend(["--set", *set]));
    toy.run(&args).ok();
}

fn judge(branches: &Path) -> Judge {
    Judge::named("tree", &judge::text("tree").unwrap(), 1).unwrap().with_branches(Some(branches)).unwrap()
}

fn outcomes(judge: &Judge, sample: &Sample) -> Outcomes {
    judge.drives.as_ref().unwrap().of(sample).unwrap().outcomes.unwrap()
}

#[test]
fn plans_are_rewarded_by_what_a_tree_gains() {
    let toy = Toy::new();
    let made = ["--count", "20", "--split", "0.6,0.4,0", "--families", "signal,cut_in", "--camera", "tiny"];
    toy.run(&[&["data", "generate", "--out", "boxes"][..], &made].concat()).ok();
    train(&toy, "pair", "pair");
    let source = Source::resolve(Some(&toy.path("model"))).unwrap();
    let planner = Planner::load(&source, &Options::default()).unwrap();
    let samples = data::load(&toy.path("boxes/train.jsonl"), &data::ReadOptions::default()).unwrap().samples;
    let all: Vec<&Sample> = samples.iter().collect();
    let (once, again) = (judge(&toy.path("pair")), judge(&toy.path("pair")));
    once.utility.as_ref().unwrap().fits(&planner).unwrap();
    once.prepare(&planner, &all).unwrap();
    // In another order, some twice.
    again.prepare(&planner, &all[..2]).unwrap();
    again.prepare(&planner, &all.iter().rev().copied().collect::<Vec<_>>()).unwrap();

    let place = once.names.iter().position(|name| name == "tree").unwrap();
    let texts: Vec<String> = MetaAction::all().map(|plan| Plan::new("why", plan).unwrap().render(true)).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).chain(["vroom"]).collect();
    let mut apart = 0;
    for sample in &samples {
        let found = outcomes(&once, sample);
        assert_eq!(found, outcomes(&again, sample), "{}", sample.id);
        let gains: Vec<f64> = MetaAction::all().map(|plan| found.of(plan).utility.unwrap()).collect();
        let wanted = by_hand(&planner, &toy.path("pair"), sample);
        let near = gains.iter().zip(&wanted).all(|(a, b)| (a - b).abs() < 1e-4 && (0.0..=1.0).contains(a));
        assert!(near, "{}: {gains:?}, by hand {wanted:?}", sample.id);
        apart += usize::from(gains.iter().any(|gain| (gain - gains[0]).abs() > 1e-3));
        let scores = (once.scoring)(sample, &texts, &vec![1; texts.len()]);
        let scores: Vec<f64> = scores.iter().map(|scores| scores[place].as_ref().unwrap().value).collect();
        assert_eq!(scores, [&gains[..], &[0.0]].concat(), "{}", sample.id);
    }
    assert!(apart > 0, "no sample where leans differ");
    a_run(&toy);
    refusals(&toy);
}

/// What each plan gains, one after the other.
fn by_hand(planner: &Planner, run: &Path, sample: &Sample) -> Vec<f64> {
    let branches = Branches::load(run).unwrap();
    let tree = branches.tree.unwrap().narrowed(TRIED);
    let moment = Moment::of(sample).unwrap();
    let Content::Planning { ego, .. } = &sample.content else { panic!("{} plans nothing", sample.id) };
    let ego =
        Ego { route: Route::of(&ego.command), velocity: [moment.speed, 0.0], acceleration: [moment.acceleration, 0.0] };
    let picture = examples::picture(sample, &sample.images[0]).unwrap();
    let context = Context::new(&eyes::tokens(planner, &[&picture]).unwrap(), vec![ego]).unwrap();
    let reference = plan::alone(&context, &branches.il).unwrap()[0].reference().clone();
    let score = |drives: &[Trajectory]| -> Vec<f64> {
        let scores = moment.score(drives, &mut Workspace::default()).unwrap();
        scores.iter().map(|score| score.total).collect()
    };
    let gain = |plan: MetaAction| {
        let lean = Some(Intention::of(plan));
        let tree = tree.expand(&context, std::slice::from_ref(&reference), &[lean]).unwrap().remove(0);
        let best = score(&tree.trajectories()).into_iter().fold(0.0, f64::max);
        (best - score(&[tree.control()])[0]).max(0.0)
    };
    MetaAction::all().map(gain).collect()
}

/// Arguments of a run on the frames that the tree learned on.
fn grpo(toy: &Toy, out: &str, sets: &[&str]) -> Vec<String> {
    let mut args = toy.grpo(out, &[&["grpo.reward=tree", "grpo.max_steps=2"][..], sets].concat());
    let at = args.iter().position(|arg| arg == "--data").unwrap();
    args[at + 1] = toy.text("boxes/train.jsonl");
    args
}

fn a_run(toy: &Toy) {
    let before = toy::tree(&toy.path("pair"));
    toy.run(&grpo(toy, "run", &["grpo.branches=pair", "data.val=boxes/val.jsonl"])).ok();
    let lines = metrics(&toy.path("run"));
    let fine = |line: &serde_json::Value| line["rewards/tree/mean"].is_f64() && line["skipped"].is_null();
    assert!(lines.len() == 3 && lines[..2].iter().all(fine), "{lines:?}");
    assert!(lines[2]["eval_rewards/tree/mean"].is_f64(), "{lines:?}");
    assert!(toy::tree(&toy.path("pair")) == before);
}

fn refusals(toy: &Toy) {
    let refused = |sets: &[&str], code: i32, words: &[&str]| {
        toy.run(&grpo(toy, "refused", &[sets, &["grpo.max_steps=1"]].concat())).fails(code, words);
    };
    refused(&[], 2, &["the reward has the term tree, but grpo.branches is not set", "reinsman pair"]);
    let needless = ["grpo.branches is pair", "does not have the term tree", "leave grpo.branches out"];
    refused(&["grpo.reward=driving", "grpo.branches=pair"], 2, &needless);
    refused(&["grpo.branches=nowhere"], 3, &["grpo.branches", "nowhere holds no trajectory branches"]);
    train(toy, "il", "il");
    refused(&["grpo.branches=il"], 2, &["branches of il have no tree", "pair.mode=parallel"]);
    refused(&["grpo.branches=pair", "model.train=full"], 2, &["the vision tower", "model.train=text"]);
    toy.init("other", toy::SHAPE, &["--seed", "9"]);
    let mut other = grpo(toy, "other-eyes", &["grpo.branches=pair"]);
    let at = other.iter().position(|arg| arg == "--model").unwrap();
    other[at + 1] = toy.text("other");
    toy.run(&other).fails(2, &["grpo.branches", "learned with the vision tower of", "sees differently"]);

    // A tree that takes no hints.
    let folder = std::fs::read_dir(toy.path("pair/ckpt")).unwrap().map(|entry| entry.unwrap().path().join("branches"));
    toy::copy(&folder.filter(|folder| folder.is_dir()).max().unwrap(), &toy.path("deaf"));
    let about = std::fs::read_to_string(toy.path("deaf/branches.json")).unwrap();
    let deaf = about.replace("\"lean_bias\": 10.0", "\"lean_bias\": 0.0");
    assert_ne!(about, deaf);
    std::fs::write(toy.path("deaf/branches.json"), deaf).unwrap();
    refused(&["grpo.branches=deaf"], 2, &["the tree of deaf has lean_bias 0", "pair.lean_bias above 0"]);
}
