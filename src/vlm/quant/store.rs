//! Quantizing a checkpoint while it is read, and keeping the result on disk for the next start.
//!
//! Tensors are read and quantized a few rows at a time and appended to a safetensors file of packed bytes, which is then
//! mapped into memory: the source is never in memory as a whole. The file's name is a digest of the source (its
//! headers, sizes, times of change and samples of its contents) and of the formats chosen; it appears by renaming, so
//! it is complete or absent, and may be deleted at any time.

use super::{Bytes, Kind, Quantized, layout::STRIP};
use crate::{
    error::{Failure, Result, io_at},
    vlm::{peft::FIRST, weights::Weights},
};
use half::bf16;
use memmap2::Mmap;
use safetensors::SafeTensors;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

/// A matrix to quantize.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Canonical name.
    pub name: String,
    /// Format.
    pub kind: Kind,
    /// Output rows.
    pub rows: usize,
    /// Input width.
    pub cols: usize,
    /// The first numbers before quantization, as bf16 bits.
    pub first: Vec<u16>,
}

/// How to quantize on load.
#[derive(Debug, Clone)]
pub struct Options {
    /// Format of the language model's linears; the rest follows (see [`super::rule`]).
    pub kind: Kind,
    /// Folder for quantized copies; `None` keeps them in memory.
    pub cache: Option<PathBuf>,
    /// Told what takes time.
    pub note: fn(&str),
}

impl Options {
    /// With the user's cache folder, silent.
    pub fn new(kind: Kind) -> Self {
        Options { kind, cache: cache_dir(), note: |_| {} }
    }
}

/// The user's cache folder of quantized copies.
pub fn cache_dir() -> Option<PathBuf> {
    cache_folder("quantized")
}

/// `$REINSMAN_CACHE`, `$XDG_CACHE_HOME/reinsman` or `~/.cache/reinsman`, whichever is set first, and `name` in it.
pub fn cache_folder(name: &str) -> Option<PathBuf> {
    let var = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let base = var("REINSMAN_CACHE")
        .or_else(|| var("XDG_CACHE_HOME").map(|dir| dir.join("reinsman")))
        .or_else(|| var("HOME").map(|dir| dir.join(".cache/reinsman")))?;
    Some(base.join(name))
}

/// Weights read at a time.
const PIECE: usize = 1 << 24;
/// Changes when the packed layout does.
const VERSION: &str = "reinsman-packed-1";

/// Quantizes some matrices of a checkpoint, or takes them from the cache.
///
/// # Errors
/// Unreadable or non-finite weights. A cache that cannot be written is noted and done without.
pub fn quantized(
    weights: &Weights,
    mut plans: Vec<Plan>,
    options: &Options,
) -> Result<BTreeMap<String, Arc<Quantized>>> {
    for plan in &mut plans {
        plan.first = weights.first(&plan.name, FIRST)?.iter().map(|x| x.to_bits()).collect();
    }
    let total: usize = plans.iter().map(|plan| plan.rows * plan.cols).sum();
    let fingerprint = weights.fingerprint()?;
    let place = match (&options.cache, fingerprint) {
        (Some(dir), Some(source)) => Some(dir.join(format!("{}.safetensors", key(&source, &plans)))),
        _ => None,
    };
    let Some(path) = place else { return in_memory(weights, &plans) };
    if let Some(found) = open(&path, &plans) {
        return Ok(found);
    }
    if total > 100_000_000 {
        let (millions, kind) = (total / 1_000_000, options.kind.name());
        (options.note)(&format!("quantizing {millions} M weights to {kind}, once; kept in {}", path.display()));
    }
    match write(&path, weights, &plans) {
        Ok(()) => {}
        Err(Wrong::Source(failure)) => return Err(failure),
        Err(Wrong::Cache(e)) => {
            (options.note)(&format!("{}: {e}; the quantized weights are not kept", path.display()));
            return in_memory(weights, &plans);
        }
    }
    match open(&path, &plans) {
        Some(found) => Ok(found),
        None => in_memory(weights, &plans),
    }
}

