//! Reads the fixtures: scenes with proposals and the scores that the reference implementation gave them.

use flate2::read::GzDecoder;
use scene::world::{EgoStatus, Scene, Track};
use scene::{Pose, Trajectory};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

/// One line of `scenes.jsonl.gz`.
#[derive(Debug, Clone, Deserialize)]
pub struct Case {
    #[serde(flatten)]
    pub scene: Scene,
    pub proposals: Vec<ProposalCase>,
    pub expected: Expected,
}

#[derive(Debug, Clone, Deserialize)]
pub struct ProposalCase {
    pub kind: String,
    pub interval: f64,
    pub poses: Vec<Pose>,
    pub prev_interval: f64,
    pub prev_poses: Vec<Pose>,
}

impl ProposalCase {
    pub fn plan(&self) -> Trajectory {
        Trajectory { step: self.interval, poses: self.poses.clone() }
    }

    pub fn previous_plan(&self) -> Trajectory {
        Trajectory { step: self.prev_interval, poses: self.prev_poses.clone() }
    }
}

impl Case {
    /// Ego when the previous plan was made.
    pub fn previous_ego(&self) -> &EgoStatus {
        &self.scene.ego_history[self.scene.ego_history.len() - 2]
    }
}

pub type Rows11 = Vec<[f64; 11]>;

