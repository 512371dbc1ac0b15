//! `reinsman data label`: frames and ego motion in, labelled records out. Speed and path come from the driven future by
//! a rule whose thresholds can all be set; reasoning and auxiliary classes are written from what is then known.

use super::{Records, convert::question, counted, motion, note};
use crate::{
    cli::{Shared, parse, print, print_json},
    error::{Failure, Result},
    settings::nearest::nearest,
    vlm::prompt::Prompts,
};
use data::{
    Content, Ego, Sample,
    convert::{Format, write},
    label::{Options, label},
    split,
    stats::Stats,
    targets::Borders,
};
use scene::{LabelRule, Pose, Trajectory};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

const EXAMPLES: &str =
    "The input is CSV or JSON lines of poses (columns t, x, y, frame; clip, heading, speed and command
where known), or records that hold a driven `future`.

Examples:
  reinsman data label poses.csv --out train.jsonl
  reinsman data label index.jsonl --rule real_drive --split-by-clip 0.8,0.1,0.1 --out set.jsonl
  reinsman data label index.jsonl --rule none --out train.jsonl  # keep labels, write reasoning";

/// What can be typed after `data label`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The input.
    #[command(flatten)]
    pub records: Records,
    /// Where to write; with --split-by-clip, NAME.jsonl becomes NAME.train.jsonl and so on
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Format to write
    #[arg(long, value_name = "NAME", default_value = "record", value_parser = super::written_formats())]
    pub to: String,
    /// Thresholds to start from; none leaves labels as they are
    #[arg(long, value_name = "NAME", default_value = "default", value_parser = ["default", "senna", "real_drive", "sim", "none"])]
    pub rule: String,
    /// STOP when every speed is below this, in m/s
    #[arg(long, value_name = "M/S")]
    pub stop_speed: Option<f64>,
    /// ACCELERATE or DECELERATE when the speed changes by at least this, in m/s
    #[arg(long, value_name = "M/S")]
    pub speed_change: Option<f64>,
    /// A turn needs more lateral offset than this, in metres
    #[arg(long, value_name = "M")]
    pub lateral: Option<f64>,
    /// A turn needs at least this bearing of the end point, in degrees
    #[arg(long, value_name = "DEG")]
    pub angle_deg: Option<f64>,
    /// Sets any other threshold of the rule, such as change=never or horizon=2; may be given several times
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse::pair)]
    pub set: Vec<(String, String)>,
    /// Replace labels and reasoning that are there
    #[arg(long)]
    pub relabel: bool,
    /// Write no reasoning
    #[arg(long)]
    pub no_reasoning: bool,
    /// Write no auxiliary classes
    #[arg(long)]
    pub no_aux: bool,
    /// Shares of train, val and test, such as 0.8,0.1,0.1; clips stay whole
    #[arg(long, value_name = "SHARES", value_parser = shares)]
    pub split_by_clip: Option<Shares>,
    /// Seed of the split
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// Leave bad records out instead of stopping
    #[arg(long)]
    pub skip_bad: bool,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Shares of the parts of a split.
#[derive(Debug, Clone, PartialEq)]
pub struct Shares(Vec<f64>);

impl Shares {
    /// Shares of train, val and test that add up to 1; a missing third is 0.
    pub(super) fn normalized(&self) -> [f64; 3] {
        let sum: f64 = self.0.iter().sum();
        [0, 1, 2].map(|i| self.0.get(i).copied().unwrap_or(0.0) / sum)
    }
}

impl std::fmt::Display for Shares {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str(&self.0.iter().map(f64::to_string).collect::<Vec<_>>().join(","))
    }
}

const PARTS: [&str; 3] = ["train", "val", "test"];

pub(super) fn shares(text: &str) -> Result<Shares, String> {
    let parts: Option<Vec<f64>> =
        text.split(',').map(|part| part.trim().parse().ok().filter(|v: &f64| v.is_finite() && *v >= 0.0)).collect();
    let fits = |parts: &Vec<f64>| (2..=PARTS.len()).contains(&parts.len()) && parts.iter().sum::<f64>() > 0.0;
    parts.filter(fits).map(Shares).ok_or_else(|| "two or three shares are needed, such as 0.8,0.1,0.1".into())
}

/// Runs the verb.
///
/// # Errors
/// Bad rows exit 3, an impossible rule 2.
pub fn run(args: &Args, shared: &Shared) -> Result<()> {
    let rule = rule(args)?;
    let format = Format::from_name(&args.to)?;
    super::output(&args.out, &args.records.files)?;
    let mut samples = Vec::new();
    for path in &args.records.files {
        let set = motion::read(path, &args.records, args.skip_bad)?;
        super::tell_bad(&set, shared);
        samples.extend(set.samples);
    }
    complete(&mut samples, rule.as_ref(), args);
    let mut open = samples.iter().filter(|sample| sample.action().is_none()).peekable();
    if let Some(first) = open.peek().copied() {
        let why = format!("the first, {}: {}", first.id, why_open(first, rule.as_ref()));
        note(shared, &format!("{} without both labels; {why}", counted(open.count(), "sample")));
    }
    let parts = match &args.split_by_clip {
        None => vec![(None, args.out.clone(), samples.iter().collect())],
        Some(Shares(shares)) => divide(&mut samples, shares, args),
    };
    let prompts = Prompts::builtin();
    let ask = |ego: &Ego, images: usize, think: bool| question(&prompts, ego, images, think);
    let (mut files, mut text) = (Vec::new(), String::new());
    for (part, path, members) in &parts {
        if members.is_empty() {
            note(shared, &format!("no clip fell into {}, so it is not written", part.unwrap_or("the output")));
            continue;
        }
        // A frame without both labels is no bad row; formats that cannot hold it go without it.
        let (written, left) = write(members.iter().copied(), format, path, &ask, true)?;
        text.push_str(&format!("wrote {} to {}", counted(written, "record"), path.display()));
        let why = left.first().map(|first| format!("; left out {}, the first: {first}", left.len()));
        text.push_str(&(why.unwrap_or_default() + "\n"));
        files.push(json!({
            "file": path.display().to_string(), "split": part, "written": written, "left_out": left.len(),
        }));
    }
    let stats = Stats::of(&samples);
    if args.json {
        return print_json(&json!({ "files": files, "rule": rule, "stats": stats }));
    }
    print(&format!("{text}\n{stats}"))
}

