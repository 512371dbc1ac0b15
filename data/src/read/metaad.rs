//! MetaAD-style planning records, the columns that AlphaDrive (arXiv 2503.07608) trains on: `image`, `problem`
//! (prompt), `solution` (`<answer> KEEP, STRAIGHT </answer>`), `thinking` (`<think> ... </think>`, optional).

use super::{Context, Reader};
use crate::{
    answer,
    conversation::{MARK, Piece, RawTurn, assemble, image_column},
    error::Result,
    fields::Fields,
    rows::Row,
    sample::{Content, Labels, Role, Sample},
};

/// MetaAD-style.
pub(super) struct MetaAd;

impl Reader for MetaAd {
    fn name(&self) -> &'static str {
        "metaad"
    }

    fn sniff(&self, row: &Row) -> bool {
        let has = |key: &str| row.value.get(key).is_some();
        has("problem") && (has("solution") || has("thinking") || has("image"))
    }

    fn read(&self, row: Row, cx: &Context) -> Vec<Result<Sample>> {
        vec![read(row, cx)]
    }
}

fn read(row: Row, cx: &Context) -> Result<Sample> {
    let mut fields = Fields::new(row.place, row.value)?;
    let place = fields.place.clone();
    let id = match fields.id("id")? {
        Some(id) => id,
        None => fields.id("problem_id")?.unwrap_or_else(|| cx.id(&place)),
    };
    let images = image_column(&mut fields, &cx.folder)?;
    if images.is_empty() {
        return Err(fields.missing("image"));
    }
    let problem = fields.need_text("problem")?;
    let mut user = RawTurn::text(Role::User, "");
    if !problem.contains(MARK) {
        user.pieces.extend(images.iter().map(|_| Piece::Mark));
    }
    user.pieces.push(Piece::Text(problem));
    let mut turns = vec![user];
    let mut labels = Labels { future: fields.future("future")?, ..Labels::default() };
    let solution = fields.text("solution")?;
    let thinking = fields.text("thinking")?.filter(|t| !t.trim().is_empty());
    if let Some(solution) = solution {
        (labels.speed, labels.path) = answer::labels(&solution, &place, "solution", &cx.options.map)?;
        let solution = answer::rewritten(&solution, (labels.speed, labels.path)).unwrap_or(solution);
        let solution = tagged(&solution, "answer");
        let reply = match thinking {
            Some(thinking) => format!("{}\n{solution}", tagged(&thinking, "think")),
            None => solution,
        };
        turns.push(RawTurn::text(Role::Assistant, reply));
    }
    let (clip, split) = (fields.id("clip")?, fields.text("split")?);
    let (images, turns) = assemble(turns, images, &place)?;
    let content = Content::Conversation { turns };
    let (aux, extra) = (Default::default(), fields.rest());
    Ok(Sample { id, images, content, pair: None, labels, aux, clip, split, extra })
}

/// The text inside its tags, put there where they are missing.
fn tagged(text: &str, tag: &str) -> String {
    let text = text.trim();
    if text.contains(&format!("<{tag}>")) { text.to_owned() } else { format!("<{tag}> {text} </{tag}>") }
}
