//! Reproducing what a paper claims, at the scale of a small machine and on frames of the simulator.
//!
//! Data flows one way: [`recipe`] says what is compared, [`frames`] generates records, [`base`] makes what every arm starts
//! from, [`arms`] lists the runs, [`training`] trains one with the trainers' own loops and checkpoints, [`asking`] measures it,
//! [`outcome`] reads all of it back and writes the report. A finished run leaves `result.json` and is not repeated; a run
//! that was stopped continues from its checkpoint.
//!
//! ```text
//! OUT/  recipe.toml  result.json  report.html  rewards/NAME.toml  frames/  base/
//!       SIZE/ARM/seed-N/  {a run folder}  samples.jsonl  samples-drawn.jsonl  samples-blind.jsonl  result.json
//! ```

pub mod arms;
pub mod asking;
pub mod base;
pub mod frames;
pub mod outcome;
pub mod pair;
pub mod recipe;
pub mod training;

use crate::{
    error::{Failure, Kind, Result, io_at},
    files::{RealFs, write_atomic},
    policy::Source,
    train::{
        features::{self, Features},
        lock::Lock,
        progress::Progress,
        signals::Stop,
    },
};
use asking::Asking;
use eval::reproduction::Report;
use frames::Set;
use recipe::{Recipe, Verb};
use serde_json::json;
use std::{path::Path, time::Instant};
use toml::Value;
use training::Training;

/// Trains, measures and compares everything that is not finished yet. `text` is the recipe as it was resolved.
///
/// # Errors
/// Exit 75 when stopped on request; exit 2 when `out` belongs to another recipe; whatever training and the disk report.
pub fn run(recipe: &Recipe, text: &str, out: &Path, threads: usize, quiet: bool) -> Result<Report> {
    let mut progress = Progress::new(quiet);
    std::fs::create_dir_all(out).map_err(io_at(out))?;
    let _lock = Lock::acquire(out)?;
    keep(text, out)?;
    for (name, text) in &recipe.rewards {
        let folder = out.join("rewards");
        std::fs::create_dir_all(&folder).map_err(io_at(&folder))?;
        write_atomic(&RealFs, &folder.join(format!("{name}.toml")), text.as_bytes())?;
    }
    let set = Set::make(recipe, &out.join("frames"), &mut progress)?;
    base::write(&out.join("base/new"), recipe.base.seed)?;
    let grey = frames::without_pictures(&set.test)?;
    // Until here Ctrl-C ends the program: nothing is lost that takes long.
    let stop = Stop::on_signals()?;
    let jobs = arms::jobs(recipe, out);
    let mut features = Features::new(features::BUDGET);
    let left = |done: usize| {
        let message = format!("stopped on request; {done} of {} runs are finished", jobs.len());
        Failure::new(Kind::Resumable, message).hint("the same command continues")
    };
    let named = |failure: Failure, done: usize| if failure.kind == Kind::Resumable { left(done) } else { failure };
    let settings = arms::base_settings(recipe, &set, out)?;
    if !training::trained(&out.join("base"), training::steps(&settings, Verb::Sft))? {
        progress.note("base: the embedded planner's eyes, a new decoder, answers dealt to the wrong frames");
        let dealt = frames::dealt(&set.train, recipe.base.seed);
        let mut training = Training { features: &mut features, stop: &stop, threads };
        let done = training.train(&out.join("base"), (Verb::Sft, &settings), &dealt, &mut progress);
        done.map_err(|failure| named(failure, 0))?;
    }
    for (done, job) in jobs.iter().enumerate() {
        if job.finished() {
            continue;
        }
        // Its own, so that its line tells of this run alone.
        let mut progress = Progress::new(quiet);
        progress.note(&format!("run {} of {}: {}", done + 1, jobs.len(), job.name()));
        let settings = job.settings(recipe, &set, out)?;
        let (begin, samples) = (Instant::now(), &set.train[..job.size.frames]);
        let mut training = Training { features: &mut features, stop: &stop, threads };
        training
            .train(&job.dir, (job.arm.verb, &settings), samples, &mut progress)
            .map_err(|failure| named(failure, done))?;
        let trained = begin.elapsed().as_secs_f64();
        let planner = training::load(&Source::resolve(Some(&job.dir))?, &settings, None)?;
        let mut asking = Asking { planner: &planner, features: &mut features, stop: &stop, job, how: &recipe.measure };
        if !asking.measure(&set.test, &grey)? {
            return Err(left(done));
        }
        let seconds = begin.elapsed().as_secs_f64();
        let result = json!({
            "arm": job.arm.id, "size": job.size.name, "seed": job.seed, "steps": training::steps(&settings, job.arm.verb),
            "train_seconds": trained, "seconds": seconds,
        });
        write_atomic(&RealFs, &job.result(), format!("{result:#}\n").as_bytes())?;
    }
    outcome::publish(recipe, &set, &jobs, out)
}

/// Names of everything that can be reproduced.
pub fn names() -> impl Iterator<Item = &'static str> {
    Recipe::names().chain([pair::NAME])
}

/// Writes the recipe down; a folder holds one.
pub(crate) fn keep(text: &str, out: &Path) -> Result<()> {
    let path = out.join("recipe.toml");
    match std::fs::read_to_string(&path) {
        Ok(stored) if stored == text => Ok(()),
        Ok(_) => Err(Failure::usage(format!("{} holds a reproduction by another recipe", out.display()))
            .hint("choose another --out, or remove the folder to start over")),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => write_atomic(&RealFs, &path, text.as_bytes()),
        Err(e) => Err(io_at(&path)(e)),
    }
}

/// A path as a setting.
pub(crate) fn setting(path: &Path) -> Value {
    Value::String(path.display().to_string())
}
