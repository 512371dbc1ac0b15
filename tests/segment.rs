//! Gradients that are made one decoder layer at a time are those of the whole graph, whatever is trained, and reach
//! every trainable tensor.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, dead_code)]

#[path = "hf_parity/case.rs"]
mod case;
#[path = "hf_parity/support.rs"]
mod support;

use candle_core::{DType, Device, Tensor};
use case::Case;
use reinsman::{
    streams::Stream,
    train::{clip::Gradients, segment::Pass},
    vlm::{
        LoadOptions, LoraSpec, Targets, Trainable, Vlm, VlmConfig,
        lora::Targets as Layers,
        quant::{Kind, store},
    },
};

fn lora(pattern: &str, dropout: f64) -> Trainable {
    let target_modules = Layers::Regex(pattern.into());
    Trainable::Lora(LoraSpec { r: 3, dropout, target_modules, ..Default::default() })
}

fn matching(pattern: &str) -> Trainable {
    Trainable::Matching(pattern.into())
}

/// Every kind of training, and a loss on the picture features beside the answer's where the tower is trained.
fn kinds() -> Vec<(&'static str, Trainable, bool)> {
    let text = r".*language_model\.layers\..*_proj";
    vec![
        ("full", Trainable::All, false),
        ("full with a loss on pictures", Trainable::All, true),
        ("text", matching(r"^(model\.language_model\.|lm_head)"), false),
        ("vision", matching(r"visual\."), false),
        ("vision with a loss on pictures", matching(r"visual\."), true),
        ("embeddings", matching("embed_tokens"), false),
        ("the last layer", matching(r"layers\.1\."), false),
        ("the first layer", matching(r"layers\.0\."), false),
        ("head and final norm", matching(r"lm_head|language_model\.norm"), false),
        ("lora", lora(text, 0.0), false),
        ("lora with dropout", lora(text, 0.3), false),
        ("lora everywhere with dropout", lora("all-linear", 0.3), true),
        ("lora on the tower", lora(r".*visual\..*", 0.0), true),
    ]
}

/// Loss and gradients on drawn pixels, with dropout from a fixed stream.
fn gradients(vlm: &Vlm, case: &Case, checkpointing: bool, pictured: bool) -> (f64, Gradients) {
    let patches: usize = case.grids.iter().map(|grid| grid.iter().product::<usize>()).sum();
    let width = vlm.config().vision.patch_len();
    let pixels = Stream::new(3, "pixels").normals(patches * width, 1.);
    let pixels = Tensor::from_vec(pixels, (patches, width), &Device::Cpu).unwrap();
    vlm.set_dropout(Some(Stream::new(9, "dropout")));
    let images = vlm.encode_images(&pixels, &case.grids).unwrap();
    let batch = case.batch(vlm.config());
    let targets = Targets::select(&batch, |_, token| token % 3 != 0);
    let pass = Pass { vlm, batch: &batch, images: Some(&images), vars: vlm.vars(), checkpointing };
    let found = pass.gradients(|hidden, images| {
        let (logps, _) = vlm.token_logps(hidden, &targets.rows, &targets.ids, 1.)?;
        let answer = logps.mean_all()?.neg()?;
        let images = images.filter(|_| pictured).map(|images| images.embeds.to_dtype(DType::F32)?.sqr()?.mean_all());
        Ok(match images.transpose()? {
            Some(beside) => (answer + (beside * 0.7)?)?,
            None => answer,
        })
    });
    vlm.set_dropout(None);
    found.unwrap()
}

/// Largest difference over the largest element, per tensor.
fn assert_same(what: &str, plain: &Gradients, segmented: &Gradients, tolerance: f64) {
    let names = |g: &Gradients| g.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    assert_eq!(names(plain), names(segmented), "{what}");
    for (name, want) in plain.iter() {
        let values = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let (want, got) = (values(want), values(segmented.get(name).unwrap()));
        let most = want.iter().fold(0f32, |m, x| m.max(x.abs()));
        let off = want.iter().zip(&got).fold(0f32, |m, (a, b)| m.max((a - b).abs()));
        assert!(most.is_finite() && most > 0., "{what}: {name} has no gradient");
        assert!(f64::from(off) <= tolerance * f64::from(most), "{what}: {name} differs by {off} of {most}");
    }
}

