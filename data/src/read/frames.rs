//! Raw frame rows with ego motion, one a line: `clip`, `frame` (now), `history` (earlier frames), `speed_mps`,
//! `yaw_rate_rps`, `steering_wheel_rad`, `future`, `navigation`, `speed_label`, `path_label`. The planner sees one
//! frame by default, so `history` stays in `extra`. Reasoning and auxiliary targets are added by [`crate::label`].

use super::{Context, Reader};
use crate::{
    error::Result,
    fields::Fields,
    record::command,
    rows::Row,
    sample::{Content, Ego, Labels, Sample},
};

/// Frames with ego motion.
pub(super) struct Frames;

impl Reader for Frames {
    fn name(&self) -> &'static str {
        "frames"
    }

    fn sniff(&self, row: &Row) -> bool {
        let has = |key: &str| row.value.get(key).is_some();
        has("frame") && has("speed_mps") && (has("future") || has("clip"))
    }

    fn read(&self, row: Row, cx: &Context) -> Vec<Result<Sample>> {
        vec![read(row, cx)]
    }
}

fn read(row: Row, cx: &Context) -> Result<Sample> {
    let mut fields = Fields::new(row.place, row.value)?;
    let frame = fields.need_text("frame")?;
    let image = cx.folder.image(&frame.clone().into(), &fields.place, "frame")?;
    let stem = std::path::Path::new(&frame).file_stem().map(|s| s.to_string_lossy().into_owned());
    let id = fields.id("id")?.or(stem).unwrap_or_else(|| cx.id(&fields.place));
    let map = &cx.options.map;
    let labels = Labels {
        speed: fields.speed_label("speed_label", map)?,
        path: fields.path_label("path_label", map)?,
        future: fields.future("future")?,
    };
    let content = match fields.speed("speed_mps")? {
        Some(speed_mps) => {
            let ego = Ego { speed_mps, command: command(fields.text("navigation")?) };
            Content::Planning { ego, reasoning: None }
        }
        None => Content::Conversation { turns: Vec::new() },
    };
    let (clip, split) = (fields.id("clip")?, fields.text("split")?);
    let (images, aux, extra) = (vec![image], Default::default(), fields.rest());
    Ok(Sample { id, images, content, pair: None, labels, aux, clip, split, extra })
}
