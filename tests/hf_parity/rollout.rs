//! Training forward, cached decoding and group rollouts are one model: the same log-probabilities on the same tokens,
//! and the same text for the same seed whatever is computed beside it.

use crate::{case::Case, support};
use candle_core::Tensor;
use reinsman::vlm::{
    Batch, Flow, GenerateOptions, Generated, ImageFeatures, LoadOptions, Row, Targets, Visual, Vlm,
    generate::Finish,
    quant::{Kind, store},
    sampling::{Sampler, SamplingParams, rollout_stream},
};
use std::{collections::BTreeSet, path::Path};

const CASES: [&str; 3] = ["case_single.safetensors", "case_text_only.safetensors", "case_single_b.safetensors"];
const SEED: u64 = 11;

/// One prompt with its pictures encoded alone.
struct Prompt {
    name: String,
    ids: Vec<u32>,
    visuals: Vec<Visual>,
    images: Option<ImageFeatures>,
}

impl Prompt {
    fn row(&self) -> Row<'_> {
        Row::new(&self.ids, &self.visuals)
    }
}

fn prompts(family: &Path, vlm: &Vlm) -> Vec<Prompt> {
    let cases = CASES.iter().filter_map(|file| Some((file, Case::read(family, file, vlm.config())?)));
    let prompt = |(file, case): (&&str, Case)| Prompt {
        name: file.to_string(),
        images: case.images(vlm.frozen().unwrap(), None),
        ids: case.rows[0].clone(),
        visuals: case.visuals[0].clone(),
    };
    cases.map(prompt).collect()
}

/// Rollouts of several prompts as one batch.
fn roll(vlm: &Vlm, prompts: &[&Prompt], samples: &[usize], options: &GenerateOptions) -> Vec<Generated> {
    let sampling = SamplingParams { do_sample: true, temperature: options.logp_temperature, ..Default::default() };
    let rows = prompts.iter().flat_map(|prompt| {
        samples.iter().map(|sample| (prompt.ids.clone(), rollout_stream(SEED, &prompt.name, *sample)))
    });
    let mut sampler = Sampler::new(sampling, rows);
    let rows: Vec<Row> = prompts.iter().map(|prompt| prompt.row()).collect();
    let batch = Batch::left_padded(vlm.config(), &rows, 0).unwrap();
    let images: Vec<&ImageFeatures> = prompts.iter().filter_map(|prompt| prompt.images.as_ref()).collect();
    let images = (!images.is_empty()).then(|| ImageFeatures::concat(&images).unwrap());
    let options = GenerateOptions { samples: samples.len(), ..options.clone() };
    vlm.generate(&batch, images.as_ref(), &options, &mut sampler, &mut |_| Flow::Continue).unwrap()
}

/// Log-probabilities by the training forward: no cache, the whole text at once, gradients recorded where there are any.
fn trained(vlm: &Vlm, prompt: &Prompt, ids: &[u32], temperature: f64) -> Tensor {
    let whole = [&prompt.ids, ids].concat();
    let batch = Batch::right_padded(vlm.config(), &[Row::new(&whole, &prompt.visuals).written(ids.len())], 0).unwrap();
    let hidden = vlm.forward(&batch, prompt.images.as_ref(), None, None).unwrap();
    let targets = Targets::select(&batch, |_, token| token >= prompt.ids.len());
    vlm.token_logps(&hidden, &targets.rows, &targets.ids, temperature).unwrap().0
}

/// Log-probabilities by cached decoding of one row, token by token, the tokens given.
fn decoded(vlm: &Vlm, prompt: &Prompt, ids: &[u32], temperature: f64) -> Vec<f32> {
    let mut given = ids.iter().copied();
    let mut choose = |_: usize, _: &mut [f32]| Ok(given.next().unwrap());
    let options = GenerateOptions { max_new_tokens: ids.len(), logp_temperature: temperature, ..Default::default() };
    let batch = Batch::left_padded(vlm.config(), &[prompt.row()], 0).unwrap();
    let mut out = vlm.generate(&batch, prompt.images.as_ref(), &options, &mut choose, &mut |_| Flow::Continue).unwrap();
    out.remove(0).logps
}

/// How near the log-probabilities of the three ways must be, however the weights are held.
const NEAR: f32 = 1e-4;

/// The table: how the weights are held.
fn forms(family: &Path) -> Vec<(&'static str, Vlm)> {
    let load = |quant: Option<Kind>| {
        let quant = quant.map(|kind| store::Options { cache: None, ..store::Options::new(kind) });
        Vlm::load(&family.join("ckpt"), &LoadOptions { quant, ..Default::default() }).unwrap()
    };
    let mut forms = vec![
        ("f32", load(None)),
        ("q8_0", load(Some(Kind::Q8_0))),
        ("q6_k", load(Some(Kind::Q6K))),
        ("q4_k", load(Some(Kind::Q4K))),
    ];
    if family.join("lora_adapter").is_dir() {
        for (name, quant) in [("f32 with an adapter", None), ("q8_0 with an adapter", Some(Kind::Q8_0))] {
            let mut vlm = load(quant);
            vlm.load_adapter(&family.join("lora_adapter"), true).unwrap();
            assert!(!vlm.vars().is_empty());
            forms.push((name, vlm));
        }
    }
    forms
}

