//! The summary of an evaluation, computed from the per-sample log and nothing else.
//!
//! Entries are taken in the order of their ids and wall time is left out, so a run that was killed and continued, or
//! cut into shards, gives the same bytes as one that was not.

use crate::log::{Entry, Log, Outcome};
use crate::metrics::axis::{ClassScore, Confusion, NO_PLAN};
use crate::metrics::baseline::{EgoRow, EgoTable, majority};
use crate::metrics::bootstrap::{Bootstrap, Difference, Figure, difference, figures};
use crate::metrics::multi::{MultiScores, multi};
use crate::metrics::{Metric, Row, Tally};
use crate::released::{Released, released};
use crate::text::{Pair, TextScores, scores};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Names of the rows of the table.
pub const THIS_MODEL: &str = "this model";
/// The same model with the picture replaced.
pub const BLIND: &str = "without the image";
/// The table over ego speed and command.
pub const EGO_ONLY: &str = "ego speed only";
/// The most frequent labels.
pub const MAJORITY: &str = "majority";

/// What a summary is made from besides the log.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options<'a> {
    /// Log of the same model on the same samples without the picture.
    pub blind: Option<&'a Log>,
    /// Samples to fit the ego-speed-only row on; without them each recording is answered from the others.
    pub train: Option<&'a [EgoRow]>,
    /// Intervals.
    pub bootstrap: Bootstrap,
    /// Losses under the right, a wrong and a grey picture, when they were measured.
    pub sight: Option<Sight>,
}

/// Loss per token of the annotated answers under three pictures: whether a planner looks, before it answers well.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Sight {
    /// With the right picture.
    pub eval_loss: f64,
    /// With another sample's picture minus with the right one: 0 is blind.
    pub wrong_image_gap: f64,
    /// With a grey picture minus with the right one.
    pub blank_image_gap: f64,
    /// Answer tokens scored.
    pub eval_tokens: usize,
}

/// One line of the table. Shares, 0..1; `None` where no sample has the truth.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TableRow {
    /// Which answerer.
    pub name: String,
    /// Its constant answer, or how it was fitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Samples it answered.
    pub samples: usize,
    /// Both labels right.
    pub joint: Option<Figure>,
    /// Speed right.
    pub speed: Option<Figure>,
    /// Path right.
    pub path: Option<Figure>,
    /// Macro-F1, speed.
    pub speed_f1: Option<Figure>,
    /// Macro-F1, path.
    pub path_f1: Option<Figure>,
    /// Replies that were a plan.
    pub parsed: Option<Figure>,
}

/// One axis in detail.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AxisSummary {
    /// Samples whose truth is known.
    pub known: u64,
    /// Precision, recall and F1 per class.
    pub classes: Vec<ClassScore>,
    /// Counts by truth and prediction.
    pub confusion: Confusion,
}

/// The class that is recognised worst.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hardest {
    /// `speed` or `path`.
    pub axis: String,
    /// The class.
    pub label: String,
    /// Its F1.
    pub f1: f64,
    /// How often it is the truth.
    pub truth: u64,
    /// The answer most often given instead.
    pub mistaken_for: Option<String>,
    /// How often.
    pub mistaken: u64,
}

/// The summary.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Version of this layout.
    pub schema: u32,
    /// Digest of the run.
    pub digest: String,
    /// Samples.
    pub samples: usize,
    /// Samples with both labels known.
    pub joint_known: u64,
    /// First replies that were no plan.
    pub failures: u64,
    /// The same by reason.
    pub failure_reasons: BTreeMap<String, usize>,
    /// This model first, then the baselines.
    pub rows: Vec<TableRow>,
    /// This model minus the blind one on the joint accuracy (else on the axis that is known), paired.
    pub looks: Option<Difference>,
    /// Losses under the right, a wrong and a grey picture: `eval_loss`, `wrong_image_gap`, `blank_image_gap`.
    #[serde(flatten)]
    pub sight: Option<Sight>,
    /// Speed axis.
    pub speed: AxisSummary,
    /// Path axis.
    pub path: AxisSummary,
    /// The class recognised worst.
    pub hardest: Option<Hardest>,
    /// Reasoning against annotated reasoning.
    pub text: Option<TextScores>,
    /// Several replies per sample.
    pub multi: Option<MultiScores>,
    /// Scores of the published script.
    pub released: Released,
    /// How the intervals were drawn.
    pub bootstrap: Bootstrap,
    /// What a reader should know.
    pub notes: Vec<String>,
}

