//! The losses with a right, a wrong and a grey picture, measured once per run and kept in `sight.json`.

use super::{folder::Folder, set::Set};
use crate::{
    error::{Failure, Kind, Result},
    files::{RealFs, write_atomic},
    policy::{Planner, digest::short},
    train::{progress::Progress, sight},
};
use ::eval::{Log, Sight};
use data::Sample;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Most samples it is measured on: each costs three passes.
const LIMIT: usize = 64;

const FILE: &str = "sight.json";

#[derive(Serialize, Deserialize)]
struct Kept {
    /// Of the run and the samples.
    digest: String,
    sight: Option<Sight>,
}

/// Measures on the first finished samples, or takes what was measured on the same ones. `None` without annotated
/// answers or pictures.
///
/// # Errors
/// Device trouble, an unwritable folder.
pub(super) fn measure(
    planner: &Planner,
    set: &Set,
    log: Option<&Log>,
    think: bool,
    folder: &Folder,
    progress: &mut Progress,
) -> Result<Option<Sight>> {
    let Some(log) = log else { return Ok(None) };
    let finished: BTreeSet<&str> = log.entries.iter().map(|entry| entry.id.as_str()).collect();
    let samples: Vec<Sample> =
        set.samples.iter().filter(|s| finished.contains(s.id.as_str())).take(LIMIT).cloned().collect();
    let ids: Vec<&str> = samples.iter().map(|sample| sample.id.as_str()).collect();
    let run = log.digest.as_deref().unwrap_or_default().trim_end_matches("-blind");
    let digest = short(format!("{run}\0{}", ids.join("\0")));
    let path = folder.file(FILE);
    let kept = std::fs::read(&path).ok().and_then(|bytes| serde_json::from_slice::<Kept>(&bytes).ok());
    if let Some(kept) = kept.filter(|kept| kept.digest == digest) {
        return Ok(kept.sight);
    }
    progress.line(true, || format!("losses with right, wrong and grey pictures on {} samples", samples.len()));
    let sight = match sight::measure(planner, &samples, think, LIMIT, &|| true) {
        Ok(sight) => sight,
        // An annotated answer that cannot be taught is no reason to lose the table.
        Err(Failure { kind: Kind::Data, message, .. }) => {
            progress.note(&format!("the losses with wrong pictures were not measured: {message}"));
            None
        }
        Err(other) => return Err(other),
    };
    // Without two pictures to exchange there is nothing to compare.
    let sight = sight.and_then(|s| {
        let (wrong_image_gap, blank_image_gap) = (s.wrong_image_gap?, s.blank_image_gap?);
        Some(Sight { eval_loss: s.eval_loss, wrong_image_gap, blank_image_gap, eval_tokens: s.eval_tokens })
    });
    let sight = sight.filter(|s| {
        s.eval_tokens > 0 && [s.eval_loss, s.wrong_image_gap, s.blank_image_gap].iter().all(|v| v.is_finite())
    });
    let text = serde_json::to_vec(&Kept { digest, sight }).map_err(|e| Failure::data(format!("{FILE}: {e}")))?;
    write_atomic(&RealFs, &path, &text)?;
    Ok(sight)
}
