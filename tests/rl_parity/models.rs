//! The losses through the models: `grpo.safetensors` of every family, two prompts with a picture and three completions
//! each under a LoRA adapter: log-probabilities with the adapter and without, advantages, loss, divergence, gradients.

use crate::{
    case::Case,
    check::{close, scalar},
    support,
};
use candle_core::{DType, Tensor};
use reinsman::{
    train::rl::{
        advantage::{AdvantageOptions, advantages},
        loss::{Completions, LossOptions, LossType, Step, policy_loss},
        padded,
    },
    vlm::{Batch, ImageFeatures, LoadOptions, Row, Targets, Visual, Vlm},
};
use std::path::Path;

/// Whose picture the prompts show, in order.
const PICTURES: [&str; 2] = ["case_single.safetensors", "case_single_b.safetensors"];

/// The fixture as model input.
struct Group {
    expected: support::Tensors,
    meta: serde_json::Value,
    /// Prompt and completion without padding.
    texts: Vec<Vec<u32>>,
    visuals: Vec<Visual>,
    lengths: Vec<usize>,
}

impl Group {
    fn read(family: &Path) -> Option<Self> {
        let expected = support::tensors(&family.join("grpo.safetensors"))?;
        let meta = support::json(&family.join("meta.json")).unwrap()["grpo"].clone();
        let real = |what: &str| -> Vec<Vec<u32>> {
            let ids = expected[&format!("{what}_ids")].to_vec2::<i64>().unwrap();
            let mask = expected[&format!("{what}_mask")].to_vec2::<i64>().unwrap();
            let row = |(ids, mask): (&Vec<i64>, &Vec<i64>)| {
                ids.iter().zip(mask).filter(|(_, m)| **m == 1).map(|(id, _)| *id as u32).collect()
            };
            ids.iter().zip(&mask).map(row).collect()
        };
        let (prompts, completions) = (real("prompt"), real("completion"));
        let grid = |g: Vec<i64>| Visual::image([g[0] as usize, g[1] as usize, g[2] as usize]);
        let visuals = expected["image_grid_thw"].to_vec2::<i64>().unwrap().into_iter().map(grid).collect();
        let texts =
            prompts.iter().zip(&completions).map(|(prompt, completion)| [&prompt[..], completion].concat()).collect();
        Some(Group { expected, meta, texts, visuals, lengths: completions.iter().map(Vec::len).collect() })
    }

    fn number(&self, key: &str) -> f64 {
        self.meta[key].as_f64().unwrap_or_else(|| panic!("meta.json has no grpo.{key}"))
    }

    fn images(&self, family: &Path, vlm: &Vlm) -> ImageFeatures {
        let group = self.number("group") as usize;
        let of = |file: &str| Case::read(family, file, vlm.config()).unwrap().images(vlm, None).unwrap();
        let pictures = PICTURES.map(of);
        let rows: Vec<&ImageFeatures> = (0..self.texts.len()).map(|row| &pictures[row / group]).collect();
        ImageFeatures::concat(&rows).unwrap()
    }

    /// Log-probabilities and entropies of the completions, `(B, T)`, and their mask.
    fn scores(&self, vlm: &Vlm, images: &ImageFeatures) -> (Tensor, Tensor, Tensor) {
        let row = |(text, visual): (_, _)| Row::new(text, std::slice::from_ref(visual));
        let rows: Vec<Row> = self.texts.iter().map(Vec::as_slice).zip(&self.visuals).map(row).collect();
        let batch = Batch::right_padded(vlm.config(), &rows, 0).unwrap();
        let hidden = vlm.forward(&batch, Some(images), None, None).unwrap();
        let wanted = |row: usize, token: usize| token >= self.texts[row].len() - self.lengths[row];
        let targets = Targets::select(&batch, wanted);
        assert_eq!(targets.per_row, self.lengths);
        let (logps, entropies) =
            vlm.token_logps(&hidden, &targets.rows, &targets.ids, self.number("temperature")).unwrap();
        let (logps, mask) = padded(&logps, &self.lengths).unwrap();
        (logps, padded(&entropies, &self.lengths).unwrap().0, mask)
    }

