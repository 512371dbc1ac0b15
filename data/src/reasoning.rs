//! Short driving reasoning written from what is known: the bend, the speed, the command, how the motion changes. Other
//! road users are never named, since nobody annotated them. Causes come before decisions; wording is picked by a hash
//! of the sample's id, so that a set has hundreds of different texts and the same record always the same one.

mod phrases;

use crate::{
    sample::{Content, Sample},
    split::stable_hash,
    targets::bend,
};
use phrases as p;
use scene::{PathAction, SpeedAction};

/// Below this the car stands (m/s).
const STANDING: f64 = 0.5;

/// What the text may speak of.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Facts {
    /// Ego speed, m/s.
    pub speed_mps: Option<f64>,
    /// What happens to it.
    pub speed: Option<SpeedAction>,
    /// What happens across the lane.
    pub path: Option<PathAction>,
    /// Heading change over the next 3 s, rad, left positive.
    pub bend: Option<f64>,
    /// Navigation command.
    pub command: String,
}

impl Facts {
    /// What a sample knows. The yaw rate stands in for a future that is too short.
    pub fn of(sample: &Sample) -> Self {
        let (speed_mps, command) = match &sample.content {
            Content::Planning { ego, .. } => (Some(ego.speed_mps), ego.command.0.to_lowercase()),
            Content::Conversation { .. } => (None, String::new()),
        };
        let yaw = sample.extra.get("yaw_rate_rps").and_then(serde_json::Value::as_f64);
        let bend = bend(sample, 3.0).or(yaw.map(|r| 3.0 * r));
        Facts { speed_mps, speed: sample.labels.speed, path: sample.labels.path, bend, command }
    }
}

/// One text for these facts; `None` where neither axis is known.
pub fn write(id: &str, facts: &Facts) -> Option<String> {
    let pick = |pool: &[&'static str], clause: u64| pool[(stable_hash(id, clause) % pool.len() as u64) as usize];
    let side = facts.path.and_then(side).or_else(|| facts.bend.map(|b| if b > 0.0 { "left" } else { "right" }));
    let fill = |text: &str| text.replace("{side}", side.unwrap_or("side"));
    let road = facts.path.map(|path| fill(&road(path, facts, &pick)));
    let motion = motion(facts, &pick);
    let across = facts.path.map(|path| fill(pick(across(path, facts), 3)));
    let along = facts.speed.map(|speed| pick(along(speed, facts), 4));
    let decision = match (along, across) {
        (Some(along), Some(across)) => {
            let standing = facts.speed_mps.is_some_and(|v| v < STANDING);
            let link = match (facts.speed, facts.path) {
                (Some(SpeedAction::Stop), Some(path)) if path != PathAction::Straight && standing => "before I",
                (Some(SpeedAction::Stop), Some(path)) if path != PathAction::Straight => "while I",
                _ => "and",
            };
            format!("{along} {link} {across}")
        }
        (Some(along), None) => along.to_owned(),
        (None, Some(across)) => across,
        (None, None) => return None,
    };
    let form = stable_hash(id, 5) % 6;
    let text = match (road, motion) {
        (Some(road), Some(motion)) => match form {
            0 | 1 => format!("{road} and {motion}, so I {decision}."),
            2 => format!("{motion} and {road}, so I {decision}."),
            3 => format!("{road}. {}, so I {decision}.", capital(&motion)),
            4 => format!("{motion}. {}, so I {decision}.", capital(&road)),
            _ => format!("as {road} and {motion}, I {decision}."),
        },
        (Some(cause), None) | (None, Some(cause)) => match form {
            0..=3 => format!("{cause}, so I {decision}."),
            _ => format!("as {cause}, I {decision}."),
        },
        (None, None) => format!("I {decision}."),
    };
    Some(capital(&text))
}

/// The side a path action goes to.
fn side(path: PathAction) -> Option<&'static str> {
    match path {
        PathAction::LeftTurn | PathAction::LeftChange => Some("left"),
        PathAction::RightTurn | PathAction::RightChange => Some("right"),
        PathAction::Straight => None,
    }
}

/// Whether the command itself asks for this turn, which makes it one at a junction rather than a bend of the road.
fn commanded(path: PathAction, facts: &Facts) -> bool {
    let asks = facts.command.contains("turn") && side(path).is_some_and(|s| facts.command.contains(s));
    asks && matches!(path, PathAction::LeftTurn | PathAction::RightTurn)
}

