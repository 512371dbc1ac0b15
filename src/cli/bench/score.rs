//! `reinsman bench score`: trajectories scored per processor second on one thread, beside the Python reference.

use super::{figures, heading, inside, machine, report};
use crate::{
    bench::{Measured, score::ITEMS, score::Item, score::run as measure},
    cli::{Shared, parse, print},
    error::{Failure, Result},
    settings::nearest::nearest,
    train::progress::Progress,
};
use data::navsim::{LoadedScene, SceneFile, bundled};
use serde_json::json;
use std::path::PathBuf;

/// What can be typed after `bench score`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Scenes, JSON lines, plain or gzipped (default: the bundled ones)
    #[arg(long, value_name = "FILE")]
    pub scenes: Option<PathBuf>,
    /// Only the first N scenes
    #[arg(long, value_name = "N", value_parser = parse::positive, default_value = "64")]
    pub limit: usize,
    /// Work items, separated by commas (default: all)
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    pub items: Vec<String>,
    /// Measured runs of each item, of which the best counts
    #[arg(long, value_name = "N", default_value = "3", value_parser = parse::positive)]
    pub repeats: usize,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    /// This is the process of one item
    #[arg(long, hide = true)]
    pub inside: bool,
}

/// Runs the verb.
///
/// # Errors
/// An unknown item exits 2, bad scenes 3.
pub fn run(args: &Args, shared: &Shared) -> Result<()> {
    let chosen = select(&args.items)?;
    if args.inside {
        let scenes = scenes(args)?;
        let lines: Vec<Measured> =
            chosen.iter().map(|(name, item, _)| measure(name, *item, &scenes, args.repeats)).collect::<Result<_>>()?;
        return print(&format!("{}\n", json!(lines)));
    }
    let mut machine = machine();
    let name = args.scenes.as_ref().map_or_else(|| "bundled".into(), |path| path.display().to_string());
    machine.insert("scenes".into(), json!(name));
    machine.insert("repeats".into(), json!(args.repeats));
    let mut progress = Progress::new(shared.quiet);
    let mut results = Vec::new();
    for (at, (name, ..)) in chosen.iter().enumerate() {
        progress.line(true, || format!("{}/{} {name}", at + 1, chosen.len()));
        results.extend(inside(&call(args, name))?.0);
    }
    progress.finish();
    if args.json {
        return report(machine, &results, true);
    }
    print(&(heading(&machine) + &table(&results)))
}

/// One line per item, with its ratio to the Python reference.
fn table(results: &[Measured]) -> String {
    let row = |cells: [&str; 6]| {
        let [name, value, unit, each, python, ratio] = cells;
        format!("{name:<24} {value:>9} {unit:<19} {each:>9} {python:>8} {ratio:>8}\n")
    };
    let mut text = format!("\n{}", row(["work item", "best", "", "us each", "Python", "ratio"]));
    for line in results {
        let python = ITEMS.iter().find(|(name, ..)| *name == line.name).map_or(0.0, |(_, _, python)| *python);
        let (theirs, ratio) = match python > 0.0 {
            true => (figures(python), format!("{:.0}x", line.value / python)),
            false => ("-".into(), "-".into()),
        };
        let each = figures(1e6 / line.value.max(1e-9));
        text.push_str(&row([&line.name, &figures(line.value), &line.unit, &each, &theirs, &ratio]));
    }
    text + "\nOne thread, processor time, every sub-score, every plan different. Python: the reference implementation\n\
            (NAVSIM 2.2 and 1.1, numpy 1.23) on a Sapphire Rapids Xeon under load; its repeats differed by 20 to 30 %.\n"
}

fn scenes(args: &Args) -> Result<Vec<LoadedScene>> {
    let file = match &args.scenes {
        Some(path) => SceneFile::open(path, None)?,
        None => bundled(),
    };
    let scenes: Vec<LoadedScene> = file.take(args.limit).collect::<Result<_, _>>()?;
    if scenes.is_empty() { Err(Failure::data("the file holds no scene")) } else { Ok(scenes) }
}

type Chosen = (&'static str, Item, f64);

fn select(names: &[String]) -> Result<Vec<Chosen>> {
    let known = || ITEMS.iter().map(|(name, ..)| *name);
    let mut chosen = Vec::new();
    for name in names {
        let Some(item) = ITEMS.iter().find(|(known, ..)| known == name) else {
            let hint = match nearest(name, known()) {
                Some(near) => format!("did you mean {near}?"),
                None => format!("known are {}", known().collect::<Vec<_>>().join(", ")),
            };
            return Err(Failure::usage(format!("unknown work item {name:?}")).hint(hint));
        };
        chosen.push(*item);
    }
    Ok(if chosen.is_empty() { ITEMS.to_vec() } else { chosen })
}

/// The arguments of an item's own process.
fn call(args: &Args, item: &str) -> Vec<String> {
    let mut call: Vec<String> = ["bench", "score", "--inside", "--items", item, "--repeats"].map(String::from).into();
    call.extend([args.repeats.to_string(), "--limit".into(), args.limit.to_string()]);
    if let Some(path) = &args.scenes {
        call.extend(["--scenes".into(), path.display().to_string()]);
    }
    call
}
