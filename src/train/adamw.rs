//! AdamW over named variables, with torch's arithmetic: decoupled decay first, then
//! `p -= lr / (1 - b1^t) * m / (sqrt(v) / sqrt(1 - b2^t) + eps)` (Loshchilov and Hutter 2019; scalars in f64,
//! elements in f32). One pass over each tensor, written in place.
//!
//! The moments live beside the weights and can be exported and imported as named tensors: a resumed run continues bit by
//! bit. A gradient with a NaN or an infinity is refused before anything is written.

use super::{
    clip::{Gradients, in_place, on_host},
    pieces::Numbers,
};
use crate::error::{Failure, Result};
use crate::vlm::ops::host::view;
use candle_core::{CpuStorage, DType, InplaceOp1, Layout, Tensor, Var, bail};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::cell::Cell;
use std::collections::BTreeMap;

/// Settings, with the names of the Hugging Face trainer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdamWOptions {
    /// Decay of the first moment.
    pub adam_beta1: f64,
    /// Decay of the second moment.
    pub adam_beta2: f64,
    /// Added to the root of the second moment.
    pub adam_epsilon: f64,
    /// Decoupled weight decay per unit of learning rate.
    pub weight_decay: f64,
    /// Also decay norms, biases (any vector) and embedding tables, which are exempt otherwise.
    pub decay_all: bool,
    /// Exceptions by name; the first that matches a tensor holds for it.
    pub groups: Vec<Group>,
}

impl Default for AdamWOptions {
    fn default() -> Self {
        AdamWOptions {
            adam_beta1: 0.9,
            adam_beta2: 0.999,
            adam_epsilon: 1e-8,
            weight_decay: 0.,
            decay_all: false,
            groups: Vec::new(),
        }
    }
}

/// Tensors that train differently.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// Regular expression searched in the tensor name.
    pub pattern: String,
    /// Multiplies the learning rate.
    #[serde(default = "one")]
    pub lr_scale: f64,
    /// Replaces the weight decay, also for tensors that are exempt.
    #[serde(default)]
    pub weight_decay: Option<f64>,
}

fn one() -> f64 {
    1.
}

/// True for tensors that are usually not decayed: vectors (norms, biases) and embedding tables.
pub fn is_exempt(name: &str, rank: usize) -> bool {
    let tables = ["embed_tokens", "pos_embed", "position_embedding", "wte", "wpe"];
    rank <= 1 || name.split('.').any(|part| tables.contains(&part))
}

/// A variable and what is remembered about it.
struct Slot {
    var: Var,
    moments: Moments,
    step: u64,
    lr_scale: f64,
    weight_decay: f64,
}

/// Mean and square mean of the gradients.
enum Moments {
    /// In main memory.
    Host(Vec<f32>, Vec<f32>),
    /// On the device of the variable, in its shape.
    Device(Tensor, Tensor),
}

impl Moments {
    fn zeros(var: &Var) -> Result<Self> {
        if in_place(var) {
            let n = var.elem_count();
            return Ok(Moments::Host(vec![0.; n], vec![0.; n]));
        }
        let zeros = || Tensor::zeros(var.shape(), DType::F32, var.device());
        Ok(Moments::Device(zeros()?, zeros()?))
    }
}

/// The optimizer.
pub struct AdamW {
    slots: BTreeMap<String, Slot>,
    options: AdamWOptions,
}

/// What became of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a refused step must be counted and reported"]
pub enum Outcome {
    /// Every variable with a gradient was updated.
    Stepped,
    /// Nothing was written: these gradients hold a NaN or an infinity.
    Refused {
        /// Names in order.
        tensors: Vec<String>,
    },
}

