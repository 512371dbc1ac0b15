//! What is printed and published: the table, `summary.json`, `report.html`, thresholds.

use super::{Args, Judge, input::Input, stages, work::Results};
use crate::{
    cli::{print, print_json},
    error::{Failure, Kind, Result},
    files::{RealFs, write_atomic},
};
use ::eval::{
    metrics::bootstrap::Bootstrap,
    pdm::{Policy, Table, entry::columns, page::page, terminal::terminal},
};
use data::error::thousands;
use rewards::pdm::{Filter, Version};
use serde_json::{Value, json};

/// Names of columns that must reach a value.
pub(super) type Limits = Vec<(String, f64)>;

/// Checks the names of `--fail-under`.
///
/// # Errors
/// Exit 2 for an unknown name.
pub(super) fn limits(args: &Args, version: Version) -> Result<Limits> {
    let known: Vec<&str> = columns(version).iter().map(|column| column.key).collect();
    for (name, _) in &args.fail_under {
        if !known.contains(&name.as_str()) {
            return Err(Failure::usage(format!("--fail-under: unknown metric {name:?}"))
                .hint(format!("known are {}", known.join(", "))));
        }
    }
    Ok(args.fail_under.clone())
}

/// Publishes and prints.
///
/// # Errors
/// Exit 1 for a missed threshold, 3 for trajectories without a scene or a folder that cannot be written.
pub(super) fn publish(args: &Args, judge: &Judge, input: &Input, results: Results, limits: &Limits) -> Result<()> {
    if results.scenes == 0 {
        return Err(Failure::data("no scene was scored").hint(match &input.plans {
            Some(_) => "do the trajectories name these scenes?",
            None => "give scenes with --scenes",
        }));
    }
    let bootstrap = Bootstrap::default();
    let mapping = args.two_stage.as_deref().map(stages::read).transpose()?;
    let two_stage =
        mapping.map(|mapping| stages::aggregate(judge, &mapping, &results.frames, bootstrap)).transpose()?;
    let policy = match judge.policy {
        Policy::LogReplay => "log replay",
        Policy::ConstantVelocity => "constant velocity",
        Policy::Idm => "IDM (reactive)",
    };
    let table = Table {
        version: judge.version,
        policy: policy.into(),
        fixed: args.fixed,
        human_filter: judge.filter == Filter::Human,
        scenes: results.scenes,
        lines: results.gathered.lines(bootstrap),
        two_stage,
        bootstrap,
        notes: notes(&results, judge),
    };
    let title = format!("{} on {}", input.planner, names(input));
    let mut summary = serde_json::to_value(&table).map_err(|e| Failure::data(format!("summary: {e}")))?;
    if let Value::Object(object) = &mut summary {
        object.insert("seconds".into(), json!(results.seconds));
        object.insert("out".into(), json!(results.dir.display().to_string()));
    }
    let write = |name: &str, text: &str| write_atomic(&RealFs, &results.dir.join(name), text.as_bytes());
    write("summary.json", &format!("{summary:#}\n"))?;
    write("report.html", &page(&title, &table, &results.worst.cases()))?;
    if args.json {
        print_json(&summary)?;
    } else {
        let report = results.dir.join("report.html");
        let scenes = thousands(results.scenes as u64);
        print(&format!(
            "{scenes} scenes in {:.1} s, others: {policy}\n\n{}\n{}  (also summary.json, trajectories.jsonl)\n",
            results.seconds,
            terminal(&table),
            report.display()
        ))?;
    }
    homeless(args, &results)?;
    hold(&table, limits)
}

fn names(input: &Input) -> String {
    if input.files.is_empty() {
        return "the bundled scenes".into();
    }
    let names: Vec<String> = input.files.iter().map(|file| file.display().to_string()).collect();
    names.join(", ")
}

fn notes(results: &Results, judge: &Judge) -> Vec<String> {
    let mut notes = Vec::new();
    if results.unplanned > 0 {
        notes.push(format!("{} scenes without a trajectory were left out", thousands(results.unplanned as u64)));
    }
    if let Some(first) = results.bad.first() {
        notes.push(format!("{} bad scenes left out (first: {first})", thousands(results.bad.len() as u64)));
    }
    if judge.version == Version::V2 {
        notes.push("EC needs the plan of the frame before; where there is none it has no weight".into());
    }
    notes
}

/// Trajectories that belong to no scene would silently shrink the average.
fn homeless(args: &Args, results: &Results) -> Result<()> {
    let Some(first) = results.homeless.first().filter(|_| !args.skip_bad) else { return Ok(()) };
    let n = results.homeless.len();
    let message = format!("{} trajectories name scenes that are not there (first: {first})", thousands(n as u64));
    Err(Failure::data(message).hint("give every scene file with --scenes, or --skip-bad to leave them out"))
}

/// Holds the averages of the first planner against the limits.
fn hold(table: &Table, limits: &Limits) -> Result<()> {
    let mut missed = Vec::new();
    for (name, limit) in limits {
        let column = table.columns().iter().find(|column| column.key == name);
        let figure = table.lines.first().zip(column).and_then(|(line, column)| Table::figure(line, column));
        match figure {
            Some(figure) if figure.value >= *limit => {}
            Some(figure) => missed.push(format!("{name} is {:.4}, {limit} wanted", figure.value)),
            None => missed.push(format!("{name} could not be measured, {limit} wanted")),
        }
    }
    if missed.is_empty() {
        return Ok(());
    }
    let message = format!("{} of {} thresholds missed: {}", missed.len(), limits.len(), missed.join("; "));
    Err(Failure::new(Kind::Threshold, message))
}
