//! From the logs of finished runs to the tables and the page. Nothing is measured here, so it can be done again at any time.

use super::{
    arms::Job,
    asking::{self, Kind},
    frames::Set,
    recipe::{Recipe, Verb},
};
use crate::{
    error::{Failure, Result, io_at},
    files::{RealFs, write_atomic},
    policy::evaluate::blank_entry,
    train::metrics,
};
use data::{Image, Sample};
use eval::{
    Entry, Log,
    metrics::bootstrap::Bootstrap,
    reproduction::{Card, Curve, Finished, Page, Report, Said, page},
    summary::ego_row,
};
use serde_json::Value;
use std::{collections::BTreeMap, path::Path};

/// Compares the finished runs, and writes `result.json` and `report.html`.
///
/// # Errors
/// Logs that cannot be read, the disk.
pub fn publish(recipe: &Recipe, set: &Set, jobs: &[Job], out: &Path) -> Result<Report> {
    let mut finished = Vec::new();
    for job in jobs.iter().filter(|job| job.finished()) {
        finished.push(read(job)?);
    }
    let train: Vec<_> = set.train.iter().map(|sample| ego_row(&blank_entry(sample, false, ""))).collect();
    let (arms, claims) = (recipe.arm_names(), recipe.claims());
    let parts = (&recipe.sizes[..], &arms[..], &claims[..]);
    let report = Report::of(recipe.about.clone(), parts, &finished, &train, Bootstrap::default());
    let extra =
        Page { curves: curves(recipe, jobs)?, cards: cards(recipe, set, jobs, &finished), notes: notes(recipe) };
    write_atomic(&RealFs, &out.join("report.html"), page(&report, &extra).as_bytes())?;
    let json = serde_json::to_string_pretty(&report).map_err(|e| Failure::data(e.to_string()))?;
    write_atomic(&RealFs, &out.join("result.json"), format!("{json}\n").as_bytes())?;
    Ok(report)
}

fn read(job: &Job) -> Result<Finished> {
    let path = job.result();
    let text = std::fs::read_to_string(&path).map_err(io_at(&path))?;
    let result: Value = serde_json::from_str(&text).map_err(|e| Failure::data(format!("{}: {e}", path.display())))?;
    let log = |kind| asking::read(&job.dir, kind);
    let Some(greedy) = log(Kind::Greedy)? else {
        let message = format!("{} says that the run is finished, but its answers are gone", path.display());
        return Err(Failure::data(message).hint("remove that file to measure it anew"));
    };
    Ok(Finished {
        arm: job.arm.id.clone(),
        size: job.size.name.clone(),
        seed: job.seed,
        steps: result["steps"].as_u64().unwrap_or(0),
        seconds: result["seconds"].as_f64().unwrap_or(0.0),
        greedy: Some(greedy),
        sampled: log(Kind::Drawn)?,
        blind: log(Kind::Blind)?,
        scores: BTreeMap::new(),
    })
}

/// What is drawn of a run's metrics: name there and for people.
fn quantities(verb: Verb) -> &'static [(&'static str, &'static str)] {
    match verb {
        Verb::Sft => &[("loss", "loss")],
        Verb::Grpo => &[
            ("reward", "reward"),
            ("plans/accuracy", "accuracy of drawn plans"),
            ("entropy", "entropy, nats a token"),
            ("completions/mean_length", "tokens an answer"),
        ],
    }
}

fn curves(recipe: &Recipe, jobs: &[Job]) -> Result<Vec<Curve>> {
    let mut curves = Vec::new();
    // By size and trainer, each group with axes of its own; seeds are averaged where they are drawn.
    for size in &recipe.sizes {
        for (verb, name) in [(Verb::Sft, "Fine-tuning"), (Verb::Grpo, "Reinforcement learning")] {
            let here = jobs.iter().filter(|job| job.finished() && job.size == size && job.arm.verb == verb);
            for job in here {
                let lines = metrics::read(&job.dir.join("metrics.jsonl"))?.lines;
                for (key, quantity) in quantities(verb) {
                    let point = |line: &Value| Some((line.get("step")?.as_f64()?, line.get(key)?.as_f64()?));
                    curves.push(Curve {
                        label: job.arm.label.clone(),
                        group: format!("{name}, {} training frames", size.frames),
                        quantity: (*quantity).to_owned(),
                        seed: job.seed,
                        points: lines.iter().filter_map(point).collect(),
                    });
                }
            }
        }
    }
    Ok(curves)
}

/// Answers of the arms that draw several, at the last size and the first seed.
fn cards(recipe: &Recipe, set: &Set, jobs: &[Job], finished: &[Finished]) -> Vec<Card> {
    let (Some(size), Some(seed)) = (recipe.sizes.last(), recipe.seeds.first()) else { return Vec::new() };
    let drawn = asking::spread(&set.test, recipe.measure.frames);
    let of = |id: &str| finished.iter().find(|run| run.arm == id && run.size == size.name && run.seed == *seed);
    let arms = jobs.iter().filter(|job| job.size == size && job.seed == *seed && job.arm.samples);
    let arms: Vec<(&Job, &Finished)> = arms.filter_map(|job| Some((job, of(&job.arm.id)?))).collect();
    let step = (drawn.len() / recipe.measure.cards.max(1)).max(1);
    let card = |sample: &&Sample| {
        let said = arms.iter().filter_map(|(job, run)| said(&job.arm.label, run, &sample.id)).collect();
        let entry = blank_entry(sample, false, "");
        let speed = entry.speed_mps.map_or_else(String::new, |v| format!("{v:.1} m/s · "));
        Card {
            id: sample.id.clone(),
            asked: speed + entry.command.as_deref().unwrap_or("no command"),
            truth: sample.action().map_or("unknown".into(), |action| action.to_string()),
            picture: sample.images.last().and_then(|image| match image {
                Image::File(path) => std::fs::read(path).ok(),
                Image::Bytes(bytes) => Some(bytes.to_vec()),
            }),
            said,
        }
    };
    drawn.into_iter().step_by(step).take(recipe.measure.cards).map(|sample| card(&sample)).collect()
}

fn said(label: &str, run: &Finished, id: &str) -> Option<Said> {
    let find = |log: &Log| log.entries.iter().find(|entry| entry.id == id).cloned();
    let entry: Entry = run.greedy.as_ref().and_then(find)?;
    let reply = entry.replies.first()?;
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for reply in run.sampled.as_ref().and_then(find).iter().flat_map(|entry| &entry.replies) {
        let plan = reply.plan().map_or("no plan".into(), |plan| plan.action.to_string());
        *counts.entry(plan).or_default() += 1;
    }
    let mut plans: Vec<(String, usize)> = counts.into_iter().collect();
    plans.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
    let right = reply.plan().map(|plan| plan.action) == entry.truth.both() && reply.plan().is_some();
    Some(Said { label: label.into(), text: reply.text.clone(), right, plans })
}

fn notes(recipe: &Recipe) -> Vec<String> {
    vec![format!(
        "Seeds {}. Every arm starts from one base: the vision tower of the embedded planner, frozen, under a new text decoder that \
         learned words and form from answers dealt to the wrong frames.",
        recipe.seeds.iter().map(u64::to_string).collect::<Vec<_>>().join(", ")
    )]
}
