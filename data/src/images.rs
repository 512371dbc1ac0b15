//! Image references of every outside format: a path, a list, a data URI, embedded bytes. Nothing is opened or
//! decoded here; whether a file exists is [`crate::check`]'s question.

use crate::{
    error::{DataError, Place, Result, shown},
    fields::kind,
    options::Remap,
    sample::Image,
};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Most images of one sample.
pub const MAX_IMAGES: usize = 64;

/// What turns a path of a file into a path of this machine.
#[derive(Debug, Clone)]
pub(crate) struct Folder {
    pub base: PathBuf,
    pub roots: Vec<Remap>,
}

impl Folder {
    /// Relative paths count from the data file's folder, unless a remap applies.
    pub fn resolve(&self, path: &str) -> PathBuf {
        let path = path.strip_prefix("file://").unwrap_or(path);
        self.roots.iter().find_map(|r| r.apply(path)).unwrap_or_else(|| self.base.join(Path::new(path)))
    }

    /// One image value or a list of them.
    ///
    /// # Errors
    /// Too many, remote, empty, or of an unknown form.
    pub fn images(&self, value: &Value, place: &Place, field: &str) -> Result<Vec<Image>> {
        match value {
            Value::Null => Ok(Vec::new()),
            Value::Array(list) => {
                if list.len() > MAX_IMAGES {
                    let (place, count) = (place.clone(), list.len());
                    return Err(DataError::TooManyImages { place, count, limit: MAX_IMAGES });
                }
                list.iter().map(|v| self.image(v, place, field)).collect()
            }
            one => Ok(vec![self.image(one, place, field)?]),
        }
    }

    /// One image value: text, or an object with `bytes`, `path`, `url`, `image` or `image_url`.
    pub fn image(&self, value: &Value, place: &Place, field: &str) -> Result<Image> {
        let bad = |value: &str, reason: &str| DataError::BadImage {
            place: place.clone(),
            field: field.into(),
            value: shown(value),
            reason: reason.into(),
        };
        match value {
            Value::String(text) if text.trim().is_empty() => Err(bad(text, "a path is needed")),
            Value::String(text) if text.starts_with("data:") => {
                let (head, body) = text.split_once(',').ok_or_else(|| bad(text, "the data URI has no comma"))?;
                if !head.ends_with(";base64") {
                    return Err(bad(text, "only base64 data URIs are read"));
                }
                bytes(body).map(Image::Bytes).map_err(|why| bad(text, &why))
            }
            Value::String(text) if text.starts_with("http://") || text.starts_with("https://") => {
                Err(bad(text, "http addresses are not fetched; a local path or data URI is needed"))
            }
            Value::String(text) if text.contains('\0') => Err(bad(text, "a path has no zero byte")),
            Value::String(text) => Ok(Image::File(self.resolve(text))),
            Value::Object(map) => {
                if let Some(Value::String(text)) = map.get("bytes") {
                    return bytes(text).map(Image::Bytes).map_err(|why| bad(text, &why));
                }
                let inner = ["path", "url", "image_url", "image"].iter().find_map(|k| map.get(*k));
                match inner {
                    Some(Value::Object(deeper)) => match deeper.get("url") {
                        Some(url @ Value::String(_)) => self.image(url, place, field),
                        _ => Err(bad(&value.to_string(), "an object with \"url\" is needed")),
                    },
                    Some(text @ Value::String(_)) => self.image(text, place, field),
                    _ => Err(bad(&value.to_string(), "an object with \"bytes\" or \"path\" is needed")),
                }
            }
            other => Err(DataError::WrongType {
                place: place.clone(),
                field: field.into(),
                found: kind(other),
                expected: "a path, a data URI or an object with \"bytes\" or \"path\"",
            }),
        }
    }
}

/// Base64 (RFC 4648, both alphabets, white space allowed, padding optional) to bytes.
fn bytes(text: &str) -> std::result::Result<std::sync::Arc<[u8]>, String> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut held, mut padding) = (0u32, 0u32, 0usize);
    for (at, b) in text.bytes().enumerate() {
        let six = match b {
            b'A'..=b'Z' => b - b'A',
            b'a'..=b'z' => b - b'a' + 26,
            b'0'..=b'9' => b - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            b'=' => {
                padding += 1;
                continue;
            }
            b if b.is_ascii_whitespace() => continue,
            _ => return Err(format!("not base64 at character {at}")),
        };
        if padding > 0 {
            return Err(format!("base64 goes on after its padding at character {at}"));
        }
        bits = bits << 6 | u32::from(six);
        held += 6;
        if held >= 8 {
            held -= 8;
            out.push((bits >> held) as u8);
        }
    }
    if held >= 6 || padding > 2 {
        return Err("the base64 text is cut off".into());
    }
    if out.is_empty() {
        return Err("the embedded image is empty".into());
    }
    Ok(out.into())
}

/// Bytes to padded base64, for writers of embedded images.
pub(crate) fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().fold(0u32, |w, b| w << 8 | u32::from(*b)) << (8 * (3 - chunk.len()));
        for i in 0..4 {
            let six = (word >> (18 - 6 * i) & 63) as usize;
            out.push(if i <= chunk.len() { ALPHABET[six] as char } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use serde_json::json;

    fn folder() -> Folder {
        Folder { base: "set".into(), roots: vec!["../nuscenes/=/n/".parse().unwrap()] }
    }

    #[test]
    fn forms() {
        let place = Place::file("f");
        let get = |v: Value| folder().images(&v, &place, "image").map_err(|e| e.to_string());
        let file = |p: &str| Image::File(p.into());
        assert_eq!(get(json!("a/b.jpg")).unwrap(), vec![file("set/a/b.jpg")]);
        assert_eq!(get(json!(["/x.jpg", "../nuscenes/s/y.jpg"])).unwrap(), vec![file("/x.jpg"), file("/n/s/y.jpg")]);
        assert_eq!(get(json!({"bytes": null, "path": "c.jpg"})).unwrap(), vec![file("set/c.jpg")]);
        assert_eq!(get(json!({"url": "data:image/png;base64,AQID"})).unwrap(), vec![Image::Bytes([1, 2, 3].into())]);
        assert_eq!(get(json!({"bytes": "AQI="})).unwrap(), vec![Image::Bytes([1, 2].into())]);
        assert!(get(json!("https://x/y.jpg")).unwrap_err().contains("not fetched"));
        assert!(get(json!("data:image/png;base64,A*")).unwrap_err().contains("not base64"));
        assert!(get(json!("data:image/png;base64,AAAAA")).unwrap_err().contains("cut off"));
        assert!(get(json!([3])).unwrap_err().contains("the number 3"));
        assert!(get(json!(vec!["a"; 65])).unwrap_err().contains("at most 64"));
    }

    #[test]
    fn base64_both_ways() {
        for n in 1..40usize {
            let data: Vec<u8> = (0..n).map(|i| (i * 37 + n) as u8).collect();
            assert_eq!(&*bytes(&base64(&data)).unwrap(), &data[..]);
        }
        assert_eq!(base64(b"Ma"), "TWE=");
    }
}
