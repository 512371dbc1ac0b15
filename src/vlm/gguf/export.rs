//! Writing a model as a pair of GGUF files, one tensor at a time.
//!
//! Formats are mixed as llama.cpp mixes them: linears of the text model in the format asked for where their width allows
//! it, the token table and the head in 6 bits under Q4_K, norms and biases in f32, the vision half in f16 (f32 beside an
//! f32 text model). A tensor that f16 cannot hold stays f32.

use super::{
    describe,
    kind::Kind,
    names::{Binding, Half, bind},
    write::{Draft, Planned},
};
use crate::{
    error::{Failure, Result},
    files::Fs,
    vlm::{
        encode::Encoder,
        merged::Merged,
        quant::{self, blocks_of},
    },
};
use candle_core::Tensor;
use std::path::Path;

/// What the linears of the text model are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// 32 bits
    F32,
    /// 16 bits, finer than bf16, up to 65 504
    F16,
    /// 16 bits with the range of f32
    Bf16,
    /// 8.5 bits
    #[value(name = "q8_0")]
    Q8_0,
    /// 6.6 bits
    #[value(name = "q6_k")]
    Q6K,
    /// 4.5 bits, the vocabulary in 6.6
    #[value(name = "q4_k")]
    Q4K,
}

impl Format {
    /// The name in files and file names.
    pub fn name(self) -> &'static str {
        match self {
            Format::F32 => "F32",
            Format::F16 => "F16",
            Format::Bf16 => "BF16",
            Format::Q8_0 => "Q8_0",
            Format::Q6K => "Q6_K",
            Format::Q4K => "Q4_K",
        }
    }

    /// llama.cpp's number for a file that is mostly this.
    fn file_type(self) -> u32 {
        match self {
            Format::F32 => 0,
            Format::F16 => 1,
            Format::Bf16 => 32,
            Format::Q8_0 => 7,
            Format::Q6K => 18,
            Format::Q4K => 14, // Q4_K_S
        }
    }

    /// File names of the text model and of the vision half.
    pub fn file_names(self) -> [String; 2] {
        [format!("model-{}.gguf", self.name()), format!("mmproj-{}.gguf", self.vision().name())]
    }

    /// Format of the vision half.
    pub fn vision(self) -> Format {
        if self == Format::F32 { Format::F32 } else { Format::F16 }
    }

    /// Formats for a matrix of the text model, best first.
    fn matrix(self, vocabulary: bool) -> &'static [&'static str] {
        match (self, vocabulary) {
            (Format::F32, _) => &["F32"],
            (Format::F16, _) => &["F16"],
            (Format::Bf16, _) => &["BF16"],
            (Format::Q8_0, _) => &["Q8_0", "F16"],
            (Format::Q6K, _) | (Format::Q4K, true) => &["Q6_K", "Q8_0", "F16"],
            (Format::Q4K, false) => &["Q4_K", "Q8_0", "F16"],
        }
    }
}

/// What a file holds: a planned tensor, the checkpoint's tensor it comes from, and which part of that.
struct Piece {
    planned: Planned,
    canonical: String,
    part: Part,
}

#[derive(Clone, Copy)]
enum Part {
    Whole,
    Frame(usize),
    Third(usize),
}

/// A model and everything that is written about it.
pub struct Export<'a> {
    /// The weights.
    pub model: &'a Merged,
    /// Tokenizer and picture settings.
    pub encoder: &'a Encoder,
    /// The chat template's text.
    pub template: Option<String>,
    /// What the model is called.
    pub name: String,
    /// Format of the text model.
    pub format: Format,
}

