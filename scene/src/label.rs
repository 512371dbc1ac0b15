//! Labelling of meta-actions from a driven trajectory, every threshold exposed.
//!
//! The published geometry is Senna's (the vocabulary's origin): [`LabelRule::senna`]. Its CHANGE class needs more
//! than 4 m of offset under a bearing of less than 5 degrees, so 46 m of travel in 3 s: impossible below 15 m/s,
//! and above it any gentle bend qualifies. The default rule therefore decides CHANGE by shape (deviation 1):
//!
//! 1. CHANGE when the car steered out and back: its final heading is within `change_heading_deg` of zero *and* within
//!    `change_return` of the largest heading it had on the way, and the offset is about a lane
//!    (`change_offset_min..=change_offset_max`) over at least `min_change_forward` metres of travel, or is any offset
//!    that Senna calls a change. Otherwise TURN or STRAIGHT by Senna's offset and bearing; a gentle bend (large
//!    offset, small bearing, heading not returned) is STRAIGHT.
//! 2. Senna's left test holds at exactly 4 m and its right test does not; ours is symmetric (neither holds).
//!
//! From the ego's own drive a lane change cannot be told from a road that shifts by a lane, or from swerving round
//! an obstacle. [`LabelRule::real_drive`] is the rule of the bundled real set: relative speed thresholds, no CHANGE.
//! [`LabelRule::sim`] is the rule of the simulator's sets, which know the lanes and decide CHANGE by them.

use crate::{MetaAction, PathAction, Pose, SpeedAction, Trajectory, pose::wrap_angle};
use serde::{Deserialize, Serialize};

/// Which speeds decide the speed label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SpeedSource {
    /// Senna: the mean speeds between the poses of the horizon; the way to the first pose is not used.
    Segments,
    /// The speed now against the speed at the horizon.
    Endpoints,
}

/// How lane changes are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeTest {
    /// No lane changes: what is no turn is STRAIGHT.
    Never,
    /// Senna: a large offset under a small bearing.
    Bearing,
    /// By shape: about a lane aside, heading returned (see the module text).
    Shape,
}

/// Thresholds of the labelling. Lengths in metres, speeds in m/s, times in seconds, angles in degrees.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LabelRule {
    /// How far ahead the plan reaches.
    pub horizon: f64,
    /// Spacing that trajectories must have.
    pub step: f64,
    /// Which speeds are compared.
    pub speed_source: SpeedSource,
    /// STOP when every speed is below this.
    pub stop_speed: f64,
    /// STOP also when the speed at the horizon is below this; 0 switches it off. `Endpoints` only.
    pub standing_speed: f64,
    /// ACCELERATE or DECELERATE when the speed changes by at least this.
    pub speed_change: f64,
    /// When above 0, the change needed is `clamp(this * speed now, speed_change_min, speed_change)`. `Endpoints` only.
    pub speed_change_gain: f64,
    /// Lower end of that clamp.
    pub speed_change_min: f64,
    /// A turn needs more lateral offset than this.
    pub lateral: f64,
    /// A turn needs at least this bearing of the end point.
    pub angle_deg: f64,
    /// When above 0, a turn needs more than this final heading instead of an offset and a bearing.
    pub turn_heading_deg: f64,
    /// How lane changes are found.
    pub change: ChangeTest,
    /// Smallest offset of a lane change (`Shape`).
    pub change_offset_min: f64,
    /// Largest offset of a lane change (`Shape`).
    pub change_offset_max: f64,
    /// A lane change ends with at most this heading (`Shape`).
    pub change_heading_deg: f64,
    /// A lane change ends with at most this share of the largest heading on the way (`Shape`).
    pub change_return: f64,
    /// A lane change covers at least this much road; below it, sideways moves are manoeuvres (`Shape`).
    pub min_change_forward: f64,
}

