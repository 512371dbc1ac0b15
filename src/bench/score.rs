//! NAVSIM scoring as work items: trajectories per processor second on one thread, and the stages behind them.
//!
//! Every scene gives 256 different plans: its own proposals, stretched and bent a little; each has a plan of the frame
//! before, so that all sub-scores are computed. A batch holds plans of one scene; scenes take turns.

use super::{Measured, clock::cpu_seconds};
use crate::{
    error::{Failure, Result},
    train::progress::peak_bytes,
};
use ::eval::pdm::judge::before;
use data::navsim::LoadedScene;
use rewards::pdm::{
    Compat, Filter, MetricCache, PreviousPlan, Proposal, Scores, Version, Workspace, closed, score_batch,
    score_official, score_states,
};
use scene::{
    Pose, Trajectory,
    dynamics::{STATES, State},
    world::{EgoStatus, Scene},
};
use std::hint::black_box;

/// Plans per scene: the largest batch.
const PLANS: usize = 256;
/// Processor seconds of one measured run, at least.
const LONG_ENOUGH: f64 = 0.3;
const RATE: &str = "trajectories/cpu_s";

/// What is measured: the name in reports, and what the Python reference does in a processor second (0: not measured).
///
/// Python figures: NAVSIM v2.2 and v1.1 with nuPlan's devkit, one process, one BLAS thread, numpy 1.23 and shapely 2.0 on a
/// 2-vCPU Sapphire Rapids Xeon, mean over five invented scenes of 3 to 7 agents; `pdm_score` without and with the human
/// filter, a simulated and scored batch, and the building of a metric cache (0.35 to 0.55 s, here 0.45; v1 0.2).
/// Repeats differed by 20 to 30 % with the load.
pub const ITEMS: [(&str, Item, f64); 17] = [
    ("epdms_official_call", Item { version: Version::V2, work: Work::Official(Filter::Off) }, 13.7),
    ("epdms_official_filtered", Item { version: Version::V2, work: Work::Official(Filter::Human) }, 7.5),
    ("epdms_batch_1", Item { version: Version::V2, work: Work::Batch(1) }, 14.8),
    ("epdms_batch_8", Item { version: Version::V2, work: Work::Batch(8) }, 55.6),
    ("epdms_batch_64", Item { version: Version::V2, work: Work::Batch(64) }, 89.0),
    ("epdms_batch_256", Item { version: Version::V2, work: Work::Batch(256) }, 107.7),
    ("pdms_official_call", Item { version: Version::V1, work: Work::Official(Filter::Off) }, 32.0),
    ("pdms_batch_1", Item { version: Version::V1, work: Work::Batch(1) }, 36.9),
    ("pdms_batch_8", Item { version: Version::V1, work: Work::Batch(8) }, 183.0),
    ("pdms_batch_64", Item { version: Version::V1, work: Work::Batch(64) }, 354.0),
    ("pdms_batch_256", Item { version: Version::V1, work: Work::Batch(256) }, 386.0),
    ("stage_simulate", Item { version: Version::V2, work: Work::Simulate }, 1.0 / 0.0014),
    ("stage_epdms_scores", Item { version: Version::V2, work: Work::Scores }, 1.0 / 0.0079),
    ("stage_pdms_scores", Item { version: Version::V1, work: Work::Scores }, 0.0),
    ("cache_index", Item { version: Version::V2, work: Work::Index }, 0.0),
    ("cache_from_raw", Item { version: Version::V2, work: Work::FromRaw }, 1.0 / 0.45),
    ("idm_traffic", Item { version: Version::V2, work: Work::Idm }, 0.0),
];

/// A work item.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Item {
    /// Version of the metric.
    pub version: Version,
    /// What is done.
    pub work: Work,
}

/// What is done with the scenes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Work {
    /// The official call: reference (and human) simulated and scored anew for every plan.
    Official(Filter),
    /// So many plans against the cached reference.
    Batch(usize),
    /// Plans to simulated drives.
    Simulate,
    /// Simulated drives to scores.
    Scores,
    /// The metric cache of a scene whose derived fields are known, scenes per second.
    Index,
    /// Derived fields and PDM-Closed from the raw scene, both versions, scenes per second.
    FromRaw,
    /// Traffic that reacts to one simulated drive, drives per second.
    Idm,
}

/// A scene made ready.
struct Ready {
    scene: Scene,
    cache: MetricCache,
    plans: Vec<Trajectory>,
    previous: PreviousPlan,
}

/// Measures one item.
///
/// # Errors
/// A scene that cannot be scored.
pub fn run(name: &str, item: Item, scenes: &[LoadedScene], repeats: usize) -> Result<Measured> {
    let ready: Vec<Ready> = scenes.iter().map(|loaded| prepare(loaded, item.version)).collect::<Result<_>>()?;
    let mut workspace = Workspace::default();
    let (mut best, mut least) = (0.0, f64::INFINITY);
    // The first run warms up and finds how often the work must be done to be long enough.
    let mut passes = 1;
    for round in 0..=repeats {
        loop {
            let (begin, mut done) = (cpu_seconds(), 0);
            for pass in 0..passes {
                done += work(item, &ready, pass, &mut workspace)?;
            }
            let took = cpu_seconds() - begin;
            if took < LONG_ENOUGH && round == 0 {
                passes *= 2;
                continue;
            }
            if round > 0 {
                best = f64::max(best, done as f64 / took.max(1e-9));
                least = f64::min(least, took);
            }
            break;
        }
    }
    let unit = match item.work {
        Work::Index | Work::FromRaw => "scenes/cpu_s",
        Work::Idm => "drives/cpu_s",
        _ => RATE,
    };
    Ok(Measured {
        name: name.into(),
        value: best,
        unit: unit.into(),
        threads: 1,
        cpu_seconds: least,
        peak_rss_bytes: peak_bytes(),
    })
}