impl Export<'_> {
    /// Writes both files into a folder.
    ///
    /// # Errors
    /// A model that the layout has no place for; NaN or infinity in the weights; the disk.
    pub fn write(&self, fs: &dyn Fs, dir: &Path) -> Result<u64> {
        let config = self.model.config();
        let [text, vision] = self.format.file_names();
        let (kind, format) = (self.format.file_type(), self.format.vision());
        let about = describe::text(config, self.encoder, self.template.clone(), &self.name, kind)?;
        let pictures = describe::vision(config, self.encoder, &self.name, format.file_type())?;
        let mut bytes = 0;
        for (name, half, metadata) in [(text, Half::Text, about), (vision, Half::Vision, pictures)] {
            let pieces = self.pieces(half)?;
            let draft = Draft { metadata, tensors: pieces.iter().map(|piece| piece.planned.clone()).collect() };
            // Parts of one tensor follow each other, so the last one that was read is kept.
            let mut held: Option<(&str, Tensor)> = None;
            draft.write(fs, &dir.join(name), |i, planned| {
                let piece = &pieces[i];
                let tensor = match held.take().filter(|(name, _)| *name == piece.canonical) {
                    Some((_, tensor)) => tensor,
                    None => self.model.tensor(&piece.canonical)?,
                };
                let part = match piece.part {
                    Part::Whole => tensor.clone(),
                    Part::Frame(frame) => tensor.narrow(2, frame, 1)?.squeeze(2)?,
                    Part::Third(third) => {
                        let rows = tensor.dim(0)? / 3;
                        tensor.narrow(0, third * rows, rows)?
                    }
                };
                held = Some((&piece.canonical, tensor));
                encode(&part, planned)
            })?;
            bytes += draft.size();
        }
        Ok(bytes)
    }

    /// The tensors of one file.
    fn pieces(&self, half: Half) -> Result<Vec<Piece>> {
        let config = self.model.config();
        let mut out = Vec::new();
        for (canonical, shape) in self.model.tensors() {
            let Some(binding) = bind(canonical, config) else {
                return Err(Failure::data(format!("{canonical} has no place in a GGUF file")));
            };
            let mut add = |name: String, shape: Vec<usize>, part: Part| -> Result<()> {
                let kind = self.kind(&name, &shape, canonical, half)?;
                out.push(Piece { planned: Planned { name, shape, kind }, canonical: canonical.clone(), part });
                Ok(())
            };
            match (binding, half) {
                (Binding::Whole(of, name), _) if of == half => add(name, shape.clone(), Part::Whole)?,
                (Binding::Frames(names), Half::Vision) => {
                    let frame = vec![shape[0], shape[1], shape[3], shape[4]];
                    for (i, name) in names.into_iter().enumerate() {
                        add(name, frame.clone(), Part::Frame(i))?;
                    }
                }
                (Binding::Qkv(fused, parts), Half::Vision) => {
                    // One tensor for Qwen3-VL, three for the others: each is what llama.cpp looks for.
                    if config.family == crate::vlm::Family::Qwen3Vl {
                        add(fused, shape.clone(), Part::Whole)?;
                        continue;
                    }
                    let mut third = shape.clone();
                    third[0] /= 3;
                    for (i, name) in parts.into_iter().enumerate() {
                        add(name, third.clone(), Part::Third(i))?;
                    }
                }
                _ => {}
            }
        }
        Ok(out)
    }

    fn kind(&self, name: &str, shape: &[usize], canonical: &str, half: Half) -> Result<Kind> {
        let vocabulary = name == "token_embd.weight" || name == "output.weight";
        let wanted = match half {
            _ if shape.len() == 1 || name == "v.position_embd.weight" => &["F32"],
            Half::Text => self.format.matrix(vocabulary),
            Half::Vision => self.format.vision().matrix(false),
        };
        let width = shape.last().copied().unwrap_or_default();
        let fits = |kind: &Kind| width.is_multiple_of(kind.block);
        let found = wanted.iter().filter_map(|name| Kind::of_name(name)).find(fits);
        let mut kind = found.ok_or_else(|| Failure::data(format!("no number format fits {name} {shape:?}")))?;
        if kind.name == "F16" && !self.fits_f16(canonical)? {
            kind = Kind::of_name("F32").unwrap_or(kind);
        }
        Ok(kind)
    }

    fn fits_f16(&self, canonical: &str) -> Result<bool> {
        let largest = self.model.tensor(canonical)?.abs()?.flatten_all()?.max(0)?.to_scalar::<f32>()?;
        Ok(largest <= 65504.)
    }
}

/// The bytes of a tensor in its planned format.
fn encode(tensor: &Tensor, planned: &Planned) -> Result<Vec<u8>> {
    let values = tensor.contiguous()?.flatten_all()?.to_vec1::<f32>()?;
    if values.iter().any(|x| !x.is_finite()) {
        return Err(Failure::data(format!("{} holds a NaN or an infinity, so nothing is written", planned.name)));
    }
    Ok(match planned.kind.name {
        "F32" => values.iter().flat_map(|x| x.to_le_bytes()).collect(),
        "F16" => values.iter().flat_map(|x| half::f16::from_f32(*x).to_le_bytes()).collect(),
        "BF16" => values.iter().flat_map(|x| half::bf16::from_f32(*x).to_le_bytes()).collect(),
        _ => {
            let kind = quant::Kind::ALL.into_iter().find(|kind| Some(kind.ggml()) == planned.kind.candle());
            let (Some(kind), &[rows, cols]) = (kind, &planned.shape[..]) else {
                return Err(Failure::data(format!("{} cannot be written as {}", planned.name, planned.kind.name)));
            };
            blocks_of(kind, rows, cols, &values)?
        }
    })
}
