//! Where scenes and trajectories come from.

use super::{Args, Baseline};
use crate::{
    error::{Failure, Result},
    files::{RealFs, write_atomic},
};
use ::eval::pdm::{
    Subject,
    judge::{self, before},
};
use data::navsim::{LoadedScene, Plan, Plans, SceneFile, Submission, bundled, read_map};
use scene::world::{EgoStatus, Map, Scene};
use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

/// Row name of the proposals that stand in the scene files.
const PROPOSALS: &str = "proposals";

/// Everything that was named on the command line.
pub(super) struct Input {
    /// Scene files as named; none for the bundled scenes.
    pub files: Vec<PathBuf>,
    map: Option<Map>,
    /// The trajectories; `None` for the proposals in the scene files.
    pub plans: Option<Plans>,
    /// Name of their row.
    pub planner: String,
    baselines: Vec<Baseline>,
}

impl Input {
    /// Reads the small files; scenes are streamed later.
    ///
    /// # Errors
    /// Exit 3 for what cannot be read.
    pub fn load(args: &Args) -> Result<Input> {
        let map = args.map.as_deref().map(read_map).transpose()?;
        let plans = args.trajectories.as_deref().map(Plans::read).transpose()?;
        let stem = args.trajectories.as_deref().map(stem);
        let taken = [judge::HUMAN, judge::CONSTANT, judge::REFERENCE];
        let planner = match stem {
            Some(stem) if taken.contains(&stem.as_str()) => format!("{stem} (trajectories)"),
            Some(stem) => stem,
            None => PROPOSALS.into(),
        };
        if args.baseline.contains(&Baseline::None) && args.baseline.len() > 1 {
            return Err(Failure::usage("--baseline none beside others").hint("give either none or names"));
        }
        Ok(Input { files: args.scenes.clone(), map, plans, planner, baselines: args.baseline.clone() })
    }

    /// The scene files, one after the other.
    ///
    /// # Errors
    /// A file that cannot be opened.
    pub fn open(&self) -> Result<Vec<SceneFile>> {
        if self.files.is_empty() {
            return Ok(vec![bundled()]);
        }
        self.files.iter().map(|file| Ok(SceneFile::open(file, self.map.as_ref())?)).collect()
    }

    /// The plans of a scene.
    fn plans_of<'a>(&'a self, loaded: &'a LoadedScene) -> &'a [Plan] {
        match &self.plans {
            Some(plans) => plans.by_scene.get(&loaded.scene.name).map_or(&[], Vec::as_slice),
            None => &loaded.proposals,
        }
    }

    /// Whether there is something to score besides baselines in this scene.
    pub fn wants(&self, loaded: &LoadedScene) -> bool {
        self.plans.is_none() || !self.plans_of(loaded).is_empty()
    }

    /// What is scored in a scene whose derived fields are complete: its plans first.
    pub fn subjects(&self, loaded: &LoadedScene, complete: &Scene, seen: &Seen) -> Vec<Subject> {
        let mut subjects = Vec::new();
        for plan in self.plans_of(loaded) {
            let previous = plan.previous.clone().or_else(|| self.planned_before(&loaded.scene, plan, seen));
            let (planner, kind) = (self.planner.clone(), plan.kind.clone());
            subjects.push(Subject::Plan { planner, kind, plan: plan.trajectory.clone(), previous });
        }
        for baseline in &self.baselines {
            match baseline {
                Baseline::ConstantVelocity => subjects.push(judge::constant_velocity(complete)),
                Baseline::Human => subjects.extend(judge::human(complete)),
                Baseline::PdmClosed => subjects.push(Subject::Reference),
                Baseline::None => {}
            }
        }
        subjects
    }

    /// The trajectory of the frame before, when that frame is a scene with a trajectory as well.
    fn planned_before(&self, scene: &Scene, plan: &Plan, seen: &Seen) -> Option<scene::Trajectory> {
        let name = seen.0.get(&key(&before(scene)?))?;
        let others = self.plans.as_ref()?.by_scene.get(name)?;
        others.iter().find(|other| other.kind == plan.kind).map(|other| other.trajectory.clone())
    }

    /// Writes the trajectories as a submission: all in one stage.
    ///
    /// # Errors
    /// A scene with several trajectories, an unknown fact, or a file that cannot be written.
    pub fn export(&self, path: &Path, info: &[(String, String)]) -> Result<()> {
        let Some(plans) = &self.plans else { return Ok(()) };
        let mut submission = Submission { info: plans.info.clone(), ..Submission::default() };
        for (fact, value) in info {
            if !data::navsim::submission::FACTS.contains(&fact.as_str()) {
                let known = data::navsim::submission::FACTS.join(", ");
                return Err(Failure::usage(format!("unknown fact {fact:?}")).hint(format!("known are {known}")));
            }
            submission.info.retain(|(known, _)| known != fact);
            submission.info.push((fact.clone(), value.clone()));
        }
        for (token, plans) in &plans.by_scene {
            let [plan] = plans.as_slice() else {
                let message = format!("scene {token} has {} trajectories; a submission holds one", plans.len());
                return Err(Failure::data(message).hint("keep one kind in the file"));
            };
            submission.first.push((token.clone(), plan.trajectory.clone()));
        }
        write_atomic(&RealFs, path, &submission.to_bytes())
    }
}

/// Scenes by their present, so that the frame before can be found.
#[derive(Debug, Default)]
pub(super) struct Seen(HashMap<(i64, [u64; 3]), String>);

impl Seen {
    /// Remembers a scene.
    pub fn add(&mut self, scene: &Scene) {
        self.0.insert(key(&scene.ego), scene.name.clone());
    }
}

fn key(ego: &EgoStatus) -> (i64, [u64; 3]) {
    (ego.time_us, <[f64; 3]>::from(ego.pose).map(f64::to_bits))
}

/// The name of a file without its endings.
pub(super) fn stem(path: &Path) -> String {
    let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let short = name.split_once('.').map_or(name.as_str(), |(stem, _)| stem).to_owned();
    if short.is_empty() { name } else { short }
}