impl Default for LabelRule {
    fn default() -> Self {
        LabelRule {
            horizon: 3.0,
            step: 0.5,
            speed_source: SpeedSource::Segments,
            stop_speed: 2.0,
            standing_speed: 0.0,
            speed_change: 3.0,
            speed_change_gain: 0.0,
            speed_change_min: 0.5,
            lateral: 4.0,
            angle_deg: 5.0,
            turn_heading_deg: 0.0,
            change: ChangeTest::Shape,
            change_offset_min: 2.5,
            change_offset_max: 5.5,
            change_heading_deg: 5.0,
            change_return: 0.5,
            min_change_forward: 10.0,
        }
    }
}

/// Why a trajectory cannot be labelled.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum LabelError {
    /// The future ends before the horizon.
    #[error("the future covers {have} poses ({seconds} s); the label needs {need} ({horizon} s)")]
    TooShort {
        /// Poses given.
        have: usize,
        /// Poses needed.
        need: usize,
        /// Seconds given.
        seconds: f64,
        /// Seconds needed.
        horizon: f64,
    },
    /// A NaN or an infinity.
    #[error("pose {index} of the future is not finite: [{x}, {y}, {heading}]")]
    NonFinite {
        /// Which pose, from 0.
        index: usize,
        /// Its x.
        x: f64,
        /// Its y.
        y: f64,
        /// Its heading.
        heading: f64,
    },
    /// The ego speed is NaN, infinite or negative, or missing where the rule needs it.
    #[error("the ego speed is {value}; it must be a finite number of m/s, not negative")]
    Speed {
        /// The value as text, or "missing".
        value: String,
    },
    /// Poses at another spacing than the rule expects.
    #[error("the future has a step of {step} s; the labelling rule needs {expected} s")]
    WrongStep {
        /// Given.
        step: f64,
        /// Needed.
        expected: f64,
    },
    /// The rule itself makes no sense.
    #[error("label rule: {field} is {value}; it must be {allowed}")]
    Rule {
        /// Field name.
        field: &'static str,
        /// Its value.
        value: f64,
        /// What is allowed.
        allowed: &'static str,
    },
}

impl LabelRule {
    /// Senna's published rule: Senna's CHANGE test, otherwise the default.
    pub fn senna() -> Self {
        LabelRule { change: ChangeTest::Bearing, ..LabelRule::default() }
    }

    /// The rule of the bundled real recordings: `tau = clamp(0.2 v0, 0.5, 3.0)`, STOP also below 0.5 m/s at the end,
    /// turns by Senna's geometry, no lane changes.
    pub fn real_drive() -> Self {
        LabelRule {
            speed_source: SpeedSource::Endpoints,
            standing_speed: 0.5,
            speed_change_gain: 0.2,
            change: ChangeTest::Never,
            ..LabelRule::default()
        }
    }

    /// The rule of the simulator's sets: the speed changes by 1 m/s, STOP below 0.5 m/s at the end, turns by more than
    /// 20 degrees of heading. CHANGE by shape stands in for the lanes that the simulator knows.
    pub fn sim() -> Self {
        LabelRule {
            speed_source: SpeedSource::Endpoints,
            stop_speed: 0.5,
            standing_speed: 0.5,
            speed_change: 1.0,
            turn_heading_deg: 20.0,
            ..LabelRule::default()
        }
    }

    /// A rule by name: `default`, `senna`, `real_drive` or `sim`.
    pub fn preset(name: &str) -> Option<Self> {
        match name {
            "default" => Some(LabelRule::default()),
            "senna" => Some(LabelRule::senna()),
            "real_drive" => Some(LabelRule::real_drive()),
            "sim" => Some(LabelRule::sim()),
            _ => None,
        }
    }

    /// Both labels. `speed_now` (m/s) is needed by rules with [`SpeedSource::Endpoints`] and ignored by others.
    ///
    /// # Errors
    /// See [`LabelError`].
    pub fn label(&self, future: &Trajectory, speed_now: Option<f64>) -> Result<MetaAction, LabelError> {
        Ok(MetaAction { speed: self.speed(future, speed_now)?, path: self.path(future)? })
    }

