//! No gradient crosses from one branch to another, and inside a branch none is missing.
//!
//! A cut graph would look like isolation too, so every trainable tensor must also get a gradient that is not zero.

use super::toy::{self, Learner};
use candle_core::{Tensor, Var, backprop::GradStore};
use reinsman::{
    streams::Stream,
    trajectory::{
        Context, IlHead, IlOptions, ObjectiveOptions, Reference, Selector, SubScores, TreeOptions, TreePolicy, anchors,
        objective, plan,
    },
};
use scene::Trajectory;
use std::collections::BTreeMap;

struct Branches {
    il: IlHead,
    tree: TreePolicy,
    selector: Selector,
}

fn branches(seed: u64, modes: usize) -> Branches {
    let (_, _, humans) = toy::draw(seed, "anchors", 64);
    let il = IlOptions { shape: toy::shape(), modes };
    let tree = TreeOptions { shape: toy::shape(), ..Default::default() };
    Branches {
        il: IlHead::new(&il, anchors::kmeans(&humans, modes, seed).unwrap(), seed).unwrap(),
        tree: TreePolicy::new(&tree, seed).unwrap(),
        selector: Selector::new(&toy::shape(), seed).unwrap(),
    }
}

fn il_loss(b: &Branches, context: &Context, humans: &[Trajectory]) -> Tensor {
    b.il.loss(context, humans).unwrap().total
}

fn rl_loss(b: &Branches, step: usize, scenes: &[toy::Scene], context: &Context, references: &[Trajectory]) -> Tensor {
    let leans = vec![None; scenes.len()];
    let trees = b.tree.sample(context, references, &leans, &mut toy::streams(3, step, scenes.len())).unwrap();
    let reward = |(tree, scene): (&reinsman::trajectory::Tree, &toy::Scene)| {
        tree.trajectories().iter().map(|t| scene.score(t).total()).collect()
    };
    let rewards: Vec<Vec<f64>> = trees.iter().zip(scenes).map(reward).collect();
    let evaluated = b.tree.evaluate(context, &trees).unwrap();
    objective::tree_loss(&evaluated, &trees, &rewards, &ObjectiveOptions::default()).unwrap().unwrap().total
}

fn selector_loss(b: &Branches, scenes: &[toy::Scene], context: &Context) -> Tensor {
    let leans = vec![None; scenes.len()];
    let sets = plan::candidates(context, &b.il, Some(&b.tree), None, &leans).unwrap();
    let sets: Vec<Vec<Trajectory>> = sets.into_iter().map(|set| set.into_iter().map(|(t, _)| t).collect()).collect();
    let scores: Vec<Vec<SubScores>> =
        sets.iter().zip(scenes).map(|(set, scene)| set.iter().map(|t| scene.score(t)).collect()).collect();
    b.selector.loss(context, &sets, &scores).unwrap().total
}

fn all_learn(what: &str, grads: &GradStore, vars: &BTreeMap<String, Var>) {
    assert!(!vars.is_empty());
    for (name, var) in vars {
        let grad = grads.get(var).unwrap_or_else(|| panic!("{what}: {name} has no gradient"));
        let values = grad.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert!(values.iter().all(|x| x.is_finite()), "{what}: {name} has a gradient that is not finite");
        assert!(values.iter().any(|x| *x != 0.0), "{what}: {name} has a gradient of zeros");
    }
}

fn none_learns(what: &str, grads: &GradStore, vars: &BTreeMap<String, Var>) {
    for (name, var) in vars {
        assert!(grads.get(var).is_none(), "{what}: {name} has a gradient");
    }
}

fn bytes(vars: &BTreeMap<String, Var>) -> Vec<u32> {
    vars.values().flat_map(|var| var.flatten_all().unwrap().to_vec1::<f32>().unwrap()).map(f32::to_bits).collect()
}

#[test]
fn gradients_stay_in_their_branch_and_reach_all_of_it() {
    for modes in [1, 6] {
        let b = branches(1, modes);
        let (scenes, context, humans) = toy::draw(2, "batch", 8);
        let what = format!("{modes} modes");
        let grads = il_loss(&b, &context, &humans).backward().unwrap();
        all_learn(&what, &grads, b.il.vars());
        none_learns(&what, &grads, b.tree.vars());
        none_learns(&what, &grads, b.selector.vars());
        let references: Vec<Trajectory> =
            b.il.propose(&context).unwrap().into_iter().map(|p| p.candidates[p.ranked()[0]].clone()).collect();
        let grads = rl_loss(&b, 0, &scenes, &context, &references).backward().unwrap();
        all_learn(&what, &grads, b.tree.vars());
        none_learns(&what, &grads, b.il.vars());
        none_learns(&what, &grads, b.selector.vars());
        let grads = selector_loss(&b, &scenes, &context).backward().unwrap();
        all_learn(&what, &grads, b.selector.vars());
        none_learns(&what, &grads, b.il.vars());
        none_learns(&what, &grads, b.tree.vars());
    }
}

