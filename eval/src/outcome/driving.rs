//! The driving score of a few seconds: what infractions cost, times progress as a share of the expert's, whose drive is the
//! best plan's.
//!
//! Coefficients are those of the route score ([`penalty`]), deviations:
//! 1. A collision costs ten times as much. On a route it costs what comes after it too; here nothing comes after it.
//! 2. Leaving the road, which has no coefficient but keeps a route from being a success, costs half.
//! 3. Going further than the expert gains nothing: it knows how fast one may go.
//! 4. The share of the way outside the lanes counts as far as it is larger than the expert's, who goes around what
//!    stands in the way and nowhere else.
//! 5. Where the expert gains 5 m or less, as in front of a red light, progress does not count (as in the PDM score).

use super::roll::Rolled;
use crate::driving::penalty;
use rewards::Outcome;
use sim::event::EventKind;

/// Of what a collision leaves over.
const COLLISION: f64 = 0.1;
/// What leaving the road leaves over.
const OFF_ROAD: f64 = 0.5;
/// Metres that the expert must gain for progress to count.
const LEAST_PROGRESS: f64 = 5.0;
/// Share of the expert's progress below which progress is what cost a plan most.
const SLOW: f64 = 0.9;

/// What an event leaves over.
fn coefficient(kind: EventKind) -> f64 {
    let more = match kind {
        EventKind::CollisionPedestrian | EventKind::CollisionVehicle | EventKind::CollisionStatic => COLLISION,
        EventKind::OffRoad => OFF_ROAD,
        _ => 1.0,
    };
    more * penalty::coefficient(kind).unwrap_or(1.0)
}

/// Outcomes without PDM scores of drives from one moment, beside the expert's.
pub fn outcomes(rolled: &[Rolled], expert: &Rolled) -> Vec<Outcome> {
    let penalties: Vec<f64> = rolled
        .iter()
        .map(|r| {
            let product: f64 = r.events.iter().map(|&kind| coefficient(kind)).product();
            product * (1.0 - (r.outside - expert.outside).clamp(0.0, 1.0))
        })
        .collect();
    let outcome = |(r, &penalty): (&Rolled, &f64)| {
        let counts = expert.progress > LEAST_PROGRESS;
        let progress = if counts { (r.progress / expert.progress).clamp(0.0, 1.0) } else { 1.0 };
        let worst = r.events.iter().copied().min_by(|a, b| coefficient(*a).total_cmp(&coefficient(*b)));
        let cost = match worst.filter(|&kind| coefficient(kind) < 1.0) {
            Some(kind) => penalty::name(kind),
            None if penalty < 1.0 => penalty::name(EventKind::OffRoute),
            None if progress < SLOW => "little progress",
            None => "",
        };
        Outcome { driving: penalty * progress, pdms: None, utility: None, penalty, progress, as_said: false, cost }
    };
    rolled.iter().zip(&penalties).map(outcome).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::scene::{MetaAction, Trajectory};
    use EventKind::*;

    fn drive(progress: f64, outside: f64, events: &[EventKind]) -> Rolled {
        let (ego, future) = (Vec::new(), Trajectory::half_second(Vec::new()));
        Rolled { ego, events: events.to_vec(), progress, outside, future, action: MetaAction::KEEP_STRAIGHT }
    }

    #[test]
    fn by_hand() {
        let expert = drive(20.0, 0.0, &[]);
        let rolled = [
            drive(20.0, 0.0, &[NearMiss, Complete]),
            drive(30.0, 0.0, &[]),
            drive(10.0, 0.0, &[]),
            drive(20.0, 0.0, &[CollisionVehicle]),
            drive(10.0, 0.0, &[CollisionPedestrian, OffRoad]),
            drive(30.0, 0.0, &[RedLight]),
            drive(20.0, 0.25, &[OffRoute]),
        ];
        let expected = [
            (1.0, ""),
            (1.0, ""),
            (0.5, "little progress"),
            (0.06, "collision with a vehicle"),
            (0.0125, "collision with a pedestrian"),
            (0.7, "red light"),
            (0.75, "outside its lanes"),
        ];
        let check = |rolled: &[Rolled], expert: &Rolled, expected: &[(f64, &str)]| {
            for (found, (driving, cost)) in outcomes(rolled, expert).iter().zip(expected) {
                assert!((found.driving - driving).abs() < 1e-12 && found.cost == *cost, "{found:?}: {driving} {cost}");
            }
        };
        check(&rolled, &expert, &expected);
        // The expert goes around something: what it leaves its lanes for is no fault of others.
        let around = drive(20.0, 0.25, &[]);
        check(&rolled[6..], &around, &[(1.0, "")]);
        // In front of a red light nobody needs to get on.
        let waits = drive(3.0, 0.0, &[]);
        check(&[drive(0.0, 0.0, &[]), drive(9.0, 0.0, &[RedLight])], &waits, &[(1.0, ""), (0.7, "red light")]);
    }
}
