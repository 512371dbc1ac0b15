//! What a device without our fused operations computes, as far as a processor can show it: `ops::composed::Only` makes this
//! thread take candle's own operations and hold blocks as a GPU does, and everything must be what the fused way gives.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, dead_code)]

#[path = "hf_parity/case.rs"]
mod case;
#[path = "hf_parity/support.rs"]
mod support;
mod toy;

use candle_core::{DType, Device, Tensor};
use case::Case;
use reinsman::{
    streams::Stream,
    train::{
        adamw::{AdamW, AdamWOptions, Outcome},
        clip::Gradients,
        pieces::Pieces,
        segment::Pass,
    },
    vlm::{
        Batch, Flow, GenerateOptions, Generated, ImageFeatures, LoadOptions, LoraSpec, Row, Targets, Trainable, Visual,
        Vlm, VlmConfig, Weight,
        generate::Choose,
        lora::Targets as Layers,
        ops::composed::Only,
        quant::{Kind, store},
        sampling::{Sampler, SamplingParams, rollout_stream},
    },
};
use std::path::Path;

/// How a model is held.
#[derive(Debug, Clone, Copy)]
struct Form {
    name: &'static str,
    dtype: DType,
    quant: Option<Kind>,
}

const FORMS: [Form; 4] = [
    Form { name: "f32", dtype: DType::F32, quant: None },
    Form { name: "q8_0", dtype: DType::F32, quant: Some(Kind::Q8_0) },
    Form { name: "bf16", dtype: DType::BF16, quant: None },
    Form { name: "q8_0 in bf16", dtype: DType::BF16, quant: Some(Kind::Q8_0) },
];

impl Form {
    /// Fails unless all of `got` are within 1e-4 of `want`, in bf16 unless most are near: that has 8 bits, so it only shows
    /// that nothing is left out and every operation takes the format.
    #[track_caller]
    fn near(self, what: &str, got: &[f32], want: &[f32], scale: f32) {
        assert_eq!(got.len(), want.len(), "{what}");
        let apart =
            got.iter().zip(want).map(|(a, b)| if a.is_finite() { (a - b).abs() / scale } else { f32::INFINITY });
        if self.dtype == DType::F32 {
            let off = apart.fold(0f32, f32::max);
            assert!(off <= 1e-4, "{what}: differs by {off} of {scale}");
        } else {
            let mean = apart.sum::<f32>() / want.len().max(1) as f32;
            assert!(mean <= 0.25, "{what}: differs by {mean} of {scale} in the mean");
        }
    }
}

