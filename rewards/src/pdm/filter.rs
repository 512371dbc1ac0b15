//! The human-penalty filter (spec 11, v2): where the human scored 0, so may the planner.

use super::{RawScores, Scores};

/// Sets to 1 every sub-score in which the human, scored alone, has exactly 0 (0.5 does not count, pitfall 15).
/// Progress of a lone drive is always 1 and so is history comfort without a past, hence neither is ever excused.
pub(super) fn excuse(s: &mut Scores, human: &RawScores) {
    let pairs = [
        (&mut s.nc, human.nc),
        (&mut s.dac, human.dac),
        (&mut s.ddc, human.ddc),
        (&mut s.tlc, human.tlc),
        (&mut s.ttc, human.ttc),
        (&mut s.lk, human.lk),
        (&mut s.comfort, human.comfort),
    ];
    for (model, human) in pairs {
        if human == 0.0 {
            *model = 1.0;
        }
    }
}
