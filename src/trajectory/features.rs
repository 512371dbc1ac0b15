//! What a branch sees of a frame: the picture tokens of the vision tower and the ego's own state.
//!
//! Features are detached and brought to the host in f32 where they enter, so no gradient of a branch can reach the model
//! that made them. Each branch compresses them by itself: registers (learned queries) look at the projected tokens, and
//! the ego status is one token more. The tower must be frozen while branches train: if adapters changed it, the
//! imitation head would drift without a single gradient.

use super::{
    blocks::{Attention, Mlp, norm},
    branch::Shape,
};
use crate::{
    error::{Failure, Result},
    vlm::{
        build::Scope,
        linear::{Linear, Norm},
    },
};
use candle_core::{DType, Device, Tensor};
use scene::Command;
use serde::{Deserialize, Serialize};

/// Where the navigation leads at the next junction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Route {
    /// Turn left.
    Left,
    /// Straight on, or along the road.
    Straight,
    /// Turn right.
    Right,
    /// Not known.
    #[default]
    Unknown,
}

impl Route {
    /// From the words of a command: a side that it names, otherwise straight on.
    pub fn of(command: &Command) -> Route {
        let text = command.as_str().to_lowercase();
        let named = |side: &str| text.split(|c: char| !c.is_alphanumeric()).any(|word| word == side);
        match (named("left"), named("right")) {
            (true, false) => Route::Left,
            (false, true) => Route::Right,
            (false, false) => Route::Straight,
            (true, true) => Route::Unknown,
        }
    }
}

/// Numbers of an ego status.
pub const STATUS: usize = 8;

/// The ego's state in its own frame.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Ego {
    /// The command.
    pub route: Route,
    /// m/s forward and to the left.
    pub velocity: [f64; 2],
    /// m/s2 forward and to the left.
    pub acceleration: [f64; 2],
}

impl Ego {
    /// One-hot command, velocity in 10 m/s, acceleration in 3 m/s2.
    fn row(&self) -> [f32; STATUS] {
        let mut row = [0.0; STATUS];
        row[self.route as usize] = 1.0;
        for c in 0..2 {
            row[4 + c] = (self.velocity[c] / 10.0) as f32;
            row[6 + c] = (self.acceleration[c] / 3.0) as f32;
        }
        row
    }
}

/// B frames as the branches see them.
#[derive(Debug, Clone)]
pub struct Context {
    features: Tensor, // (B, N, F)
    status: Tensor,   // (B, 1, STATUS)
    egos: Vec<Ego>,
}

impl Context {
    /// Takes picture features `(B, N, F)` and one ego status a frame.
    ///
    /// # Errors
    /// Exit 3 when shapes do not fit or a number of an ego is not finite.
    pub fn new(features: &Tensor, egos: Vec<Ego>) -> Result<Self> {
        let dims = features.dims().to_vec();
        if dims.len() != 3 || dims[0] != egos.len() || dims.contains(&0) {
            let n = egos.len();
            return Err(Failure::data(format!("picture features are {dims:?}, expected ({n} frames, tokens, width)")));
        }
        let rows: Vec<f32> = egos.iter().flat_map(Ego::row).collect();
        if let Some(at) = rows.iter().position(|x| !x.is_finite()) {
            let frame = at / STATUS;
            return Err(Failure::data(format!("the ego status of frame {frame} is not finite: {:?}", egos[frame])));
        }
        let features = features.detach().to_device(&Device::Cpu)?.to_dtype(DType::F32)?.contiguous()?;
        let status = Tensor::from_vec(rows, (egos.len(), 1, STATUS), &Device::Cpu)?;
        Ok(Context { features, status, egos })
    }

    /// The same frames with nothing to see, for branches that were kept from seeing.
    ///
    /// # Errors
    /// Device trouble.
    pub fn blind(&self) -> Result<Self> {
        Ok(Context { features: self.features.zeros_like()?, ..self.clone() })
    }

    /// Number of frames, B.
    pub fn frames(&self) -> usize {
        self.egos.len()
    }

    /// The ego of every frame.
    pub fn egos(&self) -> &[Ego] {
        &self.egos
    }

    /// Fails unless there is one item for every frame.
    pub(crate) fn expect(&self, what: &str, count: usize) -> Result<()> {
        if count == self.frames() {
            return Ok(());
        }
        Err(Failure::data(format!("{count} {what} for {} frames", self.frames())))
    }
}

/// A branch's own view of the features.
pub(crate) struct Compressor {
    project: Linear,
    tokens: Norm,
    registers: Tensor, // (R, H)
    attention: Attention,
    status: Mlp,
    norm: Norm,
    width: usize,
}

impl Compressor {
    pub(crate) fn new(scope: &Scope, shape: &Shape) -> candle_core::Result<Self> {
        let h = shape.width;
        Ok(Compressor {
            project: Linear::new(&scope.pp("project"), shape.feature_width, h, true)?,
            tokens: norm(&scope.pp("tokens"), h)?,
            registers: scope.pp("registers").get("table", &[shape.registers, h])?,
            attention: Attention::new(&scope.pp("attention"), shape)?,
            status: Mlp::new(&scope.pp("status"), STATUS, h, h, "last")?,
            norm: norm(&scope.pp("norm"), h)?,
            width: shape.feature_width,
        })
    }

    /// The memory `(B, R + 1, H)` of a branch.
    pub(crate) fn forward(&self, context: &Context) -> candle_core::Result<Tensor> {
        let (b, _, width) = context.features.dims3()?;
        if width != self.width {
            candle_core::bail!("picture features of width {width}; this branch was made for {}", self.width)
        }
        let tokens = self.tokens.forward(&self.project.forward(&context.features)?)?;
        // The same queries for all frames.
        let queries = self.attention.queries(&self.registers.unsqueeze(0)?)?;
        let (_, registers, heads, d) = queries.dims4()?;
        let queries = queries.broadcast_as((b, registers, heads, d))?;
        let seen = self.attention.answer(&queries, &self.attention.keys(&tokens)?)?;
        let seen = seen.broadcast_add(&self.registers)?;
        let all = Tensor::cat(&[&seen, &self.status.forward(&context.status)?], 1)?;
        self.norm.forward(&all)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn commands_name_sides() {
        let route = |text: &str| Route::of(&Command::new(text).unwrap());
        assert_eq!(route("turn left"), Route::Left);
        assert_eq!(route("Keep RIGHT at the fork"), Route::Right);
        assert_eq!(route("follow the road"), Route::Straight);
        assert_eq!(route("leftovers"), Route::Straight);
        assert_eq!(route("left or right"), Route::Unknown);
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let features = Tensor::zeros((2, 3, 4), DType::F32, &Device::Cpu).unwrap();
        let says = |egos: Vec<Ego>| Context::new(&features, egos).unwrap_err().message;
        assert!(says(vec![Ego::default()]).contains("[2, 3, 4]"));
        let bad = Ego { velocity: [f64::NAN, 0.0], ..Default::default() };
        assert!(says(vec![Ego::default(), bad]).contains("frame 1"));
    }
}
