//! Trees: log-probabilities, geometry at the leaves, and the objective's gradients.

use super::toy;
use candle_core::{Tensor, Var};
use reinsman::{
    streams::Stream,
    trajectory::{
        Context, Intention, ObjectiveOptions, Tree, TreeOptions, TreePolicy,
        geometry::LEVELS,
        objective::{self, Loss},
        policy::Evaluated,
    },
};
use scene::Trajectory;
use std::collections::BTreeMap;

fn options() -> TreeOptions {
    TreeOptions { shape: toy::shape(), ..Default::default() }
}

/// A policy whose heads are not small, so that nothing is nearly uniform by accident.
fn policy(options: &TreeOptions) -> TreePolicy {
    let policy = TreePolicy::new(options, 1).unwrap();
    for (name, var) in policy.vars().iter().filter(|(name, _)| name.contains("_head")) {
        let noise = Stream::new(2, name).normals(var.elem_count(), 0.1);
        let noise = Tensor::from_vec(noise, var.dims(), var.device()).unwrap();
        var.set(&(var.as_detached_tensor() + noise).unwrap()).unwrap();
    }
    policy
}

struct Batch {
    context: Context,
    humans: Vec<Trajectory>,
    trees: Vec<Tree>,
    rewards: Vec<Vec<f64>>,
}

/// Sampled trees with drawn rewards.
fn batch(policy: &TreePolicy, frames: usize) -> Batch {
    let (_, context, humans) = toy::draw(3, "batch", frames);
    let leans: Vec<Option<Intention>> = (0..frames).map(|i| (i % 2 == 1).then_some(Intention::Brake)).collect();
    let trees = policy.sample(&context, &humans, &leans, &mut toy::streams(1, 0, frames)).unwrap();
    let mut stream = Stream::new(4, "rewards");
    let rewards = trees.iter().map(|t| t.leaves().map(|_| stream.uniform()).collect()).collect();
    Batch { context, humans, trees, rewards }
}

fn values(t: &Tensor) -> Vec<f64> {
    t.flatten_all().unwrap().to_vec1::<f32>().unwrap().into_iter().map(f64::from).collect()
}

fn loss(policy: &TreePolicy, b: &Batch, options: &ObjectiveOptions) -> Loss {
    let evaluated = policy.evaluate(&b.context, &b.trees).unwrap();
    objective::tree_loss(&evaluated, &b.trees, &b.rewards, options).unwrap().unwrap()
}

fn gradients(total: &Tensor, vars: &BTreeMap<String, Var>) -> Vec<f64> {
    let grads = total.backward().unwrap();
    vars.values().flat_map(|var| values(grads.get(var).unwrap())).collect()
}

#[track_caller]
fn close(what: &str, got: &[f64], want: &[f64], tolerance: f64) {
    assert_eq!(got.len(), want.len(), "{what}");
    let scale = want.iter().fold(1e-3f64, |m, x| m.max(x.abs()));
    for (i, (g, w)) in got.iter().zip(want).enumerate() {
        assert!((g - w).abs() <= tolerance * scale, "{what}[{i}]: {g} instead of {w} (scale {scale:e})");
    }
}

#[test]
fn a_fresh_policy_keeps_to_the_reference() {
    let policy = TreePolicy::new(&options(), 1).unwrap();
    let (_, context, humans) = toy::draw(3, "batch", 6);
    let trees = policy.expand(&context, &humans, &[None; 6]).unwrap();
    for (tree, human) in trees.iter().zip(&humans) {
        assert_eq!((tree.nodes.len(), tree.leaves().len()), (4 + 8 + 8 + 8, 8));
        assert_eq!(tree.code(tree.leaves().start), "keep-keep-keep-keep", "the likeliest path");
        assert_eq!(&tree.trajectory(tree.leaves().start), human, "to the last bit");
        assert_eq!(&tree.control(), human);
        let keep = tree.nodes[0].logp.exp();
        assert!((keep - 0.6).abs() < 0.05, "keep has the probability {keep}");
        let codes: Vec<String> = tree.leaves().map(|leaf| tree.code(leaf)).collect();
        assert!((1..8).all(|i| !codes[..i].contains(&codes[i])), "{codes:?}");
    }
}

