//! Every rule broken once, every prefix of a file, random bytes and random changes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;
use crate::vlm::gguf::value::Scalar;
use proptest::prelude::*;

/// A file written field by field, so that any field can lie.
#[derive(Clone, Default)]
struct Raw(Vec<u8>);

impl Raw {
    fn new(tensors: u64, keys: u64) -> Raw {
        Raw(b"GGUF".to_vec()).u32(3).u64(tensors).u64(keys)
    }
    fn u8(self, n: u8) -> Raw {
        self.bytes(&[n])
    }
    fn u32(self, n: u32) -> Raw {
        self.bytes(&n.to_le_bytes())
    }
    fn u64(self, n: u64) -> Raw {
        self.bytes(&n.to_le_bytes())
    }
    fn bytes(mut self, bytes: &[u8]) -> Raw {
        self.0.extend(bytes);
        self
    }
    fn text(self, text: &str) -> Raw {
        self.u64(text.len() as u64).bytes(text.as_bytes())
    }
    fn tensor(self, name: &str, dims: &[u64], kind: u32, offset: u64) -> Raw {
        let raw = self.text(name).u32(dims.len() as u32);
        dims.iter().fold(raw, |raw, dim| raw.u64(*dim)).u32(kind).u64(offset)
    }
    /// Alignment and `n` bytes of data.
    fn data(mut self, n: usize) -> Raw {
        self.0.resize(self.0.len().next_multiple_of(32) + n, 7);
        self
    }
}

fn good() -> Vec<u8> {
    let mut raw = Raw::new(3, 6);
    raw = raw.text("general.alignment").u32(4).u32(32);
    raw = raw.text("general.name").u32(8).text("toy");
    raw = raw.text("tokens").u32(9).u32(8).u64(2).text("a").text("bc");
    raw = raw.text("flags").u32(9).u32(7).u64(3).u8(0).u8(1).u8(1);
    raw = raw.text("nested").u32(9).u32(9).u64(2).u32(0).u64(1).u8(5).u32(8).u64(1).text("x");
    raw = raw.text("eps").u32(6).bytes(&1e-6f32.to_le_bytes());
    raw = raw.tensor("a", &[3, 2], 0, 0).tensor("b", &[32, 2], 8, 128).tensor("c", &[4], 1, 32);
    raw.data(128 + 68).0
}

#[test]
fn a_good_file_reads() {
    let file = good();
    let header = walk(&file).unwrap();
    assert_eq!(header.version, 3);
    assert_eq!(header.metadata["general.alignment"], Value::Scalar(Scalar::Unsigned(32)));
    assert_eq!(header.metadata["eps"], Value::Scalar(Scalar::Float(1e-6)));
    let Value::Array(tokens) = &header.metadata["tokens"] else { panic!() };
    assert_eq!(tokens.texts(&file).unwrap(), ["a", "bc"]);
    let Value::Array(nested) = &header.metadata["nested"] else { panic!() };
    assert_eq!((nested.items, nested.len), (Items::Arrays, 2));
    let shapes: Vec<_> = header.tensors.iter().map(|t| (t.name.as_str(), t.shape.as_slice(), t.kind.name)).collect();
    assert_eq!(shapes, [("a", &[2, 3][..], "F32"), ("b", &[2, 32][..], "Q8_0"), ("c", &[4][..], "F16")]);
    assert_eq!(header.tensors[1].bytes, file.len() - 68..file.len());
    // Version 2 is the same layout.
    let mut old = file;
    old[4] = 2;
    assert_eq!(walk(&old).unwrap().version, 2);
}

