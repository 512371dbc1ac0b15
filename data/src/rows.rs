//! Rows out of a file, one at a time: JSON lines, a JSON array, a JSON object of records (DriveLM), or records
//! printed over several lines. Memory holds one record, never the file. A broken record costs that record only,
//! where its end can still be found; sizes and nesting are bounded before anything is parsed.

use crate::error::{DataError, Place, Result};
use serde_json::Value;
use std::{io::BufRead, sync::Arc};

/// Most bytes of one record.
pub const MAX_RECORD: usize = 16 << 20;
/// Deepest nesting of one record.
pub const MAX_DEPTH: usize = 64;
/// How much of a file is looked at to tell its shape.
const HEAD: usize = 64 << 10;

/// One record before a reader has looked at it.
#[derive(Debug, Clone)]
pub struct Row {
    /// Where it begins.
    pub place: Place,
    /// Its key, where the file is one object of records.
    pub key: Option<String>,
    /// Its contents.
    pub value: Value,
}

/// How the records of a file follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// One record a line.
    Lines,
    /// `[record, record]`.
    Array,
    /// `{"key": record, "key": record}`.
    Object,
    /// Records one after the other, each over several lines.
    Sequence,
}

/// Iterator over the records of one file. After an error from which the next record cannot be found, it ends.
pub struct Rows<R> {
    input: Bytes<R>,
    shape: Shape,
    file: Arc<str>,
    element: usize,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Begin,
    Middle,
    Done,
}

impl<R: BufRead> Rows<std::io::Chain<std::io::Cursor<Vec<u8>>, R>> {
    /// Looks at the beginning of `input` and decides how its records follow each other.
    ///
    /// # Errors
    /// The input cannot be read, is not UTF-8 text, or holds nothing.
    pub fn new(file: &str, mut input: R) -> Result<Self> {
        let io = |e: std::io::Error| DataError::Io { file: file.into(), message: e.to_string() };
        let mut head = Vec::new();
        while head.len() < HEAD {
            let chunk = input.fill_buf().map_err(io)?;
            if chunk.is_empty() {
                break;
            }
            let n = chunk.len().min(HEAD - head.len());
            head.extend_from_slice(&chunk[..n]);
            input.consume(n);
        }
        if let Some(found) = not_text(&head) {
            return Err(DataError::NotText { file: file.into(), found: found.into() });
        }
        if head.starts_with(b"\xef\xbb\xbf") {
            head.drain(..3);
        }
        if head.iter().all(u8::is_ascii_whitespace) && head.len() < HEAD {
            return Err(DataError::Empty { file: file.into() });
        }
        let shape = shape_of(&head);
        let input = Bytes { input: std::io::Read::chain(std::io::Cursor::new(head), input), line: 1, column: 0 };
        Ok(Rows { input, shape, file: file.into(), element: 0, state: State::Begin })
    }
}

/// Why the first bytes cannot be JSON text.
fn not_text(head: &[u8]) -> Option<&'static str> {
    let starts = |magic: &[u8]| head.starts_with(magic);
    if starts(b"PAR1") {
        Some("is a Parquet file")
    } else if starts(b"ARROW1") {
        Some("is an Arrow file")
    } else if starts(b"\xff\xfe") || starts(b"\xfe\xff") {
        Some("is UTF-16 text")
    } else if starts(b"\x1f\x8b") || starts(b"PK\x03\x04") || starts(b"\x28\xb5\x2f\xfd") {
        Some("is compressed")
    } else if starts(b"\xff\xd8\xff") || starts(b"\x89PNG") {
        Some("is a picture")
    } else if head.contains(&0) {
        Some("contains zero bytes")
    } else {
        None
    }
}

fn shape_of(head: &[u8]) -> Shape {
    let text = head.trim_ascii_start();
    if text.first() == Some(&b'[') {
        return Shape::Array;
    }
    if text.first() != Some(&b'{') {
        return Shape::Lines;
    }
    // DriveLM: the first key's value is itself a scene.
    if let Some(colon) = after_first_key(text) {
        let inner = text[colon..].trim_ascii_start();
        let names: [&[u8]; 2] = [b"\"key_frames\"", b"\"scene_description\""];
        if inner.first() == Some(&b'{') && names.iter().any(|name| inner[1..].trim_ascii_start().starts_with(name)) {
            return Shape::Object;
        }
    }
    let line = text.split(|b| *b == b'\n').next().unwrap_or(text);
    let rest = text[line.len()..].trim_ascii_start();
    let open = Depth::default().scan(line);
    if open > 0 && !rest.is_empty() && rest.first() != Some(&b'{') { Shape::Sequence } else { Shape::Lines }
}

