//! The driver model (IDM) of the proposals; not the one of the traffic: other exponent, other accelerations.

use scene::dynamics::INTERVAL;

/// Shares of the speed limit that the policies want.
const FRACTIONS: [f64; 5] = [0.2, 0.4, 0.6, 0.8, 1.0];
/// m/s where the start lane has no limit.
const FALLBACK_LIMIT: f64 = 15.0;
/// Metres always kept to the leader.
const MIN_GAP: f64 = 1.0;
/// Seconds kept to the leader.
const HEADWAY: f64 = 1.5;
/// m/s^2.
const ACCEL: f64 = 1.5;
/// m/s^2, positive.
const DECEL: f64 = 3.0;
/// Exponent of the free-road term.
const EXPONENT: i32 = 10;

/// Number of policies.
pub(super) const POLICIES: usize = FRACTIONS.len();

/// The speeds in m/s that the policies want.
pub(super) fn target_speeds(limit: Option<f64>) -> [f64; POLICIES] {
    FRACTIONS.map(|f| f * limit.unwrap_or(FALLBACK_LIMIT))
}

/// Who is ahead.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Lead {
    /// Metres along the path.
    pub progress: f64,
    /// m/s along ego's heading.
    pub speed: f64,
    /// Metres to take off the gap.
    pub rear: f64,
}

/// Progress (metres) and speed (m/s; not cut at 0) after one explicit Euler step of 0.1 s.
pub(super) fn step(progress: f64, speed: f64, target: f64, lead: &Lead) -> (f64, f64) {
    let wanted = MIN_GAP + speed * HEADWAY + speed * (speed - lead.speed) / (2.0 * (ACCEL * DECEL).sqrt());
    let gap = (lead.progress - progress - lead.rear).max(MIN_GAP);
    let acceleration = ACCEL * (1.0 - (speed / target).powi(EXPONENT) - (wanted / gap).powi(2));
    // A NaN (speed 0 on a lane with limit 0) stays one, as in numpy.
    let clipped = acceleration.clamp(-DECEL, ACCEL);
    (progress + INTERVAL * speed, speed + INTERVAL * clipped)
}
