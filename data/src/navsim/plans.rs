//! Trajectories to score: our JSON lines, or a submission pickle.
//!
//! A line is `{"scene": NAME, "poses": [[x, y, heading], ...]}` with poses relative to ego's rear axle now. Optional:
//! `interval` (seconds between poses, 0.5), `kind` (a label; several lines of one scene differ in it), `prev_poses` and
//! `prev_interval` (the plan of the frame 0.5 s earlier, relative to ego then, for extended comfort).

use super::{
    input::{Lines, bad_json, is_pickle, open},
    submission::Submission,
};
use crate::{
    error::{DataError, Place, Result},
    fields::{MAX_METRES, MAX_POSES},
};
use scene::{Pose, Trajectory};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, path::Path};

/// A trajectory to score.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Label that tells plans of one scene apart.
    pub kind: Option<String>,
    /// Relative to ego now.
    pub trajectory: Trajectory,
    /// The plan of the frame before, relative to ego then.
    pub previous: Option<Trajectory>,
}

/// Plans by scene.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plans {
    /// Every scene with its plans, in the order of the file.
    pub by_scene: BTreeMap<String, Vec<Plan>>,
    /// The facts of a submission, such as its team; empty otherwise.
    pub info: Vec<(String, String)>,
}

/// A plan as a line of JSON has it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct PlanLine {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scene: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    #[serde(default = "half_second")]
    pub interval: f64,
    pub poses: Vec<Pose>,
    #[serde(default = "half_second")]
    pub prev_interval: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prev_poses: Option<Vec<Pose>>,
}

fn half_second() -> f64 {
    0.5
}

impl PlanLine {
    pub fn plan(self, place: &Place) -> Result<Plan> {
        let trajectory = Trajectory { step: self.interval, poses: self.poses };
        check(place, "", &trajectory)?;
        let previous = self.prev_poses.map(|poses| Trajectory { step: self.prev_interval, poses });
        if let Some(previous) = &previous {
            check(place, "prev_", previous)?;
        }
        Ok(Plan { kind: self.kind, trajectory, previous })
    }
}

/// The rules of a trajectory.
pub(super) fn check(place: &Place, prefix: &str, trajectory: &Trajectory) -> Result<()> {
    let bad = |field: String, problem: String| Err(DataError::BadField { place: place.clone(), field, problem });
    let (step, n) = (trajectory.step, trajectory.poses.len());
    if !(0.01..=10.0).contains(&step) {
        return bad(format!("{prefix}interval"), format!("is {step}: must be between 0.01 and 10 s"));
    }
    if n == 0 || n > MAX_POSES {
        return bad(format!("{prefix}poses"), format!("has {n} entries: must have 1 to {MAX_POSES}"));
    }
    for (i, pose) in trajectory.poses.iter().enumerate() {
        for (name, value) in ["x", "y", "heading"].into_iter().zip(<[f64; 3]>::from(*pose)) {
            // Not a number is no magnitude at all.
            if !value.is_finite() || value.abs() > MAX_METRES {
                let problem = format!("has {name} {value}: must be a finite number of magnitude at most {MAX_METRES}");
                return bad(format!("{prefix}poses[{i}]"), problem);
            }
        }
    }
    Ok(())
}

impl Plans {
    /// Reads JSON lines or a submission pickle, whichever the file is.
    ///
    /// # Errors
    /// The first rule that is broken, with its place.
    pub fn read(path: &Path) -> Result<Plans> {
        if is_pickle(path)? {
            return Submission::read(path)?.into_plans(&Place::file(&path.display().to_string()));
        }
        let mut plans = Plans::default();
        let mut lines = Lines::new(path.display().to_string(), open(path)?);
        while let Some(line) = lines.next() {
            let (place, text) = line?;
            let mut parser = serde_json::Deserializer::from_str(&text);
            let mut line: PlanLine = serde_path_to_error::deserialize(&mut parser).map_err(|e| bad_json(&place, e))?;
            let Some(scene) = line.scene.take() else {
                return Err(DataError::BadField { place, field: "scene".into(), problem: "is missing".into() });
            };
            let place = place.within(format!("scene {scene}"));
            plans.add(&place, scene, line.plan(&place)?)?;
        }
        if plans.by_scene.is_empty() {
            return Err(DataError::Empty { file: lines.file });
        }
        Ok(plans)
    }

    /// Adds a plan; two of one scene must differ in their label.
    pub(super) fn add(&mut self, place: &Place, scene: String, plan: Plan) -> Result<()> {
        let plans = self.by_scene.entry(scene).or_default();
        if plans.iter().any(|other| other.kind == plan.kind) {
            let problem = match &plan.kind {
                Some(kind) => format!("is {kind:?} twice: plans of one scene must differ in it"),
                None => "is missing twice: several plans of one scene must differ in it".into(),
            };
            return Err(DataError::BadField { place: place.clone(), field: "kind".into(), problem });
        }
        plans.push(plan);
        Ok(())
    }

    /// All plans.
    pub fn len(&self) -> usize {
        self.by_scene.values().map(Vec::len).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_scene.is_empty()
    }
}
