//! The two-stage evaluation: which scenes continue which, and what that adds up to.

use crate::error::{Failure, Result, io_at};
use ::eval::{
    metrics::bootstrap::{Bootstrap, means},
    pdm::{Judge, Stages},
};
use rewards::pdm::{EcFilters, Frame, Mapping, two_stage};
use serde::Deserialize;
use std::{
    collections::{HashMap, HashSet},
    path::Path,
};

#[derive(Deserialize)]
#[serde(untagged)]
enum MappingFile {
    Plain(Vec<Mapping>),
    Wrapped { mapping: Vec<Mapping> },
}

/// Reads a mapping: a list, or an object with the list under `mapping`.
///
/// # Errors
/// Exit 3 with the file.
pub(super) fn read(path: &Path) -> Result<Vec<Mapping>> {
    let bytes = std::fs::read(path).map_err(io_at(path))?;
    let needed = "a JSON list of {\"now\": NAME, \"previous\": NAME, \"pairs\": [[NOW, PREVIOUS], ...]} is needed";
    let read: MappingFile =
        serde_json::from_slice(&bytes).map_err(|e| Failure::data(format!("{}: {e}", path.display())).hint(needed))?;
    let mapping = match read {
        MappingFile::Plain(mapping) | MappingFile::Wrapped { mapping } => mapping,
    };
    if mapping.is_empty() || mapping.iter().any(|entry| entry.pairs.is_empty()) {
        return Err(Failure::data(format!("{} has no entry, or one without pairs", path.display())).hint(needed));
    }
    Ok(mapping)
}

/// Every scene that a mapping names.
pub(super) fn tokens(mapping: &[Mapping]) -> HashSet<&str> {
    let mut found = HashSet::new();
    for entry in mapping {
        found.extend([entry.now.as_str(), entry.previous.as_str()]);
        found.extend(entry.pairs.iter().flat_map(|(now, previous)| [now.as_str(), previous.as_str()]));
    }
    found
}

/// The aggregate with its interval over entries of the mapping.
///
/// # Errors
/// Exit 3 when the mapping names a scene without scores.
pub(super) fn aggregate(
    judge: &Judge,
    mapping: &[Mapping],
    frames: &HashMap<String, Frame>,
    bootstrap: Bootstrap,
) -> Result<Stages> {
    let filters = EcFilters::new(&judge.compat);
    let fail = |e: rewards::pdm::PdmError| {
        Failure::data(e.to_string()).hint("every scene of the mapping needs a scene and exactly one trajectory")
    };
    let all = two_stage(mapping, frames, &filters).map_err(fail)?;
    let mut scores = Vec::with_capacity(mapping.len());
    for entry in mapping {
        let score = two_stage(std::slice::from_ref(entry), frames, &filters).map_err(fail)?.combined.score;
        scores.push([(if score.is_nan() { 0.0 } else { score }, f64::from(u8::from(!score.is_nan())))]);
    }
    let groups: Vec<&[(f64, f64)]> = scores.iter().map(<[(f64, f64); 1]>::as_slice).collect();
    let score = means(&groups, 1, bootstrap).into_iter().next().flatten();
    let score = score.ok_or_else(|| Failure::data("no entry of the mapping has a score"))?;
    Ok(Stages {
        score,
        entries: mapping.len(),
        combined: all.combined,
        stage_one: all.stage_one,
        stage_two: all.stage_two,
    })
}
