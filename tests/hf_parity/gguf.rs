//! GGUF blocks: every number format found in `gguf/`, dequantised exactly; and pairs of files that hold the same model as
//! the checkpoint they were made from.

use crate::{case::Case, support};
use candle_core::{DType, Device, Tensor, quantized::QTensor};
use data::Ego;
use reinsman::{
    files::RealFs,
    policy::{
        Planner, Source, Whole,
        planner::{Options, Quant},
    },
    vlm::{
        LoadOptions, Vlm,
        chat::ChatTemplate,
        gguf::{
            GgufFile,
            export::{Export, Format},
            names::{Binding, Half, bind},
        },
        image::{Loading, Rgb},
        quant::{Kind, store},
    },
};
use std::path::Path;

fn flat(tensor: &Tensor) -> Vec<f32> {
    tensor.to_dtype(DType::F32).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

/// Distance in representable numbers.
fn ulps(a: f32, b: f32) -> u32 {
    let order = |x: f32| {
        let bits = x.to_bits() as i32;
        if bits < 0 { i32::MIN - bits } else { bits }
    };
    order(a).abs_diff(order(b))
}

#[test]
fn every_format_dequantises_exactly() {
    let dir = support::root().join("gguf");
    let Some(expected) = support::tensors(&dir.join("dequantized.safetensors")) else { return };
    let file = GgufFile::open(&dir.join("tensors.gguf")).unwrap();
    assert!(!file.tensors().is_empty(), "no tensor in {}", dir.display());
    let x = &expected["x"];
    for tensor in file.tensors() {
        let what = format!("{} ({})", tensor.name, tensor.kind.name);
        let got = file.values(tensor, &Device::Cpu).unwrap();
        let want = &expected[&tensor.name];
        assert_eq!(got.dims(), want.dims(), "{what}");
        let worst = flat(&got).iter().zip(flat(want)).map(|(a, b)| ulps(*a, b)).max().unwrap();
        assert!(worst <= 1, "{what}: {worst} ulp");
        let product = x.matmul(&got.t().unwrap()).unwrap();
        let want = &expected[&format!("matmul.{}", tensor.name)];
        let (_, scale) = support::max_diff(want, want);
        support::assert_close(&format!("{what}: matmul"), &product, want, 1e-5 * scale.max(1.));
    }
}

/// The quantiser makes the reference's bytes where the reference has a quantiser.
#[test]
fn quantised_bytes_are_the_references() {
    let dir = support::root().join("gguf");
    let Some(expected) = support::tensors(&dir.join("dequantized.safetensors")) else { return };
    let file = GgufFile::open(&dir.join("tensors.gguf")).unwrap();
    for tensor in file.tensors().iter().filter(|tensor| tensor.kind.name == "Q8_0") {
        let Some(source) = expected.get(&format!("src.{}", tensor.name)) else { continue };
        let made = QTensor::quantize(source, tensor.kind.candle().unwrap()).unwrap();
        assert_eq!(&*made.data().unwrap(), file.bytes(tensor).unwrap(), "{}", tensor.name);
    }
}

/// A pair in a temporary folder.
fn pair_of(ckpt: &Path, format: Format) -> (tempfile::TempDir, Source) {
    let dir = tempfile::tempdir().unwrap();
    let whole = Whole::open(&Source::Folder(ckpt.into())).unwrap();
    let template = ChatTemplate::source_in(&whole.files, &whole.encoder.tokenizer).unwrap();
    let export = Export { model: &whole.model, encoder: &whole.encoder, template, name: "parity".into(), format };
    let bytes = export.write(&RealFs, dir.path()).unwrap();
    let sizes = format.file_names().map(|name| std::fs::metadata(dir.path().join(name)).unwrap().len());
    assert_eq!(sizes.iter().sum::<u64>(), bytes);
    let source = Source::resolve(Some(dir.path())).unwrap();
    assert!(matches!(source, Source::Gguf { .. }), "{source:?}");
    (dir, source)
}

/// f32 pairs are the checkpoint: configuration, every logit bit, token ids, chat text, picture settings.
#[test]
fn f32_pairs_are_the_same_model() {
    for family in support::families() {
        let ckpt = family.join("ckpt");
        let what = family.display();
        let before = Planner::load(&Source::Folder(ckpt.clone()), &Options::default()).unwrap();
        let (_dir, source) = pair_of(&ckpt, Format::F32);
        let after = Planner::load(&source, &Options::default()).unwrap();
        let mut config = after.vlm.config().clone();
        config.dtype.clone_from(&before.vlm.config().dtype);
        assert_eq!(&config, before.vlm.config(), "{what}");
        for file in ["case_single.safetensors", "case_multi.safetensors", "case_text_only.safetensors"] {
            let Some(case) = Case::read(&family, file, before.vlm.config()) else { continue };
            let batch = case.batch(before.vlm.config());
            let logits = |vlm: &Vlm| {
                let images = case.images(vlm, None);
                vlm.logits(&vlm.forward(&batch, images.as_ref(), None, None).unwrap()).unwrap()
            };
            let (diff, _) = support::max_diff(&logits(&after.vlm), &logits(&before.vlm));
            assert_eq!(diff, 0., "{what} {file}");
        }
        let (old, new) = (&before.encoder, &after.encoder);
        assert_eq!(old.tokenizer.special(), new.tokenizer.special(), "{what}");
        assert_eq!(old.tokenizer.eos(), new.tokenizer.eos(), "{what}");
        assert_eq!(old.tokenizer.pad(), new.tokenizer.pad(), "{what}");
        assert_eq!(old.processor.limits(), new.processor.limits(), "{what}");
        assert_eq!(old.processor.normalisation(), new.processor.normalisation(), "{what}");
        assert_eq!(old.processor.sizes(), new.processor.sizes(), "{what}");
        let ego = Ego { speed_mps: 7.5, command: scene::Command("turn <left>".into()) };
        let picture = || Rgb::open(&support::root().join("images/scene_a.png"), &Loading::default()).unwrap();
        let asked =
            |planner: &Planner| planner.encode(&planner.question(&ego, vec![picture()], true).unwrap()).unwrap();
        let (a, b) = (asked(&before), asked(&after));
        assert_eq!((a.ids, a.grids, a.pixels), (b.ids, b.grids, b.pixels), "{what}");
    }
}

/// Quantized pairs hold exactly what quantizing in memory gives, and the rest unchanged.
#[test]
fn quantized_pairs_are_the_quantized_model() {
    for family in support::families() {
        let ckpt = family.join("ckpt");
        let whole = Whole::open(&Source::Folder(ckpt.clone())).unwrap();
        for format in [Format::Q8_0, Format::Q6K, Format::Q4K, Format::F16, Format::Bf16] {
            let (_dir, source) = pair_of(&ckpt, format);
            let Source::Gguf { text, .. } = &source else { panic!() };
            let file = GgufFile::open(text).unwrap();
            let mut blocks = 0;
            for (name, _) in whole.model.tensors() {
                let Some(Binding::Whole(Half::Text, theirs)) = bind(name, whole.model.config()) else { continue };
                let tensor = file.tensor(&theirs).unwrap_or_else(|| panic!("{theirs} is missing"));
                let own = whole.model.tensor(name).unwrap();
                let expected = QTensor::quantize(&own, tensor.kind.candle().unwrap()).unwrap();
                assert_eq!(file.bytes(tensor).unwrap(), &*expected.data().unwrap(), "{theirs} {}", tensor.kind.name);
                assert_eq!(tensor.shape.len() == 1, tensor.kind.name == "F32", "{theirs} {}", tensor.kind.name);
                blocks += usize::from(tensor.kind.block > 1);
            }
            assert_eq!(blocks > 0, !matches!(format, Format::F16 | Format::Bf16), "{format:?}");
            // The pair computes with these blocks: as the checkpoint quantized in memory to the last bit, and near the
            // same pair made dense.
            let load = |quant| Planner::load(&source, &Options { quant, ..Options::default() }).unwrap().vlm;
            let pair = load(Quant::AsTrained);
            let case = Case::read(&family, "case_text_only.safetensors", pair.config()).unwrap();
            let batch = case.batch(pair.config());
            let logits = |vlm: &Vlm| vlm.logits(&vlm.forward(&batch, None, None, None).unwrap()).unwrap();
            let what = format!("{} {format:?}", family.display());
            let (_, scale) = support::max_diff(&logits(&pair), &logits(&pair));
            support::assert_close(&what, &logits(&pair), &logits(&load(Quant::Dense)), 1e-3 * scale);
            let kind = match format {
                Format::Q8_0 => Kind::Q8_0,
                Format::Q6K => Kind::Q6K,
                Format::Q4K => Kind::Q4K,
                _ => continue,
            };
            assert!(pair.formats().iter().any(|(name, ..)| name == "q8_0"), "{what}: {:?}", pair.formats());
            let quant = Some(store::Options { kind, cache: None, note: |_| {} });
            let memory = Vlm::load(&ckpt, &LoadOptions { quant, ..Default::default() }).unwrap();
            assert_eq!(support::max_diff(&logits(&pair), &logits(&memory)).0, 0., "{what}");
        }
    }
}
