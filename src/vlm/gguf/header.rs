//! The header of a GGUF file, walked by hand so that nothing untrusted reaches a library that trusts it.
//!
//! Every size is checked before it is used, and every rule of [`Rule`] before anything is built from the file: versions,
//! counts, string and array lengths, names that occur twice, alignment, ranks, overflowing products, blocks, places
//! outside the file and overlaps. The walk is a function of the bytes alone and allocates in proportion to the names.

use super::{
    kind::Kind,
    rule::Rule,
    value::{Array, Items, ScalarType, Value},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

type Result<T> = std::result::Result<T, Rule>;

/// Longest string.
const MAX_STRING: u64 = 64 << 20;
/// Longest key or tensor name.
const MAX_NAME: u64 = 1 << 10;
/// Most items of an array.
const MAX_ITEMS: u64 = 16 << 20;
/// Deepest nesting of arrays.
const MAX_DEPTH: usize = 4;
/// Most metadata entries.
const MAX_KEYS: u64 = 1 << 16;
/// Most tensors.
const MAX_TENSORS: u64 = 1 << 16;
/// Highest rank.
const MAX_RANK: u32 = 4;
/// Alignment where the file does not say.
const ALIGNMENT: u64 = 32;
/// Bytes that the smallest entry and the smallest tensor take: they bound the counts by the file's size.
const LEAST_KEY: u64 = 8 + 1 + 4 + 1;
const LEAST_TENSOR: u64 = 8 + 1 + 4 + 8 + 4 + 8;

/// A tensor in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorInfo {
    /// Its name.
    pub name: String,
    /// Shape, outermost dimension first (the file has it the other way round).
    pub shape: Vec<usize>,
    /// Number format.
    pub kind: Kind,
    /// Its bytes, counted from the beginning of the file.
    pub bytes: Range<usize>,
}

/// A checked header.
#[derive(Debug, Clone)]
pub struct Header {
    /// 2 or 3.
    pub version: u32,
    /// Values by key.
    pub metadata: BTreeMap<String, Value>,
    /// Tensors in the order of the file.
    pub tensors: Vec<TensorInfo>,
}

/// Walks and checks a header.
///
/// # Errors
/// The first rule that is broken.
pub fn walk(file: &[u8]) -> Result<Header> {
    let mut at = Cursor { file, at: 0 };
    if at.file.get(..4) != Some(b"GGUF") {
        return Err(Rule::Magic);
    }
    at.at = 4;
    let version = at.u32("the version")?;
    match version {
        2 | 3 => {}
        _ if matches!(version.swap_bytes(), 2 | 3) => return Err(Rule::BigEndian),
        _ => return Err(Rule::Version(version)),
    }
    let (tensors, keys) = (at.u64("the tensor count")?, at.u64("the key count")?);
    at.fits("tensors", tensors, MAX_TENSORS, LEAST_TENSOR)?;
    at.fits("keys", keys, MAX_KEYS, LEAST_KEY)?;
    let mut metadata = BTreeMap::new();
    for _ in 0..keys {
        let key = at.name("a key")?;
        let kind = at.u32(&key)?;
        let value = at.value(&key, kind)?;
        if metadata.insert(key.clone(), value).is_some() {
            return Err(Rule::DuplicateKey(key));
        }
    }
    let alignment = alignment(metadata.get("general.alignment"))?;
    let mut drafts = Vec::new();
    for _ in 0..tensors {
        drafts.push(at.tensor(alignment)?);
    }
    let start = (at.at as u64).next_multiple_of(alignment);
    let tensors = drafts.into_iter().map(|draft| draft.place(start, file.len())).collect::<Result<Vec<_>>>()?;
    check_names(&tensors)?;
    check_overlaps(&tensors)?;
    Ok(Header { version, metadata, tensors })
}

