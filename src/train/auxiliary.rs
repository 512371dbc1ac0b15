//! A throw-away classification head on the image tokens: the cure for blindness.
//!
//! A small model trained from scratch by next-token loss alone never looks at the picture: template grammar lowers the
//! loss well enough. Teaching the vision tower small facts about the frame first (which way the road bends, how hard
//! the wheel is turned) and keeping that loss beside the answer's makes it see. The head is never shipped.
//!
//! Shape: LayerNorm, linear H -> 48, GELU, flatten the I tokens, one linear to all classes of all targets; the loss is
//! the mean cross-entropy over the targets known for each sample.

use crate::{
    error::{Failure, Result},
    policy::Planner,
    streams::Stream,
    train::{augment, examples},
    vlm::{ops, processor::Pixels},
};
use candle_core::{D, DType, Device, Tensor, Var};
use data::Sample;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// Width of each image token after the first linear.
const WIDTH: usize = 48;

/// Numbers in a head for frames of `tokens` image tokens of width `hidden`.
pub fn parameters(hidden: u64, tokens: u64, classes: u64) -> u64 {
    let width = WIDTH as u64;
    width * hidden + classes * tokens * width + 2 * hidden + width + classes
}

/// One attribute: its name and its classes in sorted order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Name in [`Sample::aux`].
    pub name: String,
    /// Class names.
    pub classes: Vec<String>,
    /// The most frequent class of the training set: what guessing would answer.
    pub majority: String,
}

/// Collects the classes that occur in a training set for each wanted target; with `flip` also their mirror images,
/// which training will show.
///
/// # Errors
/// A target that no sample has.
pub fn targets(samples: &[Sample], wanted: &[String], flip: bool) -> Result<Vec<Target>> {
    let mut known: BTreeMap<&str, BTreeMap<String, usize>> = BTreeMap::new();
    for (name, class) in samples.iter().flat_map(|s| &s.aux) {
        let counts = known.entry(name).or_default();
        *counts.entry(class.clone()).or_default() += 1;
        if flip {
            counts.entry(augment::swap_sides(class)).or_default();
        }
    }
    wanted
        .iter()
        .map(|name| {
            let counts = known.get(name.as_str()).ok_or_else(|| {
                let names: BTreeSet<_> = known.keys().copied().collect();
                Failure::usage(format!("sft.auxiliary.targets names {name:?}, which no sample has"))
                    .hint(format!("the data has: {}", names.into_iter().collect::<Vec<_>>().join(", ")))
            })?;
            let majority = counts.iter().max_by_key(|(_, n)| **n).map_or_else(String::new, |(class, _)| class.clone());
            Ok(Target { name: name.clone(), classes: counts.keys().cloned().collect(), majority })
        })
        .collect()
}

/// The head. Parameters are named `aux.*` in the trainer's state.
pub struct Head {
    /// What it predicts.
    pub targets: Vec<Target>,
    tokens: usize,
    vars: BTreeMap<String, Var>,
}

/// Loss and hits of one batch.
pub struct Outcome {
    /// Mean cross-entropy over known targets, a scalar with gradient; `None` when no sample knows any target.
    pub loss: Option<Tensor>,
    /// Per target: (right, known).
    pub hits: Vec<(usize, usize)>,
}

/// Accuracy on one target, beside what the training set's most frequent class would score.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Accuracy {
    /// Share right.
    pub accuracy: f64,
    /// Share right of always answering the majority class.
    pub majority: f64,
    /// Samples that know the target.
    pub n: usize,
}

impl Head {
    /// A fresh head on a device for frames of `tokens` image tokens of width `hidden`, drawn from a seeded stream.
    ///
    /// # Errors
    /// Tensor allocation.
    pub fn new(
        targets: Vec<Target>,
        tokens: usize,
        hidden: usize,
        device: &Device,
        stream: &mut Stream,
    ) -> Result<Self> {
        let classes: usize = targets.iter().map(|t| t.classes.len()).sum();
        let mut vars = BTreeMap::new();
        let mut normal = |rows: usize, cols: usize| -> Result<Var> {
            let scale = 1.0 / (cols as f64).sqrt();
            let values: Vec<f32> = (0..rows * cols).map(|_| (stream.normal() * scale) as f32).collect();
            Ok(Var::from_vec(values, (rows, cols), device)?)
        };
        vars.insert("aux.proj.weight".into(), normal(WIDTH, hidden)?);
        vars.insert("aux.out.weight".into(), normal(classes, tokens * WIDTH)?);
        vars.insert("aux.norm.weight".into(), Var::ones(hidden, DType::F32, device)?);
        vars.insert("aux.norm.bias".into(), Var::zeros(hidden, DType::F32, device)?);
        vars.insert("aux.proj.bias".into(), Var::zeros(WIDTH, DType::F32, device)?);
        vars.insert("aux.out.bias".into(), Var::zeros(classes, DType::F32, device)?);
        Ok(Head { targets, tokens, vars })
    }

    /// Image tokens of the frames that it reads.
    pub fn tokens(&self) -> usize {
        self.tokens
    }

