//! What an evaluation leaves behind: `summary.json`, `report.md`, `report.html`, and the table in the terminal.

use super::{
    Args, Scorer,
    folder::{Folder, Identity},
    set::{Set, records},
};
use crate::{
    cli::{print, print_json},
    error::{Failure, Kind, Result},
    files::{RealFs, write_atomic},
    policy::{
        Planner,
        evaluate::{Bad, Done},
    },
    vlm::image::{Loading, Rgb},
};
use ::eval::{
    Entry, Log, Options, Sight, Summary,
    metrics::bootstrap::Bootstrap,
    report::{Page, html, markdown, terminal},
    summary::BLIND,
    threshold::{Check, Threshold, check},
};
use image::{RgbImage, codecs::jpeg::JpegEncoder};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Cards of the page.
const CARDS: usize = 24;
/// Width of their pictures in pixels.
const THUMBNAIL: u32 = 360;

/// Everything an evaluation found out.
pub(super) struct Results<'a> {
    pub args: &'a Args,
    pub set: &'a Set,
    pub identity: &'a Identity,
    pub folder: &'a Folder,
    /// Replies with the picture; `None` when nothing was asked so.
    pub own: Option<Log>,
    /// Replies to grey pictures.
    pub blind: Option<Log>,
    pub sight: Option<Sight>,
    pub done: Done,
}

impl Results<'_> {
    /// Writes the files and prints the result.
    ///
    /// # Errors
    /// Exit 3 when a file cannot be written.
    pub fn publish(&self, planner: Option<&Planner>, limits: &[Threshold]) -> Result<(Summary, Vec<Check>)> {
        let empty = Log::of(&self.identity.digest, []);
        let log = self.own.as_ref().or(self.blind.as_ref()).unwrap_or(&empty);
        let summary = self.summary(log);
        let checks = if self.done.stopped { Vec::new() } else { check(limits, &summary) };
        let about = self.about(planner, &checks);
        let mut object = serde_json::to_value(&summary).map_err(|e| Failure::data(format!("summary: {e}")))?;
        if let (Value::Object(object), Value::Object(about)) = (&mut object, &about) {
            object.extend(about.clone());
        }
        let name = planner.map_or_else(|| self.constant(), Planner::name);
        let title = format!("{name} on {}", self.set.names());
        self.write("bad.json", &pretty(&json!(self.bad())))?;
        self.write("summary.json", &pretty(&object))?;
        self.write("report.md", &format!("{}{}", markdown(&summary), run_section(&title, &about)))?;
        let samples: BTreeMap<&str, &data::Sample> = self.set.samples.iter().map(|s| (s.id.as_str(), s)).collect();
        let picture = |entry: &Entry| samples.get(entry.id.as_str()).and_then(|sample| thumbnail(sample));
        let page = Page { title: &title, log, picture: &picture, cards: CARDS, checks: &checks };
        self.write("report.html", &html(&summary, page))?;
        let released = json!({ "summary": summary.released.summary, "f1_score": summary.released.f1_score });
        if self.args.scorer == Scorer::Released {
            self.write("released.json", &pretty(&released))?;
        }
        match (self.args.json, self.args.scorer) {
            (true, Scorer::Released) => print_json(&released)?,
            (true, Scorer::Strict) => print_json(&object)?,
            (false, Scorer::Released) => print(&released_text(&summary))?,
            (false, Scorer::Strict) => print(&self.text(&title, &summary, &checks))?,
        }
        Ok((summary, checks))
    }

    fn summary(&self, log: &Log) -> Summary {
        let options = Options {
            blind: self.blind.as_ref().filter(|_| self.own.is_some()),
            train: self.set.train.as_deref(),
            bootstrap: Bootstrap::default(),
            sight: self.sight,
        };
        let mut summary = Summary::of(log, options);
        if let (None, Some(_), Some(row)) = (&self.own, &self.blind, summary.rows.first_mut()) {
            row.name = BLIND.into();
        }
        summary.notes.extend(self.set.notes());
        let bad = self.bad();
        if let Some(Bad { id, reason }) = bad.first() {
            summary
                .notes
                .push(format!("{} left out, listed in bad.json (first: {id}: {reason})", records(bad.len(), "bad ")));
        }
        if self.done.stopped {
            let (done, all) = (summary.samples, self.set.samples.len());
            summary.notes.push(format!("stopped: {done} of {all} samples; run the same command to continue"));
        }
        summary
    }

    /// Everything left out, each once, in a fixed order.
    fn bad(&self) -> Vec<Bad> {
        let mut bad: Vec<Bad> = self.set.bad.iter().chain(&self.done.bad).cloned().collect();
        bad.sort();
        bad.dedup();
        bad
    }

    /// What the summary says besides the figures.
    fn about(&self, planner: Option<&Planner>, checks: &[Check]) -> Value {
        json!({
            "model": planner.map(Planner::name),
            "answer": self.args.answer,
            "data": self.set.files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>(),
            "prompt_version": planner.map(|p| p.prompts.version()),
            "complete": !self.done.stopped,
            "left_out": {
                "unlabelled": self.set.unlabelled,
                "unasked": self.set.unasked,
                "bad": self.bad().len(),
            },
            "checks": checks,
        })
    }

    fn constant(&self) -> String {
        format!("constant {}", self.args.answer.as_deref().unwrap_or_default())
    }

    fn text(&self, title: &str, summary: &Summary, checks: &[Check]) -> String {
        let report = self.folder.file("report.html");
        let mut out = format!("{title}\n{}", terminal(summary, Some("report.html")));
        for check in checks {
            out.push_str(&format!("{}\n", check.line()));
        }
        out.push_str(&format!("\n{}  (also report.md, summary.json, samples.jsonl)\n", report.display()));
        out
    }

    fn write(&self, name: &str, text: &str) -> Result<()> {
        write_atomic(&RealFs, &self.folder.file(name), text.as_bytes())
    }
}