/// Every crafted file is refused by the rule it breaks.
#[test]
fn every_rule() {
    let one = |dims: &[u64], kind: u32, offset: u64| Raw::new(1, 0).tensor("t", dims, kind, offset).data(64).0;
    let key = |raw: Raw| walk(&raw.0).unwrap_err();
    let scalar = |kind: u32| Raw::new(0, 1).text("k").u32(kind);
    let array = |kind: u32, len: u64| scalar(9).u32(kind).u64(len).bytes(&[0; 64]);

    assert_eq!(walk(b"").unwrap_err(), Rule::Magic);
    assert_eq!(walk(b"version https://git-lfs").unwrap_err(), Rule::Magic);
    assert_eq!(walk(&Raw(b"GGUF".to_vec()).u32(1).0).unwrap_err(), Rule::Version(1));
    assert_eq!(walk(&Raw(b"GGUF".to_vec()).u32(3 << 24).0).unwrap_err(), Rule::BigEndian);
    assert!(matches!(key(Raw::new(u64::MAX, 0)), Rule::Count { what: "tensors", .. }));
    assert!(matches!(key(Raw::new(0, u64::MAX)), Rule::Count { what: "keys", .. }));
    assert!(matches!(key(Raw::new(60_000, 0)), Rule::CountOverFile { what: "tensors", .. }));
    assert!(matches!(key(Raw::new(0, 60_000)), Rule::CountOverFile { what: "keys", .. }));

    // Keys and values.
    assert!(matches!(key(Raw::new(0, 1).u64(u64::MAX).bytes(&[0; 64])), Rule::StringLength { len: u64::MAX, .. }));
    assert!(matches!(key(Raw::new(0, 1).u64(1000).bytes(&[0; 64])), Rule::Truncated { .. }));
    assert_eq!(key(Raw::new(0, 1).u64(0).u32(4).u32(1).u64(0)), Rule::EmptyName("a key"));
    assert!(matches!(key(Raw::new(0, 1).u64(2).bytes(&[0xff, 0xfe]).u32(4).u64(1)), Rule::Utf8(_)));
    assert!(matches!(key(scalar(8).u64(u64::MAX).u64(0)), Rule::StringLength { len: u64::MAX, .. }));
    assert!(matches!(key(scalar(8).u64((64 << 20) + 1).u64(0)), Rule::StringLength { .. }));
    assert!(matches!(key(scalar(8).u64(100)), Rule::Truncated { .. }));
    assert!(matches!(key(scalar(13).u64(0)), Rule::ValueType { kind: 13, .. }));
    assert!(matches!(key(scalar(7).u8(2)), Rule::Bool { value: 2, .. }));
    assert!(matches!(key(scalar(9).u32(7).u64(2).u8(1).u8(3)), Rule::Bool { value: 3, .. }));
    assert!(matches!(key(array(0, u64::MAX)), Rule::ArrayLength { len: u64::MAX, .. }));
    assert!(matches!(key(array(10, 16 << 20)), Rule::Truncated { .. }));
    assert!(matches!(key(array(8, 16 << 20)), Rule::Truncated { .. }));
    assert!(matches!(key(array(99, 1)), Rule::ValueType { kind: 99, .. }));
    let deep = (0..6).fold(scalar(9), |raw, _| raw.u32(9).u64(1));
    assert!(matches!(key(deep.u32(0).u64(0)), Rule::ArrayDepth { max: 4, .. }));
    let twice = Raw::new(0, 2).text("k").u32(4).u32(1).text("k").u32(4).u32(1);
    assert_eq!(key(twice), Rule::DuplicateKey("k".into()));
    for n in [0u32, 1, 4, 12, 33, 1 << 21, u32::MAX] {
        let raw = Raw::new(0, 1).text("general.alignment").u32(4).u32(n);
        assert_eq!(key(raw), Rule::Alignment(n.to_string()));
    }
    assert!(matches!(key(Raw::new(0, 1).text("general.alignment").u32(8).text("8")), Rule::Alignment(_)));

    // Tensors.
    assert!(matches!(walk(&one(&[], 0, 0)).unwrap_err(), Rule::Rank { rank: 0, .. }));
    assert!(matches!(walk(&one(&[1; 5], 0, 0)).unwrap_err(), Rule::Rank { rank: 5, .. }));
    let many = Raw::new(1, 0).text("t").u32(u32::MAX).data(64).0;
    assert!(matches!(walk(&many).unwrap_err(), Rule::Rank { rank: u32::MAX, .. }));
    assert!(matches!(walk(&one(&[4, 0], 0, 0)).unwrap_err(), Rule::EmptyDimension { .. }));
    // Products that wrap to 2^32 * ... and to 0 in 64 bits, and one that only overflows as bytes.
    for dims in [[(1 << 32) + 1, 1 << 32], [1 << 40, 1 << 40], [u64::MAX, u64::MAX], [1 << 62, 1]] {
        assert!(matches!(walk(&one(&dims, 0, 0)).unwrap_err(), Rule::Product { .. }), "{dims:?}");
    }
    assert!(matches!(walk(&one(&[4], 5, 0)).unwrap_err(), Rule::TensorType { kind: 5, .. }));
    assert!(matches!(walk(&one(&[4], 4242, 0)).unwrap_err(), Rule::TensorType { kind: 4242, .. }));
    // 2 x 16 elements are a whole block, but no row holds one.
    assert!(matches!(walk(&one(&[16, 2], 8, 0)).unwrap_err(), Rule::Blocks { block: 32, kind: "Q8_0", .. }));
    assert!(matches!(walk(&one(&[128], 12, 0)).unwrap_err(), Rule::Blocks { block: 256, kind: "Q4_K", .. }));
    assert!(matches!(walk(&one(&[4], 0, 8)).unwrap_err(), Rule::Offset { offset: 8, alignment: 32, .. }));
    assert!(matches!(walk(&one(&[17], 0, 0)).unwrap_err(), Rule::OutsideFile { bytes: 68, left: 64, .. }));
    assert!(matches!(walk(&one(&[4], 0, 96)).unwrap_err(), Rule::OutsideFile { left: 0, .. }));
    assert!(matches!(walk(&one(&[4], 0, !31)).unwrap_err(), Rule::OutsideFile { .. }));
    let overlap = Raw::new(2, 0).tensor("a", &[9], 0, 0).tensor("b", &[4], 0, 32).data(64).0;
    assert_eq!(walk(&overlap).unwrap_err(), Rule::Overlap { first: "a".into(), second: "b".into() });
    let twice = Raw::new(2, 0).tensor("a", &[4], 0, 0).tensor("a", &[4], 0, 32).data(64).0;
    assert_eq!(walk(&twice).unwrap_err(), Rule::DuplicateTensor("a".into()));
    assert!(matches!(walk(&Raw::new(1, 0).u64(0).bytes(&[0; 64]).0).unwrap_err(), Rule::EmptyName("a tensor name")));
}

