//! Our own record: one JSON object a line, read and written here. Every column but `images` is optional and its
//! presence is the only version; unknown columns are carried through.
//!
//! | column | meaning |
//! |---|---|
//! | `id` | unique text; made from file and line where absent |
//! | `images` | frames, oldest first, the last is now; paths relative to the file, or `{"bytes": base64}` |
//! | `ego` | `{"speed_mps": 12.4}`: what the planner is told about its own car |
//! | `command` | navigation command, "follow the road" where absent |
//! | `reasoning` | text to teach between the `<think>` tags |
//! | `plan` | `{"speed": "KEEP", "path": "STRAIGHT"}`, ground truth for the next 3 s; either may be null |
//! | `future` | `[[x, y, heading], ...]`, driven poses at 0.5 s in the ego frame (m, rad; x forward, y left) |
//! | `clip`, `split` | recording the frame belongs to; `train`, `val`, `test` |
//! | `aux` | `{"bend_3s": "left"}`, small class targets for auxiliary heads |
//! | `messages` | a conversation taken literally, in place of the question rendered from `ego` |
//! | `chosen`, `rejected` | two answers to the question, text or lists of messages: a preference pair |
//! | `license`, `source` | carried through with every other column |
//!
//! With neither `ego` nor `messages` the record is a bare frame.

use crate::{
    conversation::{assemble, image_column, raw_turns, turn_list},
    error::{DataError, Result},
    fields::{Fields, kind},
    images::base64,
    pair,
    read::Context,
    rows::Row,
    sample::{Content, Ego, Image, Labels, Part, Role, Sample, Turn},
};
use scene::Command;
use serde_json::{Map, Value, json};
use std::{collections::BTreeMap, path::Path};

/// Reads one row.
pub(crate) fn from_row(row: Row, cx: &Context) -> Result<Sample> {
    let mut fields = Fields::new(row.place, row.value)?;
    let map = &cx.options.map;
    let id = fields.id("id")?.unwrap_or_else(|| cx.id(&fields.place));
    let images = image_column(&mut fields, &cx.folder)?;
    if images.is_empty() {
        return Err(fields.missing("images"));
    }
    let mut labels = Labels { future: fields.future("future")?, ..Labels::default() };
    if let Some(mut plan) = fields.object("plan")? {
        labels.speed = plan.speed_label("speed", map)?;
        labels.path = plan.path_label("path", map)?;
    }
    let aux = classes(&mut fields)?;
    let (clip, split) = (fields.id("clip")?, fields.text("split")?);
    let (images, content) = if fields.has("messages") {
        let list = turn_list(&mut fields, "messages")?;
        // Here ground truth is `plan`; the text is not searched for labels.
        let turns = raw_turns(list, "messages", &fields.place, &cx.folder)?;
        let (images, turns) = assemble(turns, images, &fields.place)?;
        (images, Content::Conversation { turns })
    } else if let Some(mut ego) = fields.object("ego")? {
        let speed_mps = ego.speed("speed_mps")?.ok_or_else(|| ego.missing("speed_mps"))?;
        let command = command(fields.text("command")?);
        let reasoning = fields.text("reasoning")?.map(|t| t.trim().to_owned()).filter(|t| !t.is_empty());
        (images, Content::Planning { ego: Ego { speed_mps, command }, reasoning })
    } else {
        (images, Content::Conversation { turns: Vec::new() })
    };
    let pair = match fields.has("chosen") && fields.has("rejected") {
        true => Some(pair::answers(&mut fields, cx, &mut labels)?),
        false => None,
    };
    Ok(Sample { id, images, content, pair, labels, aux, clip, split, extra: fields.rest() })
}

/// A command on one line; the default where there is none.
pub(crate) fn command(text: Option<String>) -> Command {
    let line = text.map(|t| t.split_whitespace().collect::<Vec<_>>().join(" ")).filter(|t| !t.is_empty());
    line.map_or_else(Command::default, Command)
}

