//! What a caller may change about reading: the format, other words for labels, other folders for images, and whether
//! bad records are collected instead of ending the read.

use crate::error::{DataError, Result};
use scene::{PathAction, SpeedAction};
use std::{collections::BTreeMap, path::PathBuf, str::FromStr};

/// Options of [`crate::read::open`]; the default reads everything strictly and detects the format.
#[derive(Debug, Clone, Default)]
pub struct ReadOptions {
    /// Reader name; `None` detects it from the first rows.
    pub format: Option<String>,
    /// Other words for labels.
    pub map: LabelMap,
    /// Image folders moved since the file was written; the first matching rule applies.
    pub roots: Vec<Remap>,
    /// Collect bad records in [`crate::Dataset::problems`] instead of failing.
    pub skip_bad: bool,
    /// Stop after so many samples.
    pub limit: Option<usize>,
    /// Cameras to take where a frame has several (DriveLM).
    pub cameras: Cameras,
    /// DriveLM question categories to take; empty takes all.
    pub categories: Vec<String>,
}

/// Which of a frame's cameras become images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Cameras {
    /// `CAM_FRONT` alone.
    #[default]
    Front,
    /// Every camera the record has, front ones first.
    All,
}

/// What a word stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    Speed(SpeedAction),
    Path(PathAction),
    Unknown,
}

/// Other words for labels, from rules such as `GO_STRAIGHT=STRAIGHT`; `WORD=none` makes the axis unknown.
#[derive(Debug, Clone, Default)]
pub struct LabelMap(BTreeMap<String, Meaning>);

impl LabelMap {
    /// Adds one rule.
    ///
    /// # Errors
    /// The rule has no `=`, an empty left side, or a right side that is no label.
    pub fn add(&mut self, rule: &str) -> Result<()> {
        let bad = |reason: String| DataError::BadOption { option: "--map", value: rule.into(), reason };
        let (word, label) = rule.split_once('=').ok_or_else(|| bad("a rule such as WORD=STRAIGHT is needed".into()))?;
        let (word, label) = (word.trim(), label.trim());
        if word.is_empty() {
            return Err(bad("the word before = is empty".into()));
        }
        let meaning = if label == "none" {
            Meaning::Unknown
        } else if let Ok(speed) = SpeedAction::from_str(label) {
            Meaning::Speed(speed)
        } else if let Ok(path) = PathAction::from_str(label) {
            Meaning::Path(path)
        } else {
            let known = [known::<SpeedAction>(), known::<PathAction>()].join(", ");
            return Err(bad(format!("{label:?} is no label; known are {known}, none")));
        };
        self.0.insert(word.into(), meaning);
        Ok(())
    }

    /// The speed a word means: `Ok(None)` where it is mapped to `none`, `Err(())` where no rule and no label fits.
    pub(crate) fn speed(&self, word: &str) -> Result<Option<SpeedAction>, ()> {
        match self.0.get(word) {
            Some(Meaning::Speed(speed)) => Ok(Some(*speed)),
            Some(Meaning::Unknown) => Ok(None),
            Some(Meaning::Path(_)) => Err(()),
            None => SpeedAction::from_str(&canonical(word)).map(Some).map_err(|_| ()),
        }
    }

    /// As [`Self::speed`], for paths.
    pub(crate) fn path(&self, word: &str) -> Result<Option<PathAction>, ()> {
        match self.0.get(word) {
            Some(Meaning::Path(path)) => Ok(Some(*path)),
            Some(Meaning::Unknown) => Ok(None),
            Some(Meaning::Speed(_)) => Err(()),
            None => PathAction::from_str(&canonical(word)).map(Some).map_err(|_| ()),
        }
    }
}

/// `left turn` and `Left-Turn` are `LEFT_TURN`.
fn canonical(word: &str) -> String {
    word.trim().to_ascii_uppercase().replace([' ', '-'], "_")
}

/// The labels of one axis, for messages.
pub(crate) fn known<L: Known>() -> String {
    L::words().join(", ")
}

/// The two label axes, for messages that name one.
pub(crate) trait Known {
    /// Name of the axis.
    const AXIS: &'static str;
    /// Its labels.
    fn words() -> Vec<&'static str>;
}

impl Known for SpeedAction {
    const AXIS: &'static str = "speed";
    fn words() -> Vec<&'static str> {
        Self::ALL.iter().map(|l| l.as_str()).collect()
    }
}

impl Known for PathAction {
    const AXIS: &'static str = "path";
    fn words() -> Vec<&'static str> {
        Self::ALL.iter().map(|l| l.as_str()).collect()
    }
}

/// One moved folder, from a rule such as `../nuscenes/=/data/nuscenes/`. An empty left side goes before every
/// relative path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remap {
    from: String,
    to: String,
}

impl FromStr for Remap {
    type Err = DataError;

    fn from_str(rule: &str) -> Result<Self> {
        let reason = "a rule such as ../nuscenes/=/data/nuscenes/ is needed".to_owned();
        let bad = || DataError::BadOption { option: "--root", value: rule.into(), reason };
        let (from, to) = rule.split_once('=').ok_or_else(bad)?;
        Ok(Remap { from: from.into(), to: to.into() })
    }
}

impl Remap {
    /// The new path, where the rule applies. It is relative to the working folder, as it was typed there.
    pub(crate) fn apply(&self, path: &str) -> Option<PathBuf> {
        if self.from.is_empty() {
            let relative = !std::path::Path::new(path).is_absolute();
            return relative.then(|| PathBuf::from(&self.to).join(path));
        }
        let rest = path.strip_prefix(&self.from)?;
        // "../nuscenes" must not match "../nuscenes2".
        if !self.from.ends_with('/') && !rest.is_empty() && !rest.starts_with('/') {
            return None;
        }
        let rest = rest.trim_start_matches('/');
        Some(if rest.is_empty() { PathBuf::from(&self.to) } else { PathBuf::from(&self.to).join(rest) })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn label_rules() {
        let mut map = LabelMap::default();
        map.add("GO_STRAIGHT=STRAIGHT").unwrap();
        map.add("CREEP=none").unwrap();
        assert_eq!(map.path("GO_STRAIGHT"), Ok(Some(PathAction::Straight)));
        assert_eq!(map.speed("CREEP"), Ok(None));
        assert_eq!(map.path("left turn"), Ok(Some(PathAction::LeftTurn)));
        assert_eq!(map.speed("FLY"), Err(()));
        assert_eq!(map.speed("GO_STRAIGHT"), Err(()));
        assert!(map.add("X=FLY").unwrap_err().to_string().contains("known are KEEP"));
        assert!(map.add("X").is_err() && map.add("=KEEP").is_err());
    }

    #[test]
    fn roots() {
        let remap: Remap = "../nuscenes=/data/n".parse().unwrap();
        assert_eq!(remap.apply("../nuscenes/samples/a.jpg"), Some("/data/n/samples/a.jpg".into()));
        assert_eq!(remap.apply("../nuscenes2/a.jpg"), None);
        let all: Remap = "=img".parse().unwrap();
        assert_eq!(all.apply("a.jpg"), Some("img/a.jpg".into()));
        assert_eq!(all.apply("/a.jpg"), None);
        assert!("x".parse::<Remap>().is_err());
    }
}