impl Summary {
    /// Computes the summary of a log.
    pub fn of(log: &Log, options: Options<'_>) -> Summary {
        let entries = sorted(log);
        let rows: Vec<Row> = entries.iter().map(|e| row(e)).collect();
        let tally = Tally::of(&rows);
        let mut notes = Vec::new();
        let mut table = vec![table_row(THIS_MODEL, None, &rows, options.bootstrap)];

        let mut looks = None;
        if let Some(blind) = options.blind {
            let (seeing, unseeing) = paired(&entries, blind);
            if unseeing.len() < rows.len() {
                notes.push(format!("{BLIND}: {} of {} samples", unseeing.len(), rows.len()));
            }
            table.push(table_row(BLIND, None, &unseeing, options.bootstrap));
            let metric = [Metric::Joint, Metric::Path, Metric::Speed]
                .into_iter()
                .find(|m| m.of(&Tally::of(&seeing)).is_some())
                .unwrap_or(Metric::Joint);
            looks = difference(&seeing, &unseeing, metric, options.bootstrap);
        }

        let (ego, how) = ego_only(&entries, options.train);
        table.push(table_row(EGO_ONLY, Some(how), &ego, options.bootstrap));
        let constant = majority(rows.iter().map(|r| r.truth));
        let constants: Vec<Row> = rows.iter().map(|r| Row { said: Some(constant), ..*r }).collect();
        table.push(table_row(MAJORITY, Some(constant.to_string()), &constants, options.bootstrap));

        let mut failure_reasons = BTreeMap::new();
        for entry in &entries {
            if let Some(Outcome::Failure(reason)) = entry.replies.first().map(|r| &r.outcome) {
                *failure_reasons.entry(reason.code().to_owned()).or_insert(0) += 1;
            }
        }
        let cut: usize = entries.iter().map(|e| e.cut).sum();
        if cut > 0 {
            let replies: usize = entries.iter().map(|e| e.replies.len()).sum();
            notes.push(format!("{cut} of {replies} replies ran into the token limit"));
        }
        let k_samples: Vec<_> =
            entries.iter().map(|e| (e.truth, e.replies.iter().map(|r| r.plan().map(|p| p.action)).collect())).collect();
        Summary {
            schema: 1,
            digest: log.digest.clone().unwrap_or_default(),
            samples: rows.len(),
            joint_known: tally.joint_known,
            failures: tally.failures,
            failure_reasons,
            rows: table,
            looks,
            sight: options.sight,
            hardest: hardest(&tally),
            speed: axis(&tally.speed),
            path: axis(&tally.path),
            text: scores(&reasonings(&entries)),
            multi: multi(&k_samples),
            released: released(entries.iter().map(|e| (e.truth, first_text(e)))),
            bootstrap: options.bootstrap,
            notes,
        }
    }

    /// This model's line of the table.
    pub fn model(&self) -> &TableRow {
        // `of` always puts it first; a summary read from a file may have been edited.
        static EMPTY: TableRow = TableRow {
            name: String::new(),
            detail: None,
            samples: 0,
            joint: None,
            speed: None,
            path: None,
            speed_f1: None,
            path_f1: None,
            parsed: None,
        };
        self.rows.first().unwrap_or(&EMPTY)
    }

    /// A line of the table by name.
    pub fn row(&self, name: &str) -> Option<&TableRow> {
        self.rows.iter().find(|r| r.name == name)
    }
}

/// Entries in the order of their ids.
pub(crate) fn sorted(log: &Log) -> Vec<&Entry> {
    let mut entries: Vec<&Entry> = log.entries.iter().collect();
    entries.sort_by(|a, b| a.id.cmp(&b.id));
    entries
}

/// Truth and first plan of an entry.
pub(crate) fn row(entry: &Entry) -> Row {
    Row { truth: entry.truth, said: entry.replies.first().and_then(|r| r.plan()).map(|p| p.action) }
}

fn first_text(entry: &Entry) -> &str {
    entry.replies.first().map_or("", |r| r.text.as_str())
}

/// One run minus another on the samples that both finished, under the first one's truth, drawn together.
/// `None` when they share no sample that knows the truth of the metric.
pub fn compare(log: &Log, other: &Log, metric: Metric, bootstrap: Bootstrap) -> Option<Difference> {
    let (own, others) = paired(&sorted(log), other);
    difference(&own, &others, metric, bootstrap)
}

