//! All proposals are simulated and scored as one batch; the first best wins.

use super::forecast::Forecast;
use crate::pdm::{Ground, RawScores, Version, Workspace, raw_scores};
use scene::Pose;
use scene::dynamics::STATES;

/// Best progress in metres below which everybody gets full marks (spec 10).
const NO_PROGRESS: f64 = 5.0;

/// The index of the best proposal: target poses at 0, 0.1 .. 4 s.
pub(super) fn best(
    ground: &Ground,
    forecast: &Forecast,
    version: Version,
    proposals: impl Iterator<Item = [Pose; STATES]>,
) -> usize {
    let observation = forecast.observation(version, &ground.compat);
    let mut workspace = Workspace::default();
    let raw: Vec<RawScores> = proposals
        .map(|targets| {
            let states = ground.tracker.simulate(ground.start(), &targets);
            raw_scores(ground, &observation, version, &states, false, &mut workspace)
        })
        .collect();
    first_best(&totals(&raw, version, ground.compat.raw_progress))
}

/// Scores of one batch, progress normalised over all of it (spec 10).
fn totals(raw: &[RawScores], version: Version, raw_progress: bool) -> Vec<f64> {
    let multiplicative = |r: &RawScores| match version {
        Version::V1 => r.nc * r.dac,
        Version::V2 => r.nc * r.dac * r.tlc * r.ddc,
    };
    let masked = |r: &RawScores| r.progress * multiplicative(r);
    let most = raw.iter().map(masked).fold(0.0, f64::max);
    let progress = |r: &RawScores| match version {
        _ if !(most > NO_PROGRESS) && version == Version::V1 && multiplicative(r) == 0.0 => 0.0,
        _ if !(most > NO_PROGRESS) => 1.0,
        Version::V2 if raw_progress => (r.progress / most).clamp(0.0, 1.0),
        _ => masked(r) / most,
    };
    let weighted = |r: &RawScores| match version {
        Version::V1 => (5.0 * progress(r) + 5.0 * r.ttc + 2.0 * r.comfort) / 12.0,
        Version::V2 => (5.0 * progress(r) + 5.0 * r.ttc + 2.0 * r.lk + 2.0 * r.comfort) / 14.0,
    };
    raw.iter().map(|r| multiplicative(r) * weighted(r)).collect()
}

/// The first largest; something that is not a number counts as largest, as in numpy.
fn first_best(scores: &[f64]) -> usize {
    if let Some(nan) = scores.iter().position(|s| s.is_nan()) {
        return nan;
    }
    let mut best = 0;
    for (i, score) in scores.iter().enumerate() {
        if *score > scores[best] {
            best = i;
        }
    }
    best
}
