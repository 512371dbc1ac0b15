//! Preference pairs in TRL's layout: `chosen` and `rejected`, two answers to `prompt`, as texts or as lists of messages
//! (content as text or in parts). Lists that do not begin with the assistant's turn are whole conversations: what both
//! begin with is the prompt, which then needs no column. Pictures are in `images` or `image`, or in the prompt's parts.
//! Without `prompt`, a record of ours (`images`, `ego`, `command`) asks its own question.
//!
//! Deviations from TRL 1.16:
//! 1. Texts become turns of a conversation, so two texts without a prompt are refused.
//! 2. An answer that is empty, or the same as the other, is refused.

use super::{Context, Reader};
use crate::{
    conversation::{MARK, Piece, RawTurn, assemble, image_column, raw_turns, role_of},
    error::{DataError, Result},
    fields::Fields,
    pair, record,
    rows::Row,
    sample::{Content, Labels, Role, Sample},
};
use serde_json::Value;

/// Preference pairs.
pub(super) struct Preference;

impl Reader for Preference {
    fn name(&self) -> &'static str {
        "preference"
    }

    fn sniff(&self, row: &Row) -> bool {
        pair::COLUMNS.iter().all(|column| row.value.get(column).is_some_and(|value| !value.is_null()))
    }

    fn read(&self, row: Row, cx: &Context) -> Vec<Result<Sample>> {
        vec![read(row, cx)]
    }
}

fn read(row: Row, cx: &Context) -> Result<Sample> {
    let has = |key: &str| row.value.get(key).is_some_and(|value| !value.is_null());
    let whole = pair::COLUMNS.iter().all(|column| row.value.get(column).is_some_and(is_conversation));
    let ours = !whole && !has("prompt") && (has("ego") || has("messages"));
    if ours && pair::COLUMNS.iter().all(|column| has(column)) {
        return record::from_row(row, cx);
    }
    let mut fields = Fields::new(row.place, row.value)?;
    let place = fields.place.clone();
    for column in pair::COLUMNS {
        if !fields.has(column) {
            return Err(fields.missing(column));
        }
    }
    let id = fields.id("id")?.unwrap_or_else(|| cx.id(&place));
    let images = image_column(&mut fields, &cx.folder)?;
    let mut labels = Labels { future: fields.future("future")?, ..Labels::default() };
    let (mut prompt, pair) = if whole {
        fields.take("prompt"); // the same again, as text
        let (prompt, answers) = apart(&mut fields)?;
        let turns = |list, column: &str| raw_turns(list, column, &place, &cx.folder);
        let [chosen, rejected] = answers;
        let answers = [turns(chosen, "chosen")?, turns(rejected, "rejected")?];
        (turns(prompt, "chosen")?, pair::pair(answers, &place, cx, &mut labels)?)
    } else {
        let prompt = match fields.take("prompt") {
            None => return Err(fields.missing("prompt")),
            Some(Value::String(text)) => vec![RawTurn::text(Role::User, text)],
            Some(Value::Array(list)) => raw_turns(list, "prompt", &place, &cx.folder)?,
            Some(other) => return Err(fields.wrong("prompt", &other, "a text or a list of messages")),
        };
        (prompt, pair::answers(&mut fields, cx, &mut labels)?)
    };
    if prompt.last().is_none_or(|turn| turn.role != Role::User) {
        let problem = "the prompt does not end with a turn of the user, so nothing is asked".into();
        return Err(DataError::BadPair { place, problem });
    }
    if !images.is_empty() && !prompt.iter().flat_map(|turn| &turn.pieces).any(is_mark) {
        // Where the text has no place for the pictures, they come before what the user says first.
        let first = prompt.iter_mut().find(|turn| turn.role == Role::User);
        first.into_iter().for_each(|turn| drop(turn.pieces.splice(0..0, images.iter().map(|_| Piece::Mark))));
    }
    let (clip, split) = (fields.id("clip")?, fields.text("split")?);
    let (images, turns) = assemble(prompt, images, &place)?;
    let (content, aux) = (Content::Conversation { turns }, Default::default());
    Ok(Sample { id, images, content, pair: Some(pair), labels, aux, clip, split, extra: fields.rest() })
}

/// Whether a column is a list of messages that does not begin with an answer.
fn is_conversation(value: &Value) -> bool {
    value.as_array().and_then(|list| list.first()).is_some_and(|turn| role_of(turn) != Some(Role::Assistant))
}

fn is_mark(piece: &Piece) -> bool {
    match piece {
        Piece::Text(text) => text.contains(MARK),
        Piece::Mark | Piece::Inline(_) => true,
    }
}

/// Takes two conversations apart: the messages that both begin with, and how each goes on.
fn apart(fields: &mut Fields) -> Result<(Vec<Value>, [Vec<Value>; 2])> {
    let bad = |problem: &str, fields: &Fields| {
        Err(DataError::BadPair { place: fields.place.clone(), problem: problem.into() })
    };
    let chosen = fields.list("chosen")?.unwrap_or_default();
    let mut rejected = fields.list("rejected")?.unwrap_or_default();
    let same = chosen.iter().zip(&rejected).take_while(|(a, b)| a == b).count();
    if same == 0 {
        return bad("\"chosen\" and \"rejected\" begin with different messages, so there is no common prompt", fields);
    }
    if same == chosen.len() && same == rejected.len() {
        return bad("\"chosen\" and \"rejected\" are the same, so there is nothing to prefer", fields);
    }
    if same == chosen.len() || same == rejected.len() {
        return bad("one of \"chosen\" and \"rejected\" ends where the other goes on: an answer is missing", fields);
    }
    let mut prompt = chosen;
    let chosen = prompt.split_off(same);
    Ok((prompt, [chosen, rejected.split_off(same)]))
}
