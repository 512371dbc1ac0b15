//! What the branches are made of: attention between sets, pre-norm decoder layers, coordinates as sines.

use super::branch::Shape;
use crate::vlm::{
    build::Scope,
    linear::{Linear, Norm},
    ops::{self, Mask},
};
use candle_core::{D, Result, Tensor};

/// For every layer the keys and values `(B, S, heads, D)` of what it looks at.
pub(crate) type Memory = Vec<(Tensor, Tensor)>;

const EPS: f64 = 1e-5;

/// Multi-head attention. Queries, keys and values have no biases: a bias of the keys would never learn.
pub(crate) struct Attention {
    query: Linear,
    key_value: Linear,
    out: Linear,
    heads: usize,
}

impl Attention {
    pub(crate) fn new(scope: &Scope, shape: &Shape) -> Result<Self> {
        let h = shape.width;
        Ok(Attention {
            query: Linear::new(&scope.pp("query"), h, h, false)?,
            key_value: Linear::new(&scope.pp("key_value"), h, 2 * h, false)?,
            out: Linear::new(&scope.pp("out"), h, h, true)?,
            heads: shape.heads,
        })
    }

    fn heads(&self, x: &Tensor) -> Result<Tensor> {
        let (b, t, h) = x.dims3()?;
        x.reshape((b, t, self.heads, h / self.heads))
    }

    /// Keys and values of `(B, S, H)`.
    pub(crate) fn keys(&self, memory: &Tensor) -> Result<(Tensor, Tensor)> {
        let parts = self.key_value.forward_parts(memory, 2)?;
        Ok((self.heads(&parts[0])?, self.heads(&parts[1])?))
    }

    /// Queries `(B, T, heads, D)` of `(B, T, H)`.
    pub(crate) fn queries(&self, x: &Tensor) -> Result<Tensor> {
        self.heads(&self.query.forward(x)?)
    }

    /// What queries find among all keys of their row, `(B, T, H)`.
    pub(crate) fn answer(&self, q: &Tensor, (k, v): &(Tensor, Tensor)) -> Result<Tensor> {
        let (b, t, heads, d) = q.dims4()?;
        let y = ops::attention(q, k, v, &Mask::Full { keys: k.dim(1)? }, 1.0 / (d as f64).sqrt())?;
        self.out.forward(&y.reshape((b, t, heads * d))?)
    }

    /// x `(B, T, H)` looks at all keys of its row.
    fn look(&self, x: &Tensor, keys: &(Tensor, Tensor)) -> Result<Tensor> {
        self.answer(&self.queries(x)?, keys)
    }
}

/// Linear, GELU, linear.
pub(crate) struct Mlp {
    up: Linear,
    down: Linear,
}

impl Mlp {
    pub(crate) fn new(scope: &Scope, inputs: usize, inner: usize, outputs: usize, last: &str) -> Result<Self> {
        Ok(Mlp {
            up: Linear::new(&scope.pp("up"), inputs, inner, true)?,
            down: Linear::new(&scope.pp(last), inner, outputs, true)?,
        })
    }

    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.down.forward(&ops::gelu_tanh(&self.up.forward(x)?)?)
    }
}

pub(crate) fn norm(scope: &Scope, width: usize) -> Result<Norm> {
    Norm::layer(scope, width, EPS)
}

/// One decoder layer: members of a set look at each other, then at the memory, then a feed-forward part.
struct Layer {
    among: Option<(Norm, Attention)>,
    across: (Norm, Attention),
    norm: Norm,
    mlp: Mlp,
}

/// Decoder layers over sets.
pub(crate) struct Decoder {
    layers: Vec<Layer>,
    set: usize,
}

impl Decoder {
    /// For sets of at most `set` members; the members of a set of one have nobody to look at.
    pub(crate) fn new(scope: &Scope, shape: &Shape, set: usize) -> Result<Self> {
        let h = shape.width;
        let attention = |scope: Scope| -> Result<(Norm, Attention)> {
            Ok((norm(&scope.pp("norm"), h)?, Attention::new(&scope, shape)?))
        };
        let layer = |scope: Scope| -> Result<Layer> {
            Ok(Layer {
                among: if set > 1 { Some(attention(scope.pp("among"))?) } else { None },
                across: attention(scope.pp("across"))?,
                norm: norm(&scope.pp("mlp.norm"), h)?,
                mlp: Mlp::new(&scope.pp("mlp"), h, shape.inner, h, "down")?,
            })
        };
        let layers = (0..shape.layers).map(|i| layer(scope.pp("layers").pp(i))).collect::<Result<_>>()?;
        Ok(Decoder { layers, set })
    }

    /// Keys and values of a memory `(B, S, H)` for every layer.
    pub(crate) fn memory(&self, memory: &Tensor) -> Result<Memory> {
        self.layers.iter().map(|layer| layer.across.1.keys(memory)).collect()
    }

    /// x `(B, T, H)`: one set, or several whole ones; what every layer makes of it, all `(B, T, H)`.
    pub(crate) fn forward(&self, x: &Tensor, memory: &Memory) -> Result<Vec<Tensor>> {
        let (b, t, h) = x.dims3()?;
        let set = self.set.min(t);
        let mut x = x.clone();
        let mut all = Vec::with_capacity(self.layers.len());
        for (layer, keys) in self.layers.iter().zip(memory) {
            if let Some((norm, attention)) = &layer.among {
                let sets = norm.forward(&x)?.reshape((b * t / set, set, h))?;
                let y = attention.look(&sets, &attention.keys(&sets)?)?;
                x = (x + y.reshape((b, t, h))?)?;
            }
            let (norm, attention) = &layer.across;
            x = (&x + attention.look(&norm.forward(&x)?, keys)?)?;
            x = (&x + layer.mlp.forward(&layer.norm.forward(&x)?)?)?;
            all.push(x.clone());
        }
        Ok(all)
    }
}

/// Numbers that [`sines`] makes of one coordinate.
pub(crate) const SINES: usize = 32;

/// Appends sines and cosines of a coordinate in metres at wavelengths from 2 m to 256 m.
pub(crate) fn sines(metres: f64, out: &mut Vec<f32>) {
    for i in 0..SINES / 2 {
        let wavelength = 2.0 * 128f64.powf(i as f64 / (SINES / 2 - 1) as f64);
        let (sin, cos) = (std::f64::consts::TAU * metres / wavelength).sin_cos();
        out.extend([sin as f32, cos as f32]);
    }
}

/// `(log p, log (1 - p))` of `p = sigmoid(x)`, without overflow and with the right slope everywhere.
pub(crate) fn log_sigmoids(x: &Tensor) -> Result<(Tensor, Tensor)> {
    let pair = Tensor::stack(&[x, &x.zeros_like()?], D::Minus1)?;
    let logs = candle_nn::ops::log_softmax(&pair, D::Minus1)?;
    let last = logs.rank() - 1;
    Ok((logs.narrow(last, 0, 1)?.squeeze(last)?, logs.narrow(last, 1, 1)?.squeeze(last)?))
}