/// What the ego-speed-only answer may see of an entry.
pub fn ego_row(entry: &Entry) -> EgoRow {
    EgoRow { speed_mps: entry.speed_mps, command: entry.command.clone(), clip: entry.clip.clone(), truth: entry.truth }
}

fn table_row(name: &str, detail: Option<String>, rows: &[Row], bootstrap: Bootstrap) -> TableRow {
    let all: BTreeMap<Metric, Option<Figure>> = figures(rows, bootstrap).into_iter().collect();
    let of = |metric| all.get(&metric).copied().flatten();
    TableRow {
        name: name.into(),
        detail,
        samples: rows.len(),
        joint: of(Metric::Joint),
        speed: of(Metric::Speed),
        path: of(Metric::Path),
        speed_f1: of(Metric::SpeedF1),
        path_f1: of(Metric::PathF1),
        parsed: of(Metric::Parsed),
    }
}

/// Rows of both runs on the samples that both finished, under this run's truth.
fn paired(entries: &[&Entry], blind: &Log) -> (Vec<Row>, Vec<Row>) {
    let other: BTreeMap<&str, &Entry> = blind.entries.iter().map(|e| (e.id.as_str(), e)).collect();
    entries
        .iter()
        .filter_map(|e| {
            let unseeing = other.get(e.id.as_str())?;
            Some((row(e), Row { truth: e.truth, ..row(unseeing) }))
        })
        .unzip()
}

fn ego_only(entries: &[&Entry], train: Option<&[EgoRow]>) -> (Vec<Row>, String) {
    let own: Vec<EgoRow> = entries.iter().map(|e| ego_row(e)).collect();
    let (answers, how): (Vec<_>, _) = match train {
        Some(train) => {
            let table = EgoTable::fit(train);
            (own.iter().map(|r| table.answer(r)).collect(), format!("fitted on {} training samples", train.len()))
        }
        None => {
            let table = EgoTable::fit(&own);
            (own.iter().map(|r| table.answer_leaving_out(r)).collect(), "each recording from the others".into())
        }
    };
    (own.iter().zip(answers).map(|(r, a)| Row { truth: r.truth, said: Some(a) }).collect(), how)
}

fn axis(confusion: &Confusion) -> AxisSummary {
    AxisSummary { known: confusion.total(), classes: confusion.classes(), confusion: confusion.clone() }
}

/// The class with the lowest F1 among those that are the truth at least five times (once, when none is); the more
/// frequent one of equals.
fn hardest(tally: &Tally) -> Option<Hardest> {
    let axes = [("speed", &tally.speed), ("path", &tally.path)];
    let all: Vec<_> = axes
        .into_iter()
        .flat_map(|(name, c)| c.classes().into_iter().enumerate().map(move |(i, s)| (name, c, i, s)))
        .filter(|(.., s)| s.truth > 0 && s.f1 < 1.0)
        .collect();
    let enough = if all.iter().any(|(.., s)| s.truth >= 5) { 5 } else { 1 };
    let worst = all.into_iter().filter(|(.., s)| s.truth >= enough);
    let (axis, confusion, class, score) =
        worst.min_by(|(.., a), (.., b)| a.f1.total_cmp(&b.f1).then(b.truth.cmp(&a.truth)))?;
    let most = confusion.most_mistaken_for(class);
    Some(Hardest {
        axis: axis.into(),
        label: score.label,
        f1: score.f1,
        truth: score.truth,
        mistaken_for: most.map(|(said, _)| confusion.labels.get(said).cloned().unwrap_or_else(|| NO_PLAN.into())),
        mistaken: most.map_or(0, |(_, n)| n),
    })
}

/// First replies' reasoning against annotated reasoning, where there is some.
fn reasonings(entries: &[&Entry]) -> Vec<Pair> {
    entries.iter().filter_map(|e| reasoning(e)).collect()
}

/// The first reply's reasoning against the annotated one. A reply that is no plan has none.
pub(crate) fn reasoning(entry: &Entry) -> Option<Pair> {
    let reference = entry.reasoning.as_deref().filter(|r| !r.trim().is_empty())?;
    let own = entry.replies.first().and_then(|r| r.plan()).map_or("", |p| p.reasoning.as_str());
    Some(Pair::new(own, &[reference]))
}
