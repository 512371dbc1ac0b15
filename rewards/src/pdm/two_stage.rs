//! Two-stage aggregation (spec 12.3) and the extended comfort of a log (spec 12.2), v2.

use super::aggregate::epdms;
use super::ec::{EcFilters, Ride, extended_comfort};
use super::{PdmError, Scores};
use scene::geometry::Point;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// Variance of the Gaussian that weights second-stage scenes, square metres.
const VARIANCE: f64 = 0.1;
/// A sum of weights this small counts as none: the weights become uniform.
const NO_WEIGHT: f64 = 1e-8;

/// Which second-stage scenes continue a first-stage scene.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mapping {
    /// Token of the first-stage scene.
    pub now: String,
    /// Token of the first-stage scene 0.5 s before.
    pub previous: String,
    /// Second-stage tokens: now and 0.5 s before.
    pub pairs: Vec<(String, String)>,
}

/// One scored frame.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    /// Seconds.
    pub start_time: f64,
    /// Last pose of the plan (not of its simulation), world metres.
    pub endpoint: Point,
    /// Ego's rear axle, world metres.
    pub start_point: Point,
    /// Sub-scores, filtered where the filter applies; `ec` and `total` are overwritten.
    pub scores: Scores,
    /// The simulated plan.
    pub ride: Ride,
}

/// Number of averaged columns.
const COLUMNS: usize = 10;

/// Averages over scenes of every sub-score and of the EPDMS; `NaN` (serialised as null) where nothing counts.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Averages {
    /// NC.
    pub no_at_fault_collisions: f64,
    /// DAC.
    pub drivable_area_compliance: f64,
    /// DDC.
    pub driving_direction_compliance: f64,
    /// TLC.
    pub traffic_light_compliance: f64,
    /// EP.
    pub ego_progress: f64,
    /// TTC.
    pub time_to_collision_within_bound: f64,
    /// LK.
    pub lane_keeping: f64,
    /// HC.
    pub history_comfort: f64,
    /// EC.
    pub two_frame_extended_comfort: f64,
    /// EPDMS.
    pub score: f64,
}

/// What became of one token.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TokenResult {
    /// The token.
    pub token: String,
    /// Its weight within its branch; 1 in stage one.
    pub weight: f64,
    /// Extended comfort; `None` when the pair's interval does not allow it.
    pub ec: Option<f64>,
    /// EPDMS.
    pub score: f64,
}

/// The outcome of a two-stage evaluation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TwoStage {
    /// One entry per token in the order of the mapping: now, previous, then the pairs.
    pub rows: Vec<TokenResult>,
    /// Stage one times stage two, averaged.
    pub combined: Averages,
    /// Stage one alone.
    pub stage_one: Averages,
    /// Stage two alone.
    pub stage_two: Averages,
}

type Row = [f64; COLUMNS];

/// Aggregates scored frames over the mapping.
pub fn two_stage(
    mapping: &[Mapping],
    frames: &HashMap<String, Frame>,
    filters: &EcFilters,
) -> Result<TwoStage, PdmError> {
    let frame = |token: &str| frames.get(token).ok_or_else(|| PdmError::Token(token.into()));
    let (mut rows, mut combined, mut ones, mut twos) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for entry in mapping {
        let (now, previous) = (frame(&entry.now)?, frame(&entry.previous)?);
        let ec = pair_comfort(now, previous, filters);
        let mut branches = [Branch::new(now, ec), Branch::new(previous, ec)];
        for (branch, token) in branches.iter().zip([&entry.now, &entry.previous]) {
            rows.push(token_result(token, 1.0, ec, &branch.stage_one));
        }
        let mut comforts = Vec::new();
        for (now, previous) in &entry.pairs {
            let (now, previous) = (frame(now)?, frame(previous)?);
            let ec = pair_comfort(now, previous, filters);
            comforts.push(ec);
            branches[0].add(now, ec);
            branches[1].add(previous, ec);
        }
        for branch in &mut branches {
            branch.normalise();
            let two = branch.stage_two();
            ones.push(branch.stage_one);
            twos.push(two);
        }
        for (i, (pair, ec)) in entry.pairs.iter().zip(comforts).enumerate() {
            for (branch, token) in branches.iter().zip([&pair.0, &pair.1]) {
                let (weight, row) = (branch.weights[i], &branch.rows[i]);
                rows.push(token_result(token, weight, ec, row));
            }
        }
        let product = |b: &Branch| -> Row { zip(&b.stage_one, &b.stage_two(), |x, y| x * y) };
        combined.push(zip(&product(&branches[0]), &product(&branches[1]), |x, y| 0.5 * (x + y)));
    }
    Ok(TwoStage {
        rows,
        combined: mean(&combined).into(),
        stage_one: mean(&ones).into(),
        stage_two: mean(&twos).into(),
    })
}