#[test]
fn leaves_lie_where_their_paths_lead() {
    let b = batch(&policy(&options()), 4);
    for (tree, human) in b.trees.iter().zip(&b.humans) {
        assert_eq!((tree.nodes.len(), tree.leaves().len(), tree.points()), (4 + 8 + 16 + 16, 16, 29));
        for leaf in tree.leaves() {
            let path = tree.path(leaf);
            assert_eq!(path.len(), LEVELS);
            let mut from = Default::default();
            let actions: Vec<[f64; 2]> = path
                .iter()
                .map(|node| {
                    let node = &tree.nodes[*node];
                    let action = node.intention.action(node.z.map(f64::from), &from);
                    from = node.drift;
                    action
                })
                .collect();
            let driven = tree.frenet.apply(&actions.try_into().unwrap());
            assert_eq!(driven, tree.trajectory(leaf), "{}", tree.code(leaf));
            if path.iter().all(|node| tree.nodes[*node].intention == Intention::Keep) {
                assert_eq!(&tree.trajectory(leaf), human);
            }
        }
    }
}

/// Every path of the categorical tree, means in the place of the continuous part.
#[test]
fn path_probabilities_sum_to_one() {
    let policy = policy(&TreeOptions { plan_branching: [6; LEVELS], ..options() });
    let (_, context, humans) = toy::draw(3, "batch", 2);
    let trees = policy.expand(&context, &humans, &[None, Some(Intention::Left)]).unwrap();
    let logp = values(&policy.evaluate(&context, &trees).unwrap().categorical);
    for (tree, logp) in trees.iter().zip(logp.chunks(trees[0].nodes.len())) {
        assert_eq!(tree.leaves().len(), 1296);
        let path = |leaf: usize| tree.path(leaf).into_iter().map(|node| logp[node]).sum::<f64>().exp();
        let sum: f64 = tree.leaves().map(path).sum();
        assert!((sum - 1.0).abs() < 1e-5, "{sum}");
    }
}

#[test]
fn recomputed_log_probabilities_are_those_of_sampling() {
    let policy = policy(&options());
    let b = batch(&policy, 5);
    let again = values(&policy.evaluate(&b.context, &b.trees).unwrap().logp);
    let sampled: Vec<f64> = b.trees.iter().flat_map(|tree| tree.nodes.iter().map(|node| node.logp)).collect();
    close("logp", &again, &sampled, 1e-5);
    assert!(b.trees.iter().flat_map(|t| &t.nodes).any(|n| n.z != [0.0; 2]) && sampled.iter().any(|x| *x < -1.0));
}

/// A frame draws the same alone and in a batch.
#[test]
fn what_a_frame_draws_does_not_depend_on_the_batch() {
    let policy = policy(&options());
    let b = batch(&policy, 5);
    let (scenes, ..) = toy::draw(3, "batch", 5);
    let mut stream = Stream::new(3, "batch");
    (0..5).for_each(|_| _ = toy::Scene::draw(&mut stream));
    // The same noise again, frame by frame.
    for (i, scene) in scenes.iter().enumerate() {
        let alone = toy::context(std::slice::from_ref(scene), &mut stream);
        let lean = [b.trees[i].lean];
        let tree = policy.sample(&alone, &b.humans[i..=i], &lean, &mut toy::streams(1, 0, 5)[i..=i]).unwrap();
        for (a, b) in tree[0].nodes.iter().zip(&b.trees[i].nodes) {
            assert_eq!(a.intention, b.intention);
            assert!((0..2).all(|c| (a.z[c] - b.z[c]).abs() < 1e-4), "{:?} {:?}", a.z, b.z);
        }
    }
}

