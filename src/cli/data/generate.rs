//! `reinsman data generate`: labelled frames from the simulator.

use super::{counted, note};
use crate::{
    cli::{Shared, parse, print, print_json},
    error::{Failure, Result, io_at},
    files::{RealFs, write_atomic},
    generate::{Look, Recipe, Split, camera, card, set},
    settings::nearest::nearest,
    train::progress::Progress,
};
use serde_json::json;
use sim::{
    driver::Driver,
    families::{self, Family},
};
use std::path::PathBuf;

const EXAMPLES: &str = "Examples:
  reinsman data generate --count 2000 --out runs/boxes
  reinsman data generate --count 500 --camera vlm --look plain --out runs/plain
  reinsman data generate --count 300 --families signal,stop_sign --seed 7 --out runs/signs
  reinsman data generate --drivers expert,late_braking,corner_cutting,too_close --out runs/mixed";

/// What can be typed after `data generate`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Folder for train.jsonl, val.jsonl, test.jsonl, frames and the data card
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Records in all
    #[arg(long, value_name = "N", default_value = "2000", value_parser = parse::positive)]
    pub count: usize,
    /// Shares of train, val and test; they never share an episode
    #[arg(long, value_name = "SHARES", default_value = "0.8,0.1,0.1", value_parser = super::label::shares)]
    pub split: super::label::Shares,
    /// Scenario families to drive, separated by commas (default: all)
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    pub families: Vec<String>,
    /// Who drives, separated by commas, episode by episode in turn: expert, late_braking, corner_cutting, too_close
    #[arg(long, value_name = "A,B", value_delimiter = ',', default_value = "expert")]
    pub drivers: Vec<String>,
    /// Camera: tiny, mid, vlm, or WIDTHxHEIGHT@DEGREES
    #[arg(long, value_name = "CAMERA", default_value = "mid")]
    pub camera: String,
    /// How episodes look
    #[arg(long, value_enum, default_value = "both")]
    pub look: Look,
    /// Seed of the set
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// Moments driven for each record that is written: more are better balanced and take longer
    #[arg(long, value_name = "N", default_value = "3", value_parser = parse::positive)]
    pub pool: usize,
    /// Write questions and answers too (perception, prediction, planning, behaviour), in the DriveLM layout
    #[arg(long)]
    pub questions: bool,
    /// Replace a set that is there
    #[arg(long)]
    pub force: bool,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Runs the verb.
///
/// # Errors
/// Unknown families, drivers and cameras exit 2, an unwritable folder 3.
pub fn run(args: &Args, shared: &Shared) -> Result<()> {
    let recipe = Recipe {
        families: chosen(&args.families)?,
        drivers: args.drivers.iter().map(|name| driver(name)).collect::<Result<_>>()?,
        camera: camera(&args.camera)?,
        look: args.look,
        seed: args.seed,
        pool: args.pool,
        questions: args.questions,
    };
    if args.seed > 0xff_ffff {
        return Err(Failure::usage(format!("--seed is {}; at most 16777215 is allowed", args.seed))
            .hint("choose a smaller seed: splits and episodes share its 64 bits"));
    }
    let folder = &args.out;
    if let Some(old) = Split::ALL.map(|s| set::file(folder, s)).into_iter().find(|f| f.exists())
        && !args.force
    {
        return Err(
            Failure::usage(format!("{} is there already", old.display())).hint("choose another --out, or --force")
        );
    }
    std::fs::create_dir_all(folder).map_err(io_at(folder))?;
    // Records of an old set must not outlive their frames: a set that is cut short is seen to be none.
    for old in
        Split::ALL.iter().flat_map(|&s| [set::file(folder, s), set::questions(folder, s)]).chain([card_file(args)])
    {
        if old.exists() {
            std::fs::remove_file(&old).map_err(io_at(&old))?;
        }
    }
    let shares = args.split.normalized();
    let mut progress = Progress::new(shared.quiet);
    let mut parts = Vec::new();
    for (split, share) in Split::ALL.into_iter().zip(shares) {
        let count = (args.count as f64 * share).round() as usize;
        if count == 0 {
            continue;
        }
        let counts = set::write(&recipe, split, count, folder, &mut |n| {
            progress.line(n >= count, || format!("{}: {n}/{count} records", split.as_str()));
        })?;
        if counts.records < count {
            note(shared, &format!("{}: only {} of {count} came out", split.as_str(), counts.records));
        }
        parts.push((split, counts));
    }
    progress.finish();
    let command = command(args);
    let text = card::markdown(&recipe, &command, &parts);
    write_atomic(&RealFs, &card_file(args), text.as_bytes())?;
    if args.json {
        let parts: Vec<_> = parts.iter().map(|(s, c)| json!({ "split": s, "counts": c })).collect();
        return print_json(&json!({ "out": folder.display().to_string(), "command": command, "parts": parts }));
    }
    let mut lines = String::new();
    for (split, counts) in &parts {
        let file = set::file(folder, *split);
        lines.push_str(&format!("wrote {} to {}\n", counted(counts.records, "record"), file.display()));
    }
    print(&format!("{lines}data card: {}\n", card_file(args).display()))
}

fn card_file(args: &Args) -> PathBuf {
    args.out.join("CARD.md")
}

fn chosen(names: &[String]) -> Result<Vec<&'static Family>> {
    if names.is_empty() {
        return Ok(families::ALL.iter().collect());
    }
    let find = |name: &String| {
        let known: Vec<&str> = families::ALL.iter().map(|f| f.name).collect();
        families::find(name).ok_or_else(|| unknown("scenario family", name, &known))
    };
    names.iter().map(find).collect()
}

fn driver(name: &str) -> Result<Driver> {
    Driver::find(name).ok_or_else(|| unknown("driver", name, &Driver::ALL.map(Driver::name)))
}

fn unknown(what: &str, name: &str, known: &[&str]) -> Failure {
    let hint = match nearest(name, known.iter().copied()) {
        Some(near) => format!("did you mean {near}?"),
        None => format!("known are {}", known.join(", ")),
    };
    Failure::usage(format!("unknown {what} {name:?}")).hint(hint)
}

/// The command that makes this set again.
fn command(args: &Args) -> String {
    let mut text = format!("reinsman data generate --count {} --out {}", args.count, args.out.display());
    let mut add = |flag: &str, value: String, without: &str| {
        if value != without {
            text.push_str(&format!(" {flag} {value}"));
        }
    };
    add("--split", args.split.to_string(), "0.8,0.1,0.1");
    add("--families", args.families.join(","), "");
    add("--drivers", args.drivers.join(","), "expert");
    add("--camera", args.camera.clone(), "mid");
    add("--look", format!("{:?}", args.look).to_lowercase(), "both");
    add("--seed", args.seed.to_string(), "0");
    add("--pool", args.pool.to_string(), "3");
    text + if args.questions { " --questions" } else { "" }
}
