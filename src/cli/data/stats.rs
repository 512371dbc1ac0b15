//! `reinsman data stats`: what is in some files: labels, pictures, speeds, clips, and how long the samples are in tokens
//! of a planner, measured as training measures them.

use super::Records;
use crate::{
    cli::{Shared, print, print_json},
    error::Result,
    policy::{Language, Source},
    train::survey::{Aim, Survey},
};
use data::{
    Dataset, Sample,
    error::thousands,
    stats::{Counts, Quantiles, Stats},
};
use scene::{PathAction, SpeedAction};
use serde_json::{Value, json};
use std::{collections::BTreeMap, path::PathBuf};

/// What can be typed after `data stats`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The records.
    #[command(flatten)]
    pub records: Records,
    /// Planner whose tokens are counted (default: the embedded one)
    #[arg(long, value_name = "PATH")]
    pub model: Option<PathBuf>,
    /// Count without the reasoning, as with sft.think=false
    #[arg(long)]
    pub no_think: bool,
    /// Leave bad records out instead of stopping
    #[arg(long)]
    pub skip_bad: bool,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Groups shown in a table; more are counted.
const SHOWN: usize = 24;

/// Runs the verb.
///
/// # Errors
/// Bad records exit 3, unless `--skip-bad`.
pub fn run(args: &Args, shared: &Shared) -> Result<()> {
    let sets = args.records.load(args.skip_bad, shared)?;
    let samples: Vec<&Sample> = sets.iter().flat_map(|set| &set.samples).collect();
    let stats = Stats::of(samples.iter().copied());
    let splits = groups(&sets, |set, sample| Some(sample.split.clone().unwrap_or_else(|| set.file.clone())));
    let clips = groups(&sets, |_, sample| sample.clip.clone());
    let tokens = tokens(args, &sets)?;
    if args.json {
        let by = |groups: &BTreeMap<String, Stats>| -> Value {
            groups.iter().map(|(name, stats)| (name.clone(), json!(stats))).collect::<serde_json::Map<_, _>>().into()
        };
        return print_json(&json!({
            "files": sets.iter().map(file).collect::<Vec<_>>(),
            "all": stats,
            "majority": stats.majority().map(|(label, share)| json!({"label": label, "share": share})),
            "tokens": tokens.map(|tokens| tokens.to_json()),
            "splits": by(&splits),
            "clips": by(&clips),
        }));
    }
    let mut text = String::new();
    for set in &sets {
        text.push_str(&format!("{:<14}{} ({}, {})\n", "file", set.file, set.format, n(set.samples.len(), "sample")));
    }
    text.push_str(&stats.to_string());
    match tokens {
        Some(tokens) => text.push_str(&tokens.text()),
        None => {
            text.push_str("tokens        not counted: no checkpoint is embedded in this build, --model names one\n")
        }
    }
    let labelled =
        !stats.joint.is_empty() || [&stats.speed, &stats.path].iter().any(|c| c.keys().any(|k| k != "unknown"));
    if labelled && splits.len() > 1 {
        text.push_str(&table("split", &splits));
    }
    if labelled && clips.len() > 1 {
        text.push_str(&table("clip", &clips));
    }
    print(&text)
}

fn n(count: usize, what: &str) -> String {
    super::counted(count, what)
}

fn file(set: &Dataset) -> Value {
    json!({"file": set.file, "format": set.format, "samples": set.samples.len(), "bad": set.problems.len()})
}

/// Statistics of each group of samples.
fn groups(sets: &[Dataset], name: impl Fn(&Dataset, &Sample) -> Option<String>) -> BTreeMap<String, Stats> {
    let mut members: BTreeMap<String, Vec<&Sample>> = BTreeMap::new();
    for (set, sample) in sets.iter().flat_map(|set| set.samples.iter().map(move |sample| (set, sample))) {
        if let Some(name) = name(set, sample) {
            members.entry(name).or_default().push(sample);
        }
    }
    members.into_iter().map(|(name, samples)| (name, Stats::of(samples))).collect()
}

