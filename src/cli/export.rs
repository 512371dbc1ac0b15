//! `reinsman export`: one model out of a run, an adapter on its base, or another model: a Hugging Face folder (`--merge`)
//! or a pair of GGUF files (`--gguf`).
//!
//! Weights go from file to file one tensor at a time. Everything is written to a folder inside `--out` first and then
//! moved, what makes it a model last: a full disk or a kill leaves what was there.

use super::{Shared, print};
use crate::{
    error::{Failure, Result, human_bytes, io_at},
    files::{Fs, RealFs, write_atomic},
    policy::{Source, Whole, card},
    vlm::{chat::ChatTemplate, gguf::export as gguf},
};
use candle_core::{DType, Tensor};
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "Examples:
  reinsman export --model runs/a --merge bf16 --out models/a  # newest checkpoint, adapter merged
  reinsman export --model runs/a --gguf q4_k --out models/g  # model-Q4_K.gguf and mmproj-F16.gguf
  reinsman export --model runs/a --merge f16 --out models/a --force  # over the one there";

/// What can be typed after `export`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
#[command(group = clap::ArgGroup::new("form").required(true).args(["merge", "gguf"]))]
pub struct Args {
    /// Model, adapter or run folder, .gguf file or name on the hub (default: the embedded planner)
    #[arg(long, value_name = "PATH")]
    pub model: Option<PathBuf>,
    /// Write one Hugging Face folder with weights in this format, an adapter merged in
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub merge: Option<Format>,
    /// Write a pair of GGUF files, as llama.cpp reads them, with linears in this format
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub gguf: Option<gguf::Format>,
    /// Folder to write
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Replace the model that --out holds; other files there stay
    #[arg(long)]
    pub force: bool,
}

