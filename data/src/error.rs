//! What can be wrong with a data set: one variant per violated rule, each naming the place, the value and what is
//! allowed. [`DataError::hint`] says what to try; the binary prints both and exits with 3.

use crate::pickle::PickleError;
use scene::world::SceneError;
use std::{fmt, sync::Arc};

/// Result of everything in this crate that reads or writes records.
pub type Result<T, E = DataError> = std::result::Result<T, E>;

/// Where in a file a record is, as a person would look for it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// File as it was named.
    pub file: Arc<str>,
    /// Line the record begins on, from 1; 0 when the whole file is meant.
    pub line: u64,
    /// Position in a JSON array, from 0.
    pub element: Option<usize>,
    /// Keys on the way down, for formats that nest (`scene`, `frame`, `question`).
    pub inside: Option<String>,
}

impl Place {
    /// The whole file.
    pub fn file(name: &str) -> Self {
        Place { file: name.into(), ..Place::default() }
    }

    /// The same place, one level deeper.
    pub fn within(&self, inside: impl Into<String>) -> Self {
        Place { inside: Some(inside.into()), ..self.clone() }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, " line {}", self.line)?;
        }
        if let Some(element) = self.element {
            write!(f, " element {element}")?;
        }
        if let Some(inside) = &self.inside {
            write!(f, " {inside}")?;
        }
        Ok(())
    }
}

/// A violated rule. The fields of a variant are what its message shows.
#[allow(missing_docs)]
#[derive(Debug, Clone, thiserror::Error)]
pub enum DataError {
    /// The file cannot be read or written.
    #[error("{file}: {message}")]
    Io { file: String, message: String },
    /// Parquet, UTF-16, a picture, an archive.
    #[error("{file} is not JSON or JSONL text: it {found}")]
    NotText { file: String, found: String },
    /// Nothing but white space, or an empty list.
    #[error("{file} holds no records")]
    Empty { file: String },
    /// No reader knows the first rows.
    #[error("{file}: no known format has the columns {columns}; known formats are {known}")]
    UnknownFormat { file: String, columns: String, known: String },
    /// `--format` names no reader.
    #[error("unknown data format {name:?}; known are {known}")]
    UnknownReader { name: String, known: String },
    /// A record over the size limit.
    #[error("{place}: the record is longer than {limit} bytes, the most one record may have")]
    TooLong { place: Place, limit: usize },
    /// JSON nested too deep.
    #[error("{place}: JSON nested deeper than {limit} levels")]
    TooDeep { place: Place, limit: usize },
    /// Not JSON.
    #[error("{place}{}: not valid JSON: {message}", column.map(|c| format!(" column {c}")).unwrap_or_default())]
    BadJson { place: Place, column: Option<usize>, message: String },
    /// A record that is a number, text or list.
    #[error("{place}: the record is {found}; an object is needed")]
    NotAnObject { place: Place, found: String },
    /// A column that must be there.
    #[error("{place}: {field:?} is missing; the record has {present}")]
    MissingField { place: Place, field: String, present: String },
    /// A column of another type.
    #[error("{place}: {field:?} is {found}; {expected} is needed")]
    WrongType { place: Place, field: String, found: String, expected: &'static str },
    /// A word that is no meta-action.
    #[error("{place}: {field:?} names the {axis} {word}; known are {known}")]
    UnknownLabel { place: Place, field: String, axis: &'static str, word: String, known: String },
    /// An answer without the form `SPEED, PATH`.
    #[error("{place}: {field:?} is {found:?}; a speed and a path label are needed, such as \"KEEP, STRAIGHT\"")]
    BadAnswer { place: Place, field: String, found: String },
    /// Negative, not finite or faster than any car.
    #[error("{place}: {field:?} is {value}; a speed from 0 to {max} m/s is needed")]
    BadSpeed { place: Place, field: String, value: String, max: f64 },
    /// A coordinate that cannot be.
    #[error("{place}: {field:?} holds {value}; {expected} is needed")]
    BadNumber { place: Place, field: String, value: String, expected: String },
    /// An image reference that leads nowhere by its form alone.
    #[error("{place}: {field:?} is {value:?}: {reason}")]
    BadImage { place: Place, field: String, value: String, reason: String },
    /// More images than one sample may hold.
    #[error("{place}: {count} images; at most {limit} are allowed")]
    TooManyImages { place: Place, count: usize, limit: usize },
    /// `<image>` marks and images disagree.
    #[error("{place}: the text has {marks} <image> marks and the record {images} images")]
    ImageCount { place: Place, marks: usize, images: usize },
    /// A role that is neither system, user nor assistant under any of its names.
    #[error("{place}: {field:?} is {role:?}; known roles are {known}")]
    UnknownRole { place: Place, field: String, role: String, known: String },
    /// A conversation without turns.
    #[error("{place}: {field:?} is empty; at least one turn is needed")]
    NoTurns { place: Place, field: String },
    /// A preference pair whose answers cannot be compared.
    #[error("{place}: {problem}")]
    BadPair { place: Place, problem: String },
    /// A view in the text for which there is no image.
    #[error("{place}: the text asks for the view {view:?}; the images are {known}")]
    UnknownView { place: Place, view: String, known: String },
    /// Records were rejected; the first one is told, the rest counted.
    #[error("{first}")]
    Rejected { first: Box<DataError>, bad: usize, total: usize },
    /// A sample that the chosen format cannot hold.
    #[error("sample {id} cannot be written as {format}: {reason}")]
    NotWritable { id: String, format: &'static str, reason: String },
    /// A field of a scene, a trajectory or a log that breaks a rule; `problem` tells the value and the rule.
    #[error("{place}: {field} {problem}")]
    BadField { place: Place, field: String, problem: String },
    /// A scene that breaks a rule of its format.
    #[error("{place}: {error}")]
    Scene { place: Place, error: SceneError },
    /// A pickle that breaks a rule.
    #[error("{file}: {error}")]
    Pickle { file: String, error: PickleError },
    /// A rule given on the command line.
    #[error("{option} {value:?}: {reason}")]
    BadOption { option: &'static str, value: String, reason: String },
}

impl DataError {
    /// What to try, in one line.
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            DataError::Io { .. } => "check the path and the permissions".into(),
            DataError::NotText { .. } => "export it as JSONL first (one JSON object per line, UTF-8)".into(),
            DataError::Empty { .. } => "check that the export finished".into(),
            DataError::UnknownFormat { known, .. } => format!("say which with --format ({known})"),
            DataError::BadJson { message, .. } if message.contains("EOF") => {
                "the record is cut off; was the download or export interrupted?".into()
            }
            DataError::BadJson { .. } => "JSON has no NaN, no single quotes, no trailing commas and no comments".into(),
            DataError::UnknownLabel { word, known, .. } => match nearest(word, known.split(", ")) {
                Some(label) => format!("reinsman data convert --map {word}={label}"),
                None => format!("reinsman data convert --map {word}=LABEL"),
            },
            DataError::MissingField { field, present, .. } => {
                nearest(field, present.split(", ")).map(|k| format!("is it the column {k:?}?"))?
            }
            DataError::BadSpeed { .. } => "speeds are metres per second (divide km/h by 3.6)".into(),
            DataError::BadImage { reason, .. } if reason.contains("http") => {
                "download the images and use their paths, with --root FROM=TO where the folder differs".into()
            }
            DataError::ImageCount { marks: 0, .. } => "write <image> in the text where each picture belongs".into(),
            DataError::ImageCount { .. } => "each <image> mark stands for exactly one image, in order".into(),
            DataError::Pickle { error, .. } => error.hint()?.into(),
            DataError::BadField { problem, .. } if problem.contains("which has no map") => {
                "give the map with --map FILE, the map object of a scene file".into()
            }
            DataError::NotWritable { .. } => {
                "--skip-bad to leave such samples out; --to record holds every sample".into()
            }
            DataError::Rejected { first, bad, total } => {
                let skip = format!("--skip-bad to leave {bad} of {} out", thousands(*total as u64));
                return Some(first.hint().map_or(skip.clone(), |hint| format!("{hint}, or {skip}")));
            }
            _ => return None,
        };
        Some(text)
    }
}

/// The known word closest to a mistyped one: contained in it, or within a third of its letters.
pub(crate) fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.trim().to_ascii_uppercase();
    let score = |k: &str| {
        let k = k.to_ascii_uppercase();
        let contained = !k.is_empty() && k.len() > 2 && (word.contains(&k) || (word.len() > 2 && k.contains(&word)));
        (if contained { 0 } else { distance(&word, &k) }, k.len())
    };
    known
        .map(|k| (score(k), k))
        .filter(|((d, len), _)| *d <= (*len).max(word.len()) / 3)
        .min_by_key(|((d, len), _)| (*d, usize::MAX - len))
        .map(|(_, k)| k)
}

/// Edit distance over bytes, of words cut to 64.
fn distance(a: &str, b: &str) -> usize {
    let (a, b) = (&a.as_bytes()[..a.len().min(64)], &b.as_bytes()[..b.len().min(64)]);
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let cost = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = cost.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

/// `12 345`, the way every table of the program writes counts.
pub fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(c);
    }
    out
}

