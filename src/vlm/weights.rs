//! Tensors of a checkpoint by canonical name: one safetensors file, a sharded index, a pair of GGUF files, or a table in
//! memory.
//!
//! Headers are validated and nothing is read before its shape was checked. Tensors are read, not mapped: pages of a
//! mapped file would count as memory of ours while a large model is being quantized piece by piece. Names of any
//! accepted spelling are found, and each tensor remembers the name its file uses so that saving writes it back.

mod header;

use super::{
    build::{Layout, canonical},
    config::VlmConfig,
    gguf::{Pair, tensors::Located},
    init,
    quant::{Kind, Quantized},
    tiled::Tiles,
};
use crate::error::{Failure, Result, io_at};
use candle_core::{DType, Device, Tensor};
use memmap2::Mmap;
use sha2::{Digest, Sha256};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs::File,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
};

enum Place {
    /// File number, dtype and where its bytes begin.
    File(usize, safetensors::Dtype, u64),
    Memory(Tensor),
    Gguf(Box<Located>),
    /// Made when asked for.
    Tiled(Arc<Tiles>, init::Scale),
}

struct Source {
    path: PathBuf,
    file: File,
    digest: [u8; 32],
}

struct Entry {
    own: String,
    shape: Vec<usize>,
    place: Place,
}

/// An opened checkpoint.
pub struct Weights {
    entries: BTreeMap<String, Entry>, // by canonical name
    files: Vec<Source>,
    gguf: Option<Pair>,
    at: String,
}

impl Weights {
    fn empty(at: String) -> Self {
        Weights { entries: BTreeMap::new(), files: Vec::new(), gguf: None, at }
    }

    /// Opens `model.safetensors` or `model.safetensors.index.json` of a folder.
    pub fn open(dir: &Path) -> Result<Self> {
        let single = dir.join("model.safetensors");
        let index = dir.join("model.safetensors.index.json");
        let paths = if single.is_file() {
            vec![single]
        } else if index.is_file() {
            shards(&index)?
        } else {
            return Err(Failure::data(format!(
                "{} holds neither model.safetensors nor model.safetensors.index.json",
                dir.display()
            ))
            .hint("point at the folder of a Hugging Face checkpoint in safetensors form"));
        };
        let mut weights = Weights::empty(dir.display().to_string());
        for path in paths {
            weights.add_file(&path)?;
        }
        Ok(weights)
    }

    /// Opens one safetensors file.
    pub fn open_file(path: &Path) -> Result<Self> {
        let mut weights = Weights::empty(path.display().to_string());
        weights.add_file(path)?;
        Ok(weights)
    }

    /// A safetensors file that is in memory; `at` names it.
    ///
    /// # Errors
    /// As [`Weights::open_file`].
    pub fn from_bytes(at: &str, bytes: &[u8]) -> Result<Self> {
        header::read(bytes).map_err(|e| e.context(at))?;
        let tensors = candle_core::safetensors::load_buffer(bytes, &Device::Cpu)
            .map_err(|e| Failure::data(format!("{at}: {e}")))?;
        Ok(Weights { at: at.into(), ..Weights::from_tensors(tensors)? })
    }

    /// Takes tensors that are in memory already.
    pub fn from_tensors(tensors: HashMap<String, Tensor>) -> Result<Self> {
        let mut weights = Weights::empty("the given tensors".into());
        for (own, tensor) in tensors {
            weights.add(own, tensor.dims().to_vec(), Place::Memory(tensor))?;
        }
        Ok(weights)
    }

    /// Takes a pair of GGUF files; tensors have the canonical names, and all that `layout` lists must be there.
    pub fn from_gguf(pair: Pair, layout: &Layout) -> Result<Self> {
        let mut weights = Weights::empty(pair.text.path.display().to_string());
        for (name, shape) in &layout.tensors {
            let place = Place::Gguf(Box::new(pair.locate(name, shape)?));
            weights.add(name.clone(), shape.clone(), place)?;
        }
        weights.gguf = Some(pair);
        Ok(weights)
    }

    /// Random weights of a configuration (see [`super::tiled`]), each made when it is asked for: no copy of the whole.
    ///
    /// # Errors
    /// Exit 2 for a tensor that is too large.
    pub fn tiled(config: &VlmConfig, layout: &Layout, seed: u64) -> Result<Self> {
        let mut weights = Weights::empty("random weights".into());
        let tiles = Arc::new(Tiles::new(seed));
        for (name, shape) in &layout.tensors {
            init::elements(name, shape)?;
            let scale = init::scale(config, name, shape);
            weights.add(name.clone(), shape.clone(), Place::Tiled(tiles.clone(), scale))?;
        }
        Ok(weights)
    }

