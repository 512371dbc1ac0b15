//! One self-contained page: no script, no outside resource (a content policy forbids both), every text escaped.

use super::chart::chart;
use super::samples::{card, worst};
use super::style::CSS;
use super::terminal::{hardest_sentence, sight_sentence, verdict};
use super::{grouped, percent, row_name, with_interval};
use crate::log::{Entry, Log};
use crate::metrics::axis::NO_PLAN;
use crate::metrics::bootstrap::Figure;
use crate::summary::{AxisSummary, BLIND, MAJORITY, Summary, THIS_MODEL};
use crate::threshold::Check;
use std::fmt::Write;

/// What the page shows besides the summary.
#[derive(Clone, Copy)]
pub struct Page<'a> {
    /// Headline, for example the model and the data file.
    pub title: &'a str,
    /// The log, for the worst samples.
    pub log: &'a Log,
    /// A small JPEG or PNG of a sample's frame; `None` shows the card without one.
    pub picture: &'a dyn Fn(&Entry) -> Option<Vec<u8>>,
    /// Sample cards at most.
    pub cards: usize,
    /// Limits that were held against the summary.
    pub checks: &'a [Check],
}

/// Text for an element or a quoted attribute.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            '\'' => out += "&#39;",
            '\n' | '\t' => out.push(c),
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// The page.
pub fn html(summary: &Summary, page: Page<'_>) -> String {
    let title = escape(page.title);
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><title>{title}</title><style>{CSS}</style></head>\
         <body><main><h1>{title}</h1><p class=\"dim\">{} samples · {} without a plan · run <code>{}</code></p>",
        grouped(summary.samples),
        summary.failures,
        escape(&summary.digest)
    );
    out += &tiles(summary);
    for sentence in [sight_sentence(summary), hardest_sentence(summary)].into_iter().flatten() {
        let _ = write!(out, "<p class=\"verdict\">{}</p>", escape(&sentence));
    }
    out += &checks(page.checks);
    let _ = write!(out, "<h2>Against answers that need no picture</h2><div class=\"panel\">{}</div>", chart(summary));
    out += &table(summary);
    for (name, axis) in [("Speed", &summary.speed), ("Path", &summary.path)] {
        out += &axis_section(name, axis);
    }
    out += &texts(summary);
    out += &failures(summary);
    let shown = worst(page.log, page.cards);
    if !shown.is_empty() {
        let _ = write!(out, "<h2>Worst samples</h2><p class=\"dim\">{} shown</p><div class=\"cards\">", shown.len());
        for entry in shown {
            out += &card(entry, (page.picture)(entry).as_deref());
        }
        out += "</div>";
    }
    let _ = write!(
        out,
        "<h2>As the published script scores</h2><div class=\"panel\"><p class=\"dim\">Labels as substrings of the whole reply; \
         lenient, for comparison with published tables only.</p><pre>{}</pre></div>",
        escape(&summary.released.summary)
    );
    for note in &summary.notes {
        let _ = write!(out, "<p class=\"dim\">{}</p>", escape(note));
    }
    out + "</main></body></html>\n"
}

fn tiles(summary: &Summary) -> String {
    let row = summary.model();
    let tile = |name: &str, figure: Option<Figure>| match figure {
        None => format!("<div class=\"tile\">{name}<b>–</b></div>"),
        Some(f) => format!(
            "<div class=\"tile\">{name}<b>{:.1}<small> ±{:.1}</small></b></div>",
            100.0 * f.value,
            100.0 * f.half_width()
        ),
    };
    let tiles = [
        tile("joint accuracy", row.joint),
        tile("speed F1 (macro)", row.speed_f1),
        tile("path F1 (macro)", row.path_f1),
        tile("replies that are a plan", row.parsed),
    ];
    format!("<div class=\"tiles\">{}</div>", tiles.concat())
}

fn checks(checks: &[Check]) -> String {
    if checks.is_empty() {
        return String::new();
    }
    let lines: String = checks
        .iter()
        .map(|c| format!("<div class=\"{}\">{}</div>", if c.pass { "pass" } else { "fail" }, escape(&c.line())))
        .collect();
    format!("<h2>Limits</h2><div class=\"panel\">{lines}</div>")
}