fn token_result(token: &str, weight: f64, ec: Option<f64>, row: &Row) -> TokenResult {
    TokenResult { token: token.into(), weight, ec, score: row[COLUMNS - 1] }
}

/// A first-stage frame and the second-stage frames that continue it.
struct Branch {
    end: Point,
    stage_one: Row,
    rows: Vec<Row>,
    weights: Vec<f64>,
}

impl Branch {
    fn new(frame: &Frame, ec: Option<f64>) -> Branch {
        Branch { end: frame.endpoint, stage_one: row(&frame.scores, ec), rows: Vec::new(), weights: Vec::new() }
    }

    fn add(&mut self, frame: &Frame, ec: Option<f64>) {
        let (dx, dy) = (self.end[0] - frame.start_point[0], self.end[1] - frame.start_point[1]);
        self.weights.push((-(dx * dx + dy * dy) / (2.0 * VARIANCE)).exp());
        self.rows.push(row(&frame.scores, ec));
    }

    fn normalise(&mut self) {
        let sum: f64 = self.weights.iter().sum();
        let uniform = 1.0 / self.weights.len() as f64;
        let none = sum.is_nan() || sum.abs() <= NO_WEIGHT;
        self.weights.iter_mut().for_each(|w| *w = if none { uniform } else { *w / sum });
    }

    fn stage_two(&self) -> Row {
        let total: f64 = self.weights.iter().sum();
        std::array::from_fn(|c| self.weights.iter().zip(&self.rows).map(|(w, r)| w * r[c]).sum::<f64>() / total)
    }
}

fn row(scores: &Scores, ec: Option<f64>) -> Row {
    let s = Scores { ec, ..*scores };
    [s.nc, s.dac, s.ddc, s.tlc, s.ep, s.ttc, s.lk, s.comfort, ec.unwrap_or(f64::NAN), epdms(&s)]
}

fn zip(a: &Row, b: &Row, f: impl Fn(f64, f64) -> f64) -> Row {
    std::array::from_fn(|c| f(a[c], b[c]))
}

/// Column means over the rows that have a number.
fn mean(rows: &[Row]) -> Row {
    std::array::from_fn(|c| {
        let column = || rows.iter().map(|r| r[c]).filter(|v| !v.is_nan());
        column().sum::<f64>() / column().count() as f64
    })
}

/// Extended comfort of two frames of one place; `None` when their interval does not allow it.
fn pair_comfort(now: &Frame, previous: &Frame, filters: &EcFilters) -> Option<f64> {
    extended_comfort(&now.ride, &previous.ride, now.start_time - previous.start_time, filters).ok().map(|ec| ec.score)
}

/// Extended comfort of every frame of one log from its time stamps (seconds, in any order) and simulated plans:
/// `None` where no frame precedes by at most 0.55 s (spec 12.2). In the order of the input.
pub fn log_comfort(frames: &[(f64, &Ride)], filters: &EcFilters) -> Vec<Option<f64>> {
    let mut order: Vec<usize> = (0..frames.len()).collect();
    order.sort_by(|&a, &b| frames[a].0.total_cmp(&frames[b].0));
    let mut all = vec![None; frames.len()];
    for pair in order.windows(2) {
        let ((before, previous), (time, now)) = (frames[pair[0]], frames[pair[1]]);
        all[pair[1]] = extended_comfort(now, previous, time - before, filters).ok().map(|ec| ec.score);
    }
    all
}

impl From<Row> for Averages {
    fn from(r: Row) -> Self {
        Averages {
            no_at_fault_collisions: r[0],
            drivable_area_compliance: r[1],
            driving_direction_compliance: r[2],
            traffic_light_compliance: r[3],
            ego_progress: r[4],
            time_to_collision_within_bound: r[5],
            lane_keeping: r[6],
            history_comfort: r[7],
            two_frame_extended_comfort: r[8],
            score: r[9],
        }
    }
}
