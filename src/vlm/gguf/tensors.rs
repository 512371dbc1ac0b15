//! Tensors of a pair by canonical name: where each is, whether its shape is right, and its values.

use super::{
    file::GgufFile,
    header::TensorInfo,
    names::{Binding, Half, bind},
    pair::Pair,
};
use crate::{
    error::{Failure, Result},
    vlm::quant::{self, Quantized},
};
use candle_core::{DType, Device, Tensor};

/// Where a tensor of the checkpoint is.
#[derive(Debug, Clone)]
pub enum Located {
    /// One tensor of the same shape.
    Whole(Half, TensorInfo),
    /// Two frames of `(E, C, 2, p, p)`.
    Frames([TensorInfo; 2]),
    /// Parts below each other.
    Rows(Vec<TensorInfo>),
}

impl Pair {
    fn half(&self, half: Half) -> &GgufFile {
        match half {
            Half::Text => &self.text,
            Half::Vision => &self.vision,
        }
    }

    /// Finds a tensor and checks its shape.
    ///
    /// # Errors
    /// Missing, or of another shape than the configuration says.
    pub fn locate(&self, canonical: &str, shape: &[usize]) -> Result<Located> {
        let Some(binding) = bind(canonical, &self.config) else {
            return Err(Failure::data(format!("{canonical} has no place in a GGUF file")));
        };
        let get = |half: Half, name: &str, shape: &[usize]| -> Result<TensorInfo> {
            let file = self.half(half);
            let hint = "the file is not complete, or its metadata are wrong";
            let Some(tensor) = file.tensor(name) else {
                return Err(file.wrong(&format!("there is no tensor {name} {shape:?}")).hint(hint));
            };
            match tensor.shape == shape {
                true => Ok(tensor.clone()),
                false => Err(file
                    .wrong(&format!("tensor {name} has the shape {:?}, expected {shape:?}", tensor.shape))
                    .hint(hint)),
            }
        };
        match binding {
            Binding::Whole(half, name) => Ok(Located::Whole(half, get(half, &self.unswapped(name), shape)?)),
            Binding::Frames([first, second]) => {
                let [e, c, 2, h, w] = shape else {
                    return Err(Failure::data(format!("{canonical} has the shape {shape:?}; two frames are expected")));
                };
                let frame = [*e, *c, *h, *w];
                Ok(Located::Frames([get(Half::Vision, &first, &frame)?, get(Half::Vision, &second, &frame)?]))
            }
            Binding::Qkv(fused, parts) => {
                if self.vision.tensor(&fused).is_some() {
                    return Ok(Located::Whole(Half::Vision, get(Half::Vision, &fused, shape)?));
                }
                let mut part = shape.to_vec();
                part[0] /= 3;
                let rows = parts.iter().map(|name| get(Half::Vision, name, &part)).collect::<Result<_>>()?;
                Ok(Located::Rows(rows))
            }
        }
    }

    /// An early converter named the two layers of the vision MLP the other way round; where the inner width tells them
    /// apart they are exchanged back, as llama.cpp does.
    fn unswapped(&self, name: String) -> String {
        let Some(rest) = name.strip_prefix("v.blk.") else { return name };
        let vision = &self.config.vision;
        let up = self.vision.tensor("v.blk.0.ffn_up.weight");
        let swapped = vision.intermediate_size != vision.embed_dim
            && up.is_some_and(|up| up.shape == [vision.embed_dim, vision.intermediate_size]);
        match swapped {
            true if rest.contains(".ffn_up.") => name.replace(".ffn_up.", ".ffn_down."),
            true => name.replace(".ffn_down.", ".ffn_up."),
            false => name,
        }
    }

    /// A matrix as it lies in the file, when its format is one that is computed with.
    ///
    /// # Errors
    /// An unreadable file.
    pub fn blocks(&self, at: &Located) -> Result<Option<Quantized>> {
        match (Self::kind(at), at) {
            (Some(kind), Located::Whole(half, tensor)) => match tensor.shape[..] {
                [rows, cols] => Quantized::from_blocks(kind, rows, cols, &self.half(*half).bytes(tensor)?).map(Some),
                _ => Ok(None),
            },
            _ => Ok(None),
        }
    }

    /// The blocks that a located matrix is stored in, where they are computed with.
    pub fn kind(at: &Located) -> Option<quant::Kind> {
        let Located::Whole(_, tensor) = at else { return None };
        let kind = quant::Kind::ALL.into_iter().find(|kind| Some(kind.ggml()) == tensor.kind.candle());
        kind.filter(|_| tensor.shape.len() == 2)
    }

    /// Rows `from..to` of a located matrix in f32.
    ///
    /// # Errors
    /// As [`Pair::values`]; rows outside the matrix.
    pub fn rows(&self, at: &Located, from: usize, to: usize) -> Result<Tensor> {
        match at {
            Located::Whole(half, tensor) => self.half(*half).rows(tensor, from, to),
            _ => Ok(self.values(at, &Device::Cpu)?.narrow(0, from, to - from)?),
        }
    }

    /// What a located tensor is stored as: its own float type, or f32 for blocks.
    pub fn dtype(at: &Located) -> DType {
        let first = match at {
            Located::Whole(_, tensor) => Some(tensor),
            Located::Frames(frames) => frames.first(),
            Located::Rows(rows) => rows.first(),
        };
        match first.map(|tensor| tensor.kind.name) {
            Some("F16") => DType::F16,
            Some("BF16") => DType::BF16,
            _ => DType::F32,
        }
    }

    /// The values of a located tensor in f32.
    ///
    /// # Errors
    /// A number format that cannot be read.
    pub fn values(&self, at: &Located, device: &Device) -> Result<Tensor> {
        let parts = |all: &[TensorInfo]| -> Result<Vec<Tensor>> {
            all.iter().map(|tensor| self.vision.values(tensor, device)).collect()
        };
        match at {
            Located::Whole(half, tensor) => self.half(*half).values(tensor, device),
            Located::Frames(frames) => Ok(Tensor::stack(&parts(frames)?, 2)?),
            Located::Rows(rows) => Ok(Tensor::cat(&parts(rows)?, 0)?),
        }
    }
}
