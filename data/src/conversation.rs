//! Conversations of every outside format into turns: role names, text or content parts, `<image>` marks. The images
//! come out in the order in which the text shows them, and their number must agree with the marks.

use crate::{
    answer::{self, Pair},
    error::{DataError, Place, Result, shown},
    fields::{Fields, kind},
    images::{Folder, MAX_IMAGES},
    options::LabelMap,
    sample::{Image, Part, Role, Turn},
};
use serde_json::Value;

/// The mark that stands for one image in text.
pub(crate) const MARK: &str = "<image>";
/// Most turns of one conversation.
const MAX_TURNS: usize = 1000;

/// A turn whose images are not yet numbered.
#[derive(Debug)]
pub(crate) struct RawTurn {
    pub role: Role,
    pub pieces: Vec<Piece>,
}

/// A part of a raw turn.
#[derive(Debug)]
pub(crate) enum Piece {
    /// Text, possibly with marks inside.
    Text(String),
    /// A mark whose image is in the record's image column.
    Mark,
    /// An image given in place.
    Inline(Image),
}

impl RawTurn {
    pub fn text(role: Role, text: impl Into<String>) -> Self {
        RawTurn { role, pieces: vec![Piece::Text(text.into())] }
    }
}

const ROLES: &[(&str, Role)] = &[
    ("system", Role::System),
    ("developer", Role::System),
    ("user", Role::User),
    ("human", Role::User),
    ("observation", Role::User),
    ("tool", Role::User),
    ("assistant", Role::Assistant),
    ("gpt", Role::Assistant),
    ("model", Role::Assistant),
    ("function_call", Role::Assistant),
];

fn role_named(word: &str) -> Option<Role> {
    ROLES.iter().find(|(name, _)| *name == word.trim().to_ascii_lowercase()).map(|(_, role)| *role)
}

/// Who speaks in a turn that was not read yet, where that is known.
pub(crate) fn role_of(turn: &Value) -> Option<Role> {
    role_named(turn.get("from").or_else(|| turn.get("role"))?.as_str()?)
}

/// Reads a list of turns: `from`/`value` or `role`/`content`, content as text or as a list of parts.
pub(crate) fn raw_turns(list: Vec<Value>, field: &str, place: &Place, folder: &Folder) -> Result<Vec<RawTurn>> {
    if list.is_empty() {
        return Err(DataError::NoTurns { place: place.clone(), field: field.into() });
    }
    if list.len() > MAX_TURNS {
        let expected = format!("at most {MAX_TURNS} turns");
        let value = format!("{} turns", list.len());
        return Err(DataError::BadNumber { place: place.clone(), field: field.into(), value, expected });
    }
    list.into_iter()
        .enumerate()
        .map(|(i, turn)| raw_turn(turn, &place.within(format!("{field}[{i}]")), folder))
        .collect()
}

fn raw_turn(turn: Value, place: &Place, folder: &Folder) -> Result<RawTurn> {
    let mut turn = Fields::new(place.clone(), turn)?;
    let role_key = if turn.has("from") { "from" } else { "role" };
    let word = turn.need_text(role_key)?;
    let role = role_named(&word).ok_or_else(|| DataError::UnknownRole {
        place: place.clone(),
        field: role_key.into(),
        role: shown(&word),
        known: ROLES.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", "),
    })?;
    let content_key = if turn.has("value") { "value" } else { "content" };
    let pieces = match turn.take(content_key) {
        None => return Err(turn.missing(content_key)),
        Some(Value::String(text)) => vec![Piece::Text(text)],
        Some(Value::Array(parts)) => parts.into_iter().map(|p| piece(p, place, folder)).collect::<Result<Vec<_>>>()?,
        Some(other) => return Err(turn.wrong(content_key, &other, "text or a list of parts")),
    };
    Ok(RawTurn { role, pieces })
}

