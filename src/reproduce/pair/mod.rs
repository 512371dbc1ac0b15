//! PaIR-Drive: imitation and reinforcement side by side, against imitation alone, against a selector alone, and against
//! reinforcement after imitation; over references that the tree has never met; on demonstrations worth improving on.
//!
//! ```text
//! OUT/  recipe.toml  result.json  report.html  frames/SET/
//!       SET/RUN/seed-N/  {a run folder}  result.json      SET/rows/seed-N.json
//! ```

mod frames;
pub mod recipe;
mod rows;
mod runs;

use crate::{
    error::{Failure, Kind, Result, io_at},
    files::{RealFs, write_atomic},
    train::{lock::Lock, metrics, progress::Progress, signals::Stop},
};
use eval::{
    metrics::bootstrap::Bootstrap,
    reproduction::{Curve, Finished, Page, Report, page},
};
use frames::Sets;
use recipe::Recipe;
use runs::Job;
use serde_json::{Value, json};
use std::{collections::BTreeMap, path::Path, time::Instant};

/// Its name on the command line.
pub const NAME: &str = "pair-drive";

/// The built-in recipe, small if `quick`, under a file of the user; also as the text that it amounts to.
///
/// # Errors
/// Exit 3 for a file that cannot be read, exit 2 for what does not fit together.
pub fn load(quick: bool, over: Option<&Path>) -> Result<(Recipe, String)> {
    let (recipe, text): (Recipe, String) = super::recipe::layered(NAME, recipe::TEXT, quick, over)?;
    recipe.check()?;
    Ok((recipe, text))
}

/// Trains, measures and compares everything that is not finished yet. `text` is the recipe as it was resolved.
///
/// # Errors
/// Exit 75 when stopped on request; exit 2 when `out` belongs to another recipe; whatever training and the disk report.
pub fn run(recipe: &Recipe, text: &str, out: &Path, threads: usize, quiet: bool) -> Result<Report> {
    let mut progress = Progress::new(quiet);
    std::fs::create_dir_all(out).map_err(io_at(out))?;
    let _lock = Lock::acquire(out)?;
    super::keep(text, out)?;
    let mut sets = Sets::make(recipe, &out.join("frames"), &mut progress)?;
    // Until here Ctrl-C ends the program: nothing is lost that takes long.
    let stop = Stop::on_signals()?;
    sets.stop = stop.clone();
    let jobs = runs::jobs(recipe, out);
    for (done, job) in jobs.iter().enumerate().filter(|(_, job)| !job.finished()) {
        let left = |failure: Failure| match failure.kind {
            Kind::Resumable => stopped(done, jobs.len()),
            _ => failure,
        };
        // Its own, so that its line tells of this run alone.
        let mut progress = Progress::new(quiet);
        progress.note(&format!("run {} of {}: {}", done + 1, jobs.len(), job.name()));
        let begin = Instant::now();
        let steps = job.train(recipe, &sets, out, threads, (&mut progress, &stop)).map_err(left)?;
        let result = json!({ "steps": steps, "seconds": begin.elapsed().as_secs_f64() });
        write_atomic(&RealFs, &job.result(), format!("{result:#}\n").as_bytes())?;
    }
    let mut finished = Vec::new();
    for &seed in &recipe.seeds {
        for set in &recipe.sets {
            if stop.requested() {
                return Err(stopped(jobs.len(), jobs.len()));
            }
            let mut rows = rows::measure(recipe, &sets, (set, seed), out, &mut progress)?;
            for arm in &recipe.arms {
                let Some(scores) = rows.remove(&arm.id) else { continue };
                let job = jobs
                    .iter()
                    .find(|job| job.seed == seed && job.set.name == set.name && arm.run.as_ref() == Some(&job.run.id));
                let (steps, seconds) = job.map_or(Ok((0, 0.0)), noted)?;
                let (arm, size) = (arm.id.clone(), set.name.clone());
                finished.push(Finished {
                    arm,
                    size,
                    seed,
                    steps,
                    seconds,
                    greedy: None,
                    sampled: None,
                    blind: None,
                    scores,
                });
            }
        }
    }
    publish(recipe, &finished, &jobs, out)
}

