//! AlphaDrive's action weight (arXiv 2503.07608): how much the *named* action counts, so that seldom but critical ones
//! (braking, turning) are worth more. Meant as a factor of an accuracy, alone it says nothing. Terms `speed_weight` and
//! `path_weight`; every label is a setting, the defaults are the released code's.
//!
//! 1. Of several labels the smallest weight counts, where the released code takes the mean: else naming STOP beside
//!    KEEP would pay. No label: 0.

use crate::{Asked, Axis, Reference, Score, Setting, Term};

const fn weight(name: &'static str, default: f64) -> Setting {
    Setting { name, default, range: (0.0, 1.0) }
}

/// In the order of `SpeedAction::ALL`.
const SPEED: &[Setting] =
    &[weight("KEEP", 0.8), weight("ACCELERATE", 0.9), weight("DECELERATE", 1.0), weight("STOP", 1.0)];

/// In the order of `PathAction::ALL`.
const PATH: &[Setting] = &[
    weight("STRAIGHT", 0.8),
    weight("LEFT_TURN", 1.0),
    weight("RIGHT_TURN", 1.0),
    weight("LEFT_CHANGE", 1.0),
    weight("RIGHT_CHANGE", 1.0),
];

/// The term of an axis.
#[derive(Debug, Clone, Copy)]
pub struct Weight(pub Axis);

impl Term for Weight {
    fn name(&self) -> &'static str {
        match self.0 {
            Axis::Speed => "speed_weight",
            Axis::Path => "path_weight",
        }
    }

    fn settings(&self) -> &'static [Setting] {
        match self.0 {
            Axis::Speed => SPEED,
            Axis::Path => PATH,
        }
    }

    fn score(&self, completion: &str, reference: &Reference, group: &[&str]) -> Option<Score> {
        self.judge(&Asked::new(completion, reference, group))
    }

    fn judge(&self, asked: &Asked) -> Option<Score> {
        let named = self.0.named(asked.completion);
        let smallest = named.iter().map(|i| asked.value(self.settings(), i)).reduce(f64::min);
        Some(Score::new(smallest.unwrap_or(0.0), self.0.show(named)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_stand_in_the_order_of_the_labels() {
        for axis in [Axis::Speed, Axis::Path] {
            let names: Vec<_> = Weight(axis).settings().iter().map(|s| s.name).collect();
            assert_eq!(names, axis.words());
        }
    }
}
