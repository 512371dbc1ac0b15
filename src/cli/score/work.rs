//! Scoring, a handful of scenes at a time on all threads; results come out in the order of the files whatever the
//! number of threads.

use super::{
    Args,
    input::{Input, Seen, stem},
    stages,
};
use crate::{
    cli::Shared,
    error::{Failure, Result, io_at},
    train::progress::Progress,
};
use ::eval::pdm::{
    Judge, Judged, Worst, bev,
    judge::{JudgeError, tracks},
    table::Gathered,
};
use data::{
    DataError,
    navsim::{LoadedScene, Unread},
};
use rayon::prelude::*;
use rewards::pdm::{Frame, Mapping};
use scene::world::Scene;
use std::{
    collections::{HashMap, HashSet},
    fs::File,
    io::{BufWriter, Write},
    path::PathBuf,
    time::Instant,
};

/// Scenes per thread that are in memory at once.
const AHEAD: usize = 8;

/// What came out.
pub(super) struct Results {
    /// The result folder.
    pub dir: PathBuf,
    /// Sums for the table.
    pub gathered: Gathered,
    /// Pictures.
    pub worst: Worst,
    /// Scenes scored.
    pub scenes: usize,
    /// Scenes without a trajectory.
    pub unplanned: usize,
    /// Bad scenes that were left out, with the reason of the first.
    pub bad: Vec<String>,
    /// Trajectories whose scene is nowhere.
    pub homeless: Vec<String>,
    /// Scored frames for the two stages.
    pub frames: HashMap<String, Frame>,
    /// Wall seconds.
    pub seconds: f64,
}

/// A scene and its scores.
struct Scored {
    complete: Scene,
    judged: Vec<Judged>,
}

/// Scores everything and writes `trajectories.jsonl`.
///
/// # Errors
/// The first bad scene unless those are left out; a folder that cannot be written.
pub(super) fn run(
    args: &Args,
    shared: &Shared,
    judge: &Judge,
    input: &Input,
    mapping: Option<&[Mapping]>,
) -> Result<Results> {
    let begin = Instant::now();
    let scenes = input.open()?;
    let dir = args.out.clone().unwrap_or_else(|| PathBuf::from("out/score").join(name(args, input)));
    std::fs::create_dir_all(&dir).map_err(io_at(&dir))?;
    let path = dir.join("trajectories.jsonl");
    let mut lines = BufWriter::new(File::create(&path).map_err(io_at(&path))?);
    let mut results = Results {
        dir,
        gathered: Gathered::new(judge.version),
        worst: Worst::new(args.worst),
        scenes: 0,
        unplanned: 0,
        bad: Vec::new(),
        homeless: Vec::new(),
        frames: HashMap::new(),
        seconds: 0.0,
    };
    let wanted_frames = mapping.map(stages::tokens).unwrap_or_default();
    let mut progress = Progress::new(shared.quiet);
    let (mut names, mut seen) = (HashSet::new(), Seen::default());
    let (chunk, limit) = (AHEAD * rayon::current_num_threads(), args.limit.unwrap_or(usize::MAX));
    for mut file in scenes {
        loop {
            let unread: Vec<Result<Unread, DataError>> =
                std::iter::from_fn(|| file.next_unread()).take(chunk).collect();
            if unread.is_empty() || results.scenes >= limit {
                break;
            }
            let loaded: Vec<Result<LoadedScene>> =
                unread.into_par_iter().map(|unread| unread.and_then(Unread::read).map_err(Failure::from)).collect();
            let mut ready = Vec::new();
            for scene in loaded {
                let Some(scene) = good(args, scene, &mut results)? else { continue };
                if !names.insert(scene.scene.name.clone()) {
                    let message = format!("{}: scene {} comes twice", scene.place, scene.scene.name);
                    good::<()>(args, Err(Failure::data(message).hint("names must be unique")), &mut results)?;
                    continue;
                }
                seen.add(&scene.scene);
                match input.wants(&scene) {
                    true if results.scenes + ready.len() < limit => ready.push(scene),
                    true => {}
                    false => results.unplanned += 1,
                }
            }
            let scored: Vec<Result<Scored>> =
                ready.into_par_iter().map(|loaded| one(judge, input, &seen, loaded)).collect();
            for scored in scored {
                let Some(scored) = good(args, scored, &mut results)? else { continue };
                results.scenes += 1;
                take(judge, input, &scored, &wanted_frames, &mut results, |text| {
                    writeln!(lines, "{text}").map_err(io_at(&path))
                })?;
            }
            lines.flush().map_err(io_at(&path))?;
            let rate = results.scenes as f64 / begin.elapsed().as_secs_f64();
            progress.line(false, || format!("{} scenes, {rate:.0} a second", results.scenes));
        }
    }
    progress.finish();
    if let Some(plans) = input.plans.as_ref().filter(|_| args.limit.is_none()) {
        results.homeless = plans.by_scene.keys().filter(|scene| !names.contains(*scene)).cloned().collect();
    }
    results.seconds = begin.elapsed().as_secs_f64();
    Ok(results)
}

fn name(args: &Args, input: &Input) -> String {
    let first = args.trajectories.as_deref().or(input.files.first().map(PathBuf::as_path));
    first.map_or_else(|| "bundled".into(), stem)
}

/// Passes good ones on, counts bad ones that may be left out, and stops at others.
fn good<T>(args: &Args, found: Result<T>, results: &mut Results) -> Result<Option<T>> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(failure) if args.skip_bad && failure.kind == crate::error::Kind::Data => {
            results.bad.push(failure.message);
            Ok(None)
        }
        Err(failure) => Err(failure.or_hint("--skip-bad to leave such scenes out")),
    }
}

fn one(judge: &Judge, input: &Input, seen: &Seen, loaded: LoadedScene) -> Result<Scored> {
    let fail = |e: JudgeError| Failure::data(format!("{}: {e}", loaded.place));
    let complete = judge.complete(loaded.scene.clone()).map_err(fail)?;
    let judged = judge.scene(&complete, &input.subjects(&loaded, &complete, seen)).map_err(fail)?;
    Ok(Scored { complete, judged })
}

/// Writes the lines of a scene and keeps what the report needs of it.
fn take(
    judge: &Judge,
    input: &Input,
    scored: &Scored,
    wanted_frames: &HashSet<&str>,
    results: &mut Results,
    mut write: impl FnMut(&str) -> Result<()>,
) -> Result<()> {
    let scene = &scored.complete;
    // Without trajectories of its own a run shows where the baselines fail.
    let own = scored.judged.iter().any(|judged| judged.entry.planner == input.planner);
    for judged in &scored.judged {
        let entry = &judged.entry;
        write(&serde_json::to_string(entry).map_err(|e| Failure::data(format!("scene {}: {e}", entry.scene)))?)?;
        results.gathered.add(entry);
        if (entry.planner == input.planner || !own) && results.worst.wants(entry) {
            let picture = bev::bev(scene, &tracks(scene, judge, &judged.states), &judged.states, entry);
            results.worst.add(entry.clone(), picture);
        }
        let framed = entry.planner == input.planner && wanted_frames.contains(entry.scene.as_str());
        if let Some(scores) = entry.scores.filter(|_| framed) {
            let frame = Frame {
                start_time: scene.ego.time_us as f64 * 1e-6,
                endpoint: [judged.end.x, judged.end.y],
                start_point: [scene.ego.pose.x, scene.ego.pose.y],
                scores,
                ride: (&judged.states).into(),
            };
            results.frames.insert(entry.scene.clone(), frame);
        }
    }
    Ok(())
}