    /// The speed label. With [`SpeedSource::Endpoints`] the speed at the horizon is the mean over the steps before and
    /// after it, or over the last step when the future ends there.
    ///
    /// # Errors
    /// See [`LabelError`].
    pub fn speed(&self, future: &Trajectory, speed_now: Option<f64>) -> Result<SpeedAction, LabelError> {
        let n = self.check(future)?;
        let speeds = future.speeds();
        let (change, needed, stands) = match self.speed_source {
            SpeedSource::Segments => {
                let used = speeds.get(1..n).unwrap_or_default();
                let (Some(first), Some(last)) = (used.first(), used.last()) else {
                    return Err(LabelError::Rule {
                        field: "horizon",
                        value: self.horizon,
                        allowed: "at least two steps",
                    });
                };
                (last - first, self.speed_change, used.iter().all(|v| *v < self.stop_speed))
            }
            SpeedSource::Endpoints => {
                let now = match speed_now {
                    Some(v) if v.is_finite() && v >= 0.0 => v,
                    other => {
                        return Err(LabelError::Speed { value: other.map_or("missing".into(), |v| v.to_string()) });
                    }
                };
                let end = speed_at_horizon(&speeds, n);
                let slow = now < self.stop_speed && speeds.iter().take(n).all(|v| *v < self.stop_speed);
                // Recorded poses are rounded to a centimetre, so a speed taken over 1 s is known to about 0.01 m/s:
                // what lies within that of the standing limit stands.
                let standing = self.standing_speed > 0.0 && end < self.standing_speed + 0.005;
                let needed = if self.speed_change_gain > 0.0 {
                    (self.speed_change_gain * now).max(self.speed_change_min).min(self.speed_change)
                } else {
                    self.speed_change
                };
                (end - now, needed, slow || standing)
            }
        };
        Ok(if stands {
            SpeedAction::Stop
        } else if change >= needed {
            SpeedAction::Accelerate
        } else if change <= -needed {
            SpeedAction::Decelerate
        } else {
            SpeedAction::Keep
        })
    }

    /// The path label.
    ///
    /// # Errors
    /// See [`LabelError`].
    pub fn path(&self, future: &Trajectory) -> Result<PathAction, LabelError> {
        let n = self.check(future)?;
        let poses = future.poses.get(..n).unwrap_or_default();
        let end = poses.last().copied().unwrap_or_default();
        let turned = wrap_angle(end.heading);
        if self.turn_heading_deg > 0.0 && turned.abs() > self.turn_heading_deg.to_radians() {
            return Ok(if turned > 0.0 { PathAction::LeftTurn } else { PathAction::RightTurn });
        }
        // The right side is the mirror image of the left.
        let left = end.y > 0.0;
        let (offset, bearing) = (end.y.abs(), end.y.abs().atan2(end.x).to_degrees());
        let wide = offset > self.lateral || (self.change == ChangeTest::Bearing && end.y >= self.lateral);
        let small_bearing = bearing < self.angle_deg;
        let changes = match self.change {
            ChangeTest::Never => false,
            ChangeTest::Bearing => wide && small_bearing,
            ChangeTest::Shape => {
                let a_lane = (self.change_offset_min..=self.change_offset_max).contains(&offset)
                    && end.x >= self.min_change_forward;
                (a_lane || (wide && small_bearing)) && self.heading_returned(poses, left)
            }
        };
        let turns = self.turn_heading_deg == 0.0 && wide && !small_bearing;
        Ok(match (changes, turns, left) {
            (true, _, true) => PathAction::LeftChange,
            (true, _, false) => PathAction::RightChange,
            (_, true, true) => PathAction::LeftTurn,
            (_, true, false) => PathAction::RightTurn,
            _ => PathAction::Straight,
        })
    }