    fn add_file(&mut self, path: &Path) -> Result<()> {
        let file = File::open(path).map_err(io_at(path))?;
        // SAFETY: the map is read-only, only the header is read through it, and it is gone at the end of this function;
        // a file that another process cuts short meanwhile gives a bus error, as with every memory-mapped loader.
        #[allow(unsafe_code)]
        let map = unsafe { Mmap::map(&file) }.map_err(io_at(path))?;
        let (begin, metadata) = header::read(&map).map_err(|e| e.context(path.display()))?;
        let digest = Sha256::digest(&map[..begin]).into();
        let number = self.files.len();
        for (name, info) in metadata.tensors() {
            let place = Place::File(number, info.dtype, (begin + info.data_offsets.0) as u64);
            self.add(name, info.shape.clone(), place)?;
        }
        drop(map);
        self.files.push(Source { path: path.to_path_buf(), file, digest });
        Ok(())
    }

    fn add(&mut self, own: String, shape: Vec<usize>, place: Place) -> Result<()> {
        let name = canonical(&own);
        if let Some(other) = self.entries.get(&name) {
            return Err(Failure::data(format!("{}: {own} and {} name the same tensor", self.at, other.own)));
        }
        self.entries.insert(name, Entry { own, shape, place });
        Ok(())
    }

    /// Where they are from, for messages.
    pub fn at(&self) -> &str {
        &self.at
    }

    /// Whether a tensor of this canonical name is there.
    pub fn has(&self, name: &str) -> bool {
        self.entries.contains_key(name)
    }

    /// The checkpoint's own spelling of a canonical name.
    pub fn own_name(&self, name: &str) -> Option<&str> {
        self.entries.get(name).map(|entry| entry.own.as_str())
    }

    /// Every (canonical name, own name).
    pub fn names(&self) -> impl Iterator<Item = (&str, &str)> {
        self.entries.iter().map(|(name, entry)| (name.as_str(), entry.own.as_str()))
    }

    /// The blocks that a matrix is stored in, where they are computed with.
    pub fn kind(&self, name: &str) -> Option<Kind> {
        match &self.entries.get(name)?.place {
            Place::Gguf(at) => Pair::kind(at),
            _ => None,
        }
    }

    /// What a tensor is stored as.
    pub fn dtype(&self, name: &str) -> Option<DType> {
        match &self.entries.get(name)?.place {
            Place::File(_, dtype, _) => DType::try_from(*dtype).ok(),
            Place::Memory(tensor) => Some(tensor.dtype()),
            Place::Gguf(at) => Some(Pair::dtype(at)),
            Place::Tiled(..) => Some(DType::F32),
        }
    }