/// What is computed once for all frames learns from each of them.
#[test]
fn a_batch_learns_the_mean_of_its_frames() {
    let b = branches(1, 6);
    let (scenes, context, humans) = toy::draw(2, "batch", 3);
    let whole = il_loss(&b, &context, &humans).backward().unwrap();
    let mut stream = Stream::new(2, "batch");
    (0..3).for_each(|_| _ = toy::Scene::draw(&mut stream));
    // The same noise again, frame by frame.
    let alone: Vec<GradStore> = scenes
        .iter()
        .zip(&humans)
        .map(|(scene, human)| {
            let context = toy::context(std::slice::from_ref(scene), &mut stream);
            il_loss(&b, &context, std::slice::from_ref(human)).backward().unwrap()
        })
        .collect();
    let values = |grads: &GradStore, var: &Var| -> Vec<f32> {
        grads.get(var).unwrap().flatten_all().unwrap().to_vec1().unwrap()
    };
    for (name, var) in b.il.vars() {
        let got = values(&whole, var);
        let parts: Vec<Vec<f32>> = alone.iter().map(|grads| values(grads, var)).collect();
        let scale = got.iter().fold(1e-6f32, |most, x| most.max(x.abs()));
        for (i, got) in got.iter().enumerate() {
            let want = parts.iter().map(|part| part[i]).sum::<f32>() / 3.0;
            assert!((got - want).abs() <= 1e-3 * scale, "{name}[{i}]: {got} instead of {want}");
        }
    }
}

#[test]
fn features_get_no_gradient() {
    let b = branches(1, 3);
    let (_, _, humans) = toy::draw(2, "batch", 3);
    let values = Stream::new(1, "tower").normals(3 * toy::TOKENS * toy::FEATURES, 1.0);
    let tower = Var::from_vec(values, (3, toy::TOKENS, toy::FEATURES), &candle_core::Device::Cpu).unwrap();
    let context = Context::new(tower.as_tensor(), vec![Default::default(); 3]).unwrap();
    assert!(il_loss(&b, &context, &humans).backward().unwrap().get(&tower).is_none());
}

#[test]
fn reinforcement_leaves_imitation_to_the_byte() {
    let b = branches(1, 6);
    let (scenes, context, _) = toy::draw(2, "batch", 4);
    let (il, selector, tree) = (bytes(b.il.vars()), bytes(b.selector.vars()), bytes(b.tree.vars()));
    let mut learner = Learner::new(b.tree.vars());
    for step in 0..10 {
        let references: Vec<Trajectory> =
            b.il.propose(&context).unwrap().into_iter().map(|p| p.candidates[p.ranked()[0]].clone()).collect();
        learner.step(&rl_loss(&b, step, &scenes, &context, &references), 1e-3);
    }
    assert!(bytes(b.il.vars()) == il && bytes(b.selector.vars()) == selector, "another branch changed");
    assert!(bytes(b.tree.vars()) != tree, "the tree did not learn");
}

/// The same numbers, not merely close ones, with the other branches learning beside it and without.
#[test]
fn imitation_learns_the_same_alone_and_in_parallel() {
    let curve = |parallel: bool| -> Vec<u32> {
        let b = branches(1, 6);
        let mut learners = [b.il.vars(), b.tree.vars(), b.selector.vars()].map(Learner::new);
        (0..8)
            .map(|step| {
                let (scenes, context, humans) = toy::draw(5, &format!("batch {step}"), 4);
                let loss = il_loss(&b, &context, &humans);
                learners[0].step(&loss, 1e-3);
                if parallel {
                    learners[1].step(&rl_loss(&b, step, &scenes, &context, &humans), 1e-3);
                    learners[2].step(&selector_loss(&b, &scenes, &context), 1e-3);
                }
                loss.to_vec0::<f32>().unwrap().to_bits()
            })
            .collect()
    };
    assert_eq!(curve(false), curve(true));
}

