//! Samples out to files: our record, MetaAD-style, LLaVA, OpenAI messages. A file is written beside its name and
//! renamed when complete, so a broken run leaves the old one.

use crate::{
    answer,
    error::{DataError, Result},
    images::base64,
    record::{image_value, marked, role, to_value},
    sample::{Content, Ego, Image, Role, Sample},
};
use scene::MetaAction;
use serde_json::{Map, Value, json};
use std::{io::Write, path::Path};

/// A format that can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Our own record.
    Record,
    /// `image, problem, solution, thinking`.
    MetaAd,
    /// `id, image, conversations`.
    Llava,
    /// `messages, images` as OpenAI, ms-swift and LLaMA-Factory read them.
    Messages,
}

impl Format {
    /// Every format.
    pub const ALL: [Format; 4] = [Format::Record, Format::MetaAd, Format::Llava, Format::Messages];

    /// Name for `--to`.
    pub fn name(self) -> &'static str {
        match self {
            Format::Record => "record",
            Format::MetaAd => "metaad",
            Format::Llava => "llava",
            Format::Messages => "messages",
        }
    }

    /// The format of a name.
    ///
    /// # Errors
    /// The name is none of [`Format::ALL`].
    pub fn from_name(name: &str) -> Result<Self> {
        Format::ALL.into_iter().find(|f| f.name() == name).ok_or_else(|| DataError::BadOption {
            option: "--to",
            value: name.into(),
            reason: format!("known are {}", Format::ALL.map(Format::name).join(", ")),
        })
    }
}

/// The wording of planning questions, which the program owns: the prompt for an ego state, a number of images, and
/// whether reasoning is asked for; or why there is none.
pub type Question<'a> = &'a dyn Fn(&Ego, usize, bool) -> Result<String, String>;

/// The reply that is taught: reasoning in `<think>`, the plan in `<answer>`.
pub fn reply(reasoning: Option<&str>, action: MetaAction) -> String {
    let answer = format!("<answer> {action} </answer>");
    reasoning.map_or_else(|| answer.clone(), |r| format!("<think> {r} </think>\n{answer}"))
}

/// One sample in a format; image paths become relative to `folder` where they lie under it.
///
/// # Errors
/// The format cannot hold the sample: no question, a planning sample without both labels, or no wording for it.
pub fn value(sample: &Sample, format: Format, folder: &Path, question: Question) -> Result<Value> {
    let not =
        |reason: &str| DataError::NotWritable { id: sample.id.clone(), format: format.name(), reason: reason.into() };
    if format == Format::Record {
        return Ok(to_value(sample, folder));
    }
    if sample.pair.is_some() {
        return Err(not("it is a preference pair, which has two answers"));
    }
    let turns: Vec<(Role, String)> = match &sample.content {
        Content::Planning { ego, reasoning } => {
            let action = sample.action().ok_or_else(|| not("it has not both a speed and a path label"))?;
            let marks = crate::conversation::MARK.repeat(sample.images.len());
            let text = question(ego, sample.images.len(), reasoning.is_some()).map_err(|reason| not(&reason))?;
            let asked = marks + &text;
            vec![(Role::User, asked), (Role::Assistant, reply(reasoning.as_deref(), action))]
        }
        Content::Conversation { turns } if turns.is_empty() => return Err(not("it is a frame without a question")),
        Content::Conversation { turns } => turns.iter().map(|t| (t.role, marked(&t.parts))).collect(),
    };
    let mut out = Map::new();
    out.insert("id".into(), json!(sample.id));
    match format {
        Format::Record => {}
        Format::MetaAd => metaad(sample, turns, folder, &mut out).map_err(|reason| not(&reason))?,
        Format::Llava => {
            let images: Vec<Value> = sample.images.iter().map(|i| uri(i, folder)).collect();
            match images.len() {
                0 => {}
                1 => drop(out.insert("image".into(), images[0].clone())),
                _ => drop(out.insert("image".into(), images.into())),
            }
            let name = |r: Role| match r {
                Role::System => "system",
                Role::User => "human",
                Role::Assistant => "gpt",
            };
            let turn = |(r, text): &(Role, String)| json!({ "from": name(*r), "value": text });
            out.insert("conversations".into(), turns.iter().map(turn).collect());
        }
        Format::Messages => {
            let turn = |(r, text): &(Role, String)| json!({ "role": role(*r), "content": text });
            out.insert("messages".into(), turns.iter().map(turn).collect());
            out.insert("images".into(), sample.images.iter().map(|i| uri(i, folder)).collect());
        }
    }
    for (key, kept) in [("clip", &sample.clip), ("split", &sample.split)] {
        out.extend(kept.as_ref().map(|v| (key.to_owned(), json!(v))));
    }
    for key in ["license", "source"] {
        out.extend(sample.extra.get(key).map(|v| (key.to_owned(), v.clone())));
    }
    Ok(Value::Object(out))
}

