//! What `il` and `pair` share: settings, frames and their moments, training, and the table at the end.

use super::{
    Shared, millions, print, print_json,
    training::{self, Common},
};
use crate::{
    device,
    error::{Failure, Result},
    policy::{Planner, Source, eyes::eyes},
    settings::{Settings, Threshold},
    train::{
        branches::{Frames, Store, Trainer, Verb, measure, options},
        checkpoint::Checkpoint,
        progress::{self, Progress},
        run::{Run, Start},
        signals::Stop,
    },
    trajectory::{Branches, SubScores, branches::Eyes},
    vlm::Trainable,
};
use measure::Row;
use serde_json::{Map, Value, json};
use std::{
    path::{Path, PathBuf},
    time::Instant,
};

/// Runs a verb on checked settings.
///
/// # Errors
/// Bad settings exit 2, bad data 3, device trouble 4, a stop on request 75.
pub fn run(verb: Verb, args: &Common, settings: &Settings, resume: Option<&Path>, shared: &Shared) -> Result<()> {
    if settings.data.train.is_empty() {
        return Err(Failure::usage("no training data")
            .hint("give --data FILE: records of `reinsman data generate`, or set data.train"));
    }
    if let Some(adapter) = &settings.model.adapter {
        return Err(Failure::usage(format!(
            "model.adapter is {}, but trajectory branches read the vision tower alone, which adapters do not change",
            adapter.display()
        ))
        .hint("leave --adapter away"));
    }
    let (name, seed) = match verb {
        Verb::Il => ("il", settings.il.seed),
        Verb::Pair => ("pair", settings.pair.seed),
    };
    let device = settings.model.device.open()?;
    let threads = shared.threads.unwrap_or_else(rayon::current_num_threads);
    let start = Start::here(name, seed, &device::name(&device), threads);
    let run = training::claim(args, settings, resume, &start)?;
    // A run that continues has a head of its own by now, whatever it started from.
    let start = run.as_ref().and_then(|run| run.from.as_ref()).map(|from| from.dir.as_path());
    let start = start.or(settings.pair.il.as_deref().filter(|_| verb == Verb::Pair));
    let given = start.map(Branches::load).transpose()?;
    options::check(verb, settings, given.is_some())?;
    let source = Source::resolve(settings.model.path.as_deref())?;
    let stop = Stop::on_signals()?;
    let mut progress = Progress::new(shared.quiet);
    for note in run.iter().flat_map(|run| &run.notes) {
        progress.note(note);
    }
    let planner = training::load(settings, &source, &device, Trainable::None, None, shared.note())?;
    let eyes = eyes(&planner)?;
    if eyes.probe.iter().any(|x| !x.is_finite()) {
        return Err(Failure::device(format!("the vision tower of {} makes numbers that are not finite", eyes.name))
            .hint("its weights are broken, or too large for model.dtype"));
    }
    given.iter().try_for_each(|given| eyes.expect(&given.about.eyes))?;
    let loading = Loading { settings, planner: &planner, eyes: &eyes, verb, run: run.as_ref(), stop: &stop };
    let train = loading.frames(&settings.data.train, &mut progress)?;
    let val = match settings.data.val.is_empty() {
        true => None,
        false => Some(loading.frames(&settings.data.val, &mut progress)?),
    };
    let mut trainer = Trainer::new(verb, settings, &train, val.as_ref(), eyes.clone(), given)?;
    if !shared.quiet && !args.json {
        print(&describe(&trainer, settings, &eyes, &train, val.as_ref()))?;
    }
    let Some(run) = run else {
        return rehearse(&mut trainer, args.json);
    };
    if let Some(from) = &run.from
        && let Some(warning) = trainer.restore(from, args.resume_anyway)?
    {
        progress.note(&warning);
    }
    trainer.run(&run, &mut progress, &stop)?;
    let rows = match &val {
        Some(val) => rows(&trainer.branches, val)?,
        None => Vec::new(),
    };
    let last = Checkpoint::newest(&run.dir)?.found.map_or_else(|| run.dir.clone(), |checkpoint| checkpoint.dir);
    if args.json {
        print_json(&json!({
            "run": run.dir.display().to_string(),
            "steps": trainer.total(),
            "checkpoint": last.display().to_string(),
            "threshold": trainer.branches.about.threshold,
            "rows": rows.iter().map(row_json).collect::<Vec<_>>(),
        }))
    } else if shared.quiet {
        Ok(())
    } else {
        let chosen = match (settings.pair.threshold, &trainer.branches.selector) {
            (Threshold::Auto, Some(_)) if !rows.is_empty() => {
                let threshold = trainer.branches.about.threshold;
                format!("threshold {threshold} was chosen on these frames: measure on others before you quote\n")
            }
            _ => String::new(),
        };
        print(&format!("{}{chosen}done: {}\n", table(&rows), last.display()))
    }
}

