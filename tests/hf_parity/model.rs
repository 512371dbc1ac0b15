//! Forward passes: positions, vision blocks, text layers, logits, padding, several pictures, both config layouts.

use crate::{case::Case, support};
use candle_core::{DType, Tensor};
use reinsman::vlm::{LoadOptions, Trace, Vlm, VlmConfig};
use std::{collections::BTreeSet, path::Path};

/// Files of a family that hold a forward case.
fn case_files(family: &Path) -> Vec<String> {
    let mut files: Vec<String> = std::fs::read_dir(family)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("case_") && name.ends_with(".safetensors"))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "no case in {}", family.display());
    files
}

fn check_positions(what: &str, case: &Case, vlm: &Vlm) {
    let batch = case.batch(vlm.config());
    let want: Vec<i64> = case.tensors["position_ids"].flatten_all().unwrap().to_vec1().unwrap();
    assert_eq!(batch.positions.concat(), want, "{what}: position_ids");
    let deltas: Vec<i64> = case.tensors["rope_deltas"].flatten_all().unwrap().to_vec1().unwrap();
    assert_eq!(batch.deltas, deltas, "{what}: rope_deltas");
}

/// Runs a case and compares every expected tensor; returns the names that were compared.
fn check_forward(what: &str, case: &Case, vlm: &Vlm) -> BTreeSet<String> {
    let batch = case.batch(vlm.config());
    let mut trace = Trace::default();
    let images = case.images(vlm, Some(&mut trace));
    let hidden = vlm.forward(&batch, images.as_ref(), None, Some(&mut trace)).unwrap();
    trace.tensors.insert("logits".into(), vlm.logits(&hidden).unwrap());
    let mut compared = BTreeSet::new();
    for (name, want) in &case.tensors {
        if name == "logits" || name.starts_with("text.") {
            let got = trace.tensors.get(name).unwrap_or_else(|| panic!("{what}: {name} is not computed"));
            case.assert_tail(&format!("{what}: {name}"), &batch, got, want, 2e-4);
            compared.insert(name.clone());
        } else if name.starts_with("vision.") {
            let got = trace.tensors.get(name).unwrap_or_else(|| panic!("{what}: {name} is not computed"));
            support::assert_close(&format!("{what}: {name}"), got, want, 2e-4);
            compared.insert(name.clone());
        }
    }
    assert!(compared.contains("logits"), "{what}: no logits to compare");
    compared
}

#[test]
fn every_case_forward() {
    for family in support::families() {
        let vlm = Vlm::load(&family.join("ckpt"), &LoadOptions::default()).unwrap();
        let mut runs = 0;
        for file in case_files(&family) {
            let what = format!("{} {file}", family.display());
            let case = Case::read(&family, &file, vlm.config()).unwrap();
            check_positions(&what, &case, &vlm);
            check_forward(&what, &case, &vlm);
            runs += 1;
        }
        assert!(runs > 0, "{}: no case could be run", family.display());
    }
}

#[test]
fn training_batch_positions() {
    for family in support::families() {
        let vlm = Vlm::load(&family.join("ckpt"), &LoadOptions::default()).unwrap();
        let Some(case) = Case::read(&family, "sft.safetensors", vlm.config()) else { continue };
        check_positions(&format!("{} sft", family.display()), &case, &vlm);
    }
}

#[test]
fn resaved_config_is_the_same_model() {
    for family in support::families() {
        let Ok(bytes) = std::fs::read(family.join("ckpt/config.v5.json")) else { continue };
        let old = VlmConfig::load(&family.join("ckpt")).unwrap();
        let new = VlmConfig::parse(&bytes).unwrap();
        assert_eq!(old, new, "{}", family.display());
    }
}

/// Loading the tensors under the other generation of names gives the same logits.
#[test]
fn other_spelling_of_names() {
    for family in support::families() {
        let ckpt = family.join("ckpt");
        let vlm = Vlm::load(&ckpt, &LoadOptions::default()).unwrap();
        let renamed = support::tensors(&ckpt.join("model.safetensors")).unwrap().into_iter().map(|(name, tensor)| {
            let new = match (name.strip_prefix("model.language_model."), name.strip_prefix("model.visual.")) {
                (Some(rest), _) => format!("model.{rest}"),
                (_, Some(rest)) => format!("visual.{rest}"),
                _ if name.starts_with("model.") => name.replacen("model.", "model.language_model.", 1),
                _ if name.starts_with("visual.") => format!("model.{name}"),
                _ => name,
            };
            (new, tensor)
        });
        let other = Vlm::from_tensors(vlm.config().clone(), renamed.collect(), &LoadOptions::default()).unwrap();
        let case = Case::read(&family, "case_text_only.safetensors", vlm.config()).unwrap();
        let batch = case.batch(vlm.config());
        let hidden = |vlm: &Vlm| vlm.forward(&batch, None, None, None).unwrap();
        let (diff, _) = support::max_diff(&hidden(&vlm), &hidden(&other));
        assert_eq!(diff, 0., "{}", family.display());
    }
}

