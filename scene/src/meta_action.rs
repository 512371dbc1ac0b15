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