    /// Trainable parameters.
    pub fn vars(&self) -> &BTreeMap<String, Var> {
        &self.vars
    }

    /// Loss and accuracy for a batch. `features` is `(B * I, H)`, I tokens a sample.
    ///
    /// # Errors
    /// Another number of tokens than the head was made for.
    pub fn loss(&self, features: &Tensor, samples: &[&BTreeMap<String, String>]) -> Result<Outcome> {
        let (rows, _) = features.dims2()?;
        if rows != samples.len() * self.tokens {
            return Err(Failure::data(format!(
                "auxiliary targets need the same {} image tokens for every sample, got {rows} for {} samples",
                self.tokens,
                samples.len()
            ))
            .hint("use frames of one size and one frame a sample, or set sft.auxiliary.weight=0"));
        }
        let var = |name: &str| {
            self.vars.get(name).map(Var::as_tensor).ok_or_else(|| Failure::device(format!("{name} is missing")))
        };
        let features = features.to_dtype(DType::F32)?; // as the head is, whatever the model computes in
        let x = ops::layer_norm(&features, var("aux.norm.weight")?, var("aux.norm.bias")?, 1e-5)?;
        let x = ops::linear(&x, var("aux.proj.weight")?)?.broadcast_add(var("aux.proj.bias")?)?;
        let x = ops::gelu_tanh(&x)?.reshape((samples.len(), self.tokens * WIDTH))?;
        let logits = ops::linear(&x, var("aux.out.weight")?)?.broadcast_add(var("aux.out.bias")?)?; // (B, all classes)
        self.score(&logits, samples)
    }

    /// Accuracy on the first `limit` held-out samples that know a target and have one frame of the size the head was
    /// made for, without gradients; targets that none of them knows are left out.
    ///
    /// # Errors
    /// Pictures, device trouble.
    pub fn evaluate(&self, planner: &Planner, samples: &[Sample], limit: usize) -> Result<BTreeMap<String, Accuracy>> {
        let mut sums = vec![(0, 0, 0); self.targets.len()];
        let usable: Vec<&Sample> =
            samples.iter().filter(|s| s.images.len() == 1 && !s.aux.is_empty()).take(limit).collect();
        for chunk in usable.chunks(16) {
            let (mut pixels, mut aux) = (Vec::new(), Vec::new());
            for sample in chunk {
                for picture in examples::pictures(sample)? {
                    let frame = planner.encoder.processor.image(&picture)?;
                    if planner.encoder.processor.tokens(frame.grid) == self.tokens {
                        pixels.push(frame);
                        aux.push(&sample.aux);
                    }
                }
            }
            let Some((values, grids)) = Pixels::concat(&pixels)? else { continue };
            let features = planner.vlm.frozen()?.encode_images(&values, &grids)?.embeds;
            let outcome = self.loss(&features, &aux)?;
            for ((sum, target), (right, known)) in sums.iter_mut().zip(&self.targets).zip(outcome.hits) {
                let majority = aux.iter().filter(|a| a.get(&target.name) == Some(&target.majority)).count();
                *sum = (sum.0 + right, sum.1 + majority, sum.2 + known);
            }
        }
        let share = |part: usize, n: usize| part as f64 / n as f64;
        let known = self.targets.iter().zip(sums).filter(|(_, (_, _, n))| *n > 0);
        Ok(known
            .map(|(t, (right, majority, n))| {
                (t.name.clone(), Accuracy { accuracy: share(right, n), majority: share(majority, n), n })
            })
            .collect())
    }

    fn score(&self, logits: &Tensor, samples: &[&BTreeMap<String, String>]) -> Result<Outcome> {
        let mut terms = Vec::new();
        let mut hits = Vec::new();
        let mut offset = 0;
        for target in &self.targets {
            let part = logits.narrow(1, offset, target.classes.len())?;
            offset += target.classes.len();
            let (rows, classes): (Vec<u32>, Vec<u32>) = samples
                .iter()
                .enumerate()
                .filter_map(|(row, aux)| {
                    let class = aux.get(&target.name)?;
                    Some((row as u32, target.classes.iter().position(|c| c == class)? as u32))
                })
                .unzip();
            if rows.is_empty() {
                hits.push((0, 0));
                continue;
            }
            let known = part.contiguous()?.index_select(&Tensor::new(rows.as_slice(), logits.device())?, 0)?;
            let logp = candle_nn::ops::log_softmax(&known, D::Minus1)?;
            let chosen = Tensor::new(classes.as_slice(), logits.device())?;
            terms.push(logp.gather(&chosen.unsqueeze(1)?, 1)?.mean_all()?.neg()?);
            let best = known.argmax(D::Minus1)?.to_vec1::<u32>()?;
            hits.push((best.iter().zip(&classes).filter(|(a, b)| a == b).count(), classes.len()));
        }
        let loss = match terms.len() {
            0 => None,
            n => Some((Tensor::stack(&terms, 0)?.sum_all()? / n as f64)?),
        };
        Ok(Outcome { loss, hits })
    }
}
