//! Records from frames and ego motion: labels from the driven future, auxiliary targets, reasoning. The labelling rule
//! is the caller's (`scene::label`), so that thresholds live in one place.

use crate::{
    reasoning::{self, Facts},
    sample::{Content, Sample},
    targets::{self, Borders},
};
use scene::{PathAction, SpeedAction, Trajectory};
use std::collections::BTreeMap;

/// A labelling rule: the driven future and the speed now (m/s) to what is decidable of the plan.
pub type Rule<'a> = &'a dyn Fn(&Trajectory, Option<f64>) -> (Option<SpeedAction>, Option<PathAction>);

/// What [`label`] adds.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    /// Labels axes that have none yet; `None` leaves them.
    pub rule: Option<Rule<'a>>,
    /// Also replaces labels that are there.
    pub relabel: bool,
    /// Writes reasoning for planning samples.
    pub reasoning: bool,
    /// Adds auxiliary targets with these borders.
    pub aux: Option<Borders>,
}

impl Default for Options<'_> {
    fn default() -> Self {
        Options { rule: None, relabel: false, reasoning: true, aux: Some(Borders::default()) }
    }
}

/// Completes one sample in place.
pub fn label(sample: &mut Sample, options: &Options) {
    if let (Some(rule), Some(future)) = (options.rule, &sample.labels.future) {
        let (speed, path) = rule(future, sample.speed_mps());
        let labels = &mut sample.labels;
        labels.speed = if options.relabel { speed } else { labels.speed.or(speed) };
        labels.path = if options.relabel { path } else { labels.path.or(path) };
    }
    if let Some(borders) = &options.aux {
        sample.aux.extend(targets::targets(sample, borders));
    }
    let text = reasoning::write(&sample.id, &Facts::of(sample));
    if let (true, Content::Planning { reasoning, .. }) = (options.reasoning, &mut sample.content) {
        *reasoning = text;
    }
}

/// Where each clip of the bundled hill-road drive goes. Neighbouring clips share road and light, so validation and
/// test take whole clips; a clip in no list has no labels.
pub const REAL_DRIVE_SPLITS: [(&str, &[&str]); 3] = [
    ("train", &["udacity_00", "udacity_01", "udacity_04", "udacity_06", "udacity_09"]),
    ("val", &["udacity_03"]),
    ("test", &["udacity_07", "udacity_10"]),
];

/// The records of the bundled set from the rows of its index: non-commercial rows are left out, the rest is labelled
/// and sorted into `train`, `val`, `test` and `unlabelled`.
pub fn real_drive_records(index: Vec<Sample>) -> BTreeMap<&'static str, Vec<Sample>> {
    let mut out: BTreeMap<&'static str, Vec<Sample>> = BTreeMap::new();
    for mut sample in index {
        let license = sample.extra.get("license").and_then(serde_json::Value::as_str).unwrap_or("NC");
        if license.contains("NC") {
            continue;
        }
        let of = |clips: &&[&str]| sample.clip.as_deref().is_some_and(|c| clips.contains(&c));
        let split = REAL_DRIVE_SPLITS.iter().find(|(_, clips)| of(clips)).map_or("unlabelled", |(split, _)| *split);
        sample.split = Some(split.into());
        label(&mut sample, &Options::default());
        out.entry(split).or_default().push(sample);
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use crate::read_bytes;

    fn rule(future: &Trajectory, speed: Option<f64>) -> (Option<SpeedAction>, Option<PathAction>) {
        let left = future.poses.last().is_some_and(|p| p.y > 4.0);
        (speed.map(|_| SpeedAction::Keep), left.then_some(PathAction::LeftTurn))
    }

    #[test]
    fn the_rule_fills_what_is_open_and_replaces_only_on_request() {
        let text =
            r#"{"id":"q","images":["a"],"ego":{"speed_mps":5},"plan":{"speed":"STOP"},"future":[[5,1,0.1],[9,5,0.6]]}"#;
        let sample = read_bytes("s.jsonl", text.as_bytes(), &Default::default()).unwrap().samples.remove(0);
        let mut filled = sample.clone();
        label(&mut filled, &Options { rule: Some(&rule), ..Default::default() });
        assert_eq!((filled.labels.speed, filled.labels.path), (Some(SpeedAction::Stop), Some(PathAction::LeftTurn)));
        assert_eq!(filled.aux["bend_1s"], "hard_left");
        let Content::Planning { reasoning: Some(text), .. } = &filled.content else { panic!() };
        assert!(text.contains("left") && !text.contains("right"), "{text}");
        let mut replaced = sample.clone();
        label(&mut replaced, &Options { rule: Some(&rule), relabel: true, reasoning: false, aux: None });
        assert_eq!(replaced.labels.speed, Some(SpeedAction::Keep));
        assert!(replaced.aux.is_empty() && matches!(replaced.content, Content::Planning { reasoning: None, .. }));
    }
}