#[test]
fn every_prefix_is_refused() {
    let file = good();
    for n in 0..file.len() {
        assert!(walk(&file[..n]).is_err(), "{n} of {} bytes", file.len());
    }
    assert!(walk(&file).is_ok());
}

/// What a header says about the file must be true of it.
fn sound(file: &[u8]) {
    let Ok(header) = walk(file) else { return };
    for tensor in &header.tensors {
        let elements: usize = tensor.shape.iter().product();
        assert_eq!(tensor.bytes.len(), elements / tensor.kind.block * tensor.kind.bytes);
        assert!(tensor.bytes.end <= file.len());
    }
    for value in header.metadata.values() {
        match value {
            Value::Scalar(_) => {}
            Value::Text(range) => assert!(range.end <= file.len()),
            Value::Array(array) => {
                let scalars = array.scalars(file);
                assert_eq!(scalars.is_some(), matches!(array.items, Items::Scalars(_)));
                assert!(scalars.is_none_or(|all| all.len() == array.len));
                assert!(array.texts(file).is_none_or(|all| all.len() == array.len));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        sound(&bytes);
        sound(&[&b"GGUF\x03\0\0\0"[..], &bytes].concat());
        // Small counts, so that the walk gets further.
        sound(&[&b"GGUF\x03\0\0\0\x01\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0"[..], &bytes].concat());
    }

    #[test]
    fn any_change_of_a_good_file(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        word in proptest::option::of((any::<prop::sample::Index>(), prop_oneof![Just(u64::MAX), Just(1 << 40), Just(0), any::<u64>()])),
        cut in proptest::option::of(any::<prop::sample::Index>()),
    ) {
        let mut file = good();
        for (at, byte) in changes {
            let n = file.len();
            file[at.index(n)] = byte;
        }
        if let Some((at, word)) = word {
            let at = at.index(file.len() - 8);
            file[at..at + 8].copy_from_slice(&word.to_le_bytes());
        }
        if let Some(cut) = cut {
            file.truncate(cut.index(file.len()));
        }
        sound(&file);
    }
}