/// Position after the colon of the first key of an object.
fn after_first_key(text: &[u8]) -> Option<usize> {
    let start = 1 + text[1..].iter().position(|b| !b.is_ascii_whitespace())?;
    if text[start] != b'"' {
        return None;
    }
    let mut at = start + 1;
    while *text.get(at)? != b'"' {
        at += if text[at] == b'\\' { 2 } else { 1 };
    }
    let colon = at + 1 + text[at + 1..].iter().position(|b| !b.is_ascii_whitespace())?;
    (text[colon] == b':').then_some(colon + 1)
}

/// Bracket depth of JSON text, strings left out.
#[derive(Default)]
struct Depth {
    depth: usize,
    deepest: usize,
    in_string: bool,
    escaped: bool,
}

impl Depth {
    fn push(&mut self, b: u8) {
        if self.in_string {
            match b {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.in_string = false,
                _ => {}
            }
            return;
        }
        match b {
            b'"' => self.in_string = true,
            b'{' | b'[' => {
                self.depth += 1;
                self.deepest = self.deepest.max(self.depth);
            }
            b'}' | b']' => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
    }

    fn scan(mut self, text: &[u8]) -> usize {
        text.iter().for_each(|b| self.push(*b));
        self.depth
    }
}

/// A byte reader that counts lines and, between whole lines, columns.
struct Bytes<R> {
    input: R,
    line: u64,
    column: usize,
}

impl<R: BufRead> Bytes<R> {
    fn peek(&mut self) -> std::io::Result<Option<u8>> {
        Ok(self.input.fill_buf()?.first().copied())
    }

    fn next(&mut self) -> std::io::Result<Option<u8>> {
        let b = self.peek()?;
        if let Some(b) = b {
            self.input.consume(1);
            self.line += u64::from(b == b'\n');
            self.column = if b == b'\n' { 0 } else { self.column + 1 };
        }
        Ok(b)
    }

    fn skip_space(&mut self) -> std::io::Result<Option<u8>> {
        while let Some(b) = self.peek()? {
            if !b.is_ascii_whitespace() {
                return Ok(Some(b));
            }
            self.next()?;
        }
        Ok(None)
    }

    /// The bytes of one line; the flag says it was longer than [`MAX_RECORD`] and was cut.
    fn line(&mut self) -> std::io::Result<Option<(Vec<u8>, bool)>> {
        let (mut out, mut cut, mut any) = (Vec::new(), false, false);
        loop {
            let chunk = self.input.fill_buf()?;
            if chunk.is_empty() {
                return Ok(any.then_some((out, cut)));
            }
            any = true;
            let end = chunk.iter().position(|b| *b == b'\n');
            let part = &chunk[..end.unwrap_or(chunk.len())];
            if out.len() + part.len() > MAX_RECORD {
                cut = true
            } else {
                out.extend_from_slice(part)
            }
            let used = end.map_or(chunk.len(), |e| e + 1);
            self.input.consume(used);
            if end.is_some() {
                self.line += 1;
                return Ok(Some((out, cut)));
            }
        }
    }