fn alignment(value: Option<&Value>) -> Result<u64> {
    match value {
        None => Ok(ALIGNMENT),
        Some(Value::Scalar(scalar)) => match scalar.unsigned() {
            Some(n) if n.is_power_of_two() && (8..=1 << 20).contains(&n) => Ok(n),
            Some(n) => Err(Rule::Alignment(n.to_string())),
            None => Err(Rule::Alignment(format!("{scalar:?}"))),
        },
        Some(_) => Err(Rule::Alignment("not a number".into())),
    }
}

fn check_names(tensors: &[TensorInfo]) -> Result<()> {
    let mut seen = BTreeSet::new();
    match tensors.iter().find(|tensor| !seen.insert(&tensor.name)) {
        Some(twice) => Err(Rule::DuplicateTensor(twice.name.clone())),
        None => Ok(()),
    }
}

fn check_overlaps(tensors: &[TensorInfo]) -> Result<()> {
    let mut order: Vec<&TensorInfo> = tensors.iter().collect();
    order.sort_by_key(|tensor| (tensor.bytes.start, tensor.bytes.end));
    match order.windows(2).find(|pair| pair[0].bytes.end > pair[1].bytes.start) {
        Some(pair) => Err(Rule::Overlap { first: pair[0].name.clone(), second: pair[1].name.clone() }),
        None => Ok(()),
    }
}

/// A tensor before it is known where the data begin.
struct Draft {
    name: String,
    shape: Vec<usize>,
    kind: Kind,
    offset: u64,
    bytes: u64,
}

impl Draft {
    fn place(self, start: u64, file: usize) -> Result<TensorInfo> {
        let left = (file as u64).saturating_sub(start).saturating_sub(self.offset);
        let outside = Rule::OutsideFile { name: self.name.clone(), offset: self.offset, bytes: self.bytes, left };
        if self.bytes > left {
            return Err(outside);
        }
        // Inside the file, so both ends fit a usize.
        let from = (start + self.offset) as usize;
        let Draft { name, shape, kind, bytes, .. } = self;
        Ok(TensorInfo { name, shape, kind, bytes: from..from + bytes as usize })
    }
}

