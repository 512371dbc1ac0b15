//! What infractions cost: the driving score is the completed share of the route times the product of a coefficient for
//! each infraction (Bench2Drive's evaluator, which is that of CARLA's leaderboard 2.0 with a longer list).

use sim::event::EventKind;

/// The coefficient of an event; `None` when it costs nothing by itself.
///
/// Leaving the lanes has no coefficient of its own but a factor for the whole way, [`factor`]. Endings (deviation, blocked)
/// cost only what is not driven; running out of time costs in addition.
pub fn coefficient(kind: EventKind) -> Option<f64> {
    match kind {
        EventKind::CollisionPedestrian => Some(0.5),
        EventKind::CollisionVehicle => Some(0.6),
        EventKind::CollisionStatic => Some(0.65),
        EventKind::RedLight => Some(0.7),
        EventKind::StopSign => Some(0.8),
        EventKind::Timeout => Some(0.7),
        EventKind::YieldEmergency => Some(0.7),
        EventKind::OffRoad
        | EventKind::OffRoute
        | EventKind::Deviation
        | EventKind::Blocked
        | EventKind::Complete
        | EventKind::NearMiss => None,
    }
}

/// The product of the coefficients of all events and of the share of the way driven inside the lanes (`outside` in
/// `[0, 1]` is the share outside them).
pub fn factor(events: impl IntoIterator<Item = EventKind>, outside: f64) -> f64 {
    let product: f64 = events.into_iter().filter_map(coefficient).product();
    product * (1.0 - outside.clamp(0.0, 1.0))
}

/// Whether an event keeps a route from being a success.
///
/// Deviation 1: a manoeuvre through the oncoming lane (`OffRoute`) alone does not, because two-way families ask for it; its
/// share of the way still lowers the score. Leaving the road does.
pub fn spoils(kind: EventKind) -> bool {
    !matches!(kind, EventKind::Complete | EventKind::NearMiss | EventKind::OffRoute)
}

/// The words of tables.
pub fn name(kind: EventKind) -> &'static str {
    match kind {
        EventKind::CollisionPedestrian => "collision with a pedestrian",
        EventKind::CollisionVehicle => "collision with a vehicle",
        EventKind::CollisionStatic => "collision with a solid",
        EventKind::RedLight => "red light",
        EventKind::StopSign => "stop sign",
        EventKind::YieldEmergency => "emergency vehicle held up",
        EventKind::OffRoad => "off the road",
        EventKind::OffRoute => "outside its lanes",
        EventKind::Deviation => "left the route",
        EventKind::Blocked => "blocked",
        EventKind::Timeout => "out of time",
        EventKind::Complete => "complete",
        EventKind::NearMiss => "near miss",
    }
}

/// Kinds in the order of tables.
pub const TABLE: [EventKind; 12] = [
    EventKind::CollisionPedestrian,
    EventKind::CollisionVehicle,
    EventKind::CollisionStatic,
    EventKind::RedLight,
    EventKind::StopSign,
    EventKind::YieldEmergency,
    EventKind::OffRoad,
    EventKind::OffRoute,
    EventKind::Deviation,
    EventKind::Blocked,
    EventKind::Timeout,
    EventKind::NearMiss,
];

#[cfg(test)]
mod tests {
    use super::*;
    use EventKind::*;

    #[test]
    fn each_coefficient_and_their_product() {
        let close = |events: &[EventKind], outside: f64, expected: f64| {
            let got = factor(events.iter().copied(), outside);
            assert!((got - expected).abs() < 1e-12, "{events:?} {got}");
        };
        close(&[], 0.0, 1.0);
        close(&[Complete, NearMiss, OffRoute, OffRoad, Deviation, Blocked], 0.0, 1.0);
        for (kind, cost) in [
            (CollisionPedestrian, 0.5),
            (CollisionVehicle, 0.6),
            (CollisionStatic, 0.65),
            (RedLight, 0.7),
            (StopSign, 0.8),
            (Timeout, 0.7),
            (YieldEmergency, 0.7),
        ] {
            close(&[kind], 0.0, cost);
        }
        // Two vehicles and a stop sign, a quarter of the way outside the lanes: 0.6 * 0.6 * 0.8 * 0.75.
        close(&[CollisionVehicle, CollisionVehicle, StopSign], 0.25, 0.216);
    }
}
