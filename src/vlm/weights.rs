//! Tensors of a checkpoint by canonical name: one safetensors file, a sharded index, or a table in memory.
//!
//! Files are memory-mapped with their headers validated; nothing is read before its shape was checked. Names of any
//! accepted spelling are found, and each tensor remembers the name its file uses so that saving writes it back.

use super::{
    build::{Layout, canonical},
    config::VlmConfig,
    init,
    tiled::Tiles,
};
use crate::error::{Failure, Result, io_at};
use candle_core::{DType, Device, Tensor, safetensors::MmapedSafetensors};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::{Path, PathBuf},
    sync::Arc,
};

enum Place {
    File(usize),
    Memory(Tensor),
    /// Made when asked for.
    Tiled(Arc<Tiles>, init::Scale),
}

struct Entry {
    own: String,
    shape: Vec<usize>,
    place: Place,
}

/// An opened checkpoint.
pub struct Weights {
    entries: BTreeMap<String, Entry>, // by canonical name
    files: Vec<(PathBuf, MmapedSafetensors)>,
    at: String,
}

impl Weights {
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
        let mut weights = Weights { entries: BTreeMap::new(), files: Vec::new(), at: dir.display().to_string() };
        for path in paths {
            weights.add_file(&path)?;
        }
        Ok(weights)
    }

    /// Opens one safetensors file.
    pub fn open_file(path: &Path) -> Result<Self> {
        let mut weights = Weights { entries: BTreeMap::new(), files: Vec::new(), at: path.display().to_string() };
        weights.add_file(path)?;
        Ok(weights)
    }

    /// Takes tensors that are in memory already.
    pub fn from_tensors(tensors: HashMap<String, Tensor>) -> Result<Self> {
        let mut weights = Weights { entries: BTreeMap::new(), files: Vec::new(), at: "the given tensors".into() };
        for (own, tensor) in tensors {
            weights.add(own, tensor.dims().to_vec(), Place::Memory(tensor))?;
        }
        Ok(weights)
    }

    /// Random weights of a configuration (see [`super::tiled`]), each made when it is asked for: no copy of the whole.
    ///
    /// # Errors
    /// Exit 2 for a tensor that is too large.
    pub fn tiled(config: &VlmConfig, layout: &Layout, seed: u64) -> Result<Self> {
        let mut weights = Weights { entries: BTreeMap::new(), files: Vec::new(), at: "random weights".into() };
        let tiles = Arc::new(Tiles::new(seed));
        for (name, shape) in &layout.tensors {
            init::elements(name, shape)?;
            let scale = init::scale(config, name, shape);
            weights.add(name.clone(), shape.clone(), Place::Tiled(tiles.clone(), scale))?;
        }
        Ok(weights)
    }

    fn add_file(&mut self, path: &Path) -> Result<()> {
        std::fs::File::open(path).map_err(io_at(path))?;
        // SAFETY: the map is read-only and every tensor is copied out of it; a file that another process changes
        // meanwhile can give wrong numbers or a bus error, as with every memory-mapped loader.
        #[allow(unsafe_code)]
        let file = unsafe { MmapedSafetensors::new(path) }.map_err(|e| {
            Failure::data(format!("{} is not a valid safetensors file: {e}", path.display()))
                .hint("the download may be incomplete, or this is a Git LFS pointer")
        })?;
        let number = self.files.len();
        for (name, view) in file.tensors() {
            self.add(name, view.shape().to_vec(), Place::File(number))?;
        }
        self.files.push((path.to_path_buf(), file));
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

    /// Shape of a tensor by canonical name.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.entries.get(name).map(|entry| entry.shape.as_slice())
    }

    /// The tensor of a canonical name in the wanted dtype, and the name the checkpoint uses.
    ///
    /// # Errors
    /// Names the nearest tensors when it is missing, and both shapes when they differ.
    pub fn load(&self, name: &str, shape: &[usize], dtype: DType, device: &Device) -> Result<(String, Tensor)> {
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
        let tensor = match &entry.place {
            Place::Memory(tensor) => tensor.to_device(device)?,
            Place::Tiled(tiles, scale) => {
                Tensor::from_vec(tiles.values(name, *scale, shape.iter().product()), shape, device)?
            }
            Place::File(number) => {
                let (path, file) = &self.files[*number];
                file.load(&entry.own, device)
                    .map_err(|e| Failure::data(format!("{}: tensor {}: {e}", path.display(), entry.own)))?
            }
        };
        if !tensor.dtype().is_float() {
            return Err(Failure::data(format!("{}: tensor {} has the dtype {:?}", self.at, entry.own, tensor.dtype()))
                .hint("packed (quantized) weights cannot be read here; use the bf16 or f32 release"));
        }
        Ok((entry.own.clone(), tensor.to_dtype(dtype)?))
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
