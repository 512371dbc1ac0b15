//! Drivable-area compliance, 0 or 1 (spec 7.2).

use super::areas::EgoAreas;

/// 0 as soon as one corner leaves the drivable ground at one step.
pub(super) fn drivable_area(areas: &EgoAreas) -> f64 {
    if areas.non_drivable == 0 { 1.0 } else { 0.0 }
}
