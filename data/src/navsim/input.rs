//! Files that may be gzipped, and lines of bounded length.

use crate::error::{DataError, Place, Result};
use flate2::bufread::MultiGzDecoder;
use std::{
    fs::File,
    io::{BufRead, BufReader, Read},
    path::Path,
};

/// Longest line of a scene or trajectory file: a scene with its map is about half a megabyte.
pub(super) const MAX_LINE: usize = 64 << 20;
/// Largest pickle: it is read as a whole.
pub(super) const MAX_PICKLE: u64 = 4 << 30;

pub(super) fn io(file: &str, e: &std::io::Error) -> DataError {
    DataError::Io { file: file.into(), message: e.to_string() }
}

/// A reader over a file, unpacked where its first bytes are those of gzip.
pub(super) fn open(path: &Path) -> Result<Box<dyn BufRead + Send>> {
    let name = path.display().to_string();
    let file = File::open(path).map_err(|e| io(&name, &e))?;
    let mut file = BufReader::with_capacity(1 << 16, file);
    let head = file.fill_buf().map_err(|e| io(&name, &e))?;
    Ok(unpacked(head.starts_with(&[0x1f, 0x8b]), file))
}

/// The same over bytes in memory.
pub(super) fn over(bytes: &'static [u8]) -> Box<dyn BufRead + Send> {
    unpacked(bytes.starts_with(&[0x1f, 0x8b]), bytes)
}

fn unpacked(packed: bool, input: impl BufRead + Send + 'static) -> Box<dyn BufRead + Send> {
    if packed { Box::new(BufReader::with_capacity(1 << 16, MultiGzDecoder::new(input))) } else { Box::new(input) }
}

/// Lines that are not blank, with their numbers.
pub(super) struct Lines {
    input: Box<dyn BufRead + Send>,
    /// The file as it was named.
    pub file: String,
    line: u64,
}

impl Lines {
    pub fn new(file: String, input: Box<dyn BufRead + Send>) -> Self {
        Lines { input, file, line: 0 }
    }

    /// The next line and its place; `None` at the end.
    pub fn next(&mut self) -> Option<Result<(Place, String)>> {
        loop {
            self.line += 1;
            let place = Place { file: self.file.as_str().into(), line: self.line, ..Place::default() };
            let mut bytes = Vec::new();
            let read = (&mut self.input).take(MAX_LINE as u64 + 1).read_until(b'\n', &mut bytes);
            match read {
                Ok(0) => return None,
                Ok(n) if n > MAX_LINE => return Some(Err(DataError::TooLong { place, limit: MAX_LINE })),
                Ok(_) if bytes.iter().all(u8::is_ascii_whitespace) => {}
                Ok(_) => {
                    let message = || "the line is not UTF-8 text".to_owned();
                    let text = String::from_utf8(bytes);
                    return Some(match text {
                        Ok(text) => Ok((place, text)),
                        Err(_) => Err(DataError::BadJson { place, column: None, message: message() }),
                    });
                }
                Err(e) => return Some(Err(io(&self.file, &e))),
            }
        }
    }
}

/// A whole pickle.
pub(super) fn pickle_bytes(path: &Path) -> Result<Vec<u8>> {
    let name = path.display().to_string();
    let mut bytes = Vec::new();
    let n = open(path)?.take(MAX_PICKLE + 1).read_to_end(&mut bytes).map_err(|e| io(&name, &e))?;
    if n as u64 > MAX_PICKLE {
        return Err(DataError::TooLong { place: Place::file(&name), limit: MAX_PICKLE as usize });
    }
    Ok(bytes)
}

/// Whether a file begins like a pickle (unpacked where it is gzipped).
pub(super) fn is_pickle(path: &Path) -> Result<bool> {
    let mut input = open(path)?;
    let head = input.fill_buf().map_err(|e| io(&path.display().to_string(), &e))?;
    Ok(crate::pickle::looks_like_one(head))
}

/// A serde error with the path of the field.
pub(super) fn bad_json(place: &Place, e: serde_path_to_error::Error<serde_json::Error>) -> DataError {
    let (path, e) = (e.path().to_string(), e.into_inner());
    let message = e.to_string();
    // The place says the line; serde counts from the line's own beginning.
    let message = message.split(" at line ").next().unwrap_or_default().to_owned();
    match e.classify() {
        serde_json::error::Category::Data => {
            DataError::BadField { place: place.clone(), field: path, problem: message }
        }
        _ => DataError::BadJson { place: place.clone(), column: Some(e.column()), message },
    }
}

/// A place one level deeper, the levels above it kept.
pub(super) fn deeper(place: &Place, inside: &str) -> Place {
    match &place.inside {
        Some(above) => place.within(format!("{above} {inside}")),
        None => place.within(inside),
    }
}