type Pick<'a> = &'a dyn Fn(&[&'static str], u64) -> &'static str;

/// What the way ahead does.
fn road(path: PathAction, facts: &Facts, pick: Pick) -> String {
    let heading = facts.bend.unwrap_or(0.0).abs();
    match path {
        PathAction::LeftChange | PathAction::RightChange => pick(p::ROAD_CHANGE, 1).into(),
        _ if commanded(path, facts) => pick(p::ROAD_TURN, 1).into(),
        PathAction::LeftTurn | PathAction::RightTurn => {
            let (adverb, adjective) = match heading {
                h if h < 0.13 => ("gently ", "gentle "),
                h if h < 0.35 => ("", ""),
                _ => ("sharply ", "sharp "),
            };
            pick(p::ROAD_BEND, 1).replace("{gently }", adverb).replace("{gentle }", adjective)
        }
        PathAction::Straight if heading < 0.03 => pick(p::ROAD_STRAIGHT, 1).into(),
        PathAction::Straight if heading < 0.12 => pick(p::ROAD_LEAN, 1).into(),
        PathAction::Straight => pick(p::ROAD_BEGINS, 1).into(),
    }
}

/// How the car moves now, or how that is changing.
fn motion(facts: &Facts, pick: Pick) -> Option<String> {
    let speed = facts.speed_mps?;
    if speed < STANDING {
        return Some(pick(p::STANDING, 2).into());
    }
    let trend = facts.speed.map(|action| match action {
        SpeedAction::Keep => p::STEADY,
        SpeedAction::Accelerate => p::GAINING,
        SpeedAction::Decelerate => p::LOSING,
        SpeedAction::Stop => p::STOPPING,
    });
    let pace = match speed {
        v if v < 3.0 => p::CRAWL,
        v if v < 8.0 => p::SLOW,
        v if v < 14.0 => p::MODERATE,
        v if v < 20.0 => p::BRISK,
        _ => p::FAST,
    };
    // The pace is what a picture and a speed can tell; the change is told every third time.
    let text = match trend {
        Some(trend) if pick(&["pace", "pace", "trend"], 6) == "trend" => pick(trend, 2).into(),
        _ => pick(p::PACE, 2).replace("{pace}", pick(pace, 7)),
    };
    Some(text)
}

/// The speed decision.
fn along(action: SpeedAction, facts: &Facts) -> &'static [&'static str] {
    let standing = facts.speed_mps.is_some_and(|v| v < STANDING);
    match action {
        SpeedAction::Keep => p::KEEP,
        SpeedAction::Accelerate => p::ACCELERATE,
        SpeedAction::Decelerate => p::DECELERATE,
        SpeedAction::Stop if standing => p::STAY,
        SpeedAction::Stop => p::STOP,
    }
}

/// The path decision.
fn across(path: PathAction, facts: &Facts) -> &'static [&'static str] {
    match path {
        PathAction::Straight if facts.speed == Some(SpeedAction::Stop) => p::STRAIGHT_STOPPING,
        PathAction::Straight => p::STRAIGHT,
        PathAction::LeftChange | PathAction::RightChange => p::CHANGE,
        _ if commanded(path, facts) => p::TURN,
        _ => p::BEND,
    }
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |c| c.to_uppercase().chain(chars).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use std::collections::HashSet;

    /// Reads the labels back out of the decision, by key words that belong to one label only.
    fn read_back(text: &str) -> (Option<SpeedAction>, Option<PathAction>) {
        let decision = text.rsplit_once("so I ").or_else(|| text.rsplit_once(", I ")).map_or(text, |(_, d)| d);
        let has = |words: &[&str]| words.iter().any(|w| decision.contains(w));
        let stop =
            ["stop", "standstill", "rest", "halt", "stand", "wait", "still", "where I am", "not move", "stopped"];
        let slow = [
            "slow",
            "brake gently",
            "ease off",
            "reduce",
            "lower",
            "speed drop",
            "off the speed",
            "bring my speed down",
            "lose some",
            "shed",
        ];
        let fast = [
            "speed up",
            "accelerate",
            "faster",
            "pick up",
            "add some",
            "gather",
            "build up",
            "increase",
            "raise",
            "gain",
        ];
        let keep = [
            "same speed",
            "hold my speed",
            "keep my speed",
            "this speed",
            "pace",
            "as it is",
            "maintain",
            "the speed I have",
            "speed steady",
        ];
        let speed = [
            (stop.as_slice(), SpeedAction::Stop),
            (&slow, SpeedAction::Decelerate),
            (&fast, SpeedAction::Accelerate),
            (&keep, SpeedAction::Keep),
        ];
        let speed = speed.iter().find(|(words, _)| has(words)).map(|(_, s)| *s);
        let left = text.contains("left");
        let path = if has(&["lane on the", "change lanes", "left lane", "right lane"]) {
            Some(if left { PathAction::LeftChange } else { PathAction::RightChange })
        } else if has(&["bend", "curve", "turn", "with the road", "road to the", "corner"]) {
            Some(if left { PathAction::LeftTurn } else { PathAction::RightTurn })
        } else if has(&["straight", "lane", "line", "ahead"]) {
            Some(PathAction::Straight)
        } else {
            None
        };
        (speed, path)
    }

    fn every_case() -> Vec<Facts> {
        let mut cases = Vec::new();
        let speeds = SpeedAction::ALL.iter().copied().map(Some).chain([None]);
        for speed in speeds {
            for path in PathAction::ALL.iter().copied().map(Some).chain([None]) {
                for (speed_mps, bend) in [(0.2, 0.5), (6.0, 0.2), (12.0, 0.05), (25.0, 0.01)] {
                    let bend = Some(if path.and_then(side) == Some("right") { -bend } else { bend });
                    for command in ["follow the road", "turn left", "turn right"] {
                        let (speed_mps, command) = (Some(speed_mps), command.into());
                        cases.push(Facts { speed_mps, speed, path, bend, command });
                    }
                }
            }
        }
        cases
    }

    #[test]
    fn the_words_agree_with_the_labels() {
        let mut seen = 0;
        for facts in every_case() {
            for i in 0..60 {
                let Some(text) = write(&format!("id{i}"), &facts) else {
                    assert!(facts.speed.is_none() && facts.path.is_none());
                    continue;
                };
                seen += 1;
                assert_eq!(read_back(&text), (facts.speed, facts.path), "{text}\n{facts:?}");
                if let Some(side) = facts.path.and_then(side) {
                    let other = if side == "left" { "right" } else { "left" };
                    assert!(text.contains(side) && !text.contains(other), "{text}\n{facts:?}");
                }
                assert!(!text.contains(['{', '}', '<', '>', '\n']) && text.ends_with('.'), "{text}");
                assert!(text.starts_with(char::is_uppercase) && text.len() < 240 && text.is_ascii(), "{text}");
                let words = SpeedAction::ALL.iter().map(|l| l.as_str());
                let mut words = words.chain(PathAction::ALL.iter().map(|l| l.as_str()));
                assert!(!words.any(|w| text.contains(w)), "{text}");
            }
        }
        assert!(seen > 20_000);
    }

    #[test]
    fn nothing_unannotated_is_named() {
        let banned = [
            "car in",
            "vehicle",
            "pedestrian",
            "person",
            "people",
            "light",
            "sign",
            "truck",
            "bus",
            "cyclist",
            "traffic",
            "crossing",
            "clear",
            "free",
            "empty",
            "junction",
            "oncoming",
        ];
        for facts in every_case() {
            for i in 0..60 {
                let text = write(&format!("x{i}"), &facts).unwrap_or_default();
                assert!(banned.iter().all(|w| !text.contains(w)) || text.contains("slight"), "{text}");
            }
        }
    }

    #[test]
    fn wording_varies_and_is_stable() {
        let facts = Facts {
            speed_mps: Some(16.0),
            speed: Some(SpeedAction::Keep),
            path: Some(PathAction::LeftTurn),
            bend: Some(0.2),
            command: "follow the road".into(),
        };
        let texts: HashSet<String> = (0..500).filter_map(|i| write(&format!("f{i}"), &facts)).collect();
        assert!(texts.len() > 450, "{}", texts.len());
        assert_eq!(write("f1", &facts), write("f1", &facts));
        assert_eq!(write("f1", &Facts::default()), None);
    }

    #[test]
    fn pools_are_large_and_without_repeats() {
        for (name, pool) in p::ALL {
            assert!(pool.len() >= 12, "{name} has {}", pool.len());
            assert_eq!(pool.iter().collect::<HashSet<_>>().len(), pool.len(), "{name}");
        }
    }
}
