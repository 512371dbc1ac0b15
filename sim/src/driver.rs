//! Who drives: the rule expert, or one of its kin with a fault of their own. They see and decide as the expert does, with
//! other numbers, so that their drives can be told from the expert's by that fault alone.

/// A driver of [`crate::expert`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Driver {
    /// As well as the rules allow.
    #[default]
    Expert,
    /// Brakes late and hard: for those ahead, lights, stop signs, people and bends.
    LateBraking,
    /// Takes bends and turns on the inside, over the edge of the lane.
    CornerCutting,
    /// Keeps little distance: to those ahead, to those who cross, and beside people and obstacles.
    TooClose,
}

impl Driver {
    /// All of them.
    pub const ALL: [Driver; 4] = [Driver::Expert, Driver::LateBraking, Driver::CornerCutting, Driver::TooClose];

    /// Its word in options and records.
    pub fn name(self) -> &'static str {
        match self {
            Driver::Expert => "expert",
            Driver::LateBraking => "late_braking",
            Driver::CornerCutting => "corner_cutting",
            Driver::TooClose => "too_close",
        }
    }

    /// The driver of a word.
    pub fn find(name: &str) -> Option<Driver> {
        Driver::ALL.into_iter().find(|driver| driver.name() == name)
    }

    /// How it drives.
    pub(crate) fn habits(self) -> &'static Habits {
        match self {
            Driver::Expert => &EXPERT,
            Driver::LateBraking => &LATE_BRAKING,
            Driver::CornerCutting => &CORNER_CUTTING,
            Driver::TooClose => &TOO_CLOSE,
        }
    }
}

/// What drivers differ in.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Habits {
    /// Deceleration into slower stretches, m/s².
    pub slowing: f32,
    /// The most of it when they are too fast there, m/s².
    pub hardest: f32,
    /// Deceleration that a line must ask for before they brake for it, m/s².
    pub brake: f32,
    /// Metres before a line from which they creep, and the deceleration they creep with, m/s².
    pub creep: (f32, f32),
    /// Deceleration that they find comfortable behind others, m/s².
    pub comfort: f32,
    /// Points that each m/s² of braking beyond 2.5 costs.
    pub discomfort: f32,
    /// Seconds to the one ahead.
    pub headway: f32,
    /// Share of the expert's distances that they keep.
    pub distance: f32,
    /// Seconds that must be left before somebody crosses.
    pub margin: f32,
    /// Speed past somebody who may step onto the road, m/s.
    pub walking_edge: f32,
    /// Share of what it costs that somebody would soon be touched at constant speed.
    pub foresight: f32,
    /// Metres towards the inside in bends to the left and to the right.
    pub inside: [f32; 2],
}

const EXPERT: Habits = Habits {
    slowing: 1.8,
    hardest: 2.5,
    brake: 1.5,
    creep: (12.0, 1.6),
    comfort: 3.0,
    discomfort: 1.2,
    headway: 1.1,
    distance: 1.0,
    margin: 0.9,
    walking_edge: 3.5,
    foresight: 1.0,
    inside: [0.0, 0.0],
};

const LATE_BRAKING: Habits = Habits {
    slowing: 6.0,
    hardest: 6.0,
    brake: 6.5,
    creep: (2.0, 5.0),
    comfort: 40.0,
    discomfort: 0.0,
    walking_edge: 6.0,
    foresight: 0.0,
    ..EXPERT
};

const CORNER_CUTTING: Habits = Habits { inside: [2.2, 1.2], ..EXPERT };

const TOO_CLOSE: Habits =
    Habits { headway: 0.2, distance: 0.2, margin: 0.1, walking_edge: 8.0, foresight: 0.0, ..EXPERT };

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_to_their_drivers() {
        for driver in Driver::ALL {
            assert_eq!(Driver::find(driver.name()), Some(driver));
        }
        for unknown in ["", "Expert", "late braking", "too_close "] {
            assert_eq!(Driver::find(unknown), None, "{unknown}");
        }
    }
}
