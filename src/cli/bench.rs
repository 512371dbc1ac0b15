//! `reinsman bench`: how fast this machine does fixed work. Every benchmark prints one table, or with `--json` one object
//! `{machine, results: [{name, value, unit, threads, cpu_seconds, peak_rss_bytes}]}`.
//!
//! Each work item runs in a process of its own: this program starts itself again, hidden flag `--inside`, and reads the
//! item's lines from its output.

pub mod branches;
pub mod model;
pub mod score;
pub mod sim;

use super::{Shared, print, print_json};
use crate::{
    bench::{Measured, clock::Lap},
    error::{Failure, Kind, Result, human_bytes},
};
use serde_json::{Map, Value, json};
use std::{
    io::{BufRead, BufReader, Read},
    process::{Command, Stdio},
    time::Instant,
};

const EXAMPLES: &str = "Examples:
  reinsman bench model                          # the small model of the comparison with Python
  reinsman bench model --shape 3b --items decode_b1 --json
  reinsman bench model --items preprocess,startup --repeats 10 --threads 2
  reinsman bench score                          # NAVSIM scores a second, beside Python
  reinsman bench score --items epdms_official_call,epdms_batch_256 --json
  reinsman bench sim                            # the simulator, with and without frames
  reinsman bench branches --items plan          # planning a frame, beside its floor";

/// What can be typed after `bench`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// What to measure
    #[command(subcommand)]
    pub verb: Verb,
}

/// The verbs of `bench`.
#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    /// Pictures, inference, rollouts and training steps of a model shape with random weights
    Model(model::Args),
    /// NAVSIM scores: trajectories a second on one thread, beside the Python reference
    Score(score::Args),
    /// The simulator: agent-steps a second with and without frames, forks rolled out
    Sim(sim::Args),
    /// The trajectory branches: planning a frame and a step of reinforcement learning, beside their multiply-adds
    Branches(branches::Args),
}

/// Runs the verb.
///
/// # Errors
/// Wrong flags exit 2, trouble with memory or the device 4.
pub fn run(args: &Args, shared: &Shared) -> Result<()> {
    match &args.verb {
        Verb::Model(args) => model::run(args, shared),
        Verb::Score(args) => score::run(args, shared),
        Verb::Sim(args) => sim::run(args, shared),
        Verb::Branches(args) => branches::run(args, shared),
    }
}

/// Runs this program again with these arguments. Its lines, the wall time from its start to its first line, and their end.
fn inside(args: &[String]) -> Result<(Vec<Measured>, Lap)> {
    let cannot = |what: &str, e: std::io::Error| Failure::device(format!("cannot {what} a process of its own: {e}"));
    let program = std::env::current_exe().map_err(|e| cannot("find the program for", e))?;
    let begin = Instant::now();
    let mut child = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| cannot("start", e))?;
    let mut out = child.stdout.take().map(BufReader::new);
    let mut line = String::new();
    if let Some(out) = &mut out {
        out.read_line(&mut line).map_err(|e| cannot("read", e))?;
    }
    let wall = begin.elapsed().as_secs_f64();
    let mut said = String::new();
    if let Some(mut err) = child.stderr.take() {
        let _ = err.read_to_string(&mut said);
    }
    let status = child.wait().map_err(|e| cannot("wait for", e))?;
    if !status.success() {
        // Its own words and exit code; a process that was killed (out of memory) leaves none.
        let kind = match status.code() {
            Some(2) => Kind::Usage,
            Some(3) => Kind::Data,
            _ => Kind::Device,
        };
        let mut failure = Failure::new(kind, format!("{}: ended with {status}", args.join(" ")));
        let (mut message, mut hint) = (None, None);
        for line in said.lines() {
            message = message.or(line.strip_prefix("error: "));
            hint = hint.or(line.trim_start().strip_prefix("hint: "));
        }
        if let Some(message) = message {
            failure.message = message.to_owned();
        }
        return Err(failure.hint(hint.unwrap_or("choose a smaller --shape, a --quant, or fewer --items")));
    }
    let lines: Vec<Measured> =
        serde_json::from_str(&line).map_err(|e| Failure::device(format!("{}: {e}", args.join(" "))))?;
    let cpu = lines.first().map_or(0.0, |line| line.cpu_seconds);
    Ok((lines, Lap { wall, cpu }))
}

/// The machine of a report: processor, cores, memory and load before the measurement.
fn machine() -> Map<String, Value> {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str| {
        text.lines().find(|l| l.starts_with(name)).and_then(|l| l.split_once(':')).map(|(_, v)| v.trim().to_owned())
    };
    let kib = field(&read("/proc/meminfo"), "MemTotal").and_then(|v| v.split(' ').next()?.parse::<u64>().ok());
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let load = read("/proc/loadavg").split(' ').next().and_then(|v| v.parse::<f64>().ok());
    let mut machine = Map::new();
    let processor = field(&read("/proc/cpuinfo"), "model name");
    machine.insert("processor".into(), json!(processor.unwrap_or_else(|| std::env::consts::ARCH.into())));
    machine.insert("cores".into(), json!(cores));
    machine.insert("memory_bytes".into(), json!(kib.map(|kib| kib * 1024)));
    machine.insert("load_average".into(), json!(load));
    machine.insert("system".into(), json!(std::env::consts::OS));
    machine.insert("reinsman".into(), json!(env!("CARGO_PKG_VERSION")));
    machine
}

/// The machine in lines.
fn heading(machine: &Map<String, Value>) -> String {
    let mut text = String::new();
    for (name, value) in machine.iter().filter(|(_, value)| !value.is_null()) {
        let value = match (name.as_str(), value) {
            ("memory_bytes", bytes) => human_bytes(bytes.as_u64().unwrap_or(0)),
            (_, Value::String(value)) => value.clone(),
            (_, value) => value.to_string(),
        };
        text.push_str(&format!("{:<13} {value}\n", name.trim_end_matches("_bytes")));
    }
    text
}

/// Prints a report.
fn report(machine: Map<String, Value>, results: &[Measured], as_json: bool) -> Result<()> {
    if as_json {
        return print_json(&json!({ "machine": machine, "results": results }));
    }
    let mut text = heading(&machine);
    let row = |cells: [&str; 6]| {
        let [name, value, unit, threads, cpu, peak] = cells;
        format!("{name:<28} {value:>10} {unit:<10} {threads:>7} {cpu:>10} {peak:>10}\n")
    };
    text.push('\n');
    text.push_str(&row(["work item", "best", "", "threads", "CPU s", "peak RSS"]));
    for line in results {
        let peak = line.peak_rss_bytes.map_or_else(|| "unknown".into(), human_bytes);
        let (value, threads, cpu) = (figures(line.value), line.threads.to_string(), format!("{:.4}", line.cpu_seconds));
        text.push_str(&row([&line.name, &value, &line.unit, &threads, &cpu, &peak]));
    }
    print(&text)
}

/// Four figures, whatever the size.
fn figures(value: f64) -> String {
    let before = if value.abs() >= 1.0 { value.abs().log10() as usize + 1 } else { 1 };
    format!("{value:.*}", 4usize.saturating_sub(before))
}

#[cfg(test)]
mod tests {
    use super::figures;

    #[test]
    fn four_figures() {
        let shown = [0.04567, 1.0, 21.3456, 512.34, 12345.6].map(figures);
        assert_eq!(shown, ["0.046", "1.000", "21.35", "512.3", "12346"]);
    }
}