#[test]
fn meta_actions_lean_the_first_level() {
    let policy = TreePolicy::new(&TreeOptions { lean_bias: 3.0, ..options() }, 1).unwrap();
    let (_, context, humans) = toy::draw(3, "batch", 8);
    let share = |lean: Option<Intention>, level: usize| {
        let trees = policy.sample(&context, &humans, &[lean; 8], &mut toy::streams(9, 0, 8)).unwrap();
        let of: Vec<bool> = trees
            .iter()
            .flat_map(|t| t.nodes.iter().filter(|n| n.level == level).map(|n| n.intention == Intention::Left))
            .collect();
        of.iter().filter(|x| **x).count() as f64 / of.len() as f64
    };
    assert!(share(None, 0) < 0.25 && share(Some(Intention::Left), 0) > 0.4);
    assert!(share(Some(Intention::Left), 3) < 0.25, "the lean belongs to the first level only");
}

/// With ratios of 1 the tree is flat GRPO over its paths: value of the divergence and gradient of everything.
#[test]
fn the_trees_gradient_is_the_flat_one() {
    let policy = policy(&options());
    let b = batch(&policy, 3);
    for beta in [0.0, 0.3] {
        let options = ObjectiveOptions { beta, ..Default::default() };
        let evaluated = policy.evaluate(&b.context, &b.trees).unwrap();
        let flat = objective::flat_loss(&evaluated, &b.trees, &b.rewards, &options).unwrap().unwrap();
        let tree = loss(&policy, &b, &options);
        assert!((flat.kl - tree.kl).abs() < 1e-5, "{} {}", flat.kl, tree.kl);
        close("gradient", &gradients(&tree.total, policy.vars()), &gradients(&flat.total, policy.vars()), 1e-4);
    }
}

/// Central differences of the loss by the biases of the heads, on the policy that sampled and away from it.
#[test]
fn gradients_of_logits_and_means_are_differences() {
    let policy = policy(&options());
    let b = batch(&policy, 3);
    for (away, parent_share) in [(0.0, 0.0), (0.15, 0.0), (0.15, 0.5)] {
        let options = ObjectiveOptions { beta: 0.1, parent_share, ..Default::default() };
        if away > 0.0 && parent_share == 0.0 {
            let logits = &policy.vars()["tree.logit_head.bias"];
            let shift = Stream::new(5, "away").normals(6, away);
            logits.set(&(logits.as_detached_tensor() + Tensor::new(shift, logits.device()).unwrap()).unwrap()).unwrap();
        }
        for name in ["tree.logit_head.bias", "tree.mu_head.bias", "tree.sigma_head.bias"] {
            let var = &policy.vars()[name];
            let analytic = values(loss(&policy, &b, &options).total.backward().unwrap().get(var).unwrap());
            let start = var.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            let set = |x: &[f32]| var.set(&Tensor::from_vec(x.to_vec(), var.dims(), var.device()).unwrap()).unwrap();
            let step = 2e-3;
            let numeric: Vec<f64> = (0..start.len().min(12))
                .map(|i| {
                    let at = |delta: f32| {
                        let mut moved = start.clone();
                        moved[i] += delta;
                        set(&moved);
                        f64::from(loss(&policy, &b, &options).total.to_vec0::<f32>().unwrap())
                    };
                    (at(step) - at(-step)) / (2.0 * f64::from(step))
                })
                .collect();
            set(&start);
            let scale = analytic.iter().fold(0.0f64, |m, x| m.max(x.abs()));
            for (i, n) in numeric.iter().enumerate() {
                let a = analytic[i];
                assert!((a - n).abs() < 0.01 * scale + 5e-4, "{name}[{i}] {away}: {a} instead of {n}");
            }
            assert!(scale > 1e-3, "{name}: nothing to compare");
        }
    }
}

