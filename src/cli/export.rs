//! `reinsman export`: one Hugging Face folder out of a run, an adapter on its base, or another folder.
//!
//! Everything is written to a folder inside `--out` first and then moved, `config.json` last: a full disk or a kill
//! leaves what was there, and a folder with a `config.json` is complete.

use super::{Shared, print};
use crate::{
    error::{Failure, Result, human_bytes, io_at},
    files::{Fs, RealFs, write_atomic},
    policy::{Planner, Source, planner::Options},
};
use candle_core::DType;
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "Examples:
  reinsman export --model runs/a --out models/a  # the newest checkpoint, adapter merged in
  reinsman export --model runs/a --dtype bf16 --out models/a-bf16
  reinsman export --model runs/a --dtype f16 --out models/a --force  # over the one there";

/// What can be typed after `export`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Model, adapter or run folder (default: the embedded planner)
    #[arg(long, value_name = "PATH")]
    pub model: Option<PathBuf>,
    /// Number format of the weights
    #[arg(long, value_enum, default_value = "f32")]
    pub dtype: Format,
    /// Folder to write
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Replace the model that --out holds; other files there stay
    #[arg(long)]
    pub force: bool,
}

/// Number formats that can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// 32 bits
    F32,
    /// 16 bits with the range of f32
    Bf16,
    /// 16 bits, finer than bf16, up to 65 504
    F16,
}

impl Format {
    /// The tensor type, and what `config.json` calls it.
    pub fn dtype(self) -> (DType, &'static str) {
        match self {
            Format::F32 => (DType::F32, "float32"),
            Format::Bf16 => (DType::BF16, "bfloat16"),
            Format::F16 => (DType::F16, "float16"),
        }
    }
}

const WEIGHTS: &str = "model.safetensors";
const CONFIG: &str = "config.json";

/// Runs the verb.
///
/// # Errors
/// A folder that holds a model exits 2 without `--force`; weights that the format cannot hold 2; the disk 3.
pub fn run(args: &Args, shared: &Shared) -> Result<()> {
    let out = &args.out;
    free(out, args.force)?;
    let source = Source::resolve(args.model.as_deref())?;
    let planner = Planner::load(&source, &Options::default())?;
    let (dtype, name) = args.dtype.dtype();
    let weights = planner.vlm.to_bytes(dtype)?;
    if let Some(tensor) = overflow(&weights)? {
        return Err(Failure::usage(format!("{tensor} holds a value that {name} cannot hold, so nothing is written"))
            .hint("--dtype bf16 has the range of f32; if that fails too the model itself holds a NaN or an infinity"));
    }
    let bytes = weights.len() as u64;
    let mut files = vec![(WEIGHTS, weights)];
    for (file, content) in planner.companions() {
        files.push((file, if file == CONFIG { config_for(content, name) } else { content.clone() }));
    }
    files.sort_by_key(|(file, _)| *file == CONFIG); // last
    publish(out, &files)?;
    if !shared.quiet {
        print(&format!(
            "{}: {} of {} as {name}, {} and {} files beside them\n",
            out.display(),
            super::sft::millions(planner.vlm.parameter_count()),
            source.name(),
            human_bytes(bytes),
            files.len() - 1
        ))?;
    }
    Ok(())
}

/// Refuses a folder whose model would be replaced unasked, or that would hold two sets of weights afterwards.
fn free(out: &Path, force: bool) -> Result<()> {
    let shards = out.join("model.safetensors.index.json");
    if shards.exists() {
        return Err(Failure::usage(format!("{} is in the way: it names other weights", shards.display()))
            .hint("choose another --out"));
    }
    let taken = [CONFIG, WEIGHTS].iter().any(|file| out.join(file).exists());
    if taken && !force {
        return Err(Failure::usage(format!("{} already holds a model", out.display()))
            .hint("choose another --out, or replace it with --force"));
    }
    Ok(())
}

fn publish(out: &Path, files: &[(&str, Vec<u8>)]) -> Result<()> {
    let fs = RealFs;
    fs.mkdir(out).map_err(io_at(out))?;
    let staging = out.join(format!(".export-{}", std::process::id()));
    let moved = || -> Result<()> {
        fs.mkdir(&staging).map_err(io_at(&staging))?;
        for (file, bytes) in files {
            write_atomic(&fs, &staging.join(file), bytes)?;
        }
        let old = out.join(CONFIG);
        if old.exists() {
            fs.remove(&old).map_err(io_at(&old))?; // from here on the folder is not a model
        }
        for (file, _) in files {
            fs.rename(&staging.join(file), &out.join(file)).map_err(io_at(out))?;
        }
        fs.sync_dir(out).map_err(io_at(out))
    };
    let outcome = moved();
    let _ = fs.remove(&staging);
    outcome
}

/// `config.json` with its number format renamed where it names one.
fn config_for(bytes: &[u8], name: &str) -> Vec<u8> {
    let Ok(mut config) = serde_json::from_slice::<Value>(bytes) else { return bytes.to_vec() };
    let mut changed = false;
    for part in ["", "/text_config", "/vision_config"] {
        for key in ["torch_dtype", "dtype"] {
            if let Some(value) = config.pointer_mut(&format!("{part}/{key}")).filter(|value| value.is_string()) {
                *value = name.into();
                changed = true;
            }
        }
    }
    if changed { format!("{config:#}\n").into_bytes() } else { bytes.to_vec() }
}

/// The first tensor with a NaN or an infinity: all bits of an exponent are set.
fn overflow(weights: &[u8]) -> Result<Option<String>> {
    let file = SafeTensors::deserialize(weights).map_err(|e| Failure::data(format!("exported weights: {e}")))?;
    let bad16 = |data: &[u8], mask: u16| data.chunks_exact(2).any(|b| u16::from_le_bytes([b[0], b[1]]) & mask == mask);
    let bad32 = |data: &[u8]| {
        data.chunks_exact(4).any(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]) & 0x7f80_0000 == 0x7f80_0000)
    };
    let mut bad: Vec<String> = Vec::new();
    for (name, tensor) in file.tensors() {
        let broken = match tensor.dtype() {
            Dtype::F16 => bad16(tensor.data(), 0x7c00),
            Dtype::BF16 => bad16(tensor.data(), 0x7f80),
            Dtype::F32 => bad32(tensor.data()),
            _ => false,
        };
        if broken {
            bad.push(name);
        }
    }
    bad.sort();
    Ok(bad.into_iter().next())
}