fn classes(fields: &mut Fields) -> Result<BTreeMap<String, String>> {
    let Some(aux) = fields.object("aux")? else { return Ok(BTreeMap::new()) };
    let place = aux.place.clone();
    aux.rest()
        .into_iter()
        .map(|(name, value)| match value {
            Value::String(class) => Ok((name, class)),
            Value::Number(n) => Ok((name, n.to_string())),
            Value::Bool(b) => Ok((name, b.to_string())),
            other => Err(DataError::WrongType {
                place: place.clone(),
                field: name,
                found: kind(&other),
                expected: "a class name",
            }),
        })
        .collect()
}

/// A sample as our record; image paths become relative to `folder`, where the record will lie, if they are under it.
pub fn to_value(sample: &Sample, folder: &Path) -> Value {
    let mut out = Map::new();
    out.insert("id".into(), json!(sample.id));
    out.insert("images".into(), sample.images.iter().map(|i| image_value(i, folder)).collect());
    let (reasoning, messages) = match &sample.content {
        Content::Planning { ego, reasoning } => {
            out.insert("ego".into(), json!({ "speed_mps": ego.speed_mps }));
            out.insert("command".into(), json!(ego.command.0));
            (reasoning.as_deref(), None)
        }
        Content::Conversation { turns } => (None, (!turns.is_empty()).then_some(turns)),
    };
    if let Some(reasoning) = reasoning {
        out.insert("reasoning".into(), json!(reasoning));
    }
    let Labels { speed, path, future } = &sample.labels;
    if speed.is_some() || path.is_some() {
        out.insert("plan".into(), json!({ "speed": speed, "path": path }));
    }
    if let Some(future) = future {
        out.insert("future".into(), json!(future.poses));
    }
    if let Some(clip) = &sample.clip {
        out.insert("clip".into(), json!(clip));
    }
    if let Some(split) = &sample.split {
        out.insert("split".into(), json!(split));
    }
    if !sample.aux.is_empty() {
        out.insert("aux".into(), json!(sample.aux));
    }
    if let Some(turns) = messages {
        out.insert("messages".into(), turns.iter().map(message).collect());
    }
    if let Some(pair) = &sample.pair {
        out.insert("chosen".into(), pair.chosen.iter().map(message).collect());
        out.insert("rejected".into(), pair.rejected.iter().map(message).collect());
    }
    // A foreign column under one of our names would be read back as something it never was.
    let ours =
        ["plan", "future", "aux", "clip", "split", "messages", "images", "image", "prompt", "chosen", "rejected"];
    let asked = ["ego", "command", "reasoning"];
    for (key, value) in &sample.extra {
        let taken = ours.contains(&key.as_str()) || (messages.is_none() && asked.contains(&key.as_str()));
        if !taken {
            out.entry(key.clone()).or_insert_with(|| value.clone());
        }
    }
    Value::Object(out)
}

/// A turn with its images as marks.
pub(crate) fn message(turn: &Turn) -> Value {
    json!({ "role": role(turn.role), "content": marked(&turn.parts) })
}

/// The OpenAI name of a role.
pub(crate) fn role(role: Role) -> &'static str {
    match role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
    }
}

/// Text with `<image>` marks.
pub(crate) fn marked(parts: &[Part]) -> String {
    parts
        .iter()
        .map(|p| match p {
            Part::Image => crate::conversation::MARK,
            Part::Text(text) => text,
        })
        .collect()
}

/// A path relative to `folder` where it lies under it, absolute where not; bytes embedded.
pub(crate) fn image_value(image: &Image, folder: &Path) -> Value {
    match image {
        Image::Bytes(bytes) => json!({ "bytes": base64(bytes) }),
        Image::File(path) => {
            let whole = |p: &Path| std::path::absolute(p).unwrap_or_else(|_| p.to_path_buf());
            let (path, folder) = (whole(path), whole(folder));
            let path = path.strip_prefix(&folder).unwrap_or(&path);
            json!(path.to_string_lossy())
        }
    }
}