fn stopped(done: usize, all: usize) -> Failure {
    Failure::new(Kind::Resumable, format!("stopped on request; {done} of {all} runs are finished"))
        .hint("the same command continues")
}

/// Steps and wall seconds of a finished run.
fn noted(job: &Job) -> Result<(u64, f64)> {
    let path = job.result();
    let text = std::fs::read_to_string(&path).map_err(io_at(&path))?;
    let result: Value = serde_json::from_str(&text).map_err(|e| Failure::data(format!("{}: {e}", path.display())))?;
    Ok((result["steps"].as_u64().unwrap_or(0), result["seconds"].as_f64().unwrap_or(0.0)))
}

/// Compares arms, and writes `result.json` and `report.html`.
fn publish(recipe: &Recipe, finished: &[Finished], jobs: &[Job], out: &Path) -> Result<Report> {
    let (sizes, arms) = (recipe.sizes(), recipe.arm_names());
    let mut report =
        Report::of(recipe.about.clone(), (&sizes, &arms, &recipe.claims), finished, &[], Bootstrap::default());
    // Arms share runs: each run counts once.
    report.seconds = jobs.iter().map(|job| noted(job).map(|(_, seconds)| seconds)).sum::<Result<f64>>()?;
    let extra = Page { curves: curves(recipe, jobs)?, cards: Vec::new(), notes: notes(recipe) };
    write_atomic(&RealFs, &out.join("report.html"), page(&report, &extra).as_bytes())?;
    let json = serde_json::to_string_pretty(&report).map_err(|e| Failure::data(e.to_string()))?;
    write_atomic(&RealFs, &out.join("result.json"), format!("{json}\n").as_bytes())?;
    Ok(report)
}

/// What is drawn of a run's metrics: name there and for people.
const QUANTITIES: [(&str, &str); 6] = [
    ("il/loss", "imitation loss"),
    ("tree/reward", "EPDMS of leaves"),
    ("tree/best", "EPDMS of the best leaf"),
    ("tree/kl", "divergence of a decision"),
    ("selector/cross_entropy", "selector, cross-entropy"),
    ("sequential/reward", "EPDMS of drives, sequential"),
];

fn curves(recipe: &Recipe, jobs: &[Job]) -> Result<Vec<Curve>> {
    let mut curves = Vec::new();
    for set in &recipe.sets {
        for job in jobs.iter().filter(|job| job.set.name == set.name) {
            let lines = metrics::read(&job.dir.join("metrics.jsonl"))?.lines;
            for (key, quantity) in QUANTITIES {
                let point = |line: &Value| Some((line.get("step")?.as_f64()?, line.get(key)?.as_f64()?));
                let points: Vec<(f64, f64)> = lines.iter().filter_map(point).collect();
                if !points.is_empty() {
                    let (label, quantity) = (job.run.label.clone(), quantity.to_owned());
                    let group = format!("{} demonstrations", set.name);
                    curves.push(Curve { label, group, quantity, seed: job.seed, points });
                }
            }
        }
    }
    Ok(curves)
}

fn notes(recipe: &Recipe) -> Vec<String> {
    let mut drivers: BTreeMap<&str, String> = BTreeMap::new();
    recipe.sets.iter().for_each(|set| drop(drivers.insert(&set.name, set.drivers.join(", "))));
    let told: Vec<String> = drivers.iter().map(|(set, names)| format!("{set}: {names}")).collect();
    vec![format!(
        "Seeds {}. Demonstrations: {}. Features are those of the embedded planner's frozen vision tower; progress and excuses \
         are measured against the rule expert's own drive from each moment.",
        recipe.seeds.iter().map(u64::to_string).collect::<Vec<_>>().join(", "),
        told.join("; "),
    )]
}
