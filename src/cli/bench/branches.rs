//! `reinsman bench branches`: milliseconds of the trajectory branches, beside the multiply-adds that they cannot do without.

use super::{figures, heading, inside, machine, report};
use crate::{
    bench::{
        Measured,
        branches::{ITEMS, Work, multiply_adds, product_rate, run as measure},
    },
    cli::{Shared, parse, print},
    error::{Failure, Result},
    settings::nearest::nearest,
    train::progress::Progress,
};
use serde_json::json;

/// What can be typed after `bench branches`.
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

/// Runs the verb on the threads that --threads allows.
///
/// # Errors
/// An unknown item exits 2, device trouble 4.
pub fn run(args: &Args, shared: &Shared) -> Result<()> {
    let chosen = select(&args.items)?;
    if args.inside {
        let lines: Vec<Vec<Measured>> =
            chosen.iter().map(|(name, work)| measure(name, *work, args.repeats)).collect::<Result<_>>()?;
        return print(&format!("{}\n", json!(lines.concat())));
    }
    let rate = product_rate()?;
    let mut machine = machine();
    machine.insert("repeats".into(), json!(args.repeats));
    machine.insert("sgemm_gflops".into(), json!((rate / 1e8).round() / 10.0));
    let mut progress = Progress::new(shared.quiet);
    let mut results = Vec::new();
    for (at, (name, _)) in chosen.iter().enumerate() {
        progress.line(true, || format!("{}/{} {name}", at + 1, chosen.len()));
        let (threads, repeats) = (rayon::current_num_threads().to_string(), args.repeats.to_string());
        let call = ["--threads", &threads, "bench", "branches", "--inside", "--items", name, "--repeats", &repeats];
        results.extend(inside(&call.map(String::from))?.0);
    }
    progress.finish();
    if args.json {
        return report(machine, &results, true);
    }
    print(&(heading(&machine) + &table(&results, rate)))
}

/// One line per item and part, with its share of the item and its ratio to the floor.
fn table(results: &[Measured], rate: f64) -> String {
    let row = |cells: [&str; 7]| {
        let [name, threads, value, cpu, share, floor, ratio] = cells;
        format!("{name:<23} {threads:>7} {value:>10} {cpu:>10} {share:>6} {floor:>10} {ratio:>7}\n")
    };
    let mut text = format!("\n{}", row(["work item", "threads", "best ms", "CPU ms", "share", "floor ms", "ratio"]));
    for line in results {
        let cpu = line.cpu_seconds * 1e3;
        let item = line.name.split('.').next().unwrap_or_default();
        let whole = results.iter().find(|other| other.name == item).map_or(cpu, |other| other.cpu_seconds * 1e3);
        let floor = multiply_adds(&line.name).map_or(0.0, |count| 2e3 * count / rate);
        let (threads, share) = (line.threads.to_string(), format!("{:.0} %", 100.0 * cpu / whole.max(1e-9)));
        let ratio = format!("{:.2}x", cpu / floor.max(1e-9));
        text.push_str(&row([
            &line.name,
            &threads,
            &figures(line.value),
            &figures(cpu),
            &share,
            &figures(floor),
            &ratio,
        ]));
    }
    text + "\nShare and ratio of processor time, which other jobs on the machine do not change. Floor: the multiply-adds of the\n\
            item's matrix products at the rate of one large f32 product (768 x 768), measured first (sgemm_gflops).\n\
            plan: one frame of 36 picture tokens of 256 numbers; rl_step_16x16: 16 scenes with 16 leaves each, without scoring.\n"
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
