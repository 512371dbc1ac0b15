//! Quantized bases: what they compute is what their dequantized weights compute, adapters learn through them, and the copy on
//! disk is taken only when it is the right one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, dead_code)]

#[path = "hf_parity/case.rs"]
mod case;
#[path = "hf_parity/support.rs"]
mod support;
mod toy;

use candle_core::{Device, Tensor};
use case::Case;
use reinsman::{
    streams::Stream,
    vlm::{
        ImageFeatures, LoadOptions, LoraSpec, Targets, Trainable, Vlm, VlmConfig, Weight, init, model,
        quant::{Kind, store},
    },
};
use std::{collections::HashMap, path::Path};

/// The family's configuration with widths that every block format divides.
fn wide(family: &Path) -> VlmConfig {
    let mut json = support::json(&family.join("ckpt/config.json")).unwrap();
    let nested = json.get("text_config").is_some();
    let text = if nested { &mut json["text_config"] } else { &mut json };
    let head_dim = text["head_dim"].as_u64();
    let width = text["hidden_size"].as_u64().unwrap() / text["num_attention_heads"].as_u64().unwrap();
    text["hidden_size"] = 256.into();
    text["intermediate_size"] = 512.into();
    if head_dim.is_none() {
        text["num_attention_heads"] = (256 / width).into();
    }
    let vision = &mut json["vision_config"];
    let out = if vision.get("out_hidden_size").is_some() { "out_hidden_size" } else { "hidden_size" };
    vision[out] = 256.into();
    VlmConfig::parse(json.to_string().as_bytes()).unwrap()
}

fn options(kind: Kind, trainable: Trainable) -> LoadOptions {
    let quant = Some(store::Options { cache: None, ..store::Options::new(kind) });
    LoadOptions { quant, trainable, ..LoadOptions::default() }
}

/// The same numbers without blocks.
fn dequantized(config: &VlmConfig, quantized: &Vlm, trainable: Trainable) -> Vlm {
    let names = model::layout(config).unwrap().tensors;
    let tensors = names.into_iter().map(|(name, _)| {
        let tensor = quantized.weight(&name).unwrap().to_dense().unwrap();
        (name, tensor)
    });
    let tensors: HashMap<String, Tensor> = tensors.collect();
    Vlm::from_tensors(config.clone(), tensors, &LoadOptions { trainable, ..LoadOptions::default() }).unwrap()
}

fn images(vlm: &Vlm, case: &Case) -> ImageFeatures {
    let patches: usize = case.grids.iter().map(|grid| grid.iter().product::<usize>()).sum();
    let width = vlm.config().vision.patch_len();
    let pixels = Stream::new(3, "pixels").normals(patches * width, 1.);
    vlm.encode_images(&Tensor::from_vec(pixels, (patches, width), &Device::Cpu).unwrap(), &case.grids).unwrap()
}

/// (logits, gradients by name) of the training batch.
fn learned(vlm: &Vlm, case: &Case, images: &ImageFeatures) -> (Tensor, HashMap<String, Tensor>) {
    let batch = case.batch(vlm.config());
    let hidden = vlm.forward(&batch, Some(images), None, None).unwrap();
    let targets = Targets::select(&batch, |_, _| true);
    let (logps, _) = vlm.token_logps(&hidden, &targets.rows, &targets.ids, 0.9).unwrap();
    let grads = logps.mean_all().unwrap().neg().unwrap().backward().unwrap();
    let of = |name: &str| grads.get(&vlm.vars()[name]).unwrap_or_else(|| panic!("{name} has no gradient")).clone();
    let grads = vlm.vars().keys().map(|name| (name.clone(), of(name))).collect();
    (vlm.logits(&hidden).unwrap(), grads)
}

fn largest(t: &Tensor) -> f32 {
    t.abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap()
}

/// A LoRA whose B is not zero, so that both halves learn.
fn stir(vlm: &Vlm) {
    for (name, var) in vlm.vars() {
        let values = Stream::new(5, name).normals(var.elem_count(), 0.05);
        var.set(&Tensor::from_vec(values, var.shape(), &Device::Cpu).unwrap()).unwrap();
    }
}

