//! The six comfort checks (spec 9.2), shared by comfort (v1) and history comfort (v2), and ego's resampled past.

use super::Compat;
use super::savgol::SavGol;
use scene::dynamics::{Knots, STATES, State, vehicle};
use scene::world::EgoStatus;
use std::f64::consts::{PI, TAU};

/// Which of the six hold: longitudinal and lateral acceleration, jerk, longitudinal jerk, yaw acceleration, yaw rate.
pub type ComfortFlags = [bool; 6];

/// Bounds in the order of [`ComfortFlags`]: m/s^2, m/s^2, m/s^3, m/s^3, rad/s^2, rad/s. Open intervals.
const BOUNDS: [(f64, f64); 6] =
    [(-4.05, 2.40), (-4.89, 4.89), (-8.37, 8.37), (-4.13, 4.13), (-1.93, 1.93), (-0.95, 0.95)];

/// What a passenger feels, sample by sample at 0.1 s. Reused memory.
#[derive(Debug, Clone, Default)]
pub(super) struct Felt {
    pub heading: Vec<f64>,
    /// Longitudinal and lateral acceleration where the passenger sits: rear axle in v1, centre in v2.
    pub lon: Vec<f64>,
    pub lat: Vec<f64>,
    /// Magnitude of the acceleration at the rear axle.
    pub magnitude: Vec<f64>,
    smooth: Vec<f64>,
    out: Vec<f64>,
}

/// Where accelerations are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seat {
    /// Rear axle (v1).
    RearAxle,
    /// Geometric centre by the reference's formula (pitfall 13).
    CenterAsPublished,
    /// Geometric centre by rigid-body kinematics.
    Center,
}

impl Felt {
    pub fn heap_bytes(&self) -> usize {
        let all = [&self.heading, &self.lon, &self.lat, &self.magnitude, &self.smooth, &self.out];
        all.iter().map(|v| v.capacity() * size_of::<f64>()).sum()
    }

    pub fn clear(&mut self) {
        for all in [&mut self.heading, &mut self.lon, &mut self.lat, &mut self.magnitude] {
            all.clear();
        }
    }

    pub fn extend(&mut self, states: &[State], seat: Seat) {
        for s in states {
            let w2 = s.yaw_rate * s.yaw_rate;
            let (lon, lat) = match seat {
                Seat::RearAxle => (s.ax, s.ay),
                Seat::CenterAsPublished => (s.ax + vehicle::TO_CENTER * (w2 + s.yaw_acceleration), s.ay),
                Seat::Center => {
                    (s.ax - vehicle::TO_CENTER * w2, s.ay + s.vx * s.yaw_rate + vehicle::TO_CENTER * s.yaw_acceleration)
                }
            };
            self.heading.push(s.heading);
            self.lon.push(lon);
            self.lat.push(lat);
            self.magnitude.push(magnitude(s.ax, s.ay));
        }
    }
}

/// Length of a vector; most have one component only.
pub(super) fn magnitude(x: f64, y: f64) -> f64 {
    if y == 0.0 { x.abs() } else { x.hypot(y) }
}

/// Takes whole turns out of the steps between headings.
pub(super) fn unwrap_headings(headings: &mut [f64]) {
    let (mut before, mut turns) = (headings.first().copied().unwrap_or(0.0), 0.0);
    for h in headings.iter_mut().skip(1) {
        let step = *h - before;
        before = *h;
        if step.abs() > PI {
            turns += (step / TAU).round_ties_even();
        }
        *h -= TAU * turns;
    }
}

/// The filters behind the six checks.
#[derive(Debug, Clone)]
pub(super) struct SixChecks {
    /// Smooths accelerations for their own check.
    acceleration: SavGol,
    /// Smooths accelerations before the derivative.
    before_jerk: SavGol,
    jerk: SavGol,
    yaw_acceleration: SavGol,
    yaw_rate: SavGol,
    seat: Seat,
    /// Whether the acceleration check can lend its smoothed samples to the jerk.
    same_smoothing: bool,
}

impl SixChecks {
    pub fn v1(compat: &Compat) -> SixChecks {
        SixChecks::new(41, smoothing_window(compat), 41, Seat::RearAxle)
    }

    pub fn v2(compat: &Compat) -> SixChecks {
        let seat = if compat.center_acceleration { Seat::CenterAsPublished } else { Seat::Center };
        SixChecks::new(smoothing_window(compat), smoothing_window(compat), 15, seat)
    }

