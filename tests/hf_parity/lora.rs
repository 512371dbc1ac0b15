//! PEFT adapters: forward with both scales, gradients, five AdamW steps, writing and reading a folder.

use crate::{
    case::Case,
    sft::{assert_gradient, assert_relative, gradients, loss, norm, scalar},
    support,
};
use candle_core::{DType, Tensor};
use reinsman::vlm::{LoadOptions, LoraSpec, Trainable, Vlm};
use std::{collections::BTreeMap, path::Path};

/// `...lora_A.default.weight` (in memory) to `...lora_A.weight` (in files).
fn file_name(name: &str) -> String {
    name.replace(".default.weight", ".weight")
}

fn with_adapter(family: &Path, folder: &Path, trainable: bool) -> Vlm {
    let mut vlm = Vlm::load(&family.join("ckpt"), &LoadOptions::default()).unwrap();
    vlm.load_adapter(folder, trainable).unwrap();
    vlm
}

/// Copies the adapter folder with one config key changed.
fn changed(folder: &Path, key: &str, value: serde_json::Value) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let mut config = support::json(&folder.join("adapter_config.json")).unwrap();
    config[key] = value;
    std::fs::write(dir.path().join("adapter_config.json"), config.to_string()).unwrap();
    std::fs::copy(folder.join("adapter_model.safetensors"), dir.path().join("adapter_model.safetensors")).unwrap();
    dir
}

fn check_logits(what: &str, case: &Case, vlm: &Vlm, want: &Tensor) {
    let batch = case.batch(vlm.config());
    let hidden = vlm.forward(&batch, case.images(vlm, None).as_ref(), None, None).unwrap();
    case.assert_tail(what, &batch, &vlm.logits(&hidden).unwrap(), want, 2e-4);
}

#[test]
fn forward_with_adapter() {
    for family in support::families() {
        let Some(expected) = support::tensors(&family.join("lora.safetensors")) else { continue };
        let folder = family.join("lora_adapter");
        let vlm = with_adapter(&family, &folder, false);
        let what = format!("{} lora", family.display());
        let Some(case) = Case::read(&family, "case_single.safetensors", vlm.config()) else {
            continue;
        };
        check_logits(&what, &case, &vlm, &expected["logits_single"]);
        if let Some(want) = expected.get("logits_single_rslora") {
            let folder = changed(&folder, "use_rslora", true.into());
            check_logits(&format!("{what} rslora"), &case, &with_adapter(&family, folder.path(), false), want);
        }
        // Merged into the base and saved, the plain model says the same.
        let dir = tempfile::tempdir().unwrap();
        vlm.save(&dir.path().join("model.safetensors"), DType::F32).unwrap();
        std::fs::copy(family.join("ckpt/config.json"), dir.path().join("config.json")).unwrap();
        let merged = Vlm::load(dir.path(), &LoadOptions::default()).unwrap();
        check_logits(&format!("{what} merged"), &case, &merged, &expected["logits_single"]);
        // Switched off, it is the base.
        vlm.set_adapter_enabled(false);
        check_logits(&format!("{what} off"), &case, &vlm, &case.tensors["logits"]);
    }
}

