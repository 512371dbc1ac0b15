//! From sub-scores to PDMS and EPDMS (spec 10, 12.1).

use super::{Compat, RawScores, Scores, Version};

/// Progress is normalised only when the best of a batch exceeds this many metres.
const LEAST_PROGRESS: f64 = 5.0;

/// Weights of progress, time to collision, lane keeping, comfort; v2 adds [`EC_WEIGHT`].
const WEIGHTS_V1: [f64; 4] = [5.0, 5.0, 0.0, 2.0];
const WEIGHTS_V2: [f64; 4] = [5.0, 5.0, 2.0, 2.0];
const EC_WEIGHT: f64 = 2.0;

/// Product of the multiplicative metrics.
pub fn multiplicative(version: Version, raw: &RawScores) -> f64 {
    match version {
        Version::V1 => raw.nc * raw.dac,
        Version::V2 => raw.nc * raw.dac * raw.tlc * raw.ddc,
    }
}

/// The best masked progress of a batch, metres: what progress is divided by.
pub fn best_progress<'a>(version: Version, batch: impl IntoIterator<Item = &'a RawScores>) -> f64 {
    batch.into_iter().map(|raw| raw.progress * multiplicative(version, raw)).fold(f64::NEG_INFINITY, f64::max)
}

/// Normalised progress of one member of a batch whose best masked progress is `best`.
pub fn ego_progress(version: Version, compat: &Compat, raw: &RawScores, best: f64) -> f64 {
    let mul = multiplicative(version, raw);
    let masked = version == Version::V1 || !compat.raw_progress;
    match (best > LEAST_PROGRESS, masked) {
        (true, true) => raw.progress * mul / best,
        (true, false) => (raw.progress / best).clamp(0.0, 1.0),
        (false, true) if mul == 0.0 => 0.0,
        (false, _) => 1.0,
    }
}

/// The scores of one member of a batch. `human`: the scores that excuse failures (v2, spec 11); `ec`: extended
/// comfort, without weight when `None`.
pub fn combine(
    version: Version,
    compat: &Compat,
    raw: &RawScores,
    best: f64,
    human: Option<&RawScores>,
    ec: Option<f64>,
) -> Scores {
    let ep = ego_progress(version, compat, raw, best);
    let mut s = Scores {
        nc: raw.nc,
        dac: raw.dac,
        ddc: raw.ddc,
        tlc: raw.tlc,
        ep,
        ttc: raw.ttc,
        lk: raw.lk,
        comfort: raw.comfort,
        ec: if version == Version::V2 { ec } else { None },
        multiplicative: multiplicative(version, raw),
        pdm_score: 0.0,
        total: 0.0,
        raw: *raw,
    };
    s.pdm_score = s.multiplicative * weighted(version, &s, None);
    if let Some(human) = human.filter(|_| version == Version::V2) {
        super::filter::excuse(&mut s, human);
        s.multiplicative = s.nc * s.dac * s.tlc * s.ddc;
        if !compat.unfiltered_pdm_score {
            s.pdm_score = s.multiplicative * weighted(version, &s, None);
        }
    }
    s.total = s.multiplicative * weighted(version, &s, s.ec);
    s
}

/// Scores a whole batch against its own best member, as PDM-Closed does with its proposals: no filter, no extended
/// comfort. `scores` is cleared first.
pub fn combine_batch(version: Version, compat: &Compat, batch: &[RawScores], scores: &mut Vec<Scores>) {
    let best = best_progress(version, batch);
    scores.clear();
    scores.extend(batch.iter().map(|raw| combine(version, compat, raw, best, None, None)));
}

/// EPDMS from sub-scores that are final already (spec 10): multiplicative times weighted, extended comfort with
/// weight only when given.
pub fn epdms(s: &Scores) -> f64 {
    s.nc * s.dac * s.tlc * s.ddc * weighted(Version::V2, s, s.ec)
}

fn weighted(version: Version, s: &Scores, ec: Option<f64>) -> f64 {
    let weights = if version == Version::V1 { WEIGHTS_V1 } else { WEIGHTS_V2 };
    let values = [s.ep, s.ttc, s.lk, s.comfort];
    let sum: f64 = weights.iter().zip(values).map(|(w, v)| w * v).sum();
    let total: f64 = weights.iter().sum();
    match ec {
        Some(ec) => (sum + EC_WEIGHT * ec) / (total + EC_WEIGHT),
        None => sum / total,
    }
}
