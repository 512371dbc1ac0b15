//! Writing GGUF files: version 3, little-endian, 32-byte alignment, one tensor in memory at a time.

use super::kind::Kind;
use crate::{
    error::{Failure, Result, io_at},
    files::Fs,
};
use std::path::Path;

const ALIGNMENT: u64 = 32;

/// A metadata value, in the types that llama.cpp's converter uses.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)]
pub enum Entry {
    U32(u32),
    F32(f32),
    Bool(bool),
    Text(String),
    Bools(Vec<bool>),
    I32s(Vec<i32>),
    F32s(Vec<f32>),
    Texts(Vec<String>),
}

impl Entry {
    /// Type number and bytes.
    fn bytes(&self) -> (u32, Vec<u8>) {
        let array = |kind: u32, len: usize, items: Vec<u8>| {
            (9, [&kind.to_le_bytes()[..], &(len as u64).to_le_bytes(), &items].concat())
        };
        match self {
            Entry::U32(n) => (4, n.to_le_bytes().to_vec()),
            Entry::F32(n) => (6, n.to_le_bytes().to_vec()),
            Entry::Bool(b) => (7, vec![u8::from(*b)]),
            Entry::Text(text) => (8, string(text)),
            Entry::Bools(all) => array(7, all.len(), all.iter().map(|b| u8::from(*b)).collect()),
            Entry::I32s(all) => array(5, all.len(), all.iter().flat_map(|n| n.to_le_bytes()).collect()),
            Entry::F32s(all) => array(6, all.len(), all.iter().flat_map(|n| n.to_le_bytes()).collect()),
            Entry::Texts(all) => array(8, all.len(), all.iter().flat_map(|text| string(text)).collect()),
        }
    }
}

fn string(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat()
}

/// A tensor to be written.
#[derive(Debug, Clone, PartialEq)]
pub struct Planned {
    /// Its name.
    pub name: String,
    /// Shape, outermost dimension first.
    pub shape: Vec<usize>,
    /// Number format; the last dimension holds whole blocks.
    pub kind: Kind,
}

impl Planned {
    /// Bytes of its data.
    pub fn bytes(&self) -> u64 {
        self.shape.iter().product::<usize>() as u64 / self.kind.block as u64 * self.kind.bytes as u64
    }
}

/// Everything of a file but the numbers.
#[derive(Debug, Clone, Default)]
pub struct Draft {
    /// Metadata in the order in which they are written.
    pub metadata: Vec<(String, Entry)>,
    /// Tensors in the order in which they are written.
    pub tensors: Vec<Planned>,
}

impl Draft {
    /// The header, up to where the data begin.
    pub fn header(&self) -> Vec<u8> {
        let mut out = b"GGUF".to_vec();
        out.extend(3u32.to_le_bytes());
        out.extend((self.tensors.len() as u64).to_le_bytes());
        out.extend((self.metadata.len() as u64).to_le_bytes());
        for (key, entry) in &self.metadata {
            let (kind, bytes) = entry.bytes();
            out.extend(string(key));
            out.extend(kind.to_le_bytes());
            out.extend(bytes);
        }
        let mut offset = 0u64;
        for tensor in &self.tensors {
            out.extend(string(&tensor.name));
            out.extend((tensor.shape.len() as u32).to_le_bytes());
            tensor.shape.iter().rev().for_each(|dim| out.extend((*dim as u64).to_le_bytes()));
            out.extend(tensor.kind.id.to_le_bytes());
            out.extend(offset.to_le_bytes());
            offset += tensor.bytes().next_multiple_of(ALIGNMENT);
        }
        pad(&mut out);
        out
    }

    /// Bytes of the whole file.
    pub fn size(&self) -> u64 {
        let data: u64 = self.tensors.iter().map(|tensor| tensor.bytes().next_multiple_of(ALIGNMENT)).sum();
        self.header().len() as u64 + data
    }