    /// Shape of a tensor by canonical name.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.entries.get(name).map(|entry| entry.shape.as_slice())
    }

    /// Fails unless a tensor is there in the expected shape.
    ///
    /// # Errors
    /// Names the nearest tensors when it is missing, and both shapes when they differ.
    pub fn check(&self, name: &str, shape: &[usize]) -> Result<()> {
        self.entry(name, shape).map(|_| ())
    }

    fn entry(&self, name: &str, shape: &[usize]) -> Result<&Entry> {
        let Some(entry) = self.entries.get(name) else {
            let near = nearest(name, self.entries.values().map(|e| e.own.as_str()), 3).join(", ");
            return Err(Failure::data(format!("{}: tensor {name} {shape:?} is missing", self.at))
                .hint(format!("nearest are: {near}")));
        };
        if entry.shape != shape {
            return Err(Failure::data(format!(
                "{}: tensor {} has the shape {:?}, expected {shape:?}",
                self.at, entry.own, entry.shape
            ))
            .hint("config.json and the weights belong to different models"));
        }
        Ok(entry)
    }

    /// The tensor of a canonical name in the wanted dtype, and the name the checkpoint uses.
    ///
    /// # Errors
    /// As [`Weights::check`]; unreadable files and packed numbers.
    pub fn load(&self, name: &str, shape: &[usize], dtype: DType, device: &Device) -> Result<(String, Tensor)> {
        let entry = self.entry(name, shape)?;
        if let Place::Memory(tensor) = &entry.place {
            let tensor = tensor.to_device(device)?;
            return Ok((entry.own.clone(), self.float(entry, tensor.dtype()).and(Ok(tensor.to_dtype(dtype)?))?));
        }
        let tensor = match &entry.place {
            Place::Gguf(at) => self.pair()?.values(at, device)?,
            Place::Tiled(tiles, scale) => {
                Tensor::from_vec(tiles.values(name, *scale, 0, shape.iter().product()), shape, device)?
            }
            _ => self.read(entry, 0, shape.iter().product(), shape)?,
        };
        Ok((entry.own.clone(), tensor.to_device(device)?.to_dtype(dtype)?))
    }

    /// Rows `from..to` of a matrix as f32, whatever the file holds.
    ///
    /// # Errors
    /// As [`Weights::load`]; rows outside the matrix.
    pub fn rows(&self, name: &str, from: usize, to: usize) -> Result<Vec<f32>> {
        let Some(entry) = self.entries.get(name).filter(|entry| entry.shape.len() == 2 && to <= entry.shape[0]) else {
            return Err(Failure::data(format!("{}: {name} has no rows {from}..{to}", self.at)));
        };
        let cols = entry.shape[1];
        let part = match &entry.place {
            Place::Memory(tensor) => tensor.narrow(0, from, to - from)?,
            Place::Tiled(tiles, scale) => return Ok(tiles.values(name, *scale, from * cols, (to - from) * cols)),
            Place::File(..) => self.read(entry, from * cols, (to - from) * cols, &[to - from, cols])?,
            Place::Gguf(at) => self.pair()?.rows(at, from, to)?,
        };
        Ok(part.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?)
    }

    fn pair(&self) -> Result<&Pair> {
        self.gguf.as_ref().ok_or_else(|| Failure::data(format!("{}: there is no GGUF file", self.at)))
    }

    /// A matrix in the blocks that its file holds; `None` where it holds none that are computed with.
    ///
    /// # Errors
    /// An unreadable file.
    pub fn blocks(&self, name: &str) -> Result<Option<Quantized>> {
        match self.entries.get(name).map(|entry| &entry.place) {
            Some(Place::Gguf(at)) => self.pair()?.blocks(at),
            _ => Ok(None),
        }
    }

    /// The first numbers of a tensor as bf16, by which a base model is recognised.
    ///
    /// # Errors
    /// A tensor that is missing or cannot be read.
    pub fn first(&self, name: &str, n: usize) -> Result<Vec<half::bf16>> {
        let shape = self.shape(name).unwrap_or_default().to_vec();
        let entry = self.entry(name, &shape)?;
        let count = shape.iter().product::<usize>().min(n);
        let tensor = match (&entry.place, &shape[..]) {
            (Place::File(..), _) => self.read(entry, 0, count, &[count])?,
            (Place::Memory(tensor), _) => tensor.clone(),
            (Place::Tiled(tiles, scale), _) => {
                Tensor::from_vec(tiles.values(name, *scale, 0, count), count, &Device::Cpu)?
            }
            (Place::Gguf(at), &[rows, cols]) => self.pair()?.rows(at, 0, rows.min(n.div_ceil(cols.max(1))))?,
            (Place::Gguf(at), _) => self.pair()?.values(at, &Device::Cpu)?,
        };
        let flat = tensor.flatten_all()?;
        Ok(flat.narrow(0, 0, flat.elem_count().min(n))?.to_dtype(DType::BF16)?.to_vec1()?)
    }

    /// Some consecutive numbers of a tensor in a file, in the file's dtype.
    fn read(&self, entry: &Entry, from: usize, count: usize, shape: &[usize]) -> Result<Tensor> {
        let Place::File(number, dtype, begin) = &entry.place else {
            return Err(Failure::data(format!("{}: {} is in memory", self.at, entry.own)));
        };
        let source = &self.files[*number];
        let dtype = DType::try_from(*dtype)
            .map_err(|e| Failure::data(format!("{}: tensor {}: {e}", source.path.display(), entry.own)))?;
        self.float(entry, dtype)?;
        let size = dtype.size_in_bytes();
        let mut bytes = vec![0u8; count * size];
        source.file.read_exact_at(&mut bytes, begin + (from * size) as u64).map_err(io_at(&source.path))?;
        Ok(Tensor::from_raw_buffer(&bytes, dtype, shape, &Device::Cpu)?)
    }

    fn float(&self, entry: &Entry, dtype: DType) -> Result<()> {
        if dtype.is_float() {
            return Ok(());
        }
        Err(Failure::data(format!("{}: tensor {} has the dtype {dtype:?}", self.at, entry.own))
            .hint("packed (quantized) weights cannot be read here; use the bf16 or f32 release"))
    }

    /// What the files are recognised by: headers, sizes, times of change and a few thousand samples of their contents.
    /// Tiled weights are recognised by what they are made from. `None` for tensors in memory.
    ///
    /// # Errors
    /// Files that cannot be read.
    pub fn fingerprint(&self) -> Result<Option<[u8; 32]>> {
        if self.files.is_empty() {
            let mut hash = Sha256::new();
            for (name, entry) in &self.entries {
                let Place::Tiled(tiles, scale) = &entry.place else { return Ok(None) };
                hash.update(format!("{name} {:?} {scale:?} {}", entry.shape, tiles.seed()));
            }
            return Ok(Some(hash.finalize().into()));
        }
        const SAMPLES: u64 = 1024;
        let mut hash = Sha256::new();
        for source in &self.files {
            let about = source.file.metadata().map_err(io_at(&source.path))?;
            hash.update(source.digest);
            hash.update(about.len().to_le_bytes());
            let changed = about.modified().ok().and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
            hash.update(changed.unwrap_or_default().as_nanos().to_le_bytes());
            let mut sample = [0u8; 256];
            for i in 0..SAMPLES {
                let at = about.len() / SAMPLES * i;
                let n = sample.len().min((about.len() - at) as usize);
                source.file.read_exact_at(&mut sample[..n], at).map_err(io_at(&source.path))?;
                hash.update(&sample[..n]);
            }
        }
        Ok(Some(hash.finalize().into()))
    }
}