/// The order of leaves means nothing.
#[test]
fn permuted_leaves_change_nothing() {
    let policy = policy(&options());
    let mut b = batch(&policy, 3);
    let whole = |b: &Batch| {
        let loss = loss(&policy, b, &ObjectiveOptions::default());
        (values(&loss.total), gradients(&loss.total, policy.vars()))
    };
    let (value, gradient) = whole(&b);
    let mut stream = Stream::new(6, "order");
    for (tree, rewards) in b.trees.iter_mut().zip(&mut b.rewards) {
        let leaves = tree.leaves();
        let mut order: Vec<usize> = (0..leaves.len()).collect();
        stream.shuffle(&mut order);
        let nodes: Vec<_> = order.iter().map(|i| tree.nodes[leaves.start + i].clone()).collect();
        tree.nodes.truncate(leaves.start);
        tree.nodes.extend(nodes);
        *rewards = order.iter().map(|i| rewards[*i]).collect();
    }
    let (value_after, gradient_after) = whole(&b);
    close("value", &value_after, &value, 1e-5);
    close("gradient", &gradient_after, &gradient, 1e-4);
}

/// Leaves that all earn the same teach nothing, alone or in a batch.
#[test]
fn equal_rewards_give_no_gradient() {
    let policy = policy(&options());
    let b = batch(&policy, 2);
    let options = ObjectiveOptions { beta: 0.3, ..Default::default() };
    let evaluated = policy.evaluate(&b.context, &b.trees).unwrap();
    let same = vec![0.7; 16];
    let of = |rewards: [Vec<f64>; 2]| objective::tree_loss(&evaluated, &b.trees, &rewards, &options).unwrap();
    assert!(of([same.clone(), same.clone()]).is_none());
    let mixed = of([b.rewards[0].clone(), same]).unwrap();
    assert_eq!(mixed.trees, 1);
    let first = objective::credit(&b.trees[0], &b.rewards[0], &options).unwrap().unwrap();
    // At a ratio of 1 the policy's part is minus the weighted sum of advantages, which is 0; the rest is divergence.
    let zero: f64 = first.advantages.iter().zip(&first.weights).map(|(a, w)| a * w).sum();
    assert!(zero.abs() < 1e-9, "{zero}");
    let logp = Var::from_tensor(&evaluated.logp.detach()).unwrap();
    let apart = Evaluated { logp: logp.as_tensor().clone(), ..evaluated };
    let rewards = [b.rewards[0].clone(), vec![0.7; 16]];
    let total = objective::tree_loss(&apart, &b.trees, &rewards, &options).unwrap().unwrap().total;
    let by_node = total.backward().unwrap().get(&logp).map(values).unwrap();
    assert!(by_node[44..].iter().all(|g| *g == 0.0) && by_node[..44].iter().any(|g| *g != 0.0), "{by_node:?}");
    let bad = objective::tree_loss(&apart, &b.trees, &[vec![f64::NAN; 16], vec![0.0; 16]], &options);
    let bad = bad.err().unwrap();
    assert!(bad.message.contains("tree 0: the reward of leaf 0") && bad.kind.exit_code() == 4, "{bad}");
    let few = objective::tree_loss(&apart, &b.trees, &[vec![0.0; 3], vec![0.0; 16]], &options).err().unwrap();
    assert!(few.message.contains("3 rewards for a tree of 16 leaves"), "{few}");
}

/// The last level has one child a node: against the parent alone it would learn nothing.
#[test]
fn single_children_are_credited() {
    let b = batch(&policy(&options()), 2);
    for parent_share in [0.0, 0.5] {
        let options = ObjectiveOptions { parent_share, ..Default::default() };
        for (tree, rewards) in b.trees.iter().zip(&b.rewards) {
            let credit = objective::credit(tree, rewards, &options).unwrap().unwrap();
            for leaf in tree.leaves() {
                assert!(credit.advantages[leaf].abs() > 1e-6);
                assert_eq!(credit.weights[leaf], 1.0 / 16.0);
            }
            let of_level = |level: usize| {
                let nodes = (0..tree.nodes.len()).filter(|n| tree.nodes[*n].level == level);
                nodes.map(|n| credit.weights[n]).sum::<f64>()
            };
            (0..LEVELS).for_each(|level| assert!((of_level(level) - 1.0).abs() < 1e-12));
        }
    }
}
