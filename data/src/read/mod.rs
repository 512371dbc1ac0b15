//! Data files into [`Sample`]s. A reader is one file here and one line in [`READERS`]; which one a file needs is told
//! from its first rows or by name. Files are streamed: [`open`] gives samples one by one, [`load`] all of them.

mod drivelm;
mod frames;
mod messages;
mod metaad;
mod preference;
mod record;
mod senna;
mod sharegpt;

use crate::{
    error::{DataError, Place, Result},
    images::Folder,
    options::ReadOptions,
    rows::{Row, Rows},
    sample::Sample,
};
use std::{
    collections::VecDeque,
    fs::File,
    io::{BufRead, BufReader},
    path::Path,
};

/// A data format.
pub trait Reader: Sync {
    /// Name for `--format`.
    fn name(&self) -> &'static str;
    /// Whether a row looks like this format.
    fn sniff(&self, row: &Row) -> bool;
    /// The samples of one row.
    fn read(&self, row: Row, cx: &Context) -> Vec<Result<Sample>>;
}

/// Every reader, the more specific ones first.
pub const READERS: &[&dyn Reader] = &[
    &drivelm::DriveLm,
    &senna::Senna,
    &frames::Frames,
    &metaad::MetaAd,
    &preference::Preference,
    &record::Record,
    &sharegpt::ShareGpt,
    &messages::Messages,
];

/// Names of all readers, for messages and help.
pub fn names() -> String {
    READERS.iter().map(|r| r.name()).collect::<Vec<_>>().join(", ")
}

/// What readers need besides the row.
#[derive(Debug, Clone)]
pub struct Context {
    /// The caller's options.
    pub options: ReadOptions,
    pub(crate) folder: Folder,
    stem: String,
}

impl Context {
    fn new(file: &str, options: &ReadOptions) -> Self {
        let path = Path::new(file);
        let base = path.parent().unwrap_or(Path::new("")).to_path_buf();
        let stem = path.file_stem().map_or_else(String::new, |s| s.to_string_lossy().into_owned());
        let folder = Folder { base, roots: options.roots.clone() };
        Context { options: options.clone(), folder, stem }
    }

    /// A stable id for a record that has none: file and position.
    pub(crate) fn id(&self, place: &Place) -> String {
        match place.element {
            Some(element) => format!("{}[{element}]", self.stem),
            None => format!("{}:{}", self.stem, place.line),
        }
    }
}

/// Samples of one file, one by one; bad records come as errors and do not end the stream.
pub struct Records<R> {
    rows: Rows<R>,
    ahead: VecDeque<Result<Row>>,
    ready: VecDeque<Result<Sample>>,
    reader: &'static dyn Reader,
    cx: Context,
    given: usize,
}

/// The input of [`Records`]: what was looked at to tell the shape, then the rest.
pub type Input<R> = std::io::Chain<std::io::Cursor<Vec<u8>>, R>;

/// All samples of one file.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// File as it was named.
    pub file: String,
    /// Name of the reader.
    pub format: &'static str,
    /// The good records.
    pub samples: Vec<Sample>,
    /// The bad ones, when `skip_bad` was set.
    pub problems: Vec<DataError>,
}

/// Opens a file and detects its format.
///
/// # Errors
/// The file cannot be read, is no JSON text, is empty, or is of no known format.
pub fn open(path: &Path, options: &ReadOptions) -> Result<Records<Input<BufReader<File>>>> {
    let name = path.display().to_string();
    let io = |e: std::io::Error| DataError::Io { file: name.clone(), message: e.to_string() };
    if path.is_dir() {
        return Err(DataError::Io { file: name.clone(), message: "is a folder; a data file is needed".into() });
    }
    let file = BufReader::with_capacity(1 << 18, File::open(path).map_err(io)?);
    from_reader(&name, file, options)
}

/// As [`open`], from anything that can be read; `name` stands for the file in messages, ids and relative paths.
///
/// # Errors
/// As [`open`].
pub fn from_reader<R: BufRead>(name: &str, input: R, options: &ReadOptions) -> Result<Records<Input<R>>> {
    let mut rows = Rows::new(name, input)?;
    let chosen = match &options.format {
        None => None,
        Some(format) => Some(
            *READERS
                .iter()
                .find(|r| r.name() == format)
                .ok_or_else(|| DataError::UnknownReader { name: format.clone(), known: names() })?,
        ),
    };
    let mut ahead = VecDeque::new();
    let mut found = None;
    while ahead.len() < 8 && found.is_none() {
        let Some(row) = rows.next() else { break };
        if let Ok(row) = &row {
            found = READERS.iter().find(|r| r.sniff(row)).copied();
        }
        ahead.push_back(row);
    }
    let reader = match chosen.or(found) {
        Some(reader) => reader,
        None => {
            let good = ahead.iter().find_map(|r| r.as_ref().ok()).map(|row| columns(&row.value));
            let Some(columns) = good else {
                return Err(ahead.pop_front().and_then(Result::err).unwrap_or(DataError::Empty { file: name.into() }));
            };
            return Err(DataError::UnknownFormat { file: name.into(), columns, known: names() });
        }
    };
    Ok(Records { rows, ahead, ready: VecDeque::new(), reader, cx: Context::new(name, options), given: 0 })
}

fn columns(value: &serde_json::Value) -> String {
    match value.as_object() {
        Some(map) => map.keys().take(12).map(|k| crate::error::shown(k)).collect::<Vec<_>>().join(", "),
        None => format!("of {}", crate::fields::kind(value)),
    }
}

impl<R> Records<R> {
    /// Name of the reader in use.
    pub fn format(&self) -> &'static str {
        self.reader.name()
    }
}

impl<R: BufRead> Iterator for Records<R> {
    type Item = Result<Sample>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if self.cx.options.limit.is_some_and(|limit| self.given >= limit) {
                return None;
            }
            if let Some(sample) = self.ready.pop_front() {
                self.given += usize::from(sample.is_ok());
                return Some(sample);
            }
            match self.ahead.pop_front().or_else(|| self.rows.next())? {
                Ok(row) => self.ready.extend(self.reader.read(row, &self.cx)),
                Err(e) => return Some(Err(e)),
            }
        }
    }
}

/// Reads a whole file.
///
/// # Errors
/// As [`open`]; and, unless `skip_bad` is set, [`DataError::Rejected`] with the first bad record and their number.
pub fn load(path: &Path, options: &ReadOptions) -> Result<Dataset> {
    collect(path.display().to_string(), open(path, options)?, options.skip_bad)
}

/// Reads a file that is already in memory; `name` stands for it.
///
/// # Errors
/// As [`load`].
pub fn read_bytes(name: &str, bytes: &[u8], options: &ReadOptions) -> Result<Dataset> {
    collect(name.into(), from_reader(name, bytes, options)?, options.skip_bad)
}

fn collect<R: BufRead>(file: String, records: Records<R>, skip_bad: bool) -> Result<Dataset> {
    let mut set = Dataset { file, format: records.format(), samples: Vec::new(), problems: Vec::new() };
    for record in records {
        match record {
            Ok(sample) => set.samples.push(sample),
            // A failing disk is not a bad record.
            Err(e @ DataError::Io { .. }) => return Err(e),
            Err(e) => set.problems.push(e),
        }
    }
    let (bad, total) = (set.problems.len(), set.problems.len() + set.samples.len());
    match set.problems.first() {
        Some(first) if !skip_bad => Err(DataError::Rejected { first: Box::new(first.clone()), bad, total }),
        None if total == 0 => Err(DataError::Empty { file: set.file }),
        _ => Ok(set),
    }
}
