#![allow(warnings)]
use candle_core::{Device, Tensor};
use reinsman::{
    streams::Stream,
    train::{
        adamw::{AdamW, AdamWOptions},
        clip::clip_coefficient,
        progress::peak_bytes,
        segment::Pass,
    },
    vlm::{Batch, LoadOptions, LoraSpec, Row, Targets, Trainable, Visual, Vlm, VlmConfig},
};
use std::time::Instant;
fn cpu() -> f64 {
    let s = std::fs::read_to_string("/proc/self/stat").unwrap();
    let v: Vec<&str> = s.rsplit(')').next().unwrap().split_whitespace().collect();
    (v[11].parse::<f64>().unwrap() + v[12].parse::<f64>().unwrap()) / 100.
}
fn main() {
    reinsman::vlm::ops::keep_heap();
    let a: Vec<String> = std::env::args().collect();
    let ck = a[1] == "1";
    let kind = a[2].as_str();
    let steps: usize = a[3].parse().unwrap();
    let config = VlmConfig::from_json(
        &serde_json::from_str(&std::fs::read_to_string("/work/shared/bench/small_50m/config.json").unwrap()).unwrap(),
    )
    .unwrap();
    let trainable = match kind {
        "full" => Trainable::All,
        _ => Trainable::Lora(LoraSpec::default()),
    };
    let vlm = Vlm::random(config.clone(), 1, &LoadOptions { trainable, ..Default::default() }).unwrap();
    for (name, var) in vlm.vars().iter().filter(|(n, _)| n.contains("lora_B")) {
        let d = Stream::new(4, name).normals(var.elem_count(), 0.02);
        var.set(&Tensor::from_vec(d, var.dims(), &Device::Cpu).unwrap()).unwrap();
    }
    eprintln!("loaded {} MB", peak_bytes().unwrap() >> 20);
    let width = config.vision.patch_len();
    let pixels = Tensor::from_vec(Stream::new(3, "p").normals(2048 * width, 1.), (2048, width), &Device::Cpu).unwrap();
    let grids = [[1, 32, 32], [1, 32, 32]];
    let mut ids: Vec<u32> = (0..16).map(|i| 10 + i).collect();
    ids.push(1043);
    ids.extend([1046; 256]);
    ids.push(1044);
    ids.extend((0..110).map(|i| 30 + i * 7));
    let visuals = [Visual::image([1, 32, 32])];
    let row = Row::new(&ids, &visuals);
    let mut adam = AdamW::new(vlm.vars(), AdamWOptions::default()).unwrap();
    for step in 0..steps {
        let (t, c) = (Instant::now(), cpu());
        let model = if kind == "full" { &vlm } else { vlm.frozen().unwrap() };
        let images = model.encode_images(&pixels, &grids).unwrap();
        let c1 = cpu();
        let batch = Batch::right_padded(&config, &[row, row], 0).unwrap();
        let targets = Targets::select(&batch, |_, t| t >= 314);
        let pass = Pass { vlm: &vlm, batch: &batch, images: Some(&images), vars: vlm.vars(), checkpointing: ck };
        let (loss, g) = pass
            .gradients(|h, _| Ok(vlm.token_logps(h, &targets.rows, &targets.ids, 1.)?.0.mean_all()?.neg()?))
            .unwrap();
        let c2 = cpu();
        let n = g.norm().unwrap();
        let _ = adam.step(&g, 1e-4, clip_coefficient(n, 1.)).unwrap();
        eprintln!(
            "step {step} loss {loss:.5} norm {n:.5} wall {:.3} cpu {:.2} (vision {:.2}, fwd+bwd {:.2}) peak {} MB",
            t.elapsed().as_secs_f64(),
            cpu() - c,
            c1 - c,
            c2 - c1,
            peak_bytes().unwrap() >> 20
        );
    }
}