#[test]
fn training_decoding_and_rollouts_agree() {
    const TEMPERATURE: f64 = 0.8;
    for family in support::families() {
        for (form, vlm) in forms(&family) {
            let prompts = prompts(&family, &vlm);
            assert!(!prompts.is_empty(), "{}: no prompts", family.display());
            let options = GenerateOptions { max_new_tokens: 8, logp_temperature: TEMPERATURE, ..Default::default() };
            let all: Vec<&Prompt> = prompts.iter().collect();
            let group = roll(&vlm, &all, &[0, 1, 2, 3, 4, 5], &options);
            for (rows, prompt) in group.chunks(6).zip(&prompts) {
                let texts: Vec<Vec<u32>> = rows.iter().map(|row| row.ids.clone()).collect();
                let batch = Batch::left_padded(vlm.config(), &[prompt.row()], 0).unwrap();
                let scored = vlm.continuation_logps(&batch, prompt.images.as_ref(), &texts, TEMPERATURE).unwrap();
                for (row, scored) in rows.iter().zip(&scored) {
                    let training = trained(&vlm, prompt, &row.ids, TEMPERATURE);
                    assert_eq!(training.track_op(), !vlm.vars().is_empty());
                    let training = training.to_vec1::<f32>().unwrap();
                    let decoding = decoded(&vlm, prompt, &row.ids, TEMPERATURE);
                    for (what, logps) in [("rollout", &row.logps), ("decoding", &decoding), ("scoring", scored)] {
                        assert_eq!(logps.len(), training.len());
                        let apart = logps.iter().zip(&training).map(|(a, b)| (a - b).abs()).fold(0f32, f32::max);
                        eprintln!("APART {form} {what} {apart:e}");
                        let place = format!("{} {form} {}", family.display(), prompt.name);
                        assert!(apart <= NEAR, "{place}: {what} is {apart:e} from the training forward");
                    }
                }
            }
        }
    }
}

/// Groups of 1, 3, 8 and 40 rows of three prompts of different lengths, rows ending at different times: every row has
/// the tokens, and the bits of the log-probabilities, that it has alone.
#[test]
fn the_same_text_whatever_the_batch() {
    for family in support::families() {
        for quant in [None, Some(Kind::Q8_0)] {
            let quant = quant.map(|kind| store::Options { cache: None, ..store::Options::new(kind) });
            let options = LoadOptions { quant, ..Default::default() };
            let vlm = Vlm::load(&family.join("ckpt"), &options).unwrap();
            let mut prompts = prompts(&family, &vlm);
            let tail = prompts.iter().find(|prompt| prompt.visuals.is_empty()).map(|prompt| Prompt {
                name: "tail".into(),
                ids: prompt.ids[prompt.ids.len() / 2..].to_vec(),
                visuals: Vec::new(),
                images: None,
            });
            prompts.extend(tail);
            let vocab = vlm.config().text.vocab_size as u32;
            let eos: Vec<u32> = (0..vocab).filter(|id| id % 9 == 0).collect();
            let options =
                GenerateOptions { max_new_tokens: 14, min_new_tokens: 2, eos: eos.clone(), ..Default::default() };
            let samples: Vec<usize> = (0..40).collect();
            let alone = |prompt: &Prompt, sample: usize| roll(&vlm, &[prompt], &[sample], &options).remove(0);
            let want: Vec<Vec<Generated>> =
                prompts.iter().map(|prompt| samples.iter().map(|sample| alone(prompt, *sample)).collect()).collect();
            let lengths: BTreeSet<usize> = want.iter().flatten().map(|row| row.ids.len()).collect();
            assert!(lengths.len() > 3 && want.iter().flatten().any(|row| row.finish == Finish::Length), "{lengths:?}");
            assert!(want.iter().flatten().all(|row| row.ids[..2].iter().all(|id| !eos.contains(id))));
            let texts: BTreeSet<&[u32]> = want.iter().flatten().map(|row| &row.ids[..]).collect();
            assert!(texts.len() > 100, "{} different texts", texts.len());
            let orders: [Vec<usize>; 3] = [(0..prompts.len()).collect(), (0..prompts.len()).rev().collect(), vec![1]];
            for (rows, order) in
                [1, 3, 8, 40].into_iter().flat_map(|rows| orders.iter().map(move |order| (rows, order)))
            {
                let chosen: Vec<&Prompt> = order.iter().map(|i| &prompts[*i]).collect();
                let picked: Vec<usize> = samples.iter().rev().take(rows).copied().collect();
                let got = roll(&vlm, &chosen, &picked, &options);
                for (i, got) in got.iter().enumerate() {
                    let (prompt, sample) = (order[i / rows], picked[i % rows]);
                    let what = format!("{}: {rows} rows, {} sample {sample}", family.display(), prompts[prompt].name);
                    assert_eq!(got.ids, want[prompt][sample].ids, "{what}");
                    assert_eq!(got.logps, want[prompt][sample].logps, "{what}");
                }
            }
        }
    }
}
