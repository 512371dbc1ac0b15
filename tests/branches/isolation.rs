//! The imitation head and the vision tower are what they would be without reinforcement learning beside them.

use super::{newest, seen, settings, toy, toy::metrics};
use reinsman::{
    policy::eyes::eyes,
    train::branches::{Trainer, Verb},
};
use std::path::Path;

const HEAD: &str = "branches/il.safetensors";

/// The numbers of one key as they are written, which is to the bit.
fn curve(run: &Path, key: &str) -> Vec<String> {
    metrics(run).iter().filter_map(|line| line.get(key)).map(ToString::to_string).collect()
}

#[test]
fn a_given_head_stays_as_it_is_and_so_does_the_tower() {
    let toy = toy();
    let model = toy::tree(&toy.path("model"));
    toy.run(&toy.branches("il", "il", &[])).ok();
    let mut args = toy.branches("pair", "pair", &["il.max_steps=0", "pair.max_steps=10"]);
    args.extend(["--il".into(), "il".into()]);
    toy.run(&args).ok();
    assert!(newest(&toy.path("il"), HEAD) == newest(&toy.path("pair"), HEAD), "the given head has changed");
    assert!(toy::tree(&toy.path("model")) == model, "the model has changed");
    assert_eq!((curve(&toy.path("pair"), "tree/loss").len(), curve(&toy.path("pair"), "il/loss").len()), (10, 0));
    toy.run(&["pair", "--resume", "pair"]).ok();
    // What a run started from is not needed to continue it.
    std::fs::remove_dir_all(toy.path("il")).unwrap();
    toy.run(&["pair", "--resume", "pair"]).ok();
}

#[test]
fn imitation_learns_the_same_with_and_without_reinforcement() {
    let toy = toy();
    toy.run(&toy.branches("il", "il", &[])).ok();
    toy.run(&toy.branches("pair", "pair", &["pair.seed=7"])).ok();
    toy.run(&toy.branches("pair", "more", &["pair.max_steps=12", "pair.learning_rate=1e-2"])).ok();
    for run in ["pair", "more"].map(|name| toy.path(name)) {
        for key in ["il/loss", "il/l1", "il/grad_norm", "il/learning_rate"] {
            let (alone, beside) = (curve(&toy.path("il"), key), curve(&run, key));
            assert!(alone.len() == 6 && alone == beside, "{key}: {alone:?} {beside:?}");
        }
        assert!(newest(&toy.path("il"), HEAD) == newest(&run, HEAD), "{}", run.display());
    }
    let tree = |name: &str| curve(&toy.path(name), "tree/reward");
    assert_ne!(tree("pair"), tree("more")[..6]);
}

/// In one process, where variables could be shared by mistake.
#[test]
fn ten_steps_of_reinforcement_leave_the_head_to_the_byte() {
    let toy = toy();
    let (planner, frames) = seen(&toy);
    let settings = settings(&["il.max_steps=1", "il.warmup_steps=0", "pair.max_steps=11", "pair.selector_steps=11"]);
    let mut trainer = Trainer::new(Verb::Pair, &settings, &frames, None, eyes(&planner).unwrap(), None).unwrap();
    trainer.step().unwrap();
    let part = |trainer: &Trainer, name: &str| {
        let files = trainer.branches.files().unwrap();
        files.into_iter().find(|(file, _)| file.contains(name)).unwrap().1
    };
    let before = ["/il.", "/tree.", "/selector."].map(|name| part(&trainer, name));
    for _ in 0..10 {
        let report = trainer.step().unwrap();
        assert!(report.il.is_none() && report.tree.is_some() && report.skipped.is_empty(), "{report:?}");
    }
    let after = ["/il.", "/tree.", "/selector."].map(|name| part(&trainer, name));
    assert!(before[0] == after[0], "the imitation head has changed");
    assert!(before[1] != after[1] && before[2] != after[2], "tree and selector have not learned");
    assert!(eyes(&planner).unwrap() == trainer.branches.about.eyes, "the tower has changed");
}
