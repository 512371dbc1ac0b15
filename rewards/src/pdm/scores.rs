//! What comes out of the scorer.

use serde::{Deserialize, Serialize};

/// The sub-scores of one trajectory before progress is normalised: everything that needs no other trajectory.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RawScores {
    /// No at-fault collision: 0, 0.5 or 1.
    pub nc: f64,
    /// Drivable-area compliance: 0 or 1.
    pub dac: f64,
    /// Driving-direction compliance: 0, 0.5 or 1.
    pub ddc: f64,
    /// Traffic-light compliance: 0 or 1; 1 in v1.
    pub tlc: f64,
    /// Time to collision within bound: 0 or 1.
    pub ttc: f64,
    /// Lane keeping: 0 or 1; 1 in v1.
    pub lk: f64,
    /// History comfort in v2, comfort in v1: 0 or 1.
    pub comfort: f64,
    /// Metres along the centre line, not negative.
    pub progress: f64,
    /// First step (0..40) with an at-fault collision.
    pub first_at_fault: Option<u8>,
    /// First step (0..40) with a time-to-collision violation.
    pub first_ttc: Option<u8>,
}

/// The scores of one trajectory. In v1 `tlc` and `lk` are 1 and without weight, `comfort` is C.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// No at-fault collision.
    pub nc: f64,
    /// Drivable-area compliance.
    pub dac: f64,
    /// Driving-direction compliance (v1: weight 0).
    pub ddc: f64,
    /// Traffic-light compliance (v2).
    pub tlc: f64,
    /// Ego progress, 0..1.
    pub ep: f64,
    /// Time to collision within bound.
    pub ttc: f64,
    /// Lane keeping (v2).
    pub lk: f64,
    /// History comfort (v2) or comfort (v1).
    pub comfort: f64,
    /// Extended comfort (v2); `None` without a plan of the previous frame: weight 0.
    pub ec: Option<f64>,
    /// Product of the multiplicative metrics.
    pub multiplicative: f64,
    /// v2: the 14-weight score without EC; v1: the PDMS.
    pub pdm_score: f64,
    /// v2: the EPDMS with EC (if any); v1: the PDMS.
    pub total: f64,
    /// The raw numbers behind it.
    pub raw: RawScores,
}
