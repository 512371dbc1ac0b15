//! A prompt computed once for all its answers gives the log-probabilities and gradients of rows that each repeat it,
//! whatever is trained.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, dead_code)]

#[path = "hf_parity/case.rs"]
mod case;
#[path = "hf_parity/support.rs"]
mod support;

use candle_core::{Device, Tensor};
use case::Case;
use reinsman::{
    streams::Stream,
    train::{clip::Gradients, segment::Pass},
    vlm::{
        Batch, ImageFeatures, LoadOptions, LoraSpec, Row, Targets, Trainable, Visual, Vlm,
        lora::Targets as Layers,
        ops::composed::Only,
        quant::{Kind, store},
    },
};
use std::path::Path;

/// A prompt and its answers.
struct Group {
    ids: Vec<u32>,
    visuals: Vec<Visual>,
    pixels: Tensor,
    grids: Vec<[usize; 3]>,
    answers: Vec<Vec<u32>>,
    /// How much each answer token counts in the loss.
    weights: Vec<f32>,
}

/// The prompts of a family, and answers of 1 to 70 tokens, so that some share a tile of attention and some lie in two;
/// one holds the id of a picture's token.
fn groups(family: &Path, vlm: &Vlm) -> Vec<Group> {
    let group = |(file, lengths): (&str, &[usize])| {
        let case = Case::read(family, file, vlm.config()).unwrap();
        let mut stream = Stream::new(2, file);
        let vocab = vlm.config().text.vocab_size as u64;
        let mut draw = |n: usize| (0..n).map(|_| stream.below(vocab) as u32).collect::<Vec<u32>>();
        let mut answers: Vec<Vec<u32>> = lengths.iter().map(|n| draw(*n)).collect();
        answers[1][0] = vlm.config().image_token_id;
        let patches: usize = case.grids.iter().map(|grid| grid.iter().product::<usize>()).sum();
        let width = vlm.config().vision.patch_len();
        let pixels = Stream::new(3, file).normals(patches * width, 1.);
        Group {
            ids: case.rows[0].clone(),
            visuals: case.visuals[0].clone(),
            pixels: Tensor::from_vec(pixels, (patches, width), &Device::Cpu).unwrap(),
            grids: case.grids,
            answers,
            weights: Stream::new(4, file).normals(lengths.iter().sum(), 1.),
        }
    };
    [("case_single.safetensors", &[5, 1, 9, 1, 70][..]), ("case_multi.safetensors", &[2, 12, 3][..])].map(group).into()
}

impl Group {
    fn packed(&self, vlm: &Vlm) -> (Batch, Targets) {
        let prompt = Batch::right_padded(vlm.config(), &[Row::new(&self.ids, &self.visuals)], 0).unwrap();
        let tails: Vec<&[u32]> = self.answers.iter().map(Vec::as_slice).collect();
        let batch = Batch::packed(vlm.config(), &prompt, &tails).unwrap();
        let targets = Targets::tails(&batch);
        (batch, targets)
    }

    fn repeated(&self, vlm: &Vlm) -> (Batch, Targets) {
        let rows: Vec<Vec<u32>> = self.answers.iter().map(|ids| [&self.ids[..], ids].concat()).collect();
        let rows = rows.iter().zip(&self.answers);
        let rows: Vec<Row> = rows.map(|(ids, own)| Row::new(ids, &self.visuals).written(own.len())).collect();
        let batch = Batch::right_padded(vlm.config(), &rows, 0).unwrap();
        let targets = Targets::select(&batch, |_, token| token >= self.ids.len());
        (batch, targets)
    }

    /// Log-probabilities of the answers and gradients of their weighted mean.
    fn learn(&self, vlm: &Vlm, (batch, targets): (Batch, Targets), checkpointing: bool) -> (Vec<f32>, Gradients) {
        let images = vlm.encode_images(&self.pixels, &self.grids).unwrap();
        let images = ImageFeatures::concat(&vec![&images; batch.rows]).unwrap();
        let pass = Pass { vlm, batch: &batch, images: Some(&images), vars: vlm.vars(), checkpointing };
        let mut found = Vec::new();
        let (_, gradients) = pass
            .gradients(|hidden, _| {
                let (logps, _) = vlm.token_logps(hidden, &targets.rows, &targets.ids, 0.8)?;
                found = logps.detach().to_vec1::<f32>()?;
                let weights = Tensor::new(self.weights.as_slice(), hidden.device())?;
                Ok((logps * weights)?.mean_all()?)
            })
            .unwrap();
        assert_eq!(targets.per_row, self.answers.iter().map(Vec::len).collect::<Vec<_>>());
        (found, gradients)
    }
}

