//! Gradients by name: collecting, accumulating, and clipping by their global norm.
//!
//! Sums of squares are taken in f64 on the CPU, within a tensor in runs of fixed length and over tensors in name order, so
//! the norm does not depend on the number of threads. On other devices they are made there.

use crate::error::Result;
use crate::vlm::ops::{self, host::view};
use candle_core::backprop::GradStore;
use candle_core::{DType, Device, Tensor, Var};
use rayon::prelude::*;
use std::collections::BTreeMap;

/// One f32 gradient per trainable tensor.
#[derive(Debug, Clone, Default)]
pub struct Gradients(BTreeMap<String, Tensor>);

/// A contiguous f32 copy on the CPU, or the tensor itself when it is one already.
pub(super) fn on_host(t: &Tensor) -> Result<Tensor> {
    Ok(t.to_device(&Device::Cpu)?.to_dtype(DType::F32)?.contiguous()?.detach())
}

/// Whether numbers are read and written where they lie in main memory.
pub(super) fn in_place(t: &Tensor) -> bool {
    t.device().is_cpu() && !ops::composed::only()
}

impl Gradients {
    /// Takes the gradients of the named variables out of a store; variables without one are left out.
    pub fn take(store: &mut GradStore, vars: &BTreeMap<String, Var>) -> Result<Self> {
        let mut taken = BTreeMap::new();
        for (name, var) in vars {
            if let Some(grad) = store.remove(var) {
                taken.insert(name.clone(), grad.to_dtype(DType::F32)?.contiguous()?.detach());
            }
        }
        Ok(Gradients(taken))
    }

    /// Sets one gradient.
    pub fn insert(&mut self, name: impl Into<String>, gradient: Tensor) {
        self.0.insert(name.into(), gradient.detach());
    }

    /// The gradient of a variable.
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.0.get(name)
    }

    /// Name and gradient, in name order.
    pub fn iter(&self) -> impl Iterator<Item = (&String, &Tensor)> {
        self.0.iter()
    }

    /// Number of tensors.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True without any tensor.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds what else reaches the same tensors: another micro-batch, or another part of one pass.
    pub fn add(&mut self, other: Gradients) -> Result<()> {
        for (name, grad) in other.0 {
            let sum = match self.0.get(&name) {
                Some(mine) => (mine + &grad)?,
                None => grad,
            };
            self.0.insert(name, sum);
        }
        Ok(())
    }

    /// Multiplies everything, for example by 1 / gradient_accumulation_steps.
    pub fn scale(&mut self, factor: f64) -> Result<()> {
        for grad in self.0.values_mut().filter(|_| factor != 1.) {
            *grad = (&*grad * factor)?;
        }
        Ok(())
    }

    /// The 2-norm over all tensors together; NaN or infinite when any element is.
    pub fn norm(&self) -> Result<f64> {
        Ok(self.squares()?.iter().sum::<f64>().sqrt())
    }

    /// Sum of squares of each tensor, in name order: in f64 on the host, in f32 on other devices, where a gradient over 1e19
    /// counts as infinite.
    fn squares(&self) -> Result<Vec<f64>> {
        if self.0.values().all(in_place) {
            return self.0.values().map(|grad| Ok(sum_of_squares(&view(&on_host(grad)?)?))).collect();
        }
        let sums = self.0.values().map(|grad| grad.sqr()?.sum_all());
        let sums = Tensor::stack(&sums.collect::<candle_core::Result<Vec<_>>>()?, 0)?; // one copy to the host
        Ok(sums.to_vec1::<f32>()?.into_iter().map(f64::from).collect())
    }

    /// Names of the tensors that hold a NaN or an infinity.
    pub fn non_finite(&self) -> Result<Vec<String>> {
        // The sum of squares in f64 cannot overflow from finite f32 elements, so it is finite exactly when they are.
        let squares = self.squares()?;
        Ok(self.0.keys().zip(squares).filter(|(_, sum)| !sum.is_finite()).map(|(name, _)| name.clone()).collect())
    }

    /// True when every element is finite.
    pub fn is_finite(&self) -> Result<bool> {
        Ok(self.non_finite()?.is_empty())
    }
}

fn sum_of_squares(x: &[f32]) -> f64 {
    const RUN: usize = 1 << 14;
    let run = |x: &[f32]| -> f64 {
        let mut lanes = [0f64; 8];
        let chunks = x.chunks_exact(8);
        let rest: f64 = chunks.remainder().iter().map(|x| *x as f64 * *x as f64).sum();
        for chunk in chunks {
            for (lane, x) in lanes.iter_mut().zip(chunk) {
                *lane += *x as f64 * *x as f64;
            }
        }
        lanes.iter().sum::<f64>() + rest
    };
    if x.len() <= RUN {
        return run(x);
    }
    let parts: Vec<f64> = x.par_chunks(RUN).map(run).collect();
    parts.iter().sum()
}

/// Factor that brings a gradient of this norm down to `max_norm`: `max_norm / (norm + 1e-6)`, at most 1, as in
/// `torch.nn.utils.clip_grad_norm_`. A `max_norm` of 0 or less means no clipping, as in the Hugging Face trainer.
pub fn clip_coefficient(norm: f64, max_norm: f64) -> f64 {
    if max_norm <= 0. { 1. } else { (max_norm / (norm + 1e-6)).min(1.) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    fn tensor(data: &[f32]) -> Tensor {
        Tensor::new(data, &Device::Cpu).unwrap()
    }

    #[test]
    fn accumulates_scales_and_measures() {
        let var = Var::from_tensor(&tensor(&[1., 2.])).unwrap();
        let unused = Var::from_tensor(&tensor(&[1.])).unwrap();
        let vars = BTreeMap::from([("a".to_string(), var.clone()), ("b".to_string(), unused)]);
        let backward = || var.sqr().unwrap().sum_all().unwrap().backward().unwrap();
        let mut grads = Gradients::take(&mut backward(), &vars).unwrap();
        assert_eq!(grads.len(), 1);
        grads.add(Gradients::take(&mut backward(), &vars).unwrap()).unwrap();
        grads.scale(0.5).unwrap();
        assert_eq!(grads.get("a").unwrap().to_vec1::<f32>().unwrap(), [2., 4.]);
        grads.insert("c", tensor(&vec![1.; 40_001]));
        assert!((grads.norm().unwrap() - (20f64 + 40_001.).sqrt()).abs() < 1e-9);
    }

    #[test]
    fn names_what_is_not_finite() {
        let mut grads = Gradients::default();
        grads.insert("fine", tensor(&[1e38, -1e38]));
        assert!(grads.is_finite().unwrap());
        grads.insert("worse", tensor(&[0., f32::NAN]));
        grads.insert("bad", tensor(&[f32::INFINITY]));
        assert_eq!(grads.non_finite().unwrap(), ["bad", "worse"]);
    }

    #[test]
    fn clips_like_torch() {
        assert_eq!(clip_coefficient(0.5, 1.), 1.);
        assert_eq!(clip_coefficient(4., 1.), 1. / (4. + 1e-6));
        assert_eq!(clip_coefficient(4., 0.), 1.);
    }
}
