//! OpenAI messages: `messages` whose content is text (with `<image>` marks and an `images` column, as ms-swift and
//! LLaMA-Factory write them) or a list of parts (`text`, `image_url`, `image`; data URIs are decoded). TRL's `prompt`
//! and `completion` lists are read the same way.

use super::{Context, Reader};
use crate::{
    answer,
    conversation::{RawTurn, assemble, image_column, labels_of_last_answer, raw_turns, turn_list},
    error::Result,
    fields::Fields,
    rows::Row,
    sample::{Content, Labels, Role, Sample},
};
use serde_json::Value;

/// OpenAI messages.
pub(super) struct Messages;

impl Reader for Messages {
    fn name(&self) -> &'static str {
        "messages"
    }

    fn sniff(&self, row: &Row) -> bool {
        row.value.get("messages").is_some() || row.value.get("prompt").is_some_and(Value::is_array)
    }

    fn read(&self, row: Row, cx: &Context) -> Vec<Result<Sample>> {
        let prompt = row.value.get("messages").is_none() && row.value.get("prompt").is_some();
        let columns: &[&str] = match row.value.get("completion") {
            Some(Value::Array(_)) if prompt => &["prompt", "completion"],
            _ if prompt => &["prompt"],
            _ => &["messages"],
        };
        vec![conversation(row, cx, columns)]
    }
}

/// Reads a record whose turns lie in `columns`, one after the other.
pub(super) fn conversation(row: Row, cx: &Context, columns: &[&str]) -> Result<Sample> {
    let mut fields = Fields::new(row.place, row.value)?;
    let place = fields.place.clone();
    let id = fields.id("id")?.unwrap_or_else(|| cx.id(&place));
    let images = image_column(&mut fields, &cx.folder)?;
    let mut turns = Vec::new();
    for column in columns {
        let list = turn_list(&mut fields, column)?;
        turns.extend(raw_turns(list, column, &place, &cx.folder)?);
    }
    if let Some(system) = fields.text("system")?.filter(|s| !s.trim().is_empty())
        && turns.first().is_none_or(|t| t.role != Role::System)
    {
        turns.insert(0, RawTurn::text(Role::System, system));
    }
    let map = &cx.options.map;
    let (mut speed, mut path) = labels_of_last_answer(&mut turns, &place, map)?;
    if let (None, None, Some(Value::String(solution))) = (speed, path, fields.get("solution")) {
        (speed, path) = answer::labels_if_any(solution, &place, "solution", map)?;
    }
    let labels = Labels { speed, path, future: None };
    let (clip, split) = (fields.id("clip")?, fields.text("split")?);
    let (images, turns) = assemble(turns, images, &place)?;
    let content = Content::Conversation { turns };
    let (aux, extra) = (Default::default(), fields.rest());
    Ok(Sample { id, images, content, pair: None, labels, aux, clip, split, extra })
}
