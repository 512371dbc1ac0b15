//! The driving score of a few seconds.

use super::roll::Rolled;
use crate::driving::penalty;
use sim::event::EventKind;

/// x
pub fn factor(rolled: &Rolled) -> f64 {
    let collision = |e: &EventKind| {
        matches!(e, EventKind::CollisionPedestrian | EventKind::CollisionVehicle | EventKind::CollisionStatic)
    };
    let mut factor = penalty::factor(rolled.events.iter().copied(), rolled.outside);
    if rolled.events.iter().any(collision) {
        factor *= 0.1;
    }
    if rolled.events.contains(&EventKind::OffRoad) {
        factor *= 0.5;
    }
    factor
}

/// x
pub fn scores(rolled: &[Rolled], expert: &Rolled) -> Vec<f64> {
    let gained = |r: &Rolled| r.progress.min(expert.progress) * factor(r);
    let best = rolled.iter().chain([expert]).map(gained).fold(0.0, f64::max);
    rolled.iter().map(|r| if best > 5.0 { gained(r) / best } else { factor(r) }).collect()
}