    /// The bytes of one JSON value, not parsed; `None` in the flag's place means the input ended inside it.
    fn value(&mut self) -> std::io::Result<(Vec<u8>, Option<bool>)> {
        let (mut out, mut cut, mut depth) = (Vec::new(), false, Depth::default());
        loop {
            let Some(b) = self.peek()? else {
                return Ok((out, (depth.depth == 0 && !depth.in_string).then_some(cut)));
            };
            // A bare number or word ends before the separator.
            if depth.depth == 0 && !depth.in_string && (matches!(b, b',' | b']' | b'}') || b.is_ascii_whitespace()) {
                return Ok((out, Some(cut)));
            }
            self.next()?;
            depth.push(b);
            if out.len() < MAX_RECORD {
                out.push(b)
            } else {
                cut = true
            }
            if depth.depth == 0 && !depth.in_string && matches!(b, b'}' | b']' | b'"') {
                return Ok((out, Some(cut)));
            }
        }
    }
}

/// Parses one record that begins `column` bytes into its line.
fn parse(place: Place, column: usize, bytes: &[u8], cut: bool) -> Result<Value> {
    if cut {
        return Err(DataError::TooLong { place, limit: MAX_RECORD });
    }
    let mut depth = Depth::default();
    bytes.iter().for_each(|b| depth.push(*b));
    if depth.deepest > MAX_DEPTH {
        return Err(DataError::TooDeep { place, limit: MAX_DEPTH });
    }
    serde_json::from_slice(bytes).map_err(|e| {
        let line = place.line + (e.line() as u64).saturating_sub(1);
        let column = e.column() + if e.line() <= 1 { column } else { 0 };
        let text = e.to_string();
        let message = text.split(" at line ").next().unwrap_or(&text).to_owned();
        DataError::BadJson { place: Place { line, ..place }, column: Some(column), message }
    })
}

impl<R: BufRead> Rows<R> {
    fn place(&self, line: u64) -> Place {
        let element = (self.shape == Shape::Array).then_some(self.element);
        Place { file: self.file.clone(), line, element, inside: None }
    }

    fn broken(&mut self, message: &str) -> DataError {
        self.state = State::Done;
        let place = self.place(self.input.line);
        DataError::BadJson { place, column: None, message: message.into() }
    }

    fn next_line(&mut self) -> std::io::Result<Option<Result<Row>>> {
        loop {
            let line = self.input.line;
            let Some((bytes, cut)) = self.input.line()? else { return Ok(None) };
            let text = bytes.trim_ascii();
            if text.is_empty() && !cut {
                continue;
            }
            let place = self.place(line);
            return Ok(Some(parse(place.clone(), 0, text, cut).map(|value| Row { place, key: None, value })));
        }
    }