/// One row a group, one column a label that occurs.
fn table(title: &str, groups: &BTreeMap<String, Stats>) -> String {
    type Axis = fn(&Stats) -> &Counts;
    let axes: [(Axis, Vec<&str>); 2] = [
        (|s| &s.speed, SpeedAction::ALL.iter().map(|l| l.as_str()).collect()),
        (|s| &s.path, PathAction::ALL.iter().map(|l| l.as_str()).collect()),
    ];
    let mut columns: Vec<(&str, Axis, &str)> = Vec::new();
    for ((axis, labels), missing) in axes.into_iter().zip(["no speed", "no path"]) {
        for (label, head) in labels.into_iter().map(|l| (l, l)).chain([("unknown", missing)]) {
            if groups.values().any(|stats| axis(stats).contains_key(label)) {
                columns.push((head, axis, label));
            }
        }
    }
    // Long names differ at their end: folders come first.
    let name = |text: &str| match text.chars().count() {
        0..=26 => text.to_owned(),
        n => format!("…{}", text.chars().skip(n - 25).collect::<String>()),
    };
    let mut out = format!("\n{title:<26} {:>8}", "samples");
    columns.iter().for_each(|(head, ..)| out.push_str(&format!("  {head:>8}")));
    out.push('\n');
    for (group, stats) in groups.iter().take(SHOWN) {
        out.push_str(&format!("{:<26} {:>8}", name(group), thousands(stats.samples as u64)));
        for (head, axis, label) in &columns {
            let (count, width) = (axis(stats).get(*label).copied().unwrap_or(0), head.len().max(8));
            let text = if count == 0 { "-".into() } else { thousands(count as u64) };
            out.push_str(&format!("  {text:>width$}"));
        }
        out.push('\n');
    }
    if groups.len() > SHOWN {
        out.push_str(&format!("and {} more\n", groups.len() - SHOWN));
    }
    out
}

/// Lengths of the samples that teach something.
struct Tokens {
    planner: String,
    survey: Survey,
}

/// Measures with the planner's own tokenizer; `None` without `--model` in a build without a checkpoint.
fn tokens(args: &Args, sets: &[Dataset]) -> Result<Option<Tokens>> {
    let language = match Language::load(&Source::resolve_language(args.model.as_deref())?, None, None) {
        Ok(language) => language,
        Err(_) if args.model.is_none() => return Ok(None),
        Err(e) => return Err(e),
    };
    let samples: Vec<Sample> = sets.iter().flat_map(|set| set.samples.iter().cloned()).collect();
    let (encoder, prompts) = (&language.encoder, &language.prompts);
    let survey = Survey::of(encoder, prompts, &samples, Aim::Answer { think: !args.no_think }, usize::MAX, true)?;
    Ok(Some(Tokens { planner: language.name, survey }))
}

fn quantiles(values: &[usize]) -> Option<Quantiles> {
    Quantiles::of(values.iter().map(|n| *n as f64).collect())
}

impl Tokens {
    fn tokens(&self) -> Vec<usize> {
        self.survey.lengths.iter().map(|length| length.tokens).collect()
    }

    fn answer_tokens(&self) -> Vec<usize> {
        self.survey.lengths.iter().map(|length| length.answer_tokens).collect()
    }

    fn to_json(&self) -> Value {
        json!({
            "planner": self.planner,
            "all": quantiles(&self.tokens()),
            "with_loss": quantiles(&self.answer_tokens()),
            "nothing_to_teach": self.survey.nothing,
            "unreadable": self.survey.bad,
        })
    }

    fn text(&self) -> String {
        let range = |values: &[usize]| match quantiles(values) {
            Some(q) => format!("{:.0} .. {:.0} .. {:.0}", q.min, q.median, q.max),
            None => "none".into(),
        };
        let Survey { nothing, bad, .. } = &self.survey;
        let (tokens, answer_tokens) = (self.tokens(), self.answer_tokens());
        let mut text = format!(
            "{:<14}{}, with loss {} (least, median, most of {}; {})\n",
            "tokens",
            range(&tokens),
            range(&answer_tokens),
            thousands(tokens.len() as u64),
            self.planner
        );
        if *nothing > 0 {
            text.push_str(&format!("{:<14}{} without anything to teach\n", "", n(*nothing, "sample")));
        }
        if let Some(first) = bad.first() {
            text.push_str(&format!("{:<14}{} not counted, the first: {first}\n", "", n(bad.len(), "sample")));
        }
        text
    }
}