    fn new(acceleration: usize, before_jerk: usize, jerk: usize, seat: Seat) -> SixChecks {
        SixChecks {
            acceleration: SavGol::new(acceleration, 2, 0),
            before_jerk: SavGol::new(before_jerk, 2, 0),
            jerk: SavGol::new(jerk, 2, 1),
            yaw_acceleration: SavGol::new(5, 3, 2),
            yaw_rate: SavGol::new(5, 2, 1),
            seat,
            same_smoothing: acceleration == before_jerk,
        }
    }

    /// Which checks hold for a past (may be empty) and the drive that follows it.
    pub fn flags(&self, past: &[State], states: &[State; STATES], felt: &mut Felt) -> ComfortFlags {
        felt.clear();
        felt.extend(past, self.seat);
        felt.extend(states, self.seat);
        unwrap_headings(&mut felt.heading);
        let Felt { heading, lon, lat, magnitude, smooth, out } = felt;
        smooth.resize(heading.len(), 0.0);
        out.resize(heading.len(), 0.0);
        let filtered = |filter: &SavGol, samples: &[f64], out: &mut [f64], check: usize| {
            filter.apply(samples, out);
            within(out, BOUNDS[check])
        };
        let mut flags = [false; 6];
        flags[0] = filtered(&self.acceleration, lon, smooth, 0);
        if !self.same_smoothing {
            self.before_jerk.apply(lon, smooth);
        }
        flags[3] = filtered(&self.jerk, smooth, out, 3);
        flags[1] = filtered(&self.acceleration, lat, out, 1);
        self.before_jerk.apply(magnitude, smooth);
        flags[2] = filtered(&self.jerk, smooth, out, 2);
        flags[4] = filtered(&self.yaw_acceleration, heading, out, 4);
        flags[5] = filtered(&self.yaw_rate, heading, out, 5);
        flags
    }
}

/// The window that smooths accelerations: 8, which is even (pitfall 11), or 7.
pub(super) fn smoothing_window(compat: &Compat) -> usize {
    if compat.even_window { 8 } else { 7 }
}

fn within(samples: &[f64], (low, high): (f64, f64)) -> bool {
    samples.iter().all(|&v| low < v && v < high)
}

/// Ego's past at 0.1 s (spec 9.3).
#[derive(Debug, Clone, Default)]
pub(super) struct Past {
    pub states: Vec<State>,
}

/// Longest past that is used, seconds.
const LONGEST: i64 = 10_000_000;

impl Past {
    /// Resamples earlier states, the last one being now. The reference leaves out t = 0 *and* t = -0.1 s (pitfall 10).
    pub fn new(history: &[EgoStatus], compat: &Compat) -> Past {
        let (Some(first), Some(last)) = (history.first(), history.last()) else { return Past::default() };
        let (start, end) = (first.time_us.max(last.time_us.saturating_sub(LONGEST)), last.time_us);
        let times: Vec<i64> = if compat.history_gap {
            let mut all: Vec<i64> = (start..end).step_by(100_000).collect();
            all.pop();
            all
        } else {
            (1..=(end - start) / 100_000).rev().map(|k| end - k * 100_000).collect()
        };
        let poses: Vec<_> = history.iter().map(|h| h.pose).collect();
        let stamps: Vec<i64> = history.iter().map(|h| h.time_us).collect();
        let mut knots = Knots::default();
        knots.fill_from_world(&stamps, &poses);
        let sample = |&time: &i64| {
            let hi = stamps.partition_point(|&t| t < time).clamp(1, stamps.len().max(2) - 1);
            let (a, b) = (&history[hi - 1], &history[hi.min(history.len() - 1)]);
            let (passed, span) = ((time - a.time_us) as f64, (b.time_us - a.time_us) as f64);
            let between = |from: f64, to: f64| if span > 0.0 { (to - from) / span * passed + from } else { from };
            let pose = knots.at(time);
            State {
                x: pose.x,
                y: pose.y,
                heading: pose.heading,
                vx: between(a.velocity[0], b.velocity[0]),
                vy: between(a.velocity[1], b.velocity[1]),
                ax: between(a.acceleration[0], b.acceleration[0]),
                ay: between(a.acceleration[1], b.acceleration[1]),
                ..State::default()
            }
        };
        Past { states: times.iter().map(sample).collect() }
    }
}