fn load(family: &Path, trainable: Trainable, quant: Option<Kind>) -> Vlm {
    let quant = quant.map(|kind| store::Options { cache: None, ..store::Options::new(kind) });
    let vlm = Vlm::load(&family.join("ckpt"), &LoadOptions { trainable, quant, ..Default::default() }).unwrap();
    // B is drawn, since its zeros hide A's gradient.
    for (name, var) in vlm.vars().iter().filter(|(name, _)| name.contains("lora_B")) {
        let drawn = Stream::new(4, name).normals(var.elem_count(), 0.1);
        var.set(&Tensor::from_vec(drawn, var.dims(), &Device::Cpu).unwrap()).unwrap();
    }
    vlm
}

fn lora() -> Trainable {
    let target_modules = Layers::Regex("all-linear".into());
    Trainable::Lora(LoraSpec { r: 3, target_modules, ..Default::default() })
}

/// Largest difference over the largest element.
fn apart(got: &[f32], want: &[f32]) -> f32 {
    assert_eq!(got.len(), want.len());
    let most = want.iter().fold(0f32, |most, x| most.max(x.abs()));
    assert!(most > 0. && got.iter().all(|x| x.is_finite()));
    got.iter().zip(want).fold(0f32, |off, (a, b)| off.max((a - b).abs())) / most
}

fn values(t: &Tensor) -> Vec<f32> {
    t.flatten_all().unwrap().to_vec1().unwrap()
}

/// How far apart they may be, of the largest: log-probabilities here are up to 22 from 0, where f32 has steps of 2e-6 (1e-7
/// of it; measured 5.3e-7), gradients are sums over hundreds of tokens (measured 6e-6).
const LOGPS: f32 = 1e-6;
const GRADIENTS: f32 = 1e-5;

fn compare(trainable: impl Fn() -> Trainable, quant: Option<Kind>) {
    for family in support::families() {
        let vlm = load(&family, trainable(), quant);
        for group in groups(&family, &vlm) {
            let (want, want_gradients) = group.learn(&vlm, group.repeated(&vlm), false);
            for checkpointing in [false, true] {
                let what = format!("{} checkpointing {checkpointing}", family.display());
                let (got, gradients) = group.learn(&vlm, group.packed(&vlm), checkpointing);
                let off = apart(&got, &want);
                assert!(off <= LOGPS, "{what}: log-probabilities are {off:e} apart");
                assert_eq!(gradients.len(), vlm.vars().len(), "{what}: every tensor has a gradient");
                for (name, want) in want_gradients.iter() {
                    let off = apart(&values(gradients.get(name).unwrap()), &values(want));
                    assert!(off <= GRADIENTS, "{what}: {name} is {off:e} apart");
                }
            }
        }
    }
}

#[test]
fn full_training() {
    compare(|| Trainable::All, None);
}

#[test]
fn the_tower_alone() {
    compare(|| Trainable::Matching(r"visual\.".into()), None);
}

#[test]
fn adapters_everywhere() {
    compare(lora, None);
}

#[test]
fn adapters_on_a_quantized_base() {
    compare(lora, Some(Kind::Q8_0));
}

#[test]
fn on_other_devices() {
    let _only = Only::here();
    compare(|| Trainable::All, None);
}

#[test]
fn a_packed_batch_says_what_does_not_fit() {
    let family = &support::families()[0];
    let vlm = load(family, Trainable::None, None);
    let (config, row) = (vlm.config(), Row::text(&[1, 2, 3]));
    let prompt = Batch::right_padded(config, &[row], 0).unwrap();
    let says = |prompt: &Batch, tails: &[&[u32]], part: &str| {
        let message = Batch::packed(config, prompt, tails).unwrap_err().to_string();
        assert!(message.contains(part), "{message}");
    };
    says(&prompt, &[], "needs a tail");
    says(&prompt, &[&[1], &[]], "tail 1");
    says(&prompt, &[&[u32::MAX]], "tail 0");
    says(&Batch::right_padded(config, &[row, row], 0).unwrap(), &[&[1]], "one prompt");
    let packed = Batch::packed(config, &prompt, &[&[1], &[2, 3]]).unwrap();
    assert_eq!(packed.positions[2], [0, 1, 2, 3, 3, 4]);
    assert_eq!(Targets::tails(&packed).rows, [2, 2, 4]);
    says(&packed, &[&[1]], "one prompt");
    let mut cache = reinsman::vlm::KvCache::new(&config.text, vlm.dtype(), vlm.device());
    assert!(vlm.forward(&packed, None, Some(&mut cache), None).is_err());
}