fn piece(part: Value, place: &Place, folder: &Folder) -> Result<Piece> {
    if let Value::String(text) = part {
        return Ok(Piece::Text(text));
    }
    let mut part = Fields::new(place.within("content part"), part)?;
    let name = part.text("type")?.unwrap_or_else(|| if part.has("text") { "text" } else { "image" }.into());
    match name.as_str() {
        "text" | "input_text" | "output_text" => Ok(Piece::Text(part.need_text("text")?)),
        "image" | "image_url" | "input_image" => {
            for key in ["image_url", "image", "url", "path", "bytes"] {
                if let Some(value) = part.take(key) {
                    let value = if key == "bytes" { serde_json::json!({ "bytes": value }) } else { value };
                    return folder.image(&value, &part.place, key).map(Piece::Inline);
                }
            }
            Ok(Piece::Mark)
        }
        other => Err(DataError::BadImage {
            place: part.place.clone(),
            field: "type".into(),
            value: shown(other),
            reason: "known content parts are text, image, image_url, input_text, input_image, output_text".into(),
        }),
    }
}

/// Numbers the images: each mark takes the next image of the record's column.
///
/// # Errors
/// Marks and images disagree in number, or there are too many.
pub(crate) fn assemble(turns: Vec<RawTurn>, column: Vec<Image>, place: &Place) -> Result<(Vec<Image>, Vec<Turn>)> {
    let (mut images, mut out) = (Vec::new(), Vec::with_capacity(turns.len()));
    let (mut marks, total) = (0, column.len());
    let mut column = column.into_iter();
    let mut inline = 0;
    for turn in turns {
        let mut parts = Vec::new();
        let mut mark = |parts: &mut Vec<Part>, images: &mut Vec<Image>| {
            marks += 1;
            images.extend(column.next());
            parts.push(Part::Image);
        };
        for piece in turn.pieces {
            match piece {
                Piece::Mark => mark(&mut parts, &mut images),
                Piece::Inline(image) => {
                    inline += 1;
                    images.push(image);
                    parts.push(Part::Image);
                }
                Piece::Text(text) => {
                    for (i, part) in text.split(MARK).enumerate() {
                        if i > 0 {
                            mark(&mut parts, &mut images);
                        }
                        if !part.is_empty() {
                            parts.push(Part::Text(part.into()));
                        }
                    }
                }
            }
        }
        out.push(Turn { role: turn.role, parts });
    }
    if marks != total {
        return Err(DataError::ImageCount { place: place.clone(), marks, images: total });
    }
    if marks + inline > MAX_IMAGES {
        return Err(DataError::TooManyImages { place: place.clone(), count: marks + inline, limit: MAX_IMAGES });
    }
    Ok((images, out))
}

/// The image column of a record: `images`, else `image`; text, list or embedded.
pub(crate) fn image_column(fields: &mut Fields, folder: &Folder) -> Result<Vec<Image>> {
    for key in ["images", "image"] {
        if let Some(value) = fields.take(key) {
            let images = folder.images(&value, &fields.place, key)?;
            if !images.is_empty() {
                return Ok(images);
            }
        }
    }
    Ok(Vec::new())
}

/// Labels of the last answer, where it is a plan; words that were mapped are written as what they mean.
pub(crate) fn labels_of_last_answer(turns: &mut [RawTurn], place: &Place, map: &LabelMap) -> Result<Pair> {
    let last = turns.iter_mut().rev().find(|t| t.role == Role::Assistant);
    let Some(Piece::Text(text)) = last.and_then(|t| t.pieces.last_mut()) else { return Ok((None, None)) };
    let pair = answer::labels_if_any(text, place, "answer", map)?;
    if let Some(better) = answer::rewritten(text, pair) {
        *text = better;
    }
    Ok(pair)
}

/// A conversation's list of turns, or why there is none.
pub(crate) fn turn_list(fields: &mut Fields, field: &str) -> Result<Vec<Value>> {
    match fields.take(field) {
        None => Err(fields.missing(field)),
        Some(Value::Array(list)) => Ok(list),
        // Some exports keep the list as text.
        Some(Value::String(text)) => match serde_json::from_str(&text) {
            Ok(Value::Array(list)) => Ok(list),
            _ => Err(fields.wrong(field, &Value::String(text), "a list of turns")),
        },
        Some(other) => Err(DataError::WrongType {
            place: fields.place.clone(),
            field: field.into(),
            found: kind(&other),
            expected: "a list of turns",
        }),
    }
}