/// Embedded images as data URIs, which these formats understand.
fn uri(image: &Image, folder: &Path) -> Value {
    match image {
        Image::Bytes(bytes) => {
            let kind = if bytes.starts_with(b"\x89PNG") { "png" } else { "jpeg" };
            json!(format!("data:image/{kind};base64,{}", base64(bytes)))
        }
        file => image_value(file, folder),
    }
}

fn metaad(
    sample: &Sample,
    turns: Vec<(Role, String)>,
    folder: &Path,
    out: &mut Map<String, Value>,
) -> Result<(), String> {
    let [(Role::User, asked), (Role::Assistant, told)] = &turns[..] else {
        return Err("only one question with one answer fits".into());
    };
    if sample.action().is_none() {
        return Err("its answer is no plan".into());
    }
    // Images come first there; marks stay only where they do not.
    let marks = crate::conversation::MARK.repeat(sample.images.len());
    let problem = asked.strip_prefix(&marks).unwrap_or(asked);
    let images: Vec<Value> = sample.images.iter().map(|i| image_value(i, folder)).collect();
    let image = if let [one] = &images[..] { one.clone() } else { images.into() };
    out.insert("image".into(), image);
    out.insert("problem".into(), json!(problem));
    out.insert("solution".into(), json!(format!("<answer> {} </answer>", answer::body(told))));
    if let Some(thinking) = answer::thinking(told) {
        out.insert("thinking".into(), json!(format!("<think> {thinking} </think>")));
    }
    Ok(())
}

