//! Writing a checkpoint tensor by tensor, so that it may be larger than the memory: safetensors files of at most 5 GB
//! and the index that names each tensor's file, as the public checkpoints are laid out.

use super::tiled::half_bytes;
use crate::error::{Failure, Result, io_at};
use candle_core::DType;
use serde_json::{Map, Value, json};
use std::{
    fs::File,
    io::{BufWriter, Write},
    path::Path,
};

/// Largest file, in bytes of tensors.
pub const LIMIT: u64 = 5_000_000_000;

/// A tensor that is to be written: its name in the file and its shape.
pub type Planned = (String, Vec<usize>);

/// Writes f32 values piece by piece in the format of the file.
pub struct Sink<'a> {
    file: &'a mut BufWriter<File>,
    path: &'a Path,
    dtype: DType,
    bytes: Vec<u8>,
}

impl Sink<'_> {
    /// Takes the next values of the tensor.
    ///
    /// # Errors
    /// Exit 3 when the disk does not take them.
    pub fn put(&mut self, values: &[f32]) -> Result<()> {
        self.bytes.clear();
        match self.dtype {
            DType::BF16 => half_bytes(values, false, &mut self.bytes),
            DType::F16 => half_bytes(values, true, &mut self.bytes),
            _ => self.bytes.extend(values.iter().flat_map(|x| x.to_le_bytes())),
        }
        self.file.write_all(&self.bytes).map_err(io_at(self.path))
    }
}

/// Writes all tensors into a folder in the given order: one `model.safetensors` when they fit `limit` bytes, else shards
/// and `model.safetensors.index.json`. `fill` puts the values of the tensor of an index. Returns the bytes of all tensors.
///
/// # Errors
/// A format other than f32, bf16 and f16; the disk; those of `fill`.
pub fn write(
    dir: &Path,
    tensors: &[Planned],
    dtype: DType,
    limit: u64,
    fill: &mut dyn FnMut(usize, &mut Sink) -> Result<()>,
) -> Result<u64> {
    let (letters, width) = match dtype {
        DType::F32 => ("F32", 4),
        DType::BF16 => ("BF16", 2),
        DType::F16 => ("F16", 2),
        other => return Err(Failure::usage(format!("checkpoints are written as f32, bf16 or f16, not {other:?}"))),
    };
    let size = |i: usize| width * tensors[i].1.iter().product::<usize>() as u64;
    let shards = cut((0..tensors.len()).map(size), limit);
    let total = (0..tensors.len()).map(size).sum();
    let mut map = Map::new();
    let mut from = 0;
    for (number, count) in shards.iter().enumerate() {
        let name = match shards.len() {
            1 => "model.safetensors".to_owned(),
            all => format!("model-{:05}-of-{all:05}.safetensors", number + 1),
        };
        let mut header = Map::from_iter([("__metadata__".to_owned(), json!({"format": "pt"}))]);
        let mut offset = 0;
        for (i, (tensor, shape)) in tensors.iter().enumerate().skip(from).take(*count) {
            let end = offset + size(i);
            header.insert(tensor.clone(), json!({"dtype": letters, "shape": shape, "data_offsets": [offset, end]}));
            map.insert(tensor.clone(), json!(name));
            offset = end;
        }
        let mut header = Value::Object(header).to_string().into_bytes();
        header.resize(header.len().next_multiple_of(8), b' ');
        let path = dir.join(&name);
        let mut file = BufWriter::with_capacity(1 << 20, File::create(&path).map_err(io_at(&path))?);
        let start = [&(header.len() as u64).to_le_bytes()[..], &header].concat();
        file.write_all(&start).map_err(io_at(&path))?;
        let mut sink = Sink { file: &mut file, path: &path, dtype, bytes: Vec::new() };
        (from..from + count).try_for_each(|i| fill(i, &mut sink))?;
        file.into_inner().map_err(|e| io_at(&path)(e.into_error()))?.sync_all().map_err(io_at(&path))?;
        from += count;
    }
    if shards.len() > 1 {
        let path = dir.join("model.safetensors.index.json");
        let index = json!({"metadata": {"total_size": total}, "weight_map": map});
        std::fs::write(&path, format!("{index:#}\n")).map_err(io_at(&path))?;
    }
    Ok(total)
}

/// How many tensors in a row each file takes, at least one.
fn cut(sizes: impl Iterator<Item = u64>, limit: u64) -> Vec<usize> {
    let (mut shards, mut bytes) = (vec![0usize], 0);
    for size in sizes {
        if bytes + size > limit && bytes > 0 {
            shards.push(0);
            bytes = 0;
        }
        bytes += size;
        if let Some(last) = shards.last_mut() {
            *last += 1;
        }
    }
    shards
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::vlm::weights::Weights;
    use candle_core::Device;

    #[test]
    fn what_is_written_in_shards_reads_back() {
        let tensors: Vec<Planned> = [("a.weight", vec![4, 3]), ("b.weight", vec![5]), ("c.bias", vec![2, 2])]
            .map(|(n, s)| (n.into(), s))
            .into();
        for (dtype, limit, files) in [(DType::F32, 60, 2), (DType::F16, 30, 2), (DType::BF16, LIMIT, 1)] {
            let dir = tempfile::tempdir().unwrap();
            let mut fill = |i: usize, sink: &mut Sink| {
                let count = tensors[i].1.iter().product::<usize>();
                sink.put(&vec![i as f32; count - 1])?;
                sink.put(&[10.0])
            };
            write(dir.path(), &tensors, dtype, limit, &mut fill).unwrap();
            let found = std::fs::read_dir(dir.path()).unwrap().count();
            assert_eq!(found, if files == 1 { 1 } else { files + 1 }, "{dtype:?}");
            let weights = Weights::open(dir.path()).unwrap();
            for (i, (name, shape)) in tensors.iter().enumerate() {
                // "a.weight" is not a known spelling, so it is its own canonical name.
                let (_, tensor) = weights.load(name, shape, DType::F32, &Device::Cpu).unwrap();
                let values = tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
                assert_eq!((values[0], *values.last().unwrap()), (i as f32, 10.0));
            }
        }
        assert!(write(Path::new("."), &tensors, DType::U8, 1, &mut |_, _| Ok(())).is_err());
    }
}
