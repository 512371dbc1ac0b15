//! Meta-actions: what the car intends along its path and across it for the next 3 s.
//! The words are AlphaDrive's (arXiv 2503.07608), which took them from Senna.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

macro_rules! labels {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum $name { $($(#[$vdoc])* #[serde(rename = $text)] $variant),+ }

        impl $name {
            /// Every label, in the order used by tables and probabilities.
            pub const ALL: &'static [$name] = &[$($name::$variant),+];

            /// The upper-case word that models write, for example `KEEP`.
            pub fn as_str(self) -> &'static str {
                match self { $($name::$variant => $text),+ }
            }

            /// Position in [`Self::ALL`].
            pub fn index(self) -> usize {
                self as usize
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = UnknownLabel;
            fn from_str(word: &str) -> Result<Self, UnknownLabel> {
                Self::ALL.iter().copied().find(|l| l.as_str() == word).ok_or_else(|| UnknownLabel {
                    word: word.chars().take(40).collect(),
                    known: Self::ALL.iter().map(|l| l.as_str()).collect(),
                })
            }
        }
    };
}

labels! {
    /// What happens to the speed over the next 3 s.
    SpeedAction {
        /// Hold the speed.
        Keep = "KEEP",
        /// Go faster.
        Accelerate = "ACCELERATE",
        /// Go slower.
        Decelerate = "DECELERATE",
        /// Stand or come to a stand.
        Stop = "STOP",
    }
}

labels! {
    /// What happens across the lane over the next 3 s.
    PathAction {
        /// Stay in the lane, straight on.
        Straight = "STRAIGHT",
        /// Turn or bend to the left.
        LeftTurn = "LEFT_TURN",
        /// Turn or bend to the right.
        RightTurn = "RIGHT_TURN",
        /// Change to the lane on the left.
        LeftChange = "LEFT_CHANGE",
        /// Change to the lane on the right.
        RightChange = "RIGHT_CHANGE",
    }
}

/// A word that is none of an axis's labels.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown label {word:?}; known are {}", known.join(", "))]
pub struct UnknownLabel {
    /// The word as written, cut to 40 characters.
    pub word: String,
    /// The labels of the axis.
    pub known: Vec<&'static str>,
}

/// One label on each axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct MetaAction {
    /// Along the path.
    pub speed: SpeedAction,
    /// Across the path.
    pub path: PathAction,
}

impl fmt::Display for MetaAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.speed, self.path)
    }
}

impl MetaAction {
    /// What a constant planner says, and what most driving is.
    pub const KEEP_STRAIGHT: MetaAction = MetaAction { speed: SpeedAction::Keep, path: PathAction::Straight };

    /// One label on each axis.
    pub fn new(speed: SpeedAction, path: PathAction) -> Self {
        MetaAction { speed, path }
    }

    /// Every pair, speed by speed in the order of the axes' `ALL`.
    pub fn all() -> impl Iterator<Item = MetaAction> {
        SpeedAction::ALL.iter().flat_map(|&speed| PathAction::ALL.iter().map(move |&path| MetaAction { speed, path }))
    }

    /// The action in a mirrored scene: left and right exchanged.
    pub fn mirrored(self) -> Self {
        MetaAction { speed: self.speed, path: self.path.mirrored() }
    }
}

impl PathAction {
    /// The action in a mirrored scene: left and right exchanged.
    pub fn mirrored(self) -> Self {
        match self {
            PathAction::Straight => PathAction::Straight,
            PathAction::LeftTurn => PathAction::RightTurn,
            PathAction::RightTurn => PathAction::LeftTurn,
            PathAction::LeftChange => PathAction::RightChange,
            PathAction::RightChange => PathAction::LeftChange,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn words_and_indices_agree() {
        for (i, l) in SpeedAction::ALL.iter().enumerate() {
            assert_eq!((l.index(), l.as_str().parse::<SpeedAction>().unwrap()), (i, *l));
        }
        for (i, l) in PathAction::ALL.iter().enumerate() {
            assert_eq!((l.index(), l.as_str().parse::<PathAction>().unwrap()), (i, *l));
        }
        let e = "GO_STRAIGHT".parse::<PathAction>().unwrap_err().to_string();
        assert!(e.contains("GO_STRAIGHT") && e.contains("LEFT_CHANGE"), "{e}");
    }

    #[test]
    fn mirroring_exchanges_sides() {
        assert_eq!(MetaAction::all().count(), 20);
        for a in MetaAction::all() {
            assert_eq!(a.mirrored().mirrored(), a);
            let swapped = a.to_string().replace("LEFT", "#").replace("RIGHT", "LEFT").replace('#', "RIGHT");
            assert_eq!(a.mirrored().to_string(), swapped);
        }
    }
}