/// Fails when a limit was missed, naming all that were.
///
/// # Errors
/// Exit 1.
pub(super) fn hold(checks: &[Check]) -> Result<()> {
    let missed: Vec<String> = checks
        .iter()
        .filter(|check| !check.pass)
        .map(|c| match c.value {
            Some(value) => format!("{} is {value:.4}, {} wanted", c.name, c.limit),
            None => format!("{} could not be measured, {} wanted", c.name, c.limit),
        })
        .collect();
    if missed.is_empty() {
        return Ok(());
    }
    let message = format!("{} of {} thresholds missed: {}", missed.len(), checks.len(), missed.join("; "));
    Err(Failure::new(Kind::Threshold, message))
}

fn released_text(summary: &Summary) -> String {
    let mut out = format!("{}\n", summary.released.summary);
    for (label, value) in &summary.released.f1_score {
        out.push_str(&format!("{label}: {:.2}%\n", 100.0 * value.as_f64().unwrap_or_default()));
    }
    out
}

fn run_section(title: &str, about: &Value) -> String {
    let plain = |text: String| text.replace(['|', '`', '<', '\n'], " ");
    let mut out = format!("\n## Run\n\n{}.\n\n", plain(title.to_owned()));
    for (key, value) in about.as_object().into_iter().flatten() {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        if key != "checks" && !value.is_null() {
            out.push_str(&format!("* {key}: {}\n", plain(text)));
        }
    }
    out
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

/// A small JPEG of the frame of now; `None` when it can no longer be read.
fn thumbnail(sample: &data::Sample) -> Option<Vec<u8>> {
    let picture = Rgb::from_record(sample.images.last()?, &Loading::default()).ok()?;
    let (width, height) = (picture.width as u32, picture.height as u32);
    let picture = RgbImage::from_raw(width, height, picture.data)?;
    let small = match width > THUMBNAIL {
        true => image::imageops::thumbnail(&picture, THUMBNAIL, (height * THUMBNAIL / width).max(1)),
        false => picture,
    };
    let mut jpeg = Vec::new();
    JpegEncoder::new_with_quality(&mut jpeg, 75).encode_image(&small).ok()?;
    Some(jpeg)
}