/// The files that an index names; they must lie beside it.
fn shards(index: &Path) -> Result<Vec<PathBuf>> {
    let bad = |what: String| Failure::data(format!("{}: {what}", index.display()));
    let bytes = std::fs::read(index).map_err(io_at(index))?;
    let json: serde_json::Value = serde_json::from_slice(&bytes).map_err(|e| bad(format!("not valid JSON: {e}")))?;
    let map = json.get("weight_map").and_then(|m| m.as_object()).ok_or_else(|| bad("no weight_map".into()))?;
    let mut names = BTreeSet::new();
    for file in map.values() {
        match file.as_str() {
            Some(name) if !name.is_empty() && !name.contains(['/', '\\']) && name != ".." => {
                names.insert(name);
            }
            _ => return Err(bad(format!("weight_map names {file}, which is not a file beside it"))),
        }
    }
    let dir = index.parent().unwrap_or(Path::new("."));
    names
        .into_iter()
        .map(|name| {
            let path = dir.join(name);
            if path.is_file() { Ok(path) } else { Err(bad(format!("{name} is missing in {}", dir.display()))) }
        })
        .collect()
}

/// The `n` names with the smallest edit distance.
pub fn nearest<'a>(name: &str, names: impl Iterator<Item = &'a str>, n: usize) -> Vec<&'a str> {
    let mut scored: Vec<(usize, &str)> = names.map(|other| (distance(name, other), other)).collect();
    scored.sort();
    scored.into_iter().take(n).map(|(_, name)| name).collect()
}

fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let substituted = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn edit_distance() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "ab"), 2);
        assert_eq!(nearest("norm.weight", ["a", "norm.bias", "norm1.weight"].into_iter(), 1), ["norm1.weight"]);
    }

    #[test]
    fn index_may_not_leave_its_folder() {
        let dir = tempfile::tempdir().unwrap();
        for (map, word) in [
            (r#"{"weight_map":{"a":"../x.safetensors"}}"#, "not a file beside"),
            (r#"{"weight_map":{"a":"x.safetensors"}}"#, "is missing in"),
            (r#"{"weight_map":3}"#, "no weight_map"),
            ("{", "not valid JSON"),
        ] {
            std::fs::write(dir.path().join("model.safetensors.index.json"), map).unwrap();
            let error = Weights::open(dir.path()).err().unwrap().message;
            assert!(error.contains(word), "{error}");
        }
        std::fs::write(dir.path().join("model.safetensors"), b"version https://git-lfs").unwrap();
        assert!(Weights::open(dir.path()).err().unwrap().message.contains("not a valid safetensors"));
    }
}
