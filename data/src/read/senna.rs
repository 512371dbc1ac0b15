//! Senna's question-answer sets on nuScenes: `conversations` with `<FRONT VIEW>:\n<image>` headers and six `images`.
//! A trap: the text goes front, front left, front right, back left, back right, back while `images` goes front, front
//! right, front left, back, back left, back right. Images are therefore matched by the view's name.

use super::{Context, Reader};
use crate::{
    answer,
    conversation::{MARK, Piece, RawTurn, assemble, raw_turns, turn_list},
    error::{DataError, Place, Result},
    fields::Fields,
    rows::Row,
    sample::{Content, Image, Labels, Role, Sample},
};
use scene::{Pose, Trajectory};
use serde_json::Value;

/// Senna QA.
pub(super) struct Senna;

/// Views in the order of the `images` column, with nuScenes' camera names.
const VIEWS: [(&str, &str); 6] = [
    ("FRONT", "CAM_FRONT"),
    ("FRONT RIGHT", "CAM_FRONT_RIGHT"),
    ("FRONT LEFT", "CAM_FRONT_LEFT"),
    ("BACK", "CAM_BACK"),
    ("BACK LEFT", "CAM_BACK_LEFT"),
    ("BACK RIGHT", "CAM_BACK_RIGHT"),
];

impl Reader for Senna {
    fn name(&self) -> &'static str {
        "senna"
    }

    fn sniff(&self, row: &Row) -> bool {
        let has = |key: &str| row.value.get(key).is_some();
        has("conversations") && (has("ego_fut_trajs") || has("fut_valid_flag") || (has("scene_token") && has("images")))
    }

    fn read(&self, row: Row, cx: &Context) -> Vec<Result<Sample>> {
        vec![read(row, cx)]
    }
}

fn read(row: Row, cx: &Context) -> Result<Sample> {
    let mut fields = Fields::new(row.place, row.value)?;
    let place = fields.place.clone();
    let position = cx.id(&place);
    // One frame has many questions, so the token alone is not unique.
    let id = match (fields.id("id")?, fields.get("token").and_then(Value::as_str)) {
        (Some(id), _) => id,
        (None, Some(token)) => format!("{token}_{}", place.element.map_or(place.line, |e| e as u64)),
        (None, None) => position,
    };
    let front = fields.take("image").map(|v| cx.folder.images(&v, &place, "image")).transpose()?.unwrap_or_default();
    let column = fields.take("images").map(|v| cx.folder.images(&v, &place, "images")).transpose()?;
    let column = column.filter(|c| !c.is_empty()).unwrap_or(front);
    let list = turn_list(&mut fields, "conversations")?;
    let mut turns = raw_turns(list, "conversations", &place, &cx.folder)?;
    let planning = turns.iter().any(|t| t.role == Role::User && text_of(t).to_ascii_lowercase().contains("speed plan"));
    let mut labels = Labels { future: future(&mut fields), ..Labels::default() };
    if planning && let Some(reply) = turns.iter_mut().rev().find(|t| t.role == Role::Assistant) {
        let text = text_of(reply);
        (labels.speed, labels.path) = answer::labels(&text, &place, "conversations", &cx.options.map)?;
        if let Some(better) = answer::rewritten(&text, (labels.speed, labels.path)) {
            reply.pieces = vec![Piece::Text(better)];
        }
    }
    let images = in_text_order(&turns, column, &place)?;
    let (images, turns) = assemble(turns, images, &place)?;
    let clip = fields.get("scene_token").and_then(Value::as_str).map(str::to_owned);
    let split = fields.text("split")?;
    let content = Content::Conversation { turns };
    let (aux, extra) = (Default::default(), fields.rest());
    Ok(Sample { id, images, content, pair: None, labels, aux, clip, split, extra })
}

fn text_of(turn: &RawTurn) -> String {
    turn.pieces.iter().map(|p| if let Piece::Text(t) = p { t.as_str() } else { "" }).collect()
}

/// The images of the column in the order in which the text asks for them.
fn in_text_order(turns: &[RawTurn], column: Vec<Image>, place: &Place) -> Result<Vec<Image>> {
    let text: String = turns.iter().map(text_of).collect();
    let before: Vec<&str> = text.split(MARK).collect();
    let marks = before.len() - 1;
    let headers: Vec<Option<&str>> = before[..marks].iter().map(|t| header(t)).collect();
    if headers.iter().all(Option::is_none) {
        // One unnamed mark is the front view, which both orders put first.
        return Ok(if marks == 1 { column.into_iter().take(1).collect() } else { column });
    }
    let whole = column.len() == VIEWS.len();
    let views: Vec<&str> = column
        .iter()
        .enumerate()
        .map(|(i, image)| by_path(image).or(whole.then(|| VIEWS[i].0)).unwrap_or("?"))
        .collect();
    headers
        .iter()
        .map(|wanted| {
            let wanted = wanted.unwrap_or("FRONT");
            let at = views.iter().position(|v| *v == wanted);
            at.map(|at| column[at].clone()).ok_or_else(|| DataError::UnknownView {
                place: place.clone(),
                view: wanted.into(),
                known: views.join(", "),
            })
        })
        .collect()
}

/// The view named right before a mark: `<FRONT LEFT VIEW>:` gives `FRONT LEFT`.
fn header(text: &str) -> Option<&str> {
    let text = text.trim_end().trim_end_matches([':', '\'']).strip_suffix('>')?;
    let name = text.rsplit_once('<')?.1.strip_suffix("VIEW")?.trim();
    (name.len() < 30).then_some(name)
}

/// The view by nuScenes' folder and file names.
fn by_path(image: &Image) -> Option<&'static str> {
    let Image::File(path) = image else { return None };
    let path = path.to_string_lossy();
    let named = |camera: &str| path.split(['/', '\\']).any(|p| p == camera) || path.contains(&format!("__{camera}__"));
    VIEWS.iter().find(|(_, camera)| named(camera)).map(|(view, _)| *view)
}

/// Twelve cumulative numbers (right, forward) at 0.5 s, written as text; the text stays in `extra` where they are not.
fn future(fields: &mut Fields) -> Option<Trajectory> {
    let valid = fields.get("fut_valid_flag").map_or("true".into(), |v| match v {
        Value::String(s) => s.to_ascii_lowercase(),
        other => other.to_string(),
    });
    let text = match fields.get("ego_fut_trajs")? {
        Value::String(s) => s.clone(),
        other => other.to_string(),
    };
    let numbers: Vec<f64> = text
        .split(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '-' | '+' | 'e' | 'E')))
        .filter(|w| !w.is_empty())
        .map_while(|w| w.parse().ok())
        .collect();
    let sane = numbers.len() == 12 && numbers.iter().all(|v| v.abs() <= crate::fields::MAX_METRES);
    if !sane || valid != "true" {
        return None;
    }
    let mut heading = 0.0;
    let mut last = (0.0, 0.0);
    let poses = numbers.chunks_exact(2).map(|p| {
        let (x, y) = (p[1], -p[0]);
        let (dx, dy): (f64, f64) = (x - last.0, y - last.1);
        if dx.hypot(dy) >= 0.25 {
            heading = dy.atan2(dx);
        }
        last = (x, y);
        Pose { x, y, heading }
    });
    Some(Trajectory::half_second(poses.collect()))
}