/// Writes samples: JSON lines, or one JSON array where the name ends in `.json`. Returns how many were written and
/// what was left out; without `skip_bad` anything to leave out is an error and nothing is written.
///
/// # Errors
/// A sample that cannot be written, or the disk.
pub fn write<'a>(
    samples: impl IntoIterator<Item = &'a Sample>,
    format: Format,
    path: &Path,
    question: Question,
    skip_bad: bool,
) -> Result<(usize, Vec<DataError>)> {
    let io = |e: std::io::Error| DataError::Io { file: path.display().to_string(), message: e.to_string() };
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let part = path.with_file_name(format!(
        ".{}.part{}",
        path.file_name().map_or_else(|| "out".into(), |n| n.to_string_lossy()),
        std::process::id()
    ));
    let array = path.extension().is_some_and(|e| e == "json");
    let fill = || -> Result<(usize, Vec<DataError>)> {
        let (mut written, mut problems) = (0, Vec::new());
        let mut out = std::io::BufWriter::new(std::fs::File::create(&part).map_err(io)?);
        for sample in samples {
            match value(sample, format, folder, question) {
                Ok(value) => {
                    let before = match (array, written) {
                        (false, _) => "",
                        (true, 0) => "[\n",
                        (true, _) => ",\n",
                    };
                    write!(out, "{before}{value}{}", if array { "" } else { "\n" }).map_err(io)?;
                    written += 1;
                }
                Err(e) if skip_bad => problems.push(e),
                Err(e) => return Err(e),
            }
        }
        if array {
            write!(out, "{}", if written == 0 { "[]\n" } else { "\n]\n" }).map_err(io)?;
        }
        let file = out.into_inner().map_err(|e| io(e.into_error()))?;
        file.sync_all().map_err(io)?;
        std::fs::rename(&part, path).map_err(io)?;
        Ok((written, problems))
    };
    let done = fill();
    if done.is_err() {
        // Best effort: the part file is of no use to anyone.
        let _ = std::fs::remove_file(&part);
    }
    done
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use crate::{load, read_bytes};

    const TEXT: &str = r#"{"id":"a","images":["f/a.jpg"],"ego":{"speed_mps":7.5},"command":"turn left","reasoning":"A bend.","plan":{"speed":"DECELERATE","path":"LEFT_TURN"},"future":[[1.5,0.25,0.125]],"clip":"c","split":"val","aux":{"bend_3s":"left"},"license":"MIT","rain":true}
        {"id":"b","images":["f/a.jpg","f/b.jpg"],"ego":{"speed_mps":0.0},"plan":{"speed":"STOP","path":"STRAIGHT"}}
        {"id":"c","images":[{"bytes":"/9j/4A=="}],"messages":[{"role":"user","content":"<image>Plan."},{"role":"assistant","content":"<answer> KEEP, STRAIGHT </answer>"}],"plan":{"speed":"KEEP","path":"STRAIGHT"}}"#;

    fn ask(ego: &Ego, images: usize, think: bool) -> Result<String, String> {
        Ok(format!("{} m/s, {}, {images} images, think {think}", ego.speed_mps, ego.command.0))
    }

    #[test]
    fn every_format_is_read_back_with_the_same_labels() {
        let folder = tempfile::tempdir().unwrap();
        let name = folder.path().join("in.jsonl").display().to_string();
        let set = read_bytes(&name, TEXT.as_bytes(), &Default::default()).unwrap();
        for format in Format::ALL {
            for ending in ["jsonl", "json"] {
                let path = folder.path().join(format!("{}.{ending}", format.name()));
                let (n, left) = write(&set.samples, format, &path, &ask, false).unwrap();
                assert_eq!((n, left.len()), (3, 0));
                let again = load(&path, &Default::default()).unwrap();
                for (a, b) in set.samples.iter().zip(&again.samples) {
                    assert_eq!((&a.id, &a.images, &a.clip, &a.split), (&b.id, &b.images, &b.clip, &b.split));
                    assert_eq!((a.labels.speed, a.labels.path), (b.labels.speed, b.labels.path), "{format:?}");
                    assert!(format != Format::Record || a == b);
                }
            }
        }
        let metaad = value(&set.samples[0], Format::MetaAd, folder.path(), &ask).unwrap();
        assert_eq!(metaad["image"], "f/a.jpg");
        assert_eq!(metaad["problem"], "7.5 m/s, turn left, 1 images, think true");
        assert_eq!(metaad["solution"], "<answer> DECELERATE, LEFT_TURN </answer>");
        assert_eq!(metaad["thinking"], "<think> A bend. </think>");
    }

    #[test]
    fn what_does_not_fit_is_refused_or_left_out_and_nothing_half_written_stays() {
        let text = "{\"id\":\"x\",\"images\":[\"a\"],\"ego\":{\"speed_mps\":1},\"plan\":{\"path\":\"STRAIGHT\"}}";
        let set = read_bytes("s.jsonl", text.as_bytes(), &Default::default()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.jsonl");
        let e = write(&set.samples, Format::MetaAd, &path, &ask, false).unwrap_err();
        assert_eq!(e.to_string(), "sample x cannot be written as metaad: it has not both a speed and a path label");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        let (n, left) = write(&set.samples, Format::MetaAd, &path, &ask, true).unwrap();
        assert_eq!((n, left.len()), (0, 1));
        assert!(write(&set.samples, Format::Record, Path::new("/nowhere/x.jsonl"), &ask, false).is_err());
        assert!(Format::from_name("csv").unwrap_err().to_string().contains("known are record, metaad"));
    }
}