    /// A tensor of the fixture as wide as the longest completion.
    fn expected(&self, name: &str, like: &Tensor) -> Tensor {
        self.expected[name].narrow(1, 0, like.dim(1).unwrap()).unwrap()
    }
}

/// Compares where the mask is 1.
fn assert_scores(what: &str, got: &Tensor, want: &Tensor, mask: &Tensor) {
    let mask = mask.to_dtype(DType::F32).unwrap();
    let kept = |tensor: &Tensor| (tensor.detach() * &mask).unwrap();
    support::assert_close(what, &kept(got), &kept(want), 5e-5);
}

#[test]
fn loss_and_gradients() {
    let mut found = 0;
    for family in support::families() {
        let Some(group) = Group::read(&family) else { continue };
        found += 1;
        let what = family.display().to_string();
        let mut vlm = Vlm::load(&family.join("ckpt"), &LoadOptions::default()).unwrap();
        let images = group.images(&family, &vlm);
        let (reference, _, mask) = group.scores(&vlm, &images);
        let want = group.expected("ref_logps", &mask);
        assert_scores(&format!("{what}: reference"), &reference, &want, &mask);

        vlm.load_adapter(&family.join("lora_adapter"), true).unwrap();
        let (logps, entropies, mask) = group.scores(&vlm, &images);
        assert_scores(&format!("{what}: policy"), &logps, &group.expected("cur_logps", &mask), &mask);
        vlm.set_adapter_enabled(false);
        assert_scores(&format!("{what}: adapter off"), &group.scores(&vlm, &images).0, &want, &mask);
        vlm.set_adapter_enabled(true);

        let floats = |name: &str| group.expected[name].to_dtype(DType::F64).unwrap().to_vec1::<f64>().unwrap();
        let generations = group.number("group") as usize;
        let advantages = advantages(&[floats("rewards")], &[1.], generations, AdvantageOptions::default()).unwrap();
        for (got, want) in advantages.advantages.iter().zip(floats("advantages")) {
            close(&format!("{what}: advantage"), *got, want, 1.);
        }
        let (old, tokens) = (group.expected("old_logps", &mask), group.lengths.iter().sum::<usize>());
        let batch = Completions {
            logps: &logps,
            old_logps: Some(&old),
            sampling_logps: None,
            ref_logps: Some(&reference),
            mask: &mask,
            advantages: &advantages.advantages,
            entropies: Some(&entropies),
        };
        let options = LossOptions {
            loss_type: LossType::Dapo,
            beta: group.number("beta"),
            epsilon: group.number("epsilon"),
            epsilon_high: Some(group.number("epsilon_high")),
            ..LossOptions::default()
        };
        let step = Step { gradient_accumulation_steps: 1, num_items: tokens as f64, max_completion_length: 1 };
        let loss = policy_loss(&batch, step, &options).unwrap();
        let want = floats("loss")[0];
        let near = (loss.value - want).abs() <= 1e-5 * want.abs().max(1.);
        assert!(near, "{what}: loss {} instead of {want}", loss.value);
        let weights = mask.to_dtype(DType::F32).unwrap();
        let kl =
            scalar(&(group.expected("per_token_kl", &mask) * &weights).unwrap().sum_all().unwrap()) / tokens as f64;
        let got = loss.metrics.iter().find(|(name, _)| *name == "kl").unwrap().1;
        close(&format!("{what}: kl"), got, kl, 1.);

        let grads = loss.loss.backward().unwrap();
        let mut named = 0;
        for (name, want) in group.expected.iter().filter_map(|(name, t)| Some((name.strip_prefix("grad.")?, t))) {
            let var = vlm.vars().get(&name.replace(".default.weight", ".weight"));
            let var = var.unwrap_or_else(|| panic!("{what}: {name} is not trained"));
            let (diff, scale) = support::max_diff(grads.get(var).expect("a gradient"), want);
            assert!(diff <= 1e-4 * scale, "{what}: {name}: max |difference| {diff:e}, max |gradient| {scale:e}");
            named += 1;
        }
        assert!(named > 0, "{what}: no gradient to compare");
        assert!(vlm.vars().values().all(|var| grads.get(var).is_some()), "{what}: a variable without a gradient");
    }
    assert!(found > 0, "no grpo.safetensors under {}", support::root().display());
}