/// bf16 is a different computation: it must run and stay near.
#[test]
fn bf16_stays_near() {
    for family in support::families() {
        let options = LoadOptions { dtype: DType::BF16, ..Default::default() };
        let half = Vlm::load(&family.join("ckpt"), &options).unwrap();
        let full = Vlm::load(&family.join("ckpt"), &LoadOptions::default()).unwrap();
        let cases = ["case_single.safetensors", "case_text_only.safetensors"];
        let mut cases = cases.iter().filter_map(|file| Case::read(&family, file, half.config()));
        let case = cases.next().expect("a case");
        let batch = case.batch(half.config());
        let logits = |vlm: &Vlm| {
            let images = case.images(vlm, None);
            vlm.logits(&vlm.forward(&batch, images.as_ref(), None, None).unwrap()).unwrap()
        };
        let (diff, _) = support::max_diff(&logits(&half), &logits(&full));
        assert!(diff < 1. && diff > 0., "{}: bf16 differs by {diff}", family.display());
    }
}

/// What is saved loads back to the same numbers under the same names.
#[test]
fn save_round_trip() {
    for family in support::families() {
        let dir = tempfile::tempdir().unwrap();
        let ckpt = family.join("ckpt");
        let vlm = Vlm::load(&ckpt, &LoadOptions::default()).unwrap();
        vlm.save(&dir.path().join("model.safetensors"), DType::F32).unwrap();
        let before = support::tensors(&ckpt.join("model.safetensors")).unwrap();
        let after = support::tensors(&dir.path().join("model.safetensors")).unwrap();
        assert_eq!(before.keys().collect::<BTreeSet<_>>(), after.keys().collect::<BTreeSet<_>>());
        for (name, tensor) in &before {
            assert_eq!(support::max_diff(tensor, &after[name]).0, 0., "{name}");
        }
    }
}

/// A checkpoint in two files with an index is the same model.
#[test]
fn sharded_checkpoint() {
    let family = &support::families()[0];
    let dir = tempfile::tempdir().unwrap();
    let tensors = support::tensors(&family.join("ckpt/model.safetensors")).unwrap();
    let mut shards = [std::collections::HashMap::new(), std::collections::HashMap::new()];
    let mut map = serde_json::Map::new();
    for (i, (name, tensor)) in tensors.into_iter().enumerate() {
        map.insert(name.clone(), format!("part-{}.safetensors", i % 2).into());
        shards[i % 2].insert(name, tensor);
    }
    for (i, shard) in shards.iter().enumerate() {
        candle_core::safetensors::save(shard, dir.path().join(format!("part-{i}.safetensors"))).unwrap();
    }
    let index = serde_json::json!({"weight_map": map});
    std::fs::write(dir.path().join("model.safetensors.index.json"), index.to_string()).unwrap();
    std::fs::copy(family.join("ckpt/config.json"), dir.path().join("config.json")).unwrap();
    let whole = Vlm::load(&family.join("ckpt"), &LoadOptions::default()).unwrap();
    let parts = Vlm::load(dir.path(), &LoadOptions::default()).unwrap();
    assert_eq!(whole.base_digest().unwrap(), parts.base_digest().unwrap());
}

/// Missing and misshapen tensors are named.
#[test]
fn bad_checkpoints_are_explained() {
    let family = &support::families()[0];
    let config = VlmConfig::load(&family.join("ckpt")).unwrap();
    let tensors = support::tensors(&family.join("ckpt/model.safetensors")).unwrap();
    let victim = tensors.keys().find(|name| name.ends_with("layers.0.mlp.up_proj.weight")).unwrap().clone();
    let load = |tensors| Vlm::from_tensors(config.clone(), tensors, &LoadOptions::default()).unwrap_err();

    let mut missing = tensors.clone();
    missing.remove(&victim);
    let error = load(missing);
    assert!(error.message.contains("layers.0.mlp.up_proj.weight"), "{error}");
    assert!(error.hint.unwrap().contains("mlp.up_proj.weight"));

    let mut bent = tensors.clone();
    bent.insert(victim.clone(), Tensor::zeros((3, 5), DType::F32, &candle_core::Device::Cpu).unwrap());
    let error = load(bent);
    assert!(error.message.contains(&victim) && error.message.contains("[3, 5]"), "{error}");
}