    fn next_value(&mut self) -> std::io::Result<Option<Result<Row>>> {
        let close = match self.shape {
            Shape::Array => Some(b']'),
            Shape::Object => Some(b'}'),
            _ => None,
        };
        let mut seen = self.input.skip_space()?;
        if let Some(close) = close {
            if self.state == State::Begin {
                self.input.next()?;
                seen = self.input.skip_space()?;
            }
            if seen == Some(close) {
                self.input.next()?;
                let more = self.input.skip_space()?;
                self.state = State::Done;
                return Ok(more.map(|_| Err(self.broken("text after the end of the list"))));
            }
            if self.state == State::Middle {
                if seen != Some(b',') {
                    let what = if seen.is_none() { "EOF: the list does not end" } else { "expected `,` or the end" };
                    return Ok(Some(Err(self.broken(what))));
                }
                self.input.next()?;
                seen = self.input.skip_space()?;
            }
            if seen.is_none() {
                return Ok(Some(Err(self.broken("EOF: the list does not end"))));
            }
        } else if seen.is_none() {
            return Ok(None);
        }
        self.state = State::Middle;
        let mut key = None;
        if self.shape == Shape::Object {
            let (bytes, _) = self.input.value()?;
            key = serde_json::from_slice::<String>(&bytes).ok();
            if key.is_none() || self.input.skip_space()? != Some(b':') {
                return Ok(Some(Err(self.broken("expected a quoted key and a colon"))));
            }
            self.input.next()?;
            self.input.skip_space()?;
        }
        let (place, column) = (self.place(self.input.line), self.input.column);
        let (bytes, end) = self.input.value()?;
        if bytes.is_empty() {
            return Ok(Some(Err(self.broken("expected a value"))));
        }
        if end.is_none() {
            self.state = State::Done;
        }
        self.element += 1;
        let row = parse(place.clone(), column, &bytes, end.unwrap_or(false)).map(|value| Row { place, key, value });
        Ok(Some(row))
    }
}

impl<R: BufRead> Iterator for Rows<R> {
    type Item = Result<Row>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.state == State::Done {
            return None;
        }
        let next = if self.shape == Shape::Lines { self.next_line() } else { self.next_value() };
        match next {
            Ok(Some(row)) => Some(row),
            Ok(None) => {
                self.state = State::Done;
                None
            }
            Err(e) => {
                self.state = State::Done;
                Some(Err(DataError::Io { file: self.file.to_string(), message: e.to_string() }))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    type Seen = std::result::Result<(u64, Option<usize>, String), String>;

    fn rows(text: &str) -> Vec<Seen> {
        match Rows::new("f.json", text.as_bytes()) {
            Err(e) => vec![Err(e.to_string())],
            Ok(rows) => rows
                .map(|r| {
                    r.map(|r| {
                        let key = r.key.map(|k| k + "=").unwrap_or_default();
                        (r.place.line, r.place.element, format!("{key}{}", r.value))
                    })
                    .map_err(|e| e.to_string())
                })
                .collect(),
        }
    }

    #[test]
    fn lines_count_blank_ones_and_survive_a_bad_one() {
        let got = rows("\u{feff}{\"a\":1}\r\n\n{\"a\":\n{\"a\":3}");
        assert_eq!(got[0], Ok((1, None, r#"{"a":1}"#.into())));
        let bad = got[1].as_ref().unwrap_err();
        assert!(bad.starts_with("f.json line 3 column 5: not valid JSON: EOF"), "{bad}");
        assert_eq!(got[2], Ok((4, None, r#"{"a":3}"#.into())));
        assert_eq!(got.len(), 3);
    }

    #[test]
    fn arrays_give_element_and_line() {
        let got = rows("[\n {\"a\": \"],}\\\"\"},\n {\"a\": NaN},\n 7,\n {\"b\": [1, 2]}\n]\n");
        assert_eq!(got[0], Ok((2, Some(0), r#"{"a":"],}\""}"#.into())));
        assert!(got[1].as_ref().unwrap_err().starts_with("f.json line 3 element 1 column 8"), "{got:?}");
        assert_eq!(got[2], Ok((4, Some(2), "7".into())));
        assert_eq!(got[3], Ok((5, Some(3), r#"{"b":[1,2]}"#.into())));
        assert_eq!(got.len(), 4);
        assert_eq!(rows("[]"), vec![]);
        assert!(rows("[{\"a\":1},").last().unwrap().is_err());
        assert!(rows("[{\"a\":1}").last().unwrap().is_err());
        assert!(rows("[{\"a\":1} {\"a\":2}]").last().unwrap().is_err());
        assert!(rows("[{\"a\":1}] x").last().unwrap().is_err());
        assert!(rows("[{\"a\":\"1}]").last().unwrap().is_err());
    }

    #[test]
    fn objects_and_sequences() {
        let text = "{\"s1\": {\"key_frames\": {}},\n\"s2\": {\"key_frames\": {}}}";
        let got = rows(text);
        assert_eq!(got[0], Ok((1, None, r#"s1={"key_frames":{}}"#.into())));
        assert_eq!(got[1], Ok((2, None, r#"s2={"key_frames":{}}"#.into())));
        let pretty = rows("{\n  \"a\": 1\n}\n{\n  \"a\": 2\n}\n");
        assert_eq!(pretty, vec![Ok((1, None, r#"{"a":1}"#.into())), Ok((4, None, r#"{"a":2}"#.into()))]);
    }

    #[test]
    fn bounds_and_foreign_files() {
        let deep = "[".repeat(65) + &"]".repeat(65);
        assert!(rows(&format!("{{\"a\":{deep}}}"))[0].as_ref().unwrap_err().contains("deeper than 64"));
        let long = format!("{{\"a\":\"{}\"}}\n{{\"a\":1}}", "x".repeat(MAX_RECORD));
        let got = rows(&long);
        assert!(got[0].as_ref().unwrap_err().contains("longer than 16777216"), "{:?}", got[0]);
        assert_eq!(got[1], Ok((2, None, r#"{"a":1}"#.into())));
        assert!(rows("PAR1....")[0].as_ref().unwrap_err().contains("Parquet"));
        assert!(rows(" \n ")[0].as_ref().unwrap_err().contains("holds no records"));
    }
}
