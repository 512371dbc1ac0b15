//! NAVSIM submission pickles: `predictions` (v1: one dict of token to trajectory in a list), or `first_stage_predictions`
//! and `second_stage_predictions` (v2).

use super::{
    input::{deeper, pickle_bytes},
    plans::{Plan, Plans, check},
};
use crate::{
    error::{DataError, Place, Result},
    fields::MAX_POSES,
    pickle::{Limits, PickleError, View, read, write::Writer},
};
use scene::{Pose, Trajectory};
use std::path::Path;

const FIRST: &str = "first_stage_predictions";
const SECOND: &str = "second_stage_predictions";
/// Facts that the evaluation server asks for.
pub const FACTS: [&str; 5] = ["team_name", "authors", "email", "institution", "country / region"];

/// What a submission holds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Submission {
    /// Team, authors and so on.
    pub info: Vec<(String, String)>,
    /// Token and trajectory: v1, or the first stage.
    pub first: Vec<(String, Trajectory)>,
    /// The second stage; empty in v1.
    pub second: Vec<(String, Trajectory)>,
}

impl Submission {
    /// Reads a submission.
    ///
    /// # Errors
    /// The first rule that is broken: the token, the field, the value.
    pub fn read(path: &Path) -> Result<Submission> {
        Self::from_bytes(&path.display().to_string(), &pickle_bytes(path)?)
    }

    /// The same from bytes; `name` is for messages.
    ///
    /// # Errors
    /// As [`Submission::read`].
    pub fn from_bytes(name: &str, bytes: &[u8]) -> Result<Submission> {
        let pickle = read(bytes, Limits::default())
            .map_err(|error: PickleError| DataError::Pickle { file: name.into(), error })?;
        let (root, place) = (pickle.root(), Place::file(name));
        let key = |key| root.get(key);
        let mut info = Vec::new();
        for (key, value) in root.entries().into_iter().flatten() {
            if let (Some(key), Some(value)) = (key.text(), value.text()) {
                info.push((key.to_owned(), value.to_owned()));
            }
        }
        let (first, second) = match (key("predictions"), key(FIRST), key(SECOND)) {
            (_, Some(first), second) => {
                let second = second.map(|second| stage(&place.within(SECOND), second)).transpose()?;
                (stage(&place.within(FIRST), first)?, second.unwrap_or_default())
            }
            (Some(first), None, _) => (stage(&place.within("predictions"), first)?, Vec::new()),
            _ => {
                let problem = format!("is missing in {}: \"predictions\" or {FIRST:?} is needed", root.kind());
                return Err(DataError::BadField { place, field: "predictions".into(), problem });
            }
        };
        Ok(Submission { info, first, second })
    }

    /// As a pickle of protocol 4.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        let stages: &[(&str, &[(String, Trajectory)])] = match self.second.is_empty() {
            true => &[("predictions", &self.first)],
            false => &[(FIRST, &self.first), (SECOND, &self.second)],
        };
        let facts = self.info.iter().map(|(key, value)| Entry::Fact(key, value));
        let stages = stages.iter().map(|(key, stage)| Entry::Stage(key, stage));
        writer.dict(facts.chain(stages), |writer, entry| match entry {
            Entry::Fact(key, value) => {
                writer.text(key);
                writer.text(value);
            }
            Entry::Stage(key, stage) => {
                writer.text(key);
                writer.list([stage], |writer, stage| {
                    writer.dict(stage.iter(), |writer, (token, trajectory)| {
                        writer.text(token);
                        writer.trajectory(trajectory);
                    });
                });
            }
        });
        writer.finish()
    }

    /// Both stages as plans to score.
    ///
    /// # Errors
    /// A token in both stages.
    pub fn into_plans(self, place: &Place) -> Result<Plans> {
        let mut plans = Plans { info: self.info, ..Plans::default() };
        for (token, trajectory) in self.first.into_iter().chain(self.second) {
            let place = place.within(format!("token {token}"));
            plans.add(&place, token, Plan { kind: None, trajectory, previous: None })?;
        }
        Ok(plans)
    }
}

enum Entry<'a> {
    Fact(&'a str, &'a str),
    Stage(&'a str, &'a [(String, Trajectory)]),
}

/// The one dict in the list of a stage.
fn stage(place: &Place, view: View<'_, '_>) -> Result<Vec<(String, Trajectory)>> {
    let bad = |problem: String| DataError::BadField { place: place.clone(), field: "the list".into(), problem };
    let Some(mut items) = view.items() else { return Err(bad(format!("is {}: must be a list", view.kind()))) };
    let (n, dict) = (items.len(), items.next());
    let (1, Some(dict)) = (n, dict) else {
        return Err(bad(format!("has {n} entries: must have one dict (several seeds are several submissions)")));
    };
    let Some(entries) = dict.entries() else { return Err(bad(format!("holds {}: must hold a dict", dict.kind()))) };
    let mut found: Vec<(String, Trajectory)> = Vec::with_capacity(entries.len());
    let mut seen = std::collections::HashSet::new();
    // The last of two equal keys counts in Python, so it is read from the end.
    for (key, value) in entries.collect::<Vec<_>>().into_iter().rev() {
        let Some(token) = key.text() else {
            let problem = format!("is {}: must be a text", key.kind());
            return Err(DataError::BadField { place: place.clone(), field: "a token".into(), problem });
        };
        if seen.insert(token) {
            found.push((token.to_owned(), trajectory(&deeper(place, &format!("token {}", shown(token))), value)?));
        }
    }
    found.reverse();
    if found.is_empty() {
        return Err(bad("has no trajectory".into()));
    }
    Ok(found)
}

fn shown(token: &str) -> String {
    token.chars().filter(|c| !c.is_control()).take(60).collect()
}

/// A `Trajectory` object: an `(n, 3)` array of poses and its sampling.
fn trajectory(place: &Place, view: View<'_, '_>) -> Result<Trajectory> {
    let bad = |field: &str, problem| DataError::BadField { place: place.clone(), field: field.into(), problem };
    let Some(poses) = view.get("poses") else {
        return Err(bad("poses", format!("is missing: the value is {}, a Trajectory is needed", view.kind())));
    };
    let Some(array) = poses.array() else {
        return Err(bad("poses", format!("is {}: must be a numpy array", poses.kind())));
    };
    let [n, 3] = array.shape[..] else {
        return Err(bad("poses", format!("has the shape {:?}: must be (number of poses, 3)", array.shape)));
    };
    if n > MAX_POSES {
        return Err(bad("poses", format!("has {n} entries: must have at most {MAX_POSES}")));
    }
    let numbers = poses.array_numbers().ok_or_else(|| bad("poses", "holds no numbers".into()))?;
    let pose = |row: &[f64]| <[f64; 3]>::try_from(row).map(Pose::from).unwrap_or_default();
    let poses: Vec<Pose> = numbers.chunks_exact(3).map(pose).collect();
    let sampling = view.get("trajectory_sampling");
    let field = |name| sampling.and_then(|s| s.get(name)).and_then(View::number);
    let step = match (field("interval_length"), field("time_horizon")) {
        (Some(step), _) => step,
        (None, Some(horizon)) => horizon / n.max(1) as f64,
        // The default of the class.
        _ => 0.5,
    };
    if let Some(told) = field("num_poses").filter(|told| *told != n as f64) {
        return Err(bad("trajectory_sampling.num_poses", format!("is {told}: there are {n} poses")));
    }
    let trajectory = Trajectory { step, poses };
    check(place, "", &trajectory)?;
    Ok(trajectory)
}
