//! throwaway
#![allow(clippy::all, missing_docs)]
use candle_core::{Device, Tensor};
use reinsman::{
    streams::Stream,
    vlm::{generate::greedy, sampling::SamplingParams, *},
};
fn cpu() -> f64 {
    let s = std::fs::read_to_string("/proc/self/schedstat").unwrap();
    let _ = s;
    let mut total = 0u64;
    for t in std::fs::read_dir("/proc/self/task").unwrap() {
        let p = t.unwrap().path().join("schedstat");
        if let Ok(s) = std::fs::read_to_string(p) {
            total += s.split_whitespace().next().unwrap().parse::<u64>().unwrap();
        }
    }
    total as f64 * 1e-9
}
fn prompt(config: &VlmConfig, seed: u64, text: usize) -> Vec<u32> {
    let mut s = Stream::new(seed, "p");
    let mut ids: Vec<u32> = (0..16).map(|_| s.below(1000) as u32).collect();
    ids.push(1043);
    ids.extend(std::iter::repeat_n(config.image_token_id, 256));
    ids.push(1044);
    ids.extend((0..text - 18).map(|_| s.below(1000) as u32));
    ids
}
fn main() {
    ops::keep_heap();
    let dir = std::path::Path::new("/work/shared/bench/small_50m");
    let config = VlmConfig::load(dir).unwrap();
    let vlm = Vlm::random(config.clone(), 1, &LoadOptions::default()).unwrap();
    let what: Vec<String> = std::env::args().skip(1).collect();
    let grid = [1usize, 32, 32];
    let visuals = [Visual::image(grid)];
    let pixels = |n: usize| {
        let mut s = Stream::new(3, "x");
        Tensor::from_vec(s.normals(n * 1024 * 1176, 1.), (n * 1024, 1176), &Device::Cpu).unwrap()
    };
    for round in 0..3 {
        if what.iter().any(|w| w == "decode") {
            for b in [1usize, 8] {
                let prompts: Vec<Vec<u32>> = (0..b).map(|i| prompt(&config, i as u64, 128)).collect();
                let rows: Vec<Row> = prompts.iter().map(|ids| Row { ids, visuals: &visuals }).collect();
                let batch = Batch::left_padded(&config, &rows, 0).unwrap();
                let images = vlm.encode_images(&pixels(b), &vec![grid; b]).unwrap();
                let mut at = (0., std::time::Instant::now());
                let opts = GenerateOptions { max_new_tokens: 65, ..Default::default() };
                let mut n = 0;
                let out = vlm
                    .generate(&batch, Some(&images), &opts, &mut greedy, &mut |t| {
                        n += 1;
                        if t.index == 0 && t.row == b - 1 {
                            at = (cpu(), std::time::Instant::now());
                        }
                        Flow::Continue
                    })
                    .unwrap();
                println!(
                    "round {round} decode b{b}: {:.3} CPU-s {:.3} wall, {} tokens, {:?}",
                    cpu() - at.0,
                    at.1.elapsed().as_secs_f64(),
                    n,
                    &out[0].ids[..5]
                );
            }
        }
        if what.iter().any(|w| w == "rollout") {
            let ids = prompt(&config, 0, 427 - 256);
            let px = pixels(1);
            let (c, w) = (cpu(), std::time::Instant::now());
            let images = vlm.encode_images(&px, &[grid]).unwrap();
            let ce = cpu();
            let rows = [Row { ids: &ids, visuals: &visuals }];
            let batch = Batch::left_padded(&config, &rows, 0).unwrap();
            let p = SamplingParams { do_sample: true, ..Default::default() };
            let mut streams: Vec<Stream> = (0..8).map(|i| Stream::new(i, "answer")).collect();
            let mut first = 0.;
            let mut choose = |row: usize, logits: &mut [f32]| {
                if first == 0. {
                    first = cpu();
                }
                Ok(p.choose(logits, &ids, &mut streams[row])?.token)
            };
            let opts = GenerateOptions { samples: 8, max_new_tokens: 64, ..Default::default() };
            let out = vlm.generate(&batch, Some(&images), &opts, &mut choose, &mut |_| Flow::Continue).unwrap();
            println!(
                "round {round} rollout: {:.3} CPU-s {:.3} wall (vision {:.3}, prefill {:.3}) {:?}",
                cpu() - c,
                w.elapsed().as_secs_f64(),
                ce - c,
                first - ce,
                &out[0].ids[..5]
            );
        }
    }
}
