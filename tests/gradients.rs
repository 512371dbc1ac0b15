//! Every trainable tensor of every family gets a finite, non-zero gradient, in full training and with adapters.
//!
//! candle's fused operations drop the graph without an error, so whatever lies below one silently never learns.
//! Pixels are drawn, not read: only shapes matter here.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, dead_code)]

#[path = "hf_parity/case.rs"]
mod case;
#[path = "hf_parity/support.rs"]
mod support;

use candle_core::{DType, Device, Tensor};
use case::Case;
use reinsman::{
    streams::Stream,
    vlm::{LoadOptions, LoraSpec, Targets, Trainable, Vlm, lora::Targets as Layers},
};

/// Mean loss of every token of the training batch, on drawn pixels.
fn loss(vlm: &Vlm, case: &Case) -> Tensor {
    let patches: usize = case.grids.iter().map(|grid| grid.iter().product::<usize>()).sum();
    let width = vlm.config().vision.patch_len();
    let pixels = Stream::new(3, "pixels").normals(patches * width, 1.);
    let pixels = Tensor::from_vec(pixels, (patches, width), &Device::Cpu).unwrap();
    let images = vlm.encode_images(&pixels, &case.grids).unwrap();
    let batch = case.batch(vlm.config());
    let hidden = vlm.forward(&batch, Some(&images), None, None).unwrap();
    let targets = Targets::select(&batch, |_, _| true);
    vlm.token_logps(&hidden, &targets.rows, &targets.ids, 1.).unwrap().0.mean_all().unwrap().neg().unwrap()
}

fn assert_all_learn(what: &str, vlm: &Vlm, case: &Case) {
    let grads = loss(vlm, case).backward().unwrap();
    for (name, var) in vlm.vars() {
        let grad = grads.get(var).unwrap_or_else(|| panic!("{what}: {name} has no gradient"));
        assert_eq!(grad.dims(), var.dims(), "{what}: {name}");
        let values = grad.to_dtype(DType::F32).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert!(values.iter().all(|x| x.is_finite()), "{what}: {name} has a gradient that is not finite");
        assert!(values.iter().any(|x| *x != 0.), "{what}: {name} has a gradient of zeros");
    }
}

fn each_family(test: impl Fn(&str, &std::path::Path, &Case)) {
    for family in support::families() {
        let config = reinsman::vlm::VlmConfig::load(&family.join("ckpt")).unwrap();
        let case = Case::read(&family, "sft.safetensors", &config).expect("a training batch");
        test(&family.display().to_string(), &family.join("ckpt"), &case);
    }
}

#[test]
fn full_training() {
    each_family(|what, ckpt, case| {
        let options = LoadOptions { trainable: Trainable::All, ..Default::default() };
        let vlm = Vlm::load(ckpt, &options).unwrap();
        let tensors = support::tensors(&ckpt.join("model.safetensors")).unwrap();
        assert_eq!(vlm.vars().len(), tensors.len(), "{what}: every tensor is trained");
        assert_all_learn(what, &vlm, case);
    });
}

#[test]
fn full_training_in_bf16() {
    each_family(|what, ckpt, case| {
        let options = LoadOptions { trainable: Trainable::All, dtype: DType::BF16, ..Default::default() };
        let vlm = Vlm::load(ckpt, &options).unwrap();
        assert!(vlm.vars().values().all(|var| var.dtype() == DType::F32), "{what}: master weights are f32");
        assert_all_learn(what, &vlm, case);
    });
}

#[test]
fn adapters_on_all_linear_layers() {
    each_family(|what, ckpt, case| {
        for targets in [LoraSpec::default().target_modules, Layers::Regex("all-linear".into())] {
            let spec = LoraSpec { r: 3, target_modules: targets, ..Default::default() };
            let vlm = Vlm::load(ckpt, &LoadOptions { trainable: Trainable::Lora(spec), ..Default::default() }).unwrap();
            // B starts at zero, which hides A's gradient.
            for (name, var) in vlm.vars().iter().filter(|(name, _)| name.contains("lora_B")) {
                let drawn = Stream::new(4, name).normals(var.elem_count(), 0.1);
                var.set(&Tensor::from_vec(drawn, var.dims(), &Device::Cpu).unwrap()).unwrap();
            }
            assert!(!vlm.vars().is_empty() && vlm.vars().keys().all(|name| name.contains("lora_")), "{what}");
            assert_all_learn(what, &vlm, case);
        }
    });
}

#[test]
fn chosen_tensors_only() {
    each_family(|what, ckpt, case| {
        let trainable = Trainable::Matching(r"visual\.merger".into());
        let vlm = Vlm::load(ckpt, &LoadOptions { trainable, ..Default::default() }).unwrap();
        assert!(!vlm.vars().is_empty() && vlm.vars().keys().all(|name| name.contains("visual.merger")), "{what}");
        assert_all_learn(what, &vlm, case);
    });
}

