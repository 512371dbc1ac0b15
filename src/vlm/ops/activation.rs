//! Fused activations: one pass forward, one pass backward, nothing kept but the inputs.

use super::host::{elements, output, rows, tensor, view};
use super::simd::{erf, exp, madd, multiversion, sigmoid};
use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Tensor};

/// The one-argument activations.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Gelu {
    /// `x sigmoid(1.702 x)`.
    Quick,
    /// `x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))`, which is `x sigmoid(2 sqrt(2/pi) (...))`.
    Tanh,
    /// `x/2 (1 + erf(x / sqrt 2))`.
    Erf,
}

const QUICK: f32 = 1.702;
const TANH: f32 = 1.595_769; // 2 sqrt(2 / pi)
const CUBE: f32 = 0.044_715;
const HALF_SQRT: f32 = std::f32::consts::FRAC_1_SQRT_2;
const DENSITY: f32 = 0.398_942_3; // 1 / sqrt(2 pi)

multiversion! {
    fn quick(x: &[f32], y: &mut [f32]) {
        for (y, x) in y.iter_mut().zip(x) { *y = x * sigmoid::<FMA>(QUICK * x); }
    }
}
multiversion! {
    fn tanh(x: &[f32], y: &mut [f32]) {
        for (y, x) in y.iter_mut().zip(x) {
            *y = x * sigmoid::<FMA>(TANH * madd::<FMA>(CUBE * x * x, *x, *x));
        }
    }
}
multiversion! {
    fn exact(x: &[f32], y: &mut [f32]) {
        for (y, x) in y.iter_mut().zip(x) { *y = 0.5 * x * (1. + erf::<FMA>(x * HALF_SQRT)); }
    }
}
multiversion! {
    fn quick_back(x: &[f32], g: &[f32], dx: &mut [f32]) {
        for ((dx, x), g) in dx.iter_mut().zip(x).zip(g) {
            let s = sigmoid::<FMA>(QUICK * x);
            *dx = g * madd::<FMA>(QUICK * x * s, 1. - s, s);
        }
    }
}
multiversion! {
    fn tanh_back(x: &[f32], g: &[f32], dx: &mut [f32]) {
        for ((dx, x), g) in dx.iter_mut().zip(x).zip(g) {
            let square = x * x;
            let s = sigmoid::<FMA>(TANH * x * madd::<FMA>(CUBE, square, 1.));
            let slope = TANH * madd::<FMA>(3. * CUBE, square, 1.);
            *dx = g * madd::<FMA>(x * slope * s, 1. - s, s);
        }
    }
}
multiversion! {
    fn exact_back(x: &[f32], g: &[f32], dx: &mut [f32]) {
        for ((dx, x), g) in dx.iter_mut().zip(x).zip(g) {
            let below = 0.5 * (1. + erf::<FMA>(x * HALF_SQRT));
            *dx = g * madd::<FMA>(x * DENSITY, exp::<FMA>(-0.5 * x * x), below);
        }
    }
}

impl CustomOp1 for Gelu {
    fn name(&self) -> &'static str {
        match self {
            Gelu::Quick => "quick-gelu",
            Gelu::Tanh => "gelu-tanh",
            Gelu::Erf => "gelu-erf",
        }
    }

    fn cpu_fwd(&self, x: &CpuStorage, lx: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = elements(x, lx)?;
        let f = match self {
            Gelu::Quick => quick,
            Gelu::Tanh => tanh,
            Gelu::Erf => exact,
        };
        let mut y = vec![0f32; x.len()];
        rows(&mut y, 1, |first, y| f(&x[first..][..y.len()], y));
        output(y, lx.shape())
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, g: &Tensor) -> Result<Option<Tensor>> {
        let g = g.contiguous()?;
        let (xs, gs) = (view(x)?, view(&g)?);
        let (xs, gs): (&[f32], &[f32]) = (&xs, &gs);
        let f = match self {
            Gelu::Quick => quick_back,
            Gelu::Tanh => tanh_back,
            Gelu::Erf => exact_back,
        };
        let mut dx = vec![0f32; xs.len()];
        rows(&mut dx, 1, |first, dx| f(&xs[first..][..dx.len()], &gs[first..][..dx.len()], dx));
        Ok(Some(tensor(dx, x.shape())?))
    }
}

/// `silu(gate) * up`.
pub(super) struct SwiGlu;

multiversion! {
    fn swiglu(gate: &[f32], up: &[f32], y: &mut [f32]) {
        for ((y, gate), up) in y.iter_mut().zip(gate).zip(up) {
            *y = gate * sigmoid::<FMA>(*gate) * up;
        }
    }
}
multiversion! {
    fn swiglu_back(gate: &[f32], up: &[f32], g: &[f32], dgate: &mut [f32], dup: &mut [f32]) {
        let n = dgate.len();
        let (gate, up, g, dup) = (&gate[..n], &up[..n], &g[..n], &mut dup[..n]);
        for i in 0..n {
            let s = sigmoid::<FMA>(gate[i]);
            let silu = gate[i] * s;
            dup[i] = g[i] * silu;
            dgate[i] = g[i] * up[i] * madd::<FMA>(silu, 1. - s, s);
        }
    }
}

impl CustomOp2 for SwiGlu {
    fn name(&self) -> &'static str {
        "swiglu"
    }

    fn cpu_fwd(&self, gate: &CpuStorage, lg: &Layout, up: &CpuStorage, lu: &Layout) -> Result<(CpuStorage, Shape)> {
        let (gate, up) = (elements(gate, lg)?, elements(up, lu)?);
        let mut y = vec![0f32; gate.len()];
        rows(&mut y, 1, |first, y| swiglu(&gate[first..][..y.len()], &up[first..][..y.len()], y));
        output(y, lg.shape())
    }

    fn bwd(&self, gate: &Tensor, up: &Tensor, _: &Tensor, g: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        use rayon::prelude::*;
        const PART: usize = 1 << 14;
        let g = g.contiguous()?;
        let (gates, ups, gs) = (view(gate)?, view(up)?, view(&g)?);
        let (gates, ups, gs): (&[f32], &[f32], &[f32]) = (&gates, &ups, &gs);
        let (mut dgate, mut dup) = (vec![0f32; gates.len()], vec![0f32; gates.len()]);
        let part = |i: usize, dgate: &mut [f32], dup: &mut [f32]| {
            let of = i * PART..i * PART + dgate.len();
            swiglu_back(&gates[of.clone()], &ups[of.clone()], &gs[of], dgate, dup);
        };
        if gates.len() <= 2 * PART {
            dgate.chunks_mut(PART).zip(dup.chunks_mut(PART)).enumerate().for_each(|(i, (a, b))| part(i, a, b));
        } else {
            let chunks = dgate.par_chunks_mut(PART).zip(dup.par_chunks_mut(PART)).enumerate();
            chunks.for_each(|(i, (a, b))| part(i, a, b));
        }
        let wanted = |t: &Tensor, grad: Vec<f32>| t.track_op().then(|| tensor(grad, t.shape())).transpose();
        Ok((wanted(gate, dgate)?, wanted(up, dup)?))
    }
}