    /// Whether the car pointed toward the side it moved to and then turned back to where it had pointed.
    fn heading_returned(&self, poses: &[Pose], left: bool) -> bool {
        let (peak, end) = peak_and_end_heading(poses, if left { 1.0 } else { -1.0 });
        peak > 0.0 && end.abs() <= self.change_heading_deg.to_radians() && end.abs() <= self.change_return * peak
    }

    /// Number of poses up to the horizon, after checking the rule and the future.
    fn check(&self, future: &Trajectory) -> Result<usize, LabelError> {
        let fields = [
            ("horizon", self.horizon),
            ("step", self.step),
            ("stop_speed", self.stop_speed),
            ("standing_speed", self.standing_speed),
            ("speed_change", self.speed_change),
            ("speed_change_gain", self.speed_change_gain),
            ("speed_change_min", self.speed_change_min),
            ("lateral", self.lateral),
            ("angle_deg", self.angle_deg),
            ("turn_heading_deg", self.turn_heading_deg),
            ("change_offset_min", self.change_offset_min),
            ("change_offset_max", self.change_offset_max),
            ("change_heading_deg", self.change_heading_deg),
            ("change_return", self.change_return),
            ("min_change_forward", self.min_change_forward),
        ];
        if let Some((field, value)) = fields.into_iter().find(|(_, v)| !(v.is_finite() && *v >= 0.0)) {
            return Err(LabelError::Rule { field, value, allowed: "finite and not negative" });
        }
        let steps = self.horizon / self.step;
        if self.step <= 0.0 || steps.round() < 1.0 || steps > 1000.0 || (steps - steps.round()).abs() > 1e-6 {
            return Err(LabelError::Rule {
                field: "horizon",
                value: self.horizon,
                allowed: "a whole number of steps, 1 to 1000",
            });
        }
        // Not `!=`: a step that went through a text file may be off in the last digit.
        if !future.step.is_finite() || (future.step - self.step).abs() > 1e-6 {
            return Err(LabelError::WrongStep { step: future.step, expected: self.step });
        }
        if let Some((index, p)) = future.poses.iter().enumerate().find(|(_, p)| !p.is_finite()) {
            return Err(LabelError::NonFinite { index, x: p.x, y: p.y, heading: p.heading });
        }
        let (need, have) = (steps.round() as usize, future.poses.len());
        if have < need {
            return Err(LabelError::TooShort { have, need, seconds: future.duration(), horizon: self.horizon });
        }
        Ok(need)
    }
}

/// Speed at pose `n`: mean of the steps on both sides, or the last step alone.
fn speed_at_horizon(speeds: &[f64], n: usize) -> f64 {
    let before = speeds.get(n.wrapping_sub(1)).copied().unwrap_or_default();
    speeds.get(n).map_or(before, |after| 0.5 * (before + after))
}

/// The largest heading toward `side` (+1 left, -1 right) and the final one, in radians, counted positive toward it.
///
/// Recorded headings are used when there are any (one differs from zero). Point-only sources carry zeros: then the
/// courses of the steps stand in, the final one extrapolated by half a step because a course belongs to the middle
/// of its step. Steps under 0.25 m keep the course before them: standing still has none.
fn peak_and_end_heading(poses: &[Pose], side: f64) -> (f64, f64) {
    if poses.iter().any(|p| p.heading != 0.0) {
        let headings = poses.iter().map(|p| side * wrap_angle(p.heading));
        let end = headings.clone().next_back().unwrap_or_default();
        return (headings.fold(0.0, f64::max), end);
    }
    let (mut before, mut course) = (Pose::ORIGIN, 0.0);
    let mut courses = Vec::with_capacity(poses.len());
    for &pose in poses {
        if pose.distance(before) >= 0.25 {
            course = side * (pose.y - before.y).atan2(pose.x - before.x);
        }
        courses.push(course);
        before = pose;
    }
    let peak = courses.iter().copied().fold(0.0, f64::max);
    let end = match courses.as_slice() {
        [.., a, b] => wrap_angle(b + 0.5 * wrap_angle(b - a)),
        [a] => *a,
        [] => 0.0,
    };
    (peak, end)
}
