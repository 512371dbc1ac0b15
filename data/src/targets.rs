//! Small class targets for auxiliary heads, from what a frame's record knows: bend, steering, yaw rate, speed and its
//! change. A small vision model trained from scratch learns to see on these before it learns to write.

use crate::sample::{Content, Sample};
use scene::SpeedAction;
use std::collections::BTreeMap;

/// Borders between classes. Five-class targets are symmetric: `(border of straight, border of hard)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Borders {
    /// Heading change after 1 s, rad.
    pub bend_1s: (f64, f64),
    /// Heading change after 3 s, rad.
    pub bend_3s: (f64, f64),
    /// Steering-wheel angle, rad.
    pub steer: (f64, f64),
    /// Yaw rate, rad/s.
    pub yaw: (f64, f64),
    /// Ego speed, m/s.
    pub speed: [f64; 3],
}

impl Default for Borders {
    /// Near the 20/80 and 10/90 % points of the bundled hill-road drive, rounded.
    fn default() -> Self {
        Borders {
            bend_1s: (0.02, 0.07),
            bend_3s: (0.06, 0.18),
            steer: (0.07, 0.25),
            yaw: (0.02, 0.07),
            speed: [8.0, 14.0, 18.0],
        }
    }
}

/// Classes of the five-class targets, left to right.
pub const TURNS: [&str; 5] = ["hard_left", "left", "straight", "right", "hard_right"];
/// Classes of `speed_bin`.
pub const PACES: [&str; 4] = ["slow", "moderate", "brisk", "fast"];
/// Classes of `speed_change`.
pub const CHANGES: [&str; 3] = ["slower", "same", "faster"];

/// Every target with its classes, in a fixed order for the heads.
pub const TARGETS: [(&str, &[&str]); 6] = [
    ("bend_1s", &TURNS),
    ("bend_3s", &TURNS),
    ("steer", &TURNS),
    ("yaw", &TURNS),
    ("speed_bin", &PACES),
    ("speed_change", &CHANGES),
];

/// Class of a left-positive quantity.
fn turn(value: f64, (straight, hard): (f64, f64)) -> &'static str {
    match value {
        v if v >= hard => TURNS[0],
        v if v >= straight => TURNS[1],
        v if v > -straight => TURNS[2],
        v if v > -hard => TURNS[3],
        _ => TURNS[4],
    }
}

/// Heading change after `seconds`, where the future reaches that far.
pub fn bend(sample: &Sample, seconds: f64) -> Option<f64> {
    let future = sample.labels.future.as_ref()?;
    let at = (seconds / future.step).round() as usize;
    future.poses.get(at.checked_sub(1)?).map(|p| p.heading)
}

/// The targets a sample can give; what it does not know is left out.
pub fn targets(sample: &Sample, borders: &Borders) -> BTreeMap<String, String> {
    let column = |key: &str| sample.extra.get(key).and_then(serde_json::Value::as_f64).filter(|v| v.is_finite());
    let speed = match &sample.content {
        Content::Planning { ego, .. } => Some(ego.speed_mps),
        Content::Conversation { .. } => None,
    };
    let pace = |v: f64| PACES[borders.speed.iter().filter(|b| v >= **b).count()];
    let change = sample.labels.speed.map(|label| match label {
        SpeedAction::Accelerate => CHANGES[2],
        SpeedAction::Keep => CHANGES[1],
        SpeedAction::Stop if speed.is_some_and(|v| v < 0.5) => CHANGES[1],
        SpeedAction::Decelerate | SpeedAction::Stop => CHANGES[0],
    });
    let known = [
        ("bend_1s", bend(sample, 1.0).map(|h| turn(h, borders.bend_1s))),
        ("bend_3s", bend(sample, 3.0).map(|h| turn(h, borders.bend_3s))),
        ("steer", column("steering_wheel_rad").map(|a| turn(a, borders.steer))),
        ("yaw", column("yaw_rate_rps").map(|r| turn(r, borders.yaw))),
        ("speed_bin", speed.map(pace)),
        ("speed_change", change),
    ];
    known.into_iter().filter_map(|(name, class)| Some((name.to_owned(), class?.to_owned()))).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn classes_by_hand() {
        let text = r#"{"frame":"a.jpg","clip":"c","speed_mps":15.0,"yaw_rate_rps":-0.08,"steering_wheel_rad":0.1,
            "future":[[7,0,0.01],[14,0,0.02],[21,1,0.05],[28,2,0.1],[35,3,0.15],[42,5,0.2]],"speed_label":"ACCELERATE"}"#
            .replace('\n', "");
        let set = crate::read_bytes("f.jsonl", text.as_bytes(), &Default::default()).unwrap();
        let got = targets(&set.samples[0], &Borders::default());
        let got: Vec<(&str, &str)> = got.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        let expect = [
            ("bend_1s", "left"),
            ("bend_3s", "hard_left"),
            ("speed_bin", "brisk"),
            ("speed_change", "faster"),
            ("steer", "left"),
            ("yaw", "hard_right"),
        ];
        assert_eq!(got, expect);
        assert!(got.iter().all(|(k, v)| TARGETS.iter().any(|(t, classes)| t == k && classes.contains(v))));
        let bare = crate::read_bytes("f.jsonl", br#"{"images":["a"],"clip":"c"}"#, &Default::default()).unwrap();
        assert!(targets(&bare.samples[0], &Borders::default()).is_empty());
        let borders = (0.02, 0.07);
        assert_eq!([0.02, 0.019, -0.02, -0.07].map(|v| turn(v, borders)), ["left", "straight", "right", "hard_right"]);
    }
}