    /// Writes and syncs a file; `fill` gives the bytes of each tensor in order. A file that could not be finished is
    /// removed.
    ///
    /// # Errors
    /// Exit 3 with the path; what `fill` says.
    pub fn write(
        &self,
        fs: &dyn Fs,
        path: &Path,
        mut fill: impl FnMut(usize, &Planned) -> Result<Vec<u8>>,
    ) -> Result<()> {
        let mut written = || -> Result<()> {
            let mut file = fs.create(path).map_err(io_at(path))?;
            file.write_all(&self.header()).map_err(io_at(path))?;
            for (i, tensor) in self.tensors.iter().enumerate() {
                let mut bytes = fill(i, tensor)?;
                if bytes.len() as u64 != tensor.bytes() {
                    let (have, need) = (bytes.len(), tensor.bytes());
                    return Err(Failure::data(format!("{}: {have} bytes were made, {need} are needed", tensor.name)));
                }
                pad(&mut bytes);
                file.write_all(&bytes).map_err(io_at(path))?;
            }
            file.sync().map_err(io_at(path))
        };
        let outcome = written();
        if outcome.is_err() {
            let _ = fs.remove(path);
        }
        outcome
    }
}

fn pad(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(ALIGNMENT as usize), 0);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use crate::{
        files::{After, FaultyFs, RealFs},
        vlm::gguf::GgufFile,
    };
    use std::io::ErrorKind;

    fn draft() -> Draft {
        let tensor = |name: &str, shape: &[usize], kind: &str| Planned {
            name: name.into(),
            shape: shape.into(),
            kind: Kind::of_name(kind).unwrap(),
        };
        let entries = [
            Entry::U32(7),
            Entry::F32(1e-6),
            Entry::Bool(true),
            Entry::Text("é".into()),
            Entry::Bools(vec![true, false]),
            Entry::I32s(vec![1, 2]),
            Entry::F32s(vec![0.5, -1.]),
            Entry::Texts(vec!["a".into(), "".into()]),
        ];
        Draft {
            metadata: entries.into_iter().enumerate().map(|(i, entry)| (format!("key.{i}"), entry)).collect(),
            tensors: vec![tensor("a", &[2, 3], "F32"), tensor("b", &[5], "F16"), tensor("c", &[2, 32], "Q8_0")],
        }
    }

    fn fill(i: usize, tensor: &Planned) -> Result<Vec<u8>> {
        Ok(vec![i as u8 + 1; tensor.bytes() as usize])
    }

    #[test]
    fn what_is_written_reads_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.gguf");
        draft().write(&RealFs, &path, fill).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().len(), draft().size());
        let file = GgufFile::open(&path).unwrap();
        assert_eq!(file.size("key.0").unwrap(), Some(7));
        assert_eq!(file.number("key.1").unwrap(), Some(1e-6));
        assert_eq!(file.text("key.3").unwrap(), Some("é"));
        assert_eq!(file.bools("key.4").unwrap().unwrap(), [true, false]);
        assert_eq!(file.sizes("key.5").unwrap().unwrap(), [1, 2]);
        assert_eq!(file.numbers("key.6").unwrap().unwrap(), [0.5, -1.]);
        assert_eq!(file.texts("key.7").unwrap().unwrap(), ["a", ""]);
        assert!(file.size("key.3").unwrap_err().message.contains("key.3 is not a whole number"));
        assert!(file.texts("key.5").is_err() && file.bools("key.2").is_err() && file.size("none").unwrap().is_none());
        for (i, planned) in draft().tensors.iter().enumerate() {
            let tensor = file.tensor(&planned.name).unwrap();
            assert_eq!((&tensor.shape, tensor.kind), (&planned.shape, planned.kind));
            assert_eq!(file.bytes(tensor).unwrap(), fill(i, planned).unwrap());
        }
    }

    #[test]
    fn nothing_is_left_of_a_file_that_could_not_be_finished() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.gguf");
        let counting = FaultyFs::new(0, After::Works, ErrorKind::Other);
        draft().write(&counting, &path, fill).unwrap();
        assert!(counting.operations() >= 5, "{}", counting.operations());
        for k in 1..=counting.operations() {
            let faulty = FaultyFs::new(k, After::Works, ErrorKind::StorageFull);
            let failure = draft().write(&faulty, &path, fill).unwrap_err();
            assert_eq!(failure.kind.exit_code(), 3);
            assert!(!path.exists(), "after operation {k}");
        }
        let short = draft().write(&RealFs, &path, |_, _| Ok(vec![0])).unwrap_err();
        assert!(short.message.contains("1 bytes were made, 24 are needed") && !path.exists());
    }
}
