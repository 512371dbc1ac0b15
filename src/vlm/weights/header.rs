//! The header of a safetensors file. The crate checks lengths, types, products, holes and overlaps; what it does not see
//! is a name that occurs twice, of which it keeps the last.

use crate::error::{Failure, Result};
use safetensors::{SafeTensors, tensor::Metadata};
use serde::{
    Deserialize, Deserializer,
    de::{Error, IgnoredAny, MapAccess, Visitor},
};
use std::collections::BTreeSet;

/// Checks a file: where its data begin, and what is in it.
///
/// # Errors
/// The rule that is broken.
pub(super) fn read(file: &[u8]) -> Result<(usize, Metadata)> {
    let broken = |rule: String| {
        Failure::data(format!("not a valid safetensors file: {rule}"))
            .hint("the download may be incomplete, or this is a Git LFS pointer")
    };
    let (length, metadata) = SafeTensors::read_metadata(file).map_err(|e| broken(e.to_string()))?;
    let begin = 8 + length;
    let names: std::result::Result<Once, _> = serde_json::from_slice(file.get(8..begin).unwrap_or_default());
    names.map_err(|e| broken(e.to_string()))?;
    Ok((begin, metadata))
}

/// A JSON object in which no key occurs twice.
struct Once;

impl<'de> Deserialize<'de> for Once {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_map(Keys)
    }
}

struct Keys;

impl<'de> Visitor<'de> for Keys {
    type Value = Once;

    fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> std::result::Result<Once, M::Error> {
        let mut seen = BTreeSet::new();
        while let Some(key) = map.next_key::<String>()? {
            map.next_value::<IgnoredAny>()?;
            if !seen.insert(key.clone()) {
                return Err(M::Error::custom(format!("the tensor {key} occurs twice")));
            }
        }
        Ok(Once)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use proptest::prelude::*;

    fn file(header: &str, data: usize) -> Vec<u8> {
        [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &vec![0; data]].concat()
    }

    const GOOD: &str = r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F16","shape":[2],"data_offsets":[8,12]},"__metadata__":{"format":"pt"}}"#;

    #[test]
    fn every_rule() {
        let (begin, metadata) = read(&file(GOOD, 12)).unwrap();
        assert_eq!((begin, metadata.tensors().len()), (8 + GOOD.len(), 2));
        let one = |tensor: &str| format!(r#"{{"a":{tensor}}}"#);
        let entry =
            |dtype: &str, shape: &str, at: &str| format!(r#"{{"dtype":{dtype},"shape":{shape},"data_offsets":{at}}}"#);
        let f32 = |shape: &str, at: &str| one(&entry("\"F32\"", shape, at));
        let twice = format!(
            r#"{{"a":{},"b":{},"a":{}}}"#,
            entry("\"F32\"", "[2]", "[0,8]"),
            entry("\"F32\"", "[1]", "[8,12]"),
            entry("\"F32\"", "[2]", "[0,8]")
        );
        let two = |first: &str, second: &str| {
            format!(r#"{{"a":{},"b":{}}}"#, entry("\"F32\"", "[2]", first), entry("\"F32\"", "[2]", second))
        };
        for (bytes, word) in [
            (b"".to_vec(), "too small"),
            (b"\x01\0\0".to_vec(), "too small"),
            (u64::MAX.to_le_bytes().to_vec(), "too large"),
            ([&(200_000_000u64).to_le_bytes()[..], &[b' '; 64]].concat(), "too large"),
            ([&(65u64).to_le_bytes()[..], &[b'{'; 64]].concat(), "length"),
            (file("\u{e9}{", 0), "header"),
            (file("[1]", 0), "header"),
            (file("{", 0), "header"),
            (file(&GOOD[..GOOD.len() - 1], 12), "header"),
            (file(GOOD, 11), "not fully covered"),
            (file(GOOD, 13), "not fully covered"),
            (file(&f32("[2]", "[0,4]"), 4), "invalid shape, data type, or offset"),
            (file(&one(&entry("\"F16\"", "[2]", "[0,8]")), 8), "invalid shape, data type, or offset"),
            (file(&one(&entry("\"F33\"", "[2]", "[0,8]")), 8), "header"),
            (file(&f32("[2]", "[-8,0]"), 8), "header"),
            (file(&f32("[2]", "[8,0]"), 8), "invalid offset"),
            (file(&f32("[2]", "[0,18446744073709551616]"), 8), "header"),
            (file(&f32("[4294967297,4294967296]", "[0,8]"), 8), "overflow"),
            (file(&f32("[1099511627776,1099511627776]", "[0,8]"), 8), "overflow"),
            (file(&f32("[-2]", "[0,8]"), 8), "header"),
            (file(&two("[0,8]", "[4,12]"), 12), "invalid offset"),
            (file(&two("[0,8]", "[0,8]"), 8), "invalid offset"),
            (file(&two("[0,8]", "[12,20]"), 20), "invalid offset"),
            (file(&two("[4,12]", "[12,20]"), 20), "invalid offset"),
            (file(&twice, 12), "the tensor a occurs twice"),
        ] {
            let error = read(&bytes).map(|_| ()).unwrap_err();
            assert!(error.message.contains(word), "{word:?} in {error}");
            assert_eq!(error.kind.exit_code(), 3);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]
        #[test]
        fn any_change_is_an_error_or_sound(at in any::<prop::sample::Index>(), byte: u8, cut in any::<prop::sample::Index>()) {
            let mut bytes = file(GOOD, 12);
            let n = bytes.len();
            bytes[at.index(n)] = byte;
            for bytes in [&bytes[..], &bytes[..cut.index(n)]] {
                let Ok((begin, metadata)) = read(bytes) else { continue };
                let ends = metadata.tensors().into_values().map(|info| begin + info.data_offsets.1).max();
                prop_assert!(ends.is_none_or(|end| end <= bytes.len()));
            }
        }
    }
}