/// What frames are loaded with.
struct Loading<'a> {
    settings: &'a Settings,
    planner: &'a Planner,
    eyes: &'a Eyes,
    verb: Verb,
    run: Option<&'a Run>,
    stop: &'a Stop,
}

impl Loading<'_> {
    /// Frames of record files. A stop on request ends it: features that are kept are not made again.
    fn frames(&self, paths: &[PathBuf], progress: &mut Progress) -> Result<Frames> {
        let options = training::read_options(&self.settings.data)?;
        let mut samples = Vec::new();
        for path in paths {
            samples.extend(data::load(path, &options)?.samples);
        }
        let mut store = match self.settings.trajectory.cache {
            true => Store::of(self.planner, self.eyes),
            false => Store::none(),
        };
        let total = samples.len();
        let loaded = Frames::load(&samples, self.planner, &mut store, &mut |done| {
            progress.line(done == total, || format!("{done}/{total} frames encoded, their moments restored"));
            match self.run.filter(|_| self.stop.requested()) {
                Some(run) => {
                    let saved = run.from.as_ref().map(|from| from.dir.as_path());
                    Err(Stop::resumable(self.verb.name(), saved, &run.dir))
                }
                None => Ok(()),
            }
        })?;
        if store.found > 0 {
            progress.note(&format!("features of {} of {total} frames were read from the cache", store.found));
        }
        store.trouble.iter().for_each(|why| progress.note(why));
        if self.settings.il.blind { loaded.blind() } else { Ok(loaded) }
    }
}

/// Eyes, branches, data and steps, one line each.
fn describe(trainer: &Trainer, settings: &Settings, eyes: &Eyes, train: &Frames, val: Option<&Frames>) -> String {
    let branches = &trainer.branches;
    let count = |vars: &std::collections::BTreeMap<String, candle_core::Var>| {
        millions(vars.values().map(|var| var.elem_count()).sum())
    };
    let mut parts = vec![format!("il {} ({} modes)", count(branches.il.vars()), branches.about.il.modes)];
    parts.extend(branches.tree.iter().map(|tree| format!("tree {}", count(tree.vars()))));
    parts.extend(branches.selector.iter().map(|selector| format!("selector {}", count(selector.vars()))));
    let blind = if settings.il.blind { ", which are kept from it" } else { "" };
    let held = val.map_or_else(String::new, |val| format!(", {} held out", val.len()));
    format!(
        "eyes       {}: features of width {}{blind}\nbranches   {}\ndata       {} frames{held}\nsteps      {}\n",
        eyes.name,
        train.feature_width(),
        parts.join(", "),
        train.len(),
        trainer.total(),
    )
}

/// Times steps and writes nothing.
fn rehearse(trainer: &mut Trainer, json: bool) -> Result<()> {
    let mut seconds = 0.0;
    for _ in 0..trainer.total().min(2) {
        let begin = Instant::now();
        trainer.step()?;
        seconds = begin.elapsed().as_secs_f64();
    }
    let (steps, all) = (trainer.total(), seconds * trainer.total() as f64);
    match json {
        true => print_json(&json!({ "steps": steps, "step_seconds": seconds, "total_seconds": all })),
        false => print(&format!(
            "step       about {seconds:.2} s on this machine; all {steps} about {}\n",
            progress::duration(all)
        )),
    }
}

/// The rows of the table: baselines, and what the parts add.
fn rows(branches: &Branches, frames: &Frames) -> Result<Vec<Row>> {
    let mut rows = measure::baselines(frames)?;
    rows.extend(measure::parts(branches, &branches.il, frames)?);
    Ok(rows)
}

fn table(rows: &[Row]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let mut text = format!("{:22}{:>8}", "held out", "EPDMS");
    SubScores::NAMES.iter().for_each(|name| text += &format!("{:>7}", name.to_uppercase()));
    text.push('\n');
    for row in rows {
        text += &format!("{:22}{:>8.1}", row.name, 100.0 * row.mean(SubScores::total));
        (0..SubScores::NAMES.len()).for_each(|at| text += &format!("{:>7.1}", 100.0 * row.mean(|s| s.row()[at])));
        text.push('\n');
    }
    text
}

fn row_json(row: &Row) -> Value {
    let mut line = Map::new();
    line.insert("policy".into(), json!(row.name));
    line.insert("epdms".into(), json!(row.mean(SubScores::total)));
    for (at, name) in SubScores::NAMES.iter().enumerate() {
        line.insert((*name).into(), json!(row.mean(|s| s.row()[at])));
    }
    line.insert("frames".into(), json!(row.scores.len()));
    Value::Object(line)
}