#[derive(Debug, Clone, Deserialize)]
pub struct Expected {
    pub reference_v2: Reference,
    pub reference_v1: Reference,
    pub human_sim: Rows11,
    pub human_scores_v2: Reference,
    pub proposals: Vec<ExpectedProposal>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Reference {
    pub sim: Option<Rows11>,
    pub nc: f64,
    pub dac: f64,
    pub tlc: Option<f64>,
    pub ddc: f64,
    pub ttc: f64,
    pub lk: Option<f64>,
    pub hc: Option<f64>,
    pub comfort: Option<f64>,
    pub progress_raw: f64,
}

#[derive(Debug, Clone, Deserialize)]
pub struct ExpectedProposal {
    pub sim: Rows11,
    pub target: Option<Vec<[f64; 3]>>,
    pub velocity_profile: Option<Vec<f64>>,
    pub curvature_profile: Option<Vec<f64>>,
    pub prev_sim_heading_ax_ay: Vec<[f64; 3]>,
    pub v2: ExpectedV2,
    pub v1: ExpectedV1,
    #[serde(default)]
    pub v2_constant_velocity: Option<ScoresV2>,
    #[serde(default)]
    pub v2_idm: Option<ScoresV2>,
    #[serde(default)]
    pub v2_idm_agents: Option<Vec<Track>>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct ExpectedV2 {
    pub scores: ScoresV2,
    pub scores_human_filtered: ScoresV2,
    pub ec: f64,
    pub ec_rms: EcRms,
    pub epdms: f64,
    pub epdms_human_filtered: f64,
    pub progress_raw: f64,
    pub history_comfort_flags: [bool; 6],
    pub history_comfort_samples: usize,
    pub multiple_lanes: String,
    pub non_drivable: String,
    pub oncoming: String,
    pub first_at_fault_step: Option<u8>,
    pub first_ttc_step: Option<u8>,
    /// Sub-scores that a perturbation of the states by 1e-6 changes: they prove nothing.
    #[serde(default)]
    pub fragile: Vec<String>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
pub struct EcRms {
    pub acceleration: f64,
    pub jerk: f64,
    pub yaw_rate: f64,
    pub yaw_accel: f64,
}

#[derive(Debug, Clone, Copy, Deserialize)]
pub struct ScoresV2 {
    pub nc: f64,
    pub dac: f64,
    pub ddc: f64,
    pub tlc: f64,
    pub ep: f64,
    pub ttc: f64,
    pub lk: f64,
    pub hc: f64,
    pub multiplicative: f64,
    pub pdm_score: f64,
}

#[derive(Debug, Clone, Deserialize)]
pub struct ExpectedV1 {
    pub scores: ScoresV1,
    pub progress_raw: f64,
    pub comfort_flags: [bool; 6],
    pub first_at_fault_step: Option<u8>,
    pub first_ttc_step: Option<u8>,
    /// Sub-scores that a perturbation of the states by 1e-6 changes: they prove nothing.
    #[serde(default)]
    pub fragile: Vec<String>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
pub struct ScoresV1 {
    pub nc: f64,
    pub dac: f64,
    pub ep: f64,
    pub ttc: f64,
    pub comfort: f64,
    pub ddc: f64,
    pub pdms: f64,
}

/// One line of `two_stage.jsonl.gz`.
#[derive(Debug, Clone, Deserialize)]
pub struct TwoStageCase {
    pub mapping: Vec<rewards::pdm::Mapping>,
    pub rows: Vec<TwoStageRow>,
    pub expected: TwoStageExpected,
}

#[derive(Debug, Clone, Deserialize)]
pub struct TwoStageRow {
    pub token: String,
    pub scene: String,
    pub proposal: usize,
    pub states: String,
    pub start_time: f64,
    pub endpoint: [f64; 2],
    pub start_point: [f64; 2],
    pub scores: std::collections::HashMap<String, f64>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct TwoStageExpected {
    pub rows: std::collections::HashMap<String, TwoStageToken>,
    pub combined: rewards::pdm::Averages,
    pub stage_one: rewards::pdm::Averages,
    pub stage_two: rewards::pdm::Averages,
}

#[derive(Debug, Clone, Deserialize)]
pub struct TwoStageToken {
    pub weight: f64,
    pub ec: f64,
    pub score: f64,
}

/// Our own fixtures.
fn own_folder() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let own = here.join("tests/fixtures/navsim");
    // The second is right when the root crate includes these files.
    if own.is_dir() { own } else { here.join("rewards/tests/fixtures/navsim") }
}

/// The folder of the fixtures: `REINSMAN_NAVSIM_FIXTURES`, or our own.
pub fn folder() -> PathBuf {
    std::env::var_os("REINSMAN_NAVSIM_FIXTURES").map_or_else(own_folder, PathBuf::from)
}

/// Every line of the fixtures' files whose names begin with `stem`.
pub fn read<T: DeserializeOwned>(stem: &str) -> Vec<T> {
    read_from(&folder(), stem)
}

/// All lines of every file of the folder whose name begins with `stem` (gzipped or not), in order of the names.
fn read_from<T: DeserializeOwned>(folder: &Path, stem: &str) -> Vec<T> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap_or_else(|e| panic!("{}: {e}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            let name = path.file_name().unwrap().to_string_lossy();
            name.starts_with(stem) && (name.ends_with(".jsonl.gz") || name.ends_with(".jsonl"))
        })
        .collect();
    files.sort();
    let mut all = Vec::new();
    for path in files {
        let file = std::fs::File::open(&path).unwrap();
        let reader: Box<dyn BufRead> = if path.extension().is_some_and(|e| e == "gz") {
            Box::new(BufReader::new(GzDecoder::new(file)))
        } else {
            Box::new(BufReader::new(file))
        };
        for (i, line) in reader.lines().enumerate() {
            let line = line.unwrap();
            if line.trim().is_empty() {
                continue;
            }
            all.push(serde_json::from_str(&line).unwrap_or_else(|e| panic!("{} line {}: {e}", path.display(), i + 1)));
        }
    }
    all
}

/// Every scene.
pub fn cases() -> Vec<Case> {
    let all = read("scenes");
    assert!(!all.is_empty(), "no scenes in {}", folder().display());
    all
}

/// The scenes of our own fixtures, whatever the environment says.
pub fn own_cases() -> Vec<Case> {
    read_from(&own_folder(), "scenes")
}
