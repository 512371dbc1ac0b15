//! All proposals are simulated and scored as one batch; the first best wins.

use super::forecast::Forecast;
use crate::pdm::aggregate::combine_batch;
use crate::pdm::{Ground, RawScores, Version, Workspace, raw_scores};
use scene::Pose;
use scene::dynamics::{STATES, Tracker};

/// The index of the best proposal: target poses at 0, 0.1 .. 4 s. Something that is not a number counts as best, as in
/// numpy.
pub(super) fn best(
    ground: &Ground,
    forecast: &Forecast,
    version: Version,
    proposals: impl Iterator<Item = [Pose; STATES]>,
) -> usize {
    let observation = forecast.observation(version, &ground.compat);
    let tracker = Tracker::new(ground.compat.dynamics());
    let mut workspace = Workspace::default();
    let raw: Vec<RawScores> = proposals
        .map(|targets| {
            let states = tracker.simulate(ground.start(), &targets);
            raw_scores(ground, &observation, version, &states, false, &mut workspace)
        })
        .collect();
    let mut scores = Vec::with_capacity(raw.len());
    combine_batch(version, &ground.compat, &raw, &mut scores);
    let mut best: Option<(usize, f64)> = None;
    for (i, score) in scores.iter().map(|s| s.pdm_score).enumerate() {
        if best.is_none_or(|(_, most)| score > most || (score.is_nan() && !most.is_nan())) {
            best = Some((i, score));
        }
    }
    best.map_or(0, |(i, _)| i)
}
