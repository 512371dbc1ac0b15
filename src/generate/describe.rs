//! A moment as a frame and a record.

use super::{Recipe, Split, episode::Moment};
use crate::error::{Failure, Result};
use data::{Content, Ego, Image, Labels, Sample};
use image::{ExtendedColorType, codecs::jpeg::JpegEncoder};
use scene::Pose;
use serde_json::{Value, json};
use sim::{
    describe::{Facts, Reason, Sight, aux, facts, labels, qa, reason, reasoning},
    driver::Driver,
    render::{Actor, Frame, Stage, Style},
    scenario::DT,
    view,
};
use std::path::Path;

/// Of 100: lamps of two pixels keep their colour.
const QUALITY: u8 = 92;

/// A drawn and described moment.
pub struct Described {
    /// The record.
    pub sample: Sample,
    /// Its frame.
    pub jpeg: Vec<u8>,
    /// Questions and answers about it, a key frame of the DriveLM layout, where they are wanted.
    pub questions: Option<Value>,
}

/// Buffers that are kept from frame to frame.
#[derive(Default)]
pub struct Buffers {
    actors: Vec<Actor>,
    frame: Option<Frame>,
}

/// What the frame of a moment shows.
struct Shown {
    style: Style,
    sight: Sight,
    facts: Facts,
    told: Reason,
}

fn look(moment: &Moment, recipe: &Recipe, stage: &Stage, buffers: &mut Buffers) -> Shown {
    let scene = moment.batch.scene(0);
    let style = recipe.look.style(moment.seed);
    let frame = buffers.frame.get_or_insert_with(|| Frame::new(true));
    view::look(&scene, 0, stage, &recipe.camera, &style, &mut buffers.actors, frame);
    let sight = Sight::of(&scene, &recipe.camera, &style, frame);
    let facts = facts(&scene, &sight);
    let told = Reason::told(moment.decision.around.unwrap_or(moment.decision.binding), &facts);
    Shown { style, sight, facts, told }
}

/// The moments whose frame tells what to do: the driver then drove as it meant to, and where it slowed or changed lanes
/// the cause is in the frame. Others teach to guess.
pub fn knowable(moments: Vec<Moment>, recipe: &Recipe) -> Vec<Moment> {
    let Some(first) = moments.first() else { return moments };
    let stage = Stage::new(&first.batch.scene(0).world.scenario.map);
    let mut buffers = Buffers::default();
    let mut tells = |moment: &Moment| {
        let Shown { facts, told, .. } = look(moment, recipe, &stage, &mut buffers);
        let planned = labels::planned(&moment.batch.scene(0), &moment.decision.plan);
        planned.is_ok_and(|planned| reason::knowable(&facts, moment.driven.action, planned.action, told))
    };
    moments.into_iter().filter(|moment| tells(moment)).collect()
}

/// Draws a moment and says in words and classes what can be seen in the frame. `folder` is where the set will lie.
///
/// # Errors
/// The picture cannot be encoded.
pub fn describe(
    moment: &Moment,
    recipe: &Recipe,
    split: Split,
    stage: &Stage,
    folder: &Path,
    buffers: &mut Buffers,
) -> Result<Described> {
    let Shown { style, sight, facts, told } = look(moment, recipe, stage, buffers);
    let frame = buffers.frame.get_or_insert_default();
    let action = moment.driven.action;
    let words = sim::rng::hash(moment.seed, moment.step as u64);
    let reasoning = reasoning(&facts, action, Some(told), words);
    let mut jpeg = Vec::new();
    JpegEncoder::new_with_quality(&mut jpeg, QUALITY)
        .encode(&frame.rgb, frame.width as u32, frame.height as u32, ExtendedColorType::Rgb8)
        .map_err(|e| Failure::data(format!("cannot encode a frame: {e}")))?;
    let clip = format!("{}/{:x}", moment.family.name, moment.seed);
    let id = format!("{}_{:x}_{:04}", moment.family.name, moment.seed, moment.step);
    let file = folder.join("frames").join(split.as_str()).join(moment.family.name).join(format!("{id}.jpg"));
    let questions = recipe.questions.then(|| {
        let (objects, pairs) = qa::qa(&facts, &sight, action, Some(told), words);
        qa::key_frame(&relative(&file, folder), &objects, &pairs)
    });
    let mut extra = serde_json::Map::new();
    extra.insert("t".into(), json!(round(moment.step as f64 * f64::from(DT), 1)));
    extra.insert("ego_history".into(), json!(history(moment)));
    if moment.driver != Driver::Expert {
        extra.insert("driver".into(), json!(moment.driver.name()));
    }
    extra.insert("cause".into(), json!(cause_word(told)));
    extra.insert("look".into(), json!(if style.textured { "rich" } else { "plain" }));
    let future = scene::Trajectory {
        step: moment.driven.future.step,
        poses: moment.driven.future.poses.iter().map(|&p| rounded(p)).collect(),
    };
    let sample = Sample {
        id,
        images: vec![Image::File(file)],
        content: Content::Planning {
            ego: Ego { speed_mps: round(f64::from(moment.speed), 1), command: moment.command.into() },
            reasoning: Some(reasoning),
        },
        pair: None,
        labels: Labels { speed: Some(action.speed), path: Some(action.path), future: Some(future) },
        aux: aux(&facts),
        clip: Some(clip),
        split: Some(split.as_str().into()),
        extra,
    };
    Ok(Described { sample, jpeg, questions })
}

/// The name of a cause, without whom it concerns.
fn cause_word(reason: Reason) -> String {
    format!("{reason:?}").split('(').next().unwrap_or_default().to_lowercase()
}

/// A path as it is written in files of `folder`.
fn relative(path: &Path, folder: &Path) -> String {
    path.strip_prefix(folder).unwrap_or(path).to_string_lossy().into_owned()
}

/// `[x, y, heading, speed]` of the past in the ego frame of now, oldest first, half a second apart.
fn history(moment: &Moment) -> Vec<[f64; 4]> {
    let pose = |p: &[f32]| Pose::new(f64::from(p[0]), f64::from(p[1]), f64::from(p[2]));
    let scene = moment.batch.scene(0);
    let now = pose(&[scene.x[0], scene.y[0], scene.heading[0]]);
    let seen = |p: &[f32; 4]| {
        let at = rounded(pose(&p[..3]).into_frame(now));
        [at.x, at.y, at.heading, round(f64::from(p[3]), 2)]
    };
    moment.past.iter().map(seen).collect()
}

/// Centimetres, and a tenth of a milliradian.
fn rounded(p: Pose) -> Pose {
    Pose::new(round(p.x, 2), round(p.y, 2), round(p.heading, 4))
}

fn round(value: f64, digits: i32) -> f64 {
    let scale = 10f64.powi(digits);
    // Adding zero turns -0 into 0.
    (value * scale).round() / scale + 0.0
}
