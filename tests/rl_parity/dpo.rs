//! Preference losses, their gradients and metrics: every case of `rl/dpo_losses.json`.

use crate::check::{cases, close, gradient, metrics, scalar, table, tensor, var};
use reinsman::{
    error::Kind,
    train::rl::dpo::{DpoLossType, DpoOptions, Pairs, dpo_loss},
};
use serde_json::Value;

#[test]
fn every_case() {
    let (all, cases) = cases("dpo_losses.json");
    let input = |key: &str| table(&all["inputs"][key]);
    // The mask is that of the tokens, log-probabilities start at the second one.
    let mask: Vec<Vec<f64>> = input("completion_mask").iter().map(|row| row[1..].to_vec()).collect();
    let reference = tensor(&input("ref_logps"));
    for case in cases {
        let name = case["name"].as_str().unwrap();
        let mut options = case["options"].clone();
        if let Some(Value::String(single)) = options.get("loss_type") {
            options["loss_type"] = serde_json::json!([single]);
        }
        let options: DpoOptions = serde_json::from_value(options).unwrap_or_else(|e| panic!("{name}: {e}"));
        let logps = var(&input("policy_logps"));
        let pairs = Pairs { logps: &logps, ref_logps: &reference, mask: &tensor(&mask) };
        let got = dpo_loss(&pairs, &options).unwrap_or_else(|e| panic!("{name}: {e}"));
        let want = case["loss"].as_f64().unwrap();
        close(&format!("{name}: loss"), got.value, want, 0.);
        close(&format!("{name}: loss tensor"), scalar(&got.loss), want, 0.);
        // TRL's gradient goes on into the padding, where its log-probabilities are constants.
        let masked = |(row, mask): (Vec<f64>, &Vec<f64>)| row.iter().zip(mask).map(|(g, m)| g * m).collect();
        let want: Vec<Vec<f64>> = table(&case["grad_policy_logps"]).into_iter().zip(&mask).map(masked).collect();
        gradient(name, &got.grad_logps, &want);
        let grads = got.loss.backward().unwrap();
        gradient(&format!("{name} backward"), grads.get(&logps).expect("a graph"), &want);
        metrics(name, &got.metrics, &case["metrics"]);
    }
}

#[test]
fn misfits_are_named() {
    let rows = |n: usize| tensor(&vec![vec![-1., -2.]; n]);
    let fail = |n: usize, mask: usize, options: &DpoOptions| {
        let (logps, mask) = (rows(n), rows(mask).ones_like().unwrap());
        dpo_loss(&Pairs { logps: &logps, ref_logps: &logps, mask: &mask }, options).unwrap_err()
    };
    let default = DpoOptions::default();
    let with =
        |loss_type: Vec<DpoLossType>, label_smoothing| DpoOptions { loss_type, label_smoothing, ..default.clone() };
    for (error, word) in [
        (fail(3, 3, &default), "3 rows are not pairs"),
        (fail(2, 4, &default), "mask: expected the shape (2, 2), got [4, 2]"),
        (fail(2, 2, &with(vec![], 0.)), "loss_type is empty"),
        (fail(2, 2, &with(vec![DpoLossType::Sigmoid], 0.1)), "label_smoothing 0.1 means nothing"),
        (fail(2, 2, &with(vec![DpoLossType::Robust], 0.5)), "label_smoothing is 0.5"),
        (fail(2, 2, &with(vec![DpoLossType::ExoPair], 0.)), "exo_pair needs label_smoothing"),
        (fail(2, 2, &DpoOptions { beta: 0., ..default.clone() }), "beta is 0"),
        (
            fail(2, 2, &DpoOptions { loss_weights: Some(vec![1., 2.]), ..default.clone() }),
            "loss_weights are [1.0, 2.0]",
        ),
    ] {
        assert!(error.kind == Kind::Usage && error.message.contains(word), "{word}: {error}");
    }
    let bad = tensor(&[vec![-1., f64::NAN], vec![-1., -1.]]);
    let (fine, mask) = (rows(2), rows(2).ones_like().unwrap());
    let error = dpo_loss(&Pairs { logps: &fine, ref_logps: &bad, mask: &mask }, &default).unwrap_err();
    assert!(error.kind == Kind::Device && error.message.contains("completion 0 token 1 is NaN"), "{error}");
    let masked = tensor(&[vec![1., 0.], vec![1., 1.]]);
    assert!(dpo_loss(&Pairs { logps: &fine, ref_logps: &bad, mask: &masked }, &default).is_ok());
}

/// Texts without a token that counts give the loss of two equal texts and no gradient.
#[test]
fn nothing_counts() {
    let logps = var(&[vec![-1., -2.], vec![-3., -4.]]);
    let mask = logps.zeros_like().unwrap();
    let got = dpo_loss(&Pairs { logps: &logps, ref_logps: &logps, mask: &mask }, &DpoOptions::default()).unwrap();
    close("loss", got.value, std::f64::consts::LN_2, 0.);
    gradient("gradient", &got.grad_logps, &[vec![0.; 2], vec![0.; 2]]);
}