impl AdamW {
    /// Starts with zero moments. Fails on a variable that is not f32, a bad pattern or a setting out of range.
    pub fn new(vars: &BTreeMap<String, Var>, options: AdamWOptions) -> Result<Self> {
        let unit = |name: &str, value: f64| match (0. ..1.).contains(&value) {
            true => Ok(()),
            false => Err(Failure::usage(format!("{name} must be at least 0 and below 1, got {value}"))),
        };
        unit("adam_beta1", options.adam_beta1)?;
        unit("adam_beta2", options.adam_beta2)?;
        let positive = |x: f64| x.is_finite() && x >= 0.;
        if !positive(options.weight_decay) || !positive(options.adam_epsilon) {
            let (decay, epsilon) = (options.weight_decay, options.adam_epsilon);
            return Err(Failure::usage(format!(
                "weight_decay and adam_epsilon must be finite and not negative, got {decay} and {epsilon}"
            )));
        }
        let mut groups = Vec::new();
        for group in &options.groups {
            let regex = regex_lite::Regex::new(&group.pattern)
                .map_err(|e| Failure::usage(format!("optimizer group pattern {:?}: {e}", group.pattern)))?;
            if !positive(group.lr_scale) || !group.weight_decay.is_none_or(positive) {
                return Err(Failure::usage(format!("optimizer group {:?}: negative or not finite", group.pattern)));
            }
            groups.push((regex, group));
        }
        let mut slots = BTreeMap::new();
        for (name, var) in vars {
            if var.dtype() != DType::F32 {
                let message = format!("{name} is {:?}: only f32 tensors can be trained", var.dtype());
                return Err(Failure::usage(message).hint("load the model in f32, or train a LoRA adapter"));
            }
            let group = groups.iter().find(|(regex, _)| regex.is_match(name)).map(|(_, group)| *group);
            let exempt = !options.decay_all && is_exempt(name, var.rank());
            let default = if exempt { 0. } else { options.weight_decay };
            let slot = Slot {
                moments: Moments::zeros(var)?,
                var: var.clone(),
                step: 0,
                lr_scale: group.map_or(1., |g| g.lr_scale),
                weight_decay: group.and_then(|g| g.weight_decay).unwrap_or(default),
            };
            slots.insert(name.clone(), slot);
        }
        Ok(AdamW { slots, options })
    }

    /// Updates every variable that has a gradient; gradients are multiplied by `clip` (see
    /// [`super::clip::clip_coefficient`]) on the way. Variables without a gradient keep their value and step count, as
    /// in torch. Fails on a gradient of unknown name or wrong shape, or a learning rate that is not a number.
    pub fn step(&mut self, grads: &Gradients, lr: f64, clip: f64) -> Result<Outcome> {
        if !(lr.is_finite() && lr >= 0. && clip.is_finite()) {
            return Err(Failure::usage(format!("learning rate {lr} and clip factor {clip} must be finite")));
        }
        for (name, grad) in grads.iter() {
            match self.slots.get(name) {
                Some(slot) if slot.var.dims() == grad.dims() => {}
                Some(slot) => {
                    let (got, want) = (grad.dims(), slot.var.dims());
                    return Err(Failure::device(format!("the gradient of {name} is {got:?}, the tensor {want:?}")));
                }
                None => return Err(Failure::device(format!("a gradient for {name}, which is not trained"))),
            }
        }
        let tensors = grads.non_finite()?;
        if !tensors.is_empty() {
            return Ok(Outcome::Refused { tensors });
        }
        for (name, grad) in grads.iter() {
            if let Some(slot) = self.slots.get_mut(name) {
                slot.update(grad, lr, clip, &self.options)?;
            }
        }
        Ok(Outcome::Stepped)
    }

    /// The trained variables by name.
    pub fn vars(&self) -> impl Iterator<Item = (&String, &Var)> {
        self.slots.iter().map(|(name, slot)| (name, &slot.var))
    }

    /// Everything a resumed run needs beside the weights, as f32 tensors: `exp_avg.<name>`, `exp_avg_sq.<name>` in the
    /// shape of the variable and the scalar `step.<name>` (exact to 2^24). Nothing is copied.
    pub fn export(&self) -> BTreeMap<String, Numbers<'_>> {
        let mut state = BTreeMap::new();
        for (name, Slot { var, moments, step, .. }) in &self.slots {
            let (m, v) = match moments {
                Moments::Host(m, v) => (Numbers::Slice(m, var.dims().to_vec()), Numbers::Slice(v, var.dims().to_vec())),
                Moments::Device(m, v) => (Numbers::Tensor(m.clone()), Numbers::Tensor(v.clone())),
            };
            state.insert(format!("exp_avg.{name}"), m);
            state.insert(format!("exp_avg_sq.{name}"), v);
            state.insert(format!("step.{name}"), Numbers::One(*step as f32));
        }
        state
    }

    /// Restores what [`AdamW::export`] gave, read back as tensors. Fails, without changing anything, when a tensor is missing, left over or of
    /// another shape.
    pub fn import(&mut self, state: &BTreeMap<String, Tensor>) -> Result<()> {
        let wrong = |message: String| {
            Failure::data(format!("optimizer state: {message}"))
                .hint("resume with the same trainable tensors, or start without --resume")
        };
        let find = |key: String, dims: &[usize]| match state.get(&key) {
            Some(t) if t.dims() == dims && t.dtype() == DType::F32 => Ok(t),
            Some(t) => Err(wrong(format!("{key} is {:?} {:?}, expected F32 {dims:?}", t.dtype(), t.dims()))),
            None => Err(wrong(format!("{key} is missing"))),
        };
        if state.len() != 3 * self.slots.len() {
            let known = |key: &&String| {
                key.split_once('.').is_some_and(|(kind, name)| {
                    ["exp_avg", "exp_avg_sq", "step"].contains(&kind) && self.slots.contains_key(name)
                })
            };
            if let Some(extra) = state.keys().find(|key| !known(key)) {
                return Err(wrong(format!("{extra} belongs to no trained tensor")));
            }
        }
        let mut loaded = Vec::new();
        for (name, slot) in &self.slots {
            let dims = slot.var.dims();
            let (m, v) = (find(format!("exp_avg.{name}"), dims)?, find(format!("exp_avg_sq.{name}"), dims)?);
            let step = find(format!("step.{name}"), &[])?.to_scalar::<f32>()?;
            if !(step >= 0. && step.fract() == 0.) {
                return Err(wrong(format!("step.{name} is {step}, expected a whole number")));
            }
            let moments = match &slot.moments {
                Moments::Host(..) => Moments::Host(m.flatten_all()?.to_vec1()?, v.flatten_all()?.to_vec1()?),
                Moments::Device(at, _) => Moments::Device(m.to_device(at.device())?, v.to_device(at.device())?),
            };
            loaded.push((moments, step as u64));
        }
        for (slot, (moments, step)) in self.slots.values_mut().zip(loaded) {
            (slot.moments, slot.step) = (moments, step);
        }
        Ok(())
    }
}

