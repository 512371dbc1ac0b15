//! Whether plans are comfortable, from the ego's state alone: what a planner can know of history comfort before it drives.
//!
//! The same simulation and the same six checks as history comfort (v2). Ego's past, which the score sees and a planner
//! seldom has, is taken to have gone on as now.

use super::comfort::{Felt, SixChecks};
use super::{Compat, PdmError, check_plan};
use scene::dynamics::{Knots, STATES, State, Tracker, targets};
use scene::world::EgoStatus;
use scene::{Pose, Trajectory};

/// Seconds of past, in steps of 0.1 s.
const PAST: usize = 15;

/// The checks, with memory to reuse.
#[derive(Debug, Clone)]
pub struct RideCheck {
    compat: Compat,
    tracker: Tracker,
    checks: SixChecks,
    felt: Felt,
    knots: Knots,
}

impl Default for RideCheck {
    fn default() -> Self {
        let compat = Compat::fixed();
        RideCheck {
            compat,
            tracker: Tracker::new(compat.dynamics()),
            checks: SixChecks::v2(&compat),
            felt: Felt::default(),
            knots: Knots::default(),
        }
    }
}

impl RideCheck {
    /// Whether a plan is comfortable at a speed (m/s) and an acceleration (m/s2) along the car.
    ///
    /// # Errors
    /// A plan that is not 8 finite poses.
    pub fn comfortable(&mut self, speed: f64, acceleration: f64, plan: &Trajectory) -> Result<bool, PdmError> {
        check_plan(0, plan)?;
        let ego =
            EgoStatus { time_us: 0, pose: Pose::ORIGIN, velocity: [speed, 0.0], acceleration: [acceleration, 0.0] };
        self.knots.fill_from_plan(&ego, plan, self.compat.dynamics());
        let mut states = [State::default(); STATES];
        states[0] = State::of_ego(&ego);
        self.tracker.simulate_into(&mut states, &targets(&self.knots, ego.time_us, self.compat.dynamics()));
        let mut past = [states[0]; PAST];
        for (i, state) in past.iter_mut().enumerate() {
            let ago = (PAST - i) as f64 * 0.1;
            state.vx = (speed - acceleration * ago).max(0.0);
            state.x = -(speed - 0.5 * acceleration * ago) * ago;
        }
        Ok(self.checks.flags(&past, &states, &mut self.felt).iter().all(|ok| *ok))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn plan(speed: f64, acceleration: f64) -> Trajectory {
        let pose = |k: usize| {
            let t = 0.5 * k as f64;
            Pose::new(speed * t + 0.5 * acceleration * t * t, 0.0, 0.0)
        };
        Trajectory::half_second((1..=8).map(pose).collect())
    }

    #[test]
    fn gentle_is_comfortable_and_hard_is_not() {
        let mut check = RideCheck::default();
        let mut says = |speed, now, then| check.comfortable(speed, now, &plan(speed, then)).unwrap();
        assert!(says(10.0, 0.0, 0.0) && says(10.0, 0.0, -1.0) && says(10.0, 0.0, 1.0) && says(0.0, 0.0, 0.0));
        assert!(!says(15.0, 0.0, 3.5) && !says(15.0, 0.0, -6.0) && !says(15.0, 2.0, -4.0));
        assert!(says(10.0, -2.0, -2.0), "what goes on as it was");
        assert!(check.comfortable(1.0, 0.0, &Trajectory::half_second(Vec::new())).is_err());
    }
}