fn table(summary: &Summary) -> String {
    let mut out = String::from(
        "<div class=\"panel\"><table class=\"wide\"><thead><tr><th></th><th>joint</th><th>speed</th><th>path</th>\
         <th>speed F1</th><th>path F1</th><th>plans</th></tr></thead>",
    );
    for row in &summary.rows {
        let class = if row.name == THIS_MODEL { " class=\"own\"" } else { "" };
        let remark = if row.name == BLIND { verdict(summary).replace("<- ", "") } else { String::new() };
        let _ = write!(out, "<tr{class}><td>{}", escape(&row_name(row)));
        if !remark.is_empty() {
            let _ = write!(out, " <span class=\"unknown\">({})</span>", escape(&remark));
        }
        out += "</td>";
        for figure in [row.joint, row.speed, row.path, row.speed_f1, row.path_f1, row.parsed] {
            let _ = write!(out, "<td>{}</td>", with_interval(figure));
        }
        out += "</tr>";
    }
    let _ = write!(
        out,
        "</table></div><p class=\"dim\">Percent. ± is half the 95 % bootstrap interval ({} resamples, seed {}): it covers the choice \
         of samples, not the likeness of frames of one recording.",
        summary.bootstrap.resamples, summary.bootstrap.seed
    );
    for row in &summary.rows {
        if let Some(how) = row.detail.as_deref().filter(|_| row.name != MAJORITY) {
            let _ = write!(out, " {}: {}.", escape(&row.name), escape(how));
        }
    }
    out + "</p>"
}

fn axis_section(name: &str, axis: &AxisSummary) -> String {
    if axis.known == 0 {
        return format!("<h2>{name}</h2><p class=\"dim\">No sample has this label.</p>");
    }
    let mut out = format!("<h2>{name}</h2><div class=\"pair\"><div class=\"panel\"><table class=\"wide\"><thead><tr>");
    out += "<th>class</th><th>true</th><th>said</th><th>precision</th><th>recall</th><th>F1</th></tr></thead>";
    for c in &axis.classes {
        let label = escape(&c.label);
        let _ = write!(
            out,
            "<tr id=\"{label}\"><td>{label}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            c.truth,
            c.said,
            percent((c.said > 0).then_some(c.precision)),
            percent((c.truth > 0).then_some(c.recall)),
            percent((c.truth + c.said > 0).then_some(c.f1))
        );
    }
    out += "</table></div><div class=\"panel\"><table class=\"heat\"><thead><tr><th>driven ↓ said →</th>";
    for label in axis.confusion.labels.iter().map(String::as_str).chain([NO_PLAN]) {
        let _ = write!(out, "<th>{}</th>", escape(label).replace('_', "_<wbr>"));
    }
    out += "</tr></thead>";
    for (truth, (label, counts)) in axis.confusion.labels.iter().zip(&axis.confusion.counts).enumerate() {
        let total = counts.iter().sum::<u64>().max(1) as f64;
        let _ = write!(out, "<tr><th>{}</th>", escape(label));
        for (said, n) in counts.iter().enumerate() {
            let share = *n as f64 / total;
            let colour = if said == truth { "good" } else { "bad" };
            match n {
                0 => out += "<td class=\"zero\">·</td>",
                n => {
                    let strength = 0.10 + 0.60 * share;
                    let _ = write!(
                        out,
                        "<td style=\"background:rgba(var(--{colour}),{strength:.2})\" title=\"{:.0} % of {label}\">{n}</td>",
                        100.0 * share
                    );
                }
            }
        }
        out += "</tr>";
    }
    out + "</table></div></div>"
}

fn texts(summary: &Summary) -> String {
    let mut out = String::new();
    if let Some(t) = &summary.text {
        let _ = write!(
            out,
            "<h2>Reasoning against annotated reasoning</h2><div class=\"panel\"><table><thead><tr><th>texts</th><th>BLEU-4</th>\
             <th>ROUGE-L</th><th>CIDEr</th><th>CIDEr-D</th><th>METEOR (exact+stem)</th></tr></thead><tr><td>{}</td><td>{:.2}</td>\
             <td>{:.2}</td><td>{:.3}</td><td>{:.3}</td><td>{:.2}</td></tr></table></div><p class=\"dim\">METEOR is without WordNet \
             synonyms, so lower than the full measure. CIDEr-D is what the COCO scripts print as CIDEr.</p>",
            t.samples,
            100.0 * t.bleu4,
            100.0 * t.rouge_l,
            t.cider,
            t.cider_d,
            100.0 * t.meteor
        );
    }
    if let Some(m) = &summary.multi {
        let _ = write!(
            out,
            "<h2>{} replies per sample</h2><div class=\"panel\">any right <b>{}</b> % · one right on average <b>{}</b> % · \
             <b>{:.2}</b> different plans on average</div>",
            m.k,
            percent(m.any_of_k),
            percent(m.mean_of_k),
            m.distinct
        );
    }
    out
}

fn failures(summary: &Summary) -> String {
    if summary.failure_reasons.is_empty() {
        return String::new();
    }
    let lines: String = summary
        .failure_reasons
        .iter()
        .map(|(reason, n)| format!("<tr><td>{}</td><td>{n}</td></tr>", escape(reason)))
        .collect();
    format!(
        "<h2>Replies without a plan</h2><div class=\"panel\"><table><thead><tr><th>reason</th><th>samples</th></tr></thead>{lines}</table></div>"
    )
}