struct Cursor<'a> {
    file: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn left(&self) -> usize {
        self.file.len() - self.at
    }

    fn take(&mut self, n: usize, what: &str) -> Result<&'a [u8]> {
        let truncated = || Rule::Truncated { what: what.to_string(), at: self.at, len: self.file.len() };
        let end = self.at.checked_add(n).ok_or_else(truncated)?;
        let bytes = self.file.get(self.at..end).ok_or_else(truncated)?;
        self.at = end;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self, what: &str) -> Result<[u8; N]> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N, what)?);
        Ok(out)
    }

    fn u32(&mut self, what: &str) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array(what)?))
    }

    fn u64(&mut self, what: &str) -> Result<u64> {
        Ok(u64::from_le_bytes(self.array(what)?))
    }

    /// Refuses a count that is over its limit or over what the rest of the file can hold.
    fn fits(&self, what: &'static str, count: u64, max: u64, least: u64) -> Result<()> {
        if count > max {
            return Err(Rule::Count { what, count, max });
        }
        match count * least > self.left() as u64 {
            true => Err(Rule::CountOverFile { what, count, left: self.left() }),
            false => Ok(()),
        }
    }

    /// Where a string's bytes are.
    fn string(&mut self, what: &str, max: u64) -> Result<Range<usize>> {
        let len = self.u64(what)?;
        if len > max {
            return Err(Rule::StringLength { what: what.to_string(), len, max });
        }
        let from = self.at;
        self.take(len as usize, what)?;
        Ok(from..self.at)
    }

    fn name(&mut self, what: &'static str) -> Result<String> {
        let range = self.string(what, MAX_NAME)?;
        match std::str::from_utf8(&self.file[range]) {
            Ok("") => Err(Rule::EmptyName(what)),
            Ok(name) => Ok(name.to_string()),
            Err(_) => Err(Rule::Utf8(what.into())),
        }
    }

    fn value(&mut self, key: &str, kind: u32) -> Result<Value> {
        match (kind, ScalarType::of_id(kind)) {
            (_, Some(ScalarType::Bool)) => self.bools(key, 1).map(|b| Value::Scalar(ScalarType::Bool.read(b))),
            (_, Some(scalar)) => Ok(Value::Scalar(scalar.read(self.take(scalar.size(), key)?))),
            (8, _) => Ok(Value::Text(self.string(key, MAX_STRING)?)),
            (9, _) => Ok(Value::Array(self.items(key, 1)?)),
            _ => Err(Rule::ValueType { key: key.into(), kind }),
        }
    }

    fn bools(&mut self, key: &str, n: usize) -> Result<&'a [u8]> {
        let bytes = self.take(n, key)?;
        match bytes.iter().find(|byte| **byte > 1) {
            Some(value) => Err(Rule::Bool { key: key.into(), value: *value }),
            None => Ok(bytes),
        }
    }

    fn items(&mut self, key: &str, depth: usize) -> Result<Array> {
        let kind = self.u32(key)?;
        let len = self.u64(key)?;
        if len > MAX_ITEMS {
            return Err(Rule::ArrayLength { key: key.into(), len, max: MAX_ITEMS });
        }
        let (from, count) = (self.at, len as usize);
        let items = match (kind, ScalarType::of_id(kind)) {
            (_, Some(scalar)) => {
                match scalar {
                    ScalarType::Bool => self.bools(key, count)?,
                    _ => self.take(count * scalar.size(), key)?,
                };
                Items::Scalars(scalar)
            }
            (8, _) => {
                for _ in 0..count {
                    self.string(key, MAX_STRING)?;
                }
                Items::Texts
            }
            (9, _) if depth == MAX_DEPTH => {
                return Err(Rule::ArrayDepth { key: key.into(), max: MAX_DEPTH });
            }
            (9, _) => {
                for _ in 0..count {
                    self.items(key, depth + 1)?;
                }
                Items::Arrays
            }
            _ => return Err(Rule::ValueType { key: key.into(), kind }),
        };
        Ok(Array { items, len: count, bytes: from..self.at })
    }

    fn tensor(&mut self, alignment: u64) -> Result<Draft> {
        let name = self.name("a tensor name")?;
        let rank = self.u32(&name)?;
        if rank == 0 || rank > MAX_RANK {
            return Err(Rule::Rank { name, rank });
        }
        let mut dims = Vec::with_capacity(rank as usize);
        for _ in 0..rank {
            dims.push(self.u64(&name)?);
        }
        let id = self.u32(&name)?;
        let offset = self.u64(&name)?;
        if dims.contains(&0) {
            return Err(Rule::EmptyDimension { name, dims });
        }
        // The product must fit as a count and, below, as bytes; i64 is what all other readers use.
        let product = dims.iter().try_fold(1u64, |n, d| n.checked_mul(*d)).filter(|n| i64::try_from(*n).is_ok());
        let Some(elements) = product else { return Err(Rule::Product { name, dims }) };
        let Some(kind) = Kind::of_id(id) else { return Err(Rule::TensorType { name, kind: id }) };
        if dims[0] % kind.block as u64 != 0 {
            return Err(Rule::Blocks { name, width: dims[0], block: kind.block, kind: kind.name });
        }
        let Some(bytes) = (elements / kind.block as u64).checked_mul(kind.bytes as u64) else {
            return Err(Rule::Product { name, dims });
        };
        if offset % alignment != 0 {
            return Err(Rule::Offset { name, offset, alignment });
        }
        let shape = dims.iter().rev().map(|d| usize::try_from(*d)).collect::<std::result::Result<_, _>>();
        let Ok(shape) = shape else { return Err(Rule::Product { name, dims }) };
        Ok(Draft { name, shape, kind, offset, bytes })
    }
}

#[cfg(test)]
mod tests;