/// Number formats of a Hugging Face folder.
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
    /// The tensor type, what `config.json` calls it and what the weights' header calls it.
    pub fn names(self) -> (DType, &'static str, &'static str) {
        match self {
            Format::F32 => (DType::F32, "float32", "F32"),
            Format::Bf16 => (DType::BF16, "bfloat16", "BF16"),
            Format::F16 => (DType::F16, "float16", "F16"),
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
    let source = Source::resolve(args.model.as_deref());
    let said = match (args.merge, args.gguf) {
        (Some(format), _) => {
            free(&args.out, &[CONFIG, WEIGHTS], args.force)?;
            merge(&source?, format, &args.out)?
        }
        (None, Some(format)) => pair(&source?, format, args)?,
        (None, None) => return Err(Failure::usage("say what to write: --merge FORMAT or --gguf FORMAT")),
    };
    if shared.quiet { Ok(()) } else { print(&format!("{}: {said}\n", args.out.display())) }
}

fn merge(source: &Source, format: Format, out: &Path) -> Result<String> {
    let whole = Whole::open(source)?;
    let (_, name, _) = format.names();
    let mut names = vec![WEIGHTS.to_string()];
    names.extend(whole.files.keys().filter(|file| *file != CONFIG).cloned());
    names.push(CONFIG.into()); // last: a folder with a config.json is complete
    let mut bytes = 0;
    publish(out, &names, Some(CONFIG), |fs, staging| {
        bytes = write_weights(fs, &staging.join(WEIGHTS), &whole, format)?;
        for (file, content) in &whole.files {
            let content = if file == CONFIG { &config_for(content, name) } else { content };
            write_atomic(fs, &staging.join(file), content)?;
        }
        Ok(())
    })?;
    Ok(format!(
        "{} of {} as {name}, {} and {} files beside them",
        super::millions(whole.model.parameter_count()),
        source.name(),
        human_bytes(bytes),
        whole.files.len()
    ))
}

fn pair(source: &Source, format: gguf::Format, args: &Args) -> Result<String> {
    let out = &args.out;
    let [text, vision] = format.file_names();
    free(out, &[&text, &vision], args.force)?;
    for (name, path) in crate::files::names(out)? {
        if name != vision && name.to_lowercase().contains("mmproj") && name.to_lowercase().ends_with(".gguf") {
            return Err(Failure::usage(format!("{} is in the way: it is another model's vision half", path.display()))
                .hint("choose another --out"));
        }
    }
    let whole = Whole::open(source)?;
    let template = ChatTemplate::source_in(&whole.files, &whole.encoder.tokenizer)?;
    let name = whole.name.clone().or_else(|| stem(args.model.as_deref()?)).unwrap_or_else(|| "planner".into());
    let export = gguf::Export { model: &whole.model, encoder: &whole.encoder, template, name, format };
    let card = whole.files.get(card::FILE);
    let mut names: Vec<String> = card.map(|_| card::FILE.to_string()).into_iter().collect();
    names.extend([vision.clone(), text.clone()]); // the text model last
    let mut bytes = 0;
    publish(out, &names, None, |fs, staging| {
        bytes = export.write(fs, staging)?;
        card.map_or(Ok(()), |card| write_atomic(fs, &staging.join(card::FILE), card))
    })?;
    Ok(format!(
        "{} of {} as {text} and {vision}, {}",
        super::millions(whole.model.parameter_count()),
        source.name(),
        human_bytes(bytes)
    ))
}

/// The last part of a path, for a name that is written into files.
fn stem(path: &Path) -> Option<String> {
    Some(path.file_name()?.to_string_lossy().trim_end_matches(".gguf").to_string())
}

/// Refuses a folder whose model would be replaced unasked, or that would hold two sets of weights afterwards.
fn free(out: &Path, files: &[&str], force: bool) -> Result<()> {
    let shards = out.join("model.safetensors.index.json");
    if shards.exists() {
        return Err(Failure::usage(format!("{} is in the way: it names other weights", shards.display()))
            .hint("choose another --out"));
    }
    let taken = files.iter().any(|file| out.join(file).exists());
    if taken && !force {
        return Err(Failure::usage(format!("{} already holds a model", out.display()))
            .hint("choose another --out, or replace it with --force"));
    }
    Ok(())
}

/// Lets `write` fill a folder inside `out`, then moves what it wrote, in the order of `names`. The old `marker` goes
/// first: without it the folder is not a model.
fn publish(
    out: &Path,
    names: &[String],
    marker: Option<&str>,
    write: impl FnOnce(&dyn Fs, &Path) -> Result<()>,
) -> Result<()> {
    let fs = RealFs;
    let made = !out.exists();
    fs.mkdir(out).map_err(io_at(out))?;
    let staging = out.join(format!(".export-{}", std::process::id()));
    let moved = || -> Result<()> {
        fs.mkdir(&staging).map_err(io_at(&staging))?;
        write(&fs, &staging)?;
        let old = marker.map(|name| out.join(name)).filter(|old| old.exists());
        old.map_or(Ok(()), |old| fs.remove(&old).map_err(io_at(&old)))?;
        for file in names {
            fs.rename(&staging.join(file), &out.join(file)).map_err(io_at(out))?;
        }
        fs.sync_dir(out).map_err(io_at(out))
    };
    let outcome = moved();
    let _ = fs.remove(&staging);
    if made && outcome.is_err() {
        let _ = std::fs::remove_dir(out); // only when empty
    }
    outcome
}

/// Writes `model.safetensors`: a header of names and places, then the tensors in the order of their names.
fn write_weights(fs: &dyn Fs, path: &Path, whole: &Whole, format: Format) -> Result<u64> {
    let (dtype, name, header_name) = format.names();
    let mut tensors: Vec<(&str, &str, &[usize])> = whole
        .model
        .tensors()
        .iter()
        .map(|(canonical, shape)| (whole.model.own_name(canonical), canonical.as_str(), shape.as_slice()))
        .collect();
    tensors.sort_unstable();
    let mut header = Map::from_iter([("__metadata__".to_string(), json!({"format": "pt"}))]);
    let mut end = 0;
    for (own, _, shape) in &tensors {
        let begin = end;
        end += shape.iter().product::<usize>() * dtype.size_in_bytes();
        header.insert((*own).into(), json!({"dtype": header_name, "shape": shape, "data_offsets": [begin, end]}));
    }
    let mut header = Value::Object(header).to_string().into_bytes();
    header.resize(header.len().next_multiple_of(8), b' ');
    let mut file = fs.create(path).map_err(io_at(path))?;
    file.write_all(&(header.len() as u64).to_le_bytes()).map_err(io_at(path))?;
    file.write_all(&header).map_err(io_at(path))?;
    for (own, canonical, _) in tensors {
        let bytes = number_bytes(&whole.model.tensor(canonical)?.to_dtype(dtype)?)?;
        let Some(bytes) = bytes else {
            return Err(Failure::usage(format!("{own} holds a value that {name} cannot hold, so nothing is written"))
                .hint("bf16 has the range of f32; if that fails too the model itself holds a NaN or an infinity"));
        };
        file.write_all(&bytes).map_err(io_at(path))?;
    }
    file.sync().map_err(io_at(path))?;
    Ok((8 + header.len() + end) as u64)
}

/// The bytes of a tensor, or `None` when one of its numbers is not finite.
fn number_bytes(tensor: &Tensor) -> Result<Option<Vec<u8>>> {
    let flat = tensor.flatten_all()?;
    Ok(match tensor.dtype() {
        DType::BF16 => {
            let values = flat.to_vec1::<half::bf16>()?;
            let finite = values.iter().all(|x| x.is_finite());
            finite.then(|| values.iter().flat_map(|x| x.to_le_bytes()).collect())
        }
        DType::F16 => {
            let values = flat.to_vec1::<half::f16>()?;
            let finite = values.iter().all(|x| x.is_finite());
            finite.then(|| values.iter().flat_map(|x| x.to_le_bytes()).collect())
        }
        _ => {
            let values = flat.to_vec1::<f32>()?;
            let finite = values.iter().all(|x| x.is_finite());
            finite.then(|| values.iter().flat_map(|x| x.to_le_bytes()).collect())
        }
    })
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
