//! The supervised loss on a right-padded batch: loss, token log-probabilities, entropies, gradients of all tensors.

use crate::{case::Case, support};
use candle_core::{DType, Tensor, backprop::GradStore};
use reinsman::vlm::{Batch, LoadOptions, Targets, Trainable, Vlm, build::canonical};
use std::{collections::BTreeMap, path::Path};

/// Targets where the fixture's labels ask for them.
pub fn labelled(case: &Case, batch: &Batch) -> Targets {
    let labels = case.tensors["labels"].to_vec2::<i64>().unwrap();
    Targets::select(batch, |row, token| labels[row][batch.start[row] + token] >= 0)
}

/// Mean negative log-probability of the labelled tokens.
pub fn loss(vlm: &Vlm, case: &Case) -> Tensor {
    let batch = case.batch(vlm.config());
    let images = case.images(vlm, None);
    let hidden = vlm.forward(&batch, images.as_ref(), None, None).unwrap();
    let targets = labelled(case, &batch);
    let (logps, _) = vlm.token_logps(&hidden, &targets.rows, &targets.ids, 1.).unwrap();
    logps.mean_all().unwrap().neg().unwrap()
}

pub fn scalar(tensor: &Tensor) -> f64 {
    f64::from(tensor.to_dtype(DType::F32).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap()[0])
}

pub fn assert_relative(what: &str, got: f64, want: f64, tolerance: f64) {
    assert!((got - want).abs() <= tolerance * want.abs(), "{what}: {got} instead of {want}");
}

pub fn norm(tensor: &Tensor) -> f64 {
    scalar(&tensor.sqr().unwrap().sum_all().unwrap()).sqrt()
}

/// Gradients by canonical (or adapter) name.
pub fn gradients(vlm: &Vlm, grads: &GradStore) -> BTreeMap<String, Tensor> {
    vlm.vars()
        .iter()
        .map(|(name, var)| {
            let grad = grads.get(var).unwrap_or_else(|| panic!("{name} has no gradient"));
            (canonical(name), grad.clone())
        })
        .collect()
}

/// Compares a gradient with the fixture's (which may hold only the first rows), relative to its largest element.
pub fn assert_gradient(what: &str, got: &Tensor, want: &Tensor) {
    let rows = want.dim(0).unwrap().min(got.dim(0).unwrap());
    let got = got.narrow(0, 0, rows).unwrap();
    let (diff, scale) = support::max_diff(&got, want);
    assert!(diff <= 1e-4 * scale, "{what}: max |difference| {diff:e} with max |gradient| {scale:e}");
}

fn check_scores(what: &str, vlm: &Vlm, case: &Case) {
    let batch = case.batch(vlm.config());
    let images = case.images(vlm, None);
    let hidden = vlm.forward(&batch, images.as_ref(), None, None).unwrap();
    let all = Targets::select(&batch, |_, _| true);
    let wanted = |name: &str| -> Vec<f32> {
        let rows = case.tensors[name].to_vec2::<f32>().unwrap();
        (0..batch.rows).flat_map(|row| rows[row][..batch.lens[row] - 1].to_vec()).collect()
    };
    let compare = |name: &str, got: &Tensor| {
        let want = Tensor::new(wanted(name), got.device()).unwrap();
        let (diff, scale) = support::max_diff(got, &want);
        assert!(diff <= 5e-5f32.max(1e-5 * scale), "{what}: {name} differs by {diff:e}");
    };
    let (logps, entropy) = vlm.token_logps(&hidden, &all.rows, &all.ids, 1.).unwrap();
    compare("token_logps", &logps);
    compare("token_entropy", &entropy);
    for name in case.tensors.keys().filter(|name| name.starts_with("token_logps_T")) {
        let temperature: f64 = name.trim_start_matches("token_logps_T").replace('_', ".").parse().unwrap();
        compare(name, &vlm.token_logps(&hidden, &all.rows, &all.ids, temperature).unwrap().0);
    }
    let targets = labelled(case, &batch);
    let (logps, _) = vlm.token_logps(&hidden, &targets.rows, &targets.ids, 1.).unwrap();
    let want = case.tensors["loss_per_sequence_mean"].to_vec1::<f32>().unwrap();
    let mut at = 0;
    for (row, count) in targets.per_row.iter().enumerate() {
        let mean = scalar(&logps.narrow(0, at, *count).unwrap().mean_all().unwrap().neg().unwrap());
        assert_relative(&format!("{what}: loss of sequence {row}"), mean, f64::from(want[row]), 1e-5);
        at += count;
    }
}

fn check_gradients(what: &str, family: &Path, vlm: &Vlm, case: &Case) {
    let loss = loss(vlm, case);
    assert_relative(&format!("{what}: loss"), scalar(&loss), scalar(&case.tensors["loss"]), 1e-5);
    let grads = gradients(vlm, &loss.backward().unwrap());
    let mut named = 0;
    for (name, want) in case.tensors.iter().filter_map(|(name, t)| Some((name.strip_prefix("grad.")?, t))) {
        let got = grads.get(name).unwrap_or_else(|| panic!("{what}: {name} is not trained"));
        assert_gradient(&format!("{what}: gradient of {name}"), got, want);
        named += 1;
    }
    assert!(named > 0, "{what}: no gradient to compare");
    let meta = support::json(&family.join("meta.json")).unwrap();
    let norms = meta["sft"]["grad_norms"].as_object().unwrap();
    for (name, want) in norms {
        let got = grads.get(name).unwrap_or_else(|| panic!("{what}: {name} is not trained"));
        assert_relative(&format!("{what}: gradient norm of {name}"), norm(got), want.as_f64().unwrap(), 1e-4);
    }
    assert_eq!(norms.len(), grads.len(), "{what}: number of trained tensors");
    let total = grads.values().map(|grad| norm(grad).powi(2)).sum::<f64>().sqrt();
    assert_relative(&format!("{what}: total norm"), total, meta["sft"]["total_grad_norm"].as_f64().unwrap(), 1e-4);
}

#[test]
fn loss_scores_and_gradients() {
    for family in support::families() {
        let what = format!("{} sft", family.display());
        let options = LoadOptions { trainable: Trainable::All, ..Default::default() };
        let vlm = Vlm::load(&family.join("ckpt"), &options).unwrap();
        let Some(case) = Case::read(&family, "sft.safetensors", vlm.config()) else {
            continue;
        };
        check_scores(&what, vlm.frozen().unwrap(), &case);
        check_gradients(&what, &family, &vlm, &case);
    }
}