/// The scalars of one update.
#[derive(Clone, Copy)]
struct Scalars {
    clip: f32,
    keep: f32,
    beta2: f32,
    one_minus_beta1: f32,
    one_minus_beta2: f32,
    step_size: f32,
    root_correction: f32,
    epsilon: f32,
}

impl Slot {
    fn update(&mut self, grad: &Tensor, lr: f64, clip: f64, options: &AdamWOptions) -> Result<()> {
        self.step += 1;
        let lr = lr * self.lr_scale;
        let power = |beta: f64| beta.powi(self.step.min(i32::MAX as u64) as i32);
        let scalars = Scalars {
            clip: clip as f32,
            keep: (1. - lr * self.weight_decay) as f32,
            beta2: options.adam_beta2 as f32,
            one_minus_beta1: (1. - options.adam_beta1) as f32,
            one_minus_beta2: (1. - options.adam_beta2) as f32,
            step_size: (lr / (1. - power(options.adam_beta1))) as f32,
            root_correction: (1. - power(options.adam_beta2)).sqrt() as f32,
            epsilon: options.adam_epsilon as f32,
        };
        match &mut self.moments {
            Moments::Host(m, v) => {
                let grad = on_host(grad)?;
                let state = Cell::new(Some((&mut m[..], &mut v[..])));
                self.var.inplace_op1(&Update { scalars, g: &view(&grad)?, state })?;
            }
            Moments::Device(m, v) => {
                let p = update_there(&self.var.as_tensor().detach(), m, v, grad, scalars)?;
                self.var.set(&p)?;
            }
        }
        Ok(())
    }
}

/// [`update`] by candle's operations: the new weights; the moments are replaced.
fn update_there(p: &Tensor, m: &mut Tensor, v: &mut Tensor, g: &Tensor, s: Scalars) -> candle_core::Result<Tensor> {
    let times = |x: &Tensor, factor: f32| x.affine(f64::from(factor), 0.);
    let g = times(&g.to_device(p.device())?.to_dtype(DType::F32)?.detach(), s.clip)?;
    *m = (&*m + times(&(&g - &*m)?, s.one_minus_beta1)?)?;
    *v = (times(v, s.beta2)? + times(&g.sqr()?, s.one_minus_beta2)?)?;
    let denominator = v.sqrt()?.affine(f64::from(s.root_correction).recip(), f64::from(s.epsilon))?;
    times(p, s.keep)? - times(&(&*m / denominator)?, s.step_size)?
}

/// Writes through the storage of a variable: no new tensor, nothing copied.
struct Update<'a> {
    scalars: Scalars,
    g: &'a [f32],
    state: Cell<Option<(&'a mut [f32], &'a mut [f32])>>,
}

impl InplaceOp1 for Update<'_> {
    fn name(&self) -> &'static str {
        "adamw"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> candle_core::Result<()> {
        match (storage, layout.contiguous_offsets(), self.state.take()) {
            (CpuStorage::F32(p), Some((start, end)), Some((m, v))) => {
                update(&mut p[start..end], m, v, self.g, self.scalars);
                Ok(())
            }
            _ => bail!("adamw: the variable of shape {:?} is not a contiguous f32 tensor", layout.shape()),
        }
    }
}