fn values(t: &Tensor) -> Vec<f32> {
    t.to_dtype(DType::F32).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

fn largest(values: &[f32]) -> f32 {
    values.iter().fold(0f32, |most, x| most.max(x.abs()))
}

fn load(family: &Path, form: Form, trainable: &Trainable) -> Vlm {
    let quant = form.quant.map(|kind| store::Options { cache: None, ..store::Options::new(kind) });
    let options = LoadOptions { trainable: trainable.clone(), dtype: form.dtype, quant, ..Default::default() };
    let vlm = Vlm::load(&family.join("ckpt"), &options).unwrap();
    // B is drawn, since its zeros hide A's gradient.
    for (name, var) in vlm.vars().iter().filter(|(name, _)| name.contains("lora_B")) {
        let drawn = Stream::new(4, name).normals(var.elem_count(), 0.1);
        var.set(&Tensor::from_vec(drawn, var.dims(), &Device::Cpu).unwrap()).unwrap();
    }
    vlm
}

/// The reference: fused operations, packed blocks, f32.
fn fused(family: &Path, form: Form, trainable: &Trainable) -> Vlm {
    load(family, Form { dtype: DType::F32, ..form }, trainable)
}

fn lora(dropout: f64) -> Trainable {
    let target_modules = Layers::Regex("all-linear".into());
    Trainable::Lora(LoraSpec { r: 3, dropout, target_modules, ..Default::default() })
}

/// Every way to train that a form allows.
fn trained(form: Form) -> Vec<(&'static str, Trainable)> {
    let mut ways =
        vec![("lora", lora(0.)), ("lora with dropout", lora(0.3)), ("vision", Trainable::Matching(r"visual\.".into()))];
    if form.quant.is_none() {
        ways.push(("full", Trainable::All));
    }
    ways
}

struct Learned {
    loss: f64,
    logits: Tensor,
    gradients: Gradients,
}

fn learned(vlm: &Vlm, case: &Case, checkpointing: bool) -> Learned {
    let patches: usize = case.grids.iter().map(|grid| grid.iter().product::<usize>()).sum();
    let width = vlm.config().vision.patch_len();
    let pixels = Stream::new(3, "pixels").normals(patches * width, 1.);
    let pixels = Tensor::from_vec(pixels, (patches, width), &Device::Cpu).unwrap();
    vlm.set_dropout(Some(Stream::new(9, "dropout")));
    let images = vlm.encode_images(&pixels, &case.grids).unwrap();
    let batch = case.batch(vlm.config());
    let targets = Targets::select(&batch, |_, token| token % 3 != 0);
    let pass = Pass { vlm, batch: &batch, images: Some(&images), vars: vlm.vars(), checkpointing };
    let (loss, gradients) = pass
        .gradients(|hidden, _| {
            let (logps, entropy) = vlm.token_logps(hidden, &targets.rows, &targets.ids, 0.9)?;
            Ok((logps.mean_all()?.neg()? - (entropy.mean_all()? * 0.3)?)?)
        })
        .unwrap();
    vlm.set_dropout(None);
    let hidden = vlm.frozen().unwrap().forward(&batch, Some(&images.detach()), None, None).unwrap();
    Learned { loss, logits: vlm.logits(&hidden).unwrap().detach(), gradients }
}

#[test]
fn training_is_that_of_the_fused_operations() {
    for family in support::families() {
        let config = VlmConfig::load(&family.join("ckpt")).unwrap();
        let case = Case::read(&family, "sft.safetensors", &config).expect("a training batch");
        for form in FORMS {
            for (way, trainable) in trained(form) {
                let want = learned(&fused(&family, form, &trainable), &case, false);
                let _only = Only::here();
                let vlm = load(&family, form, &trainable);
                for checkpointing in [false, true] {
                    let what = format!("{} {} {way}, checkpointing {checkpointing}", family.display(), form.name);
                    let got = learned(&vlm, &case, checkpointing);
                    form.near(&what, &[got.loss as f32], &[want.loss as f32], 1.);
                    let logits = values(&want.logits);
                    form.near(&what, &values(&got.logits), &logits, largest(&logits).max(1.));
                    assert_eq!(got.gradients.len(), vlm.vars().len(), "{what}: every tensor has a gradient");
                    for (name, want) in want.gradients.iter() {
                        let (got, want) = (values(got.gradients.get(name).unwrap()), values(want));
                        assert!(largest(&want) > 0., "{what}: {name} learns nothing");
                        form.near(&format!("{what}: {name}"), &got, &want, largest(&want));
                    }
                }
            }
        }
    }
}

struct Prompt {
    name: String,
    ids: Vec<u32>,
    visuals: Vec<Visual>,
    pixels: Option<Tensor>,
    grids: Vec<[usize; 3]>,
}

impl Prompt {
    fn row(&self) -> Row<'_> {
        Row::new(&self.ids, &self.visuals)
    }
}

fn prompts(family: &Path, config: &VlmConfig) -> Vec<Prompt> {
    let files = ["case_single.safetensors", "case_text_only.safetensors"];
    let read = |file: &&str| {
        let case = Case::read(family, file, config)?;
        let (ids, visuals) = (case.rows[0].clone(), case.visuals[0].clone());
        Some(Prompt { name: file.to_string(), ids, visuals, pixels: case.pixels, grids: case.grids })
    };
    files.iter().filter_map(read).collect()
}

const SAMPLES: usize = 5;

