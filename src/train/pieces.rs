//! A safetensors file of f32 tensors written piece by piece, so that a save holds nothing twice: weights and moments
//! are read where they lie. The bytes are those of the `safetensors` crate.

use crate::{
    error::{Failure, Result},
    vlm::ops::host::view,
};
use candle_core::Tensor;
use serde_json::{Map, Value, json};
use std::{
    collections::BTreeMap,
    io::{self, Write},
};

/// The numbers of one tensor.
#[derive(Clone)]
pub enum Numbers<'a> {
    /// A tensor on any device in any float dtype.
    Tensor(Tensor),
    /// Numbers of a shape.
    Slice(&'a [f32], Vec<usize>),
    /// A scalar.
    One(f32),
}

impl Numbers<'_> {
    fn shape(&self) -> &[usize] {
        match self {
            Numbers::Tensor(tensor) => tensor.dims(),
            Numbers::Slice(_, shape) => shape,
            Numbers::One(_) => &[],
        }
    }
}

/// What a file will hold, by name.
pub struct Pieces<'a> {
    header: Vec<u8>,
    tensors: BTreeMap<String, Numbers<'a>>,
}

impl<'a> Pieces<'a> {
    /// Lays a file out.
    ///
    /// # Errors
    /// A slice that does not fill its shape.
    pub fn new(tensors: BTreeMap<String, Numbers<'a>>, metadata: &[(&str, &str)]) -> Result<Self> {
        let mut header = Map::new();
        if !metadata.is_empty() {
            header.insert("__metadata__".into(), metadata.iter().map(|(k, v)| (k.to_string(), json!(v))).collect());
        }
        let mut begin = 0;
        for (name, numbers) in &tensors {
            let count = numbers.shape().iter().product::<usize>();
            if let Numbers::Slice(data, shape) = numbers
                && data.len() != count
            {
                return Err(Failure::data(format!("{name} has {} numbers, its shape is {shape:?}", data.len())));
            }
            let end = begin + 4 * count;
            header
                .insert(name.clone(), json!({"dtype": "F32", "shape": numbers.shape(), "data_offsets": [begin, end]}));
            begin = end;
        }
        let mut text = Value::Object(header).to_string().into_bytes();
        text.resize(text.len().next_multiple_of(8), b' ');
        let mut header = (text.len() as u64).to_le_bytes().to_vec();
        header.append(&mut text);
        Ok(Pieces { header, tensors })
    }

    /// Writes the file.
    ///
    /// # Errors
    /// The writer's; a tensor that cannot be read.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(&self.header)?;
        let mut bytes = Vec::with_capacity(1 << 18);
        for numbers in self.tensors.values() {
            let tensor;
            let guard;
            let one;
            let data: &[f32] = match numbers {
                Numbers::One(x) => {
                    one = [*x];
                    &one
                }
                Numbers::Slice(data, _) => data,
                Numbers::Tensor(any) => {
                    tensor = super::clip::on_host(any).map_err(|e| io::Error::other(e.message))?;
                    guard = view(&tensor).map_err(io::Error::other)?;
                    &guard
                }
            };
            for part in data.chunks(1 << 16) {
                bytes.clear();
                part.iter().for_each(|x| bytes.extend_from_slice(&x.to_le_bytes()));
                out.write_all(&bytes)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use candle_core::{DType, Device};
    use std::collections::HashMap;

    #[test]
    fn the_bytes_are_those_of_the_library() {
        let a = Tensor::rand(0f32, 1., (3, 5), &Device::Cpu).unwrap();
        let b = Tensor::ones(70_001, DType::F32, &Device::Cpu).unwrap();
        let step = Tensor::new(7f32, &Device::Cpu).unwrap();
        let slice = b.to_vec1::<f32>().unwrap();
        let numbers = [
            ("step.x", Numbers::One(7.)),
            ("a\"b", Numbers::Tensor(a.t().unwrap())),
            ("m", Numbers::Slice(&slice, vec![70_001])),
        ];
        let pieces: BTreeMap<_, _> = numbers.into_iter().map(|(name, numbers)| (name.to_string(), numbers)).collect();
        for metadata in [&[][..], &[("format", "pt")]] {
            let mut bytes = Vec::new();
            Pieces::new(pieces.clone(), metadata).unwrap().write(&mut bytes).unwrap();
            let tensors: HashMap<String, Tensor> = HashMap::from([
                ("step.x".into(), step.clone()),
                ("a\"b".into(), a.t().unwrap().contiguous().unwrap()),
                ("m".into(), b.clone()),
            ]);
            let metadata: HashMap<String, String> =
                metadata.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
            let want = safetensors::serialize(&tensors, Some(metadata).filter(|m| !m.is_empty())).unwrap();
            assert_eq!(bytes, want);
        }
        assert!(Pieces::new(BTreeMap::from([("x".into(), Numbers::Slice(&slice, vec![3]))]), &[]).is_err());
    }
}
