//! Extended comfort, 0 or 1 (spec 12.1, v2): how much the plan of this frame feels like that of the previous one.

use super::comfort::{magnitude, smoothing_window, unwrap_headings};
use super::savgol::SavGol;
use super::{Compat, PdmError};
use scene::dynamics::{INTERVAL, STATES, State};
use serde::{Deserialize, Serialize};

/// Largest root mean squares of the differences: m/s^2, m/s^3, rad/s, rad/s^2.
const LIMITS: [f64; 4] = [0.7, 0.5, 0.1, 0.1];
/// Two frames further apart (seconds) are not compared.
const LONGEST_INTERVAL: f64 = 0.55;

/// The three signals of a simulated drive that extended comfort reads, one value per state.
#[derive(Debug, Clone, PartialEq)]
pub struct Ride {
    /// Radians.
    pub heading: [f64; STATES],
    /// Magnitude of the acceleration at the rear axle, m/s^2.
    pub acceleration: [f64; STATES],
}

impl From<&[State; STATES]> for Ride {
    fn from(states: &[State; STATES]) -> Self {
        Ride {
            heading: std::array::from_fn(|t| states[t].heading),
            acceleration: std::array::from_fn(|t| magnitude(states[t].ax, states[t].ay)),
        }
    }
}

impl From<&[[f64; 3]; STATES]> for Ride {
    /// From heading and the two body-frame accelerations per state.
    fn from(states: &[[f64; 3]; STATES]) -> Self {
        Ride {
            heading: std::array::from_fn(|t| states[t][0]),
            acceleration: std::array::from_fn(|t| magnitude(states[t][1], states[t][2])),
        }
    }
}

/// Extended comfort of a pair and what it was decided on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ExtendedComfort {
    /// 0 or 1.
    pub score: f64,
    /// Root mean square differences of acceleration, jerk, yaw rate, yaw acceleration (SI).
    pub rms: [f64; 4],
}

/// The four filters.
#[derive(Debug, Clone)]
pub struct EcFilters {
    smooth: SavGol,
    jerk: SavGol,
    yaw_rate: SavGol,
    yaw_acceleration: SavGol,
}

impl EcFilters {
    /// Filters with the given quirks.
    pub fn new(compat: &Compat) -> EcFilters {
        EcFilters {
            smooth: SavGol::new(smoothing_window(compat), 2, 0),
            jerk: SavGol::new(15, 2, 1),
            yaw_rate: SavGol::new(5, 2, 1),
            yaw_acceleration: SavGol::new(5, if compat.extended_yaw_parabola { 2 } else { 3 }, 2),
        }
    }
}

/// Filtered signals of one drive: acceleration, jerk, yaw rate, yaw acceleration.
#[derive(Debug, Clone)]
pub struct Features {
    samples: usize,
    signals: [[f64; STATES]; 4],
}

impl Default for Features {
    fn default() -> Self {
        Features { samples: 0, signals: [[0.0; STATES]; 4] }
    }
}

impl Features {
    fn fill(&mut self, filters: &EcFilters, heading: &[f64], acceleration: &[f64]) {
        let n = heading.len();
        let mut unwrapped = [0.0; STATES];
        unwrapped[..n].copy_from_slice(heading);
        unwrap_headings(&mut unwrapped[..n]);
        self.samples = n;
        let [smooth, jerk, yaw_rate, yaw_acceleration] = &mut self.signals;
        filters.smooth.apply(acceleration, &mut smooth[..n]);
        filters.jerk.apply(&smooth[..n], &mut jerk[..n]);
        filters.yaw_rate.apply(&unwrapped[..n], &mut yaw_rate[..n]);
        filters.yaw_acceleration.apply(&unwrapped[..n], &mut yaw_acceleration[..n]);
    }

    /// Of this frame's drive: its first `41 - offset` states.
    pub(super) fn of_now(&mut self, filters: &EcFilters, ride: &Ride, offset: usize) {
        let n = STATES - offset.min(STATES);
        self.fill(filters, &ride.heading[..n], &ride.acceleration[..n]);
    }

    /// Of the previous frame's drive: all but its first `offset` states.
    pub(super) fn of_previous(&mut self, filters: &EcFilters, ride: &Ride, offset: usize) {
        let from = offset.min(STATES);
        self.fill(filters, &ride.heading[from..], &ride.acceleration[from..]);
    }

    pub(super) fn compare(&self, previous: &Features) -> ExtendedComfort {
        let n = self.samples.min(previous.samples);
        let rms = std::array::from_fn(|i| {
            let pairs = self.signals[i][..n].iter().zip(&previous.signals[i][..n]);
            (pairs.map(|(a, b)| (a - b) * (a - b)).sum::<f64>() / n as f64).sqrt()
        });
        let score = if rms.iter().zip(LIMITS).all(|(r, limit): (&f64, f64)| *r <= limit) { 1.0 } else { 0.0 };
        ExtendedComfort { score, rms }
    }
}

/// States by which the previous drive is ahead, from the seconds between the two frames.
pub(super) fn offset(interval: f64) -> Result<usize, PdmError> {
    if interval > 0.0 && interval < LONGEST_INTERVAL {
        Ok((interval / INTERVAL).round_ties_even() as usize)
    } else {
        Err(PdmError::Interval(interval))
    }
}

/// Extended comfort of a frame's simulated plan against that of the frame `interval` seconds before.
pub fn extended_comfort(
    now: &Ride,
    previous: &Ride,
    interval: f64,
    filters: &EcFilters,
) -> Result<ExtendedComfort, PdmError> {
    let offset = offset(interval)?;
    let (mut a, mut b) = (Features::default(), Features::default());
    a.of_now(filters, now, offset);
    b.of_previous(filters, previous, offset);
    Ok(a.compare(&b))
}