/// The rule with the thresholds that were given; `None` leaves labels alone.
fn rule(args: &Args) -> Result<Option<LabelRule>> {
    let flags = [
        ("stop_speed", args.stop_speed),
        ("speed_change", args.speed_change),
        ("lateral", args.lateral),
        ("angle_deg", args.angle_deg),
    ];
    let mut changes: Vec<(&str, Value)> = flags.into_iter().filter_map(|(key, v)| Some((key, json!(v?)))).collect();
    for (key, text) in &args.set {
        changes.push((key, text.parse::<f64>().map_or_else(|_| json!(text), |number| json!(number))));
    }
    let Some(preset) = LabelRule::preset(&args.rule) else {
        return match changes.first() {
            None => Ok(None),
            Some((key, _)) => {
                Err(Failure::usage(format!("{key} belongs to a rule, and --rule {} has none", args.rule))
                    .hint("leave --rule out, or the threshold"))
            }
        };
    };
    let mut fields = json!(preset);
    for (key, value) in changes {
        let known: Vec<String> = fields.as_object().into_iter().flat_map(|map| map.keys().cloned()).collect();
        match fields.get_mut(key) {
            Some(field) => *field = value,
            None => {
                let hint = match nearest(key, known.iter().map(String::as_str)) {
                    Some(near) => format!("did you mean {near}?"),
                    None => format!("known are {}", known.join(", ")),
                };
                return Err(Failure::usage(format!("unknown threshold {key}")).hint(hint));
            }
        }
    }
    let rule: LabelRule =
        serde_json::from_value(fields).map_err(|e| Failure::usage(format!("a threshold of the rule: {e}")))?;
    // A long straight drive fits every rule that makes sense.
    let straight = (1..=1000).map(|i| Pose { x: f64::from(i) * 5.0, y: 0.0, heading: 0.0 }).collect();
    rule.label(&Trajectory::half_second(straight), Some(10.0)).map_err(|e| Failure::usage(e.to_string()))?;
    Ok(Some(rule))
}

/// Labels, reasoning and auxiliary classes, in place.
fn complete(samples: &mut [Sample], rule: Option<&LabelRule>, args: &Args) {
    let apply = |future: &Trajectory, speed: Option<f64>| match rule {
        Some(rule) => (rule.speed(future, speed).ok(), rule.path(future).ok()),
        None => (None, None),
    };
    for sample in samples {
        let told = matches!(&sample.content, Content::Planning { reasoning: Some(_), .. });
        let options = Options {
            rule: rule.map(|_| &apply as data::label::Rule),
            relabel: args.relabel,
            reasoning: !args.no_reasoning && (args.relabel || !told),
            aux: (!args.no_aux).then(Borders::default),
        };
        label(sample, &options);
    }
}

/// Why a sample stayed without a label.
fn why_open(sample: &Sample, rule: Option<&LabelRule>) -> String {
    let Some(future) = &sample.labels.future else { return "it has no driven future".into() };
    match rule.map(|rule| rule.label(future, sample.speed_mps())) {
        Some(Err(e)) => e.to_string(),
        _ => "--rule none labels nothing".into(),
    }
}

/// A part of the output: its name, its file and its samples.
type Part<'a> = (Option<&'static str>, PathBuf, Vec<&'a Sample>);

/// Sorts samples into parts by clip and writes the part into each.
fn divide<'a>(samples: &'a mut [Sample], shares: &[f64], args: &Args) -> Vec<Part<'a>> {
    let chosen = split::by_clip(samples, shares, args.seed);
    samples.iter_mut().zip(&chosen).for_each(|(sample, part)| sample.split = Some(PARTS[*part].into()));
    let members = |part| samples.iter().zip(&chosen).filter(move |(_, p)| **p == part).map(|(s, _)| s).collect();
    (0..shares.len()).map(|part| (Some(PARTS[part]), beside(&args.out, PARTS[part]), members(part))).collect()
}

/// `set.jsonl` and `val` make `set.val.jsonl`.
fn beside(out: &Path, part: &str) -> PathBuf {
    let text = |s: Option<&std::ffi::OsStr>| s.map(|s| s.to_string_lossy().into_owned());
    let stem = text(out.file_stem()).unwrap_or_default();
    let ending = text(out.extension()).unwrap_or_else(|| "jsonl".into());
    out.with_file_name(format!("{stem}.{part}.{ending}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_and_names() {
        assert_eq!(shares("0.8, 0.1,0.1"), Ok(Shares(vec![0.8, 0.1, 0.1])));
        for bad in ["", "1", "0,0", "1,-1", "1,nan", "1,1,1,1", "a,b"] {
            assert!(shares(bad).is_err(), "{bad}");
        }
        assert_eq!(beside(Path::new("a/set.jsonl"), "val"), Path::new("a/set.val.jsonl"));
        assert_eq!(beside(Path::new("set"), "val"), Path::new("set.val.jsonl"));
    }
}
