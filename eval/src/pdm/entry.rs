//! One scored trajectory, as a line of `trajectories.jsonl` has it, and the columns of every table.

use rewards::pdm::{Scores, Version};
use serde::{Deserialize, Serialize};

/// What became of one trajectory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// The scene's name.
    pub scene: String,
    /// Whose trajectory: the name of the file, `human`, `constant velocity` or `PDM-Closed`.
    pub planner: String,
    /// Its label where a planner has several in one scene.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// All scores; `None` when the traffic around it could not be simulated.
    pub scores: Option<Scores>,
    /// Why there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

/// A number of every trajectory.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// Its name in files.
    pub key: &'static str,
    /// Its name in tables.
    pub short: &'static str,
    /// Its name in words.
    pub long: &'static str,
    /// Where it comes from.
    pub of: fn(&Scores) -> Option<f64>,
}

const fn column(key: &'static str, short: &'static str, long: &'static str, of: fn(&Scores) -> Option<f64>) -> Column {
    Column { key, short, long, of }
}

const NC: Column = column("nc", "NC", "no at-fault collision", |s| Some(s.nc));
const DAC: Column = column("dac", "DAC", "drivable area", |s| Some(s.dac));
const DDC: Column = column("ddc", "DDC", "driving direction", |s| Some(s.ddc));
const EP: Column = column("ep", "EP", "progress", |s| Some(s.ep));
const TTC: Column = column("ttc", "TTC", "time to collision", |s| Some(s.ttc));

const V1: [Column; 7] = [
    column("pdms", "PDMS", "PDM score", |s| Some(s.total)),
    NC,
    DAC,
    DDC,
    EP,
    TTC,
    column("comfort", "C", "comfort", |s| Some(s.comfort)),
];

const V2: [Column; 10] = [
    column("epdms", "EPDMS", "extended PDM score", |s| Some(s.total)),
    NC,
    DAC,
    DDC,
    column("tlc", "TLC", "traffic lights", |s| Some(s.tlc)),
    EP,
    TTC,
    column("lk", "LK", "lane keeping", |s| Some(s.lk)),
    column("hc", "HC", "history comfort", |s| Some(s.comfort)),
    column("ec", "EC", "extended comfort", |s| s.ec),
];

/// The columns of a version, the score itself first.
pub fn columns(version: Version) -> &'static [Column] {
    match version {
        Version::V1 => &V1,
        Version::V2 => &V2,
    }
}

impl Entry {
    /// The score; 0 where there is none, which is what a failed trajectory is worth when the worst are looked for.
    pub fn total(&self) -> f64 {
        self.scores.map_or(0.0, |s| s.total)
    }

    /// What cost it the most, in words: the first multiplicative metric that is not 1, else the worst weighted one.
    pub fn reason(&self) -> &'static str {
        let Some(s) = &self.scores else { return "no score" };
        let steps: [(f64, &str); 4] = [
            (s.nc, "at-fault collision"),
            (s.dac, "leaves the drivable area"),
            (s.tlc, "runs a red light"),
            (s.ddc, "wrong way"),
        ];
        if let Some((_, reason)) = steps.iter().find(|(value, _)| *value < 1.0) {
            return reason;
        }
        let weighted: [(f64, &str); 5] = [
            (5.0 * (1.0 - s.ttc), "close to a collision"),
            (5.0 * (1.0 - s.ep), "little progress"),
            (2.0 * (1.0 - s.lk), "off its lane"),
            (2.0 * (1.0 - s.comfort), "uncomfortable"),
            (2.0 * (1.0 - s.ec.unwrap_or(1.0)), "changes its mind"),
        ];
        let worst = weighted.iter().fold((0.0, "nothing"), |worst, next| if next.0 > worst.0 { *next } else { worst });
        worst.1
    }
}
