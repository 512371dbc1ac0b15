//! The two answers of a preference pair, out of the columns `chosen` and `rejected`: each a text, or a list of messages
//! that begins with the assistant's.

use crate::{
    conversation::{MARK, Piece, RawTurn, assemble, labels_of_last_answer, raw_turns},
    error::{DataError, Place, Result},
    fields::Fields,
    read::Context,
    sample::{Labels, Pair, Role},
};
use serde_json::Value;

/// The columns, the better answer first.
pub(crate) const COLUMNS: [&str; 2] = ["chosen", "rejected"];

/// Takes both answers. Where the record knows no label, a plan in the chosen answer gives them.
pub(crate) fn answers(fields: &mut Fields, cx: &Context, labels: &mut Labels) -> Result<Pair> {
    let mut taken = Vec::new();
    for column in COLUMNS {
        let value = fields.take(column).ok_or_else(|| fields.missing(column))?;
        taken.push(raw(value, column, fields, cx)?);
    }
    let (Some(rejected), Some(chosen)) = (taken.pop(), taken.pop()) else { return Err(fields.missing(COLUMNS[0])) };
    pair([chosen, rejected], &fields.place, cx, labels)
}

fn raw(value: Value, column: &str, fields: &Fields, cx: &Context) -> Result<Vec<RawTurn>> {
    match value {
        Value::String(text) => Ok(vec![RawTurn::text(Role::Assistant, text)]),
        Value::Array(list) => raw_turns(list, column, &fields.place, &cx.folder),
        other => Err(fields.wrong(column, &other, "a text or a list of messages")),
    }
}

/// Checks two answers and puts them together.
pub(crate) fn pair(
    [mut chosen, rejected]: [Vec<RawTurn>; 2],
    place: &Place,
    cx: &Context,
    labels: &mut Labels,
) -> Result<Pair> {
    let bad = |problem: String| DataError::BadPair { place: place.clone(), problem };
    for (column, turns) in COLUMNS.into_iter().zip([&chosen, &rejected]) {
        if turns.first().is_none_or(|turn| turn.role != Role::Assistant) {
            return Err(bad(format!("{column:?} begins with another turn than the assistant's")));
        }
        let is_text = |piece: &Piece| matches!(piece, Piece::Text(text) if !text.contains(MARK));
        if !turns.iter().flat_map(|turn| &turn.pieces).all(is_text) {
            return Err(bad(format!("{column:?} holds a picture; pictures belong to the prompt")));
        }
        let blank = |piece: &Piece| matches!(piece, Piece::Text(text) if text.trim().is_empty());
        if turns.iter().flat_map(|turn| &turn.pieces).all(blank) {
            return Err(bad(format!("{column:?} is empty")));
        }
    }
    let (speed, path) = labels_of_last_answer(&mut chosen, place, &cx.options.map)?;
    if labels.speed.is_none() && labels.path.is_none() {
        (labels.speed, labels.path) = (speed, path);
    }
    let (_, chosen) = assemble(chosen, Vec::new(), place)?;
    let (_, rejected) = assemble(rejected, Vec::new(), place)?;
    match chosen == rejected {
        true => Err(bad("\"chosen\" and \"rejected\" are the same, so there is nothing to prefer".into())),
        false => Ok(Pair { chosen, rejected }),
    }
}