/// A random model of the same shape learns everywhere too: no tensor starts where it is stuck.
#[test]
fn random_weights_learn() {
    each_family(|what, ckpt, case| {
        let config = reinsman::vlm::VlmConfig::load(ckpt).unwrap();
        let options = LoadOptions { trainable: Trainable::All, ..Default::default() };
        let vlm = Vlm::random(config.clone(), 5, &options).unwrap();
        let start = loss(&vlm, case).to_vec0::<f32>().unwrap();
        let uniform = (config.text.vocab_size as f32).ln();
        assert!((start - uniform).abs() < 2., "{what}: first loss {start}, a uniform guess has {uniform}");
        assert_all_learn(what, &vlm, case);
        let again = Vlm::random(config.clone(), 5, &options).unwrap();
        assert_eq!(vlm.base_digest().unwrap(), again.base_digest().unwrap());
        assert_ne!(vlm.base_digest().unwrap(), Vlm::random(config, 6, &options).unwrap().base_digest().unwrap());
    });
}

/// The frozen view records no graph and sees updates.
#[test]
fn frozen_view() {
    each_family(|what, ckpt, case| {
        let vlm = Vlm::load(ckpt, &LoadOptions { trainable: Trainable::All, ..Default::default() }).unwrap();
        let frozen = vlm.frozen().unwrap();
        let before = loss(frozen, case);
        assert!(!before.track_op(), "{what}: the frozen view records a graph");
        for var in vlm.vars().values() {
            var.set(&(var.as_detached_tensor() * 0.5).unwrap()).unwrap();
        }
        let (after, trained) = (loss(frozen, case), loss(&vlm, case));
        assert_eq!(after.to_vec0::<f32>().unwrap(), trained.to_vec0::<f32>().unwrap(), "{what}");
        assert_ne!(after.to_vec0::<f32>().unwrap(), before.to_vec0::<f32>().unwrap(), "{what}");
    });
}

/// Frames of a video are encoded like single pictures, and pictures do not see each other.
#[test]
fn frames_and_pictures_are_independent() {
    each_family(|what, ckpt, _| {
        let vlm = Vlm::load(ckpt, &LoadOptions::default()).unwrap();
        let (merge, width) = (vlm.config().vision.spatial_merge_size, vlm.config().vision.patch_len());
        for (h, w) in [(4 * merge, 5 * merge), (9 * merge, merge), (merge, 8 * merge)] {
            let pixels = Stream::new(8, what).normals(2 * h * w * width, 1.);
            let pixels = Tensor::from_vec(pixels, (2 * h * w, width), &Device::Cpu).unwrap();
            let video = vlm.encode_images(&pixels, &[[2, h, w]]).unwrap();
            let pair = vlm.encode_images(&pixels, &[[1, h, w], [1, h, w]]).unwrap();
            let alone = vlm.encode_images(&pixels.narrow(0, h * w, h * w).unwrap(), &[[1, h, w]]).unwrap();
            let tokens = h * w / (merge * merge);
            support::assert_close(what, &video.embeds, &pair.embeds, 1e-5);
            support::assert_close(what, &pair.embeds.narrow(0, tokens, tokens).unwrap(), &alone.embeds, 1e-5);
            for (a, b) in video.deepstack.iter().zip(&pair.deepstack) {
                support::assert_close(what, a, b, 1e-5);
            }
        }
        assert!(
            vlm.encode_images(&Tensor::zeros((4, width), DType::F32, &Device::Cpu).unwrap(), &[[1, 3, 1]]).is_err()
        );
    });
}

/// Other shapes than the fixtures': head tied or not, no or other DeepStack blocks, small and large windows.
#[test]
fn variations_learn() {
    each_family(|what, ckpt, case| {
        let json = support::json(&ckpt.join("config.json")).unwrap();
        for (place, key, value) in [
            ("", "tie_word_embeddings", serde_json::json!(true)),
            ("", "tie_word_embeddings", serde_json::json!(false)),
            ("/vision_config", "deepstack_visual_indexes", serde_json::json!([])),
            ("/vision_config", "deepstack_visual_indexes", serde_json::json!([0, 1])),
            ("/vision_config", "window_size", serde_json::json!(28)),
            ("/vision_config", "window_size", serde_json::json!(1120)),
            ("/vision_config", "fullatt_block_indexes", serde_json::json!([])),
            ("/text_config", "attention_bias", serde_json::json!(true)),
        ] {
            let mut json = json.clone();
            let Some(table) = json.pointer_mut(place) else { continue };
            table[key] = value.clone();
            let config = reinsman::vlm::VlmConfig::from_json(&json).unwrap();
            let options = LoadOptions { trainable: Trainable::All, ..Default::default() };
            let vlm = Vlm::random(config, 5, &options).unwrap();
            assert_all_learn(&format!("{what} {key} {value}"), &vlm, case);
        }
    });
}
