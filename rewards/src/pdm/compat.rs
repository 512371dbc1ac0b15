//! Quirks of the reference implementation, one named switch each.

use scene::dynamics::Quirks;
use serde::{Deserialize, Serialize};

/// Which version of the metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Version {
    /// PDMS, NAVSIM v1.1.
    V1,
    /// EPDMS, NAVSIM v2.2.
    #[default]
    V2,
}

/// Every quirk on (`true`) reproduces the published numbers. Off takes the sane alternative that each field names.
/// Pitfalls without a sane alternative (conventions such as strict interiors, pitfall 9; definitions such as
/// intersections in DDC, pitfall 16; single-precision input, pitfall 20) have no switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Compat {
    /// Pitfall 1: the velocity fit penalises accelerations. Off: differences of accelerations.
    pub overwritten_regulariser: bool,
    /// Pitfall 2: the bicycle steps 0.09999999999999999 s. Off: 0.1 s.
    pub truncated_step: bool,
    /// Pitfall 4: heading, velocity and type of an agent are those of its first frame. Off: of the current frame.
    pub first_seen_attributes: bool,
    /// Pitfall 5: a track seen in one 2 Hz frame stands in every 10 Hz frame. Off: only in that frame.
    pub frozen_single_detections: bool,
    /// Pitfall 6 (v2): tracks that overlap ego at t = 0 are removed for good. Off: kept.
    pub drop_initial_overlaps: bool,
    /// Pitfall 7 (v2): TTC looks at t = 0..3.1 s. Off: at every step, with the look-aheads that still have frames.
    pub short_ttc: bool,
    /// Pitfall 8: rounding in `acos` can make a point neither ahead nor behind. Off: the cosine is clamped.
    pub arccos_nan: bool,
    /// Pitfall 10 (v2): the sample at t = -0.1 s is missing from history comfort. Off: it is there.
    pub history_gap: bool,
    /// Pitfall 11: even Savitzky-Golay windows are half a sample late. Off: the next smaller odd window.
    pub even_window: bool,
    /// Pitfall 12: extended comfort takes yaw acceleration from a parabola. Off: from a cubic, as comfort does.
    pub extended_yaw_parabola: bool,
    /// Pitfall 13 (v2): `a_x + 1.461 (omega^2 + alpha)`, `a_y` at the centre. Off: rigid-body kinematics,
    /// `a_x - 1.461 omega^2`, `a_y + v omega + 1.461 alpha`.
    pub center_acceleration: bool,
    /// Pitfall 14 (v2): raw progress over the best masked one. Off: masked progress, as in v1.
    pub raw_progress: bool,
    /// Pitfall 15 (v2): `pdm_score` ignores the human filter. Off: it is recomputed.
    pub unfiltered_pdm_score: bool,
    /// Pitfall 17 (v2): intersections pause the lane-keeping counter. Off: they reset it.
    pub lane_keeping_pause: bool,
    /// Pitfall 18 (v2): standing on a red connector at t = 0 counts. Off: connectors touched at t = 0 are excused.
    pub red_light_at_start: bool,
    /// Pitfall 19: times are cut to whole microseconds. Off: exact.
    pub truncated_times: bool,
}

impl Default for Compat {
    fn default() -> Self {
        Compat::all(true)
    }
}

impl Compat {
    fn all(on: bool) -> Compat {
        Compat {
            overwritten_regulariser: on,
            truncated_step: on,
            first_seen_attributes: on,
            frozen_single_detections: on,
            drop_initial_overlaps: on,
            short_ttc: on,
            arccos_nan: on,
            history_gap: on,
            even_window: on,
            extended_yaw_parabola: on,
            center_acceleration: on,
            raw_progress: on,
            unfiltered_pdm_score: on,
            lane_keeping_pause: on,
            red_light_at_start: on,
            truncated_times: on,
        }
    }

    /// The published metric.
    pub fn reference() -> Compat {
        Compat::all(true)
    }

    /// Every quirk replaced by its sane alternative.
    pub fn fixed() -> Compat {
        Compat::all(false)
    }

    /// The part that concerns the simulation.
    pub fn dynamics(&self) -> Quirks {
        Quirks {
            overwritten_regulariser: self.overwritten_regulariser,
            truncated_step: self.truncated_step,
            truncated_times: self.truncated_times,
        }
    }
}
