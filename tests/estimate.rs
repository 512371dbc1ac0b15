//! `sft` says before it loads anything what memory it will take, within 15 % of what it then takes, and refuses what
//! cannot fit.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod toy;

use serde_json::{Value, json};
use toy::{SHAPE, Toy};

/// Records on pictures of 320 x 192 pixels.
fn with_pictures() -> Toy {
    let toy = Toy::new();
    let records: Vec<Value> = (0..10)
        .map(|i| {
            let mut record = toy.record(i);
            let name = format!("large{i}.png");
            image::RgbImage::from_fn(320, 192, |x, y| image::Rgb([x as u8, y as u8, 20 * i as u8]))
                .save(toy.path(&name))
                .unwrap();
            record["images"] = json!([name]);
            record
        })
        .collect();
    toy.write_records("train.jsonl", &records);
    toy
}

/// A planner of another size and family.
fn init(toy: &Toy, name: &str, shape: &Value) {
    let (file, text, out) = (toy.path(&format!("{name}.json")), toy.text("train.jsonl"), toy.text(name));
    std::fs::write(&file, shape.to_string()).unwrap();
    let file = file.display().to_string();
    toy.run(&["init", "--shape", &file, "--text", &text, "--out", &out, "--max-pixels", "61440"]).ok();
}

fn deepstacked() -> Value {
    let mut shape: Value = serde_json::from_str(&std::fs::read_to_string(SHAPE).unwrap()).unwrap();
    let text = json!({"hidden_size": 384, "intermediate_size": 1536, "num_hidden_layers": 4, "head_dim": 64,
        "num_attention_heads": 6, "num_key_value_heads": 2, "vocab_size": 6000});
    let vision = json!({"depth": 3, "hidden_size": 256, "intermediate_size": 1024, "num_heads": 4,
        "out_hidden_size": 384, "deepstack_visual_indexes": [0]});
    for (part, sizes) in [("text_config", text), ("vision_config", vision)] {
        for (key, size) in sizes.as_object().unwrap() {
            shape[part][key] = size.clone();
        }
    }
    shape["text_config"]["rope_scaling"]["mrope_section"] = json!([16, 8, 8]);
    shape
}

fn windowed() -> Value {
    json!({"model_type": "qwen2_5_vl", "hidden_size": 512, "intermediate_size": 1408, "num_hidden_layers": 5,
        "num_attention_heads": 8, "num_key_value_heads": 4, "rms_norm_eps": 1e-6, "rope_theta": 1e6,
        "rope_scaling": {"type": "mrope", "mrope_section": [8, 12, 12]}, "vocab_size": 3000,
        "tie_word_embeddings": false, "max_position_embeddings": 4096,
        "vision_config": {"depth": 2, "hidden_size": 128, "intermediate_size": 512, "num_heads": 4, "in_chans": 3,
        "out_hidden_size": 512, "patch_size": 14, "spatial_merge_size": 2, "temporal_patch_size": 2,
        "window_size": 112, "fullatt_block_indexes": [1], "tokens_per_second": 2}})
}

/// The estimate and the measured peak of a dry run in a process of its own.
#[track_caller]
fn near(toy: &Toy, model: &str, sets: &[&str]) -> [f64; 2] {
    let (path, data) = (toy.text(model), toy.text("train.jsonl"));
    let mut args = vec!["sft", "--model", &path, "--data", &data, "--dry-run", "--json"];
    sets.iter().for_each(|set| args.extend(["--set", set]));
    let json = toy.run(&args).ok().json();
    let [estimated, measured] = [&json["estimate"], &json].map(|from| from["peak_bytes"].as_f64().unwrap());
    let about = format!("{model} {sets:?}: estimated {estimated:e}, measured {measured:e}; {}", json["estimate"]);
    println!("{about}");
    assert!((estimated / measured - 1.0).abs() < 0.15, "{about}");
    assert!(measured > 100e6, "too small to say anything: {about}");
    assert!(json["estimate"]["step_seconds"].as_f64().is_some_and(|s| s > 0.0), "{about}");
    for key in ["parameters", "trainable"] {
        assert_eq!(json["estimate"][key], json[key], "{key}");
    }
    [estimated, measured]
}

#[test]
fn estimates_are_near_what_is_measured() {
    let toy = with_pictures();
    init(&toy, "windowed", &windowed());
    init(&toy, "deepstacked", &deepstacked());
    let eight = "sft.per_device_train_batch_size=8";
    let plain = near(&toy, "windowed", &[eight]);
    let segmented = near(&toy, "windowed", &[eight, "sft.gradient_checkpointing=true"]);
    for (plain, segmented) in plain.iter().zip(&segmented) {
        assert!(*segmented < 0.8 * plain, "checkpointing saves nothing: {segmented:e} of {plain:e}");
    }
    near(
        &toy,
        "windowed",
        &["model.train=text", "sft.gradient_accumulation_steps=2", "sft.gradient_checkpointing=true"],
    );
    near(&toy, "deepstacked", &["model.train=full", "sft.per_device_train_batch_size=4"]);
    near(&toy, "deepstacked", &["lora.lora_dropout=0.1", "lora.r=32", eight]);
    near(&toy, "windowed", &["model.quant=q8_0", "sft.per_device_train_batch_size=6"]);
    near(&toy, "deepstacked", &["model.train=vision", "sft.per_device_train_batch_size=3"]);
}

#[test]
fn what_cannot_fit_is_refused_before_anything_is_loaded() {
    let toy = Toy::new();
    // The weights in the folder are those of a small model: whoever reads them first complains about them.
    let file = toy.path("model/config.json");
    let mut config: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    for (key, size) in [("hidden_size", 8192), ("intermediate_size", 32768), ("num_hidden_layers", 400)] {
        config["text_config"][key] = json!(size);
    }
    config["vision_config"]["out_hidden_size"] = json!(8192);
    std::fs::write(&file, config.to_string()).unwrap();
    let refused = ["training will need about", "are free", "--memory-anyway"];
    toy.run(&toy.sft("run", &[])).fails(4, &refused);
    let dry = [&toy.sft("run", &[])[..], &["--dry-run".into()]].concat();
    let told = toy.run(&dry).fails(4, &refused);
    assert!(told.stdout.contains("estimated  "), "{}", told.stdout);
    let anyway = [&toy.sft("run", &[])[..], &["--memory-anyway".into()]].concat();
    toy.run(&anyway).fails(3, &["training will need about", "has the shape"]);
}