#[test]
fn an_infinite_threshold_is_the_reference_to_the_bit() {
    let b = branches(4, 6);
    let (_, context, _) = toy::draw(2, "batch", 5);
    let proposals = b.il.propose(&context).unwrap();
    let drive = |tree, threshold| plan::plan(&context, &b.il, tree, &b.selector, &[None; 5], threshold).unwrap();
    for tree in [None, Some(&b.tree)] {
        for (decision, proposals) in drive(tree, f64::INFINITY).iter().zip(&proposals) {
            assert_eq!((decision.chosen, decision.gain), (0, 0.0));
            assert_eq!(decision.trajectory(), &proposals.candidates[proposals.ranked()[0]]);
            assert_eq!(decision.candidates.len(), 6 + if tree.is_some() { 8 } else { 0 });
        }
        assert!(drive(tree, -1.0).iter().any(|decision| decision.chosen > 0), "nothing is ever chosen");
    }
}

#[test]
fn branches_come_back_from_their_files() {
    let (dir, b) = (tempfile::tempdir().unwrap(), branches(1, 6));
    let (_, context, _) = toy::draw(2, "batch", 2);
    let path = |name: &str| dir.path().join(name);
    b.il.save(&path("il")).unwrap();
    b.tree.save(&path("tree")).unwrap();
    b.selector.save(&path("selector")).unwrap();
    let again = Branches {
        il: IlHead::load(&IlOptions { shape: toy::shape(), modes: 6 }, &path("il")).unwrap(),
        tree: TreePolicy::load(b.tree.options(), &path("tree")).unwrap(),
        selector: Selector::load(&toy::shape(), &path("selector")).unwrap(),
    };
    let drive = |b: &Branches| plan::plan(&context, &b.il, Some(&b.tree), &b.selector, &[None; 2], 0.02).unwrap();
    assert!(bytes(b.il.vars()) == bytes(again.il.vars()), "il");
    assert!(bytes(b.tree.vars()) == bytes(again.tree.vars()), "tree");
    assert!(bytes(b.selector.vars()) == bytes(again.selector.vars()), "selector");
    assert_eq!(b.il.anchors(), again.il.anchors());
    assert!(b.il.propose(&context).unwrap() == again.il.propose(&context).unwrap(), "proposals");
    assert!(drive(&b) == drive(&again), "decisions");
    let wrong = IlHead::load(&IlOptions { shape: toy::shape(), modes: 5 }, &path("il")).err().unwrap();
    assert!(wrong.message.contains("il.anchors") && wrong.kind.exit_code() == 3, "{wrong}");
    let other = TreePolicy::load(b.tree.options(), &path("il")).err().unwrap();
    assert!(other.message.contains("tree."), "{other}");
    b.il.vars()["il.query.up.bias"].set(&Tensor::full(f32::NAN, 32, &candle_core::Device::Cpu).unwrap()).unwrap();
    let nan = b.il.save(&path("nan")).unwrap_err();
    assert!(nan.message.contains("il.query.up.bias") && !path("nan").exists(), "{nan}");
    // Damaged by others: a NaN in the file.
    let mut file = std::fs::read(path("il")).unwrap();
    let at = file.len() - 4;
    file[at..].copy_from_slice(&f32::NAN.to_le_bytes());
    std::fs::write(path("il"), file).unwrap();
    let nan = IlHead::load(&IlOptions { shape: toy::shape(), modes: 6 }, &path("il")).err().unwrap();
    assert!(nan.message.contains("not finite") && nan.kind.exit_code() == 3, "{nan}");
}

#[test]
fn a_rough_ride_is_no_matter_of_opinion() {
    let b = branches(1, 6);
    let (scenes, context, _) = toy::draw(2, "batch", 1);
    let drive = |acceleration: f64| {
        let v = scenes[0].speed;
        let pose = |t: f64| scene::Pose::new(v * t + 0.5 * acceleration * t * t, 0.0, 0.0);
        scene::Trajectory::half_second((1..=8).map(|t| pose(0.5 * f64::from(t))).collect())
    };
    let judged = b.selector.judge(&context, &[vec![drive(0.0), drive(5.0)]]).unwrap();
    let [gentle, rough] = &judged[0][..] else { panic!("{judged:?}") };
    assert!(gentle.scores.comfort > 0.0 && rough.scores.comfort == 0.0, "{judged:?}");
    assert!(rough.rank() < rough.scores.total() && rough.scores.total() > 0.0, "{judged:?}");
}
