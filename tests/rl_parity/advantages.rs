//! Group advantages and reward statistics: every case of `rl/grpo_advantages.json`, and groups of our own.

use crate::check::{cases, close, list, table};
use reinsman::{
    error::Kind,
    train::rl::advantage::{AdvantageOptions, Advantages, Aggregation, ScaleRewards, advantages},
};

#[test]
fn every_case() {
    for case in cases("grpo_advantages.json").1 {
        let name = case["name"].as_str().unwrap();
        let mut options = serde_json::Map::new();
        for key in ["scale_rewards", "multi_objective_aggregation"] {
            options.extend(case.get(key).map(|value| (key.to_string(), value.clone())));
        }
        let options: AdvantageOptions =
            serde_json::from_value(options.into()).unwrap_or_else(|e| panic!("{name}: {e}"));
        let group = case["num_generations"].as_u64().unwrap() as usize;
        let rewards = table(&case["rewards_per_func"]);
        let got = advantages(&rewards, &list(&case["reward_weights"]), group, options).unwrap();
        let want = list(&case["advantages"]);
        assert_eq!(got.advantages.len(), want.len(), "{name}");
        for (i, (got, want)) in got.advantages.iter().zip(&want).enumerate() {
            // TRL subtracts in f32: an advantage near 0 has lost its last digits.
            close(&format!("{name}: advantage {i}"), *got, *want, 1.);
        }
        for (key, want) in case["logged"].as_object().unwrap() {
            let got = logged(&got, key).unwrap_or_else(|| panic!("{name}: {key} is not known"));
            close(&format!("{name}: {key}"), got, want[0].as_f64().unwrap(), 1e-1);
        }
    }
}

fn logged(got: &Advantages, key: &str) -> Option<f64> {
    if let Some(rest) = key.strip_prefix("rewards/reward") {
        let (term, what) = rest.split_once('/')?;
        let moments = got.terms.get(term.parse::<usize>().ok()?)?;
        return Some(if what == "mean" { moments.mean } else { moments.std });
    }
    match key {
        "reward" => Some(got.reward),
        "reward_std" => Some(got.reward_std),
        "frac_reward_zero_std" => Some(got.frac_reward_zero_std),
        _ => None,
    }
}

const NAN: f64 = f64::NAN;

fn options(scale_rewards: ScaleRewards, multi_objective_aggregation: Aggregation) -> AdvantageOptions {
    AdvantageOptions { scale_rewards, multi_objective_aggregation }
}

fn all_options() -> Vec<AdvantageOptions> {
    let scales = [ScaleRewards::Group, ScaleRewards::Batch, ScaleRewards::None];
    let ways = [Aggregation::SumThenNormalize, Aggregation::NormalizeThenSum];
    scales.into_iter().flat_map(|scale| ways.map(|way| options(scale, way))).collect()
}

/// Groups without a difference, without a known reward, with one known reward, and of one completion teach nothing.
#[test]
fn nothing_to_learn() {
    let same = vec![0.1; 4];
    for (rewards, group) in [
        (vec![same.clone()], 4),
        (vec![same.clone(), vec![0.3; 4]], 2),
        (vec![vec![NAN; 4]], 2),
        (vec![vec![NAN, NAN, NAN, 0.7]], 4),
        (vec![vec![0.4]], 1),
    ] {
        for options in all_options() {
            let weights = vec![1.; rewards.len()];
            let got = advantages(&rewards, &weights, group, options).unwrap();
            assert!(got.advantages.iter().all(|a| *a == 0.), "{rewards:?} {options:?}: {:?}", got.advantages);
        }
    }
    let got = advantages(&[vec![NAN; 4]], &[1.], 4, AdvantageOptions::default()).unwrap();
    assert!(got.reward.is_nan() && got.rewards.iter().all(|r| r.is_nan()) && got.terms[0].mean.is_nan());
    let got =
        advantages(&[[vec![0.1; 4], vec![0., 1., 0., 1.]].concat()], &[1.], 4, AdvantageOptions::default()).unwrap();
    assert_eq!(got.frac_reward_zero_std, 0.5);
    assert_eq!(got.advantages[..4], [0.; 4]);
}

/// An unknown reward changes nothing for the others of its group, and a missing term is left out of the sum.
#[test]
fn unknown_rewards_are_left_out() {
    let with = advantages(&[vec![1., 2., NAN, 4.]], &[1.], 4, AdvantageOptions::default()).unwrap();
    let without = advantages(&[vec![1., 2., 4.]], &[1.], 3, AdvantageOptions::default()).unwrap();
    assert_eq!(with.advantages[2], 0.);
    assert_eq!([with.advantages[0], with.advantages[1], with.advantages[3]], without.advantages[..]);
    let partly = advantages(&[vec![1., NAN], vec![2., 5.]], &[1., 2.], 2, AdvantageOptions::default()).unwrap();
    assert_eq!(partly.rewards, [5., 10.]);
}

/// By hand: summing first hides that the second term prefers the other completion, normalising first does not.
#[test]
fn a_small_term_is_heard() {
    let rewards = [vec![10., 0., 10., 0.], vec![0., 0.1, 0.1, 0.]];
    let of = |way| advantages(&rewards, &[1., 1.], 4, options(ScaleRewards::Group, way)).unwrap().advantages;
    let (summed, heard) = (of(Aggregation::SumThenNormalize), of(Aggregation::NormalizeThenSum));
    assert!((summed[0] - summed[2]).abs() < 0.02);
    assert!(heard[2] - heard[0] > 1.);
    assert!((heard[0] + 0.).abs() < 0.01 && (heard[2] + heard[3]).abs() < 1e-9);
}

#[test]
fn misfits_are_named() {
    let default = AdvantageOptions::default();
    for (rewards, weights, group, kind, word) in [
        (vec![vec![1., 2.], vec![1.]], vec![1., 1.], 2, Kind::Usage, "lengths [2, 1]"),
        (vec![], vec![], 2, Kind::Usage, "lengths []"),
        (vec![vec![]], vec![1.], 2, Kind::Usage, "lengths [0]"),
        (vec![vec![1., 2., 3.]], vec![1.], 2, Kind::Usage, "groups of 2"),
        (vec![vec![1., 2.]], vec![1.], 0, Kind::Usage, "groups of 0"),
        (vec![vec![1., 2.]], vec![1., 1.], 2, Kind::Usage, "2 weights"),
        (vec![vec![1., 2.]], vec![NAN], 2, Kind::Usage, "weight is NaN"),
        (vec![vec![1., f64::INFINITY]], vec![1.], 2, Kind::Device, "completion 1 is inf"),
        (vec![vec![1e308, -1e308]], vec![1e9], 2, Kind::Device, "completion 0"),
    ] {
        let error = advantages(&rewards, &weights, group, default).unwrap_err();
        assert!(error.kind == kind && error.message.contains(word), "{rewards:?}: {error}");
    }
}