#[test]
fn a_quantized_base_teaches_as_its_dequantized_weights_do() {
    for family in support::families() {
        for kind in Kind::ALL {
            let config = wide(&family);
            let case = Case::read(&family, "sft.safetensors", &config).expect("a training batch");
            let what = format!("{} {}", family.display(), kind.name());
            let lora = || Trainable::Lora(LoraSpec { r: 4, ..LoraSpec::default() });
            let quantized = Vlm::random(config.clone(), 11, &options(kind, lora())).unwrap();
            let packed = |name: &str| matches!(quantized.weight(name), Some(Weight::Quant(w)) if w.kind() == kind);
            assert!(packed("model.language_model.layers.0.mlp.down_proj.weight"), "{what}");
            let dense = dequantized(&config, &quantized, lora());
            for vlm in [&quantized, &dense] {
                stir(vlm);
            }
            let images = images(&dense, &case);
            let (logits, grads) = learned(&quantized, &case, &images);
            let (want, want_grads) = learned(&dense, &case, &images);
            let (off, _) = support::max_diff(&logits, &want);
            assert!(off <= 1e-3, "{what}: logits differ by {off}");
            for (name, want) in &want_grads {
                let (top, (off, _)) = (largest(want), support::max_diff(&grads[name], want));
                assert!(top > 0. && top.is_finite(), "{what}: {name} learns nothing");
                assert!(off <= 1e-4 * top, "{what}: {name} differs by {off} of {top}");
            }
        }
    }
}

#[test]
fn the_tower_may_be_quantized_too() {
    for family in support::families() {
        let config = wide(&family);
        let case = Case::read(&family, "sft.safetensors", &config).expect("a training batch");
        let quantized = Vlm::random(config.clone(), 11, &options(Kind::Q4K, Trainable::None)).unwrap();
        let dense = dequantized(&config, &quantized, Trainable::None);
        let (got, want) = (images(&quantized, &case), images(&dense, &case));
        let (off, _) = support::max_diff(&got.embeds, &want.embeds);
        assert!(off <= 1e-3 * largest(&want.embeds), "{}: {off}", family.display());
        assert!(quantized.formats().iter().any(|(format, ..)| format == "q8_0"), "{:?}", quantized.formats());
        assert!(quantized.weight_bytes() * 3 < dense.weight_bytes(), "{:?}", quantized.formats());
    }
}

#[test]
fn full_training_of_frozen_blocks_is_refused() {
    let family = &support::families()[0];
    let refused = Vlm::random(wide(family), 1, &options(Kind::Q8_0, Trainable::All)).unwrap_err();
    assert_eq!(refused.kind.exit_code(), 2, "{refused}");
    // Chosen tensors stay dense and trainable, the rest is quantized.
    let some = Trainable::Matching(r"^model\.visual\.".into());
    let vlm = Vlm::random(wide(family), 1, &options(Kind::Q8_0, some)).unwrap();
    assert!(vlm.vars().keys().all(|name| name.contains("visual")) && !vlm.vars().is_empty());
    assert!(matches!(vlm.weight("model.language_model.embed_tokens.weight"), Some(Weight::Quant(_))));
}