#[test]
fn gradients_and_five_steps() {
    for family in support::families() {
        let Some(expected) = support::tensors(&family.join("lora.safetensors")) else { continue };
        let what = format!("{} lora", family.display());
        let meta = support::json(&family.join("meta.json")).unwrap();
        let folder = family.join("lora_adapter");
        let vlm = with_adapter(&family, &folder, true);
        let Some(case) = Case::read(&family, "sft.safetensors", vlm.config()) else {
            continue;
        };
        let count: usize = vlm.vars().values().map(|var| var.elem_count()).sum();
        assert_eq!(count as u64, meta["lora"]["n_trainable"].as_u64().unwrap(), "{what}: trainable parameters");
        let first = loss(&vlm, &case);
        assert_relative(&format!("{what}: loss"), scalar(&first), meta["lora"]["loss0"].as_f64().unwrap(), 1e-5);
        let grads = gradients(&vlm, &first.backward().unwrap());
        for (name, want) in expected.iter().filter_map(|(name, t)| Some((name.strip_prefix("grad.")?, t))) {
            assert_gradient(&format!("{what}: gradient of {name}"), &grads[&file_name(name)], want);
        }
        for (run, settings) in meta["lora"]["train_runs"].as_object().unwrap() {
            let vlm = with_adapter(&family, &folder, true);
            train(&format!("{what} {run}"), &vlm, &case, settings);
            let after = format!("after5.{run}.");
            for (name, want) in expected.iter().filter_map(|(name, t)| Some((name.strip_prefix(&after)?, t))) {
                let got = vlm.vars()[&file_name(name)].as_tensor();
                let (diff, scale) = support::max_diff(got, want);
                assert!(diff <= 1e-4 * scale.max(1.), "{what} {run}: {name} differs by {diff:e} of {scale:e}");
            }
        }
    }
}

/// AdamW as in torch: decay, then the bias-corrected step.
fn train(what: &str, vlm: &Vlm, case: &Case, settings: &serde_json::Value) {
    let number = |key: &str| settings[key].as_f64().unwrap();
    let list = |key: &str| settings[key].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect::<Vec<_>>();
    let (lr, decay, eps) = (number("lr"), number("weight_decay"), number("eps"));
    let [beta1, beta2] = list("betas")[..] else { panic!("two betas") };
    let (losses, norms) = (list("losses_before_each_step_then_final"), list("grad_norm_before_clip"));
    let mut moments: BTreeMap<String, (Tensor, Tensor)> = BTreeMap::new();
    for (step, want_norm) in norms.iter().enumerate() {
        let loss = loss(vlm, case);
        assert_relative(&format!("{what}: loss {step}"), scalar(&loss), losses[step], 1e-4);
        let grads = gradients(vlm, &loss.backward().unwrap());
        let total = grads.values().map(|grad| norm(grad).powi(2)).sum::<f64>().sqrt();
        assert_relative(&format!("{what}: gradient norm {step}"), total, *want_norm, 1e-3);
        let clip = settings["clip"].as_f64().map_or(1., |max| (max / (total + 1e-6)).min(1.));
        let t = step as i32 + 1;
        for (name, var) in vlm.vars() {
            let grad = (&grads[name] * clip).unwrap();
            let zero = || (grad.zeros_like().unwrap(), grad.zeros_like().unwrap());
            let (m, v) = moments.entry(name.clone()).or_insert_with(zero);
            *m = ((&*m * beta1).unwrap() + (&grad * (1. - beta1)).unwrap()).unwrap();
            *v = ((&*v * beta2).unwrap() + (grad.sqr().unwrap() * (1. - beta2)).unwrap()).unwrap();
            let scale = (1. - beta2.powi(t)).sqrt();
            let denominator = ((v.sqrt().unwrap() / scale).unwrap() + eps).unwrap();
            let update = ((&*m / denominator).unwrap() * (lr / (1. - beta1.powi(t)))).unwrap();
            let old = (var.as_detached_tensor() * (1. - lr * decay)).unwrap();
            var.set(&(old - update).unwrap()).unwrap();
        }
    }
    assert_relative(&format!("{what}: last loss"), scalar(&loss(vlm, case)), *losses.last().unwrap(), 1e-4);
}

