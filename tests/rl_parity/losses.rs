//! Policy losses, their gradients and metrics: every case of `rl/grpo_losses.json`.

use crate::check::{cases, close, gradient, list, metrics, scalar, table, tensor, var};
use reinsman::train::rl::loss::{Completions, LossOptions, Step, policy_loss};
use serde_json::Value;

/// Options of the trainer that are not the loss's own.
const OUTSIDE: [&str; 4] = ["on_policy", "grad_accum", "steps_per_generation", "num_items_in_batch"];

#[test]
fn every_case() {
    let (all, cases) = cases("grpo_losses.json");
    let input = |key: &str| table(&all["inputs"][key]);
    let (old, reference) = (tensor(&input("old_per_token_logps")), tensor(&input("ref_per_token_logps")));
    let (mask, entropies) = (tensor(&input("completion_mask")), tensor(&input("entropies")));
    let advantages = list(&all["inputs"]["advantages"]);
    for case in cases {
        let name = case["name"].as_str().unwrap();
        let mut options = case["options"].as_object().unwrap().clone();
        let mut outside = |key: &str| options.remove(key).filter(|value| !value.is_null());
        let [on_policy, accumulation, per_generation, _] = OUTSIDE.map(&mut outside);
        let options: LossOptions = serde_json::from_value(options.into()).unwrap_or_else(|e| panic!("{name}: {e}"));
        let steps = |value: Option<Value>, otherwise: u64| value.map_or(otherwise, |value| value.as_u64().unwrap());
        let accumulation = steps(accumulation, 1);
        // TRL counts the items of all steps on one generated batch.
        let windows = steps(per_generation, accumulation) as f64 / accumulation as f64;
        let logps = var(&input("per_token_logps"));
        let batch = Completions {
            logps: &logps,
            old_logps: (on_policy != Some(true.into())).then_some(&old),
            sampling_logps: None,
            ref_logps: Some(&reference),
            mask: &mask,
            advantages: &advantages,
            entropies: Some(&entropies),
        };
        let step = Step {
            gradient_accumulation_steps: accumulation as usize,
            num_items: case["num_items_in_batch"].as_f64().unwrap() / windows,
            max_completion_length: case["max_completion_length"].as_u64().unwrap() as usize,
        };
        let got = policy_loss(&batch, step, &options).unwrap_or_else(|e| panic!("{name}: {e}"));
        let want = case["loss"].as_f64().unwrap();
        close(&format!("{name}: loss"), got.value, want, 0.1);
        close(&format!("{name}: loss tensor"), scalar(&got.loss), want, 0.1);
        let want = table(&case["grad_logps"]);
        gradient(name, &got.grad_logps, &want);
        let grads = got.loss.backward().unwrap();
        gradient(&format!("{name} backward"), grads.get(&logps).expect("a graph"), &want);
        metrics(name, &got.metrics, &case["metrics"]);
    }
}