fn generate(vlm: &Vlm, prompts: &[Prompt], choose: &mut dyn Choose) -> Vec<Generated> {
    let rows: Vec<Row> = prompts.iter().map(Prompt::row).collect();
    let batch = Batch::left_padded(vlm.config(), &rows, 0).unwrap();
    let seen = prompts.iter().filter_map(|p| p.pixels.as_ref().map(|x| vlm.encode_images(x, &p.grids).unwrap()));
    let seen: Vec<ImageFeatures> = seen.collect();
    let images = ImageFeatures::concat(&seen.iter().collect::<Vec<_>>()).unwrap();
    let eos = (0..vlm.config().text.vocab_size as u32).filter(|id| id % 9 == 0).collect();
    let options =
        GenerateOptions { samples: SAMPLES, max_new_tokens: 12, min_new_tokens: 2, eos, ..Default::default() };
    vlm.generate(&batch, Some(&images), &options, choose, &mut |_| Flow::Continue).unwrap()
}

/// Groups whose rows end at different times, and scores of several tokens at once: the same log-probabilities.
#[test]
fn rollouts_and_scores_are_those_of_the_fused_operations() {
    for family in support::families() {
        for form in FORMS {
            let trainable = lora(0.);
            let vlm = fused(&family, form, &trainable);
            let prompts = prompts(&family, vlm.config());
            assert_eq!(prompts.len(), 2);
            let sampling = SamplingParams { do_sample: true, ..Default::default() };
            let rows = prompts.iter().flat_map(|prompt| {
                (0..SAMPLES).map(|sample| (prompt.ids.clone(), rollout_stream(1, &prompt.name, sample)))
            });
            let want = generate(&vlm, &prompts, &mut Sampler::new(sampling, rows));
            let lengths: Vec<usize> = want.iter().map(|row| row.ids.len()).collect();
            assert!(lengths.iter().any(|n| *n != lengths[0]), "rows end at different times: {lengths:?}");

            let _only = Only::here();
            let vlm = load(&family, form, &trainable);
            let blocks = |name: &str| matches!(vlm.weight(name), Some(Weight::Device(_)));
            assert_eq!(blocks("model.language_model.layers.0.mlp.up_proj.weight"), form.quant.is_some());
            let what = format!("{} {}", family.display(), form.name);
            let mut given: Vec<_> = want.iter().map(|row| row.ids.iter().copied()).collect();
            let mut choose = |row: usize, _: &mut [f32]| Ok(given[row].next().unwrap());
            let got = generate(&vlm, &prompts, &mut choose);
            for (got, want) in got.iter().zip(&want) {
                assert_eq!(got.ids, want.ids, "{what}");
                form.near(&format!("{what}: rollouts"), &got.logps, &want.logps, 1.);
            }
            for (prompt, rows) in prompts.iter().zip(want.chunks(SAMPLES)) {
                let texts: Vec<Vec<u32>> = rows.iter().map(|row| row.ids.clone()).collect();
                let batch = Batch::left_padded(vlm.config(), &[prompt.row()], 0).unwrap();
                let images = prompt.pixels.as_ref().map(|x| vlm.encode_images(x, &prompt.grids).unwrap());
                let scored = vlm.continuation_logps(&batch, images.as_ref(), &texts, 1.).unwrap();
                for (got, want) in scored.iter().zip(rows) {
                    form.near(&format!("{what}: scores"), got, &want.logps, 1.);
                }
            }
        }
    }
}

/// Blocks on a device look up the rows of the packed ones, and the base is recognised as the same.
#[test]
fn blocks_are_gathered_and_recognised() {
    let family = &support::families()[0];
    let packed = load(family, FORMS[1], &Trainable::None);
    let _only = Only::here();
    let blocks = load(family, FORMS[1], &Trainable::None);
    assert_eq!(packed.base_digest().unwrap(), blocks.base_digest().unwrap());
    let names = |vlm: &Vlm| vlm.formats().into_iter().map(|(name, ..)| name).collect::<Vec<_>>();
    assert_eq!(names(&packed), names(&blocks));
    let name = "model.language_model.embed_tokens.weight";
    let (packed, blocks) = (packed.weight(name).unwrap(), blocks.weight(name).unwrap());
    assert!(matches!(blocks, Weight::Device(_)));
    let (packed, blocks) = (packed.to_dense().unwrap(), blocks.to_dense().unwrap());
    support::assert_close("embedding", &packed, &blocks, 0.);
}

