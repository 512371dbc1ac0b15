//! DriveLM-nuScenes v1.1 (Sima et al., ECCV 2024): scenes -> `key_frames` -> `QA` by category, one sample a question.
//! Ids are `scene_frame_i` with i over perception, prediction, planning and behavior, as the challenge numbers them.
//!
//! A behavior answer tells how the car moves, not what it will change, so only two phrases are sound as labels:
//! "not moving" is STOP and "going straight" is STRAIGHT. All phrases become `aux` classes.

use super::{Context, Reader};
use crate::{
    conversation::{Piece, RawTurn, assemble},
    error::{DataError, Place, Result},
    fields::Fields,
    options::Cameras,
    rows::Row,
    sample::{Content, Image, Labels, Role, Sample},
};
use scene::{PathAction, SpeedAction};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// DriveLM-nuScenes.
pub(super) struct DriveLm;

const CATEGORIES: [&str; 4] = ["perception", "prediction", "planning", "behavior"];
const CAMERAS: [&str; 6] =
    ["CAM_FRONT", "CAM_FRONT_LEFT", "CAM_FRONT_RIGHT", "CAM_BACK", "CAM_BACK_LEFT", "CAM_BACK_RIGHT"];

impl Reader for DriveLm {
    fn name(&self) -> &'static str {
        "drivelm"
    }

    fn sniff(&self, row: &Row) -> bool {
        let scene = |v: &Value| v.get("key_frames").is_some_and(Value::is_object);
        scene(&row.value) || row.value.as_object().is_some_and(|m| m.values().next().is_some_and(scene))
    }

    fn read(&self, row: Row, cx: &Context) -> Vec<Result<Sample>> {
        let mut out = Vec::new();
        match (row.key, row.value) {
            (Some(token), value) => scene(&token, value, &row.place, cx, &mut out),
            (None, value) if value.get("key_frames").is_some() => {
                let token = value.get("scene_token").and_then(Value::as_str).unwrap_or("scene").to_owned();
                scene(&token, value, &row.place, cx, &mut out);
            }
            (None, Value::Object(scenes)) => {
                scenes.into_iter().for_each(|(token, value)| scene(&token, value, &row.place, cx, &mut out));
            }
            (None, other) => out.extend(Fields::new(row.place, other).err().map(Err)),
        }
        out
    }
}

fn scene(token: &str, value: Value, place: &Place, cx: &Context, out: &mut Vec<Result<Sample>>) {
    let place = place.within(format!("scene {token}"));
    let frames = Fields::new(place, value).and_then(|mut scene| {
        let description = scene.text("scene_description")?;
        let frames = scene.object("key_frames")?.ok_or_else(|| scene.missing("key_frames"))?;
        Ok((description, frames))
    });
    match frames {
        Err(e) => out.push(Err(e)),
        Ok((description, frames)) => {
            let place = frames.place.clone();
            for (frame, value) in frames.rest() {
                let place = place.within(format!("scene {token} frame {frame}"));
                if let Err(e) = key_frame(token, &frame, description.as_deref(), value, place, cx, out) {
                    out.push(Err(e));
                }
            }
        }
    }
}

fn key_frame(
    token: &str,
    name: &str,
    description: Option<&str>,
    value: Value,
    place: Place,
    cx: &Context,
    out: &mut Vec<Result<Sample>>,
) -> Result<()> {
    let mut frame = Fields::new(place.clone(), value)?;
    let mut paths = frame.object("image_paths")?.ok_or_else(|| frame.missing("image_paths"))?;
    let wanted: &[&str] = if cx.options.cameras == Cameras::Front { &CAMERAS[..1] } else { &CAMERAS };
    let mut views = Vec::new();
    for camera in wanted {
        if let Some(path) = paths.take(camera) {
            views.push((*camera, cx.folder.image(&path, &place, camera)?));
        } else if *camera == "CAM_FRONT" {
            return Err(paths.missing(camera));
        }
    }
    let mut categories = frame.object("QA")?.ok_or_else(|| frame.missing("QA"))?;
    let mut at = 0;
    for category in CATEGORIES {
        for qa in categories.list(category)?.unwrap_or_default() {
            let id = format!("{token}_{name}_{at}");
            at += 1;
            if !cx.options.categories.is_empty() && !cx.options.categories.iter().any(|c| c == category) {
                continue;
            }
            let place = place.within(format!("scene {token} frame {name} question {}", at - 1));
            let mut sample = question(qa, category, &views, place);
            if let Ok(sample) = &mut sample {
                sample.id = id;
                sample.clip = Some(token.into());
                sample.extra.insert("key_frame".into(), name.into());
                sample.extra.insert("category".into(), category.into());
                sample.extra.extend(description.map(|d| ("scene_description".to_owned(), d.into())));
            }
            out.push(sample);
        }
    }
    Ok(())
}

fn question(qa: Value, category: &str, views: &[(&str, Image)], place: Place) -> Result<Sample> {
    let mut qa = Fields::new(place, qa)?;
    let (asked, told) = (qa.need_text("Q")?, qa.text("A")?);
    if asked.contains(crate::conversation::MARK) {
        let (value, reason) = (asked, "the question must not hold <image> marks".into());
        return Err(DataError::BadImage { place: qa.place, field: "Q".into(), value, reason });
    }
    let mut user = RawTurn::text(Role::User, "");
    for (camera, _) in views {
        if views.len() > 1 {
            user.pieces.push(Piece::Text(format!("{camera}:\n")));
        }
        user.pieces.push(Piece::Mark);
    }
    user.pieces.push(Piece::Text(asked));
    let mut labels = Labels::default();
    let mut aux = BTreeMap::new();
    if let (Some(text), "behavior") = (&told, category) {
        (labels, aux) = behaviour(text);
    }
    let mut turns = vec![user];
    turns.extend(told.map(|text| RawTurn::text(Role::Assistant, text)));
    let images = views.iter().map(|(_, image)| image.clone()).collect();
    let (images, turns) = assemble(turns, images, &qa.place)?;
    let mut extra = Map::new();
    extra.extend(qa.rest());
    let content = Content::Conversation { turns };
    Ok(Sample { id: String::new(), images, content, pair: None, labels, aux, clip: None, split: None, extra })
}

/// What a behavior answer says: `The ego vehicle is <path>. The ego vehicle is <speed>.`
fn behaviour(text: &str) -> (Labels, BTreeMap<String, String>) {
    let mut labels = Labels::default();
    let mut aux = BTreeMap::new();
    for sentence in text.split('.') {
        let Some(phrase) = sentence.trim().strip_prefix("The ego vehicle is ") else { continue };
        let name = if phrase.starts_with("driving") || phrase == "not moving" { "speed_phrase" } else { "path_phrase" };
        match phrase {
            "not moving" => labels.speed = Some(SpeedAction::Stop),
            "going straight" => labels.path = Some(PathAction::Straight),
            _ => {}
        }
        aux.insert(name.to_owned(), phrase.to_owned());
    }
    (labels, aux)
}