fn update(p: &mut [f32], m: &mut [f32], v: &mut [f32], g: &[f32], s: Scalars) {
    const PART: usize = 1 << 14;
    let part = |p: &mut [f32], m: &mut [f32], v: &mut [f32], g: &[f32]| {
        for (((p, m), v), g) in p.iter_mut().zip(m).zip(v).zip(g) {
            let g = g * s.clip;
            *m += s.one_minus_beta1 * (g - *m);
            *v = *v * s.beta2 + s.one_minus_beta2 * g * g;
            let denominator = v.sqrt() / s.root_correction + s.epsilon;
            *p = *p * s.keep - s.step_size * *m / denominator;
        }
    };
    if p.len() <= PART {
        return part(p, m, v, g);
    }
    let chunks = p.par_chunks_mut(PART).zip(m.par_chunks_mut(PART)).zip(v.par_chunks_mut(PART));
    chunks.zip(g.par_chunks(PART)).for_each(|(((p, m), v), g)| part(p, m, v, g));
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use candle_core::Device;

    fn var(data: &[f32], dims: &[usize]) -> Var {
        Var::from_tensor(&Tensor::from_vec(data.to_vec(), dims, &Device::Cpu).unwrap()).unwrap()
    }
    fn vars(list: &[(&str, &Var)]) -> BTreeMap<String, Var> {
        list.iter().map(|(name, var)| (name.to_string(), (*var).clone())).collect()
    }
    fn grads(list: &[(&str, &[f32], &[usize])]) -> Gradients {
        let mut grads = Gradients::default();
        for (name, data, dims) in list {
            grads.insert(*name, Tensor::from_vec(data.to_vec(), *dims, &Device::Cpu).unwrap());
        }
        grads
    }
    fn tensors(adam: &AdamW) -> BTreeMap<String, Tensor> {
        let mut bytes = Vec::new();
        crate::train::pieces::Pieces::new(adam.export(), &[]).unwrap().write(&mut bytes).unwrap();
        candle_core::safetensors::load_buffer(&bytes, &Device::Cpu).unwrap().into_iter().collect()
    }
    fn values(var: &Var) -> Vec<f32> {
        var.flatten_all().unwrap().to_vec1().unwrap()
    }

    /// The formula in f64, for many steps with changing gradient, rate and clip factor.
    #[test]
    fn follows_the_formula() {
        let w = var(&[0.5, -1., 2., 0.1], &[2, 2]);
        let options = AdamWOptions { weight_decay: 0.1, adam_beta2: 0.98, ..Default::default() };
        let mut adam = AdamW::new(&vars(&[("w", &w)]), options).unwrap();
        let (mut p, mut m, mut v) = ([0.5f64, -1., 2., 0.1], [0f64; 4], [0f64; 4]);
        for t in 1..=50 {
            let g: Vec<f32> = (0..4).map(|i| ((t * (i + 3)) as f32).sin()).collect();
            let (lr, clip) = (0.01 * t as f64 / 50., 0.7);
            assert_eq!(adam.step(&grads(&[("w", &g, &[2, 2])]), lr, clip).unwrap(), Outcome::Stepped);
            for i in 0..4 {
                let g = g[i] as f64 * clip;
                p[i] *= 1. - lr * 0.1;
                m[i] = 0.9 * m[i] + 0.1 * g;
                v[i] = 0.98 * v[i] + 0.02 * g * g;
                let (mh, vh) = (m[i] / (1. - 0.9f64.powi(t)), v[i] / (1. - 0.98f64.powi(t)));
                p[i] -= lr * mh / (vh.sqrt() + 1e-8);
            }
        }
        for (got, want) in values(&w).iter().zip(p) {
            assert!((*got as f64 - want).abs() < 2e-6, "{got} {want}");
        }
    }

    #[test]
    fn resumes_bit_by_bit() {
        let n = 40_000;
        let data: Vec<f32> = (0..n).map(|i| (i as f32 * 0.37).sin()).collect();
        let gradient = |t: usize| (0..n).map(|i| ((i + 17 * t) as f32 * 0.11).cos()).collect::<Vec<f32>>();
        let (a, b) = (var(&data, &[n]), var(&data, &[n]));
        let options = AdamWOptions { weight_decay: 0.1, decay_all: true, ..Default::default() };
        let mut whole = AdamW::new(&vars(&[("x", &a)]), options.clone()).unwrap();
        let mut first = AdamW::new(&vars(&[("x", &b)]), options.clone()).unwrap();
        for t in 0..3 {
            let g = grads(&[("x", &gradient(t), &[n])]);
            assert_eq!(whole.step(&g, 1e-2, 1.).unwrap(), first.step(&g, 1e-2, 1.).unwrap());
        }
        let c = var(&values(&b), &[n]);
        let mut second = AdamW::new(&vars(&[("x", &c)]), options).unwrap();
        second.import(&tensors(&first)).unwrap();
        for t in 3..6 {
            let g = grads(&[("x", &gradient(t), &[n])]);
            assert_eq!(whole.step(&g, 1e-2, 1.).unwrap(), second.step(&g, 1e-2, 1.).unwrap());
        }
        assert_eq!(values(&a), values(&c));
        assert_ne!(values(&a), values(&b));
    }

    #[test]
    fn refuses_what_is_not_finite() {
        let (a, b) = (var(&[1., 2.], &[2]), var(&[3.], &[1]));
        let mut adam = AdamW::new(&vars(&[("a", &a), ("b", &b)]), Default::default()).unwrap();
        let bad = grads(&[("a", &[1., 1.], &[2]), ("b", &[f32::NAN], &[1])]);
        assert_eq!(adam.step(&bad, 0.1, 1.).unwrap(), Outcome::Refused { tensors: vec!["b".into()] });
        assert_eq!((values(&a), values(&b)), (vec![1., 2.], vec![3.]));
        assert!(adam.step(&grads(&[("a", &[1.], &[1])]), 0.1, 1.).unwrap_err().message.contains("[1]"));
        assert!(adam.step(&grads(&[("z", &[1.], &[1])]), 0.1, 1.).unwrap_err().message.contains('z'));
        assert!(adam.step(&Gradients::default(), f64::NAN, 1.).is_err());
    }

    #[test]
    fn groups_and_exemptions() {
        let (w, bias, table) = (var(&[1., 1.], &[2, 1]), var(&[1.], &[1]), var(&[1.], &[1, 1]));
        let names = vars(&[("head.weight", &w), ("head.bias", &bias), ("model.embed_tokens.weight", &table)]);
        let group = Group { pattern: "^head".into(), lr_scale: 0., weight_decay: None };
        let options = AdamWOptions { weight_decay: 0.5, groups: vec![group], ..Default::default() };
        let mut adam = AdamW::new(&names, options).unwrap();
        let zero = grads(&[
            ("head.weight", &[0., 0.], &[2, 1]),
            ("head.bias", &[0.], &[1]),
            ("model.embed_tokens.weight", &[0.], &[1, 1]),
        ]);
        assert_eq!(adam.step(&zero, 0.1, 1.).unwrap(), Outcome::Stepped);
        assert_eq!((values(&w), values(&bias), values(&table)), (vec![1., 1.], vec![1.], vec![1.]));
        let mut adam = AdamW::new(&names, AdamWOptions { weight_decay: 0.5, ..Default::default() }).unwrap();
        assert_eq!(adam.step(&zero, 0.1, 1.).unwrap(), Outcome::Stepped);
        assert_eq!((values(&w), values(&bias), values(&table)), (vec![0.95, 0.95], vec![1.], vec![1.]));
        let bad = Group { pattern: "(".into(), lr_scale: 1., weight_decay: None };
        assert!(AdamW::new(&names, AdamWOptions { groups: vec![bad], ..Default::default() }).is_err());
        assert!(AdamW::new(&names, AdamWOptions { adam_beta1: 1., ..Default::default() }).is_err());
    }

    #[test]
    fn import_checks_names_and_shapes() {
        let a = var(&[1., 2.], &[2]);
        let mut adam = AdamW::new(&vars(&[("a", &a)]), Default::default()).unwrap();
        let state = tensors(&adam);
        let fails = |adam: &mut AdamW, change: &dyn Fn(&mut BTreeMap<String, Tensor>), part: &str| {
            let mut state = state.clone();
            change(&mut state);
            let message = adam.import(&state).unwrap_err().message;
            assert!(message.contains(part), "{message}");
        };
        let one = Tensor::new(1f32, &Device::Cpu).unwrap();
        fails(&mut adam, &|s| drop(s.remove("step.a")), "step.a is missing");
        fails(&mut adam, &|s| drop(s.insert("step.b".into(), one.clone())), "step.b");
        fails(&mut adam, &|s| drop(s.insert("exp_avg.a".into(), one.clone())), "exp_avg.a");
        adam.import(&state).unwrap();
    }
}