/// The same norm and optimizer steps where weights, gradients and moments stay on their device, also over a stop.
#[test]
fn the_optimizer_steps_as_in_place() {
    let family = &support::families()[0];
    let config = VlmConfig::load(&family.join("ckpt")).unwrap();
    let case = Case::read(family, "sft.safetensors", &config).expect("a training batch");
    let stepped = |only: bool, stop: bool| {
        let vlm = load(family, FORMS[0], &lora(0.));
        let mut gradients = learned(&vlm, &case, false).gradients;
        let _only = only.then(Only::here);
        let options = AdamWOptions { weight_decay: 0.1, ..Default::default() };
        let mut adamw = AdamW::new(vlm.vars(), options.clone()).unwrap();
        for step in 0..4 {
            assert_eq!(adamw.step(&gradients, 1e-2, 0.5).unwrap(), Outcome::Stepped);
            if stop && step == 1 {
                let mut bytes = Vec::new();
                Pieces::new(adamw.export(), &[]).unwrap().write(&mut bytes).unwrap();
                let state = candle_core::safetensors::load_buffer(&bytes, &Device::Cpu).unwrap().into_iter().collect();
                adamw = AdamW::new(vlm.vars(), options.clone()).unwrap();
                adamw.import(&state).unwrap();
            }
        }
        let norm = gradients.norm().unwrap();
        let (name, first) = gradients.iter().next().map(|(name, grad)| (name.clone(), grad.clone())).unwrap();
        gradients.insert(&name, (first / 0.).unwrap());
        assert_eq!(adamw.step(&gradients, 1e-2, 0.5).unwrap(), Outcome::Refused { tensors: vec![name] });
        (norm, vlm.vars().values().map(|var| values(var.as_tensor())).collect::<Vec<_>>())
    };
    let ((norm, want), (other, got)) = (stepped(false, false), stepped(true, false));
    assert!((norm - other).abs() <= 1e-6 * norm, "{norm} {other}");
    for (got, want) in got.iter().zip(&want) {
        FORMS[0].near("weights", got, want, 1e-2 * largest(want).max(1.));
    }
    assert_eq!(got, stepped(true, true).1, "bit by bit");
}

#[test]
fn the_program_says_where_it_computes() {
    let toy = toy::Toy::new();
    let doctor = toy.run(&["doctor", "--json"]);
    assert!(doctor.stdout.contains("\"device\"") && doctor.stdout.contains("cpu"), "{}", doctor.stdout);
    let (model, frame, out) = (toy.text("model"), toy.text("frame0.png"), toy.text("plan.png"));
    toy.run(&["plan", &frame, "--model", &model, "--device", "cpu", "--out", &out]).ok();
    let odd = toy.run(&["plan", &frame, "--model", &model, "--device", "tpu"]);
    assert!(odd.code == Some(2) && odd.stderr.contains("cuda:N"), "{odd:?}");
    let mut sft = toy.sft("run", &["sft.max_steps=1"]);
    sft.extend(["--device".into(), "cpu".into()]);
    toy.run(&sft).ok();
    let run = std::fs::read_to_string(toy.path("run/config.toml")).unwrap();
    assert!(run.contains("device = \"cpu\""), "{run}");
    if cfg!(feature = "cuda") {
        return;
    }
    let build = "cargo build --release --features cuda";
    toy.run(&["plan", &frame, "--model", &model, "--device", "cuda"]).fails(4, &["without CUDA", build]);
    let mut sft = toy.sft("other", &["sft.max_steps=1", "model.device=cuda:1"]);
    toy.run(&sft).fails(4, &["cuda:1", build]);
    assert!(!toy.path("other").exists(), "nothing is begun");
    sft = toy.sft("other", &["model.device=gpu"]);
    toy.run(&sft).fails(2, &["model.device", "cuda:N"]);
}