/// What a kind of training finds at a fixture, with B drawn, since its zeros hide A's gradient. `None` where no tensor
/// of the model has such a name.
fn model(ckpt: &std::path::Path, trainable: &Trainable, dtype: DType, quant: Option<Kind>) -> Option<Vlm> {
    let quant = quant.map(|kind| store::Options { cache: None, ..store::Options::new(kind) });
    let options = LoadOptions { trainable: trainable.clone(), dtype, quant, ..Default::default() };
    let vlm = Vlm::load(ckpt, &options).ok()?;
    for (name, var) in vlm.vars().iter().filter(|(name, _)| name.contains("lora_B")) {
        let drawn = Stream::new(4, name).normals(var.elem_count(), 0.1);
        var.set(&Tensor::from_vec(drawn, var.dims(), &Device::Cpu).unwrap()).unwrap();
    }
    Some(vlm)
}

fn compare(dtype: DType, quant: Option<Kind>, kinds: &[(&str, Trainable, bool)], tolerance: f64) {
    for family in support::families() {
        let ckpt = family.join("ckpt");
        let case = Case::read(&family, "sft.safetensors", &VlmConfig::load(&ckpt).unwrap()).expect("a training batch");
        let mut compared = 0;
        for (kind, trainable, pictured) in kinds {
            let what = format!("{} {kind}", family.display());
            let Some(vlm) = model(&ckpt, trainable, dtype, quant) else { continue };
            let (loss, plain) = gradients(&vlm, &case, false, *pictured);
            let (again, segmented) = gradients(&vlm, &case, true, *pictured);
            assert_eq!(loss, again, "{what}: the loss");
            assert_eq!(plain.len(), vlm.vars().len(), "{what}: every tensor has a gradient");
            assert_same(&what, &plain, &segmented, tolerance);
            compared += 1;
        }
        assert!(compared + 1 >= kinds.len(), "{}: only {compared} kinds", family.display());
    }
}

#[test]
fn in_f32_they_are_equal_to_rounding() {
    compare(DType::F32, None, &kinds(), 2e-6);
}

#[test]
fn over_quantized_weights_they_are_equal_to_rounding() {
    let wanted = ["vision", "lora", "lora with dropout", "lora everywhere with dropout", "lora on the tower"];
    let kinds: Vec<_> = kinds().into_iter().filter(|(kind, ..)| wanted.contains(kind)).collect();
    compare(DType::F32, Some(Kind::Q8_0), &kinds, 2e-6);
}

#[test]
fn in_bf16_they_are_equal_to_its_rounding() {
    compare(DType::BF16, None, &[kinds().swap_remove(11)], 3e-2);
}

/// What was drawn before the pass goes on after it as after a plain one.
#[test]
fn the_dropout_stream_ends_at_the_same_place() {
    let family = &support::families()[0];
    let ckpt = family.join("ckpt");
    let case = Case::read(family, "sft.safetensors", &VlmConfig::load(&ckpt).unwrap()).unwrap();
    let vlm = model(&ckpt, &lora("all-linear", 0.5), DType::F32, None).unwrap();
    let batch = case.batch(vlm.config());
    let text = reinsman::vlm::Batch { visual: Vec::new(), ..batch };
    let second = |checkpointing| {
        vlm.set_dropout(Some(Stream::new(1, "dropout")));
        let pass = Pass { vlm: &vlm, batch: &text, images: None, vars: vlm.vars(), checkpointing };
        pass.gradients(|hidden, _| Ok(hidden.sqr()?.mean_all()?)).unwrap();
        let hidden = vlm.frozen().unwrap().forward(&text, None, None, None).unwrap();
        vlm.set_dropout(None);
        hidden.flatten_all().unwrap().to_vec1::<f32>().unwrap()
    };
    assert_eq!(second(false), second(true));
}