/// A folder written by us reads back to the same numbers, under old module names too, and only on its own base.
#[test]
fn folder_round_trip() {
    for family in support::families() {
        let folder = family.join("lora_adapter");
        if !folder.is_dir() {
            continue;
        }
        let vlm = with_adapter(&family, &folder, true);
        let dir = tempfile::tempdir().unwrap();
        vlm.save_adapter(dir.path(), "tiny").unwrap();
        let before = support::tensors(&folder.join("adapter_model.safetensors")).unwrap();
        let after = support::tensors(&dir.path().join("adapter_model.safetensors")).unwrap();
        assert_eq!(before.len(), after.len());
        for (name, tensor) in &before {
            assert_eq!(support::max_diff(tensor, &after[name]).0, 0., "{name}");
        }
        let again = with_adapter(&family, dir.path(), true);
        assert_eq!(again.adapter_spec(), vlm.adapter_spec());
        assert_eq!(again.vars().keys().collect::<Vec<_>>(), vlm.vars().keys().collect::<Vec<_>>());

        let old_names: std::collections::HashMap<String, Tensor> = before
            .into_iter()
            .map(|(name, t)| (name.replace("model.language_model.layers", "model.layers"), t))
            .collect();
        candle_core::safetensors::save(&old_names, dir.path().join("adapter_model.safetensors")).unwrap();
        let old = with_adapter(&family, dir.path(), true);
        assert_eq!(old.vars().keys().collect::<Vec<_>>(), vlm.vars().keys().collect::<Vec<_>>());

        vlm.save_adapter(dir.path(), "tiny").unwrap();
        let mut other = Vlm::random(vlm.config().clone(), 1, &LoadOptions::default()).unwrap();
        let error = other.load_adapter(dir.path(), false).unwrap_err();
        assert!(error.message.contains(&vlm.base_digest().unwrap()[..12]), "{error}");
        assert!(error.message.contains(&other.base_digest().unwrap()[..12]), "{error}");
    }
}

#[test]
fn misfits_are_refused() {
    let family = &support::families()[0];
    let folder = family.join("lora_adapter");
    let mut vlm = Vlm::load(&family.join("ckpt"), &LoadOptions::default()).unwrap();
    for (key, value, word) in [
        ("use_dora", serde_json::json!(true), "DoRA"),
        ("modules_to_save", serde_json::json!(["lm_head"]), "modules_to_save"),
        ("r", serde_json::json!(7), "needs A [7,"),
        ("rank_pattern", serde_json::json!({"q_proj": 3}), "q_proj"),
    ] {
        let folder = changed(&folder, key, value);
        let error = vlm.load_adapter(folder.path(), false).unwrap_err();
        assert!(error.message.contains(word), "{key}: {error}");
    }
    assert!(vlm.adapter_spec().is_none(), "a refused adapter must not stay");
}

/// A fresh adapter changes nothing, and dropout follows its own stream.
#[test]
fn fresh_adapter_and_dropout() {
    let family = &support::families()[0];
    let spec = LoraSpec { r: 4, dropout: 0.5, ..Default::default() };
    let options = LoadOptions { trainable: Trainable::Lora(spec), ..Default::default() };
    let base = Vlm::load(&family.join("ckpt"), &LoadOptions::default()).unwrap();
    let vlm = Vlm::load(&family.join("ckpt"), &options).unwrap();
    let case = Case::read(family, "case_text_only.safetensors", vlm.config()).unwrap();
    let batch = case.batch(vlm.config());
    let hidden = |vlm: &Vlm| vlm.forward(&batch, None, None, None).unwrap().detach();
    assert_eq!(support::max_diff(&hidden(&vlm), &hidden(&base)).0, 0.);
    for (name, var) in vlm.vars().iter().filter(|(name, _)| name.contains("lora_B")) {
        var.set(&var.ones_like().unwrap()).unwrap_or_else(|e| panic!("{name}: {e}"));
    }
    let plain = hidden(&vlm);
    let with = |seed: u64| {
        vlm.set_dropout(Some(reinsman::streams::Stream::new(seed, "dropout")));
        let out = hidden(&vlm);
        vlm.set_dropout(None);
        out
    };
    assert!(support::max_diff(&plain, &with(1)).0 > 0.);
    assert_eq!(support::max_diff(&with(1), &with(1)).0, 0.);
    assert!(support::max_diff(&with(1), &with(2)).0 > 0.);
    assert_eq!(support::max_diff(&plain, &hidden(vlm.frozen().unwrap())).0, 0.);
}
