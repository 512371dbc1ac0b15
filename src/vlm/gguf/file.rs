//! An opened GGUF file: its header checked, its metadata read by key with errors that name key and file. Only the header
//! is read through a map; tensors are read into memory of their own, which is free again when they were packed.

use super::{
    dequant::dequantize,
    header::{self, Header, TensorInfo},
    value::{Array, Scalar, Value},
};
use crate::error::{Failure, Result, io_at};
use candle_core::{Device, Tensor};
use memmap2::Mmap;
use std::{
    collections::BTreeMap,
    fs::File,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

/// An opened file.
pub struct GgufFile {
    /// Where it is.
    pub path: PathBuf,
    file: File,
    map: Mmap,
    header: Header,
    by_name: BTreeMap<String, usize>,
}

impl GgufFile {
    /// Maps a file and checks its header.
    ///
    /// # Errors
    /// Unreadable, or a header that breaks a rule.
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(io_at(path))?;
        // SAFETY: the map is read-only and only the header is read through it; a file that another process cuts short
        // meanwhile gives a bus error, as with every memory-mapped loader.
        #[allow(unsafe_code)]
        let map = unsafe { Mmap::map(&file) }.map_err(io_at(path))?;
        let header = header::walk(&map).map_err(|rule| Failure::from(rule).context(path.display()))?;
        let by_name = header.tensors.iter().enumerate().map(|(i, tensor)| (tensor.name.clone(), i)).collect();
        Ok(GgufFile { path: path.into(), file, map, header, by_name })
    }

    /// Every tensor in the order of the file.
    pub fn tensors(&self) -> &[TensorInfo] {
        &self.header.tensors
    }

    /// A tensor by name.
    pub fn tensor(&self, name: &str) -> Option<&TensorInfo> {
        self.by_name.get(name).map(|i| &self.header.tensors[*i])
    }

    /// The values of a tensor of this file, in f32.
    ///
    /// # Errors
    /// A number format that cannot be read; an unreadable file.
    pub fn values(&self, tensor: &TensorInfo, device: &Device) -> Result<Tensor> {
        let bytes = self.bytes(tensor)?;
        dequantize(tensor.kind, &tensor.shape, &bytes, device)
            .map_err(|e| e.context(format!("{}: tensor {}", self.path.display(), tensor.name)))
    }

    /// Rows `from..to` of a matrix of this file.
    ///
    /// # Errors
    /// As [`GgufFile::values`]; rows outside the matrix.
    pub fn rows(&self, tensor: &TensorInfo, from: usize, to: usize) -> Result<Tensor> {
        let [rows, cols] = tensor.shape[..] else {
            return Err(self.wrong(&format!("tensor {} has no rows", tensor.name)));
        };
        if from > to || to > rows {
            return Err(self.wrong(&format!("tensor {} has {rows} rows, not {from}..{to}", tensor.name)));
        }
        let row = cols / tensor.kind.block * tensor.kind.bytes;
        let begin = tensor.bytes.start;
        let part =
            TensorInfo { shape: vec![to - from, cols], bytes: begin + from * row..begin + to * row, ..tensor.clone() };
        self.values(&part, &Device::Cpu)
    }

    /// The bytes of a tensor of this file.
    ///
    /// # Errors
    /// An unreadable file.
    pub fn bytes(&self, tensor: &TensorInfo) -> Result<Vec<u8>> {
        let mut bytes = vec![0; tensor.bytes.len()];
        self.file.read_exact_at(&mut bytes, tensor.bytes.start as u64).map_err(io_at(&self.path))?;
        Ok(bytes)
    }

    /// A failure that names the file.
    pub fn wrong(&self, what: &str) -> Failure {
        Failure::data(format!("{}: {what}", self.path.display()))
    }

    /// Whether a key is there.
    pub fn has(&self, key: &str) -> bool {
        self.header.metadata.contains_key(key)
    }

    fn get(&self, key: &str) -> Option<&Value> {
        self.header.metadata.get(key)
    }

    /// The failure of a key that is not there.
    pub fn missing(&self, key: &str) -> Failure {
        self.wrong(&format!("the key {key} is missing")).hint("convert the model again with a current llama.cpp")
    }

    /// A text.
    ///
    /// # Errors
    /// Not a text, or not UTF-8.
    pub fn text(&self, key: &str) -> Result<Option<&str>> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Text(range)) => {
                let bytes = self.map.get(range.clone()).unwrap_or_default();
                std::str::from_utf8(bytes).map(Some).map_err(|_| self.wrong(&format!("{key} is not UTF-8")))
            }
            Some(_) => Err(self.wrong(&format!("{key} is not a text"))),
        }
    }

    fn scalar<T>(&self, key: &str, what: &str, pick: impl Fn(Scalar) -> Option<T>) -> Result<Option<T>> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Scalar(scalar)) => match pick(*scalar) {
                Some(value) => Ok(Some(value)),
                None => Err(self.wrong(&format!("{key} is {scalar:?}, not {what}"))),
            },
            Some(_) => Err(self.wrong(&format!("{key} is not {what}"))),
        }
    }

    /// A whole number from 0.
    ///
    /// # Errors
    /// Something else.
    pub fn size(&self, key: &str) -> Result<Option<u64>> {
        self.scalar(key, "a whole number", Scalar::unsigned)
    }

    /// A whole number that must be there.
    ///
    /// # Errors
    /// Not there, or something else.
    pub fn required_size(&self, key: &str) -> Result<u64> {
        self.size(key)?.ok_or_else(|| self.missing(key))
    }

    /// Any number.
    ///
    /// # Errors
    /// Something else.
    pub fn number(&self, key: &str) -> Result<Option<f64>> {
        self.scalar(key, "a number", Scalar::number)
    }

    fn array(&self, key: &str) -> Result<Option<&Array>> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Array(array)) => Ok(Some(array)),
            Some(_) => Err(self.wrong(&format!("{key} is not an array"))),
        }
    }

    fn list<T>(&self, key: &str, what: &str, pick: impl Fn(Scalar) -> Option<T>) -> Result<Option<Vec<T>>> {
        let Some(array) = self.array(key)? else { return Ok(None) };
        let items = array.scalars(&self.map).and_then(|all| all.into_iter().map(pick).collect());
        items.map(Some).ok_or_else(|| self.wrong(&format!("{key} is not an array of {what}")))
    }

    /// An array of whole numbers from 0.
    ///
    /// # Errors
    /// Something else.
    pub fn sizes(&self, key: &str) -> Result<Option<Vec<u64>>> {
        self.list(key, "whole numbers", Scalar::unsigned)
    }

    /// An array of numbers.
    ///
    /// # Errors
    /// Something else.
    pub fn numbers(&self, key: &str) -> Result<Option<Vec<f64>>> {
        self.list(key, "numbers", Scalar::number)
    }

    /// An array of truth values.
    ///
    /// # Errors
    /// Something else.
    pub fn bools(&self, key: &str) -> Result<Option<Vec<bool>>> {
        self.list(key, "truth values", |scalar| match scalar {
            Scalar::Bool(value) => Some(value),
            _ => None,
        })
    }

    /// An array of texts.
    ///
    /// # Errors
    /// Something else.
    pub fn texts(&self, key: &str) -> Result<Option<Vec<&str>>> {
        let Some(array) = self.array(key)? else { return Ok(None) };
        array.texts(&self.map).map(Some).ok_or_else(|| self.wrong(&format!("{key} is not an array of UTF-8 texts")))
    }
}