#[test]
fn the_copy_on_disk_is_used_and_made_again_when_damaged() {
    let dir = tempfile::tempdir().unwrap();
    let config = wide(&support::families()[0]);
    let tensors = init::random_tensors(&config, &model::layout(&config).unwrap(), 3).unwrap();
    let file = dir.path().join("model.safetensors");
    candle_core::safetensors::save(&tensors, &file).unwrap();
    let load = || {
        let quant = store::Options { cache: Some(dir.path().join("cache")), ..store::Options::new(Kind::Q4K) };
        let weights = reinsman::vlm::weights::Weights::open(dir.path()).unwrap();
        Vlm::from_weights(config.clone(), &weights, &LoadOptions { quant: Some(quant), ..Default::default() })
    };
    let kept = || {
        let entries = std::fs::read_dir(dir.path().join("cache")).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect::<Vec<_>>()
    };
    let bytes = |vlm: &Vlm| vlm.to_bytes(candle_core::DType::F32).unwrap();
    let first = bytes(&load().unwrap());
    let [copy] = &kept()[..] else { panic!("one copy, complete: {:?}", kept()) };
    let changed = std::fs::metadata(copy).unwrap().modified().unwrap();
    assert_eq!(bytes(&load().unwrap()), first);
    assert_eq!(std::fs::metadata(copy).unwrap().modified().unwrap(), changed, "not made again");
    let whole = std::fs::read(copy).unwrap();
    for length in [0, 7, 64, whole.len() / 2, whole.len() - 1] {
        std::fs::write(copy, &whole[..length]).unwrap();
        assert_eq!(bytes(&load().unwrap()), first, "cut at {length}");
        assert_eq!(std::fs::read(copy).unwrap().len(), whole.len());
    }
    // Other weights are other copies; broken ones are refused and leave none.
    let name = "model.language_model.layers.0.mlp.up_proj.weight";
    let mut other = tensors.clone();
    other.insert(name.into(), (&tensors[name] * 2.).unwrap());
    candle_core::safetensors::save(&other, &file).unwrap();
    assert_ne!(bytes(&load().unwrap()), first);
    assert_eq!(kept().len(), 2);
    other.insert(name.into(), (&tensors[name] / 0.).unwrap());
    candle_core::safetensors::save(&other, &file).unwrap();
    let failure = load().unwrap_err();
    assert!(failure.message.contains(name) && failure.kind.exit_code() == 3, "{failure}");
    assert_eq!(kept().len(), 2, "{:?}", kept());
}

#[test]
fn an_unwritable_cache_is_done_without() {
    let dir = tempfile::tempdir().unwrap();
    let config = wide(&support::families()[0]);
    let tensors = init::random_tensors(&config, &model::layout(&config).unwrap(), 3).unwrap();
    candle_core::safetensors::save(&tensors, dir.path().join("model.safetensors")).unwrap();
    std::fs::write(dir.path().join("cache"), "a file where the folder should be").unwrap();
    let quant = store::Options { cache: Some(dir.path().join("cache")), ..store::Options::new(Kind::Q8_0) };
    let weights = reinsman::vlm::weights::Weights::open(dir.path()).unwrap();
    let options = LoadOptions { quant: Some(quant), ..LoadOptions::default() };
    let vlm = Vlm::from_weights(config, &weights, &options).unwrap();
    assert_eq!(vlm.quant(), Some(Kind::Q8_0));
}

/// QLoRA through the binary: train, answer and score with the run, whose base is quantized as it was in training.
#[test]
fn the_program_trains_and_answers_on_quantized_weights() {
    let toy = toy::Toy::new();
    let mut args = toy.sft("run", &["sft.max_steps=3", "sft.learning_rate=0.01", "lora.r=4"]);
    args.extend(["--quant".into(), "q8_0".into()]);
    toy.run(&args).ok();
    let (run, data) = (toy.text("run"), toy.text("train.jsonl"));
    toy.run(&["eval", "--model", &run, "--data", &data, "--out", &toy.text("eval")]).ok();
    let frame = toy.text("frame0.png");
    toy.run(&["plan", &frame, "--model", &run, "--out", &toy.text("plan.png")]).ok();
    toy.run(&["plan", &frame, "--model", &run, "--quant", "none", "--out", &toy.text("plan.png")]).ok();
    let held = toy.run(&["doctor", "--model", &run, "--quant", "q8_0"]).ok().stdout;
    assert!(held.contains("tensors q8_0") && held.contains("tensors f32"), "{held}");
    let refused = toy.run(&["plan", &frame, "--model", &run, "--quant", "q3"]);
    assert!(refused.code == Some(2) && refused.stderr.contains("known are none, q4_k, q6_k and q8_0"));
}
