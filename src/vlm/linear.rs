//! Linear layers and norms: a weight that may be trainable or frozen, an optional bias, an optional adapter.
//!
//! No gradient is made for a weight that tracks none. Trainable weights stay f32 and are cast to the activation's dtype where they are used.

use super::{build::Scope, lora::Slot, ops, weight::Weight};
use candle_core::{D, Result, Tensor};

/// `x @ w.T + b (+ adapter)`.
#[derive(Debug, Clone)]
pub(crate) struct Linear {
    weight: Weight, // (O, I)
    bias: Option<Tensor>,
    slot: Option<Slot>,
}

impl Linear {
    pub(crate) fn new(scope: &Scope, inputs: usize, outputs: usize, bias: bool) -> Result<Self> {
        Ok(Linear {
            weight: scope.weight("weight", [outputs, inputs])?,
            bias: if bias { Some(scope.get("bias", &[outputs])?) } else { None },
            slot: scope.slot(inputs, outputs),
        })
    }

    /// x `(.., I)`, result `(.., O)`.
    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        match &self.slot {
            Some(slot) if slot.drops() => slot.add_to(x, self.weight.affine(x, self.bias.as_ref())?),
            Some(slot) if slot.on() => self.weight.adapted(x, self.bias.as_ref(), slot),
            _ => self.weight.affine(x, self.bias.as_ref()),
        }
    }

    /// `n` equal parts of the output, `(.., O/n)` each, as from `n` layers side by side.
    ///
    /// Cutting the weight instead of the result saves the backward pass from padding a gradient of the result's size
    /// for every part. An adapter spans all parts, so with one the result is cut, and so it is for packed weights.
    pub(crate) fn forward_parts(&self, x: &Tensor, n: usize) -> Result<Vec<Tensor>> {
        let (Weight::Dense(weight), None) = (&self.weight, &self.slot) else {
            return self.forward(x)?.chunk(n, D::Minus1);
        };
        let weights = weight.chunk(n, 0)?;
        let biases = self.bias.as_ref().map(|bias| bias.chunk(n, 0)).transpose()?;
        let part = |i: usize| Weight::Dense(weights[i].clone()).affine(x, biases.as_ref().map(|b: &Vec<Tensor>| &b[i]));
        (0..n).map(part).collect()
    }
}

/// `x @ w.T`; only a variable weight gets a gradient.
pub(crate) fn matmul(x: &Tensor, w: &Tensor) -> Result<Tensor> {
    ops::linear(x, &w.to_dtype(x.dtype())?)
}

/// RMSNorm or LayerNorm over the last dimension.
#[derive(Debug, Clone)]
pub(crate) enum Norm {
    Rms { weight: Tensor, eps: f64 },
    Layer { weight: Tensor, bias: Tensor, eps: f64 },
}

impl Norm {
    pub(crate) fn rms(scope: &Scope, width: usize, eps: f64) -> Result<Self> {
        Ok(Norm::Rms { weight: scope.get("weight", &[width])?, eps })
    }

    pub(crate) fn layer(scope: &Scope, width: usize, eps: f64) -> Result<Self> {
        Ok(Norm::Layer { weight: scope.get("weight", &[width])?, bias: scope.get("bias", &[width])?, eps })
    }

    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        match self {
            Norm::Rms { weight, eps } => ops::rms_norm(x, &weight.to_dtype(x.dtype())?, *eps),
            Norm::Layer { weight, bias, eps } => {
                ops::layer_norm(x, &weight.to_dtype(x.dtype())?, &bias.to_dtype(x.dtype())?, *eps)
            }
        }
    }
}