fn key(source: &[u8; 32], plans: &[Plan]) -> String {
    let mut hash = Sha256::new();
    hash.update(VERSION);
    hash.update(source);
    for plan in plans {
        hash.update(format!("{}\0{:?}\0{}\0{}\0", plan.name, plan.kind, plan.rows, plan.cols));
    }
    hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// Packed bytes of a matrix, piece by piece.
fn pack(
    weights: &Weights,
    plan: &Plan,
    mut each: impl FnMut(&[u8]) -> std::io::Result<()>,
) -> std::result::Result<(), Wrong> {
    let step = (PIECE / plan.cols / STRIP).max(1) * STRIP;
    for from in (0..plan.rows).step_by(step) {
        let to = (from + step).min(plan.rows);
        let values = weights.rows(&plan.name, from, to).map_err(Wrong::Source)?;
        if values.iter().any(|x| !x.is_finite()) {
            let failure = Failure::data(format!("tensor {} holds a NaN or an infinity", plan.name));
            return Err(Wrong::Source(failure.hint("the checkpoint is damaged: fetch it again")));
        }
        let part = Quantized::quantize(plan.kind, to - from, plan.cols, &values).map_err(Wrong::Source)?;
        each(part.packed()).map_err(Wrong::Cache)?;
    }
    Ok(())
}

enum Wrong {
    Source(Failure),
    Cache(std::io::Error),
}

fn finish(plan: &Plan, data: Bytes) -> Result<Arc<Quantized>> {
    let first = plan.first.iter().map(|bits| bf16::from_bits(*bits)).collect();
    Ok(Arc::new(Quantized::from_packed(plan.kind, plan.rows, plan.cols, data)?.with_first(first)))
}

fn in_memory(weights: &Weights, plans: &[Plan]) -> Result<BTreeMap<String, Arc<Quantized>>> {
    let mut found = BTreeMap::new();
    for plan in plans {
        let mut bytes = Vec::with_capacity(plan.kind.packed_bytes(plan.rows, plan.cols));
        let packed = pack(weights, plan, |part| {
            bytes.extend_from_slice(part);
            Ok(())
        });
        packed.map_err(|wrong| match wrong {
            Wrong::Source(failure) => failure,
            Wrong::Cache(e) => Failure::device(e.to_string()),
        })?;
        found.insert(plan.name.clone(), finish(plan, bytes.into())?);
    }
    Ok(found)
}

fn write(path: &Path, weights: &Weights, plans: &[Plan]) -> std::result::Result<(), Wrong> {
    let dir = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(dir).map_err(Wrong::Cache)?;
    let temporary = dir.join(format!(".{}.tmp", std::process::id()));
    let result = (|| {
        let mut file = BufWriter::new(File::create(&temporary).map_err(Wrong::Cache)?);
        file.write_all(&header(plans)).map_err(Wrong::Cache)?;
        for plan in plans {
            pack(weights, plan, |part| file.write_all(part))?;
        }
        let file = file.into_inner().map_err(|e| Wrong::Cache(e.into_error()))?;
        file.sync_all().map_err(Wrong::Cache)?;
        std::fs::rename(&temporary, path).map_err(Wrong::Cache)
    })();
    if result.is_err() {
        let _ = std::fs::remove_file(&temporary);
    }
    result
}

/// Length and JSON of a safetensors header, the plans in its metadata.
fn header(plans: &[Plan]) -> Vec<u8> {
    let mut map = serde_json::Map::new();
    let about = serde_json::to_string(plans).unwrap_or_default();
    map.insert("__metadata__".into(), serde_json::json!({ "format": VERSION, "plans": about }));
    let mut at = 0;
    for plan in plans {
        let bytes = plan.kind.packed_bytes(plan.rows, plan.cols);
        let entry = serde_json::json!({ "dtype": "U8", "shape": [bytes], "data_offsets": [at, at + bytes] });
        map.insert(plan.name.clone(), entry);
        at += bytes;
    }
    let mut json = serde_json::Value::Object(map).to_string().into_bytes();
    json.resize((json.len() + 8).next_multiple_of(64) - 8, b' ');
    let mut out = (json.len() as u64).to_le_bytes().to_vec();
    out.extend_from_slice(&json);
    out
}

/// The matrices of a cache file, or `None` when there is none or it is not the one that is wanted.
fn open(path: &Path, plans: &[Plan]) -> Option<BTreeMap<String, Arc<Quantized>>> {
    let file = File::open(path).map_err(io_at(path)).ok()?;
    // SAFETY: the map is read-only and the file is only ever replaced as a whole, by renaming; somebody who cuts it
    // short while it is in use causes a bus error, as with every memory-mapped model file.
    #[allow(unsafe_code)]
    let map = unsafe { Mmap::map(&file) }.ok()?;
    let (length, metadata) = SafeTensors::read_metadata(&map).ok()?;
    let about = metadata.metadata().as_ref()?;
    let theirs: Vec<Plan> = serde_json::from_str(about.get("plans")?).ok()?;
    if about.get("format")? != VERSION || theirs != plans {
        return None;
    }
    let map = Arc::new(map);
    let mut found = BTreeMap::new();
    for plan in plans {
        let (from, to) = metadata.info(&plan.name)?.data_offsets;
        let bytes = Bytes::Mapped(map.clone(), 8 + length + from..8 + length + to);
        found.insert(plan.name.clone(), finish(plan, bytes).ok()?);
    }
    Some(found)
}