fn fail(e: impl std::fmt::Display) -> Failure {
    Failure::data(e.to_string())
}

fn prepare(loaded: &LoadedScene, version: Version) -> Result<Ready> {
    let judge = ::eval::pdm::Judge {
        version,
        policy: ::eval::pdm::Policy::LogReplay,
        compat: Compat::reference(),
        filter: Filter::Human,
    };
    let scene = judge.complete(loaded.scene.clone()).map_err(fail)?;
    let cache = MetricCache::new(&scene, version, Compat::reference()).map_err(fail)?;
    let mut seeds: Vec<Trajectory> = loaded.proposals.iter().map(|plan| plan.trajectory.clone()).collect();
    seeds.extend(
        scene.human_poses.clone().map(Trajectory::half_second).filter(|t| seeds.is_empty() && !t.poses.is_empty()),
    );
    if seeds.is_empty() {
        seeds.push(Trajectory::half_second((1..=8).map(|k| Pose::new(2.5 * f64::from(k), 0.0, 0.0)).collect()));
    }
    let plans: Vec<Trajectory> = (0..PLANS).map(|i| varied(&seeds[i % seeds.len()], i / seeds.len())).collect();
    // Without a history the present stands in for the frame before.
    let ego = before(&scene).unwrap_or(EgoStatus { time_us: scene.ego.time_us - 500_000, ..scene.ego });
    let previous = cache.previous(&ego, &seeds[0]).map_err(fail)?;
    Ok(Ready { scene, cache, plans, previous })
}

/// The same plan stretched by up to 8 % and bent by up to a metre; the zeroth variation changes nothing.
fn varied(plan: &Trajectory, variation: usize) -> Trajectory {
    let turn = variation as f64 * 2.399_963_229_728_653;
    let size = (variation as f64 / PLANS as f64).sqrt();
    let (stretch, bend) = (1.0 + 0.08 * size * turn.cos(), size * turn.sin());
    let n = plan.poses.len() as f64;
    let pose = |(i, p): (usize, &Pose)| {
        let far = (i + 1) as f64 / n;
        Pose::new(p.x * stretch, p.y * stretch + bend * far * far, p.heading + 0.05 * bend * far)
    };
    Trajectory { step: plan.step, poses: plan.poses.iter().enumerate().map(pose).collect() }
}

/// One pass over all scenes: how much was done.
fn work(item: Item, ready: &[Ready], pass: usize, workspace: &mut Workspace) -> Result<usize> {
    let mut done = 0;
    for scene in ready {
        let Ready { cache, plans, previous, .. } = scene;
        let traffic = &cache.log_replay;
        let previous = (item.version == Version::V2).then_some(previous);
        match item.work {
            Work::Official(filter) => {
                for plan in plans.iter().skip(pass * 16 % PLANS).take(16) {
                    let proposal = Proposal { plan, previous };
                    black_box(score_official(cache, traffic, proposal, filter, workspace).map_err(fail)?);
                    done += 1;
                }
            }
            Work::Batch(n) => {
                let batch: Vec<Proposal<'_>> = plans.iter().map(|plan| Proposal { plan, previous }).collect();
                let mut scores: Vec<Scores> = Vec::with_capacity(n);
                // As many plans in small batches as in large ones.
                for batch in batch.chunks_exact(n) {
                    score_batch(cache, traffic, batch, Filter::Human, workspace, &mut scores).map_err(fail)?;
                    black_box(&scores);
                    done += batch.len();
                }
            }
            Work::Simulate => {
                for plan in plans {
                    black_box(cache.simulate(plan).map_err(fail)?);
                    done += 1;
                }
            }
            Work::Scores => done += scores(scene, pass, workspace)?,
            Work::Index => {
                black_box(MetricCache::new(&scene.scene, item.version, Compat::reference()).map_err(fail)?);
                done += 1;
            }
            Work::FromRaw => {
                black_box(closed::complete(&scene.scene, Compat::reference()).map_err(fail)?);
                done += 1;
            }
            Work::Idm => done += traffic_around(scene)?,
        }
    }
    Ok(done)
}

/// Scores drives that are simulated already; simulating one of 32 costs little beside scoring it 32 times.
fn scores(scene: &Ready, pass: usize, workspace: &mut Workspace) -> Result<usize> {
    let plan = &scene.plans[pass * 7 % PLANS];
    let states: [State; STATES] = scene.cache.simulate(plan).map_err(fail)?;
    let previous = (scene.cache.version == Version::V2).then_some(&scene.previous);
    for _ in 0..32 {
        let states = black_box(&states);
        black_box(score_states(&scene.cache, &scene.cache.log_replay, states, previous, Filter::Human, workspace));
    }
    Ok(32)
}

fn traffic_around(scene: &Ready) -> Result<usize> {
    let logged = scene.scene.agents_10hz_v2.as_deref().unwrap_or_default();
    let (config, quirks) = (scene::idm::Config::default(), scene::idm::Quirks::reference());
    let traffic = scene::idm::IdmTraffic::build(&scene.scene, logged, config, quirks).map_err(fail)?;
    black_box(traffic.simulate(&scene.cache.reference_states).map_err(fail)?);
    Ok(1)
}