/// A value as an error shows it: its own text, cut to 60 characters.
pub(crate) fn shown(text: &str) -> String {
    let mut cut: String = text.chars().take(60).collect();
    if text.chars().nth(60).is_some() {
        cut.push_str("...");
    }
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_words() {
        let known = || ["STRAIGHT", "LEFT_TURN", "RIGHT_TURN", "LEFT_CHANGE", "RIGHT_CHANGE"].into_iter();
        assert_eq!(nearest("GO_STRAIGHT", known()), Some("STRAIGHT"));
        assert_eq!(nearest("left-turn", known()), Some("LEFT_TURN"));
        assert_eq!(nearest("LEFT_CHNGE", known()), Some("LEFT_CHANGE"));
        assert_eq!(nearest("U", known()), None);
        assert_eq!(nearest("", known()), None);
    }

    #[test]
    fn the_tour_message() {
        let place = Place { file: "val.jsonl".into(), line: 318, ..Place::default() };
        let first = DataError::UnknownLabel {
            place,
            field: "solution".into(),
            axis: "path",
            word: "GO_STRAIGHT".into(),
            known: "STRAIGHT, LEFT_TURN, RIGHT_TURN, LEFT_CHANGE, RIGHT_CHANGE".into(),
        };
        let all = DataError::Rejected { first: Box::new(first), bad: 1, total: 1000 };
        assert_eq!(
            all.to_string(),
            "val.jsonl line 318: \"solution\" names the path GO_STRAIGHT; known are STRAIGHT, LEFT_TURN, RIGHT_TURN, \
             LEFT_CHANGE, RIGHT_CHANGE"
        );
        let hint = "reinsman data convert --map GO_STRAIGHT=STRAIGHT, or --skip-bad to leave 1 of 1 000 out";
        assert_eq!(all.hint().as_deref(), Some(hint));
    }
}
