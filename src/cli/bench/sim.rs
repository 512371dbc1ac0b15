//! `reinsman bench sim`: agent-steps a second of the simulator, with and without frames, and forks rolled out.

use super::{figures, heading, inside, machine, report};
use crate::{
    bench::{
        Measured,
        sim::{ITEMS, Work, run as measure},
    },
    cli::{Shared, parse, print},
    error::{Failure, Result},
    settings::nearest::nearest,
    train::progress::Progress,
};
use serde_json::json;

/// Agent-steps a second of Gigapixel's renderer on one A100 (its headline figure).
const GIGAPIXEL: f64 = 50_000.0;

/// What can be typed after `bench sim`.
#[derive(Debug, clap::Args)]
pub struct Args {
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

/// Runs the verb: each item on one thread and on all that --threads allows.
///
/// # Errors
/// An unknown item exits 2, threads that cannot be started 4.
pub fn run(args: &Args, shared: &Shared) -> Result<()> {
    let chosen = select(&args.items)?;
    let most = rayon::current_num_threads();
    if args.inside {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(most)
            .build()
            .map_err(|e| Failure::device(format!("cannot start {most} threads: {e}")))?;
        let lines: Vec<Measured> =
            chosen.iter().map(|(name, work)| measure(name, *work, &pool, args.repeats)).collect();
        return print(&format!("{}\n", json!(lines)));
    }
    let mut machine = machine();
    machine.insert("repeats".into(), json!(args.repeats));
    let mut progress = Progress::new(shared.quiet);
    let threads = if most > 1 { vec![1, most] } else { vec![1] };
    let mut results = Vec::new();
    for (at, (name, _)) in chosen.iter().enumerate() {
        for &threads in &threads {
            progress.line(true, || format!("{}/{} {name}, {threads} threads", at + 1, chosen.len()));
            let repeats = args.repeats.to_string();
            let call =
                ["--threads", &threads.to_string(), "bench", "sim", "--inside", "--items", name, "--repeats", &repeats];
            results.extend(inside(&call.map(String::from))?.0);
        }
    }
    progress.finish();
    if args.json {
        return report(machine, &results, true);
    }
    print(&(heading(&machine) + &table(&results)))
}

/// One line per item and number of threads, with its ratio to the published peer.
fn table(results: &[Measured]) -> String {
    let row = |cells: [&str; 6]| {
        let [name, threads, value, unit, cpu, ratio] = cells;
        format!("{name:<22} {threads:>7} {value:>12} {unit:<14} {cpu:>16} {ratio:>13}\n")
    };
    let mut text = format!("\n{}", row(["work item", "threads", "best", "", "per CPU second", "of Gigapixel"]));
    for line in results {
        let ratio =
            if line.name.starts_with("rendered") { format!("{:.2}x", line.value / GIGAPIXEL) } else { "-".into() };
        let per_cpu = if line.unit == "ms" { 1.0 / line.cpu_seconds } else { 1e6 / line.cpu_seconds };
        let cells = [line.threads.to_string(), figures(line.value), figures(per_cpu)];
        text.push_str(&row([&line.name, &cells[0], &cells[1], &line.unit, &cells[2], &ratio]));
    }
    text + "\nScenes of the validation suite; every agent that takes part counts, rendered ones get a front view each (RGB), in\n\
            the plain look (flat colours) or the rich one (patches, noise, weather).\n\
            Gigapixel: 50 000 agent-steps/s with frames on one A100, as published (another resolution and machine).\n\
            fork_rollout_32x4s: wall time of one fork of 32 agents and 40 steps, on every thread at once. Per CPU second: the same\n\
            work over processor time, which other jobs on the machine do not change; in JSON `cpu_seconds` of a million\n\
            agent-steps, or of one fork.\n"
}

fn select(names: &[String]) -> Result<Vec<(&'static str, Work)>> {
    let known = || ITEMS.iter().map(|(name, _)| *name);
    let mut chosen = Vec::new();
    for name in names {
        let Some(item) = ITEMS.iter().find(|(known, _)| known == name) else {
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
